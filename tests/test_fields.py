"""Fields: which values fit which type, in Python and in Java alike; inferred types; fields from a corpus to a hit."""

from __future__ import annotations

import datetime
import json
import random
import re
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fields import INTEGERS, NUMBERS, TYPES, documents_with_fields, instants

from splade_lucene import (
    FieldSchema,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PseudoDocument,
    Quantizer,
    add_corpus,
    add_pseudo_documents,
    check_index,
    delete_documents,
    encode_corpus,
    index_pseudo_documents,
    infer_fields,
    optimize_index,
    read_corpus,
    read_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.errors import CorpusError, InputError, PseudoDocumentError
from splade_lucene.fields.schema import FieldRequest
from splade_lucene.fields.values import TYPES as ALL_TYPES
from splade_lucene.fields.values import WrongValueError, date_micros, date_text, fitting, loaded_form, stored_form
from splade_lucene.jvm import wire

# ---- values ----

FIT = {
    "keyword": ['"x"', '""', "7", "-0", "true", '"é😀"', '"' + "é" * 16_383 + '"', '"2019-03-01"', "123456789012345678901234567890"],
    "keyword[]": ['["b", "a", "b"]', '"x"', "7", "[]", '[1, true, "x"]'],
    "integer": ["0", "-0", "7", '"7"', '"-7"', "7.0", "1e3", "9223372036854775807", '"-9223372036854775808"', "9007199254740991.0"],
    "number": ["0", "-0.0", "1.5", '"1.5e3"', "1e-400", "9007199254740993.0", "9007199254740994", "1e308", '"7"', "1" + "0" * 22],
    "date": [
        '"2019-03-01"', '"2019-03-01T12:30"', '"2019-03-01 12:30:59Z"', '"2019-03-01t12:30:59.123456000z"', '"0001-01-01"',
        '"2019-03-01T00:30:00+01:00"', '"2019-03-01T00:30:00-0130"', '"9999-12-31T23:59:59.999999Z"', '"2020-02-29"',
        '"1969-12-31T23:59:59.999999Z"', '"2019-03-01T12:30:00.5"',
    ],
    "boolean": ["true", "false", '"true"', '"FALSE"'],
}  # fmt: skip
UNFIT = {
    "keyword": ["1.5", "[]", '["x"]', "{}", '"\\ud800"', '"' + "é" * 16_384 + '"'],
    "keyword[]": ["1.5", "{}", "[1.5]", "[[]]", "[null]", '["\\udc00"]', "[{}]"],
    "integer": ["1.5", "9223372036854775808", '"-9223372036854775809"', "9007199254740992.0", "9007199254740993.0", "1e30", '"07"', '"7.0"', '"x"', "true", "[]", '""', "1e400", "1" * 1000],
    "number": ["9007199254740993", '"9007199254740993"', "1e999", '"1e999"', '"NaN"', '"inf"', '"+1"', '"1."', "true", "[1]", "{}", "1" * 1000, '"' + "9" * 999 + '"'],
    "date": [
        "2019", '"2019"', '"2019-3-1"', '"2019-02-29"', '"2019-13-01"', '"2019-00-01"', '"0000-01-01"', '"2019-03-01T24:00"', '"2019-03-01T12"',
        '"2019-03-01T12:60"', '"2019-03-01T12:30:60"', '"2019-03-01T12:30+24:00"', '"2019-03-01T12:30:00.1234567"', '"01.03.2019"', '"2019-03-01 "',
        '"0001-01-01T00:00+00:01"', '"9999-12-31T23:59:59-00:01"', '"٢٠١٩-03-01"', "[]", "true", '""',
    ],
    "boolean": ["0", "1", '"yes"', '"1"', '""', "[]", '"tr\\u0131e"', '"fal\\u017fe"', "1.0"],
}  # fmt: skip


def write_lines(path: Path, values: list[str]) -> Path:
    """Pseudo-documents d0, d1, …, each with the field f."""
    path.write_text(
        "".join(
            f'{{"id": "d{i}", "vector": {{"a": 1}}, "fields": {{"f": {value}}}}}\n' for i, value in enumerate(values)
        ),
        encoding="utf-8",
    )
    return path


def stored_in_index(index: Path) -> dict[str, object]:
    with LuceneImpactIndexReader(index) as reader:
        numbers = range(reader.num_docs)
        return {
            reader.docid(i): fields.get("f") for i, fields in zip(numbers, reader.field_values(numbers), strict=True)
        }


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_values_that_fit_are_the_same_in_python_and_java(tmp_path, kind):
    path = write_lines(tmp_path / "docs.jsonl", FIT[kind])
    read = {each.docid: each.fields.get("f") for each in read_pseudo_documents(path, fields={"f": kind})}
    index_pseudo_documents(path, tmp_path / "index", fields={"f": kind})
    assert stored_in_index(tmp_path / "index") == read
    assert len(read) == len(FIT[kind])
    assert sum(value is None for value in read.values()) == FIT[kind].count("[]")
    with LuceneImpactIndexer(tmp_path / "added", fields={"f": kind}) as indexer:
        indexer.add(
            [PseudoDocument(f"d{i}", "", {"a": 1}, {"f": json.loads(text)}) for i, text in enumerate(FIT[kind])]
        )
    assert stored_in_index(tmp_path / "added") == read
    assert check_index(tmp_path / "index").is_sound


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_values_that_do_not_fit_are_refused_with_the_same_words_and_place(tmp_path, kind):
    path = write_lines(tmp_path / "docs.jsonl", ["null", *UNFIT[kind], "null"])
    problems: list = []
    kept = [
        each.docid
        for each in read_pseudo_documents(path, fields={"f": kind}, skip_bad=True, on_problem=problems.append)
    ]
    assert kept == ["d0", f"d{len(UNFIT[kind]) + 1}"]
    summary = index_pseudo_documents(path, tmp_path / "index", fields={"f": kind}, skip_bad=True)
    assert [str(each) for each in summary.skipped] == [str(each) for each in problems]
    assert [each.line for each in problems] == [*range(2, len(UNFIT[kind]) + 2)]
    assert all(each.kind == "bad-field" and re.search(r"the field f(\[\d+\])? ", str(each)) for each in problems)
    for read in (lambda: list(read_pseudo_documents(path, fields={"f": kind})),
                 lambda: index_pseudo_documents(path, tmp_path / "other", fields={"f": kind})):  # fmt: skip
        with pytest.raises(
            PseudoDocumentError, match=r"docs.jsonl:2: the field f(\[0\])? .*Correct the value, leave it out"
        ):
            read()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (["a", ["b"]], "tags[1] is a list, not a string"),
        (["a", "b", {}], "tags[2] is an object, not a string"),
        (["x" * 32_767], "tags[0] is longer than 32,766 bytes"),
        (["\ud800"], "tags[0] has half of a surrogate pair"),
        ({}, "tags is an object, not a list of strings"),
    ],
)
def test_a_value_in_a_list_that_does_not_fit_is_named_by_its_place(value, says):
    """Java says the same, which the test above compares."""
    with pytest.raises(WrongValueError, match=f"^{re.escape(says)}$"):
        fitting("tags", value, "keyword[]")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('"fields": 3', "the field fields is 3, not an object"),
        ('"fields": [1]', "the field fields is a list, not an object"),
        ('"fields": {"f": 1, "f": null}', "the field f occurs twice"),
        ('"fields": {"f": {"a": [{}, "}"]}, "g": "}"}', "the field f is an object, not an integer of 64 bits"),
        ('"fields": {"f": "x\\ty"}, "contents": "\\ud800"', "half of a surrogate pair"),
        ('"fields": {"f": 01}', "not a single JSON object"),
        ('"fields": {"f": 1,}', "not a single JSON object"),
        ('"fields": {"f": 1', "not a single JSON object"),
    ],
)
def test_other_faults_of_a_line_with_fields(tmp_path, line, says):
    path = tmp_path / "docs.jsonl"
    path.write_text(f'{{"id": "d", {line}, "vector": {{"a": 1}}}}\n{{"id": "e", "vector": {{"a": 1}}}}\n')
    problems: list = []
    assert len([*read_pseudo_documents(path, fields="f:integer", skip_bad=True, on_problem=problems.append)]) == 1
    summary = index_pseudo_documents(path, tmp_path / "index", fields="f:integer", skip_bad=True)
    assert says in str(problems[0])
    assert [str(each) for each in summary.skipped] == [str(each) for each in problems]


def test_without_a_schema_the_member_is_any_other_member(tmp_path):
    path = write_lines(tmp_path / "docs.jsonl", ['{"deep": [1.5]}', "1", '"x"'])
    with path.open("a") as file:
        file.write('{"id": "e", "vector": {"a": 1}, "fields": [3]}\n')
    assert [each.fields for each in read_pseudo_documents(path)] == [{}] * 4
    assert index_pseudo_documents(path, tmp_path / "index").documents == 4
    with LuceneImpactIndexReader(tmp_path / "index") as reader:
        assert reader.fields == {}


@given(st.datetimes() | st.sampled_from([each.replace(tzinfo=None) for each in instants()]))
def test_dates_to_text_and_back_as_pythons_own(moment):
    moment = moment.replace(tzinfo=UTC)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=UTC)
    micros = (moment - epoch) // datetime.timedelta(microseconds=1)
    assert date_micros("", moment) == date_micros("", moment.isoformat()) == micros
    assert datetime.datetime.fromisoformat(date_text(micros)).replace(tzinfo=UTC) == moment
    assert date_micros("", date_text(micros)) == micros


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_doubles_and_the_longs_that_stand_for_them_have_one_order(one, other):
    one, other = one + 0.0, other + 0.0
    assert (wire.double_as_long(one) < wire.double_as_long(other)) == (one < other)


@given(st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False))
def test_stored_numbers_come_back(number):
    assert loaded_form(stored_form(number, "number"), "number") == number


def test_booleans_of_numpy_are_booleans():
    assert fitting("a", np.True_, "boolean") is True
    assert fitting("a", np.False_, "keyword") == "false"
    assert fitting("a", [np.True_, "x"], "keyword[]") == ["true", "x"]


def test_dates_of_numpy_are_dates():
    assert fitting("a", np.datetime64("2019-03-01"), "date") == "2019-03-01"
    assert fitting("a", np.datetime64("2019-03-01T12:30:00.5", "ns"), "date") == "2019-03-01T12:30:00.5Z"
    for value in (np.datetime64("NaT"), np.datetime64("2019-03"), np.datetime64(1, "ns")):
        with pytest.raises(WrongValueError, match="a is .*, not a date such as"):
            fitting("a", value, "date")


def test_both_writers_and_a_merge_keep_all_values(tmp_path):
    documents = documents_with_fields(300, 5)
    schema = FieldSchema.of(TYPES)
    write_pseudo_documents(tmp_path / "docs.jsonl", documents[:100])
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index", fields=TYPES, memory=5_000)
    write_pseudo_documents(tmp_path / "more.jsonl", documents[100:200])
    index_pseudo_documents(tmp_path / "more.jsonl", tmp_path / "index", append=True)  # with the fields of the index
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(documents[200:])
        indexer.delete(documents[0].docid)
        indexer.merge()
    with LuceneImpactIndexReader(tmp_path / "index") as reader:
        assert reader.statistics()["segments"] == 1
        numbers = list(range(reader.max_doc))[::-1]
        found = dict(zip(map(reader.docid, numbers), reader.field_values(numbers), strict=True))
    assert found == {each.docid: schema.values(each.fields) for each in documents[1:]}
    assert check_index(tmp_path / "index").is_sound


def test_a_type_is_not_changed_and_an_unknown_field_is_refused(tmp_path):
    document = PseudoDocument("d", "", {"a": 1}, {"year": 2019})
    with LuceneImpactIndexer(tmp_path / "index", fields="year:integer") as indexer:
        indexer.add(document)
        for other, says in (
            ({"yaer": 1}, r"yaer is not one of the fields of the index \(year\)"),
            ({"year": "x"}, "not an integer"),
        ):
            with pytest.raises(PseudoDocumentError, match=says):
                indexer.add([document, PseudoDocument("e", "", {"a": 1}, other)])
    with pytest.raises(InputError, match="'year' has the type integer in the index, not number"):
        LuceneImpactIndexer(tmp_path / "index", fields="year:number")
    with LuceneImpactIndexer(tmp_path / "index", fields="lang:keyword") as indexer:
        indexer.add(PseudoDocument("f", "", {"a": 1}, {"lang": "de", "year": 2020}))
    write_pseudo_documents(tmp_path / "docs.jsonl", [PseudoDocument("g", "", {"a": 1}, {"year": 2021})])
    with pytest.raises(InputError, match="type integer in the index, not keyword"):
        index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index", fields="year:keyword", append=True)
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.reader.fields == {"lang": "keyword", "year": "integer"}
        assert searcher.num_docs == 2
        assert searcher.search({"a": 1}, filter="year > 2019")[0].fields == {"lang": "de", "year": 2020}
    with pytest.raises(PseudoDocumentError, match=r"year is not one of the fields of the index \(none\)"):
        with LuceneImpactIndexer(tmp_path / "plain") as indexer:
            indexer.add(document)


# ---- how fields are named ----


def test_requests_by_hand():
    assert FieldRequest.of("year:integer, lang ,tags:keyword[]").types == {
        "year": "integer",
        "lang": None,
        "tags": "keyword[]",
    }
    assert FieldRequest.of(["a:b:date"]).types == {"a:b": "date"}
    assert FieldRequest.of("all, year:date") == FieldRequest({"year": "date"}, everything=True)
    assert not FieldRequest.of(None)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("", "no fields are named"),
        ("a,,b", "not the name of a field"),
        ("a:int", "unknown type 'int' of the field 'a'. Use keyword"),
        ({"a": "text"}, "unknown type 'text'"),
        ("a,a:date", "named twice"),
        ("contents", "every index has for itself"),
        ({"id": "keyword"}, "every index has for itself"),
        ({3: "keyword"}, "not the name of a field"),
        (3, "expected several fields"),
    ],
)
def test_wrong_requests_are_refused(fields, says):
    with pytest.raises(InputError, match=says):
        FieldRequest.of(fields)


# ---- corpora ----

RECORDS = [
    {"_id": "1", "text": "one", "metadata": {"year": 2019, "lang": "de", "on": "2019-03-01", "url": "u"}, "score": 1},
    {"_id": "2", "text": "two", "metadata": {"year": None, "lang": "en", "on": "2019-03-02T12:00Z"}, "score": 2.5, "tags": "x"},
    {"_id": "3", "text": "three", "year": 2021, "tags": ["y", "x"], "open": True, "mixed": "x", "authors": [{"name": "A"}]},
    {"_id": "4", "text": "four", "huge": 2**63, "mixed": 1.5, "nested": {"a": {"b": 7}}, "title": "t"},
]  # fmt: skip


def write_records(path: Path, records: list[dict]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")
    return path


def test_types_are_inferred_and_reported(tmp_path, caplog):
    path = write_records(tmp_path / "corpus.jsonl", RECORDS)
    schema = infer_fields(path)
    assert schema.types == {
        "score": "number", "year": "integer", "lang": "keyword", "on": "date", "url": "keyword", "tags": "keyword[]",
        "open": "boolean", "mixed": "keyword", "huge": "keyword",
    }  # fmt: skip
    assert f"{path}: the field year is integer (2 of 4 documents)" in caplog.text
    assert (
        f"the field mixed is keyword (2 of 4 documents); 1 value that does not fit is left out, the first at {path}:4"
        in caplog.text
    )
    assert "authors is left out, because its values are objects" in caplog.text
    documents = {each.docid: each.fields for each in read_corpus(path, fields=schema)}
    assert documents["1"] == {"year": 2019, "lang": "de", "on": "2019-03-01", "url": "u", "score": 1}
    assert documents["2"] == {"lang": "en", "on": "2019-03-02T12:00:00Z", "score": 2.5, "tags": ["x"]}
    assert documents["3"] == {"year": 2021, "tags": ["x", "y"], "open": True, "mixed": "x"}
    assert documents["4"] == {"huge": str(2**63)}
    assert infer_fields(path, "nested.a.b, metadata.year:number").types == {
        "nested.a.b": "integer",
        "metadata.year": "number",
    }


def test_declared_types_refuse_what_does_not_fit(tmp_path):
    path = write_records(tmp_path / "corpus.jsonl", RECORDS)
    with pytest.raises(
        CorpusError, match=r"corpus.jsonl:2: document '2': the field score is 2.5, not an integer of 64 bits"
    ):
        infer_fields(path, "score:integer")
    with pytest.raises(CorpusError, match=r"corpus.jsonl:3: document '3': the field tags is a list, not a string"):
        list(read_corpus(path, fields="tags:keyword"))
    skipped: list = []
    kept = [each.docid for each in read_corpus(path, fields="score:integer", skip_bad=True, on_problem=skipped.append)]
    assert kept == ["1", "3", "4"]
    assert len(skipped) == 1
    with pytest.raises(
        CorpusError, match=r"no document of .* has the field 'yaer'. Name fields that documents have: .*year"
    ):
        infer_fields(path, "yaer:integer")
    with pytest.raises(InputError, match="types of fields must be declared here, and 'year' has none"):
        read_corpus(path, fields="year")
    with pytest.raises(CorpusError, match="have no fields"):
        infer_fields(write_records(tmp_path / "plain.jsonl", [{"id": "1", "text": "x"}]))


@pytest.mark.parametrize("suffix", ["tsv", "csv"])
def test_columns_of_tables_are_spelled_values(tmp_path, suffix, caplog):
    path = tmp_path / f"corpus.{suffix}"
    rows = [
        ["id", "text", "year", "price", "code", "open", "on", "note"],
        ["1", "one", "2019", "1.5", "007", "True", "2019-03-01", "x"],
        ["2", "two", "", "2", "8", "false", "", "2.5"],
    ]  # fmt: skip
    path.write_text("".join(("\t" if suffix == "tsv" else ",").join(row) + "\n" for row in rows))
    schema = infer_fields(path)
    assert schema.types == {
        "year": "integer", "price": "number", "code": "keyword", "open": "boolean", "on": "date", "note": "keyword",
    }  # fmt: skip
    assert "left out" not in caplog.text
    assert [each.fields for each in read_corpus(path, fields=schema)] == [
        {"year": 2019, "price": 1.5, "code": "007", "open": True, "on": "2019-03-01", "note": "x"},
        {"price": 2, "code": "8", "open": False, "note": "2.5"},
    ]
    with pytest.raises(CorpusError, match=r":2: document '1': the field note is \"x\", not a number"):
        list(read_corpus(path, fields="note:number"))
    (tmp_path / "bare.tsv").write_text("1\tone\n")
    with pytest.raises(CorpusError, match="no document of .*bare.tsv has the field 'year'"):
        infer_fields(tmp_path / "bare.tsv", "year:integer")


def test_columns_of_parquet_have_types_of_their_own(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    moment = datetime.datetime(2019, 3, 1, 12, 30)
    table = pyarrow.table(
        {"id": ["1", "2"], "text": ["a", "b"], "year": [2019.0, float("nan")], "day": [moment.date(), None], "at": [moment, None],
         "tags": [["y", "x"], []], "open": [True, None]}
    )  # fmt: skip
    parquet.write_table(table, tmp_path / "corpus.parquet")
    schema = infer_fields(tmp_path / "corpus.parquet", "all, year:integer")
    assert schema.types == {"year": "integer", "day": "date", "at": "date", "tags": "keyword[]", "open": "boolean"}
    first, second = read_corpus(tmp_path / "corpus.parquet", fields=schema)
    assert first.fields == {
        "year": 2019,
        "day": "2019-03-01",
        "at": "2019-03-01T12:30:00Z",
        "tags": ["x", "y"],
        "open": True,
    }
    assert second.fields == {}


def test_corpora_without_fields_say_so(tmp_path):
    with pytest.raises(CorpusError, match="python-docs have no fields"):
        infer_fields("python-docs", "year:integer")


@pytest.mark.parametrize("declared", [True, False])
def test_pseudo_documents_of_others_are_inferred_in_a_pass_of_its_own(tmp_path, declared, caplog):
    path = write_lines(tmp_path / "docs.jsonl", ["1", "2.5", '{"x": 1}', "null", '"x"' if declared else "3"])
    if declared:
        with pytest.raises(PseudoDocumentError, match=r"docs.jsonl:3: the field f is an object, not a number"):
            index_pseudo_documents(path, tmp_path / "index", fields="f:number")
        return
    index_pseudo_documents(path, tmp_path / "index", fields="f")
    assert stored_in_index(tmp_path / "index") == {"d0": 1, "d1": 2.5, "d2": None, "d3": None, "d4": 3}
    assert (
        f"the field f is number (4 of 5 documents); 1 value that does not fit is left out, the first at {path}:3"
        in caplog.text
    )
    caplog.clear()
    index_pseudo_documents(path, tmp_path / "other", fields={"f": "keyword[]", "g": "date"}, skip_bad=True)
    assert "no document has the field g: check the spelling" in caplog.text


def test_encoded_corpora_carry_their_fields(tmp_path, encoder):
    from splade_lucene import Quantizer, build_index, encode_corpus
    from splade_lucene.manifest import read_folder_manifest

    path = write_records(tmp_path / "corpus.jsonl", RECORDS[:3])
    summary = build_index(
        path,
        tmp_path / "index",
        encoder,
        pseudo_documents=tmp_path / "encoded",
        fields="year:integer, lang, tags",
        threads=2,
    )
    types = {"year": "integer", "lang": "keyword", "tags": "keyword[]"}
    assert summary.manifest.fields == types == read_folder_manifest(tmp_path / "encoded").fields
    again = list(read_pseudo_documents(tmp_path / "encoded", fields=types))
    assert [each.fields for each in again] == [
        {"year": 2019, "lang": "de"}, {"lang": "en", "tags": ["x"]}, {"year": 2021, "tags": ["x", "y"]},
    ]  # fmt: skip
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.reader.fields == types
        assert searcher.search("three", filter='tags = "y" and year >= 2020')[0].fields == {
            "year": 2021,
            "tags": ["x", "y"],
        }
    index_pseudo_documents(tmp_path / "encoded", tmp_path / "again")  # the folder's manifest names the fields
    with LuceneImpactIndexReader(tmp_path / "again") as reader:
        assert reader.fields == types
    with pytest.raises(InputError, match="fields"):  # another request is another encoding
        encode_corpus(path, tmp_path / "encoded", encoder, Quantizer.named("naver"), fields="year:integer")


def test_numbers_at_the_borders_of_double_precision():
    schema = FieldSchema.of({"whole": "integer", "real": "number"})
    for number in INTEGERS:
        assert schema.values({"whole": number}) == {"whole": number}
    for real in NUMBERS:
        assert schema.values({"real": real}) == {"real": real}
    source = random.Random(1)
    for _ in range(200):
        number = source.randint(-(2**63), 2**63 - 1)
        assert loaded_form(stored_form(number, "integer"), "integer") == number


@pytest.mark.java
def test_documents_with_new_fields_are_added(tmp_path):
    index = tmp_path / "index"
    lines = {
        "old": [{"id": "a", "vector": {"t": 1}, "fields": {"lang": "de"}}],
        "new": [
            {"id": "b", "vector": {"t": 2}, "fields": {"lang": "en", "year": 2020}},
            {"id": "c", "vector": {"t": 1}},
        ],
    }
    for name, records in lines.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    index_pseudo_documents(tmp_path / "old.jsonl", index, fields="all")
    with pytest.raises(InputError, match=r"'lang' has the type keyword in the index, not keyword\[\]"):
        add_pseudo_documents(tmp_path / "new.jsonl", index, fields="lang:keyword[]")
    with pytest.raises(CorpusError, match=r"no document of .* has the field 'month'"):
        add_pseudo_documents(tmp_path / "new.jsonl", index, fields="month")
    add_pseudo_documents(tmp_path / "new.jsonl", index, fields="year")
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.reader.fields == {"lang": "keyword", "year": "integer"}
        assert searcher.search({"t": 1}).fields() == [{"lang": "en", "year": 2020}, {"lang": "de"}, {}]
        assert searcher.search({"t": 1}, filter="year > 2019").docids == ["b"]
    assert check_index(index).is_sound
    index_pseudo_documents(tmp_path / "old.jsonl", tmp_path / "appended", fields="all")
    index_pseudo_documents(tmp_path / "new.jsonl", tmp_path / "appended", fields="all", append=True)
    with LuceneImpactIndexReader(tmp_path / "appended") as reader:
        assert reader.fields == {"lang": "keyword", "year": "integer"}


@pytest.mark.model
def test_a_field_whose_last_document_was_deleted_is_no_spelling_mistake(tmp_path, caplog):
    given = {"f": "keyword", "g": "keyword"}
    (tmp_path / "first.jsonl").write_text(
        '{"id": "d1", "contents": "", "vector": {"x": 1}, "fields": {"f": "a"}}\n'
        '{"id": "d2", "contents": "", "vector": {"x": 1}, "fields": {"g": "b"}}\n'
    )
    (tmp_path / "more.jsonl").write_text('{"id": "d3", "contents": "", "vector": {"x": 1}, "fields": {"g": "b"}}\n')
    index_pseudo_documents(tmp_path / "first.jsonl", tmp_path / "index", fields=given)
    delete_documents(tmp_path / "index", ["d1"])
    optimize_index(tmp_path / "index")
    add_pseudo_documents(tmp_path / "more.jsonl", tmp_path / "index")
    assert "check the spelling" not in caplog.text
    add_pseudo_documents(tmp_path / "more.jsonl", tmp_path / "index", fields={"h": "keyword"})
    assert "no document has the field h: check the spelling" in caplog.text


def test_texts_with_new_fields_are_added(tmp_path, encoder):
    index = tmp_path / "index"
    (tmp_path / "old.jsonl").write_text('{"id": "a", "contents": "The heart pumps blood.", "lang": "en"}\n')
    (tmp_path / "new.jsonl").write_text('{"id": "b", "contents": "The heart beats.", "lang": "de", "year": 2020}\n')
    encode_corpus(tmp_path / "old.jsonl", tmp_path / "encoded", encoder, Quantizer.named("naver"), fields="lang")
    index_pseudo_documents(tmp_path / "encoded", index)
    add_corpus(tmp_path / "new.jsonl", index, fields="year")
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.doc("b") is not None
        hits = searcher.search("heart", filter="year = 2020")
        assert (hits.docids, hits.fields()) == (["b"], [{"lang": "de", "year": 2020}])
