"""What several tests share: data, small collections, the embedded model, Lucene 10."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jnius_config
import pytest
from hypothesis import settings

# Before Java starts, and as Lucene's own tests do it: the thorough compiler takes a third of the time of short tests. Processes
# that tests start, and make test-light, have it.
if "SPLADE_LUCENE_TEST_LIGHT" not in os.environ:
    jnius_config.add_options("-XX:TieredStopAtLevel=1")

# Before torch is loaded: with all cores for each, processes would wait for each other's threads.
if "PYTEST_XDIST_WORKER" in os.environ:
    _cores = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores)))

# before they are imported: failed assertions of theirs show values as those of test modules do
pytest.register_assert_rewrite("support")

from support.collections import random_collection
from support.java import find_lucene_10
from support.processes import ROOT

from splade_lucene import PseudoDocument, index_pseudo_documents, write_pseudo_documents

if TYPE_CHECKING:
    from splade_lucene import SpladeEncoder

# make test-light: an environment without torch and all that Pyserini requires; what needs them is skipped there.
LIGHT = "SPLADE_LUCENE_TEST_LIGHT" in os.environ
_LIBRARIES = (
    "torch|transformers|fsspec|onnx|tensorboardX|pandas|ranx|sphinx|jupytext|huggingface_hub|sentence.transformers|ray"
    "|opensearchpy|opensearch-py|elasticsearch|qdrant.client|pymilvus|milvus.lite|seismic|pyseismic-lsr|bmp|pyterrier"
    "|langchain.core|llama.index(?:.core)?|haystack(?:-ai)?|beir|mteb"
)
_LACKING = re.compile(
    rf"No module named '({_LIBRARIES})|\b({_LIBRARIES})(?=(?:, which pyserini requires,|, which)? is not installed)"
)


collect_ignore_glob = ["support/*"]  # no tests, and some need torch


def _skip_where_light(report: Any, where: str) -> Any:
    lacking = _LACKING.search(str(report.longrepr)) if LIGHT and report.failed else None
    if lacking:
        report.outcome = "skipped"
        report.longrepr = (where, 0, f"Skipped: needs {lacking[1] or lacking[2]}, which the light environment lacks")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    return _skip_where_light((yield), str(collector.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    return _skip_where_light((yield), str(item.path))


# No test of Hypothesis has a time limit for one example: the first one of a process starts a JVM or waits for others.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")


# ---- make quick ----

NOT_QUICK = """
adapters_beir adapters_haystack adapters_langchain adapters_llamaindex adapters_mteb adapters_pyterrier
adapters_sentence_transformers bridge cli comparators distributed distributed_hosts distributed_serving
docs encoder encoding end_to_end explorer families fused fuzz golden imports install jvm light loss_report makefile memory_and_precision notebooks onnx opensearch pruning
push python_docs readme remote reproduction reproduction_facts reproduction_groups reranker resolution resuming server_limits soundness storage
threads_and_processes training training_data training_head training_output training_parity training_report training_trust
""".split()  # noqa: SIM905
"""Test modules that ``make quick`` does not even import: they start processes or servers, load models, or import large libraries."""


@pytest.hookimpl(optionalhook=True)  # xdist's
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than there are cores: many tests wait for a process, a signal or a server; no quick one does."""
    return (os.cpu_count() or 1) + (not config.getoption("--quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="Run unit tests only: no model, no process but this one.")


def pytest_configure(config: pytest.Config) -> None:
    if LIGHT:  # its libraries and its Python are newer than those that the constraints name, and may warn
        config.addinivalue_line("filterwarnings", "default")
    sys.addaudithook(partial(_refuse_processes, config.getoption("--quick")))


_quick_test_runs = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Notes, in every run, whether a test of ``make quick`` runs, so that none of them starts a process unnoticed."""
    global _quick_test_runs
    _quick_test_runs = is_quick(item)
    try:
        return (yield)
    finally:
        _quick_test_runs = False


def _refuse_processes(all_programs: bool, event: str, arguments: tuple[Any, ...]) -> None:
    """Refuses the processes of quick tests: all, or shells and programs of this environment; libraries start others, if rarely."""
    if not _quick_test_runs or event not in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        return
    program = os.fsdecode(arguments[0]) if event == "subprocess.Popen" else ""
    if all_programs or program in ("bash", "sh") or program.startswith(f"{sys.prefix}{os.sep}"):
        raise RuntimeError(f"a test of make quick starts a process ({event} {arguments[:2]}): mark it as process")


def is_quick(item: pytest.Item) -> bool:
    """Whether a test belongs to ``make quick``."""
    return not (
        item.path.stem.removeprefix("test_") in NOT_QUICK
        or {"process", "slow", "java", "model"} & {mark.name for mark in item.iter_markers()}
        or "encoder" in getattr(item, "fixturenames", ())
        or (isinstance(item, pytest.DoctestItem) and loads_a_model(item))
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.getoption("--quick") and collection_path.stem.removeprefix("test_") in NOT_QUICK else None


def loads_a_model(item: pytest.DoctestItem) -> bool:
    return any(name in each.source for each in item.dtest.examples for name in ("SpladeEncoder(", "build_index("))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--quick"):
        return
    others = [item for item in items if not is_quick(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Garbage is not collected while all modules are imported, and what they leave is passed over for good.

    Otherwise a collection takes a third of a second, because of the objects of PyTorch and other libraries.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


# ---- fixtures ----


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data, models and tools; tests that need it are skipped elsewhere."""
    folder = Path(os.environ.get("SPLADE_LUCENE_TEST_DATA", ROOT.parent / "shared" / "data")).parent
    if not (folder / "data").is_dir():
        pytest.skip("needs the shared data (SPLADE_LUCENE_TEST_DATA)")
    return folder


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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with one small layer and random weights."""
    from support.checkpoints import tiny_checkpoint

    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "bert")


@pytest.fixture(scope="module")
def tiny_encoder(tiny_model: Path) -> SpladeEncoder:
    """The same in float32 on the CPU; a new one for each test module, as tests patch it."""
    from splade_lucene import SpladeEncoder

    return SpladeEncoder(tiny_model, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread, as small networks are slower on several, above all where other programs run."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def lucene10_jars() -> Path:
    """A folder with the fatjar of pyserini 2.x."""
    return find_lucene_10()
