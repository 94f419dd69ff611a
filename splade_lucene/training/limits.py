"""The longest text that a network accepts, checked before the first step for the student and the teachers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentence_transformers.util import load_file_path
from transformers import AutoConfig

from splade_lucene.encoder.layout import token_positions
from splade_lucene.encoder.location import CHECK_NAME, read_json
from splade_lucene.errors import ConfigError, ModelError, first_line

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
    config = read_network_config(base)
    _require(config.to_dict(), max_length, "passages", "the base", "optimization.max_length")
    return config


def read_network_config(base: Path) -> Any:
    """Reads a network's configuration.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        return AutoConfig.from_pretrained(base)
    except Exception as error:  # transformers' parsers raise all kinds of exceptions
        raise ModelError(f"{base}: cannot load a masked-language model: {first_line(error)}. {CHECK_NAME}") from error


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
        _require(config.to_dict(), settings.query_max_length, "queries", "the base", "optimization.query_max_length")


def check_teacher_lengths(teacher: Teacher) -> None:
    """Checks the lengths that teachers read. A teacher that is not found has no configuration to check.

    Raises:
        ConfigError: A teacher accepts fewer tokens.
        ModelError: A file of a teacher is damaged.
    """
    for texts, kind, name in (
        ("texts", "dense encoder", teacher.dense),
        ("pairs", "cross-encoder", teacher.cross_encoder),
    ):
        config = None if name is None else _teacher_config(name)
        if config is not None:
            _require(config, teacher.max_length, texts, f"the {kind} {name}", "teacher.max_length")


def _require(config: dict[str, Any], length: int, texts: str, network: str, setting: str) -> None:
    positions = token_positions(config)
    if positions is not None and length > positions:
        raise ConfigError(
            f"{texts} of {length} tokens are too long for {network}, which accepts {positions}",
            remedy=f"Lower {setting}",
        )


def _teacher_config(name: str) -> dict[str, Any] | None:
    """The configuration of a teacher's network, in the folder or on the hub, in its own folder or that of its first module."""
    try:
        modules = load_file_path(name, "modules.json")
        first = {} if modules is None else read_json(Path(modules), list)[0]
        found = load_file_path(name, "config.json", subfolder=str(first.get("path", "")))
    except ModelError:
        raise
    except Exception:  # the hub raises all kinds of exceptions, and loading the teacher names them
        return None
    if found is None:
        return None
    try:
        config: dict[str, Any] = AutoConfig.from_pretrained(Path(found).parent).to_dict()
    except Exception:  # transformers does not know the architecture: use the file's own values
        config = read_json(Path(found))
    return config
