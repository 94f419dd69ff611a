"""The manifest of an export, ``export.json``, and its terms, ``terms.txt``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from splade_lucene.engines.collection import Collection
from splade_lucene.engines.exporter import ExportOptions
from splade_lucene.engines.names import Keys
from splade_lucene.engines.pieces import Piece
from splade_lucene.errors import InputError
from splade_lucene.files.json_text import indented_json, json_digest, parse_json
from splade_lucene.files.typed_data import make
from splade_lucene.manifest import Manifest, manifest_text
from splade_lucene.version import __version__

MANIFEST = "export.json"
TERMS = "terms.txt"
FORMAT = 1


@dataclass(frozen=True)
class ExportManifest:
    """What an export holds.

    Attributes:
        engine: The engine.
        name: What the engine calls the collection.
        keys: How the engine identifies a term: by id or as text.
        documents: Number of documents.
        postings: Number of their terms, added up.
        max_impact: The largest impact; one above 65,536 may count as 65,536.
        terms: SHA-256 of the terms in their order.
        fields: The fields of the documents and their types.
        texts: Whether it has texts.
        source: The index or the pseudo-documents.
        collection: A digest of what was exported; see :class:`splade_lucene.engines.collection.Collection`.
        encoded: The manifest of the documents; None if it is unknown how they were encoded.
        pieces: The files of documents.
        version: The version of this package.
    """

    engine: str
    name: str
    keys: Keys
    documents: int
    postings: int
    max_impact: int
    terms: str
    fields: dict[str, str]
    texts: bool
    source: str
    collection: str
    encoded: dict[str, Any] | None
    pieces: tuple[Piece, ...]
    version: str

    @classmethod
    def of(cls, engine: str, collection: Collection, options: ExportOptions, pieces: Sequence[Piece]) -> ExportManifest:
        """The manifest of a new export."""
        encoded = plain_data(collection.manifest) if collection.manifest is not None else None
        return cls(
            engine, options.name, options.keys, collection.num_docs, collection.postings, collection.max_impact,
            terms_digest(collection.terms), dict(collection.fields), options.texts, collection.source, collection.identity,
            encoded, tuple(pieces), __version__,
        )  # fmt: skip

    @property
    def identity(self) -> str:
        """Tells the documents of this export from those of another one, in an engine that holds both."""
        return export_identity(self.collection, self.keys, texts=self.texts)

    @property
    def encoding(self) -> Manifest | None:
        """How the documents were encoded; None if it is unknown."""
        return Manifest.from_json(self.encoded) if self.encoded is not None else None

    def text(self) -> str:
        """The JSON of the manifest, with a checksum."""
        data = {"format": FORMAT, **asdict(self)}
        return indented_json({**data, "sha256": json_digest(data)})


def read_export(folder: Path) -> ExportManifest:
    """Reads the manifest of an export.

    Raises:
        InputError: There is none, it is damaged, or another version wrote it.
    """
    path = folder / MANIFEST
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            "this folder is not an export", path=folder, remedy="Name the folder that 'splade-lucene export' wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise _damaged(path, "it has another format")
    digest = data.pop("sha256", None)
    if digest != json_digest(data):
        raise _damaged(path, "its checksum is wrong")
    try:
        return make(ExportManifest, data, ignore_unknown=True)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def read_terms(folder: Path) -> list[str]:
    """Reads the terms of an export by id.

    Raises:
        InputError: It is not an export, or the file has changed.
    """
    manifest, path = read_export(folder), folder / TERMS
    try:
        terms = path.read_bytes().decode().split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    if terms_digest(terms) != manifest.terms:
        raise _damaged(path, "its checksum is wrong")
    return terms


def plain_data(manifest: Manifest) -> dict[str, Any]:
    """The manifest of documents as JSON has it."""
    data: dict[str, Any] = parse_json(manifest_text(manifest))
    return data


def export_identity(collection: str, keys: Keys, *, texts: bool) -> str:
    """Tells exports with other documents apart.

    Args:
        collection: The identity of the collection.
        keys: How the engine identifies a term: by id or as text.
        texts: Whether the export has texts.
    """
    return hashlib.sha256(f"{collection} {keys} {texts}".encode()).hexdigest()[:12]


def terms_digest(terms: Sequence[str]) -> str:
    """SHA-256 of terms in their order."""
    return hashlib.sha256("".join(f"{term}\n" for term in terms).encode()).hexdigest()


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"this file is damaged ({reason})", path=path, remedy="Export again")
