"""MCP: tools with the names and arguments of Pyserini's server, in this process, over HTTP and over pipes."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import child_environment
from support.servers import RunningServer, running

from splade_lucene import LuceneImpactSearcher, SpladeEncoder, build_index
from splade_lucene.server.mcp import Tools

fastmcp = pytest.importorskip("fastmcp", reason="needs fastmcp, of the extra serve")

TEXTS = ["list the files of a folder", "a folder of files", "open a file", "the list of threads"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, encoder: SpladeEncoder) -> Path:
    folder = tmp_path_factory.mktemp("mcp")
    (folder / "corpus.tsv").write_text("".join(f"d{number}\t{text}\n" for number, text in enumerate(TEXTS)))
    build_index(folder / "corpus.tsv", folder / "index", encoder)
    return folder / "index"


@pytest.fixture(scope="module")
def server(index: Path) -> Iterator[RunningServer]:
    with running({"files": index}) as server:
        yield server


def talk(transport: Any, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    async def scenario() -> list[Any]:
        async with fastmcp.Client(transport) as client:
            tools = await client.list_tools()
            return [
                tools,
                *[(await client.call_tool(name, arguments, raise_on_error=False)) for name, arguments in calls],
            ]

    return asyncio.run(scenario())


def texts(result: Any) -> list[str]:
    assert not result.is_error, result
    return result.structured_content["result"]


def pyserini_tools() -> dict[str, list[str]]:
    """The tools of Pyserini's server and their arguments, from its source."""
    package = (
        Path(next(path for path in sys.path if (Path(path) / "pyserini" / "server").is_dir())) / "pyserini" / "server"
    )
    source = (package / "mcp" / "tools.py").read_text(encoding="utf-8")
    functions = re.findall(r"    def (\w+)\((.*?)\)(?: ->.*?)?:\n", source, re.S)
    return {name: re.findall(r"(\w+):", arguments) for name, arguments in functions}


def test_tools_are_spelled_as_by_pyserini():
    theirs = pyserini_tools()
    shared = {"search", "get_document", "list_indexes", "get_index"}
    assert shared < theirs.keys()
    for name in shared:
        assert {*inspect.signature(getattr(Tools, name)).parameters} - {"self"} == {*theirs[name]}


def check_tools(transport: Any, index: Path) -> None:
    query = {"query_txt": "list files"}
    tools, hits, document, names, others, none, described, explained, expanded, wrong, encoder = talk(
        transport,
        ("search", {"query": query, "index_name": "files", "k": 2}),
        ("get_document", {"docid": "d1", "index_name": "files"}),
        ("list_indexes", {"index_type": "impact"}),
        ("list_indexes", {"index_type": "faiss"}),
        ("list_indexes", {"index_type": "sparse"}),
        ("get_index", {"index_name": "files"}),
        ("explain", {"query": query, "docid": "d0"}),
        ("expand_query", {"query": "list files"}),
        ("get_document", {"docid": "nothing"}),
        ("search", {"query": query, "encoder": "other"}),
    )
    assert {tool.name for tool in tools} == {
        "search",
        "get_document",
        "list_indexes",
        "get_index",
        "explain",
        "expand_query",
    }
    with LuceneImpactSearcher(index) as searcher:
        expected = searcher.search("list files", 2)
        lines = [[f"DocID: {hit.docid} | Score: {hit.score}", hit.contents] for hit in expected]
        assert texts(hits) == ["Query Results for: list files", *(line for pair in lines for line in pair)]
        assert explained.structured_content["score"] == searcher.score("list files", ["d0"])[0]
    assert texts(document) == [TEXTS[1]]
    assert texts(names) == ["files"]
    assert texts(others) == []
    assert none.is_error
    assert "Index type must be one of" in none.content[0].text
    assert described.structured_content["documents"] == len(TEXTS)
    assert any(line.startswith("+") for line in texts(expanded))
    assert wrong.is_error
    assert "no document of files has the id 'nothing'" in wrong.content[0].text
    assert encoder.is_error


def test_tools_over_http(server, index):
    check_tools(f"{server.url}/mcp", index)


@pytest.mark.process
def test_tools_over_pipes(index):
    from fastmcp.client.transports import StdioTransport

    command = ["-m", "splade_lucene", "serve", "--index", f"files={index}", "--mcp-stdio"]
    check_tools(StdioTransport(sys.executable, command, env=child_environment()), index)


@pytest.mark.process
def test_ctrl_c_ends_it_while_its_input_is_open(index):
    process = subprocess.Popen(
        [sys.executable, "-m", "splade_lucene", "serve", "--index", f"files={index}", "--mcp-stdio"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child_environment(),
    )  # fmt: skip
    client = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    with process:
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "splade-lucene"
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 130
        finally:
            process.kill()
        assert "interrupted: " in process.stderr.read()
