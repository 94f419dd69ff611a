"""Texts → a plain Lucene index for BM25, the one that Anserini's IndexCollection makes of a JsonCollection."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

from splade_lucene import jvm
from splade_lucene.defaults import thread_count
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.files import storage_error, work_folder
from splade_lucene.ids import is_id
from splade_lucene.index.publish import prepare_target, publish
from splade_lucene.jvm import wire
from splade_lucene.progress import NO_PROGRESS, Advance, Progress
from splade_lucene.records import Document, well_formed

TextStore = Literal["none", "text"]
"""What an index keeps of a text."""

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
    """Indexes texts for BM25: lower case, English stop words, Porter's stems, as Anserini does by default.

    The texts pass through in small batches. The index appears under its name only when it is whole.

    Args:
        documents: The texts; each docid once. Blank texts are left out, as by Anserini.
        index_dir: Where the index goes.
        store: What a document keeps: nothing, or ``{"id", "contents"}`` (the text).
        threads: Threads that analyze and invert; default: all cores. With several, documents are numbered as it happens,
            which changes no hit.
        overwrite: Replace an existing index.
        progress: Follows the work.

    Returns:
        The number of documents in the index.

    Raises:
        CorpusError: There is no document, two have the same id, or an id has white space.
        InputError: An index exists and is not to be overwritten, or something else than an index is there.
        StorageError: The disk refused.
    """
    index_dir = Path(index_dir).resolve()
    check_store(store)
    prepare_target(index_dir, append=False, overwrite=overwrite)
    building = work_folder(index_dir, "building")
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
    except OSError as error:
        raise storage_error(building, error) from error
    try:
        with progress.step("indexing", None, "documents") as advance:
            count = _write(_batches(documents, store), building, thread_count(threads), advance)
        if not count:
            raise CorpusError("there is no document to index", path=index_dir, remedy="Check the corpus")
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    publish(building, index_dir)
    return count


def check_store(store: str) -> None:
    """Refuses anything else than a :data:`TextStore`.

    Raises:
        InputError: Says what there is to choose from.
    """
    if store not in get_args(TextStore):
        raise InputError(f"store is one of {', '.join(get_args(TextStore))}, got {store!r}")


def _write(batches: Iterator[tuple[int, bytes]], folder: Path, threads: int, advance: Advance) -> int:
    total = 0
    with jvm.translated_exceptions(folder):
        java = jvm.facade("Bm25")
        writer = java.openWriter(str(folder), threads)
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
        raise CorpusError(f"the id {str(duplicate)!r} is a duplicate", remedy="Give each document an id of its own")
    return total


def _batches(documents: Iterable[Document], store: TextStore) -> Iterator[tuple[int, bytes]]:
    """Documents as Java reads them, about a megabyte at a time, and how many there are in each batch."""
    packed: list[bytes] = []
    size = 0
    for document in documents:
        if is_blank(document.text):
            continue
        packed.append(_pack(document, store))
        size += len(packed[-1])
        if size >= _BATCH_BYTES:
            yield len(packed), wire.pack_batch(packed)
            packed, size = [], 0
    if packed:
        yield len(packed), wire.pack_batch(packed)


def is_blank(text: str) -> bool:
    """Whether a text has nothing but spaces and control characters, as Java's ``trim`` takes them."""
    return all(character <= " " for character in text)


def _pack(document: Document, store: TextStore) -> bytes:
    if not is_id(document.docid):
        raise CorpusError(
            f"the id {document.docid!r:.200} is empty, too long, or has white space",
            remedy="Use ids without white space, for run files are split at it",
        )
    text = well_formed(document.text)
    raw = json.dumps({"id": document.docid, "contents": text}, ensure_ascii=False) if store == "text" else None
    return wire.pack_text(document.docid, raw, text)
