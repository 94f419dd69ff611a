"""Closed objects raise an error that says so: every public method and property of searchers, readers and hits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from splade_lucene import (
    Bm25Searcher,
    Document,
    IndexAccessError,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PseudoDocument,
    index_texts,
)
from splade_lucene.search.pyserini_methods import PyseriniMethods

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "analyze": ("cat",),
    "batch_score": ([{"cat": 1}], [["d1"]]),
    "batch_search": ([{"cat": 1}], ["q1"]),
    "check_keyword": ("lang",),
    "doc": ("d1",),
    "doc_by_field": ("id", "d1"),
    "docid": (0,),
    "encode": ({"cat": 1},),
    "encode_batch": ([{"cat": 1}],),
    "expand": ({"cat": 1},),
    "explain": ({"cat": 1}, "d1"),
    "facets": ("lang",),
    "field_type": ("lang",),
    "field_values": ([0],),
    "filter_by": ('lang = "de"',),
    "impacts": ("d1", ["cat"]),
    "keyword_counts": ([0], "lang"),
    "lucene_docid": ("d1",),
    "make_filter": (["d1"],),
    "more_like_this": ("d1",),
    "postings": ("cat",),
    "quantize": ({"cat": 1.0},),
    "raw": ([0],),
    "recall": ([{"cat": 1}],),
    "score": ({"cat": 1}, ["d1"]),
    "score_known": ([{"cat": 1}], [["d1"]]),
    "search": ({"cat": 1},),
    "search_hybrid": ("cat",),
    "batch_search_hybrid": (["cat"], ["q1"]),
    "text": ("d1",),
    "vectors": (0, 1),
    "value_range": ("year",),
    "vector": ("d1",),
}
"""Arguments of methods that need some."""

OPEN = {
    "close",
    "index_dir",
    "shown_by",
    "engine",
    "approximation",
    "min_idf",
    "k1",
    "b",
    "from_prebuilt_index",
    "list_prebuilt_indexes",
    "set_rm3",
    "unset_rm3",
    "is_using_rm3",
    "set_rocchio",
    "unset_rocchio",
    "is_using_rocchio",
}
"""What serves without an open index: how it was opened, how it searches, and what needs none."""

NEEDS_MORE = {"query_encoder", "quantize", "search_hybrid", "batch_search_hybrid"}
"""What needs a model or a field for BM25, which the index here lacks."""

NO_FIELDS = {"field_values", "keyword_counts", "value_range"}
"""What an index of texts refuses or has none of, open or closed."""


@pytest.fixture
def index_dir(tmp_path: Path) -> Path:
    with LuceneImpactIndexer(tmp_path / "index", fields={"lang": "keyword", "year": "integer"}) as indexer:
        indexer.add(
            [
                PseudoDocument("d1", "a cat", {"cat": 3}, {"lang": "de", "year": 2019}),
                PseudoDocument("d2", "", {"dog": 2}),
            ]
        )
    return tmp_path / "index"


@pytest.fixture
def texts_dir(tmp_path: Path) -> Path:
    index_texts([Document("d1", "a cat sat"), Document("d2", "a dog")], tmp_path / "texts")
    return tmp_path / "texts"


def uses(thing: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each public method and property of an object, with a function that calls it."""
    for name in sorted(each for each in {*dir(type(thing)), *vars(thing)} if not each.startswith("_")):
        if callable(getattr(type(thing), name, None)):
            yield name, partial(getattr(thing, name), *ARGUMENTS.get(name, ()))
        else:
            yield name, partial(getattr, thing, name)


@pytest.mark.java
@pytest.mark.parametrize("kind", [LuceneImpactSearcher, LuceneImpactIndexReader, Bm25Searcher])
def test_all_that_is_public_says_that_it_is_closed(index_dir, texts_dir, kind):
    texts = kind is Bm25Searcher
    of_texts = {"search": ("cat",), "batch_search": (["cat"], ["q1"])} if texts else {}
    thing = kind(texts_dir if texts else index_dir)
    left_open = OPEN | (NO_FIELDS if texts else set()) | {name for name in vars(PyseriniMethods) if name != "encode"}
    checked = {name: use for name, use in uses(thing) if name not in left_open}
    for name, arguments in of_texts.items():
        checked[name] = partial(getattr(thing, name), *arguments)
    assert {"search", "doc"} <= checked.keys() or {"fields", "terms", "num_docs", "raw"} <= checked.keys()
    for use in (use for name, use in checked.items() if name not in NEEDS_MORE):
        use()  # so that something is remembered, and the arguments are right
    thing.close()
    thing.close()
    for name, use in checked.items():
        with pytest.raises(IndexAccessError, match=r"closed\. Open it again"):
            pytest.fail(f"{name} of a closed {kind.__name__} answers {use()!r:.100}: let it check that it is open")


@pytest.mark.java
def test_hits_of_a_closed_searcher_keep_their_columns_only(index_dir):
    with LuceneImpactSearcher(index_dir) as searcher:
        hits = searcher.search({"cat": 1})
        allowed = searcher.filter_by('lang = "de"')
    assert hits.docids == ["d1"]
    reads: list[Callable[[], Any]] = [
        lambda: hits[0].document, lambda: hits[0].contents, lambda: hits[0].fields, lambda: hits.fields("lang"),
        lambda: hits.facets("lang"), lambda: allowed & allowed,
    ]  # fmt: skip
    for read in reads:
        with pytest.raises(IndexAccessError, match="closed"):
            read()
