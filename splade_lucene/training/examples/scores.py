"""A teacher's scores for the examples: their files, and the handling of missing scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from splade_lucene.errors import ExamplesError, RunError
from splade_lucene.files.compression import content_name
from splade_lucene.files.json_text import parse_json
from splade_lucene.run.file_ranks import FileRanks
from splade_lucene.run.formats import READERS, looks_like, without_comments
from splade_lucene.run.run import read_lines
from splade_lucene.training.examples.columns import Examples
from splade_lucene.training.examples.dropped import NO_MARGIN, NO_SCORE, Dropped
from splade_lucene.training.examples.example import Example
from splade_lucene.training.examples.pickled import RefusedPickleError, read_pickle
from splade_lucene.training.examples.rows import PICKLES
from splade_lucene.training.examples.shapes import is_score

Missing = Literal["refuse", "drop"]
Scores = Mapping[str, Mapping[str, float]]
"""qid → docid → score."""

_T = TypeVar("_T")


def read_scores(path: str | Path) -> Scores:
    """Reads a file of scores: a run (TREC), or qid → docid → score as JSON or as a pickle, compressed or not.

    Raises:
        RunError, ExamplesError: The file cannot be read, or a score is not a finite number of single precision; names the
            file and, of a run, the line.
    """
    path = Path(path)
    name = (content_name(path) if path.is_file() else path.name).lower()
    if name.endswith(PICKLES):
        try:
            return _checked(path, read_pickle(path))
        except RefusedPickleError as error:
            raise ExamplesError(str(error), path=path, remedy="Write the scores as JSON or as a run") from None
        except (OSError, EOFError) as error:
            reason = str(error) or "it is cut off"
            raise ExamplesError(f"the file cannot be read ({reason})", path=path, remedy="Check the file") from error
    if name.endswith(".json"):
        text = "".join(line for _, line in read_lines(path))
        try:
            return _checked(path, parse_json(text))
        except ValueError as error:
            raise ExamplesError(
                f"invalid JSON ({error})", path=path, line=getattr(error, "lineno", None), remedy="Fix the line"
            ) from None
    scores = _run(path)
    for qid, docid, score in _pairs(scores):
        if not is_score(score):
            raise RunError(
                f"the score {score} is not in the range of single precision", path=path, line=_line_of(path, qid, docid),
                remedy="Scale the scores",
            )  # fmt: skip
    return scores


def _run(path: Path) -> Scores:
    """The scores of a run as they are written; :class:`Run` orders them in single precision."""
    lines = without_comments(read_lines(path))
    first = next(lines, None)
    if first is None:
        raise RunError("the run is empty", path=path, remedy="Check that it is the right file")
    return READERS[looks_like(first[1])](path, chain([first], lines), FileRanks(path))


def _pairs(scores: Scores) -> Iterator[tuple[str, str, float]]:
    return ((qid, docid, score) for qid, found in scores.items() for docid, score in found.items())


def _line_of(path: Path, qid: str, docid: str) -> int | None:
    for number, line in read_lines(path):
        if (columns := line.split())[:1] == [qid] and docid in columns[1:3]:
            return number
    return None


def _checked(path: Path, value: Any) -> Scores:
    if not isinstance(value, dict) or not value or not all(isinstance(each, dict) for each in value.values()):
        raise ExamplesError("not scores by query and passage", path=path, remedy="Write {qid: {docid: score}}")
    scores = _named({qid: _named(found, path) for qid, found in value.items()}, path)
    for qid, docid, score in _pairs(scores):
        if not is_score(score):
            raise ExamplesError(
                f"the score {score!r:.40} of {docid!r:.40} for query {qid!r:.40} is not a finite number of single precision",
                path=path, remedy="Fix the score",
            )  # fmt: skip
    return scores


def _named(values: Mapping[Any, _T], path: Path) -> dict[str, _T]:
    """The same with ids as strings. A pickle may have an id both as a number and as a string."""
    named = {_name(key, path): value for key, value in values.items()}
    if len(named) < len(values):
        twice = next(key for key in values if not isinstance(key, str) and str(key) in values)
        raise ExamplesError(
            f"the id {twice} is used both as a number and as a string", path=path, remedy="Keep one of them"
        )
    return named


def _name(value: Any, path: Path) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ExamplesError(f"an id must be a string or an integer, got {value!r:.40}", path=path, remedy="Fix the id")
    return str(value)


# ---- where a score is missing ----


def require_scores(
    examples: Iterable[Example], missing: Missing, dropped: Dropped, *, is_distilled: bool, may_be_equal: bool = False
) -> Examples:
    """Refuses what a teacher does not score, or leaves it out and counts it. A missing score is never replaced by a number.

    An example teaches something if two of its passages have different scores. If some are said to be relevant, one of these
    and one of the others need a score.

    Args:
        examples: Examples with scores; those that nothing needs are not looked at.
        missing: ``refuse``, or ``drop``: passages without a score are dropped, and then examples that teach nothing.
        dropped: Counts dropped examples and passages.
        is_distilled: Whether a loss needs the scores. Otherwise only the order of lists does in which nothing else says what
            is relevant.
        may_be_equal: Whether all scores of an example may be equal, because others are added to them.

    Raises:
        ExamplesError: Something is missing, and ``missing`` is ``refuse``; or nothing remains.
    """
    given = Examples.of(examples)
    if _all_teach(given, is_distilled=is_distilled, may_be_equal=may_be_equal):
        return given
    faults = _Faults()
    scored = _scored(given, dropped, faults, is_distilled=is_distilled, may_be_equal=may_be_equal)
    kept = Examples(scored)
    if faults.count and missing == "refuse":
        raise ExamplesError(
            f"{faults.count:,} of {len(given):,} examples lack a teacher's scores: {faults.lacking:,} have passages without "
            f"a score, {dropped.counts[NO_MARGIN]:,} have no two passages of different scores"
            + ("" if is_distilled else ", so it is unknown which one is relevant")
            + ". This is the first one",
            path=dropped.path, line=faults.line,
            remedy="Add the scores, or leave these out with data.missing_scores: drop",
        )  # fmt: skip
    if not len(kept):
        raise ExamplesError(
            "no example has two passages of different scores", path=dropped.path,
            remedy="Check that the scores belong to these queries and passages",
        )  # fmt: skip
    return kept


@dataclass
class _Faults:
    """How many examples lack scores, those with a passage without one, and the line of the first."""

    count: int = 0
    lacking: int = 0
    line: int | None = None


def _scored(
    examples: Examples, dropped: Dropped, faults: _Faults, *, is_distilled: bool, may_be_equal: bool
) -> Iterator[Example]:
    """The examples that teach something, without their passages that have no score."""
    for example in examples:
        if example.scores is None or not (is_distilled or example.is_ranked):
            yield example
            continue
        is_scored = ~np.isnan(example.scores)
        part = example if is_scored.all() else example.of(is_scored)
        if part is not example:
            faults.lacking += 1
            dropped.add(NO_SCORE, example.line, int(np.sum(~is_scored)))
        teaches = _teaches(part, is_distilled=is_distilled, may_be_equal=may_be_equal)
        if teaches:
            yield part
        else:
            dropped.add(NO_MARGIN, example.line)
        if part is not example or not teaches:
            faults.line = faults.line if faults.count else example.line
            faults.count += 1


def _all_teach(examples: Examples, *, is_distilled: bool, may_be_equal: bool) -> bool:
    """Whether nothing is missing, which needs no look at each example."""
    if examples.scores is None:
        return True
    if not is_distilled or not examples.is_scored.all() or np.isnan(examples.scores).any():
        return False
    said = examples.positives
    is_whole = (examples.lengths > 1) & (said < examples.lengths)
    return bool(is_whole.all() and (may_be_equal or (examples.ranges() > 0).all()))


def _teaches(example: Example, *, is_distilled: bool, may_be_equal: bool) -> bool:
    assert example.scores is not None
    count, positives = len(example.passages), example.positives
    if not is_distilled and count == 1:
        return True  # a pair
    if positives == 0 and not example.is_ranked:
        return False
    if count < 2 or (example.positives and positives == count):
        return False
    return may_be_equal or bool(np.ptp(example.scores) > 0)
