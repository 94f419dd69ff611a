"""Checks of a searcher's settings and of the arguments of its searches."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from numbers import Integral
from typing import Any, Literal, TypeVar

from splade_lucene.arguments import check_choice, is_number, to_count, to_ordered_list
from splade_lucene.counts import counted
from splade_lucene.errors import QueryError
from splade_lucene.search.approximation import Approximation

T = TypeVar("T")

Engine = Literal["auto", "blockmax", "maxscore", "taat"]


def check_settings(engine: str, approximation: object, min_idf: Any = None, cache_bytes: int | None = None) -> None:
    """Checks a searcher's settings.

    Raises:
        QueryError: A setting is wrong, or settings contradict each other.
    """
    check_choice(engine, Engine, "engine", error=QueryError)
    if not isinstance(approximation, Approximation):
        raise QueryError(
            f"expected an Approximation, got {approximation!r:.60}", remedy="Pass Approximation(…), or leave it out"
        )
    if engine == "taat" and (approximation.alpha < 1 or approximation.blocks):
        raise QueryError("alpha and blocks require block-max pruning", remedy="Choose the engine auto or blockmax")
    if engine == "maxscore" and approximation.blocks:
        raise QueryError("blocks requires block-max pruning", remedy="Choose the engine auto or blockmax")
    if min_idf is not None and (not is_number(min_idf) or math.isnan(min_idf)):
        raise QueryError(f"min_idf must be a number, got {min_idf!r}", remedy="Leave it out to keep all terms")
    if cache_bytes is not None and not (isinstance(cache_bytes, Integral) and 0 <= cache_bytes < 2**63):
        raise QueryError(f"cache_bytes must be an integer of at least 0, got {cache_bytes!r}")


def check_k(k: object, name: str = "k") -> int:
    """Checks the number of hits, or another number, and limits it to a Java int.

    Raises:
        QueryError: It is not an integer, or below 1.
    """
    if isinstance(k, bool) or not isinstance(k, Integral) or int(k) < 1:
        raise QueryError(f"{name} must be an integer of at least 1, got {k!r}")
    return min(int(k), 2**31 - 1)


def check_batch(queries: Iterable[T], qids: Iterable[str], threads: int) -> tuple[list[T], list[str]]:
    """Checks the arguments of a batch search, and returns the queries and the qids as lists.

    Raises:
        QueryError: The numbers of queries and qids differ, a qid is a duplicate, queries or qids have no order, or
            ``threads`` is out of range.
    """
    queries = to_ordered_list(queries, "queries", error=QueryError)
    qids = to_ordered_list(qids, "qids", error=QueryError)
    if len(queries) != len(qids):
        raise QueryError(
            f"got {counted(len(queries), 'query')} but {counted(len(qids), 'qid')}", remedy="Pass one qid per query"
        )
    for qid in qids:
        if not isinstance(qid, Hashable):
            raise QueryError(f"qids must be strings, got {qid!r:.80}", remedy="Pass one string per query")
    if len(set(qids)) != len(qids):
        duplicate = next(qid for qid in qids if qids.count(qid) > 1)
        raise QueryError(f"duplicate qid {duplicate!r}", remedy="Make all qids unique")
    check_threads(threads)
    return queries, qids


def check_threads(threads: Any) -> None:
    """Checks the number of threads.

    Raises:
        QueryError: It is not an integer, or out of range.
    """
    to_count(threads, "threads", error=QueryError)
