"""Outputs of teacher networks, computed once and cached on disk, so that a killed run can be resumed.

Each part is named by a digest of its texts and the network's weights, so that stale parts are never used. It contains the
numbers, row by row, followed by their SHA-256, so that damaged parts are not used either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import ModelError, StorageError
from splade_lucene.files.files import atomic_bytes_writer
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.progress import Advance

PART_SIZE = 4096
"""Texts or pairs per part: at most this many are lost if the process is killed."""

_DIGEST_SIZE = hashlib.sha256().digest_size
_REMEDY = "Delete the file; it will be recomputed."
_Number = TypeVar("_Number", np.float16, np.float32)


def embed_texts(texts: Sequence[str], model: Any, folder: Path, advance: Advance | None = None) -> NDArray[np.float16]:
    """Embeds texts as unit vectors with a ``SentenceTransformer``; parts cached in the folder are read back.

    Returns:
        Shape [texts, dimensions].

    Raises:
        ModelError: A value is not finite.
        StorageError: A cached part is damaged.
    """

    def embed(part: Sequence[str]) -> NDArray[np.float16]:
        vectors = model.encode(list(part), batch_size=64, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors).astype(np.float16)

    parts = _parts(texts, f"{_fingerprint(model)}:{model.max_seq_length}", embed, np.float16, folder, advance)
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float16)


@uninterrupted_imports()
def score_pairs(
    pairs: Sequence[tuple[str, str]], model: Any, folder: Path, advance: Advance | None = None
) -> NDArray[np.float32]:
    """Scores pairs of query and passage with a ``CrossEncoder`` (raw scores), cached in the same way.

    Raises:
        ModelError: A score is not finite.
        StorageError: A cached part is damaged.
    """
    from torch.nn import Identity

    def score(part: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        # raw scores: a sigmoid would make all good passages nearly equal
        scores = model.predict(list(part), activation_fn=Identity(), show_progress_bar=False)
        return np.asarray(scores, np.float32).reshape(len(part), -1)[:, -1]

    parts = _parts(pairs, f"{_fingerprint(model)}:{model.max_seq_length}", score, np.float32, folder, advance)
    return np.concatenate(parts)[:, 0] if parts else np.zeros(0, np.float32)


def _parts(
    items: Sequence[Any], key: str, compute: Callable[[Sequence[Any]], NDArray[_Number]], dtype: type[_Number],
    folder: Path, advance: Advance | None,
) -> list[NDArray[_Number]]:  # fmt: skip
    """The numbers of each part; shape [items, numbers per item]."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(items), PART_SIZE):
        part = items[start : start + PART_SIZE]
        path = folder / f"{hashlib.sha256(json.dumps([key, part]).encode()).hexdigest()[:24]}.{np.dtype(dtype)}"
        if not path.exists():
            _write(path, compute(part))
        parts.append(_read(path, len(part), dtype))
        if advance:
            advance(len(part))
    return parts


def _fingerprint(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()


def _write(path: Path, numbers: NDArray[Any]) -> None:
    if not np.isfinite(numbers).all():
        raise ModelError("a teacher returned values that are not finite. Check its weights.")
    data = numbers.tobytes()
    with atomic_bytes_writer(path) as file:
        file.write(data)
        file.write(hashlib.sha256(data).digest())


def _read(path: Path, rows: int, dtype: type[_Number]) -> NDArray[_Number]:
    try:
        data = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:  # an empty file is a ValueError
        raise StorageError(f"{path}: cannot be read ({error}). {_REMEDY}") from error
    numbers, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
    if hashlib.sha256(numbers.tobytes()).digest() != digest.tobytes() or len(numbers) % (
        rows * np.dtype(dtype).itemsize
    ):
        raise StorageError(f"{path}: damaged (its checksum does not match). {_REMEDY}")
    return numbers.view(dtype).reshape(rows, -1)
