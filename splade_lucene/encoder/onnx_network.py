"""Encoding by ONNX Runtime: a network in the ONNX format. Neither torch nor transformers is imported.

A checkpoint carries the network as ``onnx/model.onnx`` (sentence-transformers, fastembed) or ``model.onnx``; its output is one
of these:

- logits, of shape [texts, tokens, terms]: pooled here;
- ``output_idx`` and ``output_weights``, the term_ids and pooled weights of one text: Anserini's files.

Files that ``splade-lucene models NAME --save DIR --onnx`` writes contain the network without its weights, which stay in the
checkpoint's own safetensors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.batching import TokenSequences, pad
from splade_lucene.encoder.layout import Activation, NetworkSide, Pooling
from splade_lucene.encoder.location import find_onnx
from splade_lucene.encoder.memory import affordable_tokens, main_memory
from splade_lucene.encoder.onnx_choice import WRITE_AGAIN
from splade_lucene.encoder.onnx_graph import detach_decoder
from splade_lucene.encoder.onnx_head import OnnxHead
from splade_lucene.encoder.onnx_session import open_session
from splade_lucene.encoder.soundness import check_logits
from splade_lucene.encoder.sparse import SparseWeights
from splade_lucene.encoder.sparsify import Entries, encode_in_batches
from splade_lucene.encoder.term_factors import term_factors
from splade_lucene.encoder.tokenizer import PlainTokenizer
from splade_lucene.errors import ModelError, first_line
from splade_lucene.fork_guard import ForkGuard

_log = logging.getLogger(__name__)
_WITH_ALL_LOGITS = 256  # tokens of a batch: 31 MB for a vocabulary of 30,522
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_TOLERANCE = 1e-3  # of a logit, relative to the largest
_sessions = 0  # opened in this process
_fork_guard = ForkGuard("an encoder was loaded", lambda: _sessions > 0)


class OnnxNetwork:
    """Computes weights from all logits, as it is best for queries.

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
        try:
            self._session = open_session(path)
        except Exception as error:  # ONNX Runtime has exceptions of its own, without a common base
            raise ModelError(
                f"{path}: ONNX Runtime cannot load the network: {first_line(error)}. {WRITE_AGAIN}."
            ) from error
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
        size = self._tokens = max(self.tokenizer.get_vocab().values()) + 1
        if self._is_pooled:
            if (side.pooling, side.activation) != ("max", "log1p_relu"):
                raise ModelError(f"{path}: its weights are pooled by max of log(1 + relu(x)), and cannot be changed.")
        else:
            logits_of_probe = self._logits_of_probe()
            check_logits(logits_of_probe, str(logits_of_probe.dtype), side.location.folder)
            size = logits_of_probe.shape[-1]
            self.tokenizer.check_size(size)
        self.terms = self.tokenizer.terms(size)
        self._factors = term_factors(side, self.tokenizer, size)

    def affordable_tokens(self) -> int:
        """Tokens per batch, whatever is asked for."""
        return _WITH_ALL_LOGITS

    def encode(
        self, sequences: TokenSequences, batch_tokens: int = _WITH_ALL_LOGITS,
        progress: Callable[[int, int], None] | None = None,
    ) -> SparseWeights:  # fmt: skip
        """Computes the weights above 0; for a text with several passages, the largest weight of each term.

        Args:
            sequences: The tokenized texts.
            batch_tokens: Tokens per batch.
            progress: Called after each batch with the number of texts whose first sequence is in it, and its number of tokens.
        """
        _fork_guard.check()
        tokens = 1 if self._is_pooled else min(batch_tokens, self.affordable_tokens())  # 1: each text by itself
        return encode_in_batches(
            sequences, lambda batch: self._encode_batch(sequences, batch), tokens, self.terms, progress
        )

    @np.errstate(invalid="ignore", over="ignore")  # what comes of it is not finite, which is an error
    def _encode_batch(self, sequences: TokenSequences, batch: Sequence[int]) -> Entries:
        ids = [sequences.ids[i] for i in batch]
        rows, term_ids, values = self._pool(
            *pad(ids, [sequences.pooled[i] for i in batch], self.tokenizer.pad_token_id or 0)
        )
        values = values * self._factors[term_ids]
        kept = values != 0
        if self.side.own_terms:
            own = np.zeros((len(ids), len(self.terms)), np.bool_)
            for row, each in enumerate(ids):
                own[row, each] = True
            kept &= own[rows, term_ids]
        return Entries(rows[kept], term_ids[kept], values[kept])

    def _pool(self, input_ids: NDArray[np.int64], attention: NDArray[np.int64], mask: NDArray[np.bool_]) -> Entries:
        """Weights of one batch, before any factor."""
        outputs = self._run(self._session, self._outputs, input_ids, attention)
        if self._is_pooled:
            term_ids = outputs[0].ravel().astype(np.int64)
            return Entries(np.zeros(len(term_ids), np.int64), term_ids, outputs[1].ravel().astype(np.float32))
        pooling, activation = self.side.pooling, self.side.activation
        weights = [
            _pooled(logits[pooled], pooling, activation) for logits, pooled in zip(outputs[0], mask, strict=True)
        ]
        dense = np.stack(weights)
        rows, term_ids = dense.nonzero()
        return Entries(rows, term_ids, dense[rows, term_ids])

    def _run(
        self, session: Any, outputs: Sequence[str], input_ids: NDArray[np.int64], attention: NDArray[np.int64]
    ) -> list[NDArray[Any]]:
        arrays = {"input_ids": input_ids, "attention_mask": attention, "token_type_ids": np.zeros_like(input_ids)}
        try:
            found: list[NDArray[Any]] = session.run(outputs, {name: arrays[name] for name in self._inputs})
        except Exception as error:  # ONNX Runtime has exceptions of its own, without a common base
            raise ModelError(
                f"{self._path}: ONNX Runtime failed: {first_line(error)}. Lower batch_tokens, or use backend=torch."
            ) from error
        return found

    def _probe(self) -> NDArray[np.int64]:
        """Token ids from the whole vocabulary; shape [3, 8]."""
        return (np.arange(24).reshape(3, 8) * max(1, self._tokens // 24) + 5) % self._tokens

    def _logits_of_probe(self) -> NDArray[np.float32]:
        probe = self._probe()
        return self._run(self._session, self._outputs, probe, np.ones_like(probe))[0].astype(np.float32)


class OnnxDocumentNetwork(OnnxNetwork):
    """Computes weights of documents: with max pooling, by a head that does not compute all logits in float32.

    The head replaces the network's last layer. Whether a network allows this is tested with a probe.
    """

    def __init__(self, side: NetworkSide) -> None:
        super().__init__(side)
        self._head: OnnxHead | None = None
        self._width = 0
        if side.pooling == "max" and not self._is_pooled:
            self._detach_decoder()
            if self._head is None:
                _log.warning(
                    "%s: its last layer is no plain product; holding all logits, which takes more time", self._path
                )

    def affordable_tokens(self) -> int:
        """Tokens per batch that fit into an eighth of the memory."""
        if self._head is None:
            return super().affordable_tokens()
        return affordable_tokens(main_memory(), self._width, 4 * self._width)

    def _pool(self, input_ids: NDArray[np.int64], attention: NDArray[np.int64], mask: NDArray[np.bool_]) -> Entries:
        if self._head is None:
            return super()._pool(input_ids, attention, mask)
        hidden = self._run(self._session, self._outputs, input_ids, attention)[0]
        entries = self._head.pool(hidden, mask)
        return entries._replace(values=_activate(entries.values, self.side.activation))

    def _detach_decoder(self) -> None:
        probe, expected = self._probe(), self._logits_of_probe()
        try:
            found = detach_decoder(self._path.read_bytes(), self._outputs[0])
            if found is None:
                return
            model, decoder = found
            session = open_session(model, self._path.parent)
            parts: list[NDArray[Any]] = self._run(session, decoder.names, probe, np.ones_like(probe))
            hidden, weight, bias = parts[0], parts[1], parts[2] if decoder.bias else None
            logits = hidden @ weight if bias is None else hidden @ weight + bias
        except Exception as error:  # ONNX Runtime has exceptions of its own, without a common base
            _log.info("%s: cannot detach the last layer: %s", self._path, first_line(error))
            return
        tolerance = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if weight.ndim == 2 and logits.shape == expected.shape and np.allclose(logits, expected, atol=tolerance):
            self._session, self._outputs = session, [decoder.hidden]
            self._head, self._width = OnnxHead(weight, bias), len(weight)


def _pooled(logits: NDArray[Any], pooling: Pooling, activation: Activation) -> NDArray[np.float32]:
    """The formulas of :mod:`splade_lucene.encoder.pooling` for one text; from shape [tokens, terms] to [terms]."""
    if pooling == "max":
        return _activate(logits.max(axis=0).astype(np.float32), activation)
    summed: NDArray[np.float32] = _activate(logits.astype(np.float32), activation).sum(axis=0)
    return summed


def _activate(logits: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    weights = np.log1p(np.maximum(logits, 0))
    return np.log1p(weights) if activation == "log1p_log1p_relu" else weights
