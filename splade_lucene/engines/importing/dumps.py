"""Documents in dumps of OpenSearch, Elasticsearch, Qdrant and Milvus.

OpenSearch and Elasticsearch: bulk files (an action and a document in turn), the lines of elasticdump (``_id``, ``_source``),
and answers to searches and scrolls (``hits.hits``). The weights are an object of features, as ``rank_features`` and
``sparse_vector`` have them. Qdrant: points, alone, in an array, or in answers (``result.points``), with a sparse vector of
``indices`` and ``values``, named or not. Milvus: rows, alone, in an array, or below ``rows`` or ``data``, with a
sparse vector of ``indices`` and ``values`` or of ids and values.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from splade_lucene.arguments import is_number
from splade_lucene.corpus.fields import ID_KEYS
from splade_lucene.engines.importing.documents import DocumentOrError, ForeignDocument, Settings
from splade_lucene.engines.importing.files import JSON_SUFFIXES, json_objects, member, source_files, wrong
from splade_lucene.errors import PseudoDocumentError
from splade_lucene.notes import note

_DOCIDS = ("docid", "doc_id")
_DEFAULT_MEMBER = "impacts"
_NAME_IT = "Name the member with the weights with vector_field=…"
_EXCLUDED = ". Elasticsearch 9.2 and newer return vectors only if a search has _source.exclude_vectors=false"
_ACTIONS = ("index", "create")
_OTHER_ACTIONS = ("update", "delete")


class _Hit(NamedTuple):
    """A document of OpenSearch: its id, its members, and its line."""

    docid: Any
    source: dict[str, Any]
    line: int


# ---- OpenSearch and Elasticsearch ----


def read_opensearch(source: Path, settings: Settings) -> Iterator[DocumentOrError]:
    """Reads documents with features; see :mod:`splade_lucene.engines.importing.dumps`.

    Raises:
        PseudoDocumentError: A file cannot be read, no member has features, or several have.
    """
    name = settings.vector_field
    are_numbers: set[bool] = set()
    for path in source_files(source, JSON_SUFFIXES):
        for hit in _hits(path):
            if isinstance(hit, PseudoDocumentError):
                yield hit
                continue
            name = name or _features_of(hit, path, _EXCLUDED)
            features = hit.source.get(name, {})
            if not isinstance(features, dict):
                yield wrong(f"the member {name!r} is not an object of features", path, hit.line)
                continue
            if settings.terms is not None:
                ids = [int(key) if _is_decimal(key) else key for key in features]
                features = settings.weights(ids, list(features.values()), path, hit.line)
            else:
                are_numbers.update(map(_is_decimal, features))
            docid = hit.source.get(settings.id_field) if settings.id_field else member(hit.source, _DOCIDS)
            found = hit.docid if docid is None and not settings.id_field else docid
            fields = settings.fields(hit.source, path, hit.line)
            yield ForeignDocument(found, member(hit.source, settings.text_keys), features, path, hit.line, fields)
    if are_numbers == {True}:
        note(f"{source}: all features are numbers; if they are term ids, name their vocabulary with vocabulary=…")


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _hits(path: Path) -> Iterator[_Hit | PseudoDocumentError]:
    action: _Hit | None = None
    for line, record in json_objects(path):
        if isinstance(record, PseudoDocumentError):
            yield record
        elif action is not None:
            yield _Hit(action.docid, record, line)
            action = None
        elif (name := _only_key(record)) in _ACTIONS:
            action = _Hit(record[name].get("_id"), record, line)
        elif name in _OTHER_ACTIONS:
            raise wrong(
                f"the action {name!r} changes a document that was written before", path, line,
                "Dump the index as it is, for example with elasticdump",
            )  # fmt: skip
        elif isinstance(answer := record.get("hits"), dict):
            yield from _answered(answer.get("hits"), path, line)
        else:
            yield _hit(record, line)
    if action is not None:
        raise wrong("an action without its document", path, action.line)


def _only_key(record: dict[str, Any]) -> str:
    """The name of a bulk action; empty for what is none."""
    key = next(iter(record), "")
    return key if len(record) == 1 and isinstance(record[key], dict) else ""


def _answered(hits: object, path: Path, line: int) -> Iterator[_Hit | PseudoDocumentError]:
    for each in hits if isinstance(hits, list) else [None]:
        yield _hit(each, line) if isinstance(each, dict) else wrong("hits.hits is not a list of hits", path, line)


def _hit(record: dict[str, Any], line: int) -> _Hit:
    source = record.get("_source")
    if isinstance(source, dict):
        return _Hit(record.get("_id"), source, line)
    return _Hit(member(record, ID_KEYS), record, line)


def _features_of(hit: _Hit, path: Path, excluded: str = "") -> str:
    """The member of a document that has features.

    Args:
        hit: The document.
        path: Its file.
        excluded: Why it may have none, for the message.
    """
    names = [
        name
        for name, value in hit.source.items()
        if isinstance(value, dict) and value and all(is_number(each) for each in value.values())
    ]
    if _DEFAULT_MEMBER in names:
        return _DEFAULT_MEMBER
    if len(names) != 1:
        if names:
            found, remedy = f"several members have features: {', '.join(names)}", _NAME_IT
        else:
            found = "no member has features"
            remedy = f"{_NAME_IT}{excluded}"
        raise wrong(found, path, hit.line, remedy)
    return names[0]


# ---- Qdrant ----


def read_qdrant(source: Path, settings: Settings) -> Iterator[DocumentOrError]:
    """Reads points with sparse vectors; see :mod:`splade_lucene.engines.importing.dumps`.

    Raises:
        PseudoDocumentError: A file cannot be read, or a term id is unknown.
    """
    for path in source_files(source, JSON_SUFFIXES):
        for line, point in _listed(path, ("points", "result")):
            if isinstance(point, PseudoDocumentError):
                yield point
                continue
            payload = point.get("payload") or {}
            vector = _sparse_vector(point.get("vector"), settings.vector_field)
            if vector is None or not isinstance(payload, dict):
                named = f" {settings.vector_field!r}" if settings.vector_field else ""
                what = f"the point has no sparse vector{named} of indices and values, or several"
                yield wrong(what, path, line, "Dump the points with their vectors, or name one with vector_field=…")
                continue
            weights = settings.weights(vector["indices"], vector["values"], path, line)
            docid = member(payload, settings.id_keys)
            found = point.get("id") if docid is None and not settings.id_field else docid
            fields = settings.fields(payload, path, line)
            yield ForeignDocument(found, member(payload, settings.text_keys), weights, path, line, fields)


def _listed(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any] | PseudoDocumentError]]:
    """The records of a file, also those in lists below some keys, which may be below each other."""
    for line, record in json_objects(path):
        records: Any = record
        while isinstance(records, dict) and (inner := member(records, keys)) is not None:
            records = inner
        for each in records if isinstance(records, list) else [records]:
            is_known = isinstance(each, dict | PseudoDocumentError)
            yield line, each if is_known else wrong(f"{each!r:.40} is not an object", path, line)


def _sparse_vector(vector: Any, name: str | None) -> dict[str, Any] | None:
    """The sparse vector of a point: the one of this name, or the only one."""
    if not isinstance(vector, dict):
        return None
    if name is None and _is_sparse(vector):
        return vector
    found = [each for key, each in vector.items() if _is_sparse(each) and name in (None, key)]
    return found[0] if len(found) == 1 else None


def _is_sparse(vector: object) -> bool:
    return isinstance(vector, dict) and all(isinstance(vector.get(key), list) for key in ("indices", "values"))


# ---- Milvus ----


def read_milvus(source: Path, settings: Settings) -> Iterator[DocumentOrError]:
    """Reads rows with sparse vectors; see :mod:`splade_lucene.engines.importing.dumps`.

    Raises:
        PseudoDocumentError: A file cannot be read, no column has sparse vectors, or several have, or a term id is unknown.
    """
    name = settings.vector_field
    for path in source_files(source, JSON_SUFFIXES):
        for line, row in _listed(path, ("rows", "data")):
            if isinstance(row, PseudoDocumentError):
                yield row
                continue
            name = name or _vector_of(row, path, line)
            vector = row.get(name)
            if not isinstance(vector, dict):
                yield wrong(f"the row has no sparse vector {name!r}", path, line)
                continue
            if _is_sparse(vector):
                ids, values = vector["indices"], vector["values"]
            else:
                ids, values = [int(key) if _is_decimal(key) else key for key in vector], list(vector.values())
            weights, fields = settings.weights(ids, values, path, line), settings.fields(row, path, line)
            yield ForeignDocument(
                member(row, settings.id_keys), member(row, settings.text_keys), weights, path, line, fields
            )


def _vector_of(row: dict[str, Any], path: Path, line: int) -> str:
    """The column of a row that has its sparse vector."""
    return next((name for name, each in row.items() if _is_sparse(each)), "") or _features_of(
        _Hit(None, row, line), path
    )
