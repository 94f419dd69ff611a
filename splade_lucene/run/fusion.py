"""Several runs to one: parts of a run put together, and rankings of different systems fused."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from splade_lucene.errors import RunError
from splade_lucene.ids import best_first
from splade_lucene.run.run import DEFAULT_TAG, Ranking, Run, strictly_falling

Rankings = Mapping[str, Ranking]
"""A run, or rankings by qid, each best first."""

Normalization = Literal["min-max", "max", "none"]
RRF_CONSTANT = 60


# ---- parts of one run ----


def cut_run(run: Rankings, k: int | None = None, qids: Iterable[str] | None = None) -> Run:
    """The best hits of some queries.

    Args:
        run: What is cut.
        k: Hits kept of each query, at least 1; None: all.
        qids: Queries kept, in this order, those that the run lacks passed over; None: all.

    Raises:
        RunError: No query is left, or k is below 1.
    """
    _check_cutoff("k", k)
    kept = run if qids is None else [qid for qid in dict.fromkeys(qids) if qid in run]
    if not kept:
        raise RunError("none of these queries is in the run", remedy="Check that the qids are spelled as in the run")
    return Run({qid: list(run[qid])[:k] for qid in kept}, tag=_tag_of([run]))


def merge_queries(runs: Sequence[Rankings]) -> Run:
    """Runs of different queries as one.

    Raises:
        RunError: Two runs have rankings of the same query.
    """
    merged: dict[str, Ranking] = {}
    for number, run in enumerate(runs, 1):
        for qid, ranking in run.items():
            if qid in merged:
                raise RunError(
                    f"query {qid!r} is in run {number} and in one before it",
                    remedy="Merge runs of different queries, or those of a collection's shards by score",
                )
            merged[qid] = ranking
    return Run(merged, tag=_tag_of(runs))


def merge_shards(runs: Sequence[Rankings], k: int | None = None) -> Run:
    """Runs of the same queries over the shards of one collection, as one run over all of it.

    Scores are compared as they are, so they must be of the same kind: impact scores always are. Where run files lowered
    integer scores to keep ties in order, the integers are taken again; see :func:`integer_scores`.

    Args:
        runs: One of each shard; a query may be missing where a shard has no hit.
        k: Hits kept of each query; None: all.

    Returns:
        Hits by score descending, then docid ascending as bytes, as a search of the whole collection ranks them.

    Raises:
        RunError: Two shards have hits on the same document.
    """
    _check_cutoff("k", k)
    hits: dict[str, dict[str, float]] = {}
    for number, run in enumerate(runs, 1):
        for qid, ranking in run.items():
            found = hits.setdefault(qid, {})
            for docid, score in integer_scores(ranking):
                if docid in found:
                    raise RunError(
                        f"document {docid!r} is ranked for query {qid!r} by run {number} and by one before it",
                        remedy="A document is in one shard only; to combine systems, fuse their runs",
                    )
                found[docid] = score
    return Run({qid: best_first(found, k) for qid, found in hits.items()}, tag=_tag_of(runs))


def integer_scores(ranking: Ranking) -> Ranking:
    """The integer scores behind a ranking whose ties were written as scores that fall strictly.

    Such scores were only ever lowered, in single precision and by less than 1 unless hundreds are tied, so the integers
    are those above them. Other scores (BM25's, a cross-encoder's) are not what the integers above them would be written
    as, and stay.

    Example:
        >>> integer_scores([("a", 7.0), ("b", 5.0), ("c", 4.9999995)])
        [('a', 7.0), ('b', 5.0), ('c', 5.0)]
        >>> integer_scores([("a", 7.25), ("b", 5.0)])
        [('a', 7.25), ('b', 5.0)]
    """
    scores = [score for _, score in ranking]
    above = [float(math.ceil(score)) for score in scores]
    if above == scores or strictly_falling(above) != strictly_falling(scores):
        return ranking
    return [(docid, score) for (docid, _), score in zip(ranking, above, strict=True)]


# ---- different systems ----


def reciprocal_rank_fusion(
    runs: Sequence[Rankings], *, weights: Sequence[float] | None = None, constant: float = RRF_CONSTANT,
    depth: int | None = None, k: int | None = None,
) -> Run:  # fmt: skip
    """Fuses rankings by rank: the sum of 1 / (constant + rank) over the runs that have the document.

    Cormack, Clarke and Büttcher, SIGIR 2009, whose constant is 60.

    Args:
        runs: At least two.
        weights: What each run's share is multiplied with; None: 1.
        constant: The larger, the less the first ranks stand out; at least 0.
        depth: How many hits of each ranking are looked at; None: all.
        k: Hits kept of each query; None: all.

    Returns:
        Hits by score descending, then docid ascending as bytes. The order of the runs changes nothing.

    Raises:
        RunError: Fewer than two runs, or a wrong weight, constant, depth or k.

    Example:
        >>> fused = reciprocal_rank_fusion([{"q": [("a", 9), ("b", 8)]}, {"q": [("b", 3), ("c", 1)]}])
        >>> [(docid, round(score, 5)) for docid, score in fused["q"]]
        [('b', 0.03252), ('a', 0.01639), ('c', 0.01613)]
    """
    if not (math.isfinite(constant) and constant >= 0):
        raise RunError(f"the constant of reciprocal rank fusion is a number of at least 0, got {constant!r}")

    def shares(ranking: Ranking) -> list[tuple[str, float]]:
        return [(docid, 1 / (constant + rank)) for rank, (docid, _) in enumerate(ranking, 1)]

    return _fuse([{qid: shares(ranking[:depth]) for qid, ranking in run.items()} for run in runs], weights, depth, k)


def weighted_sum(
    runs: Sequence[Rankings], *, weights: Sequence[float] | None = None, normalization: Normalization = "min-max",
    depth: int | None = None, k: int | None = None,
) -> Run:  # fmt: skip
    """Fuses rankings by score: the weighted sum of a document's scores, each query's normalized; 0 where a run lacks it.

    Args:
        runs: At least two.
        weights: One a run; None: 1.
        normalization: ``min-max``: from 0 for the last hit to 1 for the first, 1 for all if they are equal. ``max``:
            divided by the first hit's score, for scores whose 0 has a meaning, as impact scores' and BM25's. ``none``.
        depth: How many hits of each ranking are looked at; None: all.
        k: Hits kept of each query; None: all.

    Returns:
        Hits by score descending, then docid ascending as bytes. The order of the runs changes nothing.

    Raises:
        RunError: Fewer than two runs, a wrong weight, depth or k, or a best score that is not above 0 with ``max``.
    """
    if normalization not in ("min-max", "max", "none"):
        raise RunError(f"no normalization is named {normalization!r}", remedy="Choose min-max, max or none")
    normalized = [
        {qid: _normalized(qid, ranking[:depth], normalization) for qid, ranking in run.items()} for run in runs
    ]
    return _fuse(normalized, weights, depth, k)


def _normalized(qid: str, ranking: Ranking, normalization: Normalization) -> Ranking:
    if not ranking or normalization == "none":
        return ranking
    scores = [score for _, score in ranking]
    best, worst = max(scores), min(scores)
    if normalization == "max":
        if best <= 0:
            raise RunError(
                f"query {qid!r} has a best score of {best:g}, by which nothing can be divided",
                remedy="Use min-max for scores that may be negative",
            )
        return [(docid, score / best) for docid, score in ranking]
    spread = best - worst
    return [(docid, (score - worst) / spread if spread else 1.0) for docid, score in ranking]


def _fuse(runs: Sequence[Rankings], weights: Sequence[float] | None, depth: int | None, k: int | None) -> Run:
    factors = [1.0] * len(runs) if weights is None else list(weights)
    if len(runs) < 2:
        raise RunError("fusion takes at least two runs", remedy="Give several")
    if len(factors) != len(runs) or not all(math.isfinite(weight) for weight in factors):
        raise RunError(f"{len(runs)} runs take {len(runs)} weights, got {factors}", remedy="Give one for each run")
    _check_cutoff("depth", depth)
    _check_cutoff("k", k)
    fused: dict[str, list[tuple[str, float]]] = {}
    for qid in dict.fromkeys(qid for run in runs for qid in run):
        shares: defaultdict[str, list[float]] = defaultdict(list)
        for weight, run in zip(factors, runs, strict=True):
            for docid, score in run.get(qid, ()):
                shares[docid].append(weight * score)
        # exactly rounded sums, so that what is equal on paper stays a tie, whatever the order
        fused[qid] = best_first({docid: math.fsum(each) for docid, each in shares.items()}, k)
    return Run(fused)


def _check_cutoff(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise RunError(f"{name} is at least 1, got {value}")


def _tag_of(runs: Sequence[Rankings]) -> str:
    """The runs' tag if they share one."""
    tags = {run.tag if isinstance(run, Run) else DEFAULT_TAG for run in runs}
    return tags.pop() if len(tags) == 1 else DEFAULT_TAG
