"""The demo: encodes, indexes and searches Python's standard library documentation, a corpus available on every machine.

All files are in one folder and are reused by the next run. The first run answers its questions from a few modules, within
seconds, before it encodes the others.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_lucene.corpus.reading import PYTHON_DOCS, describe_corpus, read_corpus
from splade_lucene.defaults import QUICK_MEASURES
from splade_lucene.encoder import SpladeEncoder
from splade_lucene.encoder.settings import DocumentSettings
from splade_lucene.errors import IndexAccessError, InputError
from splade_lucene.evaluation import evaluate
from splade_lucene.files.files import atomic_text_writer, work_folder
from splade_lucene.index.build import build_index
from splade_lucene.index.indexer import LuceneImpactIndexer
from splade_lucene.index.reader import is_index, read_index_manifest
from splade_lucene.index.texts import index_texts
from splade_lucene.manifest import INDEX_FILE, MANIFEST_SUFFIX, Manifest, read_manifest
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.pseudo_documents.journal import WHOLE_CORPUS, Journal
from splade_lucene.quantizer import DEFAULT_RULE, Quantizer
from splade_lucene.records import Contribution, Document, PseudoDocument, Query
from splade_lucene.run.run import Run
from splade_lucene.run.searching import CollectedRankings, search_run
from splade_lucene.search.bm25 import Bm25Searcher
from splade_lucene.search.hits import Hit
from splade_lucene.search.query_encoder import SpladeQueryEncoder
from splade_lucene.search.searcher import LuceneImpactSearcher

QUESTIONS = Path(__file__).parent / "data" / "python_docs_questions.jsonl"
SHOWN = ("pd001", "pd026", "pd051", "pd076")
_DEPTH = 100
_MAX_LENGTH = 96  # the beginning of a docstring says what it is about


@dataclass(frozen=True)
class Answer:
    """A question with its best hits.

    Attributes:
        question: The question.
        relevant: Docids of the known answers.
        hits: The best hits, each with the terms that matched.
        best: Docid of the highest-ranked known answer.
        best_rank: Its rank, from 1; None if it is not among the hits.
    """

    question: Query
    relevant: tuple[str, ...]
    hits: tuple[tuple[Hit, tuple[Contribution, ...]], ...]
    best: str
    best_rank: int | None


@dataclass(frozen=True)
class FirstAnswers:
    """What is found in the first modules, before all are encoded.

    Attributes:
        modules: Names of the modules: those of the known answers.
        documents: Number of their docstrings.
        answers: The questions and their hits.
    """

    modules: tuple[str, ...]
    documents: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class DemoResult:
    """The results of the demo.

    Attributes:
        folder: The folder with all files.
        manifest: The manifest of the encoded corpus.
        answers: Some of the questions and their hits.
        table: System → measure → mean over all questions.
        questions: Number of questions.
    """

    folder: Path
    manifest: Manifest
    answers: tuple[Answer, ...]
    table: dict[str, dict[str, float]]
    questions: int


def read_questions() -> Iterator[tuple[Query, tuple[str, ...]]]:
    """Reads the questions shipped with the package, each with the docids of its known answers."""
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        record: dict[str, Any] = json.loads(line)
        yield Query(record["qid"], record["text"]), tuple(record["relevant"])


def run_demo(
    folder: Path, progress: Progress = NO_PROGRESS, on_first: Callable[[FirstAnswers], None] | None = None
) -> DemoResult:
    """Encodes, indexes, searches and evaluates; reuses the results of an earlier run in the folder.

    Args:
        folder: The working folder.
        progress: Reports the progress.
        on_first: Called with the first answers, unless an earlier run has encoded everything.

    Raises:
        InputError: The folder holds other files than a demo's.
    """
    index_dir, bm25_dir = folder / "index", folder / "bm25-index"
    _refuse_other_files(folder)
    _delete_unreadable(folder)
    encoder = SpladeEncoder(documents=DocumentSettings(max_length=_MAX_LENGTH))
    quantizer = Quantizer.named(DEFAULT_RULE)
    questions = list(read_questions())
    existing = read_index_manifest(index_dir) if is_index(index_dir) else None
    if existing is None or existing.encoded_with.get("corpus") != describe_corpus(PYTHON_DOCS):
        shutil.rmtree(bm25_dir, ignore_errors=True)  # built from another Python version
        if on_first is not None:
            on_first(_answer_first(work_folder(index_dir, "first"), encoder, quantizer, questions))
    built = build_index(
        PYTHON_DOCS, index_dir, encoder, quantizer, pseudo_documents=folder / "pseudo-documents",
        overwrite=True, keep_current=True, progress=progress,
    )  # fmt: skip
    if not is_index(bm25_dir):
        index_texts(read_corpus(PYTHON_DOCS), bm25_dir, progress=progress)
    queries = [query for query, _ in questions]
    found, found_by_bm25 = CollectedRankings(), CollectedRankings()
    with LuceneImpactSearcher(index_dir, SpladeQueryEncoder(encoder, quantizer)) as searcher:
        search_run(searcher, queries, found, _DEPTH, progress=progress)
        answers = _answer_shown(searcher, questions)
    with Bm25Searcher(bm25_dir) as bm25_searcher:
        search_run(bm25_searcher, queries, found_by_bm25, _DEPTH)
    table = _evaluate(folder, {"SPLADE": Run(found), "BM25": Run(found_by_bm25)}, questions)
    return DemoResult(folder, built.manifest, answers, table, len(questions))


def _refuse_other_files(folder: Path) -> None:
    """Refuses a folder whose files the demo would replace although it has not written them."""
    if not folder.is_dir() or all(each.name.startswith(".") for each in folder.iterdir()):
        return
    written = [each for each in (folder / "pseudo-documents", folder / "index") if each.exists()]
    if not written or not all(map(_is_of_demo, written)):
        raise InputError(
            "this folder has files that are not the demo's, and might be replaced", path=folder,
            remedy="Use another folder",
        )  # fmt: skip


def _is_of_demo(folder: Path) -> bool:
    """Whether an encoding, finished or not, or an index is of Python's documentation, whichever version wrote it."""
    facts = [each for pattern in ("*.journal", f"*{MANIFEST_SUFFIX}", INDEX_FILE) for each in folder.glob(pattern)]
    is_only_locked = folder.is_dir() and all(each.suffix == ".lock" for each in folder.iterdir())
    return is_only_locked or any(f'"{PYTHON_DOCS} of '.encode() in each.read_bytes() for each in facts)


def _delete_unreadable(folder: Path) -> None:
    """Deletes an encoding or an index that is damaged, or that another version or a newer Lucene wrote."""
    encoded, index_dir = folder / "pseudo-documents", folder / "index"
    try:
        read_manifest(Journal(encoded, WHOLE_CORPUS).manifest_path)
    except InputError:
        shutil.rmtree(encoded)
    try:
        if is_index(index_dir):
            read_index_manifest(index_dir)
    except (InputError, IndexAccessError):
        shutil.rmtree(index_dir)


def _answer_first(
    index_dir: Path, encoder: SpladeEncoder, quantizer: Quantizer, questions: Sequence[tuple[Query, tuple[str, ...]]]
) -> FirstAnswers:
    """Answers the questions from an index of the modules that the known answers are in; deletes the index."""
    known = (docid for query, relevant in questions if query.qid in SHOWN for docid in relevant)
    modules = tuple(sorted({_module(docid) for docid in known}))
    documents = [document for document in read_corpus(PYTHON_DOCS) if _module(document.docid) in modules]
    shutil.rmtree(index_dir, ignore_errors=True)
    try:
        with LuceneImpactIndexer(index_dir) as indexer:
            indexer.add(_encode(documents, encoder, quantizer))
        with LuceneImpactSearcher(index_dir, SpladeQueryEncoder(encoder, quantizer)) as searcher:
            return FirstAnswers(modules, len(documents), _answer_shown(searcher, questions))
    finally:
        shutil.rmtree(index_dir, ignore_errors=True)


def _module(docid: str) -> str:
    return docid.partition(".")[0]


def _encode(documents: Sequence[Document], encoder: SpladeEncoder, quantizer: Quantizer) -> Iterator[PseudoDocument]:
    vectors = encoder.encode_documents([document.text for document in documents]).quantize(quantizer, "document")
    for document, vector in zip(documents, vectors, strict=True):
        yield PseudoDocument(document.docid, document.text, vector)


def _answer_shown(
    searcher: LuceneImpactSearcher, questions: Sequence[tuple[Query, tuple[str, ...]]]
) -> tuple[Answer, ...]:
    return tuple(_answer(searcher, query, relevant) for query, relevant in questions if query.qid in SHOWN)


def _answer(searcher: LuceneImpactSearcher, query: Query, relevant: tuple[str, ...]) -> Answer:
    vector = searcher.encode(query.text)
    hits = searcher.search(vector, _DEPTH)
    explained = tuple((hit, tuple(searcher.explain(vector, hit.docid))) for hit in hits[:3])
    ranks = [(hits.docids.index(docid) + 1, docid) for docid in relevant if docid in hits.docids]
    rank, docid = min(ranks, default=(None, relevant[0]))
    return Answer(query, relevant, explained, docid, rank)


def _evaluate(
    folder: Path, runs: dict[str, Run], questions: list[tuple[Query, tuple[str, ...]]]
) -> dict[str, dict[str, float]]:
    with atomic_text_writer(folder / "qrels.txt") as file:
        file.writelines(f"{query.qid} 0 {docid} 1\n" for query, relevant in questions for docid in relevant)
    with atomic_text_writer(folder / "topics.tsv") as file:
        file.writelines(f"{query.qid}\t{query.text}\n" for query, _ in questions)
    table = {}
    for system, run in runs.items():
        path = folder / "runs" / f"{system.lower()}.trec"
        run.write(path, tag=system.lower())
        table[system] = evaluate(folder / "qrels.txt", path, QUICK_MEASURES)
    return table
