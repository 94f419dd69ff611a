"""All measures of trec_eval under its own names, computed by pytrec_eval, a build of trec_eval that ir_measures depends on.

A name means one figure as printed by trec_eval: ``map``, ``P_10``, ``iprec_at_recall_0.20``, ``gm_map``. Three nicknames
stand for groups: ``all_trec``, ``official`` and ``set``.

Values agree with version 9 of trec_eval or, if wanted, with version 10 (:mod:`splade_lucene.evaluation.trec_eval_10`), and with
its ``-c``: judged queries without hits count, with the value of an empty ranking. For ``gm_map`` and
``gm_bpref``, the values of single queries are natural logarithms, which are averaged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from functools import cache, reduce
from operator import add

from splade_lucene.defaults import TREC_EVAL, TrecEval
from splade_lucene.evaluation.measured_run import Numbered
from splade_lucene.evaluation.trec_eval_10 import IN_ALL_TREC, differs_from_version_9, find_added_name, measure_query
from splade_lucene.imports import uninterrupted_imports

NICKNAMES = ("all_trec", "official", "set")
_WITHOUT_NUMBER = ("runid", "relstring")
_WITH_CUTOFF = ("P", "recall", "ndcg_cut", "map_cut", "relative_P", "success")
_WITH_SHARE = ("iprec_at_recall", "Rprec_mult")
_CUTOFF = re.compile(rf"({'|'.join(_WITH_CUTOFF)})[_.]([1-9][0-9]{{0,8}})")
_SHARE = re.compile(rf"({'|'.join(_WITH_SHARE)})[_.]([0-9](?:\.[0-9]{{1,2}})?)")


@uninterrupted_imports()
def find_trec_name(name: str, version: TrecEval = TREC_EVAL) -> str | None:
    """The name as printed by trec_eval; None if trec_eval has no such figure.

    Example:
        >>> find_trec_name("ndcg_cut.10"), find_trec_name("gm_map"), find_trec_name("P")
        ('ndcg_cut_10', 'gm_map', None)
    """
    import pytrec_eval

    if version == 10 and (added := find_added_name(name)):
        return added
    if cutoff := _CUTOFF.fullmatch(name):
        return f"{cutoff[1]}_{cutoff[2]}"
    if share := _SHARE.fullmatch(name):
        return f"{share[1]}_{float(share[2]):.2f}"
    single = pytrec_eval.supported_measures - {*_WITH_CUTOFF, *_WITH_SHARE, *_WITHOUT_NUMBER}
    return name if name in single else None


@cache
@uninterrupted_imports()
def list_trec_names(nickname: str, version: TrecEval = TREC_EVAL) -> tuple[str, ...]:
    """The figures in a nickname's group, in trec_eval's order.

    Args:
        nickname: One of :data:`NICKNAMES`.
        version: The version of trec_eval.
    """
    import pytrec_eval

    names = pytrec_eval.supported_nicknames[nickname] - {*_WITHOUT_NUMBER}
    listed = [*pytrec_eval.RelevanceEvaluator({"q": {"d": 1}}, names).evaluate({"q": {"d": 1.0}})["q"]]
    if version == 10 and nickname == "all_trec":
        after_recall = max(position for position, name in enumerate(listed, 1) if name.startswith("recall_"))
        listed[after_recall:after_recall] = IN_ALL_TREC
    return tuple(listed)


def measure_by_trec_name(
    numbered: Numbered, names: Collection[str], version: TrecEval = TREC_EVAL
) -> dict[str, dict[str, float]]:
    """Computes values for all judged queries.

    Args:
        numbered: Judgments and hits.
        names: Names as returned by :func:`find_trec_name`.
        version: The version of trec_eval.

    Returns:
        name → qid → value.
    """
    by_version_10 = [name for name in names if version == 10 and differs_from_version_9(name)]
    by_pytrec_eval = set(names) - {*by_version_10}
    values = _measure_by_pytrec_eval(numbered, by_pytrec_eval) if by_pytrec_eval else {}
    for name in by_version_10:
        values[name] = {
            qid: measure_query(name, numbered.qrels[number], [*numbered.hits.get(number, ())])
            for number, qid in numbered.qids.items()
        }
    return values


@uninterrupted_imports()
def _measure_by_pytrec_eval(numbered: Numbered, names: Collection[str]) -> dict[str, dict[str, float]]:
    import pytrec_eval

    judged = {number: docs for number, docs in numbered.qrels.items() if docs}
    found = pytrec_eval.RelevanceEvaluator(judged, set(names)).evaluate(
        {number: numbered.hits.get(number, {}) for number in judged}
    )
    return {
        name: {qid: _number(found[number][name]) if number in found else 0.0 for number, qid in numbered.qids.items()}
        for name in names
    }


def _number(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)  # NaN for interpolated precision without hits; trec_eval prints 0


def aggregate_by_trec_name(name: str, values: Sequence[float]) -> float:
    """Aggregates the values of all queries: a mean, a geometric mean or, for counts, a sum.

    They are added one after another, as trec_eval does; NumPy and, from Python 3.12 on, ``sum`` add otherwise.
    """
    total = reduce(add, values, 0.0)
    if name.startswith("num_"):
        return float(total)
    return math.exp(total / len(values)) if name.startswith("gm_") else total / len(values)
