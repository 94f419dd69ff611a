"""A checkpoint's files → tokenizer and network, in inference mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_lucene.encoder.layout import NetworkSide
from splade_lucene.encoder.location import SAFE_WEIGHTS
from splade_lucene.encoder.storage import ROWS8_WEIGHTS, read_rows8
from splade_lucene.encoder.terms import escape_term
from splade_lucene.errors import MissingDependencyError, ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a checkpoint.

    Raises:
        ModelError: It is missing or damaged.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # tokenizers raise whatever their parsers do
        raise ModelError(f"{folder}: cannot load the tokenizer: {_reason(error)}. {_REMEDY}") from error


def load_network(
    side: NetworkSide, *, dtype: torch.dtype | None, device: torch.device, trust_remote_code: bool = False
) -> nn.Module:
    """The language model of a checkpoint. Safetensors come first; pickled weights are read as weights only.

    Args:
        side: What the checkpoint says of itself.
        dtype: Floating-point type to compute in; None for the checkpoint's own.
        device: Where to.
        trust_remote_code: Run code that the checkpoint brings.

    Raises:
        ModelError: It is missing, incomplete, needs code of its own, or is no language model with its head.
        MissingDependencyError: It has a LoRA adapter, and peft is not installed.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    folder = side.location.folder
    base = (side.location.base or side.location).folder
    try:
        model, missing = read_language_model(
            base, is_causal=side.is_causal, dtype=dtype, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # the loaders of weights and configurations each raise their own
        kind = "causal" if side.is_causal else "masked"
        raise ModelError(f"{base}: cannot load a {kind} language model: {_reason(error)}. {_REMEDY}") from error
    if missing:
        raise ModelError(
            f"{base}: the checkpoint lacks {len(missing)} weights of a {'causal' if side.is_causal else 'masked'} "
            f"language model, {missing[0]} among them, and random ones would take their place. "
            "Use a checkpoint with its language-model head."
        )
    if base != folder:
        model = _merge_adapter(model, folder)
    network: nn.Module = model
    network.eval().to(device)
    for parameter in network.parameters():
        parameter.requires_grad = False
    return network


_REMEDY = "Check that the checkpoint is whole; code of its own is run only with --trust-remote-code"


def read_language_model(
    folder: Path, *, is_causal: bool = False, dtype: torch.dtype | None = None, trust_remote_code: bool = False
) -> tuple[Any, list[str]]:
    """A language model from a folder of weights: safe, pickled (read as weights only) or in eight bits.

    Args:
        folder: The checkpoint's.
        is_causal: A causal language model, not a masked one.
        dtype: Floating-point type; None for the checkpoint's own.
        trust_remote_code: Run code that the checkpoint brings.

    Returns:
        The model, and the names of the weights that the checkpoint lacks and that are not tied to others; they are random.

    Raises:
        Exception: Whatever transformers raises.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    kind = AutoModelForCausalLM if is_causal else AutoModelForMaskedLM
    if (folder / ROWS8_WEIGHTS).is_file():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        model = kind.from_config(config, trust_remote_code=trust_remote_code)
        lacking = model.load_state_dict(read_rows8(folder / ROWS8_WEIGHTS), strict=False).missing_keys
        model.tie_weights()
        model = model.to(dtype or getattr(config, "dtype", None))
    else:
        model, report = kind.from_pretrained(
            folder, dtype=dtype or "auto", output_loading_info=True, weights_only=True,
            use_safetensors=any((folder / file).is_file() for file in SAFE_WEIGHTS),
            trust_remote_code=trust_remote_code,
        )  # fmt: skip
        lacking = report["missing_keys"]
    tied = set(getattr(model, "all_tied_weights_keys", None) or getattr(model, "_tied_weights_keys", None) or ())
    return model, sorted(key for key in lacking if key not in tied)


def _merge_adapter(model: Any, folder: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError:
        raise MissingDependencyError("LoRA adapters need peft: run 'pip install splade-lucene[lora]'.") from None
    try:
        return PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except Exception as error:  # peft raises whatever its parsers do
        raise ModelError(f"{folder}: cannot load the LoRA adapter: {_reason(error)}. {_REMEDY}") from error


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def vocabulary_terms(tokenizer: Any, size: int) -> list[str]:
    """The term of each output of the decoder.

    Args:
        tokenizer: The checkpoint's tokenizer.
        size: Outputs of the decoder. Those without a token (padding of the matrix) get names that no text yields.
    """
    terms = [f"[unnamed{term_id}]" for term_id in range(size)]
    for entry, term_id in tokenizer.get_vocab().items():
        if term_id < size:
            terms[term_id] = escape_term(entry)
    return terms
