"""Checks that the nodes of a cluster share the output folder and the versions that affect the results."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from splade_lucene.distributed.cluster import Node, Session
from splade_lucene.errors import InputError, SpladeLuceneError, system_reason
from splade_lucene.files.files import storage_error
from splade_lucene.files.remote import RemoteFolder
from splade_lucene.version import __version__

_PREFIX = ".splade-lucene-shared-"


def check_shared(session: Session, folder: Path) -> None:
    """Checks that all nodes of the cluster see a folder, and can write to it.

    Args:
        session: The cluster.
        folder: The folder; it is created if necessary.

    Raises:
        InputError: A node sees another folder of that name, or none, or cannot write there.
        StorageError: This process cannot write there.
    """
    with _probe(folder) as token:
        answers = session.on_every_node(probe_folder, str(folder.resolve()), token)
        apart = [(node, reason) for node, reason in answers if reason]
        if not apart:
            mine = {path.name for path in folder.glob(f"{token}-*")}
            apart = [
                (node, "the files that it writes do not appear here")
                for node, _ in answers
                if f"{token}-{node.id}" not in mine
            ]
    if apart:
        node, reason = apart[0]
        others = f", and {len(apart) - 1} more" if len(apart) > 1 else ""
        raise InputError(
            f"the nodes of the Ray cluster do not share this folder: on {node.host}, {reason}{others}", path=folder,
            remedy="Name a folder that all nodes see under the same path, such as one on NFS",
        )  # fmt: skip


@contextmanager
def _probe(folder: Path) -> Iterator[str]:
    """A file in the folder with a name that is used only once; it and its answers are deleted afterwards."""
    token = _PREFIX + secrets.token_hex(8)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / token).touch()
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        yield token
    finally:
        for path in folder.glob(f"{token}*"):
            path.unlink(missing_ok=True)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def probe_folder(folder: str, token: str) -> str:
    """Runs on each node: looks for the file, and writes another one beside it.

    Returns:
        What is wrong; empty if nothing is.
    """
    import ray

    path = Path(folder)
    try:
        if not path.is_dir():
            return "it does not exist"
        if token not in {each.name for each in path.iterdir()}:
            return "another folder has this name"
        (path / f"{token}-{ray.get_runtime_context().get_node_id()}").touch()
    except OSError as error:
        return f"it cannot be used ({system_reason(error)})"
    return ""


def check_reachable(session: Session, store: RemoteFolder) -> None:
    """Checks that all nodes of the cluster can read and write a folder of a store.

    Args:
        session: The cluster.
        store: The folder.

    Raises:
        InputError: A node cannot; says why.
        StorageError: This process cannot.
    """
    token = _PREFIX + secrets.token_hex(8)
    store.write({token: b""})
    try:
        answers = session.on_every_node(probe_store, store, token)
        mine = store.files()
        apart = [
            (node, reason or "what it writes does not arrive")
            for node, reason in answers
            if reason or f"{token}-{node.id}" not in mine
        ]
    finally:
        store.delete([name for name in store.files() if name.startswith(token)])
    if apart:
        node, reason = apart[0]
        others = f", and on {len(apart) - 1} more" if len(apart) > 1 else ""
        raise InputError(
            f"nodes of the Ray cluster cannot use this folder: on {node.host}, {reason}{others}", path=store.url,
            remedy="Give all nodes the package, the rights and the settings with which this machine opens it",
        )  # fmt: skip


def probe_store(store: RemoteFolder, token: str) -> str:
    """Runs on each node: looks for the object, and writes another one beside it.

    Returns:
        What is wrong; empty if nothing is.
    """
    import ray

    try:
        if token not in store.files():
            return "another folder has this name"
        store.write({f"{token}-{ray.get_runtime_context().get_node_id()}": b""})
    except SpladeLuceneError as error:
        return str(error).rstrip(".")
    return ""


def check_same_indexes(session: Session, folders: Sequence[Path]) -> None:
    """Checks that all nodes of the cluster see the same commits of some indexes.

    Args:
        session: The cluster.
        folders: The folder of each index.

    Raises:
        InputError: A node sees another commit, or none.
    """
    names = [str(folder) for folder in folders]
    here = commits(names)
    for node, there in session.on_every_node(commits, names):
        for name in names:
            if there[name] != here[name]:
                found = f"the index has {' and '.join(there[name])}" if there[name] else "no index was found"
                raise InputError(
                    f"the nodes of the Ray cluster do not see the same index: on {node.host}, {found}", path=name,
                    remedy="Put it where all nodes see it under the same path, such as on NFS, or copy it to each of them",
                )  # fmt: skip


def commits(folders: Sequence[str]) -> dict[str, list[str]]:
    """Runs on each node: the names of the files of Lucene's commits in each folder, with their sizes."""
    return {
        folder: [f"{path.name} of {path.stat().st_size} bytes" for path in sorted(Path(folder).glob("segments_*"))]
        for folder in folders
    }


def versions() -> dict[str, str]:
    """Runs on each node: the versions on which results depend."""
    return {"splade_lucene": __version__, "Python": platform.python_version()}


def check_equal(what: str, here: Mapping[str, str], answers: Sequence[tuple[Node, Mapping[str, str]]]) -> None:
    """Checks that nodes have what this process has.

    Args:
        what: What is compared, for the message.
        here: Name → value here.
        answers: Each node with its own.

    Raises:
        InputError: A node has another value; names it.
    """
    for node, there in answers:
        for name, value in here.items():
            if there.get(name) != value:
                raise InputError(
                    f"{what} differ: {name} is {value} here and {there.get(name, 'missing')} on {node.host}",
                    remedy="Install the same on all nodes: the results must not depend on where they are computed",
                )
