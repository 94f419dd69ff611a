"""Rankings of many queries: run files in three forms, and the rule for ties.

===========  =========================================================================================================
``trec``     qid, Q0, docid, rank, score and tag between white space
``msmarco``  qid, docid and rank between tabs; a rank is read as the score 1/rank, as Pyserini's converter does
``json``     one object, ``{qid: {docid: score}}``, as ranx reads and writes; a query without a hit keeps its place
===========  =========================================================================================================

**Ties.** Impact scores are integers, and ties among them are common. A hit with a docid that comes first as bytes stands
first. Evaluators do not know that: trec_eval sorts by score and breaks ties by docid descending, after reading scores as
single-precision floats, so even a score lowered by 10⁻⁶ stays a tie there. TREC and JSON runs are therefore written with
scores that fall strictly in single precision: each is the integer score, or, where that would not be below the one before
it, the next smaller single-precision number. Every evaluator then sees the order in which the hits were ranked. An integer
score is changed only inside a tie (or right behind one of some hundred hits), by a few parts in ten million for each tied
hit.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from splade_lucene.errors import RunError
from splade_lucene.files import numbered_lines, open_text, written_whole
from splade_lucene.ids import docid_order, has_space_or_control
from splade_lucene.run.formats import READERS, RunFormat, check_format, looks_like

DEFAULT_TAG = "splade-lucene"

Ranking = Sequence[tuple[str, float]]
"""(docid, score) of each hit, best first."""


def strictly_falling(scores: Sequence[float]) -> list[float]:
    """Scores that every evaluator reads as a strict order.

    Args:
        scores: Falling or equal, best first.

    Returns:
        Numbers that fall strictly and are exact in single precision.

    Example:
        >>> strictly_falling([7, 5, 5, 5, 4])
        [7.0, 5.0, 4.999999523162842, 4.999999046325684, 4.0]
    """
    with np.errstate(over="ignore"):  # writers refuse what became infinite
        values = np.asarray(scores, dtype=np.float64).astype(np.float32)
    down = np.float32(-np.inf)
    for i in range(1, len(values)):
        if values[i] >= values[i - 1]:
            values[i] = np.nextafter(values[i - 1], down)
    return [float(value) for value in values]


class Run(Mapping[str, list[tuple[str, float]]]):
    """Rankings by qid, each a list of (docid, score), best first.

    Args:
        rankings: Hits of a searcher (:class:`splade_lucene.Hits`), or (docid, score) pairs, by qid.
        tag: What names the system in a TREC run.
        format: The form of the file that it was read from.
    """

    def __init__(self, rankings: Mapping[str, Any], *, tag: str = DEFAULT_TAG, format: RunFormat = "trec") -> None:  # noqa: A002
        self._rankings = {qid: _pairs(ranking) for qid, ranking in rankings.items()}
        self.tag, self.format = tag, format

    def __getitem__(self, qid: str) -> list[tuple[str, float]]:
        return self._rankings[qid]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rankings)

    def __len__(self) -> int:
        return len(self._rankings)

    def write(self, path: str | Path, *, format: RunFormat = "trec", tag: str | None = None) -> None:  # noqa: A002
        """Writes a run file; it appears under its name only when it is whole.

        Args:
            path: The file; gzipped if its name ends in ``.gz``.
            format: Its form.
            tag: Last column of a TREC run, in place of the run's own.

        Raises:
            RunError: An id, a score or the tag cannot stand in such a file.
            StorageError: The place cannot be written.
        """
        with open_run_writer(path, format=format, tag=self.tag if tag is None else tag) as writer:
            for qid, ranking in self._rankings.items():
                writer.add(qid, ranking)

    @classmethod
    def read(cls, path: str | Path, format: RunFormat | None = None) -> Run:  # noqa: A002
        """Reads a run file. Hits are put in the order that evaluators see: score descending, then docid descending.

        Args:
            path: The file, gzipped or not.
            format: Its form; None: what it looks like.

        Raises:
            RunError: The file cannot be read, a line is malformed, or a document is ranked twice.
        """
        path = Path(path)
        lines = iter(read_lines(path))
        first = next(lines, None)
        if first is None:
            raise RunError("the run is empty", path=path, remedy="Check that it is the right file")
        form = check_format(format) if format else looks_like(first[1])
        tag = first[1].split()[-1] if form == "trec" else DEFAULT_TAG
        scores = READERS[form](path, chain([first], lines))
        return cls({qid: _as_evaluators_see(ranking) for qid, ranking in scores.items()}, tag=tag, format=form)


def _as_evaluators_see(ranking: Mapping[str, float]) -> list[tuple[str, float]]:
    by_docid = sorted(ranking.items(), key=lambda hit: docid_order(hit[0]), reverse=True)
    return sorted(by_docid, key=lambda hit: -np.float32(hit[1]))


def _pairs(ranking: Any) -> list[tuple[str, float]]:
    if hasattr(ranking, "docids"):
        return list(zip(ranking.docids, (float(score) for score in ranking.scores), strict=True))
    pairs = ranking.items() if isinstance(ranking, Mapping) else ranking
    return [(docid, float(score)) for docid, score in pairs]


class RunWriter:
    """Writes rankings one after another. Made by :func:`open_run_writer`."""

    def __init__(self, file: TextIO, format: RunFormat, tag: str) -> None:  # noqa: A002
        self._file, self._format, self._tag = file, format, tag
        self._qids: set[str] = set()

    def add(self, qid: str, ranking: Any) -> None:
        """Writes one ranking: hits of a searcher, or (docid, score) pairs, best first.

        Raises:
            RunError: A query or document comes twice, an id has white space, or a score is not a finite number.
        """
        pairs = _pairs(ranking)
        _check_ids(qid, [docid for docid, _ in pairs])
        if qid in self._qids:
            raise RunError(f"query {qid!r} has a ranking already", remedy="Rank each query once")
        scores = strictly_falling([score for _, score in pairs])
        if not all(map(math.isfinite, scores)):
            raise RunError(
                f"query {qid!r} has a score that is not a finite number", remedy="Check what made the scores"
            )
        if self._format == "msmarco":
            lines = [f"{qid}\t{docid}\t{rank}\n" for rank, (docid, _) in enumerate(pairs, 1)]
        elif self._format == "trec":
            lines = [
                f"{qid} Q0 {docid} {rank} {_number(score)} {self._tag}\n"
                for rank, ((docid, _), score) in enumerate(zip(pairs, scores, strict=True), 1)
            ]
        else:
            hits = ", ".join(f"{_quoted(d)}: {_number(score)}" for (d, _), score in zip(pairs, scores, strict=True))
            lines = [",\n" if self._qids else "{\n", f"{_quoted(qid)}: {{{hits}}}"]
        self._qids.add(qid)
        self._file.writelines(lines)

    def finish(self) -> None:
        """Writes the end of the file."""
        if self._format == "json":
            self._file.write("\n}\n" if self._qids else "{}\n")


def _check_ids(qid: str, docids: Sequence[str]) -> None:
    for name in (qid, *docids):
        if not name or has_space_or_control(name):
            raise RunError(f"the id {name!r} has white space, at which run files are split", remedy="Rename it")
    if len(set(docids)) < len(docids):
        twice = next(docid for i, docid in enumerate(docids) if docid in docids[:i])
        raise RunError(f"document {twice!r} is ranked twice for query {qid!r}", remedy="Rank each document once")


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _number(score: float) -> str:
    """The shortest decimal that reads back as the same single-precision number."""
    return str(int(score)) if score.is_integer() else np.format_float_positional(np.float32(score), trim="-")


@contextmanager
def open_run_writer(path: str | Path, *, format: RunFormat = "trec", tag: str = DEFAULT_TAG) -> Iterator[RunWriter]:  # noqa: A002
    """Opens a run file for writing; it appears under its name only if the block ends well.

    Args:
        path: The file; gzipped if its name ends in ``.gz``.
        format: ``trec``: qid Q0 docid rank score tag. ``msmarco``: qid, docid and rank between tabs. ``json``: one object,
            qid → docid → score.
        tag: Last column of a TREC run; without white space.

    Raises:
        RunError: An unknown format, or a tag with white space.
        StorageError: The place cannot be written.
    """
    form = check_format(format)
    if not tag or tag.split() != [tag]:
        raise RunError(f"the tag {tag!r} is empty or has white space", remedy="Use one word")
    with written_whole(Path(path)) as file:
        writer = RunWriter(file, form, tag)
        yield writer
        writer.finish()


def read_lines(path: Path) -> Iterable[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers.

    Raises:
        RunError: The file cannot be read.
    """
    try:
        with open_text(path) as lines:
            yield from numbered_lines(lines)
    except UnicodeDecodeError as error:
        raise RunError(f"not UTF-8 ({error})", path=path, remedy="Convert the file to UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"the file cannot be read ({reason})", path=path, remedy="Check the path") from error
