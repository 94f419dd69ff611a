"""Many threads never get each other's answers; processes that were forked say so, and spawned ones work."""

from __future__ import annotations

import ast
import copy
import gc
import math
import os
import pickle
import random
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.processes import ROOT

from splade_lucene import (
    Bm25Searcher,
    Document,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    ProcessBoundError,
    PseudoDocument,
    PyseriniSearcher,
    Quantizer,
    accelerate,
    index_texts,
)

PACKAGE = ROOT / "splade_lucene"
JAVA = ROOT / "java_bridge" / "src" / "io" / "spladelucene"
SECONDS = float(os.environ.get("SPLADE_LUCENE_TEST_SECONDS", "60"))
ANSWERS = math.inf if "SPLADE_LUCENE_TEST_SECONDS" in os.environ else 1_000_000
"""Threads are compared until there are so many answers, or for so many seconds."""


# ---- every call is static ----


class JavaUses:
    """What a module does with Java.

    A facade is ``jvm.facade("Name")`` or a name that was assigned one. What a facade returned, and the names and attributes
    that hold it or were assigned from those, may be an argument; no attribute of it is ever reached.

    Attributes:
        calls: (facade, method) of all calls through a facade.
        wrong: Lines that use Java in any other way.
    """

    def __init__(self, source: str) -> None:
        self.nodes = [*ast.walk(ast.parse(source))]
        self.assigned = [
            (target, node.value)
            for node in self.nodes
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        ]
        self.facades = {
            target.id: name
            for target, value in self.assigned
            if isinstance(target, ast.Name) and (name := facade_name(value))
        }
        self.names: set[str] = set()
        self.attributes = {"java", "_java", "_writer"}
        for _ in range(3):  # an alias of an alias
            self._bind()
        attributes = [node for node in self.nodes if isinstance(node, ast.Attribute)]
        self.calls = {(name, node.attr) for node in attributes if (name := self.facade_of(node.value))}
        self.wrong = sorted(
            [node.lineno for node in attributes if not self.facade_of(node.value) and self.is_forbidden(node)]
            + [node.lineno for node in self.nodes if isinstance(node, ast.ImportFrom) and imports_classes(node)]
        )

    def _bind(self) -> None:
        for target, value in self.assigned:
            if not self.facade_of(value) and self.is_of_java(value):
                if isinstance(target, ast.Name):
                    self.names.add(target.id)
                elif isinstance(target, ast.Attribute):
                    self.attributes.add(target.attr)

    def facade_of(self, node: ast.AST) -> str | None:
        return facade_name(node) or (self.facades.get(node.id) if isinstance(node, ast.Name) else None)

    def is_of_java(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.names
        if isinstance(node, ast.Attribute):
            return node.attr in self.attributes
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and bool(self.facade_of(node.func.value))
        )

    def is_forbidden(self, node: ast.Attribute) -> bool:
        names_class = isinstance(node.value, ast.Name) and f"{node.value.id}.{node.attr}" == "jvm.java_class"
        return names_class or node.attr == "autoclass" or self.is_of_java(node.value)


def imports_classes(node: ast.ImportFrom) -> bool:
    return bool({"java_class", "autoclass"} & {each.name for each in node.names})


def facade_name(node: ast.AST) -> str | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "facade"):
        return None
    (name,) = node.args
    assert isinstance(name, ast.Constant)
    return str(name.value)


def test_java_uses_are_found():
    uses = JavaUses(
        'java = jvm.facade("Index")\n'
        "build = java.startBuild(1)\n"
        'jvm.facade("Search").search(self._java, 2)\n'
        "self._java.search(2)\n"
        "reader.java.docid(1)\n"
        "build.cancel()\n"
        'jvm.java_class("java.lang.String")\n'
        'self.handle: Any = jvm.facade("Bm25").openIndex(1)\n'
        "other = self.handle\n"
        "other.close()\n"
        'jvm.facade("Index").openReader(2).close()\n'
        "from splade_lucene.jvm import java_class\n"
    )
    assert uses.calls == {("Index", "startBuild"), ("Search", "search"), ("Bm25", "openIndex"), ("Index", "openReader")}
    assert uses.wrong == [4, 5, 6, 7, 10, 11, 12]


def test_java_is_called_through_static_methods_alone():
    """Pyjnius keeps the receiver of an instance method where another thread can change it."""
    called: set[tuple[str, str]] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "jvm":
            uses = JavaUses(path.read_text(encoding="utf-8"))
            assert uses.wrong == [], path
            called |= uses.calls
    called |= {("Runtime", "quietLucene"), ("Runtime", "luceneVersion"), ("Index", "damage")}  # called by jvm itself
    offered = set()
    for facade in ("Index", "Join", "Search", "Bm25", "Runtime"):
        source = (JAVA / facade.lower() / f"{facade}Facade.java").read_text(encoding="utf-8")
        public = re.findall(r"^  public (\w+) ", source, re.MULTILINE)
        assert set(public) == {"static"}, facade
        offered |= {
            (facade, name)
            for name in re.findall(r"^  public static (?:synchronized )?[\w.\[\]]+ (\w+)\(", source, re.M)
        }
    assert called == offered


# ---- threads ----


def documents(name: str, count: int) -> list[PseudoDocument]:
    return [
        PseudoDocument(f"{name}{i}", f"text of {name}{i}", {f"t{j}": 1 + (i * j) % 50 for j in range(40)})
        for i in range(count)
    ]


@pytest.mark.java
@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
def test_no_thread_gets_the_answer_of_another(tmp_path):  # noqa: C901 - it contains what its threads do
    """Four searchers, two indexers, a reader and BM25, a thread each."""
    searchers = {}
    for name in "ABCD":
        with LuceneImpactIndexer(tmp_path / name) as indexer:
            indexer.add(documents(name, 60 if name in "AB" else 90))
        searchers[name] = LuceneImpactSearcher(tmp_path / name)
    reader = LuceneImpactIndexReader(tmp_path / "C")
    index_texts([Document(f"x{i}", f"word{i % 7} word{i % 11}") for i in range(200)], tmp_path / "bm25")
    bm25 = Bm25Searcher(tmp_path / "bm25")
    indexers = {name: LuceneImpactIndexer(tmp_path / name) for name in ("new-E", "new-F")}
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    stop = time.monotonic() + SECONDS

    def answers() -> int:
        return sum(count for what, count in [*counts.items()] if not what.startswith("index"))

    def repeat(what, step) -> None:
        source = random.Random(what)
        try:
            while time.monotonic() < stop and answers() < ANSWERS:
                counts[what] += step(source)
        except Exception as error:
            wrong.append(f"{what}: {error!r}")

    queries = [{f"t{j}": j + 1 for j in range(start, start + 10)} for start in range(30)]
    expected = {name: [searcher.search(q, 5).docids for q in queries] for name, searcher in searchers.items()}

    def search(name):
        def step(source) -> int:
            number = source.randrange(30)
            found = searchers[name].batch_search([queries[number]] * 8, [*"abcdefgh"], 5, 1)
            document = searchers[name].doc(f"{name}{number}")
            if any(hits.docids != expected[name][number] for hits in found.values()):
                wrong.append(f"search of {name}")
            if document is None or document.contents() != f"text of {name}{number}":
                wrong.append(f"document of {name}")
            return 9

        return step

    added: Counter[str] = Counter()

    def index(name):
        def step(source) -> int:
            indexers[name].add(PseudoDocument(f"{name}-{added[name]}", "", {"t": 1 + added[name] % 9}))
            added[name] += 1
            return 1

        return step

    docids, postings = reader.docids(), {f"t{j}": reader.postings(f"t{j}")[1].tolist() for j in range(1, 6)}

    def read(source) -> int:
        number, term = source.randrange(len(docids)), f"t{source.randrange(1, 6)}"
        if reader.docid(number) != docids[number] or reader.lucene_docid(docids[number]) != number:
            wrong.append("reader's docid")
        if reader.postings(term)[1].tolist() != postings[term]:
            wrong.append("reader's postings")
        return 3

    ranked = {text: bm25.search(text, 5) for text in (f"word{i}" for i in range(11))}

    def search_texts(source) -> int:
        text = f"word{source.randrange(11)}"
        if bm25.search(text, 5) != ranked[text]:
            wrong.append("BM25")
        return 1

    tasks = {
        **{f"search {name}": search(name) for name in searchers},
        **{f"index {name}": index(name) for name in indexers},
        "read": read,
        "bm25": search_texts,
    }
    threads = [threading.Thread(target=repeat, args=each) for each in tasks.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(dict(counts))
    assert wrong == []
    assert min(counts[what] for what in tasks) > 10
    for name, indexer in indexers.items():
        indexer.close()
        with LuceneImpactIndexReader(tmp_path / name) as written:
            assert sorted(written.docids()) == sorted(f"{name}-{i}" for i in range(added[name]))
    for searcher in searchers.values():
        searcher.close()
    reader.close()
    bm25.close()


# ---- processes ----

START = """
import asyncio, multiprocessing, sys, tempfile
from pathlib import Path
from splade_lucene import LuceneImpactIndexer, LuceneImpactSearcher, PseudoDocument
from splade_lucene.errors import ForkedProcessError

def search(index, results=None):
    try:
        with LuceneImpactSearcher(index) as searcher:
            found = searcher.search({"a": 2}).docids
    except ForkedProcessError as error:
        found = str(error)
    if results is not None:
        results.put(found)
    return found

def build():
    index = str(Path(tempfile.mkdtemp()) / "index")
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(PseudoDocument("d", "", {"a": 1}))
    return index
"""


def run_script(tmp_path: Path, body: str) -> list[str]:
    """Runs a script from a file, which spawned processes import; the lines that it prints."""
    script = tmp_path / "script.py"
    script.write_text(f"{START}\nif __name__ == '__main__':\n{textwrap.indent(body, '    ')}")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=400, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


IN_A_PROCESS = """
index = build()
print(search(index))
context = multiprocessing.get_context("{method}")
results = context.Queue()
process = context.Process(target=search, args=(index, results))
process.start()
print(results.get(timeout=150))
process.join(150)
"""


@pytest.mark.java
def test_a_forked_process_is_told_at_once(tmp_path):
    before, forked = run_script(tmp_path, IN_A_PROCESS.format(method="fork"))
    assert before == "['d']"
    assert forked.startswith("this process was forked from one in which ")
    assert 'get_context("spawn") or "forkserver"' in forked


@pytest.mark.java
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_freshly_started_process_works(tmp_path, method):
    assert run_script(tmp_path, IN_A_PROCESS.format(method=method)) == ["['d']", "['d']"]


@pytest.mark.java
def test_forking_before_the_first_use_works(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(PseudoDocument("d", "", {"a": 1}))
    body = IN_A_PROCESS.replace("build()", repr(str(tmp_path / "index"))).replace("print(search(index))\n", "")
    assert run_script(tmp_path, body.format(method="fork")) == ["['d']"]


@pytest.mark.java
def test_asyncio(tmp_path):
    body = """
index = build()
async def ask():
    return await asyncio.gather(*(asyncio.to_thread(search, index) for _ in range(8)))
print(asyncio.run(ask()) == [["d"]] * 8)
"""
    assert run_script(tmp_path, body) == ["True"]


@pytest.mark.java
def test_workers_of_a_data_loader(tmp_path):
    pytest.importorskip("torch")
    body = """
from torch.utils.data import DataLoader
index = build()
for context in ("spawn", "fork"):
    loader = DataLoader([index] * 4, batch_size=None, num_workers=2, multiprocessing_context=context, collate_fn=search)
    print(sorted({str(found)[:30] for found in loader}))
"""
    assert run_script(tmp_path, body) == ["[\"['d']\"]", "['this process was forked from o']"]


def test_a_forked_process_with_an_encoder_is_told_at_once(tmp_path):
    pytest.importorskip("torch")
    from support.checkpoints import tiny_checkpoint

    (tmp_path / "model").mkdir()
    tiny_checkpoint(tmp_path / "model", "bert")
    body = f"""
import torch
from splade_lucene import SpladeEncoder
torch.set_num_threads(2)
encoder = SpladeEncoder({str(tmp_path / "model")!r}, device="cpu", dtype="float32")
encoder.encode_documents(["a text"])
import os
child = os.fork()
if not child:
    for each in (encoder, SpladeEncoder({str(tmp_path / "model")!r}, device="cpu", dtype="float32")):
        try:
            each.encode_documents(["a text"])
        except ForkedProcessError as error:
            print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    printed = run_script(tmp_path, body)
    assert len(printed) == 2
    assert all(each.startswith("this process was forked from one in which an encoder was loaded") for each in printed)


# ---- objects that belong to one process ----


@pytest.fixture
def indexes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("lifetimes")
    with LuceneImpactIndexer(folder / "impacts") as indexer:
        indexer.add(PseudoDocument(f"d{i}", f"text {i}", {"a": i + 1}) for i in range(50))
    accelerate(folder / "impacts")
    index_texts([Document(f"t{i}", f"word{i}") for i in range(50)], folder / "texts")
    return {"impacts": folder / "impacts", "texts": folder / "texts"}


OPENED: dict[str, tuple[str, Callable[[Path], Any], Any]] = {
    "LuceneImpactSearcher": ("impacts", LuceneImpactSearcher, {"a": 1}),
    "PyseriniSearcher": ("impacts", PyseriniSearcher, {"a": 1}),
    "Bm25Searcher": ("texts", Bm25Searcher, "word3"),
}


def is_mapped(index: Path) -> bool:
    """Whether files of Lucene's in an index are in the memory of this process; Java unmaps an accelerator when it likes."""
    return f"{index}/_" in Path("/proc/self/maps").read_text()


@pytest.mark.java
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of mapped files")
@pytest.mark.parametrize("name", ["LuceneImpactSearcher", "Bm25Searcher"])  # Pyserini's own class leaves files open
def test_a_searcher_that_is_dropped_closes_its_files_once_its_hits_are_dropped_too(indexes, name):
    kind, open_index, query = OPENED[name]
    assert not is_mapped(indexes[kind])
    searcher = open_index(indexes[kind])
    hits = searcher.search(query, 1)
    assert is_mapped(indexes[kind])
    del searcher
    gc.collect()
    assert hits[0].contents.startswith(("text", "word"))
    del hits
    gc.collect()
    assert not is_mapped(indexes[kind])


@pytest.mark.java
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of mapped files")
def test_a_reader_that_is_dropped_closes_its_files_and_may_be_closed_twice(indexes):
    reader = LuceneImpactIndexReader(indexes["impacts"])
    assert len(reader.docids()) == 50
    assert is_mapped(indexes["impacts"])
    del reader
    gc.collect()
    assert not is_mapped(indexes["impacts"])
    for name in ("LuceneImpactSearcher", "Bm25Searcher"):
        kind, open_index, query = OPENED[name]
        searcher = open_index(indexes[kind])
        searcher.search(query)
        searcher.close()
        searcher.close()
        assert not is_mapped(indexes[kind])


@pytest.mark.java
def test_an_indexer_that_is_dropped_rolls_back_and_frees_the_index(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(PseudoDocument("kept", "", {"a": 1}))
    indexer = LuceneImpactIndexer(tmp_path / "index")
    indexer.add(PseudoDocument("dropped", "", {"a": 1}))
    del indexer
    gc.collect()
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(PseudoDocument("later", "", {"a": 1}))
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert sorted(searcher.search({"a": 1}).docids) == ["kept", "later"]


def refuses_to_be_pickled(thing: Any) -> bool:
    name = type(thing).__name__
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, lambda each: pickle.dumps([each], protocol=2)):
        with pytest.raises(ProcessBoundError, match=f"this {name} belongs to one process.* open it in the worker"):
            attempt(thing)
    return isinstance(ProcessBoundError(), TypeError)  # what pickle itself raises


@pytest.mark.java
def test_what_holds_java_objects_refuses_to_be_pickled(indexes, tmp_path):
    for kind, open_index, query in OPENED.values():
        with open_index(indexes[kind]) as searcher:
            assert refuses_to_be_pickled(searcher)
            assert len(searcher.search(query, 1)) == 1  # it is still open
    with LuceneImpactSearcher(indexes["impacts"]) as searcher:
        assert refuses_to_be_pickled(searcher.make_filter(["d1"]))
        assert refuses_to_be_pickled(searcher.reader)
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(PseudoDocument("d", "", {"a": 1}))
        assert refuses_to_be_pickled(indexer)


def test_encoders_refuse_to_be_pickled():
    pytest.importorskip("torch")
    from splade_lucene import SpladeEncoder, SpladeQueryEncoder

    encoder = SpladeEncoder(device="cpu")
    assert refuses_to_be_pickled(encoder)
    assert refuses_to_be_pickled(SpladeQueryEncoder(encoder, Quantizer.named("naver")))
