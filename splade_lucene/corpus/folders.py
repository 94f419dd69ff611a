"""Which files of a folder are its corpus."""

from __future__ import annotations

import re
from pathlib import Path

from splade_lucene.errors import CorpusError
from splade_lucene.files.folders import check_chosen, files_with, select_collection, several_formats, visible_files

JSON_LINES = (".jsonl",)
JSON = (".json",)
TSV = (".tsv",)
CSV = (".csv",)
PARQUET = (".parquet",)
TEXTS = (".txt", ".md")

ALL_SUFFIXES = (*JSON_LINES, *JSON, *TSV, *CSV, *PARQUET, *TEXTS)
"""Suffixes of the files that can be read, without those of compressions."""

_TABLES = (JSON_LINES, TSV, CSV, PARQUET)
_ABOUT = re.compile(r"(readme|licen[cs]e|changelog|notice|citation|contributing)\b", re.IGNORECASE)


def corpus_files(folder: Path) -> list[Path]:
    """The files of the corpus in a folder, sorted by path.

    Raises:
        CorpusError: There are none, or they cannot be one corpus.
    """
    files = visible_files(folder, CorpusError)
    chosen = _tables(folder, files) or _texts_or_json(folder, files)
    check_chosen(folder, chosen, files, ALL_SUFFIXES, CorpusError)
    return chosen


def _tables(folder: Path, files: list[Path]) -> list[Path]:
    """The files with one document per line or row."""
    tables = files_with(files, tuple(suffix for each in _TABLES for suffix in each), CorpusError)
    chosen = select_collection(folder, tables, CorpusError) if tables else []
    groups = [group for suffixes in _TABLES if (group := files_with(chosen, suffixes, CorpusError))]
    if len(groups) > 1:
        raise several_formats(folder, groups, CorpusError)
    return chosen


def _texts_or_json(folder: Path, files: list[Path]) -> list[Path]:
    texts, json = (files_with(files, suffixes, CorpusError) for suffixes in (TEXTS, JSON))
    if json and all(_ABOUT.match(path.name) for path in texts):
        return select_collection(folder, json, CorpusError)
    if json and texts:
        raise several_formats(folder, [texts, json], CorpusError)
    return texts
