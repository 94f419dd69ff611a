"""Measures by hand, and three evaluators that agree on a run full of ties: ir_measures, ranx and trec_eval itself."""

import gzip
import json
import math
import os
import platform
import random
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from splade_lucene.errors import RunError
from splade_lucene.evaluation import DEFAULT_MEASURES, evaluate, read_qrels
from splade_lucene.jvm import find_fatjar
from splade_lucene.run import Run

MEASURES = ("nDCG@10", "RR", "AP", "R@100")


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def refused(call, *arguments):
    with pytest.raises(RunError) as caught:
        call(*arguments)
    return str(caught.value)


# ---- by hand ----


def test_measures_by_hand():
    qrels = {"q": {"a": 2, "b": 1, "c": 0, "d": 1}}
    run = Run({"q": [("x", 9), ("a", 8), ("c", 7), ("b", 7)]})  # relevant at 2 and 4; d is not found
    found = evaluate(qrels, run, ["nDCG@10", "RR@10", "AP", "R@100", "P@2"])
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert list(found) == ["nDCG@10", "RR@10", "AP", "R@100", "P@2"]
    assert found["nDCG@10"] == pytest.approx((2 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert found["RR@10"] == pytest.approx(1 / 2)
    assert found["AP"] == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert found["R@100"] == pytest.approx(2 / 3)
    assert found["P@2"] == pytest.approx(1 / 2)


@pytest.mark.parametrize(("first", "reciprocal_rank"), [("a", 1.0), ("b", 0.5)])
def test_ranking_of_ties_is_the_runs_own(first, reciprocal_rank):
    run = Run({"q": [(docid, 5) for docid in sorted("ab", key=lambda docid: docid != first)]})
    assert evaluate({"q": {"a": 1}}, run, ["RR@10"]) == {"RR@10": reciprocal_rank}


def test_cutoff_is_kept():
    run = Run({"q": [(f"d{i}", 100 - i) for i in range(11)]})
    assert evaluate({"q": {"d10": 1}}, run, ["RR@10", "RR@11", "nDCG@10"]) == {
        "RR@10": 0.0,
        "RR@11": pytest.approx(1 / 11),
        "nDCG@10": 0.0,
    }


def test_judged_queries_that_the_run_lacks_count_as_nothing():
    qrels = {"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"a": 1}, "q4": {"a": 1}}
    run = Run({"q1": [("a", 1)], "q4": [], "unjudged": [("a", 1)]})
    assert evaluate(qrels, run, ["nDCG@10", "RR@10", "AP", "R@100"]) == dict.fromkeys(
        ("nDCG@10", "RR@10", "AP", "R@100"), 0.25
    )


def test_default_measures_and_files(tmp_path):
    qrels = write(tmp_path / "qrels.txt", "q 0 a 1\n")
    run = write(tmp_path / "run.txt", "q Q0 a 1 5 t\n")
    assert evaluate(qrels, run) == dict.fromkeys(("nDCG@10", "RR@10", "R@100", "R@1000", "AP"), 1.0)
    assert evaluate(str(qrels), str(run)) == evaluate(qrels, Run.read(run))
    assert DEFAULT_MEASURES == ("nDCG@10", "RR@10", "R@100", "R@1000", "AP")


# ---- three evaluators ----


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    """A run whose scores are nearly all ties, in a searcher's order: score descending, docid ascending."""
    folder = tmp_path_factory.mktemp("tied")
    chance = random.Random(7)
    docids = sorted(str(number) for number in range(1, 400))
    qrels, rankings = {}, {}
    for number in range(1, 31):
        qid = f"q{number}"
        judged = chance.sample(docids[:150], 30) + chance.sample(docids[150:], 10)  # more of them early among ties
        qrels[qid] = {docid: chance.choice([0, 1, 1, 2, 3]) for docid in judged}
        hits = [(docid, chance.randint(1, 6) + (qrels[qid].get(docid, 0) > 1)) for docid in chance.sample(docids, 300)]
        rankings[qid] = sorted(hits, key=lambda hit: (-hit[1], hit[0].encode()))
    rankings["unjudged"] = rankings["q1"]
    del rankings["q5"]  # judged, but not in the run
    lines = [f"{qid} 0 {docid} {value}\n" for qid, judged in qrels.items() for docid, value in judged.items()]
    write(folder / "qrels.txt", "".join(lines))
    Run(rankings).write(folder / "run.txt")
    raw = [
        f"{qid} Q0 {docid} {rank} {score} raw\n"
        for qid, hits in rankings.items()
        for rank, (docid, score) in enumerate(hits, 1)
    ]
    write(folder / "raw.txt", "".join(raw))
    orders = {qid: [docid for docid, _ in hits] for qid, hits in rankings.items()}
    return SimpleNamespace(
        qrels=qrels, orders=orders, qrels_file=folder / "qrels.txt", run_file=folder / "run.txt", raw=folder / "raw.txt"
    )


def measure(qrels, orders):
    """The four measures in plain Python, from nothing but the order."""
    sums = dict.fromkeys(MEASURES, 0.0)
    for qid, judged in qrels.items():
        gains = [judged.get(docid, 0) for docid in orders.get(qid, [])]
        relevant = sum(value > 0 for value in judged.values())
        ideal = sorted(judged.values(), reverse=True)
        dcg, best = (sum(g / math.log2(i + 2) for i, g in enumerate(each[:10])) for each in (gains, ideal))
        ranks = [i for i, gain in enumerate(gains, 1) if gain > 0]
        sums["nDCG@10"] += dcg / best
        sums["RR"] += 1 / ranks[0] if ranks else 0
        sums["AP"] += sum(n / rank for n, rank in enumerate(ranks, 1)) / relevant
        sums["R@100"] += sum(rank <= 100 for rank in ranks) / relevant
    return {name: total / len(qrels) for name, total in sums.items()}


def test_ir_measures_is_plain_python_on_the_searchers_order(tied):
    expected = measure(tied.qrels, tied.orders)
    assert min(expected.values()) > 0.1
    assert max(expected.values()) < 0.99
    assert evaluate(tied.qrels_file, tied.run_file, MEASURES) == pytest.approx(expected)
    assert evaluate(tied.qrels, Run.read(tied.run_file), MEASURES) == pytest.approx(expected)


def test_ranx_agrees(tied):
    pytest.importorskip("ranx")
    program = """
import json, sys
from ranx import Qrels, Run, evaluate
qrels, run = Qrels.from_file(sys.argv[1], kind="trec"), Run.from_file(sys.argv[2], kind="trec")
print(json.dumps({k: float(v) for k, v in evaluate(
    qrels, run, ["ndcg@10", "mrr", "map", "recall@100"], make_comparable=True).items()}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tied.qrels_file, tied.run_file],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},  # compiling takes longer than interpreting here
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    ours = evaluate(tied.qrels_file, tied.run_file, MEASURES)
    assert list(theirs) == ["ndcg@10", "mrr", "map", "recall@100"]
    assert list(theirs.values()) == pytest.approx(list(ours.values()))


@pytest.fixture(scope="module")
def trec_eval(tmp_path_factory):
    """NIST's program, from the Anserini fatjar."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the fatjar's trec_eval used here is that of Linux on x86-64")
    fatjar = find_fatjar()
    program = tmp_path_factory.mktemp("trec_eval") / "trec_eval"
    with zipfile.ZipFile(fatjar) as archive:
        program.write_bytes(archive.read("trec_eval/trec_eval-linux-amd64"))
    program.chmod(0o700)

    def run(qrels, run):
        options = ["-c", "-m", "ndcg_cut.10", "-m", "recip_rank", "-m", "map", "-m", "recall.100"]
        done = subprocess.run([program, *options, qrels, run], capture_output=True, text=True, check=True)
        values = {line.split()[0]: line.split()[2] for line in done.stdout.splitlines()}
        return [values[name] for name in ("ndcg_cut_10", "recip_rank", "map", "recall_100")]

    return run


def test_trec_eval_agrees_to_its_four_digits(tied, trec_eval):
    ours = evaluate(tied.qrels_file, tied.run_file, MEASURES)
    assert trec_eval(tied.qrels_file, tied.run_file) == [f"{ours[name]:.4f}" for name in MEASURES]


def test_trec_eval_would_see_another_order_in_scores_with_ties(tied, trec_eval):
    ours = evaluate(tied.qrels_file, tied.run_file, MEASURES)
    raw = [float(value) for value in trec_eval(tied.qrels_file, tied.raw)]
    assert all(abs(raw[i] - ours[name]) > 0.001 for i, name in enumerate(MEASURES))


def test_reading_a_run_with_ties_gives_trec_evals_order(tied, trec_eval):
    ours = evaluate(tied.qrels_file, Run.read(tied.raw), MEASURES)
    assert trec_eval(tied.qrels_file, tied.raw) == [f"{ours[name]:.4f}" for name in MEASURES]


# ---- faults ----


@pytest.mark.parametrize("name", ["no-such-measure", "nDGC@10", "", "nDCG@ten", "nDCG@-1", "nDCG@10.5", "P", "P@"])
def test_unknown_measure_is_named(name):
    message = refused(evaluate, {"q": {"a": 1}}, Run({"q": [("a", 1)]}), ["RR@10", name])
    assert repr(name) in message
    assert "nDCG@10 RR@10" in message


@pytest.mark.skipif(find_spec("pyndeval") is not None, reason="pyndeval is installed")
def test_measure_whose_program_is_not_installed_is_named():
    assert "alpha_nDCG@10" in refused(evaluate, {"q": {"a": 1}}, Run({"q": [("a", 1)]}), ["alpha_nDCG@10"])


def test_cutoff_of_zero_is_refused_and_does_not_end_the_process():
    program = """
from splade_lucene import Run, evaluate
from splade_lucene.errors import RunError
try:
    evaluate({"q": {"a": 1}}, Run({"q": [("a", 1)]}), ["nDCG@0"])
except RunError as error:
    print("refused", error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("refused")
    assert "nDCG@0" in done.stdout


def test_run_and_judgments_of_different_collections():
    message = refused(evaluate, {"301": {"a": 1}}, Run({"q1": [("a", 1)]}))
    assert "run and judgments share no query" in message
    assert "q1" in message
    assert "301" in message
    assert "share no query" in refused(evaluate, {"301": {"a": 1}}, Run({}))


# ---- judgments ----


@pytest.mark.parametrize("name", ["qrels.txt", "qrels.txt.gz"])
def test_trec_judgments(tmp_path, name):
    path = write(tmp_path / name, "1 0 d1 2\n1\tQ0\td2\t0\n\n2 0 d1 -1\n1 0 d1 2\n")
    assert read_qrels(path) == {"1": {"d1": 2, "d2": 0}, "2": {"d1": -1}}


@pytest.mark.parametrize("header", ["query-id\tcorpus-id\tscore", "query_id corpus_id score", "qid docid relevance"])
def test_beir_judgments_under_their_header(tmp_path, header):
    path = write(tmp_path / "test.tsv", f"{header}\nq1\td1\t1\nq1\td2\t0\nq2\td1\t2\n")
    assert read_qrels(str(path)) == {"q1": {"d1": 1, "d2": 0}, "q2": {"d1": 2}}


def test_three_columns_without_a_header(tmp_path):
    assert read_qrels(write(tmp_path / "qrels.tsv", "q1\td1\t1\n")) == {"q1": {"d1": 1}}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1 0 d9", "the relevance 'd9' is no integer"),
        ("1 d9", "expected qid, iteration, docid and relevance, found 2 columns"),
        ("1 0 d9 1 x", "found 5 columns"),
        ("1 0 d9 high", "the relevance 'high' is no integer"),
        ("1 0 d9 1.5", "the relevance '1.5' is no integer"),
        ("1 0 d1 1", "document 'd1' is judged twice for query '1'"),
        ("query-id corpus-id score", "the relevance 'score' is no integer"),
    ],
)
def test_malformed_judgment_is_named(tmp_path, line, says):
    path = write(tmp_path / "qrels.txt", f"1 0 d1 2\n\n{line}\n")
    message = refused(read_qrels, path)
    assert message.startswith(f"{path}:3: ")
    assert says in message


@pytest.mark.parametrize("text", ["", "\n", "query-id\tcorpus-id\tscore\n"])
def test_no_judgment(tmp_path, text):
    assert "no judgment in this file" in refused(read_qrels, write(tmp_path / "qrels.txt", text))


def test_judgments_that_cannot_be_read(tmp_path):
    assert "cannot be read" in refused(read_qrels, tmp_path / "nothing")
    (tmp_path / "latin.txt").write_bytes("1 0 é 1\n".encode("latin-1"))
    assert "not UTF-8" in refused(read_qrels, tmp_path / "latin.txt")
