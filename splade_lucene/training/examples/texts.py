"""The queries and passages of a training run, and which of the passages have the same text."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from array import array
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splade_lucene.corpus.reading import read_corpus
from splade_lucene.errors import CorpusError
from splade_lucene.topics.reading import read_topics
from splade_lucene.training.examples.stored_texts import RowTable, StoredTexts
from splade_lucene.white_space import is_blank

NO_ID = "\0"
"""Stands for the id of a text that has none; no file can hold it as an id."""


class OtherTextError(ValueError):
    """An id that has a text already is given another one."""


class _Side:
    """Queries or passages: their texts by row, and their rows by id and by text.

    Args:
        ids: Id of each.
        texts: Text of each.
        folder: Where the texts are stored; None: the system's folder for temporary files.
    """

    def __init__(self, ids: Iterable[str], texts: Iterable[str], folder: Path | None) -> None:
        self.texts, self.ids, self.rows = StoredTexts(folder=folder), list[str](), dict[str, int]()
        self._by_text: RowTable | None = None
        self._blank = bytearray()  # 0: not looked at, 1: not blank, 2: blank
        for name, text in zip(ids, texts, strict=True):
            self._append(text, name)

    def is_blank(self, row: int) -> bool:
        """Whether a text is blank."""
        if not self._blank[row]:
            self.note_blank(row, self.texts[row])
        return self._blank[row] == 2

    def note_blank(self, row: int, text: str) -> None:
        """Notes whether a text that was read is blank."""
        self._blank[row] = 1 + is_blank(text)

    def add(self, text: str, name: str | None) -> int:
        """The row of a text; a text without an id has the first row with this text."""
        if name is None:
            row = self._find(text)
            return self._append(text, NO_ID) if row is None else row
        row = self.rows.get(name)
        if row is None:
            return self._append(text, name)
        known = self.texts[row]
        if known != text and normal_text(known) != normal_text(text):
            raise OtherTextError(f"{name!r:.80} has the text {known!r:.60} elsewhere, and {text!r:.60} here")
        return row

    def _find(self, text: str) -> int | None:
        if self._by_text is None:
            self._by_text = RowTable()
            for row, each in enumerate(self.texts):
                self._note(each, row)
        return self._by_text.find(hash(text), lambda row: self.texts[row] == text)

    def _note(self, text: str, row: int) -> None:
        if (
            self._by_text is not None
            and self._by_text.find(hash(text), lambda other: self.texts[other] == text) is None
        ):
            self._by_text.add(hash(text), row)

    def _append(self, text: str, name: str) -> int:
        row = len(self.texts)
        self.texts.append(text)
        self.ids.append(name)
        self._blank.append(0)
        if name != NO_ID:
            self.rows[name] = row
        self._note(text, row)
        return row


class Texts:
    """All queries and passages, addressed by row.

    Args:
        qids: Qid of each query.
        queries: Text of each query.
        docids: Docid of each passage.
        passages: Text of each passage.
        folder: Where the texts are stored; None: the system's folder for temporary files.
    """

    def __init__(
        self, qids: Iterable[str] = (), queries: Iterable[str] = (), docids: Iterable[str] = (),
        passages: Iterable[str] = (), folder: Path | None = None,
    ) -> None:  # fmt: skip
        self._queries, self._passages = _Side(qids, queries, folder), _Side(docids, passages, folder)
        self._identities, self._by_identity = array("i"), RowTable()

    @property
    def qids(self) -> list[str]:
        """Qid of each query; :data:`NO_ID` for one that has only a text."""
        return self._queries.ids

    @property
    def queries(self) -> StoredTexts:
        """Text of each query."""
        return self._queries.texts

    @property
    def docids(self) -> list[str]:
        """Docid of each passage; :data:`NO_ID` for one that has only a text."""
        return self._passages.ids

    @property
    def passages(self) -> StoredTexts:
        """Text of each passage."""
        return self._passages.texts

    @property
    def query_rows(self) -> Mapping[str, int]:
        """Qid → row."""
        return self._queries.rows

    @property
    def passage_rows(self) -> Mapping[str, int]:
        """Docid → row."""
        return self._passages.rows

    @cached_property
    def passages_digest(self) -> str:
        """Digest that identifies these passages."""
        digest = hashlib.sha256()
        for text in self.passages:
            digest.update(json.dumps(text).encode() + b"\n")
        return digest.hexdigest()[:16]

    def is_blank_query(self, row: int) -> bool:
        """Whether a query is blank."""
        return self._queries.is_blank(row)

    def is_blank_passage(self, row: int) -> bool:
        """Whether a passage is blank."""
        return self._passages.is_blank(row)

    def add_query(self, text: str, qid: str | None = None) -> int:
        """The row of a query that an example gives as text, with or without an id.

        Raises:
            OtherTextError: The id has another text already.
        """
        return self._queries.add(text, qid)

    def add_passage(self, text: str, docid: str | None = None) -> int:
        """The row of a passage that an example gives as text, with or without an id.

        Raises:
            OtherTextError: The id has another text already.
        """
        return self._passages.add(text, docid)

    def identities(self, rows: Iterable[int]) -> NDArray[np.int64]:
        """A number for each passage: equal for two passages whose texts differ in white space and case at most.

        Args:
            rows: Rows of passages.
        """
        missing = len(self.passages) - len(self._identities)
        if missing > 0:
            self._identities.extend(array("i", [-1]) * missing)
        known = self._identities
        return np.array([known[row] if known[row] >= 0 else self._identify(row) for row in rows], np.int64)

    def _identify(self, row: int) -> int:
        found = self.passages[row]
        self._passages.note_blank(row, found)
        text = normal_text(found)
        first = self._by_identity.find(hash(text), lambda other: normal_text(self.passages[other]) == text)
        if first is None:
            self._by_identity.add(hash(text), row)
        self._identities[row] = row if first is None else first
        return self._identities[row]


def normal_text(text: str) -> str:
    """A text without differences of white space, case and Unicode's composition."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def read_texts(passages: str | None, queries: str | None, folder: Path | None = None) -> Texts:
    """Reads the passages and queries that examples refer to by id.

    Args:
        passages: The collection; None if there is none.
        queries: The queries; None if there are none.
        folder: Where the texts are stored; None: the system's folder for temporary files.

    Raises:
        CorpusError, TopicsError: A file cannot be read or is empty; the message names file and line.
    """
    texts = Texts(folder=folder)
    for document in read_corpus(passages) if passages else ():
        texts.add_passage(document.text, document.docid)
    if passages and not texts.passages:
        raise CorpusError("no passages found", path=passages, remedy="Check that it is the right file")
    for query in read_topics(queries) if queries else ():
        texts.add_query(query.text, query.qid)
    return texts
