"""The bridge's Java unit tests, a pytest test for each Java class, and the form of its sources.

They need a JDK of 21 or newer and JUnit 5, which is in the jars that SPLADE_LUCENE_JUNIT names (jars or folders of jars,
separated as in PATH), or else in ../shared/java, or else in Debian's package junit5. The tests with Lucene's random codecs
and failing directories also need Lucene's test framework, and what it depends on, among these jars.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from support.java import has_lucene_10
from support.processes import ROOT

from splade_lucene import jvm

sys.path.insert(0, str(ROOT / "java_bridge"))

import build
import format as java_format  # java_bridge/format.py

SOURCES = ROOT / "java_bridge" / "src"
TESTS = ROOT / "java_bridge" / "tests"
SHARED = Path(os.environ.get("SPLADE_LUCENE_SHARED", ROOT.parent / "shared")) / "java"
DEBIAN = Path("/usr/share/java")
JUNIT = "junit-platform-console-standalone*.jar"  # all of JUnit 5
FRAMEWORK = "import org.apache.lucene.tests."
CLASSES = sorted(".".join(path.relative_to(TESTS).with_suffix("").parts) for path in TESTS.rglob("*Test.java"))
# Packages in order: each may use those before it.
PACKAGES = ("wire", "postings", "fields", "index", "join", "search", "bm25", "runtime")


def junit_jars() -> list[Path]:
    """The jars of JUnit and of Lucene's test framework, as far as they are there.

    The framework's codecs register themselves on the class path, so those of another Lucene are left out.
    """
    if named := os.environ.get("SPLADE_LUCENE_JUNIT"):
        entries = [Path(entry) for entry in named.split(os.pathsep)]
    else:
        entries = [SHARED] if list(SHARED.glob(JUNIT)) else [DEBIAN / "junit-platform-console-standalone.jar"]
    jars = [jar for entry in entries for jar in (sorted(entry.glob("*.jar")) if entry.is_dir() else [entry])]
    others = ("google-java-format", "lucene-") if has_lucene_10() else ("google-java-format",)
    return [jar for jar in jars if jar.exists() and not jar.name.startswith(others)]


def has_framework() -> bool:
    """Whether Lucene's test framework is there, of the version of the installed Lucene."""
    return any(jar.name.startswith("lucene-test-framework-9.9") for jar in junit_jars())


def skip_reason(name: str) -> str | None:
    if not build.find_jdks():
        return "needs a JDK of 21 or newer"
    if not any(fnmatch(jar.name, JUNIT) or fnmatch(jar.name, "junit-platform-launcher*.jar") for jar in junit_jars()):
        return "needs JUnit 5: Debian's package junit5, or SPLADE_LUCENE_JUNIT with the path of its console's jar"
    source = (TESTS / (name.replace(".", "/") + ".java")).read_text(encoding="utf-8")
    if FRAMEWORK in source and not has_framework():
        return "needs Lucene's test framework, of the version of the installed Lucene (9.9)"
    return None


def run_java_tests(names: list[str], folder: Path) -> list[dict[str, str]]:
    """Compiles the Java tests and runs them in one JVM."""
    jdk = build.find_jdks()[0]
    fatjar = jvm.find_fatjar()
    libraries = os.pathsep.join(map(str, [jvm.BRIDGE_JAR, *junit_jars(), fatjar]))
    sources = [
        path for path in sorted(TESTS.rglob("*.java")) if has_framework() or FRAMEWORK not in path.read_text("utf-8")
    ]
    # -classfile, -path: JUnit's jars lack annotations and name jars that need not be there
    compiled = subprocess.run(
        [str(jdk / "bin" / "javac"), "--release", "21", "-Xlint:all,-classfile,-path", "-Werror", "-proc:none",
         "-g", "-cp", libraries, "-d", str(folder / "classes"), *map(str, sources)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    report = folder / "report.jsonl"
    seed = os.environ.get("SPLADE_LUCENE_TEST_SEED")  # as a failure of Lucene's framework prints it
    command = [
        str(jdk / "bin" / "java"), "-ea", "-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",  # for short tests
        "-Djava.awt.headless=true", *([f"-Dtests.seed={seed}"] if seed else []),
        "-cp", f"{folder / 'classes'}{os.pathsep}{libraries}", "io.spladelucene.RunTests", str(report), *names,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder)
    assert report.exists(), done.stdout + done.stderr
    (folder / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    return [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What all Java tests did; they run once, in whichever process of pytest-xdist asks first."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "java"
    folder.mkdir(exist_ok=True)
    saved = folder / "outcomes.json"
    with FileLock(folder / "lock"):
        if not saved.exists():
            found: Any = run_java_tests([name for name in CLASSES if skip_reason(name) is None], folder)
            saved.write_text(json.dumps(found), encoding="utf-8")
    result: list[dict[str, str]] = json.loads(saved.read_text(encoding="utf-8"))
    return result


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_java(name, request):
    if reason := skip_reason(name):
        pytest.skip(reason)
    mine = [each for each in request.getfixturevalue("outcomes") if each["class"] == name]
    failures = [f"{each['name']}: {each['status']}\n{each['trace']}" for each in mine if each["status"] != "SUCCESSFUL"]
    assert not failures, "\n".join(failures)
    assert mine, "no test ran"


def test_every_java_package_uses_only_those_before_it():
    for path in SOURCES.rglob("*.java"):
        package = path.parent.name
        used = set(re.findall(r"\bio\.spladelucene\.(\w+)\.\w+;", path.read_text(encoding="utf-8")))
        assert used <= set(PACKAGES[: PACKAGES.index(package)]), path


def test_every_java_package_says_what_it_does():
    assert {path.parent.name for path in SOURCES.rglob("*.java")} == set(PACKAGES)
    for package in PACKAGES:
        assert (SOURCES / "io" / "spladelucene" / package / "package-info.java").exists(), package


@pytest.mark.process
def test_the_java_sources_are_formatted():
    try:
        jar = java_format.find_formatter(SHARED)
    except FileNotFoundError as error:
        pytest.fail(str(error))
    if jar is None:
        pytest.skip(f"needs google-java-format ({java_format.VARIABLE})")
    jdks = build.find_jdks()
    if not jdks:
        pytest.skip("needs a JDK of 21 or newer")
    done = java_format.run_formatter(jar, jdks[0], "--dry-run", "--set-exit-if-changed")
    assert done.returncode == 0, f"run: make format\n{done.stdout}{done.stderr}"
