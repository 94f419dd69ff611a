"""The output folder of a training run: what it never touches, what it refuses, and what may change."""

import fcntl
import json
import shutil
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from support.checkpoints import bert
from support.training import run, weights_of, write_config

from splade_lucene.errors import ConfigError, ModelError, RunError, SpladeLuceneError
from splade_lucene.training import read_config, train
from splade_lucene.training.output_folder import OutputFolder, describe_run

pytest_plugins = ("support.training",)
pytestmark = pytest.mark.usefixtures("without_plots")


def claim(config, overwrite=False):
    with OutputFolder(config).claimed(overwrite=overwrite) as before:
        OutputFolder(config).write_settings("float32")
        return before


@pytest.fixture
def config(tmp_path, data, base):
    return read_config(write_config(tmp_path, data, base))


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path, config):
    folder = tmp_path / "out"
    (folder / "model").mkdir(parents=True)
    (folder / "model/mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"unrelated files \(model\).*separate folder"):
            train(config, device="cpu", overwrite=overwrite)
    assert [path.name for path in folder.rglob("*")] == ["model", "mine.txt"]


@pytest.mark.parametrize("name", ["base", "data.passages", "validation.corpus"])
def test_inputs_in_the_output_folder_are_refused_and_left_alone(tmp_path, data, base, name):
    folder = tmp_path / "out"
    claim(read_config(write_config(tmp_path, data, base)))  # the folder is a run's
    shutil.copytree(base, folder / "base")
    shutil.copytree(data, folder / "validation")
    own = folder / "validation"
    cases: dict[str, dict[str, Any]] = {
        "base": {"base": str(folder / "base")},
        "data.passages": {"data": {"passages": str(own / "corpus.jsonl")}},
        "validation.corpus": {"validation": {
            "corpus": str(own / "corpus.jsonl"), "topics": str(data / "queries.tsv"), "qrels": str(data / "qrels.txt"),
        }},
    }  # fmt: skip
    changes = cases[name]
    config = read_config(write_config(tmp_path, data, changes.pop("base", base), **changes))
    with pytest.raises(ConfigError, match=rf"{name} .* is inside the output folder"):
        train(config, device="cpu", overwrite=True)
    assert (own / "corpus.jsonl").read_bytes() == (data / "corpus.jsonl").read_bytes()
    assert (folder / "base/model.safetensors").is_file()


def test_a_settings_file_of_somebody_else_does_not_make_a_folder_a_runs(tmp_path, config):
    (tmp_path / "out/model").mkdir(parents=True)
    (tmp_path / "out/settings.json").write_text('{"theme": "dark"}')
    with pytest.raises(ConfigError, match=r"unrelated files \(model, settings\.json\)"):
        claim(config, overwrite=True)
    assert (tmp_path / "out/model").is_dir()


def test_two_processes_do_not_train_into_one_folder(tmp_path, config):
    claim(config)
    with (tmp_path / "out/splade-lucene.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process is training into this folder"):
            train(config, device="cpu")
    assert claim(config)["recipe"] == "splade-max"


def test_a_damaged_settings_file_is_named(tmp_path, config):
    claim(config)
    (tmp_path / "out/model").mkdir()
    for text in ('{"recipe": "spl', "{}", "[]", '{"settings": 3}'):
        (tmp_path / "out/settings.json").write_text(text)
        with pytest.raises(
            ConfigError, match=r"settings\.json: cannot read the settings of the earlier run.*pass overwrite=True"
        ):
            claim(config)
        assert (tmp_path / "out/model").is_dir()
    assert claim(config, overwrite=True) == {}
    assert claim(config)["base"] == describe_run(config)["base"]


def test_what_does_not_change_the_model_may_change(tmp_path, data, base):
    first = read_config(write_config(tmp_path, data, base))
    claim(first)
    moved = tmp_path / "elsewhere"
    shutil.copytree(data, moved / "data")
    shutil.copytree(base, moved / "base")
    same = read_config(write_config(tmp_path, moved / "data", moved / "base", optimization={"log": 3, "checkpoint": 7}))
    assert claim(same)
    (moved / "data/queries.tsv").write_text("q0\tanother query\n")
    with pytest.raises(ConfigError, match=r"\(data\.queries was \w{8} …, is now \w{8} …\)"):
        claim(same)


def test_changed_weights_and_scores_are_noticed(tmp_path, data):
    own = bert(tmp_path / "base")
    scores = tmp_path / "scores.trec"
    scores.write_text("q0 Q0 d0 1 2.0 x\n")
    config = read_config(write_config(tmp_path, data, own, teacher={"scores": str(scores)}))
    claim(config)
    scores.write_text("q0 Q0 d0 1 3.0 x\n")
    with pytest.raises(ConfigError, match=r"\(teacher\.scores was"):
        claim(config)
    claim(config, overwrite=True)
    weights = load_file(own / "model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, own / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"\(base was"):
        claim(config)


def test_a_changed_dropout_or_tokenizer_of_the_base_is_noticed(tmp_path, data):
    own = bert(tmp_path / "base")
    config = read_config(write_config(tmp_path, data, own))
    claim(config)
    for name, key, value in (
        ("config.json", "hidden_dropout_prob", 0.3), ("tokenizer_config.json", "do_lower_case", False),
    ):  # fmt: skip
        text = (own / name).read_text()
        (own / name).write_text(json.dumps({**json.loads(text), key: value}))
        with pytest.raises(
            ConfigError, match=r"different settings \(the base's configuration and tokenizer was \w{8} …"
        ):
            claim(config)
        (own / name).write_text(text)
    assert claim(config)


def test_overwrite_starts_anew_though_nothing_changed(tmp_path, data, base):
    first = run(tmp_path, data, base)
    before = weights_of(first.model)
    save_file(
        {name: tensor * 0 for name, tensor in before.items()}, first.model / "model.safetensors", {"format": "pt"}
    )
    config = read_config(write_config(tmp_path, data, base))
    train(config, device="cpu")
    assert not any(tensor.any() for tensor in weights_of(first.model).values())  # it is finished
    train(config, device="cpu", overwrite=True)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights_of(first.model).items())


def test_what_cannot_end_well_is_refused_before_anything_is_made(tmp_path, data, base):
    files = {"corpus": data / "corpus.jsonl", "topics": data / "queries.tsv", "qrels": data / "qrels.txt"}
    good = {name: str(path) for name, path in files.items()}
    broken = tmp_path / "broken.jsonl"
    broken.write_text((data / "corpus.jsonl").read_text() + '{"_id": "last", "te')
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    paths = {"passages": str(data / "corpus.jsonl"), "queries": str(data / "queries.tsv")}
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"data": {**paths, "passages": str(empty)}}, SpladeLuceneError, r"empty\.jsonl: no passages found"),
        ({"optimization": {"passages": 41}}, ConfigError, "41 passages, but the collection has only 40"),
        ({"validation": {**good, "corpus": str(broken)}}, SpladeLuceneError, r"broken\.jsonl:41"),
        ({"own": tmp_path / "none"}, ModelError, "none"),
        ({"optimization": {"max_length": 900}}, ConfigError, "passages of 900 tokens are too long"),
        ({"teacher": {"scores": str(tmp_path / "none.trec")}}, RunError, r"none\.trec"),
        ({"teacher": {"dense": str(tmp_path / "none")}}, ModelError, "cannot load a dense encoder"),
        ({"teacher": {"cross_encoder": str(tmp_path / "none")}}, ModelError, "cannot load a cross-encoder"),
    ]
    for changes, error, message in cases:
        with pytest.raises(error, match=message):
            run(tmp_path, data, changes.pop("own", base), **changes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimization: {steps: true}", r"optimization\.steps.*got true"),
        ("optimization: {seed: 4294967296}", r"optimization\.seed.*less than 4294967296"),
        ("data: {passages: a, queries: b, temperature: 2}", r"data\.temperature applies to scores in data\.examples"),
        ("base: 2026-13-45", r"invalid YAML \(month must be in 1\.\.12\)"),
        ("validation: {corpus: a, topics: b, qrels: c, measures: []}", r"validation\.measures.*at least 1 item"),
    ],
)
def test_odd_values_are_named(tmp_path, data, base, line, message):
    settings = yaml.safe_load(write_config(tmp_path, data, base).read_text())
    key = line.partition(":")[0]
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in settings.items() if name != key}) + line + "\n")
    with pytest.raises(ConfigError, match=message):
        read_config(path)


def test_a_card_names_no_folder_of_its_maker(tmp_path, data, base):
    files = {"corpus": data / "corpus.jsonl", "topics": data / "queries.tsv", "qrels": data / "qrels.txt"}
    result = run(tmp_path, data, base, validation={name: str(path) for name, path in files.items()})
    for name in ("README.md", "training.json"):
        text = (result.model / name).read_text()
        assert "corpus.jsonl" in text
        assert str(data.parent) not in text
    assert "base_model" not in (result.model / "README.md").read_text()
    assert json.loads((tmp_path / "out/figures.json").read_text())["figures"] == result.figures


def test_what_splade_doc_made_can_be_a_base(tmp_path, data, base):
    first = run(tmp_path, data, base, recipe="splade-doc")
    second = run(tmp_path, data, first.model, recipe="splade-max", output=str(tmp_path / "second"))
    assert (second.model / "model.safetensors").is_file()
