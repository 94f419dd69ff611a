"""What made a folder of pseudo-documents or an index: model, quantizer, counts, versions.

A folder's own file is ``splade-lucene.manifest``, or one for each shard (Anserini would read a ``.json`` as documents).
An index keeps the same facts in ``splade_lucene/manifest.json`` below it, which Lucene ignores, tied to the commit that
they describe.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.files import written_whole
from splade_lucene.json_text import parse_json
from splade_lucene.quantizer import Quantizer

MANIFEST_SUFFIX = ".manifest"
INDEX_FOLDER = "splade_lucene"  # in an index: all that is ours and not Lucene's
INDEX_FILE = f"{INDEX_FOLDER}/manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Part:
    """A finished part.

    Attributes:
        number: Its place in the encoding, from 0.
        name: Its file.
        documents: Documents that it was made of.
        tokens: Tokens that they had.
        empty: Those that encode to no term, and so are not in the file.
        sha256: Checksum of the file.
    """

    number: int
    name: str
    documents: int
    tokens: int
    empty: tuple[str, ...]
    sha256: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Part:
        """The part whose fields stand in a line of a journal or in a manifest."""
        return cls(
            **{each.name: data[each.name] for each in fields(cls) if each.name != "empty"}, empty=tuple(data["empty"])
        )


@dataclass(frozen=True)
class Manifest:
    """The facts.

    Attributes:
        model: Folder or hub name of the checkpoint that encoded; empty if it is not known.
        model_digest: SHA-256 of the checkpoint's weights file, so that another model under the same name is noticed.
        query_digest: SHA-256 of what encodes queries: a network's weights, or a tokenizer and its table.
        choices: How the encoder was set: the fields of :class:`splade_lucene.encoder.layout.Choices`.
        dtype: What the documents were computed in.
        pooling: How token logits became one weight a term: ``max`` or ``sum``.
        max_length: Tokens after which documents were cut.
        query_max_length: Tokens after which queries are to be cut.
        quantizer: The rule, or None if it is not known.
        pruning: Which terms a document kept: the fields of :class:`splade_lucene.encoder.pruning.Pruning`.
        min_impact: Least impact that was kept.
        corpus: What was encoded, as it was named.
        documents: Documents written.
        encoding: Digest of all settings and of the corpus; equal digests mean equal pseudo-documents.
        settings: Digest of all settings but corpus and shard.
        encoded_with: All settings and the corpus, to say what differs.
        parts: The files that were written; empty for an index.
        shard: ``I/N`` for one shard of N, else empty.
        empty: Docids of documents that encode to no term, and so are in no index.
        skipped: Documents of the corpus that could not be read.
        versions: Of this package and of what encoded or indexed.
        commit: For an index: the commit that these facts describe.
    """

    model: str = ""
    model_digest: str = ""
    query_digest: str = ""
    choices: dict[str, Any] = field(default_factory=dict)
    dtype: str = ""
    pooling: str = ""
    max_length: int = 0
    query_max_length: int = 0
    quantizer: Quantizer | None = None
    pruning: dict[str, Any] = field(default_factory=dict)
    min_impact: int = 1
    corpus: str = ""
    documents: int = 0
    encoding: str = ""
    settings: str = ""
    encoded_with: dict[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    shard: str = ""
    empty: tuple[str, ...] = ()
    skipped: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    commit: str = ""

    def is_compatible(self, other: Manifest) -> bool:
        """Whether documents of both may share an index: one model, used in one way, and one quantizer."""
        mine, its = self._way(), other._way()
        return (self.model_digest, self.quantizer, mine) == (other.model_digest, other.quantizer, its)

    def _way(self) -> dict[str, Any]:
        lengths = ("max_length", "query_max_length", "query_model")
        return {"pooling": self.pooling, **{key: value for key, value in self.choices.items() if key not in lengths}}

    def describe(self) -> str:
        """Model, pooling and quantizer in words."""
        rule = self.quantizer
        scales = (
            f"{rule.name} (documents x{rule.document.scale:g}, queries x{rule.query.scale:g})" if rule else "unknown"
        )
        return f"{self.model or 'an unknown model'}, pooling {self.pooling or 'unknown'}, quantizer {scales}"

    def to_json(self) -> dict[str, Any]:
        """The facts as plain data."""
        data = asdict(self)
        data["quantizer"] = self.quantizer.to_json() if self.quantizer else None
        data["empty"] = list(self.empty)
        return {"format": FORMAT, **data}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Manifest:
        """The facts that :meth:`to_json` wrote; keys of later versions are passed over."""
        known = {each.name for each in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        values["quantizer"] = Quantizer.from_json(data["quantizer"]) if data.get("quantizer") else None
        values["empty"] = tuple(data.get("empty", ()))
        parts: Any = data.get("parts")  # earlier versions wrote their number, or less about each
        is_known = isinstance(parts, list) and all(
            {each.name for each in fields(Part)} <= part.keys() for part in parts
        )
        values["parts"] = tuple(map(Part.from_json, parts)) if is_known else ()
        return cls(**values)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes a manifest.

    Args:
        path: The folder of pseudo-documents' or index's manifest file itself.
        manifest: The facts.
    """
    with written_whole(path) as file:
        file.write(json.dumps(manifest.to_json(), indent=2, ensure_ascii=False) + "\n")


def read_manifest(path: Path) -> Manifest | None:
    """Reads a manifest file; None where there is none.

    Raises:
        InputError: The file is damaged.
    """
    try:
        return Manifest.from_json(parse_json(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"this manifest is damaged ({error})", path=path, remedy="Delete it and build again"
        ) from error


def read_folder_manifest(folder: Path) -> Manifest | None:
    """The facts of a folder of pseudo-documents, one file or one for each shard; None if there is none.

    Raises:
        InputError: The shards do not fit each other, or some are missing.
    """
    unfinished = sorted(path for path in folder.glob("splade-lucene*.journal") if path.is_file())
    if unfinished:
        raise InputError("this encoding is unfinished", path=unfinished[0], remedy="Run the same encode command again")
    paths = sorted(path for path in folder.glob(f"splade-lucene*{MANIFEST_SUFFIX}") if path.is_file())
    manifests = [manifest for path in paths if (manifest := read_manifest(path)) is not None]
    if not manifests:
        return None
    first = manifests[0]
    for path, each in zip(paths, manifests, strict=True):
        if not each.is_compatible(first) or each.settings != first.settings:
            raise InputError(
                f"this shard was encoded with other settings, or of another corpus, than {paths[0].name}",
                path=path,
                remedy="Encode all shards alike",
            )
    if len({each.shard.partition("/")[2] for each in manifests}) > 1:
        raise InputError(
            "encodings in different numbers of shards lie in this folder", path=folder, remedy="Keep one set of shards"
        )
    if first.shard:
        count = int(first.shard.partition("/")[2])
        missing = {f"{i}/{count}" for i in range(1, count + 1)} - {each.shard for each in manifests}
        if missing:
            raise InputError(
                f"not all shards are encoded, {', '.join(sorted(missing))} missing", path=folder,
                remedy="Encode them with --shard into this folder",
            )  # fmt: skip
    return replace(
        first, shard="", documents=sum(each.documents for each in manifests),
        empty=tuple(docid for each in manifests for docid in each.empty),
        parts=tuple(part for each in manifests for part in each.parts),
        encoding=" ".join(each.encoding for each in manifests),
    )  # fmt: skip
