"""Terrier and Lucene in one JVM, whichever is used first.

Terrier itself is downloaded by PyTerrier and not here; stand-ins for the classes that PyTerrier's start uses take its place,
in jars of Terrier's names. All else is real: PyTerrier's initializers, Pyjnius, Java, Lucene.
"""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from support.entry_points import write_entry_points
from support.java import find_jdk
from support.pipelines import pipeline_index
from support.processes import ROOT, run_python

pytest.importorskip("pyterrier")
pytestmark = pytest.mark.java

SOURCES = {
    "org/terrier/Version": 'public static final String VERSION = "5.11";',
    "org/terrier/python/PTUtils": "public static void setLogLevel(String level, String logger) {}",
    "org/terrier/utility/ApplicationSetup": """
        public static void bootstrapInitialisation(java.util.Properties properties) {}
        public static String found(String name) throws Exception { return Class.forName(name).getSimpleName(); }""",
    "org/terrier/querying/IndexRef": "",
}
HELPER = {"org/terrier/python/PTUtils"}

PYTERRIER = """
import os
import pyterrier as pt
pt.java.mavenresolver.offline()
pt.java.set_redirect_io(False)
assert not pt.java.started()
"""
START_PYTERRIER = """
pt.java.init()
print("terrier", pt.terrier.version(), pt.terrier.J.ApplicationSetup.found("org.terrier.python.PTUtils"))
print("property", pt.java.J.System.getProperty("sun.java.command") is not None)
"""
SEARCH = """
from splade_lucene import LuceneImpactSearcher, jvm
from splade_lucene.adapters.pyterrier import ImpactIndex
index = ImpactIndex({index!r})
print("lucene", [hit["docno"] for hit in index.retriever()([dict(qid="1", query_toks=dict(cat=1))])])
with LuceneImpactSearcher({index!r}) as searcher:
    print("bm25", searcher.search_hybrid(dict(cat=1), text="baked bread").docids)
"""
END = """
import jnius_config
print("home", os.environ.get("JAVA_HOME"), jnius_config.add_options.__module__)
"""


@pytest.fixture(scope="module")
def terrier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PYTERRIER_HOME with the jars that PyTerrier looks for."""
    folder = tmp_path_factory.mktemp("terrier")
    for name, body in SOURCES.items():
        path = folder / "src" / f"{name}.java"
        path.parent.mkdir(parents=True, exist_ok=True)
        package, _, simple = name.replace("/", ".").rpartition(".")
        path.write_text(f"package {package};\npublic class {simple} {{ {body} }}\n")
    javac = find_jdk(25) / "bin" / "javac"
    if not javac.exists():
        pytest.skip("needs a compiler")
    sources = [*map(str, (folder / "src").rglob("*.java"))]
    subprocess.run([str(javac), "--release", "11", "-nowarn", "-d", str(folder / "classes"), *sources], check=True)
    for jar, is_helper in (
        ("terrier-assemblies-5.11-jar-with-dependencies.jar", False), ("terrier-python-helper-0.0.8.jar", True)
    ):  # fmt: skip
        with zipfile.ZipFile(folder / jar, "w") as archive:
            for name in SOURCES:
                if (name in HELPER) == is_helper:
                    archive.write(folder / "classes" / f"{name}.class", f"{name}.class")
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pipeline_index(tmp_path_factory.mktemp("index")))


def run(code: str, terrier: Path, entry_points: Path, index: str, **variables: str | None):
    return run_python(
        code.replace("{index!r}", repr(index)), PYTERRIER_HOME=str(terrier), TERRIER_VERSION="5.11",
        TERRIER_HELPER_VERSION="0.0.8", PYTHONPATH=os.pathsep.join([str(entry_points), str(ROOT)]), **variables,
    )  # fmt: skip


@pytest.fixture(scope="module")
def entry_points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_entry_points(tmp_path_factory.mktemp("installed"))


BOTH_FOUND = [
    "bm25 ['d1', 'd4', 'd3', 'd2']", "lucene ['d1', 'd3', 'd2']", "property True", "terrier 5.11 PTUtils",
]  # fmt: skip


@pytest.mark.parametrize("home", [None, "an old one"])
def test_pyterrier_first(terrier, entry_points, index, home):
    """Without us, PyTerrier takes the Java of JAVA_HOME or of the path, which may be too old."""
    home = home and str(find_jdk(17))
    done = run(PYTERRIER + START_PYTERRIER + SEARCH + END, terrier, entry_points, index, JAVA_HOME=home)
    *found, end = done.stdout.splitlines()
    assert sorted(found) == BOTH_FOUND, done.stderr
    assert end == f"home {home} jnius_config"
    assert "Java started" in done.stderr
    assert "splade_lucene" in done.stderr


def test_we_first(terrier, entry_points, index):
    code = PYTERRIER + "pt.java.set_memory_limit(700)\n" + SEARCH + START_PYTERRIER + SEARCH + END
    done = run(code, terrier, entry_points, index, JAVA_HOME=None)
    *found, end = done.stdout.splitlines()
    assert sorted({*found}) == BOTH_FOUND, done.stderr
    assert end == "home None jnius_config"
    assert "its option -Xmx700m has no effect. Set SPLADE_LUCENE_HEAP instead" in done.stderr


def test_importing_and_pipelines_without_terrier_start_nothing_of_pyterriers(terrier, entry_points, index):
    code = PYTERRIER + SEARCH + "print('started', pt.java.started())"
    done = run(code, terrier, entry_points, index, JAVA_HOME=None)
    assert "started False" in done.stdout, done.stderr
    assert "Java started" not in done.stderr


def test_a_start_that_fails_leaves_things_as_they_were(entry_points, index, tmp_path):
    code = """
try:
    pt.java.init()
except ValueError as error:
    print(error)
import gc; gc.collect()
"""
    ours_first = run(PYTERRIER + SEARCH + code + END, tmp_path, entry_points, index, JAVA_HOME=None)
    assert "Offline mode, and terrier-assemblies-5.11-jar-with-dependencies.jar not found" in ours_first.stdout
    assert ours_first.stdout.splitlines()[-1] == "home None jnius_config", ours_first.stderr
    theirs_first = run(PYTERRIER + code + SEARCH + END, tmp_path, entry_points, index, JAVA_HOME=None)
    assert theirs_first.stdout.splitlines()[-1] == "home None jnius_config", theirs_first.stderr
    assert "lucene ['d1', 'd3', 'd2']" in theirs_first.stdout


def test_a_java_that_the_user_chose_is_kept_and_named_if_it_is_too_old(terrier, entry_points, index):
    choice = f"pt.java.set_java_home({str(find_jdk(17))!r})\n"
    done = run(PYTERRIER + choice + START_PYTERRIER + SEARCH, terrier, entry_points, index, JAVA_HOME=None)
    assert "terrier 5.11" in done.stdout
    assert "A Java 17 JVM is already running in this process, but Java 21 or newer is required" in done.stderr
