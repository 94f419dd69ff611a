"""Indexes and searches corpora that are passed as objects, for the adapters of evaluation suites.

Each corpus has a folder of its own, named by its checksum, with the corpus, its pseudo-documents and the index. A corpus
that is already indexed there with the same model and settings is searched at once; an interrupted encoding resumes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from splade_lucene.adapters.sentence_transformers import is_sparse_encoder, open_sparse_encoder
from splade_lucene.arguments import to_path
from splade_lucene.defaults import thread_count
from splade_lucene.encoder import Pruning, SpladeEncoder
from splade_lucene.encoder.terms import escape_term, unescape_term
from splade_lucene.errors import CorpusError, InputError, QueryError
from splade_lucene.files.files import storage_error
from splade_lucene.files.json_text import json_digest
from splade_lucene.index.build import build_index
from splade_lucene.models import recommended_quantizer
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.quantizer import Quantizer
from splade_lucene.records import Query, well_formed
from splade_lucene.run.run import Run
from splade_lucene.run.searching import CollectedRankings, search_run
from splade_lucene.search.query_encoder import SpladeQueryEncoder
from splade_lucene.search.searcher import LuceneImpactSearcher
from splade_lucene.version import __version__

_CORPUS = "corpus.jsonl"
_NAME_LENGTH = 16  # hexadecimal digits of a corpus's checksum that name its folder

Model = Any
"""A :class:`splade_lucene.SpladeEncoder`, a checkpoint by folder or hub name, a live ``SparseEncoder``, or None for the
embedded model."""


@dataclass(frozen=True)
class IndexingSettings:
    """How corpora are encoded and indexed.

    Attributes:
        quantizer: The quantizer; None for the model's recommended one.
        pruning: Which terms of a document to keep.
        min_impact: Smallest impact to keep.
        threads: Number of threads that index and search; None for one per core.
    """

    quantizer: Quantizer | None = None
    pruning: Pruning = Pruning()
    min_impact: int = 1
    threads: int | None = None


def open_encoder(model: Model) -> SpladeEncoder:
    """The encoder of a model, in any form that adapters take.

    Raises:
        InputError: It is none of them.
        ModelError: The checkpoint cannot be read.
    """
    if isinstance(model, SpladeEncoder):
        return model
    if model is None or isinstance(model, str | Path):
        return SpladeEncoder(model)
    if is_sparse_encoder(model):
        return open_sparse_encoder(model)
    raise InputError(
        f"expected a model, got {type(model).__name__}",
        remedy="Pass a SpladeEncoder, the folder or hub name of a checkpoint, a SparseEncoder, or None for the embedded model",
    )


class CorpusSearch:
    """Indexes one corpus after another, and searches the last one.

    Args:
        model: The model, in any form that :func:`open_encoder` takes.
        folder: Where indexes are kept, to be used again; None for a temporary folder, which is deleted with this object.
        settings: How corpora are encoded and indexed.
        progress: Reports the progress.
    """

    def __init__(
        self, model: Model, folder: str | Path | None, settings: IndexingSettings, progress: Progress = NO_PROGRESS
    ) -> None:
        self.encoder = open_encoder(model)
        self.settings, self.progress = settings, progress
        self.quantizer = settings.quantizer or recommended_quantizer(self.encoder.layout.location.name)
        self._temporary = tempfile.TemporaryDirectory(prefix="splade-lucene-") if folder is None else None
        self.folder = Path(self._temporary.name) if self._temporary else to_path(folder or "")
        self._open: tuple[Path, LuceneImpactSearcher] | None = None

    @property
    def searcher(self) -> LuceneImpactSearcher:
        """The searcher of the last corpus.

        Raises:
            InputError: No corpus was indexed yet.
        """
        if self._open is None:
            raise InputError("no corpus is indexed yet", remedy="Index one first")
        return self._open[1]

    def index(self, documents: Iterable[tuple[Any, Any, Any]]) -> LuceneImpactSearcher:
        """Indexes a corpus, unless it is already indexed with this model, and opens it.

        Args:
            documents: The docid, title and text of each document. Docids may have white space; they are escaped in the index.

        Raises:
            CorpusError: A docid is not a string or a duplicate, a text is not a string, or no document has a term.
            StorageError: A disk error.
        """
        folder = self._store(documents)
        if self._open is not None and self._open[0] == folder:
            return self._open[1]
        self.close_searcher()
        build_index(
            folder / _CORPUS, folder / "index", self.encoder, self.quantizer, pruning=self.settings.pruning,
            min_impact=self.settings.min_impact, threads=self.settings.threads,
            pseudo_documents=None if self._temporary else folder / "encoded", gzip=True, overwrite=True, keep_current=True,
            progress=self.progress,
        )  # fmt: skip
        query_encoder = SpladeQueryEncoder(self.encoder, self.quantizer)
        self._open = folder, LuceneImpactSearcher(folder / "index", query_encoder)
        return self._open[1]

    def _store(self, documents: Iterable[tuple[Any, Any, Any]]) -> Path:
        """Writes a corpus into a folder named by its checksum, unless it is there; returns the folder."""
        checksum = hashlib.sha256()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=self.folder) as temporary:
                written = Path(temporary) / _CORPUS
                with written.open("wb") as file:
                    for document in documents:
                        line = _line(*document)
                        checksum.update(line)
                        file.write(line)
                folder = self.folder / checksum.hexdigest()[:_NAME_LENGTH]
                folder.mkdir(exist_ok=True)
                if not (
                    folder / _CORPUS
                ).is_file():  # an unchanged file keeps its modification time, which identifies its encoding
                    written.rename(folder / _CORPUS)
        except OSError as error:
            raise storage_error(self.folder, error) from error
        return folder

    def search(self, queries: Mapping[str, str], k: int, *, remove_query: bool) -> dict[str, dict[str, float]]:
        """Searches the last corpus.

        Args:
            queries: qid → text.
            k: Maximum number of hits per query.
            remove_query: Whether to drop hits whose docid is the qid; k others are left.

        Returns:
            qid → docid → score, best first, in the order of the queries, with scores that fall strictly, as of
            :meth:`splade_lucene.Run.to_dict`. A query without hits has an empty mapping.

        Raises:
            QueryError: A qid or text is not a string.
        """
        for qid, text in queries.items():
            if not isinstance(qid, str) or not isinstance(text, str):
                raise QueryError(f"query {qid!r:.60}: expected two strings, a qid and a text, got {text!r:.60}")

        def named(qid: str, hits: Any) -> list[tuple[str, float]]:
            found = [
                (unescape_term(docid), float(score)) for docid, score in zip(hits.docids, hits.scores, strict=True)
            ]
            return [hit for hit in found if not (remove_query and hit[0] == qid)][:k]

        rankings = CollectedRankings()
        search_run(
            self.searcher, [Query(qid, well_formed(text)) for qid, text in queries.items()], rankings, k + int(remove_query),
            threads=self.settings.threads, transform=named, progress=self.progress,
        )  # fmt: skip
        return Run(rankings).to_dict()

    def rank(
        self, queries: Mapping[str, str], candidates: Mapping[str, Iterable[str]], k: int
    ) -> dict[str, dict[str, float]]:
        """Ranks given documents of the last corpus.

        Args:
            queries: qid → text.
            candidates: qid → docids; queries without any get no hits.
            k: Maximum number of hits per query.

        Returns:
            As of :meth:`search`. Documents that share no term with the query have the score 0.

        Raises:
            InputError: A candidate is not in the corpus.
        """
        docids = {qid: [*dict.fromkeys(map(escape_term, candidates.get(qid, ())))] for qid in queries}
        manifest = self.searcher.reader.manifest()
        empty = frozenset(manifest.empty if manifest else ())
        scored = self.searcher.score_known([*queries.values()], [*docids.values()], thread_count(self.settings.threads))
        rankings = {}
        for (qid, wanted), scores in zip(docids.items(), scored, strict=True):
            if unknown := [docid for docid in wanted if docid not in scores and docid not in empty]:
                raise InputError(
                    f"the corpus has no document {unescape_term(unknown[0])!r}, a candidate of query {qid!r}",
                    remedy="Leave it out, or add it to the corpus",
                )
            ranked = Run({qid: {unescape_term(docid): float(scores.get(docid, 0)) for docid in wanted}})
            rankings[qid] = ranked[qid][:k]
        return Run(rankings).to_dict()

    @cached_property
    def identity(self) -> str:
        """A checksum of everything on which hits depend but the corpus: model, settings, quantizer and version."""
        encoder, layout = self.encoder, self.encoder.layout
        choices = asdict(encoder.choices)
        del choices["query_model"]  # only a name: the digest covers its weights
        facts = {
            "documents": layout.documents.location.digest(), "queries": encoder.query_digest(),
            "choices": choices, "lengths": [encoder.max_length, encoder.query_max_length],
            "passages": [encoder.passage_tokens, encoder.passage_overlap], "quantizer": self.quantizer.to_json(),
            "precision": [encoder.dtype, encoder.query_dtype, encoder.document_backend, encoder.query_backend],
            "pruning": asdict(self.settings.pruning), "min_impact": self.settings.min_impact, "version": __version__,
        }  # fmt: skip
        return json_digest(facts)

    def close_searcher(self) -> None:
        """Closes the searcher of the last corpus."""
        if self._open is not None:
            self._open[1].close()
        self._open = None

    def close(self) -> None:
        """Closes the last corpus, and deletes the folder if it is temporary."""
        self.close_searcher()
        if self._temporary is not None:
            self._temporary.cleanup()


def _line(docid: Any, title: Any, text: Any) -> bytes:
    """A line of the corpus; the text is that of BEIR and MTEB, in which a title precedes it."""
    if not isinstance(docid, str):
        raise CorpusError(
            f"expected a string as docid, got {docid!r:.60}", remedy="Write the ids of corpus and judgments as strings"
        )
    if not isinstance(text, str | None) or not isinstance(title, str | None):
        raise CorpusError(
            f"the text of document {docid!r:.200} is not a string ({text!r:.60})",
            remedy="Evaluate on tasks with texts only",
        )
    contents = f"{title or ''} {text or ''}".strip()
    return json.dumps({"id": escape_term(docid), "text": contents}).encode() + b"\n"
