"""What other systems read and write: exports come back as they were, and each format is what its own readers expect."""

from __future__ import annotations

import gzip
import json
import re
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from support.anserini import build_with_anserini
from support.collections import random_collection
from support.commands import check_well, run

from splade_lucene import (
    InputError,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    Manifest,
    NotAnIndexError,
    PseudoDocument,
    PseudoDocumentError,
    Quantizer,
    SpladeLuceneError,
    index_pseudo_documents,
    read_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.engines.ciff_format import CiffHeader, CiffPostings, open_ciff, write_ciff
from splade_lucene.engines.export import export_collection
from splade_lucene.engines.importing.importer import import_collection
from splade_lucene.engines.transposition import Transposition
from splade_lucene.manifest import read_folder_manifest

NAMES = ("ciff", "bmp", "pisa", "seismic", "parquet", "qdrant", "milvus", "opensearch", "elasticsearch")
WITHOUT_TEXTS = ("ciff", "bmp", "pisa")
NAVER = Quantizer.named("naver")

Found = dict[str, tuple[str | None, dict[str, int]]]


def found(source: Path) -> Found:
    return {each.docid: (each.contents, dict(each.vector)) for each in read_pseudo_documents(source)}


def imported(origin: Any, source: Path, output: Path, **options: Any) -> Found:
    import_collection(origin, source, output, **options)
    return found(output)


@pytest.fixture(scope="module")
def documents() -> list[PseudoDocument]:
    return random_collection(300, seed=5, impacts=255)


@pytest.fixture(scope="module")
def source(documents: list[PseudoDocument], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_pseudo_documents(folder / "a.jsonl", documents)
    return folder


# ---- round trips ----


@pytest.mark.parametrize("name", NAMES)
def test_an_export_comes_back_as_it_was(name, source, documents, tmp_path):
    export_collection(name, tmp_path / "export", pseudo_documents=source, piece_bytes=20_000)
    manifest = import_collection(name, tmp_path / "export", tmp_path / "back")
    back = list(read_pseudo_documents(tmp_path / "back"))
    assert [each.docid for each in back] == [each.docid for each in documents]
    assert [each.vector for each in back] == [each.vector for each in documents]
    expected = [None if name in WITHOUT_TEXTS else each.contents for each in documents]
    assert [each.contents for each in back] == expected
    assert manifest.documents == len(documents)
    assert read_folder_manifest(tmp_path / "back") == manifest


@pytest.mark.parametrize("name", ["parquet", "seismic"])
def test_an_export_by_ids_comes_back_as_it_was(name, source, tmp_path):
    export_collection(name, tmp_path / "export", pseudo_documents=source, keys="ids")
    if name == "parquet":
        assert imported(name, tmp_path / "export", tmp_path / "back") == found(source)
        return
    back = imported(name, tmp_path / "export", tmp_path / "back")
    terms = (tmp_path / "export" / "terms.txt").read_text(encoding="utf-8").split("\n")
    assert {docid: {terms[int(t)]: i for t, i in vector.items()} for docid, (_, vector) in back.items()} == {
        docid: vector for docid, (_, vector) in found(source).items()
    }


@pytest.fixture(scope="module")
def index(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    index_pseudo_documents(source, folder / "index")
    return folder / "index"


@pytest.mark.parametrize("name", NAMES)
def test_an_index_is_exported_like_its_documents(name, source, index, tmp_path):
    export_collection(name, tmp_path / "export", index_dir=index)
    expected = found(source)
    if name in WITHOUT_TEXTS:
        expected = {docid: (None, vector) for docid, (_, vector) in expected.items()}
    assert imported(name, tmp_path / "export", tmp_path / "back") == expected


@pytest.mark.parametrize("name", ["parquet", "qdrant", "milvus", "opensearch"])
def test_fields_and_the_manifest_come_back(name, tmp_path):
    fields: dict[str, Any] = {"lang": "de", "year": 2019, "day": "2026-11-26", "is_new": True, "tags": ["a", "b"]}
    given = [PseudoDocument("d1", "a cat", {"cat": 3}, fields), PseudoDocument("d2", "", {"dog": 2, "cat": 1})]
    types = {"lang": "keyword", "year": "integer", "day": "date", "is_new": "boolean", "tags": "keyword[]"}
    with LuceneImpactIndexer(tmp_path / "index", fields=types) as indexer:
        indexer.add(given)
    export_collection(name, tmp_path / "export", index_dir=tmp_path / "index")
    manifest = import_collection(name, tmp_path / "export", tmp_path / "back")
    assert manifest.fields == dict(sorted(types.items())) or manifest.fields == types
    back = {each.docid: dict(each.fields) for each in read_pseudo_documents(tmp_path / "back", fields=types)}
    with LuceneImpactIndexReader(tmp_path / "index") as reader:
        numbers = [reader.lucene_docid(docid) for docid in back]
        assert [*back.values()] == reader.field_values(numbers)
    index_pseudo_documents(tmp_path / "back", tmp_path / "again")
    with LuceneImpactIndexReader(tmp_path / "again") as reader:
        assert reader.fields == types


def test_the_quantizer_and_the_model_come_back(source, tmp_path):
    write_pseudo_documents(tmp_path / "x" / "a.jsonl", [PseudoDocument("d1", "", {"cat": 3})])
    import_collection("seismic", tmp_path / "x", tmp_path / "first", quantizer=NAVER)
    export_collection("qdrant", tmp_path / "export", pseudo_documents=tmp_path / "first")
    assert import_collection("qdrant", tmp_path / "export", tmp_path / "back").quantizer == NAVER


# ---- CIFF ----


def ciff_messages() -> dict[str, Any]:
    """The messages of common-index-format-v1.proto, by protobuf's own library."""
    kinds = {"int32": 5, "int64": 3, "double": 1, "string": 9}
    layouts: dict[str, list[tuple[str, int, str]]] = {
        "Header": [
            ("version", 1, "int32"), ("num_postings_lists", 2, "int32"), ("num_docs", 3, "int32"),
            ("total_postings_lists", 4, "int32"), ("total_docs", 5, "int32"),
            ("total_terms_in_collection", 6, "int64"), ("average_doclength", 7, "double"), ("description", 8, "string"),
        ],
        "Posting": [("docid", 1, "int32"), ("tf", 2, "int32")],
        "PostingsList": [("term", 1, "string"), ("df", 2, "int64"), ("cf", 3, "int64"), ("postings", 4, "Posting")],
        "DocRecord": [("docid", 1, "int32"), ("collection_docid", 2, "string"), ("doclength", 3, "int32")],
    }  # fmt: skip
    file = descriptor_pb2.FileDescriptorProto(name="ciff.proto", package="ciff", syntax="proto3")
    for name, fields in layouts.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            if kind in kinds:
                message.field.add(name=field, number=number, type=kinds[kind], label=1)
            else:
                message.field.add(name=field, number=number, type=11, label=3, type_name=f".ciff.{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ciff.{name}")) for name in layouts}


MESSAGES = ciff_messages()


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def delimited(*messages: Any) -> bytes:
    return b"".join(varint(len(data := each.SerializeToString())) + data for each in messages)


def read_delimited(data: bytes, at: int, kind: str) -> tuple[Any, int]:
    size = shift = 0
    while True:
        byte = data[at]
        at, size, shift = at + 1, size | (byte & 127) << shift, shift + 7
        if byte < 128:
            return MESSAGES[kind].FromString(data[at : at + size]), at + size


def test_protobuf_reads_the_ciff_file(source, documents, tmp_path):
    export_collection("ciff", tmp_path / "export", pseudo_documents=source)
    data = (tmp_path / "export" / "collection.ciff").read_bytes()
    header, at = read_delimited(data, 0, "Header")
    total = sum(sum(each.vector.values()) for each in documents)
    assert (header.version, header.num_docs, header.total_docs) == (1, len(documents), len(documents))
    assert header.total_terms_in_collection == total
    assert header.average_doclength == total / len(documents)
    postings: dict[str, dict[int, int]] = {}
    for _ in range(header.num_postings_lists):
        found, at = read_delimited(data, at, "PostingsList")
        numbers = np.cumsum([each.docid for each in found.postings]).tolist()
        postings[found.term] = dict(zip(numbers, [each.tf for each in found.postings], strict=True))
        assert found.df == len(numbers)
        assert found.cf == sum(each.tf for each in found.postings)
    assert header.total_postings_lists == len(postings)
    assert all(one.encode() < two.encode() for one, two in pairwise(postings))
    for number, document in enumerate(documents):
        record, at = read_delimited(data, at, "DocRecord")
        assert (record.docid, record.collection_docid) == (number, document.docid)
        assert record.doclength == sum(document.vector.values())
        assert {term: found[number] for term, found in postings.items() if number in found} == document.vector
    assert at == len(data)


def small_ciff(*, gaps: tuple[int, ...] = (0, 2), tfs: tuple[int, ...] = (7, 300), **wrong: Any) -> list[Any]:
    """The messages of a file with three documents, the second of which has no term."""
    values = {"num_postings_lists": 1, "num_docs": 3, "df": len(gaps), "term": "cat", "version": 1, **wrong}
    header = MESSAGES["Header"](**{name: values[name] for name in ("version", "num_postings_lists", "num_docs")})
    postings = [MESSAGES["Posting"](docid=gap, tf=tf) for gap, tf in zip(gaps, tfs, strict=True)]
    lists = MESSAGES["PostingsList"](term=values["term"], df=values["df"], cf=sum(tfs), postings=postings)
    records = [MESSAGES["DocRecord"](docid=number, collection_docid=f"d{number}") for number in range(3)]
    return [header, lists, *records]


def test_a_ciff_file_of_protobuf_is_read(tmp_path):
    with gzip.open(tmp_path / "x.ciff.gz", "wb") as file:
        file.write(delimited(*small_ciff()))
    manifest = import_collection("ciff", tmp_path / "x.ciff.gz", tmp_path / "out")
    assert found(tmp_path / "out") == {"d0": (None, {"cat": 7}), "d2": (None, {"cat": 300})}
    assert manifest.empty == ("d1",)


def test_a_ciff_file_in_an_unusual_form_is_read(tmp_path):
    """Protobuf allows fields in any order, unknown fields, and varints that are longer than necessary."""
    posting = bytes([0x10, 7 | 128, 0, 0x08, 2, 0x78, 5])  # impact 7 in two bytes, difference 2, an unknown field 15
    postings = bytes([0x22, len(posting)]) + posting + b"\x0a\x03cat" + b"\x10\x01"
    header, _, *records = small_ciff()
    data = delimited(header) + varint(len(postings)) + postings + delimited(*records)
    (tmp_path / "x.ciff").write_bytes(data)
    assert imported("ciff", tmp_path / "x.ciff", tmp_path / "out") == {"d2": (None, {"cat": 7})}


@pytest.mark.parametrize(
    ("messages", "wrong"),
    [
        (
            small_ciff(gaps=(0, 3)),
            r"postings list 1 \('cat'\) has document numbers that do not ascend, or are not below 3",
        ),
        (small_ciff(gaps=(1, 0)), "do not ascend"),
        (small_ciff(gaps=(1, -1)), "do not ascend"),
        (small_ciff(df=3), "has 2 postings, expected 3"),
        (small_ciff(tfs=(7, 0)), "the term 'cat' has the impact 0"),
        (small_ciff(tfs=(7, -4)), "the term 'cat' has the impact -4"),
        (small_ciff(version=2), "not a CIFF file of version 1: the header's version is 2"),
        (small_ciff(num_docs=4), "it ends before document 4"),
        (small_ciff(num_docs=3)[:-1], "it ends before document 3"),
        ([*small_ciff(), *small_ciff()[-1:]], "more data after the 3 documents"),
        (small_ciff(num_postings_lists=-1), "the header announces -1 postings lists"),
        ([*small_ciff()[:2], *reversed(small_ciff()[2:])], "document 1 has the number 2, expected 0"),
        ([*small_ciff(num_postings_lists=2)[:2], *small_ciff()[1:]], "the term 'cat' has two postings lists"),
        (small_ciff(term="a cat"), "the term 'a cat' contains white space"),
    ],
)
def test_a_damaged_ciff_file_says_what_is_wrong(messages, wrong, tmp_path):
    (tmp_path / "x.ciff").write_bytes(delimited(*messages))
    with pytest.raises(PseudoDocumentError, match=wrong) as raised:
        import_collection("ciff", tmp_path / "x.ciff", tmp_path / "out")
    assert str(raised.value).startswith(str(tmp_path / "x.ciff"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.ciff"]  # nothing unfinished is left


def test_a_cut_or_changed_ciff_file_never_ends_in_another_error(tmp_path):
    data = delimited(*small_ciff())
    random = np.random.default_rng(3)
    broken = [data[:length] for length in range(len(data))]
    for _ in range(150):
        changed = bytearray(data)
        changed[random.integers(len(data))] = random.integers(256)
        broken.append(bytes(changed))
    for number, each in enumerate(broken):
        path = tmp_path / "x.ciff"
        path.write_bytes(each)
        try:
            import_collection("ciff", path, tmp_path / "out", overwrite=True)
        except PseudoDocumentError:
            continue
        assert number >= len(data)  # a cut file is always noticed


def test_the_order_of_terms_and_all_sizes_of_numbers_survive(tmp_path):
    numbers = np.array([0, 1, 127, 128, 129, 16_511, 16_512, 2_113_664, 70_000_000], np.int64)
    impacts = np.array([1, 127, 128, 16_383, 16_384, 2_097_152, 2**28, 2**31 - 1, 5], np.int64)
    with (tmp_path / "x.ciff").open("wb") as file:
        header = CiffHeader(2, 0, 0, "é" * 200)
        lists = [CiffPostings("a", numbers[1:], impacts[1:]), CiffPostings("b", numbers, impacts)]
        write_ciff(file, CiffHeader(2, 70_000_001, 9, header.description), lists, [])
    with open_ciff(tmp_path / "x.ciff") as ciff:
        assert ciff.header.description == "é" * 200
        for given, read in zip(lists, ciff.postings(), strict=True):
            assert read.term == given.term
            np.testing.assert_array_equal(read.documents, given.documents)
            np.testing.assert_array_equal(read.impacts, given.impacts)


@pytest.mark.parametrize("limit", [1, 7, 100, 10_000])
def test_rows_come_in_any_order_whatever_fits_in_memory(limit, tmp_path):
    random = np.random.default_rng(limit)
    rows, values = random.integers(0, 40, 500), random.integers(1, 9, 500)
    with Transposition(tmp_path, limit) as transposition:
        for part in np.array_split(np.arange(500), 30):
            transposition.add(rows[part], part, values[part])
        order = random.permutation(45)
        back = [row for some in transposition.rows(order) for row in some]
    assert [row for row, _, _ in back] == order.tolist()
    for row, columns, impacts in back:
        assert columns.tolist() == np.flatnonzero(rows == row).tolist()
        assert impacts.tolist() == values[rows == row].tolist()
    assert not [*tmp_path.iterdir()]


# ---- PISA, Qdrant, Milvus: the bytes ----


def test_pisas_files_have_its_sequences(tmp_path):
    given = [PseudoDocument("d1", "", {"b": 7}), PseudoDocument("d0", "", {"a": 1, "b": 300})]
    write_pseudo_documents(tmp_path / "x.jsonl", given)
    export_collection("pisa", tmp_path / "pisa", pseudo_documents=tmp_path / "x.jsonl", name="toy")

    def integers(name: str) -> tuple[int, ...]:
        data = (tmp_path / "pisa" / name).read_bytes()
        return struct.unpack(f"<{len(data) // 4}I", data)

    assert integers("toy.docs") == (1, 2, 1, 1, 2, 0, 1)
    assert integers("toy.freqs") == (1, 1, 2, 7, 300)
    assert integers("toy.sizes") == (2, 7, 301)
    assert (tmp_path / "pisa" / "toy.terms").read_text() == "a\nb\n"
    assert (tmp_path / "pisa" / "toy.documents").read_text() == "d1\nd0\n"


def test_pisas_queries_are_term_ids(tmp_path, monkeypatch, capsys):
    write_pseudo_documents(tmp_path / "x.jsonl", [PseudoDocument("d1", "", {"b": 7, "##a": 1})])
    export_collection("pisa", tmp_path / "pisa", pseudo_documents=tmp_path / "x.jsonl")
    import io
    import runpy
    import sys

    monkeypatch.setattr(sys, "stdin", io.StringIO("q1\tb b ##a nowhere\nq2\tnowhere\n"))
    runpy.run_path(str(tmp_path / "pisa" / "queries.py"))
    assert capsys.readouterr().out == "q1:1 1 0\nq2:\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("a:1\tb\n"))
    with pytest.raises(SystemExit, match="PISA would end this qid at its colon: a:1"):
        runpy.run_path(str(tmp_path / "pisa" / "queries.py"))


@pytest.mark.parametrize(
    ("name", "impact", "wrong"),
    [
        ("bmp", 256, "BMP holds at most 255 exactly"),
        ("seismic", 2049, "Seismic holds at most 2,048 exactly"),
        ("qdrant", 2**24 + 1, "Qdrant holds at most 16,777,216 exactly"),
        ("milvus", 2**24 + 1, "Milvus holds at most 16,777,216 exactly"),
    ],
)
@pytest.mark.parametrize("kind", ["index", "files"])
def test_impacts_that_an_engine_would_change_are_refused(name, impact, wrong, kind, tmp_path):
    given = [PseudoDocument("d1", "", {"cat": 3}), PseudoDocument("d2", "", {"dog": 1, "cat": impact})]
    write_pseudo_documents(tmp_path / "x.jsonl", given)
    if kind == "index":
        index_pseudo_documents(tmp_path / "x.jsonl", tmp_path / "index")
    options = {"index_dir": tmp_path / "index"} if kind == "index" else {"pseudo_documents": tmp_path / "x.jsonl"}
    place = re.escape(str(tmp_path / "index")) if kind == "index" else f"{re.escape(str(tmp_path / 'x.jsonl'))}:2"
    with pytest.raises(
        InputError, match=f"{place}: the document 'd2' has the impact {impact:,} of the term 'cat'.*{wrong}"
    ):
        export_collection(name, tmp_path / "export", **options)
    write_pseudo_documents(tmp_path / "x.jsonl", [PseudoDocument("d2", "", {"dog": 1, "cat": impact - 1})])
    export_collection(name, tmp_path / "export", pseudo_documents=tmp_path / "x.jsonl")
    assert imported(name, tmp_path / "export", tmp_path / "back") == {
        "d2": (None if name in WITHOUT_TEXTS else "", {"dog": 1, "cat": impact - 1})
    }


ODD_NAMES = ("a/b", "../x", "a b", "it's", 'a"b', "$HOME", "-x", "é", "")


def test_what_else_an_engine_would_change_is_refused(tmp_path):
    write_pseudo_documents(tmp_path / "x.jsonl", [PseudoDocument("d1", "x" * 65_536, {"t" * 101: 3})])
    for name, options, wrong in (
        ("seismic", {}, "a term of 101 characters, and Seismic cuts terms at 100"),
        ("milvus", {}, "the text of the document 'd1' has more than 65,535 bytes"),
        ("milvus", {"name": "a-b"}, "'a-b' cannot be the name of a collection"),
        *(
            (name, {"name": bad}, f"{bad!r} cannot be a name")
            for name in ("qdrant", "pisa", "bmp")
            for bad in ODD_NAMES
        ),
    ):
        with pytest.raises(InputError, match=re.escape(wrong)):
            export_collection(name, tmp_path / name, pseudo_documents=tmp_path / "x.jsonl", **options)  # type: ignore[arg-type]
    export_collection("seismic", tmp_path / "s", pseudo_documents=tmp_path / "x.jsonl", keys="ids")
    export_collection("milvus", tmp_path / "m", pseudo_documents=tmp_path / "x.jsonl", texts=False)


@pytest.mark.parametrize(("name", "member"), [("qdrant", "points"), ("milvus", "rows")])
def test_files_that_a_server_gets_at_once_are_not_larger_for_long_texts(name, member, tmp_path):
    write_pseudo_documents(tmp_path / "x.jsonl", [PseudoDocument(f"d{i}", "x" * 9000, {"cat": 1}) for i in range(20)])
    export_collection(name, tmp_path / "out", pseudo_documents=tmp_path / "x.jsonl", piece_bytes=30_000)
    files = sorted((tmp_path / "out").glob("documents-*.json"))
    assert [len(json.loads(path.read_text())[member]) for path in files] == [4] * 5
    assert all(30_000 < path.stat().st_size < 40_000 for path in files)


# ---- documents of others ----


def lines(*records: Any) -> str:
    return "".join(json.dumps(each) + "\n" for each in records)


DOCUMENT = {"id": "d1", "vector": {"cat": 3}}
HIT = {"_index": "x", "_id": "d1", "_score": 1.0, "_source": {"text": "a cat", "features": {"cat": 3.0}}}
POINT = {"id": 7, "vector": {"indices": [0, 2], "values": [3.0, 1.0]}, "payload": {"text": "a cat"}}
ROW = {"id": 7, "sparse": {"0": 3, "2": 1.0}, "text": "a cat"}
TERMS = "cat\ndog\nold\n"
CAT, CAT_OLD = {"d1": (None, {"cat": 3})}, {"7": ("a cat", {"cat": 3, "old": 1})}


@pytest.mark.parametrize(
    ("origin", "name", "text", "expected"),
    [
        ("seismic", "x.jsonl", lines({"id": 7, "content": "a cat", "vector": {"cat": 3, "old": 1.0}}), CAT_OLD),
        ("seismic", "x.json", json.dumps([DOCUMENT], indent=1), CAT),
        ("bmp", "x.jsonl", lines(DOCUMENT), CAT),
        ("opensearch", "x.ndjson", lines({"index": {"_id": "d1"}}, HIT["_source"]), {"d1": ("a cat", {"cat": 3})}),
        ("opensearch", "x.json", lines(HIT), {"d1": ("a cat", {"cat": 3})}),
        ("opensearch", "x.json", json.dumps({"took": 1, "hits": {"hits": [HIT]}}, indent=1), {"d1": ("a cat", {"cat": 3})}),
        ("elasticsearch", "x.jsonl", lines({"docid": "d1", "ml": {"tokens": 1}, "impacts": {"cat": 3}}), CAT),
        ("qdrant", "x.json", json.dumps({"result": {"points": [POINT], "next_page_offset": None}}, indent=1), CAT_OLD),
        ("qdrant", "x.json", json.dumps([POINT]), CAT_OLD),
        ("qdrant", "x.jsonl", lines({**POINT, "vector": {"splade": POINT["vector"], "dense": [0.5]}}), CAT_OLD),
        ("qdrant", "x.jsonl", lines({**POINT, "payload": {"docid": "d1"}}), {"d1": (None, {"cat": 3, "old": 1})}),
        ("milvus", "x.json", json.dumps({"rows": [ROW]}), CAT_OLD),
        ("milvus", "x.json", json.dumps({"data": [{**ROW, "sparse": POINT["vector"]}]}), CAT_OLD),
        ("sentence-transformers", "x.json", json.dumps([{"cat": 3, "old": 1}]), {"0": (None, {"cat": 3, "old": 1})}),
        ("sentence-transformers", "x.jsonl", lines([["cat", 3.0]], [["dog", 1]]), {
            "0": (None, {"cat": 3}), "1": (None, {"dog": 1}),
        }),
        ("sentence-transformers", "x.jsonl", lines({"id": "d1", "embedding": {"cat": 3}}), CAT),
    ],
)  # fmt: skip
def test_documents_of_others_are_read(origin, name, text, expected, tmp_path):
    (tmp_path / name).write_text(text)
    (tmp_path / "vocab.txt").write_text(TERMS)
    options = {"vocabulary": tmp_path / "vocab.txt"} if origin in ("qdrant", "milvus") else {}
    assert imported(origin, tmp_path / name, tmp_path / "out", **options) == expected


NOT_WHOLE = "impact cat: 2.5 is not an integer. Name the rule that turns weights into impacts with quantizer=…"


@pytest.mark.parametrize(
    ("origin", "text", "line", "wrong"),
    [
        ("seismic", lines(DOCUMENT, DOCUMENT), 2, "duplicate id 'd1', first used at {path}:1"),
        ("seismic", lines({"id": "d1", "vector": {"cat": 2.5}}), 1, NOT_WHOLE),
        ("seismic", lines({"id": "d1", "vector": {"cat": -3}}), 1, "impact cat: -3 is below 1"),
        ("seismic", lines({"id": "d1", "vector": {"cat": 0}}), 1, "impact cat: 0 is below 1"),
        ("seismic", lines({"id": "d1", "vector": {"cat": "3"}}), 1, 'impact cat: "3" is not a number'),
        ("seismic", lines({"id": "d1", "vector": {"cat": True}}), 1, "impact cat: true is not a number"),
        ("seismic", lines({"id": "d1", "vector": {"cat": 2**31}}), 1, "is above 2147483647"),
        ("seismic", lines({"id": "d1", "vector": {"a cat": 3}}), 1, "the term 'a cat' contains white space"),
        ("seismic", lines({"id": "d 1", "vector": {"cat": 3}}), 1, "the id 'd 1' contains white space"),
        ("seismic", lines({"vector": {"cat": 3}}), 1, 'the document has no "id"'),
        ("seismic", lines({"id": "d1", "vector": [3]}), 1, "the document has no object 'vector'"),
        ("seismic", '{"id": "d1", "vector": {"cat": 3, "cat": 4}}\n', 1, "duplicate key 'cat'"),
        ("seismic", lines(DOCUMENT) + "{\n", 2, "invalid JSON"),
        ("opensearch", lines({"delete": {"_id": "d1"}}), 1, "the action 'delete' changes a document that was written before"),
        ("opensearch", lines({"index": {"_id": "d1"}}), 1, "an action without its document"),
        ("opensearch", lines({"_id": "d1", "_source": {"text": "x"}}), 1, "no member has features"),
        ("elasticsearch", lines({"_source": {"text": "x"}}), 1, "only if a search has _source.exclude_vectors=false"),
        ("opensearch", lines({"id": "d1", "a": {"x": 1}, "b": {"y": 2}}), 1, "several members have features: a, b"),
        ("opensearch", lines({"id": "d1", "a": {"x": 1}}, {"id": "d2", "a": 5}), 2, "the member 'a' is not an object"),
        ("qdrant", lines({**POINT, "vector": [0.5]}), 1, "the point has no sparse vector"),
        ("qdrant", lines({**POINT, "vector": {"indices": [3], "values": [1]}}), 1, "unknown term id 3: {vocabulary} has the ids 0 to 2"),
        ("qdrant", lines({**POINT, "vector": {"indices": [-1], "values": [1]}}), 1, "unknown term id -1"),
        ("qdrant", lines({**POINT, "vector": {"indices": [1.5], "values": [1]}}), 1, "unknown term id 1.5"),
        ("qdrant", lines({**POINT, "vector": {"indices": [0, 1], "values": [1]}}), 1, "2 term ids with 1 weights"),
        ("qdrant", lines({**POINT, "vector": {"indices": [0, 0], "values": [1, 2]}}), 1, "a term id occurs twice"),
        ("milvus", lines({"id": "d1", "text": "x"}), 1, "no member has features"),
        ("milvus", lines({"id": "d1", "sparse": {"x": 1}}), 1, "unknown term id 'x'"),
        ("sentence-transformers", lines({"cat": 2.5}), 1, NOT_WHOLE),
        ("sentence-transformers", lines([["cat"]]), 1, "not an object {{token: weight}} or a list of [token, weight]"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_file_and_line(origin, text, line, wrong, tmp_path):
    path, vocabulary = tmp_path / "x.jsonl", tmp_path / "vocab.txt"
    path.write_text(text)
    vocabulary.write_text(TERMS)
    options = {"vocabulary": vocabulary} if origin in ("qdrant", "milvus") else {}
    with pytest.raises(PseudoDocumentError) as raised:
        import_collection(origin, path, tmp_path / "out", **options)
    assert str(raised.value).startswith(f"{path}:{line}: ")
    assert wrong.format(path=path, vocabulary=vocabulary) in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_bad_documents_are_skipped_if_asked_but_never_floats(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(lines(DOCUMENT, DOCUMENT, {"id": "d2", "vector": {}}, {"id": "d3", "vector": {"cat": -1}}) + "[\n")
    problems: list[PseudoDocumentError] = []
    manifest = import_collection("seismic", path, tmp_path / "out", skip_bad=True, on_problem=problems.append)
    assert [each.line for each in problems] == [2, 4, 5]
    assert (manifest.documents, manifest.skipped, manifest.empty) == (1, 3, ("d2",))
    path.write_text(lines(DOCUMENT, {"id": "d2", "vector": {"cat": 2.5}}))
    with pytest.raises(PseudoDocumentError, match="2.5 is not an integer"):
        import_collection("seismic", path, tmp_path / "more", skip_bad=True)


def test_empty_files_and_folders_are_named(tmp_path, caplog):
    (tmp_path / "x.jsonl").write_text("")
    with pytest.raises(PseudoDocumentError, match="no document has a term"):
        import_collection("opensearch", tmp_path / "x.jsonl", tmp_path / "out")
    assert "all features are numbers" not in caplog.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(PseudoDocumentError, match=r": no \.ciff file in this folder"):
        import_collection("ciff", tmp_path / "empty", tmp_path / "out")
    with pytest.raises(PseudoDocumentError, match=r": no \.pt, .*, \.json or \.jsonl file in this folder"):
        import_collection("sentence-transformers", tmp_path / "empty", tmp_path / "out")
    with pytest.raises(NotAnIndexError, match="is a file, not the folder of an index"):
        import_collection("anserini", tmp_path / "x.jsonl", tmp_path / "out")


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "x.jsonl").write_text("\ufeff" + lines(DOCUMENT, {"id": "d2", "vector": {"dog": 1}}))
    assert imported("seismic", tmp_path / "x.jsonl", tmp_path / "out") == {**CAT, "d2": (None, {"dog": 1})}


def test_weights_are_quantized_by_a_rule(tmp_path):
    (tmp_path / "x.jsonl").write_text(lines({"id": "d1", "vector": {"cat": 2.414, "dog": 0.004, "old": 1}}))
    manifest = import_collection("seismic", tmp_path / "x.jsonl", tmp_path / "out", quantizer=NAVER)
    assert found(tmp_path / "out") == {"d1": (None, {"cat": 241, "old": 100})}
    assert manifest.quantizer == NAVER
    for weight, wrong in (
        ("-0.5", "cat: -0.5 is below 1"),
        ("NaN", "invalid JSON|not a number"),
        ("1e999", "not a number"),
    ):
        (tmp_path / "y.jsonl").write_text(f'{{"id": "d1", "vector": {{"cat": {weight}}}}}\n')
        with pytest.raises(PseudoDocumentError, match=wrong):
            import_collection("seismic", tmp_path / "y.jsonl", tmp_path / "more", quantizer=NAVER)


def test_numbers_as_features_are_noted(tmp_path, caplog):
    (tmp_path / "x.jsonl").write_text(lines({"id": "d1", "impacts": {"29": 3}}))
    assert imported("opensearch", tmp_path / "x.jsonl", tmp_path / "out") == {"d1": (None, {"29": 3})}
    assert "if they are term ids, name their vocabulary" in caplog.text
    (tmp_path / "vocab.json").write_text(json.dumps({"cat": 29, "a b": 3}))
    back = imported("opensearch", tmp_path / "x.jsonl", tmp_path / "out2", vocabulary=tmp_path / "vocab.json")
    assert back == {"d1": (None, {"cat": 3})}


def test_tables_of_others_are_read(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    vectors: dict[str, tuple[Any, Any]] = {
        "vector": ([[("cat", 3), ("old", 1)]], pa.map_(pa.string(), pa.int32())),
        "emb": ([{"indices": [0, 2], "values": [3.0, 1.0]}], None),
    }
    (tmp_path / "vocab.txt").write_text(TERMS)
    for name, (values, kind) in vectors.items():
        table = pa.table({"id": [7], "text": ["a cat"], name: pa.array(values, kind)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
        options = {} if name == "vector" else {"vector_field": name, "vocabulary": tmp_path / "vocab.txt"}
        assert imported("parquet", tmp_path / f"{name}.parquet", tmp_path / f"of-{name}", **options) == CAT_OLD
    pq.write_table(pa.table({"id": ["d1"], "x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(PseudoDocumentError, match="no column of vectors: the columns are id, x"):
        import_collection("parquet", tmp_path / "x.parquet", tmp_path / "out")
    pq.write_table(pa.table({"id": ["d1"], "terms": [["a", "b"]], "impacts": [[1]]}), tmp_path / "y.parquet")
    with pytest.raises(PseudoDocumentError, match=r"y\.parquet:1: 2 terms with 1 impacts"):
        import_collection("parquet", tmp_path / "y.parquet", tmp_path / "out")


# ---- sentence-transformers ----


def save_torch(path: Path, dense: Any, kind: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(dense)
    value = {
        "coo": tensor.to_sparse(),
        "csr": tensor.to_sparse_csr(),
        "dense": tensor,
        "list": [row.to_sparse() for row in tensor],
        "bfloat16": tensor.to_sparse().to(torch.bfloat16),
        "mapping": {"ids": ["d1", "d2", "d3"], "embeddings": tensor.to_sparse()},
    }[kind]
    torch.save(value, path)


def save_safetensors(path: Path, dense: Any, kind: str) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    tensor = torch.tensor(dense)
    coo, csr = tensor.to_sparse().coalesce(), tensor.to_sparse_csr()
    tensors = {
        "coo": {"indices": coo.indices(), "values": coo.values(), "shape": torch.tensor(coo.shape)},
        "csr": {"crow_indices": csr.crow_indices(), "col_indices": csr.col_indices(), "values": csr.values()},
        "dense": {"embeddings": tensor},
    }[kind]
    save_file({name: each.contiguous() for name, each in tensors.items()}, path)


def save_npz(path: Path, dense: Any, kind: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    sparse.save_npz(path, sparse.csr_array(np.array(dense)))


WEIGHTS = [[2.25, 0.0, 0.5], [0.0, 0.0, 0.0], [0.0, 1.5, 0.0]]
IMPACTS = [{"cat": 225, "old": 50}, {}, {"dog": 150}]


@pytest.mark.parametrize(
    ("save", "suffix", "kind"),
    [
        *((save_torch, ".pt", kind) for kind in ("coo", "csr", "dense", "list", "bfloat16", "mapping")),
        *((save_safetensors, ".safetensors", kind) for kind in ("coo", "csr", "dense")),
        (save_npz, ".npz", "csr"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_embeddings_are_quantized(save, suffix, kind, tmp_path):
    save(tmp_path / f"x{suffix}", WEIGHTS, kind)
    (tmp_path / "vocab.txt").write_text(TERMS)
    source: Callable[..., Manifest] = import_collection
    manifest = source(
        "sentence-transformers",
        tmp_path / f"x{suffix}",
        tmp_path / "out",
        quantizer=NAVER,
        vocabulary=tmp_path / "vocab.txt",
    )
    ids = ["d1", "d2", "d3"] if kind == "mapping" else ["0", "1", "2"]
    assert found(tmp_path / "out") == {ids[0]: (None, IMPACTS[0]), ids[2]: (None, IMPACTS[2])}
    assert manifest.empty == (ids[1],)


def test_embeddings_get_ids_and_texts_of_their_corpus(tmp_path):
    save_npz(tmp_path / "x.npz", WEIGHTS, "csr")
    (tmp_path / "vocab.txt").write_text(TERMS)
    options: dict[str, Any] = {"quantizer": NAVER, "vocabulary": tmp_path / "vocab.txt"}
    (tmp_path / "corpus.tsv").write_text("a\tan old cat\nb\t-\nc\ta dog\n")
    back = imported(
        "sentence-transformers", tmp_path / "x.npz", tmp_path / "out", corpus=str(tmp_path / "corpus.tsv"), **options
    )
    assert back == {"a": ("an old cat", IMPACTS[0]), "c": ("a dog", IMPACTS[2])}
    for text, wrong in (("a\tx\n", r"there are more embeddings than documents \(1\)"),
                        ("a\tx\nb\tx\nc\tx\nd\tx\n", r"there are more documents than embeddings \(3\)")):  # fmt: skip
        (tmp_path / "corpus.tsv").write_text(text)
        with pytest.raises(PseudoDocumentError, match=wrong):
            import_collection(
                "sentence-transformers",
                tmp_path / "x.npz",
                tmp_path / "more",
                corpus=str(tmp_path / "corpus.tsv"),
                **options,
            )


def test_embeddings_equal_the_encoders_own(encoder, tmp_path):
    """Weights of a sparse encoder as sentence-transformers would save them, against encode_corpus's impacts."""
    torch = pytest.importorskip("torch")
    texts = ["The heart pumps blood.", "Lucene is a search library."]
    weights = encoder.encode_documents(texts)
    term_ids = {term: term_id for term_id, term in enumerate(encoder.terms)}
    dense = torch.zeros(len(texts), len(term_ids))
    for row, each in enumerate(weights):
        for term, weight in each.items():
            dense[row, term_ids[term]] = weight
    torch.save(dense.to_sparse(), tmp_path / "x.pt")
    back = imported(
        "sentence-transformers",
        tmp_path / "x.pt",
        tmp_path / "out",
        quantizer=NAVER,
        vocabulary=encoder.layout.location.folder,
    )
    assert [vector for _, vector in back.values()] == [NAVER.quantize_vector(each, "document") for each in weights]


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors", "x.npz", "x.parquet"])
def test_files_that_are_something_else_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"hello, world\n" * 9)
    origin: Any = "parquet" if name == "x.parquet" else "sentence-transformers"
    with pytest.raises(PseudoDocumentError, match="cannot read this file") as raised:
        import_collection(origin, tmp_path / name, tmp_path / "out", vocabulary=tmp_path / name)
    assert str(raised.value).startswith(str(tmp_path / name))


# ---- Lucene's indexes ----


@pytest.mark.process
def test_an_index_of_anserini_comes_back(source, tmp_path):
    """It has no stored vectors: they are read from the postings."""
    build_with_anserini(source, tmp_path / "index", "-storeRaw")
    assert imported("anserini", tmp_path / "index", tmp_path / "out") == found(source)
    assert imported("pyserini", tmp_path / "index", tmp_path / "again") == found(source)


def test_an_index_without_texts_comes_back_without_them(source, tmp_path):
    index_pseudo_documents(source, tmp_path / "index", store="none")
    back = imported("anserini", tmp_path / "index", tmp_path / "out")
    assert back == {docid: (None, vector) for docid, (_, vector) in found(source).items()}


def test_deleted_documents_do_not_come_back(source, tmp_path):
    index_pseudo_documents(source, tmp_path / "index")
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.delete(["d7", "d8"])
        indexer.add(PseudoDocument("d8", "new", {"cat": 3}))
    back = imported("anserini", tmp_path / "index", tmp_path / "out")
    assert back == {
        **{docid: each for docid, each in found(source).items() if docid != "d7"},
        "d8": ("new", {"cat": 3}),
    }


def test_a_prebuilt_index_has_pyserinis_name(source, tmp_path, monkeypatch):
    from splade_lucene.jvm.pyserini_import import pyserini_importable

    with pyserini_importable():
        from pyserini import util
    name = "msmarco-v1-passage.splade-v3"
    if name not in util.IMPACT_INDEX_INFO:
        pytest.skip("this Pyserini has another list of indexes")
    entry = util.IMPACT_INDEX_INFO[name]
    folder = tmp_path / "cache" / "indexes" / f"{entry['filename'].removesuffix('.tar.gz')}.{entry['md5']}"
    index_pseudo_documents(source, folder)
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path / "cache"))
    assert imported("pyserini", Path(name), tmp_path / "out") == found(source)
    with pytest.raises(
        InputError, match=r"neither a folder nor a prebuilt impact index of Pyserini. Did you mean .*splade-v3"
    ):
        import_collection("pyserini", "msmarco-v1-passage.splade-v4", tmp_path / "other")


# ---- the output, the command ----


def test_the_output_is_whole_or_not_there(source, tmp_path):
    (tmp_path / "x.jsonl").write_text(lines(DOCUMENT, DOCUMENT))
    with pytest.raises(PseudoDocumentError):
        import_collection("seismic", tmp_path / "x.jsonl", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]
    (tmp_path / "x.jsonl").write_text(lines(DOCUMENT))
    import_collection("seismic", tmp_path / "x.jsonl", tmp_path / "out", gzip=True)
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        "part-00000.jsonl.gz",
        "splade-lucene.manifest",
    ]
    with pytest.raises(InputError, match="pseudo-documents exist here. Pass overwrite=True"):
        import_collection("seismic", tmp_path / "x.jsonl", tmp_path / "out")
    (tmp_path / "x.jsonl").write_text(lines({"id": "d2", "vector": {"dog": 1}}))
    import_collection("seismic", tmp_path / "x.jsonl", tmp_path / "out", overwrite=True)
    assert found(tmp_path / "out") == {"d2": (None, {"dog": 1})}
    index_pseudo_documents(tmp_path / "out", tmp_path / "index")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="holds no pseudo-documents, so it is not replaced"):
        import_collection("seismic", tmp_path / "x.jsonl", tmp_path / "mine", overwrite=True)
    with pytest.raises(InputError, match="inside the source"):
        import_collection("seismic", tmp_path, tmp_path / "more")
    (tmp_path / "x.jsonl").write_text(lines({"id": "d2", "vector": {}}))
    with pytest.raises(PseudoDocumentError, match="no document has a term"):
        import_collection("seismic", tmp_path / "x.jsonl", tmp_path / "more")


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    for origin, options, wrong in (
        ("solr", {}, "unknown origin 'solr'. Choose one of: ciff, anserini"),
        ("ciff", {"vocabulary": "x"}, "vocabulary=… does not apply to ciff"),
        ("seismic", {"corpus": "x"}, "corpus=… does not apply to seismic"),
        ("anserini", {"text_field": "x"}, "text_field=… does not apply to anserini"),
    ):
        with pytest.raises(InputError, match=wrong):
            import_collection(origin, tmp_path, tmp_path / "out", **options)  # type: ignore[arg-type]
    for origin in ("ciff", "seismic", "parquet", "pisa", "qdrant"):
        with pytest.raises(SpladeLuceneError, match="no such file or folder"):
            import_collection(origin, tmp_path / "nowhere", tmp_path / "out")  # type: ignore[arg-type]


def test_the_command_imports(tmp_path):
    (tmp_path / "x.jsonl").write_text(
        lines({"id": "d1", "vector": {"cat": 2.5}}, {"id": "d2", "vector": {"cat": 0.001}})
    )
    given = ("import", "--from", "seismic", "--input", tmp_path / "x.jsonl", "--output", tmp_path / "out")
    done = run(*given)
    assert done.returncode == 1
    assert "with --quantizer, such as --quantizer naver" in done.stderr
    done = run(*given, "--quantizer", "naver", "--scale", "10", "--json")
    printed = json.loads(check_well(done))
    assert printed["manifest"]["documents"] == 1
    assert "1 pseudo-document in" in done.stderr
    assert "quantized by naver (x10)" in done.stderr
    assert "1 of 2 documents is empty (no terms) and was left out: d2" in done.stderr
    assert found(tmp_path / "out") == {"d1": (None, {"cat": 25})}
    done = run(*given, "--scale", "10")
    assert done.returncode == 2
    assert "--scale requires --quantizer" in done.stderr
