"""Data sets of ir_datasets, which ``irds:NAME`` names."""

from __future__ import annotations

from typing import Any

from splade_lucene.errors import InputError, MissingDependencyError

PREFIX = "irds:"


def open_ir_dataset(name: str, error: type[InputError]) -> Any:
    """Opens a data set. ir_datasets downloads what it needs when the data is read.

    Args:
        name: Its name, without the prefix.
        error: What to raise if there is no such data set.

    Raises:
        MissingDependencyError: ir_datasets is not installed.
    """
    try:
        import ir_datasets
    except ImportError:
        raise MissingDependencyError("irds: needs ir_datasets: run 'pip install splade-lucene[irds]'.") from None
    try:
        return ir_datasets.load(name)
    except KeyError:
        raise error(f"ir_datasets has no data set {name!r}", remedy="See https://ir-datasets.com") from None
