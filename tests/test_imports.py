"""Ctrl-C waits for imports to end, packages that are not installed are named with their extra, and so is the network."""

from __future__ import annotations

import configparser
import importlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from support.checkpoints import bert
from support.commands import check_failed, heed_ctrl_c, run
from support.processes import ROOT, child_environment

from splade_lucene import MissingDependencyError, SpladeEncoder, read_corpus, read_topics
from splade_lucene.errors import CorpusError, TopicsError
from splade_lucene.imports import EXTRAS, uninterrupted_imports

# ---- Ctrl-C ----

SIGNALLED = "import signal\nsignal.raise_signal(signal.SIGINT)\nsum(range(1_000_000))\nend = True\n"


@pytest.fixture
def handlers(tmp_path, monkeypatch) -> Iterator[None]:
    """A folder of modules, and Python's own handler of Ctrl-C."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def load(folder: Path, name: str, source: str = SIGNALLED) -> ModuleType:
    (folder / f"{name}.py").write_text(source)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def test_ctrl_c_waits_until_an_import_is_over(tmp_path, handlers):
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with uninterrupted_imports():
            load(tmp_path, "signalled_in_block")
            time.sleep(10)

    @uninterrupted_imports()
    def compute() -> None:
        load(tmp_path, "signalled_in_function")

    with pytest.raises(KeyboardInterrupt):
        compute()
    assert sys.modules["signalled_in_block"].end
    assert sys.modules["signalled_in_function"].end
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_many_signals_during_an_import_are_one_afterwards(tmp_path, handlers):
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    mine = signal.getsignal(signal.SIGINT)
    with uninterrupted_imports():
        assert load(tmp_path, "signalled_often", "import signal\n" + SIGNALLED * 5).end
    assert heard == [signal.SIGINT]  # the caller's own handler, which is back in place
    assert signal.getsignal(signal.SIGINT) is mine


def test_ctrl_c_between_imports_is_heard_at_once(tmp_path, handlers):
    """Even if the call itself is part of an import, such as that of the user's own module."""
    source = """
import signal
from splade_lucene.imports import uninterrupted_imports
told = []
try:
    with uninterrupted_imports():
        signal.raise_signal(signal.SIGINT)
        told.append("went on")
except KeyboardInterrupt:
    told.append("interrupted")
"""
    assert load(tmp_path, "module_of_a_user", source).told == ["interrupted"]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_ctrl_c_that_python_does_not_handle_is_left_alone(handlers, handler):
    signal.signal(signal.SIGINT, handler)
    with uninterrupted_imports():
        assert signal.getsignal(signal.SIGINT) is handler
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_threads_install_nothing(handlers):
    def see_handler() -> None:
        with uninterrupted_imports():
            seen.append(signal.getsignal(signal.SIGINT))

    seen: list[Any] = []
    thread = threading.Thread(target=see_handler)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


FIRST_CALLS = {
    "encode": "encoder = SpladeEncoder(dtype='float32')\ncall = lambda: encoder.encode_documents(['a'])",
    "search": "call = lambda: splade_lucene.jvm.versions()",
}


@pytest.mark.process
@pytest.mark.parametrize("call", FIRST_CALLS)
def test_a_first_call_that_is_interrupted_can_be_made_again(call):
    """The interrupt comes as soon as the heavy package begins to be imported."""
    program = f"""
import importlib.abc, os, signal, sys
import splade_lucene, splade_lucene.jvm
from splade_lucene import SpladeEncoder
{FIRST_CALLS[call]}
class Interrupting(importlib.abc.MetaPathFinder):
    count = 0
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("torch", "jnius", "jnius_config", "transformers"):
            Interrupting.count += 1
            if Interrupting.count in (1, 40, 300):
                os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
interrupts = 0
while True:
    try:
        result = call()
        break
    except KeyboardInterrupt:
        interrupts += 1
print(interrupts > 0, len(result))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=child_environment(), timeout=600,
        preexec_fn=heed_ctrl_c, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()) == (0, ["True", {"encode": "1", "search": "3"}[call]]), done.stderr


# ---- packages that are not installed ----


def test_extras_are_those_of_the_package():
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    for package, extra in EXTRAS.items():
        distribution = {"opensearchpy": "opensearch-py", "yaml": "pyyaml"}.get(package, package.replace("_", "[-_]"))
        assert re.search(rf"^{distribution}\b", extras[extra], re.M), package


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Imports of a package fail as if it were not installed; modules of ours that have imported it are forgotten.

    Afterwards each module is restored, in ``sys.modules`` and as the attribute of its package.
    """
    forgotten = (f"{package}.", "splade_lucene.training.", "sentence_transformers.")
    for name, module in [(name, module) for name, module in sys.modules.items() if name.startswith(forgotten)]:
        parent, _, child = name.rpartition(".")
        if getattr(sys.modules.get(parent), child, None) is module:
            monkeypatch.setattr(sys.modules[parent], child, module)
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)


def adapter(folder: Path) -> object:
    base = bert(folder / "base")
    (folder / "lora").mkdir()
    (folder / "lora" / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{base}"}}')
    (folder / "lora" / "adapter_model.safetensors").write_bytes(b"")
    return SpladeEncoder(folder / "lora", device="cpu", dtype="float32").encode_documents(["a"])


def train(folder: Path) -> object:
    from splade_lucene.training import train as train_it

    return train_it


def reranker(folder: Path) -> object:
    from splade_lucene import Reranker

    return Reranker("cross-encoder/name")


def plot(folder: Path) -> object:
    from splade_lucene.evaluation.plots import check_figure

    return check_figure(folder / "plot.png")


NEEDED: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "adapter": ("peft", "lora", adapter),
    "corpus of ir_datasets": ("ir_datasets", "irds", lambda folder: list(read_corpus("irds:vaswani"))),
    "topics of ir_datasets": ("ir_datasets", "irds", lambda folder: read_topics("irds:vaswani")),
    "plot": ("matplotlib", "plots", plot),
    "reranking": ("sentence_transformers", "rerank", reranker),
    **{
        f"training, {name}": (name, "train", train)
        for name in ("sentence_transformers", "accelerate", "pydantic", "yaml")
    },
}


@pytest.mark.parametrize("what", NEEDED)
def test_a_package_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, what):
    package, extra, call = NEEDED[what]
    hide(monkeypatch, package)
    message = rf"{package} is not installed\. Install it with 'pip install splade-lucene\[{extra}\]'"
    with pytest.raises(MissingDependencyError, match=message):
        call(tmp_path)


def test_a_required_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    hide(monkeypatch, "pyarrow")
    (tmp_path / "corpus.parquet").write_bytes(b"")
    for read in (
        lambda: list(read_corpus(tmp_path / "corpus.parquet")),
        lambda: read_topics(tmp_path / "corpus.parquet"),
    ):
        with pytest.raises(MissingDependencyError, match="pyarrow is not installed.*'pip install pyarrow'"):
            read()


def test_the_command_line_names_it_too(tmp_path, monkeypatch):
    hide(monkeypatch, "ir_datasets")
    told = check_failed(run("build", "--corpus", "irds:vaswani", "--index", tmp_path / "index"))
    assert "ir_datasets is not installed. Install it with 'pip install splade-lucene[irds]'" in told


# ---- no network ----


def unreachable(*_: object, **__: object) -> Any:
    raise RuntimeError("[Errno -3] Temporary failure in name resolution")


def test_data_sets_that_cannot_be_downloaded_are_named_with_a_remedy(monkeypatch):
    dataset = SimpleNamespace(
        docs_iter=unreachable, queries_iter=unreachable, has_queries=lambda: True, has_qrels=lambda: True
    )
    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=lambda name: dataset))
    with pytest.raises(CorpusError, match="irds:some/set .*name resolution.*Check the network.*ir-datasets.com/some "):
        list(read_corpus("irds:some/set"))
    with pytest.raises(TopicsError, match="irds:some/set .*name resolution.*Check the network"):
        read_topics("irds:some/set")
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(CorpusError, match="cannot read hf:some/set .*name resolution.*Check the name, .* the network"):
        list(read_corpus("hf:some/set"))
