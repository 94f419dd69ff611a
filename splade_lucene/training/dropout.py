"""The settings of dropout, which have different names in each architecture."""

from __future__ import annotations

import re
from typing import Any

_DROPOUT = re.compile(r"(?!classif|seq_classif|qa_|summary|pooler).*(dropout|_pdrop).*")


def dropout_settings(config: Any) -> dict[str, float]:
    """The settings of dropout in a network's configuration, with their rates; not those of layers that training does without.

    Args:
        config: The configuration.
    """
    return {
        name: value
        for name, value in config.to_dict().items()
        if _DROPOUT.fullmatch(name) and isinstance(value, int | float) and not isinstance(value, bool)
    }
