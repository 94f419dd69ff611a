"""The exception hierarchy.

    SpladeLuceneError
    ├── InputError             a file or value given by the user is wrong; names the file and line
    │   ├── CorpusError        documents
    │   ├── TopicsError        queries
    │   ├── PseudoDocumentError  encoded documents
    │   ├── RunError           run files and judgments
    │   ├── QueryError         a query given to a searcher
    │   ├── ConfigError        the configuration of a training run
    │   ├── ExamplesError      training examples
    │   └── CatalogueError     an entry in the catalogue of published figures
    ├── DownloadError          a file cannot be downloaded, or differs from the published one
    ├── TrainingError          a training run cannot continue
    ├── ModelError             a checkpoint is missing, incomplete or has an unknown layout
    ├── JavaRuntimeError       no usable Java, or the running JVM cannot be used
    ├── ForkedProcessError     a process was forked while Java or an encoder was in use
    ├── ProcessBoundError      an object that belongs to one process cannot be pickled or copied
    ├── IndexAccessError       an index cannot be opened
    │   ├── NotAnIndexError    the path is not an impact index
    │   ├── IndexVersionError  the index was written by a newer Lucene than the installed one
    │   └── DamagedIndexError  files of the index have changed since they were written
    ├── EngineError            another engine cannot be reached, or refuses a request
    ├── StorageError           a disk error: full, read-only, locked, damaged
    ├── SearchCancelledError   a search was stopped by another thread
    ├── MissingDependencyError an optional package is not installed
    └── JavaError              any other Java exception, with its class and stack trace

Messages state what was expected, what was found, where, and what to do about it.
"""

from __future__ import annotations

from pathlib import Path

_REPEATED = 80  # characters of a quoted text in a message


class SpladeLuceneError(Exception):
    """Base class of all errors raised by this package. A message that repeats a very long value is cut in its middle."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message if len(message) <= 4000 else f"{message[:2500]} … {message[-1000:]}")


class InputError(SpladeLuceneError):
    """A file or value given by the user is wrong.

    Args:
        message: What is wrong and what was expected.
        path: The file concerned, if any.
        line: Line number in the file, from 1.
        remedy: What to do about it.
    """

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None, remedy: str = ""
    ) -> None:
        self.path = None if path is None else Path(path)
        self.line = line
        self.remedy = remedy
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(f"{where}{message}" + (f". {remedy}" if remedy else ""))


class CorpusError(InputError):
    """Documents cannot be read."""


class TopicsError(InputError):
    """Queries cannot be read."""


class PseudoDocumentError(InputError):
    """Encoded documents cannot be indexed."""


class RunError(InputError):
    """A run or judgments cannot be read or written."""


class QueryError(InputError):
    """A query cannot be searched."""


class ConfigError(InputError):
    """The configuration of a training run has wrong keys or values."""


class ExamplesError(InputError):
    """Training examples (pairs, triples or scored lists) cannot be used."""


class CatalogueError(InputError):
    """An entry in the catalogue of published figures cannot be read or is inconsistent."""


class DownloadError(SpladeLuceneError):
    """A file cannot be downloaded, or differs from the published one."""


class TrainingError(SpladeLuceneError):
    """A training run cannot continue."""


class ModelError(SpladeLuceneError):
    """A checkpoint cannot be used."""


class JavaRuntimeError(SpladeLuceneError):
    """No usable Java runtime was found, or the running JVM cannot be used."""


class ForkedProcessError(SpladeLuceneError):
    """The process was forked while Java or an encoder was in use, and cannot use them."""


class ProcessBoundError(SpladeLuceneError, TypeError):
    """An object that belongs to one process cannot be pickled or copied; pickle's callers expect a ``TypeError``."""


class IndexAccessError(SpladeLuceneError):
    """An index cannot be opened."""


class NotAnIndexError(IndexAccessError):
    """The given path is not an impact index."""


class IndexVersionError(IndexAccessError):
    """The index was written by a newer Lucene than the installed one."""


class DamagedIndexError(IndexAccessError):
    """Files of the index have changed since they were written."""


class EngineError(SpladeLuceneError):
    """Another engine cannot be reached, or refuses a request.

    Args:
        message: What happened, and what to do about it.
        status: The status of the HTTP answer; None if there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class StorageError(SpladeLuceneError):
    """Reading from or writing to the disk failed."""


class SearchCancelledError(SpladeLuceneError):
    """A search was stopped by another thread, and has no hits."""


class MissingDependencyError(SpladeLuceneError):
    """An optional package is not installed."""


class JavaError(SpladeLuceneError):
    """A Java exception without a more specific class here.

    Args:
        message: The exception's message.
        java_class: Name of its Java class.
        trace: Its stack trace, one entry per line.
    """

    def __init__(self, message: str, java_class: str = "", trace: tuple[str, ...] = ()) -> None:
        self.java_class = java_class
        self.trace = trace
        super().__init__(message)


def system_reason(error: Exception) -> str:
    """Why something failed: what the operating system says, or else the error's own text."""
    return getattr(error, "strerror", None) or str(error)


def shortened(text: str) -> str:
    """A text as a message repeats it: a long one without its end."""
    return text if len(text) <= _REPEATED else text[:_REPEATED] + "…"


def first_line(error: Exception) -> str:
    r"""The first line of another library's error, without its full stop; its type if it has no message.

    A line that ends in a colon announces the next one.

    Example:
        >>> first_line(ValueError("Invalid.\nMore")), first_line(ValueError("Field x:\n  expected int"))
        ('Invalid', 'Field x: expected int')
        >>> first_line(KeyError("gelo")), first_line(ValueError())
        ("KeyError: 'gelo'", 'ValueError')
    """
    if isinstance(error, KeyError) and error.args:
        return f"{type(error).__name__}: {error.args[0]!r}"  # str(KeyError) is only the key
    first, *others = (str(error).strip() or type(error).__name__).splitlines()
    while first.endswith(":") and others:
        first = f"{first} {others.pop(0).strip()}"
    return first.rstrip(".")
