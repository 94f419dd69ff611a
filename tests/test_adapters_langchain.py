"""LangChain's retriever gives what the searcher gives, in LangChain's terms."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading

import pytest
from langchain_core.runnables import RunnableLambda
from pydantic import ValidationError
from support.pipelines import DOCUMENTS, pipeline_index

from splade_lucene import (
    Approximation,
    HybridFusion,
    InputError,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    QueryError,
    TokFreqQueryEncoder,
    index_pseudo_documents,
    where,
    write_pseudo_documents,
)
from splade_lucene.adapters.langchain import SpladeRetriever

BY_WORDS = TokFreqQueryEncoder()


@pytest.fixture(scope="module")
def index_dir(tmp_path_factory):
    return pipeline_index(tmp_path_factory.mktemp("langchain"))


@pytest.fixture
def retriever(index_dir):
    return SpladeRetriever(index=index_dir, query_encoder=BY_WORDS)


def ids(documents):
    return [document.id for document in documents]


def test_documents_have_text_id_score_and_fields(retriever):
    found = retriever.invoke("cat cat dog")
    assert found[0].page_content == "a cat on a mat"
    assert found[0].metadata == {
        "lang": "en", "year": 2019, "tags": ["home", "pet"], "on": "2019-03-01", "price": 1.5, "free": True, "docid": "d1",
        "score": 6.0,
    }  # fmt: skip
    assert [(d.id, d.metadata["score"]) for d in found] == [("d1", 6.0), ("d2", 6.0), ("d3", 6.0)]


def test_hits_and_scores_are_those_of_the_searcher(retriever, index_dir):
    with LuceneImpactSearcher(index_dir) as searcher:
        for query in ("cat", "dog dog cat", "bread mat", "cat dog bread mat"):
            vector = BY_WORDS.encode(query)
            for k in (1, 2, 10):
                hits = searcher.search(vector, k)
                found = retriever.invoke(query, k=k)
                assert [(d.id, d.metadata["score"]) for d in found] == [(hit.docid, hit.score) for hit in hits]


def test_synchronous_asynchronous_and_batched_calls_agree(retriever):
    queries = ["cat", "dog", "bread", ""] * 8

    async def ask():
        return await asyncio.gather(*(retriever.ainvoke(query, k=2) for query in queries))

    found = asyncio.run(ask())
    assert found == [retriever.invoke(query, k=2) for query in queries]
    assert retriever.batch(queries[:4]) == [retriever.invoke(query) for query in queries[:4]]
    assert asyncio.run(retriever.abatch(queries[:4])) == retriever.batch(queries[:4])


def test_it_does_not_block_the_event_loop(retriever, monkeypatch):
    steps = []
    search = retriever._retrieval.search

    def slow(*arguments, **options):
        steps.append("searching")
        ticked.wait(10)
        return search(*arguments, **options)

    ticked = threading.Event()
    monkeypatch.setattr(retriever._retrieval, "search", slow)

    async def ask():
        task = asyncio.create_task(retriever.ainvoke("cat"))
        while not steps:
            await asyncio.sleep(0.01)
        ticked.set()  # only a free loop gets here while the search waits
        return await task

    assert ids(asyncio.run(ask())) == ["d1", "d3", "d2"]


def test_chains_take_it(retriever):
    chain = retriever | RunnableLambda(lambda documents: [document.id for document in documents])
    assert chain.invoke("bread") == ["d4"]


def test_filters_of_the_retriever_and_of_the_call_both_hold(index_dir):
    retriever = SpladeRetriever(index=index_dir, query_encoder=BY_WORDS, filter='lang = "en"')
    assert ids(retriever.invoke("cat")) == ["d1", "d3"]
    assert ids(retriever.invoke("cat", filter="year > 2020")) == ["d3"]
    assert ids(retriever.invoke("cat", filter=where("tags").is_in(["home"]))) == ["d1"]
    with pytest.raises(QueryError, match="the index has no field 'lange'"):
        retriever.invoke("cat", filter='lange = "de"')


def test_a_filter_of_docids_of_an_open_searcher(index_dir):
    with LuceneImpactSearcher(index_dir, BY_WORDS) as searcher:
        retriever = SpladeRetriever(index=searcher, filter=searcher.make_filter(["d2", "d3"]))
        assert ids(retriever.invoke("cat")) == ["d3", "d2"]
        assert ids(retriever.invoke("cat", filter=searcher.make_filter(["d2"]))) == ["d2"]
        with pytest.raises(QueryError, match="filter"):
            retriever.invoke("cat", filter="year > 2020")


@pytest.mark.parametrize("query", ["", "  \n", "unknown words"])
def test_queries_without_known_terms_find_nothing(retriever, query):
    assert retriever.invoke(query) == []


def test_encoded_queries_are_taken(retriever):
    assert ids(retriever.invoke({"dog": 1})) == ["d2", "d3"]


def test_several_indexes_are_one(index_dir, tmp_path):
    with LuceneImpactIndexer(tmp_path / "other") as indexer:
        indexer.add([PseudoDocument("e1", "more cats", {"cat": 9})])
    retriever = SpladeRetriever(index=[index_dir, tmp_path / "other"], query_encoder=BY_WORDS)
    assert ids(retriever.invoke("cat", k=2)) == ["e1", "d1"]


def test_an_index_without_texts_is_refused_unless_only_ids_are_wanted(tmp_path):
    index_dir = pipeline_index(tmp_path, store="none", bm25=False)
    retriever = SpladeRetriever(index=index_dir, query_encoder=BY_WORDS)
    with pytest.raises(InputError, match=r"stores no text of the document 'd1'.*store='text'.*with_text=False"):
        retriever.invoke("cat")
    found = SpladeRetriever(index=index_dir, query_encoder=BY_WORDS, with_text=False).invoke("cat")
    assert ids(found) == ["d1", "d3", "d2"]
    assert {document.page_content for document in found} == {""}
    assert found[0].metadata["year"] == 2019


def test_an_empty_text_is_a_text_and_a_missing_one_is_not(tmp_path):
    documents = [PseudoDocument("e", "", {"cat": 1}), PseudoDocument("n", None, {"dog": 1})]
    with LuceneImpactIndexer(tmp_path / "one") as indexer:
        indexer.add(documents)
    write_pseudo_documents(tmp_path / "docs.jsonl", documents)
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "two")
    for index_dir in (tmp_path / "one", tmp_path / "two"):
        retriever = SpladeRetriever(index=index_dir, query_encoder=BY_WORDS)
        assert [document.page_content for document in retriever.invoke("cat")] == [""]
        with pytest.raises(InputError, match="stores no text of the document 'n'"):
            retriever.invoke("dog")


def test_hybrid_search(index_dir):
    fusion = HybridFusion(method="sum", weights=(1.0, 2.0))
    with LuceneImpactSearcher(index_dir, BY_WORDS) as searcher:
        expected = searcher.search_hybrid("cat baked", 10, fusion)
        plain = searcher.search_hybrid("cat baked", 10)
    retriever = SpladeRetriever(index=index_dir, query_encoder=BY_WORDS, hybrid=fusion)
    assert [(d.id, d.metadata["score"]) for d in retriever.invoke("cat baked")] == [*map(tuple, expected)]
    assert (
        ids(SpladeRetriever(index=index_dir, query_encoder=BY_WORDS, hybrid=True).invoke("cat baked")) == plain.docids
    )
    assert "d4" in plain.docids  # by its text only


def test_approximation_reaches_the_searcher(index_dir):
    one_term = Approximation(beta=0.5)
    opened = SpladeRetriever(index=index_dir, query_encoder=BY_WORDS, approximation=one_term)
    assert ids(opened.invoke("dog dog cat")) == ["d2", "d3"]
    with LuceneImpactSearcher(index_dir, BY_WORDS) as searcher:
        assert ids(SpladeRetriever(index=searcher, approximation=one_term).invoke("dog dog cat")) == ["d2", "d3"]
        assert ids(SpladeRetriever(index=searcher).invoke("dog dog cat")) == ["d2", "d3", "d1"]
        with pytest.raises(QueryError, match="always uses the searcher's own approximation"):
            SpladeRetriever(index=searcher, approximation=one_term, hybrid=True)


def test_wrong_settings_are_refused(index_dir):
    with pytest.raises(QueryError, match="k must be an integer of at least 1, got 0"):
        SpladeRetriever(index=index_dir, k=0)
    with pytest.raises(ValidationError, match="top_k"):
        SpladeRetriever(index=index_dir, top_k=3)
    with LuceneImpactSearcher(index_dir) as searcher:
        with pytest.raises(InputError, match="the searcher is already open, so query_encoder cannot be set"):
            SpladeRetriever(index=searcher, query_encoder=BY_WORDS)


def test_attributes_that_are_changed_later_take_effect(index_dir, tmp_path):
    retriever = SpladeRetriever(index=index_dir, query_encoder=BY_WORDS)
    found = ids(retriever.invoke("cat dog bread"))
    assert len(found) > 2
    retriever.k = 2
    assert ids(retriever.invoke("cat dog bread")) == found[:2]
    assert ids(retriever.model_copy(update={"k": 1}).invoke("cat dog bread")) == found[:1]
    retriever.filter = 'lang = "de"'
    assert ids(asyncio.run(retriever.ainvoke("cat"))) == ["d2"]
    bare = pipeline_index(tmp_path, store="none", bm25=False)
    with pytest.raises(InputError, match="stores no text"):
        retriever.model_copy(update={"index": bare}).invoke("cat")
    retriever.index, retriever.with_text = bare, False
    assert [document.page_content for document in retriever.invoke("cat")] == [""]


def test_a_field_named_as_the_score_is_noted(tmp_path, caplog):
    with LuceneImpactIndexer(tmp_path / "index", fields={"score": "integer"}) as indexer:
        indexer.add([PseudoDocument("d1", "x", {"cat": 1}, {"score": 99})])
    found = SpladeRetriever(index=tmp_path / "index", query_encoder=BY_WORDS).invoke("cat")
    assert found[0].metadata == {"docid": "d1", "score": 1.0}
    assert "the index's field 'score' is left out of the documents' metadata" in caplog.text


def test_a_retriever_of_a_folder_can_be_sent_to_another_process(retriever):
    assert ids(retriever.invoke("bread")) == ["d4"]
    again = pickle.loads(pickle.dumps(retriever))
    assert again.invoke("cat dog") == retriever.invoke("cat dog")


def test_all_documents_come_back_in_full(retriever):
    found = {document.id: document for document in retriever.invoke("cat dog bread mat")}
    assert {docid: document.page_content for docid, document in found.items()} == {
        document.docid: document.contents for document in DOCUMENTS
    }
    assert found["d4"].metadata == {"docid": "d4", "score": 5.0}


@pytest.mark.process
def test_without_langchain_the_error_says_what_to_install():
    code = "import sys; sys.modules['langchain_core'] = None; import splade_lucene.adapters.langchain"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "langchain_core is not installed. Install it with 'pip install splade-lucene[langchain]'." in done.stderr
