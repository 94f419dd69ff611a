"""Shards that Ray Serve serves, replicas of each behind one router: the answers are those of a server of the one index."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import tiny_checkpoint
from support.clusters import RAYLETS, import_path, raylet_of, workers_named
from support.commands import check_failed, run, run_process
from support.processes import child_environment, free_port, wait_for

pytest.importorskip("ray", reason="ray is not installed")

from fastapi.testclient import TestClient

from splade_lucene import InputError, Quantizer, RayCluster, SpladeEncoder, build_index
from splade_lucene.distributed import sharing
from splade_lucene.distributed.cluster import Node
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
def served(folders, tmp_path_factory) -> Iterator[str]:
    """The URL of a server that the command has deployed with two replicas of each shard."""
    path, folder = import_path(tmp_path_factory.mktemp("path")), tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        for attempt in range(4):  # Ray gives a node half a minute to start
            port, log = free_port(), folder / str(attempt)
            command = [
                sys.executable, "-m", "splade_lucene", "serve", "--index", f"docs={folders[1]}", "--port", str(port),
                "--ray", "local", "--replicas", "2", "--ray-timeout", "600",
            ]  # fmt: skip
            process = subprocess.Popen(
                command, env=child_environment(PYTHONPATH=path, **RAYLETS), stderr=stack.enter_context(log.open("w"))
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            wait_for(lambda: process.poll() is not None or "serving docs at " in log.read_text(), 800)  # noqa: B023
            if process.poll() is None or "timed out during startup" not in log.read_text():
                break
        assert process.poll() is None, log.read_text()
        yield log.read_text().partition("serving docs at ")[2].split()[0]
        process.terminate()
        assert process.wait(120) == 0, log.read_text()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


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


def test_the_command_answers_as_a_server_of_the_index(folders, served):
    settings = ServerSettings({"docs": folders[0]}, read_only=True, refresh_seconds=0)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as alone:

        def compare() -> None:
            for path, body in REQUESTS:
                there = alone.get(path) if body is None else alone.post(path, json=body)
                status, text = ask(served + path, body)
                assert (status, plain(text)) == (there.status_code, plain(there.text)), (path, body)

        compare()
        replicas = workers_named("ServeReplica:splade-lucene:docs-1")
        assert len(replicas) == 2
        os.kill(replicas[0], signal.SIGKILL)
        wait_for(lambda: ask(f"{served}{API}/search", {"query": QUERY})[0] == 200, 600)
        compare()
    status, text = ask(f"{served}{API}/search", {"query": QUERY, "exact": False})
    assert status == 400
    assert "searched exactly" in text
    assert ask(f"{served}{API}/search", {"query": QUERY, "engine": "bm25"})[0] == 400


def test_a_second_deployment_on_the_same_cluster_is_refused(folders, served):
    raylet = raylet_of(workers_named("ServeReplica:splade-lucene:docs-1")[0])
    command = Path(f"/proc/{raylet}/cmdline").read_bytes().decode().split("\0")
    address = next(each.partition("=")[2] for each in command if each.startswith("--gcs-address="))
    told = check_failed(run_process("serve", "--index", folders[1], "--ray", address, "--port", free_port(), **RAYLETS))
    assert "Ray Serve already runs on this cluster (applications: splade-lucene)" in " ".join(told.split())
    assert ask(f"{served}{API}/search", {"query": QUERY})[0] == 200


def test_nodes_that_see_another_index_are_refused(folders, tmp_path):
    """A replica there would answer with other documents."""
    here = sharing.commits([str(folders[0]), str(tmp_path)])
    assert len(here[str(folders[0])]) == 1
    assert here[str(tmp_path)] == []

    class Session:
        found = here[str(folders[0])]

        def on_every_node(self, function: Any, names: list[str]) -> list[Any]:
            same = function(names)
            other = {**same, str(folders[0]): self.found}
            return [(Node("1", "10.0.0.1", {}), same), (Node("2", "10.0.0.2", {}), other)]

    session: Any = Session()
    sharing.check_same_indexes(session, [tmp_path, folders[0]])
    session.found = []
    with pytest.raises(InputError, match="on 10.0.0.2, no index was found"):
        sharing.check_same_indexes(session, [tmp_path, folders[0]])
    session.found = ["segments_9 of 7 bytes"]
    with pytest.raises(InputError, match="on 10.0.0.2, the index has segments_9 of 7 bytes"):
        sharing.check_same_indexes(session, [tmp_path, folders[0]])


def test_what_does_not_fit_is_refused(folders):
    for arguments, message in (
        (("--replicas", 2), "--replicas requires --ray"),
        (("--ray", "local", "--mcp-stdio"), "--ray does not support --mcp-stdio"),
        (("--ray", "local", "--ray-workers", 3, "--ray-gpus", 1), "--ray does not support --ray-workers, --ray-gpus"),
    ):
        done = run("serve", "--index", folders[0], *arguments)
        assert done.returncode == 2
        assert message in " ".join(done.stderr.replace("│", " ").split())
    with pytest.raises(InputError, match="Ray Serve needs a port"):
        ServedIndexes(ServerSettings({"docs": folders[0]}, port=0), RayCluster())
