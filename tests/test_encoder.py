"""Weights equal the published formula and Pyserini's encoders, whatever the batches and the checkpoint's layout."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.checkpoints import CODE, TouchesWhenLoaded, llama, plain_network, tiny_checkpoint, tiny_tokenizer
from support.encoders import encoder_on_cpu
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
)

from splade_lucene import (
    DocumentSettings,
    Pruning,
    Quantizer,
    Query,
    QuerySettings,
    SpladeEncoder,
    SpladeQueryEncoder,
)
from splade_lucene.encoder.batching import batches_by_length
from splade_lucene.encoder.linear import linear_map
from splade_lucene.encoder.pooling import pool_logits, project_and_pool
from splade_lucene.encoder.storage import restore_from_int8
from splade_lucene.errors import InputError, ModelError, QueryError
from splade_lucene.jvm.pyserini_import import pyserini_importable
from splade_lucene.models import embedded_model_folder
from splade_lucene.search.query_encoder import encode_topics

TEXTS = [
    "How do I list every file below a folder?",
    "Lucene",
    "Sparse retrieval with learned term expansion runs on an inverted index. " * 8,
    "naïve café — 漢字 and emoji 😀",
    "a b c d e f g",
]


def straight_weights(model_folder: Path, text: str, pooling: str, max_length: int = 256) -> dict[str, float]:
    """The formula of the papers, one text at a time, with all logits at hand, in double precision."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = plain_network(model_folder).double().eval()
    inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=max_length)
    with torch.no_grad():
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[0]
    per_token = torch.log(1 + torch.clamp(logits, min=0))
    pooled = per_token.max(dim=0).values if pooling == "max" else per_token.sum(dim=0)
    return {tokenizer.convert_ids_to_tokens(i): float(w) for i, w in enumerate(pooled.tolist()) if w > 0}


# What single precision may cost in six layers depends on the processor's kernels: against double precision up to 6e-6 a token
# with AVX2, some 2e-5 seen with AVX-512. A wrong mask, bias or activation shows from 1e-3 on.
ROUNDING = 5e-5


def assert_close(found: dict[str, float], expected: dict[str, float]) -> None:
    assert len(expected) > 3
    for term in found.keys() | expected.keys():
        assert found.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), abs=ROUNDING), term


@pytest.mark.model
@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_weights_equal_the_published_formula(pooling):
    weights = SpladeEncoder(
        documents=DocumentSettings(pooling=pooling), device="cpu", dtype="float32"
    ).encode_documents(TEXTS)
    assert len(weights) == len(TEXTS)
    for text, found in zip(TEXTS, weights, strict=True):
        assert_close(found, straight_weights(embedded_model_folder(), text, pooling))


@pytest.mark.model
def test_impacts_equal_pyserinis_encoders(encoder, shared, tmp_path):
    """Impact by impact: on Pyserini's own rule and rounding, for documents in a padded batch and for queries."""
    passages = [
        json.loads(line)["text"]
        for line in (shared / "data/cacm/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    ][:24]
    questions = [
        json.loads(line)["text"]
        for line in (shared / "data/cacm/queries.jsonl").read_text(encoding="utf-8").splitlines()
    ][:12]
    with pyserini_importable():
        from pyserini.encode import SpladeDocumentEncoder
        from pyserini.encode import SpladeQueryEncoder as TheirQueryEncoder
    folder = str(tmp_path / "splade-plain")
    restore_from_int8(embedded_model_folder(), tmp_path / "splade-plain")
    weights = load_file(tmp_path / "splade-plain" / "model.safetensors")
    torch.save(weights, tmp_path / "splade-plain" / "pytorch_model.bin")  # Pyserini 2.4 reads no safetensors
    rule = Quantizer.named("pyserini")
    document_encoder = SpladeDocumentEncoder(folder, device="cpu")
    document_encoder.model.float()  # whatever type the configuration names
    theirs = document_encoder.encode(passages, max_length=256)
    ours = encoder.encode_documents(passages).quantize(rule, "document")
    assert_same_impacts(ours, theirs)
    query_encoder = TheirQueryEncoder(folder, device="cpu")
    query_encoder.model.float()
    assert_same_impacts(
        SpladeQueryEncoder(encoder, rule).encode_batch(questions), [query_encoder.encode(text) for text in questions]
    )


def assert_same_impacts(ours: list[dict[str, int]], theirs: list[dict[str, int]]) -> None:
    """Equal, except for weights within rounding error of a half."""
    different = total = 0
    for found, expected in zip(ours, theirs, strict=True):
        expected = {term: impact for term, impact in expected.items() if impact}  # Pyserini keeps zeros
        total += len(expected)
        for term in found.keys() | expected.keys():
            difference = abs(found.get(term, 0) - expected.get(term, 0))
            assert difference <= 1, term
            different += difference
    assert total > 300
    assert different <= total / 1000


@pytest.mark.model
def test_pyserinis_own_searcher_takes_our_query_encoder(encoder, tmp_path):
    from splade_lucene import LuceneImpactSearcher, PseudoDocument, index_pseudo_documents, write_pseudo_documents

    texts = {"a": "listing the files of a directory", "b": "boiling an egg", "c": "opening a file for reading"}
    rule = Quantizer.named("naver")
    vectors = encoder.encode_documents(list(texts.values())).quantize(rule, "document")
    documents = [PseudoDocument(i, t, v) for (i, t), v in zip(texts.items(), vectors, strict=True)]
    write_pseudo_documents(tmp_path / "d.jsonl", documents)
    index_pseudo_documents(tmp_path / "d.jsonl", tmp_path / "index")
    query_encoder = SpladeQueryEncoder(encoder, rule)
    with pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as Theirs
    theirs = Theirs(str(tmp_path / "index"), query_encoder)
    with LuceneImpactSearcher(tmp_path / "index", query_encoder, min_idf=0) as ours:
        for query in ("how to list files", "cooking eggs"):
            expected = [(hit.docid, hit.score) for hit in theirs.search(query, 3)]
            assert expected
            assert [(hit.docid, hit.score) for hit in ours.search(query, 3)] == expected


@pytest.mark.model
def test_a_text_has_the_same_weights_in_every_batch(encoder):
    source = random.Random(1)
    texts = [
        " ".join(source.choices(["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "and", "cats"], k=n))
        for n in range(1, 40)
    ]
    alone = [encoder.encode_documents([text])[0] for text in texts]
    together = encoder.encode_documents(texts)
    for expected, found in zip(alone, together, strict=True):
        for term in expected.keys() | found.keys():
            assert found.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), abs=2e-5)


@pytest.mark.model
def test_documents_and_queries_are_cut_after_their_own_lengths():
    encoder = SpladeEncoder(
        documents=DocumentSettings(max_length=12), queries=QuerySettings(max_length=6), device="cpu", dtype="float32"
    )
    long = "cat dog bird fish horse cow sheep goat mouse rat frog toad snake"
    short = SpladeEncoder(documents=DocumentSettings(max_length=100), device="cpu", dtype="float32")
    assert_close(encoder.encode_documents([long])[0], short.encode_documents([" ".join(long.split()[:10])])[0])
    assert_close(encoder.encode_queries([long])[0], short.encode_documents([" ".join(long.split()[:4])])[0])


@pytest.mark.model
def test_nothing_to_encode(encoder):
    assert len(encoder.encode_documents([])) == 0
    assert encoder.encode_documents([]).quantize(Quantizer.named("naver"), "document") == []


@pytest.mark.model
@pytest.mark.parametrize("blank", ["", " \t\n", "\u3000\u00a0", "\x00\x01", "\u200b\ufeff"])
def test_a_blank_text_has_no_terms(encoder, blank):
    """Special tokens and a prefix alone would give it the terms of a query of stop words."""
    texts = ["cat", blank, "dog"]
    for encode in (encoder.encode_documents, encoder.encode_queries):
        cat, nothing, dog = encode(texts)
        assert (nothing, [cat], [dog]) == ({}, list(encode(["cat"])), list(encode(["dog"])))
    seen: list[int] = []
    encoder.encode_documents([blank, "cat"], lambda documents, _: seen.append(documents))
    assert sum(seen) == 2
    with_prefix = encoder_on_cpu(prefix="passage: ", query_prefix="query: ", query_mode="binary")
    assert with_prefix.encode_documents([blank])[0] == with_prefix.encode_queries([blank])[0] == {}
    assert with_prefix.encode_queries(["cat"])[0] == {"query": 1.0, ":": 1.0, "cat": 1.0}
    passages = encoder_on_cpu(prefix="passage: ", passage_tokens=8)
    assert passages.encode_documents([blank])[0] == {}


@pytest.mark.parametrize("template", ["$A", "<s> $A </s>"])
def test_a_blank_text_has_no_terms_where_spaces_are_tokens(tmp_path, template):
    folder = llama(tmp_path, CODE, template)
    assert AutoTokenizer.from_pretrained(folder)("  \u3000", add_special_tokens=False)["input_ids"]
    blank, code = encoder_on_cpu(folder).encode_documents(["  \u3000", "def f(x)"])
    assert (blank, len(code) > 3) == ({}, True)


def test_all_texts_of_an_iterator_are_encoded(tmp_path):
    encoder = encoder_on_cpu(tiny_checkpoint(tmp_path, "bert"))
    texts = ["an index", "a heart", "a plant"]
    expected = list(encoder.encode_documents(texts))
    query_encoder = SpladeQueryEncoder(encoder, Quantizer.named("naver"))
    given = {
        "generator": lambda: (text for text in texts),
        "map": lambda: map(str, texts),
        "tuple": lambda: tuple(texts),
        "array": lambda: np.array(texts),
        "column": lambda: pytest.importorskip("pandas").Series(texts, index=[7, 8, 9]),
        "values": lambda: dict(enumerate(texts)).values(),
        "file": lambda: io.StringIO("\n".join(texts)),
    }
    for name, make in given.items():
        assert list(encoder.encode_documents(make())) == expected, name
        assert list(encoder.encode_queries(make())) == expected, name
        assert encoder.tokenize_documents(make()).texts == 3, name
        assert len(query_encoder.encode_batch(make())) == 3, name
    queries = [Query(str(number), text) for number, text in enumerate(texts)]
    assert encode_topics(iter(queries), query_encoder) == encode_topics(queries, query_encoder)


@pytest.mark.parametrize(
    "texts", ["one text", b"bytes", {"d1": "a text"}, ["a", None], [1, 2], [["a"]], None, 7, np.array([["a", "b"]])]
)
def test_what_is_no_list_of_texts_is_refused(texts):
    encoder = SpladeEncoder(device="cpu", dtype="float32", queries=QuerySettings(mode="binary"))
    for encode in (encoder.encode_queries, encoder.encode_documents, encoder.tokenize_documents):
        with pytest.raises(InputError, match="expected several texts, got|a text must be a string, got"):
            encode(texts)


def test_a_table_is_no_list_of_texts():
    """Iterating over a table gives the names of its columns."""
    table = pytest.importorskip("pandas").DataFrame({"text": ["a"]})
    with pytest.raises(InputError, match="expected several texts, got a DataFrame"):
        SpladeEncoder(device="cpu").encode_documents(table)


def test_what_is_no_list_of_queries_is_refused():
    encoder = SpladeQueryEncoder(SpladeEncoder(device="cpu"), Quantizer.named("naver"))
    for wrong in ("a query", {"1": "a query"}):
        with pytest.raises(QueryError, match="expected (several|a sequence of) queries"):
            encoder.encode_batch(wrong)
    with pytest.raises(QueryError, match="expected Query objects, got 'a query'"):
        encode_topics(["a query"], encoder)  # type: ignore[list-item]


@pytest.mark.model
def test_bfloat16_stays_near_float32(encoder):
    text = TEXTS[3]
    exact, near = (
        encoder.encode_documents([text])[0],
        SpladeEncoder(device="cpu", dtype="bfloat16").encode_documents([text])[0],
    )
    shared_terms = exact.keys() & near.keys()
    assert len(shared_terms) > 0.8 * len(exact)
    assert max(abs(exact[term] - near[term]) for term in shared_terms) < 0.15


def test_top_terms_and_min_impact_keep_the_largest():
    from splade_lucene import SparseWeights

    weights = SparseWeights(
        np.array([0, 4, 4]),
        np.array([0, 1, 2, 3], np.int32),
        np.array([0.5, 2.0, 0.004, 1.0], np.float32),
        list("abcd"),
    )
    rule = Quantizer.named("naver")
    assert weights.quantize(rule, "document") == [{"b": 200, "d": 100, "a": 50}, {}]
    assert weights.prune(Pruning(top_terms=2)).quantize(rule, "document") == [{"b": 200, "d": 100}, {}]
    assert weights.quantize(rule, "document", min_impact=60) == [{"b": 200, "d": 100}, {}]
    assert list(weights.quantize(rule, "document")[0]) == ["b", "d", "a"]
    assert weights[1] == {}
    assert weights[-2] == weights[0] == pytest.approx({"a": 0.5, "b": 2.0, "c": 0.004, "d": 1.0})
    with pytest.raises(IndexError):
        weights[2]


# ---- pooling and batches ----


@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_projecting_by_slices_equals_all_at_once(pooling):
    torch.manual_seed(3)
    hidden, weight, bias = torch.randn(3, 7, 16), torch.randn(1300, 16), torch.randn(1300)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    expected = pool_logits(hidden @ weight.T + bias, mask, pooling)
    bounds = [(0, 512), (512, 1024), (1024, 1300)]
    projections = [(start, stop, linear_map(weight[start:stop], bias[start:stop])) for start, stop in bounds]
    assert torch.allclose(project_and_pool(hidden, projections, mask, pooling), expected, atol=1e-5)
    naive = torch.log1p(torch.relu(hidden @ weight.T + bias)) * mask[..., None]
    naive = naive.max(dim=1).values if pooling == "max" else naive.sum(dim=1)
    assert torch.allclose(expected, naive, atol=1e-5)


def test_batches_hold_every_text_once_within_the_budget():
    lengths = [random.Random(2).randint(1, 60) for _ in range(200)] + [500]
    batches = list(batches_by_length(lengths, 128))
    assert sorted(i for batch in batches for i in batch) == list(range(201))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 128
    assert batches[0] == [200]


# ---- checkpoints ----


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_other_architectures_give_their_formula_too(tmp_path, kind, pooling):
    folder = tiny_checkpoint(tmp_path, kind)
    encoder = SpladeEncoder(folder, documents=DocumentSettings(pooling=pooling), device="cpu", dtype="float32")
    assert encoder.document_network._decoder is not None  # applied by slices, not on all logits
    for text, found in zip(TEXTS, encoder.encode_documents(TEXTS), strict=True):
        assert_close(found, straight_weights(folder, text, pooling, max_length=encoder.max_length))


def test_a_checkpoint_with_pickled_weights_only(tmp_path):
    folder = tiny_checkpoint(tmp_path, "bert")
    expected = SpladeEncoder(folder, device="cpu", dtype="float32").encode_documents(TEXTS[:1])[0]
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert_close(SpladeEncoder(folder, device="cpu", dtype="float32").encode_documents(TEXTS[:1])[0], expected)


def test_pickled_code_is_never_run(tmp_path):
    (tmp_path / "model").mkdir()
    folder = tiny_checkpoint(tmp_path / "model", "bert")
    (folder / "model.safetensors").unlink()

    torch.save({"weight": TouchesWhenLoaded(tmp_path / "owned")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError):
        SpladeEncoder(folder, device="cpu").encode_documents(["a"])
    assert not (tmp_path / "owned").exists()


def test_a_checkpoint_without_its_head_is_refused(tmp_path):
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, vocab_size=30522
    )
    BertModel(config).save_pretrained(tmp_path)
    tiny_tokenizer(tmp_path)
    with pytest.raises(
        ModelError, match=r"is missing \d+ weights? of a masked language model \(for example cls\.predictions"
    ):
        SpladeEncoder(tmp_path, device="cpu").encode_queries(["a"])


def test_missing_and_incomplete_checkpoints_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"no such model folder\. Check the path"):
        SpladeEncoder(tmp_path / "missing")
    with pytest.raises(ModelError, match="config.json not found, so this is not a model folder"):
        SpladeEncoder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="no weights"):
        SpladeEncoder(tmp_path)
    with pytest.raises(ModelError, match="is a file"):
        SpladeEncoder(tmp_path / "config.json")
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    tiny_checkpoint(tiny, "bert")
    (tiny / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot load a masked language model: .* Check that"):
        SpladeEncoder(tiny, device="cpu").encode_documents(["a"])


def test_a_hub_name_that_cannot_be_reached_says_so(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="the download from the model hub failed"):
        SpladeEncoder("nobody/no-such-model")


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="unknown pooling 'mean'"):
        SpladeEncoder(documents=DocumentSettings(pooling="mean"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown dtype 'int4'"):
        SpladeEncoder(dtype="int4")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot use the device"):
        SpladeEncoder(device="quantum")


@pytest.mark.model
def test_the_embedded_model_has_one_name_wherever_one_stands(tmp_path, monkeypatch, encoder):
    (tmp_path / "splade-minilm").mkdir()
    monkeypatch.chdir(tmp_path)
    assert SpladeEncoder(device="cpu").layout.location.name == "splade-minilm"
    (tmp_path / "mine").mkdir()
    tiny_checkpoint(tmp_path / "mine", "bert")
    assert SpladeEncoder("mine", device="cpu").layout.location.name == str(tmp_path / "mine")


@pytest.mark.model
def test_half_a_surrogate_pair_in_a_text_is_encoded_as_a_replacement(encoder):
    assert encoder.encode_queries(["ab\ud800"])[0] == pytest.approx(encoder.encode_queries(["ab\ufffd"])[0])
