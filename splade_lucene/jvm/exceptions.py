"""Translates Java exceptions into this package's errors, with a table from Java class names to error messages."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from splade_lucene.errors import (
    DamagedIndexError,
    IndexAccessError,
    IndexVersionError,
    JavaError,
    NotAnIndexError,
    SearchCancelledError,
    SpladeLuceneError,
    StorageError,
)
from splade_lucene.files.locks import lock_holder, process_text


class _Rule(NamedTuple):
    """How to translate an exception.

    Attributes:
        error: The error to raise instead.
        message: Its message. {message} is Java's message, {name} is the exception's name, {holder} says who is writing to
            the index, and {lucene} and {anserini} are the installed versions.
        contains: Text that Java's message must contain for the rule to apply.
        needs_path: Whether the rule applies only if the index or file concerned is known.
        needs_index: Whether the rule applies only if there is an index, however damaged.
    """

    error: type[SpladeLuceneError]
    message: str
    contains: str = ""
    needs_path: bool = False
    needs_index: bool = False


CLOSED = "this searcher or index is closed. Open it again."

_NO_INDEX = _Rule(
    NotAnIndexError, "no Lucene index was found here. Build one with 'splade-lucene build' or 'splade-lucene index'."
)
_NEWER = _Rule(
    IndexVersionError,
    "this index was written by a newer Lucene than the installed one ({lucene}, from pyserini's Anserini {anserini}). "
    "Install pyserini 2.x (Python 3.12 or newer), or rebuild the index here.",
)
_OLDER = _Rule(
    IndexVersionError,
    "this index is too old for the installed Lucene ({lucene}, from pyserini's Anserini {anserini}). Rebuild it here.",
)
_NOT_IMPACTS = _Rule(
    NotAnIndexError,
    "this Lucene index is not an impact index ({message}). Search text indexes with 'splade-lucene bm25 search'.",
)
_DAMAGED = _Rule(
    DamagedIndexError,
    "this index is damaged: {message}. Restore it from a copy, or build it again; 'splade-lucene check' names the files.",
)
_UNEXPECTED = _Rule(
    IndexAccessError,
    "this index cannot be read ({message}, {name}). Its files may be damaged: 'splade-lucene check' names those that are.",
)
_LOST_LOCK = _Rule(
    StorageError,
    "the lock file write.lock was deleted or changed by another program, so this writer has stopped, and what it had not "
    "committed is lost. If no other process is writing to this index, delete write.lock, and open the index again.",
)
_DISK = _Rule(StorageError, "{message} ({name}). Check the free disk space, the permissions and the file.")

_RULES: dict[str, tuple[_Rule, ...]] = {
    "IndexNotFoundException": (_NO_INDEX,),
    "NoSuchFileException": (
        _LOST_LOCK._replace(contains="/write.lock", needs_index=True),
        _DAMAGED._replace(message=_DAMAGED.message.replace("{message}", "{message} is missing"), needs_index=True),
        _NO_INDEX._replace(needs_path=True),
        _DISK,
    ),
    "CorruptIndexException": (_DAMAGED,),
    "EOFException": (_DAMAGED._replace(contains="read past EOF"), _DISK),  # Lucene's message for a truncated file
    "IndexFormatTooNewException": (_NEWER,),
    "IndexFormatTooOldException": (_OLDER,),
    "IllegalArgumentException": (
        # when Lucene 9.9 opens an index of Lucene 10, these errors come before the check of the format version
        _NEWER._replace(contains="indexCreatedVersionMajor is in the future"),
        _NEWER._replace(contains="org.apache.lucene.codecs.Codec with name"),
        _NOT_IMPACTS._replace(contains="frequencies"),
    ),
    "AlreadyClosedException": (
        _LOST_LOCK._replace(contains="NativeFSLock("),
        _Rule(IndexAccessError, CLOSED),
    ),
    "CancellationException": (_Rule(SearchCancelledError, "{message}"),),
    "LockObtainFailedException": (_Rule(StorageError, "{holder}. Wait until it has finished, or stop it."),),
    "InvalidPathException": (
        _Rule(
            StorageError, "{message}: this JVM was started in a locale that lacks some characters. Set LC_ALL=C.UTF-8."
        ),
    ),
    "OutOfMemoryError": (
        _Rule(
            StorageError,
            "Java ran out of memory. Set SPLADE_LUCENE_HEAP to a larger size, such as 8g. If that does not help, the index "
            "may be damaged: 'splade-lucene check' names the files.",
            needs_index=True,
        ),
        _Rule(StorageError, "Java ran out of memory. Set SPLADE_LUCENE_HEAP to a larger size, such as 8g."),
    ),
    **dict.fromkeys(
        (
            "FileSystemException",
            "AccessDeniedException",
            "ReadOnlyFileSystemException",
            "IOException",
            "ZipException",
        ),
        (_DISK,),
    ),
}
"""Name of a Java class, without its package → its rules, of which the first that applies is used."""


def translate(
    java_class: str, message: str, trace: tuple[str, ...], *, where: str, versions: Callable[[], Mapping[str, str]],
    damage: Callable[[str], str],
) -> SpladeLuceneError:  # fmt: skip
    """Translates a Java exception into the error to raise instead.

    Args:
        java_class: Its class.
        message: Its message.
        trace: Its stack trace, one line per entry.
        where: The index or file concerned; empty if there is none.
        versions: Returns the installed versions; called only if the message includes them.
        damage: Says what is wrong with the file of an index that a message names; empty if its checksum is right. Called only
            for files that look like those of another Lucene.
    """
    name = java_class.rpartition(".")[2].rpartition("$")[2]
    prefix = f"{where}: " if where else ""
    for rule in _RULES.get(name, ()):
        applies = (where or not rule.needs_path) and (not rule.needs_index or _has_commit(where))
        if rule.contains in message and applies:
            facts = versions() if "{lucene}" in rule.message else {}
            holder = _holder(where) if "{holder}" in rule.message else ""
            if rule.error is IndexVersionError and _has_commit(where) and (found := damage(message)):
                rule, message = _DAMAGED, found  # the version number itself is damaged
            text = rule.message.format(message=message, name=name, holder=holder, **facts)
            return rule.error(prefix + text)
    if _has_commit(where):
        return _UNEXPECTED.error(prefix + _UNEXPECTED.message.format(message=message, name=name))
    return JavaError(f"{prefix}{message} ({java_class})", java_class, trace)


def unreadable(where: str, problem: object) -> SpladeLuceneError:
    """The error for an index with contents that no indexer writes.

    Args:
        where: The index.
        problem: What was found.
    """
    return _DAMAGED.error(f"{where}: " + _DAMAGED.message.format(message=problem))


def _has_commit(where: str) -> bool:
    return bool(where) and any(Path(where).glob("segments_*"))


def _holder(index_dir: str) -> str:
    """Says who is writing to an index."""
    holder = lock_holder(Path(index_dir) / "write.lock")
    if holder == os.getpid():
        return "this process is already writing to this index"
    named = "" if holder is None else f": {process_text(holder)}"
    return f"another process is writing to this index{named}"
