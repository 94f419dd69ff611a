"""The main job on a corpus that every machine has: the standard library's documentation, encoded, indexed and searched.

Everything lies in one folder and is reused by the next run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_lucene.corpus.reading import PYTHON_DOCS, read_corpus
from splade_lucene.encoder import SpladeEncoder
from splade_lucene.evaluation import evaluate
from splade_lucene.files import written_whole
from splade_lucene.index.indexer import index_pseudo_documents
from splade_lucene.index.reader import is_index, read_index_manifest
from splade_lucene.index.texts import index_texts
from splade_lucene.manifest import Manifest
from splade_lucene.pseudo_documents.encoding import encode_corpus
from splade_lucene.quantizer import DEFAULT_RULE, Quantizer
from splade_lucene.records import Contribution, Query
from splade_lucene.run.run import Run
from splade_lucene.search.bm25 import search_texts
from splade_lucene.search.hits import Hit, Hits
from splade_lucene.search.query_encoder import SpladeQueryEncoder
from splade_lucene.search.searcher import LuceneImpactSearcher

QUESTIONS = Path(__file__).parent / "data" / "python_docs_questions.jsonl"
SHOWN = ("pd001", "pd026", "pd051", "pd076")
MEASURES = ("nDCG@10", "RR@10", "R@10", "R@100")
MAX_LENGTH = 192  # docstrings say what they are about at their start

ProgressBar = Callable[[str, int], AbstractContextManager[Callable[..., None]]]
"""Opens a progress bar of a title and a total; what it gives is called with each advance."""


@dataclass(frozen=True)
class Answer:
    """A question with its best hits.

    Attributes:
        question: What was asked.
        relevant: Docids of the known answers.
        hits: The best hits, each with the terms that matched.
        best: The known answer that is ranked best.
        best_rank: Its rank, from 1; None if it is not among the hits.
    """

    question: Query
    relevant: tuple[str, ...]
    hits: tuple[tuple[Hit, tuple[Contribution, ...]], ...]
    best: str
    best_rank: int | None


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Attributes:
        folder: Where everything lies.
        manifest: What was encoded, and how.
        answers: Some questions and their hits.
        table: System → measure → mean over all questions.
        questions: How many questions there are.
    """

    folder: Path
    manifest: Manifest
    answers: tuple[Answer, ...]
    table: dict[str, dict[str, float]]
    questions: int


def read_questions() -> Iterator[tuple[Query, tuple[str, ...]]]:
    """The questions that come with the package, each with the docids of its known answers."""
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        record: dict[str, Any] = json.loads(line)
        yield Query(record["qid"], record["text"]), tuple(record["relevant"])


def run_demo(folder: Path, progress_bar: ProgressBar) -> DemoResult:
    """Encodes, indexes, searches and evaluates, reusing what an earlier run left in the folder."""
    documents = list(read_corpus(PYTHON_DOCS))
    encoder = SpladeEncoder(max_length=MAX_LENGTH)
    quantizer = Quantizer.named(DEFAULT_RULE)
    with progress_bar("encoding", len(documents)) as advance:
        manifest = encode_corpus(
            PYTHON_DOCS, folder / "pseudo-documents", encoder, quantizer, overwrite=True, progress=advance
        )
    index_dir = folder / "index"
    existing = read_index_manifest(index_dir) if is_index(index_dir) else None
    is_current = existing is not None and existing.encoding == manifest.encoding
    if not is_current or not is_index(folder / "bm25-index"):
        with progress_bar("indexing", len(documents)) as advance:
            index_texts(documents, folder / "bm25-index")  # first: the other index says that both are there
            summary = index_pseudo_documents(folder / "pseudo-documents", index_dir, overwrite=True)
            advance(summary.documents)
    questions = list(read_questions())
    with LuceneImpactSearcher(index_dir, SpladeQueryEncoder(encoder, quantizer)) as searcher:
        queries = [query for query, _ in questions]
        with progress_bar("searching", len(queries)) as advance:
            found = searcher.batch_search([query.text for query in queries], [query.qid for query in queries], k=100)
            advance(len(queries))
        answers = tuple(
            _answer(searcher, query, relevant, found[query.qid]) for query, relevant in questions if query.qid in SHOWN
        )
    runs = {"SPLADE": Run(found), "BM25": Run(search_texts(folder / "bm25-index", queries, 100))}
    table = _evaluate(folder, runs, questions)
    return DemoResult(folder, manifest, answers, table, len(questions))


def _answer(searcher: LuceneImpactSearcher, query: Query, relevant: tuple[str, ...], hits: Hits) -> Answer:
    vector = searcher.encode(query.text)
    explained = tuple((hit, tuple(searcher.explain(vector, hit.docid))) for hit in hits[:3])
    ranks = [(hits.docids.index(docid) + 1, docid) for docid in relevant if docid in hits.docids]
    rank, docid = min(ranks, default=(None, relevant[0]))
    return Answer(query, relevant, explained, docid, rank)


def _evaluate(
    folder: Path, runs: dict[str, Run], questions: list[tuple[Query, tuple[str, ...]]]
) -> dict[str, dict[str, float]]:
    with written_whole(folder / "qrels.txt") as file:
        file.writelines(f"{query.qid} 0 {docid} 1\n" for query, relevant in questions for docid in relevant)
    with written_whole(folder / "topics.tsv") as file:
        file.writelines(f"{query.qid}\t{query.text}\n" for query, _ in questions)
    table = {}
    for system, run in runs.items():
        path = folder / "runs" / f"{system.lower()}.trec"
        run.write(path, tag=system.lower())
        table[system] = evaluate(folder / "qrels.txt", path, MEASURES)
    return table
