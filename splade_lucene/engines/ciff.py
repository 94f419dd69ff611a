"""CIFF: the common index file format, which PISA, BMP, Terrier, JASS and others read. It has no texts."""

from __future__ import annotations

from splade_lucene.engines.ciff_format import CiffHeader, CiffPostings, write_ciff
from splade_lucene.engines.collection import Collection
from splade_lucene.engines.exporter import ExportOptions
from splade_lucene.engines.inversion import inverted
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import ExportFolder

CIFF_FILE = "collection.ciff"


class Ciff:
    """Exports to a CIFF file, in which an impact is a term frequency."""

    title = "CIFF"
    keys: tuple[Keys, ...] = ("terms",)

    def check(self, collection: Collection, options: ExportOptions) -> None:
        """Refuses nothing: the format holds all impacts and docids."""

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the file."""
        write_collection(collection, options, folder)

    def readme(self, collection: Collection, options: ExportOptions) -> str:  # noqa: ARG002 - of an Exporter
        """What the file holds, and what reads it."""
        return f"""`{CIFF_FILE}` has the postings lists in byte order of their terms, with impacts as term frequencies, and the
docids. Score with the frequency alone, and give query terms their weights.

```sh
ciff2pisa --ciff-file {CIFF_FILE} --output {options.name}
python -c "from bmp import ciff2bmp; ciff2bmp(ciff_file='{CIFF_FILE}', output='{options.name}.bmp', bsize=32, compress_range=False)"
splade-lucene import --from ciff --input {CIFF_FILE} --output pseudo-documents
```

`ciff2pisa` is that of [pisa-engine/ciff](https://github.com/pisa-engine/ciff); BMP holds impacts to 255.
"""  # noqa: E501 - a command is one line


def write_collection(collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
    """Writes a collection to a CIFF file."""
    with inverted(collection, folder) as inversion, folder.open(CIFF_FILE) as file:
        header = CiffHeader(
            len(inversion.terms),
            len(inversion.docids),
            sum(inversion.lengths),
            f"{options.name}, from {collection.source}",
        )
        lists = (CiffPostings(*each) for each in inversion.postings())
        write_ciff(file, header, lists, zip(inversion.docids, inversion.lengths, strict=True))


EXPORTER = Ciff()
