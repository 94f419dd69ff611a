"""Turns the records of a corpus into documents: the keys of id, text and title, and their valid values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from splade_lucene.errors import CorpusError
from splade_lucene.fields.schema import FieldReader
from splade_lucene.fields.values import WrongValueError
from splade_lucene.ids import check_id
from splade_lucene.records import Document, FieldValue, well_formed

ID_KEYS = ("id", "_id", "docid", "doc_id")
TEXT_KEYS = ("contents", "text")


class DocumentLocation(NamedTuple):
    """Where a document is: a file, data set or name, and the line or row if any."""

    path: Path | str
    line: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True)
class CorpusFields:
    """The keys or columns of a corpus's records.

    Attributes:
        id: The key of the id; None for the first of ``ID_KEYS`` that has a value.
        text: The key of the text; None for the first of ``TEXT_KEYS`` that has a value.
        others: Reads the fields of documents; None if they have none.
    """

    id: str | None = None
    text: str | None = None
    others: FieldReader | None = None

    @property
    def names_columns(self) -> bool:
        """Whether a key or column is named, so that a file needs it."""
        return self.id is not None or self.text is not None

    @property
    def id_keys(self) -> tuple[str, ...]:
        """The keys of the id, the preferred one first."""
        return ID_KEYS if self.id is None else (self.id,)

    @property
    def text_keys(self) -> tuple[str, ...]:
        """The keys of the text, the preferred one first."""
        return TEXT_KEYS if self.text is None else (self.text,)

    def document(self, record: Mapping[str, Any], place: DocumentLocation) -> Document:
        """The document of a record. A title, if there is one, precedes the text.

        Raises:
            CorpusError: The record has no id or text, or they are not valid.
        """
        docid = _first_value(record, self.id_keys)
        if docid is None:
            raise CorpusError(
                f"the document has none of the keys {', '.join(self.id_keys)}", path=place.path, line=place.line,
                remedy="Give each document an id, or name its key with id_field=…",
            )  # fmt: skip
        text = _first_value(record, self.text_keys)
        title = None if "title" in self.text_keys else _first_value(record, ("title",))
        if text is None and not title:
            raise CorpusError(
                f"document {docid!r:.200} has none of the keys {', '.join(self.text_keys)}", path=place.path,
                line=place.line, remedy="Store the text as contents or text, or name its key with text_field=…",
            )  # fmt: skip
        for value in (title or "", text or ""):
            if not isinstance(value, str):
                raise CorpusError(
                    f"the text of document {docid!r:.200} is not a string ({value!r:.60})", path=place.path,
                    line=place.line, remedy="Write texts as strings",
                )  # fmt: skip
        body = well_formed(f"{title or ''} {text or ''}".strip())
        return Document(checked_docid(docid, place), body, self.values(record, docid, place))

    def values(
        self, record: Mapping[str, Any], docid: object, place: DocumentLocation, *, is_text: bool = False
    ) -> dict[str, FieldValue]:
        """The values of a document's fields.

        Args:
            record: Its record.
            docid: Its id, for the message.
            place: Its place.
            is_text: Whether all values are strings, of which empty ones are missing.

        Raises:
            CorpusError: A value does not fit the type of its field.
        """
        if self.others is None:
            return {}
        try:
            return self.others.read(record, place, is_text=is_text)
        except WrongValueError as error:
            raise CorpusError(
                f"document {docid!r:.200}: the field {error}", path=place.path, line=place.line,
                remedy="Correct the value, leave it out, or declare another type",
            ) from None  # fmt: skip


def checked_docid(value: object, place: DocumentLocation) -> str:
    """A docid as a string.

    Raises:
        CorpusError: It is not valid.
    """
    return check_id(value, error=CorpusError, path=place.path, line=place.line)


def _first_value(record: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """The first value that is there: None and NaN, pandas' missing values, are not."""
    values = (record.get(key) for key in keys)
    return next((value for value in values if value is not None and value == value), None)
