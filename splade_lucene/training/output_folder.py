"""The output folder of a training run: used by one process and one configuration, and never shared with other files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from splade_lucene.corpus.reading import corpus_digest
from splade_lucene.encoder.location import locate
from splade_lucene.errors import ConfigError, TopicsError
from splade_lucene.files.files import atomic_text_writer, file_digest, files_digest
from splade_lucene.files.folders import select_only_file
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.locks import lock
from splade_lucene.files.outputs import PARTIAL
from splade_lucene.files.typed_data import make
from splade_lucene.training.base import description_digest
from splade_lucene.training.config import TrainingConfig, Validation
from splade_lucene.training.curves import CSV, PNG
from splade_lucene.training.examples.rows import file_of_folder

SETTINGS, LOCK, LOG, FIGURES = "settings.json", "splade-lucene.lock", "log.jsonl", "figures.json"
_CREATED = ("round-1", "round-2", "model", "model.partial", "validation", "tensorboard")
_CHANGEABLE = ("validation", "report_to", "optimization.log", "optimization.checkpoint")
"""Settings that may change when a run is resumed."""

_UNKNOWN = "—"


@dataclass(frozen=True)
class _Record:
    """What the file of settings holds."""

    settings: dict[str, Any]


class OutputFolder:
    """The output folder of a training run.

    Args:
        config: The training run.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.path, self._config = Path(config.output), config

    @contextmanager
    def claimed(self, *, overwrite: bool) -> Iterator[dict[str, Any]]:
        """Locks the folder against other processes and other runs.

        Args:
            overwrite: Delete the output of an earlier run.

        Yields:
            The settings of the earlier run to resume; empty for a new run.

        Raises:
            ConfigError: The folder has unrelated files, input files, or a run with different settings or data; or it is used
                by another process.
            ModelError: The base is not found.
        """
        self._refuse_inputs()
        self._refuse_unrelated_files()
        now = self.settings  # before the folder is created, because the base may be missing
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("a") as file:
            if not lock(file):
                raise ConfigError(
                    "another process is training into this folder",
                    path=self.path,
                    remedy="Wait for it, or choose another output",
                )
            before = {} if overwrite else self._settings_before()
            if before:
                _refuse_other_settings(self.path, before, now)
            else:
                self._delete_created()
            yield before

    def write_settings(self, computed_in: str) -> None:
        """Writes the settings of the run.

        Args:
            computed_in: The precision that ``auto`` stands for on this machine.
        """
        with atomic_text_writer(self.path / SETTINGS) as file:
            json.dump({"settings": {**self.settings, "computed_in": computed_in}}, file, indent=1)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings that determine the model; see :func:`describe_run`."""
        return describe_run(self._config)

    def _settings_before(self) -> dict[str, Any]:
        path = self.path / SETTINGS
        if not path.is_file():
            return {}
        try:
            return make(_Record, parse_json(path.read_text(encoding="utf-8"))).settings
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"cannot read the settings of the earlier run ({error})", path=path,
                remedy="Choose another output, or pass overwrite=True to restart the training",
            ) from None  # fmt: skip

    def _refuse_inputs(self) -> None:
        """Refuses inputs inside the output folder, because a run deletes folders there."""
        folder = self.path.resolve()
        for name, value in _inputs(self._config).items():
            if Path(value).exists() and Path(value).resolve().is_relative_to(folder):
                raise ConfigError(
                    f"{name} ({value}) is inside the output folder", path=self.path, remedy=_SEPARATE_FOLDER
                )

    def _refuse_unrelated_files(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError("the output is not a folder", path=self.path, remedy=_SEPARATE_FOLDER)
        is_ours = (self.path / SETTINGS).is_file() and (self.path / LOCK).is_file()
        if is_ours or not self.path.is_dir():
            return
        is_left_over = re.compile(f"{re.escape(LOCK)}|{re.escape(SETTINGS)}{PARTIAL}")
        others = sorted(each.name for each in self.path.iterdir() if not is_left_over.fullmatch(each.name))
        if others:
            raise ConfigError(
                f"the output folder has unrelated files ({', '.join(others[:3])}{' …' if others[3:] else ''})",
                path=self.path, remedy=_SEPARATE_FOLDER,
            )  # fmt: skip

    def _delete_created(self) -> None:
        for name in _CREATED:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (LOG, FIGURES, CSV, PNG):
            (self.path / name).unlink(missing_ok=True)


def _refuse_other_settings(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    names = [name for name in {**now, **before} if name not in (*_CHANGEABLE, "computed_in")]
    differing = [
        f"{name} was {_shorten(before.get(name, _UNKNOWN))}, is now {_shorten(now.get(name, _UNKNOWN))}"
        for name in names
        if before.get(name, _UNKNOWN) != now.get(name, _UNKNOWN)
    ]
    if differing:
        raise ConfigError(
            f"the folder has a run with different settings ({'; '.join(differing)})", path=folder,
            remedy="Choose another output, or pass overwrite=True to restart the training",
        )  # fmt: skip


_SEPARATE_FOLDER = "Choose a separate folder for the run"


def describe_run(config: TrainingConfig) -> dict[str, Any]:
    """The settings that determine a model, by dotted key, with digests in place of files and folders.

    Raises:
        ModelError: The base is not found.
    """
    flat = dict(_flatten(config.model_dump(mode="json", exclude={"output", "cache", "validation"})))
    data = config.data
    found = {f"data.{name}": _data_file(name, value) for name, value in (
        ("passages", data.passages), ("queries", data.queries), ("examples", data.examples),
        ("scores", data.scores), ("judgments", data.judgments),
    )}  # fmt: skip
    digests = {name: corpus_digest(path) for name, path in found.items() if path is not None}
    digests["base"] = _digest_of(locate(config.base).folder)
    digests["the base's configuration and tokenizer"] = description_digest(config.base)
    for name, value in _inputs(config).items():
        if name.startswith(("teacher.", "mining.")) and Path(value).exists():
            digests[name] = _digest_of(Path(value))
    return {**{name: value for name, value in flat.items() if name not in _CHANGEABLE}, **digests}


def describe_validation(validation: Validation) -> dict[str, Any]:
    """What determines the measures of a model: the settings of a validation, with digests in place of files and folders."""
    settings = validation.model_dump(mode="json", exclude={"every"})
    digests = {name: _digest_of(Path(settings[name])) for name in ("topics", "qrels") if Path(settings[name]).exists()}
    return {**settings, **digests, "corpus": corpus_digest(validation.corpus)}


def _inputs(config: TrainingConfig) -> dict[str, str]:
    """All settings that may be a file or folder and are set."""
    flat = dict(_flatten(config.model_dump(mode="json")))
    names = (
        "base", "data.passages", "data.queries", "data.examples", "data.scores", "data.judgments", "teacher.dense",
        "teacher.cross_encoder", "teacher.scores", "mining.index", "validation.corpus", "validation.topics",
        "validation.qrels",
    )  # fmt: skip
    return {name: flat[name] for name in names if flat.get(name)}


def _data_file(name: str, value: str | None) -> str | None:
    """The file to use from a folder; for passages, the whole folder."""
    if not value or not Path(value).is_dir():
        return value
    if name == "examples":
        return str(file_of_folder(Path(value)))
    return str(select_only_file(Path(value), "queries", TopicsError)) if name == "queries" else value


def _digest_of(path: Path) -> str:
    """Digest of a file, of a checkpoint's weights, or of all files of an index or a modular checkpoint."""
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


def _shorten(value: Any) -> str:
    """A value as text; digests are abbreviated."""
    text = str(value)
    return text if len(text) < 64 else f"{text[:8]} …"
