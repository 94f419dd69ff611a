"""Reads the layout of a checkpoint from its files. Nothing is loaded here, and torch is not needed.

=====================================  ===============================================================================
file                                   content
=====================================  ===============================================================================
``config.json``                        the network: a masked language model, or a causal one (used with echo)
``adapter_config.json``                a LoRA adapter for another checkpoint
``modules.json``                       a sentence-transformers ``SparseEncoder``: its modules, or a Router
``router_config.json``                 separate routes for documents and queries
``…_SpladePooling/config.json``        pooling and activation
``…_SparseStaticEmbedding/``           queries without a network: a tokenizer and a table of weights
``sentence_bert_config.json``,         the length at which texts are truncated
``tokenizer_config.json``
``config_sentence_transformers.json``  prefixes ("prompts") of documents and queries
``idf.json``,                          OpenSearch's document-only models: the weights of query tokens; special tokens
``query_token_weights.txt``            are dropped on both sides
=====================================  ===============================================================================

Facts that no file states (whether queries of a plain masked language model are expanded, or which smaller model encodes
them) come from the list of known models if the checkpoint is given by its hub name. All of them can be overridden.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from splade_lucene.arguments import check_choice
from splade_lucene.encoder.location import Location, locate, read_json
from splade_lucene.errors import InputError, ModelError
from splade_lucene.models import find_known_model
from splade_lucene.notes import note

Pooling = Literal["max", "sum"]
Activation = Literal["log1p_relu", "log1p_log1p_relu"]
QueryMode = Literal["model", "lexical", "binary", "table"]

_POSITIONS = 512  # the default if the configuration has none
_POSITIONS_AFTER_PADDING = (
    "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip  # networks that number positions from the padding's id + 1
_SHORTEST = 3  # two special tokens and one token of text

TABLES = ("idf.json", "query_token_weights.txt")
_NETWORKS = ("Transformer", "MLMTransformer")
_ROUTERS = ("Router", "Asym")
_ACTIVATIONS: dict[str, Activation] = {"relu": "log1p_relu", "log1p_relu": "log1p_log1p_relu"}
_POOLED = (["SpladePooling"], ["SpladePooling", "SparseStaticEmbedding"])


@dataclass(frozen=True)
class NetworkSide:
    """A side (documents or queries) encoded by a language model.

    Attributes:
        location: Where the network and its tokenizer are stored.
        max_tokens: Maximum number of tokens that the network accepts, including special tokens.
        is_causal: Whether it is a causal language model, which reads the text twice and pools the second copy (echo).
        pooling: How the logits of a text's tokens are combined: ``max`` or ``sum``.
        activation: ``log1p_relu``, log(1 + relu(x)), or ``log1p_log1p_relu``, log(1 + log(1 + relu(x))).
        drop_specials: Whether special tokens are dropped from the terms.
        own_terms: Whether only terms that occur in the text get a weight.
        own_terms_factors: The tensor of factors for the weights of such terms; None for 1.
        prefix: Text prepended to each text.
        max_length: Tokens at which a text is truncated, including special tokens; None if the checkpoint does not state it.
        lower_case: Whether texts are lowercased.
    """

    location: Location
    max_tokens: int = 512
    is_causal: bool = False
    pooling: Pooling = "max"
    activation: Activation = "log1p_relu"
    drop_specials: bool = False
    own_terms: bool = False
    own_terms_factors: Path | None = None
    prefix: str = ""
    max_length: int | None = None
    lower_case: bool = False

    def describe(self) -> str:
        """A one-line description."""
        parts = ["causal language model with echo" if self.is_causal else "masked language model"]
        parts.append(f"{self.pooling} of {_FORMULAS[self.activation]}")
        parts += ["special tokens dropped"] * self.drop_specials + ["masked to the text's own terms"] * self.own_terms
        return ", ".join(parts)


@dataclass(frozen=True)
class TableSide:
    """A side encoded by a tokenizer and a table of weights, without a network or torch.

    Attributes:
        location: Where the tokenizer is stored.
        weights: The table: ``.json``, ``.txt``, ``.safetensors`` or ``.bin``; None if every token weighs 1.
        missing: Weight of tokens that are not in the table: 1 for OpenSearch, 0 for sentence-transformers.
        drop_specials: Whether special tokens are dropped from the terms, including the unknown token.
        prefix: Text prepended to each text.
        max_length: Tokens at which a text is truncated.
    """

    location: Location
    weights: Path | None = None
    missing: float = 1.0
    drop_specials: bool = False
    prefix: str = ""
    max_length: int | None = None

    def describe(self) -> str:
        """A one-line description."""
        return "tokenizer, " + (f"weights from {self.weights.name}" if self.weights else "every token weighs 1")


_FORMULAS: dict[Activation, str] = {"log1p_relu": "log(1 + relu(x))", "log1p_log1p_relu": "log(1 + log(1 + relu(x)))"}


@dataclass(frozen=True)
class Layout:
    """Both sides of a checkpoint.

    Attributes:
        location: The checkpoint.
        documents: How documents are encoded.
        queries: How queries are encoded.
        found: The files and entries that this layout was read from, one line each.
    """

    location: Location
    documents: NetworkSide
    queries: NetworkSide | TableSide
    found: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The model family, as named in the table of docs/models.md."""
        documents, queries = self.documents, self.queries
        if documents.is_causal:
            return "causal language model with echo"
        if isinstance(queries, TableSide):
            return "inference-free queries" if queries.weights else "SPLADE-doc"
        if queries.own_terms:
            return "SPLADE-lexical"
        if queries.location != documents.location:
            return "two models (efficient SPLADE)"
        return "SPLADE v1" if documents.pooling == "sum" else "SPLADE-max"


@dataclass(frozen=True)
class Choices:
    """Settings that override the checkpoint's; None keeps the checkpoint's own.

    Pooling, activation and special tokens apply to queries too, unless queries have their own model or their own setting.

    Attributes:
        pooling: ``max`` or ``sum``.
        activation: ``log1p_relu`` or ``log1p_log1p_relu``.
        query_mode: ``model``, ``lexical`` (the model's weights, masked to the query's own terms), ``binary`` (every token
            weighs 1) or ``table`` (token weights from the checkpoint's table).
        query_model: Folder or hub name of a separate model for queries.
        drop_specials: Whether to drop special tokens from the terms.
        document_prefix: Text prepended to each document.
        query_prefix: Text prepended to each query.
        max_length: Tokens at which documents are truncated, including special tokens.
        query_max_length: Tokens at which queries are truncated, including special tokens.
        query_pooling: Pooling for queries.
        query_activation: Activation for queries.
        query_drop_specials: Whether to drop special tokens from the terms of queries.
    """

    pooling: Pooling | None = None
    activation: Activation | None = None
    query_mode: QueryMode | None = None
    query_model: str | None = None
    drop_specials: bool | None = None
    document_prefix: str | None = None
    query_prefix: str | None = None
    max_length: int | None = None
    query_max_length: int | None = None
    query_pooling: Pooling | None = None
    query_activation: Activation | None = None
    query_drop_specials: bool | None = None

    def __post_init__(self) -> None:
        for setting, value, literal in (
            ("pooling", self.pooling, Pooling),
            ("pooling", self.query_pooling, Pooling),
            ("activation", self.query_activation, Activation),
            ("activation", self.activation, Activation),
            ("query mode", self.query_mode, QueryMode),
        ):
            if value is not None:
                check_choice(value, literal, setting)
        for setting, length in (("max_length", self.max_length), ("query_max_length", self.query_max_length)):
            if length is not None and not (isinstance(length, int) and length >= _SHORTEST):
                raise InputError(f"{setting} must be at least {_SHORTEST} tokens, got {length!r}")


def read_layout(name: str | Path | None, choices: Choices = Choices()) -> Layout:
    """Determines how a checkpoint encodes documents and queries.

    Args:
        name: A folder or hub name; None for the embedded model.
        choices: Settings that override the checkpoint's.

    Raises:
        ModelError: The checkpoint is not found or has an unknown layout; names the file.
    """
    location = locate(name)
    try:
        has_modules = (location.folder / "modules.json").is_file()
        layout = _with_table(_read_modules(location) if has_modules else _read_plain(location))
    except (ValueError, OSError) as error:
        raise ModelError(
            f"{location.folder}: a configuration file has a wrong path ({error}). Copy the checkpoint again."
        ) from error
    known = find_known_model(location.name)
    if known is not None:
        layout = _with_known(layout, known, choices)
    overrides = ", ".join(
        f"{each.name}={getattr(choices, each.name)!r}" for each in fields(choices) if _is_set(choices, each)
    )
    layout = _with_choices(layout, choices)
    return replace(layout, found=(*layout.found, f"overridden: {overrides}")) if overrides else layout


@contextmanager
def _values_of(path: Path, kind: type[Any] = dict) -> Iterator[Any]:
    """The contents of a JSON file, for a block that picks values; the wrong type of one is an error that names the file.

    Raises:
        ModelError: The file cannot be read, or a value has the wrong type.
    """
    values = read_json(path, kind)
    try:
        yield values
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        raise ModelError(f"{path}: a value has the wrong type ({error}). Copy the file again.") from error


def _is_set(choices: Choices, field: Field[Any]) -> bool:
    return getattr(choices, field.name) is not None


# ---- one masked or causal language model ----


def _read_plain(location: Location) -> Layout:
    side, found = _read_network(location)
    return Layout(location, side, side, (found,))


def _read_network(location: Location) -> tuple[NetworkSide, str]:
    config_path = location.folder / "config.json"
    adapter_path = location.folder / "adapter_config.json"
    base = location.base or location
    if adapter_path.is_file():
        adapter = read_json(adapter_path)
        is_causal = adapter.get("task_type") == "CAUSAL_LM"
        text = f"adapter_config.json: LoRA adapter for {base.name}"
    elif config_path.is_file():
        with _values_of(config_path) as config:
            architecture = str((config.get("architectures") or ["unnamed architecture"])[0])
        is_causal = architecture.endswith("ForCausalLM")
        text = f"config.json: {architecture}"
    else:
        raise ModelError(
            f"{location.folder}: config.json not found, so this is not a model folder. Give the checkpoint's own folder."
        )
    location.require_weights()
    return NetworkSide(location, _max_tokens(base.folder, is_causal=is_causal), is_causal), text


def _max_tokens(folder: Path, *, is_causal: bool) -> int:
    with _values_of(folder / "config.json") as config:
        given = {key: _number(config, key, folder) for key in ("max_position_embeddings", "pad_token_id")}
        given["max_position_embeddings"] = given["max_position_embeddings"] or _POSITIONS
        positions = token_positions({**config, **given}) or _POSITIONS
    if is_causal:
        positions //= 2  # echo repeats the text
    return min(positions, _tokenizer_limit(folder) or positions)


def token_positions(config: Mapping[str, Any]) -> int | None:
    """The number of tokens for which a network has positions; None if its configuration does not limit them.

    Args:
        config: The network's ``config.json``.
    """
    positions: int | None = config.get("max_position_embeddings") or None
    if positions is not None and config.get("model_type") in _POSITIONS_AFTER_PADDING:
        padding = config.get("pad_token_id")
        positions -= (1 if padding is None else padding) + 1
    return positions


def _number(config: dict[str, Any], key: str, folder: Path) -> int | None:
    value = config.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ModelError(f"{folder / 'config.json'}: {key} must be an integer, got {value!r}. Copy the file again.")
    return value


# ---- sentence-transformers ----


def _read_modules(location: Location) -> Layout:
    modules = read_json(location.folder / "modules.json", list)
    if not all(isinstance(each, dict) and isinstance(each.get("path", ""), str) for each in modules):
        raise ModelError(
            f"{location.folder / 'modules.json'}: expected a list of modules with type and path. Copy the file again."
        )
    found = ["modules.json: " + ", ".join(_class_name(each.get("type")) for each in modules)]
    if len(modules) == 1 and _class_name(modules[0].get("type")) in _ROUTERS:
        folder = location.folder / modules[0].get("path", "")
        routes = {}
        with _values_of(folder / "router_config.json") as router:
            types = router.get("types", {})
            for side in ("document", "query"):
                route = _route_of(side, router)
                routes[side] = [(types.get(name), folder / name) for name in route]
                names = [name or f"{_class_name(types.get(name))} in the root" for name in route]
                found.append(f"router_config.json: {side} route is {', '.join(names) or 'empty'}")
    else:
        shared = [(each.get("type"), location.folder / each.get("path", "")) for each in modules]
        routes = {"document": shared, "query": shared}
    prompts = _read_prompts(location.folder)
    _note_ignored_settings(location.folder)
    sides = {
        side: _read_route(route, location, prompts.get(side, ""), found)
        for side, route in (("document", routes["document"]), ("query", routes["query"]))
    }
    documents = sides["document"]
    if not isinstance(documents, NetworkSide):
        raise ModelError(
            f"{location.folder}: documents are encoded without a network, so this is not a SPLADE model. "
            "Use another checkpoint."
        )
    return Layout(location, documents, sides["query"], tuple(dict.fromkeys(found)))


def _route_of(side: str, router: dict[str, Any]) -> list[str]:
    """The modules for one side, looked up in the same order as in sentence-transformers."""
    structure, parameters = router.get("structure", {}), router.get("parameters", {})
    mappings = parameters.get("route_mappings") or {}
    tasks = ((side, "text"), (side, None), (None, "text"), (None, None))
    names = [mappings.get(str(task)) for task in tasks]
    names += [side, "text", parameters.get("default_route"), next(iter(structure), None)]
    return next((list(structure[name]) for name in names if structure.get(name)), [])


def _read_route(
    route: list[tuple[str | None, Path]], location: Location, prefix: str, found: list[str]
) -> NetworkSide | TableSide:
    names = [_class_name(kind) for kind, _ in route]
    if names == ["SparseStaticEmbedding"]:
        folder = route[0][1]
        weights = _static_weights(folder, location.folder)
        found.append(f"{weights.relative_to(location.folder)}: weights of query tokens")
        length = _configured_length(folder)
        return TableSide(location.below(folder), weights, missing=0.0, prefix=prefix, max_length=length)
    if names[:1] and names[0] in _NETWORKS and names[1:] in _POOLED:
        side, text = _read_network(location.below(route[0][1]))
        with _values_of(route[1][1] / "config.json") as settings:
            pooling = settings.get("pooling_strategy", "max")
            activation = _ACTIVATIONS.get(settings.get("activation_function", "relu"))
        if pooling not in get_args(Pooling) or activation is None:
            raise ModelError(
                f"{route[1][1] / 'config.json'}: unknown pooling or activation in {settings}. Use another checkpoint."
            )
        length = _configured_length(route[0][1])
        found += [text, f"{route[1][1].name}/config.json: {pooling} of {_FORMULAS[activation]}"]
        if len(names) == 3:
            factors = _static_weights(route[2][1], location.folder)
            side = replace(side, own_terms=True, own_terms_factors=factors)
            found.append(f"{route[2][1].name}: masked to the text's own terms")
        lower_case = _asks_for_lower_case(route[0][1])
        return replace(
            side, pooling=pooling, activation=activation, prefix=prefix, max_length=length, lower_case=lower_case
        )
    raise ModelError(
        f"{location.folder}: unsupported modules in modules.json: {', '.join(names) or 'none'}. "
        "Expected a masked language model with SpladePooling, or a SparseStaticEmbedding for queries."
    )


def _static_weights(folder: Path, root: Path) -> Path:
    candidates: list[Path] = []
    if (folder / "config.json").is_file():
        with _values_of(folder / "config.json") as config:
            candidates += [each / config["path"] for each in (folder, root) if config.get("path")]
    candidates += [folder / "model.safetensors", folder / "pytorch_model.bin"]
    weights = next((path for path in candidates if path.is_file()), None)
    if weights is None:
        raise ModelError(
            f"{folder}: no weights for query tokens (expected {', '.join(p.name for p in candidates)}). "
            "Copy the whole checkpoint."
        )
    return weights


def _configured_length(folder: Path) -> int | None:
    """Where sentence-transformers truncates texts: in its own file up to version 5.3, by the tokenizer's limit since."""
    path = folder / "sentence_bert_config.json"
    length = read_json(path).get("max_seq_length") if path.is_file() else None
    return length if isinstance(length, int) and length >= _SHORTEST else _tokenizer_limit(folder)


def _asks_for_lower_case(folder: Path) -> bool:
    path = folder / "sentence_bert_config.json"
    return path.is_file() and read_json(path).get("do_lower_case") is True


def _tokenizer_limit(folder: Path) -> int | None:
    path = folder / "tokenizer_config.json"
    limit = read_json(path).get("model_max_length") if path.is_file() else None
    return limit if isinstance(limit, int) and _SHORTEST <= limit < 1 << 20 else None  # a huge number means no limit


def _read_prompts(folder: Path) -> dict[str, str]:
    """Prefixes of documents and queries.

    A SparseEncoder always has prompts of these two names, possibly empty, so other prompts and the default prompt are never
    prepended to documents or queries.
    """
    path = folder / "config_sentence_transformers.json"
    if not path.is_file():
        return {}
    with _values_of(path) as settings:
        prompts = {
            side: text for side, text in (settings.get("prompts") or {}).items() if side in ("document", "query")
        }
        if wrong := [text for text in prompts.values() if not isinstance(text, str | None)]:
            raise TypeError(f"the prompt {wrong[0]!r:.60}")
        return {side: text or "" for side, text in prompts.items()}


def _note_ignored_settings(folder: Path) -> None:
    """Notes settings of a SparseEncoder with which it would rank otherwise than an index of its weights."""
    path = folder / "config_sentence_transformers.json"
    settings = read_json(path) if path.is_file() else {}
    if limit := settings.get("max_active_dims"):
        note(
            f"{path}: max_active_dims is {limit!r:.40}, which is not applied here. Prune documents to as many terms with "
            "top_terms=…"
        )
    if (similarity := settings.get("similarity_fn_name")) not in (None, "dot"):
        note(f"{path}: similarity_fn_name is {similarity!r:.40}, but an index computes dot products")


def _class_name(kind: object) -> str:
    return str(kind).rpartition(".")[2]


# ---- tables, known models and overrides ----


def _with_table(layout: Layout) -> Layout:
    """Applies OpenSearch's own layout: a table in the same folder as the network."""
    folder = layout.location.folder
    tables = (folder / name for name in TABLES if (folder / name).is_file())
    table = layout.location.query_table or next(tables, None)
    if table is None:
        return layout
    queries = layout.queries
    if isinstance(queries, NetworkSide):
        queries = TableSide(queries.location, table, prefix=queries.prefix, max_length=queries.max_length)
    return replace(
        layout,
        documents=replace(layout.documents, drop_specials=True),
        queries=replace(queries, drop_specials=True),
        found=(*layout.found, f"{table.name}: weights of query tokens; special tokens are dropped on both sides"),
    )


def _with_known(layout: Layout, known: dict[str, Any], choices: Choices) -> Layout:
    """Fills in what the files of a hub checkpoint do not state, from the list of known models."""
    has_modules = (layout.location.folder / "modules.json").is_file()
    is_same_model = layout.queries.location == layout.documents.location
    is_undecided = is_same_model and choices.query_mode is None and choices.query_model is None
    is_network = isinstance(layout.queries, NetworkSide)
    implied = Choices(
        pooling=None if has_modules else known.get("pooling"),
        activation=None if has_modules else known.get("activation"),
        query_mode=known.get("query_mode") if is_network and not choices.query_model else None,
        query_model=known.get("query_model") if is_undecided else None,
        drop_specials=known.get("drop_specials"),
        query_drop_specials=known.get("drop_specials"),
        max_length=known.get("max_length") if layout.documents.max_length is None else None,
        query_max_length=known.get("query_max_length") if layout.queries.max_length is None else None,
    )
    layout = _with_choices(layout, implied)
    return replace(layout, found=(*layout.found, f"list of known models: {known['family']}"))


def _with_choices(layout: Layout, choices: Choices) -> Layout:
    documents, queries = layout.documents, layout.queries
    if choices.query_model is not None:
        queries = read_layout(choices.query_model).queries
    if choices.query_mode is not None:
        queries = _query_side(choices.query_mode, layout, queries)
    is_same_model = queries.location.name == documents.location.name
    query_formula = {"pooling": choices.query_pooling, "activation": choices.query_activation}
    formula = {"pooling": choices.pooling, "activation": choices.activation}
    if isinstance(queries, NetworkSide):
        queries = replace(
            queries, **{**_without_none(formula if is_same_model else {}), **_without_none(query_formula)}
        )
    drop_specials = choices.query_drop_specials
    if drop_specials is None and is_same_model:
        drop_specials = choices.drop_specials
    return replace(
        layout,
        documents=replace(
            documents, **_without_none(formula), **_without_none({"drop_specials": choices.drop_specials}),
            **_without_none({"prefix": choices.document_prefix, "max_length": choices.max_length}),
        ),
        queries=replace(
            queries, **_without_none({"drop_specials": drop_specials}),
            **_without_none({"prefix": choices.query_prefix, "max_length": choices.query_max_length}),
        ),
    )  # fmt: skip


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _query_side(mode: QueryMode, layout: Layout, queries: NetworkSide | TableSide) -> NetworkSide | TableSide:
    kept: dict[str, Any] = {"prefix": queries.prefix, "max_length": queries.max_length}
    if mode == "binary":
        return TableSide(queries.location, None, **kept)
    if mode == "table":
        if isinstance(queries, TableSide) and queries.weights:
            return queries
        raise ModelError(
            f"{layout.location.name}: no table of query weights (expected one of {', '.join(TABLES)}). "
            "Set the query mode to model, lexical or binary."
        )
    network = queries if isinstance(queries, NetworkSide) else layout.documents
    return replace(network, own_terms=mode == "lexical", **kept)
