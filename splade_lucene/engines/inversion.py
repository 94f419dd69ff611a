"""The postings of a collection, for formats that store it by term."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.engines.collection import Collection
from splade_lucene.engines.pieces import ExportFolder
from splade_lucene.engines.transposition import Integers, Transposition

_AT_ONCE = 1 << 20


class Inversion:
    """The postings of a collection by term, and its docids and lengths.

    Args:
        collection: The documents.
        folder: The folder of the export, in which there is space for temporary files.
        transposition: Where the postings go.

    Attributes:
        docids: The docids by number.
        lengths: The sum of each document's impacts, by number.
        terms: The ids of the terms that a document has, in byte order of the terms.
    """

    def __init__(self, collection: Collection, folder: ExportFolder, transposition: Transposition) -> None:
        self._collection, self._transposition = collection, transposition
        self.docids: list[str] = []
        self.lengths: list[int] = []
        term_ids, numbers, impacts = array("i"), array("i"), array("i")
        for document in folder.read(collection):
            self.docids.append(document.docid)
            self.lengths.append(sum(document.impacts))
            term_ids.extend(document.term_ids)
            impacts.extend(document.impacts)
            numbers.extend([document.number] * len(document.impacts))
            if len(impacts) >= _AT_ONCE:
                self._add(term_ids, numbers, impacts)
                term_ids, numbers, impacts = array("i"), array("i"), array("i")
        self._add(term_ids, numbers, impacts)
        self._counts = transposition.counts()
        found = np.flatnonzero(self._counts).tolist()
        self.terms = np.array(sorted(found, key=lambda term_id: collection.terms[term_id].encode()), np.int64)

    def _add(self, *entries: array[int]) -> None:
        term_ids, numbers, impacts = (np.frombuffer(each, np.int32) for each in entries)
        self._transposition.add(term_ids, numbers, impacts)

    def postings(self) -> Iterator[tuple[str, Integers, Integers]]:
        """Each term in byte order, the numbers of its documents, ascending, and its impact in each."""
        for rows in self._transposition.rows(self.terms):
            for term_id, numbers, impacts in rows:
                yield self._collection.terms[term_id], numbers, impacts


@contextmanager
def inverted(collection: Collection, folder: ExportFolder) -> Iterator[Inversion]:
    """Inverts a collection."""
    with Transposition(folder.path) as transposition:
        yield Inversion(collection, folder, transposition)


def little_endian(numbers: NDArray[Any] | list[int]) -> bytes:
    """Numbers as unsigned integers of 32 bits, the lowest byte first."""
    return np.asarray(numbers).astype("<u4").tobytes()
