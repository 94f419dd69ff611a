"""What several commands print: notes and progress on stderr, tables on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


def note(text: str) -> None:
    """Writes a line to stderr."""
    print(text, file=sys.stderr)


def name_some(names: Sequence[str]) -> str:
    """The first ten of some names, and how many more there are."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def print_table(table: dict[str, dict[str, float]]) -> None:
    """Prints measures: a line for each run, a column for each measure.

    Args:
        table: Name of a run → measure → mean.
    """
    width = max(len(name) for name in table)
    measures = list(next(iter(table.values())))
    print(" " * width + "".join(f"  {measure:>8}" for measure in measures))
    for name, means in table.items():
        print(f"{name:{width}}" + "".join(f"  {means[measure]:>8.4f}" for measure in measures))


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    """Shows progress on stderr; gives the function that takes what was done since its last call.

    Args:
        title: What is being done.
        total: How many documents or queries there are; 0: not known.
    """
    from tqdm import tqdm

    unit = " queries" if title == "searching" else " docs"
    interval = 0.1 if sys.stderr.isatty() else 15  # a log file wants few lines
    with tqdm(total=total or None, desc=title, unit=unit, mininterval=interval, maxinterval=30) as bar:
        all_tokens = 0
        start = time.monotonic()

        def advance(count: int, tokens: int = 0, of_earlier_run: bool = False) -> None:
            nonlocal all_tokens
            if of_earlier_run:  # counts, and is no part of the rate
                bar.initial += count
                bar.n += count
                return
            all_tokens += tokens
            if tokens:
                rate = all_tokens / max(1e-3, time.monotonic() - start)
                bar.set_postfix_str(f"{all_tokens:,} tokens, {rate:,.0f}/s", refresh=False)
            bar.update(count)

        yield advance
