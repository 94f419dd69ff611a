"""The baseline that SPLADE is compared with: BM25 over the same texts, from the same Lucene, with Anserini's analyzer."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from splade_lucene import jvm
from splade_lucene.files import work_folder
from splade_lucene.records import Document, Query


def index_texts(documents: Iterable[Document], index_dir: str | Path) -> int:
    """Indexes texts for BM25 (English analyzer with Porter stemming, k1 = 0.9, b = 0.4).

    Returns:
        The number of documents.
    """
    index_dir = Path(index_dir)
    building = work_folder(index_dir, "building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    parts = []
    for document in documents:
        for text in (document.docid, document.text):
            encoded = text.encode()
            parts.append(struct.pack("<i", len(encoded)) + encoded)
    with jvm.translated_exceptions(index_dir):
        jvm.bridge("Bm25Index").write(str(building), struct.pack("<i", len(parts) // 2) + b"".join(parts))
    shutil.rmtree(index_dir, ignore_errors=True)
    building.rename(index_dir)
    return len(parts) // 2


def search_texts(index_dir: str | Path, queries: Sequence[Query], k: int) -> dict[str, list[tuple[str, float]]]:
    """Ranks the documents of such an index.

    Returns:
        qid → (docid, score), best first; ties by docid as bytes.
    """
    with jvm.translated_exceptions(index_dir):
        searcher = jvm.bridge("Bm25Index")(str(index_dir))
        try:
            packed = jvm.to_bytes(searcher.search(jvm.pack_strings(query.text for query in queries), k))
        finally:
            searcher.close()
    rankings: dict[str, list[tuple[str, float]]] = {}
    at = 0
    for query in queries:
        (count,) = struct.unpack_from("<i", packed, at)
        at += 4
        ranking = rankings.setdefault(query.qid, [])
        for _ in range(count):
            (length,) = struct.unpack_from("<i", packed, at)
            docid = packed[at + 4 : at + 4 + length].decode()
            (score,) = struct.unpack_from("<f", packed, at + 4 + length)
            ranking.append((docid, score))
            at += 8 + length
    return rankings
