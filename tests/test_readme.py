"""README's commands are run as written, and its Python prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import COMMANDS
from support.processes import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def numbers(text: str) -> list[str]:
    return re.findall(r"\d[\d,.]*", text)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d]+", text)


def assert_prints(printed: str, shown: str) -> None:
    """The same words in the same order; scores may differ by rounding of single impacts on another processor."""
    assert words(printed) == words(shown), printed
    for found, expected in zip(numbers(printed), numbers(shown), strict=True):
        value, wanted = (float(each.replace(",", "").rstrip(".")) for each in (found, expected))
        assert value == pytest.approx(wanted, rel=0.02, abs=0.02), printed


@pytest.mark.model
@pytest.mark.slow
def test_the_python_flow_prints_what_readme_shows(tmp_path):
    at = next(i for i, (language, _) in enumerate(BLOCKS) if language == "python")
    (_, code), (kind, shown) = BLOCKS[at], BLOCKS[at + 1]
    assert kind == "text"
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert_prints(done.stdout, shown)


@pytest.mark.model
@pytest.mark.slow
def test_the_commands_run_as_written(tmp_path):
    scripts = [code for language, code in BLOCKS if language == "bash" and "splade-lucene" in code]
    assert scripts
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for script in scripts:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_readme_names_every_command_and_every_module():
    for command in COMMANDS:
        assert f"splade-lucene {command}" in README or f"`{command}`" in README, command
    for path in (ROOT / "splade_lucene").glob("*.py"):
        if path.stem not in ("__main__",):
            assert path.name in README, path.name


def test_the_two_commands_are_the_makefiles():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target}" in README
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
