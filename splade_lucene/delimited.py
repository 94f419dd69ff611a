"""Delimited text, TSV and CSV: recognizes a header, and splits rows.

The first line is a header if one of its fields is a known name of an id, another one a known name of a text, and all look
like names. So the query ``7<TAB>query`` is a query, because 7 is no column's name. With a header, columns are found by
their names, and fields may be quoted as in CSV, as pandas writes them. A TSV file without a header has an id, a tab and a
text, which is taken as it is, with its tabs and quotation marks.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from splade_lucene.files import numbered_lines
from splade_lucene.notes import note

INDEX_NAMES = ("", "index", "unnamed: 0")
"""How pandas names the column of a frame's index."""

_NAME = re.compile(r"#?[\w .:/-]{0,40}")

Row = Callable[[], Sequence[str]]
"""Returns the fields of a row; raises ValueError if it cannot be split, or has too many or too few."""


class Names(NamedTuple):
    """Names of columns in lower case, the preferred ones first."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]


class Header(NamedTuple):
    """A header.

    Attributes:
        names: The names of the columns.
        id: The position of the id; None if there is none.
        text: The position of the text.
        title: The position of the title; None if there is none, or if the title is the text.
    """

    names: tuple[str, ...]
    id: int | None
    text: int
    title: int | None


def read_rows(lines: Iterable[str], names: Names, *, is_csv: bool) -> tuple[Header | None, Iterator[tuple[int, Row]]]:
    """Reads delimited text.

    Args:
        lines: Its lines, with their line ends.
        names: Names of the columns that are looked for.
        is_csv: Whether the fields are separated by commas, unless the first line has a tab.

    Returns:
        The header, if there is one, and the rows after it with their line numbers. Without a header, rows have two fields.
    """
    numbered = numbered_lines(lines)
    first = next(numbered, None)
    if first is None:
        return None, iter(())
    line = first[1].removeprefix("\ufeff")
    has_commas = is_csv and "\t" not in line
    header = find_header(next(csv.reader([line], delimiter="," if has_commas else "\t"), ()), names)
    rest = numbered if header else chain([(first[0], line)], numbered)
    width = len(header.names) if header else 2
    if has_commas:
        return header, _csv_rows(rest, width)
    split = partial(_split_tsv, width=width) if header else _split_in_two
    return header, ((number, partial(split, row)) for number, row in rest)


def find_header(fields: Sequence[str], names: Names) -> Header | None:
    """The header that a first line is; None if it is none."""
    found = tuple(field.strip() for field in fields)
    keys = [field.lower().removeprefix("#").strip() for field in found]
    if not all(map(_NAME.fullmatch, found)):
        return None
    docid = next((keys.index(name) for name in names.ids if name in keys), None)
    text = next((keys.index(name) for name in names.texts if name in keys), None)
    if docid is None or text is None or docid == text:
        return None
    title = keys.index("title") if "title" in keys and keys.index("title") not in (docid, text) else None
    return Header(found, docid, text, title)


def note_header(path: Path, header: Header, kind: str) -> None:
    """Notes that the first line of a file was read as a header."""
    names = ", ".join(name or "(no name)" for name in header.names)
    note(f"{path}: the first line is a header ({names}), not a {kind}")


def _csv_rows(numbered: Iterable[tuple[int, str]], width: int) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(sys.maxsize)
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for number, line in numbered:  # noqa: B007 - read outside
            yield line

    reader = csv.reader(lines(), strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, partial(_refuse, f"not a row of CSV ({error})")
        else:
            yield number, partial(_checked, row, width)


def _split_tsv(line: str, width: int) -> Sequence[str]:
    fields = line.rstrip("\r\n").split("\t")
    if len(fields) != width:  # a quoted field may have tabs
        with suppress(csv.Error):
            fields = next(csv.reader([line.rstrip("\r\n")], delimiter="\t", strict=True))
    else:
        fields = [_unquoted(field) for field in fields]
    return _checked(fields, width)


def _unquoted(field: str) -> str:
    inner = field[1:-1]
    is_quoted = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if is_quoted else field


def _split_in_two(line: str) -> Sequence[str]:
    fields = line.rstrip("\r\n").split("\t", 1)
    return fields if len(fields) == 2 else _refuse("no tab between id and text")


def _checked(fields: Sequence[str], width: int) -> Sequence[str]:
    if len(fields) != width:
        _refuse(f"expected {width} columns, got {len(fields)}")
    return fields


def _refuse(message: str) -> Sequence[str]:
    raise ValueError(message)
