"""Runs and judgments as objects of ranx, ir_measures and pandas: every measure has the same value on both sides."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import Any

import ir_measures
import pytest

from splade_lucene import (
    MissingDependencyError,
    Run,
    RunError,
    evaluate,
    qrels_from_dataframe,
    qrels_from_ir_measures,
    qrels_from_ranx,
    qrels_to_dataframe,
    qrels_to_ir_measures,
    qrels_to_ranx,
)
from splade_lucene.errors import SpladeLuceneError

MEASURES = ["nDCG@10", "RR", "AP", "R@100"]
IN_RANX = ["ndcg@10", "mrr", "map", "recall@100"]
TIED = {"q": {"d1": 2.0, "d2": 2.0, "d3": 2.0, "ä4": 1.0}, "r": {"d9": 1.0, "d1": 1.0}}
QRELS = {"q": {"d3": 1, "ä4": 2, "d0": 0}, "r": {"d9": 1}, "without hits": {"d1": 1}}


@pytest.fixture(scope="module")
def tied() -> tuple[dict[str, dict[str, int]], Run]:
    """Thirty queries with many ties; some have no hits, some are not judged."""
    rng = random.Random(5)
    docids = [f"d{number}" for number in range(60)]
    qrels = {f"q{n}": {docid: rng.choice([0, 1, 1, 2]) for docid in rng.sample(docids, 12)} for n in range(30)}
    rankings: dict[str, Any] = {
        f"q{n}": {d: rng.choice([5, 7, 8]) for d in rng.sample(docids, 40)} for n in range(1, 34)
    }
    return qrels, Run({**rankings, "q29": {}}, tag="tied")


def by_ir_measures(qrels: Any, scored: Any) -> list[float]:
    found = ir_measures.calc_aggregate(map(ir_measures.parse_measure, MEASURES), qrels, scored)
    return [found[ir_measures.parse_measure(name)] for name in MEASURES]


def test_ir_measures_agrees_with_ours_on_a_run_full_of_ties(tied):
    qrels, run = tied
    ours = [*evaluate(qrels, run, MEASURES).values()]
    assert by_ir_measures(qrels_to_ir_measures(qrels), run.to_ir_measures()) == pytest.approx(ours, abs=1e-12)
    without_order = {qid: dict(hits) for qid, hits in run.items()}  # the same with ties as they are: other values
    assert by_ir_measures(qrels, without_order) != pytest.approx(ours, abs=1e-4)


def test_runs_and_judgments_come_back_as_they_were(tied):
    qrels, run = tied
    back = Run.from_ir_measures(iter(run.to_ir_measures()), tag="again")
    with_hits = {qid: hits for qid, hits in run.to_dict().items() if hits}
    assert (back.to_dict(), back.tag) == (with_hits, "again")
    assert {qid: [*hits] for qid, hits in back.to_dict().items()} == {qid: [*hits] for qid, hits in with_hits.items()}
    assert qrels_from_ir_measures(iter(qrels_to_ir_measures(qrels))) == qrels


def test_scored_docs_with_ties_have_the_order_of_trec_eval():
    scored = [ir_measures.ScoredDoc(qid, docid, score) for qid, hits in TIED.items() for docid, score in hits.items()]
    assert [docid for docid, _ in Run.from_ir_measures(scored)["q"]] == ["d3", "d2", "d1", "ä4"]
    theirs = by_ir_measures(QRELS, scored)
    assert [*evaluate(QRELS, Run.from_ir_measures(scored), MEASURES).values()] == pytest.approx(theirs)
    assert [*evaluate(QRELS, TIED, MEASURES).values()] != pytest.approx(theirs)  # ours: by docid, ascending


def test_ids_that_are_integers_become_strings():
    run = Run.from_ir_measures([ir_measures.ScoredDoc(1, 7, 2.0)])
    assert dict(run) == {"1": [("7", 2.0)]}
    assert qrels_from_ir_measures([ir_measures.Qrel(1, 7, 2)]) == {"1": {"7": 2}}


@pytest.mark.parametrize(
    ("scored", "message"),
    [
        ("q", "expected several ScoredDoc objects, got 'q'"),
        ([("q", "d", 1.0)], r"expected an object with query_id, doc_id and score, got \('q', 'd', 1.0\)"),
        ([ir_measures.ScoredDoc("q", "d", 1), ir_measures.ScoredDoc("q", "d", 2)], "document 'd' is ranked twice"),
        ([ir_measures.ScoredDoc("q", "d", float("nan"))], "query 'q' has a score that is not a finite number"),
        ([ir_measures.ScoredDoc("1", "d", 1), ir_measures.ScoredDoc(1, "e", 2)], "two rankings have the qid '1'"),
        ([ir_measures.ScoredDoc(1.0, "d", 1)], "expected a valid string or an integer as qid, got 1.0"),
    ],
)
def test_wrong_scored_docs_are_errors(scored, message):
    with pytest.raises(RunError, match=message):
        Run.from_ir_measures(scored)


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ([("q", "d", 1)], "expected an object with query_id, doc_id and relevance"),
        ([ir_measures.Qrel("q", "d", 1), ir_measures.Qrel("q", "d", 2)], "duplicate judgment of document 'd'"),
        ([ir_measures.Qrel("q", "d", 0.5)], "the relevance 0.5 of 'd' is not an integer"),
    ],
)
def test_wrong_qrel_objects_are_errors(qrels, message):
    with pytest.raises(RunError, match=message):
        qrels_from_ir_measures(qrels)


# ---- pandas ----


def test_data_frames_come_back_as_they_were(tied):
    pytest.importorskip("pandas")
    qrels, run = tied
    frame = run.to_dataframe()
    assert [*frame.columns] == ["qid", "docid", "rank", "score"]
    assert frame.groupby("qid")["rank"].apply(list)["q1"] == [*range(1, 41)]
    shuffled = frame.sample(frac=1, random_state=1)
    ours = evaluate(qrels, run)
    assert evaluate(qrels, Run.from_dataframe(shuffled)) == ours
    assert evaluate(qrels, Run.from_dataframe(shuffled.drop(columns="rank"))) == ours
    renamed = shuffled.rename(columns={"qid": "query_id", "docid": "doc_id"})
    assert by_ir_measures(qrels, renamed) == pytest.approx([*evaluate(qrels, run, MEASURES).values()], abs=1e-12)
    assert evaluate(qrels, Run.from_dataframe(renamed)) == ours
    judged = qrels_to_dataframe(qrels)
    assert [*judged.columns] == ["qid", "docid", "relevance"]
    assert qrels_from_dataframe(judged) == qrels
    assert qrels_from_dataframe(judged.rename(columns={"docid": "docno", "relevance": "label"})) == qrels


def test_a_frame_of_pyterrier_keeps_its_ranks_and_its_docnos():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({
        "qid": ["q", "q", "q"], "docid": [17, 4, 5], "docno": ["a", "b", "c"], "rank": [2, 0, 1], "score": [3.0, 3.0, 3.0],
        "query": ["a text"] * 3,
    })  # fmt: skip
    assert Run.from_dataframe(frame)["q"] == [("b", 3.0), ("c", 3.0), ("a", 3.0)]


def test_empty_runs_are_empty_frames():
    pytest.importorskip("pandas")
    frame = Run({"q": {}}).to_dataframe()
    assert (len(frame), frame["score"].dtype, frame["rank"].dtype) == (0, "float64", "int64")
    assert dict(Run.from_dataframe(frame)) == {}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"docid": ["d"], "score": [1.0]}, "the data frame has no column qid or query_id or q_id, but docid, score"),
        ({"qid": ["q"], "docid": ["d"]}, "no column score, but qid, docid"),
        ({"qid": ["q", "q"], "docid": ["d", "d"], "score": [1.0, 2.0]}, "document 'd' is ranked twice"),
        ({"qid": ["q"], "docid": ["d"], "score": ["1"]}, "the score '1' of query 'q' is not a number"),
        ({"qid": ["q"], "docid": ["d"], "score": [None]}, "query 'q'"),
        ({"qid": ["q", None], "docid": ["d", "e"], "score": [1.0, 2.0]}, "as qid, got"),
        ({"qid": ["q", "q"], "docid": ["d", "e"], "score": [2.0, 1.0], "rank": [1, 1]}, "rank has a duplicate"),
        (
            {"qid": ["q", "q"], "docid": ["d", "e"], "score": [2.0, 1.0], "rank": [2, 1]},
            "the score rises from 1 at rank 1",
        ),
        (
            {"qid": ["q"], "docid": ["d"], "score": [2.0], "rank": [float("nan")]},
            "rank has a duplicate or a value that is",
        ),
    ],
)
def test_wrong_frames_are_errors(columns, message):
    pandas = pytest.importorskip("pandas")
    with pytest.raises(RunError, match=message):
        Run.from_dataframe(pandas.DataFrame(columns))


def test_what_is_no_frame_is_an_error():
    for wrong in ({"q": {"d": 1}}, "run.trec", [("q", "d", 1)]):
        with pytest.raises(RunError, match="expected a data frame, got"):
            Run.from_dataframe(wrong)
        with pytest.raises(RunError, match="expected a data frame, got"):
            qrels_from_dataframe(wrong)


# ---- ranx ----

PROGRAM = """
import json, sys
import ranx
from splade_lucene import Run, evaluate, qrels_from_ranx, qrels_to_ranx

MEASURES, IN_RANX, TIED, QRELS, qrels, rankings = json.load(sys.stdin)
run = Run({qid: [tuple(hit) for hit in hits] for qid, hits in rankings.items()}, tag="tied")

def sides(qrels, theirs, ours):
    found = ranx.evaluate(qrels_to_ranx(qrels), theirs, IN_RANX, make_comparable=True)
    return [[float(found[name]) for name in IN_RANX], [*evaluate(qrels, ours, MEASURES).values()]]

unsorted = ranx.Run()
for qid, hits in TIED.items():
    for docid, score in hits.items():
        unsorted.add_score(qid, docid, score)
back = Run.from_ranx(run.to_ranx())
print(json.dumps({
    "ours": sides(qrels, run.to_ranx(), run),
    "tied": sides(QRELS, ranx.Run(TIED), Run.from_ranx(ranx.Run(TIED))),
    "unsorted": sides(QRELS, unsorted, Run.from_ranx(unsorted)),
    "qrels": qrels_from_ranx(qrels_to_ranx(qrels)) == qrels,
    "back": [back.to_dict() == run.to_dict(), back.tag, Run.from_ranx(run.to_ranx(), tag="b").tag],
    "empty": dict(Run.from_ranx(Run({"q": {}}).to_ranx())),
}))
"""


@pytest.mark.process
def test_ranx_agrees_with_ours_on_a_run_full_of_ties(tied):
    pytest.importorskip("ranx")
    qrels, run = tied
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([MEASURES, IN_RANX, TIED, QRELS, qrels, dict(run)]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},  # compiling takes longer than interpreting here
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for sides in ("ours", "tied", "unsorted"):
        theirs, ours = found[sides]
        assert theirs == pytest.approx(ours, abs=1e-12), sides
    assert found["qrels"] is True
    assert found["back"] == [True, "tied", "b"]
    assert found["empty"] == {}


def test_what_is_not_of_ranx_is_an_error():
    with pytest.raises(RunError, match="expected a run of ranx, got dict"):
        Run.from_ranx({"q": {"d": 1.0}})
    with pytest.raises(RunError, match="expected qrels of ranx, got dict"):
        qrels_from_ranx({"q": {"d": 1}})


@pytest.mark.parametrize(
    ("package", "extra", "call"),
    [
        ("ranx", "splade-lucene[ranx]", lambda: Run(TIED).to_ranx()),
        ("ranx", "splade-lucene[ranx]", lambda: qrels_to_ranx(QRELS)),
        ("pandas", "pandas", lambda: Run(TIED).to_dataframe()),
        ("pandas", "pandas", lambda: qrels_to_dataframe(QRELS)),
    ],
)
def test_a_package_that_is_not_installed_is_named(monkeypatch, package, extra, call):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError) as caught:
        call()
    assert str(caught.value) == f"{package} is not installed. Install it with 'pip install {extra}'."


def test_no_judgments_are_an_error():
    pytest.importorskip("ranx")
    with pytest.raises(SpladeLuceneError, match="there are no judgments"):
        qrels_to_ranx({"q": {}})
