"""A small index for the adapters of pipelines: a few documents with texts, fields and BM25."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from splade_lucene import LuceneImpactIndexer, PseudoDocument

FIELDS = {"lang": "keyword", "year": "integer", "tags": "keyword[]", "on": "date", "price": "number", "free": "boolean"}

DOCUMENTS = [
    PseudoDocument(
        "d1", "a cat on a mat", {"cat": 3, "mat": 1},
        {"lang": "en", "year": 2019, "tags": ["pet", "home"], "on": "2019-03-01", "price": 1.5, "free": True},
    ),
    PseudoDocument("d2", "ein hund und eine katze", {"cat": 1, "dog": 4}, {"lang": "de", "year": 2021, "tags": ["pet"]}),
    PseudoDocument("d3", "dogs and cats", {"cat": 2, "dog": 2}, {"lang": "en", "year": 2023, "price": 2.0, "free": False}),
    PseudoDocument("d4", "bread is baked", {"bread": 5}),
]  # fmt: skip
"""Documents; the last one has no fields."""


def pipeline_index(folder: Path, **options: Any) -> Path:
    """The index of :data:`DOCUMENTS`.

    Args:
        folder: Where to make it.
        options: Arguments of :class:`splade_lucene.LuceneImpactIndexer`.
    """
    with LuceneImpactIndexer(folder / "pets", **{"fields": FIELDS, "bm25": True, **options}) as indexer:
        indexer.add(DOCUMENTS)
    return folder / "pets"
