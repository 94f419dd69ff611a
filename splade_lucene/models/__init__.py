"""The embedded model and the list of known models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from splade_lucene.quantizer import DEFAULT_RULE, Quantizer

EMBEDDED_MODEL = "splade-minilm"
EMBEDDED_DOC_MODEL = "splade-minilm-doc"
"""The document-only variant: the same weights for documents, and a table instead of a network for queries."""


def embedded_model_folder() -> Path:
    """The folder of the checkpoint shipped with the package."""
    return Path(__file__).parent / EMBEDDED_MODEL


def embedded_query_table() -> Path:
    """The table of query weights of the document-only variant."""
    return Path(__file__).parent / EMBEDDED_DOC_MODEL / "query_token_weights.txt"


def known_models() -> list[dict[str, Any]]:
    """Checkpoints that are known to work, as plain data.

    Each has name, family, licence, gated, pooling, activation, query_mode, query_model, max_length, query_max_length,
    quantizer (recommended), effectiveness (data, measure, value and source of each figure) and note; None if no source
    states it.
    """
    data: list[dict[str, Any]] = json.loads((Path(__file__).parent / "known_models.json").read_text(encoding="utf-8"))
    return data


def recommended_quantizer(name: str, scale: float | None = None) -> Quantizer:
    """The quantizer that is recommended for a model, by its hub name; the default one for a model that is not known.

    Args:
        name: The model's hub name or folder.
        scale: Another scale than the quantizer's own.

    Raises:
        InputError: The scale is not positive.
    """
    return Quantizer.named((find_known_model(name) or {}).get("quantizer") or DEFAULT_RULE, scale)


def find_known_model(name: str) -> dict[str, Any] | None:
    """The entry of a hub name in the list of known models; None if it is not listed."""
    return next((each for each in known_models() if each["name"] == name), None)
