"""A corpus → a folder of pseudo-documents, in parts, resumable.

Each part holds the documents of some thousand consecutive texts and appears under its name only when it is whole; a
journal lists the finished ones. A run that was interrupted goes on with the parts that are missing, and what it writes
equals what an undisturbed run writes, byte for byte: batches never reach across parts.

While one part is encoded, the next is read and tokenized and the one before is written. Several devices share the parts
between processes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import Any

from splade_lucene import __version__
from splade_lucene.corpus import corpus_digest, describe_corpus, read_corpus
from splade_lucene.encoder import Pruning, SparseImpacts, SpladeEncoder
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.files import file_digest, files_digest
from splade_lucene.journal import WHOLE, Journal, Shard, settings_digest
from splade_lucene.manifest import Manifest, Part, write_manifest
from splade_lucene.pseudo_documents import ImpactWriter
from splade_lucene.quantizer import Quantizer
from splade_lucene.records import Document

PART_DOCUMENTS = 2000

Progress = Callable[..., None]
"""Called with the number of documents just finished, of their tokens, and true if an earlier run finished them."""


@dataclass(frozen=True)
class Job:
    """What is encoded, and into what.

    Attributes:
        source: A corpus; see :mod:`splade_lucene.corpus`.
        output: The folder to write.
        quantizer: The rule; its document half applies.
        pruning: Which terms of a document are kept.
        min_impact: Least impact to keep.
        shard: Which share of the corpus.
        gzip: Compress the parts.
        skip_bad: Leave out what cannot be read.
    """

    source: str
    output: Path
    quantizer: Quantizer
    pruning: Pruning = Pruning()
    min_impact: int = 1
    shard: Shard = WHOLE
    gzip: bool = False
    skip_bad: bool = False

    def part_name(self, number: int) -> str:
        """The file of a part."""
        return f"part-{number:05d}.jsonl{'.gz' if self.gzip else ''}"

    @cached_property
    def corpus_digest(self) -> str:
        """What the corpus holds; read once, for it may be large."""
        return corpus_digest(self.source)

    def read_parts(self, on_problem: Callable[[CorpusError], None] | None) -> Iterator[tuple[int, list[Document]]]:
        """The documents of each part of the shard."""
        documents = read_corpus(self.source, skip_bad=self.skip_bad, on_problem=on_problem)
        for number in count():
            part = list(islice(documents, PART_DOCUMENTS))
            if not part:
                return
            if self.shard.has_part(number):
                yield number, part

    def check_corpus(self) -> None:
        """Reads a corpus of files through, so that a bad document is known before hours of work, not behind them.

        Raises:
            CorpusError: A document cannot be read, or there is none.
        """
        if self.skip_bad or not Path(self.source).exists():
            first = next(read_corpus(self.source, skip_bad=self.skip_bad), None)
        else:
            first = None
            for document in read_corpus(self.source):
                first = first or document
        if first is None:
            raise CorpusError(f"there is no document in {self.source}", remedy="Check that it is the right corpus")


def encode_corpus(
    source: str | Path,
    output: str | Path,
    encoder: SpladeEncoder,
    quantizer: Quantizer,
    *,
    pruning: Pruning = Pruning(),
    min_impact: int = 1,
    shard: Shard = WHOLE,
    gzip: bool = False,
    overwrite: bool = False,
    skip_bad: bool = False,
    devices: Sequence[str] = (),
    on_problem: Callable[[CorpusError], None] | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Encodes a corpus. Where this was done already with the same settings, it is not done again.

    Args:
        source: A corpus; see :mod:`splade_lucene.corpus`.
        output: The folder to write.
        encoder: The model.
        quantizer: The rule; its document half applies.
        pruning: Which terms of a document are kept.
        min_impact: Least impact to keep.
        shard: Which share of the corpus.
        gzip: Compress the parts.
        overwrite: Start anew over an encoding with other settings.
        skip_bad: Leave out, and tell ``on_problem`` of, documents that cannot be read.
        devices: More than one to share the work between, a process each, in place of the encoder's own. A script that
            does so starts its work below ``if __name__ == "__main__":``, as with Python's multiprocessing.
        on_problem: Called with each document that is left out.
        progress: Called after each batch.

    Returns:
        The folder's manifest. Its ``empty`` names the documents that encode to no term; they are in no part.

    Raises:
        CorpusError: A document cannot be read.
        InputError: The folder holds an encoding with other settings, or another process writes it.
        StorageError: The disk refused.
    """
    job = Job(str(source), Path(output), quantizer, pruning, min_impact, shard, gzip, skip_bad)
    if Path(source).is_dir() and job.output.resolve().is_relative_to(Path(source).resolve()):
        raise InputError("the output lies in the corpus", path=output, remedy="Name a folder elsewhere")
    if len(devices) > 1:
        from splade_lucene.encoder.precision import choose_device

        for device in devices:
            choose_device(device)
    journal = Journal(job.output, shard)
    done = _find_finished(job, journal, encoder)  # without the lock, for it may be on read-only media
    if done is not None:
        journal.forget_killed()
        return done
    with journal:
        return _encode(job, journal, encoder, overwrite, devices, on_problem, progress)


def _find_finished(job: Job, journal: Journal, encoder: SpladeEncoder) -> Manifest | None:
    """The manifest, if all is encoded already. Where it was begun, the encoder is settled as it was then."""
    begun = journal.begun_with(describe_corpus(job.source))
    if not begun:
        return None
    encoder.settle(begun.get("dtype", ""), begun.get("batch_tokens", 0))
    done = journal.find_finished(_settings(job, encoder))
    return None if done is not None and done.skipped and not job.skip_bad else done  # what is bad is to be named


def _encode(
    job: Job, journal: Journal, encoder: SpladeEncoder, overwrite: bool, devices: Sequence[str],
    on_problem: Callable[[CorpusError], None] | None, progress: Progress | None,
) -> Manifest:  # fmt: skip
    done = _find_finished(job, journal, encoder)  # by another process, just now
    if done is not None:
        return done
    settings = _settings(job, encoder)
    if overwrite and not journal.is_begun_with(settings):
        encoder.settle("", 0)
        settings = _settings(job, encoder)
    job.check_corpus()
    journal.start(settings, _shared_settings(settings), overwrite=overwrite)
    problems: list[CorpusError] = []

    def note(problem: CorpusError) -> None:
        problems.append(problem)
        if on_problem:
            on_problem(problem)

    if progress:
        for part in journal.parts.values():
            progress(part.documents, part.tokens, True)
    if len(devices) > 1:
        from splade_lucene.workers import encode_on_devices

        encode_on_devices(job, encoder, devices, set(journal.parts), journal.add, note, progress)
    else:
        encode_parts(job, encoder, set(journal.parts), journal.add, note, progress)
    manifest = _manifest(job, encoder, settings, journal, len(problems))
    write_manifest(journal.manifest_path, manifest)
    journal.delete()
    return manifest


def encode_parts(
    job: Job,
    encoder: SpladeEncoder,
    finished: Container[int],
    on_part: Callable[[Part], None],
    on_problem: Callable[[CorpusError], None] | None,
    progress: Progress | None,
    share: tuple[int, int] = (0, 1),
) -> None:
    """Encodes and writes the parts of a job that are not finished.

    Args:
        job: What is encoded.
        encoder: The model.
        finished: Numbers of the parts that are there already.
        on_part: Called with each part once it is on the disk, in order, from another thread.
        on_problem: Called with each document that is left out.
        progress: Called after each batch.
        share: Which of the processes this is, from 0, and how many there are.
    """
    writer = ImpactWriter(encoder.terms)
    prepared = (
        (number, documents, encoder.tokenize_documents([document.text for document in documents]))
        for number, documents in job.read_parts(on_problem)
        if number not in finished and number // job.shard.count % share[1] == share[0]
    )
    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        written: Future[None] | None = None
        for number, documents, sequences in _ahead(prepared, reading):
            impacts = encoder.encode_impacts(
                sequences, job.quantizer, pruning=job.pruning, min_impact=job.min_impact, progress=progress
            )
            if written is not None:
                written.result()
            written = writing.submit(_write, job, writer, number, documents, impacts, sequences.tokens, on_part)
        if written is not None:
            written.result()


def _ahead(items: Iterator[Any], pool: ThreadPoolExecutor) -> Iterator[Any]:
    """The items, each made while the one before is in use."""
    upcoming = pool.submit(next, items, None)
    while (item := upcoming.result()) is not None:
        upcoming = pool.submit(next, items, None)
        yield item


def _write(
    job: Job, writer: ImpactWriter, number: int, documents: list[Document], impacts: SparseImpacts, tokens: int,
    on_part: Callable[[Part], None],
) -> None:  # fmt: skip
    path = job.output / job.part_name(number)
    writer.write(path, documents, impacts)
    empty = tuple(each.docid for each, count in zip(documents, impacts.counts, strict=True) if not count)
    on_part(Part(number, path.name, len(documents), tokens, empty, file_digest(path)))


def _settings(job: Job, encoder: SpladeEncoder) -> dict[str, Any]:
    """Everything that decides what the parts hold."""
    return {
        "model": encoder.layout.location.name,
        "model_digest": encoder.layout.documents.location.digest(),
        "tokenizer": files_digest(encoder.layout.documents.location.tokenizer_files()),
        "query_digest": encoder.query_digest(),
        "choices": {key: value for key, value in asdict(encoder.choices).items() if not key.endswith("max_length")},
        "dtype": encoder.dtype,
        "max_length": encoder.max_length,
        "query_max_length": encoder.query_max_length,
        "passages": [encoder.passage_tokens, encoder.passage_overlap],
        "batch_tokens": encoder.batch_tokens,
        "quantizer": job.quantizer.to_json(),
        "pruning": asdict(job.pruning),
        "min_impact": job.min_impact,
        "shard": [job.shard.number, job.shard.count],
        "gzip": job.gzip,
        "part_documents": PART_DOCUMENTS,
        "corpus": describe_corpus(job.source),
        "corpus_digest": job.corpus_digest,
    }


def _shared_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """What shards of one encoding have in common, on whatever machine each was made."""
    own = ("shard", "corpus", "model", "batch_tokens")  # the corpus is told by its digest
    return {key: value for key, value in settings.items() if key not in own}


def _manifest(job: Job, encoder: SpladeEncoder, settings: dict[str, Any], journal: Journal, skipped: int) -> Manifest:
    parts = [part for _, part in sorted(journal.parts.items())]
    empty = tuple(docid for part in parts for docid in part.empty)
    return Manifest(
        model=settings["model"], model_digest=settings["model_digest"], query_digest=settings["query_digest"],
        choices=asdict(encoder.choices), dtype=encoder.dtype, pooling=encoder.layout.documents.pooling,
        max_length=encoder.max_length, query_max_length=encoder.query_max_length, quantizer=job.quantizer,
        pruning=settings["pruning"], min_impact=job.min_impact, corpus=job.source,
        documents=sum(part.documents for part in parts) - len(empty), encoding=settings_digest(settings),
        settings=settings_digest(_shared_settings(settings)), encoded_with=settings,
        parts=tuple(parts),
        shard=f"{job.shard.number}/{job.shard.count}" if job.shard.count > 1 else "", empty=empty, skipped=skipped,
        versions={"splade_lucene": __version__, **_library_versions()},
    )  # fmt: skip


def _library_versions() -> dict[str, str]:
    import torch
    import transformers

    return {"torch": str(torch.__version__), "transformers": transformers.__version__}
