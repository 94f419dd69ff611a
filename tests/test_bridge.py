"""The jar in the package was built from the sources next to it, and serves Lucene 9 and 10 alike."""

from __future__ import annotations

import importlib.util
import subprocess
import zipfile
from pathlib import Path

import pytest
from support.processes import ROOT, run_python

from splade_lucene import LuceneImpactIndexer, PseudoDocument, jvm

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
index_pseudo_documents(folder / "docs.jsonl", folder / "old", memory=20_000)
paths = [folder / "old", folder / "index"]
merge_indexes(paths, folder / "merged", duplicates="last")
assert check_index(folder / "merged").is_sound
with (
    LuceneImpactSearcher(paths, duplicates="last", min_idf=0.5) as several,
    LuceneImpactSearcher(folder / "merged", min_idf=0.5) as merged,
):
    assert several.num_docs == merged.num_docs == len(current)
    for document in documents[:40]:
        assert several.search(document.vector, 1000) == merged.search(document.vector, 1000)
print("equal on Lucene", jvm.versions()["lucene"].split(".")[0])
"""


@pytest.mark.java
@pytest.mark.slow
def test_the_same_jar_indexes_and_searches_on_lucene_10(tmp_path, lucene10_jars):
    done = run_python(INDEX_AND_SEARCH.format(folder=str(tmp_path)), ANSERINI_CLASSPATH=str(lucene10_jars))
    assert "equal on Lucene 10" in done.stdout, done.stderr


@pytest.mark.java
@pytest.mark.slow
def test_lucene_10_reads_and_merges_indexes_of_9_9(tmp_path, index_dir, lucene10_jars):
    with LuceneImpactIndexer(tmp_path / "nine") as indexer:
        indexer.add(PseudoDocument("added", "", {"term1": 9}))
    code = f"""
from pathlib import Path
from splade_lucene import LuceneImpactIndexer, LuceneImpactSearcher, PseudoDocument, jvm, merge_indexes
from splade_lucene.errors import IndexVersionError
folder = Path({str(tmp_path)!r})
with LuceneImpactSearcher({str(index_dir)!r}) as searcher:
    print(jvm.versions()["lucene"].split(".")[0], searcher.num_docs)
with LuceneImpactIndexer(folder / "ten") as indexer:
    indexer.add(PseudoDocument("tenth", "", {{"term1": 9}}))
merge_indexes([{str(index_dir)!r}, folder / "nine"], folder / "merged")
for paths in ([folder / "merged"], [{str(index_dir)!r}, folder / "nine", folder / "ten"]):
    with LuceneImpactSearcher(paths) as searcher:
        print(searcher.num_docs)
try:
    merge_indexes([folder / "nine", folder / "ten"], folder / "mixed")
except IndexVersionError as error:
    print(error)
"""
    done = run_python(code, ANSERINI_CLASSPATH=str(lucene10_jars))
    counts, message = done.stdout.split("\n", 3)[:3], done.stdout.split("\n", 3)[-1]
    assert counts == ["10 2000", "2001", "2002"], done.stderr
    if jvm.versions()["lucene"].startswith("9."):  # otherwise this process wrote "nine" with Lucene 10
        assert "nine was created by Lucene 9" in message
        assert "ten by Lucene 10" in message
