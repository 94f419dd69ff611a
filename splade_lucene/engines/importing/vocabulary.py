"""The terms of vectors that have ids instead: the vocabulary of a model, a file, or an earlier export."""

from __future__ import annotations

import json
from pathlib import Path

from splade_lucene.encoder.location import locate
from splade_lucene.encoder.terms import escape_term, vocabulary_terms
from splade_lucene.encoder.tokenizer import PlainTokenizer
from splade_lucene.engines.export_manifest import MANIFEST, read_terms
from splade_lucene.errors import InputError, system_reason
from splade_lucene.files.files import open_text
from splade_lucene.files.json_text import parse_json
from splade_lucene.white_space import has_white_space


def read_vocabulary(source: str | Path) -> list[str]:
    """The Lucene term of each term_id.

    Args:
        source: The folder of an export; a ``.txt`` file with one term per line, such as BERT's ``vocab.txt``; a ``.json``
            file, which maps entries to ids or lists terms; or folder or hub name of a checkpoint.

    Raises:
        InputError: The file is something else.
        ModelError: The checkpoint is not found, or has no tokenizer.
    """
    path = Path(source)
    if (path / MANIFEST).is_file():
        return read_terms(path)
    if not path.is_file():
        return PlainTokenizer(locate(source).tokenizer_folder).terms()
    try:
        with open_text(path) as file:
            text = file.read()
        return _of_json(text) if path.suffix.lower() == ".json" else _of_lines(text)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read this vocabulary ({system_reason(error)})", path=path, line=getattr(error, "lineno", None),
            remedy="Write one term per line, or a JSON object that maps terms to ids",
        ) from error  # fmt: skip


def _of_lines(text: str) -> list[str]:
    lines = text.removesuffix("\n").split("\n")
    return [escape_term(line) if not line or has_white_space(line) else line for line in lines]


def _of_json(text: str) -> list[str]:
    value = parse_json(text)
    if isinstance(value, list) and all(isinstance(term, str) for term in value):
        return value
    if not isinstance(value, dict) or not all(type(term_id) is int and term_id >= 0 for term_id in value.values()):
        raise json.JSONDecodeError("Expecting a list of terms, or an object of terms and ids", text, 0)
    return vocabulary_terms(value, max(value.values(), default=-1) + 1)
