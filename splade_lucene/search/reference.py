"""The oracle: exhaustive dot products in NumPy, with the searcher's order of hits. Slow, but obviously correct."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from splade_lucene.arguments import to_list
from splade_lucene.ids import docid_order
from splade_lucene.records import PseudoDocument


def exhaustive_search(documents: Iterable[PseudoDocument], query: Mapping[str, int], k: int) -> list[tuple[str, int]]:
    """Scores every document against a query.

    Args:
        documents: The collection.
        query: Term → impact.
        k: Maximum number of hits.

    Returns:
        (docid, score) of documents with a score above 0, sorted by score descending, then by the UTF-8 bytes of the docid
        ascending.
    """
    collection = to_list(documents, "documents")
    terms = list(query)
    column = {term: i for i, term in enumerate(terms)}
    impacts = np.zeros((len(collection), len(terms)), dtype=np.int64)
    for row, document in enumerate(collection):
        for term, impact in document.vector.items():
            if term in column:
                impacts[row, column[term]] = impact
    scores = impacts @ np.array([query[term] for term in terms], dtype=np.int64)
    ranking = sorted(
        (-int(score), docid_order(document.docid))
        for document, score in zip(collection, scores, strict=True)
        if score > 0
    )
    return [(docid.decode(), -negated) for negated, docid in ranking[:k]]
