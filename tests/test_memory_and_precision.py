"""Encoding stays within a share of the device's memory, whatever the settings; and the precision that each shortcut costs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.checkpoints import plain_network
from support.encoders import settings_by_name
from torch import nn
from transformers import AutoTokenizer

from splade_lucene import (
    DocumentSettings,
    Quantizer,
    QuerySettings,
    SparseWeights,
    SpladeEncoder,
    SpladeQueryEncoder,
    encode_corpus,
    read_pseudo_documents,
)
from splade_lucene.encoder import memory, network, precision
from splade_lucene.encoder.batching import pad
from splade_lucene.encoder.linear import Int8Linear, PackedLinear, can_pack, linear_map
from splade_lucene.encoder.network import Network
from splade_lucene.encoder.pooling import project_and_pool
from splade_lucene.errors import ModelError
from splade_lucene.models import embedded_model_folder
from splade_lucene.records import Turn

RULE = Quantizer.named("naver")
TEXTS = [f"document number {i} about {'cats and ' * (i * 5 % 13)}dogs" for i in range(60)]


@pytest.fixture(scope="module")
def tiny(tiny_model) -> SpladeEncoder:
    return SpladeEncoder(tiny_model, device="cpu", dtype="float32", batch_tokens=4096)


def dense(weights: SparseWeights) -> np.ndarray:
    """Weights by text and term; shape [texts, terms]."""
    rows = np.zeros((len(weights), len(weights.terms)), np.float32)
    rows[np.repeat(np.arange(len(weights)), weights.counts), weights.term_ids] = weights.values
    return rows


def relative_distance(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


# ---- memory ----


class Batches:
    """Records the batches of a network, and refuses those of more than a number of texts."""

    def __init__(
        self, monkeypatch, most: int = 1 << 30, error: type[Exception] = torch.OutOfMemoryError, **words
    ) -> None:
        self.shapes: list[tuple[int, int]] = []  # texts, tokens of the longest
        self.refused = 0
        original = Network.weights

        def weights(network_, sequences, batch):
            if len(batch) > most:
                self.refused += 1
                raise error(words.get("message", "CUDA out of memory. Tried to allocate 20.00 GiB"))
            self.shapes.append((len(batch), max(len(sequences.ids[i]) for i in batch)))
            return original(network_, sequences, batch)

        monkeypatch.setattr(Network, "weights", weights)


@pytest.mark.parametrize("most", [1, 2, 7, 31])
def test_a_batch_that_does_not_fit_is_halved_until_it_does(tiny, monkeypatch, caplog, most):
    expected = dense(tiny.encode_documents(TEXTS))
    batches = Batches(monkeypatch, most)
    told = []
    found = tiny.encode_documents(TEXTS, lambda texts, tokens: told.append((texts, tokens)))
    assert max(texts for texts, _ in batches.shapes) <= most
    assert sum(texts for texts, _ in batches.shapes) == len(TEXTS)
    assert batches.refused
    assert abs(dense(found) - expected).max() < 5e-6
    assert sum(texts for texts, _ in told) == len(TEXTS)
    assert "out of memory: halving the batch from" in caplog.text


def test_an_encoding_that_ran_out_of_memory_is_written_all_the_same(tiny, tmp_path, monkeypatch):
    (tmp_path / "corpus.tsv").write_text("".join(f"d{i}\t{text}\n" for i, text in enumerate(TEXTS)))
    encode_corpus(tmp_path / "corpus.tsv", tmp_path / "expected", tiny, RULE)
    Batches(monkeypatch, 3)
    encode_corpus(tmp_path / "corpus.tsv", tmp_path / "found", tiny, RULE)
    expected, found = (list(read_pseudo_documents(tmp_path / name)) for name in ("expected", "found"))
    assert [each.docid for each in found] == [each.docid for each in expected]
    different = total = 0
    for one, other in zip(found, expected, strict=True):
        total += len(other.vector)
        for term in one.vector.keys() | other.vector.keys():
            difference = abs(one.vector.get(term, 0) - other.vector.get(term, 0))
            assert difference <= 1
            different += difference
    assert different <= total / 10_000


@pytest.mark.parametrize(
    ("error", "message"),
    [(torch.OutOfMemoryError, "CUDA out of memory"), (RuntimeError, "DefaultCPUAllocator: can't allocate memory"),
     (MemoryError, "std::bad_alloc")],
)  # fmt: skip
def test_a_text_that_does_not_fit_alone_is_an_error_that_says_what_to_do(tiny, monkeypatch, error, message):
    Batches(monkeypatch, 0, error, message=message)
    with pytest.raises(ModelError, match=r"a text of \d+ tokens does not fit into the memory of cpu\. Lower "
                       r"max_length, or set passage_tokens to split texts\.") as caught:  # fmt: skip
        tiny.encode_documents(TEXTS)
    assert isinstance(caught.value.__cause__, error)


def test_another_error_is_not_taken_for_a_lack_of_memory(tiny, monkeypatch):
    batches = Batches(monkeypatch, 0, RuntimeError, message="mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        tiny.encode_documents(TEXTS)
    assert batches.refused == 1


def test_the_processors_own_lack_of_memory_is_known():
    for attempt in (lambda: torch.empty(1 << 60, dtype=torch.uint8), lambda: np.empty(1 << 60, np.uint8)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            attempt()
        assert memory.is_out_of_memory(caught.value), str(caught.value)
    assert not memory.is_out_of_memory(RuntimeError("expected scalar type Float but found BFloat16"))
    assert not memory.is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("memory_size", [512 << 20, 128 << 20, 8 << 20, 0])
def test_a_batch_takes_an_eighth_of_the_memory_whatever_was_asked_for(tiny_model, tiny, monkeypatch, memory_size):
    expected = dense(tiny.encode_documents(TEXTS))
    width = tiny.document_network.model.config.hidden_size
    batches = Batches(monkeypatch)
    monkeypatch.setattr(network, "total_memory", lambda _: memory_size)
    found = dense(SpladeEncoder(tiny_model, device="cpu", dtype="float32", batch_tokens=10**9).encode_documents(TEXTS))
    assert sum(texts for texts, _ in batches.shapes) == len(TEXTS)
    for texts, tokens in batches.shapes:  # hidden states and a slice of logits are the least that is needed
        assert texts == 1 or 4 * texts * tokens * (2 * width + 2048) <= memory_size / 8
    assert abs(found - expected).max() < 5e-6
    batches.shapes.clear()
    monkeypatch.setattr(network, "total_memory", lambda _: 1 << 42)
    SpladeEncoder(tiny_model, device="cpu", dtype="float32", batch_tokens=10**9).encode_documents(TEXTS)
    assert len(batches.shapes) == 1  # the same hint, with room


def test_a_hint_for_smaller_batches_is_followed(tiny_model, monkeypatch):
    encoder = SpladeEncoder(tiny_model, device="cpu", dtype="float32", batch_tokens=100)
    batches = Batches(monkeypatch)
    encoder.encode_documents(TEXTS)
    assert all(texts * tokens <= 100 for texts, tokens in batches.shapes)
    assert len(batches.shapes) > 5


def test_the_memory_is_the_lesser_of_machine_and_container(tmp_path, monkeypatch):
    cpu = torch.device("cpu")
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    machine = int(meminfo["MemTotal"].split()[0]) * 1024
    limits = [tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"]
    monkeypatch.setattr(memory, "_CGROUP_LIMITS", limits)
    assert memory.total_memory(cpu) == pytest.approx(machine, rel=0.01)  # no control group
    limits[1].write_text("5000000\n")
    assert memory.total_memory(cpu) == 5_000_000
    limits[0].write_text("3000000\n")
    assert memory.total_memory(cpu) == 3_000_000
    limits[1].unlink()
    limits[0].write_text("max\n")
    assert memory.total_memory(cpu) == pytest.approx(machine, rel=0.01)


# ---- which precision ----


@pytest.fixture
def _decided_anew() -> Iterator[None]:
    precision.native_dtype.cache_clear()
    yield
    precision.native_dtype.cache_clear()


@pytest.mark.usefixtures("_decided_anew")
@pytest.mark.parametrize(
    ("capabilities", "chosen"),
    [
        ({"architecture": "x86_64", "avx512_f": True, "avx512_vnni": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ({"architecture": "x86_64", "avx2": True, "num_logical_cores": 1}, "float32"),
        ({"architecture": "aarch64", "neon": True, "i8mm": True, "bf16": True}, "bfloat16"),
        ({"architecture": "aarch64", "neon": True, "i8mm": False, "bf16": False}, "float32"),
    ],
)  # fmt: skip
def test_the_processors_instructions_decide(tiny_model, monkeypatch, capabilities, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    encoder = SpladeEncoder(tiny_model, device="cpu")
    assert encoder.dtype == chosen
    assert encoder.query_dtype == "float32"
    for wanted in ("float32", "bfloat16"):
        assert SpladeEncoder(tiny_model, device="cpu", dtype=wanted).dtype == wanted


@pytest.mark.usefixtures("_decided_anew")
@pytest.mark.parametrize(
    "supported", [set(), {"_is_avx512_bf16_supported"}, {"_is_amx_tile_supported"}], ids=["none", "avx512", "amx"]
)
def test_an_older_pytorch_is_asked_by_its_own_functions(monkeypatch, supported):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in supported, raising=False)
    assert precision.native_dtype(torch.device("cpu")) == ("bfloat16" if supported else "float32")


@pytest.mark.usefixtures("_decided_anew")
def test_the_kernel_names_the_same_instructions():
    flags = set(Path("/proc/cpuinfo").read_text().split())
    expected = "bfloat16" if flags & {"avx512_bf16", "amx_bf16", "bf16"} else "float32"
    assert precision.native_dtype(torch.device("cpu")) == expected


@pytest.mark.usefixtures("_decided_anew")
@pytest.mark.parametrize(("supported", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_is_asked_and_emulation_does_not_count(monkeypatch, supported, chosen):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or supported
    )
    assert precision.native_dtype(torch.device("cuda")) == chosen


# ---- what precision costs ----


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 384, 1200), (70, 48, 2049)])
def test_a_packed_layer_is_the_plain_one(dtype, shape):
    rows, inputs, outputs = shape
    torch.manual_seed(4)
    weight, bias, given = torch.randn(outputs, inputs), torch.randn(outputs), torch.randn(rows, inputs)
    exact = (given.to(dtype).double() @ weight.to(dtype).double().T + bias.to(dtype).double()).numpy()
    layer = linear_map(weight.to(dtype), bias.to(dtype))
    assert isinstance(layer, PackedLinear) or dtype is torch.bfloat16  # which oneDNN packs with AVX-512 only
    packed = layer(given.to(dtype)).float().numpy()
    scale = np.sqrt(inputs)
    assert abs(packed - exact).max() < (1e-5 if dtype is torch.float32 else 5e-2) * scale
    without = linear_map(weight.to(dtype), None)(given.to(dtype).reshape(1, rows, inputs))
    assert without.shape == (1, rows, outputs)
    assert abs(without[0].float().numpy() - (exact - bias.to(dtype).double().numpy())).max() < (1e-5 if dtype is torch.float32 else 5e-2) * scale  # fmt: skip


def test_where_packing_is_not_to_be_had_the_plain_layer_is_taken(monkeypatch):
    weight, bias, given = torch.randn(9, 5), torch.randn(9), torch.randn(4, 5)
    exact = nn.functional.linear(given, weight, bias)
    assert torch.allclose(linear_map(weight, bias)(given), exact, atol=1e-5)

    def missing(*_: object) -> None:
        raise NotImplementedError("no such operator")

    monkeypatch.setattr(PackedLinear, "__init__", missing)
    assert not can_pack(weight)
    assert torch.equal(linear_map(weight, bias)(given), exact)
    assert not can_pack(weight.to("meta"))


def test_an_int8_layer_is_the_product_of_rounded_weights():
    """Weights with one scale an output, inputs with one scale and zero a call: against that, and against the exact product."""
    torch.manual_seed(5)
    weight, bias, given = torch.randn(300, 64), torch.randn(300), torch.randn(10, 64)
    scales = weight.abs().amax(dim=1, keepdim=True) / 127
    rounded = torch.round(weight / scales).clamp(-128, 127) * scales
    step = (given.max() - given.min()) / 127  # 7 bits of input, where the processor's own sums would overflow at 8
    found = Int8Linear(weight, bias)(given)
    assert found.dtype == torch.float32
    assert abs(found - (given @ rounded.T + bias)).max() < float(step) / 2 * float(rounded.abs().sum(dim=1).max())
    assert relative_distance(found.numpy(), (given @ weight.T + bias).numpy()) < 0.02


LENGTH = 48  # a few hundred longer ones would take a minute


@pytest.fixture(scope="module")
def abstracts(shared) -> list[str]:
    """Two hundred of CACM."""
    records = [
        json.loads(line) for line in (shared / "data/cacm/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    texts = [f"{each.get('title', '')} {each['text']}".strip() for each in records if len(each["text"]) > 200][:200]
    assert len(texts) == 200
    return texts


def differing_impacts(found: np.ndarray, exact: np.ndarray) -> tuple[int, int]:
    """The number of impacts that differ, each at a rounding boundary and by one, and the number of all impacts."""
    impacts, expected = RULE.quantize(found, "document"), RULE.quantize(exact, "document")
    different = impacts != expected
    assert abs(impacts - expected).max() <= 1
    assert (abs(100 * exact[different] % 1 - 0.5) < 1.1e-3).all()
    counts = int(different.sum()), int(((impacts > 0) | (expected > 0)).sum())
    print(f"{counts[0]} of {counts[1]} impacts differ; weights by at most {abs(found - exact).max():.2g}")
    return counts


@pytest.mark.model
@pytest.mark.slow
def test_the_sliced_and_packed_head_gives_the_naive_formulas_impacts(abstracts):
    """Compared with all logits at once, from the same hidden states."""
    encoder = SpladeEncoder(documents=DocumentSettings(max_length=LENGTH), device="cpu", dtype="float32")
    net, sequences = encoder.document_network, encoder.tokenize_documents(abstracts)
    found, exact = [], []
    with torch.inference_mode():
        for start in range(0, len(abstracts), 8):
            some = slice(start, start + 8)
            ids, attention, mask = (
                torch.from_numpy(each) for each in pad(sequences.ids[some], sequences.pooled[some], 0)
            )
            hidden = net._forward(ids, attention)
            assert hidden.shape[-1] < 1000  # and not logits
            found.append(project_and_pool(hidden, net._sliced_decoder, mask, "max").numpy())
            logits = nn.functional.linear(hidden, net._decoder.weight, net._decoder.bias)
            exact.append((torch.log1p(torch.relu(logits)) * mask[..., None]).amax(dim=1).numpy())
    assert abs(np.concatenate(found) - np.concatenate(exact)).max() < 1e-5
    different, entries = differing_impacts(np.concatenate(found), np.concatenate(exact))
    assert entries > 10_000
    assert different <= entries / 5000  # none with AVX-512, two of 12,698 with AVX2


@pytest.mark.model
@pytest.mark.slow
def test_impacts_are_those_of_transformers_but_at_rounding_boundaries(abstracts):
    """transformers runs the whole network, whose float32 results differ slightly from ours and from float64."""
    encoder = SpladeEncoder(documents=DocumentSettings(max_length=LENGTH), device="cpu", dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(embedded_model_folder())
    plain = plain_network(embedded_model_folder()).eval()
    exact = []
    for text in abstracts[:80]:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=LENGTH)
        with torch.no_grad():
            logits = plain(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[0]
        exact.append(torch.log1p(torch.relu(logits)).amax(dim=0).numpy())
    found = dense(encoder.encode_documents(abstracts[:80]))
    assert abs(found - np.stack(exact)).max() < 2e-5
    different, entries = differing_impacts(found, np.stack(exact))
    assert entries > 4_000
    assert different <= entries / 1000


@pytest.mark.model
@pytest.mark.slow
def test_bfloat16_and_int8_stay_within_their_tolerance(encoder, shared):
    """Of float32, in relative L2: bfloat16 within 3 %, an int8 decoder within 6 %, and no weight is off by more than 0.25."""
    texts = [
        json.loads(line)["text"]
        for line in (shared / "data/cacm/queries.jsonl").read_text(encoding="utf-8").splitlines()
    ][:40]
    exact = dense(encoder.encode_queries(texts))
    cases: list[tuple[dict[str, Any], float]] = [
        ({"dtype": "bfloat16"}, 0.03),
        ({"query_dtype": "bfloat16"}, 0.03),
        ({"query_dtype": "int8"}, 0.06),
    ]
    for options, most in cases:
        other = SpladeEncoder(**settings_by_name(device="cpu", **options))
        found = dense(other.encode_documents(texts) if "dtype" in options else other.encode_queries(texts))
        assert 0 < relative_distance(found, exact) < most, options
        assert abs(found - exact).max() < 0.25, options


def test_queries_and_documents_may_differ_in_precision(tiny_model):
    encoder = SpladeEncoder(tiny_model, queries=QuerySettings(dtype="float32"), device="cpu", dtype="bfloat16")
    exact = SpladeEncoder(tiny_model, device="cpu", dtype="float32")
    assert abs(dense(encoder.encode_queries(TEXTS[:9])) - dense(exact.encode_queries(TEXTS[:9]))).max() < 1e-6
    difference = abs(dense(encoder.encode_documents(TEXTS[:9])) - dense(exact.encode_documents(TEXTS[:9]))).max()
    assert 0 < difference < 0.05


# ---- queries ----


class Asked:
    """A query encoder whose encoder tells which texts it was asked for, and may wait or fail."""

    def __init__(self, encoder: SpladeEncoder, monkeypatch, cached: int = 1024) -> None:
        self.calls: list[list[str]] = []
        self.wait: Callable[[], None] = lambda: None
        original = encoder.encode_queries

        def encode_queries(texts):
            self.calls.append(list(texts))
            self.wait()
            return original(texts)

        monkeypatch.setattr(encoder, "encode_queries", encode_queries)
        self.queries = SpladeQueryEncoder(encoder, RULE, cached_queries=cached)


def direct(encoder: SpladeEncoder, text: str) -> dict[str, int]:
    return encoder.encode_queries([text]).quantize(RULE, "query")[0]


def test_a_query_is_computed_once_and_what_the_caller_does_with_it_is_his_own(tiny, monkeypatch):
    expected = direct(tiny, "a cat")
    asked = Asked(tiny, monkeypatch)
    first = asked.queries.encode("a cat")
    assert first == expected
    first.clear()
    second = asked.queries.encode("a cat")
    assert second == expected
    second["cat"] = 10**6
    assert asked.queries.encode_batch(["a cat", "a cat"]) == [expected, expected]
    assert list(asked.queries.encode("a cat").values()) == sorted(expected.values(), reverse=True)
    assert asked.calls == [["a cat"]]
    given = {"cat": 3}
    assert asked.queries.encode(given) == given
    assert asked.queries.encode(given) is not given


def test_one_batch_asks_for_each_new_query_once(tiny, monkeypatch):
    expected = {text: direct(tiny, text) for text in "abcd"}
    asked = Asked(tiny, monkeypatch)
    assert asked.queries.encode_batch(["a", "b", "a", "c", "b"]) == [expected[text] for text in "abacb"]
    assert asked.queries.encode_batch(["d", "a", "c"]) == [expected[text] for text in "dac"]
    assert asked.calls == [["a", "b", "c"], ["d"]]
    assert asked.queries.encode_batch([]) == []


def test_the_least_recently_used_query_is_forgotten_first(tiny, monkeypatch):
    asked = Asked(tiny, monkeypatch, cached=3)
    for text in "abcad":  # a was used again, so b goes
        asked.queries.encode(text)
    assert asked.calls == [["a"], ["b"], ["c"], ["d"]]
    asked.calls.clear()
    for text in "acd":
        asked.queries.encode(text)
    assert asked.calls == []
    asked.queries.encode("b")
    assert asked.calls == [["b"]]
    assert len(asked.queries._cache) == 3
    asked.queries.encode_batch(list("efghij"))
    assert len(asked.queries._cache) == 3


def test_nothing_is_remembered_where_nothing_is_to_be(tiny, monkeypatch):
    asked = Asked(tiny, monkeypatch, cached=0)
    assert asked.queries.encode("a") == asked.queries.encode("a")
    assert asked.calls == [["a"], ["a"]]


def test_turns_with_other_factors_are_other_queries(tiny, monkeypatch):
    asked = Asked(tiny, monkeypatch)
    one, half = asked.queries.encode((Turn("cat"),)), asked.queries.encode((Turn("cat", 0.5),))
    assert one == asked.queries.encode("cat")
    assert {term: one[term] for term in half} != half
    assert max(abs(one[term] / 2 - half[term]) for term in half) <= 0.51
    assert len(asked.calls) == 2


def in_threads(count: int, task: Callable[[int], object]) -> list[object]:
    """What each thread returned or raised. The first starts, then the others at once."""
    results: list[object] = [None] * count

    def run(number: int) -> None:
        try:
            results[number] = task(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


def test_queries_of_many_threads_are_computed_together(tiny, monkeypatch):
    texts = [f"query {i} {'cat ' * (i % 5)}" for i in range(20)]
    expected = [direct(tiny, text) for text in texts]
    asked = Asked(tiny, monkeypatch)
    asked.wait = lambda: wait_for_others(asked, 19)  # the first computes until the others wait
    assert_close(in_threads(20, lambda i: asked.queries.encode(texts[i])), expected)
    assert len(asked.calls) == 2
    assert len(asked.calls[0]) == 1
    assert sorted(asked.calls[0] + asked.calls[1]) == sorted(texts)


def wait_for_others(asked: Asked, count: int) -> None:
    end = time.monotonic() + 30
    while len(asked.calls) == 1 and len(asked.queries._waiting) < count and time.monotonic() < end:
        time.sleep(0.001)


def assert_close(found: list[object], expected: list[dict[str, int]]) -> None:
    """Equal, but where another batch moved a weight over a half."""
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, dict), one
        assert max(abs(one.get(term, 0) - other.get(term, 0)) for term in one.keys() | other.keys()) <= 1
        assert sum(one.get(term, 0) != other.get(term, 0) for term in one.keys() | other.keys()) <= len(other) / 100


def test_many_threads_with_few_texts_and_a_small_cache_get_the_right_vectors(tiny, monkeypatch):
    texts = [f"query {'dog ' * i}" for i in range(12)]
    expected = [direct(tiny, text) for text in texts]
    asked = Asked(tiny, monkeypatch, cached=4)

    def task(number: int) -> list[dict[str, int]]:
        order = np.random.default_rng(number).permutation(12).tolist()
        found = asked.queries.encode_batch([texts[i] for i in order[:5]]) + [
            asked.queries.encode(texts[i]) for i in order[5:]
        ]
        return [found[order.index(i)] for i in range(12)]

    for found in in_threads(8, task):
        assert isinstance(found, list), found
        assert_close(found, expected)


def test_an_error_reaches_every_thread_that_waits_and_none_that_comes_later(tiny, monkeypatch):
    asked = Asked(tiny, monkeypatch)

    def fail_together() -> None:
        wait_for_others(asked, 5)
        if len(asked.calls) > 1:
            raise ModelError("the network broke")

    asked.wait = fail_together
    results = in_threads(6, lambda i: asked.queries.encode(f"query {i}"))
    assert sum(isinstance(each, dict) for each in results) == 1  # the one that was computed before
    assert [str(each) for each in results if not isinstance(each, dict)] == ["the network broke"] * 5
    asked.wait = lambda: None
    assert asked.queries.encode("query 0") == asked.queries.encode("query 0") != {}


def test_one_threads_query_is_no_fault_of_anothers(tiny, monkeypatch):
    asked = Asked(tiny, monkeypatch)

    def fail_for_one() -> None:
        wait_for_others(asked, 5)
        if "query 3" in asked.calls[-1]:
            raise ModelError("not this one")

    asked.wait = fail_for_one
    results = in_threads(6, lambda i: asked.queries.encode(f"query {i}"))
    assert [number for number, each in enumerate(results) if not isinstance(each, dict)] == [3]
    assert str(results[3]) == "not this one"


def test_ctrl_c_in_one_thread_is_no_puzzle_for_those_that_wait_for_it(tiny, monkeypatch):
    asked = Asked(tiny, monkeypatch)

    def interrupt() -> None:
        wait_for_others(asked, 5)
        if len(asked.calls) == 2:
            raise KeyboardInterrupt

    asked.wait = interrupt
    results = in_threads(6, lambda i: asked.queries.encode(f"query {i}"))
    assert sum(isinstance(each, KeyboardInterrupt) for each in results) >= 1
    assert all(isinstance(each, KeyboardInterrupt | dict) for each in results), results
