"""Every engine, on every kind of index and query, gives the hits of the NumPy oracle: documents, scores and order.

A case is an index, a query and a k, searched by every engine. ``SPLADE_LUCENE_CASES=100000 pytest tests/test_engines.py`` runs
more of the random ones than the few thousand of a test run.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_lucene import (
    Approximation,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    exhaustive_search,
    index_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.errors import IndexAccessError, QueryError
from splade_lucene.search.checks import Engine

CASES = int(os.environ.get("SPLADE_LUCENE_CASES", "3000"))
CASES_OF_AN_INDEX = 60
SEED = 20261123
SETTINGS = [*((engine, None) for engine in get_args(Engine)), ("auto", 0)]  # 0: nothing decoded, streamed from Lucene


def random_documents(source: random.Random) -> list[PseudoDocument]:
    """Few or many, tied or not, alike by neighbourhood or not, with rare and with common terms."""
    count = source.choice([1, 2, 5, 63, 64, 65, 130, 400, 1500])
    largest = source.choice([1, 2, 5, 300, 65_535, 65_536, 2**20])
    terms = [f"t{i}" for i in range(source.choice([1, 3, 20, 200]))]
    numbers = source.sample(range(10 * count), count)
    documents = []
    for position, number in enumerate(numbers):
        topic = position // 50 if source.random() < 0.7 else source.randint(0, 50)
        near = [terms[(topic * 7 + i) % len(terms)] for i in range(source.randint(1, 12))]
        chosen = {*near, *source.sample(terms, min(len(terms), source.randint(0, 3)))}
        documents.append(PseudoDocument(str(number), "", {term: source.randint(1, largest) for term in sorted(chosen)}))
    return documents


def random_query(source: random.Random) -> dict[str, int]:
    largest = source.choice([1, 2, 300, 2**20])
    terms = source.sample([f"t{i}" for i in range(220)], source.choice([1, 2, 8, 30, 200]))
    return {term: source.randint(1, largest) for term in [*terms, *source.choice([[], ["t0"], ["t0", "t1", "t2"]])]}


def random_filter(documents: list[PseudoDocument], source: random.Random) -> tuple[set[str], bool]:
    """Docids, some of them of no document, and whether they are those that may be hits; mostly no filter."""
    if source.random() < 0.6:
        return set(), False
    docids = [document.docid for document in documents]
    few = source.sample(docids, source.randint(0, min(5, len(docids))))
    many = [docid for docid in docids if source.random() < 0.5]
    return {*source.choice([few, many]), "no such document"}, source.random() < 0.5


def build(documents: list[PseudoDocument], folder: Path, source: random.Random) -> list[PseudoDocument]:
    """Indexes in bulk, or in several segments with some documents deleted; returns those that are left."""
    index = folder / "index"
    if source.random() < 0.7:
        write_pseudo_documents(folder / "docs.jsonl", documents)
        index_pseudo_documents(
            folder / "docs.jsonl", index, order=source.choice(["bp", "input"]), store="none", overwrite=True
        )
        return documents
    with LuceneImpactIndexer(index) as indexer:
        indexer.delete([document.docid for document in documents])
        step = source.choice([len(documents), 1 + len(documents) // 3])
        for start in range(0, len(documents), step):
            indexer.add(documents[start : start + step])
            indexer.commit()
        deleted = {document.docid for document in documents if source.random() < source.choice([0, 0.3])}
        indexer.delete(deleted)
    return [document for document in documents if document.docid not in deleted]


@pytest.mark.slow
@settings(max_examples=CASES // CASES_OF_AN_INDEX, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32))
def test_random_cases_equal_the_oracle(seed):
    source = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        documents = build(random_documents(source), Path(folder), source)
        searchers = [
            LuceneImpactSearcher(Path(folder) / "index", engine=engine, cache_bytes=cache_bytes)
            for engine, cache_bytes in SETTINGS
        ]
        try:
            for _ in range(CASES_OF_AN_INDEX):
                query = random_query(source)
                k = source.choice([1, 2, 3, 10, 100, 1000, len(documents) + 1])
                docids, keep = random_filter(documents, source)
                allowed = [each for each in documents if (each.docid in docids) == keep]
                expected = exhaustive_search(allowed, query, k)
                for searcher, setting in zip(searchers, SETTINGS, strict=True):
                    chosen = searcher.make_filter(docids, exclude=not keep) if docids or keep else None
                    hits = searcher.search(query, k, filter=chosen)
                    found = list(zip(hits.docids, hits.scores.tolist(), strict=True))
                    assert found == expected, (setting, query, k)
        finally:
            for searcher in searchers:
                searcher.close()


class Oracle:
    """The best hits of many documents, in NumPy; says which of them may be hits."""

    def __init__(self, documents: list[PseudoDocument]) -> None:
        self.docids = [document.docid for document in documents]
        self.position = {docid: number for number, docid in enumerate(sorted(self.docids, key=str.encode))}
        self.rank = np.array([self.position[docid] for docid in self.docids])
        lists: dict[str, list[tuple[int, int]]] = {}
        for number, document in enumerate(documents):
            for term, impact in document.vector.items():
                lists.setdefault(term, []).append((number, impact))
        self.postings = {term: np.array(pairs, dtype=np.int64).T for term, pairs in lists.items()}

    def search(self, query: dict[str, int], k: int, allowed: np.ndarray) -> list[tuple[str, int]]:
        sums = np.zeros(len(self.docids), dtype=np.int64)
        for term, impact in query.items():
            if term in self.postings:
                numbers, impacts = self.postings[term]
                sums[numbers] += impact * impacts
        found = np.flatnonzero((sums > 0) & allowed)
        if len(found) > k:
            found = found[sums[found] >= np.partition(sums[found], -k)[-k]]
        found = found[np.lexsort((self.rank[found], -sums[found]))][:k]
        return [(self.docids[number], int(sums[number])) for number in found]


def topical_documents(source: random.Random, count: int) -> list[PseudoDocument]:
    """Short documents of topics, neighbours alike, with ties, common terms, and now and then an impact beyond a byte."""
    largest = source.choice([3, 40, 300])
    documents = []
    for position, number in enumerate(source.sample(range(10 * count), count)):
        topic = position // 300 if source.random() < 0.8 else source.randint(0, count // 300)
        terms = [f"t{topic * 3 + source.randint(0, 11)}" for _ in range(source.randint(1, 5))]
        beyond = source.random() < 0.03
        vector = {
            term: source.choice([255, 256, 511, 70_000]) if beyond else source.randint(1, largest) for term in terms
        }
        if source.random() < 0.6:
            vector[f"common{source.randint(0, 3)}"] = source.randint(1, 3)
        if source.random() < 0.95:
            vector["all"] = source.randint(1, 2)
        documents.append(PseudoDocument(str(number), "", vector))
    return documents


def topical_query(source: random.Random, count: int) -> dict[str, int]:
    largest = source.choice([1, 3, 10, 300, 2**20])
    topic = source.randint(0, count // 100)
    terms = [f"t{topic + source.randint(0, 14)}" for _ in range(source.choice([1, 2, 5, 12]))]
    terms += [f"t{source.randint(0, count // 100)}" for _ in range(source.choice([0, 4, 20]))]
    terms += source.sample(["all", "common0", "common1", "common2", "common3"], source.randint(0, 3))
    return {term: source.randint(1, largest) for term in terms}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("SPLADE_LUCENE_LARGE_INDEXES", "2"))))
def test_cases_large_enough_for_every_branch_equal_the_oracle(tmp_path, seed):
    """With more groups of blocks than are refined at first, more blocks than a piece, several segments, deletes and filters."""
    source = random.Random(SEED + seed)
    documents = topical_documents(source, 32_000)
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        for start, end in ((0, 22_000), (22_000, 22_700), (22_700, 32_000)):
            indexer.add(documents[start:end])
            indexer.commit()
        deleted = {document.docid for document in documents if source.random() < 0.1}
        indexer.delete(deleted)
    oracle = Oracle(documents)
    live = np.array([docid not in deleted for docid in oracle.docids])
    some = {docid for docid in oracle.docids if source.random() < 0.3}
    is_some = np.array([docid in some for docid in oracle.docids])
    few = oracle.docids[21_950:22_050]
    is_few = np.isin(np.arange(len(live)), range(21_950, 22_050))
    filters = [
        (None, True, live),
        (some, False, live & is_some),
        (some, True, live & ~is_some),
        (few, False, live & is_few),
    ]
    used: Counter[str] = Counter()
    scored = refined_late = 0
    searchers = [LuceneImpactSearcher(tmp_path / "index", engine=engine) for engine in get_args(Engine)]
    try:
        for _ in range(60):
            docids, exclude, allowed = source.choice([filters[0], *filters])
            k = source.choice([1, 1, 2, 3, 10, 17, 100, 1000, 40_000])
            queries = [topical_query(source, len(documents)) for _ in range(5)]
            expected = [oracle.search(query, k, allowed) for query in queries]
            for searcher in searchers:
                chosen = None if docids is None else searcher.make_filter(docids, exclude=exclude)
                found = searcher.batch_search(queries, list("abcde"), k, source.choice([1, 2]), filter=chosen)
                for query, hits, best in zip(queries, found.values(), expected, strict=True):
                    assert list(zip(hits.docids, hits.scores.tolist(), strict=True)) == best, (
                        searcher.engine,
                        k,
                        query,
                    )
                    profile = hits.profile
                    used[f"{searcher.engine}: {profile.engine}"] += 1
                    assert profile.lookup + profile.bounds + profile.probes <= profile.total + 1e-6
                    if searcher.engine == "blockmax":
                        scored = max(scored, profile.blocks_scored)
                        refined_late += profile.blocks_scored > 16 + k // 8 and k < 20
    finally:
        for searcher in searchers:
            searcher.close()
    assert any(name.startswith("auto: ") and ("blockmax" in name or "maxscore" in name) for name in used), used
    assert scored > 300  # more than a piece of them
    assert refined_late > 5  # more blocks than the probes


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> tuple[list[PseudoDocument], Path]:
    """More documents than a window of 65,536, most of them with one common term, blocks without any term of a query."""
    folder = tmp_path_factory.mktemp("wide")
    source = random.Random(SEED)
    documents = [
        PseudoDocument(
            f"d{i}",
            "",
            {f"topic{i // 1000}": source.randint(1, 50), **({"common": source.randint(1, 3)} if i % 3 else {})},
        )
        for i in range(70_000)
    ]
    write_pseudo_documents(folder / "docs.jsonl", documents)
    for order in ("input", "bp"):
        index_pseudo_documents(folder / "docs.jsonl", folder / order, order=order, store="none")
    return documents, folder


@pytest.mark.slow
@pytest.mark.parametrize("order", ["input", "bp"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_more_documents_than_a_window(wide, order, setting):
    documents, folder = wide
    with LuceneImpactSearcher(folder / order, engine=setting[0], cache_bytes=setting[1]) as searcher:
        for query in ({"common": 1}, {"topic3": 2, "topic69": 1, "common": 7}, {"topic66": 1}):
            for k in (1, 10, 1000, 70_001):
                hits = searcher.search(query, k)
                assert list(zip(hits.docids, hits.scores.tolist(), strict=True)) == exhaustive_search(
                    documents, query, k
                )


def rankings(searcher: LuceneImpactSearcher, queries: list[dict[str, int]], k: int) -> list[list[tuple[str, int]]]:
    found = searcher.batch_search(queries, [str(i) for i in range(len(queries))], k)
    return [list(zip(hits.docids, hits.scores.tolist(), strict=True)) for hits in found.values()]


@pytest.fixture(scope="module")
def clustered(tmp_path_factory) -> tuple[list[PseudoDocument], Path, list[dict[str, int]]]:
    """Documents of 200 topics in 60 blocks and more, and queries that name one or two of them."""
    folder = tmp_path_factory.mktemp("clustered")
    source = random.Random(SEED)
    documents = []
    for number in range(6000):
        topics = source.sample(range(200), 2)
        vector = {
            f"t{topic}w{word}": source.randint(1, 400) for topic in topics for word in source.sample(range(12), 6)
        }
        documents.append(
            PseudoDocument(f"d{number}", "", {**vector, f"common{source.randint(0, 9)}": source.randint(1, 90)})
        )
    write_pseudo_documents(folder / "docs.jsonl", documents)
    index_pseudo_documents(folder / "docs.jsonl", folder / "index", store="none")
    queries = []
    for _ in range(40):
        words = [f"t{source.randint(0, 199)}w{source.randint(0, 11)}" for _ in range(8)]
        queries.append({word: source.randint(20, 200) for word in [*words, "common1", "common2"]})
    return documents, folder / "index", queries


def test_an_approximation_of_nothing_is_exact(clustered):
    documents, index, queries = clustered
    with LuceneImpactSearcher(index, approximation=Approximation(), engine="blockmax") as searcher:
        assert rankings(searcher, queries, 10) == [exhaustive_search(documents, query, 10) for query in queries]
        assert searcher.recall(queries, 10) == [1.0] * len(queries)


@pytest.mark.parametrize(
    "approximation",
    [Approximation(alpha=0.5), Approximation(blocks=5), Approximation(beta=0.4, candidates=100)],
)
def test_an_approximation_misses_hits_and_says_how_many(clustered, approximation):
    documents, index, queries = clustered
    with LuceneImpactSearcher(index, approximation=approximation) as searcher:
        found = rankings(searcher, queries, 10)
        recall = searcher.recall(queries, 10)
    exact = [exhaustive_search(documents, query, 10) for query in queries]
    shares = [
        len({d for d, _ in some} & {d for d, _ in best}) / len(best) for some, best in zip(found, exact, strict=True)
    ]
    assert recall == pytest.approx(shares)
    assert 0.3 < sum(shares) / len(shares) < 1  # so the knob does something, and not everything
    for query, ranking in zip(queries, found, strict=True):  # what is found has its exact score, in order
        scores = dict(exhaustive_search(documents, query, len(documents)))
        assert ranking == sorted(ranking, key=lambda hit: (-hit[1], hit[0]))
        assert all(scores[docid] == score for docid, score in ranking)


def test_a_query_that_is_cut_is_the_query_of_its_heaviest_terms(clustered):
    documents, index, queries = clustered
    with LuceneImpactSearcher(index, approximation=Approximation(beta=0.5)) as searcher:
        found = rankings(searcher, queries, 10)
    cut = [dict(sorted(query.items(), key=lambda each: -each[1])[: (len(query) + 1) // 2]) for query in queries]
    assert found == [exhaustive_search(documents, query, 10) for query in cut]


def test_a_budget_of_blocks_bounds_the_blocks_scored(clustered):
    _, index, queries = clustered
    with LuceneImpactSearcher(index, approximation=Approximation(blocks=5)) as searcher:
        scored = [searcher.search(query, 10).profile.blocks_scored for query in queries]
    with LuceneImpactSearcher(index, engine="blockmax") as searcher:
        exact = [searcher.search(query, 10).profile.blocks_scored for query in queries]
    assert max(scored) <= 5
    assert sum(scored) < sum(exact) / 3


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": 0}, {"alpha": 1.1}, {"alpha": "0.5"}, {"beta": -1}, {"blocks": -1}, {"blocks": 2.5}, {"candidates": 5}],
)
def test_an_approximation_out_of_range_is_refused(wrong):
    with pytest.raises(QueryError):
        Approximation(**wrong)


def test_the_profile_says_what_was_done(clustered):
    documents, index, queries = clustered
    query = queries[0]
    postings = sum(term in document.vector for document in documents for term in query)
    excess = sum(document.vector.get(term, 0) > 255 for document in documents for term in query)
    with LuceneImpactSearcher(index, engine="taat") as searcher:
        profile = searcher.search(query).profile
    assert (profile.engine, profile.taat, profile.blocks, profile.blocks_scored) == ("taat", 1, 0, 0)
    assert profile.postings == profile.postings_scored == postings + excess  # an impact above 255 is in two lists
    assert 0 < profile.lookup + profile.scoring <= profile.total
    with LuceneImpactSearcher(index, engine="blockmax") as searcher:
        profile = searcher.search(query).profile
    assert (profile.engine, profile.blocks) == ("blockmax", (len(documents) - 1) // 64 + 1)
    assert 0 < profile.blocks_scored <= profile.blocks
    assert 0 < profile.postings_scored <= profile.postings
    with LuceneImpactSearcher(index, cache_bytes=0) as searcher:
        assert searcher.search(query).profile.engine == "streamed"


def test_a_filter_belongs_to_its_searcher(clustered):
    _, index, queries = clustered
    with LuceneImpactSearcher(index) as one, LuceneImpactSearcher(index) as other:
        chosen = one.make_filter(["d1", "d2", "nowhere"])
        assert len(chosen) == 2
        assert len(one.make_filter(["d1"], exclude=True)) == one.num_docs - 1
        with pytest.raises(QueryError, match="made by another searcher"):
            other.search(queries[0], filter=chosen)


def test_an_unknown_engine_is_named(tmp_path):
    with pytest.raises(QueryError, match="unknown engine 'magic'. Choose one of: auto, blockmax, maxscore, taat"):
        LuceneImpactSearcher(tmp_path, engine="magic")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("engine", "approximation"),
    [
        ("taat", Approximation(alpha=0.9)),
        ("taat", Approximation(blocks=9)),
        ("maxscore", Approximation(blocks=9)),
    ],
)
def test_an_engine_that_cannot_leave_out_what_it_is_told_to_is_refused(tmp_path, engine, approximation):
    with pytest.raises(QueryError, match="block-max pruning. Choose the engine auto or blockmax"):
        LuceneImpactSearcher(tmp_path, engine=engine, approximation=approximation)


def test_maxscore_adds_up_fewer_postings_than_all(clustered):
    documents, index, queries = clustered
    with LuceneImpactSearcher(index, engine="maxscore") as searcher:
        found = [searcher.search(query) for query in queries]
    for query, hits in zip(queries, found, strict=True):
        assert list(zip(hits.docids, hits.scores.tolist(), strict=True)) == exhaustive_search(documents, query, 10)
    assert all(hits.profile.engine == "maxscore" for hits in found)
    assert sum(hits.profile.postings_scored for hits in found) < sum(hits.profile.postings for hits in found)


def test_batches_with_unlike_numbers_of_threads_go_side_by_side(clustered):
    documents, index, queries = clustered
    expected = [exhaustive_search(documents, query, 10) for query in queries]
    wrong: list[object] = []
    with LuceneImpactSearcher(index) as searcher:

        def search(count: int) -> None:
            try:
                for _ in range(30):
                    found = searcher.batch_search(queries, [str(i) for i in range(len(queries))], 10, count)
                    if [list(zip(h.docids, h.scores.tolist(), strict=True)) for h in found.values()] != expected:
                        wrong.append(count)
            except Exception as error:
                wrong.append(error)

        callers = [threading.Thread(target=search, args=(count,)) for count in (2, 3, 4, 5)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert not wrong
    with pytest.raises(IndexAccessError, match="closed"):
        searcher.batch_search(queries, [str(i) for i in range(len(queries))], 10, 2)


@pytest.mark.parametrize("threads", [0, "2", 2**40, True])
def test_a_wrong_number_of_threads_is_refused(clustered, threads):
    _, index, queries = clustered
    with LuceneImpactSearcher(index) as searcher, pytest.raises(QueryError, match="threads must be an integer"):
        searcher.batch_search(queries[:1], ["1"], 10, threads)


@pytest.mark.parametrize("wrong", ["d1", [1], ["d1", "\ud800"]])
def test_a_filter_is_made_of_docids(clustered, wrong):
    _, index, _ = clustered
    with LuceneImpactSearcher(index) as searcher, pytest.raises(QueryError, match="docid"):
        searcher.make_filter(wrong)


@pytest.mark.parametrize(
    "wrong", [{"cache_bytes": -1}, {"cache_bytes": 1.5}, {"cache_bytes": 10**20}, {"min_idf": float("nan")}]
)
def test_a_wrong_setting_is_refused(tmp_path, wrong):
    with pytest.raises(QueryError, match=next(iter(wrong))):
        LuceneImpactSearcher(tmp_path, **wrong)


def test_the_profile_of_streamed_segments(clustered):
    documents, index, queries = clustered
    postings = sum(term in document.vector for document in documents for term in queries[0])
    with LuceneImpactSearcher(index, cache_bytes=0) as searcher:
        profile = searcher.search(queries[0]).profile
    assert (profile.streamed, profile.postings, profile.postings_scored) == (1, postings, postings)
