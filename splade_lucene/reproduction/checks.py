"""Consistency checks of an entry, beyond the types of its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from splade_lucene.counts import counted
from splade_lucene.errors import CatalogueError, RunError
from splade_lucene.quantizer import RULES
from splade_lucene.reproduction.archives import is_archive
from splade_lucene.reproduction.entries import Download, Entry

DIGITS = {"md5": 32, "sha256": 64, "git-blob": 40}
"""Kind of checksum → hexadecimal digits."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SIZE = re.compile(r"\d+(\.\d+)? [kMGT]?B")


def check_entry(entry: Entry, *, prebuilt: bool = False) -> list[str]:
    """Checks an entry for consistency.

    Args:
        entry: The entry.
        prebuilt: Whether the published index is used.

    Returns:
        Notes that are not errors: files without a checksum, or without a download address.

    Raises:
        CatalogueError: A value is invalid or contradicts another; the message names file and key.
    """
    if prebuilt and entry.system.prebuilt is None:
        raise CatalogueError(f"{entry.name}: no index is published for this entry", remedy="Leave out prebuilt=True")
    for problem in _problems(entry):
        raise CatalogueError(f"{entry.name}: {problem}", path=entry.path, remedy="Fix the entry")
    notes = []
    for download in entry.downloads(prebuilt=prebuilt):
        if download.built_in:
            continue
        if not download.checksum:
            notes.append(f"no checksum is published for {download.file}: only its size is checked, if known")
        if not download.url:
            notes.append(
                f"{download.file} cannot be downloaded: {download.note or 'put it into a folder and pass that as mirror=…'}"
            )
    if not prebuilt and not entry.system.corpus.file and not entry.system.corpus.source:
        alternative = ": pass prebuilt=True, or" if entry.system.prebuilt else ":"
        notes.append(
            f"the corpus {entry.system.corpus.name} cannot be downloaded{alternative} {entry.system.corpus.note}"
        )
    return notes


def _problems(entry: Entry) -> Iterator[str]:  # noqa: C901 - a rule a branch
    system = entry.system
    for name in (entry.collection, system.name, system.corpus.name):
        if not _NAME.fullmatch(name):
            yield f"the name {name!r} has characters other than letters, digits, '.', '_' and '-'"
    yield from _count_problems(entry)
    for download in (*entry.downloads(), *([system.prebuilt] if system.prebuilt else [])):
        yield from _download_problems(download)
    yield from _member_problems(entry)
    if system.corpus.file and system.corpus.source:
        yield "the corpus has both file and source"
    if system.method == "impacts":
        if not system.topics.encoded:
            yield "method impacts needs encoded topics"
        if system.query_scale is None or not system.quantization:
            yield "method impacts needs query_scale and quantization"
        if system.quantizer or system.model:
            yield "model and quantizer apply to method encode only"
    elif system.topics.encoded:
        yield f"method {system.method} needs topics as text"
    elif system.method == "encode":
        yield from _model_problems(entry)
    for name, value in system.published.items():
        if not 0 <= value <= 1:
            yield f"published {name} is {value}, expected a value between 0 and 1"
    if not system.published:
        yield "published figures are missing"
    yield from _measure_problems(entry)


def _member_problems(entry: Entry) -> Iterator[str]:
    corpus = entry.system.corpus
    for download in (entry.system.topics, entry.qrels):
        if not download.member:
            continue
        if not is_archive(corpus.file) or (download.file, download.checksum) != (corpus.file, corpus.checksum):
            yield f"{download.file!r} has a member {download.member!r}, but is not the archive of the corpus"
        yield from _path_problems(download.member)


def _count_problems(entry: Entry) -> Iterator[str]:
    system = entry.system
    for name, value in (
        ("documents", entry.documents), ("judged", entry.judged), ("topics.count", system.topics.count),
        ("hits", system.hits), ("total_terms", system.total_terms), ("max_length", system.max_length),
        ("document_scale", system.document_scale), ("query_scale", system.query_scale),
    ):  # fmt: skip
        if value is not None and value <= 0:
            yield f"{name} is {value}, expected a value above 0"
    if system.topics.count < entry.judged:
        yield f"{counted(entry.judged, 'query', 'is', 'are')} judged, but there are only {system.topics.count} topics"
    if not 0 <= system.tolerance < 1:
        yield f"tolerance is {system.tolerance}, expected a value from 0 to below 1"


def _download_problems(download: Download) -> Iterator[str]:
    yield from _path_problems(download.file)
    if download.url and not download.url.startswith(("https://", "http://")):
        yield f"the address {download.url!r} is not an HTTP address"
    kind, _, digits = download.checksum.partition(":")
    if download.checksum and not re.fullmatch(rf"[0-9a-f]{{{DIGITS.get(kind, 0)}}}", digits):
        yield f"{download.checksum!r} is not a valid checksum ({', '.join(DIGITS)})"
    if download.published_size and not _SIZE.fullmatch(download.published_size):
        yield f"the size {download.published_size!r} does not have the form 7.4 GB"
    if download.size is not None and download.size <= 0:
        yield f"the size of {download.file} is {download.size}, expected a value above 0"


def _path_problems(path: str) -> Iterator[str]:
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        yield f"the file {path!r} is not a relative path"


def _model_problems(entry: Entry) -> Iterator[str]:
    system = entry.system
    rule = RULES.get(system.quantizer)
    if not system.model or rule is None:
        yield f"method encode needs a model, and a quantizer (one of {', '.join(RULES)})"
        return
    scales = (system.document_scale, system.query_scale)
    if scales != (rule.document.scale, rule.query.scale):
        yield f"the scales {scales} do not match the quantizer {system.quantizer}"


def _measure_problems(entry: Entry) -> Iterator[str]:
    from splade_lucene.evaluation import parse_measure

    for name in entry.system.published:
        try:
            parse_measure(name)
        except RunError as error:
            yield str(error)
