"""The encoder: texts in, sparse non-negative weights out. Networks are loaded when they are first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from splade_lucene.defaults import DEFAULT_MAX_LENGTH
from splade_lucene.encoder.layout import (
    Activation,
    Choices,
    Layout,
    NetworkSide,
    Pooling,
    QueryWay,
    TableSide,
    read_layout,
)
from splade_lucene.encoder.pruning import Pruning
from splade_lucene.encoder.sparse import SparseImpacts, SparseWeights, to_impacts, to_weights
from splade_lucene.encoder.table import TermTable
from splade_lucene.errors import InputError
from splade_lucene.records import well_formed

if TYPE_CHECKING:
    import torch

    from splade_lucene.encoder.batching import Sequencer, TokenSequences
    from splade_lucene.encoder.network import Network
    from splade_lucene.quantizer import Quantizer, Side

Dtype = Literal["auto", "float32", "bfloat16"]
QueryDtype = Literal["auto", "float32", "bfloat16", "int8"]

_QUERY_BATCH_TOKENS = 1024
_BATCH_TOKENS = {"cpu": 1024, "cuda": 65536}


class SpladeEncoder:
    """Encodes texts with any learned sparse checkpoint; see :mod:`splade_lucene.encoder.layout` for what is read.

    Args:
        model: Folder or hub name of the checkpoint; None for the embedded one.
        query_model: Folder or hub name of another checkpoint for queries (efficient SPLADE).
        pooling: ``max`` (SPLADE-max, DistilSPLADE-max and later) or ``sum`` (SPLADE v1); None for what the checkpoint says.
        activation: ``log1p_relu`` or ``log1p_log1p_relu`` (OpenSearch v3).
        queries: ``model``, ``lexical`` (weights of the model, for the query's own terms), ``binary`` (SPLADE-doc: each
            token 1) or ``table`` (each token as the checkpoint's table says).
        drop_specials: Whether special tokens are no terms.
        document_prefix: What is put before each document.
        query_prefix: What is put before each query.
        max_length: Tokens after which documents are cut, special tokens included. Default: the checkpoint's, else 256.
        query_max_length: The same for queries.
        passage_tokens: Split documents into passages of this many tokens, and keep the largest weight of each term; 0 to
            cut them.
        passage_overlap: Tokens that a passage shares with the next.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1`` …
        dtype: For documents. ``float32``, ``bfloat16`` (some impacts differ by one), or ``auto``: bfloat16 where the device
            computes it natively, which is measured.
        query_dtype: For queries. ``auto`` is float32; ``int8`` holds the decoder in 8 bits.
        batch_tokens: Tokens of a batch, as a hint: fewer are taken where memory is short.
        query_pooling: The pooling of queries, if it is another.
        query_activation: Their activation, if it is another.
        query_drop_specials: Whether special tokens are no terms of theirs, if that is another.
        trust_remote_code: Run code that the checkpoint brings.

    Raises:
        ModelError: The checkpoint is missing, incomplete, or of a layout that is not known.

    Example:
        >>> from splade_lucene import SpladeEncoder
        >>> encoder = SpladeEncoder()
        >>> weights = encoder.encode_queries(["how do I list the files of a folder"])[0]
        >>> sorted(weights, key=weights.get, reverse=True)[:3]  # doctest: +SKIP
        ['folder', 'files', 'file']
    """

    def __init__(  # noqa: PLR0913 - all but the first are keywords with defaults
        self, model: str | Path | None = None, *, query_model: str | Path | None = None, pooling: Pooling | None = None,
        activation: Activation | None = None, queries: QueryWay | None = None, drop_specials: bool | None = None,
        document_prefix: str | None = None, query_prefix: str | None = None, max_length: int | None = None,
        query_max_length: int | None = None, passage_tokens: int = 0, passage_overlap: int = 0, device: str = "auto",
        dtype: Dtype = "auto", query_dtype: QueryDtype = "auto", batch_tokens: int | None = None,
        query_pooling: Pooling | None = None, query_activation: Activation | None = None,
        query_drop_specials: bool | None = None, trust_remote_code: bool = False,
    ) -> None:  # fmt: skip
        self._settings: dict[str, Any] = {name: value for name, value in locals().items() if name != "self"}
        for value, kinds in ((dtype, get_args(Dtype)), (query_dtype, get_args(QueryDtype))):
            if value not in kinds:
                raise InputError(f"no dtype is named {value!r}", remedy=f"Choose one of: {', '.join(kinds)}")
        if batch_tokens is not None and batch_tokens < 1:
            raise InputError("batch_tokens must be at least 1")
        self.layout: Layout = read_layout(
            model,
            Choices(
                pooling, activation, queries, None if query_model is None else str(query_model), drop_specials,
                document_prefix, query_prefix, max_length, query_max_length, query_pooling, query_activation,
                query_drop_specials,
            ),
        )  # fmt: skip
        self.passage_tokens, self.passage_overlap = passage_tokens, passage_overlap
        limit = self.layout.documents.max_tokens
        if passage_tokens and not (8 <= passage_tokens <= limit and 0 <= passage_overlap <= passage_tokens // 2):
            raise InputError(
                f"passages of {passage_tokens} tokens that share {passage_overlap} cannot be had",
                remedy=f"Give 8 to {limit} tokens, which is what this model takes, and share at most half of them",
            )
        if passage_overlap and not passage_tokens:
            raise InputError("an overlap was given, and no passages", remedy="Give --passage-tokens too")
        self._device_name, self._dtype, self._query_dtype = device, dtype, query_dtype
        self._batch_tokens, self._trust_remote_code = batch_tokens, trust_remote_code
        if device not in ("auto", "cpu"):  # which are there without asking torch
            self.device  # noqa: B018
        self._settled_batch_tokens: int | None = None
        self._settled_dtype = ""
        self._loading = threading.RLock()
        self._networks: dict[tuple[NetworkSide, str], Network] = {}

    # ---- encoding ----

    def encode_documents(
        self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> SparseWeights:
        """Encodes documents.

        Args:
            texts: Any number of texts; they are encoded in the order of their lengths and returned in theirs.
            progress: Called after each batch with the number of texts just begun, and of tokens.
        """
        network, sequences = self.document_network, self.tokenize_documents(texts)
        return to_weights(network.encode(sequences, self.batch_tokens, progress), sequences.texts, network.terms)

    def encode_queries(self, texts: Sequence[str]) -> SparseWeights:
        """Encodes queries."""
        texts = _checked(texts)
        if isinstance(self.layout.queries, TableSide):
            return self.query_table.encode(texts)
        network, sequences = self.query_network, self._query_sequencer(texts)
        return to_weights(network.encode(sequences, _QUERY_BATCH_TOKENS), sequences.texts, network.terms)

    def tokenize_documents(self, texts: Sequence[str]) -> TokenSequences:
        """The first half of :meth:`encode_documents`, which needs no device and can run beside the second."""
        return self._document_sequencer(_checked(texts))

    def encode_impacts(
        self, sequences: TokenSequences, quantizer: Quantizer, *, pruning: Pruning = Pruning(), min_impact: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> SparseImpacts:  # fmt: skip
        """Encodes tokenized documents, pruned and quantized on the device.

        Args:
            sequences: Of :meth:`tokenize_documents`.
            quantizer: The rule; its document half applies.
            pruning: Which terms to keep.
            min_impact: Least impact to keep.
            progress: Called after each batch with the number of texts just begun, and of tokens.
        """
        from splade_lucene.encoder.sparsify import prune

        network = self.document_network
        entries = prune(network.encode(sequences, self.batch_tokens, progress), pruning, sequences.texts)
        return to_impacts(entries, sequences.texts, network.terms, quantizer, "document", min_impact)

    # ---- what it consists of ----

    def load(self, side: Side) -> None:
        """Loads what a side needs now, and not with its first text."""
        if side == "document":
            self.document_network  # noqa: B018
        elif isinstance(self.layout.queries, TableSide):
            self.query_table  # noqa: B018
        else:
            self.query_network  # noqa: B018

    @cached_property
    def device(self) -> torch.device:
        """Where it computes."""
        from splade_lucene.encoder.precision import choose_device

        return choose_device(self._device_name)

    @property
    def dtype(self) -> str:
        """What documents are computed in: ``float32``, ``bfloat16``, or ``checkpoint`` for a causal language model."""
        if self._dtype == "auto":
            if self.layout.documents.is_causal:
                return "checkpoint"
            if self._settled_dtype:
                return self._settled_dtype
            from splade_lucene.encoder.precision import native_dtype

            return native_dtype(self.device)
        return self._dtype

    @property
    def query_dtype(self) -> str:
        """What queries are computed in."""
        if self._query_dtype == "auto":
            side = self.layout.queries
            return "checkpoint" if isinstance(side, NetworkSide) and side.is_causal else "float32"
        return self._query_dtype

    def settle(self, dtype: str, batch_tokens: int) -> None:
        """Decides what the machine would decide, as it was for an encoding that is to be gone on with.

        Args:
            dtype: What ``auto`` stands for; empty to leave it to the machine.
            batch_tokens: Tokens of a batch; 0 likewise.
        """
        self._settled_dtype = dtype if dtype in ("float32", "bfloat16") else ""
        if self._batch_tokens is None:
            self._settled_batch_tokens = batch_tokens or None

    def settings_on(self, device: str) -> dict[str, Any]:
        """The arguments of an encoder like this one on another device."""
        return {**self._settings, "device": device, "dtype": self._dtype if self._dtype != "auto" else self.dtype,
                "batch_tokens": self.batch_tokens}  # fmt: skip

    @property
    def batch_tokens(self) -> int:
        """Tokens of a batch: what was asked for, or what suits the device, within half of the memory that is free.

        It is settled once, for a text's last bits depend on the batch that it is in.
        """
        if self._settled_batch_tokens is None:
            wanted = self._batch_tokens or _BATCH_TOKENS.get(self.device.type, _BATCH_TOKENS["cpu"])
            self._settled_batch_tokens = min(wanted, self.document_network.affordable_tokens())
        return self._settled_batch_tokens

    @property
    def document_network(self) -> Network:
        """The network of documents."""
        return self._network(self.layout.documents, self.dtype)

    @property
    def query_network(self) -> Network:
        """The network of queries.

        Raises:
            InputError: Queries are encoded without one.
        """
        if isinstance(self.layout.queries, TableSide):
            raise InputError("this checkpoint encodes queries without a network")
        return self._network(self.layout.queries, self.query_dtype)

    @cached_property
    def query_table(self) -> TermTable:
        """The tokenizer and weights of inference-free queries.

        Raises:
            InputError: Queries are encoded with a network.
        """
        if isinstance(self.layout.queries, NetworkSide):
            raise InputError("this checkpoint encodes queries with a network")
        return TermTable(self.layout.queries)

    @property
    def terms(self) -> list[str]:
        """The vocabulary's Lucene terms by term_id; see :func:`splade_lucene.escape_term`."""
        return self.document_network.terms

    @property
    def max_length(self) -> int:
        """Tokens after which documents are cut."""
        return self._length(self.layout.documents)

    @property
    def query_max_length(self) -> int:
        """Tokens after which queries are cut; 0 if they are not."""
        side = self.layout.queries
        if isinstance(side, TableSide):
            return side.max_length or 0
        return self._length(side)

    @staticmethod
    def _length(side: NetworkSide) -> int:
        return min(side.max_length or DEFAULT_MAX_LENGTH, side.max_tokens)

    @property
    def choices(self) -> Choices:
        """Everything that the checkpoint or the caller decided, so that it can be decided the same way again."""
        documents, queries = self.layout.documents, self.layout.queries
        own_location = queries.location.name == documents.location.name
        way: QueryWay = "model"
        if isinstance(queries, TableSide):
            way = "table" if queries.weights else "binary"
        elif queries.own_terms:
            way = "lexical"
        return Choices(
            pooling=documents.pooling, activation=documents.activation, queries=way,
            query_model=None if own_location else queries.location.name, drop_specials=documents.drop_specials,
            document_prefix=documents.prefix, query_prefix=queries.prefix, max_length=documents.max_length,
            query_max_length=queries.max_length, query_drop_specials=queries.drop_specials,
            query_pooling=None if isinstance(queries, TableSide) else queries.pooling,
            query_activation=None if isinstance(queries, TableSide) else queries.activation,
        )  # fmt: skip

    def query_digest(self) -> str:
        """SHA-256 of what encodes queries: the network's weights, or tokenizer and table."""
        side = self.layout.queries
        return side.location.digest() if isinstance(side, NetworkSide) else self.query_table.digest

    @cached_property
    def _document_sequencer(self) -> Sequencer:
        return self.document_network.sequencer(
            self.passage_tokens or self.max_length, self.layout.documents.prefix, passage_tokens=self.passage_tokens,
            passage_overlap=self.passage_overlap,
        )  # fmt: skip

    @cached_property
    def _query_sequencer(self) -> Sequencer:
        return self.query_network.sequencer(self.query_max_length, self.layout.queries.prefix)

    def _network(self, side: NetworkSide, dtype: str) -> Network:
        from splade_lucene.encoder.network import Network

        key = (replace(side, prefix="", max_length=None), dtype)
        with self._loading:
            if key not in self._networks:
                self._networks[key] = Network(
                    side, dtype=dtype, device=self.device, trust_remote_code=self._trust_remote_code
                )
            return self._networks[key]


def _checked(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise InputError("one text was given in place of a list of texts", remedy="Write [text]")
    strange = next((text for text in texts if not isinstance(text, str)), None)
    if strange is not None or None in texts:
        raise InputError(f"a text must be a string, got {strange!r:.60}")
    return [well_formed(text) for text in texts]
