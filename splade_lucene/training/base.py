"""Prepares the base: a masked-language model with a working head and active terms."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainingArguments, set_seed

from splade_lucene.encoder.checkpoint import load_tokenizer, read_language_model
from splade_lucene.encoder.layout import read_layout
from splade_lucene.encoder.location import CHECK_NAME, locate
from splade_lucene.errors import ConfigError, ModelError, first_line
from splade_lucene.files.files import atomic_text_writer, files_digest
from splade_lucene.files.locks import lock
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.training.dropout import dropout_settings
from splade_lucene.training.limits import read_network_config
from splade_lucene.training.resuming import run_to_end

if TYPE_CHECKING:
    from splade_lucene.training.config import TrainingConfig
    from splade_lucene.training.examples import Texts
    from splade_lucene.training.progress import TrainingProgress

_log = logging.getLogger(__name__)
_BATCH = 64
_SAMPLE = 64
_INITIAL_TERMS = 1200
_MASKED = 0.15
_DESCRIPTION = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip
PREPARED = "prepared.json"
"""The file of a prepared base that says what was done to it: the settings of ``head`` that had an effect."""


def prepare_base(
    config: TrainingConfig, texts: Texts, folder: Path, arguments: dict[str, Any], progress: TrainingProgress
) -> Path:
    """Prepares a base for training; a base that was prepared before is reused.

    A checkpoint without a masked-LM head (an encoder such as all-MiniLM-L6-v2) gets one: the decoder is tied to the input
    embeddings, the transform starts as the identity and the bias as the log frequencies of the tokens, and a short phase of
    masked-language modelling on the passages trains them.

    Args:
        config: The training run, which names the base.
        texts: Their passages are used for masked-language modelling.
        folder: Where the prepared base is stored.
        arguments: Arguments of transformers' trainer: device, precision, seed.
        progress: Receives progress.

    Returns:
        The folder of a masked-language model.

    Raises:
        ModelError: The base cannot be loaded, or has no head and cannot get one.
    """
    settings = config.optimization
    weights = locate(network_folder(config.base)).digest()
    made_from = [
        weights, description_digest(config.base), config.head.model_dump(), settings.max_length, settings.seed,
        texts.passages_digest, arguments["bf16"],
    ]  # fmt: skip
    key = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]
    target = folder / f"base-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"mlm-{key}.lock").open("a") as file:
        lock(file, wait=True)  # a run that shares the cache may be preparing the same base
        if not target.is_dir():
            _prepare(config, texts.passages, folder / f"mlm-{key}", target, arguments, progress)
    return target


def _prepare(
    config: TrainingConfig, passages: Sequence[str], checkpoints: Path, target: Path, arguments: dict[str, Any],
    progress: TrainingProgress,
) -> None:  # fmt: skip
    set_seed(config.optimization.seed)  # independent of what ran before
    model, tokenizer, missing = _load(config.base)
    if not passages:
        raise ConfigError("no passages to prepare the base with", remedy="Set data.passages")
    if missing:
        _log.warning("%s has no masked-LM head; training one for %d steps of masked-language modelling",
                     config.base, config.head.mlm_steps)  # fmt: skip
        _initialize_head(model, tokenizer, missing, passages)
        _train_head(config, model, tokenizer, passages, checkpoints, arguments, progress)
    terms = config.head.initial_terms or (_INITIAL_TERMS if missing else None)
    if terms is not None:
        sample = passages[:: max(1, len(passages) // _SAMPLE)]
        _activate_terms(model, tokenizer, sample, terms, config.optimization.max_length)
    partial = target.with_name(f"{target.name}.partial")  # locked by the caller
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    done = {"mlm_steps": config.head.mlm_steps, "mlm_learning_rate": config.head.mlm_learning_rate} if missing else {}
    with atomic_text_writer(partial / PREPARED) as file:
        json.dump(done if terms is None else {**done, "initial_terms": terms}, file)
    partial.rename(target)
    shutil.rmtree(checkpoints, ignore_errors=True)


def write_unprepared_base(name: str, folder: Path) -> bool:
    """Writes a base as a checkpoint that transformers reads, whatever its weights are stored in. A missing head is random.

    Returns:
        Whether the base has a head.

    Raises:
        ModelError: The base cannot be loaded.
    """
    model, tokenizer, missing = _load(name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return not missing


def description_digest(name: str) -> str:
    """Digest of a base's configuration and tokenizer, which decide how it is trained, too: its dropout, for example.

    Raises:
        ModelError: The checkpoint is not found.
    """
    folder = network_folder(name)
    return files_digest(path for path in (folder / each for each in _DESCRIPTION) if path.is_file())


def base_dropout(name: str) -> dict[str, float]:
    """The settings of dropout of a base; see :func:`splade_lucene.training.dropout.dropout_settings`.

    Raises:
        ModelError: The checkpoint is not found, or its configuration cannot be read.
    """
    return dropout_settings(read_network_config(network_folder(name)))


def network_folder(name: str) -> Path:
    """The folder of a base's masked-language model: the base's own folder, or a subfolder as in SPLADE-doc.

    Raises:
        ModelError: The checkpoint is not found.
    """
    location = locate(name)
    if (location.folder / "config.json").is_file() or not (location.folder / "modules.json").is_file():
        return location.folder
    return read_layout(name).documents.location.folder


def _load(name: str) -> tuple[Any, Any, list[str]]:
    folder = network_folder(name)
    try:
        model, missing = read_language_model(folder, dtype=torch.float32)
        tokenizer = load_tokenizer(folder)
    except ModelError:
        raise
    except Exception as error:  # transformers' parsers raise all kinds of exceptions
        raise ModelError(f"{name}: cannot load a masked-language model: {first_line(error)}. {CHECK_NAME}") from error
    trunk = [key for key in missing if key.startswith(f"{model.base_model_prefix}.")]
    if trunk:
        raise ModelError(f"{name}: {trunk[0]} is missing, which is not part of the head. Use another base.")
    return model, tokenizer, missing


@torch.no_grad()
def _initialize_head(model: Any, tokenizer: Any, missing: Sequence[str], passages: Sequence[str]) -> None:
    model.tie_weights()
    size = int(model.get_output_embeddings().weight.shape[0])
    parameters = dict(model.named_parameters())
    for key in missing:
        parameter = parameters.get(key)
        if parameter is None:  # another name of a tied parameter
            continue
        if parameter.ndim == 2 and parameter.shape[0] == parameter.shape[1]:
            nn.init.eye_(parameter)
        elif parameter.ndim == 1 and len(parameter) == size:
            parameter.copy_(_log_frequencies(tokenizer, passages, size))


def _log_frequencies(tokenizer: Any, passages: Sequence[str], size: int) -> Tensor:
    sample = passages[:: max(1, len(passages) // 5000)]
    counts = torch.full((size,), 0.1)
    for ids in tokenizer(list(sample), truncation=True, max_length=256, add_special_tokens=False)["input_ids"]:
        counts += torch.bincount(torch.tensor(ids, dtype=torch.int64), minlength=size)[:size]
    logarithms = (counts / counts.sum()).log()
    return logarithms - logarithms.mean()


class _Masking:
    """Collates texts and masks tokens for masked-language modelling.

    Of 15 % of the tokens, eight in ten become the mask token, one a random token, and one stays (arXiv 1810.04805). A text's
    masks depend on the seed and on its number alone. transformers' own collator draws them from the global random state, but
    the trainer collates one batch ahead, and restores a checkpoint's state only after the first batch: a resumed run would
    get other masks.

    Args:
        tokenizer: The tokenizer.
        seed: The random seed.
    """

    def __init__(self, tokenizer: Any, seed: int) -> None:
        self._tokenizer, self._seed = tokenizer, seed

    def __call__(self, texts: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Pads texts, given as ``number`` and ``input_ids``; labels are -100 for tokens that are not masked."""
        masked = [self._mask(text["number"], np.array(text["input_ids"])) for text in texts]
        longest = max(len(ids) for ids, _ in masked)
        shape = (len(masked), longest)
        batch = {
            "input_ids": torch.full(shape, self._tokenizer.pad_token_id),
            "attention_mask": torch.zeros(shape, dtype=torch.int64),
            "labels": torch.full(shape, -100),
        }
        for row, (ids, labels) in enumerate(masked):
            batch["input_ids"][row, : len(ids)] = torch.from_numpy(ids)
            batch["attention_mask"][row, : len(ids)] = 1
            batch["labels"][row, : len(ids)] = torch.from_numpy(labels)
        return batch

    def _mask(self, number: int, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rng = np.random.default_rng((self._seed, number))
        is_masked = (rng.random(len(ids)) < _MASKED) & ~np.isin(ids, self._tokenizer.all_special_ids)
        fate, replacements = rng.random(len(ids)), rng.integers(len(self._tokenizer), size=len(ids))
        shown = np.where(fate < 0.8, self._tokenizer.mask_token_id, np.where(fate < 0.9, replacements, ids))
        return np.where(is_masked, shown, ids), np.where(is_masked, ids, -100)


class _MaskedTrainer(Trainer):  # type: ignore[misc]
    """Takes the texts in their order, and computes logits for the masked tokens only."""

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any) -> Any:  # noqa: FBT001, FBT002
        labels = inputs.pop("labels")
        inner = getattr(model, "module", model)
        decoder = inner.get_output_embeddings()
        path = next(name for name, module in inner.named_modules() if module is decoder)
        owner, name = inner.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2]
        setattr(owner, name, nn.Identity())
        try:
            hidden = model(**inputs).logits
        finally:
            setattr(owner, name, decoder)
        masked = labels != -100
        loss = nn.functional.cross_entropy(decoder(hidden[masked]).float(), labels[masked])
        return (loss, None) if return_outputs else loss


@uninterrupted_imports()
def _train_head(
    config: TrainingConfig, model: Any, tokenizer: Any, passages: Sequence[str], folder: Path,
    arguments: dict[str, Any], progress: TrainingProgress,
) -> None:  # fmt: skip
    from datasets import Dataset

    steps = config.head.mlm_steps
    order = torch.randperm(len(passages), generator=torch.Generator().manual_seed(config.optimization.seed))
    texts = [passages[int(order[i % len(order)])] for i in range(steps * _BATCH)]
    encoded = tokenizer(texts, truncation=True, max_length=config.optimization.max_length, return_token_type_ids=False)
    trainer = _MaskedTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder), max_steps=steps, per_device_train_batch_size=_BATCH,
            learning_rate=config.head.mlm_learning_rate, warmup_steps=max(1, steps // 20), remove_unused_columns=False,
            **arguments,
        ),
        train_dataset=Dataset.from_dict({"number": range(len(texts)), "input_ids": encoded["input_ids"]}),
        data_collator=_Masking(tokenizer, config.optimization.seed),
        callbacks=[progress.callback("masked-language modelling")],
    )  # fmt: skip
    run_to_end(trainer, folder, "head.mlm_learning_rate")
    model.to("cpu")


@torch.no_grad()
def _activate_terms(model: Any, tokenizer: Any, sample: Sequence[str], terms: int, max_length: int) -> None:
    """Shifts the decoder's bias so that a passage has ``terms`` active terms on average."""
    was_training = model.training
    model.eval()
    highest = []
    for text in sample:
        inputs = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
        highest.append(model(**inputs).logits[0].amax(dim=0))
    wanted = min(terms, int(highest[0].shape[0])) * len(highest)
    threshold = torch.cat(highest).topk(wanted).values[-1]
    decoder = model.get_output_embeddings()
    if decoder.bias is None:
        raise ModelError("the decoder has no bias to shift. Remove head.initial_terms.")
    decoder.bias -= threshold
    model.train(was_training)
