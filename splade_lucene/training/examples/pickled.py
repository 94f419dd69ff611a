"""Reads pickled scores without running any code: only numbers, strings, dicts, lists and tuples are accepted."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from splade_lucene.errors import first_line
from splade_lucene.files.compression import open_bytes

MAX_BYTES = 16 << 30
"""The most bytes that are read of a pickle, decompressed: four times the scores of all of MS MARCO's hard negatives."""

_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
"""NumPy's types of numbers."""


class RefusedPickleError(ValueError):
    """A pickle holds something else, or is damaged."""


def read_pickle(path: Path) -> Any:
    """Reads a pickle, compressed or not.

    NumPy's scalars are read as numbers. Python's own unpickler in C is not used, because a few bytes can make it fill the
    memory.

    Raises:
        RefusedPickleError: The pickle holds something else, or is damaged or too large.
        OSError: The file cannot be read.
    """
    with open_bytes(path) as file:
        try:
            return _Unpickler(io.BufferedReader(_Bounded(file), 1 << 20)).load()
        except (RefusedPickleError, OSError, EOFError):
            raise
        except Exception as error:  # a damaged pickle raises all kinds of exceptions
            raise RefusedPickleError(f"not a pickle ({first_line(error)})") from None


_PYTHON_UNPICKLER: Any = pickle._Unpickler


class _Unpickler(_PYTHON_UNPICKLER):  # type: ignore[misc]
    """Builds plain data and NumPy's scalars."""

    dispatch: ClassVar = dict(_PYTHON_UNPICKLER.dispatch)

    def load_build(self) -> None:
        """Sets the byte order of a type of NumPy, and refuses to set anything else."""
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, _Dtype):
            raise RefusedPickleError(f"the pickle changes a {type(target).__name__}")
        target.__setstate__(state)

    dispatch[pickle.BUILD[0]] = load_build

    def load_bytearray(self) -> None:
        """Refuses an array of bytes, for which memory would be taken before it is read."""
        raise RefusedPickleError("the pickle holds an array of bytes")

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray

    def find_class(self, module: str, name: str) -> Any:
        """The function that is called in place of the one that the pickle names."""
        if (module, name) in (("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")):
            return _scalar
        if (module, name) == ("numpy", "dtype"):
            return _Dtype
        if (module, name) == ("_codecs", "encode"):  # how the second protocol writes bytes
            return _bytes
        raise RefusedPickleError(
            f"the pickle holds {module}.{name}, and only numbers, strings, dicts and lists are read"
        )

    def persistent_load(self, pid: Any) -> Any:
        """Refuses references to what is outside of the file."""
        raise RefusedPickleError(f"the pickle refers to something outside of it ({pid!r:.40})")

    def get_extension(self, code: int) -> Any:
        """Refuses functions that are named by a number."""
        raise RefusedPickleError(f"the pickle holds the extension {code}")


class _Dtype:
    """The type of one of NumPy's scalars."""

    def __init__(self, name: Any, *_: Any) -> None:
        if name not in _NUMBERS:
            raise RefusedPickleError(f"the pickle holds values of NumPy's type {name!r:.40}")
        self.name, self.order = name, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _bytes(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise RefusedPickleError("the pickle holds damaged bytes")
    return text.encode("latin-1")


def _scalar(dtype: Any, data: Any) -> float | int:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | str):
        raise RefusedPickleError("the pickle holds a damaged number of NumPy")
    raw = data.encode("latin-1") if isinstance(data, str) else data
    number: float | int = np.frombuffer(raw, dtype.order + dtype.name)[0].item()
    return number


class _Bounded(io.RawIOBase):
    """A stream of at most :data:`MAX_BYTES` bytes."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._left = file, MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise RefusedPickleError(f"the pickle is longer than {MAX_BYTES:,} bytes")
        buffer[: len(data)] = data
        return len(data)
