"""The parts of an encoding: which documents belong to each, and how they are encoded and written.

While one part is encoded, the next is read and tokenized and the previous one is written.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from splade_lucene.corpus.reading import CorpusFacts, corpus_digest, examine_corpus, read_corpus
from splade_lucene.encoder import Pruning, SparseImpacts, SpladeEncoder
from splade_lucene.errors import CorpusError
from splade_lucene.fields.schema import NO_FIELDS, NO_REQUEST, FieldRequest, FieldSchema
from splade_lucene.files.files import file_digest
from splade_lucene.files.remote import Folder, RemoteFolder
from splade_lucene.manifest import Part
from splade_lucene.pseudo_documents.format import ImpactWriter
from splade_lucene.pseudo_documents.journal import WHOLE_CORPUS, Shard
from splade_lucene.quantizer import Quantizer
from splade_lucene.records import Document

if TYPE_CHECKING:
    from splade_lucene.encoder.batching import TokenSequences

PART_DOCUMENTS = 2000
FIRST_PARTS, FIRST_DOCUMENTS = 6, 1000
"""The first parts are smaller, so that an interrupted demo loses less. Still smaller ones would be padded more."""


@dataclass(frozen=True)
class Job:
    """The input, output and settings of an encoding.

    Attributes:
        source: A corpus; see :mod:`splade_lucene.corpus.reading`.
        output: The output folder, perhaps of a store.
        quantizer: The quantizer; its document side applies.
        pruning: Which terms of a document to keep.
        min_impact: Smallest impact to keep.
        shard: The share of the corpus to encode.
        gzip: Compress the parts.
        skip_bad: Skip documents that cannot be read.
        id_field: See :func:`splade_lucene.read_corpus`.
        text_field: Likewise.
        fields: The fields of documents that are wanted.
        schema: The same with their types, which are known when parts are read.
        part_documents: Number of documents per part, after the first ones.
    """

    source: str
    output: Folder
    quantizer: Quantizer
    pruning: Pruning = Pruning()
    min_impact: int = 1
    shard: Shard = WHOLE_CORPUS
    gzip: bool = False
    skip_bad: bool = False
    id_field: str | None = None
    text_field: str | None = None
    fields: FieldRequest = NO_REQUEST
    schema: FieldSchema = NO_FIELDS
    part_documents: int = field(default_factory=lambda: PART_DOCUMENTS)

    def size_of(self, number: int) -> int:
        """The number of documents in a part, unless the corpus ends there."""
        return min(self.part_documents, FIRST_DOCUMENTS) if number < FIRST_PARTS else self.part_documents

    def part_name(self, number: int) -> str:
        """The file name of a part."""
        return f"part-{number:05d}.jsonl{'.gz' if self.gzip else ''}"

    @cached_property
    def corpus_facts(self) -> CorpusFacts | None:
        """The facts from reading the whole corpus, which detects bad documents before hours of encoding.

        Raises:
            CorpusError: A document cannot be read, or there is none.
        """
        return examine_corpus(
            self.source,
            id_field=self.id_field,
            text_field=self.text_field,
            fields=self.fields,
            skip_bad=self.skip_bad,
        )

    @cached_property
    def corpus_digest(self) -> str:
        """The digest of the corpus; not read again if :attr:`corpus_facts` already did."""
        facts = self.corpus_facts if "corpus_facts" in self.__dict__ else None
        return facts.digest if facts is not None else corpus_digest(self.source)

    def read_parts(self, on_problem: Callable[[CorpusError], None] | None) -> Iterator[tuple[int, list[Document]]]:
        """The documents of each part of the shard."""
        documents = read_corpus(
            self.source,
            id_field=self.id_field,
            text_field=self.text_field,
            fields=self.schema,
            skip_bad=self.skip_bad,
            on_problem=on_problem,
        )
        for number in count():
            part = list(islice(documents, self.size_of(number)))
            if not part:
                return
            if self.shard.has_part(number):
                yield number, part


class PartWorkers(Protocol):
    """Encodes parts, in this process or in others, such as those of :class:`splade_lucene.RayWorkers`."""

    def opened(self, output: Folder, encoder: SpladeEncoder) -> AbstractContextManager[None]:
        """Prepares the workers for the duration of a block, and checks that they can write to the output folder."""
        ...

    def settle(self, encoder: SpladeEncoder) -> None:
        """Fixes the settings that depend on the machine, if the workers' machines decide; see :meth:`SpladeEncoder.settle`."""
        ...

    def encode_parts(
        self, job: Job, encoder: SpladeEncoder, finished: set[int], on_part: Callable[[Part], None],
        on_problem: Callable[[CorpusError], None], progress: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        """Encodes and writes the unfinished parts of a job, in any order; see :func:`encode_parts`."""
        ...


def encode_parts(
    job: Job,
    encoder: SpladeEncoder,
    finished: Container[int],
    on_part: Callable[[Part], None],
    on_problem: Callable[[CorpusError], None] | None,
    progress: Callable[[int, int], None] | None,
    share: tuple[int, int] = (0, 1),
) -> None:
    """Encodes and writes the unfinished parts of a job.

    Args:
        job: The job.
        encoder: The encoder.
        finished: Numbers of the finished parts.
        on_part: Called with each part after it is written to disk, in order, from another thread.
        on_problem: Called with the error for each skipped document.
        progress: Called after each batch with the number of new documents and of tokens in them.
        share: Number of this process, from 0, and number of processes.
    """
    writer = ImpactWriter(encoder.terms)
    prepared = (
        (number, documents, encoder.tokenize_documents([document.text for document in documents]))
        for number, documents in job.read_parts(on_problem)
        if number not in finished and number // job.shard.count % share[1] == share[0]
    )
    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        written: Future[None] | None = None
        for number, documents, sequences in _read_ahead(prepared, reading):
            impacts = encoder.encode_impacts(
                sequences, job.quantizer, pruning=job.pruning, min_impact=job.min_impact, progress=progress
            )
            if written is not None:
                written.result()
            written = writing.submit(
                lambda *part: on_part(write_part(job, writer, *part)), number, documents, impacts, sequences
            )
        if written is not None:
            written.result()


class ThisProcess:
    """Encodes parts in this process."""

    def opened(self, output: Folder, encoder: SpladeEncoder) -> AbstractContextManager[None]:  # noqa: ARG002 - as others
        """Prepares nothing."""
        return nullcontext()

    def settle(self, encoder: SpladeEncoder) -> None:
        """Leaves the settings to the encoder."""

    def encode_parts(
        self, job: Job, encoder: SpladeEncoder, finished: set[int], on_part: Callable[[Part], None],
        on_problem: Callable[[CorpusError], None], progress: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        """See :func:`encode_parts`."""
        encode_parts(job, encoder, finished, on_part, on_problem, progress)


def _read_ahead(items: Iterator[Any], pool: ThreadPoolExecutor) -> Iterator[Any]:
    """Yields the items; computes each while the previous one is in use."""
    upcoming = pool.submit(next, items, None)
    while (item := upcoming.result()) is not None:
        upcoming = pool.submit(next, items, None)
        yield item


def write_part(
    job: Job, writer: ImpactWriter, number: int, documents: list[Document], impacts: SparseImpacts,
    sequences: TokenSequences,
) -> Part:  # fmt: skip
    """Writes a part; returns its entry in the journal."""
    name = job.part_name(number)
    empty = tuple(each.docid for each, count in zip(documents, impacts.counts, strict=True) if not count)
    with _opened(job.output, name) as path:
        writer.write(path, documents, impacts)
        digest, size = file_digest(path), path.stat().st_size
    return Part(number, name, len(documents), sequences.tokens, empty, digest, sequences.truncated, size)


def _opened(output: Folder, name: str) -> AbstractContextManager[Path]:
    """The file to which a part is written."""
    return output.written(name) if isinstance(output, RemoteFolder) else nullcontext(output / name)
