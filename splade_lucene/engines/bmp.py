"""BMP, block-max pruning: a CIFF file, which its own tool turns into an index.

Mallia, Suel, Tonellotto, "Faster Learned Sparse Retrieval with Block-Max Pruning", SIGIR 2024.
"""

from __future__ import annotations

import json
import shlex

from splade_lucene.engines.ciff import CIFF_FILE, write_collection
from splade_lucene.engines.collection import Collection
from splade_lucene.engines.exporter import ExportOptions, example_query
from splade_lucene.engines.limits import check_impacts
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import ExportFolder

_MAX_IMPACT = 255


class Bmp:
    """Exports to BMP."""

    title = "BMP"
    keys: tuple[Keys, ...] = ("terms",)

    def check(self, collection: Collection, options: ExportOptions) -> None:  # noqa: ARG002 - of an Exporter
        """Refuses impacts above 255: BMP keeps eight bits, and takes an impact of 256 for 0."""
        check_impacts(collection, _MAX_IMPACT, self.title, "it keeps eight bits of an impact")

    def write(self, collection: Collection, options: ExportOptions, folder: ExportFolder) -> None:
        """Writes the CIFF file."""
        write_collection(collection, options, folder)

    def readme(self, collection: Collection, options: ExportOptions) -> str:
        """The commands that build and search the index."""
        query = {collection.terms[each]: float(impact) for each, impact in example_query(collection).items()}
        search = (
            f'from bmp import Searcher; print(Searcher("{options.name}.bmp").search({json.dumps(query, ensure_ascii=False)}, '
            "k=10, alpha=1.0, beta=1.0))"
        )
        return f"""```sh
pip install bmp
python -c "from bmp import ciff2bmp; ciff2bmp(ciff_file='{CIFF_FILE}', output='{options.name}.bmp', bsize=32, compress_range=False)"
python -c {shlex.quote(search)}
```

BMP rounds the weights of a query to a few bits, so its scores and rankings are close to the exact ones, not equal. A term that
no document has ends its search with an error: leave such terms out of queries; `terms.txt` lists the collection's terms.
BMP 0.2.8 finds nothing in a collection with fewer documents than a block (`bsize`).
"""  # noqa: E501 - a command is one line


EXPORTER = Bmp()
