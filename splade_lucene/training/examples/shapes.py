"""The shapes of records in published data sets.

Each shape has its reader in :data:`SHAPES`, chosen by a key that no other shape has. A reader consumes every key that it
knows; any other key is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_QIDS = ("qid", "query_id")
_QUERIES = ("query", "anchor", "question")
_POSITIVE_IDS, _POSITIVES = ("positive_id", "pos_id"), ("positive", "answer")
_NEGATIVE_IDS, _NEGATIVES = ("negative_id", "neg_id"), ("negative",)
_LIST_IDS, _LISTS = ("docids", "doc_ids", "passage_ids"), ("passages", "docs", "documents")
_ONE_ID, _ONE = ("docid", "doc_id", "passage_id"), ("passage", "document")
_ID_KEYS = {*_QIDS, *_POSITIVE_IDS, *_NEGATIVE_IDS, *_LIST_IDS, *_ONE_ID}
_TEXT_KEYS = {*_QUERIES, *_POSITIVES, *_NEGATIVES, *_LISTS, *_ONE}
_NUMBERED = re.compile(r"(?P<stem>negative|negative_id|neg_id)_(?P<number>[0-9]+)(?P<id>_id)?")
_SHOWN = 8  # keys in a message
_LARGEST = 3.4028234663852886e38  # of single precision
_FORMS = "docs/training.md has the table of shapes"


class RecordError(ValueError):
    """A record says something impossible.

    Args:
        message: What is wrong.
        remedy: What to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Item(NamedTuple):
    """A query or a passage, given by its id, its text or both; the key is for messages."""

    key: str
    name: Any = None
    text: Any = None


@dataclass
class RawExample:
    """An example as a record gives it.

    Attributes:
        query: The query.
        positives: Relevant passages.
        negatives: Other passages; or all of them, if only the scores say which are relevant.
        scores: A number or None for each of the positives and negatives; None if there are no scores.
        is_ranked: Whether only the scores say which passages are relevant.
        is_part: Whether the record is one passage of a list that goes over several records.
    """

    query: Item
    positives: list[Item] = field(default_factory=list)
    negatives: list[Item] = field(default_factory=list)
    scores: list[Any] | None = None
    is_ranked: bool = False
    is_part: bool = False


class Fields:
    """The keys of a record; those with ``null`` are not there.

    Args:
        record: The record.
        ignored: Keys to ignore.
    """

    def __init__(self, record: Mapping[str, Any], ignored: Iterable[str] = ()) -> None:
        self._values = {key: value for key, value in record.items() if value is not None}
        for key in ignored:
            self._values.pop(key, None)
        self._taken: set[str] = set()

    def has(self, *keys: str) -> bool:
        """Whether there is one of the keys."""
        return any(key in self._values for key in keys)

    def take(self, *keys: str) -> tuple[str, Any] | None:
        """The key and value of the one of several equal names that there is; None if there is none.

        Raises:
            RecordError: There are two of them.
        """
        found = [key for key in keys if key in self._values]
        self._taken.update(found)
        if len(found) > 1:
            raise RecordError(
                f"{found[1]} cannot be combined with {found[0]}", "Keep one of them, or ignore the other one"
            )
        return (found[0], self._values[found[0]]) if found else None

    def numbered(self, *stems: str) -> list[tuple[str, Any]]:
        """``negative_1``, ``negative_2`` … in the order of their numbers."""
        found = []
        for key, value in self._values.items():
            match = _NUMBERED.fullmatch(key)
            if match and match["stem"] + (match["id"] or "") in stems:
                found.append((int(match["number"]), key, value))
        self._taken.update(key for _, key, _ in found)
        return [(key, value) for _, key, value in sorted(found)]

    def left_over(self) -> list[str]:
        """Keys that were not taken."""
        return [key for key in self._values if key not in self._taken]


def read_shape(record: Mapping[str, Any], ignored: Sequence[str] = ()) -> RawExample:
    """What a record says.

    Args:
        record: The record.
        ignored: Keys to ignore.

    Raises:
        RecordError: A key is unknown or missing, cannot be combined with another one, or has an impossible value.
    """
    fields = Fields(record, ignored)
    is_ours = fields.has(*_POSITIVE_IDS, *_POSITIVES, *_LIST_IDS, *_LISTS)
    reader = next((reader for keys, reader in SHAPES.items() if fields.has(*keys) and not is_ours), _read_tuple)
    given = reader(fields)
    for key in fields.left_over():
        raise RecordError(*_refusal(key, by_id=given.query.text is None))
    return given


def _refusal(key: str, *, by_id: bool) -> tuple[str, str]:
    if key in (_TEXT_KEYS if by_id else _ID_KEYS):
        return (
            f"{key} cannot be combined with {'qid' if by_id else 'query'}",
            "Use only qid, positive_id, negative_id, docids, or only query, positive, negative, passages; or name the key in "
            "data.ignored_keys",
        )
    return (
        f"unknown key {key}",
        f"Write a list as {'docids' if by_id else 'passages'}, with the positive one first, and one number for each as "
        f"scores; or name the key in data.ignored_keys. {_FORMS}",
    )


def _listing(keys: list[str]) -> str:
    return ", ".join(f"{key:.40}" for key in keys[:_SHOWN]) + (" …" if keys[_SHOWN:] else "") if keys else "no keys"


# ---- pairs, triples, n-tuples and lists ----


def _read_tuple(fields: Fields) -> RawExample:
    """Ours, and those of sentence-transformers: one query, and its passages in columns or in a list."""
    by_id = fields.has(*_QIDS)
    if by_id == fields.has(*_QUERIES):
        raise RecordError(f"a record needs either qid or query; it has {_listing(fields.left_over())}", _FORMS)
    query = _item(fields.take(*(_QIDS if by_id else _QUERIES)), by_id=by_id)
    for key in fields.left_over():
        if key in (_TEXT_KEYS if by_id else _ID_KEYS):
            raise RecordError(*_refusal(key, by_id=by_id))
    listed = fields.take(*(_LIST_IDS if by_id else _LISTS))
    if listed is not None:
        return _read_list(fields, query, listed, by_id=by_id)
    one = fields.take(*(_ONE_ID if by_id else _ONE))
    first = one or fields.take(*(_POSITIVE_IDS if by_id else _POSITIVES))
    if first is None:
        names = ("positive_id", "docids") if by_id else ("positive", "passages")
        others = fields.left_over()
        beside = f"; unknown: {_listing(others)}" if others else ""
        raise RecordError(
            f"the query has no passage ({' or '.join(names)}{beside})", f"Add a passage to each query. {_FORMS}"
        )
    negative = fields.take(*(_NEGATIVE_IDS if by_id else _NEGATIVES))
    numbered = fields.numbered(*(("negative_id", "neg_id") if by_id else ("negative",)))
    given = RawExample(query, [_item(first, by_id=by_id)])
    given.negatives = [_item(each, by_id=by_id) for each in ([negative] if negative else []) + numbered]
    return _read_scores(fields, given, is_single=not given.negatives)


def _read_scores(fields: Fields, given: RawExample, *, is_single: bool) -> RawExample:
    """What ``scores``, ``score``, ``label``, ``labels`` or ``margin`` says of a pair, a triple or an n-tuple."""
    count = len(given.negatives)
    found = fields.take("scores", "score", "label", "labels", "margin")
    if found is None:
        if given.positives[0].key in (*_ONE_ID, *_ONE):
            raise RecordError(f"{given.positives[0].key} needs a label or a score", _FORMS)
        return given
    key, value = found
    if key == "scores" or (isinstance(value, list) and len(value) == count + 1):
        given.scores = read_numbers(key, value, count + 1)
    elif is_single:
        return _read_part(given, key, value)
    elif isinstance(
        value, list
    ):  # the margins of the positive over each negative; in all of a query's records it has 0
        given.scores = [0.0, *(None if each is None else -each for each in read_numbers(key, value, count))]
    elif count == 1 and is_score(value):
        given.scores = [0.0, -value]
    else:
        raise RecordError(
            f"{key} must be {'the margin of the positive over the negative' if count == 1 else f'{count} margins'} "
            f"or {count + 1} scores, got {value!r:.60}", "Fix the record",
        )  # fmt: skip
    return given


def _read_part(given: RawExample, key: str, value: Any) -> RawExample:
    """One passage of a list that goes over several records: with a label, 0 or 1, or with a score."""
    given.is_part = True
    if key == "score":
        given.scores, given.is_ranked = read_numbers(key, [value], 1), True
        given.negatives, given.positives = given.positives, []
    elif not is_score(value) or value not in (0, 1):
        raise RecordError(f"the {key} of a pair must be 0 or 1, got {value!r:.60}", "Write a teacher's score as score")
    elif value == 0:
        given.negatives, given.positives = given.positives, []
    return given


def _read_list(fields: Fields, query: Item, listed: tuple[str, Any], *, by_id: bool) -> RawExample:
    key, values = listed
    for names in (_POSITIVE_IDS, _NEGATIVE_IDS) if by_id else (_POSITIVES, _NEGATIVES):
        if (found := fields.take(*names)) is not None:
            raise RecordError(
                f"{found[0]} cannot be combined with {key}", f"Move it into {key}, with the positive passage first"
            )
    if not isinstance(values, list) or not values:
        raise RecordError(f"{key} must be a list of at least one passage", "Add a passage to each query")
    items = [_item((key, value), by_id=by_id) for value in values]
    labels, scores = fields.take("labels", "label"), fields.take("scores", "score")
    numbers = None if scores is None else read_numbers(*scores, len(items))
    if labels is None:
        if numbers is None:
            return RawExample(query, items[:1], items[1:])
        return RawExample(query, [], items, numbers, is_ranked=True)
    grades = read_numbers(*labels, len(items))
    if not all(isinstance(grade, int) or (isinstance(grade, float) and grade.is_integer()) for grade in grades):
        raise RecordError(
            f"{labels[0]} must be whole numbers, got {grades!r:.60}", "Write a teacher's scores as scores"
        )
    order = sorted(range(len(items)), key=lambda at: grades[at] <= 0)
    relevant = sum(grade > 0 for grade in grades)
    items = [items[at] for at in order]
    numbers = None if numbers is None else [numbers[at] for at in order]
    return RawExample(query, items[:relevant], items[relevant:], numbers)


# ---- other programs ----


def _read_tevatron(fields: Fields) -> RawExample:
    """``query_id, query, positive_passages, negative_passages``, whose passages have ``docid``, ``title`` and ``text``."""
    query, qid = fields.take(*_QUERIES), fields.take(*_QIDS)
    fields.take("answers")  # answers for a reader model: not used for retrieval
    if query is None:
        raise RecordError("the query is missing", _FORMS)
    item = Item(query[0], None if qid is None else qid[1], query[1])
    sides = []
    for name in ("positive_passages", "negative_passages"):
        found = fields.take(name)
        sides.append([] if found is None else [_tevatron_passage(name, each) for each in _listed(found)])
    return RawExample(item, sides[0], sides[1])


def _tevatron_passage(key: str, passage: Any) -> Item:
    if not isinstance(passage, dict) or not isinstance(passage.get("text"), str):
        raise RecordError(f"{key} must have docid, title and text, got {passage!r:.60}", "Fix the record")
    for name in passage:
        if name not in ("docid", "title", "text") and passage[name] is not None:
            raise RecordError(f"unknown key {name} in {key}", "Remove it")
    title = passage.get("title") or ""
    if not isinstance(title, str):
        raise RecordError(f"the title must be a string, got {title!r:.60}", "Fix the record")
    return Item(key, passage.get("docid"), f"{title} {passage['text']}" if title else passage["text"])


def _read_lists_by_side(fields: Fields) -> RawExample:
    """FlagEmbedding's ``query, pos, neg, pos_scores, neg_scores``; or ``qid, pos, neg`` with negatives by system."""
    query = fields.take(*_QUERIES)
    if query is None:
        return _read_hard_negatives(fields)
    sides, scores = [], []
    for name in ("pos", "neg"):
        found, given = fields.take(name), fields.take(f"{name}_scores")
        texts = [] if found is None else _listed(found)
        sides.append([Item(name, text=text) for text in texts])
        scores.append(None if given is None else read_numbers(*given, len(texts)))
    if (scores[0] is None) != (scores[1] is None) and all(sides):
        name = "pos_scores" if scores[0] is None else "neg_scores"
        raise RecordError(f"{name} are missing", "Add them, or remove the others")
    numbers = None if scores == [None, None] else [*(scores[0] or []), *(scores[1] or [])]
    return RawExample(Item(query[0], text=query[1]), sides[0], sides[1], numbers)


def _read_hard_negatives(fields: Fields) -> RawExample:
    """One object a query: ``qid``, ``pos`` and, by the system that found them, ``neg``; ids, or ids with ``ce-score``."""
    qid = fields.take(*_QIDS)
    if qid is None:
        raise RecordError("a record needs either qid or query", _FORMS)
    positives, found = fields.take("pos"), fields.take("neg")
    by_system = {} if found is None else found[1]
    if isinstance(by_system, list):
        by_system = {"": by_system}
    if not isinstance(by_system, dict):
        raise RecordError(f"neg must be lists by system, got {by_system!r:.60}", _FORMS)
    relevant = [] if positives is None else _listed(positives)
    lists = [_listed((f"neg of {system}", each)) for system, each in by_system.items() if each is not None]
    sides = [_hard_negative("pos", each) for each in relevant]
    count = len(sides)
    found_by_any: dict[str, Any] = {}
    for each in (each for listed in lists for each in listed):
        name, score = _hard_negative("neg", each)
        found_by_any.setdefault(name, score)  # several systems find the same passage
    sides += found_by_any.items()
    items = [Item("pos" if at < count else "neg", name) for at, (name, _) in enumerate(sides)]
    scores = [score for _, score in sides] if any(score is not None for _, score in sides) else None
    return RawExample(Item(qid[0], qid[1]), items[:count], items[count:], scores)


def _hard_negative(key: str, value: Any) -> tuple[str, Any]:
    name, score = (value.get("pid"), value.get("ce-score")) if isinstance(value, dict) else (value, None)
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise RecordError(f"{key} must have ids, got {value!r:.60}", "Fix the record")
    if isinstance(value, dict) and (unknown := sorted(value.keys() - {"pid", "ce-score"})):
        raise RecordError(f"unknown key {unknown[0]:.60} in {key}", "Remove it")
    return str(name), None if score is None else read_numbers("ce-score", [score], 1)[0]


SHAPES: Mapping[tuple[str, ...], Callable[[Fields], RawExample]] = {
    ("positive_passages", "negative_passages"): _read_tevatron,
    ("pos", "neg"): _read_lists_by_side,
}
"""Keys that only one shape has → its reader; other records are read by :func:`_read_tuple`."""


# ---- values ----


def _item(found: tuple[str, Any] | None, *, by_id: bool) -> Item:
    assert found is not None
    key, value = found
    return Item(key, name=value) if by_id else Item(key, text=value)


def _listed(found: tuple[str, Any]) -> list[Any]:
    key, value = found
    if not isinstance(value, list):
        raise RecordError(f"{key} must be a list, got {value!r:.60}", "Fix the record")
    return value


def is_score(value: Any) -> bool:
    """Whether a value is a finite number of single precision."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST  # false for NaN


def read_numbers(key: str, value: Any, count: int) -> list[Any]:
    """Numbers, or None where one is missing."""
    if not isinstance(value, list) or len(value) != count or not all(each is None or is_score(each) for each in value):
        raise RecordError(
            f"{key} must be {count} finite numbers, one per passage, in the range of single precision, got {value!r:.60}",
            "Fix the record; a score that is missing is null",
        )
    return value
