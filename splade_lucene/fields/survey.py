"""Infers the types of fields from the values that documents have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from splade_lucene.counts import counted
from splade_lucene.errors import CorpusError
from splade_lucene.fields.schema import METADATA, RESERVED, FieldRequest, FieldSchema, is_missing, member
from splade_lucene.fields.values import DATE, INTEGER, NUMBER, FieldType, WrongValueError, fitting
from splade_lucene.notes import note
from splade_lucene.records import FieldValue

Kind = Literal["list", "boolean", "integer", "number", "date", "string", "other"]


@dataclass
class _FieldFacts:
    """What a field has.

    Attributes:
        documents: Number of documents that have it.
        kinds: Number of values of each kind.
        places: The first place of a value of each kind.
    """

    documents: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    places: dict[Kind, str] = field(default_factory=dict)


class FieldSurvey:
    """Collects the values of fields, document by document.

    Args:
        request: The fields that are wanted; declared types are kept.
        source: What is surveyed, for messages.
        ignored: Keys of records that are no fields, such as those of ids and texts.
    """

    def __init__(self, request: FieldRequest, source: str, ignored: Iterable[str] = ()) -> None:
        self.request, self._source = request, source
        self._ignored = {*ignored, *RESERVED}
        self._documents = 0
        self._is_text = False
        self._seen: dict[str, _FieldFacts] = {name: _FieldFacts() for name in request.types}
        self._other_keys: dict[str, None] = {}

    def read(self, record: Mapping[str, object], place: object, *, is_text: bool = False) -> dict[str, FieldValue]:
        """Looks at the values of a document; returns none. See :class:`splade_lucene.fields.schema.FieldReader`."""
        self._documents += 1
        self._is_text |= is_text
        for name in self._names(record):
            value = member(record, name)
            if is_missing(value, is_text=is_text):
                continue
            seen = self._seen.setdefault(name, _FieldFacts())
            seen.documents += 1
            kind = _kind(value, is_text=is_text)
            seen.kinds[kind] += 1
            seen.places.setdefault(kind, str(place))
        return {}

    def _names(self, record: Mapping[str, object]) -> Iterable[str]:
        keys = [key for key in record if isinstance(key, str) and key not in self._ignored]
        inner = record.get(METADATA)
        if isinstance(inner, Mapping):
            keys = [key for key in keys if key != METADATA]
            keys += [key for key in inner if isinstance(key, str) and key not in RESERVED]
        if self.request.everything:
            return dict.fromkeys([*self.request.types, *keys])
        if len(self._other_keys) < 20:
            self._other_keys.update(dict.fromkeys(keys))
        return self.request.types

    def schema(self) -> FieldSchema:
        """The fields with their types; notes what was inferred, and which values do not fit.

        Raises:
            CorpusError: No document has one of the fields.
        """
        types: dict[str, FieldType] = {}
        for name, seen in self._seen.items():
            if not seen.documents and name in self.request.may_lack:
                types[name] = cast("FieldType", self.request.types[name])
                continue
            if not seen.documents:
                others = ", ".join(self._other_keys) or "none"
                raise CorpusError(
                    f"no document of {self._source} has the field {name!r}",
                    remedy=f"Name fields that documents have: {others}",
                )
            declared = self.request.types.get(name)
            kind = declared or _inferred(seen.kinds)
            if kind is None:
                note(f"{self._source}: {name} is left out, because its values are objects or lists of them")
                continue
            types[name] = kind
            if declared is None:
                self._note_type(name, kind, seen)
        if not types:
            raise CorpusError(
                f"the documents of {self._source} have no fields", remedy="Leave out fields=… or name others"
            )
        named = {name for name, kind in self.request.types.items() if kind}
        return FieldSchema(types, self.request.inferred | (frozenset(types) - named))

    def _note_type(self, name: str, kind: FieldType, seen: _FieldFacts) -> None:
        unfit = {each: count for each, count in seen.kinds.items() if not self._fits(each, kind)}
        left_out = ""
        if unfit:
            place = seen.places[next(iter(unfit))]
            values = counted(sum(unfit.values()), "value", "that does not fit is", "that do not fit are")
            left_out = f"; {values} left out, the first at {place}"
        documents = counted(self._documents, "document")
        note(f"{self._source}: the field {name} is {kind} ({seen.documents:,} of {documents}){left_out}")

    def _fits(self, kind: Kind, chosen: FieldType) -> bool:
        if kind == "other":
            return False
        return kind != "number" or chosen == "number" or self._is_text


def _kind(value: object, *, is_text: bool) -> Kind:
    if isinstance(value, str):
        if is_text:
            if _is(value, "integer") and INTEGER.fullmatch(value):
                return "integer"
            if NUMBER.fullmatch(value) and not INTEGER.fullmatch(value) and _is(value, "number"):
                return "number"
            if _is(value, "boolean"):
                return "boolean"
        if DATE.fullmatch(value) and _is(value, "date"):
            return "date"
        return "string" if _is(value, "keyword") else "other"
    if isinstance(value, list):
        return "list" if _is(value, "keyword[]") else "other"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if _is(value, "integer") else "string"
    return "number" if _is(value, "number") else "date" if _is(value, "date") else "other"


def _is(value: object, kind: FieldType) -> bool:
    try:
        fitting("", value, kind)
    except WrongValueError:
        return False
    return True


def _inferred(kinds: Counter[Kind]) -> FieldType | None:
    """The type that holds values of all these kinds; None if none does."""
    found = {*kinds} - {"other"}
    if not found:
        return None
    if "list" in found:
        return "keyword[]"
    if found == {"integer"}:
        return "integer"
    if found <= {"integer", "number"}:
        return "number"
    return "date" if found == {"date"} else "boolean" if found == {"boolean"} else "keyword"
