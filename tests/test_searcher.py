"""Hits, scores and order equal the NumPy oracle's exactly, and Pyserini's hit by hit."""

from __future__ import annotations

import copy
import json
import pickle
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collections import TERMS
from support.commands import run_well
from support.java import has_lucene_10
from support.processes import ROOT

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PseudoDocument,
    PyseriniSearcher,
    Run,
    check_index,
    exhaustive_search,
    index_pseudo_documents,
    jvm,
    merge_indexes,
    optimize_index,
    write_pseudo_documents,
)
from splade_lucene.errors import IndexAccessError, IndexVersionError, InputError, NotAnIndexError, QueryError


def pairs(hits) -> list[tuple[str, int]]:
    assert [hit.docid for hit in hits] == hits.docids
    assert [hit.score for hit in hits] == [float(score) for score in hits.scores]
    return list(zip(hits.docids, hits.scores.tolist(), strict=True))


def random_query(source: random.Random, terms: int, *, impacts: int = 200) -> dict[str, int]:
    return {term: source.randint(1, impacts) for term in source.sample([*TERMS, "unknown", "other"], terms)}


@pytest.fixture(scope="module")
def tied_collection() -> list[PseudoDocument]:
    """Impacts of 1 and 2 only, and docids whose order as bytes is not the order as numbers: nothing but ties."""
    source = random.Random(9)
    return [
        PseudoDocument(str(number), "", {term: source.randint(1, 2) for term in source.sample(TERMS[:12], 4)})
        for number in source.sample(range(1, 1500), 1200)
    ] + [
        PseudoDocument("é", "", {"term1": 2}),
        PseudoDocument("～", "", {"term1": 2}),
        PseudoDocument("😀", "", {"term1": 2}),
    ]


def build(documents: list[PseudoDocument], folder: Path, **options) -> Path:
    write_pseudo_documents(folder / "docs.jsonl", documents)
    index_pseudo_documents(folder / "docs.jsonl", folder / "index", **options)
    return folder / "index"


@pytest.fixture(scope="module")
def tied_index(tied_collection, tmp_path_factory) -> Path:
    return build(tied_collection, tmp_path_factory.mktemp("tied"))


@pytest.mark.parametrize("cache_bytes", [None, 0, 5000])
def test_hits_equal_the_oracle(collection, index_dir, cache_bytes):
    source = random.Random(2)
    with LuceneImpactSearcher(index_dir, cache_bytes=cache_bytes) as searcher:
        assert searcher.num_docs == 2000
        for number in range(60):
            query = random_query(source, source.choice([1, 2, 5, 30, 100]))
            k = source.choice([1, 2, 10, 100, 1000, 2000, 5000])
            assert pairs(searcher.search(query, k)) == exhaustive_search(collection, query, k), number


@pytest.mark.parametrize("cache_bytes", [None, 0])
def test_ties_are_ordered_by_docid_as_bytes_at_every_boundary(tied_collection, tied_index, cache_bytes):
    query = {"term1": 1, "term3": 1}
    everything = exhaustive_search(tied_collection, query, 5000)
    scores = [score for _, score in everything]
    assert len(set(scores)) < 5 < len(scores)  # almost all are tied
    assert [docid for docid, score in everything if score == scores[5]] != sorted(
        (docid for docid, score in everything if score == scores[5]), key=lambda docid: (len(docid), docid)
    )  # bytes, not numbers
    with LuceneImpactSearcher(tied_index, cache_bytes=cache_bytes) as searcher:
        for k in range(1, len(everything) + 3):
            assert pairs(searcher.search(query, k)) == everything[:k]


def test_several_segments_and_deleted_documents(collection, tmp_path):
    deleted = {document.docid for document in collection[::5]}
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        for start in range(0, 2000, 333):
            indexer.add(collection[start : start + 333])
            indexer.commit()
        indexer.delete(deleted)
    left = [document for document in collection if document.docid not in deleted]
    source = random.Random(3)
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.num_docs == len(left)
        assert searcher.reader.statistics()["segments"] > 1
        for _ in range(20):
            query = random_query(source, 20)
            assert pairs(searcher.search(query, 100)) == exhaustive_search(left, query, 100)


def test_scores_beyond_single_precision_and_beyond_32_bits_are_exact(tmp_path):
    documents = [PseudoDocument(f"d{i}", "", {"a": 2**30 - i, "b": 2**29 + i, "c": i + 1}) for i in range(50)]
    query = {"a": 2**31 - 1, "b": 2**20 + 1, "c": 1}
    index = build(documents, tmp_path)
    with LuceneImpactSearcher(index) as searcher:
        hits = searcher.search(query, 50)
        assert pairs_of_columns(hits) == exhaustive_search(documents, query, 50)
        assert hits.scores[0] > 2**60


def pairs_of_columns(hits) -> list[tuple[str, int]]:
    return list(zip(hits.docids, hits.scores.tolist(), strict=True))


def test_a_list_longer_than_a_window_with_gaps(tmp_path):
    source = random.Random(4)
    documents = [PseudoDocument(f"d{i}", "", {"all": source.randint(1, 9), **({"rare": 5} if i % 9001 == 0 else {})})
                 for i in range(30_000)]  # fmt: skip
    index = build(documents, tmp_path, store="none")
    with LuceneImpactSearcher(index) as searcher:
        for query in ({"rare": 1}, {"rare": 1, "all": 1}, {"all": 3}):
            for k in (1, 10, 31_000):
                assert pairs_of_columns(searcher.search(query, k)) == exhaustive_search(documents, query, k)


# ---- Pyserini ----


def test_hits_equal_pyserinis_with_its_min_idf(collection, tied_collection, index_dir, tied_index):
    source = random.Random(5)
    for index, impacts in ((index_dir, 200), (tied_index, 1)):
        with LuceneImpactSearcher(index, min_idf=0) as ours, PyseriniSearcher(index, min_idf=0) as theirs:
            for _ in range(25):
                query = random_query(source, source.choice([1, 5, 40]), impacts=impacts)
                k = source.choice([1, 10, 100, 1000])
                assert pairs(ours.search(query, k)) == pairs(theirs.search(query, k))


def test_both_engines_give_the_same_batch(index_dir):
    source = random.Random(6)
    queries = [random_query(source, 10) for _ in range(40)]
    qids = [f"q{i}" for i in range(40)]
    with LuceneImpactSearcher(index_dir) as ours, PyseriniSearcher(index_dir) as theirs:
        found, expected = (each.batch_search(queries, qids, 100, 3) for each in (ours, theirs))
        assert list(found) == list(expected) == qids
        assert {q: pairs(hits) for q, hits in found.items()} == {q: pairs(hits) for q, hits in expected.items()}
        for each in (ours, theirs):
            with pytest.raises(QueryError, match="duplicate qid 'a'"):
                each.batch_search([{}, {}], ["a", "a"])
            with pytest.raises(QueryError, match="k must be an integer"):
                each.search({"term1": 1}, 0)
            assert each.doc("d5").docid() == "d5"


@pytest.fixture(scope="module")
def common_term_index(tmp_path_factory) -> Path:
    documents = [PseudoDocument(f"d{i}", "", {"everywhere": i + 1, "half" if i % 2 else "other": 7}) for i in range(20)]
    return build(documents, tmp_path_factory.mktemp("common"))


def test_a_term_in_every_document_counts_unless_min_idf_is_given(common_term_index):
    query = {"everywhere": 2, "half": 1}
    with LuceneImpactSearcher(common_term_index) as every, LuceneImpactSearcher(common_term_index, min_idf=0) as some:
        assert every.search(query, 1)[0].score == 2 * 20 + 7
        assert [hit.score for hit in some.search(query, 100)] == [7.0] * 10
        assert [c.term for c in every.explain(query, "d19")] == ["everywhere", "half"]
        assert [c.term for c in some.explain(query, "d19")] == ["half"]
        with PyseriniSearcher(common_term_index, min_idf=0) as theirs:
            assert pairs(theirs.search(query, 100)) == pairs(some.search(query, 100))
        with PyseriniSearcher(common_term_index) as theirs:
            assert pairs(theirs.search(query, 100)) == pairs(every.search(query, 100))


@pytest.mark.parametrize("min_idf", [0.0, 0.5, 0.69, 0.7, 5.0])
def test_min_idf_cuts_where_pyserini_cuts(common_term_index, min_idf):
    query = {"everywhere": 2, "half": 1, "other": 3}
    with LuceneImpactSearcher(common_term_index, min_idf=min_idf) as ours:
        with PyseriniSearcher(common_term_index, min_idf=min_idf) as theirs:
            assert pairs(ours.search(query, 30)) == pairs(theirs.search(query, 30))


# ---- queries of every kind ----


def test_a_query_of_more_terms_than_lucenes_limit(tmp_path):
    terms = [f"w{i}" for i in range(3000)]
    documents = [
        PseudoDocument(f"d{n}", "", {term: 1 + (i * n) % 50 for i, term in enumerate(terms)}) for n in range(5)
    ]
    query = dict.fromkeys(terms, 3)
    index = build(documents, tmp_path)
    with LuceneImpactSearcher(index) as ours, PyseriniSearcher(index) as theirs:
        assert pairs(ours.search(query, 5)) == exhaustive_search(documents, query, 5) == pairs(theirs.search(query, 5))


def test_unknown_terms_empty_queries_and_zero_impacts(index_dir):
    with LuceneImpactSearcher(index_dir) as searcher:
        assert list(searcher.search({"nowhere": 5}, 10)) == []
        assert list(searcher.search({}, 10)) == []
        assert list(searcher.search({"term1": 0}, 10)) == []
        assert pairs(searcher.search({"term1": 3, "term2": 0, "nowhere": 1}, 10)) == pairs(
            searcher.search({"term1": 3}, 10)
        )
        assert searcher.batch_search([{}, {"term1": 1}], ["a", "b"], 1)["a"].docids == []
        assert searcher.batch_search([], [], 1) == {}


def test_an_empty_index(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index"):
        pass
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.num_docs == 0
        assert list(searcher.search({"cat": 1}, 10)) == []
    with PyseriniSearcher(tmp_path / "index") as searcher:
        assert list(searcher.search({"cat": 1}, 10)) == []


def test_a_closed_searcher_says_so(index_dir):
    searcher = LuceneImpactSearcher(index_dir)
    searcher.close()
    with pytest.raises(IndexAccessError, match="is closed"):
        searcher.search({"term1": 1}, 1)


def test_numpy_integers_serve_and_pyserinis_fields_are_only_accepted_empty(index_dir):
    import numpy as np

    with LuceneImpactSearcher(index_dir) as searcher:
        expected = pairs(searcher.search({"term1": 2}, 3))
        assert pairs(searcher.search({"term1": np.int64(2)}, np.int64(3), fields={})) == expected  # type: ignore[dict-item, arg-type]
        assert searcher.doc(np.int64(0)).docid() == searcher.doc(0).docid()  # type: ignore[arg-type]
        with pytest.raises(QueryError, match="an impact index has a single field"):
            searcher.search({"term1": 1}, 3, fields={"title": 2.0})
        with pytest.raises(QueryError, match="an unpaired surrogate"):
            searcher.search({"\ud800": 1}, 3)


def test_a_text_index_is_refused_by_its_norms(tmp_path):
    from splade_lucene import Document
    from splade_lucene.index.texts import index_texts

    index_texts([Document(f"d{i}", "some words " * (i + 1)) for i in range(5)], tmp_path / "bm25")
    with pytest.raises(NotAnIndexError, match="its norms are lengths of texts"):
        LuceneImpactSearcher(tmp_path / "bm25")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"cat": -1}, "query term 'cat' has impact -1"),
        ({"cat": 2**31}, "Use integers from 0 to 2147483647"),
        ({"cat": 1.5}, "Quantize the weights first"),
        ({"cat": True}, "has impact True"),
        ({7: 1}, "query terms must be strings, got 7"),
        (["cat"], "a query must be a text, a sequence of turns, or a mapping of terms to impacts, got list"),
    ],
)
def test_malformed_queries_are_refused(index_dir, query, message):
    with LuceneImpactSearcher(index_dir) as searcher, pytest.raises(QueryError, match=message):
        searcher.search(query, 10)


@pytest.mark.parametrize("k", [0, -1, 2.5, "10"])
def test_k_must_be_a_positive_integer(index_dir, k):
    with (
        LuceneImpactSearcher(index_dir) as searcher,
        pytest.raises(QueryError, match="k must be an integer of at least 1"),
    ):
        searcher.search({"term1": 1}, k)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_idf": "0"}, "min_idf must be a number, got '0'"),
        ({"approximation": "x"}, "expected an Approximation, got 'x'"),
        ({"query_encoder": 5}, "expected a query encoder, got 5"),
    ],
)
def test_wrong_settings_are_refused(index_dir, settings, message):
    with pytest.raises(QueryError, match=message):
        LuceneImpactSearcher(index_dir, **settings)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda searcher: searcher.search({}, 5, "lang"), "fields must be empty, got 'lang'. Pass a condition"),
        (lambda searcher: searcher.batch_search([{}], [["a"]]), r"qids must be strings, got \['a'\]"),
        (lambda searcher: searcher.make_filter(["1"]) & "year > 2010", "expected another DocumentFilter, got 'year"),
        (lambda searcher: searcher.set_rocchio(use_negative="no"), "use_negative must be True or False, got 'no'"),
        (lambda searcher: searcher.set_rm3(filter_terms=None), "filter_terms must be True or False, got None"),
        (
            lambda searcher: searcher.set_rm3(filter_terms=np.ones(2, bool)),
            "filter_terms must be True or False, got array",
        ),
    ],
)
def test_wrong_arguments_are_refused(index_dir, call, message):
    with LuceneImpactSearcher(index_dir) as searcher, pytest.raises(QueryError, match=message):
        call(searcher)


@pytest.mark.parametrize(
    ("function", "wrong", "message"),
    [
        (merge_indexes, {"threads": "2"}, "threads must be an integer of at least 1, got '2'"),
        (merge_indexes, {"threads": 0}, "threads must be an integer of at least 1, got 0"),
        (merge_indexes, {"accelerator": "no"}, "accelerator must be True or False, got 'no'"),
        (optimize_index, {"threads": "x"}, "threads must be an integer of at least 1, got 'x'"),
        (check_index, {"sample": -1}, "sample must be an integer of at least 0, got -1"),
    ],
)
def test_wrong_arguments_change_nothing(index_dir, tmp_path, function, wrong, message):
    output = [tmp_path / "new"] if function is merge_indexes else []
    with pytest.raises(InputError, match=message):
        function(index_dir, *output, **wrong)
    assert not list(tmp_path.iterdir())


def test_scores_beyond_the_exact_floats(tmp_path):
    impact = 2**30 + 1
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(PseudoDocument("d1", "", {"a": impact}))
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        hits = searcher.search({"a": impact})
        assert hits.scores.tolist() == [impact**2]
        assert hits[0].score == float(impact**2) != impact**2
    told = run_well("search", "--index", tmp_path / "index", "--encoded", "--query", f'{{"a": {impact}}}', "--json")
    assert json.loads(told)[0]["score"] == impact**2


def test_a_deleted_document_has_no_docid_but_a_number(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument(f"d{i}", "", {"a": 1}) for i in range(3)])
        indexer.commit()
        indexer.delete(["d0"])
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.doc("d0") is None
        numbers = range(searcher.reader.max_doc)
        assert [document and document.docid() for document in map(searcher.doc, numbers)] == ["d0", "d1", "d2"]


def test_batch_arguments_must_fit(index_dir):
    with LuceneImpactSearcher(index_dir) as searcher:
        with pytest.raises(QueryError, match="got 2 queries but 1 qid"):
            searcher.batch_search([{}, {}], ["a"])
        with pytest.raises(QueryError, match="duplicate qid 'a'"):
            searcher.batch_search([{}, {}], ["a", "a"])
        with pytest.raises(QueryError, match="threads must be an integer of at least 1"):
            searcher.batch_search([{}], ["a"], threads=0)


def test_batches_equal_single_searches_whatever_the_threads(index_dir):
    source = random.Random(7)
    queries = [random_query(source, 15) for _ in range(300)]
    qids = [str(i) for i in range(300)]
    with LuceneImpactSearcher(index_dir) as searcher:
        single = {qid: pairs(searcher.search(query, 20)) for qid, query in zip(qids, queries, strict=True)}
        for threads in (1, 2, 5):
            batch = searcher.batch_search(queries, qids, 20, threads)
            assert list(batch) == qids
            assert {qid: pairs(hits) for qid, hits in batch.items()} == single


def test_a_text_query_needs_a_model_that_the_index_does_not_name(index_dir):
    with LuceneImpactSearcher(index_dir) as searcher:
        with pytest.raises(QueryError, match=r"has no manifest that names its model\. Name the model"):
            searcher.search("text")


def test_any_query_encoder_with_an_encode_method_serves(index_dir):
    class Encoder:
        def encode(self, text: str) -> dict[str, int]:
            return dict.fromkeys(text.split(), 2)

    with LuceneImpactSearcher(index_dir, Encoder()) as searcher:
        assert pairs(searcher.search("term1 term2", 5)) == pairs(searcher.search({"term1": 2, "term2": 2}, 5))
        assert pairs(searcher.batch_search(["term1"], ["q"], 5)["q"]) == pairs(searcher.search({"term1": 2}, 5))


# ---- explanations and documents ----


@pytest.fixture(scope="module")
def vectors(collection) -> dict[str, Mapping[str, int]]:
    return {each.docid: each.vector for each in collection}


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_an_explanation_sums_to_the_score(index_dir, vectors, seed):
    searcher = LuceneImpactSearcher(index_dir)
    query = random_query(random.Random(seed), 25)
    for hit in searcher.search(query, 5):
        contributions = searcher.explain(query, hit.docid)
        assert sum(each.product for each in contributions) == hit.score
        assert [each.product for each in contributions] == sorted(
            (each.product for each in contributions), reverse=True
        )
        vector = vectors[hit.docid]
        assert {each.term: each.document_impact for each in contributions} == {
            term: vector[term] for term in query if term in vector
        }
    searcher.close()


def test_explaining_an_unknown_document_names_it(index_dir):
    with (
        LuceneImpactSearcher(index_dir) as searcher,
        pytest.raises(InputError, match="no document has the id 'nobody'"),
    ):
        searcher.explain({"term1": 1}, "nobody")
    with LuceneImpactSearcher(index_dir) as searcher, pytest.raises(InputError, match="must be a string, got 1"):
        searcher.explain({"term1": 1}, 1)  # type: ignore[arg-type]


def test_documents_are_found_by_both_ids_as_in_pyserini(collection, index_dir):
    with LuceneImpactSearcher(index_dir) as searcher:
        stored = searcher.doc("d5")
        assert stored.docid() == stored.id() == "d5"
        again = searcher.doc(stored.lucene_docid())
        assert (again.docid(), again.raw()) == (stored.docid(), stored.raw())
        assert searcher.doc("nobody") is None
        assert searcher.doc(10**6) is None
        assert searcher.doc(-1) is None


def test_hits_and_runs_are_pickled_and_copied(collection, index_dir):
    with LuceneImpactSearcher(index_dir) as searcher:
        hits = searcher.search(collection[0].vector, 5)
        texts = [hit.contents for hit in hits]
        for copied in (copy.copy(hits), copy.deepcopy(hits)):
            assert (copied, [hit.contents for hit in copied]) == (hits, texts)
        assert copy.deepcopy(hits[0]).contents == copy.copy(hits[0]).contents == texts[0]
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            pickled = pickle.loads(pickle.dumps(hits, protocol))
            assert pickled == hits
            assert (pickled.lucene_docids.tolist(), pickled.profile) == (hits.lucene_docids.tolist(), hits.profile)
            hit = pickle.loads(pickle.dumps(hits[1], protocol))
            assert (hit.docid, hit.score, hit.lucene_docid) == (hits[1].docid, hits[1].score, hits[1].lucene_docid)
            for each in (pickled[1], hit, pickle.loads(pickle.dumps(hit, protocol))):
                with pytest.raises(InputError, match="was pickled, so it is no longer connected to its index"):
                    _ = each.contents
        run = Run({"q": hits}, tag="mine")
        again = pickle.loads(pickle.dumps(run))
        assert (dict(again), again.tag) == (dict(run), "mine")
    assert dict(Run({"q": pickled})) == dict(run)


def test_hits_are_a_sequence_that_loads_stored_fields_on_demand(collection, index_dir):
    texts = {document.docid: document.contents for document in collection}
    with LuceneImpactSearcher(index_dir) as searcher:
        hits = searcher.search({"term1": 1}, 10)
        assert len(hits) == 10
        assert [hit.docid for hit in hits[2:4]] == hits.docids[2:4]
        assert hits[-1].docid == hits.docids[-1]
        for hit in hits:
            assert hit.contents == texts[hit.docid]
            assert searcher.doc(hit.lucene_docid).docid() == hit.docid


# ---- folders that are not indexes ----


def test_what_is_no_index_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("missing", "does not exist"), ("file", "is a file, not the folder of an index"), ("folder", "no Lucene index was found"),
    ):  # fmt: skip
        with pytest.raises(NotAnIndexError, match=message):
            LuceneImpactSearcher(tmp_path / name)


def test_an_index_of_lucene_10_is_refused_by_9_9():
    if has_lucene_10():
        pytest.skip("Lucene 10 is installed, which reads it")
    with pytest.raises(
        IndexVersionError, match=r"written by a newer Lucene than the installed one \(9\.9\.1.*pyserini 2\.x"
    ):
        LuceneImpactSearcher(ROOT / "tests" / "data" / "lucene10-index")


def test_an_index_without_impacts_is_refused(tmp_path):
    code_index = tmp_path / "index"
    from splade_lucene import jvm

    directory = jvm.java_class("org.apache.lucene.store.FSDirectory").open(
        jvm.java_class("java.nio.file.Paths").get(str(code_index))
    )
    config = jvm.java_class("org.apache.lucene.index.IndexWriterConfig")()
    writer = jvm.java_class("org.apache.lucene.index.IndexWriter")(directory, config)
    document = jvm.java_class("org.apache.lucene.document.Document")()
    stored = jvm.java_class("org.apache.lucene.document.Field$Store").YES
    document.add(jvm.java_class("org.apache.lucene.document.StringField")("id", "a", stored))
    writer.addDocument(document)
    writer.close()
    with pytest.raises(NotAnIndexError, match="this Lucene index is not an impact index"):
        LuceneImpactSearcher(code_index)


def test_relative_paths_are_those_of_the_folder_that_python_is_in(index_dir, tmp_path, monkeypatch):
    """Java keeps the folder in which it started."""
    jvm.start()
    monkeypatch.chdir(index_dir.parent)
    with LuceneImpactSearcher(index_dir.name) as searcher:
        assert searcher.num_docs == 2000
    assert check_index(index_dir.name).is_sound
    monkeypatch.chdir(tmp_path)
    with LuceneImpactIndexer("new") as indexer:
        indexer.add([PseudoDocument("d1", "", {"heart": 3})])
    assert (tmp_path / "new").is_dir()
    with LuceneImpactSearcher("new") as searcher:
        assert [hit.docid for hit in searcher.search({"heart": 1})] == ["d1"]


def test_half_of_a_surrogate_pair_is_no_term_of_an_index(index_dir):
    with LuceneImpactIndexReader(index_dir) as reader:
        assert len(reader.postings("\ud800")[0]) == 0
        with pytest.raises(InputError, match=r"'\\ud800' contains an unpaired surrogate"):
            reader.impacts(reader.docids()[0], ["term1", "\ud800"])
