"""Adds and deletes documents of a served index."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from splade_lucene.fields.values import FieldType
from splade_lucene.index.changes import add_corpus, add_pseudo_documents, delete_documents
from splade_lucene.search.cancellation import check_cancelled
from splade_lucene.server.answers import check_docid
from splade_lucene.server.problems import ApiError, hide_folder
from splade_lucene.server.registry import OpenIndex


def add(index: OpenIndex, documents: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Adds documents, or replaces those with the same docids, and shows them.

    Args:
        index: The index.
        documents: Records as in the lines of a corpus; with vectors, as in those of pseudo-documents.

    Returns:
        How many were added, how many earlier documents were replaced, or deleted because the new one has no terms, and how
        many documents there are now.

    Raises:
        ApiError: Some have a vector and others do not, or the fields of one are where they would not be read.
        SpladeLuceneError: A document cannot be added; none has been.
    """
    encoded = {"vector" in each for each in documents}
    if len(encoded) > 1:
        raise ApiError(
            400, "bad-input", "some documents have a vector and others do not", "Send them in separate requests"
        )
    _check_places_of_fields(documents, index.searcher.reader.fields)
    with index.changing, tempfile.TemporaryDirectory(prefix="splade-lucene-") as folder:
        check_cancelled()  # after waiting for other changes; once begun, a change is completed even if the client has gone
        path = Path(folder) / "documents.jsonl"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(each) + "\n" for each in documents)
        try:
            if encoded == {True}:
                fields = _fields_of(documents, index.searcher.reader.fields)
                summary = add_pseudo_documents(path, index.folder, fields=fields or None)
            else:
                summary = add_corpus(path, index.folder)
        except Exception as error:
            hide_folder(error, folder)
            raise
        index.refresh()
    deleted = summary.replaced + len(summary.emptied)
    return {"added": summary.documents, "deleted": deleted, "documents": index.searcher.num_docs}


def _check_places_of_fields(documents: Sequence[Mapping[str, Any]], fields: Mapping[str, FieldType]) -> None:
    """Refuses fields that would be lost: a document without a vector has them as keys, one with a vector in an object.

    Other keys of a document without a vector are allowed, as in the lines of a corpus.
    """
    own = fields.keys() - {"id", "contents", "vector", "fields"}
    for each in documents:
        if "vector" in each and (names := [name for name in each if name in own]):
            problem, remedy = f"{names[0]} beside its vector", f'Write "fields": {{"{names[0]}": …}}'
        elif "vector" in each and (unknown := [name for name in _names_of_fields(each) if name not in fields]):
            problem = f"the field {unknown[0]!r:.200}, which the index does not have"
            remedy = f"Its fields are: {', '.join(fields)}" if fields else "The index has no fields: leave it out"
        elif "vector" not in each and isinstance(each.get("fields"), Mapping) and fields and "fields" not in fields:
            problem, remedy = "fields in an object", "Write them beside the text, as in a corpus"
        else:
            continue
        raise ApiError(400, "bad-input", f"document {str(each.get('id'))!r:.200} has {problem}", remedy)


def _fields_of(documents: Sequence[Mapping[str, Any]], fields: Mapping[str, FieldType]) -> dict[str, FieldType]:
    """The fields of an index that some pseudo-documents have."""
    names = {name for each in documents for name in _names_of_fields(each)}
    return {name: kind for name, kind in fields.items() if name in names}


def _names_of_fields(document: Mapping[str, Any]) -> Iterable[str]:
    found = document.get("fields")
    return found if isinstance(found, Mapping) else ()


def delete(index: OpenIndex, docid: str) -> dict[str, int]:
    """Deletes a document.

    Args:
        index: The index.
        docid: The document.

    Returns:
        As :func:`add`.

    Raises:
        ApiError: No document has this docid.
    """
    with index.changing:
        check_cancelled()
        check_docid(index, docid)
        change = delete_documents(index.folder, [docid])
        index.refresh()
    return {"added": 0, "deleted": change.deleted, "documents": index.searcher.num_docs}
