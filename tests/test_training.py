"""Training runs at toy size: their results, and their behaviour when they are interrupted."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SparseEncoder
from support import commands
from support.checkpoints import bert
from support.commands import check_failed, check_well
from support.processes import child_environment
from support.training import TOPICS, WORDS, run, weights_of, write_config
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    FunnelConfig,
    GPT2Config,
    ModernBertConfig,
)

from splade_lucene import SpladeEncoder, read_corpus
from splade_lucene.encoder.layout import TableSide
from splade_lucene.errors import (
    ConfigError,
    CorpusError,
    ExamplesError,
    ModelError,
    RunError,
    SpladeLuceneError,
    StorageError,
    TopicsError,
    TrainingError,
)
from splade_lucene.training import checks, read_config, resuming, train, trainer
from splade_lucene.training.calibration import calibrate_scale
from splade_lucene.training.config import Losses, Optimization, Sparsity, Validation
from splade_lucene.training.dropout import dropout_settings
from splade_lucene.training.examples import Example, Texts
from splade_lucene.training.known_positives import KnownPositives
from splade_lucene.training.losses import Observed, RankingLoss
from splade_lucene.training.network import ScoreScale, Student
from splade_lucene.training.sparsity import SparsityController
from splade_lucene.training.teachers import DenseScorer
from splade_lucene.training.validation import check_validation

pytest_plugins = ("support.training",)
pytestmark = pytest.mark.usefixtures("without_plots")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data, base):
    """What a run with the settings of ``write_config`` gives."""
    return run(tmp_path_factory.mktemp("trained"), data, base)


# ---- what comes out ----


@pytest.mark.parametrize(
    ("recipe", "pooling", "queries"),
    [
        ("splade", "sum", "model"),
        ("splade-max", "max", "model"),
        ("splade-doc", "max", "binary"),
        ("distilsplade-max", "max", "model"),
    ],
)
def test_each_recipe_gives_a_checkpoint_that_both_libraries_read_alike(tmp_path, data, base, recipe, pooling, queries):
    result = run(tmp_path, data, base, recipe=recipe)
    encoder = SpladeEncoder(result.model, device="cpu", dtype="float32")
    assert encoder.layout.documents.pooling == pooling
    assert isinstance(encoder.layout.queries, TableSide) == (queries == "binary")
    peer = SparseEncoder(str(result.model), device="cpu")
    texts = [document.text for document in read_corpus(data / "corpus.jsonl")][:5]
    theirs = peer.encode_document(texts, convert_to_sparse_tensor=False)
    for text, mine, row in zip(texts, encoder.encode_documents(texts), theirs, strict=True):
        expected = {peer.tokenizer.convert_ids_to_tokens(int(i)): float(row[i]) for i in row.nonzero()}
        assert mine.keys() == expected.keys(), text
        assert all(abs(mine[term] - expected[term]) < 1e-4 for term in mine)
    asked = encoder.encode_queries(["blood of the heart"])[0]
    if queries == "binary":
        assert asked == {"blood": 1.0, "of": 1.0, "the": 1.0, "heart": 1.0}
    else:
        row = peer.encode_query(["blood of the heart"], convert_to_sparse_tensor=False)[0]
        assert len(asked) == int((row > 0).sum())
    (found,) = [path for path in result.model.rglob("model.safetensors") if "Static" not in str(path)]
    before, after = weights_of(base), weights_of(found.parent)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(changed) > 0.8 * len(before)


def test_what_is_written_beside_the_model(tmp_path, data, base):
    validation = {
        "corpus": str(data / "corpus.jsonl"),
        "topics": str(data / "queries.tsv"),
        "qrels": str(data / "qrels.txt"),
        "every": 2,
    }
    result = run(tmp_path, data, base, validation=validation)
    assert set(result.figures) == {"nDCG@10", "RR@10", "R@100", "query_terms", "document_terms", "flops"}
    record = json.loads((result.model / "training.json").read_text())
    assert record["figures"] == result.figures
    assert record["settings"]["recipe"] == "splade-max"
    card = (result.model / "README.md").read_text()
    assert f"| nDCG@10 | {result.figures['nDCG@10']:.4f} |" in card
    assert "| training data | |" in card
    assert "| examples | 16, 16 of them with scores |" in card
    lines = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["stage"] == "splade-max" and "loss" in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4]
    assert all({"flops", "query_terms", "document_terms", "score_scale"} <= set(line) for line in steps)
    assert [line["step"] for line in lines if line["stage"] == "validation"] == [2, 4]
    assert lines[-1]["stage"] == "final"


def test_figures_are_those_of_the_command_line(tmp_path, data, base):
    from splade_lucene.training.validation import measure_model

    validation = Validation(
        corpus=str(data / "corpus.jsonl"), topics=str(data / "queries.tsv"), qrels=str(data / "qrels.txt")
    )
    figures = measure_model(base, validation, tmp_path / "work", device="cpu", dtype="float32")
    encoder = SpladeEncoder(base, device="cpu", dtype="float32")
    documents = [document.text for document in read_corpus(data / "corpus.jsonl")]
    queries = [line.split("\t")[1].strip() for line in (data / "queries.tsv").read_text().splitlines()]
    rounded = lambda vectors: [{t for t, w in vector.items() if round(100 * w) > 0} for vector in vectors]  # noqa: E731
    terms, asked = rounded(encoder.encode_documents(documents)), rounded(encoder.encode_queries(queries))
    assert figures["document_terms"] == pytest.approx(np.mean([len(each) for each in terms]))
    assert figures["query_terms"] == pytest.approx(np.mean([len(each) for each in asked]))
    products = np.mean([len(query & document) for query in asked for document in terms])
    assert figures["flops"] == pytest.approx(products)


def test_it_learns(tmp_path, data, base):
    """From random weights: relevance that BM25 teaches is found by the student."""
    validation = {
        "corpus": str(data / "corpus.jsonl"),
        "topics": str(data / "queries.tsv"),
        "qrels": str(data / "qrels.txt"),
    }
    result = run(
        tmp_path, data, base, validation=validation, recipe="distilsplade-max", losses={"in_batch_kl": 1.0},
        head={"initial_terms": 300}, sparsity={"query_weight": 3e-4, "document_weight": 1e-4},
        optimization={"steps": 120, "queries": 8, "learning_rate": 3e-3, "head_learning_rate": 3e-3, "checkpoint": 1000},
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    losses = [line["in_batch_kl"] for line in lines if "in_batch_kl" in line]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
    assert result.figures["nDCG@10"] > 0.5


def test_a_base_without_a_head_gets_one(tmp_path, data, base):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(tmp_path / "trunk")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / file, tmp_path / "trunk" / file)
    result = run(tmp_path, data, tmp_path / "trunk", head={"mlm_steps": 3, "initial_terms": 500})
    lines = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["stage"] == "masked-language modelling" and "loss" in line] == [
        1,
        2,
        3,
    ]
    (ready,) = (tmp_path / "out").glob("base-*")
    ready = SpladeEncoder(ready, device="cpu", dtype="float32")
    texts = [document.text for document in read_corpus(data / "corpus.jsonl")]
    assert np.mean([len(each) for each in ready.encode_documents(texts)]) == pytest.approx(500, rel=0.05)
    assert (result.model / "model.safetensors").is_file()


def test_a_share_of_the_base_stays(tmp_path, data, base, trained):
    averaged = run(tmp_path, data, base, optimization={"base_share": 0.75})
    card = (averaged.model / "README.md").read_text()
    assert "Its weights are 0.25 times the trained ones plus 0.75 times the base's." in card
    first, last, mean = weights_of(base), weights_of(trained.model), weights_of(averaged.model)
    assert any(not torch.equal(first[name], last[name]) for name in first)
    for name in first:
        assert torch.allclose(mean[name], 0.75 * first[name] + 0.25 * last[name], atol=1e-6), name


def test_a_threshold_silences_terms_and_leaves_the_rest(tmp_path, data, base, trained):
    raised = run(tmp_path, data, base, sparsity={"threshold": 0.25})
    assert "0.25 was subtracted from all logits." in (raised.model / "README.md").read_text()
    plain, silenced = weights_of(trained.model), weights_of(raised.model)
    bias = "cls.predictions.bias"
    assert torch.allclose(silenced[bias], plain[bias] - 0.25, atol=1e-6)
    assert all(torch.equal(plain[name], silenced[name]) for name in plain if name != bias)


def test_two_rounds_mine_from_the_first_model(tmp_path, data, base):
    shown: list[tuple[str, int, bool]] = []

    def report(title, done, _, figures):
        shown.append((title, done, "last nDCG@10" in figures))

    rounds = {"rounds": 2, "recipe": "distilsplade-max", "mining": {"bm25": 3, "splade": 10}}
    validation = {"corpus": str(data / "corpus.jsonl"), "topics": str(data / "queries.tsv"),
                  "qrels": str(data / "qrels.txt"), "every": 3}  # fmt: skip
    config = write_config(tmp_path, data, base, **rounds, validation=validation)
    result = train(read_config(config), device="cpu", report=report)
    steps = [each for each in shown if each[0].startswith("distilsplade-max")]
    assert steps == [
        (f"distilsplade-max, round {number} of 2", step, step == 4) for number in (1, 2) for step in (1, 2, 3, 4)
    ]
    assert (tmp_path / "out/round-1/index").is_dir()
    first = [json.loads(line) for line in gunzip(tmp_path / "out/round-1/examples.jsonl.gz")]
    second = [json.loads(line) for line in gunzip(tmp_path / "out/round-2/examples.jsonl.gz")]
    assert all(len(each["docids"]) <= 3 for each in first)
    assert any(len(each["docids"]) > 3 for each in second)
    assert (result.model / "modules.json").is_file()


def gunzip(path):
    import gzip

    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_examples_of_ones_own(tmp_path, data, base):
    path = tmp_path / "triples.jsonl"
    path.write_text(
        "".join(
            json.dumps({"qid": f"q{i}", "positive_id": f"d{i}", "negative_id": f"d{(i + 1) % 40}"}) + "\n"
            for i in range(40)
        )
    )
    settings = {"data": {"examples": str(path)}, "teacher": None}
    assert (run(tmp_path, data, base, **settings).model / "modules.json").is_file()
    with pytest.raises(ConfigError, match="need a teacher or scored lists"):
        run(tmp_path, data, base, **settings, losses={"kl": 1.0}, output=str(tmp_path / "other"))


def test_a_temperature_of_scores_that_are_not_there_is_refused(tmp_path, data, base):
    paths = {"passages": str(data / "corpus.jsonl"), "queries": str(data / "queries.tsv")}
    examples = {**paths, "examples": str(data / "qrels.txt"), "temperature": 2.0}
    with pytest.raises(ConfigError, match=r"qrels\.txt: data\.temperature is set, but the examples have no scores"):
        run(tmp_path, data, base, data=examples, teacher=None)


@pytest.mark.parametrize(("given", "expected"), [({}, (0.1 + 18) / 2 / 20), ({"temperature": 2.0}, 2.0)])
def test_margins_of_ones_own_scores_stay(tmp_path, data, base, monkeypatch, given, expected):
    lists = [{"qid": "q0", "docids": ["d0", "d1"], "scores": [9.0, 8.9]},
             {"qid": "q1", "docids": ["d1", "d2"], "scores": [-9.0, 9.0]}]  # fmt: skip
    examples = tmp_path / "lists.jsonl"
    examples.write_text("".join(json.dumps(each) + "\n" for each in lists))
    seen = []
    original = RankingLoss.compute_loss_from_embeddings

    def watched(self, embeddings, labels):
        seen.append((self.teacher.scores(np.array([0, 1]), np.arange(4)).tolist(), self.temperature))
        return original(self, embeddings, labels)

    monkeypatch.setattr(RankingLoss, "compute_loss_from_embeddings", watched)
    paths = {"passages": str(data / "corpus.jsonl"), "queries": str(data / "queries.tsv"), "examples": str(examples)}
    run(tmp_path, data, base, data={**paths, **given}, teacher=None, losses={"margin_mse": 1.0},
        optimization={"passages": 2, "queries": 2})  # fmt: skip
    scores, temperature = seen[-1]
    none = np.nan
    np.testing.assert_allclose(scores, [[9.0, 8.9, none, none], [none, -9.0, 9.0, none]], rtol=1e-6)
    assert temperature == pytest.approx(expected)


def test_a_teacher_that_is_a_run_file(tmp_path, data, base):
    (tmp_path / "teacher.trec").write_text(
        "".join(f"q{i} Q0 d{(i + j) % 40} {j + 1} {9 - j} t\n" for i in range(40) for j in range(5))
    )
    run(
        tmp_path, data, base, recipe="distilsplade-max", teacher={"bm25": 0.0, "scores": str(tmp_path / "teacher.trec")},
        data={"missing_scores": "drop"},
    )  # fmt: skip
    found = 0
    for line in gunzip(tmp_path / "out/round-1/examples.jsonl.gz"):
        record = json.loads(line)
        best = f"d{record['qid'][1:]}"
        if best in record["docids"]:
            found += 1
            assert record["docids"][0] == best
            assert record["scores"][0] == 1
    assert found > 5
    (tmp_path / "alien.trec").write_text("x1 Q0 y1 1 1.0 t\n")
    with pytest.raises(ConfigError, match=r"alien\.trec: no query and passage"):
        run(tmp_path, data, base, teacher={"scores": str(tmp_path / "alien.trec")}, output=str(tmp_path / "other"))


# ---- losses and regularization ----


def student_of(base):
    student = Student(base, pooling="max", is_doc=False, max_length=24, dropout=0.0, device="cpu")
    student.scale.set(0.5)
    return student


def test_losses_equal_their_formulas(base):
    source = torch.Generator().manual_seed(2)
    queries, passages = torch.rand(3, 50, generator=source), torch.rand(6, 50, generator=source)
    dense = DenseScorer(
        np.random.default_rng(1).normal(size=(9, 4)).astype(np.float16),
        np.random.default_rng(2).normal(size=(20, 4)).astype(np.float16),
    )
    student = student_of(base)
    losses = Losses(contrastive=1.0, margin_mse=0.5, kl=2.0, in_batch_kl=3.0)
    ranking = RankingLoss(student.encoder, losses, student.scale, dense, temperature=0.5)
    rows = torch.tensor([[0, 3, 4], [5, 6, 7], [8, 1, 2]])
    found = ranking.compute_loss_from_embeddings([queries, passages[:3], passages[3:]], rows)
    scores = 0.5 * queries @ passages.T
    teacher = torch.from_numpy(dense.scores(rows[:, 0].numpy(), np.array([3, 6, 1, 4, 7, 2]))) / 0.5
    own = torch.stack([torch.stack([scores[i, i], scores[i, 3 + i]]) for i in range(3)])
    taught = torch.stack([torch.stack([teacher[i, i], teacher[i, 3 + i]]) for i in range(3)])
    kl = lambda s, t: (t.softmax(1) * (t.log_softmax(1) - s.log_softmax(1))).sum(1).mean()  # noqa: E731
    expected = {
        "contrastive": torch.nn.functional.cross_entropy(scores, torch.arange(3)),
        "margin_mse": 0.5 * ((own[:, 0] - own[:, 1]) - (taught[:, 0] - taught[:, 1])).pow(2).mean(),
        "kl": 2 * kl(own, taught), "in_batch_kl": 3 * kl(scores, teacher),
    }  # fmt: skip
    assert found.keys() == expected.keys()
    for name, loss in expected.items():
        assert float(found[name].detach()) == pytest.approx(float(loss), rel=1e-4), name
    assert ranking.observed.query_terms == 50


def test_known_positives_are_no_negatives_by_id_and_by_text(base):
    texts = Texts(
        ["q0", "q1", "q2"], ["zero", "one", "two"], list("abcdef"),
        ["A heart", "a river", "a  HEART", "music", "an engine", "a court"],
    )  # fmt: skip
    examples = [
        Example(0, np.array([0])),
        Example(1, np.array([1, 4])),
        Example(1, np.array([3])),
        Example(2, np.array([2])),
    ]
    known = KnownPositives(texts, examples, {"q2": {"f": 1, "b": 0}}, passages=2, positives=1)
    rows = np.array([[0, 0, 3], [1, 1, 4], [2, 2, 5]], np.int32)
    # columns: a b c, then d e f. q0: c has the text of its a. q1: d is its other positive. q2: a has the text, f is judged
    expected = [[0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 1]]
    assert known.mask(rows).astype(int).tolist() == expected
    assert known.count(np.concatenate([rows, [[1, 1, 5], [2, 2, 4], [0, 3, 4]]]), 3, 5) == (2, 2, 7)

    source = torch.Generator().manual_seed(2)
    embeddings = [torch.rand(3, 50, generator=source, requires_grad=True) for _ in range(3)]
    student = student_of(base)
    ranking = RankingLoss(student.encoder, Losses(contrastive=1.0), student.scale, None, 1.0, known)
    loss = ranking.compute_loss_from_embeddings(embeddings, torch.from_numpy(rows))["contrastive"]
    loss.backward()
    scores = 0.5 * (embeddings[0] @ torch.cat(embeddings[1:]).T).detach().numpy().astype(np.float64)
    weights = np.where(np.array(expected, bool), 0, np.exp(scores))
    shares = weights / weights.sum(axis=1, keepdims=True)
    assert float(loss.detach()) == pytest.approx(-np.log(np.diagonal(shares)).mean(), rel=1e-5)
    # the gradient of a score is its share, less 1 for the positive; a masked pair has none
    slopes = (shares - np.eye(3, 6)) / 3 * 0.5
    assert slopes[0, 2] == slopes[1, 3] == slopes[2, 0] == slopes[2, 5] == 0
    wanted = slopes.T @ embeddings[0].detach().numpy()
    got = torch.cat([each.grad for each in embeddings[1:] if each.grad is not None]).numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    plain = RankingLoss(student.encoder, Losses(contrastive=1.0), student.scale, None, 1.0)
    unmasked = plain.compute_loss_from_embeddings(embeddings, torch.from_numpy(rows))["contrastive"]
    assert float(unmasked.detach()) == pytest.approx(
        -np.diagonal(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))).mean(), rel=1e-5
    )


class FixedTeacher:
    """Scores of three queries and nine passages, from a table."""

    def __init__(self, table):
        self._table = np.array(table, np.float32)

    def scores(self, queries, passages):
        return self._table[queries][:, passages]


def test_pairs_without_a_score_are_dropped_of_each_distilled_loss(base):
    none = np.nan
    table = [
        [4, none, 1, 2, none, 0, none, 3, none],
        [none] * 3 + [5, none, none] + [none] * 3,
        [1, 2, 3, none, none, none, 6, 4, 5],
    ]
    rows = torch.tensor([[0, 0, 1, 2], [1, 3, 4, 5], [2, 6, 7, 8]])
    source = torch.Generator().manual_seed(2)
    embeddings = [torch.rand(3, 50, generator=source, requires_grad=True) for _ in range(4)]
    student = student_of(base)
    losses = Losses(margin_mse=1.0, kl=1.0, in_batch_kl=1.0)
    ranking = RankingLoss(student.encoder, losses, student.scale, FixedTeacher(table), temperature=2.0)
    found = ranking.compute_loss_from_embeddings(embeddings, rows)
    sum(found.values(), torch.zeros(())).backward()
    assert all(each.grad is not None and bool(torch.isfinite(each.grad).all()) for each in embeddings)
    scores = 0.5 * (embeddings[0] @ torch.cat(embeddings[1:]).T).detach().numpy()  # columns 0 3 6, 1 4 7, 2 5 8
    student_of_own = [[scores[0, 0], scores[0, 6]], [scores[2, 2], scores[2, 5], scores[2, 8]]]
    taught_of_own = [[2, 0.5], [3, 2, 2.5]]
    margins = [(own[0] - own[at]) - (taught[0] - taught[at])
               for own, taught in zip(student_of_own, taught_of_own, strict=True) for at in range(1, len(own))]  # fmt: skip
    assert float(found["margin_mse"].detach()) == pytest.approx(np.mean(np.square(margins)), rel=1e-5)

    def kl(mine, theirs):
        mine, theirs = np.array(mine, np.float64), np.array(theirs, np.float64)
        p, q = np.exp(theirs) / np.exp(theirs).sum(), np.exp(mine) / np.exp(mine).sum()
        return float((p * np.log(p / q)).sum())

    assert float(found["kl"].detach()) == pytest.approx(np.mean([*map(kl, student_of_own, taught_of_own)]), rel=1e-4)
    taught = FixedTeacher(table).scores(np.arange(3), np.array([0, 3, 6, 1, 4, 7, 2, 5, 8])) / 2
    counted = [~np.isnan(row) for row in taught]
    expected = np.mean([kl(scores[at][counted[at]], taught[at][counted[at]]) for at in (0, 2)])  # query 1 has one score
    assert float(found["in_batch_kl"].detach()) == pytest.approx(expected, rel=1e-4)


def test_a_batch_without_any_two_scores_has_no_loss_and_no_gradient(base):
    student = student_of(base)
    embeddings = [torch.rand(2, 50, requires_grad=True) for _ in range(3)]
    losses = Losses(margin_mse=1.0, kl=1.0, in_batch_kl=1.0)
    ranking = RankingLoss(
        student.encoder, losses, student.scale, FixedTeacher(np.full((3, 9), np.nan)), temperature=1.0
    )
    found = ranking.compute_loss_from_embeddings(embeddings, torch.tensor([[0, 1, 2], [1, 3, 4]]))
    assert {name: float(loss.detach()) for name, loss in found.items()} == {"margin_mse": 0, "kl": 0, "in_batch_kl": 0}
    sum(found.values(), torch.zeros(())).backward()
    assert all(each.grad is None or not bool(each.grad.any()) for each in embeddings)


def test_only_the_losses_that_count_are_computed(base):
    student = student_of(base)
    ranking = RankingLoss(student.encoder, Losses(contrastive=1.0), student.scale, None, temperature=1.0)
    assert list(ranking.compute_loss_from_embeddings([torch.rand(2, 5), torch.rand(2, 5)], torch.zeros(2, 2))) == [
        "contrastive"
    ]


def controller_of(**settings):
    from sentence_transformers.sparse_encoder.losses import SpladeLoss

    loss = SpladeLoss.__new__(SpladeLoss)
    torch.nn.Module.__init__(loss)
    loss.query_regularizer_weight, loss.document_regularizer_weight = 1e-3, 1e-4
    ranking = type("Ranking", (), {"observed": Observed()})()
    return SparsityController(loss, ranking, Sparsity(**settings)), ranking, loss


def state_of(steps, done=0):
    return type("State", (), {"max_steps": steps, "global_step": done})()


def ramp(controller, steps, ranking=None, terms=None):
    state = state_of(steps)
    controller.on_train_begin(None, state, None)
    seen = []
    for step in range(steps):
        state.global_step = step
        controller.on_step_begin(None, state, None)
        seen.append((controller.loss.query_regularizer_weight, controller.loss.document_regularizer_weight))
        if ranking is not None:
            ranking.observed = Observed(*terms)
        controller.on_step_end(None, state, None)
    return seen


def test_the_ramp_is_quadratic_for_both_sides():
    controller, _, _ = controller_of(ramp=0.5)
    seen = ramp(controller, 40)
    for step in (0, 5, 10, 19):
        assert seen[step] == (pytest.approx(1e-3 * (step / 20) ** 2), pytest.approx(1e-4 * (step / 20) ** 2))
    assert seen[20:] == [(1e-3, 1e-4)] * 20


def test_lambda_follows_the_active_terms_slowly():
    controller, ranking, _ = controller_of(ramp=0.01, query_terms=30, document_terms=100, gain=0.01)
    seen = ramp(controller, 200, ranking, (60.0, 50.0))
    assert seen[100][0] == pytest.approx(1e-3 * 2 ** (0.01 * 100), rel=0.02)  # too many terms: more pressure
    assert seen[100][1] == pytest.approx(1e-4 * 0.5 ** (0.01 * 100), rel=0.02)
    without, _, _ = controller_of(ramp=0.01)
    assert ramp(without, 200, ranking, (60.0, 50.0))[199] == (1e-3, 1e-4)


def test_during_the_ramp_lambda_is_steered_down_only():
    controller, ranking, _ = controller_of(ramp=0.5, query_terms=30, document_terms=100, gain=0.01)
    seen = ramp(controller, 200, ranking, (60.0, 50.0))
    assert seen[99][0] == pytest.approx(1e-3 * 0.99**2)
    assert seen[199][0] == pytest.approx(1e-3 * 2 ** (0.01 * 100), rel=0.02)
    assert seen[99][1] == pytest.approx(1e-4 * 0.99**2 * 0.5 ** (0.01 * 99), rel=0.02)


def test_its_state_outlives_a_checkpoint(tmp_path):
    controller, ranking, _ = controller_of(ramp=0.01, query_terms=30)
    ramp(controller, 50, ranking, (90.0, 50.0))
    arguments = type("Arguments", (), {"output_dir": str(tmp_path)})()
    controller.on_save(arguments, state_of(100, 50), None)
    other, _, _ = controller_of(ramp=0.01, query_terms=30)
    other.on_train_begin(arguments, state_of(100, 50), None)
    assert other.max_query_regularizer_weight == controller.max_query_regularizer_weight > 1e-3


class Batches:
    """A stub for trainer and network: a few batches whose weights are known."""

    scale: ScoreScale

    def __init__(self, batches: list[Any]) -> None:
        self.batches, self.encoder = batches, self

    def get_train_dataloader(self):
        return self.batches

    def collect_features(self, batch):
        return [{"sentence_embedding": each} for each in batch], torch.zeros(len(batch[0]), len(batch))

    def eval(self):
        pass

    def train(self):
        pass

    def __call__(self, features):
        return features


def test_the_scale_starts_where_the_loss_is_least():
    source = torch.Generator().manual_seed(3)
    queries = torch.rand(6, 40, generator=source) * 3
    batches = [[queries, queries + torch.rand(6, 40, generator=source) * 4]] * 2
    student: Any = Batches(batches)
    student.scale = ScoreScale()
    ranking = RankingLoss(None, Losses(contrastive=1.0), student.scale, None, temperature=1.0)
    best = calibrate_scale(student, student, ranking)
    expected = {
        scale: float(torch.nn.functional.cross_entropy(scale * batches[0][0] @ batches[0][1].T, torch.arange(6)))
        for scale in np.geomspace(1e-3, 10, 1000)
    }
    assert best == pytest.approx(min(expected, key=expected.get), rel=0.1)
    assert student.scale.value.item() == pytest.approx(best)


def test_a_student_that_knows_nothing_starts_with_a_tenth():
    student: Any = Batches([[torch.ones(6, 40), torch.ones(6, 40)]])
    student.scale = ScoreScale()
    ranking = RankingLoss(None, Losses(contrastive=1.0), student.scale, None, temperature=1.0)
    assert calibrate_scale(student, student, ranking) == 0.1


# ---- disturbed ----


def test_an_interrupted_run_ends_as_an_undisturbed_one(tmp_path, data, base, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    settings = {
        "optimization": {"steps": 6},
        "sparsity": {"query_terms": 5, "document_terms": 20, "gain": 0.5},
        "recipe": "distilsplade-max",
    }
    undisturbed = run(tmp_path / "a", data, base, **settings)

    class Stop(Exception):  # noqa: N818
        pass

    whole = resuming.MarkComplete.on_save

    def stop_after_four(self, args, state, *rest, **more):
        whole(self, args, state, *rest, **more)
        if state.global_step == 4:
            raise Stop

    monkeypatch.setattr(resuming.MarkComplete, "on_save", stop_after_four)
    with pytest.raises(Stop):
        run(tmp_path / "b", data, base, **settings)
    monkeypatch.undo()
    half = tmp_path / "b/out/round-1/checkpoints/checkpoint-5"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    resumed = run(tmp_path / "b", data, base, **settings)
    assert not half.exists()
    first, second = weights_of(undisturbed.model), weights_of(resumed.model)
    assert all(torch.equal(first[name], second[name]) for name in first)
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "b/out/log.jsonl").read_text().splitlines() if '"loss"' in line
    ]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_goes_on(tmp_path, data, base):
    config = write_config(tmp_path, data, base, optimization={"steps": 30, "checkpoint": 3})
    command = [sys.executable, "-m", "splade_lucene", "train", str(config), "--device", "cpu"]
    offline = child_environment(HF_HUB_OFFLINE="1")
    log = tmp_path / "out/log.jsonl"
    for wanted in (4, 11):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=offline)
        for _ in range(1200):
            if log.is_file() and any(json.loads(line)["step"] >= wanted for line in log.read_text().splitlines()):
                break
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=offline)
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines() if '"loss"' in line]
    assert steps[-1] == 30
    assert len(steps) < 30 + 2 * 6  # at most some three steps were done again after each kill
    assert "saved the model to" in done.stderr


def test_a_finished_run_is_not_run_again(tmp_path, data, base):
    files = {"corpus": data / "corpus.jsonl", "topics": data / "queries.tsv", "qrels": data / "qrels.txt"}
    validation = {name: str(path) for name, path in files.items()}
    first = run(tmp_path, data, base, validation=validation)
    before = weights_of(first.model)
    lines = (tmp_path / "out/log.jsonl").read_text()
    second = run(tmp_path, data, base, validation=validation)
    assert second.figures == first.figures
    assert all(torch.equal(before[name], tensor) for name, tensor in weights_of(second.model).items())
    assert (tmp_path / "out/log.jsonl").read_text() == lines


def test_other_settings_are_refused_and_named(tmp_path, data, base):
    run(tmp_path, data, base)
    with pytest.raises(
        ConfigError, match=r"different settings \(optimization\.seed was 1, is now 2\).*pass overwrite=True"
    ):
        run(tmp_path, data, base, optimization={"seed": 2})
    config = read_config(write_config(tmp_path, data, base, optimization={"seed": 2}))
    assert train(config, device="cpu", overwrite=True).model.is_dir()


WITHOUT_CALIBRATION = {"score_scale": 0.3}


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint(tmp_path, data, base, monkeypatch):
    calls = []
    original = RankingLoss.compute_loss_from_embeddings

    def at_step_three(self, embeddings, labels):
        calls.append(1)
        return original(self, [each * float("nan") for each in embeddings] if len(calls) == 3 else embeddings, labels)

    monkeypatch.setattr(RankingLoss, "compute_loss_from_embeddings", at_step_three)
    with pytest.raises(TrainingError, match=r"the loss contrastive is nan.*learning_rate.*pass overwrite=True"):
        run(tmp_path, data, base, optimization=WITHOUT_CALIBRATION)
    assert resuming.last_checkpoint(tmp_path / "out/round-1/checkpoints").endswith("checkpoint-2")
    monkeypatch.undo()
    assert run(tmp_path, data, base, optimization=WITHOUT_CALIBRATION).model.is_dir()


def test_a_gradient_that_is_no_number_never_reaches_the_weights(tmp_path, data, base, monkeypatch):
    from splade_lucene.training import head

    original = head._PooledWeights.backward
    calls = []

    def spoiled(context, *gradients):
        calls.append(1)
        result = original(context, *gradients)
        return (result[0], result[1] * float("inf"), *result[2:]) if len(calls) > 4 else result

    monkeypatch.setattr(head._PooledWeights, "backward", staticmethod(spoiled))
    with pytest.raises(TrainingError, match=r"step 3: gradients are not finite.*overwrite=True"):
        run(tmp_path, data, base)
    kept = resuming.last_checkpoint(tmp_path / "out/round-1/checkpoints")
    assert kept.endswith("checkpoint-2")
    (network,) = list(Path(kept).glob("0_*/model.safetensors")) or [Path(kept) / "model.safetensors"]
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(network).values())


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc] . unexpected pos 64 vs 0"),
    ],
)
def test_a_full_disk_says_so_and_keeps_what_was_whole(tmp_path, data, base, monkeypatch, error):
    original = trainer._Trainer._save
    calls = []

    def full(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise error
        return original(self, *arguments, **options)

    monkeypatch.setattr(trainer._Trainer, "_save", full)
    with pytest.raises(
        StorageError, match=r"out: cannot write \(No space left on device\).*Run the same command again to resume"
    ):
        run(tmp_path, data, base)
    assert resuming.last_checkpoint(tmp_path / "out/round-1/checkpoints").endswith("checkpoint-2")
    monkeypatch.undo()
    assert run(tmp_path, data, base).model.is_dir()


@pytest.mark.parametrize("place", ["save", "copytree", "card"])
def test_a_disk_that_is_full_elsewhere_says_so_and_the_same_command_goes_on(tmp_path, data, base, monkeypatch, place):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    owners = {"save": (Student, "save"), "copytree": (shutil, "copytree"), "card": (trainer, "write_card")}
    monkeypatch.setattr(*owners[place], full)
    with pytest.raises(StorageError, match=r"No space left on device"):
        run(tmp_path, data, base)
    monkeypatch.undo()
    assert (run(tmp_path, data, base).model / "training.json").is_file()


def test_other_errors_are_not_taken_for_the_disks(tmp_path, data, base, monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError(2, "No such file", "somewhere")

    monkeypatch.setattr(trainer, "write_card", missing)
    with pytest.raises(FileNotFoundError):
        run(tmp_path, data, base)


def test_what_would_fail_at_the_end_is_refused_at_the_start(tmp_path, data, base):
    files = {"corpus": data / "corpus.jsonl", "topics": data / "queries.tsv", "qrels": data / "qrels.txt"}
    good = {name: str(path) for name, path in files.items()}
    (tmp_path / "alien.txt").write_text("x1 0 y1 1\n")
    (tmp_path / "other.txt").write_text("q1 0 y1 1\n")
    for validation, message in (
        ({**good, "measures": ["nDCG10"]}, "unknown measure 'nDCG10'"),
        ({**good, "qrels": str(tmp_path / "none.txt")}, r"none\.txt"),
        ({**good, "qrels": str(tmp_path / "alien.txt")}, r"alien\.txt: no query of validation\.topics is judged"),
        ({**good, "qrels": str(tmp_path / "other.txt")}, r"other\.txt: no judged document is in validation\.corpus"),
    ):
        with pytest.raises(SpladeLuceneError, match=message):
            run(tmp_path, data, base, validation=validation)
    with pytest.raises(ConfigError, match="compare passages of the same query"):
        run(tmp_path, data, base, losses={"margin_mse": 1.0}, optimization={"passages": 1})
    with pytest.raises(ConfigError, match=r"passages of 900 tokens are too long for the base, which accepts 64"):
        run(tmp_path, data, base, optimization={"max_length": 900})


def test_judgments_of_what_the_validation_data_lack_are_counted(tmp_path, data, caplog):
    qrels = (data / "qrels.txt").read_text() + "q90 0 d1 1\nq1 0 e1 1\nq1 0 e2 0\nq2 0 e3 2\nq91 0 e4 1\n"
    (tmp_path / "qrels.txt").write_text(qrels)
    validation = Validation(
        corpus=str(data / "corpus.jsonl"), topics=str(data / "queries.tsv"), qrels=str(tmp_path / "qrels.txt")
    )  # fmt: skip
    check_validation(validation)
    assert [message.partition("qrels.txt: ")[2].partition(". Remove")[0] for message in caplog.messages] == [
        "2 of 42 judged queries are not in validation.topics (q90, q91), which counts as 0 in each measure",
        "2 of 42 relevant documents are not in validation.corpus (e1, e3), which counts as not found",
    ]
    caplog.clear()
    check_validation(validation.model_copy(update={"qrels": str(data / "qrels.txt")}))
    assert not caplog.messages


def test_a_step_with_nothing_to_compare_is_refused(tmp_path, data, base):
    one = {"queries": 1, "passages": 1}
    for losses in ({"contrastive": 1.0}, {"in_batch_kl": 1.0}):
        with pytest.raises(
            ConfigError, match=r"compare the passages of a step, which has only one\. Raise optimization\."
        ):
            run(tmp_path, data, base, losses=losses, optimization=one)


def test_judgments_of_which_none_is_relevant_are_refused(tmp_path, data):
    settings: dict[str, Any] = {"corpus": str(data / "corpus.jsonl"), "topics": str(data / "queries.tsv")}
    for judged in ("q1 0 d1 0\nq2 0 d2 0\n", "q1 0 d1 0\nq2 0 e2 1\n", "q1 0 d1 0\nq99 0 d2 1\n"):
        (tmp_path / "qrels.txt").write_text(judged)
        with pytest.raises(
            RunError, match=r"qrels\.txt: no document of validation\.corpus is judged relevant for a query"
        ):
            check_validation(Validation(**settings, qrels=str(tmp_path / "qrels.txt")))


def test_changed_data_are_noticed(tmp_path, data, base):
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    run(tmp_path, copy, base)
    with (copy / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "new", "text": "The heart has a beat."}\n')
    with pytest.raises(ConfigError, match=r"different settings \(data\.passages was \w{8} …, is now \w{8} …\)"):
        run(tmp_path, copy, base)


@pytest.mark.parametrize("kind", ["distilbert", "roberta"])
def test_other_architectures_learn_too(tmp_path, data, kind):
    (tmp_path / "base").mkdir()
    bert(tmp_path / "base", kind)
    before = json.loads((tmp_path / "base/config.json").read_text())
    result = run(tmp_path, data, tmp_path / "base")
    after = json.loads((result.model / "config.json").read_text())
    for name in ("dropout", "attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob"):
        assert before.get(name) == after.get(name)
    assert SpladeEncoder(result.model, device="cpu").encode_documents(["the heart"])[0]


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_a_batch_in_buckets_has_the_weights_and_gradients_of_its_texts_alone(tmp_path, kind):
    bert(tmp_path / "base", kind)
    settings = json.loads((tmp_path / "base/tokenizer_config.json").read_text())
    (tmp_path / "base/tokenizer_config.json").write_text(json.dumps({**settings, "padding_side": "left"}))
    student = Student(tmp_path / "base", pooling="max", is_doc=False, max_length=24, dropout=0.0, device="cpu")
    student.encoder.train()
    texts = [" ".join(WORDS[topic].split()[: 1 + number % 5]) for number, topic in enumerate(TOPICS * 2)]
    looked_up = []
    student.network.model.get_input_embeddings().register_forward_hook(lambda *_: looked_up.append(1))
    pooled = student.encoder(student.network.preprocess(texts))["sentence_embedding"]
    assert len(looked_up) == 1  # of all buckets together, because its gradient is as large as the vocabulary's matrix
    target = torch.rand(pooled.shape, generator=torch.Generator().manual_seed(3))
    parameters = dict(student.network.model.named_parameters())
    got = torch.autograd.grad((pooled * target).sum(), [*parameters.values()], allow_unused=True)
    rows = []
    for text in texts:
        logits = student.network.model(**student.network.tokenizer(text, return_tensors="pt")).logits
        rows.append(logits[0].relu().log1p().max(dim=0).values)  # of equal ones, the first gets the gradient
    assert torch.allclose(pooled, torch.stack(rows), atol=1e-5)
    wanted = torch.autograd.grad((torch.stack(rows) * target).sum(), [*parameters.values()], allow_unused=True)
    largest = max(float(each.abs().max()) for each in wanted if each is not None)
    for name, mine, theirs in zip(parameters, got, wanted, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-5 * largest), name


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (BertConfig(), {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}),
        (DistilBertConfig(), {"dropout": 0.1, "attention_dropout": 0.1}),
        (ModernBertConfig(), {"attention_dropout": 0.0, "embedding_dropout": 0.0, "mlp_dropout": 0.0}),
        (FunnelConfig(), {"hidden_dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.0}),
        (GPT2Config(), {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}),
    ],
)
def test_settings_of_dropout_are_found_whatever_they_are_called(config, expected):
    assert dropout_settings(config) == expected


def test_a_dropout_that_the_base_has_no_setting_for_is_refused(tmp_path, data, base, monkeypatch):
    monkeypatch.setattr(checks, "base_dropout", lambda _: {})
    with pytest.raises(
        ConfigError, match=r"optimization\.dropout is set, but the configuration of .* has no dropout setting"
    ):
        run(tmp_path, data, base, optimization={"dropout": 0.2})
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_with_more_tokens_than_the_network_is_refused(tmp_path, data, base):
    other = shutil.copytree(base, tmp_path / "other")
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["splade"])
    tokenizer.save_pretrained(other)
    with pytest.raises(ModelError, match=r"30,523 tokens \(the last is 'splade'\), but the network has 30,522"):
        run(tmp_path, data, other)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_dropout_and_rates_reach_their_parameters(tmp_path, kind):
    import re

    (tmp_path / "base").mkdir()
    bert(tmp_path / "base", kind)
    student = Student(tmp_path / "base", pooling="max", is_doc=False, max_length=24, dropout=0.0, device="cpu")
    rates = [module.p for module in student.network.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates
    assert not any(rates)
    trained = Student(
        tmp_path / "base", pooling="max", is_doc=False, max_length=24, dropout=Optimization().dropout, device="cpu"
    )
    assert {module.p for module in trained.network.modules() if isinstance(module, torch.nn.Dropout)} == {
        0.1
    }  # its own
    names = [name for name, _ in student.encoder.named_parameters()]
    head = [name for name in names if re.search(student.head_pattern, f"model.{name}")]
    expected = "cls.predictions" if kind == "bert" else "vocab_"
    assert head
    assert head == [name for name in names if expected in name]


def test_queries_are_seen_in_the_order_in_which_they_were_drawn(tmp_path, data, base, monkeypatch):
    seen = []
    original = RankingLoss.compute_loss_from_embeddings

    def watched(self, embeddings, labels):
        seen.append(labels[:, 0].tolist())
        return original(self, embeddings, labels)

    monkeypatch.setattr(RankingLoss, "compute_loss_from_embeddings", watched)
    run(tmp_path, data, base, optimization={"steps": 10, **WITHOUT_CALIBRATION})
    flat = [query for batch in seen for query in batch]
    assert len(flat) == len(set(flat)) == 40  # each of the forty once, before one comes again


@pytest.mark.parametrize("recipe", ["splade-max", "splade-doc"])
def test_a_batch_holds_the_texts_of_its_rows(tmp_path, data, base, monkeypatch, recipe):
    seen = []

    def observe(model, inputs):
        seen.append(inputs)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer._Trainer, "compute_loss", lambda _, model, inputs, **__: observe(model, inputs))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, data, base, recipe=recipe, optimization={"score_scale": 1.0})
    tokenizer = AutoTokenizer.from_pretrained(base)
    queries = [line.split("\t")[1].strip() for line in (data / "queries.tsv").read_text().splitlines()]
    passages = [document.text for document in read_corpus(data / "corpus.jsonl")]
    [inputs] = seen
    for column, texts, place in (("query", queries, 0), ("passage_1", passages, 1), ("passage_3", passages, 3)):
        for ids, label in zip(inputs[f"{column}_input_ids"], inputs["label"], strict=True):
            expected = tokenizer(texts[label[place]], add_special_tokens=False)["input_ids"]
            assert len(expected) > 3
            assert [each for each in ids.tolist() if each not in tokenizer.all_special_ids] == expected[:22]


def test_ones_own_pairs_are_scored_by_bm25_whichever_are_drawn(tmp_path, data, base, monkeypatch):
    lines = [
        {"qid": f"q{i}", "positive_id": f"d{i}", "negative_id": f"d{(i + 8 * j) % 40}"}
        for i in range(40)
        for j in (1, 2)
    ]
    (tmp_path / "triples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    taught: list[Any] = []
    original = RankingLoss.compute_loss_from_embeddings

    def watched(self, embeddings, labels):
        rows = labels.numpy()
        taught.extend(self.teacher.scores(row[:1], row[1:2])[0, 0] for row in rows)
        return original(self, embeddings, labels)

    monkeypatch.setattr(RankingLoss, "compute_loss_from_embeddings", watched)
    settings = {"data": {"examples": str(tmp_path / "triples.jsonl")}, "optimization": WITHOUT_CALIBRATION}
    run(tmp_path, data, base, recipe="distilsplade-max", **settings)
    assert len(taught) == 16
    assert min(taught) > 0  # every query shares words with its own passage


def test_scores_of_ones_own_and_a_teacher_are_not_mixed(tmp_path, data, base):
    (tmp_path / "lists.jsonl").write_text('{"qid": "q1", "docids": ["d1", "d2"], "scores": [2, 1]}\n')
    settings = {"recipe": "distilsplade-max", "data": {"examples": str(tmp_path / "lists.jsonl")}}
    with pytest.raises(ConfigError, match=r"lists\.jsonl: the examples have scores, but a teacher is given"):
        run(tmp_path, data, base, **settings)
    assert run(tmp_path, data, base, **settings, teacher=None).model.is_dir()


def test_a_beir_folder_is_all_that_is_needed(tmp_path, data, base):
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    shutil.copy(data / "corpus.jsonl", beir / "corpus.jsonl")
    rows = [line.split("\t") for line in (data / "queries.tsv").read_text().splitlines()]
    (beir / "queries.jsonl").write_text("".join(json.dumps({"_id": qid, "text": text}) + "\n" for qid, text in rows))
    pairs = "".join(f"q{number}\td{number}\t1\n" for number in range(40))
    (beir / "qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\n" + pairs)
    folders = {"passages": str(beir), "queries": str(beir), "examples": str(beir)}
    assert run(tmp_path, data, base, data=folders, teacher=None).model.is_dir()


def test_texts_in_the_examples_are_all_that_is_needed(tmp_path, data, base):
    lines = [{"query": f"what is {topic}", "positive": f"{topic}: {WORDS[topic]}"} for topic in TOPICS]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = {"passages": None, "queries": None, "examples": str(tmp_path / "pairs.jsonl")}
    assert run(tmp_path, data, base, data=given, teacher=None).model.is_dir()


def test_no_query_is_drawn_twice_into_a_batch_nor_its_passages_as_negatives(tmp_path, data, base, monkeypatch):
    (tmp_path / "qrels.txt").write_text("".join(f"q{i % 8} 0 d{i} 1\n" for i in range(40)))
    seen = []
    original = RankingLoss.compute_loss_from_embeddings

    def watched(self, embeddings, labels):
        seen.append(labels.tolist())
        return original(self, embeddings, labels)

    monkeypatch.setattr(RankingLoss, "compute_loss_from_embeddings", watched)
    settings = {"teacher": None, "data": {"examples": str(tmp_path / "qrels.txt")}}
    run(tmp_path, data, base, **settings, optimization={"steps": 12, "queries": 6, **WITHOUT_CALIBRATION})
    assert len(seen) == 12
    for batch in seen:
        assert len({query for query, *_ in batch}) == 6
        for query, first, *others in batch:
            assert first % 8 == query
            assert all(row % 8 != query for row in others)


def test_more_passages_than_there_are_of_ones_own_are_refused(tmp_path, data, base):
    (tmp_path / "pairs.jsonl").write_text(
        '{"query": "blood", "positive": "heart"}\n{"query": "bank", "positive": "river"}\n'
    )
    given = {"passages": None, "queries": None, "examples": str(tmp_path / "pairs.jsonl")}
    with pytest.raises(
        ConfigError, match=r"needs 3 passages, but the collection has only 2\. Lower optimization\.passages"
    ):
        run(tmp_path, data, base, data=given, teacher=None)


def test_blank_queries_are_dropped_and_a_file_without_texts_is_named(tmp_path, data, base):
    (tmp_path / "queries.tsv").write_text((data / "queries.tsv").read_text() + "x1\t \nx2\t\n")
    run(tmp_path, data, base, data={"queries": str(tmp_path / "queries.tsv")}, optimization={"steps": 11})
    mined = {json.loads(line)["qid"] for line in gunzip(tmp_path / "out/round-1/examples.jsonl.gz")}
    assert mined == {f"q{number}" for number in range(40)}
    (tmp_path / "empty.tsv").touch()
    with pytest.raises(CorpusError, match=r"empty\.tsv: no passages found"):
        run(tmp_path, data, base, data={"passages": str(tmp_path / "empty.tsv")}, output=str(tmp_path / "other"))


def test_a_run_file_of_some_queries_teaches_these_only(tmp_path, data, base):
    (tmp_path / "teacher.trec").write_text("".join(f"q{i} Q0 d{i} 1 9 t\n" for i in range(10)))
    run(
        tmp_path,
        data,
        base,
        teacher={"bm25": 0.0, "scores": str(tmp_path / "teacher.trec")},
        optimization={"steps": 11},
        data={"missing_scores": "drop"},
    )
    mined = [json.loads(line) for line in gunzip(tmp_path / "out/round-1/examples.jsonl.gz")]
    assert {(each["qid"], each["docids"][0], each["scores"][0]) for each in mined} == {
        (f"q{i}", f"d{i}", 1.0) for i in range(10)
    }


def test_queries_without_documents_are_named(tmp_path, data, base):
    (tmp_path / "alien.tsv").write_text("x1\tzzzz\nx2\tyyyy\n")
    with pytest.raises(ExamplesError, match="no query has two candidates"):
        run(tmp_path, data, base, data={"queries": str(tmp_path / "alien.tsv")})


def test_broken_queries_are_named_with_their_line(tmp_path, data, base):
    (tmp_path / "broken.jsonl").write_text('{"_id": "1", "text": "fine"}\n{"_id": "2", "te\n')
    with pytest.raises(TopicsError, match=r"broken\.jsonl:2: invalid JSON"):
        run(tmp_path, data, base, data={"queries": str(tmp_path / "broken.jsonl")})


def test_a_base_that_is_none_is_named(tmp_path, data, base):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot load a masked-language model"):
        run(tmp_path, data, tmp_path / "empty")
    spoiled = tmp_path / "spoiled"
    shutil.copytree(base, spoiled)
    tensors = {name: tensor for name, tensor in weights_of(base).items() if "attention.self.query.weight" not in name}
    save_file(tensors, spoiled / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"query\.weight is missing, which is not part of the head"):
        run(tmp_path, data, spoiled, output=str(tmp_path / "other"))


def test_the_command_prints_figures_and_names_faults(tmp_path, data, base):
    validation = {
        "corpus": str(data / "corpus.jsonl"),
        "topics": str(data / "queries.tsv"),
        "qrels": str(data / "qrels.txt"),
    }
    config = write_config(tmp_path, data, base, validation=validation)
    done = commands.run("train", config, "--device", "cpu", "--json")
    printed = json.loads(check_well(done))
    assert Path(printed["model"], "modules.json").is_file()
    assert "splade-max 4/4  loss" in done.stderr
    config.write_text(config.read_text() + "colour: red\n")
    message = check_failed(commands.run("train", config))
    assert "colour" in message
    assert "unknown key" in message


# ---- teachers that are networks ----


def test_a_dense_teacher_orders_candidates_by_its_cosine_and_bm25(tmp_path, data, base, dense_encoder):
    from sentence_transformers import SentenceTransformer

    teacher = {"dense": str(dense_encoder), "bm25": 0.5, "max_length": 24}
    run(tmp_path, data, base, teacher=teacher, recipe="distilsplade-max", losses={"in_batch_kl": 1.0, "kl": 1.0})
    peer = SentenceTransformer(str(dense_encoder), device="cpu")
    documents = {document.docid: document.text for document in read_corpus(data / "corpus.jsonl")}
    queries = dict(line.rstrip("\n").split("\t") for line in (data / "queries.tsv").read_text().splitlines())
    for line in gunzip(tmp_path / "out/round-1/examples.jsonl.gz")[:3]:
        record = json.loads(line)
        assert record["scores"] == sorted(record["scores"], reverse=True)
        vectors = peer.encode(
            [queries[record["qid"]], *(documents[docid] for docid in record["docids"])], normalize_embeddings=True
        )
        rest = np.array(record["scores"]) - vectors[1:] @ vectors[0]  # half of BM25, divided by the query's best
        assert rest.max() == pytest.approx(0.5, abs=0.01)
        assert rest.min() > -0.01
    vectors = sorted((tmp_path / "out/embeddings").glob("*.float16"))
    times = [path.stat().st_mtime_ns for path in vectors]
    run(tmp_path, data, base, teacher=teacher, output=str(tmp_path / "out2"), cache=str(tmp_path / "out"))
    assert [path.stat().st_mtime_ns for path in vectors] == times  # found again
    vectors[0].write_bytes(vectors[0].read_bytes()[:100])
    with pytest.raises(StorageError, match=r"\.float16: damaged"):
        run(tmp_path, data, base, teacher=teacher, output=str(tmp_path / "out3"), cache=str(tmp_path / "out"))


def test_a_cross_encoder_orders_candidates(tmp_path, data, base):
    from sentence_transformers import CrossEncoder
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(3)
    config = BertConfig(vocab_size=30522, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48,
                        max_position_embeddings=64, num_labels=1)  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(tmp_path / "cross")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "cross")
    teacher = {"cross_encoder": str(tmp_path / "cross"), "bm25": 0.0, "max_length": 48}
    run(tmp_path, data, base, teacher=teacher, recipe="distilsplade-max", mining={"bm25": 10})
    peer = CrossEncoder(str(tmp_path / "cross"), max_length=48, device="cpu")
    documents = {document.docid: document.text for document in read_corpus(data / "corpus.jsonl")}
    queries = dict(line.rstrip("\n").split("\t") for line in (data / "queries.tsv").read_text().splitlines())
    for line in gunzip(tmp_path / "out/round-1/examples.jsonl.gz")[:3]:
        record = json.loads(line)
        pairs = [(queries[record["qid"]], documents[docid]) for docid in record["docids"]]
        scores = peer.predict(pairs, activation_fn=torch.nn.Identity())  # a sigmoid would make good passages alike
        expected = 0.05 + 0.95 * (scores - scores.min()) / (scores.max() - scores.min())
        assert np.allclose(record["scores"], expected, atol=2e-3)


def test_teachers_that_cannot_be_loaded_are_named(tmp_path, data, base):
    (tmp_path / "empty").mkdir()
    for key, message in (
        ("dense", "cannot load a dense encoder: .* Check the path"),
        ("cross_encoder", "cannot load a cross-encoder: .* Check the path"),
    ):
        with pytest.raises(ModelError, match=rf"empty: {message}"):
            run(tmp_path, data, base, teacher={key: str(tmp_path / "empty")}, output=str(tmp_path / key))


def test_an_index_of_other_passages_is_refused(tmp_path, data, base):
    from splade_lucene import LuceneImpactIndexer, PseudoDocument, Quantizer, encode_corpus, index_pseudo_documents

    (tmp_path / "alien.tsv").write_text("x1\tthe heart has a valve\nx2\tthe river has a bank\n")
    encode_corpus(
        tmp_path / "alien.tsv", tmp_path / "alien", SpladeEncoder(base, device="cpu"), Quantizer.named("naver")
    )
    index_pseudo_documents(tmp_path / "alien", tmp_path / "alien-index")
    with pytest.raises(ConfigError, match=r"alien-index: the index has none of the passages in data\.passages"):
        run(tmp_path, data, base, mining={"index": str(tmp_path / "alien-index")})
    with LuceneImpactIndexer(tmp_path / "bare") as indexer:
        indexer.add([PseudoDocument("d1", "", {"heart": 3})])
    with pytest.raises(Exception, match="has no manifest that names its model"):
        run(tmp_path, data, base, mining={"index": str(tmp_path / "bare")}, output=str(tmp_path / "other"))
