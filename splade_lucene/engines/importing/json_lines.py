"""Documents of Seismic and BMP: JSON lines with an id, a text if there is one, and a vector of terms and weights.

Seismic's form is ``{"id": 7, "content": "…", "vector": {"heart": 2.4}}``; others, and this package's own pseudo-documents,
call the text ``contents`` or ``text``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from splade_lucene.engines.importing.documents import DocumentOrError, ForeignDocument, Settings
from splade_lucene.engines.importing.files import JSON_SUFFIXES, json_objects, member, source_files, wrong
from splade_lucene.errors import PseudoDocumentError

_VECTOR = "vector"


def read_json_lines(source: Path, settings: Settings) -> Iterator[DocumentOrError]:
    """Reads documents with vectors of terms; see :mod:`splade_lucene.engines.importing.json_lines`.

    Raises:
        PseudoDocumentError: A file cannot be read.
    """
    text_keys = (settings.text_field,) if settings.text_field else ("content", *settings.text_keys)
    for path in source_files(source, JSON_SUFFIXES):
        for line, record in json_objects(path):
            if isinstance(record, PseudoDocumentError):
                yield record
                continue
            weights = record.get(settings.vector_field or _VECTOR)
            if isinstance(weights, dict):
                yield ForeignDocument(member(record, settings.id_keys), member(record, text_keys), weights, path, line)
            else:
                what = f"the document has no object {settings.vector_field or _VECTOR!r} that maps terms to weights"
                yield wrong(what, path, line, "Name its key with vector_field=…, or correct the line")
