"""Fusion by hand, against Pyserini's, and shards against the whole collection."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.collections import random_collection

from splade_lucene import (
    LuceneImpactSearcher,
    Run,
    cut_run,
    index_pseudo_documents,
    merge_passages,
    merge_queries,
    merge_shards,
    reciprocal_rank_fusion,
    remove_queries,
    weighted_sum,
    write_pseudo_documents,
)
from splade_lucene.errors import RunError
from splade_lucene.jvm.pyserini_import import pyserini_importable
from splade_lucene.run.fusion import integer_scores
from splade_lucene.run.run import strictly_falling

A: dict[str, list[tuple[str, float]]] = {"q1": [("a", 10), ("b", 6), ("c", 2)], "q2": [("x", 4)]}
B: dict[str, list[tuple[str, float]]] = {"q1": [("b", 0.75), ("d", 0.5), ("a", 0.25)], "q3": [("y", 1)]}


def rounded(run):
    return {qid: [(docid, round(score, 6)) for docid, score in hits] for qid, hits in run.items()}


# ---- by hand ----


def test_reciprocal_ranks_by_hand():
    fused = reciprocal_rank_fusion([A, B])
    assert rounded(fused) == {
        "q1": [
            ("b", round(1 / 62 + 1 / 61, 6)),
            ("a", round(1 / 61 + 1 / 63, 6)),
            ("d", round(1 / 62, 6)),
            ("c", round(1 / 63, 6)),
        ],
        "q2": [("x", round(1 / 61, 6))],
        "q3": [("y", round(1 / 61, 6))],
    }
    weighted = reciprocal_rank_fusion([A, B], weights=[3, 0.5], constant=0, depth=2, k=2)
    assert rounded(weighted) == {"q1": [("a", 3.0), ("b", 2.0)], "q2": [("x", 3.0)], "q3": [("y", 0.5)]}


def test_weighted_sums_by_hand():
    assert rounded(weighted_sum([A, B], weights=[0.5, 2])) == {
        "q1": [("b", 2.25), ("d", 1.0), ("a", 0.5), ("c", 0.0)],
        "q2": [("x", 0.5)],
        "q3": [("y", 2.0)],
    }
    assert rounded(weighted_sum([A, B], normalization="max"))["q1"] == [
        ("b", 1.6),
        ("a", 1.333333),
        ("d", 0.666667),
        ("c", 0.2),
    ]
    assert rounded(weighted_sum([A, B], weights=[1, 4], normalization="none", depth=1))["q1"] == [("a", 10), ("b", 3)]


def test_equal_fused_scores_are_by_docid_as_bytes():
    runs = [{"q": [("é", 1), ("z", 1), ("d2", 1)]}, {"q": [("d10", 1)]}, {"q": [("d2", 1)]}]
    assert [docid for docid, _ in weighted_sum(runs)["q"]] == ["d2", "d10", "z", "é"]


rankings = st.lists(st.sampled_from("abcdefgh"), max_size=8, unique=True).map(
    lambda docids: [(docid, float(len(docids) - rank // 2)) for rank, docid in enumerate(docids)]
)
runs = st.lists(st.dictionaries(st.sampled_from(["p", "q"]), rankings), min_size=2, max_size=5)


@given(runs, st.randoms())
def test_the_order_of_the_runs_changes_nothing(drawn, source):
    weights = [0.1 * (number + 1) for number in range(len(drawn))]
    order = list(range(len(drawn)))
    source.shuffle(order)
    for fuse in (reciprocal_rank_fusion, weighted_sum):
        one = fuse(drawn, weights=weights)
        other = fuse([drawn[i] for i in order], weights=[weights[i] for i in order])
        assert dict(one) == dict(other)


def test_every_function_takes_the_forms_of_a_run(tmp_path):
    scores: dict[str, dict[str, float]] = {"q1": {"c": 2, "a": 10, "b": 6}, "q2": {"x": 4}}
    other: dict[int, dict[int, float]] = {1: {7: 1.0, 8: 3.0}}
    Run(A).write(tmp_path / "a.trec")
    for form in (scores, A, Run(A), tmp_path / "a.trec", str(tmp_path / "a.trec")):
        assert dict(cut_run(form, 1)) == {"q1": [("a", 10)], "q2": [("x", 4)]}
        assert dict(merge_queries([form, other])) == {**A, "1": [("8", 3.0), ("7", 1.0)]}
        assert dict(merge_shards([form, other])) == {**A, "1": [("8", 3.0), ("7", 1.0)]}
        for fuse in (reciprocal_rank_fusion, weighted_sum):
            assert dict(fuse([form, B])) == dict(fuse([A, B]))
    assert dict(cut_run({1: {"a": 1}, "2": {"a": 1}}, qids=[2, "1"])) == {"2": [("a", 1)], "1": [("a", 1)]}


def test_runs_weights_and_qids_may_be_read_only_once():
    tagged = [Run({"q1": A["q1"]}, tag="t"), Run({"q2": A["q2"]}, tag="t")]
    for merge in (merge_queries, merge_shards):
        merged = merge(iter(tagged))
        assert (dict(merged), merged.tag) == (A, "t")
    for fuse in (reciprocal_rank_fusion, weighted_sum):
        assert dict(fuse(iter([A, B]), weights=iter([1, 2]))) == dict(fuse([A, B], weights=[1, 2]))
    assert list(cut_run(A, qids=iter(["q2", "q1"]))) == ["q2", "q1"]


# ---- Pyserini's ----


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory):
    """Run files."""
    source = random.Random(4)
    folder = tmp_path_factory.mktemp("runs")
    for number in range(3):
        docids = {f"q{q}": source.sample([f"d{i}" for i in range(40)], 25) for q in range(6)}
        scores = {qid: sorted(source.sample(range(1000), 25), reverse=True) for qid in docids}
        run = Run({qid: zip(docids[qid], scores[qid], strict=True) for qid in docids})
        run.write(folder / f"{number}.trec")
    return [folder / f"{number}.trec" for number in range(3)]


def mean(runs, **options):
    return weighted_sum(runs, weights=[1 / len(runs)] * len(runs), normalization="none", **options)


@pytest.mark.parametrize(
    ("theirs", "ours", "cutoffs"),
    [
        ("reciprocal_rank_fusion", reciprocal_rank_fusion, {}),
        ("reciprocal_rank_fusion", reciprocal_rank_fusion, {"depth": 12, "k": 15}),
        ("normalize", weighted_sum, {}),
        ("normalize", weighted_sum, {"k": 15}),
        ("average", mean, {"depth": 12, "k": 15}),
        ("interpolation", mean, {"depth": 12}),
    ],
)
def test_fusion_equals_pyserinis(three_runs, theirs, ours, cutoffs):
    with pyserini_importable():
        from pyserini import fusion
        from pyserini.trectools import TrecRun
    files = three_runs[:2] if theirs == "interpolation" else three_runs
    fused = ours([Run.read(path) for path in files], **cutoffs)
    rows = getattr(fusion, theirs)([TrecRun(str(path)) for path in files], **cutoffs).to_numpy()
    expected: dict[str, dict[str, float]] = {}
    for qid, _, docid, _, score, _ in rows:
        expected.setdefault(str(qid), {})[docid] = score
    assert set(fused) == set(expected)
    for qid, hits in fused.items():
        assert dict(hits).keys() == expected[qid].keys()
        assert [score for _, score in hits] == pytest.approx([expected[qid][docid] for docid, _ in hits])
        assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)


@pytest.mark.parametrize("cutoffs", [{}, {"depth": 12, "k": 15}])
@pytest.mark.parametrize("first", [0, 1])
def test_the_ranks_of_the_files_are_fused_as_pyserini_fuses_them(tmp_path, first, cutoffs):
    """The ranks differ from the order of the scores, and have gaps."""
    with pyserini_importable():
        from pyserini import fusion
        from pyserini.trectools import TrecRun
    source = random.Random(9)
    for name in "ab":
        ranks = {qid: sorted(source.sample(range(first, 60), 25)) for qid in ("q1", "q2")}
        lines = [
            f"{qid} Q0 d{docid} {rank} {source.randint(0, 9)} t\n"
            for qid in ranks
            for docid, rank in zip(source.sample(range(40), 25), ranks[qid], strict=True)
        ]
        (tmp_path / name).write_text("".join(lines))
    files = [tmp_path / "a", tmp_path / "b"]
    rows = fusion.reciprocal_rank_fusion([TrecRun(str(path)) for path in files], **cutoffs).to_numpy()
    expected = {(str(qid), docid): score for qid, _, docid, _, score, _ in rows}
    fused = reciprocal_rank_fusion(files, **cutoffs)
    found = {(qid, docid): score for qid, hits in fused.items() for docid, score in hits}
    assert sorted(found.values()) == pytest.approx(sorted(expected.values()))
    shared = found.keys() & expected.keys()  # at the last place, equal scores are cut otherwise
    assert len(shared) > 0.9 * len(expected)
    assert {key: found[key] for key in shared} == pytest.approx({key: expected[key] for key in shared})
    assert dict(reciprocal_rank_fusion(files, by="score", **cutoffs)) != dict(fused)


def test_ranks_or_scores_by_hand(tmp_path):
    (tmp_path / "run").write_text("q Q0 a 7 1 t\nq Q0 b 3 2 t\n")
    (tmp_path / "twice").write_text("q Q0 a 1 1 t\nq Q0 b 1 2 t\n")
    (tmp_path / "from-0").write_text("q Q0 a 0 2 t\n")
    other = {"q": [("c", 5)]}
    assert rounded(reciprocal_rank_fusion([tmp_path / "run", other], constant=1))["q"] == [
        ("c", 1 / 2), ("b", 1 / 4), ("a", 1 / 8),
    ]  # fmt: skip
    assert rounded(reciprocal_rank_fusion([tmp_path / "run", other], by="score", constant=1))["q"] == [
        ("b", 1 / 2), ("c", 1 / 2), ("a", round(1 / 3, 6)),
    ]  # fmt: skip
    with pytest.raises(RunError, match=r"twice:2: duplicate rank 1 for query 'q', and the ranks .* fusion by score"):
        reciprocal_rank_fusion([tmp_path / "twice", other])
    assert reciprocal_rank_fusion([tmp_path / "twice", other], by="score")["q"][0][0] == "b"
    with pytest.raises(RunError, match="the constant must be above 0"):
        reciprocal_rank_fusion([tmp_path / "from-0", other], constant=0)
    with pytest.raises(RunError, match="unknown value of by 'size'. Choose one of: rank, score"):
        reciprocal_rank_fusion([A, B], by="size")  # type: ignore[arg-type]


# ---- parts ----


def test_queries_are_removed_from_their_own_hits(tmp_path):
    run = Run({"q1": [("d", 9), ("q1", 8), ("q2", 7)], "q2": [("q2", 3)]}, tag="t")
    assert dict(remove_queries(run)) == {"q1": [("d", 9), ("q2", 7)], "q2": []}
    assert remove_queries(run).tag == "t"
    assert dict(remove_queries({7: {7: 3, 8: 2}})) == {"7": [("8", 2)]}
    (tmp_path / "run.tsv").write_text("q\tq\t1\nq\td\t2\n")
    remove_queries(tmp_path / "run.tsv").write(tmp_path / "out.tsv", format="msmarco")
    assert (tmp_path / "out.tsv").read_text() == "q\td\t1\n"


def test_documents_are_ranked_by_their_best_passage(caplog):
    passages = {"q": {"d1#0": 1, "d2#11": 4, "d1#3": 5, "d3": 4.5, "d2#1": 4, "d1#1#0": 9}}
    assert dict(merge_passages(passages)) == {"q": [("d1", 9), ("d3", 4.5), ("d2", 4)]}
    assert not caplog.messages
    merge_passages({"q": {"d1": 1}}, delimiter=".passage")
    assert caplog.messages == ["no docid of the run has the delimiter '.passage', so none of them names a passage"]
    assert dict(merge_passages(passages, k=2)) == {"q": [("d1", 9), ("d3", 4.5)]}
    assert dict(merge_passages({"q": [("d.1.0", 3), ("d.1.2", 2), ("d.2.0", 1)]}, delimiter=".1.")) == {
        "q": [("d", 3), ("d.2.0", 1)]
    }
    for wrong, says in (({"delimiter": ""}, "delimiter of passages is empty"), ({"k": 0}, "k must be at least 1")):
        with pytest.raises(RunError, match=says):
            merge_passages(passages, **wrong)
    with pytest.raises(RunError, match="the passage '#1' of query 'q' begins with the delimiter '#'"):
        merge_passages({"q": {"#1": 1}})


def test_cutting():
    assert dict(cut_run(A, 1)) == {"q1": [("a", 10)], "q2": [("x", 4)]}
    assert dict(cut_run(A, qids=["q2", "q9", "q1", "q2"], k=2)) == {"q2": [("x", 4)], "q1": [("a", 10), ("b", 6)]}
    assert cut_run(Run(A, tag="mine"), 1).tag == "mine"
    with pytest.raises(RunError, match="none of these queries"):
        cut_run(A, qids=["q9"])


def test_merging_queries():
    merged = merge_queries([Run({"q1": A["q1"]}, tag="t"), Run({"q2": A["q2"]}, tag="t")])
    assert (dict(merged), merged.tag) == (A, "t")
    with pytest.raises(RunError, match="query 'q1' of run 2 is already in an earlier run"):
        merge_queries([A, B])
    assert merge_queries([Run({"q": []}, tag="s"), Run({"p": []}, tag="t")]).tag == "splade-lucene"


def test_merging_shards_by_hand():
    shards = [{"q": [("d3", 7), ("d1", 5)]}, {"q": [("d4", 7), ("d2", 5), ("d9", 1)], "p": [("d2", 3)]}]
    assert dict(merge_shards(shards, 4)) == {"q": [("d3", 7), ("d4", 7), ("d1", 5), ("d2", 5)], "p": [("d2", 3)]}
    with pytest.raises(RunError, match="document 'a' of run 2 is already in an earlier run"):
        merge_shards([{"q1": [("a", 1)]}, {"q1": [("a", 2)]}])


@given(st.lists(st.integers(0, 30) | st.integers(0, 2**20), max_size=60))
def test_integers_behind_written_scores(drawn):
    scores = sorted(map(float, drawn), reverse=True)
    written = [(f"d{i}", float(np.float32(score))) for i, score in enumerate(strictly_falling(scores))]
    assert [score for _, score in integer_scores(written)] == scores


@given(st.lists(st.floats(-50, 50, width=32), max_size=20, unique=True))
def test_other_scores_stay(drawn):
    ranking = [(f"d{i}", score) for i, score in enumerate(sorted(drawn, reverse=True))]
    whole = all(score == int(score) for score in drawn)
    recovered = integer_scores(ranking)
    assert recovered == ranking or strictly_falling([s for _, s in recovered]) == strictly_falling(
        [s for _, s in ranking]
    )
    if whole:
        assert recovered == ranking


def test_shards_merge_to_the_run_of_the_whole_collection(tmp_path):
    """Compared byte by byte, from run files, with many ties and a cutoff among them."""
    collection = random_collection(400, seed=5, impacts=3)
    queries = {f"q{i}": {f"term{i + j}": 1 + j % 2 for j in range(4)} for i in range(12)}
    for name, part in [("whole", collection), *((f"shard{i}", collection[i::3]) for i in range(3))]:
        write_pseudo_documents(tmp_path / f"{name}.jsonl", part)
        index_pseudo_documents(tmp_path / f"{name}.jsonl", tmp_path / name, accelerator=False)
        with LuceneImpactSearcher(tmp_path / name) as searcher:
            Run({qid: searcher.search(query, 50) for qid, query in queries.items()}).write(tmp_path / f"{name}.trec")
    merged = merge_shards([Run.read(tmp_path / f"shard{i}.trec") for i in range(3)], 50)
    merged.write(tmp_path / "merged.trec")
    assert (tmp_path / "merged.trec").read_bytes() == (tmp_path / "whole.trec").read_bytes()
    assert b"." in (tmp_path / "whole.trec").read_bytes()  # there were ties


# ---- refusals ----


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: reciprocal_rank_fusion([A]), "at least two runs"),
        (lambda: reciprocal_rank_fusion([A, B], weights=[1]), "2 runs require 2 finite weights"),
        (lambda: weighted_sum([A, B], weights=[1, float("nan")]), "2 runs require 2 finite weights"),
        (lambda: reciprocal_rank_fusion([A, B], constant=-1), "a number of at least 0"),
        (lambda: weighted_sum([A, B], normalization="zmuv"), "unknown normalization 'zmuv'"),  # type: ignore[arg-type]
        (lambda: weighted_sum([A, {"q1": [("a", -1)]}], normalization="max"), "the best score of query 'q1' is -1"),
        (lambda: weighted_sum([A, B], depth=0), "depth must be at least 1"),
        (lambda: cut_run(A, 0), "k must be at least 1"),
        (lambda: cut_run(A, qids="q1"), "expected several qids, got 'q1'"),
        (lambda: merge_queries(A), "expected a sequence of runs, got a mapping"),
        (lambda: weighted_sum("a.trec"), "expected several runs, got 'a.trec'"),
        (lambda: weighted_sum([A, {"q1": [("a", 1), ("b", 2)]}]), "the score rises from 1 at rank 1 to 2"),
    ],
)
def test_wrong_values_are_refused(call, says):
    with pytest.raises(RunError, match=says):
        call()
