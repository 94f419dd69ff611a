"""Weights in eight bits: what is lost, and what is refused."""

import json
import os
import stat

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import bert
from transformers import AutoModelForMaskedLM

from splade_lucene import SpladeEncoder
from splade_lucene.encoder.location import locate
from splade_lucene.encoder.storage import INT8_WEIGHTS, read_int8, restore_from_int8, store_in_int8
from splade_lucene.errors import InputError, ModelError
from splade_lucene.files.files import sole_writer

TEXTS = ["Lucene writes an inverted index.", "The heart pumps blood through the body."]


@pytest.fixture
def pair(tmp_path):
    bert(tmp_path / "plain")
    size = store_in_int8(tmp_path / "plain", tmp_path / "small")
    assert size == (tmp_path / "small" / INT8_WEIGHTS).stat().st_size
    return tmp_path / "plain", tmp_path / "small"


def test_each_weight_is_within_half_a_step_of_its_group(pair):
    plain, small = pair
    before, after = load_file(plain / "model.safetensors"), read_int8(small / INT8_WEIGHTS)
    assert before.keys() == after.keys()
    for name, weights in before.items():
        if weights.ndim != 2:
            assert torch.equal(after[name], weights.float())
            continue
        groups = weights.float().unflatten(1, (-1, 32 if weights.shape[1] % 32 == 0 else weights.shape[1]))
        steps = groups.abs().amax(dim=2, keepdim=True) / 127
        assert ((after[name].view_as(groups) - groups).abs() <= steps * 0.5001 + 1e-12).all()


def test_a_checkpoint_is_saved_by_one_process_with_the_mode_that_the_umask_leaves(pair, tmp_path):
    with (
        sole_writer(tmp_path / "again"),
        pytest.raises(InputError, match="another process is saving a checkpoint here"),
    ):
        restore_from_int8(pair[1], tmp_path / "again")
    assert not (tmp_path / "again").exists()
    before = os.umask(0o027)
    try:
        restore_from_int8(pair[1], tmp_path / "again")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "again" / "model.safetensors").stat().st_mode) == 0o640


def test_an_outlier_coarsens_no_weights_but_its_neighbours(tmp_path):
    matrix = torch.linspace(-0.5, 0.5, 3 * 64).reshape(3, 64).contiguous()
    matrix[0, 0] = 1000.0
    (tmp_path / "plain").mkdir()
    save_file({"weight": matrix}, tmp_path / "plain" / "model.safetensors")
    store_in_int8(tmp_path / "plain", tmp_path / "small")
    after = read_int8(tmp_path / "small" / INT8_WEIGHTS)["weight"]
    assert (after[0, 1:32] == 0).all()
    assert torch.allclose(after[0, 32:], matrix[0, 32:], atol=0.002)
    assert torch.allclose(after[1:], matrix[1:], atol=0.002)


def test_the_file_is_about_a_quarter_and_no_other_weights_are_copied(pair):
    plain, small = pair
    assert not (small / "model.safetensors").exists()
    ratio = (small / INT8_WEIGHTS).stat().st_size / (plain / "model.safetensors").stat().st_size
    assert ratio < 0.4  # vectors and scales of narrow rows weigh more here than in a real model


def test_the_encoder_reads_it_and_says_nearly_the_same(pair):
    plain, small = pair
    one = SpladeEncoder(plain, device="cpu", dtype="float32").encode_documents(TEXTS)
    other = SpladeEncoder(small, device="cpu", dtype="float32").encode_documents(TEXTS)
    for mine, theirs in zip(one, other, strict=True):
        shared = mine.keys() & theirs.keys()
        assert len(shared) > 0.95 * len(mine)
        assert max(abs(mine[term] - theirs[term]) for term in shared) < 0.05 * max(mine.values())


def test_it_becomes_an_ordinary_checkpoint_again(pair, tmp_path):
    _, small = pair
    restore_from_int8(small, tmp_path / "again")
    encoders = [SpladeEncoder(folder, device="cpu", dtype="float32") for folder in (small, tmp_path / "again")]
    assert list(encoders[0].encode_documents(TEXTS)) == list(encoders[1].encode_documents(TEXTS))
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "again") is not None
    with pytest.raises(ModelError, match="ordinary already"):
        restore_from_int8(tmp_path / "again", tmp_path / "more")


@pytest.mark.parametrize("dtype", [None, "float32", "float16", "bfloat16"])
def test_it_is_saved_in_the_type_that_its_configuration_names(pair, tmp_path, dtype):
    """transformers and sentence-transformers compute in the type that config.json names."""
    _, small = pair
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps({**config, "dtype": "float16", "torch_dtype": "float16"}))
    restore_from_int8(small, tmp_path / "again", *([dtype] if dtype else []))
    expected = getattr(torch, dtype or "float32")
    assert {each.dtype for each in load_file(tmp_path / "again" / "model.safetensors").values()} == {expected}
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "again").dtype == expected
    assert json.loads((tmp_path / "again" / "config.json").read_text()) == {**config, "dtype": dtype or "float32"}


def test_an_unknown_type_is_refused(pair, tmp_path):
    with pytest.raises(InputError, match="unknown dtype 'int4'.*Choose one of: float32, float16, bfloat16"):
        restore_from_int8(pair[1], tmp_path / "again", "int4")  # type: ignore[arg-type]


def test_its_digest_tells_it_from_others(pair):
    plain, small = pair
    assert locate(plain).digest() != locate(small).digest() != ""


def test_a_damaged_file_is_named(pair):
    _, small = pair
    with (small / INT8_WEIGHTS).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelError, match=r"model\.int8\.safetensors: damaged"):
        SpladeEncoder(small).load("document")


def test_lost_scales_are_named(pair):
    _, small = pair
    packed = load_file(small / INT8_WEIGHTS)
    name = next(name for name in packed if name.endswith(".scales"))
    del packed[name]
    save_file(packed, small / INT8_WEIGHTS)
    with pytest.raises(ModelError, match="the scales of .* are missing"):
        read_int8(small / INT8_WEIGHTS)


def test_scales_of_another_shape_are_named(pair):
    _, small = pair
    packed = load_file(small / INT8_WEIGHTS)
    name = next(name for name in packed if name.endswith(".scales"))
    packed[name] = packed[name][1:].contiguous()
    save_file(packed, small / INT8_WEIGHTS)
    with pytest.raises(ModelError, match="have the wrong shape"):
        read_int8(small / INT8_WEIGHTS)


def test_a_missing_weight_is_named(pair):
    _, small = pair
    packed = load_file(small / INT8_WEIGHTS)
    lost = next(name for name, tensor in packed.items() if "intermediate" in name and tensor.ndim == 1)
    for name in [name for name in packed if name.startswith(lost.removesuffix(".scales"))]:
        del packed[name]
    save_file(packed, small / INT8_WEIGHTS)
    with pytest.raises(ModelError, match=r"is missing 1 weight of"):
        SpladeEncoder(small).load("document")


def test_numbers_that_are_not_finite_are_refused(pair, tmp_path):
    plain, _ = pair
    tensors = load_file(plain / "model.safetensors")
    next(tensor for tensor in tensors.values() if tensor.ndim == 2)[0, 0] = float("nan")
    save_file(tensors, plain / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not finite"):
        store_in_int8(plain, tmp_path / "other")


def test_a_checkpoint_without_one_file_of_weights_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"model\.safetensors not found"):
        store_in_int8(tmp_path, tmp_path / "small")
