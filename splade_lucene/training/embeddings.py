"""Dense vectors of many texts, computed once and kept on disk, so that a killed run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import ModelError, StorageError
from splade_lucene.files import storage_error

PART_TEXTS = 4096
"""Texts of a part: what is lost at most if the process is killed."""


def embed_texts(
    texts: Sequence[str], model: Any, folder: Path, *, progress: Callable[[int], None] | None = None
) -> NDArray[np.float16]:
    """Unit vectors of texts by a sentence-transformers model; parts that lie in the folder are read, not computed.

    Args:
        texts: What to embed.
        model: A ``SentenceTransformer``.
        folder: Where the parts are kept. Each is named after its texts and the model's weights, so that others cannot be
            mistaken for these.
        progress: Called with the number of texts of each part.

    Returns:
        Shape [texts, dimensions].

    Raises:
        ModelError: A vector is not finite.
        StorageError: The folder cannot be written or a part is damaged.
    """
    parts, key = [], f"{_fingerprint(model)}:{model.max_seq_length}"
    for start in range(0, len(texts), PART_TEXTS):
        part = list(texts[start : start + PART_TEXTS])
        path = folder / f"{_digest(key, part)}.npy"
        vectors = _read(path, len(part)) if path.exists() else _write(path, _embed(model, part))
        parts.append(vectors)
        if progress:
            progress(len(part))
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float16)


def _embed(model: Any, texts: list[str]) -> NDArray[np.float16]:
    vectors = model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
    if not np.isfinite(vectors).all():
        raise ModelError("the dense model yields numbers that are not finite. Check its weights.")
    halves: NDArray[np.float16] = vectors.astype(np.float16)
    return halves


def _digest(key: str, texts: list[str]) -> str:
    return hashlib.sha256(json.dumps([key, texts]).encode()).hexdigest()[:24]


def _fingerprint(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()


def _write(path: Path, vectors: NDArray[np.float16]) -> NDArray[np.float16]:
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.save(file, vectors)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise storage_error(path, error) from error
    return vectors


def _read(path: Path, rows: int) -> NDArray[np.float16]:
    try:
        vectors: NDArray[np.float16] = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(f"{path}: damaged ({error}). Delete it; it is made again.") from error
    if vectors.ndim != 2 or len(vectors) != rows:
        raise StorageError(f"{path}: holds {vectors.shape} numbers for {rows} texts. Delete it; it is made again.")
    return vectors
