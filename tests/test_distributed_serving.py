"""Shards that Ray Serve serves, replicas of each behind one router: the answers are those of a server of the one index."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import tiny_checkpoint
from support.clusters import RAYLETS, import_path, patiently, workers_named
from support.processes import wait_for

pytest.importorskip("ray", reason="ray is not installed")

from fastapi.testclient import TestClient

from splade_lucene import Quantizer, RayCluster, SpladeEncoder, build_index
from splade_lucene.distributed.serving import ServedIndexes
from splade_lucene.index.shards import Shards, write_shards
from splade_lucene.server.app import create_app
from splade_lucene.server.settings import ServerSettings

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.filterwarnings("ignore")]

WORDS = ["cat", "dog", "bird", "fish", "horse", "cow", "sheep", "goat", "mouse", "rat", "heart", "blood", "sugar"]
API = "/api/v1/docs"
QUERY = "cats and dogs with sugar"
REQUESTS: list[tuple[str, Any]] = [
    (f"{API}/search", {"query": QUERY, "k": 20, "highlight": True, "explain": True, "facets": ["lang"]}),
    (f"{API}/search", {"vector": {"cat": 3, "blood": 2}, "k": 100, "filter": 'lang = "de" and year >= 2005'}),
    (f"{API}/search", {"query": "", "k": 5}),
    (f"{API}/batch", {"queries": [{"qid": "a", "query": "blood"}, {"qid": "b", "vector": {"dog": 1}}], "k": 7}),
    (f"{API}/explain", {"query": QUERY, "docid": "d3"}),
    (f"{API}/explain", {"query": QUERY, "docid": "missing"}),
    (f"{API}/encode", {"texts": [QUERY, "heart"], "kind": "query"}),
    (f"{API}/expand?query=heart", None),
    (f"{API}/documents/d3", None),
    (f"{API}/documents/missing", None),
    (f"{API}/documents/d77/similar?k=5", None),
    (f"{API}/fields", None),
    (f"{API}/terms?prefix=a&k=20", None),
    (f"{API}/search", {"query": QUERY, "filter": "color = 3"}),
    ("/v1/docs/search?query=cat&hits=5", None),
    ("/v1/docs/doc/d9", None),
    ("/api/v1/indexes", None),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """An index, and the same documents in two shards."""
    folder, source = tmp_path_factory.mktemp("indexes"), random.Random(9)
    encoder = SpladeEncoder(tiny_checkpoint(folder / "model", "bert"), device="cpu", dtype="float32")
    lines = [
        json.dumps({
            "id": f"d{number}", "contents": " ".join(source.choices(WORDS, k=source.randint(1, 30))),
            "lang": source.choice(["de", "en"]), "year": 2000 + number % 20,
        }) + "\n"
        for number in range(120)
    ]  # fmt: skip
    parts = {"one": lines, "shards/a": lines[:50], "shards/b": lines[50:]}
    for name, part in parts.items():
        corpus = folder / "corpus.jsonl"
        corpus.write_text("".join(part))
        fields = "lang:keyword,year:integer"
        build_index(corpus, folder / name, encoder, Quantizer.named("naver"), fields=fields, store="text")
    write_shards(folder / "shards", Shards("", ("a", "b"), (50, 70)))
    return folder / "one", folder / "shards"


@pytest.fixture(scope="module")
def served(folders, tmp_path_factory) -> Iterator[ServedIndexes]:
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        patch.setenv("PYTHONPATH", import_path(tmp_path_factory.mktemp("path")))
        for name, value in RAYLETS.items():
            patch.setenv(name, value)
        settings, cluster = ServerSettings({"docs": folders[1]}, port=port), RayCluster(timeout=600)
        with patiently(ServedIndexes, settings=settings, cluster=cluster, replicas=2) as found:
            yield found


def ask(url: str, body: Any) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def plain(text: str) -> list[Any]:
    """The lines of an answer, without times and without what tells that the index cannot be changed."""
    found = [json.loads(line) for line in text.splitlines()]
    for each in found:
        for row in each if isinstance(each, list) else [each]:
            if isinstance(row, dict):
                row.pop("total_milliseconds", None)
    return found


def test_a_router_over_replicas_answers_as_a_server_of_the_index(folders, served):
    settings = ServerSettings({"docs": folders[0]}, read_only=True, refresh_seconds=0)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as alone:

        def compare() -> None:
            for path, body in REQUESTS:
                there = alone.get(path) if body is None else alone.post(path, json=body)
                status, text = ask(served.url + path, body)
                assert (status, plain(text)) == (there.status_code, plain(there.text)), (path, body)

        compare()
        replicas = workers_named("ServeReplica:splade-lucene:docs-1")
        assert len(replicas) == 2
        os.kill(replicas[0], signal.SIGKILL)
        wait_for(lambda: ask(f"{served.url}{API}/search", {"query": QUERY})[0] == 200, 600)
        compare()
    status, text = ask(f"{served.url}{API}/search", {"query": QUERY, "exact": False})
    assert status == 400
    assert "searched exactly" in text
    assert ask(f"{served.url}{API}/search", {"query": QUERY, "engine": "bm25"})[0] == 400
