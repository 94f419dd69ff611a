"""Manifests: how a folder of pseudo-documents or an index was made (model, quantizer, counts, versions).

For pseudo-documents, the manifest is the file ``splade-lucene.manifest``, or one file per shard (Anserini would read a
``.json`` file as documents). An index has the same facts in Lucene's commit data, so that they
change together with the documents. The file ``splade_lucene/manifest.json`` of an index is a copy to read, which Lucene
ignores. Each manifest has a checksum.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.files.json_text import indented_json, json_digest, parse_json
from splade_lucene.files.typed_data import make
from splade_lucene.quantizer import Quantizer

MANIFEST_SUFFIX = ".manifest"
FOLDER_MANIFEST = f"splade-lucene{MANIFEST_SUFFIX}"
"""The manifest of a folder of pseudo-documents that is not one of several shards."""

INDEX_FOLDER = "splade_lucene"  # subfolder of an index for files that are not Lucene's
INDEX_FILE = f"{INDEX_FOLDER}/manifest.json"
FORMAT = 2
_MAX_CHANGES = 1000


@dataclass(frozen=True)
class Part:
    """A finished part of an encoding.

    Attributes:
        number: Number of the part, from 0.
        name: File name.
        documents: Number of documents encoded.
        tokens: Number of tokens in these documents.
        empty: Docids of documents without any term, which are not in the file.
        sha256: Checksum of the file.
        truncated: Number of documents that were longer than the maximum length.
        size: Bytes of the file; 0 if they are unknown.
    """

    number: int
    name: str
    documents: int
    tokens: int
    empty: tuple[str, ...]
    sha256: str
    truncated: int = 0
    size: int = 0

    def __post_init__(self) -> None:
        if self.number < 0 or Path(self.name).name != self.name:  # a plain file name, without a folder
            raise ValueError(f"{self.name!r:.60} is not the name of a part")


@dataclass(frozen=True)
class Change:
    """A change of an index by one commit.

    Attributes:
        time: When it was committed, in UTC, as ``2026-11-26T09:00:00Z``.
        operation: ``build``, ``add``, ``delete``, ``change`` (documents were added and deleted), ``optimize``; ``merge``
            for each index that the index was merged from; ``foreign`` if other software changed the index before;
            ``earlier`` for the oldest changes, together.
        added: Number of documents that were added.
        deleted: Number of documents that were deleted, replaced ones included.
        documents: Number of documents afterwards.
        source: The documents, as the caller named them; empty if they were passed as objects.
        deleted_empty: Number of documents without terms that were deleted; they are in no other count.
    """

    time: str
    operation: str
    added: int
    deleted: int
    documents: int
    source: str = ""
    deleted_empty: int = 0

    def __post_init__(self) -> None:
        if min(self.added, self.deleted, self.documents, self.deleted_empty) < 0:
            raise ValueError("a change has a negative number of documents")


@dataclass(frozen=True)
class Manifest:
    """How pseudo-documents or an index were made.

    Attributes:
        model: Folder or hub name of the encoder's checkpoint; empty if unknown.
        model_digest: SHA-256 of the checkpoint's weight file, to detect another model under the same name.
        model_revision: Commit of the checkpoint on the hub; empty if it is a folder.
        family: The model family, as in the table of docs/models.md; empty if unknown.
        query_digest: SHA-256 of the query side: of a network's weights, or of a tokenizer and its table.
        choices: The encoder's settings: the fields of :class:`splade_lucene.encoder.layout.Choices`.
        dtype: Precision that the documents were encoded in; empty if it is unknown, or not the same for all.
        backend: The backend, ``torch`` or ``onnx``; empty if it is unknown, or not the same for all.
        pooling: How token logits were pooled into one weight per term: ``max`` or ``sum``.
        max_length: Tokens at which documents were truncated; also applied to texts that are added.
        other_max_lengths: Other lengths at which some documents were truncated; an index may have several.
        query_max_length: Tokens at which queries must be truncated.
        quantizer: The rule; None if unknown.
        pruning: How documents were pruned: the fields of :class:`splade_lucene.encoder.pruning.Pruning`.
        min_impact: Smallest impact that was kept.
        corpus: The corpus, as the caller named it.
        documents: Number of documents written.
        encoding: Digest of all settings and of the corpus; equal digests mean equal pseudo-documents.
        settings: Digest of all settings except corpus and shard.
        encoded_with: All settings and the corpus, used to report differences.
        parts: The files that were written; empty for an index.
        shard: ``I/N`` for one shard of N, else empty.
        empty: Docids of documents without any term, which are not indexed.
        skipped: Number of documents of the corpus that could not be read.
        truncated: Number of documents that were truncated.
        versions: Versions of this package and of the libraries used for encoding or indexing.
        history: For an index, its changes, oldest first; the first ones of more than a thousand are added up.
        commit: For an index, the name of the commit that this manifest describes.
        fields: The fields of the documents and their types; see :mod:`splade_lucene.fields`.
        bm25: For an index whose texts are also indexed for BM25, the name of Lucene's field (``field``) and the
            ``analyzer`` of texts; otherwise empty.
    """

    model: str = ""
    model_digest: str = ""
    model_revision: str = ""
    family: str = ""
    query_digest: str = ""
    choices: dict[str, Any] = field(default_factory=dict)
    dtype: str = ""
    backend: str = ""
    pooling: str = ""
    max_length: int = 0
    other_max_lengths: tuple[int, ...] = ()
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
    truncated: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    history: tuple[Change, ...] = ()
    commit: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    bm25: dict[str, str] = field(default_factory=dict)

    def is_compatible(self, other: Manifest) -> bool:
        """Whether documents of both may share an index: same model, encoder settings, pruning and quantizer."""
        own, others = self._encoder_settings(), other._encoder_settings()
        return (self.model_digest, self.quantizer, own) == (other.model_digest, other.quantizer, others)

    def differences(self, other: Manifest) -> list[str]:
        """Known differences that prevent documents of both from sharing an index, in words; empty if there are none."""
        found = []
        if self.model and other.model:
            own, others = self._encoder_settings(), other._encoder_settings()
            if self.model_digest != other.model_digest:
                found.append(f"the model ({self._named_model()}; {other._named_model()})")
            found += [
                f"{name} ({own.get(name)}, {others.get(name)})"
                for name in dict.fromkeys((*own, *others))
                if own.get(name) != others.get(name)
            ]
        if self.quantizer is not None and other.quantizer is not None and self.quantizer != other.quantizer:
            one, two = _rule_text(self.quantizer), _rule_text(other.quantizer)
            found.append(f"the quantizer ({one}; {two})" if one != two else f"the rounding of the quantizer ({one})")
        return found

    def _named_model(self) -> str:
        told = f"revision {self.model_revision}" if self.model_revision else f"weights {self.model_digest[:12]}"
        return f"{self.model}, {told}"

    def _encoder_settings(self) -> dict[str, Any]:
        ignored = ("max_length", "query_max_length", "query_model")
        tokens, overlap = self.passages
        return {
            "pooling": self.pooling, **{key: value for key, value in self.choices.items() if key not in ignored},
            **self.pruning, "min_impact": self.min_impact, "passage_tokens": tokens, "passage_overlap": overlap,
        }  # fmt: skip

    @property
    def passages(self) -> tuple[int, int]:
        """Tokens of a passage, and tokens that it shares with the next one; zeros if documents were encoded whole."""
        tokens, overlap = self.encoded_with.get("passages", (0, 0))
        return int(tokens), int(overlap)

    @property
    def max_lengths(self) -> tuple[int, ...]:
        """All known lengths at which documents were truncated, ascending."""
        return tuple(sorted({self.max_length, *self.other_max_lengths} - {0}))

    def mixed_with(self, *others: Manifest) -> dict[str, Any]:
        """The attributes for an index that mixes documents of this manifest and of others, which record their differences."""
        every = [self, *others]
        lengths = {length for each in every for length in each.max_lengths} - {self.max_length}
        return {
            "other_max_lengths": tuple(sorted(lengths)),
            "dtype": self.dtype if len({each.dtype for each in every}) == 1 else "",
            "backend": self.backend if len({each.backend for each in every}) == 1 else "",
            "corpus": ", ".join(dict.fromkeys(name for each in every for name in each.corpus.split(", ") if name)),
            "truncated": sum(each.truncated for each in every),
        }

    def after(self, change: Change, **facts: Any) -> Manifest:
        """The manifest after a change of the index, with some other facts."""
        history = (*self.history, change)
        if len(history) > _MAX_CHANGES:
            first, second = history[:2]
            together = replace(
                second, operation="earlier", added=first.added + second.added, deleted=first.deleted + second.deleted,
                source="", deleted_empty=first.deleted_empty + second.deleted_empty,
            )  # fmt: skip
            history = (together, *history[2:])
        return replace(self, history=history, documents=change.documents, **facts)

    def describe(self) -> str:
        """Model, pooling and quantizer in words."""
        scales = _rule_text(self.quantizer) if self.quantizer else "unknown"
        return f"{self.model or 'an unknown model'}, pooling {self.pooling or 'unknown'}, quantizer {scales}"

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain data, with a checksum."""
        data = {"format": FORMAT, **asdict(self)}
        data["quantizer"] = self.quantizer.to_json() if self.quantizer else None
        data["empty"] = list(self.empty)
        return {**data, "sha256": json_digest(data)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Manifest:
        """Restores a manifest from :meth:`to_json`; keys of later versions are ignored.

        Raises:
            ValueError: It has another format, its checksum is wrong, or a value has the wrong type or is invalid.
            InputError: The quantizer is invalid.
        """
        if isinstance(data, dict) and data.get("format", FORMAT) != FORMAT:
            raise OtherFormatError(f"its format is {data['format']!r:.40}, this version reads {FORMAT}")
        manifest = make(cls, data, ignore_unknown=True)
        manifest._check_values()
        if data.get("sha256") != json_digest({key: value for key, value in data.items() if key != "sha256"}):
            raise ValueError("its checksum is wrong")
        return manifest

    def _check_values(self) -> None:
        for name in ("max_length", "query_max_length", "documents", "skipped", "truncated"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 0")
        if min(self.other_max_lengths, default=1) < 1:
            raise ValueError(f"other_max_lengths has {min(self.other_max_lengths)}, expected at least 1")
        if self.min_impact < 1:
            raise ValueError(f"min_impact is {self.min_impact}, expected at least 1")
        if self.pooling not in _POOLINGS:
            raise ValueError(f"unknown pooling {self.pooling!r:.60}, expected max or sum")
        shard = _SHARD.fullmatch(self.shard)
        if shard is None or (self.shard and not int(shard[1]) <= int(shard[2])):
            raise ValueError(f"{self.shard!r:.60} is not a shard, expected I/N with 1 <= I <= N")


def _rule_text(rule: Quantizer) -> str:
    return f"{rule.name} (documents x{rule.document.scale:g}, queries x{rule.query.scale:g})"


_POOLINGS = ("", "max", "sum")
_SHARD = re.compile(r"(?:([1-9][0-9]{0,8})/([1-9][0-9]{0,8}))?")


class OtherFormatError(ValueError):
    """A manifest is of a format that this version does not read."""


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes a manifest.

    Args:
        path: Path of the manifest file itself.
        manifest: The manifest.
    """
    with atomic_text_writer(path) as file:
        file.write(indented_json(manifest.to_json()))


def manifest_text(manifest: Manifest) -> str:
    """The JSON of a manifest in one line of ASCII, as Lucene keeps it with a commit."""
    return json.dumps(manifest.to_json())


def parse_manifest(text: str, path: str | Path, *, remedy: str) -> Manifest:
    """Reads the JSON of a manifest.

    Args:
        text: The JSON.
        path: The file, for the message.
        remedy: What to do if it is damaged.

    Raises:
        InputError: It is damaged, or of another format.
    """
    try:
        return Manifest.from_json(parse_json(text))
    except OtherFormatError as error:
        raise InputError(f"another version wrote this manifest: {error}", path=path, remedy=remedy) from error
    except (ValueError, InputError) as error:
        raise InputError(f"the manifest is damaged ({error})", path=path, remedy=remedy) from error


def read_manifest(
    path: Path, *, remedy: str = "Delete it and build again", shown: str | Path | None = None
) -> Manifest | None:
    """Reads a manifest file; None if there is none.

    Args:
        path: The file.
        remedy: What to do if it is damaged.
        shown: What messages name instead of the file, if it is a copy.

    Raises:
        InputError: The file is damaged, of another format, or cannot be read.
    """
    shown = shown or path
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise InputError(
            f"cannot read the manifest ({error.strerror})", path=shown, remedy="Check its rights"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"the manifest is damaged ({error})", path=shown, remedy=remedy) from error
    return parse_manifest(text, shown, remedy=remedy)


def read_folder_manifest(folder: Path) -> Manifest | None:
    """Reads the manifest of a folder of pseudo-documents, merged over its shards; None if there is none.

    Raises:
        InputError: The shards do not belong together, or some are missing.
    """
    unfinished = sorted(path for path in folder.glob("splade-lucene*.journal") if path.is_file())
    if unfinished:
        raise InputError("the encoding is unfinished", path=unfinished[0], remedy="Run the same encode command again")
    paths = sorted(path for path in folder.glob(f"splade-lucene*{MANIFEST_SUFFIX}") if path.is_file())
    manifests = [manifest for path in paths if (manifest := read_manifest(path)) is not None]
    if not manifests:
        return None
    first = manifests[0]
    for path, each in zip(paths, manifests, strict=True):
        if not each.is_compatible(first) or each.settings != first.settings:
            raise InputError(
                f"this shard was encoded with different settings, or from a different corpus, than {paths[0].name}",
                path=path,
                remedy="Encode all shards with the same settings",
            )
    if len({each.shard.partition("/")[2] for each in manifests}) > 1:
        raise InputError(
            "the folder has shards of encodings with different numbers of shards",
            path=folder,
            remedy="Keep one set of shards",
        )
    if first.shard:
        count = int(first.shard.partition("/")[2])
        there = {each.shard for each in manifests}
        shards = (f"{i}/{count}" for i in range(1, count + 1))
        missing = list(islice((shard for shard in shards if shard not in there), 11))
        if missing:
            raise InputError(
                f"missing shards: {', '.join(missing[:10])}{' and more' if len(missing) > 10 else ''}", path=folder,
                remedy="Encode the missing shards into this folder",
            )  # fmt: skip
    return replace(
        first, shard="", documents=sum(each.documents for each in manifests),
        truncated=sum(each.truncated for each in manifests),
        empty=tuple(docid for each in manifests for docid in each.empty),
        parts=tuple(part for each in manifests for part in each.parts),
        encoding=" ".join(each.encoding for each in manifests),
    )  # fmt: skip
