"""What the nodes of a cluster must have in common: the output folder, and the versions that decide the results."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from splade_lucene.arguments import to_path
from splade_lucene.distributed.cluster import Node, Session
from splade_lucene.errors import InputError, system_reason
from splade_lucene.files.files import storage_error
from splade_lucene.version import __version__

_PREFIX = ".splade-lucene-shared-"


def check_no_url(path: str | Path) -> Path:
    """Refuses URLs: parts, journals and indexes need a file system with atomic renames and locks.

    Raises:
        InputError: It is one.
    """
    text = str(path)
    scheme, separator, _ = text.partition(":/")
    if separator and len(scheme) > 1 and scheme.isalnum():
        raise InputError(
            f"{text!r:.200} is a URL, and the workers write to folders: an object store has neither the renames nor the locks "
            "with which an interrupted run resumes",
            remedy="Name a folder that all nodes see, such as one on NFS, Lustre or a mounted bucket, and copy the result "
            "to the store afterwards",
        )
    return to_path(path)


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
        answers = session.on_every_node(look_at, str(folder.resolve()), token)
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


def look_at(folder: str, token: str) -> str:
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
