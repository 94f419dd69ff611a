"""README and the session in docs/commands.md are run as written; README's Python prints what it says, and the map in the documentation is complete."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support.commands import run_script
from support.processes import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and code of each block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


BLOCKS = blocks(README)


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
@pytest.mark.parametrize("page", ["README.md", "docs/commands.md"])
def test_the_commands_run_as_written(page, tmp_path):
    text = (ROOT / page).read_text(encoding="utf-8")
    scripts = [code for language, code in blocks(text) if language == "bash" and "splade-lucene" in code]
    assert len(scripts) == 1
    done = run_script(scripts[0], tmp_path)
    assert done.returncode == 0, done.stderr


def test_it_is_a_landing_page():
    assert len(README.encode()) < 9000


def test_there_are_ten_commands():
    commands = [line for language, code in BLOCKS if language == "bash" for line in code.splitlines()]
    assert sum(line.startswith("splade-lucene ") for line in commands) == 10


def test_the_map_has_every_folder_and_module_once_in_the_order_of_the_steps():
    """In the order of STEPS in tests/test_architecture.py."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    map_of_package = page.partition("## Map of the package")[2].partition("\n## ")[0]
    rows = [line.split("|")[2] for line in map_of_package.splitlines() if line.startswith("|")][2:]
    named = [name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)]
    modules = {path.stem for path in (ROOT / "splade_lucene").iterdir() if path.suffix in (".py", "")}
    assert sorted(named) == sorted(modules - {"__pycache__", "__init__"})
    for name in named:
        assert f"`{name}{'/' * (ROOT / 'splade_lucene' / name).is_dir()}`" in map_of_package
    flow = ["corpus", "topics", "encoder", "quantizer", "pseudo_documents", "index", "search", "run", "evaluation"]
    assert [name for name in named if name in flow] == flow


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 30
    for link in links:
        path, _, heading = link.partition("#")
        assert (ROOT / path).is_file(), link
        if heading:
            headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}, link


def test_the_two_commands_are_the_makefiles():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target}" in README
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
