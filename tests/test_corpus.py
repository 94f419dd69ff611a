"""Corpora in every form that people have, and what is said of those that cannot be read."""

import gzip
import json
import os
import sys
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest

from splade_lucene.corpus.reading import describe_corpus, read_corpus
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
    (tmp_path / "page.txt").write_text("a text; the .json may be about it")
    assert [each.docid for each in read_corpus(tmp_path)] == ["page.txt"]


def test_folder_of_texts_has_paths_as_ids(tmp_path):
    write(tmp_path / "b.md", "# B\n")
    write(tmp_path / "a 100%.txt", "A é\n")
    write(tmp_path / "sub" / "c.txt", "C")
    write(tmp_path / "picture.png", "no text")
    assert pairs(tmp_path) == [("a%20100%25.txt", "A é\n"), ("b.md", "# B\n"), ("sub/c.txt", "C")]


def test_one_text_file_has_its_name_as_id(tmp_path):
    assert pairs(write(tmp_path / "sub" / "a b.txt", "text")) == [("a%20b.txt", "text")]


def test_mixed_folder_is_read_in_the_order_of_names_without_its_texts(tmp_path):
    write(tmp_path / "b.tsv", "2\ttwo\n")
    write(tmp_path / "a.jsonl.gz", json_lines({"id": "1", "text": "one"}))
    write(tmp_path / "sub" / "d.jsonl", json_lines({"id": "4", "text": "four"}))
    pyarrow.parquet.write_table(pyarrow.table({"id": ["3"], "text": ["three"]}), tmp_path / "c.parquet")
    write(tmp_path / "README.md", "about these files")
    assert pairs(tmp_path) == [("1", "one"), ("2", "two"), ("3", "three"), ("4", "four")]


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
    second = write(tmp_path / "b.jsonl", json_lines({"id": 7, "text": "again"}))
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
    message = refused(write(tmp_path / "c.csv", "1,one"))
    assert "expected one of .jsonl, " in message
    assert message.startswith(f"{tmp_path / 'c.csv'}: ")


def test_missing_path_names_the_other_forms(tmp_path):
    message = refused(tmp_path / "nothing")
    assert "no such file or folder" in message
    for form in ("irds:NAME", "hf:NAME", "python-docs"):
        assert form in message


def test_empty_folder(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"")
    assert "no .jsonl, .tsv, .parquet, .txt, .md or .json file in this folder" in refused(tmp_path)


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
