"""The fused kernel pools as the formula over all logits does, in Triton's interpreter and on a GPU, and compiles for others."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from support.gpu import needs_gpu
from support.processes import run_python

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")

RAGGED = [0, 5, 0, 1, 64, 63, 300, 1, 1, 0, 128, 0, 0]
CASES: dict[str, dict[str, Any]] = {
    "max": {},
    "sum": {"pooling": "sum"},
    "max of two logarithms": {"activation": "log1p_log1p_relu"},
    "sum of two logarithms": {"pooling": "sum", "activation": "log1p_log1p_relu"},
    "max without bias": {"bias": None},
    "sum without bias": {"pooling": "sum", "bias": None},
    "max in bfloat16": {"dtype": "bfloat16"},
    "sum in bfloat16": {"dtype": "bfloat16", "pooling": "sum"},
    "max in float16": {"dtype": "float16"},
    "sum in float16": {"dtype": "float16", "pooling": "sum", "activation": "log1p_log1p_relu"},
    "whole tiles": {"lengths": [64, 64], "width": 64, "terms": 64},
    "one token": {"lengths": [1], "terms": 1},
    "no token": {"lengths": [0, 0]},
    "max of nothing above zero": {"bias": -1000.0},
    "sum of nothing above zero": {"pooling": "sum", "bias": -1000.0},
    "max over several runs": {"lengths": [2000, 90, 5000, 1, 0, 1000], "width": 20, "terms": 70},
    "sum over several runs": {"lengths": [2048, 0, 2048, 7], "width": 20, "terms": 70, "pooling": "sum"},
}
DEFAULTS: dict[str, Any] = {"lengths": RAGGED, "width": 100, "terms": 200, "dtype": "float32", "bias": 0.0, "pooling": "max",
            "activation": "log1p_relu"}  # fmt: skip

TEXTS = ["how do plants make food", "tea", "the court ruled that the law was void " * 5]

COMPARE = """
import json
import torch
from splade_lucene.encoder.fused import fused_pool, is_usable

def over_all_logits(hidden, lengths, weight, bias, pooling, activation):
    logits = hidden.float() @ weight.float().T
    weights = torch.log1p(torch.relu(logits if bias is None else logits + bias.float()))
    if activation == "log1p_log1p_relu":
        weights = torch.log1p(weights)
    pool = {"max": lambda text: text.amax(dim=0), "sum": lambda text: text.sum(dim=0)}[pooling]
    return torch.stack([pool(text) if len(text) else torch.zeros(len(weight)) for text in weights.split(lengths)])

def compare(lengths, width, terms, dtype, bias, pooling, activation):
    source = torch.Generator().manual_seed(1)
    hidden, weight, offset = (
        torch.randn(shape, generator=source).to(getattr(torch, dtype))
        for shape in [(sum(lengths), width), (terms, width), (terms,)]
    )
    weight, offset = weight / 4, None if bias is None else offset + bias
    starts = torch.tensor([0, *lengths]).cumsum(dim=0).int()
    given = [None if each is None else each.to(DEVICE) for each in (hidden, starts, weight, offset)]
    found = fused_pool(*given, pooling, activation).cpu()
    expected = over_all_logits(hidden, lengths, weight, offset, pooling, activation)
    assert found.shape == expected.shape and found.dtype == torch.float32
    difference = (found - expected).abs() / expected.clamp(min=1)
    return {"difference": float(difference.max()), "least": float(found.min()), "largest": float(found.max())}

def encode(folder, texts):
    from splade_lucene import SpladeEncoder
    encoder = SpladeEncoder(folder, device=DEVICE, dtype="float32")
    found = list(encoder.encode_documents(texts))
    return encoder.document_network._is_fused, found

print(json.dumps({"usable": is_usable(torch.device(DEVICE)), "encoded": encode(*json.loads(ENCODED))}
    | {name: compare(**case) for name, case in json.loads(CASES).items()}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """With 400 terms: the interpreter takes half a minute for 30,000."""
    from support.checkpoints import byte_level_tokenizer, roberta_like

    folder = tmp_path_factory.mktemp("model")
    return roberta_like(folder, byte_level_tokenizer(folder, TEXTS))


INTERPRETED = pytest.mark.parametrize("found", ["interpreter"], indirect=True)
ON_A_GPU_TOO = pytest.mark.parametrize("found", ["interpreter", pytest.param("cuda", marks=needs_gpu)], indirect=True)


@pytest.fixture(scope="module")
def found(request, model):
    """The results of all cases, computed in one child process, because Triton reads its environment variable on import."""
    interpreted = request.param == "interpreter"
    device = "cpu" if interpreted else request.param
    precision = {} if interpreted else {"dtype": "bfloat16"}  # on a GPU the kernel is for 16 bits
    cases = json.dumps({name: {**DEFAULTS, **precision, **case} for name, case in CASES.items()})
    encoded = json.dumps([str(model), TEXTS])
    given = f"CASES = {cases!r}\nENCODED = {encoded!r}\nDEVICE = {device!r}\n"
    done = run_python(given + COMPARE, TRITON_INTERPRET="1" if interpreted else None)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_triton
@ON_A_GPU_TOO
@pytest.mark.parametrize("name", CASES)
def test_pooling_equals_the_formula_over_all_logits(found, name):
    assert found[name]["difference"] < 1e-5
    assert found[name]["least"] >= 0
    assert (found[name]["largest"] == 0) == ("nothing" in name or "no token" in name)


@needs_triton
@ON_A_GPU_TOO
def test_the_interpreter_makes_any_device_usable_and_a_gpu_is_usable(found):
    assert found["usable"] is True


COMPILE = """
import torch, triton
from triton.backends.compiler import GPUTarget
from splade_lucene.encoder.fused import _RUN, _pool_kernel, _tile

def compile_for(capability, dtype, width, pooling, bias):
    tile = _tile(capability // 10)
    options = {name: tile.pop(name) for name in ("num_warps", "num_stages")} | {"enable_fp_fusion": True}
    fixed = {"width": width, "pooling": pooling, "activation": "log1p_log1p_relu", "run_tokens": _RUN, **tile}
    fixed |= {} if bias else {"bias": None}
    floats = {torch.float16: "*fp16", torch.bfloat16: "*bf16"}[dtype]
    types = {"hidden": floats, "starts": "*i32", "owners": "*i32", "weight": floats, "bias": floats, "pooled": "*fp32",
             "size": "i32"} | dict.fromkeys(fixed, "constexpr")
    names = _pool_kernel.arg_names
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in names if types[name].startswith("*")}
    source = triton.compiler.ASTSource(_pool_kernel, {name: types[name] for name in names}, fixed, aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)

hopper = compile_for(90, torch.bfloat16, 768, "max", True)
assert hopper.asm["ptx"].count("wgmma.mma_async") and hopper.metadata.shared <= 227 << 10
assert compile_for(100, torch.bfloat16, 768, "max", False).metadata.shared <= 227 << 10
assert compile_for(86, torch.bfloat16, 312, "sum", False).metadata.shared <= 99 << 10
assert compile_for(80, torch.float16, 384, "max", True).metadata.shared <= 163 << 10
"""


@needs_triton
def test_the_kernel_compiles_for_gpus(tmp_path):
    """Compiling needs no GPU, and finds errors that the interpreter accepts."""
    done = run_python(COMPILE, TRITON_INTERPRET=None, TRITON_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]


USABLE = """
import torch
from splade_lucene.encoder.fused import is_usable
print([is_usable(torch.device(name)) for name in ("cpu", "cuda")])
"""
NO_TRITON = """
import sys
class Blocker:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "triton":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.parametrize("before", ["", NO_TRITON], ids=["with triton", "without triton"])
def test_neither_a_cpu_nor_a_missing_gpu_is_usable(before):
    done = run_python(before + USABLE, TRITON_INTERPRET=None, CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, done.stdout.strip()) == (0, "[False, False]"), done.stderr


@needs_triton
@INTERPRETED
def test_an_encoder_gives_the_same_weights_through_the_kernel(found, model):
    from support.encoders import encoder_on_cpu

    plain = encoder_on_cpu(model)
    expected = list(plain.encode_documents(TEXTS))
    is_fused, weights = found["encoded"]
    assert (is_fused, plain.document_network._is_fused) == (True, False)
    assert sum(map(len, expected)) > 12
    for one, other in zip(weights, expected, strict=True):
        assert other
        for term in one.keys() | other.keys():
            assert one.get(term, 0.0) == pytest.approx(other.get(term, 0.0), abs=2e-5)
