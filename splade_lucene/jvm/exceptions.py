"""Java's exceptions as errors of ours: one table, from the name of a Java class to what a user is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from splade_lucene.errors import (
    IndexAccessError,
    IndexVersionError,
    JavaError,
    NotAnIndexError,
    PseudoDocumentError,
    SpladeLuceneError,
    StorageError,
)


class _Rule(NamedTuple):
    """What some exceptions mean.

    Attributes:
        error: What is raised in their place.
        message: What it says; {message} is Java's own message, {name} the exception's name, {lucene} and {anserini} are
            the installed versions.
        contains: Part of Java's message that tells these exceptions from others of the same class.
        needs_place: Whether this holds only where an index or a file is known that the call was about.
        names_place: Whether Java's message names the place itself.
    """

    error: type[SpladeLuceneError]
    message: str
    contains: str = ""
    needs_place: bool = False
    names_place: bool = False


_NO_INDEX = _Rule(
    NotAnIndexError, "there is no Lucene index here. Build one with 'splade-lucene build' or 'splade-lucene index'."
)
_NEWER = _Rule(
    IndexVersionError,
    "a newer Lucene than the installed one ({lucene}, from pyserini's Anserini {anserini}) wrote this index. Install "
    "pyserini 2.x (Python 3.12 or newer), or build the index again here.",
)
_OLDER = _Rule(
    IndexVersionError,
    "this index is too old for the installed Lucene ({lucene}, from pyserini's Anserini {anserini}). Build it again here.",
)
_NOT_IMPACTS = _Rule(
    NotAnIndexError,
    "this Lucene index is not an impact index ({message}). Search an index of texts with 'splade-lucene bm25 search'.",
)
_DISK = _Rule(StorageError, "{message} ({name}). Check the disk's space and permissions, and the file.")

_RULES: dict[str, tuple[_Rule, ...]] = {
    "IndexNotFoundException": (_NO_INDEX,),
    "NoSuchFileException": (_NO_INDEX._replace(needs_place=True), _DISK),
    "IndexFormatTooNewException": (_NEWER,),
    "IndexFormatTooOldException": (_OLDER,),
    "IllegalArgumentException": (
        # Lucene 9.9 meets an index of Lucene 10 before it looks at the format
        _NEWER._replace(contains="indexCreatedVersionMajor is in the future"),
        _NEWER._replace(contains="org.apache.lucene.codecs.Codec with name"),
        _NOT_IMPACTS._replace(contains="frequencies"),
    ),
    "UnreadableInput": (_Rule(PseudoDocumentError, "{message}. Encode or download it again", names_place=True),),
    "AlreadyClosedException": (_Rule(IndexAccessError, "this searcher or index is closed. Open it again."),),
    "LockObtainFailedException": (
        _Rule(StorageError, "another process is writing to this index. Wait until it is done, or end it."),
    ),
    "OutOfMemoryError": (
        _Rule(StorageError, "Java's heap is full. Set SPLADE_LUCENE_HEAP to a larger size, such as 8g."),
    ),
    **dict.fromkeys(
        (
            "CorruptIndexException",
            "EOFException",
            "FileSystemException",
            "AccessDeniedException",
            "ReadOnlyFileSystemException",
            "IOException",
            "ZipException",
        ),
        (_DISK,),
    ),
}
"""Name of a Java class, without its package → what it means: the first rule that applies."""


def translate(
    java_class: str, message: str, trace: tuple[str, ...], *, where: str, versions: Callable[[], Mapping[str, str]]
) -> SpladeLuceneError:
    """The error to raise in place of a Java exception.

    Args:
        java_class: Its class.
        message: Its message.
        trace: Its stack trace, one line an entry.
        where: The index or file that the call was about; empty if there is none.
        versions: Asked for the installed versions where the message names them.
    """
    name = java_class.rpartition(".")[2].rpartition("$")[2]
    place = f"{where}: " if where else ""
    for rule in _RULES.get(name, ()):
        if rule.contains in message and (where or not rule.needs_place):
            facts = versions() if "{lucene}" in rule.message else {}
            told = rule.message.format(message=message, name=name, **facts)
            return rule.error(told if rule.names_place else place + told)
    return JavaError(f"{place}{message} ({java_class})", java_class, trace)
