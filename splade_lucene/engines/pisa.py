"""PISA: its binary collection, from which its own tools build an index; no other tool is needed.

Sequences of unsigned integers of 32 bits, each after its length: ``.docs`` has the number of documents and then the documents
of each term, ``.freqs`` the impacts, ``.sizes`` the length of each document. ``.terms`` and ``.documents`` have one name per
line.
Source: PISA's documentation of its inverted index format.
"""

from __future__ import annotations

from splade_lucene.engines.collection import Collection
from splade_lucene.engines.exporter import ExportOptions
from splade_lucene.engines.inversion import inverted, little_endian
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import ExportFolder

_QUERIES = '''"""Makes PISA's queries of encoded queries in Anserini's format: qid, tab, each term repeated impact times."""

import pathlib
import sys

names = pathlib.Path(__file__).with_name("{name}.terms").read_text(encoding="utf-8").split("\\n")
term_ids = {{name: str(number) for number, name in enumerate(names[:-1])}}
for line in sys.stdin:
    qid, _, terms = line.rstrip("\\n").partition("\\t")
    if ":" in qid:
        sys.exit("PISA would end this qid at its colon: " + qid)
    print(qid + ":" + " ".join(term_ids[term] for term in terms.split(" ") if term in term_ids))
'''


class Pisa:
    """Exports to PISA."""

    title = "PISA"
    keys: tuple[Keys, ...] = ("ids",)

    def check(self, collection: Collection, options: ExportOptions) -> None:
        """Refuses nothing: PISA holds all impacts."""

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the binary collection, its names, and a script for queries."""
        name = options.name
        with inverted(collection, folder) as inversion:
            with folder.open(f"{name}.docs") as documents, folder.open(f"{name}.freqs") as impacts:
                documents.write(little_endian([1, len(inversion.docids)]))
                for _, numbers, values in inversion.postings():
                    documents.write(little_endian([numbers.size]) + little_endian(numbers))
                    impacts.write(little_endian([values.size]) + little_endian(values))
            with folder.open(f"{name}.sizes") as sizes:
                sizes.write(little_endian([len(inversion.lengths), *inversion.lengths]))
            folder.write_text(f"{name}.documents", "".join(f"{docid}\n" for docid in inversion.docids))
            terms = (collection.terms[term_id] for term_id in inversion.terms.tolist())
            folder.write_text(f"{name}.terms", "".join(f"{term}\n" for term in terms))
        folder.write_text("queries.py", _QUERIES.format(name=name))

    def readme(self, collection: Collection, options: ExportOptions) -> str:  # noqa: ARG002 - of an Exporter
        """The commands that build and search the index."""
        name = options.name
        return f"""The queries become PISA's own: term ids, repeated impact times, because its tokenizer would split the terms.

```sh
splade-lucene encode-queries --topics topics.tsv --output encoded.tsv
python queries.py < encoded.tsv > queries.pisa
```

PISA's tools make the index and search it:

```sh
lexicon build {name}.terms {name}.termlex && lexicon build {name}.documents {name}.doclex
compress_inverted_index --collection {name} --output {name}.block_simdbp --encoding block_simdbp
create_wand_data --collection {name} --output {name}.wand --scorer quantized --block-size 64
evaluate_queries --encoding block_simdbp --index {name}.block_simdbp --wand {name}.wand --documents {name}.doclex --algorithm block_max_wand --scorer quantized --weighted -k 1000 --queries queries.pisa
```

An impact is a frequency, and the scorer `quantized` takes it as it is. The id of a term is its line in `{name}.terms`, from 0.
"""  # noqa: E501 - a command is one line


EXPORTER = Pisa()
