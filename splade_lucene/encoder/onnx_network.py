"""Encoding with ONNX Runtime: a network in the ONNX format. Neither torch nor transformers is imported.

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
_sessions = 0  # opened in this process
_fork_guard = ForkGuard("an encoder was loaded", lambda: _sessions > 0)


class OnnxNetwork:
    """Computes weights: with max pooling, by a head that does not compute all logits in float32; else from all logits.

    The head replaces the network's last layer, if that is a plain product.

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
        self.tokenizer = PlainTokenizer(side.location.tokenizer_folder)
        size = self._tokens = max(self.tokenizer.get_vocab().values()) + 1
        self._head: OnnxHead | None = None
        self._is_pooled = False
        logits = self._open_with_head() if side.pooling == "max" else None
        if logits is None:
            logits = self._open_whole()
        if logits is not None:
            check_logits(logits, str(logits.dtype), side.location.folder)
            size = logits.shape[-1]
            self.tokenizer.check_size(size)
        self.terms = self.tokenizer.terms(size)
        self._factors = term_factors(side, self.tokenizer, size)

    def affordable_tokens(self) -> int:
        """Tokens per batch that fit into an eighth of the memory."""
        if self._head is None:
            return _WITH_ALL_LOGITS
        return affordable_tokens(main_memory(), self._head.width, 4 * self._head.width)

    def encode(
        self, sequences: TokenSequences, batch_tokens: int, progress: Callable[[int, int], None] | None = None
    ) -> SparseWeights:
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

    @np.errstate(invalid="ignore", over="ignore")  # the result is then not finite, which is reported as an error
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
        outputs = self._run(self._outputs, input_ids, attention)
        if self._is_pooled:
            term_ids = outputs[0].ravel().astype(np.int64)
            return Entries(np.zeros(len(term_ids), np.int64), term_ids, outputs[1].ravel().astype(np.float32))
        pooling, activation = self.side.pooling, self.side.activation
        if self._head is not None:
            entries = self._head.pool(outputs[0], mask)
            return entries._replace(values=_activate(entries.values, activation))
        weights = [
            _pooled(logits[pooled], pooling, activation) for logits, pooled in zip(outputs[0], mask, strict=True)
        ]
        dense = np.stack(weights)
        rows, term_ids = dense.nonzero()
        return Entries(rows, term_ids, dense[rows, term_ids])

    def _run(
        self, outputs: Sequence[str], input_ids: NDArray[np.int64], attention: NDArray[np.int64]
    ) -> list[NDArray[Any]]:
        arrays = {"input_ids": input_ids, "attention_mask": attention, "token_type_ids": np.zeros_like(input_ids)}
        try:
            found: list[NDArray[Any]] = self._session.run(outputs, {name: arrays[name] for name in self._inputs})
        except Exception as error:  # ONNX Runtime has exceptions of its own, without a common base
            raise ModelError(
                f"{self._path}: ONNX Runtime failed: {first_line(error)}. Lower batch_tokens, or use backend=torch."
            ) from error
        return found

    def _probe(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Token ids from the whole vocabulary and their mask; shape [3, 8]."""
        probe = (np.arange(24).reshape(3, 8) * max(1, self._tokens // 24) + 5) % self._tokens
        return probe, np.ones_like(probe)

    def _open_whole(self) -> NDArray[np.float32] | None:
        """Opens the network as it is; returns the logits of the probe, or None if the network pools them itself."""
        side, path = self.side, self._path
        try:
            session = open_session(path)
        except Exception as error:  # ONNX Runtime has exceptions of its own, without a common base
            raise ModelError(
                f"{path}: ONNX Runtime cannot load the network: {first_line(error)}. {WRITE_AGAIN}."
            ) from error
        self._use(session)
        outputs = {each.name: len(each.shape or ()) for each in session.get_outputs()}
        if {"output_idx", "output_weights"} <= set(outputs):
            if (side.pooling, side.activation) != ("max", "log1p_relu"):
                raise ModelError(
                    f"{path}: this ONNX file pools by max of log(1 + relu(x)), which cannot be changed. Use backend=torch."
                )
            self._is_pooled, self._outputs = True, ["output_idx", "output_weights"]
            return None
        self._outputs = [name for name, rank in outputs.items() if rank == 3][:1]
        if not self._outputs:
            raise ModelError(
                f"{path}: the outputs are {', '.join(outputs)}, expected logits of shape [texts, tokens, terms]. "
                "Export the masked language model, not an embedding model."
            )
        if side.pooling == "max":
            _log.warning(
                "%s: its last layer is not a plain matrix product; holding all logits, which takes more time", path
            )
        return self._run(self._outputs, *self._probe())[0].astype(np.float32)

    @np.errstate(invalid="ignore", over="ignore")  # weights that are not finite show in the logits
    def _open_with_head(self) -> NDArray[np.float32] | None:
        """Opens the network without its last layer, and that as a head; returns the logits of the probe.

        None if the last layer is no plain product.
        """
        try:
            found = detach_decoder(self._path.read_bytes())
            if found is None:
                return None
            model, decoder = found
            session = open_session(model, self._path.parent)
        except Exception as error:  # ONNX Runtime has exceptions of its own, without a common base
            _log.info("%s: cannot detach the last layer: %s", self._path, first_line(error))
            return None
        self._use(session)
        probe = self._probe()
        hidden, rows, *bias = self._run(decoder.outputs, *probe)
        shapes = [hidden.shape, *(each.shape for each in bias)]
        if rows.ndim != 2 or shapes != [(*probe[0].shape, rows.shape[1]), *[rows.shape[:1]] * len(bias)]:
            return None
        self._outputs, self._head = [decoder.hidden], OnnxHead(rows, *bias)
        return self._head.logits(hidden[:2])  # check_logits needs two texts

    def _use(self, session: Any) -> None:
        """Sets the session, whose inputs must be known."""
        self._session, self._inputs = session, [each.name for each in session.get_inputs()]
        if not {"input_ids"} <= set(self._inputs) <= _INPUTS:
            raise ModelError(
                f"{self._path}: the inputs are {', '.join(self._inputs)}, expected {', '.join(sorted(_INPUTS))}. {WRITE_AGAIN}."
            )


def _pooled(logits: NDArray[Any], pooling: Pooling, activation: Activation) -> NDArray[np.float32]:
    """The formulas of :mod:`splade_lucene.encoder.pooling` for one text; from shape [tokens, terms] to [terms]."""
    if pooling == "max":
        return _activate(logits.max(axis=0).astype(np.float32), activation)
    summed: NDArray[np.float32] = _activate(logits.astype(np.float32), activation).sum(axis=0)
    return summed


def _activate(logits: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    weights = np.log1p(np.maximum(logits, 0))
    return np.log1p(weights) if activation == "log1p_log1p_relu" else weights
