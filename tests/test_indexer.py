"""Our index is what Anserini's IndexCollection builds from the same files, and bad input loses nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.anserini import build_with_anserini, contents
from support.collections import random_collection

from splade_lucene import (
    Document,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PseudoDocument,
    add_pseudo_documents,
    build_index,
    check_index,
    index_pseudo_documents,
    index_texts,
    read_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.corpus.reading import examine_corpus
from splade_lucene.errors import CorpusError, InputError, PseudoDocumentError, StorageError
from splade_lucene.index.publish import publish, sole_builder
from splade_lucene.pseudo_documents.problems import PROBLEMS, Problem


def statistics(index: Path) -> dict[str, object]:
    with LuceneImpactIndexReader(index) as reader:
        counts = reader.statistics()
    return {key: counts[key] for key in ("documents", "terms", "postings", "total_impact", "lucene")}


def write_lines(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path


# ---- the same index as Anserini's ----


@pytest.mark.java
def test_the_index_equals_anserinis(collection, collection_dir, index_dir, tmp_path):
    build_with_anserini(collection_dir, tmp_path / "anserini")
    theirs = contents(tmp_path / "anserini")
    expected: dict[str, dict[str, int]] = {}
    for document in collection:
        for term, impact in document.vector.items():
            expected.setdefault(term, {})[document.docid] = impact
    assert theirs == expected  # the peer agrees with the data …
    assert contents(index_dir) == theirs  # … and so do we
    assert statistics(index_dir) == statistics(tmp_path / "anserini")


@pytest.mark.java
def test_stored_raw_equals_anserinis_store_raw(collection_dir, tmp_path):
    build_with_anserini(collection_dir, tmp_path / "anserini", "-storeRaw", "-optimize")
    index_pseudo_documents(collection_dir, tmp_path / "ours", store="raw")
    stored = []
    for index in (tmp_path / "anserini", tmp_path / "ours"):
        with LuceneImpactIndexReader(index) as reader:
            stored.append(dict(zip(reader.docids(), reader.raw(range(reader.max_doc)), strict=True)))
    assert stored[0] == stored[1]
    assert len(stored[0]) == 2000


@pytest.mark.java
def test_fields_norms_and_doc_values_equal_anserinis(collection_dir, index_dir, tmp_path):
    """Lucene's CheckIndex counts fields, norms, terms, stored fields and doc values of both, and finds no problem."""
    build_with_anserini(collection_dir, tmp_path / "anserini", "-optimize")
    index_pseudo_documents(collection_dir, tmp_path / "ours", store="none")
    facts = []
    for index in (tmp_path / "anserini", tmp_path / "ours"):
        checked = check_index(index)
        assert checked.is_sound
        wanted = ("test: field norms", "test: terms", "test: stored fields", "test: docvalues", "test: field infos")
        lines = [
            line.split("[took")[0].strip() for line in checked.report.splitlines() if line.strip().startswith(wanted)
        ]
        assert len(lines) == 5
        facts.append(lines)
    assert facts[0] == facts[1]


def test_input_order_is_kept_whatever_the_threads_and_the_memory(collection, collection_dir, index_dir, tmp_path):
    index_pseudo_documents(collection_dir, tmp_path / "one", threads=1, order="input")
    index_pseudo_documents(collection_dir, tmp_path / "many", threads=7, memory=30_000, order="input")
    assert contents(tmp_path / "one") == contents(tmp_path / "many") == contents(index_dir)
    for index in (tmp_path / "one", tmp_path / "many"):
        with LuceneImpactIndexReader(index) as reader:
            assert reader.docids() == [document.docid for document in collection]
            assert reader.statistics()["segments"] == 1


def test_bisection_makes_neighbours_of_documents_that_share_terms_whatever_the_threads(tmp_path):
    """Documents of twenty topics, dealt out in turn: in their new order each topic is in one place."""
    documents = [
        PseudoDocument(f"d{i}", f"text {i}", {f"topic{i % 20}-{j}": 1 + (i * j) % 50 for j in range(i % 7, 10)})
        for i in range(2000)
    ]
    write_pseudo_documents(tmp_path / "docs.jsonl", documents)
    orders = []
    for name, threads in (("one", 1), ("many", 7)):
        index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / name, threads=threads)
        with LuceneImpactSearcher(tmp_path / name) as searcher:
            orders.append(searcher.reader.docids())
            for document in documents[::97]:
                assert searcher.doc(document.docid).contents() == document.contents
            assert check_index(tmp_path / name).is_sound
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(document.docid for document in documents)
    pieces = {(int(docid[1:]) % 20, position // 64) for position, docid in enumerate(orders[0])}
    assert len(pieces) < 130  # of topics, in blocks of 64 documents: at least 51, and 640 in the order of the input
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "input", order="input")
    assert contents(tmp_path / "one") == contents(tmp_path / "input")


def test_what_exceeds_the_memory_is_ordered_piece_by_piece(collection, collection_dir, index_dir, tmp_path):
    index_pseudo_documents(collection_dir, tmp_path / "index", memory=30_000)
    assert contents(tmp_path / "index") == contents(index_dir)
    with LuceneImpactIndexReader(tmp_path / "index") as reader:
        assert reader.statistics()["segments"] == 1
        assert sorted(reader.docids()) == sorted(document.docid for document in collection)


def test_an_index_may_lie_beside_its_input(tmp_path):
    write_lines(tmp_path / "docs.jsonl", GOOD)
    for _ in range(2):  # what is below the index is no input
        assert index_pseudo_documents(tmp_path, tmp_path / "index", overwrite=True).documents == 1


def test_single_documents_index_as_files_do(collection, index_dir, tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(collection[:700])
        indexer.commit()
        indexer.add(collection[700:])
    assert contents(tmp_path / "index") == contents(index_dir)
    assert statistics(tmp_path / "index") == statistics(index_dir)
    assert check_index(tmp_path / "index").is_sound


def test_a_file_larger_than_a_block_with_a_line_larger_than_a_block(tmp_path):
    long_text = "x" * 9_000_000
    documents = [PseudoDocument("a", "", {"cat": 1}), PseudoDocument("b", long_text, {"cat": 2}),
                 *(PseudoDocument(f"c{i}", "y" * 5000, {"cat": 3, f"t{i % 9}": 4}) for i in range(2000))]  # fmt: skip
    write_pseudo_documents(tmp_path / "docs.jsonl", documents)
    summary = index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index")
    assert summary.documents == 2002
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.doc("b").contents() == long_text
        assert searcher.doc("c1999").contents() == "y" * 5000
        assert searcher.search({"cat": 1}, 1)[0].docid == "c0"


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_files_without_a_final_line_end_and_with_blank_lines(tmp_path, ending):
    import gzip

    text = b'\n{"id": 7, "vector": {"cat": 5}}\r\n   \n{"vector":{"cat":2},"id":"8","contents":"x","more":[1,{}]}'
    path = tmp_path / f"docs{ending}"
    path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    index_pseudo_documents(path, tmp_path / "index")
    assert contents(tmp_path / "index") == {"cat": {"7": 5, "8": 2}}


def test_escapes_are_read_as_json_means_them(tmp_path):
    line = r'{"id":"\u0061","contents":"tab\there \ud83d\ude00","vector":{"caf\u00e9":1,"\"":2,"\\":3,"\/":4,"\ud83d\ude00":5}}'
    index_pseudo_documents(write_lines(tmp_path / "docs.jsonl", line), tmp_path / "index")
    assert contents(tmp_path / "index") == {term: {"a": i} for i, term in enumerate(["café", '"', "\\", "/", "😀"], 1)}
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.doc("a").contents() == "tab\there 😀"


# ---- what is stored ----


def test_store_text_keeps_the_text_and_not_the_vector(collection, index_dir):
    with LuceneImpactSearcher(index_dir) as searcher:
        for document in collection[:50]:
            stored = searcher.doc(document.docid)
            assert json.loads(stored.raw()) == {"id": document.docid, "contents": document.contents}
            assert stored.contents() == document.contents


def test_store_none_keeps_nothing(collection_dir, tmp_path):
    index_pseudo_documents(collection_dir, tmp_path / "index", store="none")
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.doc("d1").raw() is None
        assert searcher.doc("d1").contents() is None


# ---- bad input ----

GOOD = '{"id": "good", "contents": "", "vector": {"cat": 1}}'
BAD: dict[str, list[Any]] = {
    "broken-json": ['{"id": "x", "vector": {"cat": 1}', "[1, 2]", '{"id": "x", "vector": {"cat": 1}} trailing'],
    "not-utf8": [b'{"id": "x", "contents": "\xff\xfe", "vector": {"cat": 1}}', b'{"id": "x", "vector": {"\xff": 1}}',
                 '{"id": "\\ud800", "vector": {"cat": 1}}', '{"id": "x", "vector": {"\\udc00a": 1}}',
                 '{"id": "x", "contents": "\\ud800", "vector": {"cat": 1}}'],
    "repeated-key": ['{"id": "x", "id": "y", "vector": {"cat": 1}}'],
    "no-id": ['{"contents": "", "vector": {"cat": 1}}', '{"id": "", "vector": {"cat": 1}}'],
    "bad-id": ['{"id": "a b", "vector": {"cat": 1}}', '{"id": "a\\u00a0b", "vector": {"c": 1}}'],
    "not-an-id": ['{"id": 1.5, "vector": {"cat": 1}}', '{"id": [1], "vector": {"cat": 1}}'],
    "long-id": ['{"id": "' + "x" * 32_767 + '", "vector": {"cat": 1}}'],
    "duplicate-id": ['{"id": "good", "vector": {"cat": 2}}'],
    "no-vector": ['{"id": "x", "contents": "text"}'],
    "dense-vector": ['{"id": "x", "vector": [0.1, 0.2]}', '{"id": "x", "vector": "cat"}'],
    "empty-vector": ['{"id": "x", "vector": {}}'],
    "float-impact": ['{"id": "x", "vector": {"cat": 1, "dog": 2.0}}', '{"id": "x", "vector": {"cat": 1e2}}'],
    "not-a-number": ['{"id": "x", "vector": {"cat": "7"}}', '{"id": "x", "vector": {"cat": true}}',
                     '{"id": "x", "vector": {"cat": null}}'],
    "not-positive": ['{"id": "x", "vector": {"cat": 0}}', '{"id": "x", "vector": {"cat": -3}}',
                     '{"id": "x", "vector": {"cat": -99999999999}}'],
    "huge-impact": ['{"id": "x", "vector": {"cat": 2147483648}}', '{"id": "x", "vector": {"cat": 99999999999999999999}}'],
    "huge-total": ['{"id": "x", "vector": {"cat": 2147483647, "dog": 1}}', '{"vector": {"cat": 2147483647, "dog": 1}, "id": "\\u0078"}'],
    "white-space": ['{"id": "x", "vector": {"a b": 1}}', '{"id": "x", "vector": {"tab\\t": 1}}', '{"id": "x", "vector": {"\\u3000": 1}}'],
    "empty-term": ['{"id": "x", "vector": {"": 1}}'],
    "long-term": ['{"id": "x", "vector": {"' + "y" * 256 + '": 1}}', '{"id": "x", "vector": {"' + "😀" * 128 + '": 1}}'],
    "repeated-term": ['{"id": "x", "vector": {"cat": 1, "cat": 1}}'],
}  # fmt: skip
ROWS = [(kind, line) for kind, lines in BAD.items() for line in lines]


def test_every_kind_of_problem_has_a_row():
    assert set(BAD) == set(PROBLEMS) - {"not-a-term", "bad-field"}  # in no file; tests/test_fields.py


@pytest.mark.parametrize(("kind", "line"), ROWS, ids=[f"{kind}-{i}" for i, (kind, _) in enumerate(ROWS)])
def test_a_bad_document_is_named_and_can_be_skipped_alike_in_java_and_python(kind, line, tmp_path):
    after = '{"id": "after", "vector": {"dog": 2}}'
    source = write_lines(tmp_path / "docs.jsonl", GOOD, line, "", after)
    remedy = PROBLEMS[kind][1]
    errors = []
    for read in (
        lambda: index_pseudo_documents(source, tmp_path / "index"),
        lambda: list(read_pseudo_documents(source)),
    ):
        with pytest.raises(PseudoDocumentError) as caught:
            read()
        assert str(caught.value).startswith(f"{source}:2: ")
        assert str(caught.value).endswith(remedy)
        assert "skip_bad=True" in remedy
        errors.append(caught.value)
    assert str(errors[0]) == str(errors[1])
    assert not (tmp_path / "index").exists()

    summary = index_pseudo_documents(source, tmp_path / "index", skip_bad=True)
    assert [(problem.kind, problem.line, problem.path) for problem in summary.skipped] == [(kind, 2, source)]
    assert contents(tmp_path / "index") == {"cat": {"good": 1}, "dog": {"after": 2}}
    problems: list[Problem] = []
    kept = list(read_pseudo_documents(source, skip_bad=True, on_problem=problems.append))
    assert [document.docid for document in kept] == ["good", "after"]
    assert [(problem.kind, problem.line) for problem in problems] == [(kind, 2)]


def test_a_duplicate_in_another_file_names_both_places_and_the_first_is_kept(tmp_path):
    write_lines(tmp_path / "a.jsonl", GOOD, '{"id": "dup", "vector": {"cat": 1}}')
    write_lines(
        tmp_path / "b.jsonl", '{"id": "x", "vector": {"cat": 1}}', "", '{"id": "dup", "vector": {"cat": 9, "dog": 1}}'
    )
    with pytest.raises(PseudoDocumentError) as caught:
        index_pseudo_documents(tmp_path, tmp_path / "index")
    assert f"{tmp_path / 'b.jsonl'}:3: duplicate id 'dup', first used at {tmp_path / 'a.jsonl'}:2" in str(caught.value)
    summary = index_pseudo_documents(tmp_path, tmp_path / "index", skip_bad=True)
    assert len(summary.skipped) == 1
    assert contents(tmp_path / "index") == {"cat": {"good": 1, "dup": 1, "x": 1}}


def test_skipping_many_bad_documents_keeps_exactly_the_good_ones(tmp_path):
    documents = random_collection(3000, seed=3)
    lines = [json.dumps({"id": d.docid, "vector": dict(d.vector)}) for d in documents]
    bad = set(range(0, 3000, 7))
    for i in bad:
        lines[i] = [lines[i][:-9], lines[i - 1] if i else "{", '{"id": "z", "vector": {"a": 0.5}}'][i % 3]
    summary = index_pseudo_documents(
        write_lines(tmp_path / "d.jsonl", *lines), tmp_path / "index", skip_bad=True, threads=4
    )
    assert {problem.line - 1 for problem in summary.skipped} == bad
    expected: dict[str, dict[str, int]] = {}
    for i, document in enumerate(documents):
        if i not in bad:
            for term, impact in document.vector.items():
                expected.setdefault(term, {})[document.docid] = impact
    assert contents(tmp_path / "index") == expected


def test_a_damaged_gzip_file_is_an_error_that_names_it(tmp_path):
    import gzip

    whole = gzip.compress("".join(GOOD.replace("good", f"g{i}") + "\n" for i in range(5000)).encode())
    (tmp_path / "docs.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        PseudoDocumentError, match=r"docs\.jsonl\.gz: cannot read this file .*Encode or download it again"
    ):
        index_pseudo_documents(tmp_path, tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_no_input(tmp_path):
    with pytest.raises(PseudoDocumentError, match="no such file or folder"):
        index_pseudo_documents(tmp_path / "missing", tmp_path / "index")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PseudoDocumentError, match="no \\.jsonl or \\.json file"):
        index_pseudo_documents(tmp_path / "empty", tmp_path / "index")


# ---- where the index goes ----


def test_an_index_is_replaced_only_when_asked(tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", GOOD)
    index_pseudo_documents(source, tmp_path / "index")
    with pytest.raises(InputError, match=r"an index exists here\. Pass overwrite=True to replace it, or append=True"):
        index_pseudo_documents(source, tmp_path / "index")
    write_lines(source, '{"id": "new", "vector": {"dog": 1}}')
    index_pseudo_documents(source, tmp_path / "index", overwrite=True)
    assert contents(tmp_path / "index") == {"dog": {"new": 1}}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docs.jsonl", "index"]


def test_a_failed_overwrite_leaves_the_old_index(tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", GOOD)
    index_pseudo_documents(source, tmp_path / "index")
    write_lines(source, "{")
    with pytest.raises(PseudoDocumentError):
        index_pseudo_documents(source, tmp_path / "index", overwrite=True)
    assert contents(tmp_path / "index") == {"cat": {"good": 1}}


def test_a_folder_with_other_things_is_never_replaced(tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", GOOD)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="exists and is not a Lucene index, so it is not replaced"):
        index_pseudo_documents(source, tmp_path / "home", overwrite=True)
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_a_place_that_cannot_be_written(tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", GOOD)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write \(.*Check the free disk space and the folder's permissions"):
        index_pseudo_documents(source, tmp_path / "file" / "index")


@pytest.mark.process
def test_a_disk_that_fills_up_while_lucene_writes():
    """/dev/full accepts no bytes; a link makes Lucene's file point to it."""
    pytest.importorskip("resource")
    from support.processes import run_python

    code = """
import resource, signal, sys, tempfile
from pathlib import Path
sys.path.insert(0, "tests")
from support.collections import random_collection
from splade_lucene import index_pseudo_documents, write_pseudo_documents, jvm
folder = Path(tempfile.mkdtemp())
write_pseudo_documents(folder / "docs.jsonl", random_collection(3000, seed=4))
jvm.start()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    index_pseudo_documents(folder / "docs.jsonl", folder / "index", store="none")
except Exception as error:
    print(type(error).__name__, error)
print((folder / "index").exists())
"""
    done = run_python(code)
    assert "StorageError" in done.stdout, (done.stdout, done.stderr)
    assert "Check the free disk space" in done.stdout
    assert done.stdout.split()[-1] == "False"


# ---- append, update, delete ----


def test_append_adds_and_refuses_docids_that_are_there(tmp_path):
    first = write_lines(tmp_path / "a.jsonl", GOOD)
    index_pseudo_documents(first, tmp_path / "index")
    second = write_lines(tmp_path / "b.jsonl", '{"id": "more", "contents": "text", "vector": {"cat": 3, "cow": 1}}')
    assert index_pseudo_documents(second, tmp_path / "index", append=True).documents == 1
    assert contents(tmp_path / "index") == {"cat": {"good": 1, "more": 3}, "cow": {"more": 1}}
    with pytest.raises(PseudoDocumentError, match=r"duplicate id 'more', already in the index"):
        index_pseudo_documents(second, tmp_path / "index", append=True)
    assert contents(tmp_path / "index") == {"cat": {"good": 1, "more": 3}, "cow": {"more": 1}}
    with pytest.raises(InputError, match="cannot append: this folder is not an index"):
        index_pseudo_documents(second, tmp_path / "other", append=True)


def test_update_and_delete(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument("a", "old", {"cat": 1}), PseudoDocument("b", "", {"cat": 2})])
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument("a", "new", {"dog": 5})])
        indexer.delete(["b", "nobody"])
        indexer.merge()
    assert contents(tmp_path / "index") == {"dog": {"a": 5}}
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.num_docs == 1
        assert searcher.doc("a").contents() == "new"
        assert searcher.doc("b") is None


def test_one_document_and_one_docid_are_taken_as_they_are(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        for docid in ("a", "b", "ab"):
            indexer.add(PseudoDocument(docid, "", {"cat": 1}))
        indexer.delete("ab")  # not "a" and "b"
        indexer.merge()
    assert contents(tmp_path / "index") == {"cat": {"a": 1, "b": 1}}


def test_something_else_than_documents_and_docids_is_refused(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(PseudoDocument("a", "", {"cat": 1}))
        wrong: Any
        for wrong in ("abc", {"id": "a"}, [PseudoDocument("b", "", {"cat": 1}), None]):
            with pytest.raises(PseudoDocumentError, match=r"expected (several documents|a PseudoDocument), got"):
                indexer.add(wrong)
        for wrong in (b"a", [1], "a\ud800"):
            with pytest.raises(
                PseudoDocumentError, match=r"(expected several docids|docids must be well-formed strings), got"
            ):
                indexer.delete(wrong)
    assert contents(tmp_path / "index") == {"cat": {"a": 1}}


def test_an_exception_undoes_what_was_not_committed(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument("a", "", {"cat": 1})])

    def fail() -> None:
        with LuceneImpactIndexer(tmp_path / "index") as indexer:
            indexer.add([PseudoDocument("b", "", {"cat": 2})])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert contents(tmp_path / "index") == {"cat": {"a": 1}}


def test_a_bad_document_keeps_its_whole_batch_out(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument("a", "", {"cat": 1})])
        with pytest.raises(PseudoDocumentError, match=r"document 'c': impact dog: 0 is below 1"):
            indexer.add([PseudoDocument("b", "", {"cat": 2}), PseudoDocument("c", "", {"dog": 0})])
    assert contents(tmp_path / "index") == {"cat": {"a": 1}}


def test_two_writers_exclude_each_other(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument("a", "", {"cat": 1})])
        indexer.commit()
        with pytest.raises(StorageError, match="this process is already writing to this index"):
            LuceneImpactIndexer(tmp_path / "index")


def test_an_unfinished_or_incomplete_encoding_is_not_indexed(tmp_path):
    from splade_lucene.files.files import file_digest
    from splade_lucene.manifest import Manifest, Part, write_manifest

    source = tmp_path / "encoded"
    source.mkdir()
    part = source / "part-00000.jsonl"
    write_lines(part, GOOD)
    (source / "splade-lucene.journal").write_text('{"encoding": "x"}\n')
    with pytest.raises(InputError, match="the encoding is unfinished"):
        index_pseudo_documents(source, tmp_path / "index")
    (source / "splade-lucene.journal").unlink()
    facts = Part(0, part.name, 1, 3, (), file_digest(part))
    write_manifest(
        source / "splade-lucene.manifest", Manifest(parts=(facts, Part(1, "part-00001.jsonl", 1, 3, (), "0")))
    )
    with pytest.raises(InputError, match=r"part-00001\.jsonl: this part is missing"):
        index_pseudo_documents(source, tmp_path / "index")
    write_manifest(source / "splade-lucene.manifest", Manifest(parts=(facts,)))
    write_lines(source / "stray.jsonl", GOOD.replace("good", "stray"))
    with pytest.raises(InputError, match=r"stray\.jsonl: this file is not part of the encoding"):
        index_pseudo_documents(source, tmp_path / "index")
    (source / "stray.jsonl").unlink()
    write_lines(part, GOOD.replace("good", "Good"))
    for path in (source, part):
        with pytest.raises(InputError, match=r"part-00000\.jsonl: this part has changed since it was encoded"):
            index_pseudo_documents(path, tmp_path / "index")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoded"]
    write_lines(part, GOOD)
    assert index_pseudo_documents(source, tmp_path / "index").documents == 1


def test_a_file_beside_an_encoding_has_nothing_of_its_manifest(tmp_path):
    from splade_lucene.index.reader import read_index_manifest
    from splade_lucene.manifest import Manifest, write_manifest

    write_manifest(tmp_path / "splade-lucene.manifest", Manifest(model="m"))
    index_pseudo_documents(write_lines(tmp_path / "other.jsonl", GOOD), tmp_path / "index")
    assert read_index_manifest(tmp_path / "index").model == ""


def test_append_refuses_another_encoding_even_file_by_file(tmp_path):
    from splade_lucene import Quantizer
    from splade_lucene.files.files import file_digest
    from splade_lucene.manifest import Manifest, Part, write_manifest

    for name, pooling in (("a", "max"), ("b", "sum")):
        (tmp_path / name).mkdir()
        write_lines(tmp_path / name / "part-00000.jsonl", GOOD.replace("good", name))
        part = Part(0, "part-00000.jsonl", 1, 3, (), file_digest(tmp_path / name / "part-00000.jsonl"))
        facts = Manifest(
            model="m", model_digest="1", pooling=pooling, quantizer=Quantizer.named("naver"), parts=(part,)
        )
        write_manifest(tmp_path / name / "splade-lucene.manifest", facts)
    index_pseudo_documents(tmp_path / "a", tmp_path / "index")
    for source in (tmp_path / "b", tmp_path / "b" / "part-00000.jsonl"):
        with pytest.raises(InputError, match=r"encoded with m, pooling max, .* these documents with m, pooling sum"):
            index_pseudo_documents(source, tmp_path / "index", append=True)


def test_neighbours_with_telling_names_and_links_are_safe(tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", GOOD)
    for name in ("index.building", "index.replaced", "index.encoded"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("precious")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for index in (tmp_path / "index", tmp_path / "link"):
        index_pseudo_documents(source, index)
        index_pseudo_documents(source, index, overwrite=True)
        assert contents(index) == {"cat": {"good": 1}}
    assert (tmp_path / "link").is_symlink()
    for name in ("index.building", "index.replaced", "index.encoded"):
        assert (tmp_path / name / "notes.txt").read_text() == "precious"


def test_an_index_that_is_being_written_is_not_replaced(tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", GOOD)
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument("a", "", {"cat": 1})])
        indexer.commit()
        with pytest.raises(StorageError, match="this process is already writing to this index"):
            index_pseudo_documents(source, tmp_path / "index", overwrite=True)
    assert contents(tmp_path / "index") == {"cat": {"a": 1}}


def test_two_processes_do_not_build_the_same_index(tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", GOOD)
    with sole_builder(tmp_path / "index"):
        for build in (
            lambda: index_pseudo_documents(source, tmp_path / "index", overwrite=True),
            lambda: index_texts([Document("d1", "cat")], tmp_path / "index"),
            lambda: build_index(source, tmp_path / "index"),
        ):
            with pytest.raises(InputError, match="another thread of this process is building this index") as refused:
                build()
            assert refused.value.path == tmp_path / "index"
    index_pseudo_documents(source, tmp_path / "index")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docs.jsonl", "index"]


def test_an_index_that_appears_during_a_build_is_not_replaced(tmp_path, monkeypatch):
    source = write_lines(tmp_path / "docs.jsonl", GOOD)

    def publish_late(*arguments, **options):
        with LuceneImpactIndexer(tmp_path / "index") as other:
            other.add([PseudoDocument("a", "", {"cat": 1})])
        publish(*arguments, **options)

    monkeypatch.setattr("splade_lucene.index.indexer.publish", publish_late)
    with pytest.raises(InputError, match="an index exists here"):
        index_pseudo_documents(source, tmp_path / "index")
    assert contents(tmp_path / "index") == {"cat": {"a": 1}}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docs.jsonl", "index"]


def test_the_second_writer_of_a_new_index_is_told_so(tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", GOOD)
    with LuceneImpactIndexer(tmp_path / "index") as first:
        with pytest.raises(StorageError, match="this process is already writing to this index"):
            LuceneImpactIndexer(tmp_path / "index")
        with pytest.raises(StorageError, match="this process is already writing to this index"):
            index_pseudo_documents(source, tmp_path / "index")
        first.add([PseudoDocument("a", "", {"cat": 1})])
    assert contents(tmp_path / "index") == {"cat": {"a": 1}}


def test_nothing_to_index_is_an_error(tmp_path):
    (tmp_path / "docs.jsonl").write_text("\n")
    with pytest.raises(PseudoDocumentError, match=r"docs\.jsonl: no documents to index"):
        index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index")
    assert [path.name for path in tmp_path.iterdir()] == ["docs.jsonl"]


def test_if_all_documents_are_bad_the_error_says_why(tmp_path):
    path = tmp_path / "docs.jsonl"
    write_lines(path, '{"id": "a", "vector": {}}', "{", *(['{"id": "c d", "vector": {"x": 1}}'] * 25))
    bad = r"no documents are left, 27 documents were skipped: .*:1: document 'a' has an empty vector.*; .*:2: .*; and 7 more"
    with pytest.raises(PseudoDocumentError, match=bad):
        index_pseudo_documents(path, tmp_path / "index", skip_bad=True)
    (tmp_path / "good.jsonl").write_text('{"id": "a", "vector": {"x": 1}}\n')
    index_pseudo_documents(tmp_path / "good.jsonl", tmp_path / "index")
    with pytest.raises(PseudoDocumentError, match=bad):
        add_pseudo_documents(path, tmp_path / "index", skip_bad=True)
    (tmp_path / "texts.jsonl").write_text('{"id": "c d", "contents": "x"}\nno JSON\n')
    with pytest.raises(
        CorpusError, match=r"texts\.jsonl: no documents are left, 2 documents were skipped: .*:1: .*; .*:2: "
    ):
        examine_corpus(tmp_path / "texts.jsonl", skip_bad=True)


@pytest.mark.java
def test_a_filter_finds_all_documents_of_a_docid(tmp_path):
    """Anserini keeps documents that share one."""
    (tmp_path / "in").mkdir()
    lines = [json.dumps({"id": docid, "contents": "", "vector": {"x": n}}) for n, docid in enumerate("abbc", 1)]
    write_lines(tmp_path / "in" / "docs.jsonl", *lines)
    build_with_anserini(tmp_path / "in", tmp_path / "index")
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert sorted(searcher.search({"x": 1}).docids) == ["a", "b", "b", "c"]
        assert searcher.search({"x": 1}, filter=searcher.make_filter(["b"])).docids == ["b", "b"]
        assert sorted(searcher.search({"x": 1}, filter=searcher.make_filter(["b"], exclude=True)).docids) == ["a", "c"]


@pytest.mark.java
def test_what_a_process_left_before_its_first_commit_is_replaced(tmp_path):
    with pytest.raises(PseudoDocumentError), LuceneImpactIndexer(tmp_path / "failed") as indexer:
        indexer.add([PseudoDocument("a", "", {"x": 1.5})])  # type: ignore[dict-item]
    assert [each.name for each in (tmp_path / "failed").iterdir()] == ["write.lock"]
    (tmp_path / "killed").mkdir()
    for name in ("write.lock", "_0.fdt", "_0_Lucene90_0.doc", "pending_segments_1"):
        (tmp_path / "killed" / name).touch()
    for name in ("failed", "killed"):
        with LuceneImpactIndexer(tmp_path / name) as indexer:
            indexer.add([PseudoDocument("a", "", {"x": 1})])
        with LuceneImpactSearcher(tmp_path / name) as searcher:
            assert [hit.docid for hit in searcher.search({"x": 1})] == ["a"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "_0.fdt").touch()
    (tmp_path / "mine" / "write.lock").touch()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match="exists and is not a Lucene index"):
        LuceneImpactIndexer(tmp_path / "mine")
