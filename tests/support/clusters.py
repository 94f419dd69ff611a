"""Ray clusters of real raylets on this machine, and what happens to their processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.object_store import install_objects
from support.processes import ROOT

FILE_LIMIT = "SPLADE_LUCENE_TEST_FILE_LIMIT"
"""Variable of a raylet: the bytes after which its workers cannot write to a file, as on a full disk."""

_LIMITING = f"""
import os, resource, sys
limit = os.environ.get("{FILE_LIMIT}")
if limit and any("default_worker.py" in each for each in sys.orig_argv):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
"""


RAYLETS = {
    "RAY_AUTH_MODE": "disabled",  # Ray turns it on where a local cluster has once made a token in the user's home
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # 15 otherwise, which takes minutes on a busy machine
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_health_check_timeout_ms": "120000",  # a busy raylet is not dead; one that is dead refuses the connection at once
    "RAY_local_fs_capacity_threshold": "1",  # a disk that others have nearly filled
    "RAY_memory_monitor_refresh_ms": "0",  # memory that others have nearly filled
    "OMP_NUM_THREADS": "1",
}
"""Variables of raylets that start little and waste no time."""


def import_path(folder: Path) -> str:
    """The module path of raylets, whose workers find this package and the object store of tests, and obey the limit of files."""
    (folder / "sitecustomize.py").write_text(_LIMITING)
    install_objects(folder)
    return os.pathsep.join((str(folder), str(ROOT), str(ROOT / "tests")))


def patiently(start: Callable[..., Any], **options: Any) -> Any:
    """Starts a node; again if it took more than the half minute that Ray gives it, as on a busy machine."""
    for _ in range(4):
        try:
            return start(**options)
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
    return start(**options)


def workers_named(name: str, cluster: Any = None) -> list[int]:
    """The processes of a class of actors: those of a cluster of ray.cluster_utils, as others may run at the same time."""
    raylets = None if cluster is None else {raylet(node) for node in cluster.list_all_nodes()}
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                command = (process / "cmdline").read_bytes()
                its_raylet = raylet_of(int(process.name))
            except OSError:
                continue
            if command.startswith(f"ray::{name}".encode()) and (raylets is None or its_raylet in raylets):
                found.append(int(process.name))
    return sorted(found)


def raylet_of(process: int) -> int:
    """The raylet that started a worker process."""
    status = Path(f"/proc/{process}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


def raylet(node: Any) -> int:
    """The process of a node of ray.cluster_utils."""
    return int(node.all_processes["raylet"][0].process.pid)


class WhenDone:
    """A progress that does something as soon as some documents are done, once for each action."""

    def __init__(self, *actions: Callable[[], Any]) -> None:
        self._actions = [*actions]

    @contextmanager
    def step(self, title: str, total: int | None, unit: str) -> Iterator[Callable[..., None]]:
        """Called with each report of any step."""

        def advance(count: int, **_: Any) -> None:
            if count and self._actions:
                self._actions.pop(0)()

        yield advance
