"""Encoders from and for sentence-transformers: a live ``SparseEncoder`` as ours, and ours for its evaluators."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splade_lucene.arguments import to_path
from splade_lucene.encoder import Pruning, SparseWeights, SpladeEncoder
from splade_lucene.encoder.layout import Layout
from splade_lucene.encoder.location import Location
from splade_lucene.encoder.settings import Backend, DocumentSettings, Dtype, QuerySettings
from splade_lucene.errors import InputError, ModelError
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.quantizer import Quantizer, Side

if TYPE_CHECKING:
    import torch


def is_sparse_encoder(model: object) -> bool:
    """Whether an object is a ``SparseEncoder``; does not import sentence-transformers."""
    return any(
        kind.__name__ == "SparseEncoder" and kind.__module__.startswith("sentence_transformers.")
        for kind in type(model).__mro__
    )


@uninterrupted_imports()
def open_sparse_encoder(
    model: Any, folder: str | Path | None = None, documents: DocumentSettings = DocumentSettings(),
    queries: QuerySettings = QuerySettings(), *, device: str = "auto", dtype: Dtype = "auto",
    batch_tokens: int | None = None, backend: Backend = "auto",
) -> SpladeEncoder:  # fmt: skip
    """A :class:`splade_lucene.SpladeEncoder` with the weights that a live ``SparseEncoder`` has now, such as after training.

    The model is saved and read like any checkpoint, so all features work with it: prepacked products, several
    devices, passages, manifests with its checksum. If it is trained further, call this again.

    Args:
        model: A ``sentence_transformers.SparseEncoder``.
        folder: Where to save the model, a new folder. Indexes then name it, and open their query encoder from there. None:
            a temporary folder, which is deleted with the encoder; indexes then name no model, and searchers need
            ``query_encoder``.
        documents: What overrides the model for documents.
        queries: What overrides it for queries.
        device: See :class:`splade_lucene.SpladeEncoder`; the live model stays where it is.
        dtype: Likewise.
        batch_tokens: Likewise.
        backend: Likewise.

    Raises:
        InputError: It is not a ``SparseEncoder``, or the folder is not empty.
        ModelError: :class:`splade_lucene.SpladeEncoder` does not support its modules, or it has a similarity other than
            dot, or ``max_active_dims``.
    """
    if not is_sparse_encoder(model):
        raise InputError(
            f"expected a SparseEncoder of sentence-transformers, got {type(model).__name__}",
            remedy="Open a checkpoint by its folder or name with SpladeEncoder(name)",
        )
    _check_settings(model)
    if folder is not None and (path := to_path(folder)).exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(
            "the folder exists and is not empty", path=path, remedy="Name a new folder, or delete this one"
        )
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    temporary = tempfile.TemporaryDirectory(prefix="splade-lucene-") if folder is None else None
    saved = temporary.name if temporary else str(folder)
    try:
        model.save_pretrained(saved, create_model_card=False)
        encoder = SpladeEncoder(
            saved, documents, queries, device=device, dtype=dtype, batch_tokens=batch_tokens, backend=backend
        )
    except BaseException:
        if temporary:
            temporary.cleanup()
        raise
    if temporary:
        encoder.layout = _without_name(encoder.layout, saved)
        weakref.finalize(encoder, temporary.cleanup)
    return encoder


def _check_settings(model: Any) -> None:
    if model.max_active_dims is not None:
        raise ModelError(
            f"the SparseEncoder keeps at most {model.max_active_dims} terms of a text (max_active_dims). Set it to None, and "
            f"prune documents with Pruning(top_terms={model.max_active_dims})."
        )
    if model.similarity_fn_name != "dot":
        raise ModelError(
            f"the SparseEncoder compares texts by {model.similarity_fn_name}, but an index computes dot products. To use it "
            'anyway, set its similarity_fn_name to "dot".'
        )


def _without_name(layout: Layout, folder: str) -> Layout:
    """The layout of a checkpoint that will be gone: what is in its folder has no name."""

    def unnamed(location: Location) -> Location:
        return replace(location, name="") if location.folder.is_relative_to(folder) else location

    documents, queries = layout.documents, layout.queries
    return replace(
        layout,
        location=unnamed(layout.location),
        documents=replace(documents, location=unnamed(documents.location)),
        queries=replace(queries, location=unnamed(queries.location)),
    )


class EvaluationResults(dict[str, dict[str, float]]):
    """Metrics by the name of their evaluator: what evaluators find as a model's ``model_card_data``."""

    def set_evaluation_metrics(self, evaluator: Any, metrics: dict[str, float], **_: Any) -> None:
        """Keeps the metrics of an evaluator, instead of earlier ones of the same name; epoch and step are ignored."""
        self[getattr(evaluator, "name", "") or type(evaluator).__name__] = dict(metrics)


class SparseEncoderView:
    """Wraps a :class:`splade_lucene.SpladeEncoder` as a ``SparseEncoder``, for its evaluators.

    ``SparseInformationRetrievalEvaluator(…)(SparseEncoderView(encoder))`` and the others of
    ``sentence_transformers.sparse_encoder.evaluation`` use it like a ``SparseEncoder``: it returns sparse tensors of shape
    [texts, terms], float32, in the order of the vocabulary.

    Args:
        encoder: The encoder.
        quantizer: With a quantizer the tensors hold impacts, so that similarities are the scores of an index; None for
            weights.

    Attributes:
        encoder: The encoder.
        quantizer: The quantizer.
        similarity_fn_name: ``dot``.
        max_active_dims: None, for no limit.
        model_card_data: The metrics of the evaluators that were called with it.

    Example:
        >>> from splade_lucene import SparseEncoderView, SpladeEncoder
        >>> view = SparseEncoderView(SpladeEncoder(device="cpu"))
        >>> view.encode_query(["a query", "another one"]).shape
        torch.Size([2, 30522])
    """

    similarity_fn_name = "dot"
    max_active_dims: int | None = None

    def __init__(self, encoder: SpladeEncoder, quantizer: Quantizer | None = None) -> None:
        if not isinstance(encoder, SpladeEncoder):
            raise InputError(
                f"expected a SpladeEncoder, got {type(encoder).__name__}", remedy="Pass SpladeEncoder(model)"
            )
        self.encoder, self.quantizer = encoder, quantizer
        self.model_card_data = EvaluationResults()

    def encode_query(self, inputs: str | Sequence[str], **options: Any) -> Any:
        """Encodes queries; see :meth:`encode`."""
        return self._encode(inputs, "query", options)

    def encode_document(self, inputs: str | Sequence[str], **options: Any) -> Any:
        """Encodes documents; see :meth:`encode`."""
        return self._encode(inputs, "document", options)

    def encode(self, inputs: str | Sequence[str], *, task: Side = "document", **options: Any) -> Any:
        """Encodes texts with the arguments of ``SparseEncoder.encode``.

        Args:
            inputs: Texts, or one text.
            task: The side that encodes them, as in a ``Router``: ``query`` or ``document``.
            options: ``convert_to_tensor``, ``convert_to_sparse_tensor``, ``save_to_cpu`` and ``max_active_dims`` mean the same.
                ``batch_size`` and ``show_progress_bar`` have no effect: the encoder batches by tokens. A ``prompt`` must be
                the encoder's own prefix, and a ``prompt_name`` the side's.

        Returns:
            A tensor of shape [texts, terms], or [terms] for one text; a list of tensors of shape [terms] if
            ``convert_to_tensor`` is false.

        Raises:
            InputError: An argument is unknown, or this encoder does not support its value.
        """
        return self._encode(inputs, task, options)

    @uninterrupted_imports()
    def _encode(self, inputs: str | Sequence[str], side: Side, options: dict[str, Any]) -> Any:
        import torch

        self._check_options(side, options)
        texts = [inputs] if isinstance(inputs, str) else inputs
        encode = self.encoder.encode_queries if side == "query" else self.encoder.encode_documents
        tensor = self._tensor(self._pruned(encode(texts), options.get("max_active_dims")), side)
        if not options.get("save_to_cpu", False):
            tensor = tensor.to(torch.device(self.encoder.device_name))
        if not options.get("convert_to_sparse_tensor", True):
            tensor = tensor.to_dense()
        if isinstance(inputs, str):
            return tensor[0]
        return tensor if options.get("convert_to_tensor", True) else [*tensor]

    def _check_options(self, side: Side, options: dict[str, Any]) -> None:
        if side not in ("query", "document"):
            raise InputError(f"unknown task {side!r}", remedy="Choose query or document")
        if unknown := sorted(options.keys() - _OPTIONS):
            raise InputError(
                f"unknown arguments: {', '.join(unknown)}", remedy=f"Known are {', '.join(sorted(_OPTIONS))}"
            )
        layout = self.encoder.layout
        prefix = layout.queries.prefix if side == "query" else layout.documents.prefix
        if options.get("prompt") not in (None, prefix):
            raise InputError(
                f"the prompt {options['prompt']!r:.60} is not the encoder's ({prefix!r:.60})",
                remedy="Set it when the encoder is made: DocumentSettings(prefix=…) and QuerySettings(prefix=…)",
            )
        if options.get("prompt_name") not in (None, side):
            raise InputError(
                f"unknown prompt_name {options['prompt_name']!r:.60}", remedy=f"Leave it out, or pass {side!r}"
            )
        if options.get("device") not in (None, self.encoder.device_name):
            raise InputError(
                f"the encoder is on {self.encoder.device_name}, not on {options['device']!r:.60}",
                remedy="Choose the device when the encoder is made: SpladeEncoder(model, device=…)",
            )

    @staticmethod
    def _pruned(weights: SparseWeights, limit: int | None) -> SparseWeights:
        return weights if limit is None else weights.prune(Pruning(top_terms=limit))

    @uninterrupted_imports()
    def _tensor(self, weights: SparseWeights, side: Side) -> torch.Tensor:
        import torch

        matrix = (weights if self.quantizer is None else weights.impacts(self.quantizer, side)).to_scipy()
        rows = np.repeat(np.arange(len(weights)), np.diff(matrix.indptr))
        indices = torch.from_numpy(np.stack([rows, matrix.indices.astype(np.int64)]))
        values = torch.from_numpy(matrix.data.astype(np.float32))
        return torch.sparse_coo_tensor(indices, values, matrix.shape, check_invariants=True).coalesce()

    @uninterrupted_imports()
    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Dot products, as ``SparseEncoder.similarity`` computes them.

        Args:
            embeddings1: Shape [n, terms] or [terms].
            embeddings2: Shape [m, terms] or [terms].

        Returns:
            Shape [n, m].
        """
        from sentence_transformers.util import dot_score

        return dot_score(embeddings1, embeddings2)

    @uninterrupted_imports()
    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Dot products of pairs; shapes [n, terms] and [n, terms] to [n]."""
        from sentence_transformers.util import pairwise_dot_score

        return pairwise_dot_score(embeddings1, embeddings2)

    @staticmethod
    @uninterrupted_imports()
    def sparsity(embeddings: Any) -> dict[str, float]:
        """``active_dims``, the mean number of terms, and ``sparsity_ratio``, the share of the vocabulary without weight."""
        from sentence_transformers import SparseEncoder

        found: dict[str, float] = SparseEncoder.sparsity(embeddings)
        return found

    def get_embedding_dimension(self) -> int:
        """The number of terms in the vocabulary."""
        return len(self.encoder.terms)


_OPTIONS = frozenset((
    "batch_size", "convert_to_sparse_tensor", "convert_to_tensor", "device", "max_active_dims", "prompt", "prompt_name",
    "save_to_cpu", "show_progress_bar",
))  # fmt: skip
