"""The report of losses equals hand computations: distances, lost terms, and effectiveness by exhaustive search."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from test_encoder import tiny_checkpoint

from splade_lucene import Pruning, Quantizer, Run, SpladeEncoder, evaluate
from splade_lucene.errors import InputError
from splade_lucene.loss_report import measure_loss

RULE = Quantizer.named("naver")
WORDS = ["cats", "dogs", "birds", "fish", "horses", "trees", "rivers", "stones", "clouds", "stars"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A tiny checkpoint, sixty documents, topics and judgments."""
    folder = tmp_path_factory.mktemp("loss")
    (folder / "model").mkdir()
    tiny_checkpoint(folder / "model", "bert")
    texts = [f"{WORDS[i % 10]} and {WORDS[(i * 3) % 10]} near {WORDS[(i * 7) % 10]}" for i in range(60)]
    (folder / "corpus.tsv").write_text("".join(f"d{i}\t{text}\n" for i, text in enumerate(texts)))
    (folder / "topics.tsv").write_text("q1\tcats and trees\nq2\tstars\nq3\tnobody judged this\n")
    (folder / "qrels.txt").write_text("q1 0 d0 1\nq1 0 d5 1\nq2 0 d59 1\nq2 0 d3 0\n")
    return folder


@pytest.fixture(scope="module")
def tiny(place):
    return SpladeEncoder(place / "model", device="cpu", dtype="float32")


def dense(encoder, texts) -> np.ndarray:
    weights = encoder.encode_documents(texts)
    matrix = np.zeros((len(texts), len(weights.terms)))
    for row in range(len(texts)):
        matrix[row, weights.term_ids[weights.row(row)]] = weights.weights[weights.row(row)]
    return matrix


def texts_of(place) -> list[str]:
    return [line.split("\t")[1] for line in (place / "corpus.tsv").read_text().splitlines()]


def test_each_row_equals_a_hand_computation(place, tiny):
    losses = measure_loss(place / "corpus.tsv", tiny, RULE, pruning=Pruning(top_terms=20), sample=60)
    exact = dense(tiny, texts_of(place))
    quantized = np.rint(exact.astype(np.float32) * np.float32(100)) / 100
    pruned = np.zeros_like(exact)
    for row, values in enumerate(exact):
        best = np.argsort(-values, kind="stable")[:20]
        pruned[row, best] = values[best]
    both = np.where(pruned > 0, quantized, 0)
    assert [row.name for row in losses.rows] == [
        "float32, unpruned, not quantized", "pruning", "quantization: naver x100", "all together, as indexed",
    ]  # fmt: skip
    for row, expected in zip(losses.rows, (exact, pruned, quantized, both), strict=True):
        assert row.relative_l2 == pytest.approx(np.linalg.norm(expected - exact) / np.linalg.norm(exact), abs=1e-6)
        assert row.terms_lost == pytest.approx(1 - (expected > 0).sum() / (exact > 0).sum(), abs=1e-6)
        assert row.terms == pytest.approx((expected > 0).sum() / 60, abs=0.02)
        assert row.effectiveness == {}
    assert (losses.rows[0].changed_impacts, losses.rows[2].changed_impacts) == (None, 0)
    assert losses.rows[3].changed_impacts == pytest.approx((both != quantized).sum() / (quantized > 0).sum(), abs=1e-6)


def test_effectiveness_is_that_of_an_exhaustive_search(place, tiny):
    losses = measure_loss(
        place / "corpus.tsv", tiny, RULE, sample=60, topics=place / "topics.tsv", qrels=place / "qrels.txt"
    )
    assert (losses.documents, losses.queries) == (60, 2)
    documents, queries = dense(tiny, texts_of(place)), dense(tiny, ["cats and trees", "stars"])
    scores = queries @ documents.T
    docids = [f"d{i}" for i in range(60)]
    run = {
        qid: sorted(zip(docids, row.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
        for qid, row in zip(("q1", "q2"), scores, strict=True)
    }
    assert losses.rows[0].effectiveness == pytest.approx(evaluate(place / "qrels.txt", Run(run), ["nDCG@10", "RR@10"]))


def test_judged_documents_are_always_in_the_sample(place, tiny):
    losses = measure_loss(
        place / "corpus.tsv", tiny, RULE, sample=3, topics=place / "topics.tsv", qrels=place / "qrels.txt"
    )
    assert losses.documents == len({0, 20, 40} | {0, 5, 59, 3})


def test_precision_is_a_row_of_its_own(place):
    encoder = SpladeEncoder(place / "model", device="cpu", dtype="bfloat16")
    losses = measure_loss(place / "corpus.tsv", encoder, RULE, sample=20)
    assert losses.rows[1].name == "precision: bfloat16"
    assert 0 < losses.rows[1].relative_l2 < 0.1
    assert losses.rows[-1].changed_impacts > 0


def test_judgments_of_another_collection_are_refused(place, tiny, tmp_path):
    (tmp_path / "qrels.txt").write_text("q1 0 elsewhere 1\n")
    with pytest.raises(InputError, match="no judged query and document"):
        measure_loss(place / "corpus.tsv", tiny, RULE, topics=place / "topics.tsv", qrels=tmp_path / "qrels.txt")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "splade_lucene", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_report_on_the_command_line(place, tmp_path):
    given = ["encode", "--corpus", place / "corpus.tsv", "--model", place / "model", "--report", "--dtype", "float32"]
    judged = ["--topics", place / "topics.tsv", "--qrels", place / "qrels.txt"]
    done = run(*given, *judged, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["documents"], report["queries"], len(report["rows"])) == (60, 2, 3)
    done = run(*given, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "all together, as indexed" in done.stdout
    assert (tmp_path / "out" / "part-00000.jsonl").exists()


@pytest.mark.parametrize("wrong", [[], ["--output", "x", "--topics", "t"], ["--report", "--qrels", "q"]])
def test_wrong_combinations_are_wrong_usage(place, wrong):
    assert run("encode", "--corpus", place / "corpus.tsv", *wrong).returncode == 2
