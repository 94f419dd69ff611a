"""BEIR's retrieval interface: ``EvaluateRetrieval(BeirSearch(model)).retrieve(corpus, queries)`` searches with Lucene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from splade_lucene.adapters.corpus_search import CorpusSearch, IndexingSettings, Model
from splade_lucene.encoder import Pruning
from splade_lucene.errors import InputError
from splade_lucene.notes import note
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.quantizer import Quantizer
from splade_lucene.search.checks import check_k


class BeirSearch:
    r"""Searches BEIR's corpora with Lucene: an object for ``beir.retrieval.evaluation.EvaluateRetrieval``.

    Args:
        model: A :class:`splade_lucene.SpladeEncoder`, the folder or hub name of a checkpoint, a live ``SparseEncoder`` of
            sentence-transformers, or None for the embedded model.
        folder: Where indexes are kept. A corpus that is already there, indexed with the same model and settings, is not
            encoded again. None: a temporary folder.
        quantizer: The quantizer; None for the model's recommended one.
        pruning: Which terms of a document to keep.
        min_impact: Smallest impact to keep.
        threads: Number of threads that index and search; None for one per core.
        remove_query: Whether to drop hits whose docid is the qid, as BEIR's own searches do.
        progress: Reports the progress.

    Raises:
        InputError: The model is of another kind.
        ModelError: The checkpoint cannot be read.

    Example:
        >>> corpus = {"d1": {"title": "Lucene", "text": "is a search library"}, "d2": {"text": "Bread is baked"}}
        >>> from splade_lucene import BeirSearch, SpladeEncoder
        >>> with BeirSearch(SpladeEncoder(device="cpu")) as search:
        ...     [*search.search(corpus, {"q1": "full-text search engine"}, top_k=1)["q1"]]
        ['d1']
    """

    def __init__(
        self, model: Model = None, folder: str | Path | None = None, *, quantizer: Quantizer | None = None,
        pruning: Pruning = Pruning(), min_impact: int = 1, threads: int | None = None, remove_query: bool = True,
        progress: Progress = NO_PROGRESS,
    ) -> None:  # fmt: skip
        settings = IndexingSettings(quantizer, pruning, min_impact, threads)
        self._corpus_search = CorpusSearch(model, folder, settings, progress)
        self.remove_query = remove_query

    def search(
        self, corpus: Mapping[str, Mapping[str, str]], queries: Mapping[str, str], top_k: int,
        score_function: str | None = None,
    ) -> dict[str, dict[str, float]]:  # fmt: skip
        """Indexes a corpus, unless it is already indexed, and searches for all queries.

        Args:
            corpus: docid → ``{"title": …, "text": …}``; the title precedes the text.
            queries: qid → text.
            top_k: Maximum number of hits per query.
            score_function: ``dot``, which is what Lucene computes. Another one, such as BEIR's default, is noted and ignored.

        Returns:
            qid → docid → score, best first. Scores strictly decrease, so that BEIR's measures use our order of ties. A query
            without hits has an empty mapping, and counts as 0.

        Raises:
            CorpusError: A document is not valid.
            QueryError: A query is not valid.
        """
        if score_function not in (None, "dot"):
            note(f"BEIR's score_function {score_function!r} is ignored: an impact index computes dot products")
        for docid, document in corpus.items():
            if not isinstance(document, Mapping):
                raise InputError(
                    f"document {docid!r:.60} is not a mapping with a text, but {document!r:.60}",
                    remedy='Pass {docid: {"title": …, "text": …}}, as GenericDataLoader loads it',
                )
        self._corpus_search.index((docid, each.get("title"), each.get("text")) for docid, each in corpus.items())
        return self._corpus_search.search(queries, check_k(top_k, "top_k"), remove_query=self.remove_query)

    def encode(self, *_: Any, **__: Any) -> NoReturn:
        """BEIR's search in two steps, which needs embeddings in files; not supported.

        Raises:
            InputError: Always: an index in ``folder`` takes the place of such files.
        """
        raise InputError(
            "encode_and_retrieve writes embeddings to files, which Lucene does not read",
            remedy="Call retrieve: with BeirSearch(model, folder) the index is kept in the folder",
        )

    search_from_files = encode

    def close(self) -> None:
        """Closes the index, and deletes it if it is in a temporary folder."""
        self._corpus_search.close()

    def __enter__(self) -> BeirSearch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
