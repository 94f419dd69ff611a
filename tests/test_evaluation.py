"""Measures by hand, and three evaluators that agree on a run full of ties: ir_measures, ranx and trec_eval itself."""

import ast
import json
import math
import os
import platform
import random
import re
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from support.collections import TERMS
from support.files import write
from typer.testing import CliRunner

from splade_lucene import LuceneImpactSearcher, defaults, index_texts, read_corpus, read_topics, search_texts
from splade_lucene.cli.app import app
from splade_lucene.errors import RunError
from splade_lucene.evaluation import (
    MeasuredRun,
    compare,
    evaluate,
    evaluate_queries,
    parse_measure,
    read_qrels,
)
from splade_lucene.jvm import find_fatjar
from splade_lucene.run.run import Run

MEASURES = ("nDCG@10", "RR", "AP", "R@100")


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


def test_scores_and_judgments_are_those_of_pytrec_eval():
    import pytrec_eval

    chance = random.Random(3)
    docids = [str(number) for number in range(60)]
    scores = {qid: {docid: chance.random() for docid in chance.sample(docids, 40)} for qid in "123"}
    qrels = {qid: {docid: chance.randint(0, 2) for docid in chance.sample(docids, 30)} for qid in "123"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recip_rank"}).evaluate(scores)
    expected = {
        "nDCG@10": {qid: values["ndcg_cut_10"] for qid, values in theirs.items()},
        "recip_rank": {qid: values["recip_rank"] for qid, values in theirs.items()},
    }
    numbers = {int(qid): {int(docid): value for docid, value in ranked.items()} for qid, ranked in scores.items()}
    judged = {int(qid): {int(docid): np.int64(value) for docid, value in row.items()} for qid, row in qrels.items()}
    for judgments, run in ((qrels, scores), (judged, scores), (qrels, numbers), (judged, numbers)):
        assert evaluate_queries(judgments, run, ["nDCG@10", "recip_rank"]) == expected


@pytest.mark.parametrize(
    ("qrels", "says"),
    [
        ([("q", "d", 1)], "for an object of another package, qrels_from_ranx, qrels_from_ir_measures or"),
        ({1.0: {"d": 1}}, "expected a valid string or an integer as qid, got 1.0"),
        ({1: {"d": 1}, "1": {"d": 1}}, "query '1' is judged twice"),
        ({"q": ["d"]}, "query 'q' has no judgments by docid (['d'])"),
        ({"q": {1: 1, "1": 1}}, "query 'q': the docid '1' is judged twice"),
        ({"q": {None: 1}}, "query 'q': the docid None is neither a string nor an integer"),
        ({"q": {"d": 0.5}}, "query 'q': the relevance 0.5 of 'd' is not an integer"),
        (
            {"q": {"d": 10**9}},
            "the relevance 1000000000 of 'd' is not between -10,000 and 10,000. Write smaller grades",
        ),
        ({"q": {"d": "1"}}, "query 'q': the relevance '1' of 'd' is not an integer"),
    ],
)
def test_judgments_that_are_none_are_named(qrels, says):
    assert says in refused(evaluate, qrels, {"q": {"d": 1}})


def test_open_files_and_iterators_are_refused(tmp_path):
    path = write(tmp_path / "qrels.txt", "q 0 a 1\n")
    with path.open() as file:
        assert "got TextIOWrapper" in refused(evaluate, file, {"q": {"a": 1}})
        assert "got TextIOWrapper" in refused(evaluate, {"q": {"a": 1}}, file)
        assert "got TextIOWrapper" in refused(read_qrels, file)
    assert "got list_iterator" in refused(evaluate, {"q": {"a": 1}}, iter([("q", "a", 1)]))


def test_measures_may_be_read_only_once():
    import ir_measures

    qrels, run = {"q": {"a": 1}}, {"q": {"b": 2, "a": 1}}
    for names in (["RR@10", "P@1"], iter(["RR@10", "P@1"]), map(str, ("RR@10", "P@1")), (ir_measures.RR @ 10, "P@1")):
        assert evaluate(qrels, run, names) == {"RR@10": 0.5, "P@1": 0.0}


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
    assert defaults.MEASURES == ("nDCG@10", "RR@10", "R@100", "R@1000", "AP")


# ---- all of ir_measures ----

LOG = math.log2
ODD = "PLAIN-2"
ODD_QRELS = {ODD: {"a-1 x": 3, "b": 1, "c": 0, "d": 2}}
ODD_RUN = {
    ODD: {"x": 9, "a-1 x": 8, "c": 7, "b": 6, "y": -5}
}  # relevant at 2 and 4; d is not found; x and y are not judged
BY_HAND = {
    "P@5": 2 / 5, "Precision@3": 1 / 3, "P(rel=2)@2": 1 / 2, "R@5": 2 / 3, "Recall@2": 1 / 3, "RR": 1 / 2, "MRR@10": 1 / 2,
    "RR(rel=2)@1": 0, "AP": (1 / 2 + 2 / 4) / 3, "MAP@3": 1 / 2 / 3, "Rprec": 1 / 3, "RPrec": 1 / 3, "Success@1": 0,
    "Success@2": 1, "Judged@5": 3 / 5, "NumQ": 1, "NumRel": 3, "NumRet": 5, "NumRelRet": 2, "SetP": 2 / 5, "SetR": 2 / 3,
    "SetF": 1 / 2, "SetF(beta=2)": 3 * (2 / 5) * (2 / 3) / (2 * 2 / 5 + 2 / 3), "SetAP": 2 / 5 * 2 / 3, "SetRelP": 2 / 3,
    "IPrec@0.5": 2 / 4, "IPrec@1": 0, "Bpref": (1 + 0) / 3, "BPref": (1 + 0) / 3,
    "infAP": (1 / 2 + 1 / 4 + 3 / 4 * 2 / 3 * 1 / 2) / 3,
    "nDCG@10": (3 / LOG(3) + 1 / LOG(5)) / (3 + 2 / LOG(3) + 1 / LOG(4)),
    "NDCG(judged_only=True)@10": (3 + 1 / LOG(4)) / (3 + 2 / LOG(3) + 1 / LOG(4)),
    "nDCG(dcg='exp-log2')@10": (7 / LOG(3) + 1 / LOG(5)) / (7 + 3 / LOG(3) + 1 / LOG(4)),
    "nDCG(dcg='exp-log2')": (7 / LOG(3) + 1 / LOG(5)) / (7 + 3 / LOG(3) + 1 / LOG(4)),
    "ERR@10": 7 / 16 / 2 + (1 - 7 / 16) / 16 / 4,
    "Accuracy": (2 + 1) / 6, "Accuracy@3": 1 / 2,
    "Compat(p=0.5)": sum(0.5**i * n / (i + 1) for i, n in enumerate([0, 1, 1, 2, 2]))
    / sum(0.5**i * n / (i + 1) for i, n in enumerate([1, 2, 3, 3, 3])),
}  # fmt: skip
BY_CWL = {
    "RBP(rel=1)": 0.2 * (0.8 + 0.8**3), "SDCG(max_rel=3)@5": (1 / LOG(3) + 1 / 3 / LOG(5)) / sum(1 / LOG(i) for i in range(2, 7)),
    "BPM(max_rel=3)@5": None, "INST(max_rel=3)": None, "INSQ(max_rel=3)": None, "NERR8(max_rel=3)@5": None,
    "NERR9(max_rel=3)@5": None, "NERR10(max_rel=3)": None, "NERR11(max_rel=3)": None,
}  # fmt: skip
BY_SUBTOPIC = (
    "AP_IA", "MAP_IA", "ERR_IA", "NRBP", "P_IA@5", "StRecall@5", "alpha_DCG@5", "alpha_nDCG@5", "nERR_IA", "nNRBP", "α_DCG@5",
    "α_nDCG@5",
)  # fmt: skip


def test_the_table_has_every_measure_of_ir_measures():
    from ir_measures.measures import registry

    tried = {re.split("[(@]", name)[0] for name in (*BY_HAND, *BY_CWL, *BY_SUBTOPIC)}
    assert tried == {*registry}


@pytest.mark.process  # gdeval is a Perl script
@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("top", [0, 1])
def test_every_measure_by_hand_whatever_the_ids(name, top):
    other = {f"2024-{n}": {"z": 4} for n in range(top)}  # gdeval takes the part behind the dash as the qid
    values = evaluate_queries({**other, **ODD_QRELS}, {**ODD_RUN, "2024-0": {"z": 1}}, [name])[name]
    assert values[ODD] == pytest.approx(BY_HAND[name], abs=1e-5)
    if not top:
        assert evaluate(ODD_QRELS, ODD_RUN, [name])[name] == values[ODD]


@pytest.mark.parametrize("name", BY_CWL)
def test_a_measure_of_a_package_is_computed_or_names_the_package(name):
    if find_spec("cwl") is None:
        message = refused(parse_measure, name)
        assert (
            message
            == f"{name} requires cwl_eval, which is not installed. Install it: pip install ir-measures[cwl_eval]"
        )
    else:
        plain = {"q": {"a": 3, "b": 1, "c": 0, "d": 2}}, {"q": {"x": 9, "a": 8, "c": 7, "b": 6, "y": 5}}
        found = evaluate(ODD_QRELS, ODD_RUN, [name])[name]
        assert found == evaluate(*plain, [name])[name] > 0
        assert BY_CWL[name] is None or found == pytest.approx(BY_CWL[name])


@pytest.mark.parametrize("name", BY_SUBTOPIC)
def test_a_measure_of_subtopics_is_refused(name):
    assert "requires judgments by subtopic" in refused(evaluate, ODD_QRELS, ODD_RUN, [name])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("P", "it requires cutoff, as in P@10"),
        ("INST", "it requires max_rel, as in INST(max_rel=3)"),
        ("BPM@5", "it requires max_rel, as in BPM(max_rel=3)@5"),
        ("SDCG", "it requires cutoff and max_rel, as in SDCG(max_rel=3)@10"),
        ("IPrec", "it requires recall, as in IPrec@0.1"),
        ("RBP", "RBP cannot be computed: cwl_eval requires rel, as in RBP(rel=1)"),
        ("RBP(rel=1)@10", "cwl_eval does not support cutoff"),
        ("ERR", "gdeval requires cutoff, as in ERR@10"),
        ("NumRel(rel=2)", "pytrec_eval supports rel only as 1"),
        ("RR(judged_only=True)@10", "msmarco supports judged_only only as False"),
        ("P(depth=5)@5", "it has no parameter depth"),
        ("nDCG(dcg='ln')@5", "dcg must be 'log2' or 'exp-log2', got 'ln'"),
        ("P(rel=0)@5", "rel must be at least 1, got 0"),
        ("nDCG@0", "cutoff must be at least 1, got 0"),
    ],
)
def test_a_missing_or_wrong_parameter_is_named(name, says):
    assert says in refused(parse_measure, name)


def test_grades_that_gdeval_does_not_take():
    qrels, run = {"q": {"a": 5, "b": 1}}, {"q": {"x": 3, "b": 2, "a": 1}}
    exponential = (1 / LOG(3) + 31 / LOG(4)) / (31 + 1 / LOG(3))
    assert evaluate(qrels, run, ["nDCG(dcg='exp-log2')@3"])["nDCG(dcg='exp-log2')@3"] == pytest.approx(exponential)
    message = refused(evaluate, qrels, run, ["ERR@10"])
    assert "ERR@10 takes grades up to 4, but document 'a' of query 'q' has grade 5" in message
    assert "has grade 61" in refused(evaluate, {"q": {"a": 61}}, run, ["nDCG(dcg='exp-log2')@3"])


def test_accuracy_where_it_is_not_defined():
    """With none or only relevant hits there is no pair to be in order; the mean, like ir_measures', leaves these out."""
    qrels = {qid: {"a": 1, "b": 1} for qid in ("some", "none", "all", "missing")}
    run = {"some": {"a": 3, "x": 2, "b": 1}, "none": {"x": 1}, "all": {"a": 2, "b": 1}}
    values = evaluate_queries(qrels, run, ["Accuracy", "RR"])
    assert values["Accuracy"].pop("some") == 1 / 2
    assert all(map(math.isnan, values["Accuracy"].values()))
    assert evaluate(qrels, run, ["Accuracy", "RR"]) == {"Accuracy": 1 / 2, "RR": 1 / 2}


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


@pytest.mark.process
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
def native(tmp_path_factory):
    """NIST's program, from the Anserini fatjar: what it prints of a run, by measure and qid."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the fatjar's trec_eval used here is that of Linux on x86-64")
    fatjar = find_fatjar()
    program = tmp_path_factory.mktemp("trec_eval") / "trec_eval"
    with zipfile.ZipFile(fatjar) as archive:
        program.write_bytes(archive.read("trec_eval/trec_eval-linux-amd64"))
    program.chmod(0o700)

    def run(qrels, run):
        done = subprocess.run(
            [program, "-c", "-q", "-m", "all_trec", qrels, run], capture_output=True, text=True, check=True
        )
        printed = {}
        for line in done.stdout.splitlines():
            name, qid, value = line.split("\t")
            if name.strip() not in ("runid", "relstring"):
                printed[name.strip(), qid] = f"{float(value):.4f}"
        return printed

    return run


@pytest.fixture(scope="module")
def trec_eval(native):
    def means(qrels, run):
        printed = native(qrels, run)
        return [printed[name, "all"] for name in ("ndcg_cut_10", "recip_rank", "map", "recall_100")]

    return means


@pytest.mark.process
def test_trec_eval_agrees_to_its_four_digits(tied, trec_eval):
    ours = evaluate(tied.qrels_file, tied.run_file, MEASURES)
    assert trec_eval(tied.qrels_file, tied.run_file) == [f"{ours[name]:.4f}" for name in MEASURES]


@pytest.mark.process
def test_trec_eval_would_see_another_order_in_scores_with_ties(tied, trec_eval):
    ours = evaluate(tied.qrels_file, tied.run_file, MEASURES)
    raw = [float(value) for value in trec_eval(tied.qrels_file, tied.raw)]
    assert all(abs(raw[i] - ours[name]) > 0.001 for i, name in enumerate(MEASURES))


@pytest.mark.process
def test_reading_a_run_with_ties_gives_trec_evals_order(tied, trec_eval):
    ours = evaluate(tied.qrels_file, Run.read(tied.raw), MEASURES)
    assert trec_eval(tied.qrels_file, tied.raw) == [f"{ours[name]:.4f}" for name in MEASURES]


# ---- all that trec_eval prints, query by query ----


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    return odd_collection(tmp_path_factory.mktemp("odd"), seed=11)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """The same with a mean of P_200 of 0.05825, whose last digit depends on the order in which the values are added."""
    return odd_collection(tmp_path_factory.mktemp("halves"), seed=2)


def odd_collection(folder, seed):
    """Judgments below 0, queries without a relevant document, without hits, without judged hits; all scores of a few values."""
    chance = random.Random(seed)
    docids = [f"d{number}" for number in range(150)]
    judgments, hits = [], []
    for number in range(20):
        values = {5: [0], 6: [-1], 7: [0, -1], 8: [3]}.get(number, [-1, 0, 0, 1, 1, 2, 3])
        judged = chance.sample(docids, 40)
        judgments += [f"q{number} 0 {docid} {chance.choice(values)}\n" for docid in judged]
        found = [docid for docid in docids if number != 9 or docid not in judged]
        if number not in (3, 4):
            hits += [
                (f"q{number}", docid, chance.choice([0.1, 0.25, 1, 7.5, -2])) for docid in chance.sample(found, 90)
            ]
    chance.shuffle(hits)  # lines of a query need not stand together
    lines = [f"{qid} Q0 {docid} {rank} {score} odd\n" for rank, (qid, docid, score) in enumerate(hits, 1)]
    return write(folder / "qrels.txt", "".join(judgments)), write(folder / "run.txt", "".join(lines))


@pytest.fixture(scope="module")
def impacts(collection, index_dir, tmp_path_factory):
    """A run of an impact index, for queries whose scores tie a lot."""
    folder = tmp_path_factory.mktemp("impacts")
    chance = random.Random(5)
    queries = {f"q{number}": dict.fromkeys(chance.sample(TERMS, 2), 1) for number in range(25)}
    with LuceneImpactSearcher(index_dir) as searcher:
        found = searcher.batch_search([*queries.values()], [*queries], k=300)
    Run(found).write(folder / "run.txt")
    lines = [
        f"{qid} 0 {document.docid} {chance.choice([0, 1, 2])}\n"
        for qid in queries
        for document in chance.sample(collection, 80)
    ]
    return write(folder / "qrels.txt", "".join(lines)), folder / "run.txt"


@pytest.fixture(scope="module")
def cacm(shared, tmp_path_factory):
    """BM25 on CACM."""
    folder, data = tmp_path_factory.mktemp("cacm"), shared / "data" / "cacm"
    index_texts(read_corpus(data / "corpus.jsonl"), folder / "index")
    Run(search_texts(folder / "index", read_topics(data / "topics.tsv"), 1000)).write(folder / "run.txt")
    return data / "qrels.txt", folder / "run.txt"


@pytest.mark.parametrize("name", ["tied", "raw", "odd", "halves", "impacts", "cacm"])
@pytest.mark.process
def test_all_of_trec_evals_measures_are_its_own_query_by_query(name, native, request):
    given = request.getfixturevalue("tied" if name == "raw" else name)
    files = (given.qrels_file, given.raw if name == "raw" else given.run_file) if name in ("tied", "raw") else given
    printed = native(*files)
    qrels, run = files
    values = evaluate_queries(qrels, run, ["all_trec"])
    means = evaluate(qrels, run, ["all_trec"])
    assert {measure for measure, _ in printed} == {*values}
    ours = {(measure, "all"): f"{mean:.4f}" for measure, mean in means.items()}
    ours |= {(measure, qid): f"{value:.4f}" for measure, row in values.items() for qid, value in row.items()}
    assert len(printed) > 80 * 15
    assert {key: ours[key] for key in printed} == printed


@pytest.mark.parametrize("name", ["odd", "impacts"])
def test_ir_measures_names_and_trec_evals_are_the_same_figures(name, request):
    qrels, run = request.getfixturevalue(name)
    pairs = {
        "nDCG@10": "ndcg_cut_10", "nDCG": "ndcg", "RR": "recip_rank", "AP": "map", "AP@100": "map_cut.100", "P@5": "P_5",
        "R@100": "recall_100", "Success@5": "success_5", "Bpref": "bpref", "infAP": "infAP", "IPrec@0.1": "iprec_at_recall_0.10",
        "SetP": "set_P", "SetR": "set_recall", "SetF": "set_F", "SetAP": "set_map", "NumRet": "num_ret", "NumRel": "num_rel",
        "NumQ": "num_q", "NumRet(rel=1)": "num_rel_ret", "SetP(relative=True)": "set_relative_P", "Rprec": "Rprec",
    }  # fmt: skip
    values = evaluate_queries(qrels, run, [*pairs, *pairs.values()])
    means = evaluate(qrels, run, [*pairs, *pairs.values()])
    for ours, trec in pairs.items():
        assert values[ours] == values[trec], ours
        assert means[ours] == pytest.approx(means[trec]), ours
    assert len({tuple(row.values()) for row in values.values()}) > 15


# ---- trec_eval 10 ----


def test_version_10_by_hand():
    """12 relevant documents, found at ranks 1, 3, 4 and 6 of 7; of the others, one is judged."""
    qrels = {"q": {**{f"r{number}": 1 + number % 3 for number in range(12)}, "n": 0, "u": -1}}
    run = {"q": list(zip(["r1", "u", "r2", "r3", "n", "r4", "x"], range(9, 2, -1), strict=True))}
    best = {1: 1, 2: 3 / 4, 3: 3 / 4, 4: 4 / 6}  # of the precisions from the first, second … relevant document on
    levels = [f"iprec_at_recall_{level / 10:.2f}" for level in range(11)]
    needed = {9: [0, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12], 10: [0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12]}  # of 1.2, 2.4, 3.6 …
    for version in (9, 10):
        found = evaluate(qrels, run, ["all_trec"], trec_eval=version)
        expected = [best.get(max(1, count), 0) for count in needed[version]]
        assert [found[level] for level in levels] == pytest.approx(expected)
        assert found["11pt_avg"] == pytest.approx(sum(expected) / 11)
    assert [name for name in found if name not in evaluate(qrels, run, ["all_trec"])] == [
        "unj_5", "unj_10", "unj_20", "rbp", "rbp_resid",
    ]  # fmt: skip
    found = evaluate(qrels, run, ["unj_5", "unj.2", "unj_20", "rbp", "rbp_resid", "dcg", "ideal_dcg"], trec_eval=10)
    gains = [2, 0, 3, 1, 0, 2, 0]
    assert found == pytest.approx({
        "unj_5": 1 / 5, "unj.2": 1 / 2, "unj_20": 2 / 20,
        "rbp": 0.1 * sum(gain / 3 * 0.9**number for number, gain in enumerate(gains)),
        "rbp_resid": 0.9**7 + 0.1 * (0.9 + 0.9**6),
        "dcg": sum(gain / LOG(number + 2) for number, gain in enumerate(gains)),
        "ideal_dcg": sum(gain / LOG(number + 2) for number, gain in enumerate([3] * 4 + [2] * 4 + [1] * 4)),
    })  # fmt: skip
    assert evaluate({"q": {"a": 1}}, {"q": {"a": 1}}, ["rbp_resid", "rbp"], trec_eval=10) == pytest.approx(
        {"rbp_resid": 0, "rbp": 0.1}
    )


def test_version_10_reads_scores_in_double_precision(tmp_path):
    run = write(tmp_path / "run.txt", "q Q0 z 1 3 t\nq Q0 a 2 3.00000001 t\nq Q0 b 3 3 t\n")
    for measures in (["recip_rank"], ["RR@10"]):
        assert [*evaluate({"q": {"a": 1}}, run, measures).values()] == [1 / 3]
        assert [*evaluate({"q": {"a": 1}}, run, measures, trec_eval=10).values()] == [1]
    assert evaluate({"q": {"b": 1}}, run, ["RR"], trec_eval=10) == {"RR": 1 / 3}  # of equal scores, z is before b


def test_version_10_is_chosen():
    message = refused(evaluate, {"q": {"a": 1}}, {"q": {"a": 1}}, ["rbp"])
    assert message == "rbp is a measure of trec_eval 10. Pass trec_eval=10"
    with pytest.raises(RunError, match="unknown version of trec_eval 11"):
        evaluate({"q": {"a": 1}}, {"q": {"a": 1}}, ["AP"], trec_eval=11)  # type: ignore[arg-type]
    for name in ("unj", "unj_0", "rbp_2"):
        assert "unknown measure" in refused(parse_measure, name, 10)


def test_version_10_on_the_command_line(tmp_path):
    write(tmp_path / "qrels.txt", "q 0 a 1\n")
    write(tmp_path / "run.txt", "q Q0 a 1 5 a tag of words\nq Q0 b 2 4 a tag of words\n")
    files = ["--qrels", str(tmp_path / "qrels.txt"), "--run", str(tmp_path / "run.txt")]
    done = CliRunner().invoke(app, ["evaluate", *files, "--measures", "rbp", "--trec-eval", "10", "--json"])
    assert [*json.loads(done.stdout).values()] == [{"rbp": pytest.approx(0.1)}]
    done = CliRunner().invoke(app, ["evaluate", *files, "--measures", "rbp"])
    assert (done.exit_code, "Pass --trec-eval 10" in done.stderr) == (2, True)


def test_pytrec_eval_agrees_query_by_query(tied):
    import pytrec_eval

    with tied.qrels_file.open() as qrels, tied.run_file.open() as run:
        evaluator = pytrec_eval.RelevanceEvaluator(
            pytrec_eval.parse_qrel(qrels), {"ndcg_cut.10", "map", "recip_rank", "P.5"}
        )
        theirs = evaluator.evaluate(pytrec_eval.parse_run(run))
    values = evaluate_queries(tied.qrels_file, tied.run_file, ["nDCG@10", "AP", "RR", "P@5"])
    for ours, trec in (("nDCG@10", "ndcg_cut_10"), ("AP", "map"), ("RR", "recip_rank"), ("P@5", "P_5")):
        assert values[ours] == {qid: theirs[qid][trec] if qid in theirs else 0.0 for qid in tied.qrels}
    assert "q5" not in theirs


def test_a_mean_is_that_of_the_queries():
    qrels, run = {"q1": {"a": 1}, "q2": {"a": 1}}, Run({"q1": [("b", 2), ("a", 1)]})
    assert evaluate_queries(qrels, run, ["RR@10", "RR", "MRR@10"]) == {
        name: {"q1": 0.5, "q2": 0.0} for name in ("RR@10", "RR", "MRR@10")
    }
    assert evaluate(qrels, run, ["RR@10", "num_rel", "gm_map"]) == {
        "RR@10": 0.25,
        "num_rel": 2.0,
        "gm_map": pytest.approx(math.sqrt(0.5 * 0.00001)),
    }


@pytest.mark.parametrize(
    "name",
    ["P_0", "P_-1", "recall", "iprec_at_recall", "runid", "relstring", "P_5,10", "map.5", "recall_0x", "ndcg_cut_5.5", "all",
     "MSMARCO-RR", "MSMARCO-RR@0", "MSMARCO-RR@", "MSMARCO-nDCG@10"],
)  # fmt: skip
def test_names_that_are_no_figure_of_trec_eval_are_refused(name):
    assert repr(name) in refused(parse_measure, name)


def test_measures_are_several_names():
    assert "[name]" in refused(evaluate, {"q": {"a": 1}}, Run({"q": [("a", 1)]}), "nDCG@10")
    assert "no measure" in refused(evaluate, {"q": {"a": 1}}, Run({"q": [("a", 1)]}), [])


# ---- MS MARCO's own ----


def reciprocal_ranks(judgments, lines, cutoff=10):
    """The definition, from the text of the file alone: one over the first rank up to the cut-off whose document is relevant."""
    relevant: dict[str, set[str]] = {}
    for line in judgments.splitlines():
        qid, _, docid, _ = line.split()
        relevant.setdefault(qid, set()).add(docid)
    ranked: dict[str, dict[int, str]] = {}
    for line in lines.splitlines():
        columns = line.split()
        qid, docid, rank = (columns[0], columns[2], columns[3]) if len(columns) == 6 else columns
        ranked.setdefault(qid, {})[int(rank)] = docid
    total = 0.0
    for qid, docids in relevant.items():
        for rank in range(1, cutoff + 1):
            if ranked.get(qid, {}).get(rank) in docids:
                total += 1 / rank
                break
    return total / len(relevant)


def test_ms_marcos_measure_goes_by_the_ranks_of_the_file(tmp_path):
    qrels = write(tmp_path / "qrels.txt", "1 0 a 1\n2 0 a 1\n3 0 a 1\n4 0 a 1\n")
    lines = [
        "1 Q0 x 1 1.0 t", "1 Q0 a 2 9.0 t",  # the score says first, the rank second
        "2 Q0 a 4 5.0 t", "2 Q0 y 7 5.0 t",  # ranks 1 to 3 are left out; a tie, which trec_eval breaks the other way
        *(f"3 Q0 z{rank} {rank} {20 - rank} t" for rank in range(1, 11)), "3 Q0 a 11 1 t",  # beyond the cut-off
        "9 Q0 a 1 1.0 t",  # not judged
    ]  # fmt: skip
    run = write(tmp_path / "run.txt", "\n".join(lines) + "\n")
    found = evaluate(qrels, run, ["MSMARCO-RR@10", "MSMARCO-RR@100", "RR@10", "recip_rank"])
    assert found["MSMARCO-RR@10"] == (1 / 2 + 1 / 4) / 4
    assert found["MSMARCO-RR@100"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 11) / 4)
    assert found["RR@10"] == (1 + 1 / 2) / 4
    assert found["recip_rank"] == pytest.approx((1 + 1 / 2 + 1 / 11) / 4)
    reread = write(tmp_path / "run.tsv", "".join(f"{q}\t{d}\t{r}\n" for q, _, d, r, _, _ in map(str.split, lines)))
    assert evaluate(qrels, reread, ["MSMARCO-RR@10"])["MSMARCO-RR@10"] == found["MSMARCO-RR@10"]
    assert evaluate(qrels, Run({"1": [("x", 1), ("a", 1)]}), ["MSMARCO-RR@10"]) == {"MSMARCO-RR@10": 1 / 8}


@pytest.mark.parametrize("name", ["raw", "impacts", "cacm"])
@pytest.mark.parametrize("form", ["trec", "msmarco"])
def test_ms_marcos_measure_is_the_definition(name, form, tmp_path, request):
    given = request.getfixturevalue("tied" if name == "raw" else name)
    qrels_file, run_file = (given.qrels_file, given.raw) if name == "raw" else given
    judgments = "".join(
        f"{q} 0 {d} 1\n" for q, docs in read_qrels(qrels_file).items() for d, v in docs.items() if v > 0
    )
    lines = run_file.read_text().splitlines()
    random.Random(1).shuffle(lines)
    if form == "msmarco":
        lines = ["\t".join((line.split()[0], *line.split()[2:4])) for line in lines]
    run = write(tmp_path / "run.txt", "\n".join(lines) + "\n")
    found = evaluate(write(tmp_path / "qrels.txt", judgments), run, ["MSMARCO-RR@10", "MSMARCO-RR@100"])
    assert found["MSMARCO-RR@10"] == pytest.approx(reciprocal_ranks(judgments, run.read_text()), abs=1e-12)
    assert found["MSMARCO-RR@100"] == pytest.approx(reciprocal_ranks(judgments, run.read_text(), 100), abs=1e-12)
    assert found["MSMARCO-RR@100"] > 0.05


def test_ms_marcos_measure_of_a_json_run_goes_by_its_order(tmp_path):
    run = write(tmp_path / "run.json", json.dumps({"q": {"a": 1.0, "b": 2.0}}))
    assert evaluate({"q": {"a": 1}}, run, ["MSMARCO-RR@10"]) == {"MSMARCO-RR@10": 0.5}


def test_a_judgment_of_0_is_not_relevant_to_ms_marcos_measure():
    qrels = {"q": {"a": 0, "b": 1}}
    assert evaluate(qrels, Run({"q": [("a", 2), ("b", 1)]}), ["MSMARCO-RR@10"]) == {"MSMARCO-RR@10": 0.5}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("q Q0 b 0 1 t", "the rank '0' is not a positive integer"),
        ("q Q0 b x 1 t", "the rank 'x' is not a positive integer"),
        ("q Q0 b 1 1 t", "duplicate rank 1 for query 'q'"),
    ],
)
def test_ranks_that_cannot_be_are_named(tmp_path, line, says):
    run = write(tmp_path / "run.txt", f"q Q0 a 1 2 t\n{line}\n")
    message = refused(evaluate, {"q": {"a": 1}}, run, ["MSMARCO-RR@10"])
    assert message.startswith(f"{run}:2: ")
    assert says in message
    assert "RR@10" in message
    assert evaluate({"q": {"a": 1}}, run, ["RR@10"]) == {"RR@10": 1.0}


def test_an_open_run_reads_its_file_once(tmp_path):
    measured = MeasuredRun(write(tmp_path / "run.txt", "q Q0 b 1 5 t\nq Q0 a 2 4 t\n"))
    first = evaluate({"q": {"a": 1}}, measured, ["MSMARCO-RR@10", "AP"])
    (tmp_path / "run.txt").unlink()
    assert evaluate({"q": {"a": 1}}, measured, ["MSMARCO-RR@10", "AP"]) == first == {"MSMARCO-RR@10": 0.5, "AP": 0.5}


# ---- the query itself, and hits that are not judged ----


def test_queries_are_removed_before_measuring(tmp_path):
    qrels = {"d1": {"d2": 1}, "q": {"d1": 1}}
    run = write(tmp_path / "run.txt", "d1 Q0 d1 1 9 t\nd1 Q0 d2 2 8 t\nq Q0 d2 1 2 t\nq Q0 d1 2 1 t\n")
    names = ["RR", "MSMARCO-RR@10", "num_ret"]
    assert evaluate(qrels, run, names) == {"RR": 1 / 2, "MSMARCO-RR@10": 1 / 2, "num_ret": 4}
    removed = {"RR": 3 / 4, "MSMARCO-RR@10": 3 / 4, "num_ret": 3}
    assert evaluate(qrels, run, names, remove_query=True) == removed
    assert evaluate(qrels, MeasuredRun(run), names, remove_query=True) == removed
    compared = compare(qrels, {"a": run, "b": Run.read(run)}, names, remove_query=True)
    assert [*compared.means.values()] == [removed, removed]
    write(tmp_path / "qrels.txt", "d1 0 d2 1\nq 0 d1 1\n")
    files = ["--qrels", str(tmp_path / "qrels.txt"), "--run", str(run), "--measures", " ".join(names), "--json"]
    done = CliRunner().invoke(app, ["evaluate", *files, "--remove-query"])
    assert [*json.loads(done.stdout).values()] == [removed]
    write(tmp_path / "other.txt", run.read_text())
    done = CliRunner().invoke(app, ["compare", *files, "--run", str(tmp_path / "other.txt"), "--remove-query"])
    assert [*json.loads(done.stdout)["means"].values()] == [removed, removed]


def test_a_run_of_other_documents_is_told(tmp_path, caplog):
    note = "no hit is judged. Query 'q' has the hit 'd1#0' and the judged document 'd1': compare the docids"
    qrels, run = {"p": {"x": 1}, "q": {"d1": 1}}, {"q": [("d1#0", 2), ("x", 1)]}
    assert evaluate(qrels, run, ["RR"]) == {"RR": 0}
    compare(qrels, {"one": run, "other": {"q": [("d1", 1)]}}, ["RR"])
    assert caplog.messages == [note, f"one: {note}"]
    caplog.clear()
    for judged in ({"q": [("d1", 1)]}, {"q": [], "z": [("d1", 1)]}):
        evaluate(qrels, judged, ["RR"])
    assert caplog.messages == []
    write(tmp_path / "qrels.txt", "q 0 d1 1\n")
    file = write(tmp_path / "run.txt", "q Q0 d1#0 1 3 t\n")
    command = ["evaluate", "--qrels", str(tmp_path / "qrels.txt"), "--run", str(file), "--measures", "RR"]
    assert f"{file}: {note}\n" in CliRunner().invoke(app, command).stderr


# ---- faults ----


@pytest.mark.parametrize("name", ["nDCG@10", "AP(rel=2)", "nDCG(dcg='exp-log2')@5", "SetF(beta=0.5)"])
def test_names_are_read_without_what_python_3_14_removed(name, monkeypatch):
    """ir_measures 0.4.3 reads them with ast.Num, ast.Str and ast.NameConstant."""
    for removed in ("Num", "Str", "NameConstant", "Bytes", "Ellipsis"):
        monkeypatch.delattr(ast, removed, raising=False)
    assert parse_measure(name).name == name


@pytest.mark.parametrize("name", ["no-such-measure", "nDGC@10", "", "nDCG@ten", "nDCG@-1", "nDCG@10.5", "P", "P@"])
def test_unknown_measure_is_named(name):
    message = refused(evaluate, {"q": {"a": 1}}, Run({"q": [("a", 1)]}), ["RR@10", name])
    assert repr(name) in message
    assert "nDCG@10 RR@10" in message


@pytest.mark.skipif(find_spec("pyndeval") is not None, reason="pyndeval is installed")
def test_measure_whose_program_is_not_installed_is_named():
    assert "alpha_nDCG@10" in refused(evaluate, {"q": {"a": 1}}, Run({"q": [("a", 1)]}), ["alpha_nDCG@10"])


@pytest.mark.process
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


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["qrel.json", "qrel.json.gz"])
def test_judgments_in_json_as_in_naver_splade(tmp_path, indent, name):
    qrels = {"1048642": {"45": 1, "d 2": 0}, "2": {"69": -1}}
    assert read_qrels(write(tmp_path / name, json.dumps(qrels, indent=indent))) == qrels


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"q": {"d": 1.5}}', "query 'q': the relevance 1.5 of 'd' is not an integer"),
        ('{"q": {"d": true}}', "the relevance True of 'd' is not an integer"),
        ('{"q": ["d"]}', "query 'q' has no object of docid: relevance"),
        ('{"q": {}, "q": {"d": 1}}', "query 'q' is judged twice"),
        ('{"q": {"d": 1, "d": 2}}', "duplicate judgment of document 'd' for query 'q', with different relevance"),
        ('{"q": {"d": 1}', "invalid JSON"),
        ("{}", "no judgments found"),
    ],
)
def test_malformed_json_judgments(tmp_path, text, says):
    path = write(tmp_path / "qrel.json", text)
    message = refused(read_qrels, path)
    assert message.startswith(f"{path}:")
    assert says in message


def test_comments_are_dropped(tmp_path):
    """As in trec_eval 10; a qid that begins with # is still one, as in trec_eval 9."""
    qrels = write(
        tmp_path / "qrels.txt", "# comment 0 1\n#qid iteration docid relevance\nq 0 a#1 1\n# in between\n#q 0 a 1\n#\n"
    )
    assert read_qrels(qrels) == {"q": {"a#1": 1}, "#q": {"a": 1}}
    lines = [
        "#qid Q0 docid rank score tag",
        "# run of today",
        "q Q0 b 1 3 t",
        "## of 6 columns, and no score",
        "q Q0 a#1 2 2 t",
    ]
    run = write(tmp_path / "run.txt", "\n".join([*lines, "#q Q0 a 1 1 t"]))
    assert dict(Run.read(run)) == {"q": [("b", 3.0), ("a#1", 2.0)], "#q": [("a", 1.0)]}
    assert evaluate(qrels, run, ["RR", "MSMARCO-RR@10"]) == {"RR": 0.75, "MSMARCO-RR@10": 0.75}
    three = write(tmp_path / "run.tsv", "# qid docid\n#qid\tdocid\trank\nq\ta\t1\n")
    assert dict(Run.read(three)) == {"q": [("a", 1.0)]}


def test_three_columns_without_a_header(tmp_path):
    assert read_qrels(write(tmp_path / "qrels.tsv", "q1\td1\t1\n")) == {"q1": {"d1": 1}}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1 0 d9", "the relevance 'd9' is not an integer"),
        ("1 d9", "expected qid, iteration, docid and relevance, got 2 columns"),
        ("1 0 d9 1 x", "got 5 columns"),
        ("1 0 d9 999999999", "query '1': the relevance 999999999 of 'd9' is not between -10,000 and 10,000"),
        ("1 0 d9 high", "the relevance 'high' is not an integer"),
        ("1 0 d9 1.5", "the relevance '1.5' is not an integer"),
        ("1 0 d1 1", "duplicate judgment of document 'd1' for query '1'"),
        ("query-id corpus-id score", "the relevance 'score' is not an integer"),
    ],
)
def test_malformed_judgment_is_named(tmp_path, line, says):
    path = write(tmp_path / "qrels.txt", f"1 0 d1 2\n\n{line}\n")
    message = refused(read_qrels, path)
    assert message.startswith(f"{path}:3: ")
    assert says in message


@pytest.mark.parametrize("text", ["", "\n", "query-id\tcorpus-id\tscore\n"])
def test_no_judgment(tmp_path, text):
    assert "no judgments found" in refused(read_qrels, write(tmp_path / "qrels.txt", text))


def test_judgments_that_cannot_be_read(tmp_path):
    assert "no such file" in refused(read_qrels, tmp_path / "nothing")
    assert "this folder has no other file of qrels" in refused(read_qrels, tmp_path)
    (tmp_path / "latin.txt").write_bytes("1 0 é 1\n".encode("latin-1"))
    assert "not UTF-8" in refused(read_qrels, tmp_path / "latin.txt")
