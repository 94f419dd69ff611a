"""Which steps are finished: each leaves a record of what it was made from, beside the records of the others.

A step is done again if its inputs differ from those of the record, or if what it made is gone or was changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splade_lucene.errors import InputError
from splade_lucene.files import storage_error, written_whole
from splade_lucene.json_text import parse_json
from splade_lucene.locks import lock
from splade_lucene.manifest import INDEX_FOLDER
from splade_lucene.version import __version__

Inputs = dict[str, Any]
"""What a step's result depends on, as JSON."""


@dataclass(frozen=True)
class Steps:
    """The records of a folder.

    Attributes:
        folder: The folder.
        tell: Told the name of a step, what it makes, and whether an earlier run finished it.
    """

    folder: Path
    tell: Callable[[str, Path, bool], None] | None = None

    @contextmanager
    def sole_user(self) -> Iterator[None]:
        """Keeps other processes out of the folder while the block runs.

        Raises:
            InputError: One is in there.
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
                    "another process reproduces here", path=self.folder, remedy="Wait for it, or name another folder=…"
                )
            yield

    def do(self, name: str, inputs: Inputs, output: Path, make: Callable[[], object]) -> None:
        """Does a step, unless it is finished.

        Args:
            name: Names the record.
            inputs: What the result depends on.
            output: What the step makes: a file or folder that appears when it is whole.
            make: Makes it.
        """
        done = self.is_done(name, inputs, output)
        if self.tell:
            self.tell(name, output, done)
        if not done:
            make()
            with written_whole(self._record(name)) as file:
                json.dump({"inputs": inputs, "output": _stamp(output), "version": __version__}, file, indent=1)

    def is_done(self, name: str, inputs: Inputs, output: Path) -> bool:
        """Whether an earlier run finished a step with these inputs, and what it made is still there."""
        try:
            record = parse_json(self._record(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        stamp = _stamp(output)
        return bool(stamp and record.get("inputs") == json.loads(json.dumps(inputs)) and record.get("output") == stamp)

    def has_record(self, name: str, output: Path) -> bool:
        """Whether a step was finished once, and its output is there; with which inputs is for :meth:`is_done` to say."""
        return self._record(name).is_file() and output.exists()

    def _record(self, name: str) -> Path:
        return self.folder / "records" / f"{name}.json"


def _stamp(output: Path) -> list[list[Any]]:
    """Names, sizes and times of a file, or of the files below a folder but for our own of an index; empty if it is gone."""
    files = sorted(each for each in output.rglob("*") if each.is_file()) if output.is_dir() else [output]
    files = [each for each in files if each.exists() and INDEX_FOLDER not in each.relative_to(output.parent).parts]
    return [[each.name, each.stat().st_size, each.stat().st_mtime_ns] for each in files]
