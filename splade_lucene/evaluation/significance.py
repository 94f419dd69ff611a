"""Whether a difference between two systems over the same queries may be chance: paired tests, and corrections for many.

- ``t``: Student's paired t-test.
- ``bootstrap``: the queries are drawn again with replacement; p is the share of draws whose mean difference is as far from the
  observed one as that is from 0 (the shift method of Noreen 1989, *Computer-Intensive Methods for Testing Hypotheses*).
- ``randomization``: Fisher's; the two systems' values of each query are swapped at random, or in all ways if those are fewer.

All are two-sided, and all come from scipy.stats. Smucker, Allan and Carterette (CIKM 2007) compare them on TREC runs.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import InputError

PairedTest = Literal["t", "bootstrap", "randomization"]
Correction = Literal["holm", "bonferroni", "benjamini-hochberg", "none"]

SAMPLES = 10_000
SEED = 42
_FEW = 10


@dataclass(frozen=True)
class Significance:
    """What a paired test found.

    Attributes:
        p_value: Probability of a difference at least as large if the two systems were alike; None where no test can be made.
        interval: 95 % confidence interval of the mean difference; None where the test gives none.
        remark: What was special about the data; empty as a rule.
    """

    p_value: float | None
    interval: tuple[float, float] | None = None
    remark: str = ""


def paired_test(
    differences: Sequence[float] | NDArray[np.float64],
    test: PairedTest = "t",
    *,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> Significance:
    """Tests whether the mean of paired differences may be 0.

    Args:
        differences: One system's value less the other's, one a query.
        test: Which test.
        samples: Draws of the bootstrap and the randomization test.
        seed: Where their chance starts; the same seed gives the same p.

    Raises:
        InputError: There is no difference, no such test, or not one sample.

    Example:
        >>> round(paired_test([0.1, 0.2, 0.3, 0.0]).p_value, 4)
        0.1027
        >>> paired_test([0.0, 0.0, 0.0])
        Significance(p_value=1.0, interval=(0.0, 0.0), remark='no query differs')
    """
    check_test(test, samples)
    paired = np.asarray(differences, dtype=np.float64)
    if not paired.size:
        raise InputError("there is no query to test", remedy="Compare runs of the judged queries")
    if not paired.any():
        return Significance(1.0, (0.0, 0.0), "no query differs")
    if paired.size == 1:
        return Significance(None, None, "one query allows no test")
    if test == "t":
        return _t_test(paired)
    chance = np.random.default_rng(seed)
    return (
        _bootstrap_test(paired, samples, chance)
        if test == "bootstrap"
        else _randomization_test(paired, samples, chance)
    )


def check_test(test: str, samples: int = SAMPLES) -> None:
    """Refuses what is no test.

    Raises:
        InputError: Says which there are.
    """
    if test not in get_args(PairedTest):
        raise InputError(f"no test is named {test!r}", remedy=f"Choose one of: {', '.join(get_args(PairedTest))}")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(f"samples are a number from 1 on, got {samples!r}")


def _t_test(paired: NDArray[np.float64]) -> Significance:
    from scipy import stats

    if np.ptp(paired) <= 1e-12 * abs(paired[0]):  # no variance: t is infinite
        mean = float(paired[0])
        return Significance(0.0, (mean, mean), "all queries differ by the same")
    found = stats.ttest_1samp(paired, 0.0)  # which the paired test is, on differences
    low, high = found.confidence_interval(0.95)
    return Significance(float(found.pvalue), (float(low), float(high)))


def _bootstrap_test(paired: NDArray[np.float64], samples: int, chance: np.random.Generator) -> Significance:
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all differences equal: the interval is a point
        found = stats.bootstrap(
            (paired,), np.mean, n_resamples=samples, batch=max(1, 10**6 // paired.size), confidence_level=0.95,
            method="percentile", **_random(stats.bootstrap, chance),
        )  # fmt: skip
    mean = paired.mean()
    remark = f"few queries for a bootstrap: {paired.size}" if paired.size < _FEW else ""
    far = np.abs(found.bootstrap_distribution - mean) >= abs(mean) * (1 - 1e-12)
    interval = found.confidence_interval
    return Significance((int(far.sum()) + 1) / (samples + 1), (float(interval.low), float(interval.high)), remark)


def _randomization_test(paired: NDArray[np.float64], samples: int, chance: np.random.Generator) -> Significance:
    from scipy import stats

    found = stats.permutation_test(
        (paired,), lambda values, axis: np.mean(values, axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=samples, batch=max(1, 10**6 // paired.size), **_random(stats.permutation_test, chance),
    )  # fmt: skip
    return Significance(min(1.0, float(found.pvalue)))


def _random(function: Any, chance: np.random.Generator) -> dict[str, Any]:
    """The generator under the name that this scipy has for it: ``rng`` since 1.15."""
    name = "rng" if "rng" in inspect.signature(function).parameters else "random_state"
    return {name: chance}


def correct(p_values: Sequence[float | None], correction: Correction = "holm") -> list[float | None]:
    """P values of a family of tests, raised so that they hold together.

    ``holm`` (Holm 1979) and ``bonferroni`` bound the chance of any false finding, and Holm finds at least as much;
    ``benjamini-hochberg`` bounds the expected share of false findings.

    Args:
        p_values: Of each test; None where none could be made, and then no part of the family.
        correction: Which correction.

    Raises:
        InputError: There is no such correction.

    Example:
        >>> correct([0.01, 0.04, None, 0.03])
        [0.03, 0.06, None, 0.06]
    """
    if correction not in get_args(Correction):
        raise InputError(
            f"no correction is named {correction!r}", remedy=f"Choose one of: {', '.join(get_args(Correction))}"
        )
    given = np.array([p for p in p_values if p is not None], dtype=np.float64)
    corrected = iter(_corrected(given, correction).tolist() if given.size else [])
    return [None if p is None else next(corrected) for p in p_values]


def _corrected(p_values: NDArray[np.float64], correction: Correction) -> NDArray[np.float64]:
    if correction == "benjamini-hochberg":
        from scipy.stats import false_discovery_control

        return np.asarray(false_discovery_control(p_values, method="bh"))
    if correction == "bonferroni":
        return np.minimum(1.0, p_values * p_values.size)
    if correction == "holm":
        order = np.argsort(p_values, kind="stable")
        factors = p_values.size - np.arange(p_values.size)
        raised = np.empty_like(p_values)
        raised[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
        return raised
    return p_values
