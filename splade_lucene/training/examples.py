"""Reads training examples: pairs, triples and scored lists from JSON lines (``.jsonl``, ``.jsonl.gz``), parquet or judgments.

=============  =======================================================================================================
form           keys of a record
=============  =======================================================================================================
pair, triple   ``qid``, ``positive_id`` and optionally ``negative_id``: ids from the files of queries and passages; or
               ``query``, ``positive`` and optionally ``negative``: the texts themselves. With ``scores``, one number per
               passage, it is a scored list of one or two passages
scored list    ``qid`` and ``docids``, or ``query`` and ``passages``; and ``scores``, one number per passage
list           the same without ``scores``: the first passage is the positive one, and in each step the others are drawn
               at random from the rest
judgments      ``.tsv``, ``.txt`` or ``.qrels`` with BEIR's or TREC's columns: every relevant document gives a pair. For a
               BEIR folder, its ``qrels/train.tsv`` is read
=============  =======================================================================================================

Other keys are ignored, except for likely misspellings of these, which are rejected. Records with a blank query are skipped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.corpus.reading import read_corpus
from splade_lucene.errors import CorpusError, ExamplesError
from splade_lucene.evaluation import read_qrels
from splade_lucene.evaluation.judgments import line_of_judgment
from splade_lucene.files.files import open_text, written_whole
from splade_lucene.files.json_text import parse_object
from splade_lucene.imports import whole_imports
from splade_lucene.records import well_formed
from splade_lucene.topics.reading import read_topics
from splade_lucene.training.teachers import NO_RANKING, Rankings
from splade_lucene.white_space import is_blank

_log = logging.getLogger(__name__)
QRELS_SUFFIXES = (".tsv", ".txt", ".qrels")
_IDS = ("qid", "positive_id", "negative_id", "docids")
_TEXTS = ("query", "positive", "negative", "passages")
_MISSPELT = (
    "score", "margin", "label", "labels", "negatives", "positives", "negative_ids", "positive_ids", "negs", "pos", "neg",
    "positive_passages", "negative_passages",
)  # fmt: skip


@dataclass
class Texts:
    """All queries and passages, addressed by row.

    Attributes:
        qids: Qid of each query.
        queries: Text of each query.
        docids: Docid of each passage.
        passages: Text of each passage.
    """

    qids: list[str]
    queries: list[str]
    docids: list[str]
    passages: list[str]
    _query_rows: dict[str, int] = field(default_factory=dict)
    _passage_rows: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._query_rows = {qid: row for row, qid in enumerate(self.qids)}
        self._passage_rows = {docid: row for row, docid in enumerate(self.docids)}

    @property
    def query_rows(self) -> Mapping[str, int]:
        """Qid → row."""
        return self._query_rows

    @property
    def passage_rows(self) -> Mapping[str, int]:
        """Docid → row."""
        return self._passage_rows

    @cached_property
    def passages_digest(self) -> str:
        """Digest that identifies these passages."""
        return hashlib.sha256(json.dumps(self.passages).encode()).hexdigest()[:16]

    def add_query(self, text: str) -> int:
        """The row of a query that an example gives as text."""
        return _add(text, self._query_rows, self.qids, self.queries)

    def add_passage(self, text: str) -> int:
        """The row of a passage that an example gives as text."""
        return _add(text, self._passage_rows, self.docids, self.passages)


def _add(text: str, rows: dict[str, int], ids: list[str], texts: list[str]) -> int:
    key = f"\0{text}"  # cannot clash with an id
    if key not in rows:
        rows[key] = len(texts)
        ids.append(key)
        texts.append(text)
    return rows[key]


@dataclass(frozen=True)
class Example:
    """A query with passages.

    Attributes:
        query: Row of the query.
        passages: Rows of the passages, best first.
        scores: The teacher's scores, descending; None for pairs and triples.
    """

    query: int
    passages: NDArray[np.int64]
    scores: NDArray[np.float32] | None = None


def read_texts(passages: str | None, queries: str | None) -> Texts:
    """Reads the passages and queries that examples refer to by id.

    Raises:
        CorpusError, TopicsError: A file cannot be read or is empty; the message names file and line.
    """
    corpus = list(read_corpus(passages)) if passages else []
    if passages and not corpus:
        raise CorpusError("no passages found", path=passages, remedy="Check that it is the right file")
    topics = read_topics(queries) if queries else []
    return Texts(
        [query.qid for query in topics], [query.text for query in topics],
        [document.docid for document in corpus], [document.text for document in corpus],
    )  # fmt: skip


def read_examples(path: str | Path, texts: Texts) -> list[Example]:
    """Reads examples; texts given in the examples are added to ``texts``.

    Raises:
        ExamplesError: The file or a record cannot be read, or a record has an unknown id or key, no passage, or a blank text;
            the message names file and line. Or all queries are blank.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "qrels" / "train.tsv"
    if path.suffix in QRELS_SUFFIXES:
        found = list(_judged(path, texts))
    else:
        found = [_example(record, texts, path, number) for number, record in _records(path)]
    if not found:
        raise ExamplesError("no examples found", path=path, remedy="Check that it is the right file")
    examples = [example for example in found if not is_blank(texts.queries[example.query])]
    if not examples:
        raise ExamplesError("the queries of all examples are blank", path=path, remedy="Check data.queries")
    if skipped := len(found) - len(examples):
        _log.warning("skipped examples with blank queries: %d", skipped)
    if len({example.scores is None for example in examples}) == 2:
        raise ExamplesError(
            "some records have scores and others do not",
            path=path,
            remedy="Add scores to all, or split the file in two",
        )
    return examples


def write_examples(path: Path, texts: Texts, examples: Iterable[Example]) -> int:
    """Writes scored lists.

    Returns:
        Number of lists written.
    """
    count = 0
    with written_whole(path) as file:
        for example in examples:
            record: dict[str, Any] = {
                "qid": texts.qids[example.query],
                "docids": [texts.docids[row] for row in example.passages],
            }
            if example.scores is not None:
                record["scores"] = [round(float(score), 5) for score in example.scores]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if not path.is_file():
        raise ExamplesError("no such file", path=path, remedy="Check the path")
    try:
        if path.suffix == ".parquet":
            with whole_imports():
                import pyarrow.parquet

            for number, record in enumerate(pyarrow.parquet.read_table(path).to_pylist(), 1):
                yield number, {key: value for key, value in record.items() if value is not None}
            return
        with open_text(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _parse(line, path, number)
    except UnicodeDecodeError as error:
        raise ExamplesError(f"not UTF-8 ({error})", path=path, remedy="Convert the file to UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ExamplesError(
            f"the file cannot be read ({error})", path=path, remedy="Check it or download it again"
        ) from error
    except ValueError as error:  # from pyarrow
        raise ExamplesError(
            f"not a parquet file ({error})", path=path, remedy="Check it or download it again"
        ) from error


def _judged(path: Path, texts: Texts) -> Iterator[Example]:
    if not path.is_file():
        raise ExamplesError("no such file", path=path, remedy="Check the path")
    for qid, judged in read_qrels(path).items():
        for docid in (docid for docid, relevance in judged.items() if relevance > 0):
            for kind, name, rows, source in (
                ("qid", qid, texts.query_rows, "queries"), ("docid", docid, texts.passage_rows, "passages"),
            ):  # fmt: skip
                if name not in rows:
                    raise ExamplesError(
                        f"{kind} {name!r:.80} is not in data.{source}",
                        path=path, line=line_of_judgment(path, qid, docid), remedy=f"Check data.{source}",
                    )  # fmt: skip
            yield Example(texts.query_rows[qid], np.array([texts.passage_rows[docid]], np.int64))


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        return parse_object(line)
    except ValueError as error:
        raise ExamplesError(str(error), path=path, line=number, remedy="Fix the line") from None


def _example(record: dict[str, Any], texts: Texts, path: Path, number: int) -> Example:  # noqa: C901 - a rule a branch
    def fail(message: str, remedy: str) -> ExamplesError:
        return ExamplesError(message, path=path, line=number, remedy=remedy)

    def row_of(key: str, value: Any, rows: Mapping[str, int], add: Any, source: str) -> int:
        if not isinstance(value, str | int) or isinstance(value, bool) or (add and not isinstance(value, str)):
            raise fail(f"{key} must be a string, got {value!r:.60}", "Write ids and texts as strings")
        name = str(value)
        if add:
            if is_blank(name):
                raise fail(f"{key} is blank", "Add a text or remove the record")
            row: int = add(well_formed(name))
            return row
        if name not in rows:
            raise fail(f"{key} {name!r:.80} is not in data.{source}", f"Check data.{source}")
        return rows[name]

    by_id = "qid" in record
    if by_id == ("query" in record):
        raise fail("a record needs either qid or query", "See splade_lucene.training.examples for the supported forms")
    adds = (None, None) if by_id else (texts.add_query, texts.add_passage)
    names = _IDS if by_id else _TEXTS
    if problem := _find_wrong_key(record, names):
        raise fail(*problem)
    query = row_of(names[0], record[names[0]], texts.query_rows, adds[0], "queries")
    listed = record.get(names[3])
    if listed is None:
        found = [(key, record[key]) for key in names[1:3] if key in record]
        if not found or found[0][0] != names[1]:
            raise fail(f"the query has no passage ({names[1]} or {names[3]})", "Add a passage to each query")
    else:
        found = [(names[3], value) for value in listed] if isinstance(listed, list) else []
        if not found:
            raise fail(f"{names[3]} must be a list of at least one passage", "Add a passage to each query")
    passages = np.array([row_of(key, value, texts.passage_rows, adds[1], "passages") for key, value in found], np.int64)
    if "scores" not in record:
        return Example(query, passages)
    scores = record["scores"]
    if not isinstance(scores, list) or len(scores) != len(passages) or not all(map(_is_score, scores)):
        raise fail(f"scores must be {len(passages)} finite numbers, one per passage", "Fix the record")
    order = np.argsort(-np.array(scores, np.float64), kind="stable")
    return Example(query, passages[order], np.array(scores, np.float32)[order])


def _find_wrong_key(record: Mapping[str, Any], names: Sequence[str]) -> tuple[str, str] | None:
    """Finds a key that looks meaningful but would be ignored: the problem and its remedy; None if there is none."""
    query, positive, negative, listed = names
    given = [key for key, value in record.items() if value is not None]
    for key in given:
        if key in _IDS + _TEXTS and key not in names:
            return f"{key} cannot be combined with {query}", f"Use only {', '.join(_IDS)}, or only {', '.join(_TEXTS)}"
        if key in (positive, negative) and listed in given:
            return f"{key} cannot be combined with {listed}", f"Move it into {listed}, with the positive passage first"
        if key in _MISSPELT:
            return f"unknown key {key}", (
                f"Write the passages as the list {listed}, with the positive one first, and one number for each as scores"
            )
    return None


def _is_score(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def known_scores(examples: Sequence[Example], queries: int) -> Rankings:
    """For each query, all passages scored by any example; of several scores for a passage, the highest."""
    scores: dict[int, dict[int, float]] = {}
    for example in examples:
        assert example.scores is not None
        known = scores.setdefault(example.query, {})
        for row, score in zip(example.passages.tolist(), example.scores.tolist(), strict=True):
            known[row] = max(score, known.get(row, score))
    rankings = [NO_RANKING] * queries
    for query, known in scores.items():
        rankings[query] = (np.array(list(known), np.int64), np.array(list(known.values()), np.float32))
    return rankings
