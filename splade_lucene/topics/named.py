"""Topics and judgments by name: Anserini's and Pyserini's names, and those of ir_datasets.

Names (``dl19-passage``, ``msmarco-passage-dev-subset``, ``beir-v1.0.0-scifact-test``) are looked up in a table shipped
with this package. It combines the names of Anserini 1.x, Pyserini 1.x and castorini/eval, which Anserini and Pyserini 2.x
query over the network (``tools/collection_names.py`` generates the table). The table contains only names; the files are
searched for in these folders:

1. the folders in ``SPLADE_LUCENE_COLLECTIONS``, separated as in ``PATH``, and ``topics`` and ``qrels`` in each (the
   layout of castorini/anserini-tools),
2. ``tools/topics-and-qrels``, ``tools/topics`` and ``tools/qrels``, if the working folder is an Anserini checkout,
3. ``topics-and-qrels``, ``topics`` and ``qrels`` in Pyserini's cache (``PYSERINI_CACHE``, else ``~/.cache/pyserini``),
   where Anserini 1.x and 2.x store them,
4. ``topics-and-qrels`` in this program's cache.

Nothing is downloaded, except by ir_datasets for ``irds:NAME``.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from splade_lucene import jvm
from splade_lucene.arguments import to_path
from splade_lucene.errors import InputError, JavaError, RunError, TopicsError
from splade_lucene.files.files import atomic_text_writer, cache_folder
from splade_lucene.files.folders import select_only_file
from splade_lucene.irds import PREFIX, open_ir_dataset, read_records
from splade_lucene.jvm import wire
from splade_lucene.topics.records import names_encoded_topics

Kind = Literal["topics", "qrels"]

SOURCE = "https://raw.githubusercontent.com/castorini/eval/5b819c1a45c8a0a3ec9426f476694f44a29dfaf3"
"""The URL from which Anserini 2.3 downloads these files; they are in ``topics`` and ``qrels`` below it."""

NAMES_FILE = Path(__file__).parent.parent / "data" / "collection_names.json"
"""The table of names."""

_FOLDER = "topics-and-qrels"
_ERRORS: dict[Kind, type[InputError]] = {"topics": TopicsError, "qrels": RunError}
_SUFFIXES = (".tsv", ".txt", ".json", ".jsonl", ".gz", ".parquet", ".xml", ".trec", ".qrels", ".csv")

_BEIR_WITH_TEST = frozenset({"dbpedia-entity", "fever", "fiqa", "hotpotqa", "nfcorpus", "quora", "scifact"})
_BEIR_NOT_FREE = frozenset({"bioasq", "signal1m", "trec-news", "robust04"})  # so not in ir_datasets' BEIR
_EQUIVALENTS = {
    "msmarco-passage.dev-subset": "msmarco-passage/dev/small",
    **{f"dl{year}{part}": f"msmarco-passage/trec-dl-20{year}" for year in (19, 20) for part in ("", "-passage")},
    **{f"dl{year}{part}": f"msmarco-passage-v2/trec-dl-20{year}" for year in (21, 22, 23) for part in ("", "-passage")},
    "msmarco-v2-passage.dev": "msmarco-passage-v2/dev1",
    "msmarco-v2-passage.dev2": "msmarco-passage-v2/dev2",
    "robust04": "disks45/nocr/trec-robust-2004",
}


class TopicsFile(NamedTuple):
    """The location of topics.

    Attributes:
        path: The file or folder.
        reader: Name of Anserini's topic reader if the topics were found by name, else empty.
        is_encoded: Whether the topics are encoded, as the name of the file tells; None if it does not.
    """

    path: Path
    reader: str = ""
    is_encoded: bool | None = None


def find_topics(source: str | Path) -> Path:
    """Finds a topics file by path, or by its name in Anserini or Pyserini.

    Raises:
        TopicsError: The file or name is unknown, or the file is not on this machine; the message says where to get it.
    """
    return locate_topics(source).path


def find_qrels(source: str | Path) -> Path:
    """Finds a file of judgments by path, by its name in Anserini or Pyserini, or by ``irds:NAME``.

    Raises:
        RunError: The file or name is unknown, or the file is not on this machine; the message says where to get it.
        MissingDependencyError: ``irds:NAME`` was given, but ir_datasets is not installed.
    """
    if str(source).startswith(PREFIX):
        return _write_ir_datasets_qrels(str(source).removeprefix(PREFIX))
    path = to_path(source, error=RunError)
    if path.is_dir():
        return select_only_file(path, "qrels", RunError)
    return path if path.exists() else _find("qrels", source)[0]


def locate_topics(source: str | Path) -> TopicsFile:
    """Like :func:`find_topics`, but also returns what the name tells about the file."""
    path = to_path(source, error=TopicsError)
    if path.exists():
        return TopicsFile(path, is_encoded=names_encoded_topics(path.name) or None)
    path, entry = _find("topics", source)
    return TopicsFile(path, entry.reader, names_encoded_topics(entry.file))


def collection_folders(*kinds: Kind) -> list[Path]:
    """The folders searched for topics, judgments or both, in order of preference."""
    named = [Path(each) for each in os.environ.get("SPLADE_LUCENE_COLLECTIONS", "").split(os.pathsep) if each]
    given = [folder for parent in named for folder in (parent, *(parent / kind for kind in kinds))]
    pyserini = Path(os.environ.get("PYSERINI_CACHE") or Path.home() / ".cache" / "pyserini")
    castorini = [parent / name for parent in (Path("tools"), pyserini) for name in (_FOLDER, *kinds)]
    return [*given, *castorini, cache_folder() / _FOLDER]


# ---- names ----


class _Entry(NamedTuple):
    file: str
    reader: str


def _find(kind: Kind, source: str | Path) -> tuple[Path, _Entry]:
    name = str(source)
    error = _ERRORS[kind]
    if not _may_be_name(name, kind):
        raise error("no such file", path=source, remedy="Check the path")
    names = files_by_name(kind)
    entry = names.get(name_key(name))
    if entry is None:
        similar = [each for each in names if each.startswith(name_key(name))][:6]
        similar = similar or difflib.get_close_matches(name_key(name), names, n=6, cutoff=0.7)
        hint = f"Similar names: {', '.join(similar)}" if similar else "Check the path, or see Anserini's names"
        raise error(f"no such file, and Anserini has no {kind} of this name", path=source, remedy=hint)
    folders = collection_folders(kind)
    for folder in folders:
        for file in (entry.file, f"{entry.file}.gz", entry.file.removesuffix(".gz")):
            if (folder / file).is_file():
                return folder / file, entry
    equivalent = _ir_datasets_equivalent(entry.file)
    raise error(
        f"this is the name of {entry.file}, which is not on this machine (searched {', '.join(map(str, folders))})",
        path=source, remedy=f"Download {SOURCE}/{kind}/{entry.file} to one of these folders"
        + (f", or use {equivalent}" if equivalent else ""),
    )  # fmt: skip


def _may_be_name(name: str, kind: Kind) -> bool:
    if not re.fullmatch(r"[\w.-]+", name):
        return False
    return name.startswith(f"{kind}.") or not name.endswith(_SUFFIXES)


def name_key(name: str) -> str:
    """Normalizes a name for comparison: Anserini and Pyserini differ in dots, hyphens and underscores."""
    return re.sub(r"[._]", "-", name.lower())


def names_of_file(file: str) -> tuple[str, str]:
    """The keys derived from a file's own name: ``topics.robust04.txt`` is also ``robust04``."""
    return name_key(_stem(file)), name_key(file)


@lru_cache
def files_by_name(kind: Kind) -> Mapping[str, _Entry]:
    """Maps the keys of all names (:func:`name_key`) to their files."""
    table = json.loads(NAMES_FILE.read_text(encoding="utf-8"))[kind]
    entries = {file: _Entry(file, record.get("reader", "")) for file, record in table.items()}
    names = {key: entry for file, entry in entries.items() for key in table[file]["names"]}
    for file, entry in entries.items():
        for key in names_of_file(file):
            names.setdefault(key, entry)
    return names


def _stem(file: str) -> str:
    return re.sub(r"^(topics|qrels)\.|(\.(txt|tsv|jsonl?|gz|xml))+$", "", file)


def _ir_datasets_equivalent(file: str) -> str | None:
    """The data set of ir_datasets with the same topics and judgments, if there is one."""
    stem = _stem(file)
    beir = re.fullmatch(r"beir-v1\.0\.0-(.+)\.test", stem)
    if beir is None or beir[1] in _BEIR_NOT_FREE:
        return PREFIX + _EQUIVALENTS[stem] if stem in _EQUIVALENTS else None
    name = beir[1].replace("cqadupstack-", "cqadupstack/").replace("touche2020", "touche2020/v2")
    return f"{PREFIX}beir/{name}" + ("/test" if name in _BEIR_WITH_TEST else "")


# ---- reading with Anserini and ir_datasets ----


def read_with_anserini(path: Path, reader: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Reads topics with one of Anserini's readers, for formats used by a single track.

    Yields:
        qid, and those of the fields title, desc and narr that the topic has; sorted by qid, numbers numerically.

    Raises:
        TopicsError: The reader rejects the file.
    """
    try:
        with jvm.translated_exceptions(path):
            packed = wire.to_bytes(jvm.facade("Runtime").readTopics(reader, jvm.java_path(path)))
    except JavaError as error:
        raise TopicsError(
            f"Anserini's {reader} cannot read this file ({error})", path=path, remedy="Download it again"
        ) from error
    found: dict[str, dict[str, str]] = {}
    for qid, field, value in wire.unpack_rows(packed, 3):
        found.setdefault(qid, {})[field] = value
    for qid in sorted(found, key=lambda qid: (not qid.isdigit(), int(qid) if qid.isdigit() else 0, qid)):
        fields = found[qid]
        yield qid, {name: " ".join(fields[key].split()) for name, key in _ANSERINI_FIELDS.items() if key in fields}


_ANSERINI_FIELDS = {"title": "title", "desc": "description", "narr": "narrative"}


def read_ir_datasets_topics(name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Reads topics from ir_datasets.

    Yields:
        qid, and those of the fields title (or the text), desc and narr that the topic has.

    Raises:
        MissingDependencyError: ir_datasets is not installed.
        TopicsError: The data set is unknown or has no topics.
    """
    for query in read_records(_open_ir_datasets(name, "topics").queries_iter, name, TopicsError):
        title = getattr(query, "title", None) or query.default_text()
        values = {
            "title": title,
            "desc": getattr(query, "description", None),
            "narr": getattr(query, "narrative", None),
        }
        yield str(query.query_id), {field: " ".join(text.split()) for field, text in values.items() if text}


def _write_ir_datasets_qrels(name: str) -> Path:
    path = cache_folder() / _FOLDER / f"qrels.irds.{quote(name, safe='')}.txt"
    if not path.exists():
        judgments = _open_ir_datasets(name, "qrels")
        with atomic_text_writer(path) as file:
            for each in read_records(judgments.qrels_iter, name, _ERRORS["qrels"]):
                file.write(f"{each.query_id} 0 {each.doc_id} {each.relevance}\n")
    return path


def _open_ir_datasets(name: str, kind: Kind) -> Any:
    dataset = open_ir_dataset(name, _ERRORS[kind])
    if not (dataset.has_queries() if kind == "topics" else dataset.has_qrels()):
        raise _ERRORS[kind](f"irds:{name} has no {kind}", remedy="Use one of its subsets, such as …/dev")
    return dataset
