"""Entries of the catalogue: a collection and a system, with everything that its figures depend on.

A file of the catalogue describes one collection and, as ``[[systems]]``, what was run on it:

.. code-block:: toml

    name = "animals"                          # the collection
    title = "Forty texts on animals"
    documents = 40                            # in the index
    judged = 3                                # queries with judgments
    [qrels]
    file = "qrels.txt"
    url = "https://example.org/qrels.txt"     # absent: nobody serves it; it comes from --mirror
    checksum = "sha256:…"                     # or md5:, or git-blob:; absent: none is published
    size = 1234                               # bytes; published_size = "7.4 GB" where only that is known
    [[systems]]
    name = "splade-v3"                        # the entry is animals.splade-v3
    title = "SPLADE-v3"
    method = "impacts"                        # pseudo-documents; "encode": a text corpus and a model; "bm25": texts
    source = "https://example.org/figures"    # of the published figures
    tolerance = 0.0001
    [systems.corpus]
    name = "animals-splade-v3"                # systems with equal names share the index
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
    """A file that an entry needs.

    Attributes:
        file: Its name, in the cache and in a mirror; may have a folder before it.
        url: Where it is published; empty if nowhere.
        checksum: ``md5:``, ``sha256:`` or ``git-blob:`` and hexadecimal digits, as published; empty if none is.
        size: Bytes; None if that is not known.
        published_size: What the publisher says of the size, such as ``7.4 GB``.
        built_in: It is made from what comes with this package.
        note: How to come by it, where it is not served.
    """

    file: str
    url: str = ""
    checksum: str = ""
    size: int | None = None
    published_size: str = ""
    built_in: bool = False
    note: str = ""

    @property
    def about_bytes(self) -> int:
        """Its size, or the published approximation of it; 0 if neither is known."""
        if self.size is not None:
            return self.size
        number, _, unit = self.published_size.partition(" ")
        return int(float(number) * {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]) if unit else 0


@dataclass(frozen=True)
class Topics(Download):
    """The file of queries.

    Attributes:
        count: Queries in it.
        encoded: It holds terms and impacts, not texts.
    """

    count: int = 0
    encoded: bool = False


@dataclass(frozen=True)
class Corpus:
    """What is indexed.

    Attributes:
        name: Names the collection and its index on disk.
        file: An archive, or a file of documents; empty: ``source`` says it.
        url: As of a :class:`Download`.
        checksum: As of a :class:`Download`.
        size: As of a :class:`Download`.
        published_size: As of a :class:`Download`.
        folder: The only folder of the archive that counts; empty: all of it.
        source: A corpus that is no file, as of :mod:`splade_lucene.corpus.reading`: ``python-docs``, ``irds:…`` or ``hf:…``.
        note: How to come by it, where it is not served.
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
        """The file to fetch; None if it is not known as a file."""
        if not self.file:
            return None
        return Download(self.file, self.url, self.checksum, self.size, self.published_size, note=self.note)


@dataclass(frozen=True)
class Anserini:
    """How Anserini runs the same.

    Attributes:
        topic_reader: Its reader of topics.
        index_options: Options of IndexCollection, but for input and output.
        search_options: Options of SearchCollection, likewise.
    """

    topic_reader: str
    index_options: str
    search_options: str


@dataclass(frozen=True)
class System:
    """What was run on a collection, and what came out.

    Attributes:
        name: Short name.
        title: Long name.
        method: ``impacts``: pseudo-documents and encoded topics; ``encode``: a model over texts; ``bm25``: BM25 over texts.
        source: Where the figures were published.
        tolerance: How far an obtained figure may be from the published one.
        topics: The queries.
        corpus: The documents.
        published: Measure, as ir_measures spells it, → figure.
        prebuilt: An index of the same, to be searched in place of one's own.
        anserini: How Anserini runs it.
        total_terms: Sum of all impacts (BM25: of all words) of the index.
        hits: How many a query gets.
        remove_query: Drop the hit that is the query itself.
        ties: Hits of equal score by docid ascending (ours), or descending, as trec_eval orders those of Anserini's runs.
        document_scale: Impacts per unit of weight in the documents.
        query_scale: The same in the topics.
        quantization: Both in words.
        quantization_source: Who says so.
        model: For ``encode``: folder, hub name or name of an embedded checkpoint.
        quantizer: For ``encode``: the rule.
        max_length: For ``encode``: tokens after which a document is cut.
        k1: Of BM25.
        b: Of BM25.
        documents: Documents in the index, where they are not those of the other systems.
        note: What else a reader should know.
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
    """What a file of the catalogue says; its fields are those of its entries."""

    name: str
    title: str
    judged: int
    qrels: Download
    systems: tuple[System, ...]
    documents: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    Attributes:
        collection: The collection's name.
        title: Its title.
        documents: Documents in the index; None if that depends on the machine.
        judged: Queries with judgments.
        qrels: The judgments.
        system: What is run.
        path: The file that says all this.
        note: What else a reader should know of the collection.
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
        """What the entry is asked for by."""
        return f"{self.collection}.{self.system.name}"

    def downloads(self, *, prebuilt: bool = False) -> list[Download]:
        """All files that a run needs; ``prebuilt``: with the prebuilt index in place of the corpus."""
        large = self.system.prebuilt if prebuilt else self.system.corpus.download
        return [*([large] if large else []), self.system.topics, self.qrels]
