"""Encoding and training on an NVIDIA GPU; skipped where there is none. It needs no JVM.

python -m pytest tests/test_gpu.py tests/test_fused.py
"""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from support.encoders import settings_by_name
from support.gpu import needs_gpu

from splade_lucene import Quantizer, SpladeEncoder, encode_corpus, read_corpus

pytestmark = needs_gpu
pytest_plugins = ("support.training",)

RULE = Quantizer.named("pyserini")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Texts of all lengths: Python's documentation."""
    found = [document.text for document in read_corpus("python-docs")]
    return found[:: len(found) // 600]


def encoder_on(device: str, dtype: str, **settings) -> SpladeEncoder:
    return SpladeEncoder(
        **settings_by_name(device=device, dtype=dtype, query_dtype=dtype, query_backend="torch", **settings)
    )


def impacts(encoder: SpladeEncoder, texts: list[str]) -> list[dict[str, int]]:
    return list(encoder.encode_impacts(encoder.tokenize_documents(texts), RULE))


def differences(one, other) -> np.ndarray:
    """Of the impacts of all terms that either side has."""
    return np.array(
        [abs(a.get(term, 0) - b.get(term, 0)) for a, b in zip(one, other, strict=True) for term in a.keys() | b.keys()]
    )


@pytest.fixture(scope="module")
def expected(texts):
    """The impacts of the CPU in float32."""
    return impacts(encoder_on("cpu", "float32"), texts)


def test_auto_takes_the_gpu_and_its_native_precision():
    encoder = SpladeEncoder()
    assert encoder.device.type == "cuda"
    assert encoder.dtype == "bfloat16"


def test_impacts_in_float32_are_the_cpus(texts, expected):
    encoder = encoder_on("cuda", "float32")
    found = differences(impacts(encoder, texts), expected)
    assert len(found) > 10_000
    assert (found > 0).mean() <= 2 / 10_000
    assert found.max() <= 1


def test_impacts_in_bfloat16_are_near(texts, expected):
    encoder = encoder_on("cuda", "bfloat16")
    assert encoder.document_network._is_fused
    found = differences(impacts(encoder, texts), expected)
    assert found.mean() < 1
    assert np.quantile(found, 0.999) <= 8


def test_queries_and_single_texts(texts):
    encoder, other = encoder_on("cuda", "float32"), encoder_on("cpu", "float32")
    for query in ("how do I sort a list", "", "open file"):
        assert differences([RULE.quantize_vector(encoder.encode_queries([query])[0], "query")],
                           [RULE.quantize_vector(other.encode_queries([query])[0], "query")]).sum() == 0  # fmt: skip


def test_two_processes_on_the_gpu_write_what_one_writes(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    documents = [document for document, _ in zip(read_corpus("python-docs"), range(3000), strict=False)]
    corpus.write_text("".join(json.dumps({"id": each.docid, "contents": each.text}) + "\n" for each in documents))
    encoder = encoder_on("cuda", "float32")
    encode_corpus(corpus, tmp_path / "one", encoder, RULE)
    encode_corpus(corpus, tmp_path / "two", encoder, RULE, devices=["cuda:0", "cuda:0"])
    names = sorted(path.name for path in (tmp_path / "one").glob("*.jsonl*"))
    assert names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_batch_that_does_not_fit_is_halved(texts, expected, caplog):
    import torch

    encoder = encoder_on("cuda", "float32", batch_tokens=1 << 22)
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (200 << 20)) / total)
    try:
        with caplog.at_level(logging.WARNING):
            found = impacts(encoder, texts)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "halving the batch" in caplog.text
    assert (differences(found, expected) > 0).mean() <= 2 / 10_000


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_resumes_on_the_gpu(tmp_path, data, base, precision, monkeypatch):
    from support.training import weights_of, write_config

    from splade_lucene.training import read_config, resuming, train

    examples = tmp_path / "lists.jsonl"
    lists = [
        {"qid": f"q{i}", "docids": [f"d{i}", f"d{(i + 1) % 40}", f"d{(i + 2) % 40}"], "scores": [9.0, 3.0, 1.0]}
        for i in range(40)
    ]
    examples.write_text("".join(json.dumps(each) + "\n" for each in lists))
    paths = {"passages": str(data / "corpus.jsonl"), "queries": str(data / "queries.tsv"), "examples": str(examples)}
    settings = {"data": paths, "teacher": None, "recipe": "distilsplade-max",
                "optimization": {"steps": 12, "checkpoint": 4, "precision": precision}}  # fmt: skip

    def run(name: str):
        (tmp_path / name).mkdir(exist_ok=True)
        return train(read_config(write_config(tmp_path / name, data, base, **settings)), device="cuda")

    undisturbed = run("a")

    class Stop(Exception):  # noqa: N818
        pass

    whole = resuming.MarkComplete.on_save

    def stop_after_eight(self, args, state, *rest, **more):
        whole(self, args, state, *rest, **more)
        if state.global_step == 8:
            raise Stop

    monkeypatch.setattr(resuming.MarkComplete, "on_save", stop_after_eight)
    with pytest.raises(Stop):
        run("b")
    monkeypatch.undo()
    resumed = run("b")
    start, one, other = weights_of(base), weights_of(undisturbed.model), weights_of(resumed.model)
    moved = sum(float((one[name] - start[name]).norm()) ** 2 for name in one) ** 0.5
    apart = sum(float((one[name] - other[name]).norm()) ** 2 for name in one) ** 0.5
    assert 0 < moved < float("inf")
    assert apart < 0.1 * moved  # sums on a GPU have no fixed order, so not bit by bit
    lines = [json.loads(line) for line in (tmp_path / "b/out/log.jsonl").read_text().splitlines() if '"loss"' in line]
    assert [line["step"] for line in lines] == list(range(1, 13))
