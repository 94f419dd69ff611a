"""Reads examples of any shape: ids become rows, and unusable examples are dropped and counted."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from splade_lucene.errors import ExamplesError
from splade_lucene.evaluation import read_qrels
from splade_lucene.evaluation.judgments import line_of_judgment
from splade_lucene.records import well_formed
from splade_lucene.training.examples.columns import Examples
from splade_lucene.training.examples.dropped import (
    BLANK_PASSAGES,
    BLANK_QUERIES,
    LISTED_TWICE,
    NO_POSITIVE,
    SAME_AS_POSITIVE,
    Dropped,
)
from splade_lucene.training.examples.example import Example
from splade_lucene.training.examples.rows import is_mapping, open_rows
from splade_lucene.training.examples.scores import Scores
from splade_lucene.training.examples.shapes import Item, RawExample, RecordError, read_numbers, read_shape
from splade_lucene.training.examples.texts import OtherTextError, Texts
from splade_lucene.white_space import is_blank


def read_examples(
    source: str | Path, texts: Texts, *, scores: Scores | None = None, ignored: Sequence[str] = (),
    dropped: Dropped | None = None,
) -> Examples:  # fmt: skip
    """Reads examples; texts given in the examples are added to ``texts``.

    Args:
        source: A file, a folder or ``hf:NAME``.
        texts: The queries and passages that the examples refer to by id.
        scores: Scores of their passages. For judgments, the other passages that are scored for a query become its negatives.
        ignored: Keys of the records to ignore.
        dropped: Counts dropped examples and passages; None to log them.

    Raises:
        ExamplesError: The file or a record cannot be read, or a record has an unknown id or key or no passage; the message
            names file and line. Or nothing remains.
    """
    opened = open_rows(source, texts.query_rows, texts.passage_rows)
    counted = dropped or Dropped(opened.path)
    counted.path = opened.path
    reader = _Reader(texts, opened.path, counted)
    found = 0

    def read() -> Iterator[Example]:
        nonlocal found
        for given, line in (
            _judged(opened.path, texts, scores)
            if opened.is_judged
            else _read_records(opened.path, opened.rows, ignored)
        ):
            found += 1
            yield from reader.add(given, line)
        yield from reader.finish()

    examples = Examples(read())
    if not found:
        raise ExamplesError("no examples found", path=opened.path, remedy="Check that it is the right file")
    if not examples:
        kinds = "; ".join(f"{kind}: {count}" for kind, count in counted.counts.items())
        is_queries = counted.counts[BLANK_QUERIES] == found
        raise ExamplesError(
            "the queries of all examples are blank" if is_queries else f"no example can be used ({kinds})",
            path=opened.path, remedy="Check data.queries" if is_queries else "Check the file",
        )  # fmt: skip
    if scores is not None:
        examples = Examples(_with_scores(example, texts, scores, opened.path) for example in examples)
    if examples.is_scored.any() and not examples.is_scored.all():
        first = int(np.argmin(examples.is_scored))
        raise ExamplesError(
            "some records have scores and others do not. This is the first one without", path=opened.path,
            line=examples[first].line, remedy="Add scores to all, or split the file in two",
        )  # fmt: skip
    if dropped is None:
        counted.log()
    return examples


def _read_records(path: Path, rows: Iterator[Any], ignored: Sequence[str]) -> Iterator[tuple[RawExample, int | None]]:
    for line, record in rows:
        try:
            if is_mapping(record) and "qid" not in record:
                yield from ((_scored_list(qid, listed), None) for qid, listed in record.items())
            else:
                yield read_shape(record, ignored), line
        except RecordError as error:
            raise ExamplesError(str(error), path=path, line=line, remedy=error.remedy) from None


def _scored_list(qid: str, listed: Mapping[str, Any]) -> RawExample:
    """A query of a file of scores: its passages, which only the scores rank."""
    scores = read_numbers(f"the scores of query {qid!r:.40}", [*listed.values()], len(listed))
    return RawExample(Item("qid", qid), [], [Item("docid", docid) for docid in listed], scores, is_ranked=True)


def _judged(path: Path, texts: Texts, scores: Scores | None) -> Iterator[tuple[RawExample, int | None]]:
    """Each relevant passage as a pair; with scores, each query's relevant passages, and those of the scores as negatives."""
    for qid, judged in read_qrels(path).items():
        relevant = [docid for docid, relevance in judged.items() if relevance > 0]
        for docid in relevant:
            for kind, name, rows, source in (
                ("qid", qid, texts.query_rows, "queries"), ("docid", docid, texts.passage_rows, "passages"),
            ):  # fmt: skip
                if name not in rows:
                    raise ExamplesError(
                        f"{kind} {name!r:.80} is not in data.{source}",
                        path=path, line=line_of_judgment(path, qid, docid), remedy=f"Check data.{source}",
                    )  # fmt: skip
        query, items = Item("qid", qid), [Item("docid", docid) for docid in relevant]
        if scores is None:
            yield from ((RawExample(query, [item]), None) for item in items)
        elif items:
            others = [Item("docid of data.scores", docid) for docid in scores.get(qid, ()) if docid not in judged]
            yield RawExample(query, items, others), None


class _Reader:
    """Makes examples of what records give.

    Args:
        texts: All queries and passages.
        path: The file, for messages.
        dropped: Counts dropped examples and passages.
    """

    def __init__(self, texts: Texts, path: Path, dropped: Dropped) -> None:
        self._texts, self._path, self._dropped = texts, path, dropped
        self._parts = _Parts()

    def add(self, given: RawExample, line: int | None) -> Iterator[Example]:
        """The example that a record gives, if it gives one by itself."""
        texts = self._texts
        self._refuse_ids_as_texts(given, line)
        query = self._row(given.query, line, "queries", texts.query_rows, texts.add_query)
        if query is None or texts.is_blank_query(query):
            self._dropped.add(BLANK_QUERIES, line)
            return
        items = [*given.positives, *given.negatives]
        rows = [self._row(item, line, "passages", texts.passage_rows, texts.add_passage) for item in items]
        scores = None
        if given.scores is not None:
            scores = np.array([np.nan if each is None else each for each in given.scores], np.float32)
        if None in rows:
            self._dropped.add(BLANK_PASSAGES, line, rows.count(None))
        present = np.array([row is not None for row in rows], bool)
        passages = np.array([row for row in rows if row is not None], np.int64)
        positives = int(np.sum(present[: len(given.positives)]))
        example = Example(query, passages, None if scores is None else scores[present], positives, line)
        if given.is_part:
            self._parts.add(example, is_ranked=given.is_ranked)
        else:
            yield from self._finish(example, is_ranked=given.is_ranked)

    def finish(self) -> Iterator[Example]:
        """The examples that several records give together."""
        for is_ranked, example in self._parts.joined():
            yield from self._finish(example, is_ranked=is_ranked)

    def _finish(self, example: Example, *, is_ranked: bool) -> Iterator[Example]:
        """Leaves out blank passages and those that come twice, by id or text; of a list that scores rank, the worse one."""
        if is_ranked:
            assert example.scores is not None
            order = np.argsort(-example.scores, kind="stable")  # NaN is last
            example = Example(example.query, example.passages[order], example.scores[order], 0, example.line)
        line, kept, seen = example.line, [], dict[int, int]()
        identities = self._texts.identities(example.passages.tolist())
        for position, (row, identity) in enumerate(zip(example.passages.tolist(), identities.tolist(), strict=True)):
            if self._texts.is_blank_passage(row):
                self._dropped.add(BLANK_PASSAGES, line)
            elif identity in seen:
                is_negative = seen[identity] < example.positives <= position
                self._dropped.add(SAME_AS_POSITIVE if is_negative else LISTED_TWICE, line)
            else:
                seen[identity] = position
                kept.append(position)
        example = example if len(kept) == len(identities) else example.of(np.array(kept, np.int64))
        if len(example.passages) and (is_ranked or example.positives):
            yield example
        else:
            self._dropped.add(NO_POSITIVE, line)

    def _refuse_ids_as_texts(self, given: RawExample, line: int | None) -> None:
        """Refuses a record whose texts are all ids of the collection."""
        query, items = given.query, [*given.positives, *given.negatives]
        if query.name is not None or not isinstance(query.text, str) or query.text not in self._texts.query_rows:
            return
        if items and all(
            item.name is None and isinstance(item.text, str) and item.text in self._texts.passage_rows for item in items
        ):
            raise self._fail(
                f"{query.key} {query.text!r:.40} and all its passages are ids of data.queries and data.passages, but are given "
                "as texts", "Write them as qid, positive_id, negative_id or docids", line,
            )  # fmt: skip

    def _row(
        self, item: Item, line: int | None, source: str, rows: Mapping[str, int], add: Callable[[str, str | None], int]
    ) -> int | None:
        """The row of a query or passage; None for a blank text."""
        if item.text is None:
            name = self._name(item.key, item.name, line)
            if name not in rows:
                raise self._fail(f"{item.key} {name!r:.80} is not in data.{source}", f"Check data.{source}", line)
            return rows[name]
        if not isinstance(item.text, str):
            remedy = "Write texts as strings; ids are written as qid, positive_id, negative_id or docids"
            raise self._fail(f"{item.key} must be a string, got {item.text!r:.60}", remedy, line)
        text = well_formed(item.text)
        if is_blank(text):
            return None
        try:
            return add(text, None if item.name is None else self._name(item.key, item.name, line))
        except OtherTextError as error:
            raise self._fail(str(error), f"Make the texts equal, or leave out data.{source}", line) from None

    def _name(self, key: str, name: Any, line: int | None) -> str:
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise self._fail(f"{key} must be a string, got {name!r:.60}", "Write ids and texts as strings", line)
        return str(name)

    def _fail(self, message: str, remedy: str, line: int | None) -> ExamplesError:
        return ExamplesError(message, path=self._path, line=line, remedy=remedy)


class _Parts:
    """Single passages of lists that go over several records, in columns."""

    def __init__(self) -> None:
        self._queries, self._passages, self._lines = array("q"), array("i"), array("I")
        self._scores, self._is_positive = array("f"), bytearray()

    def add(self, example: Example, *, is_ranked: bool) -> None:
        """Adds a record with one passage, or with none if that is blank."""
        self._queries.append(2 * example.query + is_ranked)
        self._passages.append(int(example.passages[0]) if len(example.passages) else -1)
        self._scores.append(float(example.scores[0]) if is_ranked and len(example.scores) else np.nan)  # type: ignore
        self._is_positive.append(example.positives > 0)
        self._lines.append(example.line or 0)

    def joined(self) -> Iterator[tuple[bool, Example]]:
        """The lists in the order of their first records, each with whether scores rank it; positives come first."""
        queries, passages, lines = np.asarray(self._queries), np.asarray(self._passages), np.asarray(self._lines)
        scores, is_positive = np.asarray(self._scores), np.frombuffer(self._is_positive, bool)
        order = np.argsort(queries, kind="stable")
        bounds = np.append(np.flatnonzero(np.diff(queries[order], prepend=-1)), len(order))
        groups = sorted(pairwise(bounds.tolist()), key=lambda bound: order[bound[0]])
        for start, stop in groups:
            at = order[start:stop]
            at = at[np.argsort(~is_positive[at], kind="stable")]
            line = int(lines[at[0]]) or None
            at = at[passages[at] >= 0]
            is_ranked = bool(queries[order[start]] % 2)
            yield (
                is_ranked,
                Example(
                    int(queries[order[start]]) // 2, passages[at].astype(np.int64), scores[at] if is_ranked else None,
                    int(is_positive[at].sum()), line,
                ),
            )  # fmt: skip


def _with_scores(example: Example, texts: Texts, scores: Scores, path: Path) -> Example:
    if example.scores is not None:
        raise ExamplesError(
            "the examples have scores, but data.scores is given as well", path=path, line=example.line,
            remedy="Remove one of them",
        )  # fmt: skip
    known = scores.get(texts.qids[example.query], {})
    found = np.array([known.get(texts.docids[row], np.nan) for row in example.passages.tolist()], np.float32)
    return Example(example.query, example.passages, found, example.positives, example.line)
