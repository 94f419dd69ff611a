"""What precision, pruning and quantization each change, against float32 without pruning.

Measured on a sample of the corpus: the relative L2 distance of the document vectors, the share of terms lost, and, where
queries and judgments are given, effectiveness by exhaustive search over the sample, with queries quantized in the rows
that quantize. The sample has every judged document of the corpus, and of all documents those whose ids have the smallest
hashes, so it is the same in every run, whatever the order of the corpus.
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
from splade_lucene.encoder import Pruning, SparseWeights, SpladeEncoder
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.evaluation import evaluate, read_qrels
from splade_lucene.records import Document, Query, Turn
from splade_lucene.run.run import Run
from splade_lucene.topics.reading import read_topics

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from splade_lucene.quantizer import Quantizer

MEASURES = ("nDCG@10", "RR@10")
_DEPTH = 100


@dataclass(frozen=True)
class Loss:
    """One way to encode, against float32 without pruning.

    Attributes:
        name: Which way.
        relative_l2: Distance of all document vectors from the exact ones, over the length of the exact ones; integers
            are divided by the quantizer's scale first.
        terms_lost: Share of the exact vectors' terms that are gone.
        terms: Terms of a document, on average.
        changed_impacts: Share of impacts that differ from the quantized exact vectors'; None if nothing is quantized.
        effectiveness: Measure → mean; empty without judgments.
    """

    name: str
    relative_l2: float
    terms_lost: float
    terms: float
    changed_impacts: float | None
    effectiveness: dict[str, float]


@dataclass(frozen=True)
class Losses:
    """The report.

    Attributes:
        documents: Documents of the sample.
        queries: Judged queries.
        rows: The first is exact; then each step alone; the last is all of them together, which is what is indexed.
    """

    documents: int
    queries: int
    rows: tuple[Loss, ...]

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
    sample: int = 1000,
    topics: Path | None = None,
    qrels: Path | None = None,
    skip_bad: bool = False,
    on_problem: Callable[[CorpusError], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Losses:
    """Measures a sample of a corpus.

    Args:
        source: A corpus.
        encoder: The model, with the precision that is to be judged.
        quantizer: The rule that is to be judged.
        pruning: The pruning that is to be judged.
        min_impact: Least impact that is kept.
        sample: Documents, beside the judged ones.
        topics: Queries.
        qrels: Their judgments.
        skip_bad: Leave out documents that cannot be read.
        on_problem: Called with each of them.
        progress: Called after each batch.

    Raises:
        InputError: The corpus has no document, or none of the judged ones.
    """
    judged: dict[str, dict[str, int]] = {} if qrels is None else read_qrels(qrels)
    queries = [] if topics is None else [query for query in read_topics(topics) if query.qid in judged]
    documents = read_corpus(source, skip_bad=skip_bad, on_problem=on_problem)
    docids, texts = _take_sample(documents, {docid for each in judged.values() for docid in each}, sample)
    if judged and not (queries and any(docid in judged[query.qid] for query in queries for docid in docids)):
        raise InputError("no judged query and document is in the topics and the corpus", path=qrels)
    exact_encoder = SpladeEncoder(**{**encoder.settings_on(str(encoder.device)), "dtype": "float32"})
    exact = exact_encoder.encode_documents(texts, progress)
    rounded = exact if encoder.dtype == "float32" else encoder.encode_documents(texts, progress)
    query_weights = _query_matrix(encoder, queries, exact.terms) if queries else None
    query_impacts = None if query_weights is None else _quantized(query_weights, quantizer)
    whole = quantizer.document.scale
    unpruned = exact.impacts(quantizer, "document")

    def judge(name: str, weights: SparseWeights, least: int | None) -> Loss:
        compared: Any = weights
        divisor, changed = 1.0, None
        if least is not None:
            compared = weights.impacts(quantizer, "document", min_impact=least)
            divisor = whole
            changed = _share_changed(_matrix(unpruned, 1), _matrix(compared, 1))
        matrix, reference = _matrix(compared, divisor), _matrix(exact, 1)
        means = {}
        if query_weights is not None and qrels is not None:
            queries_as_judged = query_weights if least is None or query_impacts is None else query_impacts
            means = _effectiveness(matrix, queries_as_judged, docids, queries, qrels)
        kept = (matrix > 0).multiply(reference > 0).nnz
        return Loss(
            name, _norm(matrix - reference) / max(1e-12, _norm(reference)),
            1 - kept / max(1, reference.nnz), matrix.nnz / len(docids), changed, means,
        )  # fmt: skip

    rows = [judge("float32, unpruned, not quantized", exact, None)]
    if encoder.dtype != "float32":
        rows.append(judge(f"precision: {encoder.dtype}", rounded, None))
    if pruning != Pruning():
        rows.append(judge("pruning", exact.prune(pruning), None))
    rows.append(judge(f"quantization: {quantizer.name} x{whole:g}", exact, min_impact))
    rows.append(judge("all together, as indexed", rounded.prune(pruning), min_impact))
    return Losses(len(docids), len(queries), tuple(rows))


def _take_sample(documents: Iterable[Document], judged: set[str], size: int) -> tuple[list[str], list[str]]:
    """Docids and texts of the sample, in the order of the corpus, of which no more than the sample is held."""
    chosen: dict[int, Document] = {}
    smallest: list[tuple[int, int, Document]] = []
    for number, document in enumerate(documents):
        if document.docid in judged:
            chosen[number] = document
        digest = int.from_bytes(hashlib.blake2b(document.docid.encode(), digest_size=8).digest())
        place = (-digest, number, document)
        if len(smallest) < size:
            heapq.heappush(smallest, place)
        else:
            heapq.heappushpop(smallest, place)
    chosen |= {number: document for _, number, document in smallest}
    if not chosen:
        raise CorpusError("there is no document in the corpus", remedy="Check that it is the right corpus")
    sample = [document for _, document in sorted(chosen.items())]
    return [document.docid for document in sample], [document.text for document in sample]


def _query_matrix(encoder: SpladeEncoder, queries: Sequence[Query], terms: Sequence[str]) -> csr_matrix:
    """Float weights of the queries; shape [queries, terms]."""
    from scipy.sparse import coo_matrix

    term_ids = {term: term_id for term_id, term in enumerate(terms)}  # queries may have another network's vocabulary
    turns = [(row, turn) for row, query in enumerate(queries) for turn in query.turns or (Turn(query.text),)]
    weights = encoder.encode_queries([turn.text for _, turn in turns])
    entries = [
        (row, term_ids[term], weight * turn.factor)
        for (row, turn), vector in zip(turns, weights, strict=True)
        for term, weight in vector.items()
        if term in term_ids
    ]
    table = np.array(entries, dtype=np.float64).reshape(-1, 3)
    places = (table[:, 0].astype(np.int64), table[:, 1].astype(np.int64))
    return coo_matrix((table[:, 2], places), shape=(len(queries), len(terms))).tocsr()  # adds up what stands twice


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
    means: dict[str, float] = evaluate(qrels, Run(run), MEASURES)
    return means
