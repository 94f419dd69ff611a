"""Given documents: their scores equal those of a search, their vectors those that were indexed, and they can be queries."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.collections import TERMS, random_collection
from support.commands import check_failed, run, run_well

from splade_lucene import (
    Approximation,
    InputError,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    Query,
    QueryError,
    Run,
    RunError,
    accelerate,
    exhaustive_search,
    index_pseudo_documents,
    read_pairs,
    score_pairs,
    write_encoded_topics,
    write_pseudo_documents,
    write_scores,
)
from splade_lucene.search.checks import Engine

pytestmark = pytest.mark.java


@pytest.fixture(scope="module")
def collection() -> list[PseudoDocument]:
    return random_collection(500, 1)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, collection: list[PseudoDocument]) -> Path:
    """The collection in several segments, of which the first have accelerators, with deleted and replaced documents."""
    folder = tmp_path_factory.mktemp("documents") / "index"
    with LuceneImpactIndexer(folder) as indexer:
        indexer.add(PseudoDocument(f"deleted{i}", "", {"term1": 99}) for i in range(20))
        indexer.add([PseudoDocument(each.docid, "", {"term1": 300}) for each in collection[:30]])
        indexer.add(collection[:200])
        indexer.commit()
        accelerate(folder)
        indexer.add(collection[200:])
        indexer.delete([f"deleted{i}" for i in range(20)])
    return folder


def queries(count: int, seed: int) -> list[dict[str, int]]:
    source = random.Random(seed)
    return [
        {term: source.randint(1, 200) for term in source.sample([*TERMS, "unknown"], source.randint(1, 20))}
        for _ in range(count)
    ]


def dot(query: dict[str, int], document: PseudoDocument) -> int:
    return sum(impact * document.vector.get(term, 0) for term, impact in query.items())


def pairs(hits: Any) -> list[tuple[str, int]]:
    return [(hit.docid, int(hit.score)) for hit in hits]


# ---- scores ----


@pytest.mark.parametrize("cache_bytes", [None, 0])
def test_scores_are_the_dot_products(index, collection, cache_bytes):
    source = random.Random(2)
    asked = [source.choices(collection, k=source.choice([0, 1, 40])) for _ in range(20)]
    vectors = queries(20, 3)
    docids = [[each.docid for each in some] for some in asked]
    with LuceneImpactSearcher(index, cache_bytes=cache_bytes) as searcher:
        for threads in (1, 3):
            found = searcher.batch_score(vectors, iter(docids), threads)
            assert [each.dtype for each in found] == [np.int64] * 20
            assert [each.tolist() for each in found] == [
                [dot(query, document) for document in some] for query, some in zip(vectors, asked, strict=True)
            ]
        assert searcher.score(vectors[0], docids[0]).tolist() == found[0].tolist()


def test_scores_are_those_of_a_search_with_any_settings(index):
    vectors = queries(10, 4)
    settings: list[tuple[Engine, float | None, Approximation | None]] = [
        ("auto", None, None),
        ("taat", 2.0, None),
        ("blockmax", 0, Approximation(alpha=0.7)),
        ("maxscore", 2.0, Approximation(beta=0.3)),
    ]
    for engine, min_idf, approximation in settings:
        with (
            LuceneImpactSearcher(index, min_idf=min_idf) as exact,
            LuceneImpactSearcher(index, min_idf=min_idf, engine=engine, approximation=approximation) as searcher,
        ):
            for query in vectors:
                hits = exact.search(query, 50)
                assert searcher.score(query, hits.docids).tolist() == hits.scores.tolist()


def test_impacts_too_large_for_an_int(tmp_path):
    documents = [PseudoDocument(f"d{i}", "", {"a": 2**30 + i, "b": 1 + i}) for i in range(9)]
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(documents)
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        query = {"a": 2**31 - 1, "b": 7}
        docids = ["d8", "d3", "d3", "d0"]
        expected = [dot(query, documents[i]) for i in (8, 3, 3, 0)]
        assert searcher.score(query, docids).tolist() == expected
        assert searcher.vector("d8") == documents[8].vector


def test_unknown_and_deleted_documents_are_named(index):
    with LuceneImpactSearcher(index) as searcher:
        with pytest.raises(InputError, match=r"7 docids are not in the index: 'x0', 'x1', 'x2', 'x3', 'x4', …\. Leave"):
            searcher.score({"term1": 1}, ["d1", *(f"x{i}" for i in range(6)), "deleted3"])
        assert searcher.score_known([{"term1": 1}], [["x", "d1", "deleted3"]])[0].keys() == {"d1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([{"a": 1}], []), "got 1 query but 0 lists of docids"),
        (([{"a": 1}], ["d1"]), "expected several docids, got 'd1'"),
        (([{"a": 1}], [[1]]), "docids must be well-formed strings, got 1"),
        (([{"a": 1}], [{"d1"}]), "expected a sequence of docids, got a set"),
        (([{"a": 1.5}], [["d1"]]), "is not an integer"),
        (([{"a": 1}], [["d1"]], 0), "threads must be an integer of at least 1"),
    ],
)
def test_wrong_arguments(index, arguments, message):
    with LuceneImpactSearcher(index) as searcher, pytest.raises(InputError, match=message):
        searcher.batch_score(*arguments)


def test_nothing_to_score(index):
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.batch_score([], []) == []
        assert searcher.score({}, ["d1"]).tolist() == [0]
        assert searcher.score("  ", []).tolist() == []


# ---- vectors ----


def test_docids_may_be_strings_of_numpy(index):
    docid = np.str_("d8")
    with LuceneImpactSearcher(index) as searcher:
        vector = searcher.vector("d8")
        assert searcher.vector(docid) == vector
        assert searcher.more_like_this(docid, 5) == searcher.more_like_this("d8", 5)
        assert searcher.explain(vector, docid) == searcher.explain(vector, "d8")
        assert searcher.reader.impacts(docid, list(vector)) == [*vector.values()]
        assert (document := searcher.doc(docid)) is not None
        assert type(document.docid()) is str


@pytest.mark.parametrize("cache_bytes", [None, 0])
def test_vectors_are_those_that_were_indexed(index, collection, cache_bytes):
    with LuceneImpactSearcher(index, cache_bytes=cache_bytes) as searcher:
        for document in collection[::20]:
            found = searcher.vector(document.docid)
            assert found == document.vector
            assert [*found] == sorted(found, key=str.encode)
        for unknown in ("nobody", "deleted1"):
            with pytest.raises(InputError, match=f"no document has the id '{unknown}'"):
                searcher.vector(unknown)


# ---- documents as queries ----


def without(document: PseudoDocument, documents: Sequence[PseudoDocument]) -> list[PseudoDocument]:
    return [each for each in documents if each is not document]


def test_a_document_as_the_query(index, collection):
    with LuceneImpactSearcher(index) as searcher:
        for document in collection[::25]:
            others = without(document, collection)
            for k in (1, 7, 10**6):
                assert pairs(searcher.more_like_this(document.docid, k)) == exhaustive_search(
                    others, document.vector, k
                )
            largest = sorted(document.vector, key=lambda term: (-document.vector[term], term.encode()))[:3]
            some = {term: document.vector[term] for term in largest}
            assert pairs(searcher.more_like_this(document.docid, 9, max_terms=3)) == exhaustive_search(others, some, 9)


def test_a_document_as_the_query_with_a_filter_and_feedback(index, collection):
    document = collection[7]
    with LuceneImpactSearcher(index) as searcher:
        accepted = collection[:100]
        expected = exhaustive_search(without(document, accepted), document.vector, 10)
        searcher.set_rocchio(all_terms=True)  # does not apply
        for docids in ([each.docid for each in accepted], [each.docid for each in without(document, accepted)]):
            assert pairs(searcher.more_like_this(document.docid, filter=searcher.make_filter(docids))) == expected
        with pytest.raises(QueryError, match="max_terms must be an integer of at least 1"):
            searcher.more_like_this("d1", max_terms=0)
        with pytest.raises(InputError, match="no document has the id 'deleted2'"):
            searcher.more_like_this("deleted2")


# ---- pairs in files ----


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("q1\td1\nq2 d2\nq1\td3\nq1 d1\n", {"q1": ["d1", "d3"], "q2": ["d2"]}),
        ("q1 Q0 d1 1 9 t\nq1 Q0 d2 2 8 t\n", {"q1": ["d1", "d2"]}),
        ("q1\td1\t1\nq2\td2\t1\n", {"q1": ["d1"], "q2": ["d2"]}),
        ('{"q1": {"d2": 1}}', {"q1": ["d2"]}),
        ('{"q1":{"d2":1},\n"q2":{}}', {"q1": ["d2"], "q2": []}),
    ],
)
def test_pairs_are_read_from_lines_and_runs(tmp_path, text, expected):
    (tmp_path / "pairs").write_text(text)
    assert read_pairs(tmp_path / "pairs") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "no pairs in this file"),
        ("q1 d1\nq1 d2 3\n", r"pairs:2: expected two columns \(qid, docid\), found 3"),
        ("q1\n", "six columns"),
    ],
)
def test_bad_pairs_are_refused(tmp_path, text, message):
    (tmp_path / "pairs").write_text(text)
    with pytest.raises(RunError, match=message):
        read_pairs(tmp_path / "pairs")


def test_pairs_are_scored_in_their_order(index, collection):
    vectors = queries(150, 5)
    asked = {f"q{i}": [each.docid for each in random.Random(i).sample(collection, 5)] for i in range(150)}
    asked["q3"] = ["nobody", *asked["q3"]]
    topics = [Query(f"q{i}", "", vector) for i, vector in enumerate(vectors)]
    by_docid = {each.docid: each for each in collection}
    with LuceneImpactSearcher(index) as searcher:
        scored, unknown = score_pairs(searcher, topics, asked, threads=2)
        assert unknown == {"q3": ["nobody"]}
        assert scored == {
            qid: [(docid, dot(vectors[int(qid[1:])], by_docid[docid])) for docid in docids if docid != "nobody"]
            for qid, docids in asked.items()
        }
        once = {qid: iter(docids) for qid, docids in asked.items()}
        assert score_pairs(searcher, topics, once) == (scored, unknown)
        with pytest.raises(QueryError, match="expected a mapping of qids to docids, got None"):
            score_pairs(searcher, [], None)
        with pytest.raises(InputError, match="threads must be an integer of at least 1, got 0"):
            score_pairs(searcher, topics, asked, threads=0)
        with pytest.raises(QueryError, match="the pairs have 1 qid without a query, such as 'q9'"):
            score_pairs(searcher, topics[:1], {"q0": ["d1"], "q9": ["d1"]})


# ---- commands ----


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    documents = [
        PseudoDocument("d1", "cats", {"cat": 9, "pet": 4}),
        PseudoDocument("d2", "dogs", {"dog": 8, "pet": 4}),
        PseudoDocument("d3", "fish", {"fish": 7}),
    ]
    write_pseudo_documents(folder / "docs.jsonl", documents)
    index_pseudo_documents(folder / "docs.jsonl", folder / "index")
    write_encoded_topics(folder / "topics.tsv", [Query("q1", "", {"pet": 2, "dog": 1}), Query("q2", "", {"fish": 1})])
    (folder / "pairs.tsv").write_text("q1\td1\nq1\td3\nq1\td2\nq2\td3\n")
    (folder / "unknown.tsv").write_text("q1\td1\nq1\td7\n")
    return folder


def score(files: Path, pairs: str, *options: object) -> list[object]:
    return ["score", "--index", files / "index", "--pairs", files / pairs, "--topics", files / "topics.tsv", "--encoded",
            "--output", files / "scores", *options]  # fmt: skip


def test_command_scores_pairs(files):
    told = json.loads(run_well(*score(files, "pairs.tsv", "--output-format", "tsv", "--json")))
    assert (files / "scores").read_text() == "q1\td1\t8\nq1\td3\t0\nq1\td2\t16\nq2\td3\t7\n"
    assert (told["queries"], told["pairs"], told["skipped"]) == (2, 4, 0)
    run_well(*score(files, "pairs.tsv", "--tag", "mine"))
    scored = Run.read(files / "scores")
    assert scored.tag == "mine"
    (files / "no-term.tsv").write_text("q1\td3\nq2\td1\nq2\td2\n")
    run_well(
        *score(files, "no-term.tsv")
    )  # of two documents that share no term, the second falls below 0, as documented
    assert [[score == 0 for _, score in ranking] for ranking in Run.read(files / "scores").values()] == [
        [True],
        [True, False],
    ]
    assert dict(scored) == {"q1": [("d2", 16), ("d1", 8), ("d3", 0)], "q2": [("d3", 7)]}


def test_command_names_unknown_documents_or_leaves_them_out(files):
    (files / "scores").unlink(missing_ok=True)
    message = check_failed(run(*score(files, "unknown.tsv")))
    assert "1 document is not in the index: d7. Pass --skip-unknown to leave them out" in message
    assert not (files / "scores").exists()
    done = run(*score(files, "unknown.tsv", "--skip-unknown", "--output-format", "tsv"))
    assert "1 pair was left out; not in the index: d7" in done.stderr
    assert (files / "scores").read_text() == "q1\td1\t8\n"


def test_commands_take_several_indexes(files, tmp_path):
    other = PseudoDocument("d7", "pets", {"pet": 5})
    write_pseudo_documents(tmp_path / "other.jsonl", [other])
    index_pseudo_documents(tmp_path / "other.jsonl", tmp_path / "index")
    run_well(*score(files, "unknown.tsv", "--index", tmp_path / "index", "--output-format", "tsv"))
    assert (files / "scores").read_text() == "q1\td1\t8\nq1\td7\t10\n"
    arguments = ["more-like-this", "--index", files / "index", "--index", tmp_path / "index", "--docid", "d7", "--json"]
    assert [hit["docid"] for hit in json.loads(run_well(*arguments))] == ["d1", "d2"]


def test_command_finds_documents_like_another(files):
    arguments = ["more-like-this", "--index", files / "index", "--docid", "d1"]
    assert json.loads(run_well(*arguments, "--json")) == [{"rank": 1, "docid": "d2", "score": 16, "text": "dogs"}]
    assert run_well(*arguments).split() == ["1", "16", "d2", "dogs"]
    done = run(*arguments, "--max-terms", 1)
    assert (done.stdout, done.stderr) == ("", "no other document that may be a hit shares a term with this one\n")
    done = run(*arguments, "--mode", "approximate", "--beta", 0.5, "--candidates", 1)
    assert (done.stdout, done.stderr) == ("", "approximate search found no hits; --mode exact may find some\n")
    assert "no document has the id 'd9'" in check_failed(run(*arguments[:-1], "d9"))


@pytest.mark.parametrize("scored", [{"q 1": [("d1", 3)]}, {"q\ud800": [("d1", 3)]}, {"q1": [("", 3)]}])
def test_ids_that_no_reader_would_find_again_are_not_written(tmp_path, scored):
    with pytest.raises(RunError, match="is not valid; expected a string or integer"):
        write_scores(tmp_path / "scores.tsv", scored)
    assert not list(tmp_path.iterdir())
