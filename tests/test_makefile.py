"""Targets of the Makefile: a test run ends whatever a test does, and `make clean` leaves nothing behind."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from support.processes import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SUITE = """
import os, signal, threading
import pytest

@pytest.mark.parametrize("number", range(8))
def test_small(number):
    pass

def test_that_kills_its_process():
    os.kill(os.getpid(), signal.SIGSEGV)

def test_that_never_ends():
    threading.Event().wait()
"""


@pytest.mark.slow
def test_a_test_that_kills_its_process_or_never_ends_fails_the_run(tmp_path):
    """Under the options of `make test`, with a shorter time limit; other tests run, and the run ends."""
    options = re.search(r"^PYTEST_OPTIONS := (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    assert re.search(r"^timeout = \d+", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", *options, "-o", "timeout=5", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "2 failed, 8 passed" in done.stdout, done.stdout[-2000:]
    assert "crashed while running 'tests/test_suite.py::test_that_kills_its_process'" in done.stdout


def test_clean_leaves_nothing_of_ours(tmp_path):
    """No ignored file remains, and no tracked file is deleted."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    for ignored in (ROOT / ".gitignore").read_text().split():
        path = (
            clone
            / ("docs" if ignored == "*.partial" else "")
            / ignored.lstrip("/").replace("-*", "-light").replace("*", "made")
        )
        if ignored.endswith("/"):
            path.mkdir(parents=True)
            path /= "file"
        path.write_text("")
    (clone / "splade_lucene" / "cli" / "__pycache__").mkdir()
    for mine in ("notes/thesis.tex", "notes x.partial"):
        (clone / mine).parent.mkdir(exist_ok=True)
        (clone / mine).write_text("")
    subprocess.run(["git", "branch", "mine.partial"], cwd=clone, check=True)
    shown = subprocess.run(["make", "clean"], cwd=clone, capture_output=True, text=True, check=True)
    assert "error" not in shown.stderr
    status = ["git", "status", "--porcelain", "--ignored", "--untracked-files=all"]
    left = subprocess.run(status, cwd=clone, capture_output=True, text=True, check=True).stdout
    assert left == '?? notes/thesis.tex\n!! "notes x.partial"\n'
    subprocess.run(["git", "rev-parse", "--verify", "-q", "mine.partial"], cwd=clone, capture_output=True, check=True)


def test_a_python_that_is_not_there(tmp_path):
    done = subprocess.run(["make", "demo", "PYTHON=/nowhere/python3"], cwd=ROOT, capture_output=True, text=True)
    assert "no /nowhere/python3 was found: install Python 3.11 or newer, or name it with PYTHON=" in done.stderr


def test_clean_cache_removes_the_demos_work_and_no_file_that_a_user_put_there(tmp_path):
    cache = tmp_path / "splade-lucene"
    for path in ("demo/index", "tests/uv", "topics-and-qrels"):
        (cache / path).mkdir(parents=True)
    subprocess.run(["make", f"XDG_CACHE_HOME={tmp_path}", "clean-cache"], cwd=ROOT, capture_output=True, check=True)
    assert [path.name for path in cache.iterdir()] == ["topics-and-qrels"]
