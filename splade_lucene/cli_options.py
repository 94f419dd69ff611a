"""Options that several commands share, each spelled, explained and defaulted once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from splade_lucene.errors import InputError
from splade_lucene.quantizer import DEFAULT_RULE, RULES

if TYPE_CHECKING:
    from splade_lucene.approximation import Approximation
    from splade_lucene.encoder import Pruning, SpladeEncoder, SpladeQueryEncoder
    from splade_lucene.quantizer import Quantizer
    from splade_lucene.searcher import DocumentFilter, LuceneImpactSearcher


class Pooling(str, Enum):
    """SPLADE's two poolings."""

    max = "max"
    sum = "sum"


class Activation(str, Enum):
    """What is done with logits."""

    log1p_relu = "log1p_relu"
    log1p_log1p_relu = "log1p_log1p_relu"


class Queries(str, Enum):
    """How queries are encoded."""

    model = "model"
    lexical = "lexical"
    binary = "binary"
    table = "table"


class Dtype(str, Enum):
    """Floating-point types of the network of documents."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


class QueryDtype(str, Enum):
    """Floating-point types of the network of queries."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Tells of a wrong value as typer tells of wrong options; for blocks that read nothing but options."""
    try:
        yield
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def _check_devices(names: Sequence[str]) -> None:
    if set(names) - {"auto", "cpu"}:  # which are there without asking torch
        from splade_lucene.encoder.precision import choose_device

        with wrong_usage():
            for name in names:
                choose_device(name)


def _one_device(value: str) -> str:
    if "," in value:
        raise typer.BadParameter("several devices are for encode and build.")
    return value


QuantizerName = Enum("QuantizerName", {"auto": "auto", **{name: name for name in RULES}}, type=str)  # type: ignore[misc]


QueriesOption = Annotated[
    Queries | None,
    typer.Option(
        "--queries",
        help="model; lexical: the query's own terms only; binary: SPLADE-doc; table: idf.json and the like.",
    ),
]
QueryPrefixOption = Annotated[str | None, typer.Option("--query-prefix", help="Put before each query.")]
QueryMaxLengthOption = Annotated[
    int | None, typer.Option("--query-max-length", min=3, help="Tokens after which a query is cut.")
]
TrustOption = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that the checkpoint brings.")]
ScaleOption = Annotated[
    float | None, typer.Option("--scale", help="Impacts per unit of weight, in place of the rule's.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", callback=_one_device, metavar="NAME", help="auto, cpu, cuda, cuda:1 …")
]
QueryDtypeOption = Annotated[
    QueryDtype, typer.Option("--dtype", help="auto is float32; int8 holds the decoder in 8 bits.")
]


@dataclass(frozen=True)
class ModelOptions:
    """Which checkpoint, and how it is used. What is not given is told by the checkpoint's own files."""

    model: Annotated[
        str | None, typer.Option("--model", help="Folder or hub name of a checkpoint. Default: the embedded model.")
    ] = None
    query_model: Annotated[
        str | None, typer.Option("--query-model", help="Another checkpoint for queries (efficient SPLADE).")
    ] = None
    queries: QueriesOption = None
    pooling: Annotated[Pooling | None, typer.Option("--pooling", help="max: SPLADE v2 and later. sum: SPLADE v1.")] = (
        None
    )
    activation: Annotated[Activation | None, typer.Option("--activation", help="log1p_log1p_relu: OpenSearch v3.")] = (
        None
    )
    drop_specials: Annotated[
        bool | None, typer.Option("--drop-specials/--keep-specials", help="Whether special tokens are no terms.")
    ] = None
    query_prefix: QueryPrefixOption = None
    query_max_length: QueryMaxLengthOption = None
    trust_remote_code: TrustOption = False
    quantizer: Annotated[
        QuantizerName,
        typer.Option("--quantizer", help=f"Weights to impacts. auto: the model's usual rule, else {DEFAULT_RULE}."),
    ] = QuantizerName.auto  # type: ignore[attr-defined]
    scale: ScaleOption = None

    def open_encoder(self, **others: Any) -> SpladeEncoder:
        """The encoder that was asked for.

        Args:
            others: What these options do not say.
        """
        from splade_lucene.encoder import SpladeEncoder

        names = ("model", "query_model", "query_prefix", "query_max_length", "drop_specials", "trust_remote_code")
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        for name in ("queries", "pooling", "activation"):
            value = getattr(self, name)
            settings[name] = None if value is None else value.value
        with wrong_usage():
            return SpladeEncoder(**settings, **others)

    def open_quantizer(self, encoder: SpladeEncoder) -> Quantizer:
        """The rule that was asked for, or that is usual for the model."""
        from splade_lucene.models import usual_rule
        from splade_lucene.quantizer import Quantizer

        name = self.quantizer.value
        with wrong_usage():
            return Quantizer.named(usual_rule(encoder.layout.location.name) if name == "auto" else name, self.scale)


@dataclass(frozen=True)
class QueryOptions:
    """How queries are encoded for an index. What is not given is what the index says."""

    model: Annotated[
        str | None, typer.Option("--model", help="Folder or hub name of a checkpoint. Default: what the index names.")
    ] = None
    queries: QueriesOption = None
    query_prefix: QueryPrefixOption = None
    query_max_length: QueryMaxLengthOption = None
    device: DeviceOption = "auto"
    dtype: QueryDtypeOption = QueryDtype.auto
    trust_remote_code: TrustOption = False
    quantizer: Annotated[
        QuantizerName, typer.Option("--quantizer", help="auto: what the index names, else the model's usual rule.")
    ] = QuantizerName.auto  # type: ignore[attr-defined]
    scale: ScaleOption = None

    def open_query_encoder(self, index_dir: Path) -> SpladeQueryEncoder:
        """The encoder that matches an index."""
        from splade_lucene.encoder import open_query_encoder
        from splade_lucene.quantizer import Quantizer

        given = {
            "queries": None if self.queries is None else self.queries.value,
            "query_prefix": self.query_prefix,
            "query_max_length": self.query_max_length,
        }
        name = self.quantizer.value
        if name == "auto" and self.scale is not None:
            raise typer.BadParameter("--scale needs --quantizer here, for it says which rule it changes")
        _check_devices([self.device])
        with wrong_usage():
            quantizer = None if name == "auto" else Quantizer.named(name, self.scale)
        return open_query_encoder(
            index_dir,
            self.model,
            quantizer=quantizer,
            device=self.device,
            query_dtype=self.dtype.value,
            trust_remote_code=self.trust_remote_code,
            **{key: value for key, value in given.items() if value is not None},
        )


@dataclass(frozen=True)
class DocumentOptions:
    """How documents are encoded and written."""

    device: Annotated[
        str,
        typer.Option(
            "--device", metavar="NAMES", help="auto, cpu, cuda, cuda:1 …; several, as in cuda:0,cuda:1, share the work."
        ),
    ] = "auto"
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length", min=3, help="Tokens after which a document is cut. Default: the model's, else 256."
        ),
    ] = None
    passage_tokens: Annotated[
        int, typer.Option("--passage-tokens", min=0, help="Split documents into passages, not cut them; max over them.")
    ] = 0
    passage_overlap: Annotated[
        int, typer.Option("--passage-overlap", min=0, help="Tokens that a passage shares with the next.")
    ] = 0
    document_prefix: Annotated[str | None, typer.Option("--document-prefix", help="Put before each document.")] = None
    dtype: Annotated[
        Dtype, typer.Option("--dtype", help="auto: bfloat16 where the device computes it natively (measured).")
    ] = Dtype.auto
    batch_tokens: Annotated[
        int | None, typer.Option("--batch-tokens", min=1, help="Tokens of a batch, as a hint; memory limits them.")
    ] = None
    top_terms: Annotated[int, typer.Option("--top-terms", min=0, help="Terms to keep of each document; 0: all.")] = 0
    min_weight: Annotated[float, typer.Option("--min-weight", min=0, help="Least weight to keep.")] = 0.0
    prune_ratio: Annotated[
        float, typer.Option("--prune-ratio", min=0, max=1, help="Keep weights above this share of the largest.")
    ] = 0.0
    keep_mass: Annotated[
        float, typer.Option("--keep-mass", min=0, max=1, help="Keep the heaviest terms with this share of all weight.")
    ] = 1.0
    min_impact: Annotated[int, typer.Option("--min-impact", min=1, help="Least impact to keep.")] = 1
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress the pseudo-documents.")] = False

    def encoder_settings(self) -> dict[str, Any]:
        """What the encoder is told of it."""
        names = ("max_length", "passage_tokens", "passage_overlap", "document_prefix", "batch_tokens")
        _check_devices(self.devices)
        return {**{name: getattr(self, name) for name in names}, "dtype": self.dtype.value, "device": self.devices[0]}

    @property
    def devices(self) -> list[str]:
        """The devices that were named."""
        return [name.strip() for name in self.device.split(",") if name.strip()] or ["auto"]

    @property
    def pruning(self) -> Pruning:
        """Which terms are kept."""
        from splade_lucene.encoder import Pruning

        with wrong_usage():
            return Pruning(self.top_terms, self.min_weight, self.prune_ratio, self.keep_mass)


class Mode(str, Enum):
    """Whether hits may be missing."""

    exact = "exact"
    approximate = "approximate"


@dataclass(frozen=True)
class SearchOptions:
    """How our own engines search, and among which documents."""

    mode: Annotated[Mode, typer.Option("--mode", help="approximate: faster, and hits may be missing.")] = Mode.exact
    alpha: Annotated[
        float | None,
        typer.Option("--alpha", help="Approximate: skip blocks when this share of their bounds is too low for a hit."),
    ] = None
    blocks: Annotated[
        int | None, typer.Option("--blocks", min=1, help="Approximate: score at most so many blocks of 64 documents.")
    ] = None
    beta: Annotated[
        float | None,
        typer.Option("--beta", help="Approximate: search with this share of a query's terms, the heaviest."),
    ] = None
    candidates: Annotated[
        int | None, typer.Option("--candidates", min=1, help="With --beta: score so many hits again with all terms.")
    ] = None
    only: Annotated[
        Path | None, typer.Option("--only", metavar="FILE", help="Only these documents may be hits: a docid a line.")
    ] = None
    without: Annotated[
        Path | None, typer.Option("--without", metavar="FILE", help="These documents are no hits: a docid a line.")
    ] = None

    @property
    def approximation(self) -> Approximation:
        """What may be left out."""
        from splade_lucene.approximation import USUAL, Approximation

        names = ("alpha", "blocks", "beta", "candidates")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.mode is Mode.exact:
            if given:
                raise typer.BadParameter(f"--{next(iter(given))} needs --mode approximate")
            return Approximation()
        with wrong_usage():
            return Approximation(**given) if given else USUAL

    def make_filter(self, searcher: LuceneImpactSearcher) -> DocumentFilter | None:
        """The documents that may be hits; None: all."""
        from splade_lucene.files import open_text

        file = self.only or self.without
        if file is None:
            return None
        if self.only and self.without:
            raise typer.BadParameter("--only and --without exclude each other")
        try:
            with open_text(file) as lines:
                docids = [line.strip() for line in lines if line.strip()]
        except OSError as error:
            raise InputError("cannot be read", path=file, remedy="Name a text file with a docid a line") from error
        return searcher.make_filter(docids, exclude=self.only is None)


def takes_options(**groups: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command all options of some groups; it gets each group as one argument.

    Args:
        groups: Name of the argument → dataclass of options.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [p for p in inspect.signature(function).parameters.values() if p.name not in groups]
        parameters = [p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        for group in groups.values():
            group_hints = get_type_hints(group, include_extras=True)
            parameters += [
                inspect.Parameter(
                    each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=group_hints[each.name]
                )
                for each in fields(group)
            ]

        def command(**values: Any) -> None:
            grouped = {
                name: group(**{each.name: values.pop(each.name) for each in fields(group)})
                for name, group in groups.items()
            }
            function(**values, **grouped)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate
