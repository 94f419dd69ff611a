"""Texts → token sequences → batches, sorted by length to keep padding small and limited by a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.layout import NetworkSide
from splade_lucene.white_space import is_blank


@dataclass
class TokenSequences:
    """Tokenized texts. A long text may be split into several sequences (passages); a blank one has none, and no terms.

    Attributes:
        ids: Token ids of each sequence, including special tokens.
        pooled: The positions of each sequence to pool over, as (start, stop); stop is exclusive.
        owners: Index of the text that each sequence belongs to; ascending.
        texts: Number of texts.
        truncated: Number of texts that are longer than the sequence that was made of them.
    """

    ids: list[list[int]] = field(default_factory=list)
    pooled: list[tuple[int, int]] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    texts: int = 0
    truncated: int = 0

    @property
    def tokens(self) -> int:
        """Total number of tokens."""
        return sum(map(len, self.ids))


class Sequencer:
    """Turns texts into sequences for one network.

    Args:
        tokenizer: The checkpoint's tokenizer.
        max_length: Maximum tokens per sequence, including special tokens; longer texts are truncated or split into passages.
        prefix: Text prepended to each text and to each of its passages.
        lower_case: Whether to lowercase texts.
        echo: Whether to repeat each text and pool only the second copy; ``max_length`` counts one copy.
        passage_tokens: Tokens per passage, including special tokens; 0 to truncate texts at ``max_length`` instead.
        passage_overlap: Tokens that consecutive passages share.
    """

    def __init__(
        self, tokenizer: Any, max_length: int, *, prefix: str = "", lower_case: bool = False,
        echo: bool = False, passage_tokens: int = 0,
        passage_overlap: int = 0,
    ) -> None:  # fmt: skip
        self._tokenizer, self._prefix, self._lower_case, self._echo = tokenizer, prefix, lower_case, echo
        self.before, self.after = _special_frame(tokenizer)
        frame = len(self.before) + len(self.after)
        self._width = max(1, min(max_length, passage_tokens or max_length) - frame)
        self._before_each: list[int] = []
        if passage_tokens and prefix:  # each passage is treated as a text of its own
            self._before_each = tokenizer(prefix, add_special_tokens=False)["input_ids"]
            self._prefix = ""
            self._width = max(1, self._width - len(self._before_each))
        self._step = max(1, self._width - passage_overlap) if passage_tokens else 0
        self._without_text = self.contents([""])[0]

    def __call__(self, texts: Sequence[str]) -> TokenSequences:
        """Tokenizes texts; one that is blank or of which the tokenizer keeps nothing has no sequence."""
        sequences = TokenSequences(texts=len(texts))
        for owner, (text, content) in enumerate(zip(texts, self.contents(texts), strict=True)):
            if is_blank(text) or content == self._without_text:
                continue
            sequences.truncated += not self._step and len(content) > self._width
            for start in self._starts(len(content)):
                self._add(sequences, owner, content[start : start + self._width])
        return sequences

    def contents(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens and not truncated."""
        if not texts:
            return []
        prefixed = [self._prefix + text for text in texts]
        if self._lower_case:
            prefixed = [text.lower() for text in prefixed]
        encoded = self._tokenizer(
            prefixed, add_special_tokens=False, truncation=False, padding=False, return_attention_mask=False,
            return_token_type_ids=False, verbose=False,
        )  # fmt: skip
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def _starts(self, length: int) -> list[int]:
        if not self._step or length <= self._width:
            return [0]
        return list(range(0, length - self._width + self._step, self._step))

    def _add(self, sequences: TokenSequences, owner: int, content: list[int]) -> None:
        content = [*self._before_each, *content]
        ids = [*self.before, *content, *self.after]
        span = (0, len(ids))
        if self._echo:
            ids = [*self.before, *content, *content, *self.after]
            span = (len(self.before) + len(content), len(self.before) + 2 * len(content))
        sequences.ids.append(ids)
        sequences.pooled.append(span)
        sequences.owners.append(owner)


def sequencer_for(tokenizer: Any, side: NetworkSide, max_length: int, **passages: int) -> Sequencer:
    """The sequencer of a network's texts.

    Args:
        tokenizer: The checkpoint's tokenizer.
        side: The settings read from the checkpoint.
        max_length: Maximum tokens per sequence.
        passages: How texts are split; see :class:`Sequencer`.
    """
    return Sequencer(
        tokenizer, max_length, prefix=side.prefix, echo=side.is_causal, lower_case=side.lower_case, **passages
    )


def _special_frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer adds before and after a text."""
    probe = next((text for text in "a1.的اअ" if tokenizer(text, add_special_tokens=False)["input_ids"]), "a")
    plain: list[int] = tokenizer(probe, add_special_tokens=False)["input_ids"]
    framed: list[int] = tokenizer(probe, add_special_tokens=True)["input_ids"]
    start = next((i for i in range(len(framed) + 1) if framed[i : i + len(plain)] == plain), 0)
    return framed[:start], framed[start + len(plain) :]


def batches_by_length(lengths: Sequence[int], batch_tokens: int, batch_texts: int = 1 << 30) -> Iterator[list[int]]:
    """Groups sequences of similar length.

    Args:
        lengths: Tokens of each sequence.
        batch_tokens: Maximum tokens per batch, including padding; a longer sequence forms a batch of its own.
        batch_texts: Maximum sequences per batch.

    Yields:
        Positions in ``lengths``, longest sequence first; each position exactly once.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    start = 0
    while start < len(order):
        count = max(1, min(batch_texts, batch_tokens // max(1, lengths[order[start]])))
        yield order[start : start + count]
        start += count


def pad(
    ids: Sequence[Sequence[int]], spans: Sequence[tuple[int, int]], pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Pads sequences to a rectangular batch.

    Returns:
        Token ids, attention mask, and mask of the positions to pool over, each of shape [sequences, tokens of the longest].
    """
    width = max(1, max(len(each) for each in ids))
    input_ids = np.full((len(ids), width), pad_id, np.int64)
    attention = np.zeros((len(ids), width), np.int64)
    pooled = np.zeros((len(ids), width), np.bool_)
    for row, (each, (start, stop)) in enumerate(zip(ids, spans, strict=True)):
        input_ids[row, : len(each)] = each
        attention[row, : len(each)] = 1
        pooled[row, start:stop] = True
    return input_ids, attention, pooled
