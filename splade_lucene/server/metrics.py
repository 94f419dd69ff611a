"""Counts of requests, searches and encodings for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, get_args

from splade_lucene.server.context import Context
from splade_lucene.server.problems import ApiError
from splade_lucene.server.work import Reason

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_UNROUTED = "other"


class Metrics:
    """The server's metrics. Without prometheus-client nothing is counted, and reading them is an error.

    Args:
        context: What is counted.
    """

    def __init__(self, context: Context) -> None:
        self._is_on = find_spec("prometheus_client") is not None
        if self._is_on:
            self._start(context)

    def _start(self, context: Context) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        from prometheus_client.process_collector import ProcessCollector

        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "splade_lucene_requests", "Requests", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "splade_lucene_request_seconds", "Time of requests", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self._labelled: dict[tuple[str, str, int], Any] = {}  # looking them up takes longer than counting
        self._bytes = Counter("splade_lucene_answer_bytes", "Bytes of answers", registry=self._registry)

        def gauge(name: str, text: str, value: Callable[[], float]) -> None:
            Gauge(name, text, registry=self._registry).set_function(value)

        gauge("splade_lucene_unfinished", "Searches that are running or waiting", lambda: context.work.unfinished)
        gauge("splade_lucene_threads_at_work", "Search threads that are busy", lambda: context.work.at_work)
        cancelled = Gauge(
            "splade_lucene_cancelled", "Searches that were stopped or dropped", ["reason"], registry=self._registry
        )
        for reason in get_args(Reason):
            cancelled.labels(reason).set_function(lambda reason=reason: context.work.cancelled[reason])
        batchers = context.batchers.values()
        gauge(
            "splade_lucene_encode_batches", "Batches of encoded texts", lambda: sum(each.batches for each in batchers)
        )
        gauge("splade_lucene_encoded_texts", "Encoded texts", lambda: sum(each.texts for each in batchers))
        documents = Gauge("splade_lucene_documents", "Documents", ["index"], registry=self._registry)
        for index in context.registry:
            documents.labels(index.name).set_function(lambda index=index: index.searcher.num_docs)

    def observe(self, scope: Any, status: int, seconds: float, size: int) -> None:
        """Counts a request."""
        if self._is_on:
            route = route_of(scope)
            method = scope["method"] if route != _UNROUTED else ""
            labels = (method, route, status)
            if labels not in self._labelled:
                self._labelled[labels] = self._requests.labels(*labels), self._seconds.labels(route)
            count, histogram = self._labelled[labels]
            count.inc()
            histogram.observe(seconds)
            self._bytes.inc(size)

    def text(self) -> tuple[bytes, str]:
        """The metrics in Prometheus' format, and their content type.

        Raises:
            ApiError: prometheus-client is not installed.
        """
        if not self._is_on:
            raise ApiError(
                503,
                "not-installed",
                "prometheus-client is not installed",
                "Install it with 'pip install splade-lucene[serve]'",
            )
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST


def route_of(scope: Any) -> str:
    """The route of a request without what varies, so that there are few."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else _UNROUTED
