"""Milvus: rows with a sparse vector of term ids, in the JSON form of its bulk import, and a script that loads them."""

from __future__ import annotations

from typing import Any

from splade_lucene.engines.collection import Collection, ExportedDocument
from splade_lucene.engines.exporter import ExportOptions, example_query
from splade_lucene.engines.limits import EXACT_IN_FLOAT32, check_impacts
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import ExportFolder
from splade_lucene.errors import InputError

_MAX_TEXT = 65_535  # bytes of a VARCHAR
_MAX_MESSAGE = 16 << 20  # load.py sends a file at once, and the server refuses more than 64 MB
_LOAD = '''"""Loads the documents into Milvus, or into a file of Milvus Lite: python load.py URI"""

import json
import pathlib
import sys

from pymilvus import DataType, MilvusClient

client = MilvusClient(sys.argv[1])
schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
schema.add_field("docid", DataType.VARCHAR, is_primary=True, max_length={longest})
schema.add_field("impacts", DataType.SPARSE_FLOAT_VECTOR)
{more}index = client.prepare_index_params()
index.add_index("impacts", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
is_new = not client.has_collection("{name}")
if is_new:
    client.create_collection("{name}", schema=schema, index_params=index)
write = client.insert if is_new else client.upsert  # after a load that was interrupted
for piece in sorted(pathlib.Path(__file__).parent.glob("documents-*.json")):
    rows = json.loads(piece.read_text(encoding="utf-8"))["rows"]
    for row in rows:
        row["impacts"] = {{int(term_id): float(impact) for term_id, impact in row["impacts"].items()}}
    write("{name}", rows)
client.close()
'''


class Milvus:
    """Exports to Milvus."""

    title = "Milvus"
    keys: tuple[Keys, ...] = ("ids",)

    def check(self, collection: Collection, options: ExportOptions) -> None:
        """Refuses names that Milvus refuses, and impacts that are not exact in single precision."""
        name = options.name
        if not (name.isascii() and name.isidentifier() and len(name) <= 255):
            raise InputError(f"{name!r:.80} cannot be the name of a collection", remedy="Use letters, digits and _")
        check_impacts(collection, EXACT_IN_FLOAT32, self.title, "its values have single precision")

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the rows, and the script that loads them."""

        def row(document: ExportedDocument) -> dict[str, Any]:
            return _row(document, collection, options)

        folder.write_objects(
            collection, "rows", row, piece_bytes=min(options.piece_bytes, _MAX_MESSAGE), texts=options.texts
        )
        more = f'schema.add_field("text", DataType.VARCHAR, max_length={_MAX_TEXT})\n' if options.texts else ""
        if collection.fields:
            more += 'schema.add_field("fields", DataType.JSON)\n'
        folder.write_text("load.py", _LOAD.format(name=options.name, longest=_MAX_TEXT, more=more))

    def readme(self, collection: Collection, options: ExportOptions) -> str:
        """The commands that load and search the collection."""
        name = options.name
        query = {term_id: float(impact) for term_id, impact in example_query(collection).items()}
        return f"""`URI` is that of Milvus, such as `http://localhost:19530`, or the name of a file for Milvus Lite, such as `{name}.db`.

```sh
pip install 'pymilvus[milvus-lite]'
python load.py "$URI"
python -c "import sys; from pymilvus import MilvusClient; client = MilvusClient(sys.argv[1]); client.load_collection('{name}'); print(client.search('{name}', data=[{query}], anns_field='impacts', limit=10, output_fields=['docid']))" "$URI"
```

A vector is `{{term id: impact}}`; `documents-*.json` are also what Milvus's bulk import reads. Scores are integers, exact below 2²⁴.
Milvus does not say in which order equal scores come.
"""  # noqa: E501 - a command is one line


def _row(document: ExportedDocument, collection: Collection, options: ExportOptions) -> dict[str, Any]:
    impacts = {str(term_id): impact for term_id, impact in zip(document.term_ids, document.impacts, strict=True)}
    row: dict[str, Any] = {"docid": document.docid, "impacts": impacts}
    if options.texts:
        row["text"] = document.text or ""
        if len(row["text"].encode()) > _MAX_TEXT:
            raise InputError(
                f"the text of the document {document.docid!r:.200} has more than {_MAX_TEXT:,} bytes, Milvus's limit",
                remedy="Export with texts=False",
            )
    if collection.fields:
        row["fields"] = dict(document.fields)
    return row


EXPORTER = Milvus()
