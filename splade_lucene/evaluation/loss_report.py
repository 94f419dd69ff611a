"""Measures the distortion by precision, pruning and quantization, relative to float32 without pruning.

For a sample of the corpus, it reports the relative L2 distance of the document vectors, the fraction of terms lost and, if
queries and judgments are given, effectiveness by exhaustive search over the sample; queries are quantized in the rows with
quantization. The sample consists of all judged documents of the corpus and of the documents whose docids have the smallest
hashes, so it is the same in every run and does not depend on the order of the corpus.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.corpus.reading import read_corpus
from splade_lucene.defaults import QUICK_MEASURES, SAMPLE_DOCUMENTS
from splade_lucene.encoder import Pruning, SparseWeights, SpladeEncoder
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.evaluation import evaluate, read_qrels
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.records import Document, Query, Turn
from splade_lucene.run.run import Run
from splade_lucene.topics.reading import read_topics

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from splade_lucene.quantizer import Quantizer

_DEPTH = 100


@dataclass(frozen=True)
class DistortionRow:
    """The distortion by one or all encoding steps, relative to float32 without pruning.

    Attributes:
        name: The step.
        relative_l2: L2 distance of all document vectors from the exact ones, divided by the norm of the exact ones;
            impacts are divided by the quantizer's scale first.
        terms_lost: Fraction of the exact vectors' terms that are missing.
        terms: Mean number of terms per document.
        changed_impacts: Fraction of impacts that differ from the quantized exact vectors; None without quantization.
        effectiveness: Measure → mean; empty without judgments.
    """

    name: str
    relative_l2: float
    terms_lost: float
    terms: float
    changed_impacts: float | None
    effectiveness: dict[str, float]


@dataclass(frozen=True)
class Distortion:
    """The report.

    Attributes:
        documents: Number of documents in the sample.
        queries: Number of judged queries.
        rows: The first row is exact, followed by each step alone; the last row has all steps combined, as indexed.
    """

    documents: int
    queries: int
    rows: tuple[DistortionRow, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)


def measure_loss(  # noqa: PLR0913 - all but the first are keywords with defaults
    source: str | Path,
    encoder: SpladeEncoder,
    quantizer: Quantizer,
    *,
    pruning: Pruning = Pruning(),
    min_impact: int = 1,
    sample: int = SAMPLE_DOCUMENTS,
    topics: Path | None = None,
    qrels: Path | None = None,
    id_field: str | None = None,
    text_field: str | None = None,
    skip_bad: bool = False,
    on_problem: Callable[[CorpusError], None] | None = None,
    progress: Progress = NO_PROGRESS,
) -> Distortion:
    """Measures the distortion on a sample of a corpus.

    Args:
        source: A corpus.
        encoder: The model, with the precision to measure.
        quantizer: The quantization rule to measure.
        pruning: The pruning to measure.
        min_impact: Smallest impact to keep.
        sample: Number of sampled documents, in addition to the judged ones.
        topics: Queries.
        qrels: Judgments.
        id_field: See :func:`splade_lucene.read_corpus`.
        text_field: Likewise.
        skip_bad: Whether to skip documents that cannot be read.
        on_problem: Called with the error for each skipped document.
        progress: Follows the work.

    Raises:
        InputError: The corpus has no documents, or none of the judged ones.
    """
    judged: dict[str, dict[str, int]] = {} if qrels is None else read_qrels(qrels)
    queries = [] if topics is None else [query for query in read_topics(topics) if query.qid in judged]
    documents = read_corpus(source, id_field=id_field, text_field=text_field, skip_bad=skip_bad, on_problem=on_problem)
    docids, texts = _sample(documents, {docid for each in judged.values() for docid in each}, sample)
    if judged and not (queries and any(docid in judged[query.qid] for query in queries for docid in docids)):
        raise InputError(
            "no query of the topics has a judged document in the corpus",
            path=qrels,
            remedy="Check that corpus, topics and qrels belong together",
        )
    exact_encoder = SpladeEncoder(**{**encoder.settings_on(encoder.device_name), "dtype": "float32"})
    passes = 1 if encoder.dtype == "float32" else 2
    with progress.step("measuring", passes * len(texts), "documents") as advance:

        def count(documents: int, tokens: int) -> None:
            advance(documents, tokens=tokens)

        exact = exact_encoder.encode_documents(texts, count)
        rounded = exact if passes == 1 else encoder.encode_documents(texts, count)
    query_weights = _query_matrix(encoder, queries, exact.terms) if queries else None
    query_impacts = None if query_weights is None else _quantized(query_weights, quantizer)
    scale = quantizer.document.scale
    unpruned = exact.impacts(quantizer, "document")

    def measure(name: str, weights: SparseWeights, least_impact: int | None) -> DistortionRow:
        compared: Any = weights
        divisor, changed = 1.0, None
        if least_impact is not None:
            compared = weights.impacts(quantizer, "document", min_impact=least_impact)
            divisor = scale
            changed = _share_changed(_matrix(unpruned, 1), _matrix(compared, 1))
        matrix, reference = _matrix(compared, divisor), _matrix(exact, 1)
        means = {}
        if query_weights is not None and qrels is not None:
            query_matrix = query_weights if least_impact is None or query_impacts is None else query_impacts
            means = _effectiveness(matrix, query_matrix, docids, queries, qrels)
        kept = (matrix > 0).multiply(reference > 0).nnz
        return DistortionRow(
            name, _norm(matrix - reference) / max(1e-12, _norm(reference)),
            1 - kept / max(1, reference.nnz), matrix.nnz / len(docids), changed, means,
        )  # fmt: skip

    rows = [measure("float32, unpruned, not quantized", exact, None)]
    if encoder.dtype != "float32":
        rows.append(measure(f"precision: {encoder.dtype}", rounded, None))
    if pruning != Pruning():
        rows.append(measure("pruning", exact.prune(pruning), None))
    rows.append(measure(f"quantization: {quantizer.name} x{scale:g}", exact, min_impact))
    rows.append(measure("all together, as indexed", rounded.prune(pruning), min_impact))
    return Distortion(len(docids), len(queries), tuple(rows))


def _sample(documents: Iterable[Document], judged: set[str], size: int) -> tuple[list[str], list[str]]:
    """Docids and texts of the sample, in the order of the corpus; only the sample is kept in memory."""
    chosen: dict[int, Document] = {}
    smallest: list[tuple[int, int, Document]] = []
    for number, document in enumerate(documents):
        if document.docid in judged:
            chosen[number] = document
        digest = int.from_bytes(hashlib.blake2b(document.docid.encode(), digest_size=8).digest())
        item = (-digest, number, document)
        if len(smallest) < size:
            heapq.heappush(smallest, item)
        else:
            heapq.heappushpop(smallest, item)
    chosen |= {number: document for _, number, document in smallest}
    if not chosen:
        raise CorpusError("the corpus has no documents", remedy="Check that it is the right corpus")
    sample = [document for _, document in sorted(chosen.items())]
    return [document.docid for document in sample], [document.text for document in sample]


@uninterrupted_imports()
def _query_matrix(encoder: SpladeEncoder, queries: Sequence[Query], terms: Sequence[str]) -> csr_matrix:
    """Weights of the queries; shape [queries, terms]."""
    from scipy.sparse import coo_matrix

    term_ids = {term: term_id for term_id, term in enumerate(terms)}  # the query network may have another vocabulary
    turns = [(row, turn) for row, query in enumerate(queries) for turn in query.turns or (Turn(query.text),)]
    weights = encoder.encode_queries([turn.text for _, turn in turns])
    entries = [
        (row, term_ids[term], weight * turn.factor)
        for (row, turn), vector in zip(turns, weights, strict=True)
        for term, weight in vector.items()
        if term in term_ids
    ]
    table = np.array(entries, dtype=np.float64).reshape(-1, 3)
    positions = (table[:, 0].astype(np.int64), table[:, 1].astype(np.int64))
    return coo_matrix((table[:, 2], positions), shape=(len(queries), len(terms))).tocsr()  # sums duplicates


@uninterrupted_imports()
def _matrix(rows: Any, divisor: float) -> csr_matrix:
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(
        (rows.values.astype(np.float64) / divisor, rows.term_ids.copy(), rows.starts),
        shape=(len(rows), len(rows.terms)),
    )
    matrix.sort_indices()
    return matrix


def _quantized(queries: csr_matrix, quantizer: Quantizer) -> csr_matrix:
    impacts = queries.copy()
    impacts.data = quantizer.quantize(queries.data.astype(np.float32), "query").astype(np.float64)
    return impacts


def _norm(matrix: csr_matrix) -> float:
    return float(np.linalg.norm(matrix.data))


def _share_changed(exact: csr_matrix, found: csr_matrix) -> float:
    return float((exact - found).count_nonzero() / max(1, exact.nnz))


def _effectiveness(
    documents: csr_matrix, query_weights: csr_matrix, docids: Sequence[str], queries: Sequence[Query], qrels: Path
) -> dict[str, float]:
    names = np.array(docids)
    scores: NDArray[np.float64] = (query_weights @ documents.T).toarray()
    run = {}
    for query, row in zip(queries, scores, strict=True):
        best = np.lexsort((names, -row))[:_DEPTH]
        run[query.qid] = [(str(names[i]), float(row[i])) for i in best if row[i] > 0]
    means: dict[str, float] = evaluate(qrels, Run(run), QUICK_MEASURES)
    return means
