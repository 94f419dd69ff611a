"""Entries of the catalogue: a collection and a system, with everything that the figures depend on.

Each file of the catalogue describes one collection and the systems that were run on it (``[[systems]]``):

.. code-block:: toml

    name = "animals"                          # the collection
    title = "Forty texts on animals"
    documents = 40                            # in the index
    judged = 3                                # queries with judgments
    [qrels]
    file = "qrels.txt"
    url = "https://example.org/qrels.txt"     # absent: cannot be downloaded; comes from a mirror
    checksum = "sha256:…"                     # or md5:, or git-blob:; absent: none is published
    size = 1234                               # bytes; published_size = "7.4 GB" if only that is known
    [[systems]]
    name = "splade-v3"                        # the entry is animals.splade-v3
    title = "SPLADE-v3"
    method = "impacts"                        # pseudo-documents; "encode": a text corpus and a model; "bm25": texts
    source = "https://example.org/figures"    # source of the published figures
    tolerance = 0.0001
    [systems.corpus]
    name = "animals-splade-v3"                # systems with the same corpus name share the index
    file = "animals.tar"
    [systems.topics]
    file = "topics.tsv.gz"
    count = 3
    encoded = true
    [systems.published]
    "RR@10" = 0.3999
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from splade_lucene.defaults import HITS_IN_RUN, K1, B

Method = Literal["impacts", "encode", "bm25"]
Ties = Literal["ascending", "descending"]


@dataclass(frozen=True)
class Download:
    """A file needed by an entry.

    Attributes:
        file: File name in the cache and in mirrors; may include a folder.
        url: Download address; empty if there is none.
        checksum: ``md5:``, ``sha256:`` or ``git-blob:`` followed by hexadecimal digits, as published; empty if there is none.
        size: Size in bytes; None if unknown.
        published_size: Approximate size as published, such as ``7.4 GB``.
        built_in: Whether the file is generated from data in this package.
        member: The path of the topics or judgments in the unpacked corpus, if ``file`` is its archive, as in BEIR's data sets.
        note: How to get the file if it cannot be downloaded.
    """

    file: str
    url: str = ""
    checksum: str = ""
    size: int | None = None
    published_size: str = ""
    built_in: bool = False
    member: str = ""
    note: str = ""

    @property
    def estimated_size(self) -> int:
        """Size in bytes, or its published approximation; 0 if neither is known."""
        if self.size is not None:
            return self.size
        number, _, unit = self.published_size.partition(" ")
        return int(float(number) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]) if unit else 0

    @property
    def most_bytes(self) -> int | None:
        """The most bytes that the file can have; None if no size is published.

        An approximation is rounded, and may count in powers of 1024: a tenth is allowed for that.
        """
        return self.size if self.size is not None else int(1.1 * self.estimated_size) or None


@dataclass(frozen=True)
class Topics(Download):
    """The file of queries.

    Attributes:
        count: Number of queries.
        encoded: Whether the queries are encoded (terms and impacts) rather than texts.
    """

    count: int = 0
    encoded: bool = False


@dataclass(frozen=True)
class Corpus:
    """The corpus to index.

    Attributes:
        name: Name of the corpus and its index on disk.
        file: An archive or a file of documents; empty if ``source`` is set.
        url: As in :class:`Download`.
        checksum: As in :class:`Download`.
        size: As in :class:`Download`.
        published_size: As in :class:`Download`.
        folder: The folder of the archive to use; empty: all of the archive.
        source: A corpus that is not a file (see :mod:`splade_lucene.corpus.reading`): ``python-docs``, ``irds:…`` or ``hf:…``.
        note: How to get the corpus if it cannot be downloaded.
    """

    name: str
    file: str = ""
    url: str = ""
    checksum: str = ""
    size: int | None = None
    published_size: str = ""
    folder: str = ""
    source: str = ""
    note: str = ""

    @property
    def download(self) -> Download | None:
        """The file to download; None if the corpus is not a file."""
        if not self.file:
            return None
        return Download(self.file, self.url, self.checksum, self.size, self.published_size, note=self.note)


@dataclass(frozen=True)
class Anserini:
    """How the system is run with Anserini.

    Attributes:
        topic_reader: Anserini's topic reader.
        index_options: Options of IndexCollection, except input and output.
        search_options: Options of SearchCollection, except input and output.
    """

    topic_reader: str
    index_options: str
    search_options: str


@dataclass(frozen=True)
class System:
    """A system that was run on a collection, and its published figures.

    Attributes:
        name: Short name.
        title: Long name.
        method: ``impacts``: pseudo-documents and encoded topics; ``encode``: a model over texts; ``bm25``: BM25 over texts.
        source: Source of the published figures.
        tolerance: Maximum difference between an obtained and a published figure.
        topics: The queries.
        corpus: The documents.
        published: Measure, named as in ir_measures, → figure.
        prebuilt: A published index that can be searched instead of building one.
        anserini: How the system is run with Anserini.
        total_terms: Sum of all impacts in the index (for BM25, number of all tokens).
        hits: Number of hits per query.
        remove_query: Whether to drop the query itself from its hits.
        ties: Order of hits with equal scores by docid: ascending (ours), or descending as trec_eval does for Anserini's runs.
        document_scale: Impacts per unit of weight in documents.
        query_scale: Impacts per unit of weight in topics.
        quantization: Description of the quantization.
        quantization_source: Source of this description.
        model: For ``encode``: folder, hub name or name of an embedded checkpoint.
        quantizer: For ``encode``: the rule.
        max_length: For ``encode``: tokens at which documents are truncated.
        k1: BM25's k1.
        b: BM25's b.
        documents: Number of documents in the index, if it differs from the other systems.
        note: Further remarks.
    """

    name: str
    title: str
    method: Method
    source: str
    tolerance: float
    topics: Topics
    corpus: Corpus
    published: Mapping[str, float]
    prebuilt: Download | None = None
    anserini: Anserini | None = None
    total_terms: int | None = None
    hits: int = HITS_IN_RUN
    remove_query: bool = False
    ties: Ties = "ascending"
    document_scale: float | None = None
    query_scale: float | None = None
    quantization: str = ""
    quantization_source: str = ""
    model: str = ""
    quantizer: str = ""
    max_length: int | None = None
    k1: float = K1
    b: float = B
    documents: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Collection:
    """The content of a file of the catalogue; for the fields see :class:`Entry`."""

    name: str
    title: str
    judged: int
    qrels: Download
    systems: tuple[System, ...]
    documents: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """An entry of the catalogue: one system on one collection.

    Attributes:
        collection: Name of the collection.
        title: Title of the collection.
        documents: Number of documents in the index, or for ``encode`` in the corpus; None if it depends on the machine.
        judged: Number of queries with judgments.
        qrels: The judgments.
        system: The system.
        path: The file that defines the entry.
        note: Further remarks on the collection.
    """

    collection: str
    title: str
    documents: int | None
    judged: int
    qrels: Download
    system: System
    path: Path = field(compare=False)
    note: str = ""

    @property
    def name(self) -> str:
        """Name of the entry: collection and system."""
        return f"{self.collection}.{self.system.name}"

    def downloads(self, *, prebuilt: bool = False) -> list[Download]:
        """All files needed for a run, each once; with ``prebuilt``, the prebuilt index instead of the corpus."""
        large = self.system.prebuilt if prebuilt else self.system.corpus.download
        needed = [*([large] if large else []), self.system.topics, self.qrels]
        return list({each.file: each for each in reversed(needed)}.values())[::-1]
