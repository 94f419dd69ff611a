"""Reads the three formats of run files, and detects a file's format from its first line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from splade_lucene.errors import RunError
from splade_lucene.files.json_text import parse_json
from splade_lucene.records import well_formed
from splade_lucene.run.file_ranks import FileRanks

RunFormat = Literal["trec", "msmarco", "json"]
RUN_FORMATS: tuple[RunFormat, ...] = get_args(RunFormat)

Scores = dict[str, dict[str, float]]
"""qid → docid → score."""

Lines = Iterable[tuple[int, str]]
"""Lines with their line numbers."""


_JSON_START = re.compile(r'\s*\{\s*("([^"\\]|\\.)*"\s*:|\}?\s*$)')


def looks_like(line: str) -> RunFormat:
    """Detects the format of a run from its first line."""
    if _JSON_START.match(line):  # a brace is not enough, because a qid may begin with one
        return "json"
    return "msmarco" if len(line.split()) == 3 else "trec"


def check_format(name: str) -> RunFormat:
    """Checks the name of a run format.

    Raises:
        RunError: The format is unknown.
    """
    for known in RUN_FORMATS:
        if name == known:
            return known
    raise RunError(f"unknown run format {name!r}", remedy=f"Choose {', '.join(RUN_FORMATS[:-1])} or {RUN_FORMATS[-1]}")


def _read_trec(path: Path, lines: Lines, ranks: FileRanks) -> Scores:
    rankings: Scores = {}
    add_rank = ranks.add
    for number, line in lines:
        columns = line.split()
        if len(columns) != 6 and (columns := trec_columns(line)) is None:  # type: ignore[assignment]
            raise RunError(
                f"expected six columns (qid Q0 docid rank score tag), found {len(line.split())}", path=path, line=number,
                remedy="Write the run as TREC, MS MARCO (three columns in all lines) or JSON",
            )  # fmt: skip
        qid, _, docid, rank, score, _ = columns
        ranking = rankings.get(qid)
        if ranking is None:
            ranking = rankings[qid] = {}
        value = parse_score(score)
        if value is None or docid in ranking:
            raise _wrong_hit(qid, docid, score, path, number, is_duplicate=docid in ranking)
        ranking[docid] = value
        add_rank(qid, docid, rank, number)
    return rankings


def without_comments(lines: Lines) -> Iterator[tuple[int, str]]:
    """The lines of a run that are not comments: as in trec_eval 10, those that begin with ``#``.

    Hits of queries whose qid begins with ``#`` are therefore skipped, although trec_eval 9 reads them.
    """
    return ((number, line) for number, line in lines if line[0] != "#" or _is_hit(line))


def _is_hit(line: str) -> bool:
    columns = trec_columns(line)
    if columns is not None:
        return _INTEGER.fullmatch(columns[3]) is not None and parse_score(columns[4]) is not None
    return len(line.split()) == 3 and parse_rank(line.split()[2]) is not None


def trec_columns(line: str) -> list[str] | None:
    """The six columns of a line of a TREC run; None if it has others.

    As in trec_eval, only the first word of the tag counts. Further words are part of the tag only if the fourth column is
    a rank, so that white space within an id is not taken for another column.
    """
    columns = line.split()
    if len(columns) < 6 or (len(columns) > 6 and not _INTEGER.fullmatch(columns[3])):
        return None
    return columns[:6]


_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def _read_msmarco(path: Path, lines: Lines, ranks: FileRanks) -> Scores:
    rankings: Scores = {}
    taken: dict[str, set[int]] = {}
    for number, line in lines:
        columns = line.split()
        if len(columns) != 3:
            raise RunError(
                f"expected three columns (qid, docid, rank), found {len(columns)}", path=path, line=number,
                remedy="Write the run in MS MARCO's format",
            )  # fmt: skip
        qid, docid, text = columns
        rank = parse_rank(text)
        if rank is None or rank in taken.setdefault(qid, set()):
            problem = f"the rank {text!r} is not an integer of at least 1" if rank is None else f"duplicate rank {rank}"
            raise RunError(f"{problem} (query {qid!r})", path=path, line=number, remedy="Write ranks 1, 2, 3 …")
        taken[qid].add(rank)
        ranking = rankings.setdefault(qid, {})
        if docid in ranking:
            raise _wrong_hit(qid, docid, text, path, number, is_duplicate=True)
        ranking[docid] = 1 / rank
        ranks.add(qid, docid, text, number)
    return rankings


class JsonPairs(list[tuple[str, Any]]):
    """A JSON object that keeps duplicate keys, which are ids."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(pairs)
        for key, _ in self:
            if well_formed(key) != key:
                raise RunError(
                    f"the id {key!r:.80} contains an unpaired surrogate, which UTF-8 cannot encode",
                    remedy="Change the id",
                )


def read_json_pairs(path: Path, lines: Lines) -> JsonPairs:
    """Parses a JSON file that contains an object; objects become :class:`JsonPairs`.

    Raises:
        RunError: The JSON is broken or not an object.
    """
    numbered = list(lines)
    try:
        value = parse_json("".join(line for _, line in numbered), object_pairs_hook=JsonPairs)
    except json.JSONDecodeError as error:
        line = numbered[min(error.lineno, len(numbered)) - 1][0]
        raise RunError(f"invalid JSON ({error.msg})", path=path, line=line, remedy="Write the run again") from None
    except RunError as error:
        raise RunError(str(error), path=path, remedy="Change the id") from None
    if not isinstance(value, JsonPairs):
        raise RunError("the JSON is not an object", path=path, remedy=_JSON_REMEDY)
    return value


_JSON_REMEDY = 'Write {"qid": {"docid": score, …}, …}'


def _read_json(path: Path, lines: Lines, _: FileRanks) -> Scores:
    rankings: Scores = {}
    for qid, hits in read_json_pairs(path, lines):
        if qid in rankings or not isinstance(hits, JsonPairs):
            problem = "is a duplicate" if qid in rankings else f"has no object of docid: score ({hits!r:.40})"
            raise RunError(f"query {qid!r} {problem}", path=path, remedy=_JSON_REMEDY)
        ranking = rankings[qid] = {}
        for docid, score in hits:
            value = finite_number(score)
            if value is None or docid in ranking:
                raise _wrong_hit(qid, docid, score, path, None, is_duplicate=docid in ranking)
            ranking[docid] = value
    return rankings


READERS: dict[RunFormat, Callable[[Path, Lines, FileRanks], Scores]] = {
    "trec": _read_trec,
    "msmarco": _read_msmarco,
    "json": _read_json,
}
"""Format → reader of the scores, which also collects the ranks where the format has any."""


def _wrong_hit(qid: str, docid: str, score: Any, path: Path, line: int | None, *, is_duplicate: bool) -> RunError:
    """The error to raise for a hit whose document is a duplicate, or whose score is not a number."""
    if is_duplicate:
        return RunError(
            f"document {docid!r} is ranked twice for query {qid!r}", path=path, line=line,
            remedy="Rank each document once",
        )  # fmt: skip
    return RunError(f"the score {score!r} is not a number", path=path, line=line, remedy="Write scores as numbers")


def parse_score(text: str) -> float | None:
    """Parses a column as a finite number; None if it is not one.

    Rejects what trec_eval reads otherwise than Python: ``1_0`` and digits of other scripts.
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and text.isascii() and "_" not in text else None


def parse_rank(text: str) -> int | None:
    """Parses a column as a rank, an integer of at least 1; None if it is not one."""
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 19 and int(text) > 0 else None


def finite_number(value: Any) -> float | None:
    """Converts a finite number to a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
