"""Groups of options that a command takes as one argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from splade_lucene.cli.options import (
    BackendOption,
    DeviceOption,
    QuantizerName,
    QueryDtypeOption,
    QueryMaxLengthOption,
    QueryModeOption,
    QueryPrefixOption,
    ScaleOption,
    TrustOption,
    check_required,
    check_supported,
    wrong_usage,
)
from splade_lucene.defaults import DEFAULT_MAX_LENGTH
from splade_lucene.encoder.layout import Activation, Pooling
from splade_lucene.encoder.settings import Backend, DocumentSettings, Dtype, QueryDtype, QuerySettings
from splade_lucene.quantizer import DEFAULT_RULE

if TYPE_CHECKING:
    from splade_lucene.encoder import Pruning, SpladeEncoder
    from splade_lucene.index.joined import IndexDirs
    from splade_lucene.manifest import Manifest
    from splade_lucene.quantizer import Quantizer
    from splade_lucene.search.query_encoder import SpladeQueryEncoder


def takes_options(**groups: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds the options of some groups to a command, which receives each group as one argument.

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


def given_options(group: Any) -> dict[str, bool]:
    """Argument of each option of a group → whether it is given."""
    return {each.name: getattr(group, each.name) != each.default for each in fields(group)}


@dataclass(frozen=True)
class ModelOptions:
    """The checkpoint and its settings. Defaults come from the checkpoint's own files."""

    model: Annotated[
        str | None, typer.Option("--model", help="Folder or hub name of a checkpoint. Default: the embedded model.")
    ] = None
    query_model: Annotated[
        str | None, typer.Option("--query-model", help="Another checkpoint for queries (efficient SPLADE).")
    ] = None
    query_mode: QueryModeOption = None
    pooling: Annotated[Pooling | None, typer.Option("--pooling", help="max: SPLADE v2 and later. sum: SPLADE v1.")] = (
        None
    )
    activation: Annotated[Activation | None, typer.Option("--activation", help="log1p_log1p_relu: OpenSearch v3.")] = (
        None
    )
    drop_specials: Annotated[
        bool | None,
        typer.Option("--drop-specials/--keep-specials", help="Exclude or keep special tokens as terms."),
    ] = None
    query_prefix: QueryPrefixOption = None
    query_max_length: QueryMaxLengthOption = None
    trust_remote_code: TrustOption = False
    quantizer: Annotated[
        QuantizerName,
        typer.Option(
            "--quantizer", help=f"How weights become impacts. auto: the model's recommendation, else {DEFAULT_RULE}."
        ),
    ] = "auto"
    scale: ScaleOption = None

    def open_encoder(
        self, documents: DocumentOptions | None = None, *, device: str = "auto", query_dtype: QueryDtype = "auto",
        backend: Backend = "auto",
    ) -> SpladeEncoder:  # fmt: skip
        """Opens the selected encoder.

        Args:
            documents: The options for documents; None to encode only queries.
            device: The device if only queries are encoded; else the documents' device is used.
            query_dtype: The precision for queries.
            backend: What computes queries.
        """
        from splade_lucene.encoder import SpladeEncoder

        with wrong_usage():
            own = DocumentSettings(self.pooling, self.activation, self.drop_specials)
            queries = QuerySettings(
                model=self.query_model, mode=self.query_mode, prefix=self.query_prefix,
                max_length=self.query_max_length, dtype=query_dtype, backend=backend,
            )  # fmt: skip
            if documents is None:
                return SpladeEncoder(self.model, own, queries, device=device, trust_remote_code=self.trust_remote_code)
            _check_devices(documents.devices)
            return SpladeEncoder(
                self.model, documents.settings_over(own), queries, device=documents.devices[0], dtype=documents.dtype,
                batch_tokens=documents.batch_tokens, backend=documents.backend, trust_remote_code=self.trust_remote_code,
            )  # fmt: skip

    def open_quantizer(self, encoder: SpladeEncoder) -> Quantizer:
        """Opens the selected quantizer, or the one recommended for the model."""
        from splade_lucene.models import recommended_quantizer
        from splade_lucene.quantizer import Quantizer

        with wrong_usage():
            if self.quantizer == "auto":
                return recommended_quantizer(encoder.layout.location.name, self.scale)
            return Quantizer.named(self.quantizer, self.scale)


@dataclass(frozen=True)
class QueryOptions:
    """Settings for encoding queries. Defaults come from the index's manifest."""

    model: Annotated[
        str | None,
        typer.Option("--model", help="Folder or hub name of a checkpoint. Default: the index's model."),
    ] = None
    query_mode: QueryModeOption = None
    query_prefix: QueryPrefixOption = None
    query_max_length: QueryMaxLengthOption = None
    device: DeviceOption = "auto"
    dtype: QueryDtypeOption = "auto"
    backend: BackendOption = "auto"
    trust_remote_code: TrustOption = False
    quantizer: Annotated[
        QuantizerName, typer.Option("--quantizer", help="auto: the index's, else the model's recommended one.")
    ] = "auto"
    scale: ScaleOption = None

    def check(self, *, encoded: bool, missing: str | None = None) -> None:
        """Refuses these options where no query is encoded.

        Args:
            encoded: Whether the queries are already encoded.
            missing: The option without which there are no queries to encode; None if it is given.
        """
        if encoded:
            check_supported("--encoded", **given_options(self))
        if missing:
            check_required(missing, **given_options(self))

    def open_query_encoder(self, index_dir: IndexDirs) -> SpladeQueryEncoder:
        """Opens the query encoder that matches an index, or several."""
        from splade_lucene.search.query_encoder import open_query_encoder

        quantizer, queries = self._rule_and_settings()
        return open_query_encoder(
            index_dir, self.model, queries, quantizer=quantizer, device=self.device,
            trust_remote_code=self.trust_remote_code,
        )  # fmt: skip

    def match(self, manifest: Manifest | None, name: str) -> SpladeQueryEncoder:
        """Opens the query encoder that matches documents elsewhere.

        Args:
            manifest: How they were encoded; None if it is unknown.
            name: What they are called, for messages.
        """
        from splade_lucene.search.query_encoder import matching_query_encoder

        quantizer, queries = self._rule_and_settings()
        return matching_query_encoder(
            manifest, name, self.model, queries, quantizer=quantizer, device=self.device,
            trust_remote_code=self.trust_remote_code,
        )  # fmt: skip

    def _rule_and_settings(self) -> tuple[Quantizer | None, QuerySettings]:
        from splade_lucene.quantizer import Quantizer

        name = self.quantizer
        if name == "auto" and self.scale is not None:
            raise typer.BadParameter("--scale requires --quantizer")
        _check_devices([self.device])
        with wrong_usage():
            quantizer = None if name == "auto" else Quantizer.named(name, self.scale)
        queries = QuerySettings(
            mode=self.query_mode, prefix=self.query_prefix, max_length=self.query_max_length, dtype=self.dtype,
            backend=self.backend,
        )  # fmt: skip
        return quantizer, queries


@dataclass(frozen=True)
class DocumentOptions:
    """Settings for encoding and writing documents."""

    device: Annotated[
        str,
        typer.Option("--device", metavar="NAMES", help="auto, cpu, cuda, cuda:1 …, or several, such as cuda:0,cuda:1."),
    ] = "auto"
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length",
            min=3,
            help=f"Truncate to this many tokens. Default: the model's limit, else {DEFAULT_MAX_LENGTH}.",
        ),
    ] = None
    passage_tokens: Annotated[
        int,
        typer.Option(
            "--passage-tokens",
            min=0,
            help="Split documents into passages of this length; keep each term's largest weight.",
        ),
    ] = 0
    passage_overlap: Annotated[
        int, typer.Option("--passage-overlap", min=0, help="Tokens shared by consecutive passages.")
    ] = 0
    document_prefix: Annotated[
        str | None, typer.Option("--document-prefix", help="Text to prepend to each document.")
    ] = None
    dtype: Annotated[Dtype, typer.Option("--dtype", help="auto: bfloat16 if the device supports it natively.")] = "auto"
    backend: Annotated[
        Backend, typer.Option("--backend", help="auto: torch, or ONNX Runtime where torch is not installed.")
    ] = "auto"
    batch_tokens: Annotated[
        int | None, typer.Option("--batch-tokens", min=1, help="Target tokens per batch; reduced if memory is short.")
    ] = None
    top_terms: Annotated[int, typer.Option("--top-terms", min=0, help="Terms to keep per document; 0 for all.")] = 0
    min_weight: Annotated[float, typer.Option("--min-weight", min=0, help="Smallest weight to keep.")] = 0.0
    max_ratio: Annotated[
        float, typer.Option("--max-ratio", min=0, max=1, help="Keep weights above this fraction of the largest.")
    ] = 0.0
    kept_mass: Annotated[
        float,
        typer.Option(
            "--kept-mass", min=0, max=1, help="Keep the largest weights that make up this share of the total."
        ),
    ] = 1.0
    min_impact: Annotated[int, typer.Option("--min-impact", min=1, help="Smallest impact to keep.")] = 1
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress the pseudo-documents.")] = False

    def settings_over(self, settings: DocumentSettings) -> DocumentSettings:
        """Adds the lengths, passages and prefix of these options to settings."""
        return replace(
            settings, prefix=self.document_prefix, max_length=self.max_length, passage_tokens=self.passage_tokens,
            passage_overlap=self.passage_overlap,
        )  # fmt: skip

    @property
    def devices(self) -> list[str]:
        """The selected devices."""
        return [name.strip() for name in self.device.split(",") if name.strip()] or ["auto"]

    def for_workers(self) -> DocumentOptions:
        """The same for an encoder that describes what workers on a cluster compute, where they decide on their devices."""
        if self.device != "auto":
            raise typer.BadParameter("--ray does not support --device: pass --ray-gpus for GPUs")
        return replace(self, device="cpu")

    @property
    def pruning(self) -> Pruning:
        """Which terms to keep."""
        from splade_lucene.encoder import Pruning

        with wrong_usage():
            return Pruning(self.top_terms, self.min_weight, self.max_ratio, self.kept_mass)


def _check_devices(names: Sequence[str]) -> None:
    if set(names) - {"auto", "cpu"}:  # these always exist; others are checked with torch
        from splade_lucene.encoder.precision import choose_device

        with wrong_usage():
            for name in names:
                choose_device(name)
