"""With the same settings, a training takes the steps that sentence-transformers' trainer takes."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sentence_transformers")

import torch
from datasets import Dataset
from sentence_transformers import SparseEncoder, SparseEncoderTrainer, SparseEncoderTrainingArguments
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sparse_encoder import losses as st_losses
from sentence_transformers.sparse_encoder.callbacks import SpladeRegularizerWeightSchedulerCallback
from sentence_transformers.sparse_encoder.modules import SpladePooling, Transformer
from support.training import run, weights_of
from torch.utils.data import SequentialSampler

from splade_lucene.training import curves
from splade_lucene.training.losses import RankingLoss

pytest_plugins = ("support.training",)
pytestmark = pytest.mark.usefixtures("without_plots")

STEPS, QUERIES, LENGTH, QUERY_LENGTH, RATE, WARMUP, RAMP = 8, 4, 24, 8, 1e-3, 0.25, 0.5
REGULARIZERS = {"query": 0.05, "document": 0.03}
WEIGHT_DECAY = 0.1


def triples(data):
    """A triple with a teacher's scores for each query; the first passage of the triple at ``row`` is that of the collection."""
    passages = [json.loads(line)["text"] for line in (data / "corpus.jsonl").read_text().splitlines()]
    queries = [line.split("\t")[1] for line in (data / "queries.tsv").read_text().splitlines()]
    return [
        {"query": query, "passages": [passages[row], passages[(row + 3) % 40]], "scores": [4 + row / 10, row / 20]}
        for row, query in enumerate(queries)
    ]


def train_ours(folder, data, base, records, monkeypatch):
    """The order of the triples, the losses and the weights."""
    order: list[int] = []
    original = RankingLoss.compute_loss_from_embeddings

    def watched(self, embeddings, labels):
        order.extend(labels[:, 1].tolist())
        return original(self, embeddings, labels)

    monkeypatch.setattr(RankingLoss, "compute_loss_from_embeddings", watched)
    (folder / "triples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    result = run(
        folder, data, base, recipe="distilsplade-max", teacher=None, losses={"margin_mse": 1.0},
        data={"examples": str(folder / "triples.jsonl"), "temperature": 1.0},
        sparsity={**{f"{side}_weight": weight for side, weight in REGULARIZERS.items()}, "ramp": RAMP},
        optimization={
            "steps": STEPS, "queries": QUERIES, "passages": 2, "max_length": LENGTH, "query_max_length": QUERY_LENGTH,
            "learning_rate": RATE, "head_learning_rate": RATE, "warmup": WARMUP, "weight_decay": WEIGHT_DECAY,
            "dropout": 0.0, "score_scale": 1.0, "scale_learning_rate": 0.0,
        },
    )  # fmt: skip
    logged = curves.read_log(result.model.parent / "log.jsonl")
    return order, [each["loss"] for each in logged if "loss" in each], weights_of(result.model)


def train_theirs(folder, base, records):
    """The losses and the weights."""
    columns = {
        "query": [each["query"] for each in records], "first": [each["passages"][0] for each in records],
        "second": [each["passages"][1] for each in records],
        "label": [each["scores"][0] - each["scores"][1] for each in records],
    }  # fmt: skip
    without = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    network = Transformer(str(base), transformer_task="fill-mask", max_seq_length=LENGTH, config_kwargs=without)
    network.query_length = QUERY_LENGTH
    model = SparseEncoder(modules=[network, SpladePooling("max")], device="cpu", similarity_fn_name="dot")
    loss = st_losses.SpladeLoss(
        model, st_losses.SparseMarginMSELoss(model), REGULARIZERS["document"], REGULARIZERS["query"]
    )
    arguments = SparseEncoderTrainingArguments(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=QUERIES, learning_rate=RATE,
        warmup_steps=round(WARMUP * STEPS), weight_decay=WEIGHT_DECAY, logging_steps=1, save_strategy="no", report_to=[],
        use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
        router_mapping={"query": "query", "first": "document", "second": "document"},
        batch_sampler=lambda dataset, batch_size, drop_last, **_: DefaultBatchSampler(
            SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last
        ),
    )  # fmt: skip
    ramp = SpladeRegularizerWeightSchedulerCallback(loss, "quadratic", RAMP)
    data = Dataset.from_dict(columns)
    trainer = SparseEncoderTrainer(model=model, args=arguments, train_dataset=data, loss=loss, callbacks=[ramp])
    trainer.train()
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return [each["loss"] for each in trainer.state.log_history if "loss" in each], weights_of(folder / "model")


def test_the_same_settings_give_the_same_losses_and_weights(tmp_path, data, base, monkeypatch):
    records = triples(data)
    order, losses, weights = train_ours(tmp_path, data, base, records, monkeypatch)
    assert len(order) == STEPS * QUERIES == len(set(order))
    expected_losses, expected = train_theirs(tmp_path / "theirs", base, [records[row] for row in order])
    assert losses == pytest.approx(expected_losses, rel=1e-3)
    before = weights_of(base)
    assert weights.keys() == expected.keys()
    # in all: a key's bias has no gradient but rounding errors, of which Adam makes whole steps
    moved, apart = (
        float(torch.stack([torch.linalg.norm(expected[name] - other[name]) for name in expected]).norm())
        for other in (before, weights)
    )
    assert moved > 0.1
    assert apart < 1e-3 * moved
