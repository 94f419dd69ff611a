"""What several tests share: data, small collections, the embedded model, Lucene 10."""

from __future__ import annotations

import importlib.metadata
import os
import random
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

# Before torch is loaded: with all cores for each, processes would wait for each other's threads.
if "PYTEST_XDIST_WORKER" in os.environ:
    _cores = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores)))

from splade_lucene import PseudoDocument, index_pseudo_documents, jvm, write_pseudo_documents

if TYPE_CHECKING:
    from splade_lucene import SpladeEncoder

# make test-light: an environment without torch and all that Pyserini requires; what needs them is skipped there.
LIGHT = "SPLADE_LUCENE_TEST_LIGHT" in os.environ
_LACKING = re.compile(r"No module named '(torch|transformers|pandas|sphinx|jupytext|huggingface_hub)")


def _skip_where_light(report: Any, where: str) -> Any:
    lacking = _LACKING.search(str(report.longrepr)) if LIGHT and report.failed else None
    if lacking:
        report.outcome = "skipped"
        report.longrepr = (where, 0, f"Skipped: needs {lacking[1]}, which the light environment lacks")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    return _skip_where_light((yield), str(collector.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    return _skip_where_light((yield), str(item.path))


ROOT = Path(__file__).resolve().parent.parent
# White space is the only thing that terms may not hold.
TERMS = [f"term{i}" for i in range(200)] + ['"', "\\", "é", "##ing", "漢字", "😀", "a\u00a0b", "[CLS]", "'", "/"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data, models and tools; tests that need it are skipped elsewhere."""
    folder = Path(os.environ.get("SPLADE_LUCENE_TEST_DATA", ROOT.parent / "shared" / "data")).parent
    if not (folder / "data").is_dir():
        pytest.skip("needs the shared data (SPLADE_LUCENE_TEST_DATA)")
    return folder


def random_collection(documents: int, seed: int, *, impacts: int = 300) -> list[PseudoDocument]:
    """Documents with random terms and impacts; few impacts make many ties."""
    source = random.Random(seed)
    return [
        PseudoDocument(
            f"d{number}",
            f"text “{number}”\n" if number % 3 else "",
            {term: source.randint(1, impacts) for term in source.sample(TERMS, source.randint(1, 60))},
        )
        for number in source.sample(range(documents), documents)
    ]


@pytest.fixture(scope="session")
def collection() -> list[PseudoDocument]:
    """Two thousand documents."""
    return random_collection(2000, seed=1)


@pytest.fixture(scope="session")
def collection_dir(collection: list[PseudoDocument], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as files, one of them gzipped."""
    folder = tmp_path_factory.mktemp("collection")
    write_pseudo_documents(folder / "a.jsonl", collection[:900])
    write_pseudo_documents(folder / "b.jsonl.gz", collection[900:1500])
    write_pseudo_documents(folder / "c.jsonl", collection[1500:])
    return folder


@pytest.fixture(scope="session")
def index_dir(collection_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, indexed."""
    index = tmp_path_factory.mktemp("index") / "index"
    index_pseudo_documents(collection_dir, index)
    return index


@pytest.fixture(scope="session")
def encoder() -> SpladeEncoder:
    """The embedded model in float32 on the CPU."""
    from splade_lucene import SpladeEncoder  # not above: a part of the tests runs without torch

    return SpladeEncoder(device="cpu", dtype="float32")


def child_environment(**changes: str | None) -> dict[str, str]:
    """This process's environment with some variables set, or unset where the value is None."""
    environment = {**os.environ, **{key: value for key, value in changes.items() if value is not None}}
    for key, value in changes.items():
        if value is None:
            environment.pop(key, None)
    return environment


def run_python(code: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a child process, with a JVM of its own if it starts one."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=child_environment(**changes),
        timeout=300,
    )


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


@pytest.fixture(scope="session")
def lucene10_jars() -> Path:
    """A folder with the fatjar of pyserini 2.x, taken from the package index once."""
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
