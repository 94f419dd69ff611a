"""Files that tests write and compare."""

from __future__ import annotations

import gzip
from pathlib import Path


def write(path: Path, text: str) -> Path:
    """Writes a text as UTF-8, compressed if the file's name ends in ``.gz``."""
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def files(folder: Path) -> dict[str, bytes]:
    """Name → content of each file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
