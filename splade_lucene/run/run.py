"""Run files in three formats, and the handling of ties.

===========  =========================================================================================================
``trec``     qid, Q0, docid, rank, score and tag, separated by white space
``msmarco``  qid, docid and rank, separated by tabs; a rank is read as the score 1/rank, as in Pyserini's converter
``json``     one object, ``{qid: {docid: score}}``, as in ranx; queries without hits are kept
===========  =========================================================================================================

**Ties.** Impact scores are integers, so ties are common. Our searchers break them by the bytes of the docid, ascending.
Evaluators do not: trec_eval 9 reads scores in single precision, sorts by score, and breaks ties by docid descending. Even
lowering a score by 10⁻⁶ does not break a tie there. TREC and JSON runs are therefore written with scores that decrease
strictly in single precision: each is the integer score or, if that is not below the previous one, the next smaller
single-precision number. Every evaluator then sees the hits in the order in which they were ranked. Integer scores are
changed only within a tie (or directly after a tie of several hundred hits), by a few parts in ten million per tied hit.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from splade_lucene.arguments import to_path
from splade_lucene.errors import RunError, system_reason
from splade_lucene.files.files import atomic_text_writer, numbered_lines, open_text
from splade_lucene.ids import check_id, check_qid, has_space_or_control
from splade_lucene.records import well_formed
from splade_lucene.run.file_ranks import FileRanks
from splade_lucene.run.formats import READERS, RunFormat, check_format, looks_like, trec_columns, without_comments
from splade_lucene.run.interchange import (
    rankings_of_dataframe,
    rankings_of_ir_measures,
    rankings_of_ranx,
    to_dataframe,
    to_ir_measures,
    to_ranx,
)
from splade_lucene.run.rankings import evaluation_order, read_ranking, read_rankings, text_of_qid

DEFAULT_TAG = "splade-lucene"


def strictly_falling(scores: Sequence[float]) -> list[float]:
    """Makes scores strictly decreasing, so that every evaluator keeps their order.

    Args:
        scores: Scores in non-increasing order.

    Returns:
        Strictly decreasing numbers that are exact in single precision.

    Example:
        >>> strictly_falling([7, 5, 5, 5, 4])
        [7.0, 5.0, 4.999999523162842, 4.999999046325684, 4.0]
    """
    values = np.asarray(scores, dtype=np.float64).astype(np.float32)
    down = np.float32(-np.inf)
    for i in range(1, len(values)) if (np.diff(values) >= 0).any() else ():
        if values[i] >= values[i - 1]:
            values[i] = np.nextafter(values[i - 1], down)
    return [float(value) for value in values]


class Run(Mapping[str, list[tuple[str, float]]]):
    """Rankings by qid, each a list of (docid, score), best first.

    Args:
        rankings: By qid: ``{docid: score}``, which is ranked by score; or hits of a searcher (:class:`splade_lucene.Hits`)
            or (docid, score) pairs, best first. Ids may be integers, and become strings.
        tag: Name of the system in TREC runs.
        format: The format of the file from which it was read.
        file_ranks: The ranks in that file, by qid; by default, the hits are ranked 1, 2, 3 …

    Raises:
        RunError: An id is neither a string nor an integer, a document is ranked twice, a score is not a finite number, or
            hits or pairs are not best first.

    Example:
        >>> Run({"q": {"low": 1.0, "best": 5.0}})["q"]
        [('best', 5.0), ('low', 1.0)]
    """

    def __init__(
        self, rankings: Mapping[Any, Any], *, tag: str = DEFAULT_TAG, format: RunFormat = "trec",  # noqa: A002
        file_ranks: Mapping[str, FileRanks] | None = None,
    ) -> None:  # fmt: skip
        self._rankings = read_rankings(rankings)
        self.tag, self.format = tag, format
        self.file_ranks = {qid: ranks for qid, ranks in (file_ranks or {}).items() if qid in self._rankings}

    def __getitem__(self, qid: str) -> list[tuple[str, float]]:
        return self._rankings[qid]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rankings)

    def __len__(self) -> int:
        return len(self._rankings)

    def ranks(self, qid: str, *, first: int = 1) -> dict[str, int]:
        """The ranks of a query's hits: those in the run's file, if it has any, or else their positions, from 1.

        Args:
            qid: The query.
            first: The lowest rank that is allowed in a file, 0 or 1.

        Raises:
            RunError: A rank in the file is not an integer of at least ``first``, or is a duplicate.
        """
        ranking = self._rankings[qid]
        if qid not in self.file_ranks:
            return {docid: rank for rank, (docid, _) in enumerate(ranking, 1)}
        ranks = self.file_ranks[qid].of(qid, first=first)
        return {docid: ranks[docid] for docid, _ in ranking}

    def write(self, path: str | Path, *, format: RunFormat = "trec", tag: str | None = None) -> None:  # noqa: A002
        """Writes a run file. The file gets its name only when it is complete.

        A run that was read from an MS MARCO file keeps its ranks, which may have gaps; others are ranked 1, 2, 3 …

        Args:
            path: The file; compressed if its name says so (``.gz``, ``.zst`` …).
            format: Its format.
            tag: Last column of a TREC run; None for the run's own tag.

        Raises:
            RunError: An id, a score or the tag is not valid in a run file.
            StorageError: The file cannot be written.
        """
        with open_run_writer(path, format=format, tag=self.tag if tag is None else tag) as writer:
            for qid, ranking in self._rankings.items():
                writer.add(qid, ranking, [*self.ranks(qid).values()] if self.format == "msmarco" else None)

    # ---- objects of other packages ----

    def to_dict(self) -> dict[str, dict[str, float]]:
        """The form that pytrec_eval, BEIR and MTEB take: qid → docid → score.

        Here and in the other forms, scores strictly decrease, as in run files, so that every evaluator keeps our order of
        ties, which it would otherwise break in its own way.

        Example:
            >>> Run({"q": [("a", 5), ("b", 5)]}).to_dict()
            {'q': {'a': 5.0, 'b': 4.999999523162842}}
        """
        return {
            qid: dict(zip([docid for docid, _ in hits], strictly_falling([score for _, score in hits]), strict=True))
            for qid, hits in self._rankings.items()
        }

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with the columns ``qid``, ``docid``, ``rank`` (from 1) and ``score``.

        Scores are those of :meth:`to_dict`. Queries without hits have no rows.
        """
        return to_dataframe(self.to_dict())

    def to_ranx(self) -> Any:
        """A ``ranx.Run`` with the scores of :meth:`to_dict`, named by the tag.

        Raises:
            MissingDependencyError: ranx is not installed.
        """
        return to_ranx(self.to_dict(), self.tag)

    def to_ir_measures(self) -> list[Any]:
        """A list of ``ir_measures.ScoredDoc`` with the scores of :meth:`to_dict`. Queries without hits have none."""
        return to_ir_measures(self.to_dict())

    @classmethod
    def from_dataframe(cls, frame: Any, *, tag: str = DEFAULT_TAG) -> Run:
        """Takes the run in a data frame.

        Args:
            frame: A ``pandas.DataFrame`` with the columns of :meth:`to_dataframe`, of PyTerrier (``qid``, ``docno``,
                ``rank``, ``score``), ir_measures (``query_id``, ``doc_id``, ``score``) or ranx (``q_id``, ``doc_id``,
                ``score``). Hits are ordered by ``rank``; without that column, as evaluators order them.
            tag: Name of the system.

        Raises:
            RunError: A column is missing, a value is not valid, a document is ranked twice, or a score is higher than that
                of the rank before.
        """
        return cls(rankings_of_dataframe(frame), tag=tag)

    @classmethod
    def from_ranx(cls, run: Any, *, tag: str | None = None) -> Run:
        """Takes a ``ranx.Run``, with ties in ranx's own order.

        Args:
            run: The run; it is sorted if it is not, as ranx does before it evaluates.
            tag: Name of the system; None for the run's name.

        Raises:
            RunError: It is not a ``ranx.Run``, or a score is not a finite number.
        """
        return cls(rankings_of_ranx(run), tag=tag or getattr(run, "name", None) or DEFAULT_TAG)

    @classmethod
    def from_ir_measures(cls, scored: Iterable[Any], *, tag: str = DEFAULT_TAG) -> Run:
        """Takes ``ScoredDoc`` objects of ir_measures, with ties in the order of trec_eval.

        Args:
            scored: The objects, or any others with a ``query_id``, a ``doc_id`` and a ``score``; an iterator is read to its
                end.
            tag: Name of the system.

        Raises:
            RunError: An object has the wrong type, a value is not valid, or a document is ranked twice.
        """
        return cls(rankings_of_ir_measures(scored), tag=tag)

    # ---- files ----

    @classmethod
    def of(cls, source: RunSource) -> Run:
        """Takes a run as it is, rankings by qid as for :class:`Run`, or a run file.

        Raises:
            RunError: The file cannot be read, or the rankings are not valid.
        """
        if isinstance(source, cls):
            return source
        return cls.read(source) if isinstance(source, str | Path) else cls(source)

    @classmethod
    def read(cls, path: str | Path, format: RunFormat | None = None) -> Run:  # noqa: A002
        """Reads a run file. Hits are sorted as evaluators sort them: score descending, then docid descending.

        Args:
            path: The file, gzipped or not.
            format: Its format; None to detect it from the first line.

        Raises:
            RunError: The file cannot be read, a line is malformed, or a document is ranked twice for a query.
        """
        path = to_path(path, error=RunError)
        lines = without_comments(read_lines(path))
        first = next(lines, None)
        if first is None:
            raise RunError("the run is empty", path=path, remedy="Check that it is the right file")
        detected = check_format(format) if format else looks_like(first[1])
        columns = trec_columns(first[1]) if detected == "trec" else None
        tag = columns[-1] if columns else DEFAULT_TAG
        ranks = FileRanks(path)
        scores = READERS[detected](path, chain([first], lines), ranks)
        run = cls({}, tag=tag, format=detected)
        run._rankings = {qid: evaluation_order(qid, ranking, path) for qid, ranking in scores.items()}
        run.file_ranks = {} if detected == "json" else dict.fromkeys(scores, ranks)
        return run


RunSource = Mapping[Any, Any] | str | Path
"""A :class:`Run`, rankings by qid, or a run file."""


class RunWriter:
    """Writes rankings one by one. Created by :func:`open_run_writer`."""

    def __init__(self, file: TextIO, format: RunFormat, tag: str) -> None:  # noqa: A002
        self._file, self._format, self._tag = file, format, tag
        self._qids: set[str] = set()

    def add(self, qid: str, ranking: Any, ranks: Sequence[int] | None = None) -> None:
        """Writes one ranking: ``{docid: score}``, or hits of a searcher or (docid, score) pairs, best first.

        Args:
            qid: The query.
            ranking: The ranking.
            ranks: The ranks of the hits; None for 1, 2, 3 …

        Raises:
            RunError: A query is a duplicate, an id contains white space, or the ranking is not valid, as for :class:`Run`.
        """
        qid = text_of_qid(qid)
        pairs = read_ranking(qid, ranking)
        _check_ids(qid, [docid for docid, _ in pairs])
        if qid in self._qids:
            raise RunError(f"query {qid!r} already has a ranking", remedy="Rank each query once")
        scores = strictly_falling([score for _, score in pairs])
        places = range(1, len(pairs) + 1) if ranks is None else ranks
        if self._format == "msmarco":
            lines = [f"{qid}\t{docid}\t{rank}\n" for rank, (docid, _) in zip(places, pairs, strict=True)]
        elif self._format == "trec":
            lines = [
                f"{qid} Q0 {docid} {rank} {_number(score)} {self._tag}\n"
                for rank, (docid, _), score in zip(places, pairs, scores, strict=True)
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
    check_qid(qid, error=RunError)
    if all(docids) and not has_space_or_control("".join(docids)):
        return
    for docid in docids:
        check_id(docid, noun="docid", error=RunError)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _number(score: float) -> str:
    """The shortest decimal that is parsed as the same single-precision number."""
    return str(int(score)) if score.is_integer() else np.format_float_positional(np.float32(score), trim="-")


@contextmanager
def open_run_writer(path: str | Path, *, format: RunFormat = "trec", tag: str = DEFAULT_TAG) -> Iterator[RunWriter]:  # noqa: A002
    """Opens a run file for writing. The file gets its name only if the ``with`` block ends without an exception.

    Args:
        path: The file; compressed if its name says so (``.gz``, ``.zst`` …).
        format: ``trec``: qid Q0 docid rank score tag. ``msmarco``: qid, docid and rank, separated by tabs. ``json``: one
            object, qid → docid → score.
        tag: Last column of a TREC run; without white space.

    Raises:
        RunError: The format is unknown, or the tag is empty or contains white space.
        StorageError: The file cannot be written.
    """
    checked = check_format(format)
    if not tag or tag.split() != [tag]:
        raise RunError(f"the tag {tag!r} is empty or contains white space", remedy="Use one word")
    if well_formed(tag) != tag:
        raise RunError(f"the tag {tag!a} contains an unpaired surrogate, which UTF-8 cannot encode", remedy="Change it")
    with atomic_text_writer(to_path(path)) as file:
        writer = RunWriter(file, checked, tag)
        yield writer
        writer.finish()


def read_lines(path: Path) -> Iterable[tuple[int, str]]:
    """Reads the non-blank lines of a text file with their numbers.

    Raises:
        RunError: The file cannot be read.
    """
    try:
        with open_text(path) as lines:
            yield from numbered_lines(lines)
    except UnicodeDecodeError as error:
        raise RunError(f"not UTF-8 ({error})", path=path, remedy="Convert the file to UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"cannot read this file ({system_reason(error)})", path=path, remedy="Check the path") from error
