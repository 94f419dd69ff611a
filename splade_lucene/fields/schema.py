"""Which fields documents have: declared with their types, or to be inferred."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from splade_lucene.arguments import to_list
from splade_lucene.errors import InputError, shortened
from splade_lucene.fields.values import TYPES, FieldType, WrongValueError, fitting
from splade_lucene.records import FieldValue, well_formed

BM25_FIELD = "bm25"
"""The field of an impact index in which its texts are indexed for BM25."""

RESERVED = ("id", "contents", "raw", BM25_FIELD)
"""The fields of every index, which Anserini and Pyserini read, and that for BM25."""

ALL = "all"
"""Stands for all fields that the documents have."""

METADATA = "metadata"
"""The object of a record, as in BEIR's corpora, whose members are fields, too."""


@dataclass(frozen=True)
class FieldSchema:
    """The fields of an index and their types, in a fixed order.

    Attributes:
        types: Name → type.
        inferred: Fields whose type was inferred; values that do not fit are left out instead of refused.

    Example:
        >>> FieldSchema({"year": "integer"}).values({"year": "2019", "month": 3})
        {'year': 2019}
    """

    types: Mapping[str, FieldType] = field(default_factory=dict)
    inferred: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name, kind in self.types.items():
            check_name(name)
            if kind not in TYPES:
                raise InputError(f"unknown type {kind!r:.60} of the field {name!r}", remedy=f"Use {', '.join(TYPES)}")

    @classmethod
    def of(cls, types: Mapping[str, str]) -> FieldSchema:
        """A schema of names and types that were stored.

        Raises:
            InputError: A name or a type is invalid.
        """
        return cls(cast("Mapping[str, FieldType]", types))

    def __bool__(self) -> bool:
        return bool(self.types)

    def __iter__(self) -> Iterator[str]:
        return iter(self.types)

    def values(self, given: Mapping[str, object]) -> dict[str, FieldValue]:
        """The values of a document's fields, in the order of the schema; other members are left out.

        Args:
            given: The values by name; None is a missing value.

        Raises:
            WrongValueError: A value does not fit its type.
        """
        found = {}
        for name, kind in self.types.items():
            value = given.get(name)
            if value is None:
                continue
            try:
                fits = fitting(name, value, kind)
            except WrongValueError:
                if name not in self.inferred:
                    raise
            else:
                if fits is not None:
                    found[name] = fits
        return found

    def read(
        self,
        record: Mapping[str, object],
        place: object,  # noqa: ARG002 - of a FieldReader
        *,
        is_text: bool = False,
    ) -> dict[str, FieldValue]:
        """The values of a record's fields, wherever they are in it; see :class:`FieldReader`.

        Raises:
            WrongValueError: A value does not fit its type.
        """
        given = ((name, member(record, name)) for name in self.types)
        return self.values({name: value for name, value in given if not is_missing(value, is_text=is_text)})

    def joined(self, other: FieldSchema) -> FieldSchema:
        """This schema, and the fields of another one.

        Raises:
            InputError: A field has two types.
        """
        for name, kind in other.types.items():
            if self.types.get(name, kind) != kind:
                raise InputError(
                    f"the field {name!r} has the type {self.types[name]} in the index, not {kind}",
                    remedy=f"Declare it as {name}:{self.types[name]}, or use another name",
                )
        return FieldSchema({**self.types, **other.types}, self.inferred | other.inferred)

    def to_json(self) -> dict[str, str]:
        """The types by name, as manifests store them."""
        return dict(self.types)


NO_FIELDS = FieldSchema()
"""The schema of documents without fields."""


class FieldReader(Protocol):
    """Reads the fields of a record: a :class:`FieldSchema`, or a survey, which only looks at them."""

    def read(self, record: Mapping[str, object], place: object, *, is_text: bool = False) -> dict[str, FieldValue]:
        """The values of a record's fields.

        Args:
            record: The record.
            place: Where it is, for messages.
            is_text: Whether all values are strings, as in TSV, and empty ones are missing.
        """
        ...


@dataclass(frozen=True)
class FieldRequest:
    """The fields that a caller asks for.

    Attributes:
        types: Name → type; None if it is to be inferred.
        everything: Whether all other fields that documents have are wanted, too.
        inferred: Fields with types that were inferred before; see :class:`FieldSchema`.
        may_lack: Fields of an index, which the documents need not have.
    """

    types: Mapping[str, FieldType | None] = field(default_factory=dict)
    everything: bool = False
    inferred: frozenset[str] = frozenset()
    may_lack: frozenset[str] = frozenset()

    @classmethod
    def of(cls, fields: Fields) -> FieldRequest:
        """Reads the argument ``fields`` of a function.

        Raises:
            InputError: It is not valid.

        Example:
            >>> FieldRequest.of("year:integer, lang").types
            {'year': 'integer', 'lang': None}
        """
        if fields is None:
            return cls()
        if isinstance(fields, FieldRequest):
            return fields
        if isinstance(fields, FieldSchema):
            return cls(fields.types, inferred=fields.inferred, may_lack=frozenset(fields.types))
        if isinstance(fields, Mapping):
            return cls(_checked(fields.items()))
        listed = fields.split(",") if isinstance(fields, str) else to_list(fields, "fields")
        names = [each.strip() if isinstance(each, str) else each for each in listed]
        if isinstance(fields, str) and not any(names):
            raise InputError("no fields are named", remedy="Write NAME:TYPE, NAME, or all, separated by commas")
        pairs = [_pair(each) for each in names if each != ALL]
        types = _checked(pairs)
        if len(types) < len(pairs):
            raise InputError("a field is named twice", remedy="Name each field once")
        return cls(types, ALL in names)

    def __bool__(self) -> bool:
        return bool(self.types) or self.everything

    def extending(self, known: FieldSchema) -> FieldRequest:
        """This request, and the fields that an index has, whose types stay as they are.

        Raises:
            InputError: The request declares one of them with another type.
        """
        declared = {name: kind for name, kind in self.types.items() if kind is not None}
        known.joined(FieldSchema(declared))
        return FieldRequest(
            {**known.types, **{name: kind for name, kind in self.types.items() if name not in known.types}},
            self.everything, self.inferred | known.inferred, frozenset(known.types.keys() - self.types.keys()),
        )  # fmt: skip

    @property
    def requires_fields(self) -> bool:
        """Whether documents must have fields."""
        return self.everything or bool(self.types.keys() - self.may_lack)

    @property
    def is_declared(self) -> bool:
        """Whether all types are known."""
        return not self.everything and None not in self.types.values()

    def schema(self) -> FieldSchema:
        """The schema, if all types are declared.

        Raises:
            InputError: A type is missing.
        """
        if not self.is_declared:
            lacking = [name for name, kind in self.types.items() if kind is None] or [ALL]
            raise InputError(
                f"the types of fields must be declared here, and {lacking[0]!r} has none",
                remedy=f"Write NAME:TYPE, with one of the types {', '.join(TYPES)}",
            )
        return FieldSchema({name: kind for name, kind in self.types.items() if kind is not None}, self.inferred)

    def to_json(self) -> dict[str, str | None]:
        """The request as plain data."""
        return {**self.types, **({"*": None} if self.everything else {})}


NO_REQUEST = FieldRequest()
"""The request of no fields."""

Fields = str | Iterable[str] | Mapping[str, str | None] | FieldSchema | FieldRequest | None
"""How fields are given: ``"year:integer, lang"``, a list of such names, ``{"year": "integer", "lang": None}``, or ``"all"``."""


def check_name(name: object) -> None:
    """Checks the name of a field.

    Raises:
        InputError: No field can have this name.
    """
    if not isinstance(name, str) or not name or well_formed(name) != name or len(name) > 255:
        raise InputError(f"{name!r:.80} is not the name of a field", remedy="Use a string of 1 to 255 characters")
    if name in RESERVED:
        reason = "in which texts are indexed for BM25" if name == BM25_FIELD else "which every index has for itself"
        raise InputError(f"no field can have the name {name!r}, {reason}", remedy="Rename the key or column")


def _pair(text: object) -> tuple[object, str | None]:
    if not isinstance(text, str):
        return text, None
    name, colon, kind = text.rpartition(":")
    return (name.strip(), kind.strip()) if colon else (text, None)


def _checked(pairs: Iterable[tuple[object, str | None]]) -> dict[str, FieldType | None]:
    types: dict[str, FieldType | None] = {}
    for name, kind in pairs:
        check_name(name)
        if kind is not None and kind not in TYPES:
            raise InputError(f"unknown type {kind!r:.60} of the field {name!r}", remedy=f"Use {', '.join(TYPES)}")
        types[str(name)] = kind
    return types


def check_known(schema: FieldSchema, given: Iterable[str]) -> None:
    """Checks that a document has only fields of a schema.

    Raises:
        WrongValueError: It has another one; lists the fields.
    """
    for name in given:
        if name not in schema.types:
            known = ", ".join(schema.types) or "none"
            raise WrongValueError(f"{shortened(str(name))} is not one of the fields of the index ({known})")


def member(record: Mapping[str, object], name: str) -> object:
    """The value of a field in a record: at the top, in ``metadata``, or along the dots of the name; None if there is none."""
    for place in (record, record.get(METADATA)):
        if isinstance(place, Mapping):
            if (value := place.get(name)) is not None:
                return _well_formed(value)
            first, dot, rest = name.partition(".")
            inner = place.get(first) if dot else None
            if isinstance(inner, Mapping) and (value := member(inner, rest)) is not None:
                return value
    return None


def _well_formed(value: object) -> object:
    if isinstance(value, str):
        return well_formed(value)
    return [_well_formed(each) for each in value] if isinstance(value, list) else value


def is_missing(value: object, *, is_text: bool = False) -> bool:
    """Whether a value stands for none: None, NaN (of pandas), an empty list, or an empty cell of a table."""
    return value is None or value == [] or value != value or (is_text and value == "")
