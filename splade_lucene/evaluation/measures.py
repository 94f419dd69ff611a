"""Measures by name: those of ir_measures, trec_eval and MS MARCO.

===========================================  =========================================================================
name                                         measure
===========================================  =========================================================================
``nDCG@10``, ``RR@10``, ``AP(rel=2)`` …      names and implementation of ir_measures
``ndcg_cut_10``, ``recip_rank``, ``gm_map``  names as printed by trec_eval: :mod:`splade_lucene.evaluation.trec_eval`
``all_trec``, ``official``, ``set``          all of trec_eval's measures, or groups of them
``MSMARCO-RR@10``                            the leaderboard's measure: :mod:`splade_lucene.evaluation.msmarco`
===========================================  =========================================================================

A judged query that is missing from the run, or has no hits, counts as 0 (trec_eval's ``-c``).
"""

from __future__ import annotations

import ast
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from splade_lucene.arguments import check_choice
from splade_lucene.defaults import MEASURES, TREC_EVAL, TrecEval
from splade_lucene.errors import RunError
from splade_lucene.evaluation.judgments import QrelsSource, as_qrels
from splade_lucene.evaluation.measured_run import MeasuredRun, RunLike
from splade_lucene.evaluation.msmarco import EXAMPLE, find_cutoff, measure_reciprocal_rank
from splade_lucene.evaluation.providers import (
    check_provider,
    describe_parameters,
    measure_by_ir_measures,
    with_floats,
)
from splade_lucene.evaluation.trec_eval import (
    NICKNAMES,
    aggregate_by_trec_name,
    find_trec_name,
    list_trec_names,
    measure_by_trec_name,
)
from splade_lucene.ids import docid_order
from splade_lucene.imports import uninterrupted_imports

_log = logging.getLogger(__name__)

_EXAMPLES = f"Examples: nDCG@10 RR@10 R@1000 AP {EXAMPLE} recip_rank all_trec"


@dataclass(frozen=True)
class Measure:
    """A supported measure.

    Attributes:
        name: Name of the measure.
        definition: The measure of ir_measures, the name in trec_eval, or the cutoff of MS MARCO's measure.
    """

    name: str
    definition: Any

    def aggregate(self, values: Mapping[str, float]) -> float:
        """Aggregates the values of all queries for which the measure is defined: for most measures, the mean.

        Args:
            values: qid → value. They are added in the order of trec_eval, by the bytes of the qid, on which the last digit
                that it prints may depend.
        """
        defined = [values[qid] for qid in sorted(values, key=docid_order) if not math.isnan(values[qid])]
        if isinstance(self.definition, str):
            return aggregate_by_trec_name(self.definition, defined)
        if isinstance(self.definition, int):
            return float(sum(defined) / len(defined))
        aggregator = self.definition.aggregator()
        for value in defined:
            aggregator.add(value)
        return float(aggregator.result())


@uninterrupted_imports()
def parse_measure(name: str, trec_eval: TrecEval = TREC_EVAL) -> Measure:
    """Looks up a measure by name, among those of a version of trec_eval.

    Raises:
        RunError: The name is unknown, or means several measures.
    """
    import ir_measures

    cutoff = find_cutoff(name)
    if cutoff is not None:
        return Measure(name, cutoff)
    trec_name = find_trec_name(name, trec_eval)
    try:
        # as of 0.4.3 it reads the numbers in a name by classes of ast that Python 3.14 no longer has
        ir_measures.util._ast_to_value = ast.literal_eval
        measure = with_floats(ir_measures.parse_measure(name))
    except (NameError, ValueError, KeyError, TypeError, SyntaxError) as error:
        if trec_name is None:
            if trec_eval == 9 and find_trec_name(name, 10):
                raise RunError(f"{name} is a measure of trec_eval 10", remedy="Pass trec_eval=10") from None
            raise RunError(f"unknown measure {name!r} ({error})", remedy=_EXAMPLES) from None
        return Measure(name, trec_name)
    problem = describe_parameters(measure)
    if problem and trec_name is not None:
        return Measure(name, trec_name)
    if problem:
        raise RunError(f"cannot compute the measure {name!r}: {problem}", remedy=_EXAMPLES)
    check_provider(measure)
    return Measure(name, measure)


def parse_measures(names: Iterable[str], trec_eval: TrecEval = TREC_EVAL) -> dict[str, Measure]:
    """Looks up measures by name, among those of a version of trec_eval; nicknames are expanded.

    Raises:
        RunError: No names are given, or a name or the version is unknown.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise RunError(f"expected a list of measures, got {names!r}", remedy="Pass [name] for a single measure")
    names = [str(name) for name in names]  # str() of an ir_measures measure is its name
    if not names:
        raise RunError("no measure was given", remedy=_EXAMPLES)
    check_choice(trec_eval, TrecEval, "version of trec_eval", error=RunError)
    expanded = [each for name in names for each in (list_trec_names(name, trec_eval) if name in NICKNAMES else (name,))]
    return {name: parse_measure(name, trec_eval) for name in expanded}


def evaluate(
    qrels: QrelsSource, run: RunLike, measures: Iterable[str] = MEASURES, *, trec_eval: TrecEval = TREC_EVAL,
    remove_query: bool = False, on_note: Callable[[str], None] = _log.warning,
) -> dict[str, float]:  # fmt: skip
    """Means of measures over all judged queries; a judged query missing from the run counts as 0 (trec_eval's ``-c``).

    Args:
        qrels: Judgments, ``{qid: {docid: relevance}}``, or their file. Ids that are integers are the same as strings.
        run: A run (a :class:`Run`, or rankings by qid, such as ``{qid: {docid: score}}``), or its file.
        measures: Names; see :mod:`splade_lucene.evaluation.measures`.
        trec_eval: The version of trec_eval to agree with; see :mod:`splade_lucene.evaluation.trec_eval_10`.
        remove_query: Whether to drop hits whose docid is the qid; see :func:`splade_lucene.remove_queries`.
        on_note: Called with a note if no hit is judged, which usually means ids of different collections. Default: logged
            as a warning.

    Returns:
        measure → mean, in the order given; for counts such as ``num_ret``, the sum.

    Raises:
        RunError: A file cannot be read, a measure is unknown, or run and judgments share no query.
    """
    parsed = parse_measures(measures, trec_eval)
    values = evaluate_queries(qrels, run, [*parsed], trec_eval=trec_eval, remove_query=remove_query, on_note=on_note)
    return {name: measure.aggregate(values[name]) for name, measure in parsed.items()}


def evaluate_queries(
    qrels: QrelsSource, run: RunLike, measures: Iterable[str] = MEASURES, *, trec_eval: TrecEval = TREC_EVAL,
    remove_query: bool = False, on_note: Callable[[str], None] = _log.warning,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Values of measures for each judged query, as in :func:`evaluate` but not averaged.

    Returns:
        measure → qid → value, in the order of the judgments. NaN where a measure is not defined: only Accuracy, for queries
        of whose hits none or all are relevant.

    Raises:
        RunError: As for :func:`evaluate`.

    Example:
        >>> evaluate_queries({"q": {"a": 1}, "r": {"a": 1}}, {"q": [("b", 3), ("a", 2)]}, ["RR@10", "recip_rank"])
        {'RR@10': {'q': 0.5, 'r': 0.0}, 'recip_rank': {'q': 0.5, 'r': 0.0}}
    """
    judged = as_qrels(qrels)
    parsed = parse_measures(measures, trec_eval)
    measured = MeasuredRun.of(run, remove_query=remove_query)
    if not set(judged) & set(measured.run):
        raise RunError(
            f"run and judgments share no query (the run has {next(iter(measured.run), 'none')}…, the judgments "
            f"{next(iter(judged), 'none')}…)", remedy="Check that they belong to the same collection",
        )  # fmt: skip
    if note := measured.describe_judged(judged):
        on_note(note)
    definitions = [measure.definition for measure in parsed.values()]
    numbered = measured.number(judged, trec_eval)
    found: dict[Any, dict[str, float]] = {
        **measure_by_trec_name(numbered, [each for each in definitions if isinstance(each, str)], trec_eval),
        **measure_by_ir_measures(judged, numbered, [each for each in definitions if not isinstance(each, str | int)]),
    }
    for cutoff in definitions:
        if isinstance(cutoff, int):
            found[cutoff] = measure_reciprocal_rank(judged, measured.ranks(judged), cutoff)
    return {name: found[measure.definition] for name, measure in parsed.items()}
