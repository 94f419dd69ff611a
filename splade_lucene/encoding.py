"""A corpus → a folder of pseudo-documents, in parts, resumable.

Each part holds the documents of some thousand consecutive texts and appears under its name only when it is whole; a journal
lists the finished ones. A run that was interrupted goes on behind the last finished part, and what it writes equals what an
undisturbed run writes, byte for byte: batches never reach across parts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_lucene import __version__
from splade_lucene.corpus import describe_corpus, read_corpus
from splade_lucene.encoder import SpladeEncoder
from splade_lucene.errors import CorpusError, InputError
from splade_lucene.files import storage_error, written_whole
from splade_lucene.manifest import MANIFEST_SUFFIX, Manifest, read_manifest, write_manifest
from splade_lucene.pseudo_documents import write_pseudo_documents
from splade_lucene.quantizer import Quantizer
from splade_lucene.records import Document, PseudoDocument

PART_DOCUMENTS = 2000


@dataclass(frozen=True)
class Shard:
    """One of several equal shares of a corpus: every count-th document, from the number-th on.

    Attributes:
        number: Which, from 1.
        count: Of how many.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads ``I/N``.

        Raises:
            InputError: It is not of that form.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise InputError(f"{text!r} is no shard", remedy="Write I/N with 1 <= I <= N, such as 2/4")
        return cls(int(number), int(count))

    @property
    def suffix(self) -> str:
        """What tells the shard's files from others'."""
        return "" if self.count == 1 else f"-{self.number}of{self.count}"


def encode_corpus(
    source: str | Path,
    output: str | Path,
    encoder: SpladeEncoder,
    quantizer: Quantizer,
    *,
    top_terms: int = 0,
    min_impact: int = 1,
    shard: Shard = Shard(),
    gzip: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Manifest:
    """Encodes a corpus. Where this was done already with the same settings, it is not done again.

    Args:
        source: A corpus; see :mod:`splade_lucene.corpus`.
        output: The folder to write.
        encoder: The model.
        quantizer: The rule; its document half applies.
        top_terms: Terms to keep of each document, the largest; 0 for all.
        min_impact: Least impact to keep.
        shard: Which share of the corpus.
        gzip: Compress the parts.
        overwrite: Start anew over an encoding with other settings.
        progress: Called with the number of documents just finished.

    Returns:
        The folder's manifest. Its ``empty`` names the documents that encode to no term; they are in no part.

    Raises:
        CorpusError: A document cannot be read.
        InputError: The folder holds an encoding with other settings.
        StorageError: The disk refused.
    """
    output = Path(output)
    settings = _settings(source, encoder, quantizer, top_terms, min_impact, shard, gzip)
    digest = _digest(settings)
    journal = _Journal(output, shard, digest, overwrite=overwrite)
    manifest_path = output / f"splade-lucene{shard.suffix}{MANIFEST_SUFFIX}"
    done = read_manifest(manifest_path)
    if done is not None and done.encoding == digest:
        journal.delete()
        return done
    ending = ".jsonl.gz" if gzip else ".jsonl"
    for number, documents in enumerate(_parts(source, shard)):
        name = f"part{shard.suffix}-{number:05d}{ending}"
        if number >= len(journal.parts) or not (output / name).exists():
            weights = encoder.encode_documents([document.text for document in documents], progress)
            vectors = weights.quantize(quantizer, "document", top_terms=top_terms, min_impact=min_impact)
            pairs = list(zip(documents, vectors, strict=True))
            write_pseudo_documents(
                output / name,
                (PseudoDocument(each.docid, each.text, vector) for each, vector in pairs if vector),
            )
            journal.add(number, len(documents), [each.docid for each, vector in pairs if not vector])
        elif progress:
            progress(len(documents))
    if not journal.documents and shard.count == 1:
        raise CorpusError(f"there is no document in {source}", remedy="Check that it is the right corpus")
    manifest = Manifest(
        model=settings["model"], model_digest=encoder.checkpoint.digest, pooling=encoder.pooling,
        max_length=encoder.max_length, query_max_length=encoder.query_max_length, quantizer=quantizer,
        top_terms=top_terms, min_impact=min_impact, corpus=str(source), documents=journal.documents - len(journal.empty),
        encoding=digest, settings=_digest(_shared_settings(settings)), parts=len(journal.parts),
        shard=f"{shard.number}/{shard.count}" if shard.count > 1 else "", empty=tuple(journal.empty),
        versions={"splade_lucene": __version__, **_library_versions()},
    )  # fmt: skip
    write_manifest(manifest_path, manifest)
    journal.delete()
    return manifest


def _shared_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """What shards of one encoding have in common, on whatever machine each was made."""
    return {key: value for key, value in settings.items() if key not in ("shard", "corpus", "model")}


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _settings(
    source: str | Path, encoder: SpladeEncoder, quantizer: Quantizer, top_terms: int, min_impact: int, shard: Shard,
    gzip: bool,
) -> dict[str, Any]:  # fmt: skip
    return {
        "model": encoder.checkpoint.name,
        "model_digest": encoder.checkpoint.digest,
        "pooling": encoder.pooling,
        "dtype": str(next(encoder.checkpoint.model.parameters()).dtype),
        "max_length": encoder.max_length,
        "query_max_length": encoder.query_max_length,
        "batch_tokens": encoder.batch_tokens,
        "quantizer": quantizer.to_json(),
        "top_terms": top_terms,
        "min_impact": min_impact,
        "shard": [shard.number, shard.count],
        "gzip": gzip,
        "part_documents": PART_DOCUMENTS,
        "corpus": describe_corpus(source),
    }


def _parts(source: str | Path, shard: Shard) -> Iterator[list[Document]]:
    part: list[Document] = []
    for number, document in enumerate(read_corpus(source)):
        if number % shard.count == shard.number - 1:
            part.append(document)
        if len(part) == PART_DOCUMENTS:
            yield part
            part = []
    if part:
        yield part


def _library_versions() -> dict[str, str]:
    import torch
    import transformers

    return {"torch": str(torch.__version__), "transformers": transformers.__version__}


_PARTS = "part{}-[0-9][0-9][0-9][0-9][0-9].jsonl*"


def _encoding_of(lines: list[str]) -> str | None:
    try:
        return str(json.loads(lines[0])["encoding"]) if lines else None
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def _finished_parts(lines: list[str]) -> list[dict[str, Any]]:
    """The parts up to the first line that cannot be read; those behind it are encoded again."""
    parts: list[dict[str, Any]] = []
    for line in lines:
        try:
            part = json.loads(line)
            parts.append({"documents": int(part["documents"]), "empty": list(part["empty"])})
        except (ValueError, KeyError, TypeError):
            break
    return parts


class _Journal:
    """Which parts are finished, one line each, behind a line with the digest of the settings."""

    def __init__(self, folder: Path, shard: Shard, digest: str, *, overwrite: bool) -> None:
        self._path = folder / f"splade-lucene{shard.suffix}.journal"
        self.parts: list[dict[str, Any]] = []
        manifest_path = folder / f"splade-lucene{shard.suffix}{MANIFEST_SUFFIX}"
        manifest = read_manifest(manifest_path)
        lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if self._path.exists() else []
        found = manifest.encoding if manifest else _encoding_of(lines)
        written = list(folder.glob(_PARTS.format(shard.suffix))) if folder.is_dir() else []
        if manifest is not None and found == digest and len(written) < manifest.parts:
            manifest_path.unlink()  # a part was lost since: encode again
            found, overwrite = None, True
        if found == digest:
            self.parts = _finished_parts(lines[1:])
            if lines:  # without what was torn when the run was cut off
                self._rewrite(digest)
            return
        if (found is not None or written) and not overwrite:
            raise InputError(
                "this folder holds documents encoded with other settings, or of another corpus", path=folder,
                remedy="Name another folder, or pass --overwrite to encode anew",
            )  # fmt: skip
        if found is not None or written:
            manifest_path.unlink(missing_ok=True)
        for path in written:
            path.unlink()
        self._rewrite(digest)

    def _rewrite(self, digest: str) -> None:
        with written_whole(self._path) as file:
            file.writelines(json.dumps(each) + "\n" for each in ({"encoding": digest}, *self.parts))

    @property
    def documents(self) -> int:
        return sum(part["documents"] for part in self.parts)

    @property
    def empty(self) -> list[str]:
        return [docid for part in self.parts for docid in part["empty"]]

    def add(self, number: int, documents: int, empty: list[str]) -> None:
        if number < len(self.parts):
            return  # it was finished once, and is the same again
        self.parts.append({"documents": documents, "empty": empty})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.parts[-1]) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(self._path, error) from error

    def delete(self) -> None:
        self._path.unlink(missing_ok=True)
