"""The output folder of a run: one process's at a time, one configuration's, and never one with files of other makers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from splade_lucene.corpus.reading import corpus_digest
from splade_lucene.encoder.location import locate
from splade_lucene.errors import ConfigError
from splade_lucene.files import file_digest, files_digest, written_whole
from splade_lucene.json_text import parse_json
from splade_lucene.locks import lock
from splade_lucene.training.config import TrainingConfig

SETTINGS, LOCK, LOG, FIGURES = "settings.json", "splade-lucene.lock", "log.jsonl", "figures.json"
_MADE = ("round-1", "round-2", "model", "model.partial", "validation")
_FREE = ("validation", "optimization.log", "optimization.checkpoint")
"""Settings that may change between a kill and going on."""

_UNKNOWN = "—"


class OutputFolder:
    """Where a run puts what it makes.

    Args:
        config: The run.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.path, self._config = Path(config.output), config

    @contextmanager
    def claimed(self, *, overwrite: bool) -> Iterator[dict[str, Any]]:
        """Keeps other processes and other runs away.

        Args:
            overwrite: Delete what an earlier run made.

        Yields:
            What the settings file held before; empty for a new run.

        Raises:
            ConfigError: The folder holds files that are no run's, input files, or a run with other settings or data; or
                another process trains into it.
            ModelError: The base is not there.
        """
        self._refuse_inputs()
        self._refuse_others_files()
        now = self.settings  # the base may not be there, and is looked at before a folder is made
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("a") as file:
            if not lock(file):
                raise ConfigError(
                    "another process trains into this folder",
                    path=self.path,
                    remedy="Wait for it, or give another output",
                )
            before = {} if overwrite else self._settings_before()
            if before:
                _refuse_other_settings(self.path, before, now)
            else:
                self._delete_what_was_made()
            yield before

    def write_settings(self, computed_in: str) -> None:
        """Says what the folder's run is.

        Args:
            computed_in: The precision that ``auto`` stands for on this machine.
        """
        with written_whole(self.path / SETTINGS) as file:
            json.dump({"settings": {**self.settings, "computed_in": computed_in}}, file, indent=1)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What makes the model what it is; see :func:`describe_run`."""
        return describe_run(self._config)

    def _settings_before(self) -> dict[str, Any]:
        path = self.path / SETTINGS
        if not path.is_file():
            return {}
        try:
            before: dict[str, Any] = dict(parse_json(path.read_text(encoding="utf-8"))["settings"])
            return before
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ConfigError(
                f"what the folder's run was cannot be read ({error})", path=path,
                remedy="Give another output, or --overwrite to start the training anew",
            ) from None  # fmt: skip

    def _refuse_inputs(self) -> None:
        """A run deletes folders of its own: no input may lie among them."""
        folder = self.path.resolve()
        for name, value in _inputs(self._config).items():
            if Path(value).exists() and Path(value).resolve().is_relative_to(folder):
                raise ConfigError(
                    f"{name} ({value}) lies in the output folder", path=self.path, remedy=_FOLDER_OF_ITS_OWN
                )

    def _refuse_others_files(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError("the output is no folder", path=self.path, remedy=_FOLDER_OF_ITS_OWN)
        is_ours = (self.path / SETTINGS).is_file() and (self.path / LOCK).is_file()
        if is_ours or not self.path.is_dir():
            return
        others = sorted(each.name for each in self.path.iterdir() if each.name not in (LOCK, f"{SETTINGS}.partial"))
        if others:
            raise ConfigError(
                f"the output folder holds files of something else ({', '.join(others[:3])}{' …' if others[3:] else ''})",
                path=self.path, remedy=_FOLDER_OF_ITS_OWN,
            )  # fmt: skip

    def _delete_what_was_made(self) -> None:
        for name in _MADE:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (LOG, FIGURES):
            (self.path / name).unlink(missing_ok=True)


def _refuse_other_settings(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    names = [name for name in {**now, **before} if name not in (*_FREE, "computed_in")]
    differing = [
        f"{name} was {_shown(before.get(name, _UNKNOWN))}, is {_shown(now.get(name, _UNKNOWN))}"
        for name in names
        if before.get(name, _UNKNOWN) != now.get(name, _UNKNOWN)
    ]
    if differing:
        raise ConfigError(
            f"the folder holds a run with other settings ({'; '.join(differing)})", path=folder,
            remedy="Give another output, or --overwrite to start the training anew",
        )  # fmt: skip


_FOLDER_OF_ITS_OWN = "Give the run a folder of its own"


def describe_run(config: TrainingConfig) -> dict[str, Any]:
    """What makes a model what it is: the settings, by dotted keys, and in place of files and folders their digests.

    Raises:
        ModelError: The base is not there.
    """
    flat = dict(_flatten(config.model_dump(mode="json", exclude={"output", "cache", "validation"})))
    data = config.data
    found = {f"data.{name}": _data_file(name, value) for name, value in (
        ("passages", data.passages), ("queries", data.queries), ("examples", data.examples),
    )}  # fmt: skip
    digests = {name: corpus_digest(path) for name, path in found.items() if path is not None}
    digests["base"] = _digest_of(locate(config.base).folder)
    for name, value in _inputs(config).items():
        if name.startswith(("teacher.", "mining.")) and Path(value).exists():
            digests[name] = _digest_of(Path(value))
    return {**{name: value for name, value in flat.items() if name not in _FREE}, **digests}


def _inputs(config: TrainingConfig) -> dict[str, str]:
    """All settings that may name a file or folder, and do."""
    flat = dict(_flatten(config.model_dump(mode="json")))
    names = (
        "base", "data.passages", "data.queries", "data.examples", "teacher.dense", "teacher.cross_encoder",
        "teacher.scores", "mining.index", "validation.corpus", "validation.topics", "validation.qrels",
    )  # fmt: skip
    return {name: flat[name] for name in names if flat.get(name)}


def _data_file(name: str, value: str | None) -> str | None:
    """The file of a BEIR folder that is meant; passages are the whole folder."""
    of_folder = {"queries": "queries.jsonl", "examples": "qrels/train.tsv"}.get(name)
    return str(Path(value) / of_folder) if value and of_folder and Path(value).is_dir() else value


def _digest_of(path: Path) -> str:
    """Of a file, of a checkpoint's weights, or of all files of an index or of a checkpoint in parts."""
    if path.is_file():
        return file_digest(path)
    return locate(path).digest() or files_digest(
        sorted(each for each in path.rglob("*") if each.is_file() and each.stat().st_size)
    )


def _flatten(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{above}{name}.")
        else:
            yield above + name, value


def _shown(value: Any) -> str:
    """A value; of a digest the beginning."""
    text = str(value)
    return text if len(text) < 64 else f"{text[:8]} …"
