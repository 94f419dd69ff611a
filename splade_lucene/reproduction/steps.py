"""Records of finished steps and their inputs.

A step is repeated if its inputs differ from those in its record, or if its output was deleted or changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.files.files import atomic_text_writer, storage_error
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.locks import lock
from splade_lucene.manifest import INDEX_FOLDER
from splade_lucene.version import __version__

Inputs = dict[str, Any]
"""Everything that the result of a step depends on, as JSON."""


@dataclass(frozen=True)
class Steps:
    """The records of a folder.

    Attributes:
        folder: The folder.
        on_step: Called with the name of a step, its output, and whether an earlier run finished it.
    """

    folder: Path
    on_step: Callable[[str, Path, bool], None] | None = None

    @contextmanager
    def sole_user(self) -> Iterator[None]:
        """Locks the folder against other processes while the block runs.

        Raises:
            InputError: Another process uses the folder.
        """
        path = self.folder / ".lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
        except OSError as error:
            raise storage_error(path, error) from error
        with file:
            if not lock(file):
                raise InputError(
                    "another process is using this folder",
                    path=self.folder,
                    remedy="Wait for it, or choose another folder=…",
                )
            yield

    def run(self, name: str, inputs: Inputs, output: Path, make: Callable[[], object]) -> None:
        """Runs a step unless it is finished.

        Args:
            name: Name of the record.
            inputs: Everything that the result depends on.
            output: Output of the step: a file or folder that appears only when it is complete.
            make: Creates the output.
        """
        done = self.is_done(name, inputs, output)
        if self.on_step:
            self.on_step(name, output, done)
        if not done:
            make()
            with atomic_text_writer(self._record(name)) as file:
                json.dump({"inputs": inputs, "output": _stamp(output), "version": __version__}, file, indent=1)

    def is_done(self, name: str, inputs: Inputs, output: Path) -> bool:
        """Whether an earlier run finished a step with these inputs, and its output is unchanged."""
        try:
            record = parse_json(self._record(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        if not isinstance(record, dict):
            return False
        stamp = _stamp(output)
        return bool(stamp and record.get("inputs") == json.loads(json.dumps(inputs)) and record.get("output") == stamp)

    def has_record(self, name: str, output: Path) -> bool:
        """Whether a step was finished with any inputs and its output exists; see also :meth:`is_done`."""
        return self._record(name).is_file() and output.exists()

    def _record(self, name: str) -> Path:
        return self.folder / "records" / f"{name}.json"


def _stamp(output: Path) -> list[list[Any]]:
    """Names, sizes and times of a file or the files in a folder, except our own files in an index; empty if deleted."""
    files = sorted(each for each in output.rglob("*") if each.is_file()) if output.is_dir() else [output]
    files = [each for each in files if each.exists() and INDEX_FOLDER not in each.relative_to(output.parent).parts]
    return [[each.name, each.stat().st_size, each.stat().st_mtime_ns] for each in files]
