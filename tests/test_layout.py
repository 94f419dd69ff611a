"""The layout of a checkpoint: from its files, the list of known models, and explicit settings. No weights are loaded."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from support.checkpoints import (
    NETWORK,
    QUERY_TABLE,
    add_max_seq_length,
    add_modules,
    add_pooling,
    add_prompts,
    add_router,
    bare_network,
    bare_plain,
    bare_router,
    document_route,
    write_json,
)
from support.processes import run_python

from splade_lucene.encoder import location
from splade_lucene.encoder.layout import (
    Activation,
    Choices,
    NetworkSide,
    Pooling,
    QueryMode,
    TableSide,
    read_layout,
)
from splade_lucene.errors import InputError, ModelError
from splade_lucene.models import known_models
from splade_lucene.quantizer import RULES

STYLES = ["5.0", "6"]


def formula(side):
    return side.pooling, side.activation


def found(layout):
    return "\n".join(layout.found)


# ---- one network ----


def test_a_masked_language_model_alone_is_splade_max(tmp_path):
    layout = read_layout(bare_network(tmp_path))
    assert layout.documents == layout.queries == NetworkSide(layout.location)
    assert layout.family == "SPLADE-max"
    assert formula(layout.documents) == ("max", "log1p_relu")
    assert layout.location.name == str(tmp_path)
    assert layout.found == ("config.json: BertForMaskedLM",)


@pytest.mark.parametrize("name", location.WEIGHT_FILES)
def test_any_file_of_weights_makes_a_checkpoint(tmp_path, name):
    assert read_layout(bare_network(tmp_path, weights=name)).family == "SPLADE-max"


def test_a_causal_language_model_is_read_twice(tmp_path):
    layout = read_layout(bare_network(tmp_path, "MistralForCausalLM"))
    assert layout.documents.is_causal
    assert layout.queries.is_causal
    assert layout.family == "causal language model with echo"
    assert "echo" in layout.documents.describe()
    assert found(layout) == "config.json: MistralForCausalLM"


@pytest.mark.parametrize(("task", "is_causal"), [("CAUSAL_LM", True), (None, False), ("FEATURE_EXTRACTION", False)])
def test_an_adapter_names_its_base_and_its_kind(tmp_path, task, is_causal):
    base = bare_network(tmp_path / "base")
    write_json(base / "config.json", {"max_position_embeddings": 100})
    write_json(tmp_path / "adapter_config.json", {"base_model_name_or_path": str(base), "task_type": task})
    (tmp_path / "adapter_model.safetensors").touch()
    layout = read_layout(tmp_path)
    assert layout.documents.is_causal is is_causal
    assert layout.queries == layout.documents
    assert layout.location.name == str(tmp_path)
    assert layout.documents.max_tokens == (50 if is_causal else 100)
    assert found(layout) == f"adapter_config.json: LoRA adapter for {base}"


@pytest.mark.parametrize(
    ("config", "limit", "expected"),
    [
        ({}, None, 512),
        ({"max_position_embeddings": 128}, None, 128),
        ({"max_position_embeddings": 128}, 64, 64),
        ({"max_position_embeddings": 128}, int(1e30), 128),
        ({"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}, None, 512),
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": 1}, 512, 512),
        ({"max_position_embeddings": 514, "model_type": "mpnet", "pad_token_id": 1}, 512, 512),
        ({"max_position_embeddings": 514, "model_type": "mpnet", "pad_token_id": None}, 512, 512),
        ({"max_position_embeddings": 4096, "architectures": ["MistralForCausalLM"]}, None, 2048),
    ],
)
def test_what_a_network_can_take(tmp_path, config, limit, expected):
    bare_network(tmp_path)
    write_json(tmp_path / "config.json", config)
    if limit:
        write_json(tmp_path / "tokenizer_config.json", {"model_max_length": limit})
    assert read_layout(tmp_path).documents.max_tokens == expected
    assert read_layout(tmp_path).documents.max_length is None  # how long texts should be is another question


@pytest.mark.parametrize("key", ["max_position_embeddings", "pad_token_id"])
def test_a_configuration_with_no_numbers_is_named(tmp_path, key):
    bare_network(tmp_path)
    write_json(tmp_path / "config.json", {"model_type": "roberta", key: "many"})
    with pytest.raises(ModelError, match=rf"config\.json: {key} must be an integer, got 'many'"):
        read_layout(tmp_path)


# ---- sentence-transformers ----


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize(("theirs", "ours"), [("relu", "log1p_relu"), ("log1p_relu", "log1p_log1p_relu")])
def test_pooling_and_activation_are_those_of_the_folders_splade_pooling(tmp_path, style, pooling, theirs, ours):
    layout = read_layout(bare_plain(tmp_path, style, pooling=pooling, activation=theirs))
    assert layout.documents == layout.queries == NetworkSide(layout.location, pooling=pooling, activation=ours)
    assert layout.family == ("SPLADE v1" if pooling == "sum" else "SPLADE-max")
    assert f"modules.json: {NETWORK[style]}, SpladePooling" in found(layout)
    assert f"1_SpladePooling/config.json: {pooling} of log(1 + " in found(layout)


def test_type_paths_of_package_exports_are_read_too(tmp_path):
    bare_plain(tmp_path, "6", pooling="sum")
    rows = json.loads((tmp_path / "modules.json").read_text())
    rows[0]["type"] = "sentence_transformers.base.modules.Transformer"
    rows[1]["type"] = "sentence_transformers.sparse_encoder.modules.SpladePooling"
    write_json(tmp_path / "modules.json", rows)
    assert read_layout(tmp_path).documents.pooling == "sum"


def test_a_splade_pooling_without_keys_has_the_defaults(tmp_path):
    bare_plain(tmp_path, "6")
    write_json(tmp_path / "1_SpladePooling" / "config.json", {})
    assert formula(read_layout(tmp_path).documents) == ("max", "log1p_relu")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("is_in_root", [False, True])
def test_a_router_sends_documents_and_queries_different_ways(tmp_path, style, is_in_root):
    layout = read_layout(bare_router(tmp_path, style, "" if is_in_root else None))
    network = tmp_path if is_in_root else tmp_path / f"document_0_{NETWORK[style]}"
    assert layout.documents.location.folder == network
    assert layout.documents.location.name == layout.queries.location.name == str(tmp_path)
    assert layout.queries == TableSide(
        location.Location(str(tmp_path), tmp_path / QUERY_TABLE), tmp_path / QUERY_TABLE / "model.safetensors", 0.0
    )
    assert layout.family == "inference-free queries"
    assert "modules.json: Router" in found(layout)
    assert f"router_config.json: query route is {QUERY_TABLE}" in found(layout)
    assert "document_1_SpladePooling/config.json: max of log(1 + relu(x))" in found(layout)
    assert f"{QUERY_TABLE}/model.safetensors: weights of query tokens" in found(layout)


@pytest.mark.parametrize("style", STYLES)
def test_a_router_with_two_networks_is_efficient_splade(tmp_path, style):
    query = [(NETWORK[style], f"query_0_{NETWORK[style]}"), ("SpladePooling", "query_1_SpladePooling")]
    add_router(tmp_path, {"query": query, "document": document_route("", style)}, style)
    bare_network(tmp_path)
    bare_network(tmp_path / f"query_0_{NETWORK[style]}", "BertForMaskedLM")
    add_pooling(tmp_path / "document_1_SpladePooling", style)
    add_pooling(tmp_path / "query_1_SpladePooling", style, pooling="sum")
    layout = read_layout(tmp_path)
    assert layout.family == "two models (efficient SPLADE)"
    assert layout.documents.location.folder == tmp_path
    assert layout.queries.location.folder == tmp_path / f"query_0_{NETWORK[style]}"
    assert (layout.documents.pooling, layout.queries.pooling) == ("max", "sum")


def test_a_router_may_lie_in_a_folder_of_its_own(tmp_path):
    bare_router(tmp_path / "0_Router", "6")
    (tmp_path / "0_Router" / "modules.json").unlink()
    add_modules(tmp_path, [("Router", "0_Router")], "6")
    layout = read_layout(tmp_path)
    assert layout.documents.location.folder == tmp_path / "0_Router" / "document_0_Transformer"
    assert layout.queries.weights == tmp_path / "0_Router" / QUERY_TABLE / "model.safetensors"


@pytest.mark.parametrize("default", ["document", None])
def test_a_router_without_a_route_for_queries_takes_the_default_one(tmp_path, default):
    bare_network(tmp_path / "document_0_Transformer")
    add_router(tmp_path, {"document": document_route("document_0_Transformer", "6")}, "6", default)
    add_pooling(tmp_path / "document_1_SpladePooling", "6")
    layout = read_layout(tmp_path)
    assert layout.queries == layout.documents


@pytest.mark.parametrize(
    "mappings",
    [
        {"('query', 'text')": "short", "('document', 'text')": "long"},
        {"('query', None)": "short", "(None, 'text')": "long"},
        {"('query', 'text')": "short", "('query', None)": "long", "(None, None)": "long"},
    ],
)
def test_a_router_may_map_tasks_to_routes_of_other_names(tmp_path, mappings):
    bare_router(tmp_path, "6")
    config = json.loads((tmp_path / "router_config.json").read_text())
    structure = {"long": config["structure"]["document"], "short": config["structure"]["query"]}
    write_json(
        tmp_path / "router_config.json",
        {**config, "structure": structure, "parameters": {"default_route": "long", "route_mappings": mappings}},
    )
    layout = read_layout(tmp_path)
    assert layout.documents.location.folder == tmp_path / "document_0_Transformer"
    assert layout.queries.location.folder == tmp_path / QUERY_TABLE


def test_static_weights_behind_a_pooling_mask_a_text_to_its_own_terms(tmp_path):
    query = [("Transformer", "document_0_Transformer"), ("SpladePooling", "document_1_SpladePooling"),
             ("SparseStaticEmbedding", "query_2_SparseStaticEmbedding")]  # fmt: skip
    add_router(tmp_path, {"query": query, "document": document_route("document_0_Transformer", "6")}, "6")
    bare_network(tmp_path / "document_0_Transformer")
    add_pooling(tmp_path / "document_1_SpladePooling", "6")
    (tmp_path / "query_2_SparseStaticEmbedding").mkdir()
    (tmp_path / "query_2_SparseStaticEmbedding" / "model.safetensors").touch()
    layout = read_layout(tmp_path)
    assert layout.family == "SPLADE-lexical"
    assert layout.queries.own_terms
    assert layout.queries.own_terms_factors == tmp_path / "query_2_SparseStaticEmbedding" / "model.safetensors"
    assert not layout.documents.own_terms
    assert "query_2_SparseStaticEmbedding: masked to the text's own terms" in found(layout)


def test_static_weights_may_be_the_json_file_that_their_folder_names(tmp_path):
    bare_router(tmp_path, "5.0")
    write_json(tmp_path / QUERY_TABLE / "config.json", {"path": "weights.json"})
    write_json(tmp_path / "weights.json", {"a": 1})
    assert read_layout(tmp_path).queries.weights == tmp_path / "weights.json"


@pytest.mark.parametrize(
    ("modules", "named"),
    [
        ([("Transformer", ""), ("Pooling", "1_Pooling"), ("SparseAutoEncoder", "2_SparseAutoEncoder")],
         "Transformer, Pooling, SparseAutoEncoder"),
        ([("Transformer", ""), ("SpladePooling", "1_SpladePooling"), ("Dense", "2_Dense")],
         "Transformer, SpladePooling, Dense"),
        ([("Transformer", ""), ("Pooling", "1_Pooling")], "Transformer, Pooling"),
        ([], "none"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("style", STYLES)
def test_other_modules_are_refused_by_name(tmp_path, style, modules, named):
    bare_network(tmp_path)
    add_modules(tmp_path, modules, style)
    with pytest.raises(ModelError, match=f"unsupported modules in modules.json: {named}") as caught:
        read_layout(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_documents_without_a_network_are_refused(tmp_path):
    add_modules(tmp_path, [("SparseStaticEmbedding", "")], "6")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match="documents are encoded without a network.* Use another checkpoint"):
        read_layout(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("pooling_strategy", "mean"), ("activation_function", "gelu")])
def test_an_unknown_pooling_is_refused(tmp_path, key, value):
    bare_plain(tmp_path, "6")
    write_json(tmp_path / "1_SpladePooling" / "config.json", {key: value})
    with pytest.raises(
        ModelError,
        match=rf"1_SpladePooling/config\.json: unknown pooling or activation in .*{value}.* Use another checkpoint",
    ):
        read_layout(tmp_path)


# ---- lengths and prefixes ----


def test_a_length_stands_beside_its_network(tmp_path):
    bare_router(tmp_path, "5.0")
    assert read_layout(tmp_path).documents.max_length is None
    add_max_seq_length(tmp_path / "document_0_MLMTransformer", 384)
    layout = read_layout(tmp_path)
    assert (layout.documents.max_length, layout.queries.max_length) == (384, None)


def test_a_length_may_stand_in_the_tokenizers_settings(tmp_path):
    """sentence-transformers 5.4 and later store it there; 1e30 means no limit."""
    bare_plain(tmp_path, "6")
    write_json(tmp_path / "tokenizer_config.json", {"model_max_length": 512})
    assert read_layout(tmp_path).documents.max_length == 512
    write_json(tmp_path / "sentence_bert_config.json", {"transformer_task": "fill-mask"})
    assert read_layout(tmp_path).queries.max_length == 512
    add_max_seq_length(tmp_path, 64)
    assert read_layout(tmp_path).documents.max_length == 64
    add_max_seq_length(tmp_path, None)
    write_json(tmp_path / "tokenizer_config.json", {"model_max_length": int(1e30)})
    assert read_layout(tmp_path).documents.max_length is None


@pytest.mark.parametrize(
    ("prompts", "default", "expected"),
    [
        ({"query": "q: ", "document": "d: "}, None, ("d: ", "q: ")),
        ({"query": None, "document": None}, None, ("", "")),
        ({"query": "", "document": ""}, None, ("", "")),
        ({"query": "q: ", "document": "", "passage": "p: "}, None, ("", "q: ")),
        ({"query": None, "document": None, "web": "w: "}, "web", ("", "")),
        ({"query": "q: ", "document": "d: ", "web": "w: "}, "web", ("d: ", "q: ")),
        # since 5.0, "query" and "document" are always there, so neither another name nor the default one comes into play
        ({"query": "q: ", "passage": "p: "}, None, ("", "q: ")),
        ({"web": "w: "}, "web", ("", "")),
    ],
)
def test_prefixes_are_those_that_sentence_transformers_puts_before_documents_and_queries(
    tmp_path, prompts, default, expected
):
    add_prompts(bare_plain(tmp_path, "6"), prompts, default)
    layout = read_layout(tmp_path)
    assert (layout.documents.prefix, layout.queries.prefix) == expected


def test_settings_of_a_sparse_encoder_that_are_not_applied_are_noted(tmp_path, caplog):
    bare_plain(tmp_path, "6")
    path = tmp_path / "config_sentence_transformers.json"
    settings = json.loads(path.read_text())
    write_json(path, {**settings, "similarity_fn_name": "dot", "max_active_dims": None})
    read_layout(tmp_path)
    assert caplog.text == ""
    write_json(path, {**settings, "similarity_fn_name": "cosine", "max_active_dims": 64})
    read_layout(tmp_path)
    assert f"{path}: max_active_dims is 64, which is not applied here. Prune documents" in caplog.text
    assert f"{path}: similarity_fn_name is 'cosine', but an index computes dot products" in caplog.text


def test_a_table_has_its_prefix_too(tmp_path):
    add_prompts(bare_router(tmp_path, "6"), {"query": "q: ", "document": "d: "})
    layout = read_layout(tmp_path)
    assert (layout.documents.prefix, layout.queries.prefix) == ("d: ", "q: ")


# ---- OpenSearch's own layout ----


@pytest.mark.parametrize("name", ["idf.json", "query_token_weights.txt"])
def test_a_table_beside_a_network_weighs_query_tokens(tmp_path, name):
    bare_network(tmp_path)
    (tmp_path / name).write_text("{}")
    layout = read_layout(tmp_path)
    assert layout.documents == NetworkSide(layout.location, drop_specials=True)
    assert layout.queries == TableSide(layout.location, tmp_path / name, 1.0, drop_specials=True)
    assert layout.family == "inference-free queries"
    assert f"{name}: weights of query tokens; special tokens are dropped on both sides" in found(layout)


def test_of_two_tables_the_whole_one_counts(tmp_path):
    bare_network(tmp_path)
    (tmp_path / "query_token_weights.txt").touch()
    (tmp_path / "idf.json").touch()
    assert read_layout(tmp_path).queries.weights == tmp_path / "idf.json"


def test_a_table_beside_a_plain_sparse_encoder(tmp_path):
    bare_plain(tmp_path, "5.0", activation="log1p_relu")
    add_max_seq_length(tmp_path, 128)
    add_prompts(tmp_path, {"query": "q: ", "document": ""})
    (tmp_path / "idf.json").touch()
    layout = read_layout(tmp_path)
    assert formula(layout.documents) == ("max", "log1p_log1p_relu")
    assert layout.documents.drop_specials
    assert layout.queries == TableSide(layout.location, tmp_path / "idf.json", 1.0, True, "q: ", 128)


def test_a_table_beside_a_router_leaves_the_routers_own_weights(tmp_path):
    bare_router(tmp_path, "5.0", "")
    (tmp_path / "idf.json").touch()
    (tmp_path / "query_token_weights.txt").touch()
    layout = read_layout(tmp_path)
    assert layout.queries.weights == tmp_path / QUERY_TABLE / "model.safetensors"
    assert layout.queries.missing == 0
    assert layout.queries.drop_specials
    assert layout.documents.drop_specials


# ---- damage ----


@pytest.mark.parametrize(
    "name",
    ["modules.json", "router_config.json", "document_1_SpladePooling/config.json",
     "config_sentence_transformers.json", "document_0_MLMTransformer/config.json",
     "document_0_MLMTransformer/sentence_bert_config.json", "query_0_SparseStaticEmbedding/config.json"],
)  # fmt: skip
def test_broken_json_is_named(tmp_path, name):
    bare_router(tmp_path, "5.0")
    add_max_seq_length(tmp_path / "document_0_MLMTransformer", 384)
    read_layout(tmp_path)
    (tmp_path / name).write_text('{"cut": ')
    with pytest.raises(ModelError, match=r"invalid JSON \(") as caught:
        read_layout(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / name))
    (tmp_path / name).write_text("7")
    with pytest.raises(ModelError, match=r"expected a JSON (list|object)\. Copy the checkpoint again") as caught:
        read_layout(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("router_config.json", r"router_config\.json: cannot be read \(No such file or directory\)"),
        ("document_1_SpladePooling/config.json", r"document_1_SpladePooling/config\.json: cannot be read"),
        ("document_0_MLMTransformer/config.json", "document_0_MLMTransformer: config.json not found"),
        ("document_0_MLMTransformer/model.safetensors", "document_0_MLMTransformer: no weights"),
        (f"{QUERY_TABLE}/model.safetensors", f"{QUERY_TABLE}: no weights for query tokens"),
    ],
)
def test_a_missing_file_is_named(tmp_path, name, message):
    bare_router(tmp_path, "5.0")
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=message):
        read_layout(tmp_path)


@pytest.mark.parametrize(
    "rows", [["Transformer"], [{"type": 5, "path": ""}], [{"path": ""}], [{"type": "a.Router", "path": 5}]]
)
def test_modules_of_another_form_are_refused(tmp_path, rows):
    bare_network(tmp_path)
    write_json(tmp_path / "modules.json", rows)
    with pytest.raises(ModelError, match=r"modules\.json"):
        read_layout(tmp_path)


@pytest.mark.parametrize("base", [None, "", 5])
def test_an_adapter_without_a_base_is_refused(tmp_path, base):
    write_json(tmp_path / "adapter_config.json", {"base_model_name_or_path": base})
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(ModelError, match=r"adapter_config\.json.*base"):
        read_layout(tmp_path)


# ---- choices by hand ----


def test_every_choice_by_hand_goes_before_what_the_files_say(tmp_path):
    bare_plain(tmp_path, "6", pooling="max", activation="relu")
    add_prompts(tmp_path, {"query": "q: ", "document": "d: "})
    add_max_seq_length(tmp_path, 128)
    choices = Choices(
        pooling="sum", activation="log1p_log1p_relu", query_mode="lexical", drop_specials=True, document_prefix="D ",
        query_prefix="", max_length=20, query_max_length=10,
    )  # fmt: skip
    layout = read_layout(tmp_path, choices)
    common: dict[str, Any] = {"pooling": "sum", "activation": "log1p_log1p_relu", "drop_specials": True}
    assert layout.documents == NetworkSide(layout.location, **common, prefix="D ", max_length=20)
    assert layout.queries == NetworkSide(layout.location, **common, own_terms=True, max_length=10)


def test_queries_have_a_formula_of_their_own_by_hand(tmp_path):
    choices = Choices(
        pooling="sum", query_pooling="max", activation="log1p_relu", query_activation="log1p_log1p_relu",
        drop_specials=True, query_drop_specials=False,
    )  # fmt: skip
    layout = read_layout(bare_network(tmp_path), choices)
    assert layout.documents == NetworkSide(layout.location, pooling="sum", drop_specials=True)
    assert layout.queries == NetworkSide(layout.location, activation="log1p_log1p_relu")


def test_queries_by_hand(tmp_path):
    folder = bare_plain(tmp_path / "network", "6", pooling="sum")
    add_prompts(folder, {"query": "q: ", "document": "d: "})
    layouts = {mode: read_layout(folder, Choices(query_mode=mode)) for mode in ("model", "lexical", "binary")}
    assert layouts["model"].queries.own_terms is False
    assert layouts["lexical"].queries == NetworkSide(
        layouts["lexical"].location, pooling="sum", own_terms=True, prefix="q: "
    )
    assert layouts["binary"].queries == TableSide(layouts["binary"].location, prefix="q: ")
    assert [each.family for each in layouts.values()] == ["SPLADE v1", "SPLADE-lexical", "SPLADE-doc"]
    with pytest.raises(ModelError, match=r"no table of query weights \(expected one of idf\.json"):
        read_layout(folder, Choices(query_mode="table"))


def test_queries_by_hand_of_a_checkpoint_with_a_table(tmp_path):
    bare_network(tmp_path)
    (tmp_path / "idf.json").touch()
    table = read_layout(tmp_path)
    by_hand = read_layout(tmp_path, Choices(query_mode="table"))
    assert (by_hand.documents, by_hand.queries) == (table.documents, table.queries)
    assert by_hand.found == (*table.found, "overridden: query_mode='table'")
    assert read_layout(tmp_path, Choices(query_mode="binary")).queries.weights is None
    assert read_layout(tmp_path, Choices(query_mode="model")).queries == table.documents
    assert not read_layout(tmp_path, Choices(drop_specials=False)).queries.drop_specials
    assert not read_layout(tmp_path, Choices(drop_specials=False)).documents.drop_specials


def test_another_query_model_by_hand(tmp_path):
    documents, queries = bare_network(tmp_path / "documents"), bare_plain(tmp_path / "queries", "6", pooling="sum")
    add_max_seq_length(queries, 32)
    layout = read_layout(documents, Choices(query_model=str(queries)))
    assert layout.family == "two models (efficient SPLADE)"
    assert layout.queries == NetworkSide(location.Location(str(queries), queries), pooling="sum", max_length=32)
    assert layout.documents == NetworkSide(layout.location)
    mine = Choices(query_model=str(queries), pooling="max", drop_specials=True, query_max_length=16)
    layout = read_layout(documents, mine)
    assert (layout.documents.pooling, layout.queries.pooling, layout.queries.max_length) == ("max", "sum", 16)
    assert (layout.documents.drop_specials, layout.queries.drop_specials) == (True, False)
    mine = Choices(query_model=str(queries), query_pooling="max", query_activation="log1p_log1p_relu")
    layout = read_layout(documents, mine)
    assert (layout.documents.pooling, layout.queries.pooling) == ("max", "max")
    assert (layout.documents.activation, layout.queries.activation) == ("log1p_relu", "log1p_log1p_relu")
    tables = bare_router(tmp_path / "tables", "6")
    assert isinstance(read_layout(documents, Choices(query_model=str(tables))).queries, TableSide)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pooling": "mean"}, "unknown pooling 'mean'"),
        ({"query_pooling": "mean"}, "unknown pooling 'mean'"),
        ({"query_activation": "gelu"}, "unknown activation 'gelu'"),
        ({"activation": "gelu"}, "unknown activation 'gelu'"),
        ({"query_mode": "bm25"}, "unknown query mode 'bm25'"),
        ({"max_length": 2}, "max_length must be at least 3 tokens, got 2"),
        ({"query_max_length": 0}, "query_max_length must be at least 3 tokens, got 0"),
    ],
)
def test_choices_that_do_not_exist_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Choices(**wrong)


# ---- the list of known models ----


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that gives bare networks; returns name → folder, to be changed before they are asked for."""
    folders: dict[str, Path] = {}

    def fetch(name):
        assert name in folders, f"{name} was fetched"
        return folders[name]

    def add(name, build=bare_network, *args, **options):
        folders[name] = build(tmp_path / "hub" / name.replace("/", "--"), *args, **options)
        return folders[name]

    monkeypatch.setattr(location, "_fetch", fetch)
    return add


def test_the_list_says_what_splade_lexical_cannot(hub):
    folder = hub("naver/splade-v3-lexical")
    layout = read_layout("naver/splade-v3-lexical")
    assert layout.location == location.Location("naver/splade-v3-lexical", folder)
    assert layout.family == "SPLADE-lexical"
    assert layout.queries == NetworkSide(layout.location, own_terms=True)
    assert "list of known models: SPLADE-lexical" in found(layout)
    assert read_layout("naver/splade-v3-lexical", Choices(query_mode="model")).family == "SPLADE-max"


def test_the_list_says_what_splade_doc_cannot(hub):
    hub("naver/splade-v3-doc")
    layout = read_layout("naver/splade-v3-doc")
    assert layout.family == "SPLADE-doc"
    assert layout.queries == TableSide(layout.location)


def test_the_list_names_the_query_half_of_efficient_splade(hub):
    hub("naver/efficient-splade-V-large-doc")
    queries = hub("naver/efficient-splade-V-large-query")
    layout = read_layout("naver/efficient-splade-V-large-doc")
    assert layout.family == "two models (efficient SPLADE)"
    assert layout.queries.location == location.Location("naver/efficient-splade-V-large-query", queries)
    assert (layout.documents.max_length, layout.queries.max_length) == (256, 256)


def test_a_query_half_that_the_files_hold_is_not_fetched_again(hub):
    def build(folder):
        bare_network(folder)
        bare_network(folder / "query_0_MLMTransformer")
        query = [("MLMTransformer", "query_0_MLMTransformer"), ("SpladePooling", "query_1_SpladePooling")]
        add_router(folder, {"query": query, "document": document_route("", "5.0")}, "5.0")
        add_pooling(folder / "document_1_SpladePooling", "5.0")
        add_pooling(folder / "query_1_SpladePooling", "5.0")
        return folder

    folder = hub("naver/efficient-splade-V-large-doc", build)
    layout = read_layout("naver/efficient-splade-V-large-doc")
    assert layout.queries.location.folder == folder / "query_0_MLMTransformer"


def test_choices_go_before_the_list(hub, tmp_path):
    hub("naver/efficient-splade-V-large-doc")
    mine = bare_network(tmp_path / "mine")
    layout = read_layout("naver/efficient-splade-V-large-doc", Choices(query_model=str(mine), query_max_length=8))
    assert layout.queries.location.name == str(mine)
    assert layout.queries.max_length == 8
    layout = read_layout("naver/efficient-splade-V-large-doc", Choices(query_mode="binary", max_length=100))
    assert layout.queries == TableSide(layout.location, max_length=256)
    assert layout.documents.max_length == 100


def test_files_go_before_the_list(hub):
    def build(folder):
        add_max_seq_length(bare_plain(folder, "6", pooling="sum", activation="log1p_relu"), 99)
        return folder

    hub("naver/splade-v3", build)
    layout = read_layout("naver/splade-v3")
    assert formula(layout.documents) == formula(layout.queries) == ("sum", "log1p_log1p_relu")
    assert (layout.documents.max_length, layout.queries.max_length) == (99, 99)
    hub("naver/splade-v3-doc", bare_router, "5.0", "")
    assert read_layout("naver/splade-v3-doc").queries.weights is not None


def test_the_list_knows_whose_special_tokens_are_no_terms(hub):
    hub("opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill", bare_router, "5.0", "")
    layout = read_layout("opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill")
    assert layout.documents.drop_specials
    assert layout.queries.drop_specials
    hub("opensearch-project/opensearch-neural-sparse-encoding-v2-distill", bare_plain, "5.0")
    layout = read_layout("opensearch-project/opensearch-neural-sparse-encoding-v2-distill")
    assert layout.documents.drop_specials
    assert layout.queries == layout.documents


def test_a_model_that_is_not_listed_is_what_its_files_say(hub):
    hub("somebody/splade-v3-lexical")
    layout = read_layout("somebody/splade-v3-lexical")
    assert layout.queries == layout.documents == NetworkSide(layout.location)
    assert found(layout) == "config.json: BertForMaskedLM"


@pytest.mark.parametrize("spelling", ["naver/splade-v3-lexical", "./naver/splade-v3-lexical", "ABSOLUTE"])
def test_a_folder_spelled_like_a_listed_model_gets_nothing_from_the_list(tmp_path, monkeypatch, hub, spelling):
    folder = bare_network(tmp_path / "naver" / "splade-v3-lexical")
    monkeypatch.chdir(tmp_path)
    layout = read_layout(str(folder) if spelling == "ABSOLUTE" else spelling)
    assert layout.family == "SPLADE-max"
    assert layout.queries == layout.documents
    assert layout.location.name == str(folder)


KEYS = {"name", "family", "licence", "gated", "pooling", "activation", "query_mode", "query_model", "max_length",
        "query_max_length", "quantizer", "effectiveness", "note"}  # fmt: skip


def test_the_list_is_sound():
    known = known_models()
    names = [each["name"] for each in known]
    assert len(set(names)) == len(names)
    for each in known:
        assert KEYS <= each.keys() <= KEYS | {"drop_specials"}, each["name"]
        assert each["pooling"] in get_args(Pooling)
        assert each["activation"] in get_args(Activation)
        assert each["query_mode"] in get_args(QueryMode)
        assert each["quantizer"] in {None, *RULES}
        assert each["query_model"] in {None, *names}
        assert each["gated"] in (None, True, False)
        assert each["licence"] is None or each["licence"].strip()
        assert each["family"].strip()
        assert each.get("drop_specials") in (None, True)
        for length in (each["max_length"], each["query_max_length"]):
            assert length is None or (isinstance(length, int) and 3 <= length <= 8192)
        for figure in each["effectiveness"]:
            assert figure.keys() == {"data", "measure", "value", "source"}, each["name"]
            assert 0 < figure["value"] < 1
            assert "/" in figure["source"]
            assert figure["data"]
            assert figure["measure"].partition("@")[0] in ("RR", "nDCG", "R")


def test_the_list_has_every_family_with_published_checkpoints():
    ways: dict[str, set[tuple[str, bool]]] = {}
    for each in known_models():
        ways.setdefault(each["family"], set()).add((each["query_mode"], each["query_model"] is not None))
    assert {"SPLADE-max", "DistilSPLADE-max", "SPLADE++", "SPLADE-v3", "Splade_PP", "granite sparse"} <= ways.keys()
    assert ways["SPLADE-doc"] == {("binary", False)}
    assert ways["SPLADE-lexical"] == {("lexical", False)}
    assert ("model", True) in ways["efficient SPLADE"]
    assert {("table", False), ("model", False)} == ways["OpenSearch"]
    twice = {each["name"] for each in known_models() if each["activation"] == "log1p_log1p_relu"}
    assert {name.rpartition("encoding-")[2] for name in twice} == {"doc-v3-distill", "doc-v3-gte"}


def test_the_lists_values_are_choices():
    for each in known_models():
        Choices(**{field.name: each.get(field.name) for field in fields(Choices)})


# ---- nothing is loaded ----


@pytest.mark.process
def test_looking_at_a_checkpoint_loads_neither_torch_nor_transformers(tmp_path):
    folders = {
        "plain": bare_network(tmp_path / "plain"),
        "causal": bare_network(tmp_path / "causal", "LlamaForCausalLM"),
        "sum": bare_plain(tmp_path / "sum", "5.0", pooling="sum"),
        "router": bare_router(tmp_path / "router", "6"),
        "table": bare_network(tmp_path / "table"),
    }
    (folders["table"] / "idf.json").touch()
    done = run_python(
        "import sys\n"
        "from splade_lucene.encoder.layout import read_layout\n"
        f"for name in {[str(folder) for folder in folders.values()]}: print(read_layout(name).family)\n"
        "print({'torch', 'transformers', 'tokenizers', 'huggingface_hub', 'safetensors'} & set(sys.modules))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "SPLADE-max",
        "causal language model with echo",
        "SPLADE v1",
        "inference-free queries",
        "inference-free queries",
        "set()",
    ]
