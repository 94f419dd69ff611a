"""Documents in Parquet files.

The columns are an id, a text if there is one, and one of

- ``terms`` and ``impacts`` (or ``weights``), lists of the same length, as ``export --to parquet`` writes them;
- ``vector``, a map of terms to weights, or the struct of ``indices`` and ``values`` of Milvus and Qdrant;
- ``indices`` and ``values``, lists of term ids and weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splade_lucene.engines.importing.documents import DocumentOrError, ForeignDocument, Settings
from splade_lucene.engines.importing.files import member, source_files, unreadable, wrong
from splade_lucene.imports import uninterrupted_imports

_PARQUET = (".parquet",)
_ROWS = 4096


def read_parquet(source: Path, settings: Settings) -> Iterator[DocumentOrError]:
    """Reads the rows of tables; see :mod:`splade_lucene.engines.importing.tables`.

    Raises:
        PseudoDocumentError: A file is no Parquet file, lacks a column, or has an unknown term id.
    """
    with uninterrupted_imports():
        import pyarrow.parquet

    for path in source_files(source, _PARQUET):
        try:
            file = pyarrow.parquet.ParquetFile(path)
            _check_columns(file.schema_arrow.names, path, settings)
            row = 0
            for batch in file.iter_batches(batch_size=_ROWS):
                for record in batch.to_pylist():
                    row += 1
                    weights = _weights(record, path, row, settings)
                    if weights is None:
                        yield wrong("the row has no vector", path, row)
                    else:
                        docid, text = member(record, settings.id_keys), member(record, settings.text_keys)
                        yield ForeignDocument(docid, text, weights, path, row, settings.fields(record, path, row))
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise unreadable(path, error) from error


def _check_columns(columns: list[str], path: Path, settings: Settings) -> None:
    has_vector = (settings.vector_field or "vector") in columns
    has_lists = {"terms"} <= {*columns} and {"impacts", "weights"} & {*columns}
    if not (has_vector or has_lists or {"indices", "values"} <= {*columns}):
        raise wrong(
            f"no column of vectors: the columns are {', '.join(columns)}", path, None,
            "Name the column with vector_field=…, or write terms and impacts",
        )  # fmt: skip


def _weights(record: dict[str, Any], path: Path, row: int, settings: Settings) -> dict[str, Any] | None:
    if settings.vector_field or "vector" in record:
        vector = record.get(settings.vector_field or "vector")
        if isinstance(vector, list):  # a map, as pairs
            if not all(isinstance(each, tuple) and len(each) == 2 for each in vector):
                return None
            return _of_terms([term for term, _ in vector], [weight for _, weight in vector], path, row)
        record = vector if isinstance(vector, dict) else {}
    terms, weights = record.get("terms"), member(record, ("impacts", "weights"))
    if isinstance(terms, list) and isinstance(weights, list):
        return _of_terms(terms, weights, path, row)
    ids, weights = record.get("indices"), record.get("values")
    if isinstance(ids, list) and isinstance(weights, list):
        return settings.weights(ids, weights, path, row)
    return None


def _of_terms(terms: list[Any], weights: list[Any], path: Path, row: int) -> dict[str, Any]:
    if len(terms) != len(weights):
        raise wrong(f"{len(terms):,} terms with {len(weights):,} impacts", path, row)
    found = dict(zip(terms, weights, strict=True))
    if len(found) < len(terms):
        raise wrong("a term occurs twice", path, row, "Add up its impacts")
    return found
