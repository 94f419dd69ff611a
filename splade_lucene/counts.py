"""Numbers of things in messages: ``1 document``, ``1,204 queries``."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 20


def counted(number: int, noun: str, one: str = "", many: str = "") -> str:
    """A number with its noun, which is in the plural unless the number is 1.

    Args:
        number: The number.
        noun: The noun in the singular, whose plural ends in ``-s``, ``-es`` or ``-ies``.
        one: What follows one of them, such as ``was``.
        many: What follows several, such as ``were``.

    Example:
        >>> counted(1, "query"), counted(1204, "query"), counted(0, "document", "is", "are")
        ('1 query', '1,204 queries', '0 documents are')
    """
    words = (noun, one) if number == 1 else (_plural(noun), many)
    return f"{number:,} {' '.join(word for word in words if word)}"


def part_of(part: int, whole: str, one: str, many: str) -> str:
    """Some of several things, with a verb that agrees with their number.

    Args:
        part: How many of them.
        whole: All of them, with their number and noun.
        one: What follows if it is one of them, such as ``was``.
        many: What follows if it is another number of them, such as ``were``.

    Example:
        >>> part_of(1, counted(3, "query"), "is", "are"), part_of(2, counted(3, "query"), "is", "are")
        ('1 of 3 queries is', '2 of 3 queries are')
    """
    return f"{part:,} of {whole} {one if part == 1 else many}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("ch", "s")) else f"{noun}s"


class FirstProblems:
    """Counts documents that were skipped, and keeps what was wrong with the first twenty.

    Example:
        >>> problems = FirstProblems(["a.jsonl:1: no id", "a.jsonl:2: no text"])
        >>> problems.describe()
        'no documents are left, 2 documents were skipped: a.jsonl:1: no id; a.jsonl:2: no text'
    """

    def __init__(self, problems: Iterable[object] = ()) -> None:
        self.count = 0
        self._first: list[str] = []
        for problem in problems:
            self(problem)

    def __call__(self, problem: object) -> None:
        """Counts another document."""
        self.count += 1
        if self.count <= _SHOWN:
            self._first.append(str(problem))

    def describe(self) -> str:
        """Says that no documents are left, and why."""
        more = f"; and {self.count - _SHOWN:,} more" if self.count > _SHOWN else ""
        were = counted(self.count, "document", "was", "were")
        return f"no documents are left, {were} skipped: {'; '.join(self._first)}{more}"
