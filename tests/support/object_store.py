"""An object store as a file system of fsspec, ``objects://bucket/…``: whole objects, one bucket, no renames, no appends.

The objects are files of a folder that a variable names, so that several processes see the same ones.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import fsspec
from fsspec import AbstractFileSystem

FOLDER = "SPLADE_LUCENE_TEST_OBJECTS"
"""Variable with the folder of the objects."""

BUCKET = "bucket"


class ObjectStore(AbstractFileSystem):
    """The store."""

    protocol = "objects"

    def _file(self, path: str) -> Path:
        path = self._strip_protocol(path)
        if path.partition("/")[0] != BUCKET:
            raise FileNotFoundError("The specified bucket does not exist")
        return Path(os.environ[FOLDER]) / quote(path, safe="")

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """The objects of a folder, and its folders."""
        prefix = f"{self._strip_protocol(path)}/"
        self._file(prefix)
        found: dict[str, dict[str, Any]] = {}
        for file in Path(os.environ[FOLDER]).iterdir():
            name = unquote(file.name)
            if not name.startswith(prefix) or name.endswith(".partial"):
                continue
            child = prefix + name.removeprefix(prefix).partition("/")[0]
            is_object = child == name
            size = file.stat().st_size if is_object else 0
            found[child] = {"name": child, "size": size, "type": "file" if is_object else "directory"}
        if not found:
            raise FileNotFoundError(path)
        return [*found.values()] if detail else [*found]

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The content of an object."""
        return self._file(path).read_bytes()[start:end]

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        """Copies an object to a file."""
        shutil.copyfile(self._file(rpath), lpath)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Puts an object; in the mode ``create`` only if there is none."""
        target = self._file(path)
        partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
        partial.write_bytes(value)
        if mode == "create":
            try:
                os.link(partial, target)
            finally:
                partial.unlink()
        else:
            partial.replace(target)

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        """Puts the content of a file."""
        self.pipe_file(rpath, Path(lpath).read_bytes())

    def rm_file(self, path: str) -> None:
        """Deletes an object."""
        self._file(path).unlink()

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Is not offered."""
        raise NotImplementedError


def register_objects() -> None:
    """Lets this process open ``objects://``."""
    fsspec.register_implementation("objects", ObjectStore, clobber=True)


def install_objects(folder: Path) -> None:
    """Lets processes open ``objects://`` that have a folder and this one on their module path, as an installed package does."""
    package = folder / "objects-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: objects\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[fsspec.specs]\nobjects = support.object_store:ObjectStore\n")


def objects(below: str) -> dict[str, Path]:
    """The files of the objects of a folder of the bucket, by their names there."""
    prefix = f"{BUCKET}/{below}/"
    found = {unquote(file.name): file for file in Path(os.environ[FOLDER]).iterdir()}
    return {name.removeprefix(prefix): file for name, file in sorted(found.items()) if name.startswith(prefix)}
