"""Checkpoints that load but cannot be correct are refused, naming the fault; those that only look odd are not."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import BERT_TERMS, DOCUMENTS, bert, tiny_checkpoint
from support.encoders import encoder_on_cpu
from transformers import AutoTokenizer

from splade_lucene.encoder.storage import store_in_int8
from splade_lucene.errors import ModelError


def edited(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any] | None = None, **config: object) -> Path:
    """A checkpoint with other entries in its configuration and other weights."""
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, **config}))
    if edit is not None:
        tensors = load_file(folder / "model.safetensors")
        edit(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def fill(tensors: dict[str, torch.Tensor], ending: str, value: float) -> None:
    """Fills all tensors of a kind."""
    chosen = [tensor for name, tensor in tensors.items() if name.endswith(ending)]
    assert chosen
    for tensor in chosen:
        tensor.fill_(value)


EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
DECODER = "cls.predictions.decoder.weight"
QUERY = "bert.encoder.layer.1.attention.self.query.weight"
WRONG_WEIGHTS: dict[str, tuple[dict[str, Any], Callable[[dict[str, torch.Tensor]], Any] | None, str]] = {
    "a decoder of its own that is not there": ({"tie_word_embeddings": False}, None, rf"is missing 1 .*{DECODER}"),
    "fewer layers than weights": ({"num_hidden_layers": 1}, None, r"16 weights .* not be used .*encoder\.layer\.1\."),
    "more layers than weights": ({"num_hidden_layers": 3}, None, r"is missing 16 weights"),
    "a larger vocabulary": ({"vocab_size": BERT_TERMS + 8}, None, r"\.weight has the shape \[\d+, 32\], .*\[\d+, 32\]\. Copy config"),
    "a smaller hidden size": ({"hidden_size": 16}, None, r"has the shape \[.*32.*\], but config.json .*16.*\. Copy config"),
    "a weight that is not there": ({}, lambda t: t.pop(QUERY), rf"is missing 1 .*{QUERY}"),
    "a bias that is not there": ({}, lambda t: t.pop("cls.predictions.bias"), r"is missing 2 .*cls\.predictions\.bias"),
    "not a number": ({}, lambda t: t[EMBEDDINGS][29_999].fill_(math.nan), rf"{EMBEDDINGS} has values that are not finite"),
    "infinite": ({}, lambda t: t[QUERY][3, 3].fill_(math.inf), rf"{QUERY} has values that are not finite"),
    "zeros in one layer": ({}, lambda t: t[QUERY].zero_(), rf"all values of {QUERY} are 0"),
    "zeros in every layer": ({}, lambda t: fill(t, "query.weight", 0), r"all values of .*layer\.0.*\.query\.weight are 0"),
    "one number in every layer": ({}, lambda t: fill(t, "query.weight", 0.5), r"layer\.0.*\.query\.weight are 0\.5"),
    "layer norms of zeros": ({}, lambda t: fill(t, "output.LayerNorm.weight", 0), r"all values of .*LayerNorm\.weight are 0"),
    "embeddings of zeros": ({}, lambda t: t[EMBEDDINGS].zero_(), rf"all values of {EMBEDDINGS} are 0"),
    "positions of zeros": ({}, lambda t: fill(t, "position_embeddings.weight", 0), r"position_embeddings\.weight are 0"),
    "nothing but zeros": ({}, lambda t: fill(t, "", 0), rf"all values of {EMBEDDINGS} are 0"),
    "a constant decoder": (
        {"tie_word_embeddings": False},
        lambda t: t.update({DECODER: torch.linspace(0.1, 1, 32).repeat(BERT_TERMS, 1), "cls.predictions.bias": torch.zeros(BERT_TERMS)}),
        "the same for every term",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("stored", "side"), [("plain", "query"), ("int8", "document"), ("pickled", "document")])
@pytest.mark.parametrize("wrong", WRONG_WEIGHTS)
def test_weights_that_cannot_be_right_are_refused_by_name(tmp_path, wrong, stored, side):
    settings, edit, message = WRONG_WEIGHTS[wrong]
    folder = edited(bert(tmp_path / "model", layers=2), edit, **settings)
    if stored == "int8":
        if "not finite" in message:
            pytest.skip("the format refuses to store them")
        store_in_int8(folder, tmp_path / "int8")
        folder = tmp_path / "int8"
    elif stored == "pickled":
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=message):
        encoder_on_cpu(folder).load(side)


def test_weights_that_other_tasks_need_are_dropped(tmp_path):
    """The pooler and heads of BERT's pretraining, and buffers that older versions stored."""
    plain = bert(tmp_path / "plain", layers=2)

    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors["bert.pooler.dense.weight"], tensors["bert.pooler.dense.bias"] = torch.ones(32, 32), torch.ones(32)
        tensors["cls.seq_relationship.weight"] = torch.ones(2, 32)
        tensors["bert.embeddings.position_ids"] = torch.arange(64)
        tensors["qa_outputs.weight"] = torch.ones(2, 32)

    more = edited(Path(shutil.copytree(plain, tmp_path / "more")), add)
    assert list(encoder_on_cpu(more).encode_documents(DOCUMENTS)) == list(
        encoder_on_cpu(plain).encode_documents(DOCUMENTS)
    )


def test_zeros_that_networks_have_on_purpose_are_accepted(tmp_path):
    """Biases, and the token types that converted RoBERTa checkpoints have as zeros."""

    def clear(tensors: dict[str, torch.Tensor]) -> None:
        fill(tensors, ".bias", 0)
        fill(tensors, "token_type_embeddings.weight", 0)

    folder = edited(bert(tmp_path / "model", layers=2), clear)
    assert len(encoder_on_cpu(folder).encode_documents(DOCUMENTS)) == len(DOCUMENTS)


def test_an_untied_decoder_keeps_the_bias_that_is_stored_under_its_other_name(tmp_path):
    """As transformers 4 wrote it; transformers 5 would take zeros instead."""
    folder = bert(tmp_path / "model", layers=2)
    before = encoder_on_cpu(folder).encode_documents(DOCUMENTS)

    def untie(tensors: dict[str, torch.Tensor]) -> None:
        tensors[DECODER] = tensors[EMBEDDINGS].clone()
        assert tensors["cls.predictions.bias"].any()

    edited(folder, untie, tie_word_embeddings=False)
    assert list(encoder_on_cpu(folder).encode_documents(DOCUMENTS)) == list(before)


def test_a_tokenizer_without_its_vocabulary_or_of_another_model_is_refused(tmp_path):
    folder = tiny_checkpoint(tmp_path, "bert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["splade", "lucene"])
    tokenizer.save_pretrained(folder)
    message = r"the tokenizer has 30,524 tokens \(the last is 'lucene'\), but the network has 30,522"
    with pytest.raises(ModelError, match=message):
        encoder_on_cpu(folder).load("document")
    (folder / "tokenizer.json").unlink()
    for settings in ({}, {"query_mode": "binary"}):
        with pytest.raises(ModelError, match=r"no tokens except special ones.*tokenizer\.json"):
            encoder_on_cpu(folder, **settings).encode_queries(["a"])
