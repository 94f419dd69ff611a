"""Encodes a corpus into a folder of pseudo-documents, in parts, resumable.

A part contains the documents of a few thousand consecutive texts. It gets its name only when it is complete, and a
journal lists the finished parts. An interrupted run resumes with the missing parts. Its output is identical, byte for
byte, to that of an uninterrupted run, because batches never span parts.

While one part is encoded, the next is read and tokenized and the previous one is written. With several devices, each has
its own process, and the processes share the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from splade_lucene.arguments import to_list, to_path
from splade_lucene.corpus.reading import describe_corpus
from splade_lucene.encoder import Pruning, SpladeEncoder, check_encoder
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.fields.schema import FieldRequest, Fields
from splade_lucene.files.files import files_digest
from splade_lucene.files.json_text import json_digest
from splade_lucene.files.pipes import original_name
from splade_lucene.files.remote import to_folder
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.manifest import Manifest
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.pseudo_documents.devices import DeviceWorkers
from splade_lucene.pseudo_documents.journal import WHOLE_CORPUS, Journal, Shard
from splade_lucene.pseudo_documents.parts import FIRST_PARTS, Job, PartWorkers, ThisProcess
from splade_lucene.pseudo_documents.remote_journal import open_journal
from splade_lucene.quantizer import Quantizer
from splade_lucene.version import __version__


@uninterrupted_imports()
def encode_corpus(  # noqa: PLR0913 - all but the first are keywords with defaults
    source: str | Path,
    output: str | Path,
    encoder: SpladeEncoder,
    quantizer: Quantizer,
    *,
    pruning: Pruning = Pruning(),
    min_impact: int = 1,
    shard: Shard = WHOLE_CORPUS,
    gzip: bool = False,
    overwrite: bool = False,
    id_field: str | None = None,
    text_field: str | None = None,
    fields: Fields = None,
    skip_bad: bool = False,
    devices: Iterable[str] = (),
    workers: PartWorkers | None = None,
    on_problem: Callable[[CorpusError], None] | None = None,
    progress: Progress = NO_PROGRESS,
) -> Manifest:
    """Encodes a corpus, unless the folder already contains the finished encoding with the same settings.

    Args:
        source: A corpus; see :mod:`splade_lucene.corpus.reading`.
        output: The output folder, or the URL of one in a store that fsspec opens, such as ``s3://bucket/encoded``.
        encoder: The encoder.
        quantizer: The quantizer; its document side applies.
        pruning: Which terms of a document to keep.
        min_impact: Smallest impact to keep.
        shard: The share of the corpus to encode.
        gzip: Compress the parts.
        overwrite: Replace an encoding with different settings.
        id_field: The key or column of the documents' ids; see :func:`splade_lucene.read_corpus`.
        text_field: Likewise of their texts.
        fields: The fields of documents to keep, by which searches can be filtered: keys, columns, or members of an object
            ``metadata``. ``"year:integer, lang"`` names them, with types or without; ``"all"`` stands for all. Types that are
            not declared are inferred while the corpus is checked, and noted; see :mod:`splade_lucene.fields`.
        skip_bad: Skip documents that cannot be read instead of raising an error.
        devices: Two or more devices to use instead of the encoder's own, with one process each. Scripts must then have
            an ``if __name__ == "__main__":`` guard, as usual with Python's multiprocessing.
        workers: Encodes the parts instead of this process, such as :class:`splade_lucene.RayWorkers`. The result is the same.
        on_problem: Called with the error for each skipped document.
        progress: Reports the progress.

    Returns:
        The folder's manifest. Its ``empty`` lists the documents that encode to no term; they are in no part.

    Raises:
        CorpusError: A document cannot be read.
        InputError: The folder contains an encoding with different settings, or another process is writing to it.
        StorageError: A disk error.
    """
    check_encoder(encoder)
    job = Job(
        str(source), to_folder(output), quantizer, pruning, min_impact, shard, gzip, skip_bad, id_field, text_field,
        FieldRequest.of(fields),
    )  # fmt: skip
    output_folder = job.output.resolve() if to_path(source).is_dir() and isinstance(job.output, Path) else None
    if output_folder is not None and output_folder.is_relative_to(Path(source).resolve()):
        raise InputError(
            "the output folder is inside the corpus folder", path=output, remedy="Use another output folder"
        )
    devices = to_list(devices, "devices")
    if (len(devices) > 1 or workers is not None) and encoder.document_backend == "onnx":
        raise InputError(
            "backend=onnx computes on one CPU, with all cores", remedy="Name one device, or use backend=torch"
        )
    if len(devices) > 1 and workers is not None:
        raise InputError("devices=… and workers=… are mutually exclusive", remedy="Leave one of them out")
    if workers is None:
        workers = ThisProcess() if len(devices) < 2 else DeviceWorkers(devices)
    journal = open_journal(job.output, shard, replaces=overwrite)
    done = _find_finished(job, journal, encoder)  # without a lock, because the folder may be read-only
    if done is not None:
        journal.delete_stale_lock()
        return done
    with workers.opened(job.output, encoder), journal:
        return _encode(job, journal, encoder, workers, on_problem, progress, overwrite=overwrite)


def _find_finished(job: Job, journal: Journal, encoder: SpladeEncoder) -> Manifest | None:
    """The manifest of the finished encoding, if any. Sets the encoder's precision and batch size to those of a started one."""
    started = journal.settings_of(describe_corpus(job.source))
    if not started:
        return None
    encoder.settle(started.get("dtype", ""), started.get("batch_tokens", 0), started.get("backend", ""))
    if journal.settings:  # unfinished
        return None
    done = journal.find_finished(_settings(job, encoder))
    return None if done is not None and done.skipped and not job.skip_bad else done  # without skip_bad, raise the error


def _encode(
    job: Job, journal: Journal, encoder: SpladeEncoder, workers: PartWorkers,
    on_problem: Callable[[CorpusError], None] | None, progress: Progress, *, overwrite: bool,
) -> Manifest:  # fmt: skip
    done = _find_finished(job, journal, encoder)  # another process may have just finished it
    if done is not None:
        return done
    if not journal.settings_of(describe_corpus(job.source)):
        workers.settle(encoder)
    encoder.load("document")  # detect a damaged model before reading a large corpus
    facts = job.corpus_facts
    settings = _settings(job, encoder)
    if overwrite and not journal.is_started_with(settings):
        encoder.settle()
        workers.settle(encoder)
        settings = _settings(job, encoder)
    journal.start(settings, _shared_settings(settings), overwrite=overwrite)
    reading = replace(job, schema=facts.fields if facts else job.fields.schema())
    problems: list[CorpusError] = []

    def record(problem: CorpusError) -> None:
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

        workers.encode_parts(reading, encoder, finished, journal.add, record, report)
    manifest = _manifest(reading, encoder, settings, journal, len(problems))
    journal.finish(manifest)
    return manifest


def _settings(job: Job, encoder: SpladeEncoder) -> dict[str, Any]:
    """All settings that affect the contents of the parts."""
    return {
        "model": encoder.layout.location.name,
        "model_digest": encoder.layout.documents.location.digest(),
        "tokenizer": files_digest(encoder.layout.documents.location.tokenizer_files()),
        "query_digest": encoder.query_digest(),
        "choices": {key: value for key, value in asdict(encoder.choices).items() if not key.endswith("max_length")},
        "dtype": encoder.dtype,
        "backend": encoder.document_backend,
        "max_length": encoder.max_length,
        "query_max_length": encoder.query_max_length,
        "passages": [encoder.passage_tokens, encoder.passage_overlap],
        "batch_tokens": encoder.batch_tokens,
        "quantizer": job.quantizer.to_json(),
        "pruning": asdict(job.pruning),
        "min_impact": job.min_impact,
        "shard": [job.shard.number, job.shard.count],
        "gzip": job.gzip,
        "part_documents": [job.size_of(0), FIRST_PARTS, job.part_documents],
        "corpus": describe_corpus(job.source),
        "corpus_digest": job.corpus_digest,
        **{name: value for name, value in (("id_field", job.id_field), ("text_field", job.text_field)) if value},
        **({"fields": job.fields.to_json()} if job.fields else {}),
    }


def _shared_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that all shards of an encoding share, even if they were made on different machines."""
    individual = ("shard", "corpus", "model", "batch_tokens")  # the digests identify corpus and model
    return {key: value for key, value in settings.items() if key not in individual}


def _manifest(job: Job, encoder: SpladeEncoder, settings: dict[str, Any], journal: Journal, skipped: int) -> Manifest:
    parts = [part for _, part in sorted(journal.parts.items())]
    empty = tuple(docid for part in parts for docid in part.empty)
    return Manifest(
        model=settings["model"], model_digest=settings["model_digest"],
        model_revision=encoder.layout.documents.location.revision, family=encoder.layout.family,
        query_digest=settings["query_digest"],
        choices=asdict(encoder.choices), dtype=encoder.dtype, backend=settings["backend"],
        pooling=encoder.layout.documents.pooling, max_length=encoder.max_length,
        query_max_length=encoder.query_max_length, quantizer=job.quantizer,
        pruning=settings["pruning"], min_impact=job.min_impact, corpus=original_name(job.source),
        documents=sum(part.documents for part in parts) - len(empty), encoding=json_digest(settings),
        settings=json_digest(_shared_settings(settings)), encoded_with=settings,
        parts=tuple(parts),
        shard=f"{job.shard.number}/{job.shard.count}" if job.shard.count > 1 else "", empty=empty, skipped=skipped,
        truncated=sum(part.truncated for part in parts),
        versions={"splade_lucene": __version__, **library_versions(settings["backend"])}, fields=job.schema.to_json(),
    )  # fmt: skip


@uninterrupted_imports()
def library_versions(backend: str) -> dict[str, str]:
    """The versions of the libraries that compute documents."""
    if backend == "onnx":
        import onnxruntime
        import tokenizers

        return {"onnxruntime": onnxruntime.__version__, "tokenizers": tokenizers.__version__}
    import torch
    import transformers

    return {"torch": str(torch.__version__), "transformers": transformers.__version__}
