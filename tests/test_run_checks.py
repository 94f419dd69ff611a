"""Every kind of fault in a run file is found on its line; and the tools for run files on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from splade_lucene import Run, check_run, evaluate, read_qrels
from splade_lucene.cli.app import app
from splade_lucene.errors import RunError
from splade_lucene.run.validation import SHOWN

GOOD = "q1 Q0 d1 1 9 tag\nq1 Q0 d2 2 7.5 tag\nq2 Q0 d1 1 3 tag\n"


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def found(path, **known):
    return [(finding.kind, finding.line) for finding in check_run(path, **known).findings]


def tool(*arguments):
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, []),
        ("q1\td1\t1\nq1\td2\t2\n", []),
        ('{"q1": {"d1": 9, "d2": 7.5}, "q2": {}}', []),
        (GOOD + "q2 Q0 d2 2\n", [("columns", 4)]),
        ("q1\td1\t1\nq1\td2\n", [("columns", 2)]),
        ('{"q1": ["d1"]}', [("columns", None)]),
        (GOOD + "q2 Q0 d2 2 2 tag\r\n", [("white-space", 4)]),
        (GOOD + " q2 Q0 d2 2 2 tag\n", [("white-space", 4)]),
        (GOOD + "q2 Q0 d\u00a02 2 2 tag\n", [("white-space", 4)]),
        ('{"q1": {"d 1": 9}}', [("white-space", None)]),
        (GOOD + "q2 Q0 d2 two 2 tag\n", [("number", 4)]),
        (GOOD + "q2 Q0 d2 2 nan tag\n", [("number", 4)]),
        ('{"q1": {"d1": "9"}}', [("number", None)]),
        (GOOD + "q2 Q0 d1 2 2 tag\n", [("duplicate", 4)]),
        ('{"q1": {"d1": 9, "d1": 8}, "q1": {}}', [("duplicate", None), ("duplicate", None)]),
        (GOOD + "q3 Q0 d1 0 2 tag\nq3 Q0 d2 1 1 tag\n", [("rank", 4)]),
        (GOOD + "q3 Q0 d1 1 2 tag\nq3 Q0 d2 3 1 tag\n", [("rank", 5)]),
        ("q1\td1\t1\nq1\td2\t1\n", [("rank", 2)]),
        (GOOD + "q3 Q0 d1 1 2 tag\nq3 Q0 d2 2 2.5 tag\n", [("score", 5)]),
        ('{"q1": {"d1": 1, "d2": 2}}', [("score", None)]),
        (GOOD + "q3 Q0 d1 1 2 tag\nq3 Q0 d2 2 2 tag\n", [("tie", 4)]),
        (GOOD + "q3 Q0 d1 1 2 tag\nq3 Q0 d2 2 1.99999999 tag\n", [("tie", 4)]),  # equal in single precision
        (GOOD + "q3 Q0 d2 1 2 tag\nq3 Q0 d1 2 2 tag\n", []),  # a tie that evaluators break as the ranks say
        (GOOD + "q2 Q0 d2 2 2 other\n", [("tag", 4)]),
        ("q1 Q0 b 2 1 t\nq2 Q0 a 1 1 t\nq1 Q0 a 1 2 t\n", []),  # in any order
        ("\ufeff" + GOOD, [("mark", 1)]),  # trec_eval takes it for part of the qid
    ],
)
def test_each_fault_is_found_on_its_line(tmp_path, text, expected):
    path = write(tmp_path / "run", text)
    assert found(path) == expected
    assert check_run(path).is_valid == (not expected)


def test_digits_with_underscores_are_no_numbers(tmp_path):
    """Python reads 1_0 as 10, trec_eval as 1."""
    for score in ("\u0663", "1e39"):
        with pytest.raises(RunError, match="other: |other:1: "):
            Run.read(write(tmp_path / "other", f"q1 Q0 d1 1 {score} tag\n"))
    path = write(tmp_path / "run", "q1 Q0 d1 1 1_0 tag\n")
    assert not check_run(path).is_valid
    with pytest.raises(RunError, match=r"run:1: .*1_0"):
        Run.read(path)
    with pytest.raises(RunError, match=r"qrels:1: the relevance '1_0' is not an integer"):
        read_qrels(write(tmp_path / "qrels", "q1 0 d1 1_0\n"))
    assert read_qrels(write(tmp_path / "qrels", "q1 0 d1 -1\n")) == {"q1": {"d1": -1}}


def test_what_else_is_known_is_compared(tmp_path):
    path = write(tmp_path / "run", GOOD)
    assert found(path, k=2) == [("few-hits", 3)]
    assert found(path, topics=["q1", "q3"]) == [("unknown-qid", 3), ("missing-qid", None)]
    assert found(path, judged=["q2", "q3"]) == [("missing-qid", None)]
    assert check_run(path, judged=["q2"]).notes == ["1 of 2 queries has no judgments and is not evaluated"]
    assert found(path, docids={"d1"}) == [("unknown-docid", 2)]
    assert found(path, topics=["q1", "q2"], judged=["q1", "q2"], docids={"d1", "d2"}, k=1) == []
    once = {"topics": iter(["q1", "q3"]), "judged": iter(["q1", "q3"]), "docids": iter(["d1"])}
    assert found(path, **once) == [("unknown-docid", 2), ("unknown-qid", 3), ("missing-qid", None)]


def test_ties_of_several_groups_and_damaged_queries(tmp_path):
    lines = [f"q Q0 {docid} {rank} {score} t" for rank, (docid, score) in enumerate(
        [("d", 9), ("e", 9), ("c", 8), ("b", 7), ("a", 7), ("f", 7)], 1)]  # fmt: skip
    report = check_run(write(tmp_path / "run", "\n".join(lines)))
    assert [(finding.kind, finding.line) for finding in report.findings] == [("tie", 1), ("tie", 4)]
    assert "3 hits have the score 7" in report.findings[1].message
    lines[2] = "q Q0 c x 8 t"  # one fault, one finding: the gap in the ranks is its consequence
    assert found(write(tmp_path / "run", "\n".join(lines))) == [("number", 3), ("tie", 1), ("tie", 4)]


def test_findings_are_counted_and_the_first_are_kept(tmp_path):
    path = write(tmp_path / "run", "".join(f"q{i} Q0 d 2 1 t\n" for i in range(SHOWN + 30)))
    report = check_run(path)
    assert report.counts == {"rank": SHOWN + 30}
    assert len(report.findings) == SHOWN
    assert (report.queries, report.hits) == (SHOWN + 30, SHOWN + 30)


def test_a_run_that_cannot_be_read(tmp_path):
    with pytest.raises(RunError, match="the run is empty"):
        check_run(write(tmp_path / "run", "\n"))
    with pytest.raises(RunError, match="invalid JSON"):
        check_run(write(tmp_path / "run", '{"q": '), format="json")


names = st.text("abcé漢", min_size=1, max_size=4)


@given(
    st.dictionaries(names, st.lists(names, min_size=1, max_size=9, unique=True), min_size=1, max_size=3),
    st.sampled_from(["trec", "msmarco", "json"]),
    st.integers(1, 5),
)
@settings(max_examples=40)
def test_nothing_is_wrong_with_what_we_write(tmp_path_factory, drawn, form, step):
    path = tmp_path_factory.mktemp("run") / "run"
    Run({q: [(docid, 9 - i // step) for i, docid in enumerate(docs)] for q, docs in drawn.items()}).write(
        path, format=form
    )
    report = check_run(path, topics=list(drawn))
    assert (report.findings, report.format) == ([], form)
    assert report.hits == sum(map(len, drawn.values()))


# ---- the command line ----


def test_validate_prints_faults_and_exits_with_1(tmp_path, index_dir):
    path = write(tmp_path / "run", "q1 Q0 d1 1 5 t\nq1 Q0 nobody 2 6 t\n")
    write(tmp_path / "topics.tsv", "q1\tone\nq2\ttwo\n")
    write(tmp_path / "qrels.txt", "q9 0 d1 1\n")
    known = ["--topics", tmp_path / "topics.tsv", "--qrels", tmp_path / "qrels.txt", "--index", index_dir, "--hits", 3]
    done = tool("validate", "--run", path, *known)
    assert done.exit_code == 1
    assert f"{path}:2: score: query 'q1': the score rises from 5 to 6\n" in done.stdout
    assert f"{path}:2: unknown-docid: the index has no document with the id 'nobody'\n" in done.stdout
    assert f"{path}: missing-qid: query 'q2' of the topics has no hits and counts as 0\n" in done.stdout
    assert f"{path}: missing-qid: query 'q9' of the judgments" in done.stdout
    assert "few-hits: query 'q1' has 2 hits, not 3" in done.stdout
    assert f"{path}: trec, 1 query, 2 hits: 5 problems found\n" in done.stdout
    [report] = json.loads(tool("validate", "--run", path, *known, "--json").stdout)
    assert (report["valid"], report["counts"]["missing-qid"], report["findings"][0]["line"]) == (False, 2, 2)


def test_validate_of_good_runs_exits_with_0(tmp_path):
    write(tmp_path / "a", GOOD)
    write(tmp_path / "b", "q1\td1\t1\n")
    done = tool("validate", "--run", tmp_path / "a", "--run", tmp_path / "b")
    assert done.exit_code == 0
    assert done.stdout.count("no problems found") == 2
    assert tool("validate", "--run", tmp_path / "b", "--input-format", "trec").exit_code == 1


def test_convert_cut_and_merge_keep_form_and_tag(tmp_path):
    run = write(tmp_path / "a.trec", GOOD)
    assert tool("convert", "--run", run, "--output-format", "json", "--output", tmp_path / "a.json").exit_code == 0
    assert json.loads((tmp_path / "a.json").read_text()) == {"q1": {"d1": 9, "d2": 7.5}, "q2": {"d1": 3}}
    assert tool("convert", "--run", run, "--output-format", "msmarco", "--output", tmp_path / "a.tsv").exit_code == 0
    assert (tmp_path / "a.tsv").read_text() == "q1\td1\t1\nq1\td2\t2\nq2\td1\t1\n"
    write(tmp_path / "qids", "q1\n\nq7\n")
    done = tool("cut", "--run", run, "--hits", 1, "--qids", tmp_path / "qids", "--output", tmp_path / "cut")
    assert (tmp_path / "cut").read_text() == "q1 Q0 d1 1 9 tag\n"
    assert "1 of the 2 queries is not in the run" in done.stderr
    tool("cut", "--run", tmp_path / "a.tsv", "--hits", 1, "--output", tmp_path / "cut.tsv")
    assert (tmp_path / "cut.tsv").read_text() == "q1\td1\t1\nq2\td1\t1\n"
    write(tmp_path / "b.trec", "q3 Q0 d1 1 2 tag\n")
    tool("merge", "--run", run, "--run", tmp_path / "b.trec", "--output", tmp_path / "both")
    assert (tmp_path / "both").read_text() == GOOD + "q3 Q0 d1 1 2 tag\n"
    write(tmp_path / "shard.trec", "q1 Q0 d3 1 8 tag\n")
    tool(
        "merge",
        "--run",
        run,
        "--run",
        tmp_path / "shard.trec",
        "--by",
        "score",
        "--hits",
        2,
        "--output",
        tmp_path / "all",
    )
    assert (tmp_path / "all").read_text() == "q1 Q0 d1 1 9 tag\nq1 Q0 d3 2 8 tag\nq2 Q0 d1 1 3 tag\n"


def test_an_ms_marco_run_keeps_its_ranks(tmp_path):
    run = write(tmp_path / "a.tsv", "q\td9\t7\nq\td1\t3\np\td1\t2\n")
    for form, text in (
        ("msmarco", "q\td1\t3\nq\td9\t7\np\td1\t2\n"),
        (
            "trec",
            "q Q0 d1 3 0.33333334 splade-lucene\nq Q0 d9 7 0.14285715 splade-lucene\np Q0 d1 2 0.5 splade-lucene\n",
        ),
    ):
        assert tool("convert", "--run", run, "--output-format", form, "--output", tmp_path / "b").exit_code == 0
        assert (tmp_path / "b").read_text() == text
        found = evaluate({"q": {"d9": 1}, "p": {"d1": 1}}, tmp_path / "b", ["MSMARCO-RR@10"])
        assert found == {"MSMARCO-RR@10": pytest.approx((1 / 7 + 1 / 2) / 2)}
    tool("cut", "--run", run, "--hits", 1, "--output", tmp_path / "cut")
    assert (tmp_path / "cut").read_text() == "q\td1\t3\np\td1\t2\n"
    write(tmp_path / "c.tsv", "r\td1\t5\n")
    tool("merge", "--run", tmp_path / "cut", "--run", tmp_path / "c.tsv", "--output", tmp_path / "both")
    assert (tmp_path / "both").read_text() == "q\td1\t3\np\td1\t2\nr\td1\t5\n"


def test_maxp(tmp_path):
    run = write(tmp_path / "a", "q Q0 d1#1 1 9 t\nq Q0 d1#0 2 8 t\nq Q0 d2#4 3 7 t\nq Q0 d3#0 4 6 t\n")
    assert tool("maxp", "--run", run, "--output", tmp_path / "b", "--hits", 2).exit_code == 0
    assert (tmp_path / "b").read_text() == "q Q0 d1 1 9 t\nq Q0 d2 2 7 t\n"
    other = write(tmp_path / "c", "q\td1.p1\t1\nq\td1.p0\t2\n")
    tool("maxp", "--run", other, "--output", tmp_path / "d", "--delimiter", ".p")
    assert (tmp_path / "d").read_text() == "q\td1\t1\n"


def test_fuse_by_rank_or_score(tmp_path):
    runs = ["--run", write(tmp_path / "a", "q Q0 a 2 1 t\nq Q0 b 1 5 t\n"), "--run", write(tmp_path / "b", "q\ta\t1\n")]
    first = {}
    write(tmp_path / "a", "q Q0 a 1 1 t\nq Q0 b 2 5 t\n")
    for by in ("rank", "score"):
        tool("fuse", *runs, "--by", by, "--output", tmp_path / by)
        first[by] = float((tmp_path / by).read_text().split()[4])
    assert first == {"rank": pytest.approx(2 / 61), "score": pytest.approx(1 / 61 + 1 / 62)}


def test_fuse(tmp_path):
    runs = ["--run", write(tmp_path / "a", GOOD), "--run", write(tmp_path / "b", "q1\td2\t1\nq1\td3\t2\n")]
    tool("fuse", *runs, "--output", tmp_path / "rrf", "--hits", 2, "--tag", "both")
    lines = [line.split() for line in (tmp_path / "rrf").read_text().splitlines()]
    assert [(line[0], line[2], line[5]) for line in lines] == [
        ("q1", "d2", "both"),
        ("q1", "d1", "both"),
        ("q2", "d1", "both"),
    ]
    assert [float(line[4]) for line in lines] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 61])
    tool("fuse", *runs, "--method", "sum", "--weight", 3, "--weight", 0.5, "--normalization", "max", "--output",
         tmp_path / "sum.json", "--output-format", "json")  # fmt: skip
    assert json.loads((tmp_path / "sum.json").read_text())["q1"] == pytest.approx({"d1": 3, "d2": 3, "d3": 0.25})


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["cut", "--run", "a", "--output", "x"], 2, "pass --hits, --qids, or both"),
        (["merge", "--run", "a", "--output", "x"], 2, "pass --run at least twice"),
        (["fuse", "--run", "a", "--run", "b", "--weight", "1", "--output", "x"], 2, "2 runs require 2 weights"),
        (["fuse", "--run", "a", "--run", "b", "--normalization", "max", "--output", "x"], 2, "requires --method sum"),
        (
            ["fuse", "--run", "a", "--run", "b", "--method", "sum", "--rrf-k", "3", "--output", "x"],
            2,
            "requires --method rrf",
        ),
        (
            ["fuse", "--run", "a", "--run", "b", "--method", "sum", "--by", "score", "--output", "x"],
            2,
            "requires --method rrf",
        ),
        (["merge", "--run", "a", "--run", "a", "--output", "x"], 1, "query 'q1' of run 2 is already in an earlier run"),
        (
            ["convert", "--run", "nowhere", "--output-format", "json", "--output", "x"],
            1,
            "nowhere: cannot read this file",
        ),
        (["validate", "--run", "a", "--topics", "nowhere.tsv"], 1, "nowhere.tsv: no such file"),
    ],
)
def test_wrong_usage(tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    write(tmp_path / "a", GOOD)
    write(tmp_path / "b", GOOD)
    done = tool(*arguments)
    assert (done.exit_code, says in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "x").exists()
