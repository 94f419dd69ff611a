"""What several commands print: messages and progress on stderr, tables on stdout."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from splade_lucene.progress import Advance, Unit

_NAMED = 100
"""Documents that are left out and named; the others are counted."""

_UNITS: dict[Unit, str] = {"documents": " docs", "queries": " queries", "pairs": " pairs", "bytes": "B"}


def echo(text: str) -> None:
    """Prints a line to stderr."""
    print(text, file=sys.stderr)


def as_flags(message: str) -> str:
    """A message of the library as the command line puts it: ``overwrite=True`` becomes ``--overwrite``.

    Library errors name arguments in the form ``name=value``, with ``…`` for a value that the user has to choose, or, if
    they are called nothing else, by their bare names.

    Example:
        >>> as_flags("an index exists here. Pass overwrite=True to replace it, or name another index_dir=…")
        'an index exists here. Pass --overwrite to replace it, or name another --index'
        >>> as_flags("passage_overlap is set but passage_tokens is not")
        '--passage-overlap is set but --passage-tokens is not'
    """

    def flag(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        spelled = _FLAGS.get(name, "--" + name.replace("_", "-"))
        return spelled if value in ("True", "…") else f"{spelled} {value}"

    return _BARE.sub(lambda match: "--" + match[0].replace("_", "-"), _ARGUMENT.sub(flag, message))


_FLAGS = {
    "index_dir": "--index",
    "k": "--hits",
    "qrels": "--qrels",
    "query_encoder": "--model",
    "folder": "--dir",
    "source": "--input",
}
"""Arguments that the command line spells otherwise."""

BARE = (
    "batch_tokens", "kept_mass", "max_bytes", "max_length", "max_ratio", "min_idf", "min_impact", "min_weight",
    "passage_overlap", "passage_tokens", "query_max_length", "top_terms", "trust_remote_code",
)  # fmt: skip
"""Arguments that are named without a value; each is an option of some command."""

_BARE = re.compile(rf"(?<![\w.\"'])({'|'.join(BARE)})(?![\w\"'=])")
_ARGUMENT = re.compile(r"(?<![\w.(\[{\"'=])([a-z][a-z_0-9]*)=(True|…|[a-z][a-z0-9]*)(?![\w(\[=])")


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


class LeftOut:
    """Names the first hundred documents that are left out, and counts all of them.

    Attributes:
        count: Documents left out so far.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, problem: object) -> None:
        """Takes what is wrong with one more document."""
        self.count += 1
        if self.count <= _NAMED:
            echo(f"left out: {problem}")
        elif self.count == _NAMED + 1:
            echo("left out: more, which are counted and not named")


class ProgressBars:
    """A bar on stderr for each step of a job; few lines where stderr is a file."""

    @contextmanager
    def step(self, title: str, total: int | None, unit: Unit) -> Iterator[Advance]:
        """Shows a bar; see :class:`splade_lucene.progress.Progress`."""
        from tqdm import tqdm

        interval = 0.1 if sys.stderr.isatty() else 15
        with tqdm(
            total=total or None, desc=title, unit=_UNITS[unit], unit_scale=unit == "bytes", mininterval=interval,
            maxinterval=30,
        ) as bar:  # fmt: skip
            all_tokens = 0
            start = time.monotonic()

            def advance(count: int, *, tokens: int = 0, resumed: bool = False) -> None:
                nonlocal all_tokens
                if resumed:  # counts, but says nothing about speed
                    bar.initial += count
                    bar.n += count
                    return
                all_tokens += tokens
                if tokens:
                    rate = all_tokens / max(1e-3, time.monotonic() - start)
                    bar.set_postfix_str(f"{all_tokens:,} tokens, {rate:,.0f}/s", refresh=False)
                bar.update(count)

            yield advance
