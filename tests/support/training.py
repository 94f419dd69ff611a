"""Training runs at toy size; test modules get the fixtures with ``pytest_plugins``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from splade_lucene.training import curves, read_config, train
from support.checkpoints import bert

TOPICS = ["heart", "index", "plant", "court", "python", "river", "music", "engine"]
WORDS = {
    "heart": "blood vein artery pulse valve", "index": "term posting query document search",
    "plant": "leaf sunlight sugar root flower", "court": "law judge constitution ruling jury",
    "python": "function class module loop string", "river": "water bank delta flood stream",
    "music": "melody chord rhythm song note", "engine": "fuel piston cylinder motor gear",
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folder of :func:`write_training_data`."""
    return write_training_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny masked-language model."""
    return bert(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def dense_encoder(base, tmp_path_factory):
    """A dense encoder of sentence-transformers with random weights."""
    return write_dense_encoder(base, tmp_path_factory.mktemp("dense"))


@pytest.fixture
def without_plots(monkeypatch):
    """Each run would spend a third of a second on a plot; tests/test_training_trust.py draws it."""
    monkeypatch.setattr(curves, "_draw", lambda *_: None)


def write_training_data(folder: Path) -> Path:
    """Forty passages on eight topics, and a query for each."""
    source = np.random.default_rng(5)
    passages, queries, qrels = [], [], []
    for number in range(40):
        topic = TOPICS[number % 8]
        words = source.choice(WORDS[topic].split(), 4)
        passages.append({"_id": f"d{number}", "text": f"The {topic} has a {' and a '.join(words)}."})
        queries.append(f"q{number}\twhat about the {words[0]} of a {topic}\n")
        qrels.append(f"q{number} 0 d{number} 1\n")
    (folder / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in passages))
    (folder / "queries.tsv").write_text("".join(queries))
    (folder / "qrels.txt").write_text("".join(qrels))
    return folder


def write_config(folder, files, base, **changes):
    settings: dict[str, Any] = {
        "recipe": "splade-max", "base": str(base), "output": str(folder / "out"),
        "data": {"passages": str(files / "corpus.jsonl"), "queries": str(files / "queries.tsv")},
        "teacher": {"bm25": 1.0}, "mining": {"bm25": 20, "positives": 1},
        "optimization": {"steps": 4, "queries": 4, "passages": 3, "max_length": 24, "checkpoint": 2, "log": 1,
                         "precision": "float32"},
    }  # fmt: skip
    for key, value in changes.items():
        settings[key] = {**settings[key], **value} if isinstance(settings.get(key), dict) and value else value
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def run(folder, files, base, **changes):
    return train(read_config(write_config(folder, files, base, **changes)), device="cpu")


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def write_dense_encoder(network: Path, folder: Path) -> Path:
    """Saves a dense encoder of sentence-transformers, which pools a network's hidden states."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    trunk = Transformer(str(network))
    encoder = SentenceTransformer(modules=[trunk, Pooling(trunk.get_embedding_dimension())], device="cpu")
    encoder.save_pretrained(str(folder))
    return folder
