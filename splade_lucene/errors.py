"""Everything that can go wrong, as one tree.

    SpladeLuceneError
    ├── InputError             a file or value given by the user is wrong; says where
    │   ├── CorpusError        documents
    │   ├── TopicsError        queries
    │   ├── PseudoDocumentError  encoded documents
    │   ├── RunError           run files and judgments
    │   ├── QueryError         a query given to a searcher
    │   ├── ConfigError        the description of a training run
    │   ├── ExamplesError      what a model is trained on
    │   └── CatalogueError     an entry of the catalogue of published figures
    ├── DownloadError          a file cannot be fetched, or is not the one that was published
    ├── TrainingError          a training run that cannot go on
    ├── ModelError             a checkpoint is missing, incomplete or of an unknown layout
    ├── JavaRuntimeError       no usable Java, or the JVM that runs cannot serve
    ├── ForkedProcessError     a process was forked while Java or an encoder was in use
    ├── IndexAccessError       an index cannot be opened
    │   ├── NotAnIndexError    nothing there that is an impact index
    │   └── IndexVersionError  written by a Lucene newer than the installed one
    ├── StorageError           the disk refused: full, read-only, locked, damaged
    ├── MissingDependencyError an optional package is not installed
    └── JavaError              any other exception of the Java side, with its class and trace

A message says what was expected, what was found, where, and what to do.
"""

from __future__ import annotations

from pathlib import Path


class SpladeLuceneError(Exception):
    """Base of all errors that this package raises on purpose."""


class InputError(SpladeLuceneError):
    """A file or value given by the user is wrong.

    Args:
        message: What is wrong and what was expected.
        path: The file, if the fault lies in one.
        line: Its line, from 1.
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
    """Documents that cannot be read."""


class TopicsError(InputError):
    """Queries that cannot be read."""


class PseudoDocumentError(InputError):
    """Encoded documents that cannot be indexed."""


class RunError(InputError):
    """A run or judgments that cannot be read or written."""


class QueryError(InputError):
    """A query that cannot be searched."""


class ConfigError(InputError):
    """A description of a training run with wrong keys or values."""


class ExamplesError(InputError):
    """Pairs, triples or scored lists that cannot be trained on."""


class CatalogueError(InputError):
    """An entry of the catalogue of published figures that cannot be read or does not fit together."""


class DownloadError(SpladeLuceneError):
    """A file that cannot be fetched, or that is not the one that was published."""


class TrainingError(SpladeLuceneError):
    """A training run that cannot go on."""


class ModelError(SpladeLuceneError):
    """A checkpoint that cannot be used."""


class JavaRuntimeError(SpladeLuceneError):
    """No usable Java runtime, or the running one cannot serve."""


class ForkedProcessError(SpladeLuceneError):
    """A process that was forked while Java or an encoder was in use, and can use neither."""


class IndexAccessError(SpladeLuceneError):
    """An index that cannot be opened."""


class NotAnIndexError(IndexAccessError):
    """No impact index at the given place."""


class IndexVersionError(IndexAccessError):
    """An index of a newer Lucene than the installed one."""


class StorageError(SpladeLuceneError):
    """The disk refused to read or write."""


class MissingDependencyError(SpladeLuceneError):
    """An optional package that is not installed."""


class JavaError(SpladeLuceneError):
    """An exception of the Java side that has no name of its own here.

    Args:
        message: The exception's message.
        java_class: Its class.
        trace: Its stack trace, one line an entry.
    """

    def __init__(self, message: str, java_class: str = "", trace: tuple[str, ...] = ()) -> None:
        self.java_class = java_class
        self.trace = trace
        super().__init__(message)
