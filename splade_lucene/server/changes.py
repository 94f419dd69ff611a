"""Adds and deletes documents of a served index."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
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
        How many were added, how many of them replaced one, and how many documents there are now.

    Raises:
        ApiError: Some have a vector and others do not.
        SpladeLuceneError: A document cannot be added; none has been.
    """
    encoded = {"vector" in each for each in documents}
    if len(encoded) > 1:
        raise ApiError(
            400, "bad-input", "some documents have a vector and others do not", "Send them in separate requests"
        )
    with index.changing, tempfile.TemporaryDirectory(prefix="splade-lucene-") as folder:
        check_cancelled()  # others may have been first; what has begun is ended, whether or not somebody waits
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
    return {"added": summary.documents, "deleted": summary.replaced, "documents": index.searcher.num_docs}


def _fields_of(documents: Sequence[Mapping[str, Any]], fields: Mapping[str, FieldType]) -> dict[str, FieldType]:
    """The fields of an index that some pseudo-documents have."""
    found = (each.get("fields") for each in documents)
    names = {name for each in found if isinstance(each, Mapping) for name in each}
    return {name: kind for name, kind in fields.items() if name in names}


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
