"""Data sets of ir_datasets, written ``irds:NAME``."""

from __future__ import annotations

from typing import Any

from splade_lucene.errors import InputError, MissingDependencyError

PREFIX = "irds:"


def open_ir_dataset(name: str, error: type[InputError]) -> Any:
    """Opens a data set. ir_datasets downloads the data when it is first read.

    Args:
        name: Its name, without the prefix.
        error: The error to raise for an unknown data set.

    Raises:
        MissingDependencyError: ir_datasets is not installed.
    """
    try:
        import ir_datasets
    except ImportError:
        raise MissingDependencyError(
            "irds:NAME requires ir_datasets. Install it with 'pip install splade-lucene[irds]'."
        ) from None
    try:
        return ir_datasets.load(name)
    except KeyError:
        raise error(f"ir_datasets has no data set {name!r}", remedy="See https://ir-datasets.com") from None
