"""Runs an entry from its files to its figures: fetch, unpack, (encode,) index, search, evaluate.

All files are stored in one folder. Entries with the same corpus share its index. A run that was stopped at any point resumes
with the first unfinished step.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from splade_lucene.encoder.settings import DocumentSettings, QuerySettings
from splade_lucene.errors import DownloadError
from splade_lucene.files.files import work_folder
from splade_lucene.manifest import read_folder_manifest
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.reproduction.archives import is_archive
from splade_lucene.reproduction.arguments import (
    encode_arguments,
    evaluate_arguments,
    index_arguments,
    search_arguments,
    searcher_arguments,
)
from splade_lucene.reproduction.checks import check_entry
from splade_lucene.reproduction.downloads import Downloads, reproduction_folder
from splade_lucene.reproduction.entries import Download, Entry
from splade_lucene.reproduction.figures import Figure
from splade_lucene.reproduction.paths import Paths
from splade_lucene.reproduction.steps import Inputs, Steps
from splade_lucene.reproduction.unpacking import unpack


@dataclass(frozen=True)
class Reproduction:
    """The result of a reproduction.

    Attributes:
        entry: The entry.
        figures: Counts and measures, published and obtained.
        run: The run file.
        index_dir: The index that was searched.
    """

    entry: Entry
    figures: tuple[Figure, ...]
    run: Path
    index_dir: Path

    @property
    def is_within_tolerance(self) -> bool:
        """Whether every figure is within its tolerance."""
        return all(figure.is_within_tolerance for figure in self.figures)


def reproduce(
    entry: Entry,
    folder: str | Path | None = None,
    downloads: Downloads | None = None,
    *,
    prebuilt: bool = False,
    threads: int | None = None,
    progress: Progress = NO_PROGRESS,
    on_step: Callable[[str, Path, bool], None] | None = None,
) -> Reproduction:
    """Runs an entry, or the remaining steps of an interrupted run.

    Args:
        entry: The entry.
        folder: Folder for all files; default: :func:`splade_lucene.reproduction.downloads.reproduction_folder`.
        downloads: Sources of files; default: the network, with downloads kept in the folder.
        prebuilt: Whether to search the published index instead of building one.
        threads: Threads for indexing and searching; default: all cores.
        progress: Follows the work.
        on_step: Called for each step with its name, its output, and whether an earlier run finished it.

    Raises:
        CatalogueError: The entry is inconsistent.
        DownloadError: A file is not available.
        InputError: A file of the entry cannot be read, or another process uses the folder.
        StorageError: The disk is full or not writable.
    """
    check_entry(entry, prebuilt=prebuilt)
    folder = Path(folder or reproduction_folder()).resolve()  # Java has its own working directory
    paths, steps = Paths(folder, entry, prebuilt), Steps(folder, on_step)
    downloads = downloads or Downloads(folder / "downloads")
    with steps.sole_user():
        return _Running(entry, paths, downloads, steps, prebuilt, threads, progress).run()


@dataclass(frozen=True)
class _Running:
    entry: Entry
    paths: Paths
    downloads: Downloads
    steps: Steps
    prebuilt: bool
    threads: int | None
    progress: Progress

    def run(self) -> Reproduction:
        system = self.entry.system
        topics, qrels = self._fetch(system.topics), self._fetch(self.entry.qrels)
        index_inputs = self._index()
        run_inputs = {
            "index": index_inputs, "topics": _identity(topics, system.topics.checksum), "hits": system.hits,
            "remove_query": system.remove_query, "ties": system.ties, **searcher_arguments(self.entry),
        }  # fmt: skip
        run = self.paths.run
        self.steps.run(f"search.{run.stem}", run_inputs, run, lambda: self._search(topics))
        figures = (*self._counts(topics, qrels), *self._measure(qrels))
        return Reproduction(self.entry, figures, run, self.paths.index)

    def _fetch(self, download: Download) -> Path:
        """The topics or judgments."""
        if not download.member:
            return self.downloads.fetch(download)
        file = Path(self._corpus[0]) / download.member
        if not file.is_file():
            raise DownloadError(f"{file}: {download.file} does not have this file. Correct the member of the entry.")
        return file

    # ---- index ----

    def _index(self) -> Inputs:
        if self.prebuilt and self.entry.system.prebuilt is not None:
            return self._unpack_prebuilt(self.entry.system.prebuilt)
        corpus, inputs = self._corpus
        system, index = self.entry.system, self.paths.index
        if system.method == "encode":
            corpus, inputs = self._encode(corpus, inputs)
        make = {"bm25": self._index_texts}.get(system.method, self._index_impacts)
        self.steps.run(f"index.{index.name}", {"corpus": inputs}, index, lambda: make(corpus))
        return {"corpus": inputs}

    def _unpack_prebuilt(self, download: Download) -> Inputs:
        archive, index = self.downloads.fetch(download), self.paths.index
        inputs = {"prebuilt": _identity(archive, download.checksum)}

        def make() -> None:
            unpacked = work_folder(index, "unpacked")
            try:
                unpack(archive, unpacked)
                found = next(unpacked.rglob("segments_*"), None)
                if found is None:
                    raise DownloadError(f"{archive}: the archive does not contain a Lucene index. Download it again.")
                shutil.rmtree(index, ignore_errors=True)
                found.parent.rename(index)
            finally:
                shutil.rmtree(unpacked, ignore_errors=True)

        self.steps.run(f"index.{index.name}", inputs, index, make)
        return inputs

    @cached_property
    def _corpus(self) -> tuple[str, Inputs]:
        """The corpus, and what identifies it."""
        corpus = self.entry.system.corpus
        if corpus.source:
            from splade_lucene.corpus.reading import describe_corpus

            return corpus.source, {"source": describe_corpus(corpus.source)}
        if corpus.download is None:
            return self._local_corpus()
        file = self.downloads.fetch(corpus.download)
        inputs = {"file": _identity(file, corpus.checksum), "folder": corpus.folder}
        if not is_archive(file):
            return str(file), inputs
        target = self.paths.corpus

        def make() -> None:
            with self.progress.step("unpacking", None, "files") as advance:
                unpack(file, target, corpus.folder, advance)

        self.steps.run(f"unpack.{target.name}", inputs, target, make)
        return str(target), inputs

    def _local_corpus(self) -> tuple[str, Inputs]:
        """A corpus that cannot be downloaded: a folder of this name among the corpora or in the mirror."""
        from splade_lucene.corpus.reading import describe_corpus

        corpus, mirror = self.entry.system.corpus, self.downloads.mirror
        folders = [self.paths.corpus, *([mirror / corpus.name] if mirror is not None else [])]
        for folder in folders:
            if folder.is_dir():
                return str(folder), {"folder": describe_corpus(folder)}
        raise DownloadError(
            f"the corpus {corpus.name} cannot be downloaded ({corpus.note}). Put its files into {folders[0]}"
            + (", or pass prebuilt=True." if self.entry.system.prebuilt else ".")
        )

    def _encode(self, corpus: str, inputs: Inputs) -> tuple[str, Inputs]:
        from splade_lucene.encoder import SpladeEncoder
        from splade_lucene.pseudo_documents.encoding import encode_corpus
        from splade_lucene.quantizer import Quantizer

        given = encode_arguments(self.entry, self.paths, corpus)
        encoder = SpladeEncoder(
            given["model"], documents=DocumentSettings(max_length=given["max_length"]), dtype=given["dtype"]
        )
        manifest = encode_corpus(  # skips what is finished
            given["corpus"], given["output"], encoder, Quantizer.named(given["quantizer"]), overwrite=True,
            progress=self.progress,
        )  # fmt: skip
        return str(given["output"]), {"corpus": inputs, "encoding": manifest.encoding}

    def _index_impacts(self, source: str) -> None:
        from splade_lucene.index.indexer import index_pseudo_documents

        given = index_arguments(self.entry, self.paths, source)
        index_pseudo_documents(**given, threads=self.threads, overwrite=True, progress=self.progress)

    def _index_texts(self, source: str) -> None:
        from splade_lucene.corpus.reading import read_corpus
        from splade_lucene.index.texts import index_texts

        given = index_arguments(self.entry, self.paths, source)
        documents = read_corpus(given.pop("corpus"))
        index_texts(documents, **given, threads=self.threads, overwrite=True, progress=self.progress)

    # ---- search ----

    def _search(self, topics: Path) -> None:
        from splade_lucene.run.run import open_run_writer
        from splade_lucene.run.searching import search_run
        from splade_lucene.topics.reading import read_topics

        given = search_arguments(self.entry, self.paths, topics)
        queries = read_topics(given["topics"], encoded=given.get("encoded", False))
        with self._open_searcher() as searcher, open_run_writer(given["output"], tag=given["tag"]) as writer:
            search_run(
                searcher, queries, writer, given["hits"], threads=self.threads, transform=self._as_published,
                progress=self.progress,
            )  # fmt: skip

    def _open_searcher(self) -> Any:
        system, index, given = self.entry.system, self.paths.index, searcher_arguments(self.entry)
        if system.method == "bm25":
            from splade_lucene.search.bm25 import Bm25Searcher

            return Bm25Searcher(index, **given)
        from splade_lucene.search.searcher import LuceneImpactSearcher

        if system.method == "impacts":
            return LuceneImpactSearcher(index)
        from splade_lucene.search.query_encoder import open_query_encoder

        return LuceneImpactSearcher(index, open_query_encoder(index, queries=QuerySettings(**given)))

    def _as_published(self, qid: str, hits: Any) -> list[tuple[str, float]]:
        """The hits in the order in which the published run was evaluated."""
        from splade_lucene.run.rankings import evaluation_order, read_ranking
        from splade_lucene.run.selection import remove_query

        system = self.entry.system
        pairs = remove_query(qid, hits) if system.remove_query else read_ranking(qid, hits)
        if system.ties == "descending":
            pairs = evaluation_order(qid, dict(pairs))
        return pairs

    # ---- evaluate ----

    def _counts(self, topics: Path, qrels: Path) -> list[Figure]:
        from splade_lucene.evaluation import read_qrels
        from splade_lucene.topics.reading import read_topics

        entry, system = self.entry, self.entry.system
        with self._open_reader() as reader:
            statistics = reader.statistics()
        documents = statistics["documents"]
        if system.method == "encode" and (manifest := read_folder_manifest(self.paths.encoded)) is not None:
            documents += len(manifest.empty)  # those without any term, which the index does not have
        pairs = [
            ("documents", entry.documents, documents),
            ("total terms", system.total_terms, statistics["total_impact"]),
            ("topics", system.topics.count, len(read_topics(topics, encoded=system.topics.encoded))),
            ("judged", entry.judged, len(read_qrels(qrels))),
        ]
        return [Figure(name, published, obtained) for name, published, obtained in pairs if published is not None]

    def _open_reader(self) -> Any:
        if self.entry.system.method == "bm25":
            return self._open_searcher()
        from splade_lucene.index.reader import LuceneImpactIndexReader

        return LuceneImpactIndexReader(self.paths.index)

    def _measure(self, qrels: Path) -> list[Figure]:
        from splade_lucene.evaluation import evaluate

        system, given = self.entry.system, evaluate_arguments(self.entry, self.paths, qrels)
        means = evaluate(given["qrels"], given["run"], given["measures"])
        return [Figure(name, figure, means[name], system.tolerance) for name, figure in system.published.items()]


def _identity(path: Path, checksum: str) -> str:
    """Identifies a file by its verified checksum, or else by path, size and modification time."""
    status = path.stat()
    return checksum or f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"
