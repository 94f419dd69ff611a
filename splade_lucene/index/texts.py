"""Builds a plain Lucene text index for BM25, equal to the one that Anserini's IndexCollection builds from a JsonCollection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from splade_lucene import jvm
from splade_lucene.arguments import check_choice, several, to_path
from splade_lucene.defaults import thread_count
from splade_lucene.errors import CorpusError
from splade_lucene.files.files import new_folder, work_folder
from splade_lucene.ids import check_id
from splade_lucene.index.publish import prepare_target, publish, sole_builder
from splade_lucene.jvm import wire
from splade_lucene.progress import NO_PROGRESS, Advance, Progress
from splade_lucene.records import Document, well_formed

TextStore = Literal["none", "text"]
"""What to store for each document."""

_BATCH_BYTES = 1 << 20


def index_texts(
    documents: Iterable[Document],
    index_dir: str | Path,
    *,
    store: TextStore = "text",
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress = NO_PROGRESS,
) -> int:
    """Indexes texts for BM25 with Anserini's default analysis: lowercasing, English stop words, Porter stemming.

    The documents are consumed in small batches. The index gets its name only when it is complete.

    Args:
        documents: The documents, with unique docids. Blank texts are skipped, as in Anserini.
        index_dir: The folder of the index.
        store: What to store for each document: nothing, or ``{"id", "contents"}`` (the text).
        threads: Number of threads that analyze and invert texts. Default: one per core. With several threads, the
            numbering of documents varies between builds; this does not change the hits.
        overwrite: Replace an existing index.
        progress: Reports the progress.

    Returns:
        The number of documents in the index.

    Raises:
        CorpusError: There are no documents, two have the same id, or an id contains white space.
        InputError: An index exists and ``overwrite`` is not set, another process is building it, or the folder contains
            something other than an index.
        StorageError: A disk error.
    """
    index_dir = to_path(index_dir).resolve()
    check_choice(store, TextStore, "store")
    with sole_builder(index_dir):
        prepare_target(index_dir, append=False, overwrite=overwrite)
        with new_folder(work_folder(index_dir, "building")) as building:
            with progress.step("indexing", None, "documents") as advance:
                count = _write(_batches(documents, store), building, thread_count(threads), advance)
            if not count:
                raise CorpusError(
                    "no documents to index: there are none, or all texts are blank", path=index_dir,
                    remedy="Check the corpus",
                )  # fmt: skip
            publish(building, index_dir, overwrite=overwrite)
    return count


def _write(batches: Iterator[tuple[int, bytes]], folder: Path, threads: int, advance: Advance) -> int:
    total = 0
    with jvm.translated_exceptions(folder):
        java = jvm.facade("Bm25")
        writer = java.openWriter(jvm.java_path(folder), threads)
        try:
            for count, batch in batches:
                java.add(writer, batch)
                total += count
                advance(count)
            duplicate = java.finish(writer)
        except BaseException:
            java.rollback(writer)
            raise
    if duplicate is not None:
        raise CorpusError(f"duplicate id {str(duplicate)!r}", remedy="Make all ids unique")
    return total


def _batches(documents: Iterable[Document], store: TextStore) -> Iterator[tuple[int, bytes]]:
    """Packs documents for Java into batches of about a megabyte; yields the size and the bytes of each."""
    packed: list[bytes] = []
    size = 0
    for document in several(documents, "documents", error=CorpusError):
        if not isinstance(document, Document):
            raise CorpusError(f"expected a Document, got {document!r:.80}", remedy="Pass Document(docid, text)")
        if is_skipped(document.text):
            continue
        packed.append(_pack(document, store))
        size += len(packed[-1])
        if size >= _BATCH_BYTES:
            yield len(packed), wire.pack_batch(packed)
            packed, size = [], 0
    if packed:
        yield len(packed), wire.pack_batch(packed)


def is_skipped(text: str) -> bool:
    """Whether Anserini skips a blank text: one of spaces and control characters only, which Java's ``trim`` removes.

    Other blank texts (:func:`splade_lucene.white_space.is_blank`) are documents without terms, as in Anserini.
    """
    return all(character <= " " for character in text)


def _pack(document: Document, store: TextStore) -> bytes:
    docid = check_id(document.docid, error=CorpusError)
    text = well_formed(document.text)
    raw = stored_json(docid, text) if store == "text" else None
    return wire.pack_text(docid, raw, text)


def stored_json(docid: str, text: str) -> str:
    """What an index stores of a document with ``store="text"``; :class:`splade_lucene.search.hits.StoredDocument` reads it."""
    return json.dumps({"id": docid, "contents": text}, ensure_ascii=False)
