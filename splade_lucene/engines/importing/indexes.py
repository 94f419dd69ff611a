"""Documents of inverted indexes, which store them by term: CIFF files, PISA's collections, and Lucene's impact indexes."""

from __future__ import annotations

import contextlib
import difflib
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.engines.ciff_format import CiffFile, open_ciff
from splade_lucene.engines.collection import IndexCollection
from splade_lucene.engines.importing.documents import DocumentOrError, ForeignDocument, Settings
from splade_lucene.engines.importing.files import source_files, unreadable, wrong
from splade_lucene.engines.transposition import Transposition
from splade_lucene.errors import DownloadError, InputError
from splade_lucene.index.reader import LuceneImpactIndexReader, read_index_manifest
from splade_lucene.jvm.pyserini_import import pyserini_importable
from splade_lucene.manifest import Manifest

_CIFF = (".ciff",)


def read_ciff(source: Path, settings: Settings) -> Iterator[DocumentOrError]:
    """Reads the documents of CIFF files, without texts, which the format does not have.

    Raises:
        PseudoDocumentError: A file is damaged.
        StorageError: There is no space for the postings.
    """
    for path in source_files(source, _CIFF):
        with open_ciff(path) as file, Transposition(settings.work_folder) as transposition:
            terms = _add_postings(file, transposition)
            docids = file.documents()
            for rows in transposition.rows(np.arange(file.header.documents)):
                for _, term_ids, impacts in rows:
                    yield ForeignDocument(next(docids), None, _vector(terms, term_ids.tolist(), impacts.tolist()), path)
            next(docids, None)  # checks that nothing follows


def _add_postings(file: CiffFile, transposition: Transposition) -> list[str]:
    terms: dict[str, None] = {}
    for number, (term, documents, impacts) in enumerate(file.postings()):
        if term in terms:
            raise file.damaged(f"the term {term!r:.80} has two postings lists")
        wrong = impacts[(impacts < 1) | (impacts > MAX_IMPACT)]
        if wrong.size:
            raise file.damaged(f"the term {term!r:.80} has the impact {int(wrong[0])}")
        terms[term] = None
        transposition.add(documents, np.full(documents.size, number), impacts)
    return list(terms)


def read_pisa(source: Path, settings: Settings) -> Iterator[DocumentOrError]:
    """Reads the documents of PISA's binary collection; see :mod:`splade_lucene.engines.pisa`.

    Raises:
        PseudoDocumentError: A file is missing, or the files do not fit each other.
        StorageError: There is no space for the postings.
    """
    (first, *others) = source_files(source, (".docs",))
    if others:
        raise wrong("several collections", source, None, "Name one .docs file")
    terms, docids = (_names(first.with_suffix(suffix)) for suffix in (".terms", ".documents"))
    documents, impacts = _sequences(first), _sequences(first.with_suffix(".freqs"))
    count = next(documents, np.zeros(0))
    if count.tolist() != [len(docids)]:
        raise wrong(
            f"the number of documents is {count.tolist()!r:.40}, but there are {len(docids):,} docids", first, None
        )
    with Transposition(settings.work_folder) as transposition:
        for number, (numbers, values) in enumerate(zip_longest(documents, impacts, fillvalue=np.zeros(0))):
            is_right = numbers.size == values.size and number < len(terms) and numbers.max(initial=0) < len(docids)
            if not is_right or values.min(initial=1) < 1 or values.max(initial=1) > MAX_IMPACT:
                raise wrong(f"the postings of term {number:,} are damaged, or have no name", first, None)
            transposition.add(numbers, np.full(numbers.size, number), values)
        for rows in transposition.rows(np.arange(len(docids))):
            for number, term_ids, found in rows:
                vector = _vector(terms, term_ids.tolist(), found.tolist())
                yield ForeignDocument(docids[number], None, vector, first.with_suffix(".documents"), number + 1)


def _names(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error


def _sequences(path: Path) -> Iterator[NDArray[np.uint32]]:
    """The sequences of a file of PISA's, each after its length."""
    try:
        numbers = np.memmap(path, "<u4", "r")
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    start = 0
    while start < numbers.size:
        stop = start + 1 + int(numbers[start])
        if stop > numbers.size:
            raise wrong("the file ends within a sequence", path, None)
        yield np.asarray(numbers[start + 1 : stop])
        start = stop


def _vector(terms: list[str], term_ids: list[int], impacts: list[int]) -> dict[str, int]:
    return {terms[term_id]: impact for term_id, impact in zip(term_ids, impacts, strict=True)}


def read_index(source: Path, settings: Settings) -> Iterator[DocumentOrError]:  # noqa: ARG001 - an index needs no settings
    """Reads the documents of an impact index from its postings, with the texts and fields that it stores.

    Raises:
        IndexAccessError: The folder is no impact index.
    """
    with LuceneImpactIndexReader(source) as reader:
        collection = IndexCollection(reader)
        terms = list(collection.terms)
        seen: set[str] = set()
        has_empty = collection.num_docs < reader.num_docs
        for document in collection.documents():
            if has_empty:
                seen.add(document.docid)
            vector = _vector(terms, document.term_ids, document.impacts)
            yield ForeignDocument(document.docid, document.text, vector, source, fields=document.fields)
        if has_empty:
            for lucene_docid, docid in enumerate(reader.docids()):
                if docid not in seen and _is_live(reader, docid, lucene_docid):
                    yield ForeignDocument(docid, None, {}, source)


def _is_live(reader: LuceneImpactIndexReader, docid: str, lucene_docid: int) -> bool:
    try:
        return reader.lucene_docid(docid) == lucene_docid
    except InputError:  # it was deleted
        return False


def index_facts(source: Path) -> Manifest:
    """How the documents of an index were made, and their fields.

    Raises:
        IndexAccessError: The folder is no impact index.
    """
    manifest = read_index_manifest(source) or Manifest()
    with LuceneImpactIndexReader(source) as reader:
        return replace(manifest, fields=dict(reader.fields))


# ---- prebuilt indexes ----


def locate_pyserini_index(source: str) -> Path:
    """The folder of an index: the given one, or that of a prebuilt index, which Pyserini downloads unless it has it.

    Raises:
        InputError: It is neither a folder nor the name of a prebuilt impact index.
        DownloadError: It cannot be downloaded.
    """
    if Path(source).exists():
        return Path(source)
    with pyserini_importable():
        from pyserini import util
    known: Mapping[str, Any] = util.IMPACT_INDEX_INFO
    try:
        names = [*known]
    except OSError as error:  # Pyserini 2.x downloads the table
        raise _not_downloaded("the list of prebuilt indexes", error) from error
    if source not in names:
        near = difflib.get_close_matches(source, names, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "Check the path, or the name in Pyserini's list"
        raise InputError(f"{source!r:.200} is neither a folder nor a prebuilt impact index of Pyserini", remedy=hint)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return Path(util.download_prebuilt_index(source, verbose=False))
    except (OSError, ValueError) as error:
        raise _not_downloaded(source, error) from error


def _not_downloaded(what: str, error: Exception) -> DownloadError:
    return DownloadError(
        f"Pyserini cannot download {what} ({error}). Download it on a machine with a network, and name its folder."
    )
