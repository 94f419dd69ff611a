"""A corpus → a folder of pseudo-documents, in parts, resumable.

Each part holds the documents of some thousand consecutive texts and appears under its name only when it is whole; a
journal lists the finished ones. An interrupted run resumes with the parts that are missing, and what it writes
equals what an undisturbed run writes, byte for byte: batches never reach across parts.

While one part is encoded, the next is read and tokenized and the one before is written. Several devices share the parts
between processes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from splade_lucene.corpus.reading import describe_corpus
from splade_lucene.encoder import Pruning, SpladeEncoder
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.files import files_digest
from splade_lucene.manifest import Manifest, write_manifest
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.pseudo_documents.journal import WHOLE, Journal, Shard, settings_digest
from splade_lucene.pseudo_documents.parts import Job, encode_parts
from splade_lucene.quantizer import Quantizer
from splade_lucene.version import __version__


def encode_corpus(  # noqa: PLR0913 - all but the first are keywords with defaults
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
    progress: Progress = NO_PROGRESS,
) -> Manifest:
    """Encodes a corpus. Where this was done already with the same settings, it is not done again.

    Args:
        source: A corpus; see :mod:`splade_lucene.corpus.reading`.
        output: The folder to write.
        encoder: The model.
        quantizer: The rule; its document half applies.
        pruning: Which terms of a document are kept.
        min_impact: Least impact to keep.
        shard: Which share of the corpus.
        gzip: Compress the parts.
        overwrite: Replace an encoding with other settings.
        skip_bad: Leave out, and tell ``on_problem`` of, documents that cannot be read.
        devices: More than one to share the work between, a process each, in place of the encoder's own. A script that
            does so starts its work below ``if __name__ == "__main__":``, as with Python's multiprocessing.
        on_problem: Called with each document that is left out.
        progress: Follows the work.

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
        return _encode(job, journal, encoder, devices, on_problem, progress, overwrite=overwrite)


def _find_finished(job: Job, journal: Journal, encoder: SpladeEncoder) -> Manifest | None:
    """The manifest, if all is encoded already. Where it was begun, the encoder is settled as it was then."""
    begun = journal.begun_with(describe_corpus(job.source))
    if not begun:
        return None
    encoder.settle(begun.get("dtype", ""), begun.get("batch_tokens", 0))
    if journal.settings:  # unfinished
        return None
    done = journal.find_finished(_settings(job, encoder))
    return None if done is not None and done.skipped and not job.skip_bad else done  # what is bad is to be named


def _encode(
    job: Job, journal: Journal, encoder: SpladeEncoder, devices: Sequence[str],
    on_problem: Callable[[CorpusError], None] | None, progress: Progress, *, overwrite: bool,
) -> Manifest:  # fmt: skip
    done = _find_finished(job, journal, encoder)  # by another process, just now
    if done is not None:
        return done
    if len(devices) < 2:
        encoder.load("document")  # a damaged model is found before a large corpus is read
    facts = job.corpus_facts
    settings = _settings(job, encoder)
    if overwrite and not journal.is_begun_with(settings):
        encoder.settle("", 0)
        settings = _settings(job, encoder)
    journal.start(settings, _shared_settings(settings), overwrite=overwrite)
    problems: list[CorpusError] = []

    def keep(problem: CorpusError) -> None:
        problems.append(problem)
        if on_problem:
            on_problem(problem)

    total = facts.documents // job.shard.count if facts else None
    with progress.step("encoding", total, "documents") as advance:
        for part in journal.parts.values():
            advance(part.documents, tokens=part.tokens, resumed=True)
        finished = set(journal.parts)

        def report(documents: int, tokens: int) -> None:
            advance(documents, tokens=tokens)

        if len(devices) > 1:
            from splade_lucene.pseudo_documents.devices import encode_on_devices

            encode_on_devices(job, encoder, devices, finished, journal.add, keep, report)
        else:
            encode_parts(job, encoder, finished, journal.add, keep, report)
    manifest = _manifest(job, encoder, settings, journal, len(problems))
    write_manifest(journal.manifest_path, manifest)
    journal.delete()
    return manifest


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
        "part_documents": job.part_documents,
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
