"""Loads the tokenizer and the network of a checkpoint, ready for inference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_lucene.encoder.layout import NetworkSide
from splade_lucene.encoder.location import SAFE_WEIGHTS
from splade_lucene.encoder.soundness import check_shapes, check_tokenizer, check_unused, untied
from splade_lucene.encoder.storage import INT8_WEIGHTS, read_int8
from splade_lucene.errors import ModelError, first_line
from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    import torch
    from torch import nn


@uninterrupted_imports()
def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """Loads the tokenizer of a checkpoint.

    Raises:
        ModelError: The tokenizer is missing or damaged.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # the tokenizers' parsers raise all kinds of exceptions
        raise ModelError(f"{folder}: cannot load the tokenizer: {first_line(error)}. {_REMEDY}") from error
    check_tokenizer(tokenizer.get_vocab(), tokenizer.all_special_ids, folder)
    return tokenizer


@uninterrupted_imports()
def load_network(
    side: NetworkSide, *, dtype: torch.dtype | None, device: torch.device, trust_remote_code: bool = False
) -> nn.Module:
    """Loads the language model of a checkpoint, preferably from safetensors; pickles are loaded with ``weights_only``.

    Args:
        side: The settings read from the checkpoint.
        dtype: Floating-point type to compute in; None for the checkpoint's own.
        device: Where to put the network.
        trust_remote_code: Whether to run code shipped with the checkpoint.

    Raises:
        ModelError: The checkpoint is missing or incomplete, needs its own code, or has no language-model head.
        MissingDependencyError: The checkpoint has a LoRA adapter and peft is not installed.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    folder = side.location.folder
    base = (side.location.base or side.location).folder
    if not side.location.weight_files():
        raise ModelError(
            f"{folder}: it has no weights for PyTorch, only an ONNX file. Use backend=onnx, or a checkpoint with weights."
        )
    try:
        model, missing = read_language_model(
            base, is_causal=side.is_causal, dtype=dtype, trust_remote_code=trust_remote_code
        )
    except ModelError:
        raise
    except Exception as error:  # the loaders of weights and configurations raise all kinds of exceptions
        kind = "causal" if side.is_causal else "masked"
        raise ModelError(f"{base}: cannot load a {kind} language model: {first_line(error)}. {_REMEDY}") from error
    if missing:
        raise ModelError(
            f"{base}: the checkpoint is missing {len(missing)} weight{'s' * (len(missing) > 1)} of a "
            f"{'causal' if side.is_causal else 'masked'} language model (for example {missing[0]}), which would be initialized "
            "at random. "
            "Use a checkpoint with its language-model head."
        )
    if base != folder:
        model = _merge_adapter(model, folder)
    network: nn.Module = model
    network.eval().to(device)
    for parameter in network.parameters():
        parameter.requires_grad = False
    return network


_REMEDY = "Check that the checkpoint is complete; its own code runs only with trust_remote_code"


@uninterrupted_imports()
def read_language_model(
    folder: Path, *, is_causal: bool = False, dtype: torch.dtype | None = None, trust_remote_code: bool = False
) -> tuple[Any, list[str]]:
    """Loads a language model from safetensors, pickled (loaded with ``weights_only``) or int8 weights.

    Args:
        folder: Folder of the checkpoint.
        is_causal: Whether to load a causal language model rather than a masked one.
        dtype: Floating-point type; None for the checkpoint's own.
        trust_remote_code: Whether to run code shipped with the checkpoint.

    Returns:
        The model, and the names of the weights that are missing from the checkpoint and not tied to others; those are
        initialized at random.

    Raises:
        ModelError: The configuration leaves out layers of the checkpoint or has other sizes, or its int8 weights are damaged.
        Exception: Anything that transformers raises.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    kind = AutoModelForCausalLM if is_causal else AutoModelForMaskedLM
    if (folder / INT8_WEIGHTS).is_file():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        model = kind.from_config(config, trust_remote_code=trust_remote_code)
        weights, own = read_int8(folder / INT8_WEIGHTS), model.state_dict()
        shapes = [(name, each.shape, own[name].shape) for name, each in weights.items() if name in own]
        check_shapes((each for each in shapes if each[1] != each[2]), folder)
        missing, unused = model.load_state_dict(weights, strict=False)
        model.tie_weights()
        model = model.to(dtype or getattr(config, "dtype", None))
    else:
        model, report = kind.from_pretrained(
            folder, dtype=dtype or "auto", output_loading_info=True, weights_only=True,
            use_safetensors=any((folder / file).is_file() for file in SAFE_WEIGHTS),
            ignore_mismatched_sizes=True, trust_remote_code=trust_remote_code,
        )  # fmt: skip
        check_shapes(report["mismatched_keys"], folder)
        missing, unused = report["missing_keys"], report["unexpected_keys"]
    check_unused(model, unused, folder)
    return model, untied(model, missing)


@uninterrupted_imports()
def _merge_adapter(model: Any, folder: Path) -> Any:
    from peft import PeftConfig, PeftModel

    try:
        adapted = PeftModel(model, PeftConfig.from_pretrained(str(folder)))
        loaded = adapted.load_adapter(str(folder), "default")
        merged = adapted.merge_and_unload()
    except Exception as error:  # peft's parsers raise all kinds of exceptions
        raise ModelError(f"{folder}: cannot load the LoRA adapter: {first_line(error)}. {_REMEDY}") from error
    if loaded.missing_keys or loaded.unexpected_keys:
        unmatched = sorted([*loaded.missing_keys, *loaded.unexpected_keys])
        raise ModelError(
            f"{folder}: {len(unmatched)} weights of the LoRA adapter do not match the base model and adapter_config.json "
            f"(for example {unmatched[0]}). Copy the adapter again, and check its base model."
        )
    return merged
