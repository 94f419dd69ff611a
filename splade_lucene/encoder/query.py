"""Text → {term: impact}, matched to an index. The object is also a query encoder for Pyserini's own searcher."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splade_lucene.encoder.encoder import SpladeEncoder
from splade_lucene.errors import ModelError, QueryError
from splade_lucene.index_reader import read_index_manifest
from splade_lucene.manifest import Manifest
from splade_lucene.quantizer import DEFAULT_RULE, Quantizer

_log = logging.getLogger(__name__)


class SpladeQueryEncoder:
    """Encodes and quantizes queries.

    It has the ``encode`` method of Pyserini's ``QueryEncoder``, so ``pyserini``'s ``LuceneImpactSearcher(index_dir,
    encoder)`` takes it as it is. A mapping passes through unchanged, for queries that come encoded.

    Args:
        encoder: What computes the weights.
        quantizer: The rule; its query half applies.
    """

    def __init__(self, encoder: SpladeEncoder, quantizer: Quantizer) -> None:
        self.encoder, self.quantizer = encoder, quantizer

    def encode(self, text: str | Mapping[str, int], **_: Any) -> dict[str, int]:
        """The {term: impact} form of one query, largest impact first. Further arguments of Pyserini's are ignored."""
        return dict(text) if isinstance(text, Mapping) else self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[dict[str, int]]:
        """The {term: impact} forms of several queries."""
        return self.encoder.encode_queries(texts).quantize(self.quantizer, "query")


def open_query_encoder(
    index_dir: str | Path, model: str | Path | None = None, *, quantizer: Quantizer | None = None, **options: Any
) -> SpladeQueryEncoder:
    """The query encoder that matches an index.

    Args:
        index_dir: The index; its manifest says model, pooling, lengths and quantizer.
        model: Another folder or hub name of the same checkpoint (or of its query half); None for the manifest's.
        quantizer: Another rule than the manifest's.
        options: Passed to :class:`SpladeEncoder`.

    Raises:
        QueryError: Neither the caller nor the index says which model to use.
        ModelError: The model of the manifest's name is not the one that encoded the index.
    """
    manifest = read_index_manifest(Path(index_dir))
    if model is None and (manifest is None or not manifest.model):
        raise QueryError(
            f"{index_dir} does not say which model encoded it",
            remedy="Name the model (--model), or give encoded queries",
        )
    manifest = manifest or Manifest()
    rule = quantizer or manifest.quantizer or Quantizer.named(DEFAULT_RULE)
    settings: dict[str, Any] = {}
    if manifest.pooling:
        settings["pooling"] = manifest.pooling
    if manifest.query_max_length:
        settings["query_max_length"] = manifest.query_max_length
    encoder = SpladeEncoder(model or manifest.model, **{**settings, **options})
    if model is None and manifest.model_digest and encoder.checkpoint.digest != manifest.model_digest:
        raise ModelError(
            f"{index_dir} was encoded with another model than the one that is now at {manifest.model}. "
            "Name the right one (--model), or encode again."
        )
    if manifest.model_digest and encoder.checkpoint.digest != manifest.model_digest:
        _log.warning("%s was encoded with another model (%s) than the one given", index_dir, manifest.model)
    return SpladeQueryEncoder(encoder, rule)
