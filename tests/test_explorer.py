"""The page in a real browser: typical use, with the keyboard alone, on a phone, in the dark theme; axe finds no violations."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from xml.etree import ElementTree
from zlib import crc32

import pytest
from support.browsers import browser_context
from support.processes import child_environment
from support.servers import RunningServer, running

from splade_lucene import Approximation, LuceneImpactSearcher, Pruning, SpladeEncoder, build_index, read_corpus

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.model, pytest.mark.process]

QUERY = "copy a file to another folder"
MODULES = ("shutil", "argparse", "zipfile")
ATTACK = '<img src=x onerror="document.title=1">'
Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred docstrings with fields, and a document that tries to run a script."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for document in read_corpus("python-docs"):
            module = document.docid.partition(".")[0]
            if module in MODULES or crc32(document.docid.encode()) % 120 == 0:
                record = {
                    "id": document.docid,
                    "text": document.text[:140],
                    "module": module,
                    "size": len(document.text),
                    "even": len(document.text) % 2 == 0,
                }
                file.write(json.dumps(record) + "\n")
        attack = {"id": "<b>attack</b>", "text": f"copy a file {ATTACK} to another folder", "module": ATTACK, "size": 1}
        dots = {"id": "..", "text": "copy a file to the folder above", "module": "dots", "size": 2}
        file.writelines(json.dumps(each) + "\n" for each in (attack, dots))
    return path


@pytest.fixture(scope="module")
def indexes(corpus: Path, encoder: SpladeEncoder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The whole vectors, and pruned ones."""
    folder = tmp_path_factory.mktemp("indexes")
    build_index(corpus, folder / "docs", encoder, fields="module,size:integer,even:boolean", bm25=True)
    build_index(corpus, folder / "pruned", encoder, fields="module,size:integer", pruning=Pruning(top_terms=16))
    return {"docs": folder / "docs", "pruned": folder / "pruned"}


@pytest.fixture(scope="module")
def server(indexes: dict[str, Path]) -> Iterator[RunningServer]:
    with running(indexes) as server:
        yield server


@pytest.fixture(scope="module")
def searcher(indexes: dict[str, Path]) -> Iterator[LuceneImpactSearcher]:
    with LuceneImpactSearcher(indexes["docs"]) as searcher:
        yield searcher


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with browser_context() as context:
        yield context


@pytest.fixture
def open_page(browser: BrowserContext, server: RunningServer) -> Iterator[Open]:
    """Opens the page in a state; at the end, checks that nothing failed and that no other host was contacted.

    ``fails`` names a status that the service answers on purpose.
    """
    pages: list[Page] = []
    problems: list[str] = []
    expected: set[str] = set()

    def open_page(
        view: str = "search", *, width: int = 1280, scheme: str = "light", fails: str = "", **state: object
    ) -> Page:
        expected.add(f"the server responded with a status of {fails} ")
        page = browser.new_page()
        pages.append(page)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.on("request", lambda request: _is_ours(request.url, server) or problems.append(request.url))
        page.set_viewport_size({"width": width, "height": 860})
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{server.url}/#{view}?{urlencode({'index': 'docs', **state}, doseq=True)}")
        return page

    yield open_page
    for page in pages:
        page.close()
    unexpected = [each for each in problems if not any(status in each for status in expected)]
    assert unexpected == []


def _is_ours(url: str, server: RunningServer) -> bool:
    return url.startswith((f"{server.url}/", "data:", "blob:"))


def shown(page: Page, selector: str = ".hits .docid") -> list[str]:
    return page.locator(selector).all_inner_texts()


def wait_for_ranking(page: Page, docids: list[str]) -> None:
    """Waits until these hits are shown, in their order."""
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('.hits .docid')].map(each => each.textContent).join('\\n') === wanted",
        arg="\n".join(docids),
    )


def wait_for_address(page: Page, part: str) -> None:
    """The address is updated once nothing has changed for a moment."""
    page.wait_for_function("part => location.hash.includes(part)", arg=part)


def weights(searcher: LuceneImpactSearcher, **edits: int) -> dict[str, int]:
    return {term: weight for term, weight in {**searcher.encode(QUERY), **edits}.items() if weight}


# ---- the search ----


def test_hits_follow_while_typing(open_page, searcher):
    page = open_page()
    page.wait_for_function("() => document.activeElement.id === 'query'")
    page.keyboard.type(QUERY, delay=15)
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)
    own, added = shown(page, ".group.own .name"), shown(page, ".group.added .name")
    vector = searcher.encode(QUERY)
    assert {term for term in own if not term.startswith("##")} <= set(QUERY.split())
    assert not {"copy", "file", "another", "folder"} & set(added)
    assert "file" in own
    assert "directory" in added or "folders" in added
    for group in (own, added):
        assert [vector[term] for term in group] == sorted((vector[term] for term in group), reverse=True)
    wait_for_address(page, f"q={QUERY.replace(' ', '+')}")


def test_the_parts_of_a_bar_sum_to_the_score(open_page, searcher):
    page = open_page(q=QUERY)
    hits = searcher.search(QUERY, 10)
    wait_for_ranking(page, hits.docids)
    bars = page.locator(".hit .bar")
    longest = hits.scores.max()
    for place in range(len(hits)):
        full = bars.nth(place).bounding_box()["width"]
        widths = [each.bounding_box()["width"] for each in bars.nth(place).locator(".segment").all()]
        assert sum(widths) / full == pytest.approx(hits.scores[place] / longest, abs=0.01)
        score = page.locator(".hit .score").nth(place).inner_text()
        assert score == f"{hits.scores[place]:,}"


def test_a_weight_is_dragged(open_page, searcher):
    page = open_page(q=QUERY)
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)
    slider = page.get_by_label("Weight of copy", exact=True)
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in (0.5, 0.3, 0.15):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    weight = int(slider.input_value())
    assert 0 < weight < 0.3 * searcher.encode(QUERY)["copy"] + 40
    changed = searcher.search(weights(searcher, copy=weight), 10).docids
    assert changed != searcher.search(QUERY, 10).docids
    wait_for_ranking(page, changed)  # before the mouse is up
    assert slider.bounding_box()["y"] == box["y"]
    page.mouse.up()
    page.get_by_role("button", name="Undo 1 change").click()
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)


def test_terms_are_left_out_put_back_and_added(open_page, searcher):
    page = open_page(q=QUERY)
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)
    page.get_by_role("button", name="Remove file", exact=True).click()
    wait_for_ranking(page, searcher.search(weights(searcher, file=0), 10).docids)
    page.get_by_role("button", name="Restore file").click()
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)
    page.get_by_label("Add a term").fill("parser")
    page.keyboard.press("Enter")
    weight = int(page.get_by_label("Weight of parser").input_value())
    wait_for_ranking(page, searcher.search(weights(searcher, parser=weight), 10).docids)
    assert shown(page, ".group.mine .name") == ["parser"]
    page.get_by_label("Add a term").fill("no-such-term")
    page.keyboard.press("Enter")
    page.get_by_text("No document has the term no-such-term.").wait_for()


def test_an_answer_that_comes_late_is_dropped(open_page, searcher):
    """The first search is answered after the second one."""
    page = open_page()
    page.evaluate("""() => {
        const real = window.fetch;
        window.fetch = async (path, options) => {
            const answer = await real(path, {...options, signal: undefined});
            if (options.body && JSON.parse(options.body).query === "zip archive") await new Promise(done => setTimeout(done, 1500));
            return answer;
        };
    }""")
    page.get_by_label("Query").fill("zip archive")
    page.wait_for_timeout(400)
    page.get_by_label("Query").fill(QUERY)
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)
    page.wait_for_timeout(1800)
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)


def test_texts_are_shown_as_they_are(open_page):
    page = open_page(q=f"copy a file {ATTACK}", doc="<b>attack</b>", k=20)
    page.get_by_role("heading", name="<b>attack</b>").wait_for()
    page.locator(".contents", has_text=ATTACK).wait_for()
    page.locator(".hits .docid", has_text="<b>attack</b>").wait_for()
    assert page.locator("img, b").count() == 0
    assert page.title() != "1"


# ---- a document ----


def test_any_docid_can_be_opened(open_page, searcher):
    """A path with two dots would lead elsewhere."""
    page = open_page(q=QUERY, doc="..")
    page.locator(".contents", has_text="copy a file to the folder above").wait_for()
    page.locator(".similar li").first.wait_for()
    assert shown(page, ".similar .docid") == searcher.more_like_this("..", 5).docids


def test_a_rank_by_impact_is_not_called_that_of_another_engine(open_page, searcher):
    page = open_page(q=QUERY, engine="bm25", doc="shutil.copy")
    rank = searcher.search(QUERY, 100).docids.index("shutil.copy") + 1
    page.get_by_role("heading", name=f"Rank {rank} by impact").wait_for()


def test_a_document_says_why_it_has_its_rank(open_page, searcher):
    page = open_page(q=QUERY)
    best = searcher.search(QUERY, 10)[0]
    page.get_by_role("button", name=best.docid, exact=True).click()
    page.get_by_role("heading", name="Why rank 1").wait_for()
    rows = page.locator(".contributions tbody tr").all_inner_texts()
    parts = [re.sub(r"[\s,×]+", " ", row).split() for row in rows]
    expected = searcher.explain(QUERY, best.docid)
    assert sum(int("".join(row.split("\t")[2].split(","))) for row in rows) == best.score, parts
    assert {row.split("\t")[0] for row in rows} == {each.term for each in expected}
    assert len(shown(page, ".document-term")) == min(24, len(searcher.vector(best.docid)))
    page.locator(".similar li").first.wait_for()
    assert shown(page, ".similar .docid") == searcher.more_like_this(best.docid, 5).docids
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="detached")
    assert page.evaluate("document.activeElement.textContent") == best.docid


def test_why_not_this_one(open_page, searcher):
    page = open_page(q=QUERY, fails="404")
    ranking = searcher.search(QUERY, 1000).docids
    wanted = ranking[40]
    page.get_by_label("Why not this document?").fill(wanted)
    page.get_by_role("button", name="Explain").click()
    page.get_by_role("heading", name="Why rank 41").wait_for()
    vector, has = searcher.encode(QUERY), {each.term for each in searcher.explain(QUERY, wanted)}
    lacks = page.locator(".why .chip").all_inner_texts()
    assert {each.split()[0] for each in lacks} == vector.keys() - has
    page.get_by_label("Why not this document?").fill("no-such-document")
    page.get_by_role("button", name="Explain").click()
    page.get_by_role("alert").filter(has_text="no-such-document").first.wait_for()


# ---- filters ----


def test_facets_ranges_and_filters(open_page, searcher):
    page = open_page(q=QUERY, k=20)
    wait_for_ranking(page, searcher.search(QUERY, 20).docids)
    counted = searcher.search(QUERY, 1000).facets("module")
    row = page.locator(".choice", has_text="shutil")
    assert row.locator(".count").inner_text() == str(counted["shutil"])
    row.click()
    wait_for_ranking(page, searcher.search(QUERY, 20, filter='module = "shutil"').docids)
    page.locator(".choice", has_text="argparse").click()  # a further value
    wait_for_ranking(page, searcher.search(QUERY, 20, filter='module in ("shutil", "argparse")').docids)
    page.locator(".choice", has_text="argparse").click()
    page.locator(".choice", has_text="true").click()
    wait_for_ranking(page, searcher.search(QUERY, 20, filter='module = "shutil" and even = true').docids)
    page.locator(".choice", has_text="true").click()
    page.get_by_label("size, at least").fill("300")
    page.keyboard.press("Tab")
    wait_for_ranking(page, searcher.search(QUERY, 20, filter='module = "shutil" and size >= 300').docids)
    wait_for_address(page, "is.module=shutil")
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Filter", exact=True).fill('module prefix "zip"')
    page.keyboard.press("Enter")
    wait_for_ranking(page, searcher.search(QUERY, 20, filter='module prefix "zip"').docids)


def test_a_facet_is_data(open_page, searcher):
    """A value with quotes stays one value of the filter."""
    page = open_page(q=QUERY, **{"is.module": ATTACK})
    wait_for_ranking(page, ["<b>attack</b>"])


# ---- comparison ----


def test_two_settings_side_by_side(open_page, server, searcher):
    page = open_page("compare", q=QUERY, engine2="bm25")
    page.locator(".ranking.right li").first.wait_for()
    left = searcher.search(QUERY, 10).docids
    right = [hit["docid"] for hit in server.fetch("/api/v1/docs/search", {"query": QUERY, "engine": "bm25"})["hits"]]
    assert (shown(page, ".ranking.left .docid"), shown(page, ".ranking.right .docid")) == (left, right)
    both = [docid for docid in left if docid in right]
    assert page.locator(".slope path").count() == len(both) > 0
    assert f"{len(both)} of 10" in page.locator(".verdict").inner_text()
    for docid in right:
        said = (
            page.locator(".ranking.right li", has=page.get_by_role("button", name=docid, exact=True))
            .locator(".move")
            .inner_text()
        )
        moved = left.index(docid) - right.index(docid) if docid in left else None
        assert {None: "new", 0: "="}.get(moved, str(abs(moved or 0))) in said


def test_two_indexes_side_by_side(open_page, server):
    page = open_page("compare", q=QUERY)
    page.locator("fieldset", has_text="Right").get_by_label("Index").select_option("pruned")
    page.locator("fieldset", has_text="Right").get_by_label("Search").select_option("")
    expected = [hit["docid"] for hit in server.fetch("/api/v1/pruned/search", {"query": QUERY})["hits"]]
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('.ranking.right .docid')].map(each => each.textContent).join() === wanted",
        arg=",".join(expected),
    )
    wait_for_address(page, "index2=pruned")
    page.locator(".ranking.right .docid").first.click()
    page.locator(".drawer .contributions").wait_for()
    assert page.locator(".drawer .title + .note").inner_text() == "In the index pruned"
    wait_for_address(page, "side=right")
    vector = server.fetch(f"/api/v1/pruned/documents/{expected[0]}")["vector"]
    assert page.locator(".own-terms h3 .count").inner_text() == str(len(vector))


def test_a_comparison_says_what_it_has_from_the_search(open_page):
    page = open_page("compare", q=QUERY, w="0:copy", engine2="bm25", **{"is.module": "shutil"})
    note = page.locator(".carried")
    note.get_by_text('module = "shutil"').wait_for()
    assert "1 changed weight" in note.inner_text()
    assert "The left search uses" in note.inner_text()  # BM25, on the right, has no weights
    note.get_by_role("button", name="Clear filter").click()
    note.get_by_role("button", name="Undo").click()
    note.wait_for(state="detached")
    page.wait_for_function("() => !/shutil|w=/.test(location.hash)")


# ---- runs ----


@pytest.fixture(scope="module")
def run_files(searcher: LuceneImpactSearcher, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three queries: found at rank 1, found at rank 5, and not found."""
    folder = tmp_path_factory.mktemp("run")
    texts = {"q1": QUERY, "q2": "parse command line options", "q3": "read an archive"}
    run, qrels = [], []
    for (qid, text), relevant in zip(texts.items(), (0, 4, 30), strict=True):
        docids = searcher.search(text, 40).docids
        qrels.append(f"{qid} 0 {docids[relevant]} 1")
        run += [f"{qid} Q0 {docid} {rank} {100 - rank} test" for rank, docid in enumerate(docids[:20], 1)]
    paths = {name: folder / name for name in ("run.trec", "qrels.txt", "topics.tsv")}
    paths["run.trec"].write_text("\n".join(run) + "\n")
    paths["qrels.txt"].write_text("\n".join(qrels) + "\n")
    paths["topics.tsv"].write_text("".join(f"{qid}\t{text}\n" for qid, text in texts.items()))
    return paths


def test_a_run_is_walked_from_the_worst_query_to_the_best(open_page, run_files, searcher):
    page = open_page("runs")
    page.get_by_label("Run", exact=False).set_input_files(run_files["run.trec"])
    page.get_by_label("Judgments").set_input_files(run_files["qrels.txt"])
    page.get_by_label("Topics").set_input_files(run_files["topics.tsv"])
    page.locator(".queries .text", has_text="archive").wait_for()
    assert shown(page, ".queries .qid") == ["q3", "q2", "q1"]
    page.get_by_role("heading", name="read an archive").wait_for()
    missed = searcher.search("read an archive", 40).docids[30]
    page.get_by_role("button", name=f"Why not {missed}?").click()
    page.get_by_role("heading", name="Why rank 31").wait_for()
    page.get_by_role("button", name="Close the document").click()
    page.get_by_role("button", name="Better").click()
    page.get_by_role("heading", name="parse command line options").wait_for()
    assert page.locator(".run-columns .ranking li.relevant .rank").inner_text() == "5"
    page.locator(".queries button", has_text="q2").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_role("heading", name=QUERY).wait_for()
    wait_for_address(page, "qid=q1")


# ---- exports and links ----


def test_exports(open_page, searcher, indexes, tmp_path):
    page = open_page(q=QUERY)
    hits = searcher.search(QUERY, 10)
    wait_for_ranking(page, hits.docids)
    page.get_by_role("button", name="Export").click()
    assert ranking_of(preview_of(page, "TREC run", "run.trec")) == [*zip(hits.docids, hits.scores, strict=True)]
    told = json.loads(preview_of(page, "JSON", "hits.json"))
    assert [each["docid"] for each in told["hits"]] == hits.docids
    assert "LuceneImpactSearcher" in preview_of(page, "Python", "search.py")
    assert preview_of(page, "Link", "Link") == page.url
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("Copied").first.wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    check_pictures(page, "ranking", tmp_path)


def preview_of(page: Page, title: str, file: str) -> str:
    """The text that the dialog shows for a format: it names the format's file, or the format where there is none."""
    page.locator(".formats").get_by_text(title, exact=True).click()
    text: str = page.locator(f'.preview[aria-label="{file}"]').inner_text()
    return text


def check_pictures(page: Page, name: str, folder: Path, least: int = 2000) -> str:
    """Downloads the picture in both forms, of at least so many bytes; returns the SVG's text."""
    page.locator(".formats").get_by_text("Picture", exact=True).click()
    for suffix, start in (("svg", b"<svg "), ("png", b"\x89PNG")):
        path = folder / f"{name}.{suffix}"
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {path.name}").click()
        download.value.save_as(path)
        assert path.read_bytes().startswith(start)
        assert path.stat().st_size > least
    return (folder / f"{name}.svg").read_text(encoding="utf-8")


def ranking_of(run: str) -> list[tuple[str, float]]:
    return [(line.split()[2], float(line.split()[4])) for line in run.splitlines()]


def test_a_picture_may_have_any_text(open_page, tmp_path):
    """XML allows no control characters, and no half of an emoji, where a title is cut."""
    page = open_page(q=f"copy \x01 {'x' * 81}😀😀")
    page.locator(".hits li").first.wait_for()
    page.get_by_role("button", name="Export").click()
    svg = check_pictures(page, "ranking", tmp_path, 1000)
    title = ElementTree.fromstring(svg)[1].text
    assert title == f"copy \ufffd {'x' * 81}\ufffd…"


def test_a_comparison_is_exported(open_page, server, searcher, indexes, tmp_path):
    page = open_page("compare", q=QUERY, engine2="bm25")
    page.locator(".ranking.right li").first.wait_for()
    page.get_by_role("button", name="Export").click()
    left = searcher.search(QUERY, 10)
    right = server.fetch("/api/v1/docs/search", {"query": QUERY, "engine": "bm25"})["hits"]
    assert ranking_of(preview_of(page, "Left run", "left.trec")) == [*zip(left.docids, left.scores, strict=True)]
    run = ranking_of(preview_of(page, "Right run", "right.trec"))
    assert [docid for docid, _ in run] == [hit["docid"] for hit in right]
    told = json.loads(preview_of(page, "JSON", "comparison.json"))
    assert [hit["docid"] for hit in told["left"]["hits"]] == left.docids
    assert told["right"]["engine"] == "bm25"
    assert {move["docid"]: (move["left"], move["right"]) for move in told["moves"]}[left.docids[0]][0] == 1
    code = preview_of(page, "Python", "compare.py")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=indexes["docs"].parent, env=child_environment(),
        timeout=100, check=True,
    )  # fmt: skip
    expected = [*left.docids, *(hit["docid"] for hit in right)]
    assert [line.split()[0] for line in done.stdout.splitlines()] == expected
    svg = check_pictures(page, "comparison", tmp_path)
    assert svg.count("<path ") == len({*left.docids} & {hit["docid"] for hit in right})
    assert preview_of(page, "Link", "Link") == page.url


WATCH_PREVIEWS = """() => {
    window.seen = new Set();
    new MutationObserver(() => {
        for (const each of document.querySelectorAll(".preview")) seen.add(JSON.stringify([each.ariaLabel, each.innerText]));
    }).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
}"""


def test_no_format_is_shown_with_the_text_of_another(open_page):
    page = open_page("compare", q=QUERY, engine2="bm25")
    page.locator(".ranking.right li").first.wait_for()
    page.get_by_role("button", name="Export").click()
    page.locator(".preview").wait_for()
    page.evaluate(WATCH_PREVIEWS)
    texts = {
        file: preview_of(page, title, file)
        for title, file in (("Right run", "right.trec"), ("Python", "compare.py"), ("Left run", "left.trec"))
    }
    seen = page.evaluate("() => [...seen].map(JSON.parse)")
    assert {(file, text) for file, text in seen} == {*texts.items()}


def load_run(page: Page, run_files: dict[str, Path]) -> None:
    for label, name in (("Run", "run.trec"), ("Judgments", "qrels.txt"), ("Topics", "topics.tsv")):
        page.get_by_label(label, exact=False).set_input_files(run_files[name])
    page.locator(".queries .text", has_text="archive").wait_for()


def test_a_run_is_exported(open_page, run_files, tmp_path):
    page = open_page("runs")
    load_run(page, run_files)
    page.get_by_label("Sorted by").select_option("RR@10")
    page.get_by_text("mean RR@10").wait_for()
    page.get_by_role("button", name="Export").click()
    run = run_files["run.trec"].read_text()
    of_query = [line for line in run.splitlines() if line.startswith("q3 ")]
    assert preview_of(page, "TREC run", "run-q3.trec").splitlines() == of_query
    told = json.loads(preview_of(page, "JSON", "queries.json"))
    assert [(each["qid"], each["value"]) for each in told["queries"]] == [("q3", 0), ("q2", 0.2), ("q1", 1)]
    assert told["files"]["run"] == {"name": "run.trec", "crc32": f"{crc32(run.encode()):08x}"}
    values = preview_of(page, "Values", "values.tsv")
    assert values.splitlines() == ["RR@10\tq3\t0.0000", "RR@10\tq2\t0.2000", "RR@10\tq1\t1.0000", "RR@10\tall\t0.4000"]
    code = preview_of(page, "Python", "evaluate.py")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=run_files["run.trec"].parent,
        env=child_environment(), timeout=100, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["q3", "0.0", "q2", "0.2", "q1", "1.0"]
    svg = check_pictures(page, "values", tmp_path, 1000)
    assert svg.count("<rect ") == 1 + 3  # the ground, and a bar per query


def test_the_link_of_a_run_has_the_open_query(open_page, run_files, server, browser):
    page = open_page("runs", measure="RR@10")
    load_run(page, run_files)
    page.get_by_role("button", name="Better").click()
    page.get_by_role("heading", name="parse command line options").wait_for()
    page.get_by_role("button", name="Export").click()
    link = preview_of(page, "Link", "Link")
    other = browser.new_page()
    other.goto(link)  # without the files
    other.get_by_role("heading", name="parse command line options").wait_for()
    page.get_by_role("button", name="Close", exact=True).click()
    for selector in (".run-columns .ranking li", ".one-query .note >> nth=1"):
        assert shown(other, selector) == shown(page, selector)
    assert "run.trec, as in the link" in other.locator(".files").inner_text()
    other.locator(".ranking li.relevant .docid").click()
    other.get_by_role("heading", name="Why rank 5").wait_for()
    other.get_by_label("Judgments").set_input_files(run_files["qrels.txt"])
    assert other.get_by_role("alert").count() == 0
    changed = run_files["run.trec"].with_name("changed.trec")
    changed.write_text(run_files["run.trec"].read_text().replace("test", "changed"))
    other.get_by_label("Run", exact=False).set_input_files(changed)
    other.get_by_role("alert").get_by_text("not the link's file, run.trec").wait_for()
    other.locator(".queries .qid").nth(2).wait_for()
    assert shown(other, ".queries .qid") == ["q3", "q2", "q1"]
    other.goto(f"{server.url}/#runs?index=docs&carried=%5B1%2C2")  # cut off
    other.get_by_text("Load a run file").wait_for()
    other.close()


def test_a_link_shows_the_same_again(open_page, searcher, browser):
    page = open_page(q=QUERY)
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)
    page.get_by_label("Hits").select_option("5")
    page.get_by_role("button", name="Remove file", exact=True).click()
    page.get_by_label("Search", exact=True).select_option("0.5")
    page.locator(".choice", has_text="shutil").click()
    changed, filter = weights(searcher, file=0), 'module = "shutil"'
    docids = searcher.search(changed, 5, filter=filter, approximation=Approximation(alpha=0.5)).docids
    wait_for_ranking(page, docids)
    page.locator(".hits .docid").first.click()
    page.locator(".contributions").wait_for()
    other = browser.new_page()
    other.goto(page.url)
    other.locator(".contributions").wait_for()
    wait_for_ranking(other, docids)
    for selector in (".hits .docid", ".drawer h2", ".term .name", ".struck", ".hit .score", ".drawer .contributions"):
        assert shown(other, selector) == shown(page, selector)
    assert other.get_by_label("Search", exact=True).input_value() == "0.5"
    other.close()


def test_a_term_in_a_link_may_be_any_text(open_page):
    page = open_page(q=QUERY, w=["5:__proto__", "6:1:2"])
    page.get_by_label("Weight of __proto__").wait_for()
    assert shown(page, ".group.mine .name") == ["__proto__", "1:2"]


def test_the_browser_goes_back(open_page, searcher):
    page = open_page(q=QUERY)
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)
    page.locator(".hits .docid").first.click()
    page.locator(".drawer").wait_for()
    page.go_back()
    page.locator(".drawer").wait_for(state="detached")
    page.get_by_role("link", name="Compare").click()
    page.locator(".slope").wait_for()
    assert page.get_by_label("Query").input_value() == QUERY
    page.go_back()
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)


# ---- statistics ----


def test_statistics(open_page, searcher, server):
    page = open_page("statistics")
    page.get_by_role("heading", name="Distributions").wait_for()
    counts = searcher.reader.statistics()
    tiles = dict(zip(shown(page, ".tiles dt"), shown(page, ".tiles dd"), strict=True))
    assert tiles["documents"] == f"{counts['documents']:,}"
    assert tiles["terms"] == f"{counts['terms']:,}"
    parts = server.fetch("/api/v1/docs/stats")["bytes"]
    assert tiles["size"] == f"{sum(each['bytes'] for each in parts) / 1000:.0f} kB"
    frequent = max(searcher.reader.terms(), key=lambda each: each.doc_freq)
    table = page.locator("table", has_text="Most frequent")
    assert table.locator("tbody tr").first.inner_text().split()[:2] == [frequent.term, f"{frequent.doc_freq:,}"]
    page.locator("figure", has_text="Lengths").get_by_text("As a table").click()
    of_bins = page.locator("figure", has_text="Lengths").locator("tbody td").all_inner_texts()
    assert sum(int(each.replace(",", "")) for each in of_bins) == counts["documents"]


# ---- for everyone ----


def test_with_the_keyboard_alone(open_page, searcher):
    page = open_page(q=QUERY)
    wait_for_ranking(page, searcher.search(QUERY, 10).docids)
    focus = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent || document.activeElement.id"
    page.keyboard.press("ArrowDown")  # from the query
    assert page.evaluate(focus) == searcher.search(QUERY, 10).docids[0]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Why rank 2").wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate(focus) == searcher.search(QUERY, 10).docids[1]
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    for _ in range(12):  # to the first weight
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "range":
            break
    name = page.evaluate("document.activeElement.dataset.term")
    before = int(page.evaluate("document.activeElement.value"))
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("before => Number(document.activeElement.value) === before - 1", arg=before)
    wait_for_ranking(page, searcher.search(weights(searcher, **{name: before - 1}), 10).docids)
    page.keyboard.press("Delete")
    wait_for_ranking(page, searcher.search(weights(searcher, **{name: 0}), 10).docids)
    assert page.evaluate("document.activeElement.type") == "range"


CARRIED = [
    "RR@10",
    "q1",
    QUERY,
    0.5,
    2,
    2,
    1,
    [["shutil.copy", 9, 1], ["shutil.move", 8, None]],
    [["shutil.rmtree", 2, None], ["x" * 300, 1, None]],
]
"""A query of a run, as a link has it."""
STATES: dict[str, tuple[str, dict[str, Any]]] = {
    "search": ("search", {"q": QUERY}),
    "empty": ("search", {}),
    "edits": ("search", {"q": QUERY, "w": ["0:file", "70:parser"], "is.module": "shutil"}),
    "document": ("search", {"q": QUERY, "doc": "shutil.copy"}),
    "hybrid": ("search", {"q": QUERY, "engine": "hybrid"}),
    "compare": ("compare", {"q": QUERY, "engine2": "bm25"}),
    "runs": ("runs", {}),
    "query of a run": ("runs", {"carried": json.dumps(CARRIED), "run": "00c0ffee:run.trec"}),
    "statistics": ("statistics", {}),
}


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing(state, open_page):
    """Checks light on a desktop, and dark on a phone, where nothing may be cut off."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    view, given = STATES[state]
    for width, scheme in ((1280, "light"), (390, "dark")):
        page = open_page(view, width=width, scheme=scheme, **given)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (state, "is too wide", width)
        found = axe.run(page).response["violations"]
        assert found == [], [
            (width, scheme, each["id"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"])
            for each in found
        ]
        page.close()


def test_colours_are_chosen_and_kept(open_page):
    page = open_page()
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_label("Theme").select_option("dark")
    assert page.evaluate(ground) != light
    page.reload()
    assert page.evaluate(ground) != light
    page.get_by_label("Theme").select_option("system")
    assert page.evaluate(ground) == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) != light


def test_errors_are_told(open_page):
    page = open_page(q=QUERY, filter="module =", fails="400")
    page.get_by_role("alert").wait_for()
    assert page.get_by_label("Filter", exact=True).get_attribute("aria-invalid") == "true"


def test_a_token_is_asked_for(open_page, server, browser, searcher):
    """As with a server that listens on a public address."""

    def guard(route):
        if route.request.headers.get("authorization") == "Bearer 0123456789abcdef":
            return route.continue_()
        problem = {"error": {"code": "unauthorized", "message": "a token is required", "remedy": "Send it"}}
        return route.fulfill(status=401, json=problem)

    browser.route("**/api/v1/**", guard)
    try:
        page = open_page(q=QUERY, fails="401")
        page.get_by_label("This service requires a token").fill("0123456789abcdef")
        page.keyboard.press("Enter")
        wait_for_ranking(page, searcher.search(QUERY, 10).docids)
        page.reload()  # it is kept until the tab is closed
        wait_for_ranking(page, searcher.search(QUERY, 10).docids)
    finally:
        browser.unroute("**/api/v1/**")
