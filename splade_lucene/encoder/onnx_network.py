"""Queries by ONNX Runtime: a network in the ONNX format. Neither torch nor transformers is imported.

A checkpoint carries the network as ``onnx/model.onnx`` (sentence-transformers, fastembed) or ``model.onnx``; its output is one
of these:

- logits, of shape [texts, tokens, terms]: pooled here;
- ``output_idx`` and ``output_weights``, the term_ids and pooled weights of one text: Anserini's files.

Files that ``splade-lucene models NAME --save DIR --onnx`` writes contain the network without its weights, which stay in the
checkpoint's own safetensors.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from splade_lucene.defaults import thread_count
from splade_lucene.encoder.batching import TokenSequences, batches_by_length, pad
from splade_lucene.encoder.layout import Activation, NetworkSide
from splade_lucene.encoder.location import ONNX_FILES, SAFE_WEIGHTS, WEIGHT_FILES, find_onnx
from splade_lucene.encoder.settings import QuerySettings
from splade_lucene.encoder.soundness import check_logits
from splade_lucene.encoder.sparse import SparseWeights, compress_rows
from splade_lucene.encoder.storage import INT8_WEIGHTS
from splade_lucene.encoder.table import read_tensor
from splade_lucene.encoder.tokenizer import PlainTokenizer
from splade_lucene.errors import InputError, ModelError, first_line
from splade_lucene.fork_guard import ForkGuard
from splade_lucene.imports import turn_off_telemetry, whole_imports

_log = logging.getLogger(__name__)
HEADER_KEY = "splade_lucene.weights_header"
"""Metadata of an ONNX file without weights: SHA-256 of the header of the safetensors that it refers to."""

_BATCH_TOKENS = 256  # with all logits: 31 MB for a vocabulary of 30,522
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_COMPARED = 3  # vectors
_sessions = 0  # opened in this process
_fork_guard = ForkGuard("an encoder was loaded", lambda: _sessions > 0)


def choose_backend(side: NetworkSide, queries: QuerySettings, device: str) -> Literal["torch", "onnx"]:
    """What computes queries. The choice depends on the settings and the checkpoint's files alone.

    Args:
        side: The network of the queries.
        queries: The settings, which may ask for a backend.
        device: The name of the device, as given; ``auto`` counts as a CPU.

    Raises:
        ModelError: ONNX is asked for, but the checkpoint has no ONNX file, or one of other weights.
        InputError: ONNX is asked for with a precision or device that it does not have here.
    """
    if queries.backend == "torch":
        return "torch"
    folder = side.location.folder
    is_asked_for = queries.backend == "onnx"
    path = find_onnx(side.location, download=is_asked_for)
    if device not in ("auto", "cpu") or queries.dtype not in ("auto", "float32"):
        if is_asked_for:
            raise InputError(
                "backend=onnx computes in float32 on a CPU", remedy="Leave device and dtype out, or use backend=torch"
            )
        return "torch"
    if path is None or side.is_causal:
        if is_asked_for:
            raise ModelError(f"{folder}: no ONNX file (expected {' or '.join(ONNX_FILES)}). {_REMEDY}.")
        return "torch"
    if is_from_same_weights(path, folder):
        return "onnx"
    if is_asked_for:
        raise ModelError(
            f"{path}: it was not made from the weights in {folder}, or they cannot be compared. {_REMEDY}."
        )
    _log.warning("%s is not used: it was not made from the weights beside it, or they cannot be compared", path)
    return "torch"


def is_from_same_weights(path: Path, folder: Path) -> bool:
    """Whether an ONNX file was made from the weights that a checkpoint has now; False if that cannot be told.

    Vectors (biases and the like) keep their bytes in an export to float32, and change with any training.

    Args:
        path: The ONNX file.
        folder: The checkpoint.
    """
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        return True  # the ONNX file is all there is
    weights = next((folder / name for name in SAFE_WEIGHTS if (folder / name).is_file()), None)
    if _contains(path, HEADER_KEY.encode()):
        return weights is not None and _contains(path, header_digest(weights).encode())
    vectors = list(_vectors(folder))[:_COMPARED]
    files = sorted(path.parent.glob(f"{path.name}*"))  # weights may be in a file beside it, such as model.onnx_data
    return bool(vectors) and all(any(_contains(file, vector) for file in files) for vector in vectors)


class OnnxNetwork:
    """Computes the weights of queries.

    Args:
        side: The settings read from a checkpoint that has an ONNX file.

    Attributes:
        tokenizer: The checkpoint's tokenizer.
        terms: The vocabulary's Lucene terms by term_id.

    Raises:
        ModelError: The file or the tokenizer cannot be used; says why.
    """

    def __init__(self, side: NetworkSide) -> None:
        global _sessions
        _fork_guard.check()
        path = find_onnx(side.location)
        assert path is not None
        _sessions += 1
        self.side, self._path = side, path
        self._session = _open_session(path, side.location.folder)
        self._inputs = [each.name for each in self._session.get_inputs()]
        if not {"input_ids"} <= set(self._inputs) <= _INPUTS:
            raise ModelError(
                f"{path}: the inputs are {', '.join(self._inputs)}, expected {', '.join(sorted(_INPUTS))}."
            )
        outputs = {each.name: len(each.shape or ()) for each in self._session.get_outputs()}
        self._is_pooled = {"output_idx", "output_weights"} <= set(outputs)
        logits = [name for name, rank in outputs.items() if rank == 3]
        if not (self._is_pooled or logits):
            raise ModelError(
                f"{path}: the outputs are {', '.join(outputs)}, expected logits of shape [texts, tokens, terms]. "
                "Export the masked language model, not an embedding model."
            )
        self._outputs = ["output_idx", "output_weights"] if self._is_pooled else logits[:1]
        self.tokenizer = PlainTokenizer(side.location.tokenizer_folder)
        size = max(self.tokenizer.get_vocab().values()) + 1
        if self._is_pooled:
            if (side.pooling, side.activation) != ("max", "log1p_relu"):
                raise ModelError(f"{path}: its weights are pooled by max of log(1 + relu(x)), and cannot be changed.")
        else:
            size = self._check_output(size)
        self.terms = self.tokenizer.terms(size)
        self._kept = self._kept_terms()
        self._factors = self._own_factors()

    def encode(self, sequences: TokenSequences) -> SparseWeights:
        """Computes the weights above 0 of tokenized queries, each of at most one sequence."""
        _fork_guard.check()
        rows: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = [_NO_TERMS] * sequences.texts
        for batch in batches_by_length(
            [len(ids) for ids in sequences.ids], _BATCH_TOKENS, 1 if self._is_pooled else 1 << 30
        ):
            for position, weights in zip(batch, self._weights(sequences, batch), strict=True):
                term_ids = np.flatnonzero(weights > 0)
                rows[sequences.owners[position]] = (term_ids.astype(np.int32), weights[term_ids])
        texts = np.repeat(np.arange(len(rows)), [len(term_ids) for term_ids, _ in rows])
        return SparseWeights(
            compress_rows(texts, len(rows)), np.concatenate([_NO_TERMS[0], *(term_ids for term_ids, _ in rows)]),
            np.concatenate([_NO_TERMS[1], *(weights for _, weights in rows)]), self.terms,
        )  # fmt: skip

    def _weights(self, sequences: TokenSequences, batch: Sequence[int]) -> Iterator[NDArray[np.float32]]:
        """The weights of each sequence; shape [terms]."""
        ids = [sequences.ids[i] for i in batch]
        spans = [sequences.pooled[i] for i in batch]
        outputs = self._run(*pad(ids, spans, self.tokenizer.pad_token_id or 0)[:2])
        for row, (start, stop) in enumerate(spans):
            if self._is_pooled:
                weights = np.zeros(len(self.terms), np.float32)
                weights[outputs[0].ravel().astype(np.int64)] = outputs[1].ravel()
            else:
                weights = _pool(outputs[0][row, start:stop], self.side.pooling, self.side.activation)
            weights = weights * self._kept
            if self._factors is not None:
                own = np.zeros(len(self.terms), np.float32)
                own[ids[row]] = self._factors[ids[row]]
                weights = weights * own
            yield weights

    def _run(self, input_ids: NDArray[np.int64], attention: NDArray[np.int64]) -> list[NDArray[Any]]:
        arrays = {"input_ids": input_ids, "attention_mask": attention, "token_type_ids": np.zeros_like(input_ids)}
        try:
            found: list[NDArray[Any]] = self._session.run(self._outputs, {name: arrays[name] for name in self._inputs})
        except Exception as error:  # ONNX Runtime has exceptions of its own, without a common base
            raise ModelError(f"{self._path}: ONNX Runtime failed: {first_line(error)}. Use backend=torch.") from error
        return found

    def _check_output(self, tokens: int) -> int:
        """Refuses a network that ignores its input, or a tokenizer of another; returns the number of terms."""
        probe = (np.arange(24).reshape(3, 8) * max(1, tokens // 24) + 5) % tokens
        logits = self._run(probe, np.ones_like(probe))[0]
        check_logits(logits.astype(np.float32), str(logits.dtype), self.side.location.folder)
        size = int(logits.shape[-1])
        self.tokenizer.check_size(size)
        return size

    def _kept_terms(self) -> NDArray[np.float32]:
        """1 for terms that queries may have, 0 for the others; shape [terms]."""
        kept = np.ones(len(self.terms), np.float32)
        if self.side.drop_specials:
            kept[[i for i in self.tokenizer.all_special_ids if i < len(kept)]] = 0
        return kept

    def _own_factors(self) -> NDArray[np.float32] | None:
        """The factor of each term where only a text's own terms have weights, else None; shape [terms]."""
        if not self.side.own_terms:
            return None
        factors = np.ones(len(self.terms), np.float32)
        if self.side.own_terms_factors is not None:
            factors[:] = 0
            tokens = max(self.tokenizer.get_vocab().values()) + 1
            found = read_tensor(self.side.own_terms_factors, tokens)[: len(factors)]
            factors[: len(found)] = found
            return factors
        unknown = None if self.side.drop_specials else self.tokenizer.unk_token_id
        factors[[i for i in self.tokenizer.all_special_ids if i < len(factors) and i != unknown]] = 0
        return factors


_NO_TERMS = (np.empty(0, np.int32), np.empty(0, np.float32))


def _pool(logits: NDArray[Any], pooling: str, activation: Activation) -> NDArray[np.float32]:
    """The formulas of :mod:`splade_lucene.encoder.pooling` for one text; from shape [tokens, terms] to [terms]."""
    if pooling == "max":
        return _activate(logits.max(axis=0).astype(np.float32), activation)
    summed: NDArray[np.float32] = _activate(logits.astype(np.float32), activation).sum(axis=0)
    return summed


def _activate(logits: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    weights = np.log1p(np.maximum(logits, 0))
    return np.log1p(weights) if activation == "log1p_log1p_relu" else weights


@whole_imports()
def _open_session(path: Path, folder: Path) -> Any:
    turn_off_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = thread_count()
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # waiting threads leave the cores to the search
    if (folder / INT8_WEIGHTS).is_file():
        options.add_session_config_entry("session.disable_quant_qdq", "1")  # restore the weights once, not in each run
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has exceptions of its own, without a common base
        raise ModelError(f"{path}: ONNX Runtime cannot load the network: {first_line(error)}. {_REMEDY}.") from error


_REMEDY = "Write it again with 'splade-lucene models CHECKPOINT --save DIR --onnx', or use backend=torch"


def header_digest(path: Path) -> str:
    """SHA-256 of the header of safetensors, which states where each tensor is."""
    with path.open("rb") as file:
        length = file.read(8)
        return hashlib.sha256(length + file.read(int.from_bytes(length, "little"))).hexdigest()


def _contains(path: Path, part: bytes) -> bool:
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(part) >= 0


@whole_imports()
def _vectors(folder: Path) -> Iterator[bytes]:
    """Vectors of a checkpoint as float32, largest first; constant ones, such as biases of 0, tell nothing."""
    from safetensors import SafetensorError, safe_open

    path = folder / SAFE_WEIGHTS[0]
    if not path.is_file():
        return
    try:
        with safe_open(path, "numpy") as file:
            sizes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - not a mapping
            vectors = sorted((-shape[0], name) for name, shape in sizes.items() if len(shape) == 1)
            for _, name in vectors:
                vector = file.get_tensor(name).astype(np.float32)
                if len(np.unique(vector)) > len(vector) // 2:
                    yield vector.tobytes()
    except (SafetensorError, TypeError, AttributeError):  # damaged, or bfloat16, which NumPy lacks
        return
