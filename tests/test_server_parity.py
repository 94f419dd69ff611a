"""Eight clients at once get the answers of the library, from two indexes. ``SPLADE_LUCENE_TEST_QUERIES=1000`` asks more."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.collections import TERMS, random_collection
from support.servers import RunningServer, running

from splade_lucene import LuceneImpactSearcher, index_pseudo_documents, write_pseudo_documents

QUERIES = int(os.environ.get("SPLADE_LUCENE_TEST_QUERIES", "100"))


@pytest.fixture(scope="module")
def folders(index_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parity")
    write_pseudo_documents(folder / "docs.jsonl", random_collection(3000, seed=11, impacts=5))
    index_pseudo_documents(folder / "docs.jsonl", folder / "index")
    return {"one": index_dir, "other": folder / "index"}


@pytest.fixture(scope="module")
def server(folders: dict[str, Path]) -> Iterator[RunningServer]:
    with running(folders) as server:
        yield server


def test_parallel_clients_get_the_answers_of_the_library(server, folders):
    source = random.Random(5)
    asked = [
        (
            source.choice([*folders]),
            {term: source.randint(1, 200) for term in source.sample(TERMS, source.randint(1, 40))},
        )
        for _ in range(QUERIES)
    ]

    def ask(item: tuple[str, dict[str, int]]) -> list[tuple[str, int]]:
        name, vector = item
        answer = server.fetch(f"/api/v1/{name}/search", {"vector": vector, "k": 50, "highlight": False})
        return [(hit["docid"], hit["score"]) for hit in answer["hits"]]

    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(ask, asked)]
    searchers = {name: LuceneImpactSearcher(folder) for name, folder in folders.items()}
    for (name, vector), found in zip(asked, answers, strict=True):
        hits = searchers[name].search(vector, 50)
        assert found == [*zip(hits.docids, hits.scores.tolist(), strict=True)]
    for searcher in searchers.values():
        searcher.close()
