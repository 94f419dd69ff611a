"""The trained network: a masked-language model with a memory-saving pooled head, as sentence-transformers modules.

It is saved as an ordinary checkpoint: the masked-language model with ``SpladePooling``, or with SPLADE-doc's router.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.modules import (
    Module,
    Router,
    SparseStaticEmbedding,
    SpladePooling,
    Transformer,
)
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM

from splade_lucene.errors import ModelError
from splade_lucene.training.dropout import dropout_settings
from splade_lucene.training.head import pooled_weights
from splade_lucene.training.limits import read_limited_config

if TYPE_CHECKING:
    from splade_lucene.encoder.layout import Pooling

_BUCKETS = 4


class PooledTransformer(Transformer):  # type: ignore[misc]
    """A masked-language model that returns weights instead of logits.

    Texts are encoded in a few buckets of similar length, to reduce padding.

    Attributes:
        pooling: ``max`` or ``sum``.
    """

    pooling: Pooling = "max"

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Adds ``sentence_embedding`` to the features: weights, shape [texts, terms]."""
        ids, mask = features["input_ids"], features["attention_mask"].bool()
        lengths = mask.sum(dim=1)
        order = lengths.argsort()
        size = max(1, math.ceil(len(order) / (_BUCKETS if len(order) >= 2 * _BUCKETS else 1)))
        buckets = [(bucket, max(1, int(lengths[bucket].max()))) for bucket in order.split(size)]
        masks = [mask[bucket, :longest] for bucket, longest in buckets]
        name = self._input_name
        inputs = ids if name == "input_ids" else self.model.get_input_embeddings()(ids)
        decoder = self.decoder
        with self._without_decoder():
            hidden = [
                self.model(**{name: inputs[bucket, :longest]}, attention_mask=part.long()).logits
                for (bucket, longest), part in zip(buckets, masks, strict=True)
            ]
        weights = pooled_weights(hidden, decoder.weight, decoder.bias, masks, self.pooling)
        features["sentence_embedding"] = weights[order.argsort()]
        return features

    def get_embedding_dimension(self) -> int:
        """Number of terms."""
        return len(self.decoder.weight)

    @property
    def decoder(self) -> nn.Linear:
        """The last layer of the head.

        Raises:
            ModelError: It is not a linear layer.
        """
        found = self.model.get_output_embeddings()
        if not isinstance(found, nn.Linear):
            raise ModelError("the masked-LM head of this network does not end in a linear layer. Use another base.")
        return found

    @cached_property
    def _input_name(self) -> str:
        """What the network is given: the vectors of the tokens, if it takes them, or their ids.

        Vectors of all buckets are looked up at once, because the gradient of a look-up is as large as the vocabulary's matrix.
        """
        return "inputs_embeds" if "inputs_embeds" in signature(self.model.forward).parameters else "input_ids"

    @contextmanager
    def _without_decoder(self) -> Iterator[None]:
        """The network returns hidden states, and not logits; for a moment only, so that the decoder is saved with the model."""
        decoder = self.decoder
        path = next(name for name, module in self.model.named_modules() if module is decoder)
        owner, name = self.model.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2]
        setattr(owner, name, nn.Identity())
        try:
            yield
        finally:
            setattr(owner, name, decoder)


class ScoreScale(Module):  # type: ignore[misc]
    """The learnable scale of the student's scores: part of the training, not of the final model.

    Args:
        value: Initial value.
    """

    config_keys: ClassVar[list[str]] = []

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.tensor(math.log(value)))

    def set(self, value: float) -> None:
        """Sets the value."""
        with torch.no_grad():
            self.logarithm.fill_(math.log(value))

    @property
    def value(self) -> Tensor:
        """The scale; a scalar."""
        return self.logarithm.exp()

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Returns the features unchanged."""
        return features

    def save(self, output_path: str, *_: Any, safe_serialization: bool = True, **__: Any) -> None:
        """Writes the scale into a folder."""
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(cls, model_name_or_path: str, **options: Any) -> Self:
        """Reads the scale from a folder."""
        known = ("subfolder", "token", "cache_folder", "revision", "local_files_only")
        scale: Self = cls.load_torch_weights(
            model_name_or_path, model=cls(), **{key: options[key] for key in known if key in options}
        )
        return scale


class Student:
    """The network being trained, with its score scale.

    Args:
        base: Folder of a masked-language model.
        pooling: ``max`` or ``sum``.
        is_doc: Whether queries are bags of tokens without a network (SPLADE-doc, arXiv 2109.10086).
        max_length: Tokens per passage; the tokenizer's limit during training.
        dropout: Dropout in the trunk; None: the base's own.
        device: Device for training.

    Attributes:
        base: The folder of the base.

    Raises:
        ConfigError: Passages are longer than the base accepts.
    """

    def __init__(
        self, base: Path, *, pooling: Pooling, is_doc: bool, max_length: int,
        dropout: float | None = None, device: str | None = None,
    ) -> None:  # fmt: skip
        self.base = base
        config = read_limited_config(base, max_length)
        self._dropouts = dropout_settings(config)
        changed = {} if dropout is None else dict.fromkeys(self._dropouts, dropout)
        self.network = PooledTransformer(
            str(base), transformer_task="fill-mask", max_seq_length=max_length, config_kwargs=changed,
            model_kwargs={"dtype": torch.float32},
        )  # fmt: skip
        self.network.pooling = pooling
        self.network.tokenizer.padding_side = "right"  # buckets are truncated at the end
        self.scale = ScoreScale()
        self.is_doc = is_doc
        tokenizer = self.network.tokenizer
        modules: list[nn.Module] = [self.network, self.scale]
        if is_doc:
            terms = self.network.get_embedding_dimension()
            self.queries = SparseStaticEmbedding(tokenizer, torch.ones(terms), frozen=True)
            modules = [Router.for_query_document([self.queries], [self.network]), self.scale]
        self.encoder = SparseEncoder(modules=modules, device=device, similarity_fn_name="dot")

    @property
    def head_pattern(self) -> str:
        """A regular expression matching the names of the parameters that belong only to the masked-LM head."""
        model = self.network.model
        trunk = {id(parameter) for parameter in getattr(model, model.base_model_prefix).parameters()}
        names = [re.escape(name) for name, parameter in model.named_parameters() if id(parameter) not in trunk]
        return rf"\.model\.(?:{'|'.join(names)})$"

    def load(self, folder: Path) -> None:
        """Takes the weights of another network of the same shape.

        Args:
            folder: Its folder: that of a model that :meth:`save` wrote, or for SPLADE-doc that of its network.
        """
        saved = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).state_dict()
        self.network.model.load_state_dict(saved)

    @torch.no_grad()
    def average_with_base(self, share: float) -> None:
        """Moves all weights towards the base's (WiSE-FT, arXiv 2109.01903).

        Args:
            share: Share of the base; 0 changes nothing.
        """
        if not share:
            return
        base = AutoModelForMaskedLM.from_pretrained(self.base, dtype=torch.float32).state_dict()
        for name, trained in self.network.model.named_parameters():  # tied parameters occur once
            trained.lerp_(base[name].to(trained.device), share)

    @torch.no_grad()
    def raise_threshold(self, amount: float) -> None:
        """Lowers all logits, which removes barely active terms.

        Args:
            amount: Amount to subtract; 0 changes nothing.

        Raises:
            ModelError: The decoder has no bias.
        """
        if amount:
            bias = self.network.decoder.bias
            if bias is None:
                raise ModelError("the decoder has no bias to lower. Remove sparsity.threshold.")
            bias.sub_(amount)

    def save(self, folder: Path, max_length: int) -> None:
        """Writes an ordinary checkpoint for sentence-transformers and this package.

        Args:
            folder: Target folder; existing files are overwritten.
            max_length: Maximum tokens per document when the checkpoint is used.
        """
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            self.network.save(temporary)
            plain = Transformer(temporary, transformer_task="fill-mask", max_seq_length=max_length)
        for name, value in self._dropouts.items():
            setattr(plain.model.config, name, value)
        pooling = SpladePooling(pooling_strategy=self.network.pooling)
        modules: list[nn.Module] = [plain, pooling]
        if self.is_doc:
            modules = [Router.for_query_document([self.queries], [plain, pooling])]
        SparseEncoder(modules=modules, device="cpu", similarity_fn_name="dot").save_pretrained(
            str(folder), create_model_card=False
        )
