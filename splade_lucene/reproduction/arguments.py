"""The arguments of each step of an entry, in one place: ``running`` calls the library with them, ``commands`` prints them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from splade_lucene.reproduction.entries import Entry
from splade_lucene.reproduction.paths import Paths

STORE = "none"
"""What the indexes keep of a document: published figures need no texts."""

DTYPE: Final = "float32"
"""What models compute in, so that a figure does not depend on the machine."""


def encode_arguments(entry: Entry, paths: Paths, corpus: str | Path) -> dict[str, Any]:
    """Of encoding the corpus."""
    system = entry.system
    return {
        "corpus": str(corpus), "output": paths.encoded, "model": system.model, "quantizer": system.quantizer,
        "dtype": DTYPE, "max_length": system.max_length,
    }  # fmt: skip


def index_arguments(entry: Entry, paths: Paths, source: str | Path) -> dict[str, Any]:
    """Of indexing pseudo-documents, or texts for BM25."""
    kind = "corpus" if entry.system.method == "bm25" else "source"
    return {kind: str(source), "index_dir": paths.index, "store": STORE}


def searcher_arguments(entry: Entry) -> dict[str, Any]:
    """Of opening the index for search."""
    system = entry.system
    if system.method == "bm25":
        return {"k1": system.k1, "b": system.b}
    return {} if system.topics.encoded else {"dtype": DTYPE}


def search_arguments(entry: Entry, paths: Paths, topics: str | Path) -> dict[str, Any]:
    """Of searching."""
    system = entry.system
    return {
        "index_dir": paths.index, "topics": topics, "output": paths.run, "hits": system.hits, "tag": entry.name,
        **searcher_arguments(entry), **({"encoded": True} if system.topics.encoded else {}),
    }  # fmt: skip


def encode_queries_arguments(entry: Entry, output: Path, topics: str | Path) -> dict[str, Any]:
    """Of encoding the topics into a file, which other programs search with."""
    system = entry.system
    return {
        "topics": topics, "output": output, "model": system.model, "quantizer": system.quantizer, "dtype": DTYPE,
    }  # fmt: skip


def evaluate_arguments(entry: Entry, paths: Paths, qrels: str | Path) -> dict[str, Any]:
    """Of evaluating the run."""
    return {"qrels": qrels, "run": paths.run, "measures": list(entry.system.published)}
