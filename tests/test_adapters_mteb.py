"""MTEB evaluates models through Lucene: a task of its own here, without a network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from splade_lucene import (
    InputError,
    MissingDependencyError,
    MtebSearch,
    Pruning,
    Quantizer,
    QueryError,
    SpladeEncoder,
    evaluate,
)
from splade_lucene.encoder.settings import QuerySettings

mteb = pytest.importorskip("mteb")
from datasets import Dataset  # noqa: E402
from mteb.abstasks.retrieval import AbsTaskRetrieval  # noqa: E402
from mteb.abstasks.task_metadata import TaskMetadata  # noqa: E402
from mteb.models import CrossEncoderProtocol, EncoderProtocol, SearchProtocol  # noqa: E402

pytestmark = pytest.mark.model
DOCUMENTS = [
    {"id": "d1", "title": "Lucene", "text": "is a library for full-text search."},
    {"id": "d 2", "title": "", "text": "Bread is baked in an oven."},
    {"id": "d3", "title": "", "text": "The heart pumps blood through the body."},
    {"id": "d4", "title": "Bread", "text": "needs flour, water and an oven"},
    {"id": "d5", "title": "", "text": ""},
]
QUERIES = [
    {"id": "q1", "text": "which library searches text"},
    {"id": "q2", "text": "how to bake bread"},
    {"id": "q3", "text": "blood circulation"},
]
QRELS = {"q1": {"d1": 1}, "q2": {"d4": 2, "d 2": 1}, "q3": {"d3": 1}}
TOP_RANKED = {"q1": ["d3", "d1", "d5"], "q2": ["d3", "d4", "d 2"], "q3": ["d1", "d 2"]}


def tiny_task(kind: str) -> Any:
    class TinyTask(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=f"Tiny{kind}", description="A few sentences.", reference=None, type=kind, category="t2t",
            modalities=["text"], eval_splits=["test"], eval_langs=["eng-Latn"], main_score="ndcg_at_10",
            dataset={"path": "tiny/tiny", "revision": "1"}, date=("2026-01-01", "2026-01-02"), domains=["Web"],
            task_subtypes=[], license="cc0-1.0", annotations_creators="derived", dialect=[], sample_creation="created",
            bibtex_citation="",
        )  # fmt: skip

        def load_data(self, *_: Any, **__: Any) -> None:
            split = {
                "corpus": Dataset.from_list(DOCUMENTS), "queries": Dataset.from_list(QUERIES), "relevant_docs": QRELS,
                "top_ranked": TOP_RANKED if kind == "Reranking" else None,
            }  # fmt: skip
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return TinyTask()


def scores_of(model: Any, kind: str = "Retrieval", **options: Any) -> dict[str, Any]:
    result = mteb.evaluate(model, tiny_task(kind), cache=None, show_progress_bar=False, **options)
    found: dict[str, Any] = result.task_results[0].scores["test"][0]
    return found


@pytest.fixture(scope="module")
def search(encoder: SpladeEncoder) -> Iterator[MtebSearch]:
    with MtebSearch(encoder) as opened:
        yield opened


@pytest.fixture
def index(search: MtebSearch) -> MtebSearch:
    search.index(Dataset.from_list(DOCUMENTS))
    return search


def test_their_measures_are_ours(search):
    found = scores_of(search)
    run = search.search(Dataset.from_list(QUERIES), top_k=1000)
    ours = evaluate(QRELS, run, ["nDCG@10", "nDCG@1", "AP@10", "R@3", "P@1", "RR@10"])
    theirs = [
        found[name] for name in ("ndcg_at_10", "ndcg_at_1", "map_at_10", "recall_at_3", "precision_at_1", "mrr_at_10")
    ]
    assert theirs == pytest.approx([*ours.values()], abs=1e-5)
    assert found["main_score"] > 0.7
    assert isinstance(search, SearchProtocol)
    assert not isinstance(search, EncoderProtocol | CrossEncoderProtocol)


def test_reranking_ranks_the_candidates_only(search):
    found = scores_of(search, "Reranking")
    run = search.search(Dataset.from_list(QUERIES), top_k=1000, top_ranked=TOP_RANKED)
    assert {qid: {*hits} for qid, hits in run.items()} == {qid: {*docids} for qid, docids in TOP_RANKED.items()}
    assert next(iter(run["q1"])) == "d1"
    assert run["q1"]["d5"] <= 0  # a document without terms
    whole = search.search(Dataset.from_list(QUERIES), top_k=1000)
    assert run["q2"]["d 2"] == whole["q2"]["d 2"]
    assert found["ndcg_at_10"] == pytest.approx(evaluate(QRELS, run, ["nDCG@10"])["nDCG@10"], abs=1e-5)
    assert found["ndcg_at_10"] < 1


def test_results_of_another_model_are_never_taken_from_their_cache(encoder, tmp_path):
    cache = mteb.ResultCache(tmp_path)
    task = tiny_task("Retrieval")
    with (
        MtebSearch(encoder) as one,
        MtebSearch(encoder, pruning=Pruning(top_terms=1), quantizer=Quantizer.named("naver")) as two,
    ):
        for model in (one, two):
            mteb.evaluate(model, task, cache=cache, show_progress_bar=False)
            assert model._corpus_search.searcher.num_docs == 4  # it has searched, and taken no results of another one
        assert one.mteb_model_meta.revision != two.mteb_model_meta.revision
    with MtebSearch(encoder) as again:
        mteb.evaluate(again, task, cache=cache, show_progress_bar=False)
        with pytest.raises(InputError, match="no corpus is indexed yet"):  # the results were those of the first
            _ = again._corpus_search.searcher
    assert len([*tmp_path.rglob("TinyRetrieval.json")]) == 2


def test_revisions_are_those_of_model_and_settings(encoder):
    def revision(model: Any = encoder, **options: Any) -> str:
        with MtebSearch(model, **options) as search:
            found: str = search.mteb_model_meta.revision
            return found

    lexical = SpladeEncoder(queries=QuerySettings(mode="lexical"), device="cpu", dtype="float32")
    others = [
        revision(), revision(lexical), revision(quantizer=Quantizer.named("naver", 50)), revision(min_impact=2),
        revision(pruning=Pruning(top_terms=8)),
    ]  # fmt: skip
    assert len({*others}) == len(others)
    assert revision() == others[0]
    assert revision(threads=1) == others[0]


def test_names_are_those_that_they_take(encoder):
    with MtebSearch(encoder) as search:
        meta = search.mteb_model_meta
        assert (meta.name, meta.model_type, meta.max_tokens) == ("splade_lucene/splade-minilm", ["sparse"], 256)
    with MtebSearch(encoder, name="me/mine") as search:
        assert search.mteb_model_meta.name == "me/mine"
    with pytest.raises(InputError, match="'mine' is not the name of a model. Name it organization/name"):
        MtebSearch(encoder, name="mine")


@pytest.mark.parametrize(
    "queries",
    [
        [
            {"id": "q", "text": "bread", "instruction": "find recipes"},
            {"id": "r", "text": "blood", "instruction": None},
        ],
        [{"id": "q", "text": ["what is bread", "how to bake it"]}],
        [{"id": "q", "text": [{"role": "user", "content": "bread"}, {"role": "assistant", "content": "flour"}]}],
    ],
    ids=["instructions", "turns", "roles"],
)
@pytest.mark.filterwarnings("ignore:Conversations are a list of strings")
def test_queries_are_read_as_their_own_encoders_read_them(index, queries):
    from mteb._create_dataloaders import _combine_queries_with_instruction_text, _convert_conv_history_to_query

    data = Dataset.from_list(queries)
    convert = isinstance(queries[0]["text"], list)
    theirs = data.map(_convert_conv_history_to_query) if convert else _combine_queries_with_instruction_text(data)
    expected = index.search(theirs.select_columns(["id", "text"]), top_k=3)
    assert index.search(data, top_k=3) == expected
    assert any(expected.values())


def test_wrong_input_is_an_error(index, encoder):
    with pytest.raises(InputError, match="the documents have no column text, but id, image"):
        index.index(Dataset.from_list([{"id": "d", "image": "x"}]))
    with pytest.raises(QueryError, match="query 'q' is neither a text nor a conversation"):
        index.search(Dataset.from_list([{"id": "q", "text": [{"said": "x"}]}]), top_k=1)
    with pytest.raises(InputError, match="the corpus has no document 'd9', a candidate of query 'q1'"):
        index.search(Dataset.from_list(QUERIES), top_k=1, top_ranked={"q1": ["d1", "d9"]})
    with MtebSearch(encoder) as search, pytest.raises(InputError, match="no corpus is indexed yet"):
        search.search(Dataset.from_list(QUERIES), top_k=1)


def test_mteb_is_named_if_it_is_not_installed(search, monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb.models.model_meta", None)
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingDependencyError, match=r"mteb is not installed. .*'pip install splade-lucene\[mteb\]'"):
        _ = search.mteb_model_meta


def test_tasks_that_are_no_retrieval_are_refused_by_mteb(search):
    from mteb.mocks.mock_tasks import MockSTSTask

    with pytest.raises(Exception, match="does not support|Search"):
        mteb.evaluate(search, MockSTSTask(), cache=None, show_progress_bar=False)
