"""A light installation (requirements-search.txt): what it can do, its errors for the rest, and whether the file lists all requirements.

The commands run in processes that find no package but those that the file brings, so that these tests mean the same in the
light environment, where they also show that the file's packages are enough, and in the whole one.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from support.processes import ROOT, child_environment

from splade_lucene import Quantizer, QuerySettings, SpladeEncoder
from splade_lucene.imports import LEFT_OUT

pytestmark = pytest.mark.process

ALONE = """
import sys

class Light:
    "Finds what another finder does, but none of the hidden ones."
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name in hidden else self.finder.find_spec(name, path, target)

hidden = set(sys.argv.pop(1).split())
sys.meta_path[:] = map(Light, sys.meta_path)
from splade_lucene.cli import main
main()
"""


def listed(file: str = "requirements-search.txt") -> list[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [normal(line) for line in lines if line and not line.startswith(("#", "--constraint "))]


def alone() -> list[str]:
    return listed("requirements-search-alone.txt")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required() -> set[str]:
    """What setup.cfg requires."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split()
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in lines}


@pytest.fixture(scope="module")
def hidden() -> str:
    """The top-level modules that are here but would not be in a fresh environment with the file's packages."""
    found, waiting = {"splade-lucene", *alone()}, listed()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or ():
            if "extra ==" not in line and _is_here(required := normal(re.match(r"[\w.-]+", line)[0])):
                waiting.append(required)
    owners = metadata.packages_distributions()
    return " ".join(module for module, names in owners.items() if {normal(name) for name in names}.isdisjoint(found))


def _is_here(name: str) -> bool:
    """Whether a package is installed: those for other platforms and Pythons are not."""
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("light")
    documents = [
        {"id": "d1", "contents": "The heart pumps blood.", "vector": {"blood": 182, "heart": 210, "pump": 90}},
        {"id": "d2", "contents": "Plants turn sunlight into sugar.", "vector": {"plant": 150, "sugar": 160}},
    ]
    (folder / "documents.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))
    (folder / "corpus.tsv").write_text("".join(f"{each['id']}\t{each['contents']}\n" for each in documents))
    (folder / "topics.tsv").write_text("q1\tblood circulation\nq2\thow do plants make food\n")
    (folder / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d2 1\n")
    return folder


@pytest.fixture
def light(folder, hidden):
    """Runs a command in the folder."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", ALONE, hidden, *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=folder,
            env=child_environment(PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


EMBEDDED = ("--model", "splade-minilm", "--quantizer", "naver")


@pytest.mark.model
@pytest.mark.slow
def test_it_indexes_searches_for_texts_and_evaluates(light, folder):
    def done(*arguments: object) -> str:
        ran = light(*arguments)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    done("index", "--input", "documents.jsonl", "--index", "index")
    found = json.loads(done("search", "--index", "index", "--query", "blood circulation", *EMBEDDED, "--json"))
    assert [(hit["docid"], hit["score"]) for hit in found] == [("d1", 154 * 182 + 56 * 210)]  # as in README
    done("search", "--index", "index", "--topics", "topics.tsv", *EMBEDDED, "--output", "run.trec")
    measures = json.loads(done("evaluate", "--qrels", "qrels.txt", "--run", "run.trec", "--json"))
    assert "1.0" in str(measures)
    done("build", "--corpus", "corpus.tsv", "--index", "own")
    found = json.loads(done("search", "--index", "own", "--query", "blood circulation", "--json"))
    assert found[0]["docid"] == "d1"
    done("bm25", "index", "--corpus", "corpus.tsv", "--index", "bm25")
    done("bm25", "search", "--index", "bm25", "--topics", "topics.tsv", "--output", "bm25.trec")
    assert (folder / "bm25.trec").read_text().split()[:3] == ["q1", "Q0", "d1"]


IMPACTS = {
    "blood circulation": {
        "circulation": 174, "blood": 154, "flow": 109, "orientation": 109, "ang": 108, "anterior": 86, "veins": 83,
        "muscle": 72, "rotation": 70, "contraction": 69, "vein": 64, "heart": 56, "flows": 56, "hem": 56, "cardiac": 52,
        "reflex": 52, "stomach": 46, "nerves": 39, "artery": 38, "vent": 36, "brain": 34, "bleeding": 32, "limb": 32,
        "##bell": 23, "intake": 22, "##mus": 14, "##tric": 11, "turnout": 3, "cortex": 2,
    },
    "how do I list files": {
        "files": 199, "list": 189, "file": 181, "listing": 143, "##list": 120, "listed": 102, "lists": 100, "filed": 79,
        "pictures": 77, "library": 69, "movies": 69, "images": 66, "directory": 57, "director": 49, "view": 37,
        "##bar": 30, "libraries": 11, "`": 10, "show": 4, "folder": 3,
    },
}  # fmt: skip
"""Computed by torch; tests/test_onnx.py compares the two on many more where torch is installed."""


@pytest.mark.model
def test_queries_have_torchs_impacts():
    encoder = SpladeEncoder(queries=QuerySettings(backend="onnx"), device="cpu")
    vectors = encoder.encode_queries(list(IMPACTS)).quantize(Quantizer.named("naver"), "query")
    for found, expected in zip(vectors, IMPACTS.values(), strict=True):
        assert found == pytest.approx(expected, abs=1)  # at a border of rounding


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("search --index index --query blood --model base", "CHECKPOINT"),
        ("build --corpus corpus.tsv --index built --model base", r"no ONNX file \(expected .* --save DIR --onnx"),
        ("train config.yaml", r"'pip install splade-lucene\[train\]' adds the rest"),
        ("rerank --run run.trec --topics topics.tsv --corpus corpus.tsv --model cross --output out.trec",
         r"'pip install splade-lucene\[rerank\]' adds the rest"),
        ("search --index index --query {} --encoded --engine pyserini",
         r"\w+, which pyserini requires, is not installed\. Install it with 'pip install pyserini'"),
    ],
    ids=lambda value: str(value).split()[0],
)  # fmt: skip
def test_what_it_lacks_is_named_with_the_remedy(light, folder, command, told):
    checkpoint = (
        r"(torch|transformers) is not installed\. A light installation leaves it out; 'pip install splade-lucene' "
        r"adds the rest\. A checkpoint with an ONNX file needs none: run 'splade-lucene models NAME --save DIR --onnx'"
    )
    if not (folder / "index").exists():
        assert light("index", "--input", "documents.jsonl", "--index", "index").returncode == 0
    base = folder / "base"
    if not base.exists():
        base.mkdir()
        (base / "config.json").write_text(
            '{"model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": 5}'
        )
        (base / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
        (base / "model.safetensors").write_bytes(b"")
    (folder / "run.trec").write_text("q1 Q0 d1 1 1 a\n")
    (folder / "config.yaml").write_text("")
    ran = light(*command.split())
    assert ran.returncode == 1
    assert re.search(checkpoint if told == "CHECKPOINT" else told, ran.stderr), ran.stderr
    assert "Traceback" not in ran.stderr


def test_it_lists_what_setup_cfg_requires_but_for_what_it_leaves_out():
    measured = {
        normal(re.match(r"[\w.-]+", line)[0]) for line in metadata.requires("ir_measures") if "extra ==" not in line
    }
    assert {*listed(), *alone()} == required() - LEFT_OUT | measured
    assert {*listed()}.isdisjoint(alone())
    tests = (ROOT / "tests" / "light.txt").read_text(encoding="utf-8").split("\n")
    assert {*listed(), *alone()}.isdisjoint(map(normal, tests))
