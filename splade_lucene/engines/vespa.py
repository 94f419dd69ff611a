"""Vespa: an application package, a feed, and queries.

Impacts are stored twice: in a weighted set, whose ``dotProduct`` finds documents, and in a mapped sparse tensor, which ranks
documents that another part of a query has found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from splade_lucene.engines.collection import Collection, ExportedDocument
from splade_lucene.engines.exporter import ExportOptions, example_query
from splade_lucene.engines.limits import EXACT_IN_FLOAT32, check_impacts
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import ExportFolder
from splade_lucene.errors import InputError
from splade_lucene.fields.values import FieldType, date_micros
from splade_lucene.files.json_text import compact_json, indented_json

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")
_FIELDS = frozenset(("docid", "impacts", "vector", "text"))
_WORDS = frozenset(("and", "false", "id", "not", "null", "or", "true"))  # of the language that selects documents
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufddf" + "".join(
    chr((plane << 16) + last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
) + "]")  # fmt: skip
"""The characters that Vespa accepts in no string."""

_TYPES: Mapping[FieldType, str] = {
    "keyword": "string", "keyword[]": "array<string>", "integer": "long", "number": "double", "date": "long",
    "boolean": "bool",
}  # fmt: skip


class Vespa:
    """Exports to Vespa."""

    title = "Vespa"
    keys: tuple[Keys, ...] = ("ids",)

    def check(self, collection: Collection, options: ExportOptions) -> None:
        """Refuses names that a schema cannot have, and impacts that are not exact in single precision."""
        names = ((options.name, "schema", _WORDS), *((name, "field", _FIELDS) for name in collection.fields))
        for name, what, reserved in names:
            if not _NAME.fullmatch(name) or name in reserved:
                raise InputError(
                    f"a {what} of Vespa cannot have the name {name!r:.80}",
                    remedy=f"Use letters, digits and _, no digit at the beginning, and none of {', '.join(sorted(reserved))}",
                )
        check_impacts(collection, EXACT_IN_FLOAT32, self.title, "tensors have single precision")

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the application package, the feed, and two examples of queries."""
        folder.write_text("application/services.xml", _SERVICES.format(name=options.name))
        folder.write_text(f"application/schemas/{options.name}.sd", _schema(collection, options))

        def feed(document: ExportedDocument) -> bytes:
            return _feed_line(collection, options, document)

        folder.write_lines(collection, "jsonl", feed, piece_bytes=options.piece_bytes, texts=options.texts)
        weights = {str(term_id): impact for term_id, impact in example_query(collection).items()}
        found = {
            "yql": f"select docid from {options.name} where dotProduct(impacts, @weights)",  # noqa: S608 - its own language
            "weights": json.dumps(weights).replace('"', ""),
        }
        ranked = {
            "yql": f"select docid from {options.name} where true",  # noqa: S608
            "input.query(q)": {"cells": weights},
        }
        for name, profile, query in (("query", "impacts", found), ("query-tensor", "vector", ranked)):
            ranking = {"profile": profile, "sorting": "-[relevance] +docid", "softtimeout": {"enable": False}}
            body = {**query, "hits": 10, "timeout": "10s", "ranking": ranking}
            folder.write_text(f"{name}.json", indented_json(body))

    def readme(self, collection: Collection, options: ExportOptions) -> str:  # noqa: ARG002 - of an Exporter
        """The commands that deploy, feed and search."""
        return """The commands need Vespa's own program, `vespa`, with its target set.

```sh
vespa deploy --wait 300 application
for piece in documents-*.jsonl; do vespa feed "$piece"; done
vespa query --file query.json
```

`query.json` finds documents with `dotProduct` over the weighted set `impacts`, which scores each of them: nothing is pruned.
Replace it by `wand` for speed, which may order equal scores at the last place differently. Equal scores are ordered by `docid`.
`query-tensor.json` ranks with the mapped tensor `vector` instead, here all documents; put what finds candidates in the place of
`true`. Terms have their ids as keys, also in a query. Dates are microseconds since 1970. In texts, a space replaces each
control character that Vespa would refuse."""


def _schema(collection: Collection, options: ExportOptions) -> str:
    fields = "".join(
        f"        field {name} type {_TYPES[kind]} {{\n            indexing: attribute | summary\n"
        f"{'            match: word' + chr(10) if kind.startswith('keyword') else ''}        }}\n"
        for name, kind in collection.fields.items()
    )
    text = "        field text type string {\n            indexing: summary\n        }\n" if options.texts else ""
    return _SCHEMA.format(name=options.name, others=text + fields)


def _feed_line(collection: Collection, options: ExportOptions, document: ExportedDocument) -> bytes:
    impacts = {str(term_id): impact for term_id, impact in zip(document.term_ids, document.impacts, strict=True)}
    fields: dict[str, Any] = {"docid": document.docid, "impacts": impacts, "vector": {"cells": impacts}}
    _check_characters(document.docid, document.docid, "docid")
    if document.text is not None:
        fields["text"] = _NOT_TEXT.sub(" ", document.text)
    for name, value in document.fields.items():
        fields[name] = date_micros(name, value) if collection.fields[name] == "date" else value
        for each in value if isinstance(value, list) else [value]:
            _check_characters(each, document.docid, f"field {name!r}")
    record = {"put": f"id:{options.name}:{options.name}::{document.docid}", "fields": fields}
    return f"{compact_json(record)}\n".encode()


def _check_characters(value: object, docid: str, what: str) -> None:
    if isinstance(value, str) and (found := _NOT_TEXT.search(value)):
        raise InputError(
            f"the {what} of the document {docid!r:.200} has the character U+{ord(found[0]):04X}, which Vespa refuses",
            remedy="Remove the character, and make the pseudo-documents again",
        )


_SERVICES = """<?xml version="1.0" encoding="utf-8" ?>
<services version="1.0">
  <container id="default" version="1.0">
    <search/>
    <document-api/>
  </container>
  <content id="content" version="1.0">
    <min-redundancy>1</min-redundancy>
    <documents>
      <document type="{name}" mode="index"/>
    </documents>
  </content>
</services>
"""

_SCHEMA = """schema {name} {{
    document {name} {{
        field docid type string {{
            indexing: attribute | summary
            match: word
            attribute: fast-search
            rank: filter
            sorting {{
                function: raw
            }}
        }}
        field impacts type weightedset<int> {{
            indexing: attribute
            attribute: fast-search
        }}
        field vector type tensor<float>(term{{}}) {{
            indexing: attribute
        }}
{others}    }}
    rank-profile impacts {{
        first-phase {{
            expression: rawScore(impacts)
        }}
    }}
    rank-profile vector {{
        inputs {{
            query(q) tensor<float>(term{{}})
        }}
        first-phase {{
            expression: sum(query(q) * attribute(vector))
        }}
    }}
}}
"""

EXPORTER = Vespa()
