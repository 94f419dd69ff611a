"""Topics and judgments by name: Anserini's and Pyserini's names, and those of ir_datasets.

A name (``dl19-passage``, ``msmarco-passage-dev-subset``, ``beir-v1.0.0-scifact-test``) is looked up in a table that comes
with this package: the names of Anserini 1.x, of Pyserini 1.x, and of castorini/eval, which Anserini and Pyserini 2.x ask
over the network (``tools/collection_names.py`` writes it). The table holds names only; the files are looked for in these
folders:

1. those of ``SPLADE_LUCENE_COLLECTIONS``, separated as in ``PATH``,
2. ``tools/topics-and-qrels``, ``tools/topics`` and ``tools/qrels`` of an Anserini checkout that is the working folder,
3. ``topics-and-qrels``, ``topics`` and ``qrels`` in Pyserini's cache (``PYSERINI_CACHE``, else ``~/.cache/pyserini``),
   where Anserini 1.x and 2.x put them,
4. ``topics-and-qrels`` in this program's cache.

Nothing is fetched unasked, but for ``irds:NAME``, which ir_datasets fetches.
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
from splade_lucene.errors import InputError, JavaError, RunError, TopicsError
from splade_lucene.files import cache_folder, written_whole
from splade_lucene.irds import PREFIX, open_ir_dataset
from splade_lucene.jvm import wire

Kind = Literal["topics", "qrels"]

SOURCE = "https://raw.githubusercontent.com/castorini/eval/5b819c1a45c8a0a3ec9426f476694f44a29dfaf3"
"""Where Anserini 2.3 fetches these files from, out of ``topics`` and ``qrels`` there."""

NAMES_FILE = Path(__file__).parent.parent / "data" / "collection_names.json"
"""The table of names."""

_FOLDER = "topics-and-qrels"
_ERRORS: dict[Kind, type[InputError]] = {"topics": TopicsError, "qrels": RunError}
_SUFFIXES = (".tsv", ".txt", ".json", ".jsonl", ".gz", ".parquet", ".xml", ".trec", ".qrels", ".csv")
_ENCODED = re.compile(r"splade|unicoil|deepimpact")

_BEIR_WITH_TEST = frozenset({"dbpedia-entity", "fever", "fiqa", "hotpotqa", "nfcorpus", "quora", "scifact"})
_BEIR_ELSEWHERE = frozenset({"bioasq", "signal1m", "trec-news", "robust04"})  # not free, and not in ir_datasets' BEIR
_TWINS = {
    "msmarco-passage.dev-subset": "msmarco-passage/dev/small",
    **{f"dl{year}{part}": f"msmarco-passage/trec-dl-20{year}" for year in (19, 20) for part in ("", "-passage")},
    **{f"dl{year}{part}": f"msmarco-passage-v2/trec-dl-20{year}" for year in (21, 22, 23) for part in ("", "-passage")},
    "msmarco-v2-passage.dev": "msmarco-passage-v2/dev1",
    "msmarco-v2-passage.dev2": "msmarco-passage-v2/dev2",
    "robust04": "disks45/nocr/trec-robust-2004",
}


class TopicsFile(NamedTuple):
    """Where topics lie.

    Attributes:
        path: The file or folder.
        reader: Anserini's reader of topics that were found by name; empty for others.
        is_encoded: Whether topics that were found by name come encoded; None if that is not known.
    """

    path: Path
    reader: str = ""
    is_encoded: bool | None = None


def find_topics(source: str | Path) -> Path:
    """The file of topics that a path or a name of Anserini or Pyserini stands for.

    Raises:
        TopicsError: There is no such file or name, or the file is not on this machine; says where it comes from.
    """
    return locate_topics(source).path


def find_qrels(source: str | Path) -> Path:
    """The file of judgments that a path or a name of Anserini, Pyserini or ``irds:NAME`` stands for.

    Raises:
        RunError: There is no such file or name, or the file is not on this machine; says where it comes from.
        MissingDependencyError: ``irds:`` without ir_datasets.
    """
    if str(source).startswith(PREFIX):
        return _write_ir_datasets_qrels(str(source).removeprefix(PREFIX))
    path = Path(source)
    return path if path.exists() else _find("qrels", source)[0]


def locate_topics(source: str | Path) -> TopicsFile:
    """The same as :func:`find_topics`, with what a name says of the file."""
    path = Path(source)
    if path.exists():
        return TopicsFile(path)
    path, entry = _find("topics", source)
    return TopicsFile(path, entry.reader, bool(_ENCODED.search(entry.file)))


def collection_folders(*kinds: Kind) -> list[Path]:
    """Where topics, judgments or both are looked for, first things first."""
    given = [Path(each) for each in os.environ.get("SPLADE_LUCENE_COLLECTIONS", "").split(os.pathsep) if each]
    pyserini = Path(os.environ.get("PYSERINI_CACHE") or Path.home() / ".cache" / "pyserini")
    theirs = [parent / name for parent in (Path("tools"), pyserini) for name in (_FOLDER, *kinds)]
    return [*given, *theirs, cache_folder() / _FOLDER]


# ---- names ----


class _Entry(NamedTuple):
    file: str
    reader: str


def _find(kind: Kind, source: str | Path) -> tuple[Path, _Entry]:
    name = str(source)
    failure = _ERRORS[kind]
    if not _may_be_name(name, kind):
        raise failure("no such file", path=source, remedy="Check the path")
    names = named(kind)
    entry = names.get(name_key(name))
    if entry is None:
        near = [each for each in names if each.startswith(name_key(name))][:6]
        near = near or difflib.get_close_matches(name_key(name), names, n=6, cutoff=0.7)
        hint = f"Near it: {', '.join(near)}" if near else "Check the path, or see Anserini's names"
        raise failure(f"no such file, and Anserini knows no {kind} of this name", path=source, remedy=hint)
    folders = collection_folders(kind)
    for folder in folders:
        for file in (entry.file, f"{entry.file}.gz", entry.file.removesuffix(".gz")):
            if (folder / file).is_file():
                return folder / file, entry
    twin = _ir_datasets_twin(entry.file)
    raise failure(
        f"{entry.file}, for which this name stands, is not on this machine (looked in {', '.join(map(str, folders))})",
        path=source, remedy=f"Fetch {SOURCE}/{kind}/{entry.file} into one of them" + (f", or write {twin}" if twin else ""),
    )  # fmt: skip


def _may_be_name(name: str, kind: Kind) -> bool:
    if not re.fullmatch(r"[\w.-]+", name):
        return False
    return name.startswith(f"{kind}.") or not name.endswith(_SUFFIXES)


def name_key(name: str) -> str:
    """A name in the form in which names are compared: Anserini and Pyserini differ in dots, hyphens and underscores."""
    return re.sub(r"[._]", "-", name.lower())


def names_of_file(file: str) -> tuple[str, str]:
    """The keys that a file goes by because of how it is called: ``topics.robust04.txt`` is ``robust04``, too."""
    return name_key(_stem(file)), name_key(file)


@lru_cache
def named(kind: Kind) -> Mapping[str, _Entry]:
    """What names stand for, by their keys (:func:`name_key`)."""
    table = json.loads(NAMES_FILE.read_text(encoding="utf-8"))[kind]
    entries = {file: _Entry(file, record.get("reader", "")) for file, record in table.items()}
    names = {key: entry for file, entry in entries.items() for key in table[file]["names"]}
    for file, entry in entries.items():
        for key in names_of_file(file):
            names.setdefault(key, entry)
    return names


def _stem(file: str) -> str:
    return re.sub(r"^(topics|qrels)\.|(\.(txt|tsv|jsonl?|gz|xml))+$", "", file)


def _ir_datasets_twin(file: str) -> str | None:
    """The data set of ir_datasets with the same topics and judgments, where there is one."""
    stem = _stem(file)
    beir = re.fullmatch(r"beir-v1\.0\.0-(.+)\.test", stem)
    if beir is None or beir[1] in _BEIR_ELSEWHERE:
        return PREFIX + _TWINS[stem] if stem in _TWINS else None
    name = beir[1].replace("cqadupstack-", "cqadupstack/").replace("touche2020", "touche2020/v2")
    return f"{PREFIX}beir/{name}" + ("/test" if name in _BEIR_WITH_TEST else "")


# ---- what others read ----


def read_with_anserini(path: Path, reader: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Topics by one of Anserini's own readers, for the forms of single tracks.

    Yields:
        qid, and the fields title, desc and narr where the topic has them; by qid, numbers in their order.

    Raises:
        TopicsError: The reader refuses the file.
    """
    try:
        with jvm.translated_exceptions(path):
            packed = wire.to_bytes(jvm.facade("Runtime").readTopics(reader, jvm.java_path(path)))
    except JavaError as error:
        raise TopicsError(
            f"Anserini's {reader} refuses this file ({error})", path=path, remedy="Fetch it again"
        ) from error
    found: dict[str, dict[str, str]] = {}
    for qid, field, value in wire.unpack_rows(packed, 3):
        found.setdefault(qid, {})[field] = value
    for qid in sorted(found, key=lambda qid: (not qid.isdigit(), int(qid) if qid.isdigit() else 0, qid)):
        fields = found[qid]
        yield qid, {name: " ".join(fields[key].split()) for name, key in _ANSERINI_FIELDS.items() if key in fields}


_ANSERINI_FIELDS = {"title": "title", "desc": "description", "narr": "narrative"}


def read_ir_datasets_topics(name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Topics of ir_datasets.

    Yields:
        qid, and the fields title (or the text), desc and narr where the topic has them.

    Raises:
        MissingDependencyError: ir_datasets is not installed.
        TopicsError: There is no such data set, or it has no topics.
    """
    for query in _open_ir_datasets(name, "topics").queries_iter():
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
        with written_whole(path) as file:
            for each in judgments.qrels_iter():
                file.write(f"{each.query_id} 0 {each.doc_id} {each.relevance}\n")
    return path


def _open_ir_datasets(name: str, kind: Kind) -> Any:
    dataset = open_ir_dataset(name, _ERRORS[kind])
    if not (dataset.has_queries() if kind == "topics" else dataset.has_qrels()):
        raise _ERRORS[kind](f"irds:{name} has no {kind}", remedy="Name one of its subsets, such as …/dev")
    return dataset
