"""Paths of other servers: Anserini's and Pyserini's own servers run next to ours, and answers are compared key by key."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.processes import child_environment
from support.servers import Client, RunningServer, running

from splade_lucene import LuceneImpactSearcher, SpladeEncoder, build_index, jvm
from splade_lucene.server.stored_json import format_document, java_double

TEXTS = ["list the files of a folder", "a folder of files", "open a file", "the list of threads"]
QUERIES = ["list", "files folder", "open threads"]


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory, encoder: SpladeEncoder) -> dict[str, Path]:
    """The same documents with their texts, with their whole input, and without either."""
    folder = tmp_path_factory.mktemp("dropin")
    records = [{"id": f"d/{number}", "contents": text, "year": 2000 + number / 4} for number, text in enumerate(TEXTS)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for store in ("text", "raw", "none"):
        build_index(folder / "corpus.jsonl", folder / store, encoder, store=store, fields="year")
    return {name: folder / name for name in ("text", "raw", "none")}


@pytest.fixture(scope="module")
def server(indexes: dict[str, Path]) -> Iterator[RunningServer]:
    with running(indexes) as server:
        yield server


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _wait_for(client: Client, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 100
    while True:
        assert process.poll() is None
        assert time.monotonic() < end
        with contextlib.suppress(OSError):
            client.get("/v1/none")
            return
        time.sleep(0.1)


@contextmanager
def _running(client: Client, command: list[str], **options: Any) -> Iterator[None]:
    """Runs another server, and kills it at the end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, **options)
    try:
        _wait_for(client, process)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def anserini() -> Iterator[Client]:
    """Anserini's server."""
    client = Client(_free_port())
    jar, java = jvm.find_fatjar(), jvm.find_runtime().home / "bin" / "java"
    command = [str(java), "-Xmx1g", "-cp", str(jar), "io.anserini.api.RestServer", "--port", str(client.port)]
    with _running(client, command, stderr=subprocess.DEVNULL):
        yield client


PYSERINI = """
import json, sys
from unittest.mock import MagicMock
for other in ("faiss", "pyserini.encode.optional._uniir"):  # for dense indexes
    sys.modules.setdefault(other, MagicMock())
from splade_lucene.jvm.pyserini_import import pyserini_importable
searchers = json.loads(sys.argv[2])
with pyserini_importable():
    import pyserini.search.lucene as lucene
import pyserini.prebuilt_index_info as info
from pyserini.search.lucene import LuceneSearcher
lucene.LuceneSearcher.from_prebuilt_index = classmethod(lambda cls, name, **_: LuceneSearcher(searchers.get(name, name)))
info.TF_INDEX_INFO.update({name: {} for name in searchers})
info.TF_INDEX_INFO.setdefault("msmarco-v1-passage", {})
searchers["msmarco-v1-passage"] = next(iter(searchers.values()))
import uvicorn
from pyserini.server.rest.app import app
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""
"""Pyserini's server serves only indexes that it can download; here they are in folders."""


@pytest.fixture(scope="module")
def pyserini(indexes: dict[str, Path]) -> Iterator[Client]:
    """Pyserini's server."""
    client = Client(_free_port())
    folders = json.dumps({name: str(path) for name, path in indexes.items()})
    command = [sys.executable, "-c", PYSERINI, str(client.port), folders]
    with _running(client, command, env=child_environment(OPENAI_API_KEY="none")):
        yield client


def shape(value: Any) -> Any:
    """The keys and types of a value; of a list, those of its first element."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


# ---- Anserini ----


@pytest.mark.process
def test_searches_are_shaped_as_by_anserini(server, anserini, indexes):
    for name, folder in indexes.items():
        theirs_at = f"/v1/{quote(str(folder), safe='')}"
        for query in QUERIES:
            for options in ("", "&hits=2", "&parse=false", "&hits=3&parse=TRUE"):
                path = f"/search?query={quote(query)}{options}"
                ours, theirs = server.get(f"/v1/{name}{path}"), anserini.get(theirs_at + path)
                assert (ours.status, ours.headers["content-type"]) == (theirs.status, theirs.headers["content-type"])
                assert list(ours.json) == list(theirs.json)
                assert shape(ours.json)["candidates"][0].keys() == shape(theirs.json)["candidates"][0].keys()
                assert ours.json["query"] == theirs.json["query"] == {"text": query}
                docs = {each["docid"]: each["doc"] for each in theirs.json["candidates"]}
                for each in ours.json["candidates"]:
                    assert isinstance(each["score"], float)
                    if each["docid"] in docs:
                        assert each["doc"] == docs[each["docid"]], (name, path)
                assert [each["rank"] for each in ours.json["candidates"]] == [
                    *range(1, len(ours.json["candidates"]) + 1)
                ]


@pytest.mark.process
def test_documents_equal_those_of_anserini(server, anserini, indexes):
    for name, folder in indexes.items():
        for number in range(len(TEXTS)):
            for options in ("", "?parse=false"):
                path = f"/doc/d%2F{number}{options}"
                ours = server.fetch(f"/v1/{name}{path}")
                theirs = anserini.fetch(f"/v1/{quote(str(folder), safe='')}{path}")
                assert ours == {**theirs, "index": name}
                assert list(ours) == list(theirs)


@pytest.mark.process
@pytest.mark.parametrize(
    "path",
    [
        "search",
        "search?query=%20",
        "search?query=a&hits=x",
        "search?query=a&hits=0",
        "search?query=a&parse=maybe",
        "doc/nothing",
    ],
)
def test_errors_equal_those_of_anserini(server, anserini, indexes, path):
    ours = server.get(f"/v1/text/{path}")
    theirs = anserini.get(f"/v1/{quote(str(indexes['text']), safe='')}/{path}")
    assert (ours.status, ours.json) == (theirs.status, theirs.json)
    ours, theirs = server.get("/v1/nope/search?query=a"), anserini.get("/v1/nope/search?query=a")
    assert (ours.status, ours.json) == (theirs.status, theirs.json)


def test_hits_are_those_of_the_library(server, indexes):
    with LuceneImpactSearcher(indexes["text"]) as searcher:
        for query in QUERIES:
            found = server.fetch(f"/v1/text/search?query={quote(query)}")["candidates"]
            expected = searcher.search(query)
            assert [(each["docid"], each["score"]) for each in found] == [(hit.docid, hit.score) for hit in expected]


def test_stored_json_is_shown_as_java_shows_it():
    shown = format_document('{"_id": "x", "a": 1, "b": 1e7, "c": null, "d": true, "e": [1], "f": 0.5}', parse=True)
    assert shown == {"a": "1", "b": "1.0E7", "c": "null", "d": "true", "e": [1], "f": "0.5"}
    assert format_document('{"id": "x", "text": "only"}', parse=True) == "only"
    assert format_document("not JSON", parse=True) == "not JSON"
    assert format_document("[1]", parse=True) == [1]
    assert format_document(None, parse=True) is None
    assert [*map(java_double, (123456.75, -1.25e-5, 1e300, 12345678.9))] == [
        "123456.75",
        "-1.25E-5",
        "1.0E300",
        "1.23456789E7",
    ]


# ---- Pyserini ----


@pytest.mark.process
def test_answers_are_shaped_as_by_pyserini(server, pyserini):
    for body in (
        {"query": "files"},
        {"query": {"query_txt": "folder files", "qid": "7"}, "hits": 2},
        {"query": "list", "qid": "q"},
    ):
        ours, theirs = server.post("/v1/indexes/raw/search", body), pyserini.post("/v1/indexes/raw/search", body)
        assert (ours.status, theirs.status) == (200, 200), (ours, theirs)
        assert shape(ours.json) == shape(theirs.json)
        texts = {each["docid"]: each["document_txt"] for each in theirs.json["candidates"]}
        for each in ours.json["candidates"]:
            assert each["document_txt"] == texts.get(each["docid"], each["document_txt"])
        assert ours.json["candidates"]
    document = "/v1/indexes/text/documents/d%2F1"
    assert server.get("/v1/indexes/text/documents/d/1").json["contents"] == TEXTS[1]
    assert server.get(document).json == {"id": "d/1", "contents": TEXTS[1]}
    for path in ("/v1/indexes/none-such/documents/d1", "/v1/indexes/text/documents/nothing"):
        ours, theirs = server.get(path), pyserini.get(path)
        assert (ours.status, shape(ours.json)) == (theirs.status, shape(theirs.json))
    for path in ("/v1/indexes/text/status", "/v1/indexes/?index_type=impact", "/v1/indexes/text/settings"):
        assert server.get(path).status == 200
    settings = "/v1/indexes/text/settings"
    ours, theirs = (each.post(settings, {"efSearch": "100"}) for each in (server, pyserini))
    assert (ours.status, ours.json) == (theirs.status, theirs.json)
    assert server.post(settings, server.fetch(settings)).json == ours.json
    assert server.post(settings, {"encoder": "another"}).status == 400
    odd = server.post("/v1/indexes/text/search", {"query": ["files"]}).json["detail"]
    assert odd.startswith("body.query: Input should be a valid string; body.query: Input should be a valid dictionary")
    assert server.fetch("/v1/indexes/?index_type=impact") == ["text", "raw", "none"]
    assert shape(server.fetch("/v1/indexes/text/status")) == {"downloaded": "bool", "size_bytes": "str"}


# ---- Text Embeddings Inference ----


def test_texts_are_embedded_as_by_text_embeddings_inference(server, encoder):
    expected = encoder.encode_documents(TEXTS)
    rows = server.fetch("/embed_sparse", {"inputs": TEXTS})
    terms = encoder.terms
    for row, weights in zip(rows, expected, strict=True):
        assert {terms[each["index"]]: each["value"] for each in row} == pytest.approx(dict(weights), abs=1e-4)
    assert server.fetch("/embed_sparse", {"inputs": TEXTS[0]}) == rows[:1]
    queries = server.fetch("/embed_sparse", {"inputs": [TEXTS[0]], "prompt_name": "query"})
    assert {terms[each["index"]] for each in queries[0]} == dict(encoder.encode_queries([TEXTS[0]])[0]).keys()
    long = server.post("/embed_sparse", {"inputs": "word " * 1000, "truncate": False})
    assert (long.status, long.json["error_type"]) == (413, "Validation")
    assert server.post("/embed_sparse", {"inputs": "word " * 1000}).status == 200
    named = {"inputs": TEXTS[:1], "prompt_name": "document", "model": server.fetch("/api/v1/indexes")[0]["model"]}
    assert server.fetch("/embed_sparse", named) == rows[:1]
    for wrong in ({"prompt_name": "passage"}, {"model": "other"}):
        refused = server.post("/embed_sparse", {**named, **wrong})
        assert (refused.status, refused.json["error_type"]) == (422, "Validation")
    empty = server.post("/embed_sparse", {"inputs": []})
    assert (empty.status, sorted(empty.json)) == (422, ["error", "error_type"])
