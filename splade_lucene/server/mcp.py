"""Tools for MCP clients: names and arguments follow Pyserini's MCP server where it has the tool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request

from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.errors import SpladeLuceneError
from splade_lucene.files.json_text import parse_json
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.server import answers
from splade_lucene.server.context import Context
from splade_lucene.server.dropin import names_of_type
from splade_lucene.server.problems import ApiError, as_api_error
from splade_lucene.server.registry import OpenIndex
from splade_lucene.server.schemas import QueryPart
from splade_lucene.server.work import Client, ClientGoneError, PatientClient
from splade_lucene.version import __version__

if TYPE_CHECKING:
    from fastmcp import FastMCP

T = TypeVar("T")
PATH = "/mcp"
_INSTRUCTIONS = "Search SPLADE indexes: learned sparse retrieval, in which documents and queries are weighted terms."


@uninterrupted_imports("serve")
def create_mcp(context: Context) -> FastMCP[Any]:
    """Makes the MCP server.

    Args:
        context: The open indexes.

    Raises:
        MissingDependencyError: fastmcp is not installed.
    """
    from fastmcp import FastMCP

    mcp: FastMCP[Any] = FastMCP("splade-lucene", instructions=_INSTRUCTIONS, version=__version__)
    tools = Tools(context)
    for tool in (
        tools.search, tools.get_document, tools.list_indexes, tools.get_index, tools.explain, tools.expand_query,
    ):  # fmt: skip
        mcp.tool(_with_tool_errors(tool, context))
    return mcp


def _with_tool_errors(tool: Callable[..., Awaitable[Any]], context: Context) -> Callable[..., Any]:
    """A tool whose errors are reported to the client."""
    from functools import wraps

    from fastmcp.exceptions import ToolError

    @wraps(tool)
    async def call(*arguments: Any, **options: Any) -> Any:
        try:
            return await tool(*arguments, **options)
        except ClientGoneError:
            raise ToolError("nobody waits for the answer") from None
        except (ApiError, SpladeLuceneError) as error:
            raise ToolError(as_api_error(error, context.registry.folders).text) from error

    return call


_client: ContextVar[Client] = ContextVar("client", default=PatientClient())  # noqa: B039 - it has no state


class Tools:
    """The tools; their docstrings are what a client's model reads.

    Their work is done on the threads of all requests, with their limits, and stops when its client goes.

    Args:
        context: The open indexes.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    async def search(
        self, query: dict[str, Any] | str, index_name: str = "", k: int = HITS_SHOWN, ef_search: int = 100,  # noqa: ARG002
        encoder: str = "", query_generator: str = "", intruction_config: str = "",
    ) -> list[str]:  # fmt: skip
        """Search an index and return the top-k hits with their texts.

        Args:
            query: The query as {"query_txt": "..."}, or its text.
            index_name: Name of the index to search; see list_indexes. Default: the first one.
            k: Number of results to return (default: 10)
            ef_search: For HNSW indexes; there are none here.
            encoder: The index has its own encoder; leave this out.
            query_generator: For indexes of texts; leave this out.
            intruction_config: For image search; leave this out.

        Returns:
            The query, and for each hit a line with docid and score, and its text.
        """
        for name, value in (
            ("encoder", encoder),
            ("query_generator", query_generator),
            ("intruction_config", intruction_config),
        ):
            if value:
                raise ApiError(400, "bad-input", f"impact indexes have no setting {name}", "Leave it out")
        index, text = self._index(index_name), _text_of(query)
        self._check_hits(k)
        vector = await self._encoded(index, text)

        def find() -> list[str]:
            hits = index.searcher.search(vector, k)
            index.record(text, len(vector), hits)
            lines = [f"Query Results for: {text}"]
            for docid, score, document in zip(hits.docids, hits.scores.tolist(), hits.documents(), strict=True):
                lines += [
                    f"DocID: {docid} | Score: {float(score)}",
                    *([contents] if (contents := document.contents()) else []),
                ]
            return lines

        return await self._run(find)

    async def get_document(self, docid: str, index_name: str = "") -> list[str]:
        """Retrieve the full text of a document by its ID from a given index.

        Args:
            docid: Document ID to retrieve
            index_name: Name of the index. Default: the first one.

        Returns:
            The document's text
        """
        index = self._index(index_name)

        def text() -> str:
            answers.check_docid(index, docid)
            document = index.searcher.doc(docid)
            return (document.contents() if document is not None else None) or ""

        return [await self._run(text)]

    async def list_indexes(self, index_type: str = "impact") -> list[str]:
        """List all indexes available for search.

        Args:
            index_type: impact; there are none of Pyserini's other types.

        Returns:
            List of available index names.
        """
        return names_of_type(self._context.registry, index_type)

    async def get_index(self, index_name: str) -> dict[str, Any]:
        """Get the metadata of an index: number of documents, model, fields that can be filtered by.

        Args:
            index_name: Name of the index; see list_indexes

        Returns:
            Dictionary with index information.
        """
        index, read_only = self._index(index_name), not self._context.settings.can_change
        found = await self._run(lambda: answers.describe(index, read_only=read_only))
        return {"downloaded": True, **found}

    async def explain(self, query: dict[str, Any] | str, docid: str, index_name: str = "") -> dict[str, Any]:
        """Explain why a document has its score and rank for a query: which terms they share, and which it lacks.

        Args:
            query: The query as {"query_txt": "..."}, or its text.
            docid: The document
            index_name: Name of the index. Default: the first one.

        Returns:
            Score, rank, the contribution of each shared term, and the missing terms.
        """
        index, text = self._index(index_name), _text_of(query)
        return await self._run(answers.explain, index, await self._encoded(index, text), docid)

    async def expand_query(self, query: dict[str, Any] | str, index_name: str = "") -> list[str]:
        """Show the terms and weights that the model makes of a query.

        Args:
            query: The query as {"query_txt": "..."}, or its text.
            index_name: Name of the index. Default: the first one.

        Returns:
            A line per term, largest weight first; terms that the model added are marked with +.
        """
        index, text = self._index(index_name), _text_of(query)
        vector = await self._encoded(index, text)
        terms = await self._run(answers.listed_terms, index.searcher, text, vector)
        return [f"{'' if each['own'] else '+'}{each['term']} {each['weight']}" for each in terms]

    def _index(self, name: str) -> OpenIndex:
        return self._context.registry[name] if name else self._context.registry.first

    def _check_hits(self, k: int) -> None:
        self._context.check_hits(k)
        if k < 1:
            raise ApiError(400, "bad-input", f"k must be at least 1, got {k}")

    async def _encoded(self, index: OpenIndex, text: str) -> Mapping[str, int]:
        return await self._context.encoded(_client.get(), index, QueryPart(query=text))

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self._context.work.run(_client.get(), function, *arguments)


def _text_of(query: dict[str, Any] | str) -> str:
    """The text of a query; some clients send the object as a text."""
    if isinstance(query, str) and query.lstrip().startswith("{"):
        with suppress(ValueError):
            query = parse_json(query)
    text = query.get("query_txt") if isinstance(query, dict) else query
    if not isinstance(text, str) or not text.strip():
        found = counted(len(query), "key") if isinstance(query, dict) else "a blank text"
        raise ApiError(400, "bad-query", f"the query has no text: {found}", 'Send {"query_txt": "..."}')
    return text


class LazyMcp:
    """MCP over HTTP as an ASGI application, which is made for its first request: importing fastmcp takes a second.

    Args:
        context: The open indexes.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = asyncio.Lock()
        self._app: Any = None
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request."""
        async with self._lock:
            if self._app is None:
                await self._start()
        _client.set(Request(scope, receive))
        await self._app({**scope, "path": PATH, "root_path": "", "raw_path": PATH.encode()}, receive, send)

    async def _start(self) -> None:
        mcp = await self._context.work.run_internal(create_mcp, self._context)
        # the gate has checked the host already
        app = mcp.http_app(path=PATH, json_response=True, stateless_http=True, host_origin_protection=False)
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._run(app, started))
        await started
        self._app = app

    async def _run(self, app: Any, started: asyncio.Future[None]) -> None:
        try:
            async with app.lifespan(app):
                started.set_result(None)
                await self._stop.wait()
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    async def close(self) -> None:
        """Shuts it down."""
        self._stop.set()
        if self._running is not None:
            await self._running
