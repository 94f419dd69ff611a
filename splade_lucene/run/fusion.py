"""Cuts runs, merges the parts of a run, and fuses runs of different systems."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from splade_lucene.arguments import check_choice, to_list, to_ordered_list
from splade_lucene.errors import RunError
from splade_lucene.ids import best_first
from splade_lucene.run.file_ranks import FileRanks
from splade_lucene.run.rankings import Ranking, text_of_qid
from splade_lucene.run.run import DEFAULT_TAG, Run, RunSource, strictly_falling
from splade_lucene.search.fusion import RRF_CONSTANT, Normalization, check_constant, normalized_scores, reciprocal_ranks

RrfBy = Literal["rank", "score"]


# ---- parts of one run ----


def cut_run(run: RunSource, k: int | None = None, qids: Iterable[str | int] | None = None) -> Run:
    """Keeps the top hits of some queries.

    Args:
        run: A run, rankings by qid as for :class:`splade_lucene.Run`, or a run file.
        k: Number of hits to keep per query, at least 1; None for all.
        qids: Queries to keep, in this order; those that are not in the run are ignored. None for all.

    Raises:
        RunError: No query is left, or k is below 1.
    """
    _check_cutoff("k", k)
    wanted = None if qids is None else to_list(qids, "qids", error=RunError)
    whole = Run.of(run)
    kept = whole if wanted is None else [qid for qid in dict.fromkeys(map(text_of_qid, wanted)) if qid in whole]
    if not kept:
        raise RunError("none of these queries is in the run", remedy="Check that the qids match those of the run")
    return Run({qid: whole[qid][:k] for qid in kept}, tag=whole.tag, format=whole.format, file_ranks=whole.file_ranks)


def merge_queries(runs: Iterable[RunSource]) -> Run:
    """Merges runs of different queries.

    Args:
        runs: Runs, rankings by qid as for :class:`splade_lucene.Run`, or run files.

    Raises:
        RunError: Two runs contain the same query.
    """
    merged: dict[str, Ranking] = {}
    file_ranks: dict[str, FileRanks] = {}
    parts = _read(runs)
    for number, run in enumerate(parts, 1):
        for qid, ranking in run.items():
            if qid in merged:
                raise RunError(
                    f"query {qid!r} of run {number} is already in an earlier run",
                    remedy="Merge runs of different queries, or merge the runs of a collection's shards by score",
                )
            merged[qid] = ranking
            file_ranks.update({qid: run.file_ranks[qid]} if qid in run.file_ranks else {})
    formats = {part.format for part in parts}
    return Run(merged, tag=_tag_of(parts), format=formats.pop() if len(formats) == 1 else "trec", file_ranks=file_ranks)


def merge_shards(runs: Iterable[RunSource], k: int | None = None) -> Run:
    """Merges runs of the same queries over the shards of a collection into one run over the whole collection.

    Scores are compared directly, so they must be comparable across shards; impact scores always are. Integer scores that
    were lowered in run files to break ties are restored; see :func:`integer_scores`.

    Args:
        runs: One run per shard, in any form that :func:`merge_queries` takes; queries without hits in a shard may be missing.
        k: Number of hits to keep per query; None for all.

    Returns:
        Hits, sorted by score descending, then by the bytes of the docid ascending, like a search of the whole collection.

    Raises:
        RunError: Two shards contain the same document.
    """
    _check_cutoff("k", k)
    hits: dict[str, dict[str, float]] = {}
    shards = _read(runs)
    for number, run in enumerate(shards, 1):
        for qid, ranking in run.items():
            found = hits.setdefault(qid, {})
            for docid, score in integer_scores(ranking):
                if docid in found:
                    raise RunError(
                        f"document {docid!r} of run {number} is already in an earlier run (query {qid!r})",
                        remedy="Shards must not share documents; to combine different systems, fuse their runs",
                    )
                found[docid] = score
    return Run({qid: best_first(found, k) for qid, found in hits.items()}, tag=_tag_of(shards))


def integer_scores(ranking: Ranking) -> Ranking:
    """Restores the integer scores of a ranking whose ties were broken by :func:`splade_lucene.run.run.strictly_falling`.

    Such scores have only been lowered, by less than 1 unless hundreds of hits are tied, so rounding up restores the
    integers. The result is checked by lowering it again. Other scores, such as BM25's or a cross-encoder's, fail this
    check and are returned unchanged.

    Example:
        >>> integer_scores([("a", 7.0), ("b", 5.0), ("c", 4.9999995)])
        [('a', 7.0), ('b', 5.0), ('c', 5.0)]
        >>> integer_scores([("a", 7.25), ("b", 5.0)])
        [('a', 7.25), ('b', 5.0)]
    """
    scores = [score for _, score in ranking]
    integers = [float(math.ceil(score)) for score in scores]
    if integers == scores or strictly_falling(integers) != strictly_falling(scores):
        return ranking
    return [(docid, score) for (docid, _), score in zip(ranking, integers, strict=True)]


# ---- different systems ----


def reciprocal_rank_fusion(
    runs: Iterable[RunSource], *, by: RrfBy = "rank", weights: Iterable[float] | None = None, constant: float = RRF_CONSTANT,
    depth: int | None = None, k: int | None = None,
) -> Run:  # fmt: skip
    """Fuses rankings by rank: the score is the sum of 1 / (constant + rank) over the runs that contain the document.

    Cormack, Clarke and Büttcher, SIGIR 2009, who use the constant 60.

    Args:
        runs: At least two runs, in any form that :func:`merge_queries` takes.
        by: ``rank``: by the ranks in the run files, as in Pyserini and Anserini; runs that were not read from files, and
            JSON runs, have the ranks 1, 2, 3 … in the order of their hits. ``score``: by the order of the scores.
        weights: One weight per run, by which its contributions are multiplied; None for 1.
        constant: At least 0; larger values reduce the influence of the top ranks.
        depth: Number of hits of each ranking to use; None for all.
        k: Number of hits to keep per query; None for all.

    Returns:
        Hits, sorted by score descending, then by the bytes of the docid ascending. The order of the runs does not matter.

    Raises:
        RunError: There are fewer than two runs, a weight, constant, depth or k is invalid, or a rank in a file is.

    Example:
        >>> fused = reciprocal_rank_fusion([{"q": [("a", 9), ("b", 8)]}, {"q": [("b", 3), ("c", 1)]}])
        >>> [(docid, round(score, 5)) for docid, score in fused["q"]]
        [('b', 0.03252), ('a', 0.01639), ('c', 0.01613)]
    """
    check_constant(constant)
    check_choice(by, RrfBy, "value of by", error=RunError)

    def shares(run: Run, qid: str) -> list[tuple[str, float]]:
        ranks = run.ranks(qid, first=0) if by == "rank" else {docid: n for n, (docid, _) in enumerate(run[qid], 1)}
        best = sorted(ranks.items(), key=lambda hit: hit[1])[:depth]
        reciprocal = reciprocal_ranks(np.array([rank for _, rank in best], dtype=np.int64), constant)
        return [(docid, share) for (docid, _), share in zip(best, reciprocal.tolist(), strict=True)]

    shared = [{qid: shares(run, qid) for qid in run} for run in _read(runs)]
    return _fuse(shared, weights, depth, k)


def weighted_sum(
    runs: Iterable[RunSource], *, weights: Iterable[float] | None = None, normalization: Normalization = "min-max",
    depth: int | None = None, k: int | None = None,
) -> Run:  # fmt: skip
    """Fuses rankings by score: the weighted sum of a document's normalized scores, with 0 for runs that lack it.

    Args:
        runs: At least two runs, in any form that :func:`merge_queries` takes.
        weights: One weight per run; None for 1.
        normalization: Applied to each query's hits. ``min-max``: scale linearly to 1 for the first hit and 0 for the last,
            or to 1 if all scores are equal. ``max``: divide by the first hit's score; for scores with a meaningful zero,
            such as impact scores and BM25. ``none``: keep the scores.
        depth: Number of hits of each ranking to use; None for all.
        k: Number of hits to keep per query; None for all.

    Returns:
        Hits, sorted by score descending, then by the bytes of the docid ascending. The order of the runs does not matter.

    Raises:
        RunError: There are fewer than two runs, a weight, depth or k is invalid, or with ``max`` a best score is not
            above 0.
    """
    check_choice(normalization, Normalization, "normalization", error=RunError)
    normalized = [
        {qid: _normalized(qid, ranking[:depth], normalization) for qid, ranking in run.items()} for run in _read(runs)
    ]
    return _fuse(normalized, weights, depth, k)


def _normalized(qid: str, ranking: Ranking, normalization: Normalization) -> Ranking:
    scores = normalized_scores(qid, np.array([score for _, score in ranking]), normalization)
    return [(docid, score) for (docid, _), score in zip(ranking, scores.tolist(), strict=True)]


def _fuse(
    runs: Sequence[Mapping[str, Ranking]], weights: Iterable[float] | None, depth: int | None, k: int | None
) -> Run:
    factors = [1.0] * len(runs) if weights is None else to_ordered_list(weights, "weights", error=RunError)
    if len(runs) < 2:
        raise RunError("fusion requires at least two runs", remedy="Pass several runs")
    if len(factors) != len(runs) or not all(math.isfinite(weight) for weight in factors):
        raise RunError(
            f"{len(runs)} runs require {len(runs)} finite weights, got {factors}", remedy="Pass one weight per run"
        )
    _check_cutoff("depth", depth)
    _check_cutoff("k", k)
    fused: dict[str, list[tuple[str, float]]] = {}
    for qid in dict.fromkeys(qid for run in runs for qid in run):
        shares: defaultdict[str, list[float]] = defaultdict(list)
        for weight, run in zip(factors, runs, strict=True):
            for docid, score in run.get(qid, ()):
                shares[docid].append(weight * score)
        # exactly rounded sums do not depend on the order of the runs, so mathematically equal scores are tied
        fused[qid] = best_first({docid: math.fsum(each) for docid, each in shares.items()}, k)
    return Run(fused)


def _check_cutoff(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise RunError(f"{name} must be at least 1, got {value}")


def _read(runs: Iterable[RunSource]) -> list[Run]:
    return [Run.of(run) for run in to_ordered_list(runs, "runs", error=RunError)]


def _tag_of(runs: Sequence[Run]) -> str:
    """The tag of the runs if they share one, else the default tag."""
    tags = {run.tag for run in runs}
    return tags.pop() if len(tags) == 1 else DEFAULT_TAG
