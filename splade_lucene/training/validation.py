"""Evaluates a model as it will be used: documents are encoded, quantized, indexed in Lucene, searched and evaluated."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentence_transformers.base.evaluation import BaseEvaluator

from splade_lucene.corpus.reading import read_corpus
from splade_lucene.counts import part_of
from splade_lucene.encoder import SpladeEncoder
from splade_lucene.encoder.settings import DocumentSettings, Dtype
from splade_lucene.errors import ModelError, RunError
from splade_lucene.evaluation import evaluate, parse_measure, read_qrels
from splade_lucene.evaluation.efficiency import measure_efficiency
from splade_lucene.evaluation.measures import parse_measures
from splade_lucene.index.indexer import index_pseudo_documents
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.notes import note
from splade_lucene.pseudo_documents.encoding import encode_corpus
from splade_lucene.quantizer import DEFAULT_RULE, Quantizer
from splade_lucene.records import Query
from splade_lucene.run.run import Run
from splade_lucene.run.searching import CollectedRankings, search_run
from splade_lucene.search.query_encoder import SpladeQueryEncoder
from splade_lucene.search.searcher import LuceneImpactSearcher
from splade_lucene.topics.reading import read_topics

if TYPE_CHECKING:
    from splade_lucene.training.config import Validation
    from splade_lucene.training.network import Student
    from splade_lucene.training.progress import TrainingProgress
    from splade_lucene.training.selection import ValidatedModels

_log = logging.getLogger(__name__)


def measure_model(
    model: str | Path, validation: Validation, folder: Path, *, device: str = "auto", dtype: Dtype = "auto"
) -> dict[str, float]:
    """Measures the effectiveness and cost of a model by building an index.

    All figures are 0 if the model has no active terms, or is the same for every text, so that it cannot be used.

    Args:
        model: Folder or hub name.
        validation: The validation data and measures.
        folder: Folder for the index; existing content is deleted.
        device: As for :class:`splade_lucene.SpladeEncoder`.
        dtype: As there.

    Returns:
        Each measure; ``query_terms`` and ``document_terms``, the mean numbers of active terms; and ``flops``, the
        multiplications for an average query and an average document (arXiv 2004.05665). All after quantization.
    """
    encoder = SpladeEncoder(
        model, documents=DocumentSettings(max_length=validation.max_length), device=device, dtype=dtype
    )
    rule = Quantizer.named(DEFAULT_RULE)
    shutil.rmtree(folder, ignore_errors=True)
    no_hits = dict.fromkeys(parse_measures(validation.measures), 0.0)
    nothing = {**no_hits, "query_terms": 0.0, "document_terms": 0.0, "flops": 0.0}
    try:
        encoder.load("document")
        encoder.load("query")
    except ModelError as error:
        _log.warning("the model cannot be validated, so all its figures are 0: %s", error)
        return nothing
    manifest = encode_corpus(validation.corpus, folder / "encoded", encoder, rule)
    judged, topics = read_qrels(validation.qrels), judged_topics(validation)
    query_encoder = SpladeQueryEncoder(encoder, rule)
    vectors = query_encoder.encode_batch([topic.text for topic in topics])
    encoded = [Query(topic.qid, topic.text, vector) for topic, vector in zip(topics, vectors, strict=True)]
    if not manifest.documents or not any(vectors):
        return nothing
    index_pseudo_documents(folder / "encoded", folder / "index", accelerator=False)
    found = CollectedRankings()
    with LuceneImpactSearcher(folder / "index") as searcher:
        search_run(searcher, encoded, found)
    with LuceneImpactIndexReader(folder / "index") as reader:
        costs = measure_efficiency(reader, vectors)
    means = evaluate(judged, Run(found), validation.measures) if any(map(len, found.values())) else no_hits
    return {
        **means,
        "query_terms": costs.query_terms or 0.0,
        "document_terms": costs.document_terms,
        "flops": costs.flops or 0.0,
    }


def judged_topics(validation: Validation) -> list[Query]:
    """The queries of the validation that have judgments; the others are not searched.

    Raises:
        InputError: Topics or judgments cannot be read.
    """
    judged = read_qrels(validation.qrels)
    return [topic for topic in read_topics(validation.topics) if topic.qid in judged]


def check_validation(validation: Validation) -> None:
    """Checks the validation data before a long run.

    Raises:
        InputError: Corpus, queries or judgments cannot be read or do not belong together, or a measure is unknown.
    """
    for name in validation.measures:
        parse_measure(name)
    judged = read_qrels(validation.qrels)
    qids = {topic.qid for topic in read_topics(validation.topics)}
    if not qids & judged.keys():
        raise RunError(
            "no query of validation.topics is judged",
            path=validation.qrels,
            remedy="Check that topics and qrels belong together",
        )
    docids = {document.docid for document in read_corpus(validation.corpus)}  # reads all of it
    if not any(docid in docids for judgments in judged.values() for docid in judgments):
        raise RunError(
            "no judged document is in validation.corpus",
            path=validation.qrels,
            remedy="Check that corpus and qrels belong together",
        )
    if not any(grade > 0 and docid in docids for qid in judged.keys() & qids for docid, grade in judged[qid].items()):
        raise RunError(
            "no document of validation.corpus is judged relevant for a query of validation.topics, so each measure would be 0",
            path=validation.qrels,
            remedy="Check that corpus, topics and qrels belong together",
        )
    _note_missing(validation, "judged queries", "validation.topics", "counts as 0 in each measure", qids, [*judged])
    relevant = [docid for qid in judged.keys() & qids for docid, grade in judged[qid].items() if grade > 0]
    _note_missing(
        validation, "relevant documents", "validation.corpus", "counts as not found", docids, sorted(set(relevant))
    )


def _note_missing(
    validation: Validation, kind: str, where: str, effect: str, known: set[str], judged: Sequence[str]
) -> None:  # fmt: skip
    """Notes which of the judged queries or documents the validation data lack."""
    lacking = [each for each in judged if each not in known]
    if lacking:
        examples = ", ".join(f"{each:.40}" for each in lacking[:3]) + (", …" if lacking[3:] else "")
        note(
            f"{validation.qrels}: {part_of(len(lacking), f'{len(judged):,} {kind}', 'is', 'are')} not in {where} ({examples}), "
            f"which {effect}. Remove judgments that do not belong to this validation."
        )


class IndexEvaluator(BaseEvaluator):  # type: ignore[misc]
    """Evaluates the student during training; called by sentence-transformers' trainer.

    Args:
        student: The model being trained.
        validation: The validation data and measures.
        folder: Folder for temporary files.
        progress: Receives the figures.
        models: Receives the validated models; None if only the last model is kept.
    """

    def __init__(
        self, student: Student, validation: Validation, folder: Path, progress: TrainingProgress,
        models: ValidatedModels | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._student, self._validation, self._folder = student, validation, folder
        self._progress, self._models = progress, models
        self._device = str(student.encoder.device)

    def __call__(self, *_: Any, steps: int = -1, **__: Any) -> dict[str, float]:
        """Measures the current student."""
        self._folder.mkdir(parents=True, exist_ok=True)
        model = self._folder / "model"
        self._student.save(model, self._validation.max_length)
        figures = measure_model(model, self._validation, self._folder / "work", device=self._device)
        if self._models is not None:
            self._models.add(steps, model, figures)
        self._progress.validated(steps, figures)
        return figures
