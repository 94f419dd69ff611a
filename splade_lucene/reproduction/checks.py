"""Whether an entry fits together: what the types of its keys do not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from splade_lucene.errors import CatalogueError, RunError
from splade_lucene.quantizer import RULES
from splade_lucene.reproduction.entries import Download, Entry

DIGITS = {"md5": 32, "sha256": 64, "git-blob": 40}
"""Kind of checksum → hexadecimal digits."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SIZE = re.compile(r"\d+(\.\d+)? [kMGT]?B")


def check_entry(entry: Entry, *, prebuilt: bool = False) -> list[str]:
    """Checks an entry against itself.

    Args:
        entry: The entry.
        prebuilt: It is to be run on the published index.

    Returns:
        What a reader should know though it is no fault: files without a checksum or without a place to fetch them from.

    Raises:
        CatalogueError: Two of its facts exclude each other, or one is impossible; names file and key.
    """
    if prebuilt and entry.system.prebuilt is None:
        raise CatalogueError(f"{entry.name}: no index of it is published", remedy="Leave --prebuilt out")
    for problem in _problems(entry):
        raise CatalogueError(f"{entry.name}: {problem}", path=entry.path, remedy="Correct the entry")
    notes = []
    for download in entry.downloads(prebuilt=prebuilt):
        if download.built_in:
            continue
        if not download.checksum:
            notes.append(f"no checksum of {download.file} is published: only its size is checked, if that is known")
        if not download.url:
            notes.append(f"{download.file} is not served: {download.note or 'put it into a folder for --mirror'}")
    if not prebuilt and not entry.system.corpus.file and not entry.system.corpus.source:
        where = ": give --prebuilt, or" if entry.system.prebuilt else ":"
        notes.append(f"the corpus {entry.system.corpus.name} is not served{where} {entry.system.corpus.note}")
    return notes


def _problems(entry: Entry) -> Iterator[str]:  # noqa: C901 - a rule a branch
    system = entry.system
    for name in (entry.collection, system.name, system.corpus.name):
        if not _NAME.fullmatch(name):
            yield f"the name {name!r} has other characters than letters, digits, '.', '_' and '-'"
    yield from _counts(entry)
    for download in (*entry.downloads(), *([system.prebuilt] if system.prebuilt else [])):
        yield from _of_download(download)
    if system.corpus.file and system.corpus.source:
        yield "the corpus has both file and source"
    if system.method == "impacts":
        if not system.topics.encoded:
            yield "method impacts needs topics that are encoded"
        if system.query_scale is None or not system.quantization:
            yield "method impacts needs query_scale and quantization"
        if system.quantizer or system.model:
            yield "model and quantizer are for method encode"
    elif system.topics.encoded:
        yield f"method {system.method} needs topics that are texts"
    elif system.method == "encode":
        yield from _of_model(entry)
    for name, value in system.published.items():
        if not 0 <= value <= 1:
            yield f"published {name} is {value}, which is not between 0 and 1"
    if not system.published:
        yield "no figure is published"
    yield from _measures(entry)


def _counts(entry: Entry) -> Iterator[str]:
    system = entry.system
    for name, value in (
        ("documents", entry.documents), ("judged", entry.judged), ("topics.count", system.topics.count),
        ("hits", system.hits), ("total_terms", system.total_terms), ("max_length", system.max_length),
        ("document_scale", system.document_scale), ("query_scale", system.query_scale),
    ):  # fmt: skip
        if value is not None and value <= 0:
            yield f"{name} is {value}, which is not above 0"
    if system.topics.count < entry.judged:
        yield f"{entry.judged} queries have judgments, and there are only {system.topics.count}"
    if not 0 <= system.tolerance < 1:
        yield f"tolerance is {system.tolerance}"


def _of_download(download: Download) -> Iterator[str]:
    parts = PurePosixPath(download.file).parts
    if not parts or parts[0] == "/" or ".." in parts:
        yield f"the file {download.file!r} is no relative name"
    if download.url and not download.url.startswith(("https://", "http://")):
        yield f"the address {download.url!r} is not http"
    kind, _, digits = download.checksum.partition(":")
    if download.checksum and not re.fullmatch(rf"[0-9a-f]{{{DIGITS.get(kind, 0)}}}", digits):
        yield f"{download.checksum!r} is no checksum of the kinds {', '.join(DIGITS)}"
    if download.published_size and not _SIZE.fullmatch(download.published_size):
        yield f"the size {download.published_size!r} is not written as 7.4 GB"
    if download.size is not None and download.size <= 0:
        yield f"the size of {download.file} is {download.size}"


def _of_model(entry: Entry) -> Iterator[str]:
    system = entry.system
    rule = RULES.get(system.quantizer)
    if not system.model or rule is None:
        yield f"method encode needs a model, and a quantizer of {', '.join(RULES)}"
        return
    scales = (system.document_scale, system.query_scale)
    if scales != (rule.document.scale, rule.query.scale):
        yield f"the scales {scales} are not those of the quantizer {system.quantizer}"


def _measures(entry: Entry) -> Iterator[str]:
    from splade_lucene.evaluation import parse_measure

    for name in entry.system.published:
        try:
            parse_measure(name)
        except RunError as error:
            yield str(error)
