"""Output shared by several commands: messages and progress on stderr, tables on stdout."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from splade_lucene.cli.terminal import raw_stderr
from splade_lucene.counts import counted, part_of
from splade_lucene.progress import Advance, Unit

_MAX_NAMED = 100
"""Number of skipped documents to name; further ones are only counted."""

_UNITS: dict[Unit, str] = {
    "documents": " docs",
    "queries": " queries",
    "pairs": " pairs",
    "files": " files",
    "bytes": "B",
}


def echo(text: str) -> None:
    """Prints a line to stderr."""
    print(text, file=sys.stderr)


def as_flags(message: str) -> str:
    """Translates a library message for the command line: ``overwrite=True`` becomes ``--overwrite``.

    Library errors name arguments as ``name=value``, with ``…`` for a value that the user has to choose, or, if the name
    is unambiguous, by the bare name.

    Example:
        >>> as_flags("an index exists here. Pass overwrite=True to replace it, or name another index_dir=…")
        'an index exists here. Pass --overwrite to replace it, or name another --index'
        >>> as_flags("passage_overlap is set but passage_tokens is not")
        '--passage-overlap is set but --passage-tokens is not'
    """

    def flag(match: re.Match[str]) -> str:
        spelled, value = _FLAGS[match[1]], match[2]
        return spelled if value in ("True", "…") else f"{spelled} {value}"

    return _BARE.sub(lambda match: "--" + match[0].replace("_", "-"), _WITH_VALUE.sub(flag, message))


def describe_error(error: Exception) -> str:
    """An error's message for the command line; a path that it begins with is left as it is."""
    text = str(error)
    path = getattr(error, "path", None)
    start = len(str(path)) if path is not None and text.startswith(str(path)) else 0
    return text[:start] + as_flags(text[start:])


BARE = (
    "batch_tokens", "id_field", "kept_mass", "max_bytes", "max_length", "max_ratio", "min_idf", "min_impact", "min_weight",
    "passage_overlap", "passage_tokens", "query_max_length", "text_field", "top_terms", "trust_remote_code",
    "vector_field",
)  # fmt: skip
"""Arguments that messages name without a value; each is an option of some command."""

_FLAGS = {
    **{name: "--" + name.replace("_", "-") for name in (
        *BARE, "append", "backend", "bm25", "corpus", "device", "dtype", "duplicates", "encoded", "fields", "keys", "mirror",
        "model", "name", "numbering", "offline", "output", "overwrite", "port", "prebuilt", "quantizer", "scale", "skip_bad",
        "skip_unknown", "store", "trec_eval", "url", "vocabulary",
    )},
    "all_terms": "--feedback-all-terms",
    "folder": "--dir",
    "index_dir": "--index",
    "pseudo_documents": "--output",
    "token": "--token-file",
    "weights": "--weight IMPACTS --weight BM25",
    **{name: f"--ray-{name}" for name in ("workers", "cpus", "gpus", "timeout")},
    "shards": "--shards",
}  # fmt: skip
"""Arguments that messages name with a value → how the command line spells them."""

_BARE = re.compile(rf"(?<![\w.\"'/-])({'|'.join(BARE)})(?![\w\"'=/.]\w|[\"'=/])")
_WITH_VALUE = re.compile(rf"(?<![\w.(\[{{\"'/=-])({'|'.join(_FLAGS)})=(True|…|[a-z][a-z0-9]*|[0-9]+)(?![\w(\[=/])")


def name_some(names: Sequence[str]) -> str:
    """Lists the first ten names, and the number of further ones."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def echo_empty(docids: Sequence[str], total: int) -> None:
    """Reports documents that are not in an index because they have no terms; most of them are blank.

    Args:
        docids: Their docids.
        total: Number of documents that were read.
    """
    if docids:
        are = part_of(
            len(docids), counted(total, "document"), "is empty (no terms) and was", "are empty (no terms) and were"
        )
        echo(f"{are} left out: {name_some(docids)}")


def echo_unreadable(count: int) -> None:
    """Reports the number of documents of a corpus that were skipped because they could not be read."""
    if count:
        were_skipped = ("could not be read and was skipped", "could not be read and were skipped")
        echo(counted(count, "document", *were_skipped))


def print_table(table: dict[str, dict[str, float]]) -> None:
    """Prints measures, with a line for each run and a column for each measure.

    Args:
        table: Name of a run → measure → mean.
    """
    width = max(len(name) for name in table)
    measures = list(next(iter(table.values())))
    print(" " * width + "".join(f"  {measure:>8}" for measure in measures))
    for name, means in table.items():
        print(f"{name:{width}}" + "".join(f"  {means[measure]:>8.4f}" for measure in measures))


class Skipped:
    """Names the first hundred skipped documents, and counts all of them.

    Attributes:
        count: Number of documents skipped so far.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, problem: object) -> None:
        """Reports a skipped document."""
        self.count += 1
        if self.count <= _MAX_NAMED:
            echo(f"skipped: {problem}")
        elif self.count == _MAX_NAMED + 1:
            echo("skipped: more documents, not listed")


class ProgressBars:
    """Shows a progress bar on stderr for each step of a job; updates it rarely if stderr is a file."""

    @contextmanager
    def step(self, title: str, total: int | None, unit: Unit) -> Iterator[Advance]:
        """Shows a bar; see :class:`splade_lucene.progress.Progress`."""
        from tqdm import tqdm

        interval = 0.1 if sys.stderr.isatty() else 15
        with tqdm(
            total=total or None, file=raw_stderr(), desc=title, unit=_UNITS[unit], unit_scale=unit == "bytes",
            mininterval=interval, maxinterval=30,
        ) as bar:  # fmt: skip
            all_tokens = 0
            start = time.monotonic()

            def advance(count: int, *, tokens: int = 0, resumed: bool = False) -> None:
                nonlocal all_tokens
                if resumed:  # counts as progress, but not for the rate
                    bar.initial += count
                    bar.n += count
                    return
                all_tokens += tokens
                if tokens:
                    rate = all_tokens / max(1e-3, time.monotonic() - start)
                    bar.set_postfix_str(f"{counted(all_tokens, 'token')}, {rate:,.0f}/s", refresh=False)
                bar.update(count)

            yield advance
