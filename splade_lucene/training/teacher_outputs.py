"""Outputs of teacher networks, computed once and cached on disk, so that a killed run can be resumed.

Each part is named by a digest of its texts and the network's weights, so that stale parts are never used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.errors import ModelError, StorageError
from splade_lucene.files.files import bytes_written_whole
from splade_lucene.imports import whole_imports
from splade_lucene.progress import Advance

PART_SIZE = 4096
"""Texts or pairs per part: at most this many are lost if the process is killed."""


def embed_texts(texts: Sequence[str], model: Any, folder: Path, advance: Advance | None = None) -> NDArray[np.float16]:
    """Embeds texts as unit vectors with a ``SentenceTransformer``; parts cached in the folder are read back.

    Returns:
        Shape [texts, dimensions].

    Raises:
        ModelError: A value is not finite.
        StorageError: A cached part is damaged.
    """

    def embed(part: Sequence[str]) -> NDArray[Any]:
        vectors = model.encode(list(part), batch_size=64, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors).astype(np.float16)

    parts = _parts(texts, f"{_fingerprint(model)}:{model.max_seq_length}", embed, folder, advance)
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float16)


@whole_imports()
def score_pairs(
    pairs: Sequence[tuple[str, str]], model: Any, folder: Path, advance: Advance | None = None
) -> NDArray[np.float32]:
    """Scores pairs of query and passage with a ``CrossEncoder`` (raw scores), cached in the same way.

    Raises:
        ModelError: A score is not finite.
        StorageError: A cached part is damaged.
    """
    from torch.nn import Identity

    def score(part: Sequence[tuple[str, str]]) -> NDArray[Any]:
        # raw scores: a sigmoid would make all good passages nearly equal
        scores = model.predict(list(part), activation_fn=Identity(), show_progress_bar=False)
        return np.asarray(scores, np.float32).reshape(len(part), -1)[:, -1]

    parts = _parts(pairs, f"{_fingerprint(model)}:{model.max_seq_length}", score, folder, advance)
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _parts(
    items: Sequence[Any], key: str, compute: Callable[[Sequence[Any]], NDArray[Any]], folder: Path,
    advance: Advance | None,
) -> list[NDArray[Any]]:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(items), PART_SIZE):
        part = items[start : start + PART_SIZE]
        path = folder / f"{hashlib.sha256(json.dumps([key, part]).encode()).hexdigest()[:24]}.npy"
        parts.append(_read(path, len(part)) if path.exists() else _write(path, compute(part)))
        if advance:
            advance(len(part))
    return parts


def _fingerprint(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()


def _write(path: Path, numbers: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(numbers).all():
        raise ModelError("a teacher returned values that are not finite. Check its weights.")
    with bytes_written_whole(path) as file:
        np.save(file, numbers)
    return numbers


def _read(path: Path, rows: int) -> NDArray[Any]:
    try:
        numbers: NDArray[Any] = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(f"{path}: damaged ({error}). Delete the file; it will be recomputed.") from error
    if len(numbers) != rows:
        raise StorageError(f"{path}: expected {rows} rows, got {len(numbers)}. Delete the file; it will be recomputed.")
    return numbers
