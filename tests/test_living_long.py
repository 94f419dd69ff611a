"""Updates of an index at length: random changes compared with a dictionary, and kills at random moments.

``SPLADE_LUCENE_TEST_STEPS`` and ``SPLADE_LUCENE_TEST_KILLS`` say how long: a few hundred steps and three kills by default,
10,000 and 100 for a long run.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.index_kills import contents, kill

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    accelerate,
    add_pseudo_documents,
    check_index,
    delete_documents,
    exhaustive_search,
    index_pseudo_documents,
    merge_indexes,
    optimize_index,
    write_pseudo_documents,
)

STEPS = int(os.environ.get("SPLADE_LUCENE_TEST_STEPS", "240"))
KILLS = int(os.environ.get("SPLADE_LUCENE_TEST_KILLS", "3"))
STEPS_OF_ONE = 40

DOCIDS = st.integers(0, 25).map(lambda number: f"d{number}")
VECTORS = st.dictionaries(
    st.integers(0, 12).map(lambda number: f"t{number}"), st.integers(1, 400), min_size=1, max_size=6
)
BATCHES = st.dictionaries(DOCIDS, VECTORS, min_size=1, max_size=8)
FIRST_BATCHES = BATCHES.filter(lambda batch: any(text_of(vector) for vector in batch.values()))
"""A build with texts for BM25 is refused if no document has one."""
FIELDS = {"group": "keyword", "size": "integer"}
ACCEPTED: dict[str | None, Callable[[str, int], bool]] = {
    None: lambda group, size: True,
    'group = "g0"': lambda group, size: group == "g0",
    "size >= 3": lambda group, size: size >= 3,
    'not group in ("g1", "g2")': lambda group, size: group not in ("g1", "g2"),
    'group = "g1" and size < 5 or size = 6': lambda group, size: (group == "g1" and size < 5) or size == 6,
    "size = 7": lambda group, size: False,
}
"""What the filters accept, read by hand; no document has seven terms."""
FILTERS = st.sampled_from([text for text in ACCEPTED if text is not None])
QUERIES = st.dictionaries(
    st.integers(0, 13).map(lambda number: f"t{number}"), st.integers(1, 50), min_size=1, max_size=5
)


class LivingIndex(RuleBasedStateMachine):
    """An index and the documents that it must have: those of the last commit, and those that the writer has."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory(prefix="living-")
        self.folder = Path(self.temporary.name)
        self.index = self.folder / "index"
        self.committed: dict[str, dict[str, int]] = {}
        self.shown: dict[str, dict[str, int]] = {}
        self.written: dict[str, dict[str, int]] = {}
        self.other = self.folder / "other"
        self.others: dict[str, dict[str, int]] = {}  # the documents of another index, which win over those of the first
        self.both: dict[str, dict[str, int]] = {}  # what the searcher of both shows
        self.joint: LuceneImpactSearcher | None = None
        self.writer: LuceneImpactIndexer | None = None
        self.searcher: LuceneImpactSearcher | None = None

    @initialize(first=FIRST_BATCHES, second=FIRST_BATCHES)
    def build(self, first: dict[str, dict[str, int]], second: dict[str, dict[str, int]]) -> None:
        index_pseudo_documents(self.file(first), self.index, threads=1, fields=FIELDS, bm25=True)
        self.committed, self.written, self.shown = {**first}, {**first}, {**first}
        self.searcher = LuceneImpactSearcher(self.index)
        index_pseudo_documents(self.file(second), self.other, threads=1, fields=FIELDS, bm25=True)
        self.others = {**second}
        self.joint = LuceneImpactSearcher([self.index, self.other], duplicates="last")
        self.both = {**first, **second}

    def file(self, documents: dict[str, dict[str, int]]) -> Path:
        write_pseudo_documents(self.folder / "in.jsonl", pseudo_documents(documents))
        return self.folder / "in.jsonl"

    def open_writer(self) -> LuceneImpactIndexer:
        if self.writer is None:
            self.writer = LuceneImpactIndexer(self.index)
            self.written = {**self.committed}
        return self.writer

    @rule(batch=BATCHES)
    def add(self, batch: dict[str, dict[str, int]]) -> None:
        self.open_writer().add(pseudo_documents(batch))
        self.written |= batch

    @rule(docids=st.lists(DOCIDS, max_size=4))
    def delete(self, docids: list[str]) -> None:
        self.open_writer().delete(docids)
        for docid in docids:
            self.written.pop(docid, None)

    @precondition(lambda self: self.writer is not None)
    @rule(closes=st.booleans())
    def commit(self, closes: bool) -> None:
        assert self.writer is not None
        if closes:
            self.writer.close()
            self.writer = None
        else:
            self.writer.commit()
        self.committed = {**self.written}

    @precondition(lambda self: self.writer is not None)
    @rule()
    def fail(self) -> None:
        assert self.writer is not None
        with pytest.raises(ZeroDivisionError), self.writer:
            raise ZeroDivisionError
        self.writer = None

    @precondition(lambda self: self.writer is not None)
    @rule(orders=st.booleans())
    def merge(self, orders: bool) -> None:
        assert self.writer is not None
        if orders:
            self.writer.optimize(threads=1)
        else:
            self.writer.merge()

    @precondition(lambda self: self.writer is None)
    @rule(batch=BATCHES)
    def add_file(self, batch: dict[str, dict[str, int]]) -> None:
        add_pseudo_documents(self.file(batch), self.index, threads=1)
        self.committed |= batch

    @precondition(lambda self: self.writer is None)
    @rule(docids=st.lists(DOCIDS, min_size=1, max_size=4))
    def delete_at_once(self, docids: list[str]) -> None:
        there = {*docids} & self.committed.keys()
        assert delete_documents(self.index, docids).deleted == len(there)
        for docid in there:
            del self.committed[docid]

    @precondition(lambda self: self.writer is None)
    @rule()
    def optimize(self) -> None:
        assert optimize_index(self.index, threads=1).documents == len(self.committed)

    @precondition(lambda self: self.writer is None)
    @rule(batch=BATCHES)
    def replace(self, batch: dict[str, dict[str, int]]) -> None:
        index_pseudo_documents(self.file(batch), self.index, threads=1, overwrite=True, fields=FIELDS, bm25=True)
        self.committed = {**batch}

    @rule()
    def accelerate(self) -> None:
        accelerate(self.index)

    @rule()
    def refresh(self) -> None:
        assert self.searcher is not None
        self.searcher.refresh()
        assert not self.searcher.refresh()
        self.shown = {**self.committed}

    @rule(cache=st.sampled_from([None, 0]))
    def reopen(self, cache: int | None) -> None:
        assert self.searcher is not None
        self.searcher.close()
        self.searcher = LuceneImpactSearcher(self.index, cache_bytes=cache, verify=True)
        self.shown = {**self.committed}

    @rule(query=QUERIES, k=st.integers(1, 30))
    def search(self, query: dict[str, int], k: int) -> None:
        check_search(self.searcher, self.shown, query, k)

    @rule(query=QUERIES, k=st.integers(1, 30), text=FILTERS)
    def filter(self, query: dict[str, int], k: int, text: str) -> None:
        check_search(self.searcher, self.shown, query, k, text)

    @rule()
    def check(self) -> None:
        assert check_index(self.index).damage == ()
        assert contents(self.index) == self.committed

    @rule(batch=BATCHES, docids=st.lists(DOCIDS, max_size=4))
    def change_other(self, batch: dict[str, dict[str, int]], docids: list[str]) -> None:
        with LuceneImpactIndexer(self.other) as indexer:
            indexer.add(pseudo_documents(batch))
            indexer.delete(docids)
        self.others = {docid: each for docid, each in {**self.others, **batch}.items() if docid not in docids}

    @rule()
    def optimize_other(self) -> None:
        assert optimize_index(self.other, threads=1).documents == len(self.others)

    @rule()
    def refresh_both(self) -> None:
        assert self.joint is not None
        self.joint.refresh()
        assert not self.joint.refresh()
        self.both = {**self.committed, **self.others}

    @rule(query=QUERIES, k=st.integers(1, 40), text=FILTERS | st.none())
    def search_both(self, query: dict[str, int], k: int, text: str | None) -> None:
        check_search(self.joint, self.both, query, k, text)

    @rule(query=QUERIES, k=st.integers(1, 40), text=FILTERS | st.none(), order=st.sampled_from(["bp", "input"]))
    def merge_both(self, query: dict[str, int], k: int, text: str | None, order: Any) -> None:
        merged, expected = self.folder / "merged", {**self.committed, **self.others}
        summary = merge_indexes(
            [self.index, self.other], merged, duplicates="last", order=order, threads=1, overwrite=True
        )
        assert summary.documents == len(expected)
        assert check_index(merged).damage == ()
        assert contents(merged) == expected
        with LuceneImpactSearcher(merged) as searcher:
            check_search(searcher, expected, query, k, text)

    @invariant()
    def count(self) -> None:
        if self.searcher is not None and self.joint is not None:
            assert self.searcher.num_docs == len(self.shown)
            assert self.joint.num_docs == len(self.both)

    def teardown(self) -> None:
        if self.writer is not None:
            self.writer.close()
        for searcher in (self.searcher, self.joint):
            if searcher is not None:
                searcher.close()
        self.temporary.cleanup()


def fields_of(vector: dict[str, int]) -> dict[str, Any]:
    return {"group": f"g{sum(vector.values()) % 3}", "size": len(vector)}


def pseudo_documents(documents: dict[str, dict[str, int]]) -> list[PseudoDocument]:
    return [PseudoDocument(docid, text_of(vector), vector, fields_of(vector)) for docid, vector in documents.items()]


def text_of(vector: dict[str, int]) -> str:
    """A text with a word for each term, but for one of them."""
    return " ".join(f"w{term}" for term in vector if term != "t7")


def check_search(
    searcher: LuceneImpactSearcher | None, documents: dict[str, dict[str, int]], query: dict[str, int], k: int,
    text: str | None = None,
) -> None:  # fmt: skip
    """Compares hits with the oracle's over the documents that a filter accepts, and their keywords."""
    assert searcher is not None
    accepted = {docid: each for docid, each in documents.items() if ACCEPTED[text](*fields_of(each).values())}
    hits = searcher.search(query, k, filter=text)
    expected = exhaustive_search(pseudo_documents(accepted), query, k)
    assert [(hit.docid, hit.score) for hit in hits] == [(docid, score) for docid, score in expected]
    assert searcher.facets("group", text) == Counter(fields_of(each)["group"] for each in accepted.values())
    found = searcher.search_hybrid({}, 100, text=text_of(query), filter=text)
    words = {*query} - {"t7"}
    assert {*found.docids} == {docid for docid, each in accepted.items() if words & each.keys()}
    assert all(hit.bm25 and not hit.impact for hit in found)
    assert hits.fields("size") == [{"size": len(documents[docid])} for docid in hits.docids]


@pytest.mark.slow
def test_an_index_has_what_a_dictionary_has_whatever_is_done_with_it():
    options: dict[str, Any] = {
        "deadline": None,
        "suppress_health_check": [*HealthCheck],
        "database": None,
        "phases": [Phase.generate],
    }
    if STEPS > 1000:
        options["print_blob"] = True
    else:
        options["derandomize"] = True
    run_state_machine_as_test(
        LivingIndex,
        settings=settings(max_examples=max(1, STEPS // STEPS_OF_ONE), stateful_step_count=STEPS_OF_ONE, **options),
    )


@pytest.mark.slow
@pytest.mark.process
def test_kills_at_random_moments_leave_whole_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    seen = kill(tmp_path, KILLS)
    assert seen == sorted(seen)
    assert seen[-1] > 0
