"""The peer: Anserini's own commands and classes, and all that an index of either knows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from splade_lucene import LuceneImpactIndexReader, jvm


def run_index_collection(collection: str, source: Path, index: Path, *options: str) -> None:
    """Anserini's IndexCollection in a process of its own."""
    java = jvm.find_runtime().home / "bin" / "java"
    command = [str(java), "-cp", str(jvm.find_fatjar()), "io.anserini.index.IndexCollection", "-collection", collection,
               "-input", str(source), "-index", str(index), "-generator", "DefaultLuceneDocumentGenerator", "-threads", "2",
               *options]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


def build_with_anserini(source: Path, index: Path, *options: str) -> None:
    """An impact index of pseudo-documents."""
    run_index_collection("JsonVectorCollection", source, index, "-impact", "-pretokenized", *options)


def build_texts_with_anserini(source: Path, index: Path, *options: str) -> None:
    """An index of texts, as BM25 searches it."""
    run_index_collection("JsonCollection", source, index, *options)


def search_with_anserini(index: Path, text: str, k: int, k1: float = 0.9, b: float = 0.4) -> list[tuple[str, float]]:
    searcher = jvm.java_class("io.anserini.search.SimpleSearcher")(str(index))
    try:
        searcher.set_bm25(k1, b)
        return [(hit.docid, hit.score) for hit in searcher.search(text, k)]
    finally:
        searcher.close()


def contents(index: Path) -> dict[str, dict[str, int]]:
    """term → docid → impact: all that an impact index knows."""
    with LuceneImpactIndexReader(index) as reader:
        docids = reader.docids()
        found = {}
        for each in reader.terms():
            documents, impacts = reader.postings(each.term)
            found[each.term] = {docids[d]: int(i) for d, i in zip(documents, impacts, strict=True)}
            assert len(found[each.term]) == each.doc_freq
            assert sum(found[each.term].values()) == each.total_impact
        return found
