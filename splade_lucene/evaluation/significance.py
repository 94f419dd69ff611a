"""Significance of the difference between two systems over the same queries: paired tests, and multiple-testing corrections.

- ``t``: Student's paired t-test.
- ``bootstrap``: queries are resampled with replacement; p is the fraction of samples whose mean difference is at least as far
  from the observed one as that is from 0 (the shift method of Noreen 1989, *Computer-Intensive Methods for Testing
  Hypotheses*).
- ``randomization``: Fisher's test; the two systems' values of each query are swapped at random, or exhaustively if there are
  fewer permutations than samples.

All tests are two-sided and implemented by scipy.stats. Smucker, Allan and Carterette (CIKM 2007) compare them on TREC runs.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from splade_lucene.arguments import check_choice
from splade_lucene.errors import InputError
from splade_lucene.imports import uninterrupted_imports

PairedTest = Literal["t", "bootstrap", "randomization"]
Correction = Literal["holm", "bonferroni", "benjamini-hochberg", "none"]

SAMPLES = 10_000
SEED = 42
_FEW_QUERIES = 10


@dataclass(frozen=True)
class Significance:
    """The result of a paired test.

    Attributes:
        p_value: Probability of a difference at least as large if both systems were equally good; None if no test is possible.
        interval: 95 % confidence interval of the mean difference; None if the test gives none.
        remark: A remark on unusual data; usually empty.
    """

    p_value: float | None
    interval: tuple[float, float] | None = None
    remark: str = ""


def paired_test(
    differences: Iterable[float] | NDArray[np.float64],
    test: PairedTest = "t",
    *,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> Significance:
    """Tests the hypothesis that the mean of paired differences is 0.

    Args:
        differences: One system's value minus the other's, for each query.
        test: The test.
        samples: Number of samples of the bootstrap and the randomization test.
        seed: Their random seed; the same seed gives the same p-value.

    Raises:
        InputError: There are no differences, the test is unknown, or ``samples`` is below 1.

    Example:
        >>> round(paired_test([0.1, 0.2, 0.3, 0.0]).p_value, 4)
        0.1027
        >>> paired_test([0.0, 0.0, 0.0])
        Significance(p_value=1.0, interval=(0.0, 0.0), remark='no query differs')
    """
    check_test(test, samples)
    paired = np.asarray([*differences], dtype=np.float64)
    if not paired.size:
        raise InputError("no queries were given to test", remedy="Compare runs of the judged queries")
    if not paired.any():
        return Significance(1.0, (0.0, 0.0), "no query differs")
    if paired.size == 1:
        return Significance(None, None, "no test is possible with one query")
    if test == "t":
        return _t_test(paired)
    rng = np.random.default_rng(seed)
    return _bootstrap_test(paired, samples, rng) if test == "bootstrap" else _randomization_test(paired, samples, rng)


def check_test(test: str, samples: int = SAMPLES) -> None:
    """Checks the arguments of a test.

    Raises:
        InputError: The test is unknown, or ``samples`` is not a positive integer.
    """
    check_choice(test, PairedTest, "test")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(f"samples must be a positive integer, got {samples!r}")


@uninterrupted_imports()
def _t_test(paired: NDArray[np.float64]) -> Significance:
    from scipy import stats

    if np.ptp(paired) <= 1e-12 * abs(paired[0]):  # no variance: t is infinite
        mean = float(paired[0])
        return Significance(0.0, (mean, mean), "all queries differ by the same amount")
    found = stats.ttest_1samp(paired, 0.0)  # equivalent to the paired test
    low, high = found.confidence_interval(0.95)
    return Significance(float(found.pvalue), (float(low), float(high)))


@uninterrupted_imports()
def _bootstrap_test(paired: NDArray[np.float64], samples: int, rng: np.random.Generator) -> Significance:
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # raised if all differences are equal: the interval is a point
        found = stats.bootstrap(
            (paired,), np.mean, n_resamples=samples, batch=max(1, 10**6 // paired.size), confidence_level=0.95,
            method="percentile", **_rng_argument(stats.bootstrap, rng),
        )  # fmt: skip
    mean = paired.mean()
    remark = f"few queries for a bootstrap: {paired.size}" if paired.size < _FEW_QUERIES else ""
    is_extreme = np.abs(found.bootstrap_distribution - mean) >= abs(mean) * (1 - 1e-12)
    interval = found.confidence_interval
    return Significance(
        (int(is_extreme.sum()) + 1) / (samples + 1), (float(interval.low), float(interval.high)), remark
    )


@uninterrupted_imports()
def _randomization_test(paired: NDArray[np.float64], samples: int, rng: np.random.Generator) -> Significance:
    from scipy import stats

    found = stats.permutation_test(
        (paired,), lambda values, axis: np.mean(values, axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=samples, batch=max(1, 10**6 // paired.size), **_rng_argument(stats.permutation_test, rng),
    )  # fmt: skip
    return Significance(min(1.0, float(found.pvalue)))


def _rng_argument(function: Any, rng: np.random.Generator) -> dict[str, Any]:
    """The random generator as a keyword argument, which scipy calls ``rng`` since 1.15 and ``random_state`` before."""
    name = "rng" if "rng" in inspect.signature(function).parameters else "random_state"
    return {name: rng}


def correct(p_values: Iterable[float | None], correction: Correction = "holm") -> list[float | None]:
    """Corrects the p-values of a family of tests for multiple testing.

    ``holm`` (Holm 1979) and ``bonferroni`` control the family-wise error rate, and Holm is uniformly more powerful;
    ``benjamini-hochberg`` controls the false discovery rate.

    Args:
        p_values: p-value of each test; None for tests that were not possible, which do not count as part of the family.
        correction: The correction.

    Raises:
        InputError: The correction is unknown.

    Example:
        >>> correct([0.01, 0.04, None, 0.03])
        [0.03, 0.06, None, 0.06]
    """
    check_choice(correction, Correction, "correction")
    p_values = list(p_values)
    family = np.array([p for p in p_values if p is not None], dtype=np.float64)
    corrected = iter(_corrected(family, correction).tolist() if family.size else [])
    return [None if p is None else next(corrected) for p in p_values]


@uninterrupted_imports()
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
