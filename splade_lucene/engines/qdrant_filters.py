"""Filters for Qdrant, which compares numbers in double precision and has no order of keywords; others are refused."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Sequence
from typing import Any

from splade_lucene.errors import QueryError
from splade_lucene.fields.conditions import (
    LEAST_LONG,
    MOST_LONG,
    Condition,
    DateRange,
    Every,
    FieldCondition,
    IntegerRange,
    KeywordPrefix,
    KeywordRange,
    Keywords,
    Negated,
    Nothing,
    NumberRange,
    Present,
    Some,
    Truth,
)
from splade_lucene.fields.values import DAY, EXACT, FIRST_DAY, LAST_DAY

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_FIRST, _LAST = FIRST_DAY * DAY, (LAST_DAY + 1) * DAY - 1
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class FilterMaker:
    """Makes filters of Qdrant's client.

    Args:
        models: The client's module ``models``.
    """

    def __init__(self, models: Any) -> None:
        self._models = models

    def __call__(self, condition: Condition) -> Any:
        """The filter that accepts the documents that fulfil a condition.

        Raises:
            QueryError: Qdrant cannot compute it exactly.
        """
        models = self._models
        match condition:
            case Every():
                return models.Filter(must=[*map(self, condition.parts)])
            case Some():
                return self._some(condition.parts)
            case Negated():
                return models.Filter(must_not=[self(condition.part)])
            case Nothing():
                return self._nothing()
            case _:
                return models.Filter(must=[self._field_filter(condition)])

    def _some(self, parts: Sequence[Condition]) -> Any:
        return self._models.Filter(should=[*map(self, parts)]) if parts else self._nothing()

    def _nothing(self) -> Any:
        return self._models.Filter(must=[self._models.HasIdCondition(has_id=[])])

    def _field_filter(self, part: FieldCondition) -> Any:
        models, key = self._models, _key(part.field)
        match part:
            case Keywords():
                return self._some_keywords(key, part.keywords)
            case KeywordPrefix() if part.prefix:
                return models.FieldCondition(key=key, match=models.MatchPrefix(prefix=part.prefix))
            case KeywordPrefix() | Present():
                return models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key))])
            case KeywordRange():
                raise _refused(f"compare keywords by their order, as the filter on the field {part.field!r} requires")
            case IntegerRange() if part.first == part.last:
                return models.FieldCondition(key=key, match=models.MatchValue(value=part.first))
            case IntegerRange():
                return models.FieldCondition(key=key, range=models.Range(**_integers(part)))
            case NumberRange():
                bounds = {"gte": part.first, "lte": part.last}
                finite = {name: bound for name, bound in bounds.items() if math.isfinite(bound)}
                return models.FieldCondition(key=key, range=models.Range(**finite)) if finite else self._beyond(part)
            case DateRange():
                return self._dates(key, part)
            case Truth():
                return models.FieldCondition(key=key, match=models.MatchValue(value=part.value))

    def _some_keywords(self, key: str, keywords: Sequence[str]) -> Any:
        if not keywords:
            return self._nothing()
        return self._models.FieldCondition(key=key, match=self._models.MatchAny(any=[*keywords]))

    def _beyond(self, part: NumberRange) -> Any:
        """A range without finite bounds: all numbers, or none."""
        return self._field_filter(Present(part.field, "number")) if part.first < part.last else self._nothing()

    def _dates(self, key: str, part: DateRange) -> Any:
        if part.first > _LAST or part.last < _FIRST:
            return self._nothing()
        bounds = {"gte": max(part.first, _FIRST), "lte": min(part.last, _LAST)}
        dates = {name: _EPOCH + datetime.timedelta(microseconds=bound) for name, bound in bounds.items()}
        return self._models.FieldCondition(key=key, range=self._models.DatetimeRange(**dates))


def _key(field: str) -> str:
    """The path of a field in the payload."""
    if _PLAIN.fullmatch(field):
        return f"fields.{field}"
    if '"' in field:
        raise _refused(f"address the field {field!r}, because of its quotation mark")
    return f'fields."{field}"'


def _integers(part: IntegerRange) -> dict[str, float]:
    bounds = {"gte": (part.first, LEAST_LONG), "lte": (part.last, MOST_LONG)}
    found = {name: bound for name, (bound, end) in bounds.items() if bound != end}
    for bound in found.values():
        if abs(bound) >= EXACT:
            raise _refused(
                f"compare {part.field} with {bound:,}: it uses double precision, which is exact below {EXACT:,}"
            )
    return {name: float(bound) for name, bound in found.items()}


def _refused(what: str) -> QueryError:
    return QueryError(f"Qdrant cannot {what}", remedy="Search the index itself, or OpenSearch, with this filter")
