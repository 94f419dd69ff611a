"""The report of losses equals hand computations: distances, lost terms, and effectiveness by exhaustive search."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest
from support.checkpoints import tiny_checkpoint
from support.commands import run
from typer.testing import CliRunner

from splade_lucene import Pruning, Quantizer, Run, SpladeEncoder, evaluate
from splade_lucene.cli.app import app
from splade_lucene.defaults import QUICK_MEASURES
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.evaluation.loss_report import measure_loss

RULE = Quantizer.named("naver")
WORDS = ["cats", "dogs", "birds", "fish", "horses", "trees", "rivers", "stones", "clouds", "stars"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
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
def tiny(data):
    return SpladeEncoder(data / "model", device="cpu", dtype="float32")


def dense(encoder, texts) -> np.ndarray:
    weights = encoder.encode_documents(texts)
    matrix = np.zeros((len(texts), len(weights.terms)))
    for row in range(len(texts)):
        matrix[row, weights.term_ids[weights.row(row)]] = weights.weights[weights.row(row)]
    return matrix


def smallest_hashes(count: int) -> list[int]:
    return sorted(sorted(range(60), key=lambda i: hashlib.blake2b(f"d{i}".encode(), digest_size=8).digest())[:count])


def texts_of(data) -> list[str]:
    return [line.split("\t")[1] for line in (data / "corpus.tsv").read_text().splitlines()]


def test_each_row_equals_a_hand_computation(data, tiny):
    losses = measure_loss(data / "corpus.tsv", tiny, RULE, pruning=Pruning(top_terms=20), sample=60)
    exact = dense(tiny, texts_of(data))
    quantized = np.rint(exact.astype(np.float32) * np.float32(100)) / 100
    pruned = np.zeros_like(exact)
    for row, values in enumerate(exact):
        best = np.argsort(-values, kind="stable")[:20]
        pruned[row, best] = values[best]
    both = np.where(pruned > 0, quantized, 0)
    assert [row.name for row in losses.rows] == [
        "float32, unpruned, not quantized", "pruning", "quantization: naver x100", "all together, as indexed",
    ]  # fmt: skip
    for loss, expected in zip(losses.rows, (exact, pruned, quantized, both), strict=True):
        assert loss.relative_l2 == pytest.approx(np.linalg.norm(expected - exact) / np.linalg.norm(exact), abs=1e-6)
        assert loss.terms_lost == pytest.approx(1 - (expected > 0).sum() / (exact > 0).sum(), abs=1e-6)
        assert loss.terms == pytest.approx((expected > 0).sum() / 60, abs=0.02)
        assert loss.effectiveness == {}
    assert (losses.rows[0].changed_impacts, losses.rows[2].changed_impacts) == (None, 0)
    assert losses.rows[3].changed_impacts == pytest.approx((both != quantized).sum() / (quantized > 0).sum(), abs=1e-6)


def test_effectiveness_is_that_of_an_exhaustive_search(data, tiny):
    losses = measure_loss(
        data / "corpus.tsv", tiny, RULE, sample=60, topics=data / "topics.tsv", qrels=data / "qrels.txt"
    )
    assert (losses.documents, losses.queries) == (60, 2)
    documents, queries = dense(tiny, texts_of(data)), dense(tiny, ["cats and trees", "stars"])
    scores = queries @ documents.T
    docids = [f"d{i}" for i in range(60)]
    run = {
        qid: sorted(zip(docids, row.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
        for qid, row in zip(("q1", "q2"), scores, strict=True)
    }
    assert losses.rows[0].effectiveness == pytest.approx(evaluate(data / "qrels.txt", Run(run), QUICK_MEASURES))


def test_judged_documents_are_always_in_the_sample(data, tiny):
    losses = measure_loss(
        data / "corpus.tsv", tiny, RULE, sample=3, topics=data / "topics.tsv", qrels=data / "qrels.txt"
    )
    assert losses.documents == len({*smallest_hashes(3), 0, 5, 59, 3})


def test_precision_is_a_row_of_its_own(data):
    encoder = SpladeEncoder(data / "model", device="cpu", dtype="bfloat16")
    losses = measure_loss(data / "corpus.tsv", encoder, RULE, sample=20)
    assert losses.rows[1].name == "precision: bfloat16"
    assert 0 < losses.rows[1].relative_l2 < 0.1
    assert losses.rows[-1].changed_impacts > 0


def test_judgments_of_another_collection_are_refused(data, tiny, tmp_path):
    (tmp_path / "qrels.txt").write_text("q1 0 elsewhere 1\n")
    with pytest.raises(InputError, match="no query of the topics has a judged document"):
        measure_loss(data / "corpus.tsv", tiny, RULE, topics=data / "topics.tsv", qrels=tmp_path / "qrels.txt")


@pytest.mark.slow
def test_the_report_on_the_command_line(data, tmp_path):
    given = ["report", "--corpus", data / "corpus.tsv", "--model", data / "model", "--dtype", "float32"]
    judged = ["--topics", data / "topics.tsv", "--qrels", data / "qrels.txt"]
    done = run(*given, *judged, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["documents"], report["queries"], len(report["rows"])) == (60, 2, 3)
    done = run(*given)
    assert done.returncode == 0, done.stderr
    assert "all together, as indexed" in done.stdout


def test_the_first_row_loses_nothing(data, tiny):
    losses = measure_loss(data / "corpus.tsv", tiny, RULE, sample=60)
    first = losses.rows[0]
    assert (first.relative_l2, first.terms_lost, first.changed_impacts) == (0, 0, None)
    assert first.terms == pytest.approx(np.count_nonzero(dense(tiny, texts_of(data))) / 60)
    assert json.loads(json.dumps(losses.to_json())) == losses.to_json() | {
        "rows": [{**asdict(row), "effectiveness": {}} for row in losses.rows]
    }


@pytest.mark.parametrize("rule", ["naver", "pyserini", "splade-pp"])
@pytest.mark.parametrize("least", [1, 30])
def test_quantization_alone_by_numpy(data, tiny, rule, least):
    quantizer = Quantizer.named(rule)
    losses = measure_loss(data / "corpus.tsv", tiny, quantizer, min_impact=least, sample=60)
    exact = dense(tiny, texts_of(data))
    impacts = np.array([[round(w / 5 * 256) for w in row] for row in exact.tolist()])
    if rule != "pyserini":
        impacts = np.rint(exact.astype(np.float32) * np.float32(100)).astype(np.float64)
    changed = np.where(impacts >= least, impacts, 0)
    found = losses.rows[1]
    back = changed / (256 / 5 if rule == "pyserini" else 100)
    assert found.relative_l2 == pytest.approx(np.linalg.norm(back - exact) / np.linalg.norm(exact), rel=1e-9)
    assert found.terms_lost == pytest.approx(1 - np.count_nonzero(changed) / np.count_nonzero(exact))
    assert found.changed_impacts == pytest.approx((changed != impacts).sum() / np.count_nonzero(impacts))
    assert (found.changed_impacts > 0) == (least > 1)


def test_the_last_row_is_what_a_search_of_the_index_gives(data, tiny):
    """Integer dot products of quantized queries and documents, over the whole sample."""
    pruning = Pruning(top_terms=15)
    losses = measure_loss(
        data / "corpus.tsv", tiny, RULE, pruning=pruning, sample=60, topics=data / "topics.tsv",
        qrels=data / "qrels.txt",
    )  # fmt: skip
    documents = tiny.encode_documents(texts_of(data)).prune(pruning).quantize(RULE, "document")
    run = {}
    for qid, text in (("q1", "cats and trees"), ("q2", "stars")):
        query = tiny.encode_queries([text]).quantize(RULE, "query")[0]
        scores = {f"d{i}": sum(query.get(term, 0) * impact for term, impact in vector.items())
                  for i, vector in enumerate(documents)}  # fmt: skip
        run[qid] = sorted(((d, s) for d, s in scores.items() if s), key=lambda pair: (-pair[1], pair[0]))[:100]
    assert losses.rows[-1].effectiveness == evaluate(data / "qrels.txt", Run(run), QUICK_MEASURES)


def test_a_sample_has_the_smallest_hashes_whatever_the_order_of_the_corpus(data, tiny, tmp_path):
    lines = (data / "corpus.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "reversed.tsv").write_text("".join(reversed(lines)))
    losses = measure_loss(data / "corpus.tsv", tiny, RULE, sample=4)
    chosen = dense(tiny, [texts_of(data)[i] for i in smallest_hashes(4)])
    assert losses.documents == 4
    assert losses.rows[0].terms == np.count_nonzero(chosen) / 4
    again = measure_loss(tmp_path / "reversed.tsv", tiny, RULE, sample=4)
    assert [row.terms for row in again.rows] == [row.terms for row in losses.rows]


def test_broken_documents_are_dropped_and_named_or_stop_the_report(data, tiny, tmp_path):
    (tmp_path / "corpus.tsv").write_text((data / "corpus.tsv").read_text() + "no tab\n")
    with pytest.raises(CorpusError, match=r"corpus\.tsv:61: no tab"):
        measure_loss(tmp_path / "corpus.tsv", tiny, RULE)
    problems: list[CorpusError] = []
    losses = measure_loss(tmp_path / "corpus.tsv", tiny, RULE, skip_bad=True, on_problem=problems.append)
    assert (losses.documents, [each.line for each in problems]) == (60, [61])
    (tmp_path / "empty.tsv").write_text("")
    with pytest.raises(CorpusError, match="has no documents"):
        measure_loss(tmp_path / "empty.tsv", tiny, RULE)


@pytest.mark.parametrize("judged", [False, True])
def test_the_report_alone_is_printed_as_a_table_and_as_json(data, tiny, tmp_path, monkeypatch, judged):
    monkeypatch.chdir(tmp_path)
    given = ["report", "--corpus", data / "corpus.tsv", "--model", data / "model", "--dtype", "float32",
             "--device", "cpu", "--sample", "20", "--top-terms", "20"]  # fmt: skip
    files = {"topics": data / "topics.tsv", "qrels": data / "qrels.txt"} if judged else {}
    given += [each for name, path in files.items() for each in (f"--{name}", path)]
    expected = measure_loss(data / "corpus.tsv", tiny, RULE, pruning=Pruning(top_terms=20), sample=20, **files)
    as_json = CliRunner().invoke(app, [*map(str, given), "--json"])
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (0, json.loads(json.dumps(expected.to_json())))
    rows = [line.split("\t") for line in (data / "corpus.tsv").read_text().splitlines()]
    keys = tmp_path.parent / f"{tmp_path.name}-keys.jsonl"
    keys.write_text("".join(json.dumps({"pid": d, "passage": t}) + "\n" for d, t in rows))
    given[2] = keys
    given += ["--id-field", "pid", "--text-field", "passage"]
    as_table = CliRunner().invoke(app, list(map(str, given)))
    assert as_table.exit_code == 0
    lines = as_table.stdout.splitlines()
    assert lines[0].startswith(f"{expected.documents} documents, {expected.queries} queries")
    assert ("nDCG@10" in lines[2]) == judged
    for row, line in zip(expected.rows, lines[3:], strict=True):
        assert line.startswith(row.name)
        figures = line.removeprefix(row.name).split()
        assert float(figures[0]) == pytest.approx(row.relative_l2, abs=5e-6)
        assert float(figures[1].rstrip("%")) == pytest.approx(100 * row.terms_lost, abs=5e-3)
        assert figures[len(figures) - len(row.effectiveness) :] == [
            f"{each:.4f}" for each in row.effectiveness.values()
        ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["report", "--topics", "t"],
        ["report", "--qrels", "q"],
        ["report", "--sample", "0"],
        ["encode"],
        ["encode", "--output", "x", "--topics", "t", "--qrels", "q"],
        ["encode", "--json"],
    ],
)
def test_wrong_combinations_are_wrong_usage(data, tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*wrong, "--corpus", str(data / "corpus.tsv")])
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_old_spelling_is_refused_with_the_new_one(data):
    done = CliRunner().invoke(app, ["encode", "--corpus", str(data / "corpus.tsv"), "--report", "--report-sample", "9"])
    assert (done.exit_code, "splade-lucene report --corpus SRC" in done.output) == (2, True)
