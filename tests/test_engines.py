"""Every engine, on every kind of index and query, gives the hits of the NumPy oracle: documents, scores and order.

``SPLADE_LUCENE_CASES=100000 pytest tests/test_engines.py`` runs more of the random cases than the few thousand of a test run.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import get_args

import pytest

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    exhaustive_search,
    index_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.errors import QueryError
from splade_lucene.searcher import Engine

CASES = int(os.environ.get("SPLADE_LUCENE_CASES", "3000"))
CASES_OF_AN_INDEX = 60
SEED = 20261123
WAYS = [*((engine, None) for engine in get_args(Engine)), ("auto", 0)]  # 0: nothing decoded, streamed from Lucene


def random_documents(source: random.Random) -> list[PseudoDocument]:
    """Few or many, tied or not, alike by neighbourhood or not, with rare and with common terms."""
    count = source.choice([1, 2, 5, 63, 64, 65, 130, 400, 1500])
    largest = source.choice([1, 2, 5, 300, 65_535, 65_536, 2**20])
    terms = [f"t{i}" for i in range(source.choice([1, 3, 20, 200]))]
    numbers = source.sample(range(10 * count), count)
    documents = []
    for position, number in enumerate(numbers):
        topic = position // 50 if source.random() < 0.7 else source.randint(0, 50)
        near = [terms[(topic * 7 + i) % len(terms)] for i in range(source.randint(1, 12))]
        chosen = {*near, *source.sample(terms, min(len(terms), source.randint(0, 3)))}
        documents.append(PseudoDocument(str(number), "", {term: source.randint(1, largest) for term in sorted(chosen)}))
    return documents


def random_query(source: random.Random) -> dict[str, int]:
    largest = source.choice([1, 2, 300, 2**20])
    terms = source.sample([f"t{i}" for i in range(220)], source.choice([1, 2, 8, 30, 200]))
    return {term: source.randint(1, largest) for term in [*terms, *source.choice([[], ["t0"], ["t0", "t1", "t2"]])]}


def build(documents: list[PseudoDocument], folder: Path, source: random.Random) -> list[PseudoDocument]:
    """Indexes in bulk, or in several segments with some documents deleted; returns those that are left."""
    index = folder / "index"
    if source.random() < 0.7:
        write_pseudo_documents(folder / "docs.jsonl", documents)
        index_pseudo_documents(
            folder / "docs.jsonl", index, order=source.choice(["bp", "input"]), store="none", overwrite=True
        )
        return documents
    with LuceneImpactIndexer(index) as indexer:
        indexer.delete([document.docid for document in documents])
        step = source.choice([len(documents), 1 + len(documents) // 3])
        for start in range(0, len(documents), step):
            indexer.add(documents[start : start + step])
            indexer.commit()
        deleted = {document.docid for document in documents if source.random() < source.choice([0, 0.3])}
        indexer.delete(deleted)
    return [document for document in documents if document.docid not in deleted]


def test_random_cases_equal_the_oracle(tmp_path):
    done = 0
    for number in range(CASES):
        if done >= CASES:
            break
        source = random.Random(SEED + number)
        folder = tmp_path / str(number)
        folder.mkdir()
        documents = build(random_documents(source), folder, source)
        searchers = [
            LuceneImpactSearcher(folder / "index", engine=engine, cache_bytes=cache_bytes)
            for engine, cache_bytes in WAYS
        ]
        try:
            for _ in range(CASES_OF_AN_INDEX // len(WAYS)):
                query = random_query(source)
                k = source.choice([1, 2, 3, 10, 100, 1000, len(documents) + 1])
                expected = exhaustive_search(documents, query, k)
                for searcher, way in zip(searchers, WAYS, strict=True):
                    hits = searcher.search(query, k)
                    found = list(zip(hits.docids, hits.scores.tolist(), strict=True))
                    assert found == expected, (SEED + number, way, query, k)
                    done += 1
        finally:
            for searcher in searchers:
                searcher.close()


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> tuple[list[PseudoDocument], Path]:
    """More documents than a window of 65,536, most of them with one common term, blocks without any term of a query."""
    folder = tmp_path_factory.mktemp("wide")
    source = random.Random(SEED)
    documents = [
        PseudoDocument(
            f"d{i}",
            "",
            {f"topic{i // 1000}": source.randint(1, 50), **({"common": source.randint(1, 3)} if i % 3 else {})},
        )
        for i in range(70_000)
    ]
    write_pseudo_documents(folder / "docs.jsonl", documents)
    for order in ("input", "bp"):
        index_pseudo_documents(folder / "docs.jsonl", folder / order, order=order, store="none")
    return documents, folder


@pytest.mark.slow
@pytest.mark.parametrize("order", ["input", "bp"])
@pytest.mark.parametrize("way", WAYS)
def test_more_documents_than_a_window(wide, order, way):
    documents, folder = wide
    with LuceneImpactSearcher(folder / order, engine=way[0], cache_bytes=way[1]) as searcher:
        for query in ({"common": 1}, {"topic3": 2, "topic69": 1, "common": 7}, {"topic66": 1}):
            for k in (1, 10, 1000, 70_001):
                hits = searcher.search(query, k)
                assert list(zip(hits.docids, hits.scores.tolist(), strict=True)) == exhaustive_search(
                    documents, query, k
                )


def test_an_unknown_engine_is_named(tmp_path):
    with pytest.raises(QueryError, match="no engine is named 'magic'. Choose one of: auto, blockmax, taat"):
        LuceneImpactSearcher(tmp_path, engine="magic")
