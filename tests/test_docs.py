"""The documentation builds without a warning, names everything that the package shows, and its links lead somewhere."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built as ``make docs`` builds it."""
    folder = tmp_path_factory.mktemp("docs")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    options = "-W --keep-going -q -b html"
    assert f"-m sphinx {options} docs" in makefile
    places = ["-d", str(folder / "cache"), "docs", str(folder / "site")]
    command = [sys.executable, "-m", "sphinx", *options.split(), *places]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.mark.slow
def test_each_public_name_has_an_entry(site):
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    entries = {name for kind in inventory.data if kind.startswith("py:") for name in inventory.data[kind]}
    missing = [name for name in vars(splade_lucene)["__all__"] if f"splade_lucene.{name}" not in entries]
    assert not missing, f"add '.. autoclass:: splade_lucene.NAME' or '.. autofunction::' for these to a page in {API}"
    assert "splade_lucene.LuceneImpactSearcher.batch_search" in entries  # and members theirs


@pytest.mark.slow
def test_each_command_and_each_guide_is_told_of(site):
    commands = (site / "commands.html").read_text(encoding="utf-8")
    for words in command_names(typer.main.get_command(app), ["splade-lucene"]):
        assert f'id="{"-".join(words)}"' in commands, words
    guides = (site / "guides.html").read_text(encoding="utf-8")
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        assert path.name in guides


@pytest.mark.slow
def test_links_lead_somewhere(site):
    assert broken_links(site) == []


@pytest.mark.slow
def test_nothing_tells_of_the_machine(site):
    for path in site.rglob("*"):
        if path.suffix in (".html", ".js", ".txt", ".css", ".ipynb"):
            text = path.read_text(encoding="utf-8")
            assert [place for place in MACHINE if place in text] == [], path.relative_to(site)


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#there"><a href="b.html#gone"><a href="c.html"><img src="d.png">')
    (tmp_path / "b.html").write_text('<p id="there"><a href="#there"><a href="https://example.org/#x">')
    assert broken_links(tmp_path) == ["a.html: b.html#gone", "a.html: c.html", "a.html: d.png"]
