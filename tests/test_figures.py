"""Figures in README, docs and model cards are those that the benchmarks wrote."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib

import pytest
from support.processes import ROOT

spec = importlib.util.spec_from_file_location("benchmark_tables", ROOT / "benchmarks" / "tables.py")
assert spec is not None
assert spec.loader is not None
tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tables)

RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
FIELDS = {"what", "ours", "unit", "peer", "peer_value", "ratio", "command", "date", "machine", "python"}
MORE_IS_BETTER = ("documents/s", "passages/s", "requests/s", "nDCG@10")
PAGES = [page for page in tables.PAGES if "<!-- figures:" in page.read_text(encoding="utf-8")]


def figures() -> list[tuple[str, dict]]:
    return [
        (f"{path.stem}: {key}", figure)
        for path in RESULTS
        for key, figure in json.loads(path.read_text(encoding="utf-8")).items()
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_tables_of_a_page_are_those_of_the_results(page):
    text = page.read_text(encoding="utf-8")
    assert len(tables.MARKED.findall(text)) == text.count("<!-- figures:") == text.count("<!-- end of figures -->")
    assert tables.fill_in(text) == text, "run: python benchmarks/tables.py"


def test_every_table_is_in_a_page():
    names = [name for page in tables.PAGES for name, _ in tables.MARKED.findall(page.read_text(encoding="utf-8"))]
    assert {*names} == {*tables.TABLES}


def test_a_figure_that_was_changed_by_hand_is_noticed():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    changed = text.replace("**22.2**", "**23.2**")
    assert changed != text
    assert tables.fill_in(changed) == text


def test_readme_shows_the_results_row_by_row():
    """Read from README itself, without the code that wrote the table."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if re.match(r"\| .* \| \*\*[\d.]+\*\* \|", line)
    ]
    assert len(rows) > 5
    for what, ours, peer, ratio, script in rows:
        link = re.fullmatch(r"\[(\w+)\.py\]\(benchmarks/\1\.py\)", script)
        assert link, script
        found = json.loads((ROOT / "benchmarks" / "results" / f"{link[1]}.json").read_text(encoding="utf-8"))
        (figure,) = [each for each in found.values() if each["what"] == what and peer.startswith(f"{each['peer']}:")]
        for shown, value in ((ours, figure["ours"]), (peer.rpartition(": ")[2], figure["peer_value"])):
            assert float(shown.split()[0].replace(",", "")) == pytest.approx(value, rel=0.05, abs=0.005), what
        assert float(ratio.strip("*")) == pytest.approx(figure["ratio"], rel=0.05), what


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_there_is_a_file_for_a_script_that_writes_it(path):
    if path.stem == "report":  # the command splade-lucene report
        return
    script = path.stem.removesuffix("_gpu")
    source = (ROOT / "benchmarks" / f"{script}.py").read_text(encoding="utf-8")
    assert f'write_results("{script}", ' in source
    assert "add_write_results(parser)" in source


@pytest.mark.parametrize(("name", "figure"), figures(), ids=[name for name, _ in figures()])
def test_a_figure_says_where_it_comes_from(name, figure):
    assert FIELDS <= figure.keys() <= FIELDS | {"details"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", figure["date"])
    assert figure["python"].startswith("3.")
    assert figure["what"]
    assert figure["machine"]
    if figure["ratio"] is not None and figure["ours"] and figure["peer_value"]:
        better = figure["ours"] / figure["peer_value"]
        expected = better if figure["unit"] in MORE_IS_BETTER else 1 / better
        assert figure["ratio"] == pytest.approx(expected, rel=0.1), "the ratio is not that of the two figures"


def test_the_demo_and_the_six_systems_have_the_same_figures():
    """Both are SPLADE and BM25 on Python's documentation."""
    path = ROOT / "splade_lucene" / "reproduction" / "catalogue" / "python-docs.toml"
    published = {each["name"]: each["published"] for each in tomllib.loads(path.read_text(encoding="utf-8"))["systems"]}
    measured = tables.results("compare_systems")
    for name, key in (("splade-minilm", "python-docs/splade-minilm"), ("bm25", "python-docs/BM25")):
        figure = measured[key]
        for measure, value in (("nDCG@10", figure["ours"]), *((m, figure["details"][m]) for m in ("RR@10", "R@100"))):
            assert published[name][measure] == pytest.approx(value, abs=0.0005), (name, measure)
