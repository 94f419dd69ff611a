"""A folder of shards: the parts of one index, with a file that names them.

Functions that take several indexes also take such a folder, and search or merge its shards as one index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from splade_lucene.errors import InputError
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.files.json_text import indented_json, json_digest, parse_json
from splade_lucene.files.typed_data import make

SHARDS_FILE = "shards.json"
"""The file that names the shards of a folder."""

_FORMAT = 1
_REMEDY = "Build the index again"


@dataclass(frozen=True)
class Shards:
    """What a folder of shards contains.

    Attributes:
        encoding: The digest of the encoding from which the shards were built; no docid is in two of them.
        shards: Their folders in this one, in the order of their documents.
        documents: The number of documents that each had when it was built.
        format: The version of this file's format.
    """

    encoding: str
    shards: tuple[str, ...]
    documents: tuple[int, ...]
    format: int = _FORMAT

    def __post_init__(self) -> None:
        if self.format != _FORMAT:
            raise ValueError(f"its format is {self.format}, this version reads {_FORMAT}")
        if not self.shards or len(self.shards) != len(self.documents) or len({*self.shards}) != len(self.shards):
            raise ValueError("it needs the name and the number of documents of each shard")
        if any(not name or "/" in name or name.startswith(".") for name in self.shards):
            raise ValueError(f"a shard is a folder beside this file, got {self.shards!r:.80}")


def is_sharded(folder: Path) -> bool:
    """Whether a folder is one of shards."""
    return (folder / SHARDS_FILE).is_file()


def read_shards(folder: Path) -> Shards:
    """Reads which shards a folder has.

    Raises:
        InputError: The file is damaged, or a shard is missing.
    """
    path = folder / SHARDS_FILE
    try:
        found = make(Shards, parse_json(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"cannot read this file ({error.strerror})", path=path, remedy=_REMEDY) from error
    except ValueError as error:
        raise InputError(f"this file is damaged ({error})", path=path, remedy=_REMEDY) from error
    missing = [name for name in found.shards if not (folder / name).is_dir()]
    if missing:
        raise InputError(f"shards are missing: {', '.join(missing[:10])}", path=folder, remedy=_REMEDY)
    return found


def write_shards(folder: Path, shards: Shards) -> None:
    """Writes the file; call this when all shards are complete."""
    with atomic_text_writer(folder / SHARDS_FILE) as file:
        file.write(indented_json(asdict(shards)))


def with_shards(paths: Sequence[Path]) -> list[Path]:
    """The folders of indexes, with the shards in the place of each folder of shards.

    Raises:
        InputError: The file of a folder is damaged, or a shard is missing.
    """
    found: list[Path] = []
    for path in paths:
        found += [path / name for name in read_shards(path).shards] if is_sharded(path) else [path]
    return found


def shard_encoding(encoding: str, number: int, count: int) -> str:
    """The digest in the manifest of a shard: shards of one build have different ones, and no docid in common.

    Args:
        encoding: The digest of the whole encoding.
        number: Number of the shard, from 1.
        count: Number of shards.
    """
    return json_digest({"encoding": encoding, "shard": [number, count]})
