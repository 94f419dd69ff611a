"""Runs side by side: tests against hand values and enumeration, tables, pictures, the explanation of a change, the command."""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
from math import comb, sqrt
from typing import Any

import numpy as np
import pytest
from support.collections import TERMS
from typer.testing import CliRunner

from splade_lucene import Contribution, LuceneImpactSearcher, Query, Run, compare, evaluate
from splade_lucene.cli.app import app
from splade_lucene.errors import InputError, MissingDependencyError, RunError, StorageError
from splade_lucene.evaluation import (
    correct,
    describe_change,
    draw_differences,
    evaluate_queries,
    explain_top_change,
    paired_test,
    render,
    tabulate,
    tabulate_queries,
    tabulate_tests,
)
from splade_lucene.evaluation.tables import escape_latex, pick_extremes

SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Hours of sleep gained with one drug over another by ten patients: the data of Student's paper of 1908, as in R's manual."""

QRELS = {f"q{number}": {"a": 2, "b": 1, "c": 0} for number in range(8)}
GOOD = {qid: [("a", 3), ("b", 2), ("x", 1)] for qid in QRELS}
BAD = {qid: [("x", 4), ("y", 3), ("b", 2), ("a", 1)] for qid in QRELS}
MIXED = {**GOOD, "q0": BAD["q0"], "q1": BAD["q1"]}


# ---- tests ----


def test_t_is_students():
    found = paired_test(SLEEP)
    mean, deviation = np.mean(SLEEP), np.std(SLEEP, ddof=1)
    half = 2.262157 * deviation / sqrt(10)  # the quantile of t for nine degrees of freedom
    assert mean / (deviation / sqrt(10)) == pytest.approx(4.0621, abs=1e-4)
    assert found.p_value == pytest.approx(0.002833, abs=1e-6)  # R's t.test of the same data
    assert found.interval == pytest.approx((mean - half, mean + half), abs=1e-5)


@pytest.mark.parametrize("test", ["t", "bootstrap", "randomization"])
def test_differences_may_be_read_only_once(test):
    assert paired_test(iter(SLEEP), test) == paired_test(SLEEP, test)


def test_randomization_is_the_share_of_all_ways_to_swap():
    observed = abs(np.mean(SLEEP))
    ways = [np.mean(np.multiply(signs, SLEEP)) for signs in itertools.product((1, -1), repeat=len(SLEEP))]
    share = np.mean(np.abs(ways) >= observed - 1e-12)
    assert paired_test(SLEEP, "randomization").p_value == pytest.approx(share)
    assert share == 4 / 1024
    many = [0.1] * 14 + [-0.1] * 6  # more ways than samples: the chance of 14 or more, or of 6 or fewer, of 20
    exact = 2 * sum(comb(20, heads) for heads in range(14, 21)) / 2**20
    assert paired_test(many, "randomization", samples=20_000).p_value == pytest.approx(exact, abs=0.01)


def test_bootstrap_is_the_share_of_draws_as_far_from_the_mean_as_that_from_0():
    chance = np.random.default_rng(3)
    differences = chance.normal(0.06, 0.2, 40)
    draws = np.array([chance.choice(differences, 40).mean() for _ in range(20_000)])
    share = np.mean(np.abs(draws - differences.mean()) >= abs(differences.mean()))
    found = paired_test(differences, "bootstrap")
    assert 0.02 < share < 0.5
    assert found.p_value == pytest.approx(share, abs=0.015)
    assert found.interval == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.005)


@pytest.mark.parametrize("test", ["bootstrap", "randomization"])
def test_the_same_seed_gives_the_same_p(test):
    differences = np.random.default_rng(4).normal(0.05, 0.2, 30)
    results = {seed: paired_test(differences, test, samples=500, seed=seed) for seed in (1, 2, 3)}
    assert results[1] == paired_test(differences, test, samples=500, seed=1)
    assert len({each.p_value for each in results.values()}) > 1


@pytest.mark.parametrize("test", ["t", "bootstrap", "randomization"])
def test_special_cases_are_said(test):
    same = paired_test([0.0] * 5, test)
    assert (same.p_value, same.remark) == (1.0, "no query differs")
    one = paired_test([0.3], test)
    assert (one.p_value, one.interval, one.remark) == (None, None, "no test is possible with one query")
    with pytest.raises(InputError, match="no queries were given to test"):
        paired_test([], test)
    assert "few queries for a bootstrap: 5" in paired_test([0.1, 0.2, 0.0, 0.4, 0.1], "bootstrap").remark
    assert paired_test([0.25] * 12).remark == "all queries differ by the same amount"
    assert paired_test([0.25] * 12).p_value == 0
    assert paired_test([0.25] * 12, "randomization").p_value == pytest.approx(2 / 2**12)


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        # R's p.adjust of the same
        ("holm", [0.05, 0.08, 0.09, 0.09, 0.09]),
        ("bonferroni", [0.05, 0.10, 0.15, 0.20, 0.25]),
        ("benjamini-hochberg", [0.05, 0.05, 0.05, 0.05, 0.05]),
        ("none", [0.01, 0.02, 0.03, 0.04, 0.05]),
    ],
)
def test_corrections_by_hand(correction, expected):
    p_values = [0.01, 0.02, 0.03, 0.04, 0.05]
    assert correct(p_values, correction) == pytest.approx(expected)
    assert correct(p_values[::-1], correction) == pytest.approx(expected[::-1])
    assert correct([0.9, None, 0.8], correction)[1] is None
    assert max(correct([0.9, 0.8], correction)) <= 1
    assert correct([None], correction) == [None]
    assert correct(iter(p_values), correction) == correct(p_values, correction)


def test_unknown_names_are_refused():
    unknown: Any = "z"
    for call in (lambda: paired_test(SLEEP, unknown), lambda: compare(QRELS, {"a": GOOD, "b": BAD}, test=unknown)):
        with pytest.raises(InputError, match="unknown test 'z'.*t, bootstrap, randomization"):
            call()
    with pytest.raises(InputError, match="unknown correction 'x'"):
        compare(QRELS, {"a": GOOD, "b": BAD}, correction="x")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="samples must be a positive integer, got 0"):
        compare(QRELS, {"a": GOOD, "b": BAD}, samples=0)


# ---- comparisons ----


def test_each_pair_is_tested_and_corrected_within_its_measure():
    found = compare(QRELS, {"good": GOOD, "bad": BAD, "mixed": MIXED}, ["RR@10", "P@2"])
    assert [(each.measure, each.against, each.run) for each in found.tests] == [
        (measure, *pair)
        for measure in ("RR@10", "P@2")
        for pair in (("good", "bad"), ("good", "mixed"), ("bad", "mixed"))
    ]
    by_pair = {(each.measure, each.against, each.run): each for each in found.tests}
    rr = by_pair["RR@10", "bad", "mixed"]
    differences = [0, 0] + [2 / 3] * 6
    assert rr.difference == pytest.approx(np.mean(differences))
    assert (rr.gained, rr.lost, rr.equal) == (6, 0, 2)
    assert rr.significance == paired_test(found.values["RR@10"]["mixed"] - found.values["RR@10"]["bad"])
    assert rr.significance.p_value == pytest.approx(paired_test(differences).p_value)
    family = [each for each in found.tests if each.measure == "RR@10"]
    assert [each.corrected for each in family] == correct([each.significance.p_value for each in family])
    assert rr.is_significant
    assert not by_pair["RR@10", "good", "mixed"].is_significant
    assert found.means == {
        name: evaluate(QRELS, run, ["RR@10", "P@2"]) for name, run in (("good", GOOD), ("bad", BAD), ("mixed", MIXED))
    }


def test_with_a_baseline_only_it_is_tested_against():
    found = compare(QRELS, {"good": GOOD, "bad": BAD, "mixed": MIXED}, ["RR@10"], baseline="bad", correction="none")
    assert [(each.against, each.run) for each in found.tests] == [("bad", "good"), ("bad", "mixed")]
    assert all(each.difference > 0 for each in found.tests)
    assert found.reference == "bad"
    assert found.others == ("good", "mixed")


def test_missing_queries_count_as_0_and_are_named():
    part = {qid: GOOD[qid] for qid in list(QRELS)[:6]} | {"q6": []}
    found = compare(QRELS, {"all": GOOD, "part": part}, ["RR@10"], baseline="all")
    assert found.without_hits == {"all": (), "part": ("q6", "q7")}
    assert found.means["part"]["RR@10"] == pytest.approx(6 / 8)
    assert found.values["RR@10"]["part"].tolist() == [1.0] * 6 + [0.0] * 2
    assert "queries without hits (counted as 0): part: 2" in tabulate(found).legend


def test_one_query_and_no_difference():
    one = compare({"q0": QRELS["q0"]}, {"good": GOOD, "bad": BAD}, ["RR@10"], baseline="good")
    assert one.tests[0].corrected is None
    assert not one.tests[0].is_significant
    assert "RR@10, bad and good: no test is possible with one query" in tabulate(one).legend
    same = compare(QRELS, {"good": GOOD, "again": GOOD}, ["RR@10"])
    assert (same.tests[0].corrected, same.tests[0].equal) == (1.0, 8)
    assert "no query differs" in "".join(tabulate(same).legend)


def test_runs_of_scores_are_compared_by_their_scores():
    def shuffled(run):
        return {qid: dict(sorted(hits, key=lambda hit: hit[1])) for qid, hits in run.items()}

    found = compare(QRELS, {"good": shuffled(GOOD), "bad": shuffled(BAD)}, iter(["RR@10", "nDCG@10"]))
    expected = compare(QRELS, {"good": GOOD, "bad": BAD}, ["RR@10", "nDCG@10"])
    assert found.means == expected.means
    assert found.tests == expected.tests
    assert found.means["good"]["RR@10"] == 1.0
    change = explain_top_change(
        found.differences("RR@10", "bad"), QRELS, shuffled(BAD), shuffled(GOOD), _NoDocuments(), {}
    )
    assert change is not None
    assert (change.docid, change.rank, change.rank_against) == ("a", 4, 1)


class _NoDocuments:
    def doc(self, docid):
        return None

    def explain(self, q, docid):
        return []


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="expected runs by name, got list"):
        compare(QRELS, [GOOD, BAD])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs at least two runs, got 1"):
        compare(QRELS, {"good": GOOD})
    with pytest.raises(InputError, match="the baseline 'x' is not one of the runs. Choose one of: good, bad"):
        compare(QRELS, {"good": GOOD, "bad": BAD}, baseline="x")
    with pytest.raises(InputError, match="alpha must be between 0 and 1"):
        compare(QRELS, {"good": GOOD, "bad": BAD}, alpha=5)
    with pytest.raises(RunError, match="share no query"):
        compare(QRELS, {"good": GOOD, "other": {"z": [("a", 1)]}})
    found = compare(QRELS, {"good": GOOD, "bad": BAD}, ["RR@10"])
    with pytest.raises(InputError, match="'AP' is not in the comparison. Choose one of: RR@10"):
        found.differences("AP", "bad")
    with pytest.raises(InputError, match="'worse' is not in the comparison. Choose one of: good, bad"):
        found.differences("RR@10", "worse")


def test_t_is_scipys_of_the_two_runs():
    from scipy import stats

    chance = random.Random(2)
    runs = {
        name: {qid: [(docid, 9 - rank) for rank, docid in enumerate(chance.sample("abcdxyz", 6))] for qid in QRELS}
        for name in ("one", "two")
    }
    found = compare(QRELS, runs, ["AP"], correction="none").tests[0]
    values = [[*evaluate_queries(QRELS, run, ["AP"])["AP"].values()] for run in runs.values()]
    assert found.corrected == pytest.approx(stats.ttest_rel(*values).pvalue)


def test_queries_are_ordered_by_gain():
    found = compare(QRELS, {"bad": BAD, "mixed": {**MIXED, "q2": [("x", 1)]}}, ["RR@10"], baseline="bad")
    differences = found.differences("RR@10", "mixed")
    assert [each.qid for each in differences] == ["q3", "q4", "q5", "q6", "q7", "q0", "q1", "q2"]
    assert differences[0].difference == pytest.approx(2 / 3)
    assert differences[-1].difference == pytest.approx(-1 / 3)
    assert [each.qid for each in pick_extremes(differences, 2)] == ["q3", "q4", "q2"]
    assert pick_extremes(differences, 0) == []
    assert found.differences("RR@10", "bad", "mixed")[0].qid == "q2"


# ---- tables ----


@pytest.fixture(scope="module")
def three():
    return compare(QRELS, {"good_1": GOOD, "bad & old": BAD, "mixed": MIXED}, ["RR@10", "num_ret"])


def test_letters_name_the_runs_that_are_beaten(three):
    text = render(three).splitlines()
    assert [line.split() for line in text[:4]] == [
        ["RR@10", "num_ret"],
        ["a", "good_1", "1.0000*b", "24"],
        ["b", "bad", "&", "old", "0.3333", "32ac"],  # more hits, and no star for a count
        ["c", "mixed", "0.8333b", "26"],
    ]
    assert text[4].startswith("letters: better than the runs with these letters (paired t-test, Holm's correction")
    assert "8 queries" in text[4]


def test_figures_stand_below_each_other(three):
    lines = render(three).splitlines()[1:4]
    assert len({line.index(".") for line in lines}) == 1


def test_daggers_mark_what_differs_from_the_baseline():
    found = compare(QRELS, {"base": BAD, "good": GOOD, "again": BAD}, ["RR@10"], baseline="base", test="randomization")
    lines = render(found, "markdown").splitlines()
    assert lines[:5] == [
        "|  | RR@10 |",
        "|---|---:|",
        "| base | 0.3333 |",
        "| good | **1.0000**† |",
        "| again | 0.3333 |",
    ]
    assert "† differs from base (paired randomization test" in lines[6]
    assert "10,000 samples, seed 42" in lines[6]


def test_latex_is_escaped_and_balanced(three):
    lines = render(three, "latex").splitlines()
    assert lines[:3] == [r"\begin{tabular}{lrr}", r"\toprule", r" & RR@10 & num\_ret \\"]
    assert lines[4] == r"a good\_1 & \textbf{1.0000}\textsuperscript{b} & 24 \\"
    assert lines[5].startswith(r"b bad \& old & 0.3333 & 32")
    assert lines[7:9] == [r"\bottomrule", r"\end{tabular}"]
    assert all(line.startswith("% ") for line in lines[9:])
    for line in tabulate_tests(three).render("latex").splitlines():
        if line.endswith(r"\\"):
            assert len(re.findall(r"(?<!\\)&", line)) == 7
            assert not re.search(r"(?<!\\)[%_#]", line)
    assert r"$-$0.6667" in tabulate_tests(three).render("latex")
    assert escape_latex("a\\b{c}~^$") == r"a\textbackslash{}b\{c\}\textasciitilde{}\textasciicircum{}\$"


def test_markdown_names_cannot_break_the_table():
    found = compare(QRELS, {"a|b": GOOD, "*c*": BAD}, ["RR@10"])
    lines = render(found, "markdown").splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines[:4]} == {3}
    assert r"b \*c\*" in lines[3]


def test_json_holds_everything(three):
    facts = json.loads(render(three, "json"))
    assert facts["means"]["mixed"] == {"RR@10": pytest.approx(5 / 6), "num_ret": 26.0}
    assert facts["values"]["RR@10"]["bad & old"] == dict.fromkeys(QRELS, 1 / 3)
    assert len(facts["tests"]) == 6
    assert facts["tests"][0]["corrected"] == three.tests[0].corrected
    assert (facts["test"], facts["correction"], facts["queries"]) == ("t", "holm", 8)


def test_tests_have_a_table(three):
    lines = tabulate_tests(three).render().splitlines()
    assert lines[0].split() == [
        "difference",
        "mean",
        "95",
        "%",
        "interval",
        "p",
        "corrected",
        "gained",
        "lost",
        "equal",
    ]
    assert lines[3].split()[:5] == ["RR@10", "bad", "&", "old", "→"]
    assert lines[3].split()[-3:] == ["6", "0", "2"]


def test_queries_have_a_table(three):
    differences = pick_extremes(three.differences("RR@10", "mixed"), 1)
    lines = tabulate_queries(differences, ("mixed", "good_1"), "RR@10", {"q1": "a  long\nquery"}).render().splitlines()
    assert lines[0].split() == ["RR@10", "of", "query", "good_1", "mixed", "difference"]
    assert lines[1].split() == ["q1", "a", "long", "query", "1.0000", "0.3333", "-0.6667"]


def test_unknown_formats_are_refused(three):
    with pytest.raises(InputError, match="unknown table format 'html'.*text, markdown, latex, json"):
        render(three, "html")  # type: ignore[arg-type]


# ---- pictures ----


def test_a_picture_shows_each_run_and_its_counts(three, tmp_path):
    for name, begins in (("a.png", b"\x89PNG"), ("b.pdf", b"%PDF"), ("deep/c.svg", b"<?xml")):
        draw_differences(three, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)
    draw_differences(three, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    text = (tmp_path / "deep" / "c.svg").read_text()
    assert "bad &amp; old against good_1: 0 gained, 8 lost, 0 equal" in text
    assert "mixed against good_1: 0 gained, 2 lost, 6 equal" in text
    assert not list(tmp_path.rglob("*.partial"))


def test_bars_are_the_differences(three):
    from matplotlib.figure import Figure

    from splade_lucene.evaluation.plots import _draw

    axes = Figure().subplots()
    _draw(axes, "mixed", "good_1", "RR@10", three.differences("RR@10", "mixed"))
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.0] * 6 + [-2 / 3] * 2)  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["q1"]


def test_pictures_that_cannot_be_drawn(three, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"end in .png, .pdf, .svg, got 'a.gif'"):
        draw_differences(three, tmp_path / "a.gif")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        draw_differences(three, tmp_path / "file" / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"splade-lucene\[plots\]"):
        draw_differences(three, tmp_path / "a.png")


# ---- the top change ----


class Index:
    """An index of a single document."""

    def explain(self, q, docid):
        return [Contribution("cat", 3, 4), Contribution("dog", 1, 2)]

    def doc(self, docid):
        return None if docid == "b" else type("Stored", (), {"contents": lambda self: "cats and dogs"})()


def top_change(qrels, run, against, topics=()):
    differences = compare(qrels, {"old": against, "new": run}, ["nDCG@10"], baseline="old").differences(
        "nDCG@10", "new"
    )
    return explain_top_change(differences, qrels, run, against, Index(), {each.qid: each for each in topics})


def test_the_document_that_moved_the_measure_is_named():
    others = [f"x{number}" for number in range(40)]
    against = {
        "q": [(docid, 99 - rank) for rank, docid in enumerate([*others[:7], "a", *others[7:], "b"])],
        "r": [("z", 1)],
    }
    run = {
        "q": [(docid, 99 - rank) for rank, docid in enumerate(["a", *others[:20], "b", *others[20:]])],
        "r": [("z", 1)],
    }
    qrels = {"q": {"a": 1, "b": 1, "x3": 0}, "r": {"z": 1, "y": 1}}
    change = top_change(qrels, run, against, [Query("q", "feline pets")])
    # b rose by 20 places, but a from the eighth to the first
    assert (change.docid, change.rank_against, change.rank, change.relevance) == ("a", 8, 1, 1)
    assert (change.text, change.contents, change.score) == ("feline pets", "cats and dogs", 14)
    text = describe_change(change, ("new", "old"), "nDCG@10")
    assert "query q, old 0.1934, new 0.6131 (+0.4197)" in text
    assert "relevant document that rose most: a (judged 1), old rank 8, new rank 1" in text
    assert re.search(r"cat +3 +4 +12 +85.7%", text)
    fell = top_change(qrels, against, run)
    assert (fell.docid, fell.text, fell.score) == ("a", None, None)
    assert "fell most: a (judged 1), new rank 1, old rank 8" in describe_change(fell, ("old", "new"), "nDCG@10")
    assert "cannot explain the score" in describe_change(fell, ("old", "new"), "nDCG@10")


def test_documents_that_one_run_or_the_index_lacks():
    change = top_change({"q": {"b": 1}}, {"q": [("b", 1)]}, {"q": [("x", 1)]}, [Query("q", "", {"cat": 3})])
    assert (change.docid, change.rank, change.rank_against, change.score, change.text) == ("b", 1, None, None, "cat")
    assert "old not ranked, new rank 1" in describe_change(change, ("new", "old"), "nDCG@10")
    assert top_change({"q": {"b": 1}}, {"q": [("b", 1)]}, {"q": [("b", 1)]}) is None
    json.dumps(change.to_json())


def test_a_change_without_a_moved_document():
    qrels, run, against = {"q": {"a": 1}}, {"q": [("a", 1)]}, {"q": [("a", 1), ("b", 0)]}
    differences = compare(qrels, {"old": against, "new": run}, ["P@1", "SetP"], baseline="old").differences(
        "SetP", "new"
    )
    change = explain_top_change(differences, qrels, run, against, Index(), {})
    assert change.docid is None
    assert "no relevant document is ranked differently" in describe_change(change, ("new", "old"), "SetP")


# ---- the command ----


@pytest.fixture(scope="module")
def data(index_dir, tmp_path_factory):
    """Topics, judgments and three runs of an impact index: exact, of a part of each query, and of a few queries."""
    folder = tmp_path_factory.mktemp("compare")
    chance = random.Random(8)
    queries = {f"q{n}": {term: chance.randint(1, 9) for term in chance.sample(TERMS[:60], 4)} for n in range(12)}
    lines = [json.dumps({"id": qid, "vector": vector}) for qid, vector in queries.items()]
    (folder / "topics.jsonl").write_text("\n".join(lines))
    cut = {qid: dict([*vector.items()][:1]) for qid, vector in queries.items()}
    with LuceneImpactSearcher(index_dir) as searcher:
        exact = searcher.batch_search([*queries.values()], [*queries], k=200)
        parts = searcher.batch_search([*cut.values()], [*cut], k=200)
    Run(exact).write(folder / "exact.trec")
    Run(parts).write(folder / "part.trec", format="msmarco")
    Run({qid: exact[qid] for qid in list(queries)[:9]}).write(folder / "few.json", format="json")
    judged = [f"{qid} 0 {docid} 1\n" for qid, hits in exact.items() for docid in chance.sample(hits.docids[:30], 6)]
    (folder / "qrels.txt").write_text("".join(judged))
    return folder


def invoke(*arguments):
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_prints_tests_queries_and_the_top_change(data, index_dir, tmp_path):
    code, out, err = invoke(
        "--qrels", data / "qrels.txt", "--run", data / "exact.trec", "--run", data / "part.trec",
        "--baseline", data / "exact.trec", "--measures", "nDCG@10 MSMARCO-RR@10", "--per-query", 2,
        "--index", index_dir, "--topics", data / "topics.jsonl", "--encoded", "--figure", tmp_path / "a.png",
    )  # fmt: skip
    assert code == 0, err
    means = evaluate(data / "qrels.txt", data / "part.trec", ["nDCG@10", "MSMARCO-RR@10"])
    assert f"{means['nDCG@10']:.4f}†" in out
    assert f"{means['MSMARCO-RR@10']:.4f}" in out
    assert "† differs from exact.trec (paired t-test" in out
    assert "nDCG@10 exact.trec → part.trec" in out
    assert "nDCG@10 of query" in out
    found = re.search(r"relevant document that fell most: (\S+) \(judged 1\), exact.trec rank (\d+), part.trec", out)
    qid = re.search(r"largest change in nDCG@10: query (\S+),", out)[1]
    ranked = Run.read(data / "exact.trec")[qid]
    assert ranked[int(found[2]) - 1][0] == found[1]
    score = int(re.search(r"  score ([\d,]+) from", out)[1].replace(",", ""))
    assert score == round(ranked[int(found[2]) - 1][1])
    assert (tmp_path / "a.png").is_file()
    assert "gains and losses in nDCG@10" in err


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_the_command_writes_what_documents_can_take(data, index_dir, form):
    code, out, err = invoke(
        "--qrels", data / "qrels.txt", "--run", data / "exact.trec", "--run", data / "few.json", "--output-format", form,
        "--index", index_dir, "--topics", data / "topics.jsonl", "--encoded", "--measures", "RR@10",
    )  # fmt: skip
    assert code == 0, err
    assert "few.json: 3" in out
    assert ("```text\nlargest change" if form == "markdown" else "\n% largest change in RR@10") in out


def test_the_command_prints_json(data):
    runs = [argument for name in ("exact.trec", "part.trec", "few.json") for argument in ("--run", data / name)]
    code, out, _ = invoke("--qrels", data / "qrels.txt", *runs, "--test", "bootstrap", "--samples", 200, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["test"], facts["samples"], len(facts["tests"])) == ("bootstrap", 200, 9)
    assert len(facts["without_hits"]["few.json"]) == 3
    assert facts["means"]["exact.trec"]["nDCG@10"] == evaluate(data / "qrels.txt", data / "exact.trec")["nDCG@10"]


def test_evaluate_prints_each_query_and_other_formats(data):
    command = [
        "evaluate",
        "--qrels",
        str(data / "qrels.txt"),
        "--run",
        str(data / "few.json"),
        "--measures",
        "RR@10 num_ret",
    ]
    values = evaluate_queries(data / "qrels.txt", data / "few.json", ["RR@10", "num_ret"])
    facts = json.loads(CliRunner().invoke(app, [*command, "--per-query", "--json"]).stdout)[str(data / "few.json")]
    assert facts["q3"] == {name: values[name]["q3"] for name in ("RR@10", "num_ret")}
    assert facts["all"] == evaluate(data / "qrels.txt", data / "few.json", ["RR@10", "num_ret"])
    text = CliRunner().invoke(app, [*command, "--per-query"]).stdout.splitlines()
    assert len(text) == 1 + 12 + 1
    assert text[-1].split() == ["all", f"{facts['all']['RR@10']:.4f}", f"{facts['all']['num_ret']:,.0f}"]
    assert CliRunner().invoke(app, [*command, "--output-format", "latex"]).stdout.startswith(r"\begin{tabular}{lrr}")


def test_a_measure_that_is_not_defined_for_a_query(tmp_path):
    (tmp_path / "qrels.txt").write_text("p 0 a 1\nq 0 a 1\n")
    (tmp_path / "run.txt").write_text("p Q0 a 1 3 t\np Q0 b 2 2 t\nq Q0 b 1 3 t\n")
    command = ["evaluate", "--qrels", str(tmp_path / "qrels.txt"), "--run", str(tmp_path / "run.txt"), "--per-query"]
    facts = json.loads(CliRunner().invoke(app, [*command, "--measures", "Accuracy", "--json"]).stdout)
    assert [*facts.values()] == [{"p": {"Accuracy": 1.0}, "q": {"Accuracy": None}, "all": {"Accuracy": 1.0}}]
    run = tmp_path / "run.txt"
    with pytest.raises(InputError, match="Accuracy of one is not defined for 1 of 2 queries: q"):
        compare(tmp_path / "qrels.txt", {"one": run, "other": run}, ["Accuracy"])


def test_wrong_usage_is_told(data):
    both = ["--run", data / "exact.trec", "--run", data / "part.trec"]
    qrels = ["--qrels", data / "qrels.txt"]
    for arguments, says in (
        ([*qrels, "--run", data / "exact.trec"], "two or more"),
        ([*qrels, "--run", data / "exact.trec", "--run", data / "exact.trec"], "two or more"),
        ([*qrels, *both, "--index", "x"], "--topics"),
        ([*qrels, *both, "--json", "--output-format", "latex"], "mutually exclusive"),
        ([*qrels, *both, "--test", "z"], "--test"),
        ([*qrels, *both, "--figure", "a.gif"], "a plot's file name must end in"),
        ([*qrels, *both, "--measures", "nDGC@10"], "unknown measure 'nDGC@10'"),
        ([*qrels, *both, "--alpha", "2"], "--alpha"),
        ([*qrels, *both, "--device", "cpu"], "--device requires --index"),
        ([*qrels, *both, "--topics", "x", "--model", "y"], "--model requires --index"),
        ([*qrels, *both, "--encoded"], "--encoded requires --topics"),
        ([*qrels, *both, "--samples", "5", "--seed", "1"], "--samples, --seed require --test bootstrap or"),
    ):
        code, out, err = invoke(*arguments)
        assert (code, out) == (2, "")
        assert says in err
    for arguments, says in ((["--qrels", data / "none.txt", *both], "none.txt"),):
        code, out, err = invoke(*arguments)
        assert (code, out) == (1, ""), err
        assert says in err
