"""An index under load: threads search with filters while a writer adds, updates, deletes and optimizes.

``SPLADE_LUCENE_TEST_SECONDS`` says for how long: a few seconds by default, 600 for a long run, which also checks that memory
is flat and prints the latencies::

    SPLADE_LUCENE_TEST_SECONDS=600 pytest -n0 -s tests/test_living_load.py
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    accelerate,
    check_index,
    index_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.records import FieldValue

SECONDS = float(os.environ.get("SPLADE_LUCENE_TEST_SECONDS", "4"))
THREADS = 8
DOCUMENTS, TERMS, QUERIES = 1500, 60, 24
FILTERS = [None, 'lang = "de"', "year >= 2010", 'not lang = "de" and year < 2010', "year in (2001, 2002)"]
LARGEST_GROWTH = 1.05
LONG = 120
"""Seconds from which on memory is compared: before, Java's heap grows to its working size."""

Answer = tuple[tuple[tuple[str, int], ...], str | None]
"""The hits, and the stored text of the first one."""


class Question(NamedTuple):
    """A query, how it is filtered, and for how many hits it asks."""

    vector: dict[str, int]
    filter: str | None
    k: int


def questions() -> list[Question]:
    source = random.Random(2)
    return [
        Question(
            {f"t{source.randrange(TERMS)}": source.randrange(1, 50) for _ in range(6)}, FILTERS[number % len(FILTERS)],
            source.choice([1, 10, 100]),
        )
        for number in range(QUERIES)
    ]  # fmt: skip


class Model:
    """The documents that the index must have, and the answers that follow from them, with NumPy alone."""

    def __init__(self) -> None:
        self.source = random.Random(1)
        self.documents: dict[str, PseudoDocument] = {}
        self._made = 0

    def make(self, docid: str) -> PseudoDocument:
        self._made += 1
        vector = {f"t{self.source.randrange(TERMS)}": self.source.randrange(1, 300) for _ in range(10)}
        fields: dict[str, FieldValue] = {
            "lang": self.source.choice(["de", "en"]),
            "year": self.source.randrange(2000, 2020),
        }
        document = PseudoDocument(docid, f"version {self._made} of {docid}", vector, fields)
        self.documents[docid] = document
        return document

    def new_docid(self) -> str:
        return f"d{self._made}"

    def answers(self, asked: list[Question]) -> list[Answer]:
        order = sorted(self.documents)
        impacts = np.zeros((len(order), TERMS), dtype=np.int64)
        for row, docid in enumerate(order):
            for term, impact in self.documents[docid].vector.items():
                impacts[row, int(term[1:])] = impact
        years = np.array([self.documents[docid].fields["year"] for docid in order])
        german = np.array([self.documents[docid].fields["lang"] == "de" for docid in order])
        masks = [years > 0, german, years >= 2010, ~german & (years < 2010), (years == 2001) | (years == 2002)]
        found = []
        for question in asked:
            weights = np.zeros(TERMS, dtype=np.int64)
            for term, weight in question.vector.items():
                weights[int(term[1:])] = weight
            scores = impacts @ weights
            rows = np.flatnonzero((scores > 0) & masks[FILTERS.index(question.filter)])
            best = rows[np.argsort(-scores[rows], kind="stable")][: question.k]  # equal ones stay ordered by docid
            hits = tuple((order[row], int(scores[row])) for row in best)
            found.append((hits, self.documents[hits[0][0]].contents if hits else None))
        return found


class Load:
    """What the threads share."""

    def __init__(self, index: Path, seconds: float) -> None:
        self.index, self.model, self.asked = index, Model(), questions()
        self.expected: dict[int, list[Answer]] = {}
        self.begun = self.committed = self.shown = 0  # numbers of commits
        self.is_over = threading.Event()
        self.wrong: list[object] = []
        self.latencies: NDArray[np.int64] = np.zeros(400, dtype=np.int64)  # by logarithm of microseconds, times 16
        self.lock = threading.Lock()
        self.end = time.monotonic() + seconds

    def run(self, work: Callable[[], None]) -> None:
        try:
            while not self.is_over.is_set() and time.monotonic() < self.end:
                work()
        except BaseException as error:
            self.wrong.append(error)
            self.is_over.set()
            raise

    def change(self) -> None:
        """Several commits by one indexer."""
        source = self.model.source
        with LuceneImpactIndexer(self.index) as indexer:
            for _ in range(source.randrange(1, 4)):
                gone = source.sample(sorted(self.model.documents), 8)
                indexer.delete(gone)
                for docid in gone:
                    del self.model.documents[docid]
                changed = source.sample(sorted(self.model.documents), 8)
                fresh = [self.model.make(docid) for docid in changed]
                fresh += [self.model.make(self.model.new_docid()) for _ in gone]
                indexer.add(fresh)
                if source.random() < 0.1:
                    indexer.optimize(threads=1)
                self.commit(indexer)
        if source.random() < 0.1:
            accelerate(self.index)

    def commit(self, indexer: LuceneImpactIndexer) -> None:
        answers = self.model.answers(self.asked)
        with self.lock:
            self.expected[self.begun + 1] = answers
            self.begun += 1
            for number in [each for each in self.expected if each < self.shown - 50]:
                del self.expected[number]
        indexer.commit()
        self.committed = self.begun

    def refresh(self, searcher: LuceneImpactSearcher) -> None:
        before = self.committed
        searcher.refresh()
        with self.lock:
            self.shown = max(self.shown, before)
        time.sleep(0.02)

    def search(self, searcher: LuceneImpactSearcher, source: random.Random) -> None:
        number = source.randrange(QUERIES)
        question = self.asked[number]
        first = self.shown
        start = time.perf_counter()
        hits = searcher.search(question.vector, question.k, filter=question.filter)
        took = time.perf_counter() - start
        found = tuple(zip(hits.docids, hits.scores.tolist(), strict=True)), hits[0].contents if len(hits) else None
        with self.lock:
            self.latencies[min(399, int(16 * np.log2(max(1.0, took * 1e6))))] += 1
            right = [self.expected[each][number] for each in range(first, self.begun + 1) if each in self.expected]
        if found not in right:
            raise AssertionError(
                f"{question} gave {found!r:.300}, right in none of the commits {first} to {self.begun}"
            )

    def percentile(self, share: float) -> float:
        """A percentile of the latencies in milliseconds."""
        at = int(np.searchsorted(np.cumsum(self.latencies), share * self.latencies.sum()))
        return float(2 ** (at / 16) / 1000)


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run_all(load: Load, searcher: LuceneImpactSearcher) -> dict[str, int]:
    """Runs all threads; returns the memory after half of the time and at the end."""
    work: list[Callable[[], None]] = [load.change, partial(load.refresh, searcher)]
    work += [partial(load.search, searcher, random.Random(number)) for number in range(THREADS)]
    threads = [threading.Thread(target=load.run, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    load.is_over.wait(max(0.0, (load.end - time.monotonic()) / 2))
    sizes = {"half": resident()}
    for thread in threads:
        thread.join()
    return {**sizes, "end": resident()}


@pytest.mark.slow
@pytest.mark.java
def test_every_answer_under_load_is_right_for_some_commit(tmp_path):
    index = tmp_path / "index"
    load = Load(index, SECONDS)
    for _ in range(DOCUMENTS):
        load.model.make(load.model.new_docid())
    write_pseudo_documents(tmp_path / "in.jsonl", load.model.documents.values())
    index_pseudo_documents(tmp_path / "in.jsonl", index, fields={"lang": "keyword", "year": "integer"})
    load.expected[0] = load.model.answers(load.asked)
    load.end = time.monotonic() + SECONDS
    with LuceneImpactSearcher(index) as searcher:
        sizes = run_all(load, searcher)
    assert load.wrong == []
    assert load.committed > 1
    assert load.latencies.sum() > 10 * THREADS
    assert check_index(index).damage == ()
    print(
        f"{SECONDS:g} s: {load.latencies.sum():,} searches on {THREADS} threads, {load.committed:,} commits; "
        f"p50 {load.percentile(0.5):.2f} ms, p99 {load.percentile(0.99):.2f} ms; "
        f"{sizes['half'] / 2**20:,.0f} MiB half way, {sizes['end'] / 2**20:,.0f} MiB at the end"
    )
    if SECONDS >= LONG:
        assert sizes["end"] < LARGEST_GROWTH * sizes["half"]
