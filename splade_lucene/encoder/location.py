"""Resolves a model name to a local folder, downloading from the hub if needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_lucene.arguments import to_path
from splade_lucene.encoder.storage import INT8_WEIGHTS
from splade_lucene.errors import ModelError, first_line
from splade_lucene.files.files import files_digest
from splade_lucene.files.json_text import check_nesting, parse_json
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.models import EMBEDDED_DOC_MODEL, EMBEDDED_MODEL, embedded_model_folder, embedded_query_table

CHECK_NAME = "Check the path or the name."
"""What to do if a model cannot be loaded."""

SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors", INT8_WEIGHTS)
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.bin")
WEIGHT_FILES = (*SAFE_WEIGHTS, *PICKLED_WEIGHTS)
ONNX_FILES = ("model.onnx", "onnx/model.onnx")

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "sentencepiece.bpe.model",
                    "spiece.model", "tokenizer_config.json")  # fmt: skip
_ONNX_PATTERNS = [f"{name}*" for name in ONNX_FILES]
_SMALL_FILES = ["*.json", "*.txt", "*.model", "*.py", "*.jinja"]
_COMMIT = re.compile("[0-9a-f]{40}")
_IGNORED = ["onnx/*", "openvino/*", "*.onnx*", "*.h5", "*.msgpack", "checkpoint-*/*"]


@dataclass(frozen=True)
class Location:
    """Where a checkpoint, or one side of it, is stored.

    Attributes:
        name: A name that does not depend on the working directory: ``splade-minilm``, an absolute path, or a hub name.
        folder: The folder with its files.
        query_table: A table of query weights in another folder; usually None.
    """

    name: str
    folder: Path
    query_table: Path | None = None

    def below(self, folder: Path) -> Location:
        """The location of a folder within the checkpoint, under the checkpoint's name."""
        return self if folder == self.folder else Location(self.name, folder)

    def require_weights(self) -> None:
        """Checks that the folder has weights, or an ONNX file, which is enough for queries.

        Raises:
            ModelError: The folder has no weights.
        """
        if not any((self.folder / file).is_file() for file in (*WEIGHT_FILES, *ONNX_FILES)):
            raise ModelError(
                f"{self.folder}: no weights found (expected one of {', '.join(WEIGHT_FILES)}). Copy the whole checkpoint."
            )

    @property
    def base_name(self) -> str | None:
        """Folder or hub name of an adapter's base model; None if the checkpoint is not an adapter.

        Raises:
            ModelError: The adapter does not name its base model.
        """
        path = self.folder / "adapter_config.json"
        if not path.is_file():
            return None
        name = read_json(path).get("base_model_name_or_path")
        if not (name and isinstance(name, str)):
            raise ModelError(f"{path}: base_model_name_or_path is missing. Copy the checkpoint again.")
        return name

    @property
    def base(self) -> Location | None:
        """An adapter's base model; None if the checkpoint is not an adapter.

        Raises:
            ModelError: The adapter does not name its base model, or the base model is not found.
        """
        name = self.base_name
        return None if name is None else locate(name)

    @property
    def tokenizer_folder(self) -> Path:
        """The folder with the tokenizer; for an adapter without one, that of its base model."""
        if not any((self.folder / file).is_file() for file in _TOKENIZER_FILES) and (base := self.base):
            return base.folder
        return self.folder

    def tokenizer_files(self) -> list[Path]:
        """The files that define the tokenizer."""
        paths = [self.tokenizer_folder / file for file in _TOKENIZER_FILES]
        return next(([path] for path in paths[:1] if path.is_file()), [path for path in paths if path.is_file()])

    def weight_files(self) -> list[Path]:
        """The weight files, including those of an adapter's base model."""
        for file in WEIGHT_FILES:
            path = self.folder / file
            if path.is_file():
                base = self.base
                return [path, *_parts(path), *(base.weight_files() if base else [])]
        return []

    def digest(self) -> str:
        """SHA-256 over the weight files, or else over the ONNX file; empty if there are none."""
        onnx = [path for path in (self.folder / name for name in ONNX_FILES) if path.is_file()]
        paths = self.weight_files() or onnx[:1]
        return files_digest(paths) if paths else ""

    @property
    def revision(self) -> str:
        """The commit of a checkpoint from the hub, in whose cache each commit has a folder of its own; else empty."""
        folder = self.folder.absolute()
        return folder.name if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name) else ""


def locate(name: str | Path | None) -> Location:
    """Finds a checkpoint.

    Args:
        name: A folder, or a hub name whose files are downloaded into the hub's cache; None and ``splade-minilm`` stand for
            the embedded model, ``splade-minilm-doc`` for its document-only variant.

    Raises:
        ModelError: The folder does not exist, or the download failed.
    """
    if name is None or str(name) == EMBEDDED_MODEL:
        return Location(EMBEDDED_MODEL, embedded_model_folder())
    if str(name) == EMBEDDED_DOC_MODEL:
        return Location(EMBEDDED_DOC_MODEL, embedded_model_folder(), embedded_query_table())
    text = str(name)
    path = to_path(text).expanduser()
    if path.is_dir():
        _check_json_files(path)
        return Location(
            EMBEDDED_MODEL if path.resolve() == embedded_model_folder().resolve() else str(path.absolute()), path
        )
    if path.is_file():
        raise ModelError(f"{path} is a file. Give the checkpoint's folder instead.")
    if path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1:
        raise ModelError(
            f"{text}: no such model folder. Check the path, or give a hub name such as naver/splade-cocondenser-selfdistil."
        )
    folder = _fetch(text)
    _check_json_files(folder)
    return Location(text, folder)


def find_onnx(location: Location, *, download: bool = False) -> Path | None:
    """The ONNX file of a checkpoint, if it has one.

    Args:
        location: The checkpoint.
        download: Whether to download it if the checkpoint is from the hub; with its weights, it usually is not.

    Raises:
        ModelError: The download failed.
    """
    folder = location.folder
    found = next((folder / name for name in ONNX_FILES if (folder / name).is_file()), None)
    is_from_hub = not Path(location.name).exists() and location.name.count("/") == 1
    if found is None and download and is_from_hub:
        _fetch(location.name, with_onnx=True)
        return find_onnx(location)
    return found


def _check_json_files(folder: Path) -> None:
    """Rejects deeply nested JSON, which would crash the process in the parsers of transformers or tokenizers."""
    for path in (*folder.glob("*.json"), *folder.glob("*/*.json")):
        try:
            check_nesting(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            pass  # reported by the code that needs this file
        except ValueError as error:
            raise ModelError(f"{path}: invalid JSON ({error}). Copy the checkpoint again.") from error


@uninterrupted_imports()
def _fetch(name: str, *, with_onnx: bool = False) -> Path:
    """Downloads a checkpoint's small files and its weights: safetensors, else pickled weights, else an ONNX file."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    disable_progress_bars()  # the files are small
    try:
        folder = Path(snapshot_download(name, allow_patterns=_SMALL_FILES, ignore_patterns=_IGNORED))
        enable_progress_bars()
        snapshot_download(name, allow_patterns=["*.safetensors"], ignore_patterns=_IGNORED)
        pickled = _pickled_weights(folder)
        if pickled:
            snapshot_download(name, allow_patterns=pickled, ignore_patterns=_IGNORED)
        if with_onnx or not any(any(folder.rglob(file)) for file in WEIGHT_FILES):
            snapshot_download(name, allow_patterns=_ONNX_PATTERNS)
    except Exception as error:  # the hub's client, the network and the cache raise all kinds of exceptions
        reason = first_line(error)
        raise ModelError(
            f"{name}: not a local folder, and the download from the model hub failed: {reason}. "
            "Check the name and the network; for a gated model, accept its terms and run 'hf auth login'."
        ) from error
    finally:
        enable_progress_bars()
    return folder


def _pickled_weights(folder: Path) -> list[str]:
    """Patterns for the weights of those parts of a checkpoint that have no safetensors."""
    parts = {path.parent for pattern in ("config.json", "adapter_config.json") for path in folder.rglob(pattern)}
    pickled = [part.relative_to(folder) for part in sorted(parts) if not any(part.glob("*.safetensors"))]
    return [(part / "*.bin").as_posix() for part in pickled]


def read_json(path: Path, kind: type[Any] = dict) -> Any:
    """Reads a small JSON file of a checkpoint.

    Raises:
        ModelError: The file is missing, is not valid JSON, or holds another kind of value.
    """
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Copy the whole checkpoint.") from error
    except ValueError as error:
        raise ModelError(f"{path}: invalid JSON ({error}). Copy the checkpoint again.") from error
    if not isinstance(value, kind):
        raise ModelError(f"{path}: expected a JSON {'list' if kind is list else 'object'}. Copy the checkpoint again.")
    return value


def _parts(path: Path) -> list[Path]:
    """The files listed in an index of sharded weights."""
    if not path.name.endswith(".index.json"):
        return []
    try:
        names = sorted(set(parse_json(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: not a valid index of weights ({error}). Copy the checkpoint again.") from error
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise ModelError(f"{path}: missing weight files: {', '.join(missing)}. Copy the whole checkpoint.")
    return [path.parent / name for name in names]
