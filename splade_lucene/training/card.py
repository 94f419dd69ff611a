"""The model card and the machine-readable settings of a trained model."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from splade_lucene.files.files import written_whole
from splade_lucene.version import __version__

if TYPE_CHECKING:
    from splade_lucene.training.config import TrainingConfig

_LIBRARIES = ("torch", "transformers", "sentence-transformers", "pyserini")


def write_card(folder: Path, config: TrainingConfig, figures: dict[str, float], *, queries: int, passages: int) -> None:
    """Writes ``README.md`` and ``training.json`` into a model's folder.

    Args:
        folder: Folder of the model.
        config: The training run.
        figures: Measures on the validation data.
        queries: Number of queries.
        passages: Number of passages.
    """
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    versions["splade-lucene"] = __version__
    settings = _without_folders(config.model_dump(mode="json", exclude_none=True, exclude={"output", "cache"}))
    record = {"date": day, "versions": versions, "queries": queries, "passages": passages, "figures": figures}
    with written_whole(folder / "training.json") as file:
        file.write(json.dumps({**record, "settings": settings}, indent=1) + "\n")
    with written_whole(folder / "README.md") as file:
        file.write(_card(config, record, settings))


def _without_folders(settings: Any) -> Any:
    """The same settings with absolute paths reduced to their last part, so that a shared model does not reveal them."""
    if isinstance(settings, dict):
        return {key: _without_folders(value) for key, value in settings.items()}
    return Path(settings).name if isinstance(settings, str) and Path(settings).is_absolute() else settings


def _card(config: TrainingConfig, record: dict[str, Any], settings: dict[str, Any]) -> str:
    base_model = "" if Path(config.base).exists() else f"\nbase_model: {config.base}"  # the hub accepts only hub names
    figures = record["figures"]
    assert isinstance(figures, dict)
    measured = "Not evaluated: the configuration has no validation data."
    if figures and config.validation is not None:
        rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in figures.items())
        corpus = settings["validation"]["corpus"]
        measured = f"Evaluated on {corpus} with a Lucene index of quantized impacts:\n\n| | |\n|---|---|\n{rows}"
    return f"""---
library_name: sentence-transformers
pipeline_tag: feature-extraction
tags: [sparse-encoder, splade, {config.recipe}]{base_model}
---

# A {config.recipe} model

Trained from `{settings["base"]}` on {record["queries"]} queries and {record["passages"]} passages with splade_lucene
{__version__} on {record["date"]}. Term weights are log(1 + relu(logits)), pooled over the tokens of a text
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
