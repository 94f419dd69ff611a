"""The settings of an encoder for documents and queries, which override the checkpoint's."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from splade_lucene.arguments import check_choice
from splade_lucene.encoder.layout import Activation, Choices, Pooling, QueryMode
from splade_lucene.errors import InputError

Dtype = Literal["auto", "float32", "bfloat16"]
QueryDtype = Literal["auto", "float32", "bfloat16", "int8"]
ChosenBackend = Literal["torch", "onnx"]
Backend = Literal["auto", ChosenBackend]


@dataclass(frozen=True)
class DocumentSettings:
    """How documents are encoded; None keeps the checkpoint's own setting.

    Pooling, activation and special tokens apply to queries too, unless queries have their own model or their own setting.

    Attributes:
        pooling: ``max`` (SPLADE-max, DistilSPLADE-max and later) or ``sum`` (SPLADE v1).
        activation: ``log1p_relu`` or ``log1p_log1p_relu`` (OpenSearch v3).
        drop_specials: Whether to drop special tokens from the terms.
        prefix: Text prepended to each document.
        max_length: Maximum tokens per document, including special tokens; longer documents are truncated. None: the
            checkpoint's limit, else 256.
        passage_tokens: Split documents into passages of this many tokens and keep the largest weight of each term; 0 to
            truncate them instead.
        passage_overlap: Tokens that consecutive passages share.
    """

    pooling: Pooling | None = None
    activation: Activation | None = None
    drop_specials: bool | None = None
    prefix: str | None = None
    max_length: int | None = None
    passage_tokens: int = 0
    passage_overlap: int = 0

    def check_passages(self, limit: int) -> None:
        """Refuses passages that a model cannot encode.

        Args:
            limit: The maximum number of tokens that the model accepts.

        Raises:
            InputError: The passages are too long, or overlap too much.
        """
        tokens, overlap = self.passage_tokens, self.passage_overlap
        if tokens and not (8 <= tokens <= limit and 0 <= overlap <= tokens // 2):
            raise InputError(
                f"cannot split into passages of {tokens} tokens that overlap by {overlap}",
                remedy=f"Set passage_tokens to 8 to {limit} (this model's limit) and passage_overlap to at most half of it",
            )
        if overlap and not tokens:
            raise InputError("passage_overlap is set but passage_tokens is not", remedy="Set passage_tokens too")


@dataclass(frozen=True)
class QuerySettings:
    """How queries are encoded; None keeps the checkpoint's own setting.

    Attributes:
        model: Folder or hub name of a separate checkpoint for queries (efficient SPLADE).
        mode: ``model``, ``lexical`` (the model's weights for the query's own terms), ``binary`` (SPLADE-doc: every token
            weighs 1) or ``table`` (token weights from the checkpoint's table).
        pooling: The pooling of queries, if it differs from that of documents.
        activation: Their activation, if it differs.
        drop_specials: Whether to drop special tokens from their terms, if that differs.
        prefix: Text prepended to each query.
        max_length: Maximum tokens per query, including special tokens.
        dtype: Precision. ``auto`` is float32; ``int8`` keeps the decoder in 8 bits.
        backend: ``torch``, or ``onnx``: ONNX Runtime on a CPU, which starts faster; a few impacts differ by one. ``auto`` is
            ``onnx`` for checkpoints with an ONNX file of the same weights, unless another device or dtype is asked for.
    """

    model: str | Path | None = None
    mode: QueryMode | None = None
    pooling: Pooling | None = None
    activation: Activation | None = None
    drop_specials: bool | None = None
    prefix: str | None = None
    max_length: int | None = None
    dtype: QueryDtype = "auto"
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        check_choice(self.dtype, QueryDtype, "dtype")
        check_choice(self.backend, Backend, "backend")

    def with_defaults(self, other: QuerySettings) -> QuerySettings:
        """These settings, with those of another for settings that are None."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        said = {
            name: value for name, value in own.items()
            if value is not None and not (name in ("dtype", "backend") and value == "auto")
        }  # fmt: skip
        return replace(other, **said)


def to_choices(documents: DocumentSettings, queries: QuerySettings) -> Choices:
    """The settings as a layout takes them, and as a manifest records them."""
    return Choices(
        pooling=documents.pooling, activation=documents.activation, query_mode=queries.mode,
        query_model=None if queries.model is None else str(queries.model), drop_specials=documents.drop_specials,
        document_prefix=documents.prefix, query_prefix=queries.prefix, max_length=documents.max_length,
        query_max_length=queries.max_length, query_pooling=queries.pooling, query_activation=queries.activation,
        query_drop_specials=queries.drop_specials,
    )  # fmt: skip


def from_choices(choices: Choices) -> tuple[DocumentSettings, QuerySettings]:
    """The settings that a manifest records."""
    documents = DocumentSettings(
        pooling=choices.pooling, activation=choices.activation, drop_specials=choices.drop_specials,
        prefix=choices.document_prefix, max_length=choices.max_length,
    )  # fmt: skip
    queries = QuerySettings(
        model=choices.query_model, mode=choices.query_mode, pooling=choices.query_pooling,
        activation=choices.query_activation, drop_specials=choices.query_drop_specials, prefix=choices.query_prefix,
        max_length=choices.query_max_length,
    )  # fmt: skip
    return documents, queries
