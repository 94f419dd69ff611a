"""The encoder: texts in, sparse non-negative weights out. Networks are loaded on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from splade_lucene.arguments import check_choice, several
from splade_lucene.defaults import DEFAULT_MAX_LENGTH
from splade_lucene.encoder.batching import Sequencer, TokenSequences, sequencer_for
from splade_lucene.encoder.layout import (
    Choices,
    Layout,
    NetworkSide,
    QueryMode,
    TableSide,
    read_layout,
)
from splade_lucene.encoder.pruning import Pruning
from splade_lucene.encoder.settings import (
    Backend,
    ChosenBackend,
    DocumentSettings,
    Dtype,
    QuerySettings,
    to_choices,
)
from splade_lucene.encoder.sparse import SparseImpacts, SparseWeights
from splade_lucene.encoder.table import TermTable
from splade_lucene.encoder.tokenizer import PlainTokenizer
from splade_lucene.encoder.words import TokenSpan
from splade_lucene.errors import InputError
from splade_lucene.fork_guard import ProcessBound
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.records import list_texts

if TYPE_CHECKING:
    import torch

    from splade_lucene.encoder.network import Network
    from splade_lucene.encoder.onnx_network import OnnxNetwork
    from splade_lucene.quantizer import Quantizer, Side

_QUERY_BATCH_TOKENS = 1024
_BATCH_TOKENS = {"cpu": 1024, "cuda": 65536}


class SpladeEncoder(ProcessBound):
    """Encodes texts with any learned sparse checkpoint; :mod:`splade_lucene.encoder.layout` lists the supported layouts.

    Args:
        model: Folder or hub name of the checkpoint; None for the embedded one.
        documents: Settings that override the checkpoint's for documents.
        queries: Settings that override the checkpoint's for queries.
        device: ``auto`` (a GPU if available), ``cpu``, ``cuda``, ``cuda:1`` …
        dtype: Precision for documents: ``float32``, ``bfloat16`` (some impacts differ by one), or ``auto``, which is
            bfloat16 where the device supports it natively.
        batch_tokens: Target number of tokens per batch; smaller batches are used if memory is short.
        backend: The backend for documents: ``torch``, or ``onnx``: ONNX Runtime on a CPU, in float32. ``auto`` is ``torch``, or
            ``onnx`` if torch is not installed. Queries have a setting of their own.
        trust_remote_code: Whether to run code shipped with the checkpoint.

    Raises:
        ModelError: The checkpoint is missing, incomplete, or has an unknown layout.

    Example:
        >>> from splade_lucene import SpladeEncoder
        >>> encoder = SpladeEncoder()
        >>> weights = encoder.encode_queries(["how do I list the files of a folder"])[0]
        >>> sorted(weights, key=weights.get, reverse=True)[:3]  # doctest: +SKIP
        ['folder', 'files', 'file']
    """

    @uninterrupted_imports()
    def __init__(
        self, model: str | Path | None = None, documents: DocumentSettings = DocumentSettings(),
        queries: QuerySettings = QuerySettings(), *, device: str = "auto", dtype: Dtype = "auto",
        batch_tokens: int | None = None, backend: Backend = "auto", trust_remote_code: bool = False,
    ) -> None:  # fmt: skip
        check_choice(dtype, Dtype, "dtype")
        check_choice(backend, Backend, "backend")
        if batch_tokens is not None and batch_tokens < 1:
            raise InputError("batch_tokens must be at least 1")
        self.documents, self.queries = documents, queries
        self._model = model
        self.layout: Layout = read_layout(model, to_choices(documents, queries))
        documents.check_passages(self.layout.documents.max_tokens)
        self.passage_tokens, self.passage_overlap = documents.passage_tokens, documents.passage_overlap
        self._device_name, self._dtype, self._query_dtype = device, dtype, queries.dtype
        self._batch_tokens, self._backend, self._trust_remote_code = batch_tokens, backend, trust_remote_code
        if device not in ("auto", "cpu"):  # these always exist; others are checked with torch
            self.device  # noqa: B018
        self._settled_batch_tokens: int | None = None
        self._settled_dtype = self._settled_backend = ""
        self._loading = threading.RLock()
        self._networks: dict[tuple[NetworkSide, str], Network] = {}
        self._onnx_networks: dict[NetworkSide, OnnxNetwork] = {}

    # ---- encoding ----

    @uninterrupted_imports()
    def encode_documents(
        self, texts: Iterable[str], progress: Callable[[int, int], None] | None = None
    ) -> SparseWeights:
        """Encodes documents.

        Args:
            texts: Any number of texts, read to the end. They are batched by length; the results are in the order given.
            progress: Called after each batch with the number of new texts and of tokens in it.
        """
        return self.document_network.encode(self.tokenize_documents(texts), self.batch_tokens, progress)

    @uninterrupted_imports()
    def encode_queries(self, texts: Iterable[str]) -> SparseWeights:
        """Encodes queries."""
        texts = list_texts(texts)
        if isinstance(self.layout.queries, TableSide):
            return self.query_table.encode(texts)
        if self.query_backend == "onnx":
            return self.onnx_network.encode(self._query_sequencer(texts), _QUERY_BATCH_TOKENS)
        return self.query_network.encode(self._query_sequencer(texts), _QUERY_BATCH_TOKENS)

    @uninterrupted_imports()
    def tokenize_documents(self, texts: Iterable[str]) -> TokenSequences:
        """The first half of :meth:`encode_documents`; it needs no device and can run in parallel with the second half."""
        return self._document_sequencer(list_texts(texts))

    @uninterrupted_imports()
    def query_spans(self, texts: Iterable[str], wanted: Iterable[str] | None = None) -> list[list[TokenSpan]]:
        """The tokens of texts and their positions, in the vocabulary of queries; neither prefixed nor truncated.

        Args:
            texts: Queries or documents; an iterator is read to its end.
            wanted: Only tokens of these terms, such as those of a vector; None for all. An iterator is read to its end.

        Returns:
            For each text its tokens, in its order.
        """
        side, texts = self.layout.queries, list_texts(texts)
        if isinstance(side, NetworkSide) and side.lower_case:  # unless lowercasing changes positions, as for "İ"
            texts = [lower if len(lower := text.lower()) == len(text) else text for text in texts]
        terms = None if wanted is None else frozenset(several(wanted, "terms"))
        return self._plain_tokenizer.spans(texts, terms)

    @cached_property
    def _plain_tokenizer(self) -> PlainTokenizer:
        return PlainTokenizer(self.layout.queries.location.tokenizer_folder)

    @uninterrupted_imports()
    def encode_impacts(
        self, sequences: TokenSequences, quantizer: Quantizer, *, pruning: Pruning = Pruning(), min_impact: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> SparseImpacts:  # fmt: skip
        """Encodes tokenized documents as impacts.

        Args:
            sequences: The result of :meth:`tokenize_documents`.
            quantizer: The rule; its document side applies.
            pruning: Which terms to keep.
            min_impact: Smallest impact to keep.
            progress: Called after each batch with the number of new texts and of tokens in it.
        """
        weights = self.document_network.encode(sequences, self.batch_tokens, progress).prune(pruning)
        return weights.impacts(quantizer, "document", min_impact=min_impact)

    # ---- parts and settings ----

    @uninterrupted_imports()
    def load(self, side: Side) -> None:
        """Loads the network or table of a side now rather than with the first text."""
        if side == "document":
            self.document_network  # noqa: B018
        elif isinstance(self.layout.queries, TableSide):
            self.query_table  # noqa: B018
        elif self.query_backend == "onnx":
            self.onnx_network  # noqa: B018
        else:
            self.query_network  # noqa: B018

    @cached_property
    @uninterrupted_imports()
    def device(self) -> torch.device:
        """The device of the networks."""
        from splade_lucene.encoder.precision import choose_device

        return choose_device(self._device_name)

    @property
    def device_name(self) -> str:
        """The name of the device for documents."""
        return "cpu" if self.document_backend == "onnx" else str(self.device)

    @property
    @uninterrupted_imports()
    def dtype(self) -> str:
        """Precision for documents: ``float32``, ``bfloat16``, or ``checkpoint`` for a causal language model."""
        if self._dtype == "auto":
            if self.document_backend == "onnx":
                return "float32"
            if self.layout.documents.is_causal:
                return "checkpoint"
            if self._settled_dtype:
                return self._settled_dtype
            from splade_lucene.encoder.precision import native_dtype

            return native_dtype(self.device)
        return self._dtype

    @property
    def query_dtype(self) -> str:
        """Precision for queries."""
        if self._query_dtype == "auto":
            side = self.layout.queries
            return "checkpoint" if isinstance(side, NetworkSide) and side.is_causal else "float32"
        return self._query_dtype

    def settle(self, dtype: str = "", batch_tokens: int = 0, backend: str = "") -> None:
        """Fixes the settings that otherwise depend on the machine, to resume an earlier encoding.

        Args:
            dtype: What ``auto`` means here; empty to let the machine decide.
            batch_tokens: Tokens per batch; 0 to let the machine decide.
            backend: What ``auto`` means here, unless the precision or device that is asked for excludes it; empty to let the
                machine decide.
        """
        from splade_lucene.encoder.onnx_choice import can_be_onnx

        is_excluded = backend == "onnx" and not can_be_onnx(self._dtype, self._device_name)
        self._settled_backend = backend if backend in get_args(ChosenBackend) and not is_excluded else ""
        self._settled_dtype = dtype if dtype in ("float32", "bfloat16") else ""
        if self._batch_tokens is None:
            self._settled_batch_tokens = batch_tokens or None

    def settings_on(self, device: str) -> dict[str, Any]:
        """The arguments for an equivalent encoder on another device."""
        dtype = self._dtype if self._dtype != "auto" else self.dtype
        settled = {"dtype": dtype, "batch_tokens": self.batch_tokens, "backend": self.document_backend}
        return {**self._lasting_settings(device), **settled}

    def requested_on(self, device: str) -> dict[str, Any]:
        """The same, but where precision, batches and backend depend on the machine, the other one decides."""
        asked = {"dtype": self._dtype, "batch_tokens": self._batch_tokens, "backend": self._backend}
        return {**self._lasting_settings(device), **asked}

    def _lasting_settings(self, device: str) -> dict[str, Any]:
        return {
            "model": self._model, "documents": self.documents, "queries": self.queries, "device": device,
            "trust_remote_code": self._trust_remote_code,
        }  # fmt: skip

    @property
    def batch_tokens(self) -> int:
        """Tokens per batch: the requested number or the device's default, limited to an eighth of the device's memory.

        It is determined only once, because the last bits of a text's weights depend on its batch.
        """
        if self._settled_batch_tokens is None:
            device = "cpu" if self.document_backend == "onnx" else self.device.type
            requested = self._batch_tokens or _BATCH_TOKENS.get(device, _BATCH_TOKENS["cpu"])
            self._settled_batch_tokens = min(requested, self.document_network.affordable_tokens())
        return self._settled_batch_tokens

    @property
    def document_backend(self) -> ChosenBackend:
        """The backend for documents.

        Raises:
            ModelError: ONNX is asked for, or torch not installed, but the checkpoint has no ONNX file, or one of other weights.
            InputError: Likewise, with a precision or device that ONNX does not have here.
        """
        backend: str = self._backend
        if backend == "auto":
            backend = self._settled_backend or ("torch" if find_spec("torch") else "onnx")
        return "torch" if backend == "torch" else self._onnx_for_documents

    @cached_property
    def _onnx_for_documents(self) -> ChosenBackend:
        from splade_lucene.encoder.onnx_choice import choose_backend

        return choose_backend(self.layout.documents, "onnx", self._dtype, self._device_name)

    @property
    def document_network(self) -> Network | OnnxNetwork:
        """The network for documents."""
        if self.document_backend == "torch":
            return self._network(self.layout.documents, self.dtype)
        return self._load_onnx(self.layout.documents)

    @property
    def query_network(self) -> Network:
        """The network for queries.

        Raises:
            InputError: Queries are encoded without a network.
        """
        if isinstance(self.layout.queries, TableSide):
            raise InputError("this checkpoint encodes queries without a network", remedy="Use query_table")
        return self._network(self.layout.queries, self.query_dtype)

    @cached_property
    def query_backend(self) -> Literal[ChosenBackend, "none"]:
        """The backend for queries: ``onnx`` or ``torch``; ``none`` with a table.

        Raises:
            ModelError: ONNX is asked for, but the checkpoint has no ONNX file, or one of other weights.
            InputError: ONNX is asked for with a precision or device that it does not have here.
        """
        from splade_lucene.encoder.onnx_choice import choose_backend

        side = self.layout.queries
        if isinstance(side, TableSide):
            return "none"
        return choose_backend(side, self.queries.backend, self.queries.dtype, self._device_name)

    @property
    def onnx_network(self) -> OnnxNetwork:
        """The network for queries in ONNX Runtime."""
        side = self.layout.queries
        assert isinstance(side, NetworkSide)
        return self._load_onnx(side)

    @cached_property
    def query_table(self) -> TermTable:
        """The tokenizer and weights for inference-free queries.

        Raises:
            InputError: Queries are encoded with a network.
        """
        if isinstance(self.layout.queries, NetworkSide):
            raise InputError("this checkpoint encodes queries with a network", remedy="Use query_network")
        return TermTable(self.layout.queries)

    @property
    def terms(self) -> list[str]:
        """The vocabulary's Lucene terms by term_id; see :func:`splade_lucene.encoder.terms.escape_term`."""
        return self.document_network.terms

    @property
    def max_length(self) -> int:
        """Maximum tokens per document; longer documents are truncated."""
        return self._length(self.layout.documents)

    @property
    def query_max_length(self) -> int:
        """Maximum tokens per query; 0 if queries are not truncated."""
        side = self.layout.queries
        if isinstance(side, TableSide):
            return side.max_length or 0
        return self._length(side)

    @staticmethod
    def _length(side: NetworkSide) -> int:
        return min(side.max_length or DEFAULT_MAX_LENGTH, side.max_tokens)

    @property
    def choices(self) -> Choices:
        """All settings, from the checkpoint or the caller, needed to recreate this encoder."""
        documents, queries = self.layout.documents, self.layout.queries
        is_same_model = queries.location.name == documents.location.name
        query_mode: QueryMode = "model"
        if isinstance(queries, TableSide):
            query_mode = "table" if queries.weights else "binary"
        elif queries.own_terms:
            query_mode = "lexical"
        return Choices(
            pooling=documents.pooling, activation=documents.activation, query_mode=query_mode,
            query_model=None if is_same_model else queries.location.name, drop_specials=documents.drop_specials,
            document_prefix=documents.prefix, query_prefix=queries.prefix, max_length=documents.max_length,
            query_max_length=queries.max_length, query_drop_specials=queries.drop_specials,
            query_pooling=None if isinstance(queries, TableSide) else queries.pooling,
            query_activation=None if isinstance(queries, TableSide) else queries.activation,
        )  # fmt: skip

    def query_digest(self) -> str:
        """SHA-256 of the query side: of the network's weights, or of tokenizer and table."""
        side = self.layout.queries
        return side.location.digest() if isinstance(side, NetworkSide) else self.query_table.digest

    @cached_property
    def _document_sequencer(self) -> Sequencer:
        return sequencer_for(
            self.document_network.tokenizer, self.layout.documents, self.passage_tokens or self.max_length,
            passage_tokens=self.passage_tokens, passage_overlap=self.passage_overlap,
        )  # fmt: skip

    @cached_property
    def _query_sequencer(self) -> Sequencer:
        side = self.layout.queries
        assert isinstance(side, NetworkSide)
        network = self.onnx_network if self.query_backend == "onnx" else self.query_network
        return sequencer_for(network.tokenizer, side, self.query_max_length)

    def _load_onnx(self, side: NetworkSide) -> OnnxNetwork:
        from splade_lucene.encoder.onnx_network import OnnxNetwork

        key = _without_texts(side)
        with self._loading:
            if key not in self._onnx_networks:
                self._onnx_networks[key] = OnnxNetwork(side)
            return self._onnx_networks[key]

    @uninterrupted_imports()
    def _network(self, side: NetworkSide, dtype: str) -> Network:
        from splade_lucene.encoder.network import Network

        key = (_without_texts(side), dtype)
        with self._loading:
            if key not in self._networks:
                self._networks[key] = Network(
                    side, dtype=dtype, device=self.device, trust_remote_code=self._trust_remote_code
                )
            return self._networks[key]


def _without_texts(side: NetworkSide) -> NetworkSide:
    """A side without what is done to its texts before they reach the network: sides that agree in the rest share one."""
    return replace(side, prefix="", max_length=None)


def check_encoder(encoder: object) -> None:
    """Refuses an encoder of another package, which encodes but does not say how.

    Raises:
        InputError: It has no layout.
    """
    if not hasattr(encoder, "layout"):
        raise InputError(
            f"expected a SpladeEncoder, got {type(encoder).__name__}",
            remedy="Open a checkpoint with SpladeEncoder(model), or a live SparseEncoder with open_sparse_encoder(model)",
        )
