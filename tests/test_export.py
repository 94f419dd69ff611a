"""Exports: the same documents from an index and from pseudo-documents, limits that are kept, and folders that resume."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.collections import random_collection
from support.commands import check_failed, run, run_well

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    PseudoDocument,
    Quantizer,
    export_collection,
    index_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.engines.collection import open_collection
from splade_lucene.engines.export_manifest import read_export, read_terms
from splade_lucene.engines.lucene_engine import engine_id, scaled
from splade_lucene.engines.names import EngineName
from splade_lucene.errors import InputError, PseudoDocumentError
from splade_lucene.progress import NO_PROGRESS
from splade_lucene.pseudo_documents.problems import Problem

LUCENE_ENGINES: tuple[EngineName, ...] = ("opensearch", "elasticsearch")


def vectors(documents, terms):
    return {each.docid: {terms[i]: n for i, n in zip(each.term_ids, each.impacts, strict=True)} for each in documents}


def bulk_documents(folder: Path) -> list[dict]:
    lines = [line for path in sorted(folder.glob("documents-*.ndjson")) for line in path.read_text().split("\n")]
    return [json.loads(line) for line in lines[1::2]]


# ---- what is exported ----


def test_an_index_with_deleted_documents_and_its_pseudo_documents_give_the_same(tmp_path):
    documents = random_collection(700, seed=3)
    gone = {each.docid for each in documents[::7]}
    write_pseudo_documents(tmp_path / "left.jsonl", [each for each in documents if each.docid not in gone])
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        for start in range(0, 700, 200):  # several segments
            indexer.add(documents[start : start + 200])
            indexer.commit()
        indexer.delete(gone)
    with (
        open_collection(tmp_path / "index", None, progress=NO_PROGRESS) as one,
        open_collection(None, tmp_path / "left.jsonl", progress=NO_PROGRESS) as two,
    ):
        expected = {each.docid: dict(each.vector) for each in documents if each.docid not in gone}
        for each in (one, two):
            found = list(each.documents())
            assert vectors(found, each.terms) == expected
            assert [document.number for document in found] == list(range(600))
            assert all(document.term_ids == sorted(document.term_ids) for document in found)
            assert list(each.documents(start=555)) == found[555:]
            assert each.num_docs == len(found)
            assert each.postings == sum(map(len, expected.values()))
            assert each.max_impact == max(max(vector.values()) for vector in expected.values())
        texts = {each.docid: each.contents for each in documents}
        assert all(document.text == texts[document.docid] for document in two.documents())
        assert all(document.text is None for document in two.documents(texts=False))
        assert {*two.terms} == {term for vector in expected.values() for term in vector}


def test_vectors_of_a_row_are_those_of_the_postings(index_dir):
    with LuceneImpactIndexReader(index_dir) as reader:
        terms = [each.term for each in reader.terms()]
        expected: dict[int, dict[str, int]] = {}
        for term in terms:
            for number, impact in zip(*(each.tolist() for each in reader.postings(term)), strict=True):
                expected.setdefault(number, {})[term] = impact
        for start, stop in ((0, reader.max_doc), (0, 1), (700, 1300), (reader.max_doc - 1, reader.max_doc), (5, 5)):
            counts, numbers, impacts = reader.vectors(start, stop)
            at = 0
            for document, count in zip(range(start, stop), counts.tolist(), strict=True):
                found = zip(
                    (terms[i] for i in numbers[at : at + count]), impacts[at : at + count].tolist(), strict=True
                )
                assert dict(found) == expected[document]
                at += count
            assert at == len(numbers) == len(impacts)


@pytest.mark.parametrize("to", LUCENE_ENGINES)
def test_bulk_files_hold_every_impact_text_and_field(tmp_path, to):
    documents = [
        PseudoDocument("a", "text a", {".": 3, "cat": 511}, {"lang": "de", "tags": ["x", "y"], "on": "2019-03-01"}),
        PseudoDocument("é" * 300, "", {"cat": 1, "漢字": 7}, {"year": 2019}),
        PseudoDocument("c", None, {"cat": 2}),
    ]
    write_pseudo_documents(tmp_path / "docs.jsonl", documents)
    fields = "lang:keyword, tags:keyword[], year:integer, on:date"
    export_collection(to, tmp_path / "out", pseudo_documents=tmp_path / "docs.jsonl", fields=fields)
    terms, found = read_terms(tmp_path / "out"), bulk_documents(tmp_path / "out")
    assert terms == [".", "cat", "漢字"]
    part = f"{read_export(tmp_path / 'out').identity}-000000"
    assert found == [
        {
            "docid": "a", "part": part, "impacts": {"0": 3, "1": 511}, "text": "text a",
            "fields": {"lang": "de", "tags": ["x", "y"], "on": "2019-03-01"},
            "instants": {"on": 1_551_398_400_000_000},
        },
        {"docid": "é" * 300, "part": part, "impacts": {"1": 1, "2": 7}, "text": "", "fields": {"year": 2019}},
        {"docid": "c", "part": part, "impacts": {"1": 2}},
    ]  # fmt: skip
    first = (tmp_path / "out" / "documents-00000.ndjson").read_text().split("\n")
    assert json.loads(first[0]) == {"index": {"_id": "a"}}
    long = json.loads(first[2])["index"]["_id"]
    assert long == engine_id("é" * 300) == "sha256:" + long[7:]
    assert len(long) == 7 + 64
    mapping = json.loads((tmp_path / "out" / "index.json").read_text())["mappings"]["properties"]
    assert {name: each["type"] for name, each in mapping["fields"]["properties"].items()} == {
        "lang": "keyword", "tags": "keyword", "year": "long", "on": "date",
    }  # fmt: skip
    assert mapping["instants"] == {"properties": {"on": {"type": "long"}}}  # microseconds, which a date rounds
    if to == "elasticsearch":
        assert mapping["impacts"] == {"type": "sparse_vector", "index_options": {"prune": False}}
    else:
        assert mapping["impacts"] == {"type": "rank_features"}


def test_vespa_gets_a_schema_a_feed_and_queries(tmp_path):
    write_pseudo_documents(
        tmp_path / "docs.jsonl",
        [PseudoDocument("a", "text", {"cat": 700, "dog": 1}, {"on": "2019-03-01", "tags": ["x"]})],
    )
    export_collection(
        "vespa", tmp_path / "out", pseudo_documents=tmp_path / "docs.jsonl", fields="on:date, tags:keyword[]"
    )
    schema = (tmp_path / "out" / "application" / "schemas" / "splade.sd").read_text()
    for line in ("field impacts type weightedset<int>", "field vector type tensor<float>(term{})",
                 "field on type long", "field tags type array<string>", "expression: rawScore(impacts)",
                 "expression: sum(query(q) * attribute(vector))"):  # fmt: skip
        assert line in schema
    assert schema.count("{") == schema.count("}")
    assert json.loads((tmp_path / "out" / "documents-00000.jsonl").read_text()) == {
        "put": "id:splade:splade::a",
        "fields": {
            "docid": "a", "impacts": {"0": 700, "1": 1}, "vector": {"cells": {"0": 700, "1": 1}}, "text": "text",
            "on": 1_551_398_400_000_000, "tags": ["x"],
        },
    }  # fmt: skip
    query = json.loads((tmp_path / "out" / "query.json").read_text())
    assert query["yql"] == "select docid from splade where dotProduct(impacts, @weights)"
    assert query["weights"] == "{0: 700, 1: 1}"
    tensor = json.loads((tmp_path / "out" / "query-tensor.json").read_text())
    assert tensor["input.query(q)"] == {"cells": {"0": 700, "1": 1}}


def test_characters_that_vespa_refuses_are_replaced_in_texts_and_refused_elsewhere(tmp_path):
    def export(document: PseudoDocument, to: str) -> None:
        write_pseudo_documents(tmp_path / "docs.jsonl", [document])
        export_collection("vespa", tmp_path / to, pseudo_documents=tmp_path / "docs.jsonl", fields="tags:keyword[]")

    kept = "tab\t, line\n, \x7f, \x85, é, 😀"
    export(PseudoDocument("a", f"{kept}\x0c\x00\x1b\ufffe\U0001ffff|", {"cat": 1}, {"tags": ["x\ty"]}), "out")
    line = json.loads((tmp_path / "out" / "documents-00000.jsonl").read_text())
    assert line["fields"]["text"] == f"{kept}     |"
    with pytest.raises(InputError, match=r"the field 'tags' of the document 'a' has the character U\+000C"):
        export(PseudoDocument("a", "", {"cat": 1}, {"tags": ["x", "\x0c"]}), "other")
    with pytest.raises(InputError, match=r"the docid of the document 'a\\ufffe' has the character U\+FFFE"):
        export(PseudoDocument("a\ufffe", "", {"cat": 1}, {"tags": ["x"]}), "other")


def test_weights_are_divided_by_a_power_of_two_and_lose_nothing():
    for most in (1, 64, 65, 128, 129, 700, 2**24 - 1):
        weights = {"a": most, "b": 1}
        divided, shift = scaled(weights)
        assert max(divided.values()) <= 64
        assert shift == 0 or most / (1 << (shift - 1)) > 64
        assert {name: weight * 2**shift for name, weight in divided.items()} == weights


# ---- limits ----


@pytest.mark.parametrize("to", LUCENE_ENGINES)
def test_an_impact_of_512_is_refused_with_its_place_and_a_scale(tmp_path, to):
    path = tmp_path / "docs.jsonl"
    write_pseudo_documents(path, [PseudoDocument("a", "", {"cat": 511}), PseudoDocument("b", "", {"dog": 512})])
    with pytest.raises(
        InputError, match=r"docs\.jsonl:2: the document 'b' has the impact 512 of the term 'dog'"
    ) as raised:
        export_collection(to, tmp_path / "out", pseudo_documents=path)
    assert "at most 511 exactly" in str(raised.value)
    assert "Quantize the weights with a scale that gives impacts up to 511" in str(raised.value)
    index_pseudo_documents(path, tmp_path / "index")
    with pytest.raises(InputError, match=r"index: the document 'b' has the impact 512"):
        export_collection(to, tmp_path / "out", index_dir=tmp_path / "index")
    assert not (tmp_path / "out").exists()
    export_collection("vespa", tmp_path / "out", pseudo_documents=path)  # which counts in integers


def test_the_remedy_names_the_quantizer_and_a_scale_that_fits(tmp_path):
    from splade_lucene.engines.limits import check_impacts
    from splade_lucene.manifest import Manifest

    path = tmp_path / "docs.jsonl"
    write_pseudo_documents(path, [PseudoDocument("a", "", {"cat": 1022})])
    with open_collection(None, path, progress=NO_PROGRESS) as collection:
        collection.manifest = Manifest(quantizer=Quantizer.named("naver"))
        with pytest.raises(InputError, match=r"quantizer=naver and scale=50 \(now 100\)"):
            check_impacts(collection, 511, "OpenSearch", "it keeps nine bits")


@pytest.mark.parametrize("to", LUCENE_ENGINES)
@pytest.mark.parametrize("term", [".", "...", "3.5"])
def test_terms_as_keys_are_refused_where_the_engine_loses_them(tmp_path, to, term):
    path = tmp_path / "docs.jsonl"
    write_pseudo_documents(path, [PseudoDocument("a", "", {"cat": 1}), PseudoDocument("b", "", {term: 2, "cat": 1})])
    with pytest.raises(InputError, match=rf"docs\.jsonl:2: .* the term {re.escape(repr(term))}.*keys=ids"):
        export_collection(to, tmp_path / "out", pseudo_documents=path, keys="terms")
    export_collection(to, tmp_path / "out", pseudo_documents=path)
    assert [each["impacts"] for each in bulk_documents(tmp_path / "out")] == [{"1": 1}, {"0": 2, "1": 1}]


def test_terms_can_be_the_keys(tmp_path):
    path = tmp_path / "docs.jsonl"
    write_pseudo_documents(path, [PseudoDocument("a", "", {"##ing": 1, "é": 2})])
    export_collection("opensearch", tmp_path / "out", pseudo_documents=path, keys="terms")
    assert bulk_documents(tmp_path / "out")[0]["impacts"] == {"##ing": 1, "é": 2}
    with pytest.raises(InputError, match="keys must be one of ids for Vespa, got 'terms'"):
        export_collection("vespa", tmp_path / "other", pseudo_documents=path, keys="terms")


@pytest.mark.parametrize(
    ("to", "options", "told"),
    [
        ("opensearch", {"name": "Upper"}, "cannot be the name of an index of OpenSearch"),
        ("elasticsearch", {"name": "_x"}, "cannot be the name of an index of Elasticsearch"),
        ("vespa", {"name": "a-b"}, "a schema of Vespa cannot have the name 'a-b'"),
        ("vespa", {"fields": "text:keyword"}, "a field of Vespa cannot have the name 'text'"),
        ("vespa", {"name": "not"}, "a schema of Vespa cannot have the name 'not'"),
        ("opensearch", {"fields": "a.b:keyword"}, "would split the name of the field 'a.b' at its dot"),
        ("elasticsearch", {"fields": "a*:keyword"}, "cannot search a field with the name 'a*'"),
        ("lucene", {}, "unknown engine 'lucene'. Choose one of: opensearch"),
        ("opensearch", {"piece_bytes": 10}, "piece_bytes must be an integer of at least 1024, got 10"),
        ("opensearch", {"index_dir": "x"}, "expected either an index or pseudo-documents"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, to, options, told):
    path = tmp_path / "docs.jsonl"
    write_pseudo_documents(path, [PseudoDocument("a", "", {"cat": 1}, {"text": "x", "a.b": "y", "a*": "z"})])
    with pytest.raises(InputError) as raised:
        export_collection(to, tmp_path / "out", pseudo_documents=path, **options)
    assert told in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_bad_document_is_named_and_can_be_skipped(tmp_path):
    path = tmp_path / "docs.jsonl"
    path.write_text('{"id": "a", "vector": {"cat": 1}}\n{"id": "b", "vector": {"cat": 1.5}}\n')
    with pytest.raises(PseudoDocumentError, match=r"docs\.jsonl:2: impact cat: 1\.5 is not an integer"):
        export_collection("opensearch", tmp_path / "out", pseudo_documents=path)
    problems: list[Problem] = []
    summary = export_collection(
        "opensearch", tmp_path / "out", pseudo_documents=path, skip_bad=True, on_problem=problems.append
    )
    assert (summary.documents, [each.line for each in problems]) == (1, [2])


# ---- the folder ----


class InterruptedExportError(Exception):
    pass


class Interrupting:
    """Raises an error after some documents."""

    def __init__(self, documents: int) -> None:
        self.left = documents
        self.resumed = 0

    def step(self, title, total, unit):
        from contextlib import contextmanager

        @contextmanager
        def block():
            def advance(count, *, tokens=0, resumed=False):
                if title != "exporting":
                    return
                if resumed:
                    self.resumed += count
                    return
                self.left -= count
                if self.left <= 0:
                    raise InterruptedExportError

            yield advance

        return block()


@pytest.mark.parametrize("kind", ["index_dir", "pseudo_documents"])
def test_an_interrupted_export_resumes_and_equals_an_undisturbed_one(tmp_path, kind, index_dir, collection_dir):
    source = {"index_dir": index_dir, "pseudo_documents": collection_dir}[kind]
    options = {kind: source, "piece_bytes": 40_000}
    export_collection("opensearch", tmp_path / "whole", **options)
    expected = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert len([name for name in expected if name.startswith("documents")]) > 10
    tries = 0
    while True:
        progress = Interrupting(600)
        tries += 1
        try:
            export_collection("opensearch", tmp_path / "out", progress=progress, **options)
            break
        except InterruptedExportError:
            assert not (tmp_path / "out").exists()
        if tries == 2:  # a damaged piece is written again
            pieces = sorted((tmp_path / ".out.splade-lucene-exporting").glob("documents*"))
            pieces[-1].write_bytes(pieces[-1].read_bytes()[:-5])
    assert tries > 2
    assert progress.resumed
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_an_interrupted_export_with_other_options_starts_anew(tmp_path, collection_dir):
    with pytest.raises(InterruptedExportError):
        export_collection(
            "opensearch", tmp_path / "out", pseudo_documents=collection_dir, piece_bytes=40_000,
            progress=Interrupting(600),
        )  # fmt: skip
    progress = Interrupting(10_000)
    export_collection("vespa", tmp_path / "out", pseudo_documents=collection_dir, progress=progress)
    assert progress.resumed == 0
    assert not list((tmp_path / "out").glob("*.ndjson"))


def test_an_export_is_replaced_only_if_asked_and_nothing_else_ever(tmp_path):
    path = tmp_path / "docs.jsonl"
    write_pseudo_documents(path, [PseudoDocument("a", "", {"cat": 1})])
    export_collection("opensearch", tmp_path / "out", pseudo_documents=path)
    with pytest.raises(InputError, match="an export exists here"):
        export_collection("vespa", tmp_path / "out", pseudo_documents=path)
    export_collection("vespa", tmp_path / "out", pseudo_documents=path, overwrite=True)
    assert (tmp_path / "out" / "application").is_dir()
    assert not (tmp_path / "out" / "index.json").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(InputError, match="this exists and is not an export"):
        export_collection("vespa", tmp_path / "mine", pseudo_documents=path, overwrite=True)


def test_a_later_export_can_keep_the_ids_of_terms(tmp_path):
    write_pseudo_documents(tmp_path / "one.jsonl", [PseudoDocument("a", "", {"b": 1, "d": 2})])
    write_pseudo_documents(tmp_path / "two.jsonl", [PseudoDocument("b", "", {"a": 5, "c": 3, "d": 4})])
    export_collection("opensearch", tmp_path / "one", pseudo_documents=tmp_path / "one.jsonl")
    export_collection(
        "opensearch", tmp_path / "two", pseudo_documents=tmp_path / "two.jsonl", numbering=tmp_path / "one"
    )
    assert read_terms(tmp_path / "two") == ["b", "d", "a", "c"]
    assert bulk_documents(tmp_path / "two")[0]["impacts"] == {"1": 4, "2": 5, "3": 3}
    index_pseudo_documents(tmp_path / "two.jsonl", tmp_path / "index")
    export_collection("opensearch", tmp_path / "three", index_dir=tmp_path / "index", numbering=tmp_path / "one")
    assert [each["impacts"] for each in bulk_documents(tmp_path / "three")] == [{"1": 4, "2": 5, "3": 3}]


def test_a_manifest_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "docs.jsonl"
    write_pseudo_documents(path, [PseudoDocument("a", "", {"cat": 1})])
    export_collection("opensearch", tmp_path / "out", pseudo_documents=path)
    manifest = tmp_path / "out" / "export.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"documents": 1', '"documents": 2'))
    with pytest.raises(InputError, match=r"export\.json: this file is damaged \(its checksum is wrong\)"):
        read_export(tmp_path / "out")
    manifest.write_text(text)
    (tmp_path / "out" / "terms.txt").write_text("dog\n")
    with pytest.raises(InputError, match=r"terms\.txt: this file is damaged"):
        read_terms(tmp_path / "out")
    with pytest.raises(InputError, match="this folder is not an export"):
        read_export(tmp_path)


# ---- the command ----


def test_the_command_exports_and_tells(tmp_path, index_dir):
    told = run_well("export", "--to", "opensearch", "--index", index_dir, "--output", tmp_path / "out", "--json")
    facts = json.loads(told)
    assert facts["documents"] == len(bulk_documents(tmp_path / "out")) == 2000
    assert facts["engine"] == "opensearch"
    readme = (tmp_path / "out" / "README.md").read_text()
    assert readme.startswith("# splade, for OpenSearch\n")
    assert readme.count("curl") >= 3
    failed = check_failed(run("export", "--to", "vespa", "--index", index_dir, "--output", tmp_path / "out"))
    assert "Pass --overwrite to replace it" in failed
    done = run("export", "--to", "vespa", "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "pass either --index or --input" in done.stderr
