"""Corpora in every supported form, and the errors for those that cannot be read."""

import bz2
import gzip
import json
import lzma
import os
import sys
import zipfile
from functools import partial
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest

from splade_lucene.corpus.reading import corpus_digest, describe_corpus, examine_corpus, read_corpus
from splade_lucene.errors import CorpusError, MissingDependencyError
from splade_lucene.records import Document


def pairs(source):
    return [(document.docid, document.text) for document in read_corpus(source)]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def json_lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def refused(source):
    with pytest.raises(CorpusError) as caught:
        list(read_corpus(source))
    assert caught.value.remedy
    return str(caught.value)


# ---- the forms ----


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz"])
def test_json_lines(tmp_path, name):
    path = write(
        tmp_path / name,
        json_lines({"id": "1", "contents": "one"}, {"_id": "2", "text": "two é"})
        + "\n  \n"
        + json_lines({"docid": 3, "text": "three"}, {"doc_id": "4", "text": "four"}, {"id": 0, "text": ""}),
    )
    assert pairs(path) == [("1", "one"), ("2", "two é"), ("3", "three"), ("4", "four"), ("0", "")]
    assert next(iter(read_corpus(str(path)))) == Document("1", "one")


@pytest.mark.parametrize("name", ["c.tsv", "c.tsv.gz"])
def test_tsv(tmp_path, name):
    path = write(tmp_path / name, "1\tone\n2\ttwo\twith tab\r\n\n3\t\n4\ta\u2028b\u0085c")
    assert pairs(path) == [("1", "one"), ("2", "two\twith tab"), ("3", ""), ("4", "a\u2028b\u0085c")]


def test_parquet(tmp_path):
    table = {"id": ["a", "b"], "title": ["T", None], "text": ["one", "two"], "other": [1, 2]}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "c.parquet")
    assert pairs(tmp_path / "c.parquet") == [("a", "T one"), ("b", "two")]


def test_parquet_of_many_rows_keeps_their_order(tmp_path):
    numbers = list(range(10_000))
    table = pyarrow.table({"docid": numbers, "contents": [f"text {number}" for number in numbers]})
    pyarrow.parquet.write_table(table, tmp_path / "c.parquet", row_group_size=3000)
    assert pairs(tmp_path / "c.parquet") == [(str(number), f"text {number}") for number in numbers]


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz"])
def test_beir_folder_is_its_corpus_alone(tmp_path, name):
    write(tmp_path / name, json_lines({"_id": "d1", "title": "Title", "text": "body", "metadata": {}}))
    write(tmp_path / "queries.jsonl", json_lines({"_id": "q1", "text": "a query"}))
    write(tmp_path / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    assert pairs(tmp_path) == [("d1", "Title body")]


def test_json_lines_may_be_called_json_as_anserinis_collections_are(tmp_path):
    (tmp_path / "docs00.json").write_text('{"id": "1", "contents": "one"}\n{"id": "2", "contents": "two"}\n')
    with gzip.open(tmp_path / "docs01.json.gz", "wt") as file:
        file.write('{"id": "3", "contents": "three"}\n')
    assert [each.docid for each in read_corpus(tmp_path)] == ["1", "2", "3"]
    assert [each.text for each in read_corpus(tmp_path / "docs00.json")] == ["one", "two"]
    (tmp_path / "README.txt").write_text("about these files")
    assert [each.docid for each in read_corpus(tmp_path)] == ["1", "2", "3"]
    (tmp_path / "page.txt").write_text("a text; the .json may be about it")
    assert "mixes files of several formats" in refused(tmp_path)


def test_folder_of_texts_has_paths_as_ids(tmp_path):
    write(tmp_path / "b.md", "# B\n")
    write(tmp_path / "a 100%.txt", "A é\n")
    write(tmp_path / "sub" / "c.txt", "C")
    write(tmp_path / "picture.png", "no text")
    assert pairs(tmp_path) == [("a%20100%25.txt", "A é\n"), ("b.md", "# B\n"), ("sub/c.txt", "C")]


def test_one_text_file_has_its_name_as_id(tmp_path):
    assert pairs(write(tmp_path / "sub" / "a b.txt", "text")) == [("a%20b.txt", "text")]


def test_folder_is_read_in_the_order_of_names_without_its_texts(tmp_path):
    write(tmp_path / "b.jsonl", json_lines({"id": "2", "text": "two"}))
    write(tmp_path / "a.jsonl.gz", json_lines({"id": "1", "text": "one"}))
    write(tmp_path / "sub" / "d.jsonl", json_lines({"id": "3", "text": "three"}))
    write(tmp_path / "README.md", "about these files")
    assert pairs(tmp_path) == [("1", "one"), ("2", "two"), ("3", "three")]


# ---- folders: one collection, or an error ----

COLLECTION = "d1\tfirst\nd2\tsecond\n"
QUERIES = "q1\ta query\n"
QRELS = "q1\t0\td1\t1\n"


def passed_over(caplog):
    return [message.partition("skipping ")[2] for message in caplog.messages if "skipping" in message]


def write_parquet(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def test_ms_marcos_folder_is_its_collection_alone(tmp_path, caplog):
    write(tmp_path / "collection.tsv", COLLECTION)
    write(tmp_path / "queries.dev.tsv", QUERIES)
    write(tmp_path / "qrels.dev.tsv", QRELS)
    write(tmp_path / "triples.train.small.tsv", "a\tb\tc\n")
    for _ in range(2):
        assert pairs(tmp_path) == [("d1", "first"), ("d2", "second")]
    assert passed_over(caplog) == ["qrels.dev.tsv, queries.dev.tsv, triples.train.small.tsv"]  # said once


def test_hub_data_sets_folder_is_its_corpus_alone(tmp_path, caplog):
    write_parquet(tmp_path / "corpus" / "corpus-00000-of-00002.parquet", _id=["d1"], title=["T"], text=["first"])
    write_parquet(tmp_path / "corpus" / "corpus-00001-of-00002.parquet", _id=["d2"], title=[""], text=["second"])
    write_parquet(tmp_path / "queries" / "queries-00000-of-00001.parquet", _id=["q1"], text=["a query"])
    write(tmp_path / "qrels" / "test.tsv", QRELS)
    assert pairs(tmp_path) == [("d1", "T first"), ("d2", "second")]
    assert passed_over(caplog) == ["qrels/test.tsv, queries/queries-00000-of-00001.parquet"]


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"msmarco-docs.tsv": COLLECTION, "msmarco-docdev-queries.tsv": QUERIES}, "msmarco-docdev-queries.tsv"),
        ({"docs.tsv": COLLECTION, "qrels/test.tsv": QRELS}, "qrels/test.tsv"),
        ({"docs.tsv": COLLECTION, "topics.dl19.tsv": QUERIES}, "topics.dl19.tsv"),
        ({"docs.tsv": COLLECTION, "run.dev.tsv": "q1\td1\t1\n"}, "run.dev.tsv"),
        ({"scifact/corpus.tsv": COLLECTION, "scifact/queries.tsv": QUERIES}, "scifact/queries.tsv"),
        ({"queries.tsv": QUERIES}, "holds no collection, but queries.tsv"),
        ({"docs.tsv": COLLECTION, "more.jsonl": '{"id": "3", "text": "x"}'}, "more.jsonl"),
        ({"corpus.tsv": COLLECTION, "collection.tsv": COLLECTION}, "collection.tsv"),
    ],
)
def test_folder_that_may_be_several_things_is_refused_by_name(tmp_path, files, named):
    for name, text in files.items():
        write(tmp_path / name, text)
    message = refused(tmp_path)
    assert named in message
    assert message.startswith(f"{tmp_path}: ")
    assert "Name the file or folder of the collection" in message


def test_hidden_files_are_no_data(tmp_path, caplog):
    write(tmp_path / "part_0.jsonl", json_lines({"id": "1", "text": "one"}))
    for name in ("._part_0.jsonl", ".DS_Store", ".cache/part.jsonl", "__MACOSX/._part_0.jsonl"):
        write(tmp_path / name, "\x00\x05\x16\x07")
    assert pairs(tmp_path) == [("1", "one")]
    assert caplog.messages == []


def test_linked_folders_are_followed_once(tmp_path):
    write(tmp_path / "elsewhere" / "b.tsv", "2\ttwo\n")
    write(tmp_path / "corpus" / "a.tsv", "1\tone\n")
    (tmp_path / "corpus" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus" / "round").symlink_to(tmp_path / "corpus")
    assert pairs(tmp_path / "corpus") == [("1", "one"), ("2", "two")]


@pytest.mark.parametrize("suffix", [".lz4", ".7z", ".br"])
def test_part_in_an_unknown_compression_is_refused_by_name(tmp_path, suffix):
    write(tmp_path / "part_0.jsonl", json_lines({"id": "1", "text": "one"}))
    write(tmp_path / f"part_1.jsonl{suffix}", "?")
    assert refused(tmp_path).startswith(f"{tmp_path / f'part_1.jsonl{suffix}'}: cannot read {suffix} files. Decompress")


def compress(path, data):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"inside/{path.stem}", data)
    elif path.suffix == ".zst":
        with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
            file.write(data)
    else:
        path.write_bytes({".bz2": bz2, ".xz": lzma, ".gz": gzip}[path.suffix].compress(data))
    return path


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst", ".zip"])
def test_compressed_parts_are_read(tmp_path, suffix):
    write(tmp_path / "part_0.jsonl", json_lines({"id": "1", "text": "one é"}))
    records = [{"id": str(number), "text": f"text {number * number}"} for number in range(2, 5000)]
    path = compress(tmp_path / f"part_1.jsonl{suffix}", json_lines(*records).encode())
    assert pairs(tmp_path) == [("1", "one é"), *((each["id"], each["text"]) for each in records)]
    assert pairs(path) == [(each["id"], each["text"]) for each in records]
    assert examine_corpus(tmp_path)[:2] == (4999, corpus_digest(tmp_path))
    path.write_bytes(path.read_bytes()[:-60])
    assert refused(path).startswith(f"{path}: cannot read this file (")


def test_zip_of_several_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "docs.jsonl.zip", "w") as archive:
        archive.writestr("a.jsonl", "{}")
        archive.writestr("b.jsonl", "{}")
    assert "the .zip holds 2 files" in refused(tmp_path / "docs.jsonl.zip")
    assert "the .zip holds 2 files" in refused(tmp_path)


def test_suffixes_may_be_in_upper_case(tmp_path):
    (tmp_path / "A.JSONL.GZ").write_bytes(gzip.compress(b'{"id": "1", "text": "x"}'))
    (tmp_path / "B.Jsonl").write_bytes(b'{"id": "2", "text": "y"}\n')
    assert [document.docid for document in read_corpus(tmp_path)] == ["1", "2"]
    assert [document.docid for document in read_corpus(tmp_path / "A.JSONL.GZ")] == ["1"]


def test_zst_without_pyarrow_names_the_remedy(tmp_path, monkeypatch):
    path = compress(tmp_path / "a.jsonl.zst", b"{}")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"a\.jsonl\.zst: .*pip install pyarrow.*zstd -d"):
        list(read_corpus(path))


# ---- headers and quoted fields ----


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("c.tsv", "id\ttext\n1\tone\n", [("1", "one")]),
        ("c.tsv", "\ufeffDocID\tContents\r\n1\tone\r\n", [("1", "one")]),
        # DPR's psgs_w100.tsv: the title comes last, and fields are quoted as in CSV
        (
            "c.tsv",
            'id\ttext\ttitle\n1\t"Aaron ( or ; ""Ahärôn"") is a prophet"\tAaron\n2\tplain\t\n',
            [("1", 'Aaron Aaron ( or ; "Ahärôn") is a prophet'), ("2", "plain")],
        ),
        (
            "c.tsv",
            '\tid\ttext\n0\td1\t"with\ttab"\n1\td2\t"not" quoted\n',
            [("d1", "with\ttab"), ("d2", '"not" quoted')],
        ),
        ("c.csv", ',id,text\n0,d1,"a, ""b""\nc"\n1,d2,two\n', [("d1", 'a, "b"\nc'), ("d2", "two")]),
        ("c.csv", ",text\nd1,one\n", [("d1", "one")]),
    ],
)
def test_header_names_the_columns_and_is_noted(tmp_path, caplog, name, text, expected):
    path = write(tmp_path / name, text)
    assert pairs(path) == expected
    assert [message.partition(" (")[0] for message in caplog.messages] == [f"{path}: the first line is a header"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("c.csv", 'd1,"one, two"\nd2,three\n', [("d1", "one, two"), ("d2", "three")]),
        ("c.tsv", "id\tthe word id\n", [("id", "the word id")]),
        ("c.tsv", "1\ttext\ttitle\n", [("1", "text\ttitle")]),
        ("c.tsv", '1\t"quoted"\n', [("1", '"quoted"')]),
    ],
)
def test_first_line_that_is_no_header_is_a_document(tmp_path, caplog, name, text, expected):
    assert pairs(write(tmp_path / name, text)) == expected
    assert caplog.messages == []


def test_frame_that_pandas_writes_is_read_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    texts = ["plain", 'a "quoted" word', "with\ttab", "comma, or not", '"all quoted"']
    frame = pandas.DataFrame({"id": [f"d{i}" for i in range(len(texts))], "text": texts})
    for name, separator in (("c.tsv", "\t"), ("c.csv", ",")):
        for index in (True, False):
            frame.to_csv(tmp_path / name, sep=separator, index=index)
            assert pairs(tmp_path / name) == list(zip(frame["id"], texts, strict=True))


@pytest.mark.parametrize(
    ("name", "row", "says"),
    [
        ("c.tsv", "2\tx\ty", "expected 2 columns, got 3"),
        ("c.tsv", "2", "expected 2 columns, got 1"),
        ("c.csv", "2,x,y", "expected 2 columns, got 3"),
        ("c.csv", '2,"x"y', "not a row of CSV"),
        ("c.csv", "a b,x", "the id 'a b'"),
    ],
)
def test_bad_row_below_a_header_is_named_and_can_be_skipped(tmp_path, name, row, says):
    tab = "," if name == "c.csv" else "\t"
    path = write(tmp_path / name, f"id{tab}text\n1{tab}one\n{row}\n3{tab}three\n")
    message = refused(path)
    assert message.startswith(f"{path}:3: ")
    assert says in message
    assert [each.docid for each in read_corpus(path, skip_bad=True)] == ["1", "3"]


# ---- Anserini's forms of .json ----

RECORDS = [{"id": "1", "contents": "one [é]"}, {"id": "2", "contents": 'two {"x"}'}, {"id": "3", "contents": "c\nd"}]


@pytest.mark.parametrize("name", ["c.json", "c.json.gz", "c.jsonl"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORDS),
        json.dumps(RECORDS, indent=2, ensure_ascii=False),
        "[" + ",\n".join(map(json.dumps, RECORDS)) + "]\n",
        "\n".join(json.dumps(record, indent=4) for record in RECORDS),
        json_lines(*RECORDS),
        "\ufeff" + json.dumps(RECORDS, indent=1),
    ],
)
def test_every_form_of_json_is_read(tmp_path, name, text):
    path = write(tmp_path / name, text)
    assert pairs(path) == [(record["id"], record["contents"]) for record in RECORDS]


def test_faults_in_an_array_are_named_by_line(tmp_path):
    path = write(tmp_path / "c.json", '[\n{"id": "1",\n"contents": "one"},\n{"id": "a b", "contents": "x"},\n7\n]\n')
    assert refused(path).startswith(f"{path}:4: the id 'a b'")
    problems: list[CorpusError] = []
    assert [each.docid for each in read_corpus(path, skip_bad=True, on_problem=problems.append)] == ["1"]
    assert [(each.line, "not a JSON object" in str(each)) for each in problems] == [(4, False), (5, True)]


@pytest.mark.parametrize(
    "text", ['[\n{"id": "1", "text": "x"},\n', '[\n{"id": "1", "text": "x"}\n{"id": "2"}]', "[\n{]"]
)
def test_broken_array_is_refused_even_if_bad_documents_are_skipped(tmp_path, text):
    path = write(tmp_path / "c.json", text)
    with pytest.raises(CorpusError, match=r"c\.json:[23]: invalid JSON"):
        list(read_corpus(path, skip_bad=True))


# ---- other keys ----


def test_named_fields(tmp_path):
    read = partial(read_corpus, id_field="docno", text_field="body")
    record = {"id": "x", "docno": "1", "title": "T", "text": "other", "body": "one"}
    for path in (write(tmp_path / "c.jsonl", json_lines(record)), write(tmp_path / "c.json", json.dumps([record]))):
        assert list(read(path)) == [Document("1", "T one")]
    write_parquet(tmp_path / "c.parquet", **{key: [value] for key, value in record.items()})
    assert list(read(tmp_path / "c.parquet")) == [Document("1", "T one")]
    path = write(tmp_path / "c.csv", ",".join(record) + "\n" + ",".join(record.values()))
    assert list(read(path)) == [Document("1", "T one")]
    assert list(read_corpus(path, text_field="title")) == [Document("x", "T")]
    facts = examine_corpus(path, id_field="docno", text_field="body")
    assert facts is not None
    assert facts.documents == 1


def test_fields_that_are_not_there_are_named(tmp_path):
    path = write(tmp_path / "c.jsonl", json_lines({"id": "1", "text": "x"}))
    with pytest.raises(CorpusError, match=r"c\.jsonl:1: document '1' has none of the keys passage"):
        list(read_corpus(path, text_field="passage"))
    path = write(tmp_path / "c.tsv", "1\tone\n")
    with pytest.raises(CorpusError, match=r"c\.tsv:1: the file has no header with a column id and a column passage"):
        list(read_corpus(path, text_field="passage"))


@pytest.mark.process
def test_python_docs_are_a_corpus():
    assert " ".join(os.walk.__doc__.split()) in " ".join(dict(pairs("python-docs"))["os.walk"].split())


# ---- titles and keys ----


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"title": "T", "text": "body"}, "T body"),
        ({"text": "body"}, "body"),
        ({"title": None, "text": "body"}, "body"),
        ({"title": "", "text": "body"}, "body"),
        ({"title": "T", "text": ""}, "T"),
        ({"title": "T", "text": None}, "T"),
        ({"title": "T"}, "T"),
        ({"title": float("nan"), "text": "body"}, "body"),
        ({"title": "T", "text": float("nan")}, "T"),
        ({"contents": float("nan"), "text": "second"}, "second"),
        ({"contents": "first", "text": "second"}, "first"),
        ({"contents": None, "text": "second"}, "second"),
    ],
)
def test_text_of_a_record(tmp_path, record, text):
    assert pairs(write(tmp_path / "c.jsonl", json_lines({"id": "1", **record}))) == [("1", text)]


def test_first_id_key_that_has_a_value_counts(tmp_path):
    path = write(tmp_path / "c.jsonl", json_lines({"docid": "c", "id": None, "_id": "b", "text": "x"}))
    assert pairs(path) == [("b", "x")]


# ---- faults ----


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": "2", "text": ', "invalid JSON"),
        ('["2", "x"]', "not a JSON object"),
        ('{"text": "x"}', "none of the keys id, _id, docid"),
        ('{"id": null, "text": "x"}', "none of the keys id, _id, docid"),
        ('{"id": "2"}', "none of the keys contents, text"),
        ('{"id": "2", "text": 5}', "is not a string (5)"),
        ('{"id": "2", "title": 5, "text": "x"}', "is not a string (5)"),
        ('{"id": "2", "text": ["x"]}', "is not a string (['x'])"),
        ('{"id": "", "text": "x"}', "the id '' is not valid"),
        ('{"id": "a b", "text": "x"}', "the id 'a b'"),
        (r'{"id": "a\u00a0b", "text": "x"}', r"the id 'a\xa0b'"),
        (r'{"id": "a\tb", "text": "x"}', r"the id 'a\tb'"),
        (r'{"id": "a\u0000b", "text": "x"}', r"the id 'a\x00b'"),
        ('{"id": 2.5, "text": "x"}', "the id 2.5"),
        ('{"id": true, "text": "x"}', "the id True"),
    ],
)
@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz"])
def test_bad_json_line_is_named(tmp_path, name, line, says):
    path = write(tmp_path / name, json_lines({"id": "1", "text": "one"}) + "\n" + line + "\n")
    message = refused(path)
    assert message.startswith(f"{path}:3: ")
    assert says in message


@pytest.mark.parametrize(
    ("line", "says"), [("no tab", "no tab between id and text"), ("a b\tx", "the id 'a b'"), ("\tx", "the id ''")]
)
def test_bad_tsv_line_is_named(tmp_path, line, says):
    path = write(tmp_path / "c.tsv", f"1\tone\n{line}\n")
    message = refused(path)
    assert message.startswith(f"{path}:2: ")
    assert says in message


def test_bad_parquet_row_is_named(tmp_path):
    path = tmp_path / "c.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a", "b c"], "text": ["x", "y"]}), path)
    assert refused(path).startswith(f"{path}:2: the id 'b c'")


def test_documents_before_the_fault_are_given_out(tmp_path):
    documents = read_corpus(write(tmp_path / "c.tsv", "1\tone\nno tab\n"))
    assert next(documents) == Document("1", "one")
    with pytest.raises(CorpusError):
        next(documents)


def test_duplicates_name_both_places(tmp_path):
    first = write(tmp_path / "a.tsv", "0\tzero\n7\tone\n")
    second = write(tmp_path / "b.tsv", "7\tagain\n")
    message = refused(tmp_path)
    assert "duplicate id '7', first used at" in message
    assert message.startswith(f"{second}:1: ")
    assert f"{first}:2" in message


@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv", "c.txt"])
def test_not_utf8(tmp_path, name):
    path = tmp_path / name
    path.write_bytes('1\tcafé {"id": 1}'.encode("latin-1"))
    message = refused(path)
    assert message.startswith(f"{path}")
    assert "not UTF-8" in message


@pytest.mark.parametrize("name", ["c.jsonl.gz", "c.tsv.gz", "c.parquet"])
def test_damaged_file(tmp_path, name):
    whole = gzip.compress("".join(f"{i}\ttext {i * i}\n" for i in range(2000)).encode())
    for data in (b"plain text", whole[:-100], whole[:50] + b"\xff" * 50 + whole[100:]):
        path = tmp_path / name
        path.write_bytes(data)
        message = refused(path)
        assert message.startswith(f"{path}")
        assert "cannot read" in message or "invalid JSON" in message or "not a Parquet file" in message


def test_byte_order_mark_is_no_part_of_the_first_id(tmp_path):
    assert pairs(write(tmp_path / "c.tsv", "\ufeff1\tone\n2\ttwo\n")) == [("1", "one"), ("2", "two")]


def test_unknown_ending(tmp_path):
    message = refused(write(tmp_path / "c.docx", "1,one"))
    assert "expected one of .jsonl, " in message
    assert message.startswith(f"{tmp_path / 'c.docx'}: ")


def test_missing_path_names_the_other_forms(tmp_path):
    message = refused(tmp_path / "nothing")
    assert "no such file or folder" in message
    for form in ("irds:NAME", "hf:NAME", "python-docs"):
        assert form in message


def test_empty_folder(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"")
    assert "no .jsonl, .json, .tsv, .csv, .parquet, .txt or .md file in this folder" in refused(tmp_path)


# ---- describe_corpus: the same text for the same corpus ----


def test_description_changes_with_the_files(tmp_path):
    path = write(tmp_path / "c.tsv", "1\tone\n")
    before = describe_corpus(path)
    assert describe_corpus(path) == before
    assert describe_corpus(tmp_path) == before  # the same file
    write(path, "1\tone!\n")
    after = describe_corpus(path)
    assert after != before
    write(tmp_path / "d.tsv", "2\ttwo\n")
    assert describe_corpus(path) == after
    assert describe_corpus(tmp_path) != after


def test_description_of_named_corpora():
    assert describe_corpus("irds:vaswani") == "irds:vaswani"
    assert sys.version in describe_corpus("python-docs")


# ---- irds: and hf: ----


def test_ir_datasets_corpus(monkeypatch):
    rows = [SimpleNamespace(doc_id=f"d{i}", default_text=lambda i=i: f"text {i}") for i in (1, 2)]
    asked = []

    def load(name):
        asked.append(name)
        return SimpleNamespace(docs_iter=lambda: iter(rows))

    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=load))
    assert pairs("irds:beir/scifact/test") == [("d1", "text 1"), ("d2", "text 2")]
    assert asked == ["beir/scifact/test"]


def test_ir_datasets_knows_no_such_corpus():
    pytest.importorskip("ir_datasets")
    message = refused("irds:no-such/data-set")
    assert "ir_datasets has no data set 'no-such/data-set'" in message
    assert "https://ir-datasets.com" in message


def test_ir_datasets_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_datasets", None)  # import raises ImportError
    with pytest.raises(MissingDependencyError, match=r"pip install splade-lucene\[irds\]"):
        list(read_corpus("irds:vaswani"))


@pytest.fixture
def hugging_face(monkeypatch):
    datasets = pytest.importorskip("datasets")
    calls = []

    def answer_with(rows):
        def load_dataset(path, **options):
            calls.append((path, options["split"], options["streaming"]))
            if isinstance(rows, Exception):
                raise rows
            return iter(rows)

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return calls

    return answer_with


@pytest.mark.parametrize(
    ("source", "call"), [("hf:owner/name", ("owner/name", "train", True)), ("hf:own/n:dev", ("own/n", "dev", True))]
)
def test_hugging_face_corpus(hugging_face, source, call):
    calls = hugging_face([{"_id": "1", "title": "T", "text": "one"}, {"id": 2, "title": None, "text": "two"}])
    assert pairs(source) == [("1", "T one"), ("2", "two")]
    assert calls == [call]


def test_hugging_face_row_without_id_is_named(hugging_face):
    hugging_face([{"_id": "1", "text": "one"}, {"text": "two"}])
    message = refused("hf:owner/name")
    assert message.startswith("hf:owner/name:2: ")
    assert "none of the keys id" in message


@pytest.mark.parametrize("kind", [ConnectionError, FileNotFoundError, ValueError, "DatasetNotFoundError"])
def test_hugging_face_refuses(hugging_face, kind):
    datasets = pytest.importorskip("datasets")
    error = getattr(datasets.exceptions, kind) if isinstance(kind, str) else kind
    hugging_face(error("not there"))
    message = refused("hf:owner/name:dev")
    assert "cannot read hf:owner/name:dev (not there)" in message
