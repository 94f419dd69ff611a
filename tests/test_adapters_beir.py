"""BEIR evaluates models through Lucene: its measures are ours, and indexes are made once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splade_lucene import (
    BeirSearch,
    CorpusError,
    InputError,
    LuceneImpactSearcher,
    Pruning,
    QueryError,
    build_index,
    evaluate,
)
from splade_lucene.adapters import corpus_search

pytest.importorskip("beir")
from beir.retrieval.evaluation import EvaluateRetrieval

pytestmark = pytest.mark.model
CORPUS = {
    "d1": {"title": "Lucene", "text": "is a library for full-text search."},
    "d2": {"title": "", "text": "Bread is baked in an oven."},
    "d 3": {"text": "The heart pumps blood through the body."},
    "q1": {"title": "Which library searches text?", "text": ""},
    "empty": {"title": "", "text": ""},
    "ä/5%": {"title": "Bread", "text": "needs flour, water and an oven"},
}
QUERIES = {"q1": "Which library searches text?", "q2": "how to bake bread", "q3": "blood circulation", "q4": " "}
QRELS = {"q1": {"d1": 1}, "q2": {"d2": 2, "ä/5%": 1}, "q3": {"d 3": 1}, "q4": {"d2": 1}}
K = [1, 3]


@pytest.fixture(scope="module")
def search(encoder: Any) -> Iterator[BeirSearch]:
    with BeirSearch(encoder) as opened:
        yield opened


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The indexes that were asked for; building one again is up to ``build_index``, which resumes and compares."""
    made: list[Path] = []

    def counted(corpus: Path, index_dir: Path, *arguments: Any, **options: Any) -> Any:
        made.append(index_dir)
        return build_index(corpus, index_dir, *arguments, **options)

    monkeypatch.setattr(corpus_search, "build_index", counted)
    return made


def test_their_measures_are_ours(search):
    suite = EvaluateRetrieval(search, k_values=K, score_function="dot")
    found = suite.retrieve(CORPUS, QUERIES)
    assert [*found] == [*QUERIES]
    assert next(iter(found["q1"])) == "d1"  # not q1, the query itself
    assert {*[*found["q2"]][:2]} == {"d2", "ä/5%"}
    assert next(iter(found["q3"])) == "d 3"
    assert found["q4"] == {}
    ndcg, average_precision, recall, precision = suite.evaluate(QRELS, found, K)
    ours = evaluate(QRELS, found, ["nDCG@1", "nDCG@3", "AP@1", "AP@3", "R@1", "R@3", "P@1", "P@3"])
    theirs = [*ndcg.values(), *average_precision.values(), *recall.values(), *precision.values()]
    assert theirs == pytest.approx([*ours.values()], abs=1e-5)  # they round to five places
    assert 0 < ndcg["NDCG@3"] < 1


def test_hits_are_those_of_the_searcher(search):
    searcher = search._corpus_search.index(
        (docid, each.get("title"), each["text"]) for docid, each in CORPUS.items()
    )  # the one that is open
    hits = searcher.search(QUERIES["q2"], k=3)
    found = search.search(CORPUS, QUERIES, 3)["q2"]
    assert [*found.values()] == [float(score) for score in hits.scores]
    kept = BeirSearch(search._corpus_search.encoder, remove_query=False)
    assert [*kept.search(CORPUS, QUERIES, 2)["q1"]] == ["q1", "d1"]
    kept.close()


def test_queries_that_are_documents_do_not_cost_a_hit(search):
    assert [*search.search(CORPUS, QUERIES, 1)["q1"]] == ["d1"]


def test_an_index_in_a_folder_is_used_again(encoder, tmp_path, builds):
    with BeirSearch(encoder, tmp_path / "beir") as search:
        first = search.search(CORPUS, QUERIES, 3)
        assert search.search(CORPUS, {"q2": QUERIES["q2"]}, 3) == {"q2": first["q2"]}
        assert len(builds) == 1  # still open
    index = builds[0]
    facts = {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.is_file()}
    with BeirSearch(encoder, tmp_path / "beir") as search:
        assert search.search(CORPUS, QUERIES, 3) == first
        assert {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.is_file()} == facts
        changed = search.search({**CORPUS, "d6": {"title": "", "text": "baking bread"}}, QUERIES, 3)
    assert "d6" in changed["q2"]
    assert builds[2] != index  # another corpus, another folder
    with BeirSearch(encoder, tmp_path / "beir", pruning=Pruning(top_terms=4)) as search:
        pruned = search.search(CORPUS, QUERIES, 3)
    assert builds[3] == index
    assert pruned != first
    with LuceneImpactSearcher(index) as searcher:  # any other program can use it, too
        assert searcher.num_docs == 5
        assert searcher.search("bread", k=1)[0].docid in ("d2", "ä/5%")


def test_a_temporary_folder_is_deleted(encoder):
    search = BeirSearch(encoder)
    search.search({"d1": {"text": "a library"}}, {"q": "library"}, 1)
    folder = search._corpus_search.folder
    assert folder.is_dir()
    search.close()
    assert not folder.exists()


def test_other_score_functions_are_noted(search, caplog):
    with caplog.at_level(logging.WARNING):
        EvaluateRetrieval(search, k_values=[1]).retrieve(CORPUS, {"q2": "bread"})
    assert "BEIR's score_function 'cos_sim' is ignored: an impact index computes dot products" in caplog.text


@pytest.mark.parametrize(
    ("corpus", "queries", "error", "message"),
    [
        ({1: {"text": "a"}}, {"q": "a"}, CorpusError, "expected a string as docid, got 1"),
        ({"d": {"text": ["a"]}}, {"q": "a"}, CorpusError, r"the text of document 'd' is not a string \(\['a'\]\)"),
        ({"d": "a text"}, {"q": "a"}, InputError, "document 'd' is not a mapping with a text, but 'a text'"),
        ({"d": {"text": "a text"}}, {1: "a"}, QueryError, "query 1: expected two strings, a qid and a text"),
        ({"d": {"text": "a text"}}, {"q": None}, QueryError, "query 'q': expected two strings"),
        ({"d": {"text": ""}}, {"q": "a"}, CorpusError, "no document has a term"),
        ({}, {"q": "a"}, CorpusError, "no documents"),
    ],
)
def test_wrong_input_is_an_error(search, corpus, queries, error, message):
    with pytest.raises(error, match=message):
        search.search(corpus, queries, 1)


def test_wrong_arguments_are_errors(search):
    with pytest.raises(QueryError, match="top_k must be an integer of at least 1, got 0"):
        search.search(CORPUS, QUERIES, 0)
    with pytest.raises(InputError, match=r"Call retrieve: with BeirSearch\(model, folder\) the index is kept"):
        EvaluateRetrieval(search, k_values=K).encode_and_retrieve(CORPUS, QUERIES)
    with pytest.raises(InputError, match="expected a model, got int"):
        BeirSearch(5)
