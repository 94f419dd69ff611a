"""The documentation builds without a warning, names everything that is public, and its links and examples are right."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer
from sphinx.util.inventory import InventoryFile
from support.processes import ROOT

import splade_lucene
from splade_lucene.cli.app import app
from splade_lucene.quantizer import RULES
from splade_lucene.reproduction import read_catalogue

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COLUMN = 88  # characters of a code sample that a page shows without scrolling

PUBLIC: list[str] = vars(splade_lucene)["__all__"]
MACHINE = (str(ROOT), sys.prefix, f"{Path.home()}/")
API = "docs/api/"


class Page(HTMLParser):
    """What a page links to, and what may be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("href", "src") and value:
                self.links.append(value)
            elif key in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """Links to files or anchors that are not there."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else set()
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append(f"{path.name}: {link}")
    return broken


def command_names(command: Any, words: list[str]) -> list[list[str]]:
    """The command and those below it, as they are typed."""
    below = getattr(command, "commands", {})
    return [words, *(each for name in below for each in command_names(below[name], [*words, name]))]


def samples(*languages: str) -> list[tuple[str, str]]:
    """Page and code of each sample of these languages."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for language, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
            if language in languages:
                found.append((path.name, code))
    return found


def commands_of(code: str) -> list[list[str]]:
    """The words of each splade-lucene command in a shell script."""
    lines = code.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("splade-lucene ")]


def check_usage(command: Any, words: list[str], page: str) -> None:
    """Parses a command as Click does, without running it."""
    group = command
    while words and words[0] in getattr(group, "commands", {}):
        group, words = group.commands[words[0]], words[1:]
    assert not hasattr(group, "commands"), (page, words)
    group.make_context(page, list(words))


# ---- before anything is built ----


def test_each_public_name_is_in_a_page_of_the_api():
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / API).glob("*.rst"))
    named = set(re.findall(r"^\.\. auto\w+:: splade_lucene\.(\w+)$", text, flags=re.MULTILINE))
    missing = set(PUBLIC) - named
    assert not missing, f"add '.. autoclass:: splade_lucene.NAME' or '.. autofunction::' for these to a page in {API}"


def test_commands_in_pages_can_be_parsed():
    command = typer.main.get_command(app)
    found = [(page, words) for page, code in samples("sh", "bash") for words in commands_of(code)]
    assert len(found) > 50
    for page, words in found:
        check_usage(command, words, page)


def test_wrong_commands_are_noticed():
    command = typer.main.get_command(app)
    for wrong in ("search --index i --quary q", "index --index i", "encode --corpus c --output o --quantizer x"):
        with pytest.raises(Exception, match="No such option|Missing parameter|is not one of"):
            check_usage(command, shlex.split(wrong), "here")


def test_python_in_pages_compiles_and_imports_what_there_is():
    for page, code in samples("python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module == "splade_lucene":
                unknown = {alias.name for alias in node.names} - {*PUBLIC, "*"}
                assert not unknown, page


def test_samples_fit_their_column():
    long = [(page, line) for page, code in samples("python", "bash", "sh", "json", "yaml", "text")
            for line in code.splitlines() if len(line) > COLUMN]  # fmt: skip
    assert long == []


def test_each_quantizer_rule_is_in_the_table_of_formats():
    table = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").partition("## Quantization")[2]
    assert [name for name in RULES if f"| `{name}`" not in table] == []


def test_the_number_of_entries_is_that_of_the_catalogue():
    text = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
    assert f"The catalogue has {len(read_catalogue())} entries" in text


def test_contributing_names_every_make_target():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [each for each in targets if f"`make {each}`" not in text and not each.startswith("install")] == []


# ---- the site ----


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built as ``make docs`` builds it."""
    folder = tmp_path_factory.mktemp("docs")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    options = "-W --keep-going -q -b html"
    assert f"-m sphinx {options} docs" in makefile
    folders = ["-d", str(folder / "cache"), "docs", str(folder / "site")]
    command = [sys.executable, "-m", "sphinx", *options.split(), *folders]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.mark.slow
def test_each_public_name_has_an_entry(site):
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    entries = {name for kind in inventory.data if kind.startswith("py:") for name in inventory.data[kind]}
    missing = [name for name in PUBLIC if f"splade_lucene.{name}" not in entries]
    assert not missing, f"add '.. autoclass:: splade_lucene.NAME' or '.. autofunction::' for these to a page in {API}"
    assert "splade_lucene.LuceneImpactSearcher.batch_search" in entries  # and members theirs


@pytest.mark.slow
def test_each_command_and_each_guide_is_described(site):
    commands = (site / "commands.html").read_text(encoding="utf-8")
    for words in command_names(typer.main.get_command(app), ["splade-lucene"]):
        assert f'id="{"-".join(words)}"' in commands, words
    lists = re.findall(r"<strong>Commands</strong>:</p>\s*<ul.*?</ul>", commands, flags=re.DOTALL)
    assert len(lists) == 3
    for each in lists:
        assert not re.search(r"(\.\.\.|…)</p>", each)
    guides = (site / "guides.html").read_text(encoding="utf-8")
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        assert path.name in guides


@pytest.mark.slow
def test_links_lead_somewhere(site):
    assert broken_links(site) == []


@pytest.mark.slow
def test_nothing_names_the_machine(site):
    for path in site.rglob("*"):
        if path.suffix in (".html", ".js", ".txt", ".css", ".ipynb"):
            text = path.read_text(encoding="utf-8")
            assert [name for name in MACHINE if name in text] == [], path.relative_to(site)


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#there"><a href="b.html#gone"><a href="c.html"><img src="d.png">')
    (tmp_path / "b.html").write_text('<p id="there"><a href="#there"><a href="https://example.org/#x">')
    assert broken_links(tmp_path) == ["a.html: b.html#gone", "a.html: c.html", "a.html: d.png"]
