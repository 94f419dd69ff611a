"""Commits changes of an index together with its manifest, in one atomic step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from splade_lucene import jvm
from splade_lucene.index.reader import manifest_of
from splade_lucene.jvm import wire
from splade_lucene.manifest import INDEX_FILE, Change, Manifest, manifest_text, write_manifest
from splade_lucene.version import __version__


class ManifestKeeper:
    """Commits what a Java writer has changed, with the manifest that describes it.

    Args:
        index_dir: The index.
        writer: The writer; it holds the lock of the index.
        manifest: The manifest of a new index, with the history that leads up to the first commit, if any; None for that of
            the commit that the writer changes.

    Attributes:
        manifest: The manifest of the last commit.
        documents: Number of documents in the last commit.
    """

    def __init__(self, index_dir: Path, writer: Any, manifest: Manifest | None = None) -> None:
        self._index_dir, self._writer = index_dir, writer
        with jvm.translated_exceptions(index_dir):
            packed = wire.to_bytes(jvm.facade("Index").before(writer))
        self.documents, commit = wire.unpack_before(packed)
        if manifest is not None and manifest.history:
            self.documents = manifest.history[-1].documents
        if manifest is None and commit is not None:
            manifest = manifest_of(index_dir, commit)
        if manifest is None:
            manifest = Manifest()
            if self.documents:
                manifest = manifest.after(Change(timestamp(), "foreign", self.documents, 0, self.documents))
        self.manifest = manifest

    def commit(
        self, operation: str, added: int = 0, source: str = "", *, deleted_empty: int = 0, **facts: Any
    ) -> Change | None:
        """Commits all changes, if there are any; a kill at any moment leaves all or none of them, and the manifest likewise.

        Args:
            operation: What was done; see :class:`splade_lucene.manifest.Change`.
            added: Number of documents that were added.
            source: Where they come from.
            deleted_empty: Number of documents without terms that were deleted.
            facts: Attributes of the manifest that have changed. Documents without terms are only there, so a change of
                ``empty`` is one of the index.

        Returns:
            What has changed; None if nothing has.
        """
        java = jvm.facade("Index")
        with jvm.translated_exceptions(self._index_dir):
            prepared = wire.unpack_prepared(wire.to_bytes(java.prepare(self._writer)))
            if not prepared.has_changes and facts.get("empty", self.manifest.empty) == self.manifest.empty:
                return None
            deleted = self.documents + added - prepared.documents
            change = Change(timestamp(), operation, added, deleted, prepared.documents, source, deleted_empty)
            versions = {**self.manifest.versions, "splade_lucene": __version__, **jvm.versions()}
            manifest = self.manifest.after(change, versions=versions, parts=(), **facts)
            while True:
                manifest = replace(manifest, commit=prepared.commit)
                if java.commit(self._writer, manifest_text(manifest).encode()):
                    break
                # An earlier commit that failed has taken the name, so compute the next one.
                prepared = wire.unpack_prepared(wire.to_bytes(java.prepare(self._writer)))
        self.manifest, self.documents = manifest, prepared.documents
        write_manifest(self._index_dir / INDEX_FILE, manifest)
        return change


def timestamp() -> str:
    """The time, in UTC, as histories have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
