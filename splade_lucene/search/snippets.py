"""Shows where the text of a hit has the query's terms: a passage with its matches marked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from splade_lucene.encoder.words import TokenSpan
from splade_lucene.errors import ModelError, QueryError

if TYPE_CHECKING:
    from splade_lucene.search.searcher import LuceneImpactSearcher

SNIPPET_CHARACTERS = 280
_LONGEST_TEXT = 20_000  # characters in which matches are looked for
_WORD = re.compile(r"\S+")
_start = attrgetter("start")


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


def _find_words(words: Sequence[str], text: str, wanted: frozenset[str]) -> list[TokenSpan]:
    """The wanted ones of the words of a text, which have single spaces between them."""
    spans: list[TokenSpan] = []
    padded = f" {text} "
    for word in wanted.intersection(words):
        at = padded.find(f" {word} ")
        while at >= 0:
            spans.append(TokenSpan(word, at, at + len(word)))
            at = padded.find(f" {word} ", at + 1)
    spans.sort(key=_start)
    return spans


def _encoder(searcher: LuceneImpactSearcher) -> Any:
    try:
        encoder = getattr(searcher.query_encoder, "encoder", None)
    except (QueryError, ModelError):  # queries are given as vectors
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
    if encoder is None:
        found = [_find_words(each, text, wanted) for each, text in zip(words, flat, strict=True)]
    else:
        found = encoder.query_spans(flat, wanted)
    return [_snippet(text, spans, vector, characters) for text, spans in zip(flat, found, strict=True)]


def _snippet(text: str, matches: Sequence[TokenSpan], vector: Mapping[str, int], characters: int) -> list[Segment]:
    if not text:
        return []
    start, stop = _widened(text, *_best_passage(matches, vector, characters), characters)
    inside = [match for match in matches if start <= match.start and match.stop <= stop]
    pieces = [*_pieces(text, inside, vector, start, stop)]
    before, after = Segment("… ", marked=False), Segment(" …", marked=False)
    return [*[before] * (start > 0), *pieces, *[after] * (stop < len(text))]


def _best_passage(matches: Sequence[TokenSpan], vector: Mapping[str, int], characters: int) -> tuple[int, int]:
    """The passage in which the query's impacts of distinct terms add up to most; the first of several."""
    best, found = 0, (0, 0)
    counts: dict[str, int] = {}
    total, first = 0, 0
    for match in matches:
        if not counts.get(match.term):
            total += vector[match.term]
        counts[match.term] = counts.get(match.term, 0) + 1
        while match.stop - matches[first].start > characters and matches[first] is not match:
            left = matches[first].term
            counts[left] -= 1
            total -= 0 if counts[left] else vector[left]
            first += 1
        if total > best:
            best, found = total, (matches[first].start, match.stop)
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


def _pieces(
    text: str, matches: Sequence[TokenSpan], vector: Mapping[str, int], start: int, stop: int
) -> Iterator[Segment]:
    """A passage as segments; matches that touch, such as pieces of a word, are one segment."""
    at = start
    index = 0
    while index < len(matches):
        heaviest, first, stop_of_match = matches[index]
        index += 1
        while index < len(matches) and matches[index].start <= stop_of_match:
            term, _, end = matches[index]
            stop_of_match = max(stop_of_match, end)
            if vector[term] > vector[heaviest]:
                heaviest = term
            index += 1
        if first > at:
            yield Segment(text[at:first], marked=False)
        if stop_of_match > max(at, first):
            yield Segment(text[max(at, first) : stop_of_match], marked=True, term=heaviest)
        at = max(at, stop_of_match)
    if at < stop:
        yield Segment(text[at:stop], marked=False)
