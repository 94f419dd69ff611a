"""The embedded model, and what is known of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EMBEDDED_MODEL = "splade-minilm"


def embedded_model_folder() -> Path:
    """The folder of the checkpoint that comes with the package."""
    return Path(__file__).parent / EMBEDDED_MODEL


def known_models() -> list[dict[str, Any]]:
    """Checkpoints that are known to fit, as data: name, family, pooling, licence, quantizer, note."""
    data: list[dict[str, Any]] = json.loads((Path(__file__).parent / "known_models.json").read_text(encoding="utf-8"))
    return data
