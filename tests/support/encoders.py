"""Encoders whose settings are given by name, as tests with many settings want them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from splade_lucene import DocumentSettings, QuerySettings, SpladeEncoder

_DOCUMENTS = {each.name for each in fields(DocumentSettings)}
_QUERIES = {f"query_{each.name}": each.name for each in fields(QuerySettings)}


def settings_by_name(**settings: Any) -> dict[str, Any]:
    """Arguments of an encoder: ``query_…`` goes to the settings of queries, what documents have to theirs."""
    documents = {name: value for name, value in settings.items() if name in _DOCUMENTS}
    queries = {_QUERIES[name]: value for name, value in settings.items() if name in _QUERIES}
    others = {name: value for name, value in settings.items() if name not in _DOCUMENTS and name not in _QUERIES}
    return {"documents": DocumentSettings(**documents), "queries": QuerySettings(**queries), **others}


def encoder_on_cpu(model: str | Path | None = None, **settings: Any) -> SpladeEncoder:
    """An encoder in float32 on the CPU, unless the settings say otherwise."""
    return SpladeEncoder(model, **settings_by_name(**{"device": "cpu", "dtype": "float32", **settings}))
