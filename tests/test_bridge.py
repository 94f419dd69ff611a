"""The jar in the package was built from the sources beside it, and serves Lucene 9 and 10 alike."""

from __future__ import annotations

import importlib.util
import subprocess
import zipfile
from pathlib import Path

import pytest
from support.processes import ROOT, run_python

from splade_lucene import jvm

spec = importlib.util.spec_from_file_location("java_bridge_build", ROOT / "java_bridge" / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)


def classes(jar: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(jar) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".class")}


def jdk() -> Path:
    jdks = build.find_jdks()
    if not jdks:
        pytest.skip("needs a JDK of 21 or newer to compile")
    return jdks[0]


def test_the_jar_was_built_from_these_sources():
    with zipfile.ZipFile(jvm.BRIDGE_JAR) as jar:
        assert jar.read(build.DIGEST_ENTRY).decode().strip() == build.sources_digest(), "run: make bridge"


def test_building_again_gives_the_same_classes(tmp_path):
    build.build(jvm.find_fatjar(), tmp_path / "again.jar", jdk())
    again, shipped = classes(tmp_path / "again.jar"), classes(jvm.BRIDGE_JAR)
    assert set(again) == set(shipped)
    compiler = subprocess.run([str(jdk() / "bin" / "javac"), "-version"], capture_output=True, text=True).stdout
    if " 25" not in compiler:
        pytest.skip(f"the jar was built by javac 25; another compiler ({compiler.strip()}) may write other bytes")
    assert again == shipped


@pytest.mark.slow
def test_the_sources_compile_against_lucene_10(tmp_path, lucene10_jars):
    build.build(next(lucene10_jars.glob("*.jar")), tmp_path / "ten.jar", jdk())
    assert set(classes(tmp_path / "ten.jar")) == set(classes(jvm.BRIDGE_JAR))


INDEX_AND_SEARCH = """
from pathlib import Path
import sys
sys.path.insert(0, "tests")
from support.collections import random_collection
from splade_lucene import *
from splade_lucene import jvm
folder = Path({folder!r})
documents = random_collection(500, seed=5, impacts=20)
write_pseudo_documents(folder / "docs.jsonl", documents)
index_pseudo_documents(folder / "docs.jsonl", folder / "index", memory=20_000)
assert check_index(folder / "index").is_sound
more = random_collection(40, seed=6)
with LuceneImpactIndexer(folder / "index") as indexer:
    indexer.add(more)
current = list({{each.docid: each for each in [*documents, *more]}}.values())
accelerate(folder / "index")
for engine in ("auto", "blockmax", "maxscore", "taat"):
    with LuceneImpactSearcher(folder / "index", engine=engine) as searcher:
        assert searcher.accelerated_segments > 1
        some = searcher.make_filter([each.docid for each in current[::2]])
        for number, document in enumerate(documents[:40]):
            query = dict(list(document.vector.items())[:20])
            for k in (1, 10, 1000):
                for allowed, chosen in ((current, None), (current[::2], some)):
                    hits = searcher.search(query, k, filter=chosen)
                    found = list(zip(hits.docids, hits.scores.tolist()))
                    assert found == exhaustive_search(allowed, query, k), (engine, number, k)
print("equal on Lucene", jvm.versions()["lucene"].split(".")[0])
"""


@pytest.mark.java
@pytest.mark.slow
def test_the_same_jar_indexes_and_searches_on_lucene_10(tmp_path, lucene10_jars):
    done = run_python(INDEX_AND_SEARCH.format(folder=str(tmp_path)), ANSERINI_CLASSPATH=str(lucene10_jars))
    assert "equal on Lucene 10" in done.stdout, done.stderr


@pytest.mark.java
@pytest.mark.slow
def test_lucene_10_reads_an_index_of_9_9(index_dir, lucene10_jars):
    code = f"""
from splade_lucene import LuceneImpactSearcher, jvm
with LuceneImpactSearcher({str(index_dir)!r}) as searcher:
    print(jvm.versions()["lucene"].split(".")[0], searcher.num_docs)
"""
    done = run_python(code, ANSERINI_CLASSPATH=str(lucene10_jars))
    assert done.stdout.split() == ["10", "2000"], done.stderr
