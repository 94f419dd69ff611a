"""Reranking by a tiny cross-encoder with random weights, against transformers itself; resuming after a kill."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from support.checkpoints import tiny_tokenizer
from support.progress import RecordedProgress
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel
from typer.testing import CliRunner

from splade_lucene import (
    PseudoDocument,
    Query,
    Reranker,
    Run,
    index_pseudo_documents,
    index_texts,
    read_corpus,
    write_pseudo_documents,
)
from splade_lucene.cli.app import app
from splade_lucene.errors import (
    CorpusError,
    InputError,
    MissingDependencyError,
    ModelError,
    NotAnIndexError,
    QueryError,
    RunError,
    StorageError,
)
from splade_lucene.files.files import work_folder
from splade_lucene.run.reranker import StoredTexts, texts_of_corpus

TEXTS = {f"d{i}": f"the {word} and {word} number {i}" + " and so on" * (i % 4) for i, word in enumerate(
    "cat dog bird fish horse cow sheep goat mouse rat".split())}  # fmt: skip # noqa: SIM905
QUERIES = {"q1": "a cat and a dog", "q2": "which animals swim", "q3": "farm"}
RUN = Run(
    {
        "q1": [(f"d{i}", 20 - i) for i in range(10)],
        "q2": [(f"d{i}", 9) for i in (3, 1, 7)],
        "q3": [("d5", 2.5)],
    },
    tag="first",
)


def save_network(folder: Path, kind: type, labels: int = 1, **changes) -> Path:
    folder.mkdir()
    tiny_tokenizer(folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, num_labels=labels, initializer_range=0.8, **changes,
    )  # fmt: skip
    kind(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_network(tmp_path_factory.mktemp("models") / "tiny", BertForSequenceClassification)


@pytest.fixture(scope="module")
def reranker(model_dir):
    return Reranker(model_dir, device="cpu", batch_size=4)


def logits(folder, query, texts, max_length=64):
    """One pair at a time, straight through transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = BertForSequenceClassification.from_pretrained(folder).eval()
    rows = []
    with torch.no_grad():
        for text in texts:
            encoded = tokenizer(query, text, truncation=True, max_length=max_length, return_tensors="pt")
            rows.append(network(**encoded).logits[0].numpy())
    return np.array(rows)


# ---- scores ----


def test_scores_are_the_networks_logits(model_dir, reranker):
    for query in QUERIES.values():
        expected = logits(model_dir, query, TEXTS.values())
        found = reranker.scores(query, list(TEXTS.values()))
        assert found.dtype == np.float32
        assert found == pytest.approx(expected[:, 0], abs=1e-4)
        assert expected.std() > 0.01
    assert reranker.scores("q", []).shape == (0,)
    twice = reranker.scores("q", ["b", "a", "b", "c", "d", "e", "b"])  # over several batches
    assert twice[0] == twice[2] == twice[6] != twice[1]


def test_the_length_of_a_pair_is_cut(model_dir):
    long = "a horse runs over the field " * 20
    found = Reranker(model_dir, device="cpu", max_length=16).scores("horse", [long])
    assert found == pytest.approx(logits(model_dir, "horse", [long], 16)[:, 0], abs=1e-4)
    assert found != pytest.approx(logits(model_dir, "horse", [long])[:, 0], abs=1e-4)


def test_two_labels_score_by_their_difference(tmp_path):
    folder = save_network(tmp_path / "two", BertForSequenceClassification, labels=2)
    expected = logits(folder, "cat", TEXTS.values())
    found = Reranker(folder, device="cpu").scores("cat", list(TEXTS.values()))
    assert found == pytest.approx(expected[:, 1] - expected[:, 0], abs=1e-4)


# ---- rankings ----


def test_the_first_hits_are_ordered_by_score_and_the_others_follow(model_dir, reranker):
    reranked = reranker.rerank(RUN, QUERIES, TEXTS, k=6)
    assert list(reranked) == list(RUN)
    assert reranked.tag == "first"
    for qid, hits in reranked.items():
        first = [docid for docid, _ in RUN[qid]]
        scores = dict(zip(first[:6], logits(model_dir, QUERIES[qid], [TEXTS[d] for d in first[:6]])[:, 0], strict=True))
        expected = sorted(scores, key=lambda docid: -scores[docid])
        assert [docid for docid, _ in hits] == expected + first[6:]
        assert [score for _, score in hits[:6]] == pytest.approx([scores[docid] for docid in expected], abs=1e-4)
        assert all(a[1] > b[1] for a, b in itertools.pairwise(hits))
    assert [score for _, score in reranked["q1"][6:]] == [math.floor(reranked["q1"][5][1]) - i for i in (1, 2, 3, 4)]


def test_equal_scores_keep_the_first_stages_order(reranker, tmp_path):
    texts = dict.fromkeys(TEXTS, "the same text")
    queries = [Query(qid, text) for qid, text in QUERIES.items()]
    reranked = reranker.rerank(RUN, queries, texts)
    reranked.write(tmp_path / "run")
    assert {qid: [d for d, _ in hits] for qid, hits in Run.read(tmp_path / "run").items()} == {
        qid: [d for d, _ in hits] for qid, hits in RUN.items()
    }


def test_a_run_of_scores_and_numeric_ids_is_reranked_by_its_best(reranker):
    texts = {str(number): TEXTS[f"d{number}"] for number in range(10)}
    ranked = {"1": [(str(number), 20 - number) for number in range(10)]}
    expected = reranker.rerank(ranked, [Query("1", "a cat")], texts, k=3)
    assert dict(reranker.rerank({1: {n: 20 - n for n in reversed(range(10))}}, {1: "a cat"}, texts, k=3)) == dict(
        expected
    )
    assert dict(reranker.rerank(ranked, iter([Query("1", "a cat")]), texts, k=3)) == dict(expected)


def test_wrong_input_is_refused_before_the_work(reranker):
    with pytest.raises(RunError, match="query 'q2' of the run is not among the topics"):
        reranker.rerank(RUN, {"q1": "x", "q3": "y"}, TEXTS)
    with pytest.raises(QueryError, match="query 'q3' has no text"):
        reranker.rerank(RUN, [*(Query(q, t) for q, t in list(QUERIES.items())[:2]), Query("q3", "", {"a": 1})], TEXTS)
    with pytest.raises(RunError, match="k must be at least 1"):
        reranker.rerank(RUN, QUERIES, TEXTS, k=0)


def test_checkpoints_that_are_no_cross_encoders(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match="a BertModel has no trained head"):
        Reranker(save_network(tmp_path / "plain", BertModel), device="cpu")
    with pytest.raises(ModelError, match="one or two labels, found 3"):
        Reranker(save_network(tmp_path / "three", BertForSequenceClassification, labels=3), device="cpu")
    with pytest.raises(ModelError, match="cannot load a cross-encoder"):
        Reranker(tmp_path / "nothing", device="cpu")
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(MissingDependencyError, match=r"splade-lucene\[rerank\]"):
        Reranker(tmp_path / "plain")


# ---- resuming ----


class Killed(BaseException):
    """Stands for a killed process."""


def test_a_killed_reranking_goes_on(reranker, tmp_path, monkeypatch):
    undisturbed = dict(reranker.rerank(RUN, QUERIES, TEXTS, k=6))
    scores_file = tmp_path / "work" / "scores.jsonl"

    def kill_after_two(count):
        if len(killed.reports) == 2:
            raise Killed

    killed, resumed = RecordedProgress(kill_after_two), RecordedProgress()
    with pytest.raises(Killed):
        reranker.rerank(RUN, QUERIES, TEXTS, k=6, scores_file=scores_file, progress=killed)
    with scores_file.open("a") as file:
        file.write('{"key": "half a li')  # killed while it wrote
    scored = []
    monkeypatch.setattr(
        reranker, "scores", lambda query, texts: scored.append(query) or type(reranker).scores(reranker, query, texts)
    )
    again = reranker.rerank(RUN, QUERIES, TEXTS, k=6, scores_file=scores_file, progress=resumed)
    assert dict(again) == undisturbed
    assert scored == [QUERIES["q3"]]
    assert resumed.steps == [("reranking", 10, "pairs")]
    assert [(count, is_resumed) for count, _, is_resumed in resumed.reports] == [(6, True), (3, True), (1, False)]
    # what others would say of other texts, depths or queries is not mistaken for it
    reranker.rerank(RUN, QUERIES | {"q1": "another"}, TEXTS | {"d5": "another"}, k=6, scores_file=scores_file)
    assert scored[1:] == ["another", QUERIES["q3"]]
    scores_file.write_text("nonsense\n")
    with pytest.raises(StorageError, match="damaged"):
        reranker.rerank(RUN, QUERIES, TEXTS, scores_file=scores_file)


# ---- texts ----


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An index that stores texts and one that does not, a corpus, topics, and a run."""
    folder = tmp_path_factory.mktemp("rerank")
    write_pseudo_documents(folder / "encoded.jsonl", [PseudoDocument(*each, {"a": 1}) for each in TEXTS.items()])
    for store in ("text", "none"):
        index_pseudo_documents(folder / "encoded.jsonl", folder / store, store=store, accelerator=False)
    (folder / "corpus.tsv").write_text("".join(f"{docid}\t{text}\n" for docid, text in TEXTS.items()))
    (folder / "topics.tsv").write_text("".join(f"{qid}\t{text}\n" for qid, text in QUERIES.items()))
    RUN.write(folder / "run.trec")
    return folder


def test_texts_of_an_index_and_of_a_corpus(place):
    with StoredTexts(place / "text") as texts:
        assert {docid: texts[docid] for docid in TEXTS} == TEXTS
        with pytest.raises(InputError, match="no document has the id 'nobody'"):
            texts["nobody"]
    with (
        StoredTexts(place / "none") as texts,
        pytest.raises(InputError, match="does not store the text of document 'd1'"),
    ):
        texts["d1"]
    index_texts(read_corpus(place / "corpus.tsv"), place / "bm25", store="text")
    with StoredTexts(place / "bm25") as texts:
        assert {docid: texts[docid] for docid in TEXTS} == TEXTS
        with pytest.raises(InputError, match="does not store the text of document 'nobody'"):
            texts["nobody"]
    with pytest.raises(NotAnIndexError, match="nowhere"):
        StoredTexts(place / "nowhere")
    assert texts_of_corpus(place / "corpus.tsv", ["d3", "d7"]) == {docid: TEXTS[docid] for docid in ("d3", "d7")}
    with pytest.raises(CorpusError, match="2 documents of the run are not in the corpus: x, y"):
        texts_of_corpus(place / "corpus.tsv", ["y", "d1", "x"])
    with pytest.raises(CorpusError, match=r"1 document of the run is not in the corpus: x\."):
        texts_of_corpus(place / "corpus.tsv", ["d1", "x"])


# ---- the command line ----


def rerank(place, model_dir, output, *more):
    given = ["rerank", "--run", place / "run.trec", "--topics", place / "topics.tsv", "--model", model_dir, "--output",
             output, "--device", "cpu", "--hits", 6, *more]  # fmt: skip
    return CliRunner().invoke(app, list(map(str, given)))


def test_rerank_from_an_index_equals_rerank_from_a_corpus(place, model_dir, reranker, tmp_path):
    reranker.rerank(Run.read(place / "run.trec"), QUERIES, TEXTS, k=6).write(tmp_path / "expected")
    done = rerank(place, model_dir, tmp_path / "a", "--index", place / "text", "--batch-size", 4, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"run": str(tmp_path / "a"), "queries": 3, "scored": 10, "model": str(model_dir)}
    lines = [json.dumps({"pid": docid, "passage": text}) + "\n" for docid, text in TEXTS.items()]
    (place / "keys.jsonl").write_text("".join(lines))
    keys = ["--id-field", "pid", "--text-field", "passage"]
    done = rerank(place, model_dir, tmp_path / "b", "--corpus", place / "keys.jsonl", *keys, "--batch-size", 4)
    assert done.exit_code == 0, done.stderr
    done = rerank(place, model_dir, tmp_path / "c", "--index", place / "text", *keys)
    assert (done.exit_code, "--id-field, --text-field require --corpus" in done.stderr) == (2, True)
    for name in ("a", "b"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "expected").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "expected"]  # no work is left


def test_rerank_on_the_command_line_resumes(place, model_dir, tmp_path, monkeypatch):
    calls = []
    original = Reranker.scores

    def interrupted(self, query, texts):
        calls.append(query)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, query, texts)

    monkeypatch.setattr(Reranker, "scores", interrupted)
    done = rerank(place, model_dir, tmp_path / "run", "--index", place / "text")
    assert done.exit_code == 130
    assert not (tmp_path / "run").exists()
    assert (work_folder(tmp_path / "run", "reranking") / "scores.jsonl").read_text().count("\n") == 2
    assert rerank(place, model_dir, tmp_path / "run", "--index", place / "text").exit_code == 0
    assert len(calls) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_rerank_says_what_is_wrong(place, model_dir, tmp_path):
    done = rerank(place, model_dir, tmp_path / "run", "--index", place / "none")
    assert (done.exit_code, "Index with --store text, or pass the corpus" in done.stderr) == (1, True)
    assert not (tmp_path / "run").exists()
    assert rerank(place, model_dir, tmp_path / "run").exit_code == 2
    assert rerank(place, model_dir, tmp_path / "run", "--index", "a", "--corpus", "b").exit_code == 2
    assert rerank(place, model_dir, tmp_path / "run", "--index", "a", "--topic-field", "body").exit_code == 2
