"""What goes with a trained model: a card for people and its settings for machines."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from splade_lucene.version import __version__

if TYPE_CHECKING:
    from splade_lucene.training.config import TrainingConfig

_LIBRARIES = ("torch", "transformers", "sentence-transformers", "pyserini")


def write_card(folder: Path, config: TrainingConfig, figures: dict[str, float], *, queries: int, passages: int) -> None:
    """Writes ``README.md`` and ``training.json`` beside a model.

    Args:
        folder: The model's.
        config: How it was trained.
        figures: Its measures on the validation data.
        queries: How many queries there were.
        passages: How many passages.
    """
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    versions["splade-lucene"] = __version__
    settings = _without_folders(config.model_dump(mode="json", exclude_none=True, exclude={"output", "cache"}))
    record = {"date": day, "versions": versions, "queries": queries, "passages": passages, "figures": figures}
    (folder / "training.json").write_text(
        json.dumps({**record, "settings": settings}, indent=1) + "\n", encoding="utf-8"
    )
    (folder / "README.md").write_text(_card(config, record, settings), encoding="utf-8")


def _without_folders(settings: Any) -> Any:
    """The same, with absolute paths cut to their last part: a model may travel, the names of one's folders need not."""
    if isinstance(settings, dict):
        return {key: _without_folders(value) for key, value in settings.items()}
    return Path(settings).name if isinstance(settings, str) and Path(settings).is_absolute() else settings


def _card(config: TrainingConfig, record: dict[str, Any], settings: dict[str, Any]) -> str:
    base_model = (
        "" if Path(config.base).exists() else f"\nbase_model: {config.base}"
    )  # the hub takes its own names only
    figures = record["figures"]
    assert isinstance(figures, dict)
    measured = "Not measured: the configuration names no validation data."
    if figures and config.validation is not None:
        rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in figures.items())
        corpus = settings["validation"]["corpus"]
        measured = f"On {corpus}, through a Lucene index of quantized impacts:\n\n| | |\n|---|---|\n{rows}"
    return f"""---
library_name: sentence-transformers
pipeline_tag: feature-extraction
tags: [sparse-encoder, splade, {config.recipe}]{base_model}
---

# A {config.recipe} model

Trained from `{settings["base"]}` on {record["queries"]} queries and {record["passages"]} passages with splade_lucene
{__version__} on {record["date"]}. Weights are log(1 + relu(logits)) pooled over a text's tokens
(arXiv 2109.10086).

```python
from splade_lucene import SpladeEncoder
encoder = SpladeEncoder("this/folder")
```

{measured}

```yaml
{yaml.safe_dump(settings, sort_keys=False).strip()}
```
"""
