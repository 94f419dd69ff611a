#!/usr/bin/env python3
"""Records which Java classes indexing and searching load, for the archive of splade_lucene/jvm/class_data.py.

    python java_bridge/class_list.py                 # after a change of the Java code; writes splade_lucene/jars/classes.txt

A class that is not in the list is loaded as usual; one that another Java or Lucene lacks is ignored.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

_WORK = """
import sys
import jnius_config
jnius_config.add_options("-Xshare:off", "-XX:DumpLoadedClassList=" + sys.argv[1])
from pathlib import Path
from splade_lucene import (
    LuceneImpactIndexReader, LuceneImpactSearcher, PseudoDocument, index_pseudo_documents,
    write_pseudo_documents,
)
folder = Path(sys.argv[2])
texts = [f"word{i % 7} word{i % 11} word{i % 13}" for i in range(300)]
documents = [
    PseudoDocument(str(i), text, {term: 1 + i % 50 for term in text.split()}, {"kind": f"k{i % 3}", "year": 2000 + i % 20})
    for i, text in enumerate(texts)
]
write_pseudo_documents(folder / "documents" / "part.jsonl", documents)
index_pseudo_documents(folder / "documents", folder / "index", fields={"kind": "keyword", "year": "integer"})
with LuceneImpactSearcher(folder / "index") as searcher:
    query = {"word1": 3, "word5": 2}
    searcher.search(query, 10)
    searcher.search(query, 10, filter='kind = "k1" and year >= 2004').fields()
    searcher.batch_search([query, {"word2": 1}], ["1", "2"], 10, 2)
    searcher.explain(query, searcher.search(query, 1)[0].docid)
    searcher.doc(searcher.search(query, 1)[0].docid)
with LuceneImpactIndexReader(folder / "index") as reader:
    reader.statistics()
"""


def main() -> None:
    """Runs the work and writes the list."""
    from splade_lucene.jvm.class_data import CLASS_LIST

    with tempfile.TemporaryDirectory() as folder:
        recorded = Path(folder) / "classes"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SPLADE_LUCENE_CLASS_DATA": "off"}
        subprocess.run([sys.executable, "-c", _WORK, str(recorded), folder], check=True, env=environment)
        lines = recorded.read_text(encoding="utf-8").splitlines()
    # classes of other loaders (with a source) and hidden ones cannot be archived by name
    kept = [re.sub(r" id: \d+$", "", line) for line in lines if not re.search(r"^#| source: |Species_|/0x", line)]
    names = list(dict.fromkeys(kept))
    CLASS_LIST.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    print(f"{CLASS_LIST}: {len(names)} lines")


if __name__ == "__main__":
    main()
