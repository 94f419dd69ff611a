"""Reranks the top hits of a run with a cross-encoder, which reads query and document together."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from splade_lucene.arguments import to_list
from splade_lucene.corpus.reading import read_corpus
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_TO_RERANK, RERANK_BATCH
from splade_lucene.errors import (
    CorpusError,
    InputError,
    ModelError,
    QueryError,
    RunError,
    StorageError,
    first_line,
)
from splade_lucene.files.files import storage_error
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.locks import lock
from splade_lucene.files.typed_data import make
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.records import Query
from splade_lucene.run.rankings import text_of_qid
from splade_lucene.run.run import Run, RunSource
from splade_lucene.search.bm25 import Bm25Searcher, open_index
from splade_lucene.search.hits import StoredDocument


class Texts(Protocol):
    """Texts by docid: a mapping, or :class:`StoredTexts`."""

    def __getitem__(self, docid: str, /) -> str: ...


class Reranker:
    """Reranks runs with a ``CrossEncoder`` of sentence-transformers.

    Args:
        model: Folder or hub name of a sequence classification model with one label, or with two labels of which the
            second means "relevant".
        device: ``auto``, ``cpu``, ``cuda`` …
        max_length: Number of tokens to which a pair is truncated; None for the checkpoint's limit.
        batch_size: Number of pairs per batch.
        trust_remote_code: Whether to run code shipped with the checkpoint.

    Raises:
        MissingDependencyError: sentence-transformers is not installed.
        ModelError: The checkpoint cannot be loaded, or is not a cross-encoder.
    """

    def __init__(
        self, model: str | Path, *, device: str = "auto", max_length: int | None = None,
        batch_size: int = RERANK_BATCH, trust_remote_code: bool = False,
    ) -> None:  # fmt: skip
        self.name, self.batch_size, self._max_length = str(model), batch_size, max_length
        self.model = _load(self.name, device, max_length, trust_remote_code=trust_remote_code)
        self._fingerprint = ""

    @uninterrupted_imports("rerank")
    def scores(self, query: str, texts: Iterable[str]) -> NDArray[np.float32]:
        """Scores texts by their relevance to a query: logits, or the difference of two logits; shape [texts].

        Raises:
            ModelError: A score is not finite.
        """
        from torch.nn import Identity

        texts = to_list(texts, "texts")
        if not texts:
            return np.zeros(0, np.float32)
        positions = {text: position for position, text in enumerate(dict.fromkeys(texts))}
        pairs = [(query, text) for text in positions]  # without duplicates, whose scores could differ between batches
        # raw logits: a sigmoid would saturate for all good documents in single precision
        found = self.model.predict(
            pairs, batch_size=self.batch_size, activation_fn=Identity(), show_progress_bar=False, convert_to_numpy=True
        )
        logits = np.asarray(found, np.float32).reshape(len(pairs), -1)[[positions[text] for text in texts]]
        scores: NDArray[np.float32] = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
        if not np.isfinite(scores).all():
            raise ModelError(f"{self.name}: scores are not finite. Check the weights.")
        return scores

    def rerank(
        self, run: RunSource, topics: Mapping[Any, str] | Iterable[Query], texts: Texts, k: int = HITS_TO_RERANK, *,
        scores_file: Path | None = None, progress: Progress = NO_PROGRESS,
    ) -> Run:  # fmt: skip
        """Sorts the top k hits of each query by the cross-encoder's scores; other hits follow in their old order.

        Args:
            run: The run to rerank, rankings by qid as for :class:`splade_lucene.Run`, or a run file.
            topics: The queries, as texts.
            texts: The texts of the documents.
            k: Number of hits to score per query.
            scores_file: Keeps the scores of finished queries, with which the same call can resume after an interruption.
                Entries are keyed by a hash of the model, query and texts, so the scores of other settings are not reused.
            progress: Reports the progress.

        Returns:
            Rankings with the cross-encoder's scores. Equal scores keep the order of the run. The hits after the top k get
            scores that continue downward in steps of 1.

        Raises:
            RunError: k is below 1, or a query is not among the topics.
            QueryError: A query has no text.
            InputError: A document has no text, or another process is using the file of scores.
            StorageError: The file of scores cannot be written, or is damaged.
        """
        if k < 1:
            raise RunError(f"k must be at least 1, got {k}")
        first_stage = Run.of(run)
        queries = _texts_by_qid(topics)
        for qid in first_stage:
            _query_text(qid, queries)  # fail before hours of work
        reranked = {}
        pairs = sum(min(k, len(hits)) for hits in first_stage.values())
        with closing(_FinishedScores(scores_file)) as finished, progress.step("reranking", pairs, "pairs") as advance:
            for qid, ranking in first_stage.items():
                query = _query_text(qid, queries)
                head = [docid for docid, _ in ranking[:k]]
                found = [texts[docid] for docid in head]
                key = self._key(query, head, found) if scores_file else ""
                scores = finished.get(key)
                is_resumed = scores is not None
                if scores is None:
                    scores = finished.put(key, qid, self.scores(query, found))
                reranked[qid] = _in_order(head, scores, [docid for docid, _ in ranking[k:]])
                advance(len(head), resumed=is_resumed)
        return Run(reranked, tag=first_stage.tag)

    def _key(self, query: str, docids: Sequence[str], texts: Sequence[str]) -> str:
        """A hash of everything on which the scores of a query depend."""
        if not self._fingerprint:
            self._fingerprint = _fingerprint(self.model)
        facts = [
            self._fingerprint,
            getattr(self.model, "max_seq_length", self._max_length),
            query,
            list(docids),
            list(texts),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@uninterrupted_imports("rerank")
def _load(name: str, device: str, max_length: int | None, *, trust_remote_code: bool) -> Any:
    from sentence_transformers import CrossEncoder

    from splade_lucene.encoder.precision import choose_device

    target = str(choose_device(device))
    try:
        model = CrossEncoder(name, max_length=max_length, device=target, trust_remote_code=trust_remote_code)
    except Exception as error:  # the hub client and the parsers raise all kinds of exceptions
        reason = first_line(error)
        raise ModelError(f"{name}: cannot load a cross-encoder: {reason}. Check the path or the name.") from error
    kinds = getattr(model.config, "architectures", None) or []
    if kinds and not any("ForSequenceClassification" in kind for kind in kinds) and len(model) == 1:
        raise ModelError(
            f"{name}: a {kinds[0]} has no trained head for scoring pairs. Use a cross-encoder, such as "
            "cross-encoder/ms-marco-MiniLM-L6-v2."
        )
    if model.num_labels > 2:
        raise ModelError(f"{name}: expected one or two labels, found {model.num_labels}. Use a cross-encoder.")
    return model


@uninterrupted_imports("rerank")
def _fingerprint(model: Any) -> str:
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _texts_by_qid(topics: Mapping[Any, str] | Iterable[Query]) -> dict[str, str]:
    if isinstance(topics, Mapping):
        return {text_of_qid(qid): text for qid, text in topics.items()}
    return {query.qid: query.text for query in topics}


def _query_text(qid: str, queries: Mapping[str, str]) -> str:
    if qid not in queries:
        raise RunError(f"query {qid!r} of the run is not among the topics", remedy="Pass the topics of the run")
    if not queries[qid].strip():
        raise QueryError(f"query {qid!r} has no text", remedy="Pass the topics as text, not encoded")
    return queries[qid]


def _in_order(head: Sequence[str], scores: Sequence[float], tail: Sequence[str]) -> list[tuple[str, float]]:
    ranking = sorted(zip(head, scores, strict=True), key=lambda hit: -hit[1])  # stable: ties keep the run's order
    below = math.floor(ranking[-1][1]) if ranking else 0
    return [*ranking, *((docid, float(below - position)) for position, docid in enumerate(tail, 1))]


@dataclass(frozen=True)
class _Scored:
    """A line of the file of finished scores."""

    key: str
    scores: tuple[float, ...]


class _FinishedScores:
    """The scores of finished queries; also stored in a file, if given, with one line per query."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._scores: dict[str, list[float]] = {}
        self._file: BinaryIO | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            if not lock(self._file):
                raise InputError(
                    "another process is writing these scores", path=path,
                    remedy="Wait for it, or use another output=…",
                )  # fmt: skip
            self._read(self._file, path)
        except OSError as error:
            self.close()
            raise storage_error(path, error) from error
        except BaseException:
            self.close()
            raise

    def _read(self, file: BinaryIO, path: Path) -> None:
        file.seek(0)
        lines = file.read().split(b"\n")
        try:
            for line in lines[:-1]:
                record = make(_Scored, parse_json(line), ignore_unknown=True)
                self._scores[record.key] = list(record.scores)
        except ValueError as error:
            raise StorageError(f"{path}: damaged ({error}). Delete it to score its queries again.") from error
        if lines[-1]:  # incomplete because the process was killed
            file.truncate(file.tell() - len(lines[-1]))

    def get(self, key: str) -> list[float] | None:
        return self._scores.get(key)

    def put(self, key: str, qid: str, scores: NDArray[np.float32]) -> list[float]:
        values: list[float] = scores.astype(np.float64).tolist()
        if self._path is not None and self._file is not None:
            line = json.dumps({"key": key, "qid": qid, "scores": values}) + "\n"
            try:
                self._file.write(line.encode())
                self._file.flush()
            except OSError as error:
                raise storage_error(self._path, error) from error
        return values

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


# ---- texts ----


class StoredTexts:
    """The texts stored in an index, by docid.

    Args:
        index_dir: An impact index or a text index.

    Raises:
        NotAnIndexError: The folder is not an index.
    """

    def __init__(self, index_dir: str | Path) -> None:
        self._reader = open_index(index_dir)

    def __getitem__(self, docid: str) -> str:
        text = self._text(docid)
        if text is None:
            raise InputError(
                f"the index does not store the text of document {docid!r}", path=self._reader.index_dir,
                remedy="Index with store=text, or pass the corpus instead of the index",
            )  # fmt: skip
        return text

    def _text(self, docid: str) -> str | None:
        if isinstance(self._reader, Bm25Searcher):
            return self._reader.text(docid)
        number = self._reader.lucene_docid(docid)
        return StoredDocument(docid, number, self._reader.raw([number])[0]).contents()

    def close(self) -> None:
        """Closes the index."""
        self._reader.close()

    def __enter__(self) -> StoredTexts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def texts_of_corpus(
    source: str | Path, docids: Iterable[str], *, id_field: str | None = None, text_field: str | None = None
) -> dict[str, str]:
    """Reads the texts of some documents from a corpus.

    Args:
        source: A corpus; see :func:`splade_lucene.read_corpus`.
        docids: The documents.
        id_field: See :func:`splade_lucene.read_corpus`.
        text_field: Likewise.

    Raises:
        CorpusError: The corpus cannot be read, or lacks a document.
    """
    wanted = set(docids)
    documents = read_corpus(source, id_field=id_field, text_field=text_field)
    texts = {document.docid: document.text for document in documents if document.docid in wanted}
    if missing := sorted(wanted - texts.keys()):
        are = counted(len(missing), "document", "of the run is", "of the run are")
        raise CorpusError(
            f"{are} not in the corpus: {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}",
            path=source,
            remedy="Pass the corpus that was indexed",
        )
    return texts
