"""Manifests of indexes with wrong contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splade_lucene import jvm
from splade_lucene.jvm import wire
from splade_lucene.manifest import INDEX_FILE


def sign(data: dict[str, Any]) -> str:
    """The JSON of a manifest with the checksum that it must have."""
    facts = {key: value for key, value in data.items() if key != "sha256"}
    return json.dumps({**facts, "sha256": hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()})


def rewrite_manifest(index_dir: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Commits another manifest, as if the index had been made so."""
    java = jvm.facade("Index")
    with jvm.translated_exceptions(index_dir):
        writer = java.openWriter(jvm.java_path(index_dir), True)
        _, commit = wire.unpack_before(wire.to_bytes(java.before(writer)))
        assert commit is not None
        assert commit.manifest is not None
        prepared = wire.unpack_prepared(wire.to_bytes(java.prepare(writer)))
        text = sign({**change(json.loads(commit.manifest)), "commit": prepared.commit})
        assert java.commit(writer, text.encode())
        java.rollback(writer)
    (index_dir / INDEX_FILE).write_text(text)
