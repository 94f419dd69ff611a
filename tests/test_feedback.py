"""Relevance feedback: the expanded queries equal an oracle in NumPy, and the hits equal Pyserini's on the same index."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.anserini import run_index_collection
from support.commands import run, run_well

from splade_lucene import (
    Approximation,
    InputError,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    Query,
    QueryError,
    Run,
    accelerate,
    exhaustive_search,
    index_pseudo_documents,
    merge_indexes,
    optimize_index,
    read_topics,
    score_pairs,
    write_encoded_topics,
    write_pseudo_documents,
)
from splade_lucene.jvm.pyserini_import import pyserini_importable
from splade_lucene.search.checks import Engine
from splade_lucene.search.feedback import Feedback, Rm3, Rocchio

pytestmark = pytest.mark.java

Vector = Mapping[str, int]


class Oracle:
    """Feedback on a matrix of documents and terms, in single precision.

    Args:
        documents: The documents.
    """

    def __init__(self, documents: Sequence[PseudoDocument]) -> None:
        self.documents = documents
        self.terms = sorted({term for each in documents for term in each.vector}, key=str.encode)
        column = {term: i for i, term in enumerate(self.terms)}
        self.matrix = np.zeros((len(documents), len(self.terms)), dtype=np.int64)
        for row, document in enumerate(documents):
            for term, impact in document.vector.items():
                self.matrix[row, column[term]] = impact
        self.row = {document.docid: i for i, document in enumerate(documents)}

    def expand(self, query: Vector, feedback: Feedback, k: int = 10) -> dict[str, float]:
        """The weights of the expanded query; terms that no document has do not count."""
        q = np.array([query.get(term, 0) for term in self.terms], dtype=np.float32)
        hits = exhaustive_search(self.documents, query, len(self.documents))
        if isinstance(feedback, Rocchio):
            weights = np.float32(feedback.alpha) * _unit(q)
            weights += np.float32(feedback.beta) * self._mean(
                hits[: feedback.top_fb_docs], feedback, feedback.top_fb_terms
            )
            if feedback.use_negative:
                last = hits[:k][::-1][: feedback.bottom_fb_docs]
                weights -= np.float32(feedback.gamma) * self._mean(last, feedback, feedback.bottom_fb_terms)
        else:
            weight = np.float32(feedback.original_query_weight)
            weights = weight * _of_sum_one(q) + (1 - weight) * self._model(hits[: feedback.fb_docs], feedback)
        return {term: float(each) for term, each in zip(self.terms, weights, strict=True) if each > 0}

    def _counts(self, feedback: Feedback) -> NDArray[np.bool_]:
        """Which terms may be added."""
        frequent = (self.matrix > 0).sum(axis=0) / np.float32(len(self.documents)) > np.float32(0.1)
        plain = [set(term) <= set("abcdefghijklmnopqrstuvwxyz0123456789") for term in self.terms]
        usual = [2 <= len(term.encode("utf-16-le")) // 2 <= 20 for term in self.terms]
        if feedback.all_terms:
            return np.ones(len(self.terms), dtype=bool)
        return (
            np.array(usual) & ~frequent & (np.array(plain) | isinstance(feedback, Rocchio) | ~self._filters(feedback))
        )

    @staticmethod
    def _filters(feedback: Feedback) -> np.bool_:
        return np.bool_(getattr(feedback, "filter_terms", False))

    def _rows(self, hits: Sequence[tuple[str, int]], feedback: Feedback) -> NDArray[np.float32]:
        rows = self.matrix[[self.row[docid] for docid, _ in hits]] * self._counts(feedback)
        return cast(Any, rows.astype(np.float32))

    def _mean(self, hits: Sequence[tuple[str, int]], feedback: Feedback, count: int) -> NDArray[np.float32]:
        if not hits:
            return np.zeros(len(self.terms), dtype=np.float32)
        rows = np.array([_unit(row) for row in self._rows(hits, feedback)])
        return _unit(_largest(rows.sum(axis=0, dtype=np.float32) / np.float32(len(hits)), count))

    def _model(self, hits: Sequence[tuple[str, int]], feedback: Rm3) -> NDArray[np.float32]:
        total = np.zeros(len(self.terms), dtype=np.float32)
        for row, (_, score) in zip(self._rows(hits, feedback), hits, strict=True):
            total += _of_sum_one(_largest(row, feedback.fb_terms)) * np.float32(score)
        return _of_sum_one(_largest(total, feedback.fb_terms))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.float32(np.sqrt((vector.astype(np.float64) ** 2).sum()))
    return vector / length if length else vector


def _of_sum_one(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.float32(vector.sum(dtype=np.float64))
    return vector / total if total else vector


def _largest(vector: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    kept = np.argsort(-vector, kind="stable")[:count]  # among equal ones the first in byte order
    return np.where(np.isin(np.arange(len(vector)), kept), vector, np.float32(0))


def turn_on(searcher: Any, feedback: Feedback) -> None:
    """Turns feedback on, of our searcher or of Pyserini's."""
    names = [name for name in vars(feedback) if name != "all_terms" or isinstance(searcher, LuceneImpactSearcher)]
    method = searcher.set_rocchio if isinstance(feedback, Rocchio) else searcher.set_rm3
    method(**{name: getattr(feedback, name) for name in names})


def assert_expanded(expanded: Vector, weights: Mapping[str, float]) -> None:
    """The impacts are the weights, in proportion."""
    scale = sum(expanded.values()) / (sum(weights.values()) or 1)
    tiny = {term for term, weight in weights.items() if weight * scale < 2}
    assert expanded.keys() | tiny == weights.keys() | tiny
    for term in expanded.keys() - tiny:
        assert expanded[term] == pytest.approx(weights[term] * scale, rel=2e-5, abs=2)
    assert not expanded or 2**22 - len(expanded) <= sum(expanded.values()) <= 2**22 + len(expanded)
    assert [*expanded.values()] == sorted(expanded.values(), reverse=True)


def pairs(hits: Any) -> list[tuple[str, int]]:
    return [(hit.docid, int(hit.score)) for hit in hits]


def build(folder: Path, documents: Sequence[PseudoDocument], *, commits: int = 1) -> Path:
    with LuceneImpactIndexer(folder) as indexer:
        step = -(-len(documents) // commits)
        for start in range(0, len(documents), step):
            indexer.add(documents[start : start + step])
            indexer.commit()
    return folder


# ---- against the oracle ----

FEEDBACK: list[Feedback] = [
    Rocchio(),
    Rocchio(top_fb_terms=40, top_fb_docs=3, alpha=0.5, beta=2, all_terms=True),
    Rocchio(gamma=0.5, use_negative=True, bottom_fb_docs=4, bottom_fb_terms=30),
    Rm3(),
    Rm3(fb_terms=25, fb_docs=4, original_query_weight=0.25, filter_terms=False),
    Rm3(original_query_weight=0, all_terms=True),
]


def random_queries(count: int, seed: int, terms: Sequence[str]) -> list[dict[str, int]]:
    source = random.Random(seed)
    return [
        {term: source.randint(1, 200) for term in source.sample([*terms, "unknown"], source.randint(1, 6))}
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def collection() -> list[PseudoDocument]:
    """Documents of which few share a term, so that Anserini's rule keeps terms."""
    source = random.Random(3)
    words = [f"{a}{b}" for a in "abcdefgh" for b in "stuvwxyz012345"] + [
        "q",
        "##ing",
        "é",
        "漢字",
        "😀",
        "x" * 21,
        "common",
    ]
    return [
        PseudoDocument(
            f"d{i}",
            "",
            {term: source.randint(1, 300) for term in [*source.sample(words, source.randint(1, 12)), "common"]},
        )
        for i in range(300)
    ]


@pytest.fixture(scope="module")
def oracle(collection: list[PseudoDocument]) -> Oracle:
    return Oracle(collection)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, collection: list[PseudoDocument]) -> Path:
    return build(tmp_path_factory.mktemp("feedback") / "index", collection, commits=3)


@pytest.mark.parametrize("cache_bytes", [None, 0])  # 0: no vectors are kept in memory
@pytest.mark.parametrize("feedback", FEEDBACK)
def test_expanded_queries_and_hits_equal_the_oracle(index, collection, oracle, feedback, cache_bytes):
    queries = random_queries(30, 1, oracle.terms)
    with LuceneImpactSearcher(index, cache_bytes=cache_bytes) as searcher:
        turn_on(searcher, feedback)
        expanded = [searcher.expand(query, 20) for query in queries]
        found = searcher.batch_search(queries, [str(i) for i in range(len(queries))], 20, threads=3)
        for query, new, hits in zip(queries, expanded, found.values(), strict=True):
            assert_expanded(new, oracle.expand(query, feedback, 20))
            assert pairs(hits) == exhaustive_search(collection, new, 20)
            assert hits == searcher.search(query, 20)


@pytest.mark.parametrize("engine", get_args(Engine))
def test_engines_accelerators_and_segments_give_the_same(tmp_path, collection, index, engine):
    whole = build(tmp_path / "whole", collection)
    optimize_index(whole)
    accelerate(whole)
    queries = random_queries(20, 2, [*collection[0].vector, *collection[1].vector])
    qids = [str(i) for i in range(len(queries))]
    for feedback in FEEDBACK:
        answers = []
        for folder, cache_bytes in ((index, None), (index, 0), (whole, None), (whole, 0)):
            with LuceneImpactSearcher(folder, engine=engine, cache_bytes=cache_bytes) as searcher:
                turn_on(searcher, feedback)
                answers.append([pairs(hits) for hits in searcher.batch_search(queries, qids, 15, 2).values()])
        assert answers[1:] == answers[:-1]


SHARES = st.one_of(st.just(0.0), st.floats(0.01, 1))

documents_of_few_terms = st.lists(
    st.dictionaries(st.sampled_from(["ab", "cd", "ef", "gh", "e", "##s", "ü1"]), st.integers(1, 4), min_size=1),
    min_size=1,
    max_size=40,
)


@settings(max_examples=20)
@given(
    vectors=documents_of_few_terms,
    query=st.dictionaries(st.sampled_from(["ab", "cd", "e", "##s", "zz"]), st.integers(1, 5), max_size=4),
    feedback=st.one_of(
        st.builds(
            Rocchio, top_fb_terms=st.integers(1, 6), top_fb_docs=st.integers(1, 50), bottom_fb_docs=st.integers(1, 5),
            alpha=SHARES, beta=SHARES, gamma=SHARES, use_negative=st.booleans(),
            all_terms=st.booleans(),
        ),
        st.builds(
            Rm3, fb_terms=st.integers(1, 6), fb_docs=st.integers(1, 50), original_query_weight=SHARES,
            filter_terms=st.booleans(), all_terms=st.booleans(),
        ),
    ),
    k=st.integers(1, 50),
)  # fmt: skip
def test_small_collections_with_many_ties(vectors, query, feedback, k):
    documents = [PseudoDocument(f"d{i}", "", vector) for i, vector in enumerate(vectors)]
    with tempfile.TemporaryDirectory() as folder:
        with LuceneImpactSearcher(build(Path(folder) / "index", documents, commits=2)) as searcher:
            turn_on(searcher, feedback)
            expanded = searcher.expand(query, k)
            assert pairs(searcher.search(query, k)) == exhaustive_search(documents, expanded, k)
            weights = Oracle(documents).expand(query, feedback, k)
            if expanded == query and max(weights.values(), default=0) < 1e-6:
                return  # it would be erased, so it stays as it is
            assert_expanded(expanded, weights)
            assert expanded or not exhaustive_search(documents, query, k)


# ---- what it works on ----


def expansion(searcher: LuceneImpactSearcher, query: Vector, **arguments: Any) -> set[str]:
    return searcher.expand(query, **arguments).keys() - query.keys()


@pytest.fixture
def living(tmp_path: Path) -> Path:
    """Documents with the term ``seed`` and one of their own each, the best first; and others, so that terms are rare."""
    documents = [PseudoDocument(f"s{i}", "", {"seed": 50 - i, f"own{i}": 10 + i}) for i in range(5)]
    others = [PseudoDocument(f"o{i}", "", {f"other{i}": 5}) for i in range(60)]
    return build(tmp_path / "living", [*documents, *others])


def test_deleted_documents_are_never_used_and_a_refresh_shows_new_ones(living):
    with LuceneImpactSearcher(living) as searcher, LuceneImpactIndexer(living) as indexer:
        searcher.set_rocchio(top_fb_docs=2)
        assert expansion(searcher, {"seed": 1}) == {"own0", "own1"}
        indexer.delete(["s0"])
        indexer.add(PseudoDocument("s9", "", {"seed": 60, "new": 20}))
        indexer.commit()
        assert expansion(searcher, {"seed": 1}) == {"own0", "own1"}
        searcher.refresh()
        for _ in range(3):  # looked up, and then from memory
            assert expansion(searcher, {"seed": 1}) == {"new", "own1"}
        assert searcher.search({"seed": 1}).docids == ["s9", "s1", "s2", "s3", "s4"]
        with pytest.raises(InputError, match="no document has the id 's0'"):
            searcher.vector("s0")


def test_with_a_filter_the_hits_that_it_accepts_count_as_relevant(living):
    with LuceneImpactSearcher(living) as searcher:
        searcher.set_rm3(fb_docs=2)
        filter = searcher.make_filter(["s0", "s1"], exclude=True)
        assert expansion(searcher, {"seed": 1}, filter=filter) == {"own2", "own3"}
        expanded = searcher.expand({"seed": 1}, filter=filter)
        hits = searcher.search({"seed": 1}, filter=filter)
        assert hits.docids == ["s2", "s3", "s4"]
        searcher.unset_rm3()
        assert searcher.search(expanded, filter=filter) == hits


def test_fewer_documents_than_asked_no_hits_and_empty_queries(living):
    with LuceneImpactSearcher(living) as searcher:
        for feedback in (Rocchio(top_fb_docs=10**6), Rm3(fb_docs=10**6)):
            turn_on(searcher, feedback)
            assert expansion(searcher, {"seed": 1}) == {f"own{i}" for i in range(5)}
            assert len(searcher.search({"seed": 1}, 10**9)) == 5
            for query in ({}, {"nobody": 3}, " "):
                assert searcher.expand(query) == {}
                assert not searcher.search(query)
            assert [len(hits) for hits in searcher.batch_search([{}, {"seed": 1}], ["a", "b"]).values()] == [0, 5]


def test_an_empty_index(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(PseudoDocument("a", "", {"x": 1}))
        indexer.commit()
        indexer.delete(["a"])
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        searcher.set_rocchio()
        assert not searcher.search({"x": 1})


def test_terms_that_min_idf_drops_are_dropped_from_the_query_first(living):
    with LuceneImpactSearcher(living, min_idf=3) as searcher:  # ln(65 / 5) is below, ln(65 / 1) above
        searcher.set_rocchio()
        assert searcher.expand({"seed": 9, "own1": 1}).keys() == {"own1"}


def test_explain_and_score_agree_with_the_search(index, collection):
    query = dict([*collection[5].vector.items()][:3])
    with LuceneImpactSearcher(index) as searcher:
        for feedback in FEEDBACK:
            turn_on(searcher, feedback)
            hits = searcher.search(query, 10)
            assert searcher.score(query, hits.docids).tolist() == hits.scores.tolist()
            best = hits[0]
            assert sum(each.product for each in searcher.explain(query, best.docid)) == best.score


@pytest.mark.parametrize("feedback", [Rocchio(gamma=2, use_negative=True, all_terms=True), Rm3(all_terms=True)])
def test_explain_and_score_take_the_filter_and_k_of_the_search(index, collection, feedback):
    query = dict([*collection[5].vector.items()][:3])
    with LuceneImpactSearcher(index) as searcher:
        turn_on(searcher, feedback)
        filter = searcher.make_filter([f"d{i}" for i in range(0, 300, 2)])
        for same in ({"k": 25}, {"k": 25, "filter": filter}):
            hits = searcher.search(query, **same)
            assert searcher.score(query, hits.docids, **same).tolist() == hits.scores.tolist()
            known = dict(zip(hits.docids, hits.scores.tolist(), strict=True))
            assert searcher.score_known([query], [hits.docids], **same) == [known]
            scored, _ = score_pairs(searcher, [Query("q", "", query)], {"q": hits.docids}, **same)
            assert dict(scored["q"]) == known
            for hit in list(hits)[:3]:
                assert sum(each.product for each in searcher.explain(query, hit.docid, **same)) == hit.score
        assert searcher.score(query, hits.docids).tolist() != hits.scores.tolist()


def test_a_longer_ranking_begins_with_the_shorter_one(index, oracle):
    with LuceneImpactSearcher(index) as searcher:
        searcher.set_rocchio()
        for query in random_queries(10, 5, oracle.terms):
            assert pairs(searcher.search(query, 3)) == pairs(searcher.search(query, 50))[:3]


def test_scores_too_large_for_an_int(tmp_path):
    documents = [PseudoDocument(f"d{i}", "", {"ab": 2**29 + i, f"own{i}": 2**29}) for i in range(30)]
    with LuceneImpactSearcher(build(tmp_path / "index", documents)) as searcher:
        searcher.set_rm3(all_terms=True)
        expanded = searcher.expand({"ab": 1})
        assert len(expanded) == 10  # so are sums of impacts that are all of 30 bits
        hits = searcher.search({"ab": 1}, 5)
        assert pairs(hits) == exhaustive_search(documents, expanded, 5)
        assert searcher.score({"ab": 1}, hits.docids).tolist() == hits.scores.tolist()


def test_approximate_search(index, collection):
    query = dict([*collection[5].vector.items()][:4])
    with LuceneImpactSearcher(index, approximation=Approximation(alpha=0.9)) as searcher:
        searcher.set_rocchio()
        assert searcher.recall([query], 10) == [pytest.approx(1, abs=0.5)]
        assert len(searcher.search(query)) == 10


# ---- switches ----


def test_one_kind_is_on_at_a_time(living):
    with LuceneImpactSearcher(living) as searcher:
        plain = searcher.search({"seed": 1})
        assert (searcher.is_using_rm3(), searcher.is_using_rocchio()) == (False, False)
        searcher.set_rm3()
        assert (searcher.is_using_rm3(), searcher.is_using_rocchio()) == (True, False)
        searcher.set_rocchio()
        assert (searcher.is_using_rm3(), searcher.is_using_rocchio()) == (False, True)
        searcher.unset_rm3()
        assert searcher.is_using_rocchio()
        assert searcher.search({"seed": 1}) != plain
        searcher.unset_rocchio()
        assert (searcher.is_using_rm3(), searcher.is_using_rocchio()) == (False, False)
        assert searcher.search({"seed": 1}) == plain
        assert searcher.expand({"seed": 1}) == {"seed": 1}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Rocchio, {"top_fb_terms": 0}), (Rocchio, {"top_fb_docs": 1.5}), (Rocchio, {"bottom_fb_docs": True}),
        (Rocchio, {"alpha": -1}), (Rocchio, {"beta": float("nan")}), (Rocchio, {"gamma": float("inf")}),
        (Rocchio, {"alpha": "1"}), (Rocchio, {"alpha": 1e300}), (Rocchio, {"beta": 10**400}), (Rm3, {"fb_terms": 2**31}), (Rm3, {"fb_docs": None}),
        (Rm3, {"original_query_weight": 1.01}), (Rm3, {"original_query_weight": True}),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_and_change_nothing(living, kind, wrong):
    with LuceneImpactSearcher(living) as searcher:
        searcher.set_rocchio()
        with pytest.raises(QueryError, match=f"{next(iter(wrong))} must be"):
            (searcher.set_rocchio if kind is Rocchio else searcher.set_rm3)(**wrong)
        assert searcher.is_using_rocchio()


def test_a_rule_that_leaves_no_term_is_not_silent(tmp_path, caplog):
    documents = [PseudoDocument(f"d{i}", "", {"心": 5 + i, f"臟{i}" if i % 2 else "血": 3}) for i in range(30)]
    with LuceneImpactSearcher(build(tmp_path / "index", documents)) as searcher:
        searcher.set_rm3()
        for _ in range(2):
            assert searcher.expand({"心": 1}).keys() == {"心"}
        assert [record.message.partition(":")[0] for record in caplog.records] == [
            "relevance feedback adds nothing to 1 query of 1"
        ]
        assert "Pass all_terms=True" in caplog.text
        caplog.clear()
        searcher.set_rm3(all_terms=True)
        assert "血" in searcher.expand({"心": 1})
        assert not caplog.records


@pytest.mark.parametrize("feedback", [Rocchio(alpha=0), Rm3(original_query_weight=0)])
def test_a_query_that_would_be_erased_stays_as_it_is(tmp_path, caplog, feedback):
    documents = [PseudoDocument(f"d{i}", "", {"心": 5 + i}) for i in range(30)]
    with LuceneImpactSearcher(build(tmp_path / "index", documents)) as searcher:
        plain = searcher.search({"心": 2}, 5)
        turn_on(searcher, feedback)
        assert searcher.expand({"心": 2}) == {"心": 2}
        assert searcher.search({"心": 2}, 5) == plain
        assert "relevance feedback adds nothing to 1 query of 1" in caplog.text
        caplog.clear()
        searcher.set_rocchio(alpha=0, beta=0, all_terms=True)
        assert searcher.search({"心": 2}, 5) == plain
        assert searcher.expand({"nobody": 1}) == {}
        assert "would leave no term with a weight above 0 in 1 query of 1" in caplog.text
        searcher.set_rocchio(alpha=1e38, beta=1e38, all_terms=True)  # within single precision
        assert searcher.search({"心": 2}, 5).docids == plain.docids


def test_debug_logs_the_queries(living, caplog):
    caplog.set_level(logging.INFO)
    with LuceneImpactSearcher(living) as searcher:
        searcher.set_rocchio(debug=True)
        searcher.search({"seed": 1})
    assert "the query {'seed': 1} was expanded to {'seed': " in caplog.text


# ---- several indexes ----


def test_several_indexes_give_what_the_merged_one_gives(tmp_path, collection, oracle):
    parts = [build(tmp_path / f"part{i}", collection[i::3]) for i in range(3)]
    with LuceneImpactIndexer(parts[0]) as indexer:
        indexer.add(PseudoDocument(f"gone{i}", "", {"as": 300, "bs": 300}) for i in range(30))
        indexer.commit()
        indexer.delete([f"gone{i}" for i in range(30)])
    merge_indexes(parts, tmp_path / "merged")
    with LuceneImpactSearcher(parts) as several, LuceneImpactSearcher(tmp_path / "merged") as merged:
        for feedback in FEEDBACK:
            turn_on(several, feedback)
            turn_on(merged, feedback)
            for query in random_queries(10, 8, oracle.terms):
                assert pairs(several.search(query, 20)) == pairs(merged.search(query, 20))
        several.unset_rm3()
        merged.unset_rm3()
        document = collection[4]
        assert several.vector(document.docid) == document.vector
        assert pairs(several.more_like_this(document.docid, 9)) == pairs(merged.more_like_this(document.docid, 9))
        docids = [each.docid for each in collection]
        assert several.score(document.vector, docids).tolist() == merged.score(document.vector, docids).tolist()


# ---- the command line ----


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory, oracle: Oracle) -> Path:
    path = tmp_path_factory.mktemp("topics") / "topics.tsv"
    queries = [query for query in random_queries(20, 9, oracle.terms) if query.keys() & {*oracle.terms}]
    write_encoded_topics(path, [Query(f"q{i}", "", query) for i, query in enumerate(queries)])
    return path


OPTIONS = [
    (["--rocchio"], Rocchio()),
    (
        ["--rocchio", "--rocchio.topFbTerms", 30, "--rocchio-top-fb-docs", 3, "--rocchio.alpha", 0.5, "--rocchio-beta", 2],
        Rocchio(top_fb_terms=30, top_fb_docs=3, alpha=0.5, beta=2),
    ),
    (["--rocchio", "--rocchio.useNegative"], Rocchio(gamma=0.15, use_negative=True)),
    (
        ["--rocchio", "--rocchio-use-negative", "--rocchio.gamma", 1, "--rocchio.bottomFbTerms", 9,
         "--rocchio-bottom-fb-docs", 3, "--feedback-all-terms"],
        Rocchio(gamma=1, use_negative=True, bottom_fb_terms=9, bottom_fb_docs=3, all_terms=True),
    ),
    (["--rm3"], Rm3()),
    (
        ["--rm3", "--rm3.fbTerms", 30, "--rm3-fb-docs", 3, "--rm3.originalQueryWeight", 0.2, "--rm3.noTermFilter"],
        Rm3(fb_terms=30, fb_docs=3, original_query_weight=0.2, filter_terms=False),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "feedback"), OPTIONS)
def test_options_of_search_are_those_of_the_library(index, topics, tmp_path, options, feedback):
    run_well("search", "--index", index, "--topics", topics, "--encoded", "--output", tmp_path / "run.json",
             "--output-format", "json", "--hits", 20, *options)  # fmt: skip
    with LuceneImpactSearcher(index) as searcher:
        turn_on(searcher, feedback)
        queries = list(read_topics(topics, encoded=True))
        found = searcher.batch_search([query.content for query in queries], [query.qid for query in queries], 20)
    Run(found).write(tmp_path / "expected.json", format="json")
    assert (tmp_path / "run.json").read_text() == (tmp_path / "expected.json").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rocchio", "--rm3"], "--rocchio and --rm3 are mutually exclusive"),
        (["--rocchio.topFbDocs", 3], "--rocchio-top-fb-docs requires --rocchio"),
        (["--rocchio", "--rm3-no-term-filter"], "--rm3-no-term-filter requires --rm3"),
        (["--feedback-all-terms"], "--feedback-all-terms requires --rocchio or --rm3"),
        (["--rocchio", "--rocchio.gamma", 0.1], "--rocchio-gamma requires --rocchio-use-negative"),
        (["--rm3", "--rm3.fbDocs", 0], "--rm3-fb-docs must be an integer of at least 1, got 0"),
        (["--rocchio", "--rocchio-alpha", "nan"], "--rocchio-alpha must be a number of at least 0, got nan"),
        (["--rm3", "--engine", "pyserini"], "--engine pyserini does not support --rocchio and --rm3"),
    ],
)
def test_contradictory_options_are_wrong_usage(options, message):
    done = run("search", "--index", "none", "--query", "a", *options, COLUMNS="200")
    assert done.returncode == 2
    assert message in done.stderr


# ---- against Pyserini ----


def assert_equal_hits(ours: Any, theirs: Any) -> None:
    """The same hits and scores in the same order, up to the rounding of Pyserini's scores and of our weights."""
    scores = {hit.docid: hit.score for hit in theirs}
    assert {*ours.docids} == scores.keys()
    if ours:
        expected = np.array([scores[docid] for docid in ours.docids]) * (ours.scores[0] / scores[ours.docids[0]])
        rounding = 1e-6 * expected + 600  # half of each document's impacts, of up to 4 terms and 300
        assert (abs(ours.scores - expected) <= rounding).all()
        assert (expected[1:] <= expected[:-1] + 2 * rounding[:-1]).all()


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory, collection: list[PseudoDocument]) -> list[Path]:
    """The collection, indexed by us with the input stored, and by Anserini with the vectors of documents."""
    folder = tmp_path_factory.mktemp("peers")
    write_pseudo_documents(folder / "in" / "docs.jsonl", collection)
    index_pseudo_documents(folder / "in", folder / "ours", store="raw")
    run_index_collection(
        "JsonVectorCollection", folder / "in", folder / "theirs", "-impact", "-pretokenized", "-storeDocvectors"
    )
    return [folder / "ours", folder / "theirs"]


class Encoded:
    """A query encoder for queries that are encoded."""

    def encode(self, query: Any) -> dict[str, int]:
        return dict(query)


PARITY: list[Feedback] = [
    Rocchio(),
    Rocchio(top_fb_terms=40, top_fb_docs=3, alpha=0.5, beta=2),
    Rocchio(gamma=0.15, use_negative=True),
    Rocchio(gamma=1, use_negative=True, bottom_fb_docs=3, bottom_fb_terms=50),
    Rm3(),
    Rm3(fb_terms=30, fb_docs=3, original_query_weight=0.2),
    Rm3(filter_terms=False),
]


@pytest.mark.parametrize("min_idf", [0, -1])
@pytest.mark.parametrize("stored", [0, 1])
def test_hits_equal_pyserinis(peers, oracle, stored, min_idf):
    with pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as PyserinisSearcher
    theirs = PyserinisSearcher(str(peers[stored]), Encoded(), min_idf)
    queries = random_queries(15, 7, oracle.terms)
    with LuceneImpactSearcher(peers[stored], min_idf=min_idf) as ours:
        for feedback in PARITY:
            turn_on(theirs, feedback)
            turn_on(ours, feedback)
            for query in queries:
                assert_equal_hits(ours.search(query, 300), theirs.search(query, 300))
    theirs.close()
