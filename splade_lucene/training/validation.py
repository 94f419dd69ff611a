"""A model measured as it will be used: documents encoded and quantized, indexed in Lucene, searched, judged."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentence_transformers.base.evaluation import BaseEvaluator

from splade_lucene.corpus.reading import read_corpus
from splade_lucene.encoder import SpladeEncoder
from splade_lucene.encoder.settings import DocumentSettings, Dtype
from splade_lucene.errors import RunError
from splade_lucene.evaluation import evaluate, parse_measure, read_qrels
from splade_lucene.evaluation.efficiency import measure_efficiency
from splade_lucene.index.build import build_index
from splade_lucene.index.reader import LuceneImpactIndexReader
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


def measure_model(
    model: str | Path, validation: Validation, folder: Path, *, device: str = "auto", dtype: Dtype = "auto"
) -> dict[str, float]:
    """Effectiveness and cost of a model through an index of its own.

    Args:
        model: Folder or hub name.
        validation: What it is measured on.
        folder: Where the index goes; what is there is deleted.
        device: As for :class:`splade_lucene.SpladeEncoder`.
        dtype: Likewise.

    Returns:
        Each measure; ``query_terms`` and ``document_terms``, means of active terms; and ``flops``, the products that an
        average query with an average document takes (arXiv 2004.05665), all after quantization.
    """
    encoder = SpladeEncoder(
        model, documents=DocumentSettings(max_length=validation.max_length), device=device, dtype=dtype
    )
    rule = Quantizer.named(DEFAULT_RULE)
    shutil.rmtree(folder, ignore_errors=True)
    build_index(validation.corpus, folder / "index", encoder, rule, accelerator=False)
    judged = read_qrels(validation.qrels)
    topics = [topic for topic in read_topics(validation.topics) if topic.qid in judged]
    query_encoder = SpladeQueryEncoder(encoder, rule)
    vectors = query_encoder.encode_batch([topic.text for topic in topics])
    encoded = [Query(topic.qid, topic.text, vector) for topic, vector in zip(topics, vectors, strict=True)]
    found = CollectedRankings()
    with LuceneImpactSearcher(folder / "index") as searcher:
        search_run(searcher, encoded, found)
    with LuceneImpactIndexReader(folder / "index") as reader:
        costs = measure_efficiency(reader, vectors)
    means = evaluate(judged, Run(found), validation.measures)
    return {
        **means,
        "query_terms": costs.query_terms or 0.0,
        "document_terms": costs.document_terms,
        "flops": costs.flops or 0.0,
    }


def check_validation(validation: Validation) -> None:
    """Finds out before a long run whether a model can be measured after it.

    Raises:
        InputError: Corpus, queries or judgments cannot be read, do not belong together, or a measure is unknown.
    """
    for name in validation.measures:
        parse_measure(name)
    judged = read_qrels(validation.qrels)
    if not any(topic.qid in judged for topic in read_topics(validation.topics)):
        raise RunError(
            "none of validation.topics is judged", path=validation.qrels, remedy="Check that they belong together"
        )
    judged_docids = {docid for judgments in judged.values() for docid in judgments}
    found = sum(document.docid in judged_docids for document in read_corpus(validation.corpus))  # read to its end
    if not found:
        raise RunError(
            "no judged document is in validation.corpus",
            path=validation.qrels,
            remedy="Check that they belong together",
        )


class IndexEvaluator(BaseEvaluator):  # type: ignore[misc]
    """Measures the student while it learns; sentence-transformers' trainer calls it.

    Args:
        student: What learns.
        validation: What it is measured on.
        folder: Where to.
        progress: Told the figures.
    """

    def __init__(self, student: Student, validation: Validation, folder: Path, progress: TrainingProgress) -> None:
        super().__init__()
        self._student, self._validation, self._folder, self._progress = student, validation, folder, progress
        self._device = str(student.encoder.device)

    def __call__(self, *_: Any, steps: int = -1, **__: Any) -> dict[str, float]:
        """Figures of the student as it is now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._student.save(self._folder / "model", self._validation.max_length)
        figures = measure_model(self._folder / "model", self._validation, self._folder / "work", device=self._device)
        self._progress.tell("validation", steps, steps, figures)
        self._progress.write("validation", steps, figures)
        return figures
