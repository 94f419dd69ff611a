"""Snippets: a passage of a hit's text with the matches of the query's terms marked."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from splade_lucene.encoder.words import TokenSpan
from splade_lucene.errors import ModelError, QueryError

if TYPE_CHECKING:
    from splade_lucene.search.searcher import LuceneImpactSearcher

SNIPPET_CHARACTERS = 280
_LONGEST_TEXT = 20_000  # characters that are searched for matches
_WORD = re.compile(r"\S+")
Match = tuple[str, int, int]
"""A term, and where it is in a text: a TokenSpan, or a tuple, which is made in a third of the time."""


class Segment(NamedTuple):
    """A piece of a snippet.

    Attributes:
        text: Its text.
        marked: Whether it matches the query.
        term: The query's term that it matches; the heaviest, if there are several that touch. None if it is not marked.
    """

    text: str
    marked: bool
    term: str | None = None


_BEFORE, _AFTER = Segment("… ", marked=False), Segment(" …", marked=False)


def find_terms(
    searcher: LuceneImpactSearcher, texts: Sequence[str], wanted: Collection[str] | None = None
) -> list[list[TokenSpan]]:
    """Finds the terms of an index in texts.

    Args:
        searcher: The index: with the tokenizer of its model, or, if it has none, each word is a term.
        texts: The texts.
        wanted: Only these terms; None for all.

    Returns:
        For each text its terms and where they are, in its order.
    """
    encoder = _encoder(searcher)
    if encoder is not None:
        spans: list[list[TokenSpan]] = encoder.query_spans(texts, wanted)
        return spans
    found = [[TokenSpan(word[0], *word.span()) for word in _WORD.finditer(text)] for text in texts]
    return found if wanted is None else [[span for span in spans if span.term in wanted] for spans in found]


def _find_words(words: Sequence[str], wanted: frozenset[str]) -> list[Match]:
    """The wanted ones of the words of a text, which has single spaces between them, and where they are."""
    found = [number for number, word in enumerate(words) if word in wanted]
    if not found:
        return []
    stops = [*accumulate(map(len, words))]  # offsets that do not count spaces
    return [(words[at], stops[at] + at - len(words[at]), stops[at] + at) for at in found]


def _encoder(searcher: LuceneImpactSearcher) -> Any:
    try:
        encoder = getattr(searcher.query_encoder, "encoder", None)
    except (QueryError, ModelError):  # there is no encoder: queries are given as vectors
        return None
    return encoder if hasattr(encoder, "query_spans") else None


def make_snippets(
    searcher: LuceneImpactSearcher, texts: Sequence[str], vector: Mapping[str, int], *,
    characters: int = SNIPPET_CHARACTERS,
) -> list[list[Segment]]:  # fmt: skip
    """Makes a snippet of each text: the passage with the most important matches.

    Args:
        searcher: The index; see :func:`find_terms`.
        texts: The texts; runs of white space become one space.
        vector: The query.
        characters: Length of a snippet, about.

    Returns:
        For each text the segments of its snippet; none for a blank one.
    """
    words = [text[:_LONGEST_TEXT].split() for text in texts]
    flat = [" ".join(each) for each in words]
    wanted = frozenset(term for term, impact in vector.items() if impact > 0)
    encoder = _encoder(searcher)
    found = [_find_words(each, wanted) for each in words] if encoder is None else encoder.query_spans(flat, wanted)
    return [_snippet(text, spans, vector, characters) for text, spans in zip(flat, found, strict=True)]


def _snippet(text: str, matches: Sequence[Match], vector: Mapping[str, int], characters: int) -> list[Segment]:
    if not text:
        return []
    start, stop = _widened(text, *_best_passage(matches, vector, characters), characters)
    inside = [match for match in matches if start <= match[1] and match[2] <= stop]
    pieces = _pieces(text, inside, vector, start, stop)
    if start > 0:
        pieces.insert(0, _BEFORE)
    if stop < len(text):
        pieces.append(_AFTER)
    return pieces


def _best_passage(matches: Sequence[Match], vector: Mapping[str, int], characters: int) -> tuple[int, int]:
    """The passage in which the query's impacts of distinct terms add up to most; the first of several."""
    best, found = 0, (0, 0)
    counts: dict[str, int] = {}
    total = first = 0
    for last, (term, _, stop) in enumerate(matches):
        count = counts.get(term, 0)
        counts[term] = count + 1
        if not count:
            total += vector[term]
        while stop - matches[first][1] > characters and first < last:
            left = matches[first][0]
            counts[left] -= 1
            total -= 0 if counts[left] else vector[left]
            first += 1
        if total > best:
            best, found = total, (matches[first][1], stop)
    return found


def _widened(text: str, start: int, stop: int, characters: int) -> tuple[int, int]:
    """Adds text around a passage, whole words if possible."""
    first, last = start, stop
    start = max(0, start - max(0, characters - (stop - start)) // 3)
    stop = min(len(text), max(stop, start + characters))
    start = max(0, min(start, stop - characters))
    if start > 0 and (space := text.find(" ", start, min(start + 20, first))) >= 0:
        start = space + 1
    if stop < len(text) and (space := text.rfind(" ", max(stop - 20, last), stop)) >= 0:
        stop = space
    return start, stop


def _pieces(text: str, matches: Sequence[Match], vector: Mapping[str, int], start: int, stop: int) -> list[Segment]:
    """A passage as segments; matches that touch, such as pieces of a word, are one segment."""
    pieces: list[Segment] = []
    at = start
    for heaviest, first, end in _joined(matches, vector):
        if first > at:
            pieces.append(Segment(text[at:first], False))  # noqa: FBT003 - keywords would double the time
        if end > first:
            pieces.append(Segment(text[first:end], True, heaviest))  # noqa: FBT003
        at = end
    if at < stop:
        pieces.append(Segment(text[at:stop], False))  # noqa: FBT003
    return pieces


def _joined(matches: Sequence[Match], vector: Mapping[str, int]) -> list[Match]:
    """Matches, of which those that touch are one, with the heaviest of their terms."""
    joined: list[Match] = []
    until = -1
    for match in matches:
        term, start, stop = match
        if start > until:
            joined.append(match)
            until = stop
            continue
        heaviest, first, until = joined[-1]
        until = max(until, stop)
        joined[-1] = (term if vector[term] > vector[heaviest] else heaviest, first, until)
    return joined
