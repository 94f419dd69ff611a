"""The embedded model, and what is known of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from splade_lucene.quantizer import DEFAULT_RULE

EMBEDDED_MODEL = "splade-minilm"
EMBEDDED_DOC_MODEL = "splade-minilm-doc"
"""The same weights for documents, and a table for queries, which need no network then."""


def embedded_model_folder() -> Path:
    """The folder of the checkpoint that comes with the package."""
    return Path(__file__).parent / EMBEDDED_MODEL


def embedded_query_table() -> Path:
    """The table of query weights of the document-only sibling."""
    return Path(__file__).parent / EMBEDDED_DOC_MODEL / "query_token_weights.txt"


def known_models() -> list[dict[str, Any]]:
    """Checkpoints that are known to fit, as data.

    Each has name, family, licence, gated, pooling, activation, queries, query_model, max_length, query_max_length,
    quantizer (recommended), effectiveness (data, measure, value and source of each figure) and note; None where no source
    says it.
    """
    data: list[dict[str, Any]] = json.loads((Path(__file__).parent / "known_models.json").read_text(encoding="utf-8"))
    return data


def usual_rule(name: str) -> str:
    """The quantizer that is usual for a hub name, or else the default one."""
    return (find_known_model(name) or {}).get("quantizer") or DEFAULT_RULE


def find_known_model(name: str) -> dict[str, Any] | None:
    """What is known of a hub name, or None."""
    return next((each for each in known_models() if each["name"] == name), None)
