"""Delimited text, TSV and CSV: recognizes a header, and splits rows.

The first line is a header if one of its fields is a known name of an id, another one a known name of a text, and all look
like names. So the query ``7<TAB>query`` is a query, because 7 is not the name of a column. With a header, columns are found by
their names, and fields may be quoted as in CSV, as pandas writes them. A TSV file without a header has an id, a tab and a
text, which is taken as it is, with its tabs and quotation marks.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from splade_lucene.counts import counted
from splade_lucene.notes import note

INDEX_NAMES = ("", "index", "unnamed: 0")
"""How pandas names the column of a frame's index."""

_NAME = re.compile(r"#?[\w .:/-]{0,40}")

Row = Callable[[], Sequence[str]]
"""Returns the fields of a row; raises ValueError if it cannot be split, or has too many or too few."""


class Names(NamedTuple):
    """Names of columns in lower case, the preferred ones first, and what messages call the id."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    id_word: str = "id"


class Header(NamedTuple):
    """A header.

    Attributes:
        names: The names of the columns.
        id: The position of the id.
        text: The position of the text.
        title: The position of the title; None if there is none, or if the title is the text.
    """

    names: tuple[str, ...]
    id: int
    text: int
    title: int | None


def read_rows(
    numbered: Iterator[tuple[int, str]], names: Names, *, is_csv: bool
) -> tuple[Header | None, Iterator[tuple[int, Row]]]:
    """Reads delimited text.

    Args:
        numbered: All its lines, with their line ends and numbers.
        names: Names of the columns that are looked for.
        is_csv: Whether the fields are separated by commas, unless the first line has a tab.

    Returns:
        The header, if there is one, and the rows after it with their line numbers. Without a header, rows have two fields.
    """
    number, line = next(((number, line) for number, line in numbered if line.strip()), (0, ""))
    line = line.removeprefix("\ufeff")
    has_commas = is_csv and "\t" not in line
    header = find_header(_fields(line, "," if has_commas else "\t"), names)
    rest = numbered if header else chain([(number, line)], numbered)
    width = len(header.names) if header else 2
    if has_commas:
        return header, _csv_rows(rest, width)
    split = partial(_split_tsv, width=width) if header else partial(_split_in_two, id_word=names.id_word)
    return header, ((number, partial(split, row)) for number, row in rest if row.strip())


def find_header(fields: Sequence[str], names: Names) -> Header | None:
    """The header that a first line is; None if it is none."""
    found = tuple(field.strip() for field in fields)
    keys = [field.lower().removeprefix("#").strip() for field in found]
    if not all(map(_NAME.fullmatch, found)):
        return None  # a text
    docid, text = _position(names.ids, keys), _position(names.texts, keys)
    if docid is None or text is None or docid == text:
        return None
    title = keys.index("title") if "title" in keys and keys.index("title") not in (docid, text) else None
    return Header(found, docid, text, title)


def _position(names: Sequence[str], keys: Sequence[str]) -> int | None:
    """Where the first of some names is in a header; if none is, where one is that has other separators of words."""
    position = next((keys.index(name) for name in names if name in keys), None)
    if position is None:
        plain = [_without_separators(key) for key in keys]
        wanted = filter(None, map(_without_separators, names))
        position = next((plain.index(name) for name in wanted if name in plain), None)
    return position


def _without_separators(name: str) -> str:
    return re.sub(r"[ _.-]", "", name)


def note_header(path: Path, header: Header, kind: str) -> None:
    """Notes that the first line of a file was read as a header."""
    names = ", ".join(name or "(no name)" for name in header.names)
    note(f"{path}: the first line is a header ({names}), not a {kind}")


def _csv_rows(numbered: Iterable[tuple[int, str]], width: int) -> Iterator[tuple[int, Row]]:
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for number, line in numbered:  # noqa: B007 - read outside
            yield line

    reader = _csv_reader(lines(), ",")
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, partial(_refuse, f"not a row of CSV ({error})")
        else:
            if "".join(row).strip() or len(row) > 1:  # not a blank line
                yield number, partial(_checked, row, width)


def _split_tsv(line: str, width: int) -> Sequence[str]:
    fields = line.rstrip("\r\n").split("\t")
    if len(fields) == width:
        return [unquoted(field) for field in fields]
    return _checked(_fields(line, "\t") or fields, width)  # a quoted field may have tabs


def _csv_reader(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(sys.maxsize)  # not 131,072 characters, which long documents and encoded queries exceed
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _fields(line: str, delimiter: str) -> list[str]:
    """The fields of a line of CSV; none if it is not valid."""
    try:
        return next(_csv_reader([line.rstrip("\r\n")], delimiter), [])
    except csv.Error:
        return []


def unquoted(field: str) -> str:
    """A field without the quotation marks that CSV puts around it and doubles within it; other fields as they are."""
    inner = field[1:-1]
    is_quoted = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if is_quoted else field


def _split_in_two(line: str, id_word: str) -> Sequence[str]:
    fields = line.rstrip("\r\n").split("\t", 1)
    return fields if len(fields) == 2 else _refuse(f"no tab between {id_word} and text")


def _checked(fields: Sequence[str], width: int) -> Sequence[str]:
    if len(fields) != width:
        _refuse(f"expected {counted(width, 'column')}, got {len(fields)}")
    return fields


def _refuse(message: str) -> Sequence[str]:
    raise ValueError(message)
