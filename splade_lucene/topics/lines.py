"""Reads topics with one query per line: TSV and CSV, and the formats of some tracks.

=============================  =======================================================================================
a line                         the query
=============================  =======================================================================================
qid, tab, text                 TSV; with a header, the columns are found by their names
                               (:mod:`splade_lucene.files.delimited`)
qid, comma, text               CSV, likewise
question, tab, ``['answer']``  DPR's questions; the qids are their positions from 0, as in Anserini
``7:text``, ``7:1:text``       the Million Query and Terabyte efficiency tracks: qid, priority if any, text
``enwiki:Page/A%20heading``    TREC CAR: the whole line is the qid, and decoded it is the text
=============================  =======================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from urllib.parse import unquote_plus

from splade_lucene.files.delimited import INDEX_NAMES, Names, Row, note_header, read_rows, unquoted
from splade_lucene.ids import is_id
from splade_lucene.notes import note
from splade_lucene.topics.records import QID_KEYS, TEXT_KEYS, note_numbered

_NAMES = Names(
    (*QID_KEYS, "topic_id", "topic", "number", "num", *INDEX_NAMES),
    (*TEXT_KEYS, "query_text", "utterance"),
    "qid",
)
_COLONS = re.compile(r"(\d+):(?:(\d):)?(.*)", re.DOTALL)
_CAR_PREFIX = "enwiki:"

Pair = Callable[[], tuple[str, str]]
"""Returns the qid and the text of a query; raises ValueError if the line is not valid."""


def read_pairs(numbered: Iterator[tuple[int, str]], path: Path, *, is_csv: bool) -> Iterator[tuple[int, Pair]]:
    """Reads the lines of a file.

    Args:
        numbered: All lines with their numbers. The first one that is not blank tells the format.
        path: The file, for notes.
        is_csv: Whether fields are separated by commas, unless the first line has a tab.

    Yields:
        The line number and the query.
    """
    number, first = next(((number, line) for number, line in numbered if line.strip()), (0, ""))
    everything = chain([(number, first)], numbered)
    pair = _format_of(first, is_csv=is_csv)
    if pair is None:
        yield from _read_columns(everything, path, is_csv=is_csv)
        return
    if pair is _dpr_pair:
        note_numbered(path)
    filled = ((number, line) for number, line in everything if line.strip())
    for position, (number, line) in enumerate(filled):
        yield number, partial(pair, line.strip("\r\n"), position)


def decoded(line: bytes, first: str, path: Path) -> str:
    """Decodes a line of a file with this first line as UTF-8; the Million Query tracks' files are in ISO 8859-1.

    Raises:
        UnicodeDecodeError: It is not UTF-8.
    """
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        if "\t" in first or not _COLONS.fullmatch(first.strip()):
            raise
        note(f"{path}: not UTF-8, so read as ISO 8859-1, the encoding of the Million Query tracks")
        return line.decode("iso8859-1")


def _format_of(first: str, *, is_csv: bool) -> Callable[[str, int], tuple[str, str]] | None:
    """The function for the lines of a file that begins with this line; None for TSV and CSV."""
    left, tab, right = first.partition("\t")  # before anything is stripped: a text may be empty
    if tab:
        return _dpr_pair if not is_id(left.strip()) and re.match(r"\[\s*['\"\]]|\"\[", right) else None
    if is_csv:
        return None
    line = first.strip()
    if match := _COLONS.fullmatch(line):
        return _prioritized_pair if match[2] else _colon_pair
    return _car_pair if line.startswith(_CAR_PREFIX) or ("/" in line and is_id(line)) else None


def _read_columns(numbered: Iterator[tuple[int, str]], path: Path, *, is_csv: bool) -> Iterator[tuple[int, Pair]]:
    header, rows = read_rows(numbered, _NAMES, is_csv=is_csv)
    if header:
        note_header(path, header, "query")
    qid, text = (header.id, header.text) if header else (0, 1)
    for number, row in rows:
        yield number, partial(_columns, row, qid, text)


def _columns(row: Row, qid: int, text: int) -> tuple[str, str]:
    fields = row()
    return fields[qid], fields[text]


def _dpr_pair(line: str, position: int) -> tuple[str, str]:
    question, tab, _ = line.partition("\t")
    if not tab:
        raise ValueError("no tab between question and answers")
    return str(position), unquoted(question)


def _colon_pair(line: str, position: int) -> tuple[str, str]:  # noqa: ARG001 - as its siblings
    qid, colon, text = line.partition(":")
    if not colon:
        raise ValueError("no colon between qid and text")
    return qid, text


def _prioritized_pair(line: str, position: int) -> tuple[str, str]:  # noqa: ARG001
    match = _COLONS.fullmatch(line)
    if match is None or not match[2]:
        raise ValueError("expected qid:priority:text")
    return match[1], match[3]


def _car_pair(line: str, position: int) -> tuple[str, str]:  # noqa: ARG001
    return line.strip(), unquote_plus(line.strip().removeprefix(_CAR_PREFIX))
