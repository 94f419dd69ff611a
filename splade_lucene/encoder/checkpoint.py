"""Checkpoints: a folder or a hub name → tokenizer and masked language model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from splade_lucene.errors import ModelError
from splade_lucene.models import EMBEDDED_MODEL, embedded_model_folder

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


@dataclass
class Checkpoint:
    """A loaded masked language model.

    Attributes:
        name: ``splade-minilm`` for the embedded model, the absolute path of a folder, or a hub name.
        digest: SHA-256 of its first weights file; empty for a model from a hub's cache that has none in the clear.
        tokenizer: Its tokenizer.
        model: The network, in inference mode.
        terms: The vocabulary's terms by term_id.
    """

    name: str
    digest: str
    tokenizer: Any
    model: nn.Module
    terms: list[str]

    @property
    def max_tokens(self) -> int:
        """Tokens that the model can take, special tokens included."""
        config: Any = self.model.config
        positions = int(getattr(config, "max_position_embeddings", 512) or 512)
        if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert"):
            positions -= int(config.pad_token_id) + 1  # their positions start behind the padding's
        return min(positions, int(self.tokenizer.model_max_length))


def resolve_model(name: str | Path | None) -> str:
    """The folder or hub name to load: None and ``splade-minilm`` stand for the embedded model.

    Raises:
        ModelError: It looks like a folder and is none, or is a folder without a model in it.
    """
    if name is None or str(name) == EMBEDDED_MODEL:
        return str(embedded_model_folder())
    text = str(name)
    path = Path(text).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path}: no config.json, so this folder holds no model. Name a checkpoint's own folder.")
        if not any((path / file).is_file() for file in WEIGHT_FILES):
            raise ModelError(
                f"{path}: no weights (expected one of {', '.join(WEIGHT_FILES)}). Copy the whole checkpoint."
            )
        return str(path)
    if path.is_file():
        raise ModelError(f"{path} is a file. Name the folder of the checkpoint.")
    if path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1:
        raise ModelError(
            f"{text}: no such model folder. Check the path, or give a hub name such as naver/splade-cocondenser-selfdistil."
        )
    return text


def load_checkpoint(name: str | Path | None, *, dtype: torch.dtype, device: torch.device) -> Checkpoint:
    """Loads a masked language model. Pickled weights are read as weights only, code in a checkpoint is never run.

    Raises:
        ModelError: It is missing, incomplete, or no masked language model.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    source = resolve_model(name)
    transformers_logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(source)
        tokenizer = AutoTokenizer.from_pretrained(source)
        model, report = AutoModelForMaskedLM.from_pretrained(
            source, config=config, dtype=dtype, output_loading_info=True, weights_only=True
        )
    except Exception as error:  # the loaders of weights, tokenizers and configurations each raise their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = "" if Path(source).is_dir() else " It is no local folder, so it was looked up on the model hub."
        raise ModelError(f"{source}: cannot load a masked language model: {reason}.{where}") from error
    tied = set(getattr(model, "all_tied_weights_keys", None) or getattr(model, "_tied_weights_keys", None) or ())
    missing = sorted(key for key in report["missing_keys"] if key not in tied)
    if missing:
        raise ModelError(
            f"{source}: the checkpoint lacks {len(missing)} weights of a masked language model, "
            f"{missing[0]} among them, and random ones would take their place. Use a checkpoint with its masked-LM head."
        )
    model.eval().to(device)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    terms = vocabulary_terms(tokenizer, int(model.get_output_embeddings().weight.shape[0]))
    return Checkpoint(_lasting_name(source), weights_digest(source), tokenizer, model, terms)


def _lasting_name(source: str) -> str:
    """A name that finds the same checkpoint from every working folder."""
    path = Path(source)
    if path == embedded_model_folder():
        return EMBEDDED_MODEL
    return str(path.absolute()) if path.is_dir() else source


def vocabulary_terms(tokenizer: Any, size: int) -> list[str]:
    """The term of each output of the decoder.

    Args:
        tokenizer: The checkpoint's tokenizer.
        size: Outputs of the decoder. Those without a token (padding of the matrix) get names that no text yields.
    """
    terms = [f"[unnamed{term_id}]" for term_id in range(size)]
    for term, term_id in tokenizer.get_vocab().items():
        if term_id < size:
            terms[term_id] = term
    return terms


def weights_digest(source: str) -> str:
    """SHA-256 of the weights of a checkpoint in a folder or in the hub's cache; empty if they cannot be found."""
    folder = Path(source)
    if not folder.is_dir():
        from transformers.utils import cached_file

        found = next(
            (
                path
                for file in WEIGHT_FILES
                if (path := cached_file(source, file, _raise_exceptions_for_missing_entries=False))
            ),
            None,
        )
        if found is None:
            return ""
        folder = Path(found).parent
    for file in WEIGHT_FILES:
        path = folder / file
        if path.is_file():
            files = [path]
            if file.endswith(".index.json"):
                parts = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
                files += [folder / part for part in sorted(set(parts))]
            digest = hashlib.sha256()
            for each in files:
                with each.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
            return digest.hexdigest()
    return ""
