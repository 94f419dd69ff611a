"""The folder of an export while it is written: files in pieces, and a journal of those that are finished.

The folder gets its name when it is complete. Until then it is a hidden folder next to it, from which the same command
resumes after an interruption. A piece counts as finished only if its digest matches the journal.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from splade_lucene.engines.collection import Collection, ExportedDocument
from splade_lucene.files.files import atomic_bytes_writer, atomic_text_writer, file_digest, storage_error
from splade_lucene.files.json_text import compact_json, parse_json
from splade_lucene.files.typed_data import make
from splade_lucene.progress import Progress

JOURNAL = "export.journal"
_BYTES_A_TERM, _BYTES_A_DOCUMENT, _MOST_DOCUMENTS = 16, 2000, 50_000


@dataclass(frozen=True)
class Piece:
    """A file of documents.

    Attributes:
        name: Its name.
        documents: Number of documents.
        bytes: Its size.
        sha256: Its digest.
    """

    name: str
    documents: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class _Settings:
    settings: dict[str, Any]


class ExportFolder:
    """The folder of an export while it is written.

    Args:
        path: The folder, which exists.
        settings: What decides the contents of the pieces. Pieces of an export with other settings are deleted.
        progress: Reports the progress.

    Attributes:
        pieces: The finished pieces, in their order.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], progress: Progress) -> None:
        self.path, self._progress = path, progress
        self._journal = path / JOURNAL
        self.pieces: list[Piece] = self._finished(settings)
        self._delete_others()
        with atomic_text_writer(self._journal) as file:
            file.writelines(
                json.dumps(each) + "\n" for each in ({"settings": dict(settings)}, *map(asdict, self.pieces))
            )

    def _finished(self, settings: Mapping[str, Any]) -> list[Piece]:
        found: list[Piece] = []
        if not self._journal.is_file():
            return found
        first, *others = self._journal.read_text(encoding="utf-8", errors="replace").split("\n")
        try:
            if make(_Settings, parse_json(first)).settings != settings:
                return found
            for line in others[:-1]:
                piece = make(Piece, parse_json(line))
                path = self.path / piece.name
                if not path.is_file() or file_digest(path) != piece.sha256:
                    break
                found.append(piece)
        except ValueError:
            pass  # its last line is incomplete, because the export was interrupted
        return found

    def _delete_others(self) -> None:
        kept = {self._journal.name, *(piece.name for piece in self.pieces)}
        for path in self.path.iterdir():
            if path.name in kept:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file."""
        with atomic_text_writer(self.path / name) as file:
            file.write(text)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Opens a binary file, which appears when the block ends."""
        with atomic_bytes_writer(self.path / name) as file:
            yield file

    def read(self, collection: Collection, *, texts: bool = False) -> Iterator[ExportedDocument]:
        """All documents, for formats that are not written in pieces."""
        with self._progress.step("exporting", collection.num_docs, "documents") as advance:
            for document in collection.documents(texts=texts):
                yield document
                advance(1)

    def write_lines(
        self, collection: Collection, suffix: str, format_document: Callable[[ExportedDocument], bytes], *,
        piece_bytes: int, texts: bool = True,
    ) -> None:  # fmt: skip
        """Writes all documents to files ``documents-00000.SUFFIX`` and so on, of at most about the same size.

        Args:
            collection: The documents.
            suffix: The ending of the names, such as ``ndjson``.
            format_document: The bytes of a document, with the line break at its end.
            piece_bytes: The size at which a file ends.
            texts: Whether the documents come with their texts.
        """

        def write(file: BinaryIO, documents: Iterator[ExportedDocument]) -> None:
            size = 0
            for document in documents:
                line = format_document(document)
                file.write(line)
                size += len(line)
                if size >= piece_bytes:
                    return

        self._write_pieces(collection, suffix, write, texts=texts)

    def write_objects(
        self, collection: Collection, member: str, to_object: Callable[[ExportedDocument], dict[str, Any]], *,
        piece_bytes: int, texts: bool = True,
    ) -> None:  # fmt: skip
        """The same for files that are one JSON object with a list of documents.

        Args:
            collection: The documents.
            member: The name of the list.
            to_object: The JSON of a document.
            piece_bytes: The size at which a file ends.
            texts: Whether the documents come with their texts.
        """

        def write(file: BinaryIO, documents: Iterator[ExportedDocument]) -> None:
            size = file.write(f"{{{compact_json(member)}:[".encode())
            for number, document in enumerate(documents):
                size += file.write(f"{',' if number else ''}{compact_json(to_object(document))}".encode())
                if size >= piece_bytes:
                    break
            file.write(b"]}")

        self._write_pieces(collection, "json", write, texts=texts)

    def write_batches(
        self, collection: Collection, suffix: str, write_batch: Callable[[BinaryIO, list[ExportedDocument]], None], *,
        documents: int, texts: bool = True,
    ) -> None:  # fmt: skip
        """The same for files that are made of many documents at once.

        Args:
            collection: The documents.
            suffix: The ending of the names, such as ``parquet``.
            write_batch: Writes a file of some documents.
            documents: The number of documents in a file.
            texts: Whether the documents come with their texts.
        """

        def write(file: BinaryIO, remaining: Iterator[ExportedDocument]) -> None:
            write_batch(file, list(islice(remaining, documents)))

        self._write_pieces(collection, suffix, write, texts=texts)

    def _write_pieces(
        self, collection: Collection, suffix: str, write: Callable[[BinaryIO, Iterator[ExportedDocument]], None], *,
        texts: bool,
    ) -> None:  # fmt: skip
        finished = sum(piece.documents for piece in self.pieces)
        with self._progress.step("exporting", collection.num_docs, "documents") as advance:
            advance(finished, resumed=True)
            documents = _Counted(collection.documents(finished, texts=texts))
            while (first := next(documents, None)) is not None:
                name = f"documents-{len(self.pieces):05d}.{suffix}"
                before = documents.count - 1
                with self.open(name) as file:
                    write(file, chain([first], documents))
                path = self.path / name
                self._record(Piece(name, documents.count - before, path.stat().st_size, file_digest(path)))
                advance(documents.count - before)

    def _record(self, piece: Piece) -> None:
        self.pieces.append(piece)
        try:
            with (self.path / piece.name).open("rb") as written:
                os.fsync(written.fileno())
            with self._journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(piece)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(self._journal, error) from error

    def finish(self) -> None:
        """Deletes the journal, after everything is written."""
        self._journal.unlink(missing_ok=True)


class _Counted(Iterator[ExportedDocument]):
    def __init__(self, documents: Iterator[ExportedDocument]) -> None:
        self._documents, self.count = documents, 0

    def __next__(self) -> ExportedDocument:
        document = next(self._documents)
        self.count += 1
        return document


def batch_size(collection: Collection, size: int) -> int:
    """The number of documents in a file of about this size in bytes, if texts have no more than some 2,000 bytes."""
    terms = collection.postings / max(1, collection.num_docs)
    return max(1, min(_MOST_DOCUMENTS, int(size / (terms * _BYTES_A_TERM + _BYTES_A_DOCUMENT))))
