"""Qdrant: points with a sparse vector of term ids, in bodies of its REST interface."""

from __future__ import annotations

from typing import Any

from splade_lucene.engines.collection import Collection, ExportedDocument
from splade_lucene.engines.export_manifest import export_identity
from splade_lucene.engines.exporter import ExportOptions, example_query
from splade_lucene.engines.index_metadata import META, describe_index
from splade_lucene.engines.limits import EXACT_IN_FLOAT32, check_impacts
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import ExportFolder
from splade_lucene.files.json_text import indented_json

VECTOR = "impacts"
COLLECTION_FILE, QUERY_FILE = "collection.json", "query.json"
_MAX_BODY = 16 << 20  # the server refuses more than 32 MB


class Qdrant:
    """Exports to Qdrant."""

    title = "Qdrant"
    keys: tuple[Keys, ...] = ("ids",)

    def check(self, collection: Collection, options: ExportOptions) -> None:  # noqa: ARG002 - of an Exporter
        """Refuses impacts that are not exact in single precision."""
        check_impacts(collection, EXACT_IN_FLOAT32, self.title, "its values have single precision")

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the collection's settings, its points, and an example of a query."""
        metadata = describe_index(
            export_identity(collection.identity, options.keys, texts=options.texts), options.keys, collection.terms,
            collection.fields, collection.manifest, texts=options.texts,
        )  # fmt: skip
        settings = {"vectors": {}, "sparse_vectors": {VECTOR: {}}, "metadata": {META: metadata.to_json()}}
        folder.write_text(COLLECTION_FILE, indented_json(settings))

        folder.write_objects(
            collection, "points", point, piece_bytes=min(options.piece_bytes, _MAX_BODY), texts=options.texts
        )
        weights = example_query(collection)
        query = {"indices": [*weights], "values": [*weights.values()]}
        body = {"query": query, "using": VECTOR, "limit": 10, "with_payload": ["docid"]}
        folder.write_text(QUERY_FILE, indented_json(body))

    def readme(self, collection: Collection, options: ExportOptions) -> str:  # noqa: ARG002 - of an Exporter
        """The commands that create, load and search the collection."""
        name, header = options.name, "-H 'Content-Type: application/json'"
        return f"""`URL` is that of Qdrant, such as `http://localhost:6333`.

```sh
curl -fsS -X PUT "$URL/collections/{name}" {header} --data-binary @{COLLECTION_FILE}
for piece in documents-*.json; do curl -fsS -X PUT "$URL/collections/{name}/points?wait=true" {header} --data-binary "@$piece"; done
curl -fsS -X POST "$URL/collections/{name}/points/query" {header} --data-binary @{QUERY_FILE}
```

The same without a server, in Python (`pip install qdrant-client`):

```python
import json, pathlib
from qdrant_client import QdrantClient, models

client = QdrantClient(path="{name}.qdrant")  # or url=…
metadata = json.loads(pathlib.Path("{COLLECTION_FILE}").read_text(encoding="utf-8"))["metadata"]
vectors = {{"{VECTOR}": models.SparseVectorParams()}}
client.create_collection("{name}", sparse_vectors_config=vectors, metadata=metadata)
for piece in sorted(pathlib.Path().glob("documents-*.json")):
    points = json.loads(piece.read_text(encoding="utf-8"))["points"]
    client.upsert("{name}", [models.PointStruct(**point) for point in points])
```

A point's id is the document's number; `docid` in its payload is the document's id. Scores are integers, exact below 2²⁴. Qdrant
does not say in which order equal scores come. `splade-lucene search --engine qdrant --url "$URL" --name {name}` puts them into the
order of the index, for which it needs the collection's metadata: Qdrant 1.16 or newer. `--url` can also be the folder
`{name}.qdrant`. In a large collection, a payload index of `docid` and of each field lets Qdrant find texts and filter quickly.
"""  # noqa: E501 - a command is one line


def point(document: ExportedDocument) -> dict[str, Any]:
    """A document as a point."""
    payload: dict[str, Any] = {"docid": document.docid}
    if document.text is not None:
        payload["text"] = document.text
    if document.fields:
        payload["fields"] = dict(document.fields)
    vector = {"indices": document.term_ids, "values": document.impacts}
    return {"id": document.number, "vector": {VECTOR: vector}, "payload": payload}


EXPORTER = Qdrant()
