"""Rankings of any form as lists of (docid, score), best first: every function that takes a run reads it here.

==================  ==================================================================================================
form                order
==================  ==================================================================================================
``{docid: score}``  by score, as in pytrec_eval, BEIR and ranx; ties by docid, as in our searchers; its own order is ignored
hits, pairs         their own, which must be best first
==================  ==================================================================================================

Ids that are integers become strings, so that ``7`` in a run and ``"7"`` in the judgments are the same query or document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import RunError
from splade_lucene.ids import best_first, docid_order, id_text

Ranking = Sequence[tuple[str, float]]
"""(docid, score) of each hit, best first."""

_FORMS = "Pass {docid: score}, (docid, score) pairs, or a searcher's hits"


def read_rankings(rankings: Any) -> dict[str, list[tuple[str, float]]]:
    """Reads the rankings of many queries.

    Args:
        rankings: qid → ranking, in any of the forms above.

    Raises:
        RunError: This is not a mapping, two qids are the same, or a ranking is not valid; see :func:`read_ranking`.
    """
    if not isinstance(rankings, Mapping):
        raise RunError(
            f"expected a run, got {type(rankings).__name__}",
            remedy="Pass {qid: {docid: score}}, a Run, or a run file; for an object of another package, Run.from_ranx, "
            "Run.from_ir_measures or Run.from_dataframe",
        )
    found: dict[str, list[tuple[str, float]]] = {}
    for given, ranking in rankings.items():
        qid = text_of_qid(given)
        if qid in found:
            raise RunError(f"two rankings have the qid {qid!r}", remedy="Rank each query once")
        found[qid] = read_ranking(qid, ranking)
    return found


def text_of_qid(qid: Any) -> str:
    """A qid as a string.

    Raises:
        RunError: It is neither a valid string nor an integer.
    """
    text = id_text(qid)
    if text is None:
        raise RunError(f"expected a valid string or an integer as qid, got {qid!r:.60}", remedy="Write qids as strings")
    return text


def read_ranking(qid: str, ranking: Any) -> list[tuple[str, float]]:
    """Reads one ranking.

    Args:
        qid: The query, for error messages.
        ranking: ``{docid: score}``, (docid, score) pairs, objects with a ``docid`` and a ``score``, or
            :class:`splade_lucene.Hits`.

    Raises:
        RunError: A docid or score is not valid, a document is ranked twice, or pairs or hits are not best first.
    """
    if isinstance(ranking, Mapping):
        given, scores = [*ranking], _numbers(qid, [*ranking.values()])
    elif hasattr(ranking, "docids"):
        given, scores = [*ranking.docids], _numbers(qid, ranking.scores)
    else:
        pairs = _pairs(qid, ranking)
        given, scores = [docid for docid, _ in pairs], _numbers(qid, [score for _, score in pairs])
    docids = _texts_of_docids(qid, given)
    if len(set(docids)) < len(docids):
        duplicate = next(docid for position, docid in enumerate(docids) if docid in docids[:position])
        raise RunError(f"document {duplicate!r} is ranked twice for query {qid!r}", remedy="Rank each document once")
    if isinstance(ranking, Mapping):
        return best_first(dict(zip(docids, scores.tolist(), strict=True)))
    _check_order(qid, scores)
    return list(zip(docids, scores.tolist(), strict=True))


def _pairs(qid: str, ranking: Any) -> list[tuple[Any, Any]]:
    if isinstance(ranking, str) or not isinstance(ranking, Iterable):
        raise RunError(f"expected the ranking of query {qid!r}, got {ranking!r:.60}", remedy=_FORMS)
    pairs: list[tuple[Any, Any]] = []
    for hit in ranking:
        if type(hit) is tuple and len(hit) == 2:  # most are
            pairs.append(hit)
        elif hasattr(hit, "docid") and hasattr(hit, "score"):  # our Hit, or Pyserini's
            pairs.append((hit.docid, hit.score))
        elif not isinstance(hit, str) and isinstance(hit, Sequence) and len(hit) == 2:
            pairs.append((hit[0], hit[1]))
        else:
            raise RunError(f"expected a docid and a score for query {qid!r}, got {hit!r:.60}", remedy=_FORMS)
    return pairs


def evaluation_order(qid: str, scores: Mapping[str, float], path: Path | None = None) -> list[tuple[str, float]]:
    """Hits as evaluators order them: score descending in single precision, then docid descending.

    Args:
        qid: The query, for error messages.
        scores: Docid → score; the docids are well-formed.
        path: The run file, for error messages.

    Raises:
        RunError: A score is not a finite number in single precision.
    """
    docids = sorted(scores, key=docid_order, reverse=True)
    values = _numbers(qid, [scores[docid] for docid in docids], path)
    order = np.argsort(-values.astype(np.float32), kind="stable")
    return [(docids[i], score) for i, score in zip(order.tolist(), values[order].tolist(), strict=True)]


def _texts_of_docids(qid: str, docids: list[Any]) -> list[str]:
    if set(map(type, docids)) <= {str} and "".join(docids).isascii():
        return docids
    return [_text_of_docid(qid, docid) for docid in docids]


def _text_of_docid(qid: str, docid: Any) -> str:
    text = id_text(docid)
    if text is None:
        raise RunError(
            f"expected a valid string or an integer as docid, got {docid!r:.60} (query {qid!r})",
            remedy="Write docids as strings",
        )
    return text


def _numbers(qid: str, scores: Any, path: Path | None = None) -> NDArray[np.float64]:
    """Scores as numbers, finite also in single precision, in which evaluators read them."""
    values = np.asarray(scores)
    if values.size and (values.dtype.kind not in "iuf" or values.ndim != 1):
        wrong = next((score for score in scores if np.asarray(score).dtype.kind not in "iuf" or np.ndim(score)), scores)
        raise RunError(f"the score {wrong!r:.60} of query {qid!r} is not a number", remedy="Write scores as numbers")
    numbers = values.astype(np.float64)
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(numbers.astype(np.float32))
    if not is_finite.all():
        raise RunError(
            f"query {qid!r} has a score that is not a finite number: {numbers[~is_finite][0]}",
            path=path,
            remedy="Check the source of the scores",
        )
    return numbers


def _check_order(qid: str, scores: NDArray[np.float64]) -> None:
    rises = np.flatnonzero(np.diff(scores.astype(np.float32)) > 0)
    if len(rises):
        before, after = scores[rises[0]], scores[rises[0] + 1]
        raise RunError(
            f"query {qid!r}: the score rises from {before:g} at rank {rises[0] + 1} to {after:g} at rank {rises[0] + 2}",
            remedy="Sort the hits by score, or pass {docid: score}, which is sorted for you",
        )
