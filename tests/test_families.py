"""Every family of models that the README names, against computations of its own: weights, terms, indexes and queries."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file
from support.checkpoints import (
    BERT_TERMS,
    CODE,
    DOCUMENTS,
    FILL_MASK,
    NETWORK,
    QUERIES,
    QUERY_TABLE,
    TouchesWhenLoaded,
    add_max_seq_length,
    add_model_max_length,
    add_modules,
    add_pooling,
    add_prompts,
    add_static,
    bert,
    byte_level_tokenizer,
    llama,
    plain,
    roberta_like,
    router,
    save_tokenizer,
    static_weights,
    tiny_tokenizer,
    unigram_tokenizer,
    write_json,
)
from support.encoders import encoder_on_cpu
from support.manifests import rewrite_manifest
from support.processes import run_python
from tokenizers import AddedToken, Tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    ModernBertConfig,
    ModernBertForMaskedLM,
)

from splade_lucene import (
    LuceneImpactSearcher,
    Pruning,
    Quantizer,
    SpladeEncoder,
    SpladeQueryEncoder,
    Turn,
    encode_corpus,
    index_pseudo_documents,
    jvm,
    open_query_encoder,
    unescape_term,
)
from splade_lucene.cli.app import app
from splade_lucene.encoder.layout import TableSide
from splade_lucene.encoder.terms import escape_term
from splade_lucene.encoder.tokenizer import PlainTokenizer
from splade_lucene.errors import InputError, ModelError, QueryError, TopicsError
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.jvm.pyserini_import import pyserini_importable
from splade_lucene.manifest import INDEX_FILE
from splade_lucene.models import embedded_model_folder
from splade_lucene.topics.reading import read_topics

pytestmark = pytest.mark.usefixtures("one_thread")

RULE = Quantizer.named("naver")


def ours(model: str | Path, **settings: Any) -> SpladeEncoder:
    return encoder_on_cpu(model, **settings)


def assert_same(found, expected, tolerance: float = 2e-5) -> None:
    """Equal rows of {term: weight}; a weight that is not there is 0."""
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        for term in mine.keys() | theirs.keys():
            assert mine.get(term, 0.0) == pytest.approx(theirs.get(term, 0.0), abs=tolerance, rel=1e-4), term
    assert sum(map(len, expected)) > 3


class Straight:
    """A model's logits and tokens, one text at a time, computed without this package."""

    def __init__(self, folder: Path, kind: Any = AutoModelForMaskedLM) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = kind.from_pretrained(folder, dtype=torch.float32).eval()

    def ids(self, text: str, *, specials: bool = True, max_length: int = 64) -> list[int]:
        if not specials:
            return self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.tokenizer(text, truncation=True, max_length=max_length)["input_ids"]

    def logits(self, ids: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return self.model(input_ids=torch.tensor([ids])).logits[0]

    def pooled(self, text: str, pooling: str = "max") -> torch.Tensor:
        weights = torch.log(1 + torch.clamp(self.logits(self.ids(text)), min=0))
        return weights.max(dim=0).values if pooling == "max" else weights.sum(dim=0)

    def row(self, weights: torch.Tensor) -> dict[str, float]:
        names = self.tokenizer.convert_ids_to_tokens
        return {escape_term(names(i)): float(w) for i, w in enumerate(weights.tolist()) if w > 0}


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """A masked language model in a folder of its own."""
    return bert(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def small_network(tmp_path_factory) -> Path:
    """Another one."""
    return bert(tmp_path_factory.mktemp("small"), "distilbert")


@pytest.fixture(scope="module")
def straight(network) -> Straight:
    return Straight(network)


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


# ---- SPLADE v1, SPLADE-max, SPLADE-doc, SPLADE-lexical, efficient SPLADE ----


@pytest.mark.parametrize("pooling", ["sum", "max"])
def test_splade_v1_and_splade_max_are_sum_and_maximum_on_both_sides(network, straight, pooling):
    encoder = ours(network, pooling=pooling)
    expected = [straight.row(straight.pooled(text, pooling)) for text in DOCUMENTS]
    assert_same(encoder.encode_documents(DOCUMENTS), expected)
    assert_same(encoder.encode_queries(DOCUMENTS), expected)
    assert encoder.layout.family == {"sum": "SPLADE v1", "max": "SPLADE-max"}[pooling]


NO_TERMS = ("[CLS]", "[SEP]", "[PAD]", "[MASK]")


def test_splade_doc_queries_are_their_tokens_once_without_specials(network, straight):
    encoder = ours(network, query_mode="binary")
    expected = [
        {token: 1.0 for token in straight.tokenizer.tokenize(text) if token not in NO_TERMS} for text in QUERIES
    ]
    assert expected[0] == {"inverted": 1.0, "index": 1.0}
    assert expected[3].keys() == {"em", "##oj", "##i", "[UNK]", "cafe"}
    found = encoder.encode_queries(QUERIES)
    assert list(found) == expected
    assert found.counts.tolist() == [len(row) for row in expected]  # a token that is repeated stands there once
    assert_same(encoder.encode_documents(DOCUMENTS), [straight.row(straight.pooled(text)) for text in DOCUMENTS])
    assert SpladeQueryEncoder(encoder, RULE).encode("index index") == {"index": 100}


def test_splade_lexical_queries_are_the_models_weights_of_their_own_tokens(network, straight):
    encoder = ours(network, query_mode="lexical")
    expected = []
    for text in DOCUMENTS:
        own = torch.zeros(BERT_TERMS)
        own[straight.ids(text)] = 1
        own[[straight.tokenizer.convert_tokens_to_ids(token) for token in NO_TERMS]] = 0
        expected.append(straight.row(straight.pooled(text) * own))
    assert 0 < len(expected[0]) < len(straight.row(straight.pooled(DOCUMENTS[0])))
    assert_same(encoder.encode_queries(DOCUMENTS), expected)
    assert_same(encoder.encode_documents(DOCUMENTS), [straight.row(straight.pooled(text)) for text in DOCUMENTS])


def test_the_unknown_token_is_a_term_of_a_lexical_query(tmp_path, network):
    """As in naver/splade, whose bag of words is cleaned of the other special tokens only."""
    folder = copied(network, tmp_path / "model")
    model = AutoModelForMaskedLM.from_pretrained(folder)
    model.cls.predictions.bias.data[100] = 50
    model.save_pretrained(folder)
    assert "[UNK]" in ours(folder, query_mode="lexical").encode_queries(["a 😀 b"])[0]
    assert "[UNK]" not in ours(folder, query_mode="lexical", drop_specials=True).encode_queries(["a 😀 b"])[0]


def test_a_lexical_query_without_a_token_has_no_term(tmp_path):
    folder = llama(tmp_path, CODE, "$A")
    found = ours(folder, query_mode="lexical").encode_queries(["", "def f"])
    assert found[0] == {}
    assert len(found) == 2


def test_efficient_splade_has_a_model_for_each_side(network, small_network, straight):
    encoder = ours(network, query_model=small_network)
    other = Straight(small_network)
    assert_same(encoder.encode_documents(DOCUMENTS), [straight.row(straight.pooled(text)) for text in DOCUMENTS])
    assert_same(encoder.encode_queries(QUERIES), [other.row(other.pooled(text)) for text in QUERIES])


# ---- OpenSearch ----


@pytest.fixture
def opensearch(tmp_path, network) -> Path:
    """Its own layout: a network and a table, here without some tokens."""
    folder = copied(network, tmp_path / "opensearch")
    tokens = AutoTokenizer.from_pretrained(folder).get_vocab()
    table = {token: round(float(weight), 4) for token, weight in zip(tokens, static_weights(), strict=True)}
    for absent in ("index", "[PAD]"):
        del table[absent]
    write_json(folder / "idf.json", table)
    return folder


def opensearch_query(tokenizer, table, text):
    """opensearch-py-ml's process_sparse_encoding."""
    specials = set(tokenizer.special_tokens_map.values())
    tokens = [token for token in tokenizer.tokenize(text) if token not in specials]
    return {token: table.get(token, 1.0) for token in tokens if table.get(token, 1.0) > 0}


@pytest.mark.parametrize("name", ["idf.json", "query_token_weights.txt"])
def test_opensearch_queries_are_looked_up_once_and_weigh_1_where_the_table_is_silent(opensearch, straight, name):
    table = json.loads((opensearch / "idf.json").read_text())
    if name != "idf.json":
        lines = [f"{token}\t{weight}\n" for token, weight in table.items()]
        (opensearch / name).write_text("".join(lines), encoding="utf-8")
        (opensearch / "idf.json").unlink()
    found = list(ours(opensearch).encode_queries(QUERIES))
    assert_same(found, [opensearch_query(straight.tokenizer, table, text) for text in QUERIES], 1e-6)
    assert found[0]["index"] == 1.0
    assert "[UNK]" not in found[3]


@pytest.mark.parametrize("activation", ["log1p_relu", "log1p_log1p_relu"])
def test_opensearch_documents_have_no_special_tokens(opensearch, straight, activation):
    """opensearch-py-ml's NeuralSparseModel: the maximum of the logits, once or twice through a logarithm, pruned."""
    expected = []
    for text in DOCUMENTS:
        logits = straight.logits(straight.ids(text)).max(dim=0).values
        weights = torch.log(1 + torch.relu(logits))
        if activation == "log1p_log1p_relu":
            weights = torch.log(1 + weights)
        weights[straight.tokenizer.all_special_ids] = 0
        expected.append(straight.row(weights * (weights > 0.4 * weights.max())))
    encoder = ours(opensearch, activation=activation)
    unpruned = encoder.encode_documents(DOCUMENTS)
    found = list(unpruned.prune(Pruning(max_ratio=0.4)))
    assert_same(found, expected)
    assert sum(map(len, found)) < sum(map(len, unpruned))


def test_special_tokens_of_opensearchs_documents_were_terms_before(opensearch, straight):
    """The test above would prove nothing if no special token had a weight."""
    assert any(set(NO_TERMS) & straight.row(straight.pooled(text, "sum")).keys() for text in DOCUMENTS)
    assert any(set(NO_TERMS) & row.keys() for row in ours(opensearch, drop_specials=False).encode_documents(DOCUMENTS))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("idf.json", '{"index": "heavy"}', r"idf\.json: token 'index' has the weight 'heavy'"),
        ("idf.json", '{"index": -1}', r"idf\.json: token 'index' has the weight -1"),
        ("idf.json", '{"index": NaN}', r"idf\.json: token 'index' has the weight nan"),
        ("idf.json", '{"notoken\\u0001": 1}', r"idf\.json: none of the tokenizer's tokens has a weight"),
        ("query_token_weights.txt", "index\t2\nterm 3\n", r"query_token_weights\.txt:2: expected a tab"),
        ("query_token_weights.txt", "index\tmuch\n", r"query_token_weights\.txt:1: could not convert string to float"),
    ],
)
def test_a_damaged_table_is_named(opensearch, name, content, message):
    (opensearch / "idf.json").unlink()
    (opensearch / name).write_text(content)
    with pytest.raises(ModelError, match=message):
        ours(opensearch).encode_queries(["index"])


# ---- sentence-transformers ----


def theirs(folder: Path, texts, side: str) -> list[dict[str, float]]:
    """The output of sentence-transformers' own SparseEncoder for the same folder."""
    from sentence_transformers import SparseEncoder

    model = SparseEncoder(str(folder), device="cpu", local_files_only=True).float()
    encode = model.encode_query if side == "query" else model.encode_document
    rows = encode(texts, convert_to_sparse_tensor=False)
    tokenizer = AutoTokenizer.from_pretrained(next(folder.rglob("tokenizer.json")).parent)
    names = tokenizer.convert_ids_to_tokens(range(rows.shape[1]))
    return [{names[i]: float(row[i]) for i in row.nonzero().flatten().tolist()} for row in rows]


def assert_equals_sentence_transformers(folder: Path, documents=DOCUMENTS, queries=QUERIES) -> SpladeEncoder:
    encoder = ours(folder)
    assert_same(encoder.encode_documents(documents), theirs(folder, documents, "document"))
    assert_same(encoder.encode_queries(queries), theirs(folder, queries, "query"))
    return encoder


@pytest.mark.parametrize("style", ["5.0", "6"])
@pytest.mark.parametrize(("pooling", "activation"), [("max", "relu"), ("sum", "log1p_relu")])
def test_a_plain_sparse_encoder(tmp_path, style, pooling, activation):
    assert_equals_sentence_transformers(plain(tmp_path, style, pooling=pooling, activation=activation))


def test_a_sparse_encoder_that_sentence_transformers_itself_saved(tmp_path, network):
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

    transformer = Transformer(str(network), transformer_task="fill-mask")
    weights = torch.from_numpy(static_weights())
    modules = Router.for_query_document(
        query_modules=[SparseStaticEmbedding(transformer.tokenizer, weights, frozen=True)],
        document_modules=[transformer, SpladePooling("max", "log1p_relu")],
    )
    SparseEncoder(modules=[modules], device="cpu", prompts={"query": "find: "}).save(str(tmp_path / "saved"))
    encoder = assert_equals_sentence_transformers(tmp_path / "saved")
    assert encoder.layout.queries.prefix == "find: "


@pytest.mark.parametrize(
    ("prompts", "default"),
    [
        ({"query": "query: ", "document": "passage: "}, None),
        ({"query": None, "document": "text of a document:"}, None),
        ({"query": "query: ", "passage": "passage: "}, None),
        ({"other": "other: "}, "other"),
    ],
)
def test_prompts(tmp_path, prompts, default):
    add_prompts(plain(tmp_path, "5.0"), prompts, default)
    assert_equals_sentence_transformers(tmp_path)


@pytest.mark.parametrize("style", ["5.0", "6"])
def test_long_texts_are_cut_where_sentence_transformers_cuts_them(tmp_path, style):
    plain(tmp_path, style)
    if style == "5.0":
        add_max_seq_length(tmp_path, 12)
    else:
        add_model_max_length(tmp_path, 12)
    assert_equals_sentence_transformers(tmp_path, [DOCUMENTS[2]], [DOCUMENTS[2]])


def test_a_sparse_encoder_that_asks_for_lower_case(tmp_path):
    tokenizer = byte_level_tokenizer(tmp_path, CODE)
    roberta_like(tmp_path, tokenizer)
    add_modules(tmp_path, [("MLMTransformer", ""), ("SpladePooling", "1_SpladePooling")], "5.0")
    add_pooling(tmp_path / "1_SpladePooling", "5.0", width=None)
    write_json(tmp_path / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    assert_equals_sentence_transformers(tmp_path, ["PRINT each", "x IN y"], ["FOR EACH x IN y PRINT each"])


@pytest.mark.parametrize("style", ["5.0", "6"])
@pytest.mark.parametrize("is_in_root", [False, True])
def test_a_router_with_inference_free_queries(tmp_path, style, is_in_root):
    folder = router(
        tmp_path, [("SparseStaticEmbedding", QUERY_TABLE)], style, "" if is_in_root else None, activation="log1p_relu"
    )
    add_static(folder / QUERY_TABLE, static_weights())
    add_prompts(folder, {"query": "question: ", "document": "answer: "})
    encoder = assert_equals_sentence_transformers(folder)
    assert isinstance(encoder.layout.queries, TableSide)


def test_long_inference_free_queries_are_cut_where_sentence_transformers_cuts_them(tmp_path):
    folder = router(tmp_path, [("SparseStaticEmbedding", QUERY_TABLE)], "6")
    add_static(folder / QUERY_TABLE, np.ones(BERT_TERMS))
    add_model_max_length(folder / QUERY_TABLE, 5)
    add_prompts(folder, {"query": "find ", "document": ""})
    encoder = assert_equals_sentence_transformers(folder, queries=["a b c d e f g h", "a b"])
    assert encoder.encode_queries(["a b c d e f g h"])[0].keys() == {"find", "a", "b", "c", "d"}
    assert ours(folder, query_max_length=3).encode_queries(["a b c d"])[0].keys() == {"find", "a", "b"}


def test_the_unknown_token_has_the_weight_that_a_sparse_static_embedding_gives_it(tmp_path):
    folder = router(tmp_path, [("SparseStaticEmbedding", QUERY_TABLE)], "6")
    add_static(folder / QUERY_TABLE, np.ones(BERT_TERMS))
    encoder = assert_equals_sentence_transformers(folder)
    assert "[UNK]" in encoder.encode_queries(["a 😀"])[0]


def test_a_token_that_the_json_of_a_sparse_static_embedding_lacks_weighs_nothing(tmp_path):
    folder = router(tmp_path, [("SparseStaticEmbedding", QUERY_TABLE)], "5.0")
    (folder / QUERY_TABLE).mkdir()
    tiny_tokenizer(folder / QUERY_TABLE)
    table = write_json(folder / "table.json", {"index": 2.5, "blood": 1.25, "and": 0.5, "cafe": 0.75})
    write_json(folder / QUERY_TABLE / "config.json", {"path": str(table)})
    encoder = assert_equals_sentence_transformers(folder)
    assert list(encoder.encode_queries(QUERIES)) == [{"index": 2.5}, {"blood": 1.25, "and": 0.5}, {}, {"cafe": 0.75}]


@pytest.mark.parametrize("style", ["5.0", "6"])
def test_a_router_with_two_networks(tmp_path, style):
    query = [(NETWORK[style], f"query_0_{NETWORK[style]}"), ("SpladePooling", "query_1_SpladePooling")]
    folder = router(tmp_path, query, style)
    bert(folder / query[0][1], "distilbert")
    if style == "6":
        write_json(folder / query[0][1] / "sentence_bert_config.json", FILL_MASK)
    add_pooling(folder / query[1][1], style, pooling="sum")
    encoder = assert_equals_sentence_transformers(folder)
    assert encoder.layout.family == "two models (efficient SPLADE)"


def test_a_router_that_maps_tasks_to_routes_of_other_names(tmp_path):
    folder = router(tmp_path, [("SparseStaticEmbedding", QUERY_TABLE)], "6")
    add_static(folder / QUERY_TABLE, static_weights())
    config = json.loads((folder / "router_config.json").read_text())
    config["structure"] = {"long": config["structure"]["document"], "short": config["structure"]["query"]}
    mappings = {"('query', None)": "short", "('document', 'text')": "long"}
    config["parameters"] = {"default_route": None, "allow_empty_key": False, "route_mappings": mappings}
    write_json(folder / "router_config.json", config)
    assert_equals_sentence_transformers(folder)


@pytest.mark.parametrize("is_shared", [False, True])
def test_static_weights_behind_the_pooling_of_queries(tmp_path, is_shared):
    """SPLADE-lexical: the model's weights times the static weight of each of the query's own tokens."""
    names = ["document_0_Transformer", "document_1_SpladePooling"]
    if not is_shared:
        names = ["query_0_Transformer", "query_1_SpladePooling"]
    query = list(zip(("Transformer", "SpladePooling", "SparseStaticEmbedding"), [*names, "query_2_X"], strict=True))
    folder = router(tmp_path, query, "6")
    if not is_shared:
        bert(folder / names[0], "distilbert")
        write_json(folder / names[0] / "sentence_bert_config.json", FILL_MASK)
        add_pooling(folder / names[1], "6", activation="log1p_relu")
    add_static(folder / "query_2_X", static_weights())
    add_prompts(folder, {"query": "q: ", "document": None})
    encoder = assert_equals_sentence_transformers(folder, queries=DOCUMENTS)
    assert encoder.layout.family == "SPLADE-lexical"


def test_the_command_line_says_what_a_folder_holds_and_which_file_said_so(tmp_path, capsys):
    folder = router(tmp_path, [("SparseStaticEmbedding", QUERY_TABLE)], "5.0", "", activation="log1p_relu")
    add_static(folder / QUERY_TABLE, static_weights())
    app(["models", str(folder), "--json"], standalone_mode=False)
    facts = json.loads(capsys.readouterr().out)
    assert facts["family"] == "inference-free queries"
    assert facts["documents"] == "masked language model, max of log(1 + log(1 + relu(x)))"
    assert facts["queries"] == "tokenizer, weights from model.safetensors"
    assert facts["architecture"] == "BertForMaskedLM"
    assert (facts["terms"], facts["max_tokens"]) == (BERT_TERMS, 64)
    assert facts["found"] == [
        "modules.json: Router",
        "router_config.json: document route is MLMTransformer in the root, document_1_SpladePooling",
        f"router_config.json: query route is {QUERY_TABLE}",
        "config.json: BertForMaskedLM",
        "document_1_SpladePooling/config.json: max of log(1 + log(1 + relu(x)))",
        f"{QUERY_TABLE}/model.safetensors: weights of query tokens",
    ]


# ---- other vocabularies and networks ----

ADDED = ["  ", "    ", "\n\n", "\t", "a b", "\u3000", "\x01", "zero\u200bwidth", "\u241b", "\r\n"]


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory) -> Path:
    """A RoBERTa with added tokens that hold white space and control characters."""
    folder = tmp_path_factory.mktemp("byte-level")
    return roberta_like(folder, byte_level_tokenizer(folder, CODE, added=ADDED))


def test_byte_level_vocabularies_give_their_formula(byte_level):
    straight = Straight(byte_level)
    encoder = ours(byte_level)
    texts = [*CODE[:4], "漢字 and 😀", "x", "a b" * 200]
    expected = [
        straight.row(
            torch.log1p(torch.relu(straight.logits(straight.ids(text, max_length=encoder.max_length)))).amax(0)
        )
        for text in texts
    ]
    assert encoder.max_length == 128
    assert_same(encoder.encode_documents(texts), expected)
    assert "Ġeach" in expected[1]
    assert escape_term("\n\n") in expected[1]


def encode_and_index(folder: Path, texts: dict[str, str], encoder: SpladeEncoder, quantizer: Quantizer = RULE) -> Path:
    lines = [json.dumps({"id": docid, "text": text}) + "\n" for docid, text in texts.items()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "corpus.jsonl").write_text("".join(lines), encoding="utf-8")
    encode_corpus(folder / "corpus.jsonl", folder / "encoded", encoder, quantizer)
    index_pseudo_documents(folder / "encoded", folder / "index")
    return folder / "index"


def hits_of_both_engines(index: Path, encoder: SpladeEncoder, queries: list[str], k: int = 5) -> list[list[str]]:
    """The docids of each query's hits, after Pyserini's own searcher gave the same hits and scores."""
    query_encoder = SpladeQueryEncoder(encoder, RULE)
    with pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as Theirs
    pyserinis = Theirs(str(index), query_encoder)
    found = []
    with LuceneImpactSearcher(index, query_encoder, min_idf=0) as searcher:
        for query in queries:
            hits = searcher.search(query, k)
            assert [(hit.docid, hit.score) for hit in hits] == [
                (hit.docid, hit.score) for hit in pyserinis.search(query, k)
            ]
            found.append([hit.docid for hit in hits])
    return found


def test_terms_with_white_space_and_control_characters_are_found_by_both_engines(byte_level, tmp_path):
    encoder = ours(byte_level)
    tokens = encoder.document_network.tokenizer
    assert set(ADDED) <= tokens.get_vocab().keys()
    texts = {f"d{number}": f"x{added}y" for number, added in enumerate(ADDED)}
    texts["plain"] = "print"
    index = encode_and_index(tmp_path, texts, encoder)
    with LuceneImpactIndexReader(index) as reader:
        indexed = {each.term for each in reader.terms()}
    assert {escape_term(added) for added in ADDED} <= indexed
    assert not any(java_splits(term) for term in indexed)
    found = hits_of_both_engines(index, encoder, list(texts.values())[: len(ADDED)])
    assert [hits[0] for hits in found] == [f"d{number}" for number in range(len(ADDED))]
    with LuceneImpactSearcher(index, SpladeQueryEncoder(encoder, RULE), min_idf=0) as searcher:
        for number, added in enumerate(ADDED):  # alone it is a blank text, so as an encoded query
            assert [hit.docid for hit in searcher.search({escape_term(added): 1})] == [f"d{number}"]


LANGUAGES = {
    "ar": ["القلب يضخ الدم في الجسم", "النباتات تحول ضوء الشمس إلى سكر", "القطار يغادر المحطة في الصباح"],
    "zh": ["心脏将血液输送到全身", "植物把阳光变成糖分", "火车早上离开车站"],
    "ja": ["心臓は体中に血液を送り出す", "植物は日光を糖に変える", "列車は朝に駅を出発する"],
    "hi": ["हृदय शरीर में रक्त पंप करता है", "पौधे सूर्य के प्रकाश को शर्करा में बदलते हैं", "रेलगाड़ी सुबह स्टेशन से निकलती है"],
    "de": ["Das Herz pumpt Blut durch den Körper", "Pflanzen verwandeln Sonnenlicht in Zucker",
           "Der Zug verlässt morgens den Bahnhof"],
}  # fmt: skip
ASKED = {
    "ar": ("ضخ الدم", "ضوء الشمس", "محطة القطار"),
    "zh": ("血液输送", "阳光变成糖", "早上的火车"),
    "ja": ("血液と心臓", "日光を糖に", "朝の列車"),
    "hi": ("शरीर में रक्त", "सूर्य का प्रकाश", "सुबह की रेलगाड़ी"),
    "de": ("Blut im Körper", "Zucker aus Sonnenlicht", "Züge am Bahnhof"),
}


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory) -> Path:
    """An XLM-R with a unigram vocabulary of five languages."""
    folder = tmp_path_factory.mktemp("multilingual")
    texts = [text for language in LANGUAGES.values() for text in language]
    asked = [text for language in ASKED.values() for text in language]
    return roberta_like(folder, unigram_tokenizer(folder, [*texts, *asked]), xlm=True)


def test_five_languages_are_encoded_indexed_and_found(multilingual, tmp_path):
    encoder = ours(multilingual)
    texts = {f"{language}{i}": text for language, each in LANGUAGES.items() for i, text in enumerate(each)}
    index = encode_and_index(tmp_path, texts, encoder)
    asked = {f"{language}{i}": text for language, each in ASKED.items() for i, text in enumerate(each)}
    found = hits_of_both_engines(index, encoder, list(asked.values()))
    assert [hits[0] for hits in found] == list(asked)
    with LuceneImpactSearcher(index) as searcher:  # the model that the manifest names
        for docid, text in asked.items():
            assert searcher.search(text, 1)[0].docid == docid
            assert searcher.doc(docid).contents() == texts[docid]


def test_sentencepiece_vocabularies_give_their_formula(multilingual):
    straight = Straight(multilingual)
    texts = [text for language in LANGUAGES.values() for text in language]
    assert_same(ours(multilingual).encode_documents(texts), [straight.row(straight.pooled(text)) for text in texts])


def test_the_unknown_token_is_a_term_of_splade_doc_whatever_the_tokenizer(multilingual):
    """Unigram tokenizers do not name it in their model, as WordPiece does."""
    tokens = AutoTokenizer.from_pretrained(multilingual).tokenize("Blut Ω")
    found = ours(multilingual, query_mode="binary").encode_queries(["Blut Ω <s> </s>"])[0]
    assert found == dict.fromkeys(["<unk>" if token == "Ω" else token for token in tokens], 1.0)
    dropped = ours(multilingual, query_mode="binary", drop_specials=True).encode_queries(["Blut Ω"])[0]
    assert dropped == dict.fromkeys(tokens[:-1], 1.0)


def test_a_vocabulary_of_250002_terms_fits_into_little_memory(tmp_path):
    peak = Path("/proc/self/clear_refs")
    if not peak.exists():
        pytest.skip("needs Linux")
    texts = [text for language in LANGUAGES.values() for text in language]
    roberta_like(tmp_path, unigram_tokenizer(tmp_path, texts), xlm=True, terms=250_002, width=8)
    long = [" ".join(texts) * 3] * 16
    encoder = ours(tmp_path)
    encoder.encode_queries(["Blut"])
    peak.write_text("5")  # the most that this process held is counted again
    before = resident("VmRSS")
    weights = encoder.encode_documents(long)
    assert encoder.document_network.terms[250_001] == "[unnamed250001]"
    used = resident("VmHWM") - before
    all_logits = len(long) * encoder.max_length * 250_002 * 4
    assert all_logits > 2_000_000_000
    assert used < all_logits / 4
    straight = Straight(tmp_path)
    ids = straight.ids(long[0], max_length=encoder.max_length)
    expected = torch.log1p(torch.relu(straight.logits(ids).amax(dim=0)))
    found = weights.term_ids[weights.row(3)]
    assert np.array_equal(found, expected.nonzero().flatten().numpy())
    assert np.allclose(weights.weights[weights.row(3)], expected[expected > 0].numpy(), atol=2e-5)


def resident(what: str) -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what))


def test_modernbert_gives_its_formula(tmp_path):
    torch.manual_seed(3)
    model = ModernBertForMaskedLM(
        ModernBertConfig(
            vocab_size=BERT_TERMS, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            global_attn_every_n_layers=2, local_attention=8, max_position_embeddings=64, pad_token_id=0,
            cls_token_id=101, sep_token_id=102, bos_token_id=101, eos_token_id=102, initializer_range=0.3,
        )
    )  # fmt: skip
    model.decoder.bias.data.normal_(-1, 0.5)
    model.save_pretrained(tmp_path)
    tiny_tokenizer(tmp_path)
    straight = Straight(tmp_path)
    encoder = ours(tmp_path)
    assert_same(encoder.encode_documents(DOCUMENTS), [straight.row(straight.pooled(text)) for text in DOCUMENTS])


# ---- terms ----


def java_splits(term: str) -> bool:
    """Whether Java's Character.isWhitespace holds for a character of a term."""
    import unicodedata

    return any(
        char in "\t\n\x0b\f\r\x1c\x1d\x1e\x1f"
        or (unicodedata.category(char) in ("Zs", "Zl", "Zp") and char not in "\xa0\u2007\u202f")
        for char in term
    )


PIECES = [
    *"ab09f;#▁Ġ␛ \t\n\r\x0b\x0c\x1c\x85\xa0\u1680\u2028\u202f\u3000\u200b\ufeff\x00\x7f\ud800",
    "␛;",
    "␛9;",
    "␛241b;",
]
ENTRIES = st.lists(st.one_of(st.sampled_from(PIECES), st.characters()), max_size=6).map("".join)


@example("␛9;", "\t")
@example("␛;", "")
@given(ENTRIES, ENTRIES)
def test_entries_become_terms_and_back(one, other):
    term = escape_term(one)
    assert term
    assert unescape_term(term) == one
    assert not java_splits(term)
    assert term.encode()  # no half of a surrogate pair
    assert (term == escape_term(other)) == (one == other)
    if one.isalnum():
        assert term == one


@pytest.mark.java
def test_java_sees_no_white_space_in_a_term():
    is_white_space = jvm.java_class("java.lang.Character").isWhitespace
    for code in range(0x10000):
        assert not any(is_white_space(ord(char)) for char in escape_term(f"a{chr(code)}b")), hex(code)


def test_the_entries_of_the_usual_vocabularies_are_their_own_terms():
    for entry in ("##ing", "Ġword", "▁Blut", "[UNK]", "<0x0A>", "é", "漢字", "😀", "a_b", "\\", '"'):
        assert escape_term(entry) == entry


# ---- causal language models with echo ----


@pytest.fixture(scope="module", params=["<s> $A", "<s> $A </s>", "$A"], ids=["bos", "bos-eos", "bare"])
def causal(request, tmp_path_factory) -> Path:
    return llama(tmp_path_factory.mktemp("causal"), [*DOCUMENTS, *CODE], request.param)


def echoed(straight: Straight, text: str) -> dict[str, float]:
    """The text twice, pooled over the second copy."""
    ids = straight.ids(text)
    content = straight.ids(text, specials=False)
    start = next(i for i in range(len(ids) + 1) if ids[i : i + len(content)] == content)
    before, after = ids[:start], ids[start + len(content) :]
    if not content:
        return {}
    logits = straight.logits([*before, *content, *content, *after])
    second = logits[len(before) + len(content) : len(before) + 2 * len(content)]
    return straight.row(torch.log1p(torch.relu(second.max(dim=0).values)))


def test_a_causal_model_reads_a_text_twice_and_is_pooled_over_the_second_copy(causal):
    straight = Straight(causal, AutoModelForCausalLM)
    encoder = ours(causal)
    assert straight.tokenizer.pad_token is None
    texts = ["def f", "for each in rows: print(each)", "", "x", "The heart pumps blood through the body"]
    expected = [echoed(straight, text) for text in texts]
    assert_same(encoder.encode_documents(texts), expected)
    assert_same(encoder.encode_queries(texts), expected)
    assert_same([encoder.encode_queries([text])[0] for text in texts], expected)


def test_a_long_text_is_cut_before_it_is_doubled(causal):
    straight = Straight(causal, AutoModelForCausalLM)
    frame = len(straight.ids("x")) - len(straight.ids("x", specials=False))
    encoder = ours(causal, max_length=16)
    long = "for each in rows: print(each) " * 9
    kept = straight.ids(long, specials=False)[: 16 - frame]
    assert_same(encoder.encode_documents([long]), [echoed(straight, straight.tokenizer.decode(kept))])
    assert ours(causal).max_length == 64  # twice that is all the network can take
    assert len(ours(causal).encode_documents([long * 9])[0]) > 0


def lora(folder: Path, base: Path, merged: Path, kind: Any, task: str | None) -> None:
    """An adapter with random weights, and the same merged."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(4)
    targets = ["q_proj", "v_proj"] if task else ["query", "value"]
    config = LoraConfig(task_type=task, r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False)
    model = get_peft_model(kind.from_pretrained(base, dtype=torch.float32), config)
    model.save_pretrained(folder)
    model.merge_and_unload().save_pretrained(merged)
    AutoTokenizer.from_pretrained(base).save_pretrained(merged)


@pytest.mark.parametrize("has_tokenizer", [True, False])
def test_an_adapter_over_a_causal_model_equals_the_merged_model(tmp_path, has_tokenizer):
    base = llama(tmp_path / "base", [*DOCUMENTS, *CODE])
    lora(tmp_path / "lora", base, tmp_path / "merged", AutoModelForCausalLM, "CAUSAL_LM")
    if has_tokenizer:
        AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "lora")
    texts = ["def f(x)", "The heart pumps blood"]
    expected = list(ours(tmp_path / "merged").encode_documents(texts))
    encoder = ours(tmp_path / "lora")
    assert_same(encoder.encode_documents(texts), expected)
    straight = Straight(tmp_path / "merged", AutoModelForCausalLM)
    assert_same(expected, [echoed(straight, text) for text in texts])
    plain_base = list(ours(base).encode_documents(texts))
    assert any(abs(plain_base[0].get(term, 0) - weight) > 0.05 for term, weight in expected[0].items())
    assert encoder.layout.location.name == str(tmp_path / "lora")


def test_an_adapter_over_a_masked_model_equals_the_merged_model(tmp_path, network):
    lora(tmp_path / "lora", network, tmp_path / "merged", AutoModelForMaskedLM, None)
    straight = Straight(tmp_path / "merged")
    encoder = ours(tmp_path / "lora", query_mode="binary")
    assert_same(encoder.encode_documents(DOCUMENTS), [straight.row(straight.pooled(text)) for text in DOCUMENTS])
    assert encoder.encode_queries(["index"])[0] == {"index": 1.0}


def test_a_causal_model_is_computed_in_its_own_type_unless_told_otherwise(tmp_path):
    base = llama(tmp_path / "base", CODE)
    expected = ours(base).encode_documents(["def f(x)"])[0]
    assert_same(SpladeEncoder(base, device="cpu").encode_documents(["def f(x)"]), [expected])
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "half")
    encoder = SpladeEncoder(tmp_path / "half", device="cpu")
    assert encoder.document_network.model.dtype == torch.bfloat16
    assert encoder.dtype == encoder.query_dtype == "checkpoint"
    assert_same(encoder.encode_documents(["def f(x)"]), [expected], 0.3)
    assert ours(tmp_path / "half").document_network.model.dtype == torch.float32


def test_another_base_below_the_same_adapter_is_noticed(tmp_path, network):
    base = copied(network, tmp_path / "base")
    lora(tmp_path / "lora", base, tmp_path / "merged", AutoModelForMaskedLM, None)
    before = ours(tmp_path / "lora").query_digest()
    assert before != ours(base).query_digest()
    bert(base, "roberta")
    assert ours(tmp_path / "lora").query_digest() != before


# ---- conversations ----


def added_up(encoder: SpladeEncoder, turns: list[Turn]) -> dict[str, int]:
    total: dict[str, float] = {}
    for turn in turns:
        for term, weight in encoder.encode_queries([turn.text])[0].items():
            total[term] = total.get(term, 0.0) + turn.factor * weight
    impacts = RULE.quantize(np.array(list(total.values()), np.float32), "query").tolist()
    return {term: impact for term, impact in zip(total, impacts, strict=True) if impact > 0}


CONVERSATION = [
    Turn("what is an index, an index"),
    Turn("who wrote it", 0.5),
    Turn("the index of Lucene", 2),
    Turn("", 3),
]


@pytest.mark.parametrize("mode", ["model", "binary", "lexical"])
def test_a_conversation_is_the_sum_of_its_turns_weights_times_their_factors(network, mode):
    encoder = ours(network, query_mode=mode)
    query_encoder = SpladeQueryEncoder(encoder, RULE)
    found = query_encoder.encode(CONVERSATION)
    expected = added_up(encoder, CONVERSATION)
    assert found.keys() == expected.keys()
    assert all(abs(found[term] - expected[term]) <= 1 for term in found)  # the order of additions
    assert sum(found[term] != expected[term] for term in found) <= len(found) / 50
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert query_encoder.encode([CONVERSATION[0]]) == query_encoder.encode(CONVERSATION[0].text)
    one, two = query_encoder.encode_batch([[CONVERSATION[0]], CONVERSATION])
    assert (one, two) == (query_encoder.encode(CONVERSATION[0].text), found)


@pytest.mark.parametrize("factor", [0, -1, math.inf, math.nan])
def test_a_factor_that_is_no_number_above_0_is_refused(factor):
    with pytest.raises(QueryError, match="a turn's factor must be a number above 0"):
        Turn("text", factor)


@pytest.fixture(scope="module")
def doc_index(tmp_path_factory, network) -> Path:
    """A SPLADE-doc index, whose queries anyone can compute."""
    folder = tmp_path_factory.mktemp("doc-index")
    return encode_and_index(
        folder, {f"d{i}": text for i, text in enumerate(DOCUMENTS)}, ours(network, query_mode="binary")
    )


def write_topics(path: Path, *records: dict) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_topics_with_turns_are_read_and_searched(tmp_path, doc_index, network):
    records: list[Any] = [
        {"id": "c1", "turns": [{"text": "heart"}, {"text": "blood", "factor": 2}, "oxygen"]},
        {"id": "c2", "text": "index"},
    ]
    path = write_topics(tmp_path / "topics.jsonl", *records)
    queries = read_topics(path)
    assert queries[0].turns == (Turn("heart"), Turn("blood", 2), Turn("oxygen"))
    assert queries[0].content == queries[0].turns
    assert queries[1].turns == ()
    app(
        ["search", "--index", str(doc_index), "--topics", str(path), "--output", str(tmp_path / "run"), "--hits", "4"],
        standalone_mode=False,
    )
    run = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    query = SpladeQueryEncoder(ours(network, query_mode="binary"), RULE).encode(queries[0].turns)
    assert query == {"blood": 200, "heart": 100, "oxygen": 100}
    with LuceneImpactSearcher(doc_index) as searcher:
        expected = [("c1", hit.docid, hit.score) for hit in searcher.search(query, 4)]
        expected += [("c2", hit.docid, hit.score) for hit in searcher.search({"index": 100}, 4)]
    assert [(line[0], line[2]) for line in run] == [(qid, docid) for qid, docid, _ in expected]
    assert [float(line[4]) for line in run] == pytest.approx([score for _, _, score in expected], rel=1e-5)
    app(["encode-queries", "--model", str(network), "--query-mode", "binary", "--topics", str(path), "--output",
         str(tmp_path / "encoded.jsonl")], standalone_mode=False)  # fmt: skip
    encoded = [json.loads(line) for line in (tmp_path / "encoded.jsonl").read_text().splitlines()]
    assert [each["vector"] for each in encoded] == [query, {"index": 100}]


@pytest.mark.parametrize(
    "turns",
    [[], None, 5, "text", {"text": "a"}, [{"factor": 1}],
     [{"text": 5}], [{"text": "a", "factor": 0}], [{"text": "a", "factor": "2"}], [["a"]], [None]],
)  # fmt: skip
def test_wrong_turns_are_refused_with_file_and_line(tmp_path, turns):
    path = write_topics(tmp_path / "topics.jsonl", {"id": "1", "text": "fine"}, {"id": "2", "turns": turns})
    with pytest.raises(TopicsError, match=r"the turns .* are not a list of texts") as caught:
        read_topics(path)
    assert (caught.value.path, caught.value.line) == (path, 2)
    assert str(caught.value).startswith(f"{path}:2: ")


# ---- what weights are read from, and whose code is run ----


def test_pickled_weights_are_read_only_where_there_are_no_safe_ones(tmp_path, network):
    folder = copied(network, tmp_path / "model")
    expected = list(ours(folder).encode_documents(DOCUMENTS))
    other = Straight(bert(tmp_path / "other", "distilbert")).model.state_dict()
    torch.save(other, folder / "pytorch_model.bin")
    assert_same(ours(folder).encode_documents(DOCUMENTS), expected)
    assert ours(folder).query_digest() == ours(network).query_digest()
    torch.save(Straight(network).model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert_same(ours(folder).encode_documents(DOCUMENTS), expected)


def test_a_pickled_table_of_query_weights_is_read_as_weights_only(tmp_path):
    folder = router(tmp_path, [("SparseStaticEmbedding", QUERY_TABLE)], "6")
    add_static(folder / QUERY_TABLE, static_weights())
    expected = list(ours(folder).encode_queries(QUERIES))
    (folder / QUERY_TABLE / "model.safetensors").unlink()
    torch.save({"weight": torch.from_numpy(static_weights())}, folder / QUERY_TABLE / "pytorch_model.bin")
    assert_same(ours(folder).encode_queries(QUERIES), expected)

    torch.save({"weight": TouchesWhenLoaded(tmp_path / "owned")}, folder / QUERY_TABLE / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin: the weights cannot be read"):
        ours(folder).encode_queries(QUERIES)
    assert not (tmp_path / "owned").exists()


def test_the_code_of_a_pickled_adapter_is_never_run(tmp_path, network):
    lora(tmp_path / "lora", network, tmp_path / "merged", AutoModelForMaskedLM, None)

    (tmp_path / "lora" / "adapter_model.safetensors").unlink()
    torch.save({"weight": TouchesWhenLoaded(tmp_path / "owned")}, tmp_path / "lora" / "adapter_model.bin")
    with pytest.raises(ModelError, match="cannot load the LoRA adapter"):
        ours(tmp_path / "lora").encode_documents(["a"])
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("is_safe", [True, False])
def test_weights_in_several_files(tmp_path, network, is_safe):
    parts = tmp_path / "parts"
    AutoModelForMaskedLM.from_pretrained(network).save_pretrained(parts, max_shard_size="1MB")
    tiny_tokenizer(parts)
    index = parts / "model.safetensors.index.json"
    if not is_safe:
        names = json.loads(index.read_text())
        for part in {*names["weight_map"].values()}:
            torch.save(load_file(parts / part), parts / part.replace(".safetensors", ".bin"))
            (parts / part).unlink()
        index.unlink()
        names["weight_map"] = {key: part.replace(".safetensors", ".bin") for key, part in names["weight_map"].items()}
        index = write_json(parts / "pytorch_model.bin.index.json", names)
    assert_same(ours(parts).encode_documents(DOCUMENTS), list(ours(network).encode_documents(DOCUMENTS)))
    before = ours(parts).query_digest()
    part = sorted(set(json.loads(index.read_text())["weight_map"].values()))[-1]
    with (parts / part).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert ours(parts).query_digest() != before
    (parts / part).unlink()
    with pytest.raises(ModelError, match=f"missing weight files: {part}"):
        ours(parts).query_digest()


OWN_CODE = """
from pathlib import Path
from transformers import BertConfig, BertForMaskedLM

Path({marker!r}).touch()


class OwnConfig(BertConfig):
    model_type = "own"


class OwnForMaskedLM(BertForMaskedLM):
    config_class = OwnConfig
"""


def test_code_of_a_checkpoint_is_run_only_where_that_is_asked_for(tmp_path, network, straight, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    folder = copied(network, tmp_path / "model")
    marker = tmp_path / "run"
    (folder / "own_code.py").write_text(OWN_CODE.format(marker=str(marker)))
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own", "architectures": ["OwnForMaskedLM"],
        "auto_map": {"AutoConfig": "own_code.OwnConfig", "AutoModelForMaskedLM": "own_code.OwnForMaskedLM"},
    }  # fmt: skip
    write_json(folder / "config.json", config)
    with pytest.raises(ModelError, match="its own code runs only with trust_remote_code"):
        ours(folder).encode_documents(["a"])
    assert not marker.exists()
    encoder = ours(folder, trust_remote_code=True)
    assert_same(encoder.encode_documents(DOCUMENTS), [straight.row(straight.pooled(text)) for text in DOCUMENTS])
    assert marker.exists()


# ---- indexes ----


def test_inference_free_queries_load_neither_torch_nor_transformers(tmp_path, opensearch, doc_index):
    table_index = encode_and_index(tmp_path / "table", {"d": "an inverted index"}, ours(opensearch))
    code = (
        "import json, sys\n"
        "from splade_lucene import LuceneImpactSearcher\n"
        f"for index in {[str(table_index), str(doc_index)]}:\n"
        "    with LuceneImpactSearcher(index) as searcher:\n"
        "        print(json.dumps([searcher.encode('inverted index'), len(searcher.search('inverted index'))]))\n"
        "print({'torch', 'transformers', 'safetensors', 'huggingface_hub'} & set(sys.modules))"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    table, binary, loaded = done.stdout.splitlines()
    table_query, hits = json.loads(table)
    assert table_query == SpladeQueryEncoder(ours(opensearch), RULE).encode("inverted index")
    assert hits == 1
    assert json.loads(binary)[0] == {"inverted": 100, "index": 100}
    assert loaded == "set()"


def families(tmp_path: Path, network: Path, small_network: Path) -> dict[str, tuple[Path, dict[str, object]]]:
    """A checkpoint of each family, and how it is opened."""
    tables = copied(network, tmp_path / "tables")
    write_json(tables / "idf.json", {"index": 2.5, "blood": 1.5, "the": 0.1})
    static = router(tmp_path / "static", [("SparseStaticEmbedding", QUERY_TABLE)], "5.0", "", activation="log1p_relu")
    add_static(static / QUERY_TABLE, static_weights())
    add_prompts(static, {"query": "q: ", "document": "d: "})
    chain = router(
        tmp_path / "chain",
        [("Transformer", "document_0_Transformer"), ("SpladePooling", "document_1_SpladePooling"),
         ("SparseStaticEmbedding", "query_2_X")], "6",
    )  # fmt: skip
    add_static(chain / "query_2_X", static_weights())
    two = router(tmp_path / "two", [("Transformer", "query_0_T"), ("SpladePooling", "query_1_S")], "6", pooling="sum")
    write_json(copied(small_network, two / "query_0_T") / "sentence_bert_config.json", FILL_MASK)
    add_pooling(two / "query_1_S", "6")
    echo = llama(tmp_path / "echo", [*DOCUMENTS, *CODE], "<s> $A </s>")
    lora(tmp_path / "lora", network, tmp_path / "merged", AutoModelForMaskedLM, None)
    pooled = plain(tmp_path / "pooled", "6", pooling="sum", activation="log1p_relu")
    return {
        "v1": (network, {"pooling": "sum"}),
        "max": (network, {"query_max_length": 8, "query_prefix": "query: ", "prefix": "text: "}),
        "doc": (network, {"query_mode": "binary", "query_max_length": 4}),
        "lexical": (network, {"query_mode": "lexical", "activation": "log1p_log1p_relu"}),
        "efficient": (network, {"query_model": small_network}),
        "efficient, of other poolings": (network, {"query_model": pooled}),
        "efficient, with a table": (network, {"query_model": tables}),
        "opensearch": (tables, {}),
        "opensearch by hand": (tables, {"drop_specials": False, "activation": "log1p_log1p_relu"}),
        "opensearch with its network": (tables, {"query_mode": "model"}),
        "static": (static, {}),
        "chain": (chain, {}),
        "two networks": (two, {}),
        "echo": (echo, {}),
        "lora": (tmp_path / "lora", {}),
    }


FAMILIES = ["v1", "max", "doc", "lexical", "efficient", "efficient, of other poolings", "efficient, with a table",
            "opensearch", "opensearch by hand", "opensearch with its network", "static", "chain", "two networks", "echo",
            "lora"]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, network, small_network):
    built = families(tmp_path_factory.mktemp("families"), network, small_network)
    assert list(built) == FAMILIES
    return built


ODD = ["<|padding|>", "<|endoftext|>", "|||PHONE_NUMBER|||"]


def other_tokenizers(folder: Path) -> dict[str, Path]:
    """Tokenizers of other vocabularies, and those whose special tokens are named elsewhere, or not at all."""
    texts = [*DOCUMENTS, *CODE]
    byte_level_tokenizer(folder / "roberta", texts)
    unigram_tokenizer(folder / "xlm", texts)
    byte_level_tokenizer(
        folder / "without padding", texts, "<s> $A", specials={"bos_token": "<s>", "eos_token": "</s>"}
    )
    bert_names = {
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "mask_token": "[MASK]",
    }
    for name in ("modernbert", "more specials", "named beside", "unnamed"):
        tokenizer = Tokenizer.from_file(str(embedded_model_folder() / "tokenizer.json"))
        tokenizer.add_special_tokens(ODD[:2])  # flagged, but not named, as in ModernBERT
        tokenizer.add_tokens([AddedToken(ODD[2], normalized=False)])
        more: Any = {"additional_special_tokens": ODD[1:2]} if name == "more specials" else {}
        save_tokenizer(tokenizer, folder / name, 128, **bert_names, **more)
    write_json(folder / "named beside" / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    write_json(folder / "named beside" / "special_tokens_map.json", {**bert_names, "mask_token": {"content": "[MASK]"}})
    write_json(folder / "unnamed" / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    return {path.name: path for path in sorted(folder.iterdir())}


def assert_same_tokens(folder: Path) -> set[str]:
    """The light tokenizer of a folder has the ids, names and special tokens of transformers'; returns the latter."""
    light, whole = PlainTokenizer(folder), AutoTokenizer.from_pretrained(folder)
    texts = [*QUERIES, *DOCUMENTS, *CODE, "", " [MASK] <mask> [CLS]", f"a {ODD[0]} b{ODD[1]} {ODD[2]}c"]
    for special in (True, False):
        expected = [whole(text, add_special_tokens=special)["input_ids"] for text in texts]
        assert light(texts, add_special_tokens=special)["input_ids"] == expected
    assert light.get_vocab() == whole.get_vocab()
    assert {*light.all_special_ids} == {*whole.all_special_ids}
    assert (light.unk_token_id, light.pad_token_id) == (whole.unk_token_id, whole.pad_token_id)
    return {*whole.all_special_tokens}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_light_tokenizer_of_a_family_is_that_of_transformers(checkpoints, family):
    folder, settings = checkpoints[family]
    layout = ours(folder, **settings).layout
    for side in (layout.documents, layout.queries):
        assert assert_same_tokens(side.location.tokenizer_folder)


def test_the_light_tokenizer_has_the_special_tokens_that_are_named(tmp_path):
    """What tokenizer.json calls special, as ModernBERT's padding, is a term unless the settings name it."""
    found = {name: assert_same_tokens(folder) for name, folder in other_tokenizers(tmp_path).items()}
    bert_names = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"}
    assert found["modernbert"] == found["named beside"] == found["unnamed"] == bert_names
    assert found["more specials"] == bert_names | {ODD[1]}
    assert found["without padding"] == {"<s>", "</s>"}
    assert found["roberta"] == found["xlm"] == {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_index_opens_the_queries_of_its_family(tmp_path, checkpoints, family):
    folder, settings = checkpoints[family]
    encoder = ours(folder, **settings)
    index = encode_and_index(tmp_path, {"a": DOCUMENTS[0], "b": DOCUMENTS[2]}, encoder)
    texts = [*QUERIES, DOCUMENTS[3]]
    expected = SpladeQueryEncoder(encoder, RULE).encode_batch(texts)
    assert any(expected)
    opened = open_query_encoder(index, device="cpu")
    assert opened.encode_batch(texts) == expected
    assert opened.encoder.layout.queries == replace(
        encoder.layout.queries, max_length=opened.encoder.layout.queries.max_length
    )
    with LuceneImpactSearcher(index) as searcher:
        assert len(searcher.search(QUERIES[0])) > 0


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({}, "model.safetensors"),
        ({"query_mode": "binary"}, "tokenizer.json"),
        ({"query_mode": "lexical"}, "model.safetensors"),
    ],
)
def test_a_query_side_that_changed_since_is_refused(tmp_path, network, settings, changed):
    folder = copied(network, tmp_path / "model")
    index = encode_and_index(tmp_path, {"a": DOCUMENTS[0]}, ours(folder, **settings))
    open_query_encoder(index, device="cpu")
    with (folder / changed).open("r+b") as file:
        if changed == "tokenizer.json":
            text = file.read().replace(b'"index"', b'"indox"')
            file.seek(0)
            file.write(text)
        else:
            file.seek(-4, 2)
            file.write(b"\x01\x02\x03\x04")
    with pytest.raises(ModelError, match="is no longer the model with which"):
        open_query_encoder(index, device="cpu")


def test_a_table_that_changed_since_is_refused_unless_it_is_named(tmp_path, opensearch, caplog):
    index = encode_and_index(tmp_path, {"a": DOCUMENTS[0]}, ours(opensearch))
    table = json.loads((opensearch / "idf.json").read_text())
    write_json(opensearch / "idf.json", {**table, "blood": 9.5})
    with pytest.raises(ModelError, match="is no longer the model with which"):
        open_query_encoder(index, device="cpu")
    named = open_query_encoder(index, opensearch, device="cpu")
    assert named.encode("blood") == {"blood": 950}
    assert "was encoded with another model" in caplog.text


def test_only_the_query_side_needs_to_be_the_one_of_the_index(tmp_path, network, opensearch):
    """A change of the documents' network does not matter to a search."""
    index = encode_and_index(tmp_path, {"a": DOCUMENTS[0]}, ours(opensearch))
    with (opensearch / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\x01\x02\x03\x04")
    assert open_query_encoder(index, device="cpu").encode("index") == {"index": 100}


def test_a_tokenizer_in_parts_is_enough_for_inference_free_queries(tmp_path, network):
    """Older checkpoints have a vocab.txt, and no tokenizer.json."""
    folder = copied(network, tmp_path / "model")
    tokens = AutoTokenizer.from_pretrained(folder).get_vocab()
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(tokens, key=tokens.get)))
    (folder / "tokenizer.json").unlink()
    index = encode_and_index(tmp_path, {"a": DOCUMENTS[0]}, ours(folder, query_mode="binary"))
    assert open_query_encoder(index, device="cpu").encode("Inverted index") == {"inverted": 100, "index": 100}
    (folder / "vocab.txt").write_text((folder / "vocab.txt").read_text().replace("\nindex\n", "\nindox\n"))
    with pytest.raises(ModelError, match="is no longer the model with which"):
        open_query_encoder(index, device="cpu")


def test_the_quantizer_of_several_indexes_is_that_of_any(tmp_path, network):
    index = encode_and_index(tmp_path / "a", {"a": DOCUMENTS[0]}, ours(network))
    other = encode_and_index(tmp_path / "b", {"b": DOCUMENTS[1]}, ours(network))
    rule = Quantizer.named("naver", 7.0)
    rewrite_manifest(index, lambda facts: {**facts, "quantizer": None})
    rewrite_manifest(other, lambda facts: {**facts, "model": "", "quantizer": rule.to_json()})
    for indexes in ([index, other], [other, index]):
        assert open_query_encoder(indexes, device="cpu").quantizer == rule


BEFORE = ("format", "model", "model_digest", "pooling", "max_length", "query_max_length", "quantizer", "min_impact",
          "corpus", "documents", "encoding", "settings", "shard", "empty", "versions", "commit")  # fmt: skip


def age(index: Path, **changes: object) -> None:
    """Rewrites an index's manifest as versions without families wrote it."""
    rewrite_manifest(index, lambda facts: {**{key: facts[key] for key in BEFORE}, "top_terms": 0, **changes})


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_indexes_from_before_there_were_families_still_open(tmp_path, network, pooling):
    """Their manifests know pooling and lengths only."""
    encoder = ours(network, pooling=pooling, query_max_length=6)
    index = encode_and_index(tmp_path, {"a": DOCUMENTS[0]}, encoder)
    age(index)
    opened = open_query_encoder(index, device="cpu")
    assert opened.encode_batch(QUERIES + DOCUMENTS) == SpladeQueryEncoder(encoder, RULE).encode_batch(
        QUERIES + DOCUMENTS
    )
    assert opened.encoder.query_max_length == 6
    with LuceneImpactSearcher(index) as searcher:
        assert len(searcher.search("index")) == 1
    age(index, model_digest="0" * 64)
    with pytest.raises(ModelError, match="is no longer the model with which"):
        open_query_encoder(index, device="cpu")


def test_what_the_list_of_known_models_says_now_does_not_change_indexes_from_before(tmp_path, network, monkeypatch):
    """Older versions expanded queries whatever the model."""
    monkeypatch.setattr("splade_lucene.encoder.location._fetch", lambda _: network)
    encoder = ours("naver/splade-v3-doc", query_mode="model")
    index = encode_and_index(tmp_path, {"a": DOCUMENTS[0]}, encoder)
    age(index)
    assert open_query_encoder(index, device="cpu").encode("index") == SpladeQueryEncoder(encoder, RULE).encode("index")


def test_a_manifest_with_an_unknown_setting_of_the_encoder_is_refused(tmp_path, network):
    """Without it, queries would be encoded in another way than the index was made for."""
    index = encode_and_index(tmp_path, {"a": DOCUMENTS[0]}, ours(network, query_mode="binary"))
    choices = json.loads((index / INDEX_FILE).read_text())["choices"]
    assert choices["query_mode"] == "binary"
    renamed = {"queries" if name == "query_mode" else name: value for name, value in choices.items()}
    rewrite_manifest(index, lambda facts: {**facts, "choices": renamed})
    with pytest.raises(InputError, match=r"manifest\.json: the encoder settings have unknown names: queries\."):
        open_query_encoder(index, device="cpu")
    with LuceneImpactSearcher(index) as searcher:
        assert len(searcher.search({"index": 1})) == 1
