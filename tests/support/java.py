"""Which Java and which Lucene this machine has."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from filelock import FileLock

from splade_lucene import jvm


def find_jdk(version: int) -> Path:
    """The folder of an installed JDK of exactly this version; skips the test if there is none."""
    for home in [Path(os.environ.get("JAVA_HOME") or "/nonexistent"), *sorted(Path("/usr/lib/jvm").glob("*"))]:
        runtime = jvm.read_runtime(home)
        if runtime is not None and runtime.version == version and (home / "lib" / "server").is_dir():
            return home
    pytest.skip(f"needs an installed JDK {version}")


def has_lucene_10() -> bool:
    """Whether the installed Pyserini brings Lucene 10 (2.x does) or 9.9 (1.x)."""
    return not importlib.metadata.version("pyserini").startswith("1.")


def find_lucene_10() -> Path:
    """A folder with the fatjar of pyserini 2.x, taken from the package index once; skips the test if that fails."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "splade-lucene" / "tests"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):  # of another process of pytest-xdist
        return _download_lucene10(cache)


def _download_lucene10(cache: Path) -> Path:
    folder = cache / "pyserini-2-jars"
    if not list(folder.glob("anserini-*-fatjar.jar")):
        download = cache / "download"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python",
                   "--dest", str(download), "pyserini>=2,<3"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(download.glob("pyserini-2*.tar.gz"))
        if done.returncode or not archives:
            pytest.skip(f"pyserini 2.x cannot be downloaded: {done.stderr.strip()[-200:]}")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archives[0]) as archive:
            member = next(each for each in archive if each.name.endswith("-fatjar.jar"))
            content = archive.extractfile(member)
            assert content is not None
            partial = folder / "fatjar.partial"
            partial.write_bytes(content.read())
            partial.replace(folder / Path(member.name).name)
        archives[0].unlink()
    return folder
