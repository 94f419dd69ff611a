"""Which step's model a round keeps: the best validated one, or the last.

The folder of validated models has one folder for each step, such as ``step-200``: the model as it was validated, and
``figures.json`` with its measures. With ``keep: best`` only the best one so far is in it, with ``keep: all`` all of them are.
A run that is killed and resumed validates the steps after its checkpoint again, so the choice is the same.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from splade_lucene.errors import StorageError
from splade_lucene.files.files import atomic_text_writer
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.typed_data import make

CHOICE_FILE = "kept.json"
"""The file of a round with its choice."""

_FIGURES = "figures.json"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Choice:
    """The step whose model was kept.

    Attributes:
        step: The step.
        reason: Why, for the card.
        head: What was done to the base's head: the settings that had an effect.
        adapted: The settings of ``sparsity`` that were adapted to a number of terms, with λ at the end of the training.
    """

    step: int
    reason: str
    head: dict[str, Any] = field(default_factory=dict)
    adapted: dict[str, float] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Writes the choice into a file."""
        with atomic_text_writer(path) as file:
            json.dump(asdict(self), file)

    @classmethod
    def read(cls, path: Path) -> Choice:
        """Reads a file that :meth:`write` wrote.

        Raises:
            StorageError: The file is damaged.
        """
        return _read(path, cls)


@dataclass(frozen=True)
class _Validated:
    """What the file of figures of a validated model holds."""

    step: int
    figures: dict[str, float]
    validation: dict[str, Any]


class ValidatedModels:
    """The validated models of a round.

    Args:
        folder: Folder of these models.
        validation: What the models are validated on; models validated on anything else are forgotten.
        is_complete: Whether all models are kept and not the best alone.
    """

    def __init__(self, folder: Path, validation: Mapping[str, Any], *, is_complete: bool) -> None:
        self.folder, self._validation, self._is_complete = folder, dict(validation), is_complete

    def add(self, step: int, model: Path, figures: Mapping[str, float]) -> None:
        """Moves a model here, unless a better one is kept.

        Args:
            step: The step after which it was validated.
            model: Its folder.
            figures: Its measures; the first one decides which model is best.
        """
        with atomic_text_writer(model / _FIGURES) as file:
            json.dump({"step": step, "figures": dict(figures), "validation": self._validation}, file, indent=1)
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"step-{step}"
        shutil.rmtree(target, ignore_errors=True)
        model.rename(target)
        if not self._is_complete:
            best = self._best()
            for path in self._folders():
                if best is not None and path != self._folder_of(best.step):
                    shutil.rmtree(path)

    def best(self) -> tuple[Path, Choice] | None:
        """The folder of the best model, the earliest among equals, and the choice; None if none was validated."""
        best = self._best()
        if best is None:
            return None
        measure, value = next(iter(best.figures.items()))
        reason = f"its {measure} of {value:.4f} was the best of all validated steps, or the first of equally good ones"
        return self._folder_of(best.step), Choice(best.step, reason)

    def _best(self) -> _Validated | None:
        found = [_read(path / _FIGURES, _Validated) for path in self._folders()]
        same = [each for each in found if each.validation == self._validation]
        return max(same, key=lambda each: (next(iter(each.figures.values())), -each.step), default=None)

    def _folder_of(self, step: int) -> Path:
        return self.folder / f"step-{step}"

    def _folders(self) -> list[Path]:
        return [path for path in self.folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name)]


def _read(path: Path, kind: type[_T]) -> _T:
    try:
        return make(kind, parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: damaged ({error}). Delete its folder and train again.") from error
