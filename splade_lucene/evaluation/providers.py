"""Measures of ir_measures, computed by its providers: pytrec_eval, gdeval, cwl_eval and others.

Each provider has its own limits: gdeval cuts qids at a dash, takes only numbers as qids and grades up to 4; others split lines
at white space. They therefore get the numbers and ranks of :class:`splade_lucene.evaluation.measured_run.Numbered`. A measure
that no installed provider computes is refused when it is looked up; the message names the missing package or parameter.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from splade_lucene.errors import RunError
from splade_lucene.evaluation.measured_run import Numbered
from splade_lucene.imports import uninterrupted_imports

_OF_JUDGMENTS = ("NumQ", "NumRel")  # counts that do not depend on hits
_GDEVALS_TOP_GRADE = 4
_TOP_GRADE = 60
"""The highest grade with exponential gains; 2⁶⁰ is an integer of C."""

UNDEFINED = ("Accuracy",)
"""Measures that are not defined for some queries: Accuracy needs both relevant and other hits."""


def measure_by_ir_measures(
    judged: Mapping[str, Mapping[str, int]], numbered: Numbered, definitions: Iterable[Any]
) -> dict[Any, dict[str, float]]:
    """Computes values for all judged queries.

    Args:
        judged: The judgments, for error messages.
        numbered: The same judgments and a run, with numbers as ids.
        definitions: Measures of ir_measures, checked by :func:`check_provider`.

    Returns:
        measure → qid → value, NaN where it is not defined.

    Raises:
        RunError: A grade is too high for gdeval, or a provider fails.
    """
    wanted = {definition: _as_computed(definition, judged) for definition in definitions}
    found: dict[Any, dict[str, float]] = {computed: {} for computed in wanted.values()}
    with_all_queries = {number: numbered.hits.get(number, {}) for number in numbered.qids}
    of_judgments = [each for each in found if each.NAME in _OF_JUDGMENTS]
    of_hits = [each for each in found if each.NAME not in (*_OF_JUDGMENTS, *UNDEFINED)]
    for selected, run in ((of_judgments, with_all_queries), (of_hits, numbered.hits)):
        for metric in _calculate(selected, numbered.qrels, run):
            found[metric.measure][metric.query_id] = float(metric.value)
    found.update({each: _calculate_each(each, numbered) for each in found if each.NAME in UNDEFINED})
    return {
        definition: {qid: found[computed].get(number, _default(computed)) for number, qid in numbered.qids.items()}
        for definition, computed in wanted.items()
    }


def _as_computed(definition: Any, judged: Mapping[str, Mapping[str, int]]) -> Any:
    """The measure in a form that its provider takes: nDCG with exponential gains that gdeval does not take, by its gains."""
    is_exponential = definition.NAME == "nDCG" and definition["dcg"] == "exp-log2"
    if not is_exponential and definition.NAME != "ERR":
        return definition
    grades = ((grade, qid, docid) for qid, docs in judged.items() for docid, grade in docs.items())
    top, qid, docid = max(grades, default=(0, "", ""))
    if top <= _GDEVALS_TOP_GRADE and _find_provider(definition).NAME == "gdeval":
        return definition
    if is_exponential and top <= _TOP_GRADE:
        others = {name: value for name, value in definition.params.items() if name != "dcg"}
        return type(definition)(**others, gains={grade: 2**grade - 1 for grade in range(1, top + 1)})
    raise RunError(
        f"{definition} takes grades up to {_TOP_GRADE if is_exponential else _GDEVALS_TOP_GRADE}, but document {docid!r} of "
        f"query {qid!r} has grade {top}", remedy="Lower the grades, or choose another measure, such as nDCG@10",
    )  # fmt: skip


@uninterrupted_imports()
def _calculate(definitions: Sequence[Any], qrels: Any, run: Any) -> list[Any]:
    import ir_measures

    try:
        return list(ir_measures.iter_calc(definitions, qrels, run)) if definitions else []
    except (ValueError, RuntimeError, ArithmeticError, AssertionError, OSError, subprocess.SubprocessError) as error:
        raise RunError(f"cannot compute {', '.join(map(str, definitions))} ({error})") from error


@uninterrupted_imports()
def _calculate_each(definition: Any, numbered: Numbered) -> dict[str, float]:
    """The values of the queries for which the measure is defined; the provider divides by 0 for some of the others."""
    import ir_measures

    found = {}
    for number, hits in numbered.hits.items():
        try:
            metrics = list(ir_measures.iter_calc([definition], {number: numbered.qrels[number]}, {number: hits}))
        except ZeroDivisionError:
            continue
        for metric in metrics:
            found[number] = float(metric.value)
    return found


def _default(definition: Any) -> float:
    return math.nan if definition.NAME in UNDEFINED else float(definition.DEFAULT)


# ---- what can be computed ----


def check_provider(definition: Any) -> None:
    """Checks that an installed provider computes a measure.

    Raises:
        RunError: None does; says which package or parameter is missing.
    """
    _find_provider(definition)


@uninterrupted_imports()
def _find_provider(definition: Any) -> Any:
    import ir_measures

    known = [
        (provider, supported)
        for provider in ir_measures.DefaultPipeline.providers
        for supported in provider.SUPPORTED_MEASURES
        if supported.NAME == definition.NAME
    ]
    if {provider.NAME for provider, _ in known} == {"pyndeval"}:
        raise RunError(
            f"{definition} requires judgments by subtopic, which are not read here",
            remedy="Compute it with ir_measures and the package pyndeval",
        )
    fitting = [provider for provider, _ in known if provider.supports(definition)]
    if not fitting:
        reasons = "; ".join(f"{provider.NAME} {_misfit(definition, supported)}" for provider, supported in known)
        raise RunError(f"{definition} cannot be computed: {reasons}")
    for provider in fitting:
        if provider.is_available():
            return provider
    raise RunError(
        f"{definition} requires {fitting[0].NAME}, which is not installed",
        remedy=f"Install it: {fitting[0].install_instructions()}",
    )


@uninterrupted_imports()
def _misfit(definition: Any, supported: Any) -> str:
    """What a provider requires of a measure's parameters and this measure lacks."""
    from ir_measures.providers.base import NOT_PROVIDED, Choices

    reasons = []
    for name, spec in supported.params.items():
        if spec.validate(definition[name]):
            continue
        if not isinstance(spec, Choices):
            reasons.append(f"requires {name}, as in {_example(definition, name)}")
        elif spec.choices == (NOT_PROVIDED,):
            reasons.append(f"does not support {name}")
        else:
            choices = " or ".join(repr(choice) for choice in spec.choices if choice is not NOT_PROVIDED)
            reasons.append(f"supports {name} only as {choices}")
    return " and ".join(reasons)


def with_floats(definition: Any) -> Any:
    """A measure whose integers are floats where its parameters are, so that ``IPrec@1`` is ``IPrec@1.0``."""
    floats = {name for name, spec in definition.SUPPORTED_PARAMS.items() if spec.dtype is float}
    params = {
        name: float(value) if name in floats and type(value) is int else value
        for name, value in definition.params.items()
    }
    return type(definition)(**params)


def describe_parameters(definition: Any) -> str:
    """What is wrong with a measure's parameters; empty if nothing is."""
    known, given = definition.SUPPORTED_PARAMS, definition.params
    if unknown := [name for name in given if name not in known]:
        return f"it has no parameter {', '.join(unknown)}"
    if missing := [name for name, spec in known.items() if spec.required and name not in given]:
        return f"it requires {' and '.join(missing)}, as in {_example(definition, missing[0])}"
    for name, value in given.items():
        if not known[name].validate(value):
            choices = known[name].choices
            expected = " or ".join(map(repr, choices)) if isinstance(choices, list) else known[name].dtype.__name__
            return f"{name} must be {expected}, got {value!r}"
        if name in ("cutoff", "rel") and value < 1:
            return f"{name} must be at least 1, got {value}"
    return ""


_EXAMPLE_VALUES = {"cutoff": 10, "recall": 0.1, "max_rel": 3, "rel": 1}


def _example(definition: Any, name: str) -> str:
    """The measure with values for a parameter and the others that it requires, such as ``ERR@10`` or ``RBP(rel=1)``."""
    required = [name, *(each for each, spec in definition.SUPPORTED_PARAMS.items() if spec.required)]
    given = {each: value for each, value in definition.params.items() if each in definition.SUPPORTED_PARAMS}
    return str(type(definition)(**{**{each: _EXAMPLE_VALUES[each] for each in required}, **given}))
