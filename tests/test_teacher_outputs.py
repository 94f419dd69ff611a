"""Cached outputs of teachers: found again, and refused by name when they are damaged in any way."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from splade_lucene.errors import ModelError, StorageError
from splade_lucene.training.teacher_outputs import embed_texts


class Teacher:
    """A dense encoder of four dimensions that counts its texts."""

    max_seq_length = 16

    def __init__(self, value: float = 1.0) -> None:
        self.value, self.encoded = value, 0

    def state_dict(self) -> dict[str, object]:
        return {}

    def encode(self, texts: Sequence[str], **_: object) -> np.ndarray:
        self.encoded += len(texts)
        return np.array([[len(text), self.value, 0, -2] for text in texts], np.float32)


TEXTS = ["a", "bb", "ccc"]


@pytest.fixture
def part(tmp_path) -> Path:
    embed_texts(TEXTS, Teacher(), tmp_path)
    (path,) = tmp_path.iterdir()
    return path


def test_outputs_are_computed_once(part):
    teacher = Teacher()
    assert embed_texts(TEXTS, teacher, part.parent).tolist() == [[1, 1, 0, -2], [2, 1, 0, -2], [3, 1, 0, -2]]
    assert not teacher.encoded


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[:20],
    "without its last byte": lambda data: data[:-1],
    "without its last row": lambda data: data[:16] + data[24:],
    "more at its end": lambda data: data + b"\0",
    "another number": lambda data: data.replace(struct.pack("<e", -2), struct.pack("<e", -4), 1),
    "a pickle": lambda data: b"\x80\x04cos\nsystem\n(S'false'\ntR.",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_outputs_are_refused_by_name(part, damage):
    part.write_bytes(DAMAGE[damage](part.read_bytes()))
    with pytest.raises(StorageError, match=rf"{part.name}: (damaged|cannot be read) \(.+\)\. Delete the file"):
        embed_texts(TEXTS, Teacher(), part.parent)


def test_no_changed_byte_passes(part):
    whole, random_ = part.read_bytes(), random.Random(7)
    for place in range(len(whole)):
        part.write_bytes(whole[:place] + bytes([random_.choice(range(1, 256)) ^ whole[place]]) + whole[place + 1 :])
        with pytest.raises(StorageError, match="damaged"):
            embed_texts(TEXTS, Teacher(), part.parent)


def test_numbers_that_are_not_finite_are_not_kept(tmp_path):
    with pytest.raises(ModelError, match="not finite"):
        embed_texts(TEXTS, Teacher(float("nan")), tmp_path)
    assert not [*tmp_path.iterdir()]
