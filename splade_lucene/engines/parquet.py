"""Parquet: one row per document, with its terms and impacts as lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from splade_lucene.engines.collection import Collection, ExportedDocument
from splade_lucene.engines.exporter import ExportOptions
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import ExportFolder, batch_size
from splade_lucene.fields.values import FieldType
from splade_lucene.imports import uninterrupted_imports

_TYPES: Mapping[FieldType, str] = {
    "keyword": "string", "integer": "int64", "number": "float64", "date": "string", "boolean": "bool_"
}  # fmt: skip


class Parquet:
    """Exports to Parquet files."""

    title = "Parquet"
    keys: tuple[Keys, ...] = ("terms", "ids")

    def check(self, collection: Collection, options: ExportOptions) -> None:
        """Refuses nothing: the format holds all that a collection has."""

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the files."""
        schema = _schema(collection, options)

        def write_batch(file: BinaryIO, documents: list[ExportedDocument]) -> None:
            _write_table(file, schema, [_row(collection, options, document) for document in documents])

        documents = batch_size(collection, options.piece_bytes)
        folder.write_batches(collection, "parquet", write_batch, documents=documents, texts=options.texts)

    def readme(self, collection: Collection, options: ExportOptions) -> str:  # noqa: ARG002 - of an Exporter
        """The columns, and what reads them."""
        terms = "`terms` (list of strings)" if options.keys == "terms" else "`indices` (list of term ids)"
        impacts = "impacts" if options.keys == "terms" else "values"
        return f"""The columns are `id`, `contents`, {terms}, `{impacts}` (list of integers, in the same
order), and `fields` (a struct) if there are any.

```sh
python -c "import pyarrow.parquet; print(pyarrow.parquet.ParquetFile('documents-00000.parquet').schema_arrow)"
splade-lucene import --from parquet --input . --output ../pseudo-documents
```
"""


@uninterrupted_imports()
def _schema(collection: Collection, options: ExportOptions) -> Any:
    import pyarrow as pa

    columns = [("id", pa.string())]
    if options.texts:
        columns.append(("contents", pa.string()))
    if options.keys == "terms":
        columns += [("terms", pa.list_(pa.string())), ("impacts", pa.list_(pa.int32()))]
    else:
        columns += [("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.int32()))]
    if collection.fields:
        members = [
            (name, pa.list_(pa.string()) if kind == "keyword[]" else getattr(pa, _TYPES[kind])())
            for name, kind in collection.fields.items()
        ]
        columns.append(("fields", pa.struct(members)))
    return pa.schema(columns)


def _row(collection: Collection, options: ExportOptions, document: ExportedDocument) -> dict[str, Any]:
    row: dict[str, Any] = {"id": document.docid, "contents": document.text, "fields": dict(document.fields)}
    if options.keys == "terms":
        return {**row, "terms": [collection.terms[each] for each in document.term_ids], "impacts": document.impacts}
    return {**row, "indices": document.term_ids, "values": document.impacts}


@uninterrupted_imports()
def _write_table(file: BinaryIO, schema: Any, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="zstd")


EXPORTER = Parquet()
