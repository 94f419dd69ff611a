"""Pseudo-documents: what is written is read back; what Anserini would garble is refused with file, line and remedy."""

import bz2
import gzip
import json
import lzma
import re
import unicodedata
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splade_lucene import LuceneImpactSearcher, index_pseudo_documents
from splade_lucene.errors import PseudoDocumentError, StorageError
from splade_lucene.ids import has_space_or_control
from splade_lucene.pseudo_documents.files import find_files
from splade_lucene.pseudo_documents.format import (
    format_pseudo_document,
    read_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.pseudo_documents.problems import PROBLEMS, Problem
from splade_lucene.pseudo_documents.validation import check_document
from splade_lucene.records import PseudoDocument
from splade_lucene.white_space import has_white_space

GOOD = b'{"id": "good", "contents": "text", "vector": {"a": 1}}'


def is_java_white_space(character):
    """java.lang.Character.isWhitespace, as its documentation defines it."""
    if character in "\u00a0\u2007\u202f":
        return False
    return unicodedata.category(character) in ("Zs", "Zl", "Zp") or character in "\t\n\x0b\f\r\x1c\x1d\x1e\x1f"


def write_lines(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def with_vector(vector):
    return f'{{"id": "bad", "contents": "", "vector": {vector}}}'


# ---- reading what is good ----


def test_documents_by_hand(tmp_path):
    path = write_lines(
        tmp_path / "a.jsonl",
        '{"id": "7", "contents": "Androgens.", "vector": {"androgen": 203, "##rogen": 187}}',
        "",
        '{"vector": {"x": 2147483647}, "id": 8}',
    )
    assert list(read_pseudo_documents(path)) == [
        PseudoDocument("7", "Androgens.", {"androgen": 203, "##rogen": 187}),
        PseudoDocument("8", None, {"x": 2147483647}),
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.jsonl.gz", "a.json.gz"])
def test_each_ending_is_read(tmp_path, name):
    write_lines(tmp_path / name, GOOD)
    assert [document.docid for document in read_pseudo_documents(tmp_path)] == ["good"]


def test_folder_is_read_in_the_order_of_names_and_other_files_are_passed_over(tmp_path):
    for name, docid in (("b.jsonl", "2"), ("a.jsonl.gz", "1"), ("sub/c.json", "3")):
        write_lines(tmp_path / name, f'{{"id": "{docid}", "vector": {{"t": 1}}}}')
    write_lines(tmp_path / "splade-lucene.manifest", "no document")
    assert [path.name for path in find_files(tmp_path)] == ["a.jsonl.gz", "b.jsonl", "c.json"]
    assert [document.docid for document in read_pseudo_documents(tmp_path)] == ["1", "2", "3"]


DOCUMENTS = [PseudoDocument(str(number), f"text\n[{number}] é", {"t": number, "u": 1}) for number in (1, 2, 3)]


def forms_of_json():
    records = [json.loads(format_pseudo_document(document)) for document in DOCUMENTS]
    return {
        "array": json.dumps(records),
        "indented array": json.dumps(records, indent=2),
        "a line each": "[" + ",\n".join(map(json.dumps, records)) + "]",
        "indented objects": "\n".join(json.dumps(record, indent=1) for record in records),
        "lines": "\n".join(map(json.dumps, records)),
    }


@pytest.mark.parametrize("form", forms_of_json())
@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.json.xz"])
def test_forms_of_json_are_read_and_indexed_alike(tmp_path, form, name):
    text = forms_of_json()[form].encode()
    path = tmp_path / name
    path.write_bytes(
        gzip.compress(text) if name.endswith(".gz") else lzma.compress(text) if name.endswith(".xz") else text
    )
    assert list(read_pseudo_documents(path)) == DOCUMENTS
    summary = index_pseudo_documents(path, tmp_path / "index", threads=1)
    assert (summary.documents, summary.postings) == (3, 6)
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert [(hit.docid, hit.score) for hit in searcher.search({"t": 2})] == [("3", 6), ("2", 4), ("1", 2)]
    assert {each.name for each in tmp_path.iterdir()} == {name, "index"}


def test_problems_in_an_array_have_the_same_place_in_python_and_java(tmp_path):
    text = '[\n{"id": "1",\n "vector": {"t": 1}},\n{"id": "2", "vector": {"t": 1.5}},\n{"id": "1", "vector": {"t": 2}}]'
    write_lines(tmp_path / "a.json", text)
    problems: list[Problem] = []
    assert [each.docid for each in read_pseudo_documents(tmp_path, skip_bad=True, on_problem=problems.append)] == ["1"]
    assert [(each.kind, each.line) for each in problems] == [("float-impact", 4), ("duplicate-id", 5)]
    summary = index_pseudo_documents(tmp_path / "a.json", tmp_path / "index", skip_bad=True, threads=1)
    assert list(summary.skipped) == problems
    write_lines(tmp_path / "a.json", '[\n{"id": "1", "vector": {"t": 1}},\n')
    for read in (
        lambda: list(read_pseudo_documents(tmp_path)),
        lambda: index_pseudo_documents(tmp_path, tmp_path / "x"),
    ):
        with pytest.raises(PseudoDocumentError, match=r"a\.json:4: invalid JSON"):
            read()


def test_compressed_parts_are_read_and_indexed(tmp_path):
    lines = [format_pseudo_document(document).encode() for document in DOCUMENTS]
    (tmp_path / "part_0.jsonl").write_bytes(lines[0])
    (tmp_path / "part_1.jsonl.bz2").write_bytes(bz2.compress(lines[1]))
    with zipfile.ZipFile(tmp_path / "part_2.jsonl.zip", "w") as archive:
        archive.writestr("part_2.jsonl", b"\n" + lines[2])
    assert list(read_pseudo_documents(tmp_path)) == DOCUMENTS
    assert index_pseudo_documents(tmp_path, tmp_path / "index", threads=1).documents == 3
    (tmp_path / "part_3.jsonl.lz4").write_bytes(b"?")
    for read in (
        lambda: list(read_pseudo_documents(tmp_path)),
        lambda: index_pseudo_documents(tmp_path, tmp_path / "x"),
    ):
        with pytest.raises(PseudoDocumentError, match=r"part_3\.jsonl\.lz4: cannot read \.lz4 files"):
            read()


def test_folder_is_one_collection_without_hidden_files(tmp_path, caplog):
    write_lines(tmp_path / "part_0.jsonl", GOOD)
    write_lines(tmp_path / "._part_0.jsonl", "?")
    write_lines(tmp_path / "notes.tsv", "?")
    assert find_files(tmp_path) == [tmp_path / "part_0.jsonl"]
    assert caplog.messages == [f"{tmp_path}: reading part_0.jsonl; skipping notes.tsv"]
    write_lines(tmp_path / "queries.jsonl", '{"id": "q1", "vector": {"a": 1}}')
    with pytest.raises(PseudoDocumentError, match=r"also holds queries, judgments .*: queries\.jsonl"):
        find_files(tmp_path)


def test_escapes_and_unusual_terms(tmp_path):
    line = r'{"id": "\u00e9\"\\", "contents": "a\nb\t\"c\" \ud83d\ude00", "vector": {"a\u00a0b": 1, "\ud83d\ude00": 2}}'
    (document,) = read_pseudo_documents(write_lines(tmp_path / "a.jsonl", line))
    assert document == PseudoDocument('é"\\', 'a\nb\t"c" 😀', {"a\u00a0b": 1, "😀": 2})


def test_line_separators_of_unicode_end_no_line(tmp_path):
    document = PseudoDocument("1", "a\u2028b\u0085c\x0bd", {"t\u0085": 1})
    path = tmp_path / "a.jsonl"
    assert write_pseudo_documents(path, [document]) == 1
    assert list(read_pseudo_documents(path)) == [document]


def test_term_of_255_characters_is_the_longest(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", with_vector(json.dumps({"x" * 255: 1})))
    assert [len(term) for document in read_pseudo_documents(path) for term in document.vector] == [255]


def test_term_length_is_counted_in_javas_characters_of_16_bits(tmp_path):
    lengths = {"😀" * 127: True, "😀" * 128: False}
    for term, fits in lengths.items():
        path = write_lines(tmp_path / "a.jsonl", with_vector(json.dumps({term: 1})))
        assert len(term.encode("utf-16-le")) // 2 == (254 if fits else 256)
        assert [document.docid for document in read_pseudo_documents(path, skip_bad=True)] == ["bad"] * fits


# ---- refusing what is bad ----

BAD: dict[str, list[Any]] = {
    "broken-json": [
        ('{"id": "bad", "vector": {"a": 1}', "the line ends too early"),
        ('{"id": "bad", "vector": {"a": 1,}}', "invalid JSON at column 33"),
        ("[1, 2]", "not an object"),
        ('"bad"', "not an object"),
        (GOOD + b" {}", "more text after the object, at column 56"),
        ("\ufeff" + GOOD.decode(), "invalid JSON at column 1"),
    ],
    "not-utf8": [(b'{"id": "bad\xff", "vector": {"a": 1}}', "byte 12")],
    "repeated-key": [('{"id": "bad", "id": "worse", "vector": {"a": 1}}', "duplicate key 'id'")],
    "no-id": [
        ('{"vector": {"a": 1}}', 'no "id"'),
        ('{"id": null, "vector": {"a": 1}}', 'no "id"'),
        ('{"id": "", "vector": {"a": 1}}', 'no "id"'),
    ],
    "bad-id": [
        ('{"id": "b d", "vector": {"a": 1}}', "'b d'"),
        (r'{"id": "b\u00a0d", "vector": {"a": 1}}', r"b\xa0d"),
        (r'{"id": "b\nd", "vector": {"a": 1}}', r"b\nd"),
        (r'{"id": "b\u0000d", "vector": {"a": 1}}', r"b\x00d"),
    ],
    "not-an-id": [
        ('{"id": 1.5, "vector": {"a": 1}}', "the id is a decimal number,"),
        ('{"id": true, "vector": {"a": 1}}', "the id is true,"),
        ('{"id": ["x"], "vector": {"a": 1}}', "the id is a list,"),
    ],
    "long-id": [(f'{{"id": "{"x" * 32_767}", "vector": {{"a": 1}}}}', "longer than 32,766 bytes")],
    "duplicate-id": [(GOOD, "duplicate id 'good', first used at")],
    "no-vector": [('{"id": "bad", "contents": "x"}', "'bad' has no")],
    "dense-vector": [
        (with_vector("[0.5, 1]"), "a list"),
        (with_vector("null"), "is null,"),
        (with_vector('"a a b"'), "is a string,"),
    ],
    "empty-vector": [(with_vector("{}"), "'bad' has an empty vector")],
    "float-impact": [
        (with_vector('{"a": 1.5}'), "a: 1.5"),
        (with_vector('{"a": 2.0}'), "a: 2.0"),
        (with_vector('{"a": 1e3}'), "a: 1e3"),
    ],
    "not-a-number": [
        (with_vector('{"a": "3"}'), 'a: "3"'),
        (with_vector('{"a": null}'), "a: null"),
        (with_vector('{"a": true}'), "a: true"),
        (with_vector('{"a": {"b": 1}}'), "a: an object"),
    ],
    "not-positive": [(with_vector('{"a": 0}'), "a: 0"), (with_vector('{"b": 1, "a": -3}'), "a: -3")],
    "huge-impact": [(with_vector('{"a": 2147483648}'), "a: 2147483648")],
    "white-space": [
        (with_vector('{"a b": 1}'), "'a b'"),
        (with_vector(r'{"a\tb": 1}'), r"a\tb"),
        (with_vector(r'{"\u2003": 1}'), r"\u2003"),
        (with_vector(r'{"\u3000x": 1}'), r"\u3000x"),
    ],
    "empty-term": [(with_vector('{"": 1}'), "empty string")],
    "huge-total": [(with_vector(json.dumps({"cat": 2**31 - 1, "dog": 1})), "sum to over 2147483647")],
    "long-term": [(with_vector(json.dumps({"x" * 256: 1})), "x" * 40)],
    "repeated-term": [(with_vector('{"a": 1, "a": 2}'), "duplicate term 'a'")],
}
CASES = [(kind, line, says) for kind, cases in BAD.items() for line, says in cases]


def test_each_kind_of_problem_has_a_case_below():
    assert set(BAD) == set(PROBLEMS) - {"not-a-term", "bad-field"}  # only in memory; tests/test_fields.py


@pytest.mark.parametrize(("kind", "line", "says"), CASES)
def test_bad_document_is_refused_with_place_and_remedy(tmp_path, kind, line, says):
    path = write_lines(tmp_path / "a.jsonl", GOOD, "", line)
    with pytest.raises(PseudoDocumentError) as caught:
        list(read_pseudo_documents(path))
    error, message = caught.value, str(caught.value)
    assert (error.path, error.line) == (path, 3)
    assert message.startswith(f"{path}:3: ")
    assert says in message
    assert message.endswith(PROBLEMS[kind][1])
    assert "skip_bad=True" in error.remedy


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_skip_bad_keeps_everything_else_and_reports_each(tmp_path, ending):
    cases = [(kind, line) for kind, line, _ in CASES]
    good = [f'{{"id": "{i}", "vector": {{"a": {i + 1}}}}}' for i in range(len(cases))]
    lines = [GOOD] + [line for pair in zip((bad for _, bad in cases), good, strict=True) for line in pair]
    path = write_lines(tmp_path / f"a{ending}", *lines)
    problems: list[Problem] = []
    documents = list(read_pseudo_documents(path, skip_bad=True, on_problem=problems.append))
    assert [document.docid for document in documents] == ["good", *(str(i) for i in range(len(cases)))]
    assert [document.vector for document in documents[1:]] == [{"a": i + 1} for i in range(len(cases))]
    assert [(problem.kind, problem.path, problem.line) for problem in problems] == [
        (kind, path, 2 * i + 2) for i, (kind, _) in enumerate(cases)
    ]
    for problem in problems:
        assert str(problem).startswith(f"{path}:{problem.line}: ")


def test_skip_bad_without_a_listener(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", "{", GOOD)
    assert [document.docid for document in read_pseudo_documents(path, skip_bad=True)] == ["good"]


def test_deeply_nested_json_is_a_problem_of_its_line(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", with_vector("[" * 100_000 + "]" * 100_000), GOOD)
    assert [document.docid for document in read_pseudo_documents(path, skip_bad=True)] == ["good"]


@pytest.mark.parametrize("line", [r'{"id": "\ud800", "vector": {"a": 1}}', r'{"id": "x", "vector": {"\udc00": 1}}'])
def test_half_a_surrogate_pair_is_refused_for_no_file_can_hold_it(tmp_path, line):
    path = write_lines(tmp_path / "a.jsonl", line, GOOD)
    assert [document.docid for document in read_pseudo_documents(path, skip_bad=True)] == ["good"]


def test_duplicate_in_another_file_names_both_places(tmp_path):
    first = write_lines(tmp_path / "a.jsonl.gz", '{"id": "7", "vector": {"a": 1}}')
    second = write_lines(tmp_path / "b.jsonl", GOOD, '{"id": 7, "vector": {"b": 1}}')  # 7 and "7" are one id
    with pytest.raises(PseudoDocumentError, match="duplicate id '7'") as caught:
        list(read_pseudo_documents(tmp_path))
    assert str(caught.value).startswith(f"{second}:2: ")
    assert f"{first}:1" in str(caught.value)


def test_the_first_of_two_duplicates_is_kept(tmp_path):
    write_lines(tmp_path / "a.jsonl", '{"id": "7", "vector": {"a": 1}}', '{"id": "7", "vector": {"b": 1}}')
    assert list(read_pseudo_documents(tmp_path, skip_bad=True)) == [PseudoDocument("7", None, {"a": 1})]


def test_a_bad_document_does_not_reserve_its_id(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", '{"id": "7", "vector": {}}', '{"id": "7", "vector": {"b": 1}}')
    assert list(read_pseudo_documents(path, skip_bad=True)) == [PseudoDocument("7", None, {"b": 1})]


@pytest.mark.parametrize("skip_bad", [False, True])
def test_damaged_gzip_is_an_error_even_when_bad_documents_are_skipped(tmp_path, skip_bad):
    whole = gzip.compress(b"\n".join(b'{"id": %d, "vector": {"a": %d}}' % (i, i * i + 1) for i in range(2000)))
    for name, data in (("cut", whole[:-100]), ("plain", GOOD), ("flipped", whole[:50] + b"\xff" * 50 + whole[100:])):
        path = tmp_path / f"{name}.jsonl.gz"
        path.write_bytes(data)
        with pytest.raises(PseudoDocumentError, match="cannot read this file") as caught:
            list(read_pseudo_documents(path, skip_bad=skip_bad))
        assert caught.value.path == path


def test_missing_file_and_empty_folder(tmp_path):
    with pytest.raises(PseudoDocumentError, match="no such file or folder") as caught:
        list(read_pseudo_documents(tmp_path / "nothing"))
    assert caught.value.path == tmp_path / "nothing"
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(
        PseudoDocumentError, match=r"no \.jsonl or \.json file in this folder\. Use the output"
    ) as caught:
        list(read_pseudo_documents(tmp_path))
    assert "splade-lucene encode" in caught.value.remedy


# ---- documents made in memory ----


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (PseudoDocument("a b", "", {"t": 1}), "contains white space or control characters"),
        (PseudoDocument("", "", {"t": 1}), 'no "id"'),
        (PseudoDocument("d", "", {}), "empty vector"),
        (PseudoDocument("d", "", {"t": 0}), "t: 0 is below 1"),
        (PseudoDocument("d", "", {"t": 1.5}), "t: 1.5 is not an integer"),  # type: ignore[dict-item]
        (PseudoDocument("d", "", {"t": 2**31}), "above 2147483647"),
        (PseudoDocument("d", "", {"a b": 1}), "white space"),
    ],
)
def test_check_document_names_document_and_problem(document, says):
    with pytest.raises(PseudoDocumentError) as caught:
        check_document(document)
    assert str(caught.value).startswith(f"document {document.docid!r}: ")
    assert says in str(caught.value)
    assert "skip_bad" not in str(caught.value)  # which applies to files only


def test_check_document_lets_good_ones_pass():
    check_document(PseudoDocument("d", "", {"a\u00a0b": 1, "x" * 255: 2**31 - 2}))


# ---- white space, over all of Unicode ----


def test_term_white_space_is_javas_over_all_of_unicode():
    everything = [chr(code) for code in range(0x110000)]
    found = [character for character in everything if has_white_space(character)]
    assert found == [character for character in everything if is_java_white_space(character)]
    assert " " in found
    assert "\u00a0" not in found


def test_id_white_space_covers_all_that_splits_columns():
    everything = [chr(code) for code in range(0x110000)]
    for character in everything:
        if character.isspace() or is_java_white_space(character) or character < " ":
            assert has_space_or_control(f"a{character}b"), ascii(character)
    assert not has_space_or_control("D-1_é😀/#:%")


# ---- writing ----


def test_written_line_by_hand(tmp_path):
    document = PseudoDocument("7", 'é "x"', {"androgen": 203, "##rogen": 187})
    line = '{"id": "7", "contents": "é \\"x\\"", "vector": {"androgen": 203, "##rogen": 187}}'
    assert format_pseudo_document(document) == line
    assert write_pseudo_documents(tmp_path / "new" / "a.jsonl", iter([document])) == 1
    assert (tmp_path / "new" / "a.jsonl").read_bytes() == line.encode() + b"\n"
    write_pseudo_documents(tmp_path / "a.jsonl.gz", [document])
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == line.encode() + b"\n"


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_an_exception_while_writing_leaves_nothing(tmp_path, name):
    def documents():
        yield PseudoDocument("1", "", {"a": 1})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pseudo_documents(tmp_path / name, documents())
    assert list(tmp_path.iterdir()) == []


def test_an_exception_while_writing_leaves_the_earlier_file(tmp_path):
    def documents():
        yield PseudoDocument("2", "", {"a": 1})
        raise ValueError("no more")

    path = tmp_path / "a.jsonl"
    write_pseudo_documents(path, [PseudoDocument("1", "", {"a": 1})])
    with pytest.raises(ValueError, match="no more"):
        write_pseudo_documents(path, documents())
    assert [document.docid for document in read_pseudo_documents(path)] == ["1"]
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_writing_below_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        write_pseudo_documents(tmp_path / "file" / "a.jsonl", [])


ids = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=20)
terms = st.text(
    st.characters(exclude_categories=["Cs"]).filter(lambda character: not is_java_white_space(character)),
    min_size=1,
    max_size=40,
)
vectors = st.dictionaries(terms, st.integers(1, 2**28 - 1), min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
collections = st.lists(st.builds(PseudoDocument, ids, texts, vectors), max_size=8, unique_by=lambda each: each.docid)


@given(collections, st.sampled_from([".jsonl", ".jsonl.gz"]))
def test_what_is_written_is_read_back(tmp_path_factory, documents, ending):
    path = tmp_path_factory.mktemp("round") / f"a{ending}"
    assert write_pseudo_documents(path, documents) == len(documents)
    assert list(read_pseudo_documents(path)) == documents
    raw = gzip.decompress(path.read_bytes()) if ending.endswith(".gz") else path.read_bytes()
    lines = raw.decode().split("\n")[:-1]  # by another reader
    assert [json.loads(line)["vector"] for line in lines] == [document.vector for document in documents]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (PseudoDocument(3, "", {"a": 1}), "document 3: the docid must be a str, got int"),  # type: ignore[arg-type]
        (PseudoDocument("d", 7, {"a": 1}), "the contents must be a str, got int"),  # type: ignore[arg-type]
        (PseudoDocument("d", "", None), "the vector must be a mapping, got NoneType"),
        (PseudoDocument("d", "", [("a", 1)]), "the vector must be a mapping, got list"),  # type: ignore[arg-type]
        (PseudoDocument("d", "", np.array([1])), "the vector must be a mapping, got ndarray"),  # type: ignore[arg-type]
    ],
)
def test_documents_of_other_types_are_refused(tmp_path, document, says):
    with pytest.raises(PseudoDocumentError, match=re.escape(says)):
        write_pseudo_documents(tmp_path / "d.jsonl", [document])
