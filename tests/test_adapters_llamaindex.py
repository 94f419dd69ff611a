"""LlamaIndex's retriever gives what the searcher gives, and its filters are ours."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core.schema import QueryBundle
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.utils import build_metadata_filter_fn
from support.pipelines import DOCUMENTS, pipeline_index

from splade_lucene import Approximation, InputError, LuceneImpactSearcher, QueryError, TokFreqQueryEncoder
from splade_lucene.adapters.llamaindex import SpladeRetriever, to_filter

BY_WORDS = TokFreqQueryEncoder()
ALL = "cat dog bread mat"


@pytest.fixture(scope="module")
def index_dir(tmp_path_factory):
    return pipeline_index(tmp_path_factory.mktemp("llamaindex"))


@pytest.fixture
def retriever(index_dir):
    return SpladeRetriever(index_dir, query_encoder=BY_WORDS)


def ids(nodes):
    return [each.node.node_id for each in nodes]


def one(key, operator, value=None):
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])


def test_nodes_have_text_id_score_and_fields(retriever):
    first = retriever.retrieve("cat")[0]
    assert (first.node.node_id, first.node.get_content(), first.score) == ("d1", "a cat on a mat", 3.0)
    assert first.node.metadata == {
        "lang": "en", "year": 2019, "tags": ["home", "pet"], "on": "2019-03-01", "price": 1.5, "free": True
    }  # fmt: skip


def test_hits_and_scores_are_those_of_the_searcher(index_dir):
    with LuceneImpactSearcher(index_dir, BY_WORDS) as searcher:
        for query in ("cat", "dog dog cat", ALL, "", "unknown"):
            for k in (1, 10):
                hits = searcher.search(query, k)
                nodes = SpladeRetriever(searcher, k).retrieve(query)
                assert [(each.node.node_id, each.score) for each in nodes] == [*map(tuple, hits)]


def test_asynchronous_calls_agree(retriever):
    async def ask():
        return await asyncio.gather(*(retriever.aretrieve(query) for query in ("cat", QueryBundle("dog"), "")))

    assert [ids(nodes) for nodes in asyncio.run(ask())] == [["d1", "d3", "d2"], ["d2", "d3"], []]


def test_settings_reach_the_searcher(index_dir, tmp_path):
    approximate = SpladeRetriever(index_dir, query_encoder=BY_WORDS, approximation=Approximation(beta=0.5))
    assert ids(approximate.retrieve("dog dog cat")) == ["d2", "d3"]
    assert ids(SpladeRetriever(index_dir, query_encoder=BY_WORDS, hybrid=True).retrieve("mat baked")) == ["d1", "d4"]
    assert ids(SpladeRetriever(index_dir, 1, 'lang = "de"', query_encoder=BY_WORDS).retrieve("cat")) == ["d2"]
    bare = pipeline_index(tmp_path, store="none", bm25=False)
    with pytest.raises(InputError, match="stores no text"):
        SpladeRetriever(bare, query_encoder=BY_WORDS).retrieve("cat")
    assert ids(SpladeRetriever(bare, query_encoder=BY_WORDS, with_text=False).retrieve("bread")) == ["d4"]


def test_the_number_of_nodes_can_be_changed(retriever):
    found = ids(retriever.retrieve("cat dog"))
    retriever.similarity_top_k = 1
    assert (retriever.similarity_top_k, ids(retriever.retrieve("cat dog"))) == (1, found[:1])
    with pytest.raises(QueryError, match="similarity_top_k must be an integer of at least 1, got 0"):
        retriever.similarity_top_k = 0


FILTERS = [
    one("year", "==", 2019), one("year", "!=", 2019), one("year", ">", 2019), one("year", ">=", 2021),
    one("year", "<", 2021), one("year", "<=", 2019), one("lang", "==", "de"), one("lang", "!=", "de"),
    one("lang", "in", ["de", "fr"]), one("lang", "nin", ["de", "fr"]), one("year", "in", [2019, 2023]),
    one("tags", "contains", "home"), one("tags", "any", ["home", "x"]), one("tags", "all", ["home", "pet"]),
    one("tags", "all", ["pet"]), one("tags", "is_empty"), one("lang", "is_empty"), one("price", ">", 1.5),
    MetadataFilters(filters=[*one("lang", "==", "en").filters, *one("year", ">", 2020).filters]),
    MetadataFilters(filters=[*one("lang", "==", "de").filters, *one("year", ">", 2022).filters], condition="or"),
    MetadataFilters(filters=[*one("lang", "==", "de").filters, *one("year", ">", 2022).filters], condition="not"),
]  # fmt: skip


@pytest.mark.parametrize("filters", FILTERS, ids=lambda each: str(to_filter(each)))
def test_filters_accept_what_llamaindex_accepts(index_dir, filters):
    """LlamaIndex's own function says which documents fulfil a filter."""
    fields = {document.docid: document.fields for document in DOCUMENTS}
    accepts = build_metadata_filter_fn(lambda docid: fields[docid], filters)
    found = ids(SpladeRetriever(index_dir, filters=filters, query_encoder=BY_WORDS).retrieve(ALL))
    assert sorted(found) == [docid for docid in fields if accepts(docid)]


def test_filters_can_be_nested(index_dir):
    either = MetadataFilters(
        filters=[*one("lang", "==", "de").filters, *one("year", "<", 2020).filters], condition="or"
    )
    filters = MetadataFilters(filters=[either, *one("tags", "contains", "pet").filters, MetadataFilters(filters=[])])
    assert str(to_filter(filters)) == '(lang = "de" or year < 2020) and tags = "pet"'
    assert ids(SpladeRetriever(index_dir, filters=filters, query_encoder=BY_WORDS).retrieve(ALL)) == ["d2", "d1"]
    assert to_filter(MetadataFilters(filters=[])) is None


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        (
            one("lang", "text_match", "d"),
            "the filter lang text_match 'd' has no equivalent: fields are compared as a whole",
        ),
        (one("lang", "==", None), "its value must be a string or a number"),
        (one("lang", "==", ["de"]), "its value must be a string or a number"),
        (one("lang", "in", "de"), "its value must be a list"),
        (one("tags", "all", []), "a filter 'all' needs values"),
    ],
)
def test_filters_without_an_equivalent_are_refused(filters, reason):
    with pytest.raises(QueryError, match=reason):
        to_filter(filters)


def test_a_filter_that_the_type_does_not_allow_is_refused(index_dir):
    with pytest.raises(QueryError, match="the field 'year' is of the type integer"):
        SpladeRetriever(index_dir, filters=one("year", "==", "2019"), query_encoder=BY_WORDS).retrieve("cat")
