#!/usr/bin/env python3
"""A collection of encoded real text, created once: 1,000 queries and about 70,000 documents, by the embedded model.

    python benchmarks/real_text.py [--max-length 64]

The documents are the abstracts of CACM, Python's own documentation and the passages of the shared training data; the queries
are those of CACM and the demo's questions on Python, which have judgments, and queries from the training data, which have none.
An interrupted encoding is resumed; on two slow cores it takes an hour.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from common import ROOT, SHARED, WORK

sys.path.insert(0, str(ROOT))

from splade_lucene.corpus.python_docs import read_python_docs
from splade_lucene.demo import read_questions
from splade_lucene.topics.reading import read_topics

QUERIES = 1000
DATA = SHARED / "data"


@dataclass(frozen=True)
class RealText:
    """Paths of the encoded collection."""

    pseudo_documents: Path
    topics: Path  # encoded
    qrels: Path

    def vectors(self) -> dict[str, dict[str, int]]:
        """The queries, qid → {term: impact}."""
        return {query.qid: dict(query.vector or {}) for query in read_topics(self.topics, encoded=True)}


def real_text(max_length: int = 64) -> RealText:
    """Creates the collection unless it exists."""
    folder = WORK / f"real-text-{max_length}"
    text, encoded = folder / "text", RealText(folder / "encoded", folder / "topics.tsv", folder / "qrels.txt")
    if not (folder / "done").exists():
        text.mkdir(parents=True, exist_ok=True)
        if not (text / "corpus.jsonl").exists():
            write_lines(text / "corpus.jsonl", map(json.dumps, documents()))
        write_lines(folder / "topics.text.tsv", (f"{qid}\t{' '.join(query.split())}" for qid, query in queries()))
        write_lines(encoded.qrels, judgments())
        run(
            "encode",
            "--corpus",
            text / "corpus.jsonl",
            "--output",
            encoded.pseudo_documents,
            "--max-length",
            max_length,
        )
        run("encode-queries", "--topics", folder / "topics.text.tsv", "--output", encoded.topics)
        (folder / "done").touch()
    return encoded


def documents() -> Iterator[dict[str, Any]]:
    yield from read_lines(DATA / "cacm" / "corpus.jsonl")
    yield from ({"_id": document.docid, "text": document.text} for document in read_python_docs())
    yield from read_lines(DATA / "training" / "passages.jsonl.gz")


def queries() -> Iterator[tuple[str, str]]:
    """The queries, those with judgments first."""
    judged = [(f"cacm-{record['_id']}", record["text"]) for record in read_lines(DATA / "cacm" / "queries.jsonl")]
    judged += [(query.qid, query.text or "") for query, _ in read_questions()]
    yield from judged
    for record in islice(read_lines(DATA / "training" / "queries.jsonl.gz"), QUERIES - len(judged)):
        yield f"training-{record['_id']}", record["text"]


def judgments() -> Iterator[str]:
    for line in (DATA / "cacm" / "qrels.txt").read_text(encoding="utf-8").splitlines():
        yield f"cacm-{line}"
    for query, relevant in read_questions():
        yield from (f"{query.qid} 0 {docid} 1" for docid in relevant)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def write_lines(path: Path, lines: Any) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    shutil.move(partial, path)


def run(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "splade_lucene", *map(str, arguments)], check=True, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-length", type=int, default=64)
    print(real_text(parser.parse_args().max_length))


if __name__ == "__main__":
    main()
