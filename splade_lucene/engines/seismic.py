"""Seismic: JSON lines of terms and weights, from which it builds its index.

Bruch, Nardini, Rulli, Venturini, "Efficient Inverted Indexes for Approximate Retrieval over Learned Sparse Representations",
SIGIR 2024.
"""

from __future__ import annotations

import json
import shlex

from splade_lucene.engines.collection import Collection, ExportedDocument
from splade_lucene.engines.exporter import ExportOptions, example_query, key
from splade_lucene.engines.limits import check_impacts
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import ExportFolder
from splade_lucene.errors import InputError

_MAX_IMPACT = 2048
_MAX_TERM_CHARS = 100
_MANY_TERMS = 2**16


class Seismic:
    """Exports to Seismic."""

    title = "Seismic"
    keys: tuple[Keys, ...] = ("terms", "ids")

    def check(self, collection: Collection, options: ExportOptions) -> None:
        """Refuses impacts above 2,048, which half precision rounds, and terms of more than 100 characters."""
        check_impacts(collection, _MAX_IMPACT, self.title, "it keeps them in half precision")
        for term in collection.terms if options.keys == "terms" else ():
            if len(term) > _MAX_TERM_CHARS and (place := collection.first_with(term)) is not None:
                raise InputError(
                    f"the document {place.docid!r:.200} has a term of {len(term)} characters, and Seismic cuts terms at "
                    f"{_MAX_TERM_CHARS}",
                    path=place.path, line=place.line, remedy="Export with keys=ids",
                )  # fmt: skip

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the documents."""

        def line(document: ExportedDocument) -> bytes:
            names = [key(collection, options, term_id) for term_id in document.term_ids]
            vector = dict(zip(names, document.impacts, strict=True))
            record = {"id": document.docid, "content": document.text or "", "vector": vector}
            return (json.dumps(record, ensure_ascii=False) + "\n").encode()

        folder.write_lines(collection, "jsonl", line, piece_bytes=options.piece_bytes, texts=options.texts)

    def readme(self, collection: Collection, options: ExportOptions) -> str:
        """The commands that build and search the index."""
        kind = "SeismicIndex" if len(collection.terms) < _MANY_TERMS else "SeismicIndexLV"
        query = {key(collection, options, each): impact for each, impact in example_query(collection).items()}
        terms, weights = json.dumps([*query], ensure_ascii=False), [*query.values()]
        search = (
            f'import numpy, seismic; print(seismic.{kind}.load("{options.name}.index.seismic").search("1", '
            f'numpy.array({terms}, seismic.get_seismic_string()), numpy.array({weights}, "float32"), k=10, query_cut=10, '
            "heap_factor=0.8))"
        )
        return f"""Seismic reads one file:

```sh
pip install pyseismic-lsr
cat documents-*.jsonl > {options.name}.jsonl
python -c "from seismic import {kind}; {kind}.build('{options.name}.jsonl').save('{options.name}')"
python -c {shlex.quote(search)}
```

Seismic is approximate: `query_cut` and `heap_factor` trade time for recall.
"""


EXPORTER = Seismic()
