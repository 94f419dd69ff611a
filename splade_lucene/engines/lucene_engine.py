"""What OpenSearch and Elasticsearch have in common: mapping, bulk files and queries over Lucene's ``FeatureField``.

Both store an impact as the frequency of a term: a float with nine significant bits, so that integers up to 511
are exact. A score is the sum of products, computed in double precision and returned as a float: exact below 2²⁴. Hits are
sorted by score descending, then by the keyword ``docid`` ascending, in byte order like ours.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from splade_lucene.engines.collection import Collection, ExportedDocument
from splade_lucene.engines.export_manifest import export_identity
from splade_lucene.engines.exporter import ExportOptions, example_query, key
from splade_lucene.engines.index_metadata import META, describe_index
from splade_lucene.engines.limits import check_impacts
from splade_lucene.engines.lucene_filters import field_mappings, field_members, filter_query
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import ExportFolder
from splade_lucene.errors import InputError
from splade_lucene.fields.conditions import Condition
from splade_lucene.fields.values import FieldType
from splade_lucene.files.json_text import compact_json, indented_json

INDEX_FILE, QUERY_FILE = "index.json", "query.json"
IMPACTS = "impacts"
PART_DOCUMENTS = 10_000
"""Documents of a part, the unit in which a load that was interrupted resumes."""

_MAX_IMPACT = 511
_MAX_WEIGHT = 64
_MAX_ID_BYTES = 512


class LuceneEngine(ABC):
    """An exporter for an engine that stores impacts in Lucene's ``FeatureField``."""

    title: str
    keys: tuple[Keys, ...] = ("ids", "terms")

    @abstractmethod
    def impacts_mapping(self) -> dict[str, Any]:
        """The mapping of the field of impacts."""

    @abstractmethod
    def query(self, weights: Mapping[str, int]) -> tuple[dict[str, Any], int]:
        """The engine's query, and k: its scores are ours divided by 2ᵏ.

        Args:
            weights: The key of a term in the engine → impact, at least one.
        """

    @abstractmethod
    def other_files(self, weights: Mapping[str, int]) -> dict[str, str]:
        """Further files for an example query: name → text."""

    @abstractmethod
    def notes(self) -> str:
        """What else the README says, in Markdown."""

    def check(self, collection: Collection, options: ExportOptions) -> None:
        """Refuses impacts above 511, terms that the engine loses, and names that it refuses."""
        check_index_name(options.name, self.title)
        check_impacts(collection, _MAX_IMPACT, self.title, "a FeatureField keeps nine significant bits")
        for name in collection.fields:
            if "." in name:
                raise InputError(
                    f"{self.title} would split the name of the field {name!r} at its dot", remedy="Rename the field"
                )
            if "*" in name or not name.strip():
                raise InputError(
                    f"{self.title} cannot search a field with the name {name!r}: * stands for any name, and a name "
                    "must not be blank",
                    remedy="Rename the field",
                )
        if options.keys == "terms":
            self._check_terms(collection)

    def _check_terms(self, collection: Collection) -> None:
        for term in collection.terms:
            if "." in term and (place := collection.first_with(term)) is not None:
                raise InputError(
                    f"the document {place.docid!r:.200} has the term {term!r:.80}, and {self.title} does not find terms with "
                    "a dot",
                    path=place.path, line=place.line, remedy="Export with keys=ids, the default",
                )  # fmt: skip

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the index's settings and mapping, the bulk files, and an example of a query."""
        folder.write_text(INDEX_FILE, indented_json(self.index_body(collection, options)))
        identity = export_identity(collection.identity, options.keys, texts=options.texts)
        keys = [key(collection, options, term_id) for term_id in range(len(collection.terms))]

        def bulk(document: ExportedDocument) -> bytes:
            return bulk_lines(keys, document, identity, collection.fields)

        folder.write_lines(collection, "ndjson", bulk, piece_bytes=options.piece_bytes, texts=options.texts)
        weights = {key(collection, options, each): impact for each, impact in example_query(collection).items()}
        folder.write_text(QUERY_FILE, indented_json(self.search_body(weights, 10)[0]))
        for name, text in self.other_files(weights).items():
            folder.write_text(name, text)

    def index_body(self, collection: Collection, options: ExportOptions) -> dict[str, Any]:
        """The body with which the index is created."""
        properties: dict[str, Any] = {
            "docid": {"type": "keyword"},
            "part": {"type": "keyword"},
            IMPACTS: self.impacts_mapping(),
        }
        if options.texts:
            properties["text"] = {"type": "text", "index": False}
        properties |= field_mappings(collection.fields)
        metadata = describe_index(
            export_identity(collection.identity, options.keys, texts=options.texts), options.keys, collection.terms,
            collection.fields, collection.manifest, texts=options.texts,
        )  # fmt: skip
        return {
            "settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0}},
            "mappings": {"dynamic": False, "_meta": {META: metadata.to_json()}, "properties": properties},
        }

    def search_body(
        self, weights: Mapping[str, int], k: int, condition: Condition | None = None
    ) -> tuple[dict[str, Any], int]:
        """The body of a search for k hits, and k of :meth:`query`.

        Args:
            weights: See :meth:`query`.
            k: The number of hits.
            condition: What the hits fulfil; None for any. It does not change a score.
        """
        query, shift = self.query(weights)
        if condition is not None:
            query = {"bool": {"must": [query], "filter": [filter_query(condition)]}}
        return {
            "size": k,
            "track_total_hits": False,
            "_source": False,
            "query": query,
            "sort": [{"_score": "desc"}, {"docid": "asc"}],
        }, shift

    def readme(self, collection: Collection, options: ExportOptions) -> str:  # noqa: ARG002 - of an Exporter
        """The commands that create, load and search the index."""
        name = options.name
        return f"""`URL` is that of {self.title}, such as `http://localhost:9200`. `{INDEX_FILE}` sets the number of shards and replicas. Where the
server asks who you are, add `-u USER` to each `curl`, and `--cacert FILE` if it signed its certificate itself.

```sh
curl -fsS -X PUT "$URL/{name}" -H 'Content-Type: application/json' --data-binary @{INDEX_FILE}
for piece in documents-*.ndjson; do curl -fsS -X POST "$URL/{name}/_bulk?filter_path=errors,items.*.error" -H 'Content-Type: application/x-ndjson' --data-binary "@$piece"; done
curl -fsS -X POST "$URL/{name}/_refresh" && curl -fsS "$URL/{name}/_search?allow_partial_search_results=false" -H 'Content-Type: application/json' --data-binary @{QUERY_FILE}
```

Each bulk request has to answer `"errors":false`. `splade-lucene push --to {self.title.lower()} --input DIR --url "$URL"` does the
same in parallel, waits when the engine is busy, resumes, and compares the counts. `splade-lucene search --engine
{self.title.lower()} --url "$URL" --name {name}` searches it.

The score of a hit is an integer, as in the index, as long as it is below 2²⁴. Equal scores are ordered by `docid`. A search
for more than 10,000 hits needs a point in time, and continues with `search_after`.

{self.notes()}"""  # noqa: E501 - a command is one line


def bulk_lines(keys: Sequence[str], document: ExportedDocument, identity: str, types: Mapping[str, FieldType]) -> bytes:
    """The two lines of a document in a bulk request.

    Args:
        keys: The key by which the engine identifies each term, by term_id.
        document: The document.
        identity: The identity of the export.
        types: The fields of the documents and their types.
    """
    impacts = zip((keys[term_id] for term_id in document.term_ids), document.impacts, strict=True)
    source: dict[str, Any] = {
        "docid": document.docid,
        "part": part_name(identity, document.number // PART_DOCUMENTS),
        IMPACTS: dict(impacts),
    }
    if document.text is not None:
        source["text"] = document.text
    source |= field_members(document.fields, types)
    lines = ({"index": {"_id": engine_id(document.docid)}}, source)
    return "".join(f"{compact_json(each)}\n" for each in lines).encode()


def part_name(identity: str, number: int) -> str:
    """The name of a part of an export."""
    return f"{identity}-{number:06d}"


def engine_id(docid: str) -> str:
    """The ``_id`` of a document: its docid, or a digest of a docid of more than 512 bytes, which the engines refuse."""
    encoded = docid.encode()
    return docid if len(encoded) <= _MAX_ID_BYTES else f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def scaled(weights: Mapping[str, int]) -> tuple[dict[str, float], int]:
    """Weights divided by the smallest power of two with which none is above 64, and its exponent. It changes no digit.

    Example:
        >>> scaled({"7": 300, "9": 1})
        ({'7': 37.5, '9': 0.125}, 3)
    """
    shift = 0
    while max(weights.values()) > _MAX_WEIGHT << shift:
        shift += 1
    return {name: weight / (1 << shift) for name, weight in weights.items()}, shift


def check_index_name(name: str, engine: str) -> None:
    """Refuses what neither engine takes as the name of an index.

    Raises:
        InputError: Says which characters are allowed.
    """
    is_allowed = all(character.islower() or character.isdigit() or character in "-_." for character in name)
    if not (name.isascii() and is_allowed and name[:1] not in "-_." and len(name) <= 255):
        raise InputError(
            f"{name!r:.80} cannot be the name of an index of {engine}",
            remedy="Use lower-case letters, digits, and, not at the beginning, - _ and .",
        )
