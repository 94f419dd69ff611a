"""Folders of object stores, and of other file systems that fsspec reaches by URL: ``s3://``, ``gs://``, ``abfs://``, ``hdfs://``.

A store has no locks, renames or appends. Its objects are written atomically: one appears complete, or not at all.
fsspec determines which stores can be opened and how: by packages such as s3fs, environment variables and its own
configuration files. A ``file://`` URL is a path like any other.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from splade_lucene.arguments import to_path
from splade_lucene.errors import InputError, SpladeLuceneError, StorageError, first_line
from splade_lucene.imports import uninterrupted_imports

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.:_-]+):(?P<slashes>/+)(?P<rest>.*)", re.DOTALL)
_LOCAL = ("file", "local")
_AT_ONCE = 500
_REMEDY = "Check the address, the rights and the network"


@dataclass(frozen=True)
class RemoteFolder:
    """A folder in a store. Its objects are named by their file names; folders in it are not looked at.

    Attributes:
        url: Its URL, without a slash at the end.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def files(self, below: str = "") -> dict[str, int]:
        """Lists the objects.

        Args:
            below: The name of a folder in it that is listed instead.

        Returns:
            The sizes in bytes by name, sorted by name; empty if the folder does not exist.

        Raises:
            InputError: No package opens this kind of URL.
            StorageError: The store does not answer, or refuses.
        """
        store, root = _opened(self.url)
        folder = f"{root}/{below}" if below else root
        with self._translated_errors("list the objects"):
            try:
                store.invalidate_cache(folder)
                found = store.ls(folder, detail=True)
            except FileNotFoundError:
                return {}
        sizes = {each["name"].rstrip("/").rpartition("/")[2]: each for each in found if each["type"] == "file"}
        return {name: int(each["size"] or 0) for name, each in sorted(sizes.items())}

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """Reads small objects; those that do not exist are left out.

        Raises:
            StorageError: One cannot be read.
        """
        store, root = _opened(self.url)
        found = {}
        remaining = iter(names)
        while batch := {f"{root}/{name}": name for name in islice(remaining, _AT_ONCE)}:
            with self._translated_errors("read"):
                answers = store.cat([*batch], on_error="return")
                for path, answer in answers.items():
                    if isinstance(answer, bytes):
                        found[_name_of(path, batch)] = answer
                    elif not isinstance(answer, FileNotFoundError):
                        raise answer
        return found

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Writes small objects.

        Raises:
            StorageError: One cannot be written.
        """
        store, root = _opened(self.url)
        remaining = iter(contents.items())
        while batch := {f"{root}/{name}": content for name, content in islice(remaining, _AT_ONCE)}:
            with self._translated_errors(f"write {next(iter(batch)).rpartition('/')[2]}"):
                _with_folder(store, next(iter(batch)), partial(store.pipe, batch))

    def create(self, name: str, content: bytes) -> bool:
        """Writes a small object that does not exist yet; returns whether it did not.

        Raises:
            StorageError: It cannot be written.
        """
        store, root = _opened(self.url)
        path = f"{root}/{name}"
        with self._translated_errors(f"write {name}"):
            try:
                _with_folder(store, path, lambda: store.pipe_file(path, content, mode="create"))
            except FileExistsError:
                return False
            except (TypeError, NotImplementedError):  # a client that does not support the mode
                if store.exists(path):
                    return False
                store.pipe_file(path, content)
        return True

    @contextmanager
    def written(self, name: str) -> Iterator[Path]:
        """A file of this machine, which becomes an object when the block succeeds.

        Args:
            name: The name of both.

        Raises:
            StorageError: The object cannot be written.
        """
        with tempfile.TemporaryDirectory(prefix="splade-lucene-") as folder:
            file = Path(folder) / name
            yield file
            store, root = _opened(self.url)
            with self._translated_errors(f"write {name}"):
                _with_folder(store, f"{root}/{name}", lambda: store.put_file(str(file), f"{root}/{name}"))

    def download(self, name: str, file: Path) -> None:
        """Copies an object to a file.

        Raises:
            StorageError: It cannot be read, or the file cannot be written.
        """
        store, root = _opened(self.url)
        with self._translated_errors(f"copy {name} to {file}"):
            store.get_file(f"{root}/{name}", str(file))

    def delete(self, names: Iterable[str]) -> None:
        """Deletes objects; those that do not exist are left out.

        Raises:
            StorageError: One cannot be deleted.
        """
        store, root = _opened(self.url)
        remaining = iter(names)
        while batch := [f"{root}/{name}" for name in islice(remaining, _AT_ONCE)]:
            with self._translated_errors("delete"):
                try:
                    store.rm(batch)
                except FileNotFoundError:
                    for path in batch:
                        with suppress(FileNotFoundError):
                            store.rm_file(path)

    @contextmanager
    def _translated_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except SpladeLuceneError:
            raise
        except Exception as error:  # each client has exceptions of its own
            raise StorageError(f"{self.url}: cannot {what} ({first_line(error)}). {_REMEDY}.") from error


def _name_of(path: str, asked: Mapping[str, str]) -> str:
    """The name that was asked for with a path; a client may answer with another spelling of the path, such as a slash more."""
    return asked.get(path) or next(name for given, name in asked.items() if path.endswith(given.lstrip("/")))


def _with_folder(store: Any, path: str, write: Callable[[], object]) -> None:
    """Writes; where folders have to exist, as in file systems, it makes them first.

    Paths of file systems begin with a slash, those of object stores with a bucket, which is not made: its name may be wrong.
    """
    try:
        write()
    except FileNotFoundError:
        if not path.startswith("/"):
            raise
        store.makedirs(path.rpartition("/")[0], exist_ok=True)
        write()


@cache
def _opened(url: str) -> tuple[Any, str]:
    """The client of a store, and the folder's path there."""
    with uninterrupted_imports():
        from fsspec.core import url_to_fs
    try:
        store, path = url_to_fs(url)
    except Exception as error:  # each client has exceptions of its own
        raise InputError(
            f"cannot open {url} ({first_line(error)})",
            remedy="Install the package for this kind of URL on each machine (s3fs for s3://, gcsfs for gs://, adlfs for "
            "abfs://), and configure its credentials",
        ) from error
    if not path.strip("/"):
        raise InputError(f"{url} names no folder", remedy="Name one: SCHEME://BUCKET/FOLDER")
    return store, path.rstrip("/")


Folder = Path | RemoteFolder
"""A folder: of the file system, or of a store."""


def to_folder(value: str | os.PathLike[str] | RemoteFolder) -> Folder:
    """The folder that an argument names.

    Args:
        value: A path, or a URL.

    Raises:
        InputError: It is neither.

    Example:
        >>> to_folder("s3://bucket/encoded/"), to_folder("encoded").name, to_folder("file:///data/encoded").name
        (RemoteFolder(url='s3://bucket/encoded'), 'encoded', 'encoded')
    """
    if isinstance(value, RemoteFolder):
        return value
    match = _URL.fullmatch(os.fspath(value)) if isinstance(value, str | os.PathLike) else None
    if match is None:
        return to_path(value)
    if match["scheme"].lower() in _LOCAL:
        return to_path(f"/{match['rest']}")
    slashes = "//" if len(match["slashes"]) == 1 else match["slashes"]  # a Path has only one
    return RemoteFolder(f"{match['scheme']}:{slashes}{match['rest'].rstrip('/')}")


def is_url(value: object) -> bool:
    """Whether an argument names something in a store."""
    return isinstance(value, str | os.PathLike) and isinstance(to_folder(value), RemoteFolder)


def shown(place: Folder) -> str | Path:
    """A place as callers and messages get it: a path, or a URL."""
    return place.url if isinstance(place, RemoteFolder) else place


def to_index_folder(value: str | os.PathLike[str]) -> Path:
    """The folder of an index, which cannot be in a store.

    Raises:
        InputError: It is not a path.
    """
    place = to_folder(value)
    if isinstance(place, RemoteFolder):
        raise InputError(
            f"{place.url} is a URL, and an index needs a folder: Lucene renames its files and maps them into memory",
            remedy="Name a folder, and copy the finished index to the store",
        )
    return place
