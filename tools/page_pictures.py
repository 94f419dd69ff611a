#!/usr/bin/env python3
"""Takes the pictures of the page that README and docs show, in a real Chromium (``make browser``).

    python tools/page_pictures.py [--all DIR]

The index is of docstrings of Python's standard library, with a pruned one beside it. With ``--all``, every view is taken as
well, wide and at the width of a phone, light and dark, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from zlib import crc32

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.browsers import browser_context
from support.servers import RunningServer, running

from splade_lucene import DocumentSettings, Pruning, SpladeEncoder, build_index, read_corpus

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

QUERY = "parse command line arguments"
MODULES = ("argparse", "cmd", "code", "getopt", "inspect", "optparse", "pdb", "shlex", "sys", "trace", "unittest")
WIDE, PHONE = {"width": 1280, "height": 760}, {"width": 390, "height": 844}
VIEWS: dict[str, dict[str, Any]] = {
    "search": {"q": QUERY, "doc": "getopt"},
    "search-edited": {"q": QUERY, "w": ["0:bash", "150:option"], "is.kind": "function"},
    "search-none": {"q": "zzzz", "filter": 'module = "none"'},
    "compare": {"q": QUERY, "index2": "python-pruned", "engine2": "impact"},
    "runs": {},
    "statistics": {},
}


def kind_of(docid: str) -> str:
    """What a docstring describes, by the form of its name."""
    if docid in sys.modules:
        return "module"
    *_, owner, name = ["", *docid.split(".")]
    if name[:1].isupper():
        return "class"
    return "method" if owner[:1].isupper() else "function"


def documents() -> Iterator[dict[str, Any]]:
    """The docstrings of some modules, and a twentieth of the others."""
    for each in read_corpus("python-docs"):
        module = each.docid.partition(".")[0]
        if module in MODULES or crc32(each.docid.encode()) % 20 == 0:
            yield {
                "id": each.docid, "text": each.text, "kind": kind_of(each.docid), "module": module,
                "words": len(each.text.split()),
            }  # fmt: skip


def build(folder: Path) -> dict[str, Path]:
    """Makes the two indexes."""
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in documents())
    encoder = SpladeEncoder(documents=DocumentSettings(max_length=64))
    fields = "kind,module,words:integer"
    build_index(folder / "corpus.jsonl", folder / "python", encoder, fields=fields, bm25=True)
    build_index(
        folder / "corpus.jsonl", folder / "python-pruned", encoder, fields=fields, pruning=Pruning(top_terms=24)
    )
    return {"python": folder / "python", "python-pruned": folder / "python-pruned"}


def write_run(server: RunningServer, folder: Path) -> list[Path]:
    """A run of three queries with judgments of a few of its documents."""
    texts = {"q1": QUERY, "q2": "debug a program", "q3": "read the source code of a function"}
    run, qrels = [], []
    for number, (qid, text) in enumerate(texts.items()):
        hits = server.fetch("/api/v1/python/search", {"query": text, "k": 60})["hits"]
        qrels += [f"{qid} 0 {hits[rank]['docid']} {grade}" for rank, grade in ((number * 12, 2), (5, 1), (8, 0))]
        run += [f"{qid} Q0 {hit['docid']} {hit['rank']} {hit['score']} splade" for hit in hits[:30]]
    contents = {"run.trec": run, "qrels.txt": qrels, "topics.tsv": [f"{qid}\t{text}" for qid, text in texts.items()]}
    for name, lines in contents.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return [folder / name for name in contents]


def take(
    browser: BrowserContext, server: RunningServer, path: Path, view: str, files: list[Path], *,
    size: dict[str, int], scheme: str = "light", whole: bool = False, **state: Any,
) -> None:  # fmt: skip
    """Takes a picture of a view.

    Args:
        browser: The browser.
        server: The service.
        path: Where the picture goes.
        view: The view.
        files: A run, its judgments and its topics, for the view of runs.
        size: Of the window.
        scheme: ``light`` or ``dark``.
        whole: Whether all of the page is taken, or what fits into the window.
        state: What its address has.
    """
    page = browser.new_page()
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for _ in range(3):  # times of a server that is warm
        page.goto(f"{server.url}/#{view}?{urlencode({'index': 'python', **state}, doseq=True)}")
        page.reload(wait_until="networkidle")
    if view == "runs":
        for label, file in zip(("Run", "Judgments", "Topics"), files, strict=True):
            page.get_by_label(label).first.set_input_files(file)
        page.wait_for_load_state("networkidle")
    page.wait_for_timeout(700)
    page.evaluate("document.activeElement?.blur()")
    page.screenshot(path=path, full_page=whole)
    page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", type=Path, metavar="DIR", help="also take all views, into this folder")
    args = parser.parse_args()
    docs = ROOT / "docs"
    with tempfile.TemporaryDirectory() as folder:
        indexes = build(Path(folder))
        with running(indexes) as server, browser_context() as browser:
            files = write_run(server, Path(folder))
            take(browser, server, docs / "explorer.png", "search", files, size=WIDE, **VIEWS["search"])
            narrow = {"width": 1040, "height": 700}
            take(browser, server, docs / "explorer-compare.png", "compare", files, size=narrow, **VIEWS["compare"])
            for name, state in VIEWS.items() if args.all else ():
                args.all.mkdir(parents=True, exist_ok=True)
                for size, at in ((WIDE, "wide"), (PHONE, "phone")):
                    for scheme in ("light", "dark"):
                        path = args.all / f"{name}-{at}-{scheme}.png"
                        view = name.partition("-")[0]
                        take(browser, server, path, view, files, size=size, scheme=scheme, whole=True, **state)


if __name__ == "__main__":
    main()
