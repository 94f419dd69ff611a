"""Haystack's component gives what the searcher gives, is written to YAML and read again, and its filters are ours."""

from __future__ import annotations

import asyncio

import pytest
from haystack import Document, Pipeline
from haystack.utils.filters import document_matches_filter
from support.pipelines import DOCUMENTS, pipeline_index

from splade_lucene import (
    Approximation,
    HybridFusion,
    InputError,
    LuceneImpactSearcher,
    QueryError,
    TokFreqQueryEncoder,
    where,
)
from splade_lucene.adapters.haystack import SpladeRetriever, to_filter

BY_WORDS = TokFreqQueryEncoder()
ALL = {"cat": 1, "dog": 1, "bread": 1}


@pytest.fixture(scope="module")
def index_dir(tmp_path_factory):
    return pipeline_index(tmp_path_factory.mktemp("haystack"))


@pytest.fixture(autouse=True)
def without_telemetry(monkeypatch):
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")


@pytest.fixture
def retriever(index_dir):
    return SpladeRetriever(index_dir, query_encoder=BY_WORDS)


def ids(answer):
    return [document.id for document in answer["documents"]]


def field(name, operator, value):
    return {"field": name, "operator": operator, "value": value}


def test_documents_have_content_id_score_and_meta(retriever):
    first = retriever.run("cat")["documents"][0]
    assert (first.id, first.content, first.score) == ("d1", "a cat on a mat", 3.0)
    assert first.meta == {
        "lang": "en", "year": 2019, "tags": ["home", "pet"], "on": "2019-03-01", "price": 1.5, "free": True
    }  # fmt: skip


def test_hits_and_scores_are_those_of_the_searcher(index_dir):
    with LuceneImpactSearcher(index_dir, BY_WORDS) as searcher:
        retriever = SpladeRetriever(searcher)
        for query in ("cat", "dog dog cat", "", "unknown", ALL):
            for k in (1, 10):
                answer = retriever.run(query, top_k=k)["documents"]
                assert [(each.id, each.score) for each in answer] == [*map(tuple, searcher.search(query, k))]
        with pytest.raises(QueryError, match="k must be an integer of at least 1"):
            retriever.run("cat", top_k=0)


def test_pipelines_run_it_and_wait_for_it(retriever):
    pipeline = Pipeline()
    pipeline.add_component("splade", retriever)
    assert ids(pipeline.run({"splade": {"query": "dog", "top_k": 1}})["splade"]) == ["d2"]
    waiting = Pipeline()
    waiting.add_component("splade", SpladeRetriever(retriever._retrieval.index.searcher))

    async def ask():
        return await asyncio.gather(*(waiting.run_async({"splade": {"query": each}}) for each in ("cat", "bread", "")))

    assert [ids(answer["splade"]) for answer in asyncio.run(ask())] == [["d1", "d3", "d2"], ["d4"], []]


def test_it_is_written_to_yaml_and_read_again(index_dir):
    retriever = SpladeRetriever(
        index_dir, {"operator": "AND", "conditions": [field("meta.year", ">", 2018)]}, 7,
        hybrid=HybridFusion(weights=(2.0, 1.0)), approximation=Approximation(alpha=0.9), with_text=False,
    )  # fmt: skip
    pipeline = Pipeline()
    pipeline.add_component("splade", retriever)
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=[SpladeRetriever.__module__]).get_component("splade")
    assert again.to_dict() == retriever.to_dict()
    assert (again._retrieval.k, again._retrieval.hybrid, again.approximation) == (
        7,
        retriever.hybrid,
        Approximation(0.9),
    )
    with_condition = SpladeRetriever([index_dir], where("year") > 2020, query_encoder="some/checkpoint")
    again = SpladeRetriever.from_dict(with_condition.to_dict())
    assert (again.filters, again.query_encoder) == ("year > 2020", "some/checkpoint")


def test_attributes_that_are_changed_later_take_effect(retriever):
    found = ids(retriever.run("cat"))
    retriever.top_k = 1
    assert (retriever.top_k, ids(retriever.run("cat"))) == (1, found[:1])
    retriever.filters = field("meta.lang", "==", "de")
    assert ids(retriever.run("cat")) == ["d2"]
    with pytest.raises(QueryError, match="top_k must be an integer of at least 1, got 0"):
        retriever.top_k = 0
    with pytest.raises(QueryError, match="the operator is unknown"):
        retriever.filters = field("lang", "~", "de")
    assert ids(retriever.run("cat")) == ["d2"]


def test_objects_that_no_file_can_name_are_refused(retriever, index_dir):
    with pytest.raises(InputError, match="an open searcher or query encoder cannot be written to a file"):
        retriever.to_dict()
    with LuceneImpactSearcher(index_dir) as searcher:
        with pytest.raises(InputError, match="Pass the folder of the index"):
            SpladeRetriever(searcher).to_dict()
        by_docids = SpladeRetriever(index_dir, searcher.make_filter(["d1"]))
        with pytest.raises(InputError, match="with a filter of docids cannot be written to a file"):
            by_docids.to_dict()


def test_an_index_without_texts_is_refused_unless_only_ids_are_wanted(tmp_path):
    index_dir = pipeline_index(tmp_path, store="none", bm25=False)
    with pytest.raises(InputError, match="stores no text"):
        SpladeRetriever(index_dir, query_encoder=BY_WORDS).run("cat")
    found = SpladeRetriever(index_dir, query_encoder=BY_WORDS, with_text=False).run("bread")["documents"]
    assert [(each.id, each.content) for each in found] == [("d4", None)]


COMPARISONS = [
    field("meta.year", "==", 2019), field("meta.year", "!=", 2019), field("year", ">", 2019),
    field("meta.year", ">=", 2021), field("meta.year", "<", 2021), field("meta.year", "<=", 2019),
    field("meta.lang", "==", "de"), field("meta.lang", "!=", "de"), field("meta.lang", "in", ["de", "fr"]),
    field("meta.lang", "not in", ["de", "fr"]), field("meta.lang", "==", None), field("meta.lang", "!=", None),
    field("meta.on", "==", "2019-03-01"), field("meta.on", "<=", "2019-03-01"), field("meta.on", ">", "2019-03-01"),
    field("meta.price", ">", 1.5), field("meta.free", "==", True), field("meta.free", "!=", True),
]  # fmt: skip
LOGIC = [
    {"operator": "AND", "conditions": [COMPARISONS[1], COMPARISONS[7]]},
    {"operator": "OR", "conditions": [COMPARISONS[0], COMPARISONS[6]]},
    {"operator": "NOT", "conditions": [COMPARISONS[2], COMPARISONS[7]]},
    {"operator": "NOT", "conditions": [{"operator": "OR", "conditions": [COMPARISONS[0], COMPARISONS[6]]}]},
]


@pytest.mark.parametrize("filters", [*COMPARISONS, *LOGIC], ids=lambda each: str(to_filter(each)))
def test_filters_accept_what_haystack_accepts(index_dir, filters):
    """Haystack's own function says which documents fulfil a filter."""
    expected = [
        document.docid
        for document in DOCUMENTS
        if document_matches_filter(filters, Document(id=document.docid, meta=dict(document.fields)))
    ]
    assert sorted(ids(SpladeRetriever(index_dir, filters).run(ALL))) == expected


def test_filters_of_the_component_and_of_the_run_both_hold(index_dir):
    retriever = SpladeRetriever(index_dir, field("meta.lang", "==", "en"), query_encoder=BY_WORDS)
    assert ids(retriever.run("cat")) == ["d1", "d3"]
    assert ids(retriever.run("cat", filters=field("meta.year", ">", 2020))) == ["d3"]
    assert ids(retriever.run("cat", filters="year < 2020")) == ["d1"]
    assert ids(retriever.run("cat", filters={})) == ["d1", "d3"]


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        (field("content", "==", "x"), "content is not a field of the index"),
        (field("id", "in", ["d1"]), "id is not a field of the index"),
        (field("meta.lang", "in", "de"), "its value must be a list"),
        (field("meta.lang", "==", ["de"]), "a field is compared with a single value"),
        (field("meta.year", ">", None), "a field is compared with a single value"),
        (field("meta.lang", "contains", "d"), "the operator is unknown"),
        ({"field": "meta.lang", "value": 1}, "a comparison needs 'field', 'operator' and 'value'"),
        ({"operator": "AND"}, "neither a comparison nor a combination"),
        ({"operator": "XOR", "conditions": []}, "neither a comparison nor a combination"),
        ({"operator": "AND", "conditions": []}, "AND needs conditions"),
        ({"operator": "AND", "conditions": ["year > 1"]}, "a condition must be a dictionary that is not empty"),
        ({"operator": "OR", "conditions": [{}]}, "a condition must be a dictionary that is not empty"),
        ({"meta.year": 2019}, "neither a comparison nor a combination"),
    ],
)
def test_filters_without_an_equivalent_are_refused(filters, reason):
    with pytest.raises(QueryError, match=reason):
        to_filter(filters)
