"""The application: routes, errors, the page, startup and shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from splade_lucene.errors import SpladeLuceneError
from splade_lucene.search.searcher import LuceneImpactSearcher
from splade_lucene.server.api import api_routes
from splade_lucene.server.context import ERRORS, Context
from splade_lucene.server.docs_page import describe_api
from splade_lucene.server.dropin import dropin_routes
from splade_lucene.server.fast_search import FastSearch
from splade_lucene.server.gate import Gate, Receive, Scope, Send, server_fault
from splade_lucene.server.json_answers import error_answer, http_problem, invalid_request, json_answer
from splade_lucene.server.logs import log_request
from splade_lucene.server.mcp import PATH, LazyMcp
from splade_lucene.server.metrics import Metrics
from splade_lucene.server.page import read_page
from splade_lucene.server.problems import ApiError, as_api_error, stopping
from splade_lucene.server.registry import OpenSearcher, Registry
from splade_lucene.server.schemas import HealthAnswer
from splade_lucene.server.settings import ServerSettings
from splade_lucene.server.work import Work
from splade_lucene.version import __version__

_log = logging.getLogger("splade_lucene.server")


class _GatedApp(FastAPI):
    """An application whose requests pass the gate and the fast path before the layers of the framework.

    Attributes:
        gate: What answers a request.
    """

    gate: Gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.gate(scope, receive, send)


def create_app(
    settings: ServerSettings, open_searcher: OpenSearcher = LuceneImpactSearcher, *, registry: Registry | None = None
) -> FastAPI:
    """Makes the application, and opens the indexes.

    Args:
        settings: What is served.
        open_searcher: Opens what searches an index.
        registry: Its indexes, if they are open; they are closed with the application.

    Returns:
        An ASGI application; its ``state.context`` has the open indexes.

    Raises:
        SpladeLuceneError: An index cannot be opened.
    """
    context = Context(settings, registry or Registry(settings.indexes, open_searcher), Work(settings.limits))
    mcp = LazyMcp(context)
    app = _GatedApp(
        title="splade-lucene", version=__version__, docs_url=None, redoc_url=None, lifespan=_lifespan(context, mcp),
        summary="Search, explain and explore SPLADE indexes",
    )  # fmt: skip
    app.state.context = context
    metrics = Metrics(context)
    app.gate = Gate(FastSearch(partial(FastAPI.__call__, app), context), settings, (metrics.observe, log_request))
    _add_error_handlers(app, context)
    _add_operation(app, context, metrics)
    app.include_router(api_routes(context))
    app.include_router(dropin_routes(context))
    app.router.routes += [Route(path, mcp, include_in_schema=False) for path in (PATH, f"{PATH}/")]
    _add_page(app)
    return app


def _lifespan(context: Context, mcp: LazyMcp) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(context.work.run_internal(context.registry.load))]
        if context.settings.refresh_seconds:
            tasks.append(asyncio.create_task(_refresh_always(context)))
        try:
            yield
        finally:
            context.is_stopping = True
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await mcp.close()
            context.close()

    return lifespan


async def _refresh_always(context: Context) -> None:
    while True:
        await asyncio.sleep(context.settings.refresh_seconds)
        for name in await context.work.run_internal(context.registry.refresh):
            _log.info("%s: switched to a new commit", name)


def _add_error_handlers(app: FastAPI, context: Context) -> None:
    @app.exception_handler(ApiError)
    async def known(request: Request, error: ApiError) -> Response:
        return error_answer(error, request.url.path)

    @app.exception_handler(SpladeLuceneError)
    async def of_library(request: Request, error: SpladeLuceneError) -> Response:
        answer = as_api_error(error, context.registry.folders)
        if answer.status >= 500:
            _log.error("%s: %s", type(error).__name__, error)
        return error_answer(answer, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return error_answer(invalid_request(error), request.url.path)

    @app.exception_handler(HTTPException)
    async def of_framework(request: Request, error: HTTPException) -> Response:
        answer = error_answer(http_problem(error), request.url.path)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)  # raised again after the answer, so that the gate logs it
    async def of_server(request: Request, _: Exception) -> Response:
        return error_answer(server_fault(), request.url.path)


def _add_operation(app: FastAPI, context: Context, metrics: Metrics) -> None:
    @app.get("/health", responses={**ERRORS, 200: {"model": HealthAnswer}}, tags=["operation"])
    async def health() -> Response:
        """Whether the server runs."""
        return json_answer({"status": "ok", "version": __version__})

    @app.get("/ready", responses={**ERRORS, 200: {"model": HealthAnswer}}, tags=["operation"])
    async def ready() -> Response:
        """Whether the server answers without delay: its indexes are open and their models are loaded."""
        if context.is_stopping:
            raise stopping()
        if not context.registry.is_ready:
            raise ApiError(503, "starting", "the models are being loaded", "Try again", retry_after=1)
        return json_answer({"status": "ok", "version": __version__})

    @app.get(
        "/metrics", tags=["operation"],
        responses={**ERRORS, 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )  # fmt: skip
    async def read_metrics() -> Response:
        """Metrics for Prometheus."""
        text, content_type = metrics.text()
        return Response(text, 200, {"Content-Type": content_type})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(describe_api(app.openapi()), 200, media_type="text/html; charset=utf-8")


def _add_page(app: FastAPI) -> None:
    files = read_page()

    def answer(name: str, request: Request) -> Response:
        file = files.get(name)
        if file is None:
            raise ApiError(404, "not-found", f"the page has no file {name!r:.80}", "Open /")
        headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.body, 200, headers, file.content_type)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return answer("index.html", request)

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon(request: Request) -> Response:
        return answer("favicon.ico", request)

    @app.get("/static/{name:path}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        return answer(name, request)
