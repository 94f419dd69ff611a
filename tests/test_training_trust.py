"""Reliable training: the same weights after any interruption, collapse is detected, the best model is kept."""

import csv
import gzip
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.training import run, weights_of, write_config
from tensorboardX.proto import event_pb2
from transformers import BertConfig, BertModel, DistilBertConfig, RobertaConfig, XLMRobertaConfig

from splade_lucene import SpladeEncoder
from splade_lucene.cli.train import _describe_step
from splade_lucene.errors import ConfigError, MissingDependencyError, ModelError, TrainingError
from splade_lucene.training import base as base_module
from splade_lucene.training import curves, mining, network, read_config, resuming, teacher_outputs, trainer, validation
from splade_lucene.training.card import Facts, write_card
from splade_lucene.training.config import Losses, Optimization, Validation
from splade_lucene.training.data_report import TrainingDataReport
from splade_lucene.training.limits import check_base_lengths
from splade_lucene.training.probe import Active
from splade_lucene.training.recipes import RECIPES
from splade_lucene.training.selection import Choice, ValidatedModels
from splade_lucene.training.validation import measure_model

pytest_plugins = ("support.training",)


@pytest.fixture(scope="module")
def trunk(base, tmp_path_factory):
    """A network without a masked-LM head, with dropout."""
    folder = tmp_path_factory.mktemp("trunk")
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    BertModel(BertConfig(vocab_size=30522, max_position_embeddings=64, **size)).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / file, folder / file)
    return folder


def validated_on(data, **settings):
    files = {"corpus": data / "corpus.jsonl", "topics": data / "queries.tsv", "qrels": data / "qrels.txt"}
    return {**{name: str(path) for name, path in files.items()}, **settings}


def are_equal(first, second):
    before, after = weights_of(first), weights_of(second)
    return before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


# ---- interrupted ----


class Stop(Exception):  # noqa: N818
    pass


@pytest.fixture(scope="module")
def undisturbed(data, trunk, dense_encoder, tmp_path_factory):
    """A run with every phase, never interrupted."""
    return run(tmp_path_factory.mktemp("undisturbed"), data, trunk, **all_phases(dense_encoder))


def all_phases(dense):
    return {
        "recipe": "distilsplade-max", "teacher": {"dense": str(dense), "bm25": 0.5, "max_length": 24},
        "head": {"mlm_steps": 6, "initial_terms": 500}, "optimization": {"steps": 6, "dropout": None},
    }  # fmt: skip


def stop_in(owner: Any, name: str, when: Any) -> tuple[Any, str, Any]:
    """What to patch, so that a call raises ``Stop`` after its work if ``when`` says so of its arguments."""
    original = getattr(owner, name)

    def stopping(*arguments, **options):
        result = original(*arguments, **options)
        if when(*arguments):
            raise Stop
        return result

    return owner, name, stopping


def test_a_run_interrupted_in_each_phase_ends_with_the_same_bytes(
    tmp_path, data, trunk, dense_encoder, undisturbed, monkeypatch
):
    def checkpoint_of(stage, step):
        return lambda _self, args, state, *_: stage in args.output_dir and state.global_step == step

    for owner, name, stopping in (
        stop_in(teacher_outputs, "_write", lambda *_: True),
        stop_in(mining.Sources, "dense_rankings", lambda *_: True),
        stop_in(resuming.MarkComplete, "on_save", checkpoint_of("mlm-", 4)),
        stop_in(base_module, "_activate_terms", lambda *_: True),
        stop_in(resuming.MarkComplete, "on_save", checkpoint_of("round-1", 4)),
        stop_in(network.Student, "save", lambda *_: True),
        stop_in(trainer, "write_card", lambda *_: True),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, stopping)
            with pytest.raises(Stop):
                run(tmp_path, data, trunk, **all_phases(dense_encoder))
    resumed = run(tmp_path, data, trunk, **all_phases(dense_encoder))
    assert (resumed.model / "model.safetensors").read_bytes() == (undisturbed.model / "model.safetensors").read_bytes()
    losses = [logged_losses(each.model.parent) for each in (undisturbed, resumed)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 12


def logged_losses(folder):
    return {
        (each["stage"], each["step"]): each["loss"] for each in curves.read_log(folder / "log.jsonl") if "loss" in each
    }


def test_validations_logs_and_checkpoints_leave_the_weights_as_they_are(
    tmp_path, data, trunk, dense_encoder, undisturbed, monkeypatch
):
    """Their model has dropout, so any random number that they draw changes the next step."""

    def measured(*_, **__):
        torch.rand(3)
        return {"nDCG@10": 0.5}

    monkeypatch.setattr(validation, "measure_model", measured)
    monkeypatch.setattr(trainer, "measure_model", measured)
    settings = all_phases(dense_encoder)
    settings["optimization"] |= {"checkpoint": 5, "log": 3}
    cache = str(undisturbed.model.parent)
    watched = run(tmp_path, data, trunk, **settings, cache=cache, validation=validated_on(data, every=1), keep="last")
    assert are_equal(watched.model, undisturbed.model)


# ---- collapse ----


COLLAPSING: dict[str, Any] = {
    "sparsity": {"query_weight": 1e5, "document_weight": 1e5, "ramp": 1.0},
    "optimization": {"steps": 60, "learning_rate": 0.05, "head_learning_rate": 0.05, "checkpoint": 1},
}


def test_a_collapse_stops_the_training_and_leaves_the_last_good_model(tmp_path, data, base):
    with pytest.raises(
        TrainingError,
        match=r"have no active terms since step \d+ \(of 60\)\. Lower sparsity\.query_weight \(100000\).*"
        r"learning_rate \(0\.05\).*overwrite=True\. The model of step \d+ is in .*out/model",
    ) as caught:
        run(tmp_path, data, base, **COLLAPSING)
    step = int(str(caught.value).split("The model of step ")[1].split()[0])
    model = tmp_path / "out/model"
    assert SpladeEncoder(model, device="cpu", dtype="float32").encode_documents(["The heart has a valve."])[0]
    card = (model / "README.md").read_text()
    assert "**The training did not finish: " in card
    assert (
        f"This is the model after step {step} of 60, kept because it is the last checkpoint before the training stopped."
        in card
    )
    assert json.loads((model / "training.json").read_text())["kept_step"] == step
    assert not (tmp_path / "out/figures.json").exists()  # the run is not finished


def test_a_threshold_that_removes_all_terms_is_refused_and_costs_nothing(tmp_path, data, base):
    with pytest.raises(TrainingError, match=r"with sparsity\.threshold \(1000\), .* have no active terms\. Lower it"):
        run(tmp_path, data, base, sparsity={"threshold": 1000.0})
    assert SpladeEncoder(tmp_path / "out/model", device="cpu").encode_documents(["The heart has a valve."])[0]


def silenced(base, folder, amount=1000.0):
    shutil.copytree(base, folder)
    weights = weights_of(base)
    weights["cls.predictions.bias"] -= amount
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_base_without_terms_is_refused_before_the_first_step(tmp_path, data, base):
    with pytest.raises(
        TrainingError, match=r"before the first step, .* have no active terms\. Set head\.initial_terms"
    ):
        run(tmp_path, data, silenced(base, tmp_path / "silent"))


@pytest.mark.parametrize("amount", [30.0, 1e9])
def test_an_empty_model_scores_0(tmp_path, data, base, amount):
    """1e9 also makes the logits of all texts the same, so that no encoder loads it."""
    settings = Validation(**validated_on(data), measures=("nDCG@10", "R@100"))
    silent = silenced(base, tmp_path / "silent", amount)
    figures = measure_model(silent, settings, tmp_path / "work", device="cpu", dtype="float32")
    assert figures == dict.fromkeys(("nDCG@10", "R@100", "query_terms", "document_terms", "flops"), 0.0)


def test_a_model_that_is_the_same_for_every_text_has_collapsed():
    assert Active(3.0, 4.0, is_constant=True).fault == "all passages have the same weights"
    assert Active(float("nan"), 4.0).fault == "weights of queries are not finite"
    assert Active(None, 4.0).fault is None


# ---- which model is kept ----


def test_the_best_validated_model_is_kept_also_after_an_interruption(tmp_path, data, base, monkeypatch):
    """Step 4 is best and step 6 is as good; the run is stopped after step 6 was validated, before its checkpoint."""
    values = {2: 0.3, 4: 0.65, 6: 0.65, 7: 0.1}
    seen: list[int] = []
    original = validation.IndexEvaluator.__call__

    def watched(self, *arguments, steps=-1, **options):
        seen.append(steps)
        return original(self, *arguments, steps=steps, **options)

    monkeypatch.setattr(validation.IndexEvaluator, "__call__", watched)
    monkeypatch.setattr(validation, "measure_model", lambda *_, **__: {"nDCG@10": values[seen[-1]], "flops": 1.0})
    monkeypatch.setattr(trainer, "measure_model", lambda *_, **__: {"nDCG@10": 0.65, "flops": 1.0})
    settings: dict[str, Any] = {
        "validation": validated_on(data, every=2),
        "optimization": {"steps": 7, "checkpoint": 3},
    }
    for name in ("all", "best"):
        (tmp_path / name).mkdir()
    everything = run(tmp_path / "all", data, base, **settings, keep="all")
    kept = tmp_path / "all/out/round-1/validated"
    assert sorted(path.name for path in kept.iterdir()) == ["step-2", "step-4", "step-6", "step-7"]
    assert are_equal(everything.model, kept / "step-4")
    assert not are_equal(everything.model, kept / "step-6")
    seen.clear()
    with monkeypatch.context() as patched:
        patched.setattr(*stop_in(ValidatedModels, "add", lambda _, step, *__: step == 6))
        with pytest.raises(Stop):
            run(tmp_path / "best", data, base, **settings)
    assert [path.name for path in (tmp_path / "best/out/round-1/validated").iterdir()] == ["step-4"]
    best = run(tmp_path / "best", data, base, **settings)
    assert seen == [2, 4, 6, 4, 6, 7]
    assert are_equal(best.model, everything.model)
    card = (best.model / "README.md").read_text()
    assert "This is the model after step 4 of 7, kept because its nDCG@10 of 0.6500 was the best" in card
    assert not (tmp_path / "best/out/round-1/validated").exists()
    logged = (tmp_path / "best/out/curves.csv").read_text().splitlines()
    assert len([line for line in logged if ",validation," in line]) == 4
    assert (tmp_path / "best/out/curves.png").read_bytes().startswith(b"\x89PNG")


def test_keeping_the_best_needs_validations(tmp_path, data, base):
    for changes in ({}, {"validation": validated_on(data)}):
        with pytest.raises(ConfigError, match=r"keep: best needs models to be validated.*validation\.every"):
            read_config(write_config(tmp_path, data, base, keep="best", **changes))


# ---- lengths ----


@pytest.mark.parametrize(
    ("config", "accepted"),
    [
        (BertConfig(max_position_embeddings=64), 64),
        (DistilBertConfig(max_position_embeddings=64), 64),
        (RobertaConfig(max_position_embeddings=66, pad_token_id=1), 64),
        (XLMRobertaConfig(max_position_embeddings=66, pad_token_id=1), 64),
        (RobertaConfig(max_position_embeddings=65, pad_token_id=0), 64),
    ],
)
def test_both_sides_fit_the_positions_of_each_architecture(tmp_path, config, accepted):
    config.save_pretrained(tmp_path)
    fitting = Optimization(max_length=accepted, query_max_length=accepted)
    check_base_lengths(tmp_path, fitting, has_network_queries=True)
    for side, texts in (("max_length", "passages"), ("query_max_length", "queries")):
        longer = fitting.model_copy(update={side: accepted + 1})
        with pytest.raises(
            ConfigError,
            match=rf"{texts} of 65 tokens are too long for the base, which accepts 64\. Lower optimization\.{side}",
        ):
            check_base_lengths(tmp_path, longer, has_network_queries=True)
    check_base_lengths(
        tmp_path, fitting.model_copy(update={"query_max_length": 1000}), has_network_queries=False
    )  # SPLADE-doc


def test_queries_and_teachers_that_are_too_long_are_refused_before_anything_is_made(
    tmp_path, data, base, dense_encoder
):
    for changes, message in (
        ({"optimization": {"query_max_length": 65}}, r"queries of 65 tokens .* Lower optimization\.query_max_length"),
        (
            {"teacher": {"dense": str(dense_encoder)}},
            r"texts of 128 tokens are too long for the dense encoder .* Lower teacher\.",
        ),
        ({"teacher": {"cross_encoder": str(base)}}, r"pairs of 128 tokens are too long for the cross-encoder"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(tmp_path, data, base, **changes)
    assert not (tmp_path / "out").exists()


def test_a_teacher_of_an_unknown_architecture_is_checked_by_what_its_file_says(tmp_path, data, base):
    teacher = tmp_path / "teacher"
    (teacher / "0_Network").mkdir(parents=True)
    (teacher / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "0_Network", "type": "my.Network"}])
    )
    (teacher / "0_Network/config.json").write_text(json.dumps({"model_type": "mine", "max_position_embeddings": 100}))
    with pytest.raises(
        ConfigError, match=r"texts of 128 tokens are too long for the dense encoder .*, which accepts 100"
    ):
        run(tmp_path, data, base, teacher={"dense": str(teacher)})
    (teacher / "modules.json").write_text("[")
    with pytest.raises(ModelError, match=r"modules\.json: invalid JSON"):
        run(tmp_path, data, base, teacher={"dense": str(teacher)})


# ---- what is seen while it runs ----


def test_a_line_says_all_that_matters():
    figures = {
        "loss": 1.23456, "margin_mse": 1.0, "kl": 0.2, "document_regularizer_loss": 0.03, "query_regularizer_loss": 0.00456,
        "grad_norm": 3.0, "query_terms": 12.3, "document_terms": 123.4,
        "flops": 0.5, "score_scale": 0.1, "last nDCG@10": 0.4512, "last_validation": 200.0, "seconds_left": 754.0,
    }  # fmt: skip
    assert "  ".join(_describe_step(figures)) == (
        "loss 1.235 (margin_mse 1.000, kl 0.200, query FLOPS 0.005, document FLOPS 0.030)  query terms 12  document terms 123  FLOPS 0.50  scale 0.100  "
        "last nDCG@10 0.4512 at step 200  13 min left"
    )


def test_curves_count_a_repeated_step_once(tmp_path, monkeypatch, caplog):
    lines = [
        {"time": 1, "stage": "splade", "round": 1, "step": 1, "loss": 3.0, "query_terms": 9.0, "flops": 2.0},
        {"time": 2, "stage": "splade", "round": 1, "step": 2, "loss": 9.0, "query_terms": 9.0, "flops": 2.0},
        {"time": 3, "stage": "splade", "round": 1, "step": 2, "loss": 2.0, "query_terms": 8.0, "flops": 1.0},
        {"time": 4, "stage": "validation", "round": 1, "step": 2, "nDCG@10": 0.5, "flops": 0.7},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    curves.draw_curves(log)
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["stage"], row["step"], row["loss"], row["nDCG@10"]) for row in rows] == [
        ("splade", "1", "3.0", ""), ("splade", "2", "2.0", ""), ("validation", "2", "", "0.5"),
    ]  # fmt: skip
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "curves.png").unlink()

    def missing(_):
        raise MissingDependencyError("matplotlib is not installed.")

    monkeypatch.setattr(curves, "check_figure", missing)
    monkeypatch.setattr(curves, "_noted", set())
    for _ in range(2):
        curves.draw_curves(log)
    assert not (tmp_path / "curves.png").exists()
    assert caplog.text.count("curves.png is not drawn: matplotlib is not installed.") == 1


def test_a_tracker_gets_every_figure(tmp_path, data, base, monkeypatch):
    """The tracker is registered with transformers, as its built-in ones are."""
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    seen: list[dict[str, float]] = []

    class Tracker(TrainerCallback):
        def on_log(self, _args, _state, _control, logs=None, **_):
            seen.append(logs)

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "notebook", Tracker)
    monkeypatch.setattr("splade_lucene.training.trackers.get_available_reporting_integrations", lambda: ["notebook"])
    with pytest.raises(ConfigError, match=r"report_to: nothing is not installed .* which finds notebook"):
        run(tmp_path, data, base, report_to=["nothing"])
    run(tmp_path, data, base, report_to="notebook")
    steps = [logs for logs in seen if "loss" in logs]
    assert len(steps) == 4
    assert all(
        {"query_terms", "document_terms", "flops", "probe_document_terms", "contrastive"} <= set(each) for each in steps
    )


def test_tensorboards_files_outlive_the_checkpoints(tmp_path, data, base):
    run(tmp_path, data, base, report_to=["tensorboard"])
    (path,) = (tmp_path / "out/tensorboard/round-1").glob("events.out.tfevents.*")
    steps: dict[str, list[int]] = {}
    for event in tensorboard_events(path.read_bytes()):
        for value in event.summary.value:
            steps.setdefault(value.tag, []).append(event.step)
    assert steps["train/loss"] == [1, 2, 3, 4]
    assert {"train/flops", "train/query_terms", "train/contrastive"} <= steps.keys()


def tensorboard_events(content):
    """The events of a file: each is preceded by its length and a checksum, and followed by a checksum."""
    at = 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 8], "little")
        yield event_pb2.Event.FromString(content[at + 12 : at + 12 + length])
        at += 16 + length


# ---- the card ----


def card_of(tmp_path, files, base, losses, **changes):
    config = read_config(write_config(tmp_path, files, base, **changes))
    recipe = RECIPES[config.recipe]
    report = TrainingDataReport(40, 40, 40, 0, 4, 4, 3, 24, 0.0, dropped={"blank queries": 2})
    choice = Choice(4, "it is the last one")
    write_card(tmp_path, config, Facts({}, 40, 40, losses, recipe, choice, "float32", 0.05, data=report))
    return (tmp_path / "README.md").read_text()


def test_a_card_names_the_losses_and_weights_in_force_and_nothing_else(tmp_path, data, base):
    text = card_of(
        tmp_path, data, base, Losses(margin_mse=0.05, in_batch_kl=1.0), recipe="distilsplade-max",
        sparsity={"query_weight": 0.02, "document_weight": 0.003, "document_terms": 150},
    )  # fmt: skip
    for row in (
        "| dropped | blank queries: 2 |",
        "| `margin_mse`: MarginMSE over a query's own passages (arXiv 2010.02666) | 0.05 |",
        "| FLOPS of queries (arXiv 2004.05665) | 0.02 |",
        "| FLOPS of documents (arXiv 2004.05665), adapted to 150 active terms | 0.003 |",
    ):
        assert row in text
    assert json.loads((tmp_path / "training.json").read_text())["data"]["dropped"] == "blank queries: 2"
    assert "`contrastive`" not in text
    assert "in_batch_kl: 1.0" in text  # the recipe's losses, which the configuration does not name
    for absent in (
        "dense_weight",
        "cross_encoder_weight",
        "scores_weight",
        "mlm_steps",
        "splade: 50",
        "query_terms",
        "mask_known_positives",
        "missing_scores",
        "ignored_keys",
    ):
        assert absent not in text, absent


def test_a_card_says_where_the_weights_of_flops_ended_and_what_to_think_of_the_figures(tmp_path, data, base):
    settings: dict[str, Any] = {"sparsity": {"query_terms": 5, "gain": 0.5}, "optimization": {"steps": 3}}
    result = run(tmp_path, data, base, **settings, validation=validated_on(data, every=2))
    text = (result.model / "README.md").read_text()
    factor = math.exp(0.5 * 3 * math.log(250 / 5))  # three steps without a ramp, with about 250 terms
    (row,) = [line for line in text.splitlines() if line.startswith("| FLOPS of queries")]
    end = float(row.split(" 0.03, ")[1].split(" at the end")[0])
    assert 0.2 < end / (0.03 * factor) < 5
    assert "adapted to 5 active terms" in row
    assert "| FLOPS of documents (arXiv 2004.05665) | 0.003 |" in text
    assert "The step was chosen by the first of these figures" in text
    assert f"{count_trained(result.model.parent, data)} of 27 queries are also trained on." in text
    assert "| active terms per query | " in text
    for absent in ("threshold", "base_share", "checkpoint:", "log:"):
        assert absent not in text, absent


def count_trained(folder, files):
    """Different texts of the queries for which examples were mined."""
    queries = dict(line.split("\t") for line in (files / "queries.tsv").read_text().splitlines())
    with gzip.open(folder / "round-1/examples.jsonl.gz", "rt") as lines:
        count = len({queries[json.loads(line)["qid"]] for line in lines})
    assert 1 < count < 27
    return count


def test_a_finished_model_is_measured_and_described_again_on_other_validation_data(tmp_path, data, base):
    files = shutil.copytree(data, tmp_path / "files")
    (files / "few.tsv").write_text("q0\twhat about a heart\nq1\tan index\n")
    (files / "qrels.txt").write_text("q0 0 d1 1\nq1 0 d2 1\n")
    few = validated_on(files, topics=str(files / "few.tsv"))
    first = run(tmp_path, data, base, validation=few)
    weights = (first.model / "model.safetensors").read_bytes()
    (files / "qrels.txt").write_text("q0 0 d0 1\n")  # at the same path
    second = run(tmp_path, data, base, validation=few)
    assert second.figures != first.figures
    card = (second.model / "README.md").read_text()
    assert "| validation queries | 1 different text, 0 of them also trained on |" in card
    third = run(tmp_path, data, base, validation=validated_on(data))
    card = (third.model / "README.md").read_text()
    trained = count_trained(third.model.parent, data)
    assert f"| validation queries | 27 different texts, {trained} of them also trained on |" in card
    assert "| validation | corpus.jsonl, queries.tsv, qrels.txt; at the end |" in card
    assert (third.model / "model.safetensors").read_bytes() == weights


def test_a_card_of_splade_doc_has_nothing_of_queries(tmp_path, data, base):
    triples = tmp_path / "triples.jsonl"
    triples.write_text('{"qid": "q0", "positive_id": "d0", "negative_id": "d1"}\n')
    settings = {"data": {"examples": str(triples)}, "teacher": None, "recipe": "splade-doc"}
    text = card_of(tmp_path, data, base, Losses(contrastive=1.0), **settings)
    assert "Queries are bags of their tokens" in text
    assert "FLOPS of queries" not in text
    for absent in ("query_weight", "query_max_length", "mining", "teacher:", "gain"):
        assert absent not in text, absent


def test_a_card_names_what_was_done_to_the_head(tmp_path, undisturbed):
    text = (undisturbed.model / "README.md").read_text()
    for line in ("mlm_steps: 6", "initial_terms: 500"):
        assert line in text
    assert Path(undisturbed.model.parent, "curves.csv").is_file()
