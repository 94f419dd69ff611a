"""Locates terms in texts word by word; tokens of words are cached, because most words occurred before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import accumulate
from typing import NamedTuple

_KNOWN_WORDS = 1 << 16
_LONG_WORD = 64  # characters; longer ones, which are rare, are not kept


class TokenSpan(NamedTuple):
    """A token of a text.

    Attributes:
        term: Its Lucene term.
        start: Position of its first character.
        stop: Position after its last one.
    """

    term: str
    start: int
    stop: int


class WordSpans:
    """Finds the terms of texts with a tokenizer that treats what is between two spaces on its own. For any number of threads.

    Args:
        tokenize: Returns the tokens of each of some words, with positions in the word.
    """

    def __init__(self, tokenize: Callable[[Sequence[str]], list[list[TokenSpan]]]) -> None:
        self._tokenize = tokenize
        self._known = _Words()

    def find(self, texts: Sequence[str], wanted: Set[str] | None = None) -> list[list[TokenSpan]]:
        """The tokens of each text in its order, and where they are.

        Args:
            texts: The texts.
            wanted: Only tokens of these terms; None for all.
        """
        split = [text.split(" ") for text in texts]
        found = self._tokens(set().union(*split), wanted)
        return [_placed(words, found) for words in split]

    def _tokens(self, words: set[str], wanted: Set[str] | None) -> dict[str, list[TokenSpan]]:
        """The wanted tokens of each word that has one."""
        known = self._known
        new = [*words.difference(known.tokens)]
        found = known.select(words.intersection(known.tokens) if wanted is None else words, wanted)
        if new:
            added = dict(zip(new, self._tokenize(new), strict=True))
            found |= _Words(added).select(added, wanted)
            self._keep({word: tokens for word, tokens in added.items() if len(word) <= _LONG_WORD})
        return found

    def _keep(self, added: Mapping[str, list[TokenSpan]]) -> None:
        if len(self._known.tokens) + len(added) > _KNOWN_WORDS:
            self._known = _Words()  # another thread may still read the old one
        self._known.add(added)


class _Words:
    """Words with their tokens, and the words of each term.

    Args:
        tokens: The tokens of each word.
    """

    def __init__(self, tokens: Mapping[str, list[TokenSpan]] | None = None) -> None:
        self.tokens: dict[str, list[TokenSpan]] = {}
        self._words: dict[str, set[str]] = {}
        self.add(tokens or {})

    def add(self, tokens: Mapping[str, list[TokenSpan]]) -> None:
        """Adds words."""
        for word, spans in tokens.items():
            for span in spans:
                self._words.setdefault(span.term, set()).add(word)
        self.tokens.update(tokens)  # last, so that whatever another thread finds here also has its terms

    def select(self, words: Iterable[str], wanted: Set[str] | None) -> dict[str, list[TokenSpan]]:
        """The wanted tokens of those of some words that have one; all tokens if nothing is said of what is wanted."""
        if wanted is None:
            return {word: self.tokens[word] for word in words}
        matching: set[str] = set()
        for term in wanted:
            if term in self._words:
                matching |= self._words[term].intersection(words)
        tokens = ((word, self.tokens.get(word, ())) for word in matching)  # another thread may be adding one
        return {word: [span for span in spans if span.term in wanted] for word, spans in tokens if spans}


def _placed(words: Sequence[str], found: Mapping[str, list[TokenSpan]]) -> list[TokenSpan]:
    at = [number for number, word in enumerate(words) if word in found]
    if not at:
        return []
    stops = [*accumulate(map(len, words))]  # offsets that do not count spaces
    placed: list[TokenSpan] = []
    for number in at:
        word = words[number]
        base = stops[number] + number - len(word)
        placed += [TokenSpan(term, base + start, base + stop) for term, start, stop in found[word]]
    return placed
