"""Data sets of ir_datasets, written ``irds:NAME``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.imports import uninterrupted_imports

PREFIX = "irds:"


@uninterrupted_imports()
def open_ir_dataset(name: str, error: type[InputError]) -> Any:
    """Opens a data set. ir_datasets downloads the data when it is first read.

    Args:
        name: Its name, without the prefix.
        error: The error to raise for an unknown data set.

    Raises:
        MissingDependencyError: ir_datasets is not installed.
    """
    import ir_datasets

    try:
        return ir_datasets.load(name)
    except KeyError:
        raise error(f"ir_datasets has no data set {name!r}", remedy="See https://ir-datasets.com") from None


def read_records(records: Callable[[], Iterable[Any]], name: str, error: type[InputError]) -> Iterator[Any]:
    """Reads documents, queries or judgments of a data set, which may be downloaded now.

    Args:
        records: The data set's method, such as ``dataset.docs_iter``.
        name: The data set's name.
        error: The error to raise where they cannot be read.
    """
    try:
        yield from records()
    except Exception as problem:  # ir_datasets and its downloads raise all kinds of exceptions
        raise error(
            f"ir_datasets cannot read irds:{name} ({type(problem).__name__}: {problem})",
            remedy=f"Check the network, and what https://ir-datasets.com/{name.partition('/')[0]} says about the data",
        ) from problem
