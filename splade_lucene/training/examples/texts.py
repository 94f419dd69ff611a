"""The queries and passages of a training run, and which of the passages have the same text."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from splade_lucene.corpus.reading import read_corpus
from splade_lucene.errors import CorpusError
from splade_lucene.topics.reading import read_topics


class OtherTextError(ValueError):
    """An id that has a text already is given another one."""


@dataclass
class Texts:
    """All queries and passages, addressed by row.

    Attributes:
        qids: Qid of each query.
        queries: Text of each query.
        docids: Docid of each passage.
        passages: Text of each passage.
    """

    qids: list[str]
    queries: list[str]
    docids: list[str]
    passages: list[str]
    _query_rows: dict[str, int] = field(default_factory=dict)
    _passage_rows: dict[str, int] = field(default_factory=dict)
    _identities: dict[int, int] = field(default_factory=dict)
    _first_rows: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._query_rows = {qid: row for row, qid in enumerate(self.qids)}
        self._passage_rows = {docid: row for row, docid in enumerate(self.docids)}

    @property
    def query_rows(self) -> Mapping[str, int]:
        """Qid → row."""
        return self._query_rows

    @property
    def passage_rows(self) -> Mapping[str, int]:
        """Docid → row."""
        return self._passage_rows

    @cached_property
    def passages_digest(self) -> str:
        """Digest that identifies these passages."""
        return hashlib.sha256(json.dumps(self.passages).encode()).hexdigest()[:16]

    def add_query(self, text: str, qid: str | None = None) -> int:
        """The row of a query that an example gives as text, with or without an id.

        Raises:
            OtherTextError: The id has another text already.
        """
        return _add(text, qid, self._query_rows, self.qids, self.queries)

    def add_passage(self, text: str, docid: str | None = None) -> int:
        """The row of a passage that an example gives as text, with or without an id.

        Raises:
            OtherTextError: The id has another text already.
        """
        return _add(text, docid, self._passage_rows, self.docids, self.passages)

    def identities(self, rows: Iterable[int]) -> NDArray[np.int64]:
        """A number for each passage: equal for two passages whose texts differ in white space and case at most.

        Args:
            rows: Rows of passages.
        """
        known = self._identities
        return np.array([known[row] if row in known else self._identify(row) for row in rows], np.int64)

    def _identify(self, row: int) -> int:
        digest = hashlib.blake2b(normal_text(self.passages[row]).encode(), digest_size=16).digest()
        self._identities[row] = self._first_rows.setdefault(digest, row)
        return self._identities[row]


def normal_text(text: str) -> str:
    """A text without differences of white space, case and Unicode's composition."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def read_texts(passages: str | None, queries: str | None) -> Texts:
    """Reads the passages and queries that examples refer to by id.

    Raises:
        CorpusError, TopicsError: A file cannot be read or is empty; the message names file and line.
    """
    corpus = list(read_corpus(passages)) if passages else []
    if passages and not corpus:
        raise CorpusError("no passages found", path=passages, remedy="Check that it is the right file")
    topics = read_topics(queries) if queries else []
    return Texts(
        [query.qid for query in topics], [query.text for query in topics],
        [document.docid for document in corpus], [document.text for document in corpus],
    )  # fmt: skip


def _add(text: str, name: str | None, rows: dict[str, int], ids: list[str], texts: list[str]) -> int:
    key = f"\0{text}" if name is None else name  # the former cannot clash with an id
    if key not in rows:
        rows[key] = len(texts)
        ids.append(key)
        texts.append(text)
    elif name is not None and normal_text(texts[rows[key]]) != normal_text(text):
        raise OtherTextError(f"{name!r:.80} has the text {texts[rows[key]]!r:.60} elsewhere, and {text!r:.60} here")
    return rows[key]
