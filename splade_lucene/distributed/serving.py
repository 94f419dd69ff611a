"""Serves indexes on a Ray cluster with Ray Serve: replicas of each shard, and a router with the application of ``serve``.

The router runs the server of :mod:`splade_lucene.server`; its searches ask a replica of each shard. Its responses are those of
a server with the undivided index, except that approximate search, BM25 and changes are refused.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from splade_lucene.arguments import to_count
from splade_lucene.distributed.cluster import RayCluster, Session
from splade_lucene.distributed.java import JAVA_PROCESS_BYTES, limit_heap, processes_per_node
from splade_lucene.distributed.pool import Outcome, result_of
from splade_lucene.distributed.searching import ShardedSearcher
from splade_lucene.distributed.shard import ShardProcess
from splade_lucene.distributed.sharing import check_equal, check_same_indexes, versions
from splade_lucene.errors import InputError, SpladeLuceneError
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.index.joined import to_index_paths
from splade_lucene.server.settings import ServerSettings

APPLICATION = "splade-lucene"
"""The name of the application in Ray Serve."""

_POLL_SECONDS = 1.0
_ROUTER_BYTES = 2 << 30


class ServedIndexes:
    """Indexes that are served on a cluster.

    Args:
        settings: What is served, at which address, and with which limits. Nothing can be added or deleted.
        cluster: The cluster. Its ``cpus`` are those of each replica, and of the router.
        replicas: Processes of each shard. Each answers with the commit that the router has seen first.

    Attributes:
        url: Where they are served. Each node with a process of the deployment listens at its own address of that name.

    Raises:
        InputError: The replicas do not fit into the cluster, its nodes do not see the same shards, no port is named, or Ray
            Serve already runs there.
        SpladeLuceneError: An index cannot be opened, or its shards do not belong together.

    Example:
        >>> from splade_lucene.distributed.serving import ServedIndexes
        >>> from splade_lucene.server.settings import ServerSettings
        >>> settings = ServerSettings({"docs": Path("/shared/index")})
        >>> with ServedIndexes(settings, RayCluster("auto"), replicas=2) as served:  # doctest: +SKIP
        ...     print(served.url)
    """

    def __init__(self, settings: ServerSettings, cluster: RayCluster, replicas: int = 1) -> None:
        replicas = to_count(replicas, "replicas")
        if not settings.port:
            raise InputError("Ray Serve needs a port, got port=0", remedy="Name one with port=…")
        settings = replace(settings, read_only=True, refresh_seconds=0)
        paths = {name: [path.resolve() for path in to_index_paths(folder)] for name, folder in settings.indexes.items()}
        count = replicas * sum(map(len, paths.values()))
        cluster = replace(cluster.without_gpus(), workers=count + 1)  # one of them for the router
        self._resources = ExitStack()
        try:
            session = self._resources.enter_context(cluster.connected())
            session.worker_count(JAVA_PROCESS_BYTES)
            check_equal("versions", versions(), session.on_every_node(versions))
            check_same_indexes(session, [path for folders in paths.values() for path in folders])
            self.url = f"http://{settings.host}:{settings.port}"
            self._deploy(session, settings, paths, replicas, processes_per_node(session, count))
        except BaseException:
            self.close()
            raise

    def _deploy(
        self,
        session: Session,
        settings: ServerSettings,
        paths: Mapping[str, Sequence[Path]],
        replicas: int,
        processes: int,
    ) -> None:
        with uninterrupted_imports("ray"):
            import ray.serve
        serve: Any = ray.serve
        cluster = session.cluster
        if (running := serve.status()).proxies or running.applications:
            named = ", ".join(running.applications) or "none"
            raise InputError(
                f"Ray Serve already runs on this cluster (applications: {named}), and keeps its address",
                remedy="End it with 'serve shutdown', or use another cluster",
            )
        serve.start(http_options=serve.HTTPOptions(host=settings.host, port=settings.port))
        self._resources.callback(serve.shutdown)
        shards = {
            name: [
                serve.deployment(
                    ServedShard, name=f"{name}-{number}", num_replicas=replicas, max_ongoing_requests=256,
                    ray_actor_options={"num_cpus": cluster.cpus, "memory": JAVA_PROCESS_BYTES},
                ).bind(path, cluster.threads, processes)
                for number, path in enumerate(folders, 1)
            ]
            for name, folders in paths.items()
        }  # fmt: skip
        router = serve.deployment(
            serve.ingress()(Router), name="router", max_ongoing_requests=settings.limits.connections,
            ray_actor_options={"num_cpus": 1, "memory": _ROUTER_BYTES},
        )  # fmt: skip
        try:
            serve.run(
                router.bind(settings, paths, shards, cluster.timeout, processes), name=APPLICATION, route_prefix="/",
            )  # fmt: skip
        except RuntimeError as error:
            raise SpladeLuceneError(f"Ray Serve cannot deploy the indexes: {self._reason(serve, error)}") from error

    @staticmethod
    def _reason(serve: Any, error: Exception) -> str:
        application = serve.status().applications.get(APPLICATION)
        told = [each.message for each in application.deployments.values() if each.message] if application else []
        return " ".join((told[0] if told else str(error)).split())[-1000:]

    def serve_until_stopped(self) -> None:
        """Waits until SIGINT or SIGTERM comes; to be called on the main thread."""
        stopped = threading.Event()
        before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not stopped.wait(_POLL_SECONDS):
                pass  # a wait without a timeout would not notice signals
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """Ends the application, and the cluster if it was started for it."""
        self._resources.close()

    def __enter__(self) -> ServedIndexes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ServedShard:
    """A replica of a shard.

    Args:
        path: The shard.
        threads: Searches that it does at a time.
        processes: Number of replicas on this node.
    """

    def __init__(self, path: Path, threads: int, processes: int) -> None:
        self._shard = ShardProcess(path, "auto", None, processes)
        self._threads = ThreadPoolExecutor(threads)

    async def call(self, commit: str, method: str, *arguments: Any) -> Outcome:
        """Calls a method of :class:`~splade_lucene.distributed.shard.ShardProcess` on a thread."""
        import asyncio

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: self._shard.call(commit, method, *arguments))


class Replicas:
    """The shards of an index in replicas, as the router asks them.

    Args:
        handles: A handle of Ray Serve for each shard.
        seconds: Time for an answer.
    """

    def __init__(self, handles: Sequence[Any], seconds: float) -> None:
        self._handles, self._seconds = handles, seconds
        self._commits = [""] * len(handles)
        self._commits = [facts.commit for facts in self.ask_all("facts")]

    def ask_all(self, method: str, *arguments: Any) -> list[Any]:
        """Asks all shards at the same time."""
        calls = [
            handle.call.remote(commit, method, *arguments)
            for handle, commit in zip(self._handles, self._commits, strict=True)
        ]
        return [self._answer(each) for each in calls]

    def ask(self, number: int, method: str, *arguments: Any) -> Any:
        """Asks one shard."""
        return self._answer(self._handles[number].call.remote(self._commits[number], method, *arguments))

    def _answer(self, call: Any) -> Any:
        try:
            outcome = call.result(timeout_s=self._seconds)
        except TimeoutError as error:
            raise SpladeLuceneError(
                f"a shard has not answered for {self._seconds:g} seconds. Check the nodes of the Ray cluster."
            ) from error
        return result_of(outcome)

    def close(self) -> None:
        """Leaves the replicas to Ray Serve."""


class Router:
    """The server's application, in a process of the cluster.

    Args:
        settings: The server's settings.
        paths: The shards of each index.
        shards: Their handles.
        seconds: Time for an answer of a shard.
        processes: Number of processes of a node that have a JVM.
    """

    def __init__(
        self, settings: ServerSettings, paths: Mapping[str, Sequence[Path]], shards: Mapping[str, Sequence[Any]],
        seconds: float, processes: int,
    ) -> None:  # fmt: skip
        self._settings, self._paths, self._shards, self._seconds = settings, paths, shards, seconds
        limit_heap(processes)

    def __serve_build_asgi_app__(self) -> Any:
        """Makes the application; on a thread, because Ray Serve's event loop must not wait for its own answers."""
        with uninterrupted_imports("serve"):
            from splade_lucene.server.app import create_app

        by_folder = {folder: name for name, folder in self._settings.indexes.items()}

        def open_searcher(folder: Path) -> ShardedSearcher:
            name = by_folder[folder]
            return ShardedSearcher.of_processes(Replicas(self._shards[name], self._seconds), self._paths[name], None)

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(create_app, self._settings, open_searcher).result()
