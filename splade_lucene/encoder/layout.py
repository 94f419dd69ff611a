"""What a checkpoint folder holds, told by its own files. Nothing is loaded here, and torch is not needed.

=====================================  ===============================================================================
file                                   what it says
=====================================  ===============================================================================
``config.json``                        the network: a masked language model, or a causal one (used with echo)
``adapter_config.json``                a LoRA adapter over another checkpoint
``modules.json``                       a sentence-transformers ``SparseEncoder``: its modules, or a Router
``router_config.json``                 documents and queries go different ways
``…_SpladePooling/config.json``        pooling and activation
``…_SparseStaticEmbedding/``           queries without a network: a tokenizer and a table of weights
``sentence_bert_config.json``,         the length at which texts are cut
``tokenizer_config.json``
``config_sentence_transformers.json``  prefixes ("prompts") of documents and queries
``idf.json``,                          OpenSearch's document-only models: the weights of query tokens; special tokens
``query_token_weights.txt``            count on neither side
=====================================  ===============================================================================

What files cannot say (whether queries of a plain masked language model are expanded, or which smaller model encodes
them) comes from the list of known models, if the checkpoint was asked for by its hub name; and every choice can be set
by hand.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from splade_lucene.encoder.location import Location, locate, read_json
from splade_lucene.errors import InputError, ModelError
from splade_lucene.models import find_known_model

Pooling = Literal["max", "sum"]
Activation = Literal["log1p_relu", "log1p_log1p_relu"]
QueryWay = Literal["model", "lexical", "binary", "table"]

POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
QUERY_WAYS: tuple[QueryWay, ...] = get_args(QueryWay)

_POSITIONS = 512  # of a configuration that does not say
_POSITIONS_BEHIND_PADDING = (
    "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip  # networks whose first token has the position behind the padding's id
_SHORTEST = 3  # two special tokens and one of the text

TABLES = ("idf.json", "query_token_weights.txt")
_NETWORKS = ("Transformer", "MLMTransformer")
_ROUTERS = ("Router", "Asym")
_ACTIVATIONS: dict[str, Activation] = {"relu": "log1p_relu", "log1p_relu": "log1p_log1p_relu"}
_POOLED = (["SpladePooling"], ["SpladePooling", "SparseStaticEmbedding"])


@dataclass(frozen=True)
class NetworkSide:
    """A language model computes the weights.

    Attributes:
        location: Where the network and its tokenizer lie.
        max_tokens: Tokens that the network can take, special tokens included.
        is_causal: A causal language model, which reads the text twice and is pooled over the second copy (echo).
        pooling: How the logits of a text's tokens become one: ``max`` or ``sum``.
        activation: ``log1p_relu``, log(1 + relu(x)), or ``log1p_log1p_relu``, log(1 + log(1 + relu(x))).
        drop_specials: Special tokens are no terms.
        own_terms: Only terms that the text itself holds have a weight.
        own_terms_factors: The tensor that such terms' weights are multiplied with; None for 1.
        prefix: What is put before each text.
        max_length: Tokens after which a text is cut, special tokens included; None if the checkpoint does not say.
        lower_case: Texts are turned into lower case.
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
        """One line for people."""
        parts = ["causal language model with echo" if self.is_causal else "masked language model"]
        parts.append(f"{self.pooling} of {_FORMULAS[self.activation]}")
        parts += ["special tokens dropped"] * self.drop_specials + ["masked to the text's own terms"] * self.own_terms
        return ", ".join(parts)


@dataclass(frozen=True)
class TableSide:
    """A tokenizer and a table compute the weights: no network, no torch.

    Attributes:
        location: Where the tokenizer lies.
        weights: The table: ``.json``, ``.txt``, ``.safetensors`` or ``.bin``; None if every token weighs 1.
        missing: What a token weighs that the table lacks: 1 for OpenSearch, 0 for sentence-transformers.
        drop_specials: Special tokens are no terms, not even the one for what is unknown.
        prefix: What is put before each text.
        max_length: Tokens after which a text is cut.
    """

    location: Location
    weights: Path | None = None
    missing: float = 1.0
    drop_specials: bool = False
    prefix: str = ""
    max_length: int | None = None

    def describe(self) -> str:
        """One line for people."""
        return "tokenizer, " + (f"weights of {self.weights.name}" if self.weights else "each token weighs 1")


_FORMULAS: dict[Activation, str] = {"log1p_relu": "log(1 + relu(x))", "log1p_log1p_relu": "log(1 + log(1 + relu(x)))"}


@dataclass(frozen=True)
class Layout:
    """Both sides of a checkpoint.

    Attributes:
        location: The checkpoint.
        documents: How documents are encoded.
        queries: How queries are.
        found: The files and entries that said so, one line each.
    """

    location: Location
    documents: NetworkSide
    queries: NetworkSide | TableSide
    found: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The family of models, as the README's table names it."""
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
    """What can be set by hand; None leaves it to the checkpoint.

    What is said of pooling, activation and special tokens goes for queries too, unless another model encodes them or
    their own is given.

    Attributes:
        pooling: ``max`` or ``sum``.
        activation: ``log1p_relu`` or ``log1p_log1p_relu``.
        queries: ``model``, ``lexical`` (the model's weights, masked to the query's own terms), ``binary`` (tokens, each
            of weight 1) or ``table`` (tokens with the weights of the checkpoint's table).
        query_model: Folder or hub name of another model for queries.
        drop_specials: Whether special tokens are no terms.
        document_prefix: What is put before each document.
        query_prefix: What is put before each query.
        max_length: Tokens after which documents are cut, special tokens included.
        query_max_length: Tokens after which queries are.
        query_pooling: The pooling of queries.
        query_activation: Their activation.
        query_drop_specials: Whether special tokens are no terms of theirs.
    """

    pooling: Pooling | None = None
    activation: Activation | None = None
    queries: QueryWay | None = None
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
        for what, value, allowed in (
            ("pooling", self.pooling, POOLINGS),
            ("pooling", self.query_pooling, POOLINGS),
            ("activation", self.query_activation, ACTIVATIONS),
            ("activation", self.activation, ACTIVATIONS),
            ("way to encode queries", self.queries, QUERY_WAYS),
        ):
            if value is not None and value not in allowed:
                raise InputError(f"no {what} is named {value!r}", remedy=f"Choose one of: {', '.join(allowed)}")
        for length in (self.max_length, self.query_max_length):
            if length is not None and not (isinstance(length, int) and length >= _SHORTEST):
                raise InputError(f"a length must be a number of at least {_SHORTEST} tokens, got {length!r}")


def read_layout(name: str | Path | None, choices: Choices = Choices()) -> Layout:
    """Tells how a checkpoint encodes documents and queries.

    Args:
        name: A folder or hub name; None for the embedded model.
        choices: What is set by hand.

    Raises:
        ModelError: There is no checkpoint, or it is of a layout that is not known; says which file says so.
    """
    location = locate(name)
    layout = _read_modules(location) if (location.folder / "modules.json").is_file() else _read_plain(location)
    layout = _with_table(layout)
    known = find_known_model(location.name)
    if known is not None:
        layout = _with_known(layout, known, choices)
    by_hand = ", ".join(
        f"{each.name}={getattr(choices, each.name)!r}" for each in fields(choices) if _is_set(choices, each)
    )
    layout = _with_choices(layout, choices)
    return replace(layout, found=(*layout.found, f"by hand: {by_hand}")) if by_hand else layout


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
        text = f"adapter_config.json: LoRA over {base.name}"
    elif config_path.is_file():
        architectures = read_json(config_path).get("architectures") or ["unnamed architecture"]
        is_causal = str(architectures[0]).endswith("ForCausalLM")
        text = f"config.json: {architectures[0]}"
    else:
        raise ModelError(
            f"{location.folder}: no config.json, so this folder holds no model. Name a checkpoint's own folder."
        )
    location.require_weights()
    return NetworkSide(location, _max_tokens(base.folder, is_causal=is_causal), is_causal), text


def _max_tokens(folder: Path, *, is_causal: bool) -> int:
    config = read_json(folder / "config.json")
    positions = _number(config, "max_position_embeddings", folder) or _POSITIONS
    if config.get("model_type") in _POSITIONS_BEHIND_PADDING:
        padding = _number(config, "pad_token_id", folder)
        positions -= (1 if padding is None else padding) + 1
    if is_causal:
        positions //= 2  # the text stands there twice
    return min(positions, _tokenizer_limit(folder) or positions)


def _number(config: dict[str, Any], key: str, folder: Path) -> int | None:
    value = config.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ModelError(f"{folder / 'config.json'}: {key} is {value!r}, expected a whole number. Copy it again.")
    return value


# ---- sentence-transformers ----


def _read_modules(location: Location) -> Layout:
    modules = read_json(location.folder / "modules.json", list)
    if not all(isinstance(each, dict) and isinstance(each.get("path", ""), str) for each in modules):
        raise ModelError(f"{location.folder / 'modules.json'}: expected modules with type and path. Copy it again.")
    found = ["modules.json: " + ", ".join(_class_name(each.get("type")) for each in modules)]
    if len(modules) == 1 and _class_name(modules[0].get("type")) in _ROUTERS:
        folder = location.folder / modules[0].get("path", "")
        router = read_json(folder / "router_config.json")
        types = router.get("types", {})
        routes = {}
        for side in ("document", "query"):
            route = _route_of(side, router)
            routes[side] = [(types.get(name), folder / name) for name in route]
            names = [name or f"{_class_name(types.get(name))} in the root" for name in route]
            found.append(f"router_config.json: {side} goes through {', '.join(names) or 'nothing'}")
    else:
        whole = [(each.get("type"), location.folder / each.get("path", "")) for each in modules]
        routes = {"document": whole, "query": whole}
    prompts = _read_prompts(location.folder)
    sides = {
        side: _read_route(route, location, prompts.get(side, ""), found)
        for side, route in (("document", routes["document"]), ("query", routes["query"]))
    }
    documents = sides["document"]
    if not isinstance(documents, NetworkSide):
        raise ModelError(f"{location.folder}: documents are encoded without a network, which is no SPLADE model.")
    return Layout(location, documents, sides["query"], tuple(dict.fromkeys(found)))


def _route_of(side: str, router: dict[str, Any]) -> list[str]:
    """The modules that a side's texts go through, found in the order in which sentence-transformers looks."""
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
        settings = read_json(route[1][1] / "config.json")
        pooling = settings.get("pooling_strategy", "max")
        activation = _ACTIVATIONS.get(settings.get("activation_function", "relu"))
        if pooling not in POOLINGS or activation is None:
            raise ModelError(f"{route[1][1] / 'config.json'}: unknown pooling or activation: {settings}.")
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
        f"{location.folder}: modules.json asks for {', '.join(names) or 'no module'}, which is not known here. "
        "Expected a masked language model with SpladePooling, or a SparseStaticEmbedding for queries."
    )


def _static_weights(folder: Path, root: Path) -> Path:
    config = folder / "config.json"
    named = read_json(config).get("path") if config.is_file() else None
    candidates: list[Path] = [folder / named, root / named] if named else []
    candidates += [folder / "model.safetensors", folder / "pytorch_model.bin"]
    weights = next((path for path in candidates if path.is_file()), None)
    if weights is None:
        raise ModelError(f"{folder}: no weights of query tokens (expected {', '.join(p.name for p in candidates)}).")
    return weights


def _configured_length(folder: Path) -> int | None:
    """Where sentence-transformers cuts texts: up to 5.3 in a file of its own, later where the tokenizer's limit stands."""
    path = folder / "sentence_bert_config.json"
    length = read_json(path).get("max_seq_length") if path.is_file() else None
    return length if isinstance(length, int) and length >= _SHORTEST else _tokenizer_limit(folder)


def _asks_for_lower_case(folder: Path) -> bool:
    path = folder / "sentence_bert_config.json"
    return path.is_file() and read_json(path).get("do_lower_case") is True


def _tokenizer_limit(folder: Path) -> int | None:
    path = folder / "tokenizer_config.json"
    limit = read_json(path).get("model_max_length") if path.is_file() else None
    return limit if isinstance(limit, int) and _SHORTEST <= limit < 1 << 20 else None  # "none" is a huge number there


def _read_prompts(folder: Path) -> dict[str, str]:
    """Prefixes of documents and queries.

    A SparseEncoder always has prompts of these two names, be they empty, so that others, and the default one, are never
    put before documents or queries.
    """
    path = folder / "config_sentence_transformers.json"
    settings = read_json(path) if path.is_file() else {}
    prompts = settings.get("prompts") or {}
    return {side: prompts.get(side) or "" for side in ("document", "query")}


def _class_name(kind: object) -> str:
    return str(kind).rpartition(".")[2]


# ---- what goes on top ----


def _with_table(layout: Layout) -> Layout:
    """OpenSearch's own layout: a table beside the network."""
    folder = layout.location.folder
    beside = (folder / name for name in TABLES if (folder / name).is_file())
    table = layout.location.query_table or next(beside, None)
    if table is None:
        return layout
    queries = layout.queries
    if isinstance(queries, NetworkSide):
        queries = TableSide(queries.location, table, prefix=queries.prefix, max_length=queries.max_length)
    return replace(
        layout,
        documents=replace(layout.documents, drop_specials=True),
        queries=replace(queries, drop_specials=True),
        found=(*layout.found, f"{table.name}: weights of query tokens; special tokens count on neither side"),
    )


def _with_known(layout: Layout, known: dict[str, Any], choices: Choices) -> Layout:
    """What the list of known models adds to a hub's checkpoint, where the files say nothing."""
    says_all = (layout.location.folder / "modules.json").is_file()
    is_one = layout.queries.location == layout.documents.location
    is_open = is_one and choices.queries is None and choices.query_model is None
    implied = Choices(
        pooling=None if says_all else known.get("pooling"),
        activation=None if says_all else known.get("activation"),
        queries=known.get("queries") if isinstance(layout.queries, NetworkSide) and not choices.query_model else None,
        query_model=known.get("query_model") if is_open else None,
        drop_specials=known.get("drop_specials"),
        query_drop_specials=known.get("drop_specials"),
        max_length=known.get("max_length") if layout.documents.max_length is None else None,
        query_max_length=known.get("query_max_length") if layout.queries.max_length is None else None,
    )
    layout = _with_choices(layout, implied)
    return replace(layout, found=(*layout.found, f"the list of known models: {known['family']}"))


def _with_choices(layout: Layout, choices: Choices) -> Layout:
    documents, queries = layout.documents, layout.queries
    if choices.query_model is not None:
        queries = read_layout(choices.query_model).queries
    if choices.queries is not None:
        queries = _query_side(choices.queries, layout, queries)
    shared = queries.location.name == documents.location.name
    own = {"pooling": choices.query_pooling, "activation": choices.query_activation}
    formula = {"pooling": choices.pooling, "activation": choices.activation}
    if isinstance(queries, NetworkSide):
        queries = replace(queries, **{**_given(formula if shared else {}), **_given(own)})
    specials = choices.query_drop_specials
    if specials is None and shared:
        specials = choices.drop_specials
    return replace(
        layout,
        documents=replace(
            documents, **_given(formula), **_given({"drop_specials": choices.drop_specials}),
            **_given({"prefix": choices.document_prefix, "max_length": choices.max_length}),
        ),
        queries=replace(
            queries, **_given({"drop_specials": specials}),
            **_given({"prefix": choices.query_prefix, "max_length": choices.query_max_length}),
        ),
    )  # fmt: skip


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _query_side(way: QueryWay, layout: Layout, queries: NetworkSide | TableSide) -> NetworkSide | TableSide:
    kept: dict[str, Any] = {"prefix": queries.prefix, "max_length": queries.max_length}
    if way == "binary":
        return TableSide(queries.location, None, **kept)
    if way == "table":
        if isinstance(queries, TableSide) and queries.weights:
            return queries
        raise ModelError(
            f"{layout.location.name}: no table of query weights (expected one of {', '.join(TABLES)}). "
            "Encode queries as model, lexical or binary."
        )
    network = queries if isinstance(queries, NetworkSide) else layout.documents
    return replace(network, own_terms=way == "lexical", **kept)
