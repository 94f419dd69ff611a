"""Checks pseudo-documents by the rules of :mod:`splade_lucene.pseudo_documents.problems`.

The indexer reads the same lines in Java, by the same rules: ``java_bridge/src/io/spladelucene/index/JsonDocument.java``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from numbers import Integral
from typing import Any, NoReturn

from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import PseudoDocumentError, shortened
from splade_lucene.fields.schema import NO_FIELDS, FieldSchema
from splade_lucene.fields.values import WrittenNumber, WrongValueError
from splade_lucene.fields.values import described as described_value
from splade_lucene.files.json_text import check_nesting
from splade_lucene.ids import MAX_ID_BYTES, has_space_or_control
from splade_lucene.pseudo_documents.problems import PROBLEMS, SKIP, BadDocumentError, message
from splade_lucene.pseudo_documents.syntax import has_long_number, problem_of
from splade_lucene.records import FieldValue, PseudoDocument
from splade_lucene.white_space import has_white_space

MAX_TERM_CHARS = 255  # Anserini's WhitespaceTokenizer splits longer tokens


class _Pairs(list[tuple[str, Any]]):
    """A JSON object that keeps duplicate keys, so that they can be detected."""

    is_object = True


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_Pairs, parse_float=WrittenNumber, parse_constant=_refuse_constant)


def parse_line(line: bytes, schema: FieldSchema = NO_FIELDS) -> PseudoDocument:
    """Reads a document from its line, and the values of the fields that a schema names.

    Raises:
        BadDocumentError: It cannot be indexed; the first problem in the order of the rules.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadDocumentError("not-utf8", f"byte {error.start + 1}") from None
    values = _distinct(_parse_object(text))
    docid = check_docid(values.get("id"))
    if "vector" not in values:
        raise BadDocumentError("no-vector", shortened(docid))
    vector = _check_vector(values["vector"], docid)
    contents = values.get("contents")
    if not isinstance(contents, str):
        contents = None
    check_text(contents or "")
    return PseudoDocument(docid, contents, vector, _check_fields(values.get("fields"), schema))


def _check_fields(value: object, schema: FieldSchema) -> dict[str, FieldValue]:
    if not schema or value is None:
        return {}
    if not isinstance(value, _Pairs):
        raise BadDocumentError("bad-field", f"fields is {described_value(value)}, not an object")
    values: dict[str, FieldValue] = {}
    seen = set()
    try:
        for name, each in value:  # in the order of the line, as Java does
            if name in schema.types:
                if name in seen:
                    raise WrongValueError(f"{shortened(name)} occurs twice")
                seen.add(name)
                values |= schema.values({name: each})
    except WrongValueError as error:
        raise BadDocumentError("bad-field", str(error)) from None
    return values


def _parse_object(text: str) -> _Pairs:
    try:
        check_nesting(text)
        if not has_long_number(text) or problem_of(text) is None:
            value = _DECODER.decode(text)
            if isinstance(value, _Pairs):
                return value
    except ValueError:
        pass  # the parser's messages differ from Java's
    raise BadDocumentError("broken-json", problem_of(text) or "invalid JSON")


def _distinct(pairs: _Pairs) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise BadDocumentError("repeated-key", shortened(key))
        values[key] = value
    return values


def _described(value: object) -> str:
    """A JSON value in words, for messages."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = {str: "a string", int: "an integer", WrittenNumber: "a decimal number", _Pairs: "an object", list: "a list"}
    return names.get(type(value)) or shortened(repr(value))


def check_docid(value: object) -> str:
    """Checks a docid, and returns it as a string.

    Raises:
        BadDocumentError: No index can hold it.
    """
    if value is None or value == "":
        raise BadDocumentError("no-id")
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise BadDocumentError("not-an-id", _described(value))
    docid = str(value)
    encoded = check_text(docid)
    if has_space_or_control(docid):
        raise BadDocumentError("bad-id", shortened(docid))
    if len(encoded) > MAX_ID_BYTES:
        raise BadDocumentError("long-id", shortened(docid))
    return docid


def check_document(document: PseudoDocument) -> None:
    """Checks that a document created in memory can be indexed.

    Raises:
        PseudoDocumentError: It cannot; names the document and the problem.
    """
    if not isinstance(document, PseudoDocument):
        raise PseudoDocumentError(
            f"expected a PseudoDocument, got {document!r:.80}",
            remedy="Pass PseudoDocument(docid, contents, {term: impact})",
        )
    contents = "" if document.contents is None else document.contents
    for name, value, kind in (
        ("docid", document.docid, str), ("contents", contents, str), ("vector", document.vector, Mapping),
        ("fields", document.fields, Mapping),
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise PseudoDocumentError(
                f"document {document.docid!r:.80}: the {name} must be a {kind.__name__.lower()}, got {type(value).__name__}",
                remedy="Pass PseudoDocument(docid, contents, {term: impact}), and None for contents if there is no text",
            )
    try:
        check_docid(document.docid)
        for term, impact in document.vector.items():
            check_posting(term, impact)
        if not document.vector:
            raise BadDocumentError("empty-vector", shortened(document.docid))
        if sum(map(int, document.vector.values())) > MAX_IMPACT:
            raise BadDocumentError("huge-total")
        check_text(contents)
    except BadDocumentError as bad:
        raise PseudoDocumentError(
            f"document {document.docid!r}: {message(bad.kind, bad.detail)}",
            remedy=PROBLEMS[bad.kind][1].removesuffix(f", {SKIP}"),
        ) from None


def _check_vector(value: object, docid: str) -> dict[str, int]:
    if not isinstance(value, _Pairs):
        raise BadDocumentError("dense-vector", _described(value))
    vector: dict[str, int] = {}
    for term, impact in value:
        check_posting(term, impact)
        if term in vector:
            raise BadDocumentError("repeated-term", shortened(term))
        vector[term] = impact
    if not vector:
        raise BadDocumentError("empty-vector", shortened(docid))
    if sum(vector.values()) > MAX_IMPACT:
        raise BadDocumentError("huge-total")
    return vector


def check_posting(term: object, impact: object) -> None:
    """Checks that an Anserini impact index can store a term and its impact.

    Raises:
        BadDocumentError: It cannot.
    """
    _check_term(term)
    if isinstance(impact, Integral) and not isinstance(impact, bool):
        if int(impact) < 1:
            raise BadDocumentError("not-positive", f"{shortened(str(term))}: {shortened(str(int(impact)))}")
        if int(impact) > MAX_IMPACT:
            raise BadDocumentError("huge-impact", f"{shortened(str(term))}: {shortened(str(int(impact)))}")
        return
    if isinstance(impact, float | WrittenNumber):
        literal = impact.literal if isinstance(impact, WrittenNumber) else str(impact)
        raise BadDocumentError("float-impact", f"{shortened(str(term))}: {shortened(literal)}")
    value = f'"{shortened(impact)}"' if isinstance(impact, str) else _described(impact)
    raise BadDocumentError("not-a-number", f"{shortened(str(term))}: {value}")


def _check_term(term: object) -> None:
    if not isinstance(term, str):
        raise BadDocumentError("not-a-term", shortened(repr(term)))
    if term.isascii():
        length = len(term)
    else:
        check_text(term)
        length = len(term.encode("utf-16-le")) // 2
    if not term:
        raise BadDocumentError("empty-term")
    if length > MAX_TERM_CHARS:
        raise BadDocumentError("long-term", shortened(term))
    if has_white_space(term):
        raise BadDocumentError("white-space", shortened(term))


def check_text(text: str) -> bytes:
    """Encodes a text as UTF-8.

    Raises:
        BadDocumentError: It contains an unpaired surrogate, which JSON can express but UTF-8 cannot encode.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise BadDocumentError("not-utf8", f"{half} is half of a surrogate pair") from None
