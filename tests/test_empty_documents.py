"""Documents without terms, which only the manifest has: they are deleted, replaced and reported as all others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import run
from support.manifests import rewrite_manifest

from splade_lucene import (
    CorpusError,
    Document,
    InputError,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    Quantizer,
    add_corpus,
    build_index,
    check_index,
    delete_documents,
    index_texts,
)
from splade_lucene.cli.index import echo_added
from splade_lucene.files.files import work_folder
from splade_lucene.index.reader import read_index_manifest
from splade_lucene.manifest import Manifest


def manifest_of(index: Path) -> Manifest:
    manifest = read_index_manifest(index)
    assert manifest is not None
    return manifest


def write(index: Path, docids: list[str], empty: list[str]) -> Path:
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(PseudoDocument(docid, "", {"blood": 1}) for docid in docids)
    rewrite_manifest(index, lambda data: {**data, "empty": empty})
    return index


def test_an_empty_document_is_deleted_and_hides_no_other(tmp_path):
    one, two = write(tmp_path / "a", ["d1"], []), write(tmp_path / "b", ["d3"], ["d1", "d2"])
    with pytest.raises(InputError, match=rf"'d1' in {one} and {two} \(there without terms\)"):
        LuceneImpactSearcher([one, two])
    done = run("delete", "--index", two, "--docid", "d1", "--docid", "d9", "--json")
    assert json.loads(done.stdout) == {"index": str(two), "deleted": 0, "deleted_empty": 1, "documents": 1}
    assert "1 of 2 docids" in done.stderr
    assert "0 documents and 1 document without terms deleted, 1 left" in done.stderr
    manifest = manifest_of(two)
    assert manifest.empty == ("d2",)
    last = manifest.history[-1]
    assert (last.operation, last.deleted, last.deleted_empty, last.documents) == ("delete", 0, 1, 1)
    assert check_index(two).is_sound
    with LuceneImpactSearcher([one, two]) as searcher:
        assert searcher.search({"blood": 1}).docids == ["d1", "d3"]
    change = delete_documents(two, ["d3", "d2"])
    assert (change.deleted, change.deleted_empty, change.documents) == (1, 1, 0)
    assert manifest_of(two).empty == ()


@pytest.mark.model
def test_a_corpus_of_blank_texts_is_named(tmp_path, encoder):
    (tmp_path / "blank.tsv").write_text("d1\t \nd2\t\u200b\n")
    with pytest.raises(
        CorpusError, match=r"blank\.tsv: no document has a term: 2 documents are empty\. Check that it is"
    ):
        build_index(tmp_path / "blank.tsv", tmp_path / "index", encoder, Quantizer.named("naver"))
    with pytest.raises(CorpusError, match="no documents to index: there are none, or all texts are blank"):
        index_texts([Document("d1", " ")], tmp_path / "index")
    assert not (tmp_path / "index").exists()


@pytest.mark.model
def test_texts_that_become_blank_are_reported(tmp_path, encoder, capsys):
    index = tmp_path / "index"
    (tmp_path / "old.tsv").write_text("d1\tCats eat mice.\nd2\tThe heart pumps blood.\nd3\tDogs bark.\n")
    build_index(tmp_path / "old.tsv", index, encoder, Quantizer.named("naver"))
    (tmp_path / "new.tsv").write_text("d1\t \nd2\tBlood circulates.\nd7\t \n")
    summary = add_corpus(tmp_path / "new.tsv", index)
    assert (summary.documents, summary.replaced, summary.total) == (1, 1, 2)
    assert (summary.empty, summary.emptied) == (("d1", "d7"), ("d1",))
    echo_added(summary, index, as_json=True)
    shown = capsys.readouterr()
    assert "2 of 3 documents are empty (no terms) and were left out: d1, d7" in shown.err
    assert "1 document was in the index with an earlier text, and deleted: d1" in shown.err
    assert f"added, 1 replaced, 2 now in {index}" in shown.err
    printed = json.loads(shown.out)
    assert {"documents": 1, "replaced": 1, "empty": 2, "emptied": 1, "total": 2}.items() <= printed.items()

    (tmp_path / "blank.tsv").write_text("d2\t \nd8\t \n")  # nothing is left to index
    summary = add_corpus(tmp_path / "blank.tsv", index)
    assert (summary.documents, summary.replaced, summary.total, summary.emptied) == (0, 0, 1, ("d2",))
    assert not work_folder(index, "added").exists()
    manifest = manifest_of(index)
    assert manifest.empty == ("d1", "d7", "d2", "d8")
    assert (manifest.history[-1].added, manifest.history[-1].deleted) == (0, 1)
    assert check_index(index).is_sound
    assert add_corpus(tmp_path / "blank.tsv", index).emptied == ()  # again: nothing changes
