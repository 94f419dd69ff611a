"""JSON input: too deep nesting is an error in every reader, even in a process with a JVM."""

from __future__ import annotations

import json
import time

import pytest
from support.processes import run_python

from splade_lucene.files.json_text import MAX_NESTING, parse_json


def nested(depth: int) -> str:
    return '{"a": [' * (depth // 2) + "1" + "]}" * (depth // 2)


def test_what_is_nested_within_the_bound_is_parsed():
    assert parse_json(nested(MAX_NESTING)) == json.loads(nested(MAX_NESTING))
    many = json.dumps([[{"text": 'brackets "[[[{" in a string \\'}]] * MAX_NESTING)
    assert parse_json(many) == json.loads(many)
    escaped = json.dumps({"text": '\\\\" [[' * 300, "more": ["\\\\"] * 300})
    assert parse_json(escaped) == json.loads(escaped)
    quoted = json.dumps({"text": "[" * 1000 + '\\"' + "{" * 1000})
    assert parse_json(quoted.encode()) == json.loads(quoted)


@pytest.mark.parametrize("depth", [MAX_NESTING + 2, 100_000])
@pytest.mark.parametrize("bracket", ["[", '{"a":', '{"a": [', '["]]]]", '])
def test_what_is_nested_deeper_is_refused(depth, bracket):
    with pytest.raises(json.JSONDecodeError, match=f"Nested more than {MAX_NESTING} levels deep"):
        parse_json('{"text": "a",\n "more": ' + bracket * depth)


def test_the_time_does_not_depend_on_what_is_in_strings():
    """A regular expression took a minute for a tenth of this."""
    started = time.process_time()
    with pytest.raises(ValueError, match="Unterminated string"):
        parse_json('{"contents": "' + '\\"' * 500_000 + "[" * 201)
    assert time.process_time() - started < 10


def test_the_line_is_named():
    with pytest.raises(json.JSONDecodeError) as caught:
        parse_json('{"text": "a",\n"b": "\\"[",\n "more": ' + "[" * 300)
    assert caught.value.lineno == 3


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 3}', '[{"x": {"a": 1, "a": 1}}]', '{"a": 1, "\\u0061": 1}'])
def test_duplicate_keys_are_refused(text):
    with pytest.raises(ValueError, match="duplicate key 'a'"):
        parse_json(text)
    assert parse_json(text, object_pairs_hook=dict) == json.loads(text)


def test_many_keys_take_linear_time():
    started = time.process_time()
    with pytest.raises(ValueError, match="duplicate key 'k7'"):
        parse_json("{" + ", ".join(f'"k{i}": 1' for i in range(300_000)) + ', "k7": 1}')
    assert time.process_time() - started < 10


def test_a_number_of_too_many_digits_is_named_with_its_line():
    with pytest.raises(json.JSONDecodeError, match=r"Number with too many digits: line 2 column 6") as caught:
        parse_json('{"a": 1,\n"b": ' + "9" * 5000 + "}")
    assert caught.value.lineno == 2


def test_pairs_and_broken_text():
    assert parse_json('{"a": 1, "a": 2}', object_pairs_hook=list) == [("a", 1), ("a", 2)]
    for text in ("", "{", "nothing", b"\xff"):
        with pytest.raises(ValueError):  # noqa: PT011  either of its two kinds
            parse_json(text)


READERS = """
from pathlib import Path
from splade_lucene import jvm, read_corpus, read_pseudo_documents, read_topics, Run
from splade_lucene.cli.search import _json_query
from splade_lucene.encoder.location import locate, read_json
from splade_lucene.errors import SpladeLuceneError
from splade_lucene.manifest import read_manifest
jvm.start()
folder = Path({folder!r})
readers = {{
    "corpus": lambda: list(read_corpus(folder / "deep.jsonl")),
    "pseudo-documents": lambda: list(read_pseudo_documents(folder / "deep.jsonl")),
    "topics": lambda: read_topics(folder / "deep.jsonl"),
    "run": lambda: Run.read(folder / "deep.json"),
    "query": lambda: _json_query((folder / "deep.json").read_text()),
    "manifest": lambda: read_manifest(folder / "deep.json"),
    "checkpoint": lambda: read_json(folder / "deep.json"),
    "tokenizer": lambda: locate(folder),
}}
for name, read in readers.items():
    try:
        read()
    except SpladeLuceneError as error:
        print(name, "refused:", error)
"""


@pytest.mark.java
def test_no_reader_dies_of_it_beside_a_jvm(tmp_path):
    """On Python 3.13 json.loads ends the process there, by running into the guard pages that the JVM set."""
    for name in ("deep.jsonl", "deep.json"):
        (tmp_path / name).write_text('{"id": "1", "contents": "a", "extra": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    done = run_python(READERS.format(folder=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused:") == 8, done.stdout
    assert done.stdout.count("Nested more than 200 levels deep") >= 5, done.stdout
