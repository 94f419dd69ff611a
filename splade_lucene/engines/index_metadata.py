"""The metadata of an index in another engine: its terms, fields and encoding.

OpenSearch and Elasticsearch have it in ``_meta`` of a mapping, Qdrant in the metadata of a collection.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from splade_lucene.engines.export_manifest import plain_data, terms_digest
from splade_lucene.engines.names import Keys
from splade_lucene.errors import EngineError, InputError
from splade_lucene.fields.values import FieldType
from splade_lucene.files.typed_data import make
from splade_lucene.manifest import Manifest

META = "splade_lucene"
"""The key of the metadata."""

FORMAT = 2


@dataclass(frozen=True)
class IndexMetadata:
    """What a search needs to know about an index, and a load about the documents in it.

    Attributes:
        export: The identity of the export; the last one of several.
        keys: How the engine identifies a term: by id or as text.
        terms: The terms by id; empty if they are the keys.
        fields: The fields of the documents and their types.
        texts: Whether it has texts.
        encoded: How the documents were encoded, as JSON; None if it is unknown.
        is_joined: Whether it has documents of several exports.
    """

    export: str
    keys: Keys
    terms: tuple[str, ...]
    fields: dict[str, FieldType]
    texts: bool
    encoded: dict[str, Any] | None
    is_joined: bool = False

    @property
    def encoding(self) -> Manifest | None:
        """How the documents were encoded; None if it is unknown."""
        return Manifest.from_json(self.encoded) if self.encoded is not None else None

    def to_json(self) -> dict[str, Any]:
        """The JSON, with the terms packed."""
        packed = base64.b64encode(zlib.compress("\n".join(self.terms).encode(), 9)).decode()
        return {
            "format": FORMAT, **asdict(self), "terms": packed, "terms_sha256": terms_digest(self.terms),
        }  # fmt: skip

    def joined(self, other: IndexMetadata, name: str) -> IndexMetadata:
        """The metadata of an index to which another export is added.

        Args:
            other: That of the other export.
            name: The index, for messages.

        Raises:
            InputError: The exports do not fit together.
        """
        if self.keys != other.keys:
            raise InputError(
                f"the index {name} has {self.keys} as keys, and the export has {other.keys}",
                remedy=f"Export again with keys={self.keys}",
            )
        for field, kind in other.fields.items():
            if self.fields.get(field, kind) != kind:
                raise InputError(
                    f"the field {field!r} has the type {self.fields[field]} in the index {name}, and {kind} in the export",
                    remedy="Build the index that is exported with fields of the same types",
                )
        few, many = sorted((self.terms, other.terms), key=len)
        if many[: len(few)] != few:
            raise InputError(
                f"the ids of terms differ between the index {name} and the export",
                remedy="Export again with numbering=…, the export that was loaded before",
            )
        own, others = self.encoding, other.encoding
        if own is not None and others is not None and (differences := own.differences(others)):
            raise InputError(
                f"the documents of the index {name} were encoded differently: {'; '.join(differences)}",
                remedy="Encode again with the same settings",
            )
        return replace(
            other, is_joined=True, terms=many, fields={**self.fields, **other.fields}, texts=self.texts or other.texts,
            encoded=self.encoded or other.encoded,
        )  # fmt: skip


def mapping_metadata(index: Mapping[str, Any]) -> object:
    """The metadata in what OpenSearch or Elasticsearch say about an index."""
    return index.get("mappings", {}).get("_meta", {}).get(META)


def describe_index(
    identity: str, keys: Keys, terms: Sequence[str], fields: Mapping[str, FieldType], manifest: Manifest | None, *,
    texts: bool,
) -> IndexMetadata:  # fmt: skip
    """The metadata of a new index.

    Args:
        identity: The identity of the export.
        keys: How the engine identifies a term: by id or as text.
        terms: The terms by id.
        fields: The fields of the documents and their types.
        manifest: How the documents were encoded; None if it is unknown.
        texts: Whether the export has texts.
    """
    encoded = None if manifest is None else plain_data(replace(manifest, parts=(), empty=(), history=()))
    named = tuple(terms) if keys == "ids" else ()
    return IndexMetadata(identity, keys, named, dict(fields), texts, encoded)


def read_metadata(data: object, name: str, engine: str) -> IndexMetadata:
    """Reads the metadata from what an engine keeps of it.

    Args:
        data: What it has under :data:`META`.
        name: The index, for messages.
        engine: The engine, likewise.

    Raises:
        EngineError: There is none, or another version wrote it.
    """
    if not isinstance(data, dict):
        raise EngineError(
            f"{engine}'s index {name} was not made from an export of splade-lucene: it has no metadata with the key {META}. "
            "Name another index."
        )
    if data.get("format") != FORMAT:
        raise EngineError(
            f"{engine}'s index {name} was exported by another version: its format is {data.get('format')!r:.40}, this version "
            f"reads {FORMAT}. Export and load it again."
        )
    try:
        text = zlib.decompress(base64.b64decode(str(data["terms"]), validate=True)).decode()
        terms = text.split("\n") if text else []
        metadata = make(IndexMetadata, {**data, "terms": terms}, ignore_unknown=True)
    except (KeyError, ValueError, binascii.Error, zlib.error) as error:
        raise EngineError(f"{engine}'s index {name} has damaged metadata ({error}). Load it again.") from error
    if terms_digest(metadata.terms) != data.get("terms_sha256"):
        raise EngineError(f"{engine}'s index {name} has damaged metadata (wrong checksum of terms). Load it again.")
    return metadata
