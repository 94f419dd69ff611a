"""The documents that are exported: those of an index, or pseudo-documents, with numbered terms."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from splade_lucene.arguments import to_path
from splade_lucene.defaults import thread_count
from splade_lucene.errors import InputError, PseudoDocumentError
from splade_lucene.fields.schema import FieldRequest, Fields
from splade_lucene.fields.values import FieldType
from splade_lucene.index.indexer import fields_of_files, verified_manifest
from splade_lucene.index.joined import Duplicates, IndexDirs, open_indexes
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.manifest import Manifest
from splade_lucene.progress import Progress
from splade_lucene.pseudo_documents.files import find_files
from splade_lucene.pseudo_documents.format import numbered_pseudo_documents
from splade_lucene.pseudo_documents.problems import Problem
from splade_lucene.records import FieldValue
from splade_lucene.search.hits import StoredDocument

_POSTINGS_AT_ONCE = 1 << 21
_DOCUMENTS_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class ExportedDocument:
    """A document on its way to an engine.

    Attributes:
        number: Its place in the collection, from 0.
        docid: External id.
        term_ids: The ids of its terms, ascending: places in :attr:`Collection.terms`. Never empty.
        impacts: Their impacts, at least 1, in the same order.
        text: The text; None if there is none, or it is not wanted.
        fields: The values of its fields, by name; see :mod:`splade_lucene.fields`.
    """

    number: int
    docid: str
    term_ids: list[int]
    impacts: list[int]
    text: str | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)


class PostingLocation(NamedTuple):
    """A posting, and where it is.

    Attributes:
        docid: The document.
        term: The term.
        impact: Its impact.
        path: The file, or the index.
        line: The line in the file, from 1; None for an index.
    """

    docid: str
    term: str
    impact: int
    path: Path
    line: int | None


class Collection(ABC):
    """Documents that are exported. The same collection always gives the same documents in the same order.

    Attributes:
        source: The index, or the pseudo-documents.
        identity: A digest; collections with the same one give the same documents.
        terms: All terms; the id of a term is its place.
        num_docs: The number of documents that have a term.
        postings: The number of their terms, added up.
        max_impact: The largest impact; one above 65,536 may count as 65,536.
        fields: The fields of the documents and their types.
        manifest: How the documents were encoded; None if it is unknown.
    """

    source: str
    identity: str
    terms: Sequence[str]
    num_docs: int
    postings: int
    max_impact: int
    fields: Mapping[str, FieldType]
    manifest: Manifest | None

    @abstractmethod
    def documents(self, start: int = 0, *, texts: bool = True) -> Iterator[ExportedDocument]:
        """The documents.

        Args:
            start: How many to skip.
            texts: Whether to read their texts.
        """

    @abstractmethod
    def first_above(self, limit: int) -> PostingLocation | None:
        """The first posting with an impact above a limit; None if there is none."""

    @abstractmethod
    def first_with(self, term: str) -> PostingLocation | None:
        """The first posting of a term; None if no document has it."""

    @cached_property
    def term_ids(self) -> dict[str, int]:
        """Term → id."""
        return {term: term_id for term_id, term in enumerate(self.terms)}


class IndexCollection(Collection):
    """The documents of an open index, in its order.

    Args:
        reader: The index, or several as one.
        numbering: Terms whose ids are given; others follow.
    """

    def __init__(self, reader: LuceneImpactIndexReader, numbering: Sequence[str] = ()) -> None:
        self._reader = reader
        self.source, self.manifest = reader.folders, reader.manifest()
        self._own_terms = [each.term for each in reader.terms()]
        self.terms = numbered(self._own_terms, numbering)
        distributions = reader.distributions()
        self.num_docs = sum(number for terms, number in distributions.lengths.items() if terms)
        self.postings = sum(distributions.impacts.values())
        self.max_impact = max(distributions.impacts, default=0)
        self.fields = reader.fields
        self.identity = _digest(reader.commit(), *self.terms)

    def documents(self, start: int = 0, *, texts: bool = True) -> Iterator[ExportedDocument]:
        """The documents; see :class:`Collection`."""
        reader, ids = self._reader, [self.term_ids[term] for term in self._own_terms]
        is_renumbered = ids != [*range(len(ids))]
        docids, at = reader.docids(), start
        step = max(1, min(_DOCUMENTS_AT_ONCE, _POSTINGS_AT_ONCE * max(1, self.num_docs) // max(1, self.postings)))
        for first in range(0, reader.max_doc, step):
            counts, terms, impacts = reader.vectors(first, min(first + step, reader.max_doc))
            numbers = [first + place for place, length in enumerate(counts.tolist()) if length > 0]
            if len(numbers) <= start:
                start -= len(numbers)
                continue
            raws = reader.raw(numbers) if texts else [None] * len(numbers)
            values = reader.field_values(numbers)
            own, impact_list, end = terms.tolist(), impacts.tolist(), 0
            for place, number in enumerate(numbers):
                begin, end = end, end + int(counts[number - first])
                if place < start:
                    continue
                term_ids, document_impacts = own[begin:end], impact_list[begin:end]
                if is_renumbered:
                    pairs = sorted(zip((ids[each] for each in term_ids), document_impacts, strict=True))
                    term_ids, document_impacts = [each for each, _ in pairs], [each for _, each in pairs]
                text = StoredDocument(docids[number], number, raws[place]).contents()
                yield ExportedDocument(at, docids[number], term_ids, document_impacts, text, values[place])
                at += 1
            start = 0

    def first_above(self, limit: int) -> PostingLocation | None:
        """The first posting above a limit; see :class:`Collection`."""
        for document in self.documents(texts=False):
            for term_id, impact in zip(document.term_ids, document.impacts, strict=True):
                if impact > limit:
                    return PostingLocation(document.docid, self.terms[term_id], impact, self._reader.index_dir, None)
        return None

    def first_with(self, term: str) -> PostingLocation | None:
        """The first posting of a term; see :class:`Collection`."""
        documents, impacts = self._reader.postings(term)
        if not len(documents):
            return None
        docid = self._reader.docid(int(documents[0]))
        return PostingLocation(docid, term, int(impacts[0]), self._reader.index_dir, None)


class PseudoDocumentCollection(Collection):
    """Pseudo-documents, in input order. They are read once to find their terms, and once more for each export.

    Args:
        source: File or folder; see :func:`splade_lucene.read_pseudo_documents`.
        numbering: Terms whose ids are given; others follow.
        fields: The fields to export, with their types; None for those that the folder's manifest names.
        skip_bad: Skip documents that cannot be indexed.
        on_problem: Called with the problem of each skipped document.
        progress: Reports the progress of the first pass.

    Raises:
        PseudoDocumentError: A document cannot be indexed, or there is none.
        InputError: The files differ from those in the folder's manifest.
    """

    def __init__(
        self, source: Path, numbering: Sequence[str], fields: Fields, *, skip_bad: bool,
        on_problem: Callable[[Problem], None] | None, progress: Progress,
    ) -> None:  # fmt: skip
        self._path, self._skip_bad = source, skip_bad
        files = find_files(source)
        self.manifest = verified_manifest(source, files, thread_count())
        self._schema = fields_of_files(FieldRequest.of(fields), source, files, self.manifest)
        self.source, self.fields = str(source), self._schema.types
        stamps = [(str(path), (status := path.stat()).st_size, status.st_mtime_ns) for path in files]
        terms: set[str] = set()
        self.num_docs = self.postings = self.max_impact = 0
        with progress.step("reading", None, "documents") as advance:
            for _, _, document in numbered_pseudo_documents(
                source, self._schema, skip_bad=skip_bad, on_problem=on_problem
            ):
                terms.update(document.vector)
                self.num_docs += 1
                self.postings += len(document.vector)
                self.max_impact = max(self.max_impact, *document.vector.values())
                advance(1)
        if not self.num_docs:
            raise PseudoDocumentError("there are no documents", path=source, remedy="Check the path")
        self.terms = numbered(sorted(terms, key=str.encode), numbering)
        schema = json.dumps([self._schema.to_json(), skip_bad])
        self.identity = _digest(json.dumps(stamps), schema, *self.terms)

    def documents(self, start: int = 0, *, texts: bool = True) -> Iterator[ExportedDocument]:
        """The documents; see :class:`Collection`."""
        ids = self.term_ids
        found = numbered_pseudo_documents(self._path, self._schema, skip_bad=self._skip_bad)
        for number, (_, _, document) in islice(enumerate(found), start, None):
            pairs = sorted((ids[term], impact) for term, impact in document.vector.items())
            yield ExportedDocument(
                number, document.docid, [each for each, _ in pairs], [each for _, each in pairs],
                document.contents if texts else None, document.fields,
            )  # fmt: skip

    def first_above(self, limit: int) -> PostingLocation | None:
        """The first posting above a limit; see :class:`Collection`."""
        return self._first(lambda _, impact: impact > limit)

    def first_with(self, term: str) -> PostingLocation | None:
        """The first posting of a term; see :class:`Collection`."""
        return self._first(lambda each, _: each == term)

    def _first(self, is_wanted: Callable[[str, int], bool]) -> PostingLocation | None:
        found = numbered_pseudo_documents(self._path, self._schema, skip_bad=self._skip_bad)
        for path, line, document in found:
            for term, impact in document.vector.items():
                if is_wanted(term, impact):
                    return PostingLocation(document.docid, term, impact, path, line)
        return None


def numbered(terms: Sequence[str], numbering: Sequence[str]) -> Sequence[str]:
    """Terms by id: first those whose ids are given, then the others in byte order.

    Args:
        terms: The terms of a collection, in byte order.
        numbering: The terms whose ids are given.
    """
    if not numbering:
        return terms
    known = {*numbering}
    return [*numbering, *(term for term in terms if term not in known)]


@contextmanager
def open_collection(
    index_dir: IndexDirs | None,
    pseudo_documents: str | Path | None,
    *,
    numbering: Sequence[str] = (),
    fields: Fields = None,
    duplicates: Duplicates = "refuse",
    skip_bad: bool = False,
    on_problem: Callable[[Problem], None] | None = None,
    progress: Progress,
) -> Iterator[Collection]:
    """Opens what is exported.

    Args:
        index_dir: The index, or several as one; None for pseudo-documents.
        pseudo_documents: Pseudo-documents: a file or folder; None for an index.
        numbering: Terms whose ids are given, by id.
        fields: For pseudo-documents: see :class:`PseudoDocumentCollection`.
        duplicates: For several indexes: see :class:`splade_lucene.LuceneImpactSearcher`.
        skip_bad: For pseudo-documents: see :class:`PseudoDocumentCollection`.
        on_problem: Likewise.
        progress: Reports the progress.

    Raises:
        InputError: Both are given, or none; or the input cannot be read.
        IndexAccessError: The folder is not an index.
    """
    if (index_dir is None) == (pseudo_documents is None):
        raise InputError(
            "expected either an index or pseudo-documents", remedy="Pass one of index_dir and pseudo_documents"
        )
    if pseudo_documents is not None:
        path = to_path(pseudo_documents, error=PseudoDocumentError)
        yield PseudoDocumentCollection(
            path, numbering, fields, skip_bad=skip_bad, on_problem=on_problem, progress=progress
        )
        return
    assert index_dir is not None
    with open_indexes(index_dir, duplicates) as reader:
        collection = IndexCollection(reader, numbering)
        if not collection.num_docs:
            raise InputError("this index has no documents", path=reader.index_dir, remedy="Name another index")
        yield collection


def _digest(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()
