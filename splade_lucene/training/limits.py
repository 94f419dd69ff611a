"""The longest text that a network accepts, checked before the first step for the student and the teachers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig
from transformers.utils import cached_file

from splade_lucene.encoder.layout import token_positions
from splade_lucene.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from splade_lucene.training.config import Optimization, Teacher


def read_limited_config(base: Path, max_length: int) -> Any:
    """Reads a network's configuration and checks the length of passages.

    Args:
        base: Folder of the network.
        max_length: Tokens per passage.

    Raises:
        ConfigError: The network accepts fewer tokens.
        ModelError: The configuration cannot be read.
    """
    try:
        config = AutoConfig.from_pretrained(base)
    except Exception as error:  # transformers' parsers raise all kinds of exceptions
        raise ModelError(f"{base}: cannot load a masked-language model: {str(error).splitlines()[0]}") from error
    _require(config, max_length, "passages", "the base", "optimization.max_length")
    return config


def check_base_lengths(base: Path, settings: Optimization, *, has_network_queries: bool) -> None:
    """Checks the lengths of both sides.

    Args:
        base: Folder of the base's network.
        settings: The lengths.
        has_network_queries: Whether queries go through the network; those of SPLADE-doc may have any length.

    Raises:
        ConfigError: The base accepts fewer tokens.
        ModelError: Its configuration cannot be read.
    """
    config = read_limited_config(base, settings.max_length)
    if has_network_queries:
        _require(config, settings.query_max_length, "queries", "the base", "optimization.query_max_length")


def check_teacher_lengths(teacher: Teacher) -> None:
    """Checks the lengths that teachers read. A teacher that is not found has no configuration to check.

    Raises:
        ConfigError: A teacher accepts fewer tokens.
    """
    for texts, kind, name in (
        ("texts", "dense encoder", teacher.dense),
        ("pairs", "cross-encoder", teacher.cross_encoder),
    ):
        folder = None if name is None else _network_folder(name)
        if folder is None:
            continue
        try:
            config = AutoConfig.from_pretrained(folder)
        except Exception:  # noqa: S112 - a network that only its own library can load
            continue
        _require(config, teacher.max_length, texts, f"the {kind} {name}", "teacher.max_length")


def _require(config: Any, length: int, texts: str, network: str, setting: str) -> None:
    positions = token_positions(config.to_dict())
    if positions is not None and length > positions:
        raise ConfigError(
            f"{texts} of {length} tokens are too long for {network}, which accepts {positions}",
            remedy=f"Lower {setting}",
        )


def _network_folder(name: str) -> Path | None:
    """The folder of a teacher's network, in its own folder, a module's, or the hub's cache."""
    folder = Path(name)
    if not folder.is_dir():
        found = cached_file(
            name, "config.json", _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False, _raise_exceptions_for_gated_repo=False,
        )  # fmt: skip
        return None if found is None else Path(found).parent
    if (folder / "config.json").is_file():
        return folder
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        return folder / str(modules[0]["path"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
