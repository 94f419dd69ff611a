"""Parses YAML in time and memory bounded by its length: aliases, duplicate keys, deep nesting and long numbers are refused."""

from __future__ import annotations

import re
from typing import Any

import yaml

from splade_lucene.errors import first_line

_MAX_NESTING = 20  # a configuration has three levels
_LONG_NUMBER = re.compile(r"[-+0-9_:.]{100,}")  # YAML 1.1 has numbers to the base of 60, in quadratic time


class YamlError(ValueError):
    """The text cannot be parsed.

    Args:
        problem: What is wrong.
        mark: The place, if it is known.
    """

    def __init__(self, problem: str | None, mark: yaml.Mark | None) -> None:
        super().__init__(problem or "not YAML")
        self.line = None if mark is None else mark.line + 1


def parse_yaml(text: str) -> Any:
    """Parses a YAML text.

    Raises:
        ValueError: The text is not YAML, nests too deeply, or has aliases, duplicate keys or impossible values. It is a
            :class:`YamlError` if the place is known.
    """
    try:
        _check_events(text)
        node = yaml.compose(text, yaml.SafeLoader)
        if node is not None:
            _check_keys(node)
        return yaml.safe_load(text)
    except YamlError:
        raise
    except yaml.MarkedYAMLError as error:
        raise YamlError(error.problem, error.problem_mark) from None
    except yaml.YAMLError as error:  # a character that YAML does not have
        raise ValueError(first_line(error)) from None
    except (OverflowError, TypeError, AttributeError, LookupError) as error:  # a value that does not match its tag
        raise ValueError(f"invalid value: {error}") from None


def _check_events(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        problem = ""
        if isinstance(event, yaml.AliasEvent):
            problem = "an alias, which is not supported: write out the value"
        elif depth > _MAX_NESTING:
            problem = f"nested more than {_MAX_NESTING} levels deep"
        elif isinstance(event, yaml.ScalarEvent) and _LONG_NUMBER.fullmatch(event.value):
            problem = "a number of 100 characters or more"
        if problem:
            raise YamlError(problem, event.start_mark)


def _check_keys(node: Any) -> None:
    if not isinstance(node.value, list):
        return
    seen = set()
    for each in node.value:
        key, value = each if isinstance(each, tuple) else (None, each)
        if key is not None:
            name = (key.tag, repr(key.value))
            if name in seen:
                raise YamlError(f"duplicate key {name[1]:.80}", key.start_mark)
            seen.add(name)
        _check_keys(value)
