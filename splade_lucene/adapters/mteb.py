"""MTEB's search interface: ``mteb.evaluate(MtebSearch(model), tasks)`` evaluates a model through Lucene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from splade_lucene.adapters.corpus_search import CorpusSearch, IndexingSettings, Model
from splade_lucene.encoder import Pruning
from splade_lucene.errors import InputError, QueryError
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.notes import note
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.quantizer import Quantizer
from splade_lucene.search.checks import check_k


class MtebSearch:
    """A model for ``mteb.evaluate`` (MTEB 2) whose documents are indexed and searched by Lucene.

    It has MTEB's ``SearchProtocol``, for tasks of retrieval and reranking with texts.

    Args:
        model: A :class:`splade_lucene.SpladeEncoder`, the folder or hub name of a checkpoint, a live ``SparseEncoder`` of
            sentence-transformers, or None for the embedded model.
        folder: Where indexes are kept. A corpus that is already there, indexed with the same model and settings, is not
            encoded again. None: a temporary folder.
        name: The model's name in MTEB's results, as ``organization/name``; None to derive it from the model.
        quantizer: The quantizer; None for the model's recommended one.
        pruning: Which terms of a document to keep.
        min_impact: Smallest impact to keep.
        threads: Number of threads that index and search; None for one per core.
        progress: Reports the progress.

    Raises:
        InputError: The model is of another kind, or the name is not valid.
        ModelError: The checkpoint cannot be read.
    """

    def __init__(
        self, model: Model = None, folder: str | Path | None = None, *, name: str | None = None,
        quantizer: Quantizer | None = None, pruning: Pruning = Pruning(), min_impact: int = 1, threads: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> None:  # fmt: skip
        if name is not None and name.count("/") != 1:
            raise InputError(
                f"{name!r} is not the name of a model", remedy="Name it organization/name, as MTEB requires"
            )
        settings = IndexingSettings(quantizer, pruning, min_impact, threads)
        self._corpus_search = CorpusSearch(model, folder, settings, progress)
        self._name = name

    @property
    @uninterrupted_imports()
    def mteb_model_meta(self) -> Any:
        """The model's ``mteb.models.model_meta.ModelMeta``.

        Its revision is a checksum of the weights, settings, quantizer and version, because MTEB caches results by
        name and revision.
        """
        from mteb.models.model_meta import ModelMeta

        encoder = self._corpus_search.encoder
        return ModelMeta(
            loader=None, name=self._name or _mteb_name(encoder.layout.location.name),
            revision=self._corpus_search.identity, release_date=None, languages=None, n_parameters=None,
            memory_usage_mb=None, max_tokens=encoder.max_length, embed_dim=None, license=None, open_weights=None,
            public_training_code=None, public_training_data=None,
            framework=["ONNX" if encoder.document_backend == "onnx" else "PyTorch"], similarity_fn_name="dot",
            use_instructions=False, training_datasets=None, model_type=["sparse"],
        )  # fmt: skip

    def index(self, corpus: Any, **_: Any) -> None:
        """Indexes the corpus of a task, unless it is already indexed.

        Args:
            corpus: A data set with the columns ``id``, ``text`` and, if there is one, ``title``, which precedes the text.
            _: MTEB's other arguments: about the task, and how embeddings are computed.

        Raises:
            CorpusError: A document is not valid.
            InputError: The task has no texts.
        """
        titles = corpus["title"] if "title" in corpus.column_names else None
        texts = _texts_of(corpus, "documents")
        docids = corpus["id"]
        self._corpus_search.index(zip(docids, titles or [None] * len(texts), texts, strict=True))

    def search(
        self, queries: Any, *, top_k: int, top_ranked: Mapping[str, Iterable[str]] | None = None, **_: Any
    ) -> dict[str, dict[str, float]]:
        """Searches the corpus, or ranks the given documents of it.

        Args:
            queries: A data set with the columns ``id`` and ``text``. An ``instruction`` follows the text, and turns of a
                conversation are joined, as in MTEB's own encoders.
            top_k: Maximum number of hits per query.
            top_ranked: For reranking, the docids to rank, by qid.
            _: MTEB's other arguments: about the task, and how embeddings are computed.

        Returns:
            qid → docid → score, best first. Scores strictly decrease, so that MTEB's measures use our order of ties.

        Raises:
            InputError: No corpus is indexed, or it lacks a document to rank.
            QueryError: A query is not valid.
        """
        instructions = queries["instruction"] if "instruction" in queries.column_names else None
        listed = _texts_of(queries, "queries")
        texts = {
            qid: _query_text(qid, content, instruction)
            for qid, content, instruction in zip(
                queries["id"], listed, instructions or [None] * len(listed), strict=True
            )
        }
        k = check_k(top_k, "top_k")
        if top_ranked is None:
            return self._corpus_search.search(texts, k, remove_query=False)
        if without := [qid for qid in texts if not top_ranked.get(qid)]:
            note(f"{len(without)} of {len(texts)} queries have no documents to rank, such as {without[0]!r}")
        return self._corpus_search.rank(texts, top_ranked, k)

    def close(self) -> None:
        """Closes the index, and deletes it if it is in a temporary folder."""
        self._corpus_search.close()

    def __enter__(self) -> MtebSearch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _texts_of(dataset: Any, what: str) -> Any:
    if "text" not in dataset.column_names:
        raise InputError(
            f"the {what} have no column text, but {', '.join(dataset.column_names)}", remedy="Choose tasks with texts"
        )
    return dataset["text"]


def _query_text(qid: str, content: Any, instruction: str | None) -> str:
    """The text of a query as MTEB's own encoders read it."""
    if isinstance(content, str):
        return content if instruction is None else f"{content} {instruction}"
    turns = content if isinstance(content, list) else [content]
    if turns and all(isinstance(turn, str) for turn in turns):
        said = "; ".join(turns)
    elif turns and all(isinstance(turn, Mapping) and "role" in turn and "content" in turn for turn in turns):
        said = "; ".join(f"{turn['role']}: {turn['content']}" for turn in turns)
    else:
        raise QueryError(f"query {qid!r} is neither a text nor a conversation: {content!r:.80}")
    return said if instruction is None else f"{instruction} {said}"


def _mteb_name(name: str) -> str:
    """A model's name as MTEB wants it: that of the hub, or the folder's."""
    if name.count("/") == 1 and not name.startswith(("/", ".")):
        return name
    return f"splade_lucene/{Path(name).name or 'sparse-encoder'}"
