"""Python's reader of pseudo-documents and Java's indexer accept the same lines and files, and refuse the others in the same words."""

from __future__ import annotations

import gzip
import json
import os
import random
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from support.pseudo_document_lines import FIELDS, draw_lines

from splade_lucene import (
    LuceneImpactIndexReader,
    PseudoDocumentError,
    index_pseudo_documents,
    read_pseudo_documents,
)
from splade_lucene.pseudo_documents.problems import PROBLEMS, Problem
from splade_lucene.pseudo_documents.syntax import problem_of
from splade_lucene.pseudo_documents.validation import parse_line
from splade_lucene.records import FieldValue

SEED = 20261126
LINES = int(os.environ.get("SPLADE_LUCENE_TEST_LINES", "2000"))  # 20000 for a change of the rules


class Read(NamedTuple):
    """What a reader made of a file: docid → contents, vector and fields, and the problems of the others."""

    contents: dict[str, str | None]
    vectors: dict[str, dict[str, int]]
    fields: dict[str, dict[str, FieldValue]]
    problems: list[Problem]


def read_in_python(path: Path) -> Read:
    problems: list[Problem] = []
    documents = list(read_pseudo_documents(path, fields=FIELDS, skip_bad=True, on_problem=problems.append))
    return Read(
        {d.docid: d.contents for d in documents},
        {d.docid: dict(d.vector) for d in documents},
        {d.docid: dict(d.fields) for d in documents},
        problems,
    )


def read_in_java(path: Path, index_dir: Path) -> Read:
    summary = index_pseudo_documents(path, index_dir, fields=FIELDS, skip_bad=True, accelerator=False)
    with LuceneImpactIndexReader(index_dir) as reader:
        docids = reader.docids()
        stored = [json.loads(raw)["contents"] if raw else None for raw in reader.raw(range(len(docids)))]
        vectors: dict[str, dict[str, int]] = {docid: {} for docid in docids}
        for term in reader.terms():
            for document, impact in zip(*map(list, reader.postings(term.term)), strict=True):
                vectors[docids[document]][term.term] = int(impact)
        fields = dict(zip(docids, reader.field_values(range(len(docids))), strict=True))
    return Read(dict(zip(docids, stored, strict=True)), vectors, fields, list(summary.skipped))


def test_both_accept_and_refuse_the_same_lines_in_the_same_words(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\n".join(draw_lines(random.Random(SEED), LINES)) + b"\n")
    in_python, in_java = read_in_python(path), read_in_java(path, tmp_path / "index")
    for one, other in zip(in_python.problems, in_java.problems, strict=False):
        assert one == other
    assert len(in_python.problems) == len(in_java.problems)
    assert in_python.contents == in_java.contents
    assert in_python.vectors == in_java.vectors
    assert in_python.fields == in_java.fields
    assert {problem.kind for problem in in_python.problems} == set(PROBLEMS) - {"not-a-term"}
    assert len(in_python.contents) > LINES // 4
    for problem in in_python.problems:
        assert str(problem).encode()
        assert len(problem.message) < 400


# ---- JSON ----


def test_the_words_are_for_what_pythons_parser_refuses_too():
    """The checker that produces the messages accepts what json.loads accepts, except for the limits."""
    for line in draw_lines(random.Random(SEED + 1), LINES):
        text = line.decode("utf-8", "replace")
        problem = problem_of(text)
        if str(problem).startswith("nested more"):
            continue  # where Python 3.13 would overflow its stack
        try:
            is_object = isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            assert problem is not None, text[:200]
            assert problem != "not an object"
        else:
            limits = ("a number of more than 1,000", "NaN or Infinity")
            assert (problem is None) == is_object or str(problem).startswith(limits), text[:200]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1}', None),
        (' {"a" : [ 1 , -0.5e+3 , true , null , "\\u00e9\\n" , { } , [ ] ] }\r', None),
        ('{"a": ' + "[" * 199 + "]" * 199 + "}", None),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "nested more than 200 levels deep at column 206"),
        ('{"a": ' + "9" * 1000 + "." + "9" * 1000 + "}", None),
        ('{"a": -' + "9" * 1001 + "}", "a number of more than 1,000 digits at column 7"),
        ('{"a": 1e' + "9" * 1001 + "}", "a number of more than 1,000 digits at column 7"),
        ('{"漢😀": NaN}', "NaN or Infinity at column 8"),
        ('{"a": -Infinity}', "NaN or Infinity at column 7"),
        ('{"a": 01}', "invalid JSON at column 8"),
        ('{"a": 1.}', "invalid JSON at column 8"),
        ('{"a": "\\x"}', "invalid JSON at column 8"),
        ('{"a": 1,}', "invalid JSON at column 9"),
        ("{'a': 1}", "invalid JSON at column 2"),
        ('{"a": [1}', "invalid JSON at column 9"),
        ('{"a": "b', "the line ends too early"),
        ('{"a"', "the line ends too early"),
        ("{} {}", "more text after the object, at column 4"),
        ("[1, 2]", "not an object"),
    ],
)  # fmt: skip
def test_where_json_is_broken_by_hand(text, problem):
    assert problem_of(text) == problem


def test_time_and_memory_are_linear_in_the_line():
    """With a hundred times the keys, a reader that compared each key with all others would need ten thousand times as long."""
    lines = [
        "{" + ", ".join(f'"k{i}": {i}' for i in range(200_000)) + ', "id": "x", "vector": {"a": 1}}',
        '{"id": "x", "vector": {"a": 1}, "digits": "' + ("1" * 999 + "x") * 2000 + '"}',
        '{"id": "x", "vector": {"a": 1}, "escapes": "' + "\\n" * 500_000 + '"}',
    ]
    for line in lines:
        started = time.process_time()
        assert parse_line(line.encode()).vector == {"a": 1}
        assert problem_of(line) is None
        assert time.process_time() - started < 10


# ---- files ----

LINE = b'{"id": "%d", "vector": {"a": 1}}\n'
PACKED = gzip.compress(LINE % 1)
GZIP: dict[str, tuple[bytes, int | None]] = {
    "one member": (PACKED, 1),
    "two members": (PACKED + gzip.compress(LINE % 2), 2),
    "an empty member between": (PACKED + gzip.compress(b"") + gzip.compress(LINE % 2), 2),
    "zeros behind": (PACKED + bytes(5000), 1),
    "zeros between": (PACKED + bytes(3) + gzip.compress(LINE % 2), 2),
    "a line cut by a member": (gzip.compress((LINE % 7)[:10]) + gzip.compress((LINE % 7)[10:]), 1),
    "a large file": (gzip.compress(b"".join(LINE % i for i in range(20_000))), 20_000),
    "a name, a comment and more": (b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x03\x00abcname\0comment\0\x12\x34" + PACKED[10:], 1),
    "garbage behind": (PACKED + b"garbage", None),
    "one byte behind": (PACKED + b"\x1f", None),
    "much garbage behind": (PACKED + b"garbage" * 50_000, None),
    "a plain line behind": (PACKED + LINE % 2, None),
    "zeros and garbage behind": (PACKED + bytes(20) + b"x", None),
    "half a member behind": (PACKED + PACKED[:20], None),
    "empty": (b"", None),
    "zeros": (bytes(100), None),
    "plain": (LINE % 1, None),
    "another method": (PACKED[:2] + b"\x07" + PACKED[3:], None),
    "a wrong checksum": (PACKED[:-8] + bytes(4) + PACKED[-4:], None),
    "a wrong length": (PACKED[:-4] + bytes(4), None),
    "another code in the data": (PACKED[:12] + b"\xff" + PACKED[13:], None),
    **{f"cut after {n} bytes": (PACKED[:n], None) for n in (1, 5, 10, 20, len(PACKED) - 8, len(PACKED) - 1)},
}  # fmt: skip


@pytest.mark.parametrize("name", GZIP)
def test_both_read_and_refuse_the_same_gzip_files_in_the_same_words(name, tmp_path):
    data, documents = GZIP[name]
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    if documents is not None:
        assert len(list(read_pseudo_documents(path))) == documents
        assert index_pseudo_documents(path, tmp_path / "index", accelerator=False).documents == documents
        return
    for skip_bad in (False, True):
        for read in (
            lambda skip=skip_bad: list(read_pseudo_documents(path, skip_bad=skip)),
            lambda skip=skip_bad: index_pseudo_documents(path, tmp_path / "index", skip_bad=skip),
        ):
            with pytest.raises(PseudoDocumentError) as caught:
                read()
            message = f"{path}: cannot read this file (it is not a whole gzip file). Encode or download it again"
            assert str(caught.value) == message
            assert caught.value.path == path
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("padding", [0, 1_000_000])
def test_a_bad_line_before_the_damage_is_reported_first(padding, tmp_path):
    """Java reads ahead, with the padding by more than a block."""
    path = tmp_path / "a.jsonl.gz"
    good = b"".join(LINE % i + b" " * padding for i in range(20))
    path.write_bytes(gzip.compress(good + b"{\n" + LINE % 7, 1) + b"garbage")
    for read in (lambda: list(read_pseudo_documents(path)), lambda: index_pseudo_documents(path, tmp_path / "index")):
        with pytest.raises(PseudoDocumentError) as caught:
            read()
        assert str(caught.value).startswith(f"{path}:21: the line is not a single JSON object (the line ends")


def test_relative_paths_are_shown_as_they_were_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("b.jsonl").write_bytes(LINE % 1 + LINE % 1)
    for read in (lambda: list(read_pseudo_documents("b.jsonl")), lambda: index_pseudo_documents("b.jsonl", "index")):
        with pytest.raises(PseudoDocumentError, match=r"^b\.jsonl:2: duplicate id '1', first used at b\.jsonl:1\. "):
            read()
