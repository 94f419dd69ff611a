"""A search that another thread stops raises, and never has a part of its hits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.collections import random_collection

from splade_lucene import (
    Cancellation,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    SearchCancelledError,
)
from splade_lucene.search.cancellation import java_cancellation

pytestmark = pytest.mark.java
QUERY = {f"term{number}": number + 1 for number in range(40)}


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("cancellation") / "index"
    with LuceneImpactIndexer(folder, bm25=True, fields={"year": "integer"}) as indexer:
        texts = random_collection(2000, seed=5)
        indexer.add([
            PseudoDocument(each.docid, f"a text with {each.docid}", each.vector, {"year": number})
            for number, each in enumerate(texts)
        ])  # fmt: skip
    with LuceneImpactSearcher(folder) as searcher:
        yield searcher


def with_feedback(searcher: LuceneImpactSearcher) -> Any:
    searcher.set_rm3(all_terms=True)
    try:
        return searcher.search(QUERY, 5)
    finally:
        searcher.unset_rm3()


WAYS: dict[str, Callable[[LuceneImpactSearcher], Any]] = {
    "one": lambda searcher: searcher.search(QUERY, 5),
    "batch": lambda searcher: searcher.batch_search([QUERY] * 1000, [*map(str, range(1000))], 5),
    "batch on threads": lambda searcher: searcher.batch_search([QUERY] * 1000, [*map(str, range(1000))], 5, threads=3),
    "hybrid": lambda searcher: searcher.search_hybrid(QUERY, 5, text="text"),
    "feedback": with_feedback,
    "scores": lambda searcher: searcher.score(QUERY, ["d1", "d2"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_search_that_another_thread_stops_raises(searcher, way):
    expected = searcher.search(QUERY, 5)
    stop = Cancellation()
    begun = threading.Event()

    def search() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:  # until it is stopped somewhere
            WAYS[way](searcher)
            begun.set()

    def cancel() -> None:
        begun.wait(30)
        time.sleep(0.02)
        stop.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with stop, pytest.raises(SearchCancelledError, match="this search was cancelled"):
        search()
    thread.join()
    with stop, pytest.raises(SearchCancelledError):
        WAYS[way](searcher)
    assert searcher.search(QUERY, 5) == expected
    with Cancellation():
        assert searcher.search(QUERY, 5) == expected


@pytest.mark.parametrize(
    "read",
    [
        lambda searcher: searcher.filter_by("year > 7"),
        lambda searcher: searcher.reader.distributions(java_cancellation()),
    ],
    ids=["filter", "distributions"],
)
def test_what_reads_much_for_a_search_is_stopped_in_java(searcher, read, monkeypatch):
    """Java's object is taken before the search is cancelled, so that nothing but Java can notice it."""
    stop = Cancellation()
    real = Cancellation.to_java

    def to_java(self: Cancellation) -> Any:
        java = real(self)
        stop.cancel()
        return java

    read(searcher)
    searcher._snapshot._filters.clear()
    with stop, monkeypatch.context() as patch:
        patch.setattr(Cancellation, "to_java", to_java)
        with pytest.raises(SearchCancelledError):
            read(searcher)
    read(searcher)


def test_only_the_thread_and_the_block_are_stopped(searcher):
    expected = searcher.search(QUERY, 5)
    outer, inner, found = Cancellation(), Cancellation(), []
    with outer:
        with inner:
            assert searcher.search(QUERY, 5) == expected
            inner.cancel()
            with pytest.raises(SearchCancelledError):
                searcher.search(QUERY, 5)
            thread = threading.Thread(target=lambda: found.append(searcher.search(QUERY, 5)))
            thread.start()
            thread.join()
        assert searcher.search(QUERY, 5) == expected
    inner.cancel()  # late, and again
    outer.cancel()
    assert outer.is_cancelled
    assert found == [expected]
    for _ in range(3):  # what late cancellations stop is not what later blocks have
        with Cancellation() as later:
            assert searcher.search(QUERY, 5) == expected
        outer.cancel()
        assert not later.is_cancelled


def test_a_search_made_of_parts_stops_between_them(searcher, monkeypatch):
    """The hits of the first part are not taken for all."""
    stop = Cancellation()
    real = searcher._search_vectors

    def then_cancel(*arguments: Any) -> Any:
        found = real(*arguments)
        stop.cancel()
        return found

    monkeypatch.setattr(searcher, "_search_vectors", then_cancel)
    with stop, pytest.raises(SearchCancelledError):
        searcher.batch_search([QUERY] * 600, [*map(str, range(600))], 5)
    stop = Cancellation()
    with stop, pytest.raises(SearchCancelledError):
        searcher.search_hybrid(QUERY, 5, text="text")
