"""The rows of a file of examples, each as a record with its line, whatever the file's format."""

from __future__ import annotations

import re
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from splade_lucene.errors import ExamplesError, first_line
from splade_lucene.files.compression import content_name, open_bytes
from splade_lucene.files.files import numbered_lines, open_text
from splade_lucene.files.json_text import numbered_records, parse_object
from splade_lucene.imports import uninterrupted_imports

HUB = "hf:"
PICKLES = (".pkl", ".pickle")
_TABLES = (".tsv", ".txt", ".qrels", ".csv")
_DOWNLOAD = "Check it or download it again"
_JUDGED = re.compile(r"[+-]?[0-9]{1,2}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PEEKED = 200
_GRADES = range(-2, 10)
"""Relevance in judgments; TREC has -1 and -2 for spam."""
_MOST_ITERATIONS = 10
_IN_FOLDER = ("qrels/train.tsv", "raw.tsv", "qrel.json", "qrels.json")
"""Where folders have their examples: BEIR's, and those of naver/splade."""


class Row(NamedTuple):
    """A record and its line or row, from 1; 0 for a record that is a whole file."""

    line: int
    record: dict[str, Any]


class Rows(NamedTuple):
    """The rows of a file.

    Attributes:
        path: The file, or the name of a data set.
        rows: Its records, if it has records.
        is_judged: Whether it has judgments instead (:func:`splade_lucene.evaluation.read_qrels`).
    """

    path: Path
    rows: Iterator[Row]
    is_judged: bool = False


def open_rows(source: str | Path, qids: Container[str], docids: Container[str]) -> Rows:
    """Opens a file of examples.

    Args:
        source: A file, a folder, or ``hf:NAME``.
        qids: The known qids, which tell triples of ids from triples of texts.
        docids: The known docids, which tell triples of ids from judgments.

    Raises:
        ExamplesError: The file does not exist or has an unknown format; or, while reading, a row is damaged.
    """
    name = str(source)
    if name.startswith(HUB):
        return Rows(Path(name), _of_hub(name))
    path = Path(source)
    if path.is_dir():
        path = file_of_folder(path)
    if not path.is_file():
        raise ExamplesError("no such file", path=path, remedy="Check the path")
    try:
        inner = content_name(path).lower()
    except OSError as error:
        raise ExamplesError(f"the file cannot be read ({error})", path=path, remedy=_DOWNLOAD) from error
    if inner.endswith(".parquet"):
        return Rows(path, _guarded(path, _of_parquet(path)))
    if inner.endswith(PICKLES):
        raise ExamplesError(
            "pickles hold scores, not examples", path=path,
            remedy="Set data.scores to it, and data.examples to the passages that it scores",
        )  # fmt: skip
    if inner.endswith(_TABLES):
        return _table(path, qids, docids)
    if inner.endswith(".json"):
        rows = _guarded(path, _of_json(path))
        first = next(rows, None)
        head = [] if first is None else [first]
        return Rows(path, chain(head, rows), is_judged=first is not None and _is_judged(first.record))
    return Rows(path, _guarded(path, _of_lines(path)))


def file_of_folder(folder: Path) -> Path:
    """The file of examples in a folder.

    Raises:
        ExamplesError: There is none, or more than one.
    """
    found = [folder / name for name in _IN_FOLDER if (folder / name).is_file()]
    found = found or sorted(each for each in folder.rglob("*.parquet") if each.is_file())
    if len(found) != 1:
        raise ExamplesError(
            f"the folder has {len(found) or 'no'} files of examples ({', '.join(_IN_FOLDER)} or .parquet)", path=folder,
            remedy=f"Give one file, or all parquet files as {HUB}{folder}" if found else "Check that it is the right folder",
        )  # fmt: skip
    return found[0]


def is_mapping(record: Mapping[str, Any]) -> bool:
    """Whether a record is a whole file, qid → docid → number, instead of one example."""
    return bool(record) and all(isinstance(value, dict) for value in record.values())


def _is_judged(record: Mapping[str, Any]) -> bool:
    return is_mapping(record) and all(
        type(number) is int and number in _GRADES for judged in record.values() for number in judged.values()
    )  # scores have a decimal point, or are larger


def _guarded(path: Path, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, with the errors of reading named."""
    try:
        yield from rows
    except ExamplesError:
        raise
    except UnicodeDecodeError as error:
        raise ExamplesError(f"not UTF-8 ({error})", path=path, remedy="Convert the file to UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ExamplesError(f"the file cannot be read ({error})", path=path, remedy=_DOWNLOAD) from error


def _of_parquet(path: Path) -> Iterator[Row]:
    with uninterrupted_imports():
        import pyarrow.parquet

    try:
        number = 0
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=4096):
            for number, record in enumerate(batch.to_pylist(), number + 1):  # noqa: B020 - counts over all batches
                yield Row(number, record)
    except ValueError as error:  # from pyarrow
        raise ExamplesError(f"not a parquet file ({error})", path=path, remedy=_DOWNLOAD) from error


def _of_lines(path: Path) -> Iterator[Row]:
    with open_text(path) as lines:
        for number, line in numbered_lines(lines):
            yield Row(number, _parsed(line, path, number))


def _of_json(path: Path) -> Iterator[Row]:
    with open_bytes(path) as lines:
        try:
            for number, line in numbered_records(lines):
                yield Row(number, _parsed(line.decode("utf-8-sig"), path, number))
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise ExamplesError(
                f"invalid JSON ({error})", path=path, line=getattr(error, "lineno", None), remedy="Fix the line"
            ) from None


def _parsed(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        return parse_object(line)
    except ValueError as error:
        raise ExamplesError(str(error), path=path, line=number, remedy="Fix the line") from None


def _of_hub(name: str) -> Iterator[Row]:
    with uninterrupted_imports():
        import datasets

    path, *rest = name.removeprefix(HUB).split(":")
    if len(rest) > 2:
        raise ExamplesError(f"cannot read {name}", remedy="Write hf:NAME, hf:NAME:SPLIT or hf:NAME:SUBSET:SPLIT")
    subset, split = (rest[0], rest[1]) if len(rest) == 2 else (None, rest[0] if rest else "train")
    try:
        rows = datasets.load_dataset(path, subset or None, split=split, streaming=True)
        for number, record in enumerate(rows, 1):
            yield Row(number, record)
    except Exception as error:  # datasets, the hub's client and the network raise all kinds of exceptions
        reason = first_line(error)
        raise ExamplesError(
            f"cannot read {name} ({reason})", remedy="Check the name, the subset, the split and the network"
        ) from error


# ---- tables ----


def _table(path: Path, qids: Container[str], docids: Container[str]) -> Rows:
    """MS MARCO's triples of texts or ids, with or without the scores of both passages; all else is judgments."""
    with open_text(path) as file:
        try:
            peeked = [line.rstrip("\r\n").split("\t") for _, line in islice(numbered_lines(file), _PEEKED)]
        except (UnicodeDecodeError, OSError, EOFError, zlib.error):
            return Rows(path, iter(()), is_judged=True)  # its reader reports the problem
    _refuse_other_tables(path, peeked)
    has_header = bool(peeked) and _names_triples(peeked[0])
    if not peeked or (not has_header and "triples" not in path.name and _are_judgments(peeked, docids)):
        return Rows(path, iter(()), is_judged=True)
    is_scored = len(peeked[0]) == 5
    whole = [columns[-3:] for columns in peeked[has_header:] if len(columns) == len(peeked[0])]
    keys = ("qid", "positive_id", "negative_id")
    if not any(columns[0].strip() in qids for columns in whole) and any(" " in "".join(columns) for columns in whole):
        keys = ("query", "positive", "negative")
    return Rows(path, _guarded(path, _triples(path, keys, is_scored=is_scored, has_header=has_header)))


def _names_triples(columns: list[str]) -> bool:
    """Whether a table's first row has the names of columns of triples."""
    names = [re.sub("[^a-z]", "", column.lower()) for column in columns]
    kinds = (("qid", "query", "anchor", "question"), ("pos", "answer"), ("neg",))
    return len(names) >= 3 and all(name.startswith(kind) for name, kind in zip(names[-3:], kinds, strict=True))


def _refuse_other_tables(path: Path, peeked: list[list[str]]) -> None:
    """Refuses tables that would be read as something else.

    Raises:
        ExamplesError: Columns are quoted or separated by commas, or there are two, or four without an iteration.
    """
    if not peeked:
        return
    if all(len(columns) == 2 for columns in peeked):
        raise ExamplesError(
            "the table has two columns, and judgments and triples have three or more", path=path, line=1,
            remedy="Write pairs as JSON lines or parquet with query and positive, or qid and positive_id",
        )  # fmt: skip
    if len(peeked[0]) == 1 and "," in peeked[0][0]:
        raise ExamplesError(
            "the columns are not separated by tabs", path=path, line=1,
            remedy="Write JSON lines, parquet, or a table with tabs",
        )  # fmt: skip
    are_quoted = all(_is_quoted(column) for columns in peeked for column in columns)
    for number, columns in enumerate(peeked, 1):
        if are_quoted or any(_is_quoted(column) and '""' in column[1:-1] for column in columns):
            raise ExamplesError(
                'columns are quoted as in CSV, and the quotation marks would become part of the texts', path=path,
                line=number, remedy="Write the table without quotation marks around columns, or JSON lines",
            )  # fmt: skip
    if all(len(columns) == 4 for columns in peeked) and len({columns[1] for columns in peeked}) > _MOST_ITERATIONS:
        raise ExamplesError(
            f"four columns are qid, iteration, docid and relevance, but the second one has more than {_MOST_ITERATIONS} "
            "different values", path=path, line=1,
            remedy="Write three columns (qid, positive, negative) for each negative, or JSON lines with negative_id_1 …",
        )  # fmt: skip


def _is_quoted(column: str) -> bool:
    """Whether a column has quotation marks around it and, within, only doubled ones."""
    is_around = len(column) > 1 and column[0] == column[-1] == '"'
    return is_around and '"' not in column[1:-1].replace('""', "")


def _are_judgments(peeked: list[list[str]], docids: Container[str]) -> bool:
    if len(peeked[0]) not in (3, 5):
        return True
    if len(peeked[0]) == 5:
        return not all(_NUMBER.fullmatch(number.strip()) for number in peeked[0][:2])
    if peeked[0][0] in ("query-id", "query_id", "qid"):
        return True
    # a relevance is a short number, the docid of a negative passage need not be
    last = [columns[-1].strip() for columns in peeked]
    are_grades = all(_JUDGED.fullmatch(each) and int(each) in _GRADES for each in last)
    return are_grades or (all(map(_JUDGED.fullmatch, last)) and not all(each in docids for each in last))


def _triples(path: Path, keys: tuple[str, str, str], *, is_scored: bool, has_header: bool) -> Iterator[Row]:
    width = 5 if is_scored else 3
    with open_text(path) as lines:
        for number, line in islice(numbered_lines(lines), int(has_header), None):
            columns = line.rstrip("\r\n").split("\t")
            if len(columns) != width:
                names = ["the positive's score", "the negative's score"] if is_scored else []
                raise ExamplesError(
                    f"expected {width} columns ({', '.join([*names, *keys])}), got {len(columns)}", path=path, line=number,
                    remedy="Fix the line",
                )  # fmt: skip
            record: dict[str, Any] = dict(zip(keys, columns[-3:], strict=True))
            if is_scored:
                record["scores"] = [_as_number(each) for each in columns[:2]]
            yield Row(number, record)


def _as_number(text: str) -> float | str:
    return float(text) if _NUMBER.fullmatch(text.strip()) else text
