"""The Ray cluster of a command: its address, the resources of each worker, and the checks before a run.

Only processes ("actors") are requested from the cluster; results do not depend on where they run. No worker needs more
than its logical CPUs and GPUs, and the checks need none, so that a small cluster cannot deadlock.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from splade_lucene import jvm
from splade_lucene.arguments import is_number, to_count
from splade_lucene.counts import counted
from splade_lucene.defaults import thread_count
from splade_lucene.errors import InputError, SpladeLuceneError, first_line
from splade_lucene.imports import uninterrupted_imports

LOCAL = "local"
"""The address of a cluster that is started on this machine, for this process."""

AUTO = "auto"
"""The address of the cluster to which this machine belongs."""

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 300


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster, and the resources of its workers.

    Attributes:
        address: ``local`` starts a cluster on this machine, and ends it afterwards. ``auto`` is the cluster to which this
            machine belongs; ``HOST:PORT`` names one by the address that ``ray start --head`` prints.
        workers: Number of worker processes. Default: as many as fit into the cluster.
        cpus: Logical CPUs of a worker, which is also its number of threads. Ray uses them for scheduling only.
        gpus: GPUs of a worker; a fraction lets several share one. 0 computes on CPUs.
        timeout: Seconds without any progress after which an error is raised that says what was waited for.

    Raises:
        InputError: A value is out of range, or this kind of address is not supported.
    """

    address: str = LOCAL
    workers: int | None = None
    cpus: float = 1
    gpus: float = 0
    timeout: float = 1800

    def __post_init__(self) -> None:
        if not isinstance(self.address, str) or not self.address.strip():
            raise InputError(f"expected the address of a Ray cluster, got {self.address!r:.80}", remedy=_REMEDY)
        if self.address.startswith("ray://"):
            raise InputError(
                f"{self.address} is an address of the Ray Client, which cannot share files with this process",
                remedy="Run the command on a node of the cluster, with the address auto",
            )
        if self.workers is not None:
            to_count(self.workers, "workers")
        for name, least in (("cpus", 0), ("gpus", 0), ("timeout", 1)):
            value = getattr(self, name)
            if not is_number(value) or not math.isfinite(value) or value < least:
                raise InputError(f"{name} must be a number of at least {least}, got {value!r:.40}")
        if not self.cpus and not self.gpus:
            raise InputError("a worker needs a CPU or a GPU", remedy="Pass cpus=1")

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return max(1, int(self.cpus))

    def without_gpus(self) -> RayCluster:
        """The same cluster for work that uses no GPU: each worker has at least one CPU."""
        return replace(self, cpus=self.cpus or 1, gpus=0)

    @contextmanager
    def connected(self) -> Iterator[Session]:
        """Connects this process to the cluster for the duration of the block, unless it is connected already.

        Raises:
            InputError: No cluster answers there.
            MissingDependencyError: Ray is not installed.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise Ray sends usage statistics
        os.environ.setdefault(
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
        )  # the default of Ray's next version; silences the warning
        with uninterrupted_imports():
            import ray
        if ray.is_initialized():
            jvm.restore_handlers()
            yield Session(self, ray)
            return
        try:
            self._connect(ray)
            jvm.restore_handlers()
            yield Session(self, ray)
        finally:
            ray.shutdown()
            jvm.restore_handlers()

    def _connect(self, ray: Any) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
        if self.address == LOCAL:
            wanted = math.ceil(self.cpus * (self.workers or 1))
            try:
                ray.init(address=LOCAL, num_cpus=max(thread_count(), wanted), **quiet)
            except Exception as error:  # Ray raises no more specific exceptions
                raise SpladeLuceneError(f"Ray failed to start on this machine: {first_line(error)}") from error
            return
        if self.address != AUTO:
            _check_answers(self.address)
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = first_line(error).partition(". Please")[0]  # Ray's remedies name options of its own
            raise InputError(f"cannot use the Ray cluster at {self.address!r} ({reason})", remedy=_REMEDY) from error


_DEAD_NODE = object()
"""The answer of a node that has died."""

_REMEDY = "Start one with 'ray start --head', and name the address that it prints; or pass local"


_SETTINGS, _HEADER_BYTES = 4, 9  # the type of a frame, in the fourth byte of its header
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0))


def _check_answers(address: str) -> None:
    """Refuses an address at which nobody listens, or something other than Ray: Ray would try for a long time.

    Ray's servers speak HTTP/2, and answer its preface with a frame of settings.

    Raises:
        InputError: It is not HOST:PORT, or no cluster answers.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"{address!r:.80} is not HOST:PORT, auto or local", remedy=_REMEDY)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "").lower() in ("1", "true"):
                return
            connection.sendall(_PREFACE)
            answer = connection.recv(_HEADER_BYTES, socket.MSG_WAITALL)
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error})", remedy=_REMEDY) from error
    if len(answer) < _HEADER_BYTES or answer[3] != _SETTINGS:
        raise InputError(f"what answers at {address} is not a Ray cluster", remedy=_REMEDY)


class Node(NamedTuple):
    """A living node of the cluster.

    Attributes:
        id: Ray's name for it.
        host: Its address, with its name if it has one.
        resources: What it offers: ``CPU``, ``GPU``, ``memory`` (bytes) and others.
    """

    id: str
    host: str
    resources: Mapping[str, float]

    def describe(self) -> str:
        """Its address and what it offers, in words."""
        offers = [f"{self.resources.get('CPU', 0):g} CPUs"]
        if gpus := self.resources.get("GPU", 0):
            offers.append(f"{gpus:g} GPUs")
        offers.append(f"{self.resources.get('memory', 0) / 2**30:.1f} GiB")
        return f"{self.host} ({', '.join(offers)})"


class Session:
    """A process that is connected to a cluster.

    Args:
        cluster: The cluster.
        ray: The package.
    """

    def __init__(self, cluster: RayCluster, ray: Any) -> None:
        self.cluster, self.ray = cluster, ray

    def nodes(self) -> list[Node]:
        """The living nodes, in the order of their addresses."""
        found = [
            Node(each["NodeID"], _host(each), each["Resources"])
            for each in self.ray.nodes()
            if each.get("Alive", False)
        ]
        return sorted(found, key=lambda node: (node.host, node.id))

    def host(self, node_id: str) -> str:
        """The address of a node, living or not."""
        return next((_host(each) for each in self.ray.nodes() if each["NodeID"] == node_id), node_id[:8])

    def worker_count(self, memory: int, most: int | None = None) -> int:
        """The number of workers to start.

        Args:
            memory: Bytes that a worker needs.
            most: The number of workers beyond which there is nothing to do.

        Raises:
            InputError: Fewer fit into the cluster than were asked for, or none at all; says what each node offers.
        """
        nodes = self.nodes()
        fitting = sum(self._fitting(node, memory) for node in nodes)
        wanted = self.cluster.workers or min(fitting, most or fitting)
        if not 0 < wanted <= fitting:
            needs = [f"{self.cluster.cpus:g} CPUs"] * bool(self.cluster.cpus)
            needs += [f"{self.cluster.gpus:g} GPUs"] * bool(self.cluster.gpus)
            needs.append(f"{memory / 2**30:.1f} GiB of memory")
            offers = "; ".join(node.describe() for node in nodes) or "no nodes"
            asked = counted(max(1, wanted), "worker", "does", "do")
            raise InputError(
                f"{asked} not fit into the Ray cluster, only {fitting}: each needs {', '.join(needs)}, and there is: {offers}",
                remedy="Request less with workers=…, cpus=… or gpus=…, or add nodes. CPUs are logical: 'ray start' "
                "can declare more of them than the machine has",
            )
        return min(wanted, most or wanted)

    def _fitting(self, node: Node, memory: int) -> int:
        needs = {"CPU": self.cluster.cpus, "GPU": self.cluster.gpus, "memory": memory}
        return min(int(node.resources.get(name, 0) / need + 1e-9) for name, need in needs.items() if need)

    def on_every_node(self, function: Any, *arguments: Any) -> list[tuple[Node, Any]]:
        """Calls a function on each node; it takes none of the CPUs. A node that dies during the call is left out.

        Args:
            function: A function of this package.
            arguments: Its arguments.

        Raises:
            InputError: It failed on a node, which is named, or a node does not answer.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = self.nodes()
        calls = {}
        for node in nodes:
            strategy = NodeAffinitySchedulingStrategy(node.id, soft=False)
            task = self.ray.remote(num_cpus=0, max_retries=1, scheduling_strategy=strategy)(function)
            calls[task.remote(*arguments)] = node
        done, silent = self.ray.wait([*calls], num_returns=len(calls), timeout=_ANSWER_SECONDS)
        if silent:
            hosts = ", ".join(sorted({calls[each].host for each in silent}))
            raise InputError(f"these nodes of the Ray cluster do not answer: {hosts}", remedy="Remove or restart them")
        answers = [(calls[each], self._answer(each, calls[each])) for each in done]
        return [(node, answer) for node, answer in answers if answer is not _DEAD_NODE]

    def _answer(self, reference: Any, node: Node) -> Any:
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            if self.is_loss(error) and node.id not in {each.id for each in self.nodes()}:
                return _DEAD_NODE
            cause = getattr(error, "cause", None)
            if isinstance(cause, SpladeLuceneError):
                raise InputError(f"on {node.host}: {cause}") from error
            raise InputError(
                f"this version of splade-lucene does not run on {node.host} ({first_line(cause or error)})",
                remedy="Install the same version of Python, Ray and splade-lucene on all nodes",
            ) from error

    def is_loss(self, error: BaseException) -> bool:
        """Whether an exception means that a process, a node or an object is gone, not that the work itself failed."""
        exceptions = self.ray.exceptions
        return isinstance(error, exceptions.RayError) and not isinstance(error, exceptions.RayTaskError)


def _host(node: Mapping[str, Any]) -> str:
    address, name = str(node.get("NodeManagerAddress", "")), str(node.get("NodeManagerHostname", ""))
    return f"{address}, {name}" if name and name != address else address


def kill_all(ray: Any, actors: Sequence[Any]) -> None:
    """Ends actors at once."""
    for actor in actors:
        with suppress(Exception):  # whatever state it is in
            ray.kill(actor, no_restart=True)
