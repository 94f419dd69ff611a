"""Where the terms of texts are, word by word: most words of a text were seen before, so few have to be tokenized."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from itertools import chain
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
        self._known: dict[str, tuple[frozenset[str], list[TokenSpan]]] = {}

    def find(self, texts: Sequence[str], wanted: Set[str] | None = None) -> list[list[TokenSpan]]:
        """The tokens of each text in its order, and where they are.

        Args:
            texts: The texts.
            wanted: Only tokens of these terms; None for all.
        """
        split = [text.split(" ") for text in texts]
        found = self._tokens(set(chain.from_iterable(split)), wanted)
        return [_placed(words, found) for words in split]

    def _tokens(self, words: set[str], wanted: Set[str] | None) -> dict[str, list[TokenSpan]]:
        """The wanted tokens of each word that has one."""
        known = self._known
        new = [word for word in words if word not in known]
        if new:
            tokenized = zip(new, self._tokenize(new), strict=True)
            added = {word: (frozenset(span.term for span in spans), spans) for word, spans in tokenized}
            known = {**{word: known[word] for word in words if word in known}, **added}
            self._keep(added)
        if wanted is None:
            return {word: known[word][1] for word in words}
        found: dict[str, list[TokenSpan]] = {}
        for word in words:
            terms, spans = known[word]
            if not terms.isdisjoint(wanted):
                found[word] = [span for span in spans if span.term in wanted]
        return found

    def _keep(self, added: dict[str, tuple[frozenset[str], list[TokenSpan]]]) -> None:
        kept = {word: tokens for word, tokens in added.items() if len(word) <= _LONG_WORD}
        if len(self._known) + len(kept) > _KNOWN_WORDS:
            self._known = {}  # another thread may still read the old one
        self._known.update(kept)


def _placed(words: Sequence[str], found: dict[str, list[TokenSpan]]) -> list[TokenSpan]:
    placed: list[TokenSpan] = []
    at = 0
    for word in words:
        if word in found:
            placed += [TokenSpan(term, at + start, at + stop) for term, start, stop in found[word]]
        at += len(word) + 1
    return placed
