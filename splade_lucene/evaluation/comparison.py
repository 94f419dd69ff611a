"""Compares several runs over the same judged queries: means, paired tests, and differences per query.

With a baseline, every other run is tested against it; without one, every pair of runs is tested. The p-values of one measure
form a family and are corrected together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.defaults import QUICK_MEASURES, TREC_EVAL, TrecEval
from splade_lucene.errors import InputError
from splade_lucene.evaluation.judgments import QrelsSource, as_qrels
from splade_lucene.evaluation.measured_run import MeasuredRun, RunLike
from splade_lucene.evaluation.measures import Measure, evaluate_queries, parse_measures
from splade_lucene.evaluation.significance import (
    SAMPLES,
    SEED,
    Correction,
    PairedTest,
    Significance,
    check_test,
    correct,
    paired_test,
)

ALPHA = 0.05
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Difference:
    """The difference between two runs in one measure.

    Attributes:
        measure: The measure.
        run: The run.
        against: The run that it is compared with: the baseline, or the one given earlier.
        difference: Mean over the queries of the run's value minus the other's.
        gained: Number of queries where the run is better.
        lost: Number of queries where it is worse.
        equal: Number of queries where both are equal.
        significance: Result of the test.
        corrected: p-value corrected over the tests of this measure; None if no test was possible.
        is_significant: Whether the corrected p-value is below alpha.
    """

    measure: str
    run: str
    against: str
    difference: float
    gained: int
    lost: int
    equal: int
    significance: Significance
    corrected: float | None
    is_significant: bool


@dataclass(frozen=True)
class QueryDifference:
    """The values of two runs for one query.

    Attributes:
        qid: The query.
        value: The run's value.
        against: The other run's value.
    """

    qid: str
    value: float
    against: float

    @property
    def difference(self) -> float:
        """The run's value minus the other's."""
        return self.value - self.against


@dataclass(frozen=True)
class Comparison:
    """Several runs side by side.

    Attributes:
        qids: The judged queries.
        values: measure → run → values in the order of ``qids``, shape [queries].
        means: run → measure → mean (for counts the sum, for gm_map the geometric mean).
        tests: All tests, measure by measure.
        baseline: The run that the others are tested against; None: every pair is tested.
        test: The test.
        correction: The correction.
        alpha: Significance level for corrected p-values.
        samples: Number of samples of the bootstrap and the randomization test.
        seed: Their random seed.
        without_hits: run → judged queries without hits; each counts as 0.
    """

    qids: tuple[str, ...]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]
    means: Mapping[str, Mapping[str, float]]
    tests: tuple[Difference, ...]
    baseline: str | None
    test: PairedTest
    correction: Correction
    alpha: float
    samples: int
    seed: int
    without_hits: Mapping[str, tuple[str, ...]]

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs, in the order given."""
        return tuple(self.means)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures, in the order given."""
        return tuple(self.values)

    def differences(self, measure: str, run: str, against: str | None = None) -> list[QueryDifference]:
        """The differences of all queries between two runs, largest gain first.

        Args:
            measure: A measure of the comparison.
            run: The run.
            against: The run that it is compared with; None: the baseline, or the first run.

        Raises:
            InputError: The measure or a run is unknown.
        """
        against = self.reference if against is None else against
        for name, known in ((measure, self.measures), (run, self.runs), (against, self.runs)):
            if name not in known:
                raise InputError(f"{name!r} is not in the comparison", remedy=f"Choose one of: {', '.join(known)}")
        pairs = zip(self.qids, self.values[measure][run], self.values[measure][against], strict=True)
        found = [QueryDifference(qid, float(value), float(other)) for qid, value, other in pairs]
        return sorted(found, key=lambda each: -each.difference)  # stable: ties keep the order of the judgments

    @property
    def reference(self) -> str:
        """The baseline or, without one, the first run; differences of queries are relative to it."""
        return self.runs[0] if self.baseline is None else self.baseline

    @property
    def others(self) -> tuple[str, ...]:
        """All runs except the reference."""
        return tuple(run for run in self.runs if run != self.reference)


def compare(  # noqa: PLR0913 - all but the first are keywords with defaults
    qrels: QrelsSource,
    runs: Mapping[str, RunLike],
    measures: Iterable[str] = QUICK_MEASURES,
    baseline: str | None = None,
    test: PairedTest = "t",
    correction: Correction = "holm",
    *,
    alpha: float = ALPHA,
    samples: int = SAMPLES,
    seed: int = SEED,
    trec_eval: TrecEval = TREC_EVAL,
    remove_query: bool = False,
    on_note: Callable[[str], None] = _log.warning,
) -> Comparison:
    """Compares runs over all judged queries; a judged query without hits counts as 0.

    Args:
        qrels: Judgments, or their file.
        runs: At least two, by name: runs, rankings by qid, or run files.
        measures: Names; see :mod:`splade_lucene.evaluation.measures`.
        baseline: Name of the run to test the others against; None: test every pair.
        test: ``t``, ``bootstrap`` or ``randomization``; see :mod:`splade_lucene.evaluation.significance`.
        correction: ``holm``, ``bonferroni``, ``benjamini-hochberg`` or ``none``, over the tests of one measure.
        alpha: Significance level for corrected p-values.
        samples: Number of samples of the bootstrap and the randomization test.
        seed: Their random seed.
        trec_eval: The version of trec_eval to agree with.
        remove_query: Whether to drop hits whose docid is the qid; see :func:`splade_lucene.remove_queries`.
        on_note: Called with a note if no hit of a run is judged. Default: logged as a warning.

    Raises:
        RunError: A file cannot be read, a measure is unknown, or a run shares no query with the judgments.
        InputError: There are fewer than two runs, or the baseline, test or correction is unknown.

    Example:
        >>> qrels = {f"q{i}": {"a": 1} for i in range(8)}
        >>> first = {f"q{i}": [("b", 2), ("a", 1)] for i in range(8)}
        >>> second = {**{f"q{i}": [("a", 2)] for i in range(7)}, "q7": [("b", 3), ("c", 2), ("a", 1)]}
        >>> found = compare(qrels, {"first": first, "second": second}, ["RR@10"], baseline="first").tests[0]
        >>> round(found.difference, 4), found.gained, found.lost, round(found.significance.p_value, 4), found.is_significant
        (0.4167, 7, 1, 0.0016, True)
    """
    _check(runs, baseline, alpha)
    check_test(test, samples)
    correct([], correction)
    judged = as_qrels(qrels)
    parsed = parse_measures(measures, trec_eval)
    qids = tuple(judged)
    values: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in parsed}
    without_hits: dict[str, tuple[str, ...]] = {}
    for run, source in runs.items():
        measured = MeasuredRun.of(source, remove_query=remove_query)
        without_hits[run] = tuple(qid for qid in qids if not measured.run.get(qid))
        found = evaluate_queries(judged, measured, [*parsed], trec_eval=trec_eval, on_note=partial(_note, on_note, run))
        for name, by_query in found.items():
            values[name][run] = np.array([by_query[qid] for qid in qids])
            _check_defined(name, run, by_query)
    pairs = [*combinations(runs, 2)] if baseline is None else [(baseline, run) for run in runs if run != baseline]
    tests = [
        each for name in parsed for each in _tested(name, values[name], pairs, test, correction, alpha, samples, seed)
    ]
    return Comparison(
        qids, values, _means(parsed, qids, values, runs), tuple(tests), baseline, test, correction, alpha, samples, seed,
        without_hits,
    )  # fmt: skip


def _note(on_note: Callable[[str], None], run: str, note: str) -> None:
    on_note(f"{run}: {note}")


def _check(runs: Mapping[str, RunLike], baseline: str | None, alpha: float) -> None:
    if not isinstance(runs, Mapping):
        raise InputError(f"expected runs by name, got {type(runs).__name__}", remedy="Pass {name: run, …}")
    if len(runs) < 2:
        raise InputError(f"a comparison needs at least two runs, got {len(runs)}", remedy="Add another run")
    if baseline is not None and baseline not in runs:
        raise InputError(
            f"the baseline {baseline!r} is not one of the runs", remedy=f"Choose one of: {', '.join(runs)}"
        )
    if not 0 < alpha < 1:
        raise InputError(f"alpha must be between 0 and 1, got {alpha!r}", remedy="Common values are 0.05 and 0.01")


def _check_defined(measure: str, run: str, values: Mapping[str, float]) -> None:
    if undefined := [qid for qid, value in values.items() if np.isnan(value)]:
        raise InputError(
            f"{measure} of {run} is not defined for {len(undefined)} of {len(values)} queries: {', '.join(undefined[:5])}",
            remedy="Compare other measures, or leave these queries out of the judgments",
        )


def _means(
    parsed: Mapping[str, Measure], qids: Sequence[str], values: Mapping[str, Mapping[str, NDArray[np.float64]]],
    runs: Mapping[str, RunLike],
) -> dict[str, dict[str, float]]:  # fmt: skip
    def by_qid(name: str, run: str) -> dict[str, float]:
        return dict(zip(qids, values[name][run].tolist(), strict=True))

    return {run: {name: measure.aggregate(by_qid(name, run)) for name, measure in parsed.items()} for run in runs}


def _tested(
    measure: str, values: Mapping[str, NDArray[np.float64]], pairs: Sequence[tuple[str, str]], test: PairedTest,
    correction: Correction, alpha: float, samples: int, seed: int,
) -> list[Difference]:  # fmt: skip
    differences: list[Any] = [values[run] - values[against] for against, run in pairs]
    found = [paired_test(each, test, samples=samples, seed=seed) for each in differences]
    corrected = correct([each.p_value for each in found], correction)
    return [
        Difference(
            measure, run, against, float(paired.mean()), int((paired > 0).sum()), int((paired < 0).sum()),
            int((paired == 0).sum()), significance, p_value, p_value is not None and p_value < alpha,
        )
        for (against, run), paired, significance, p_value in zip(pairs, differences, found, corrected, strict=True)
    ]  # fmt: skip
