"""The demo's folder: what an earlier run left there is reused or replaced, and what others put there is never touched."""

import json
import shutil

import pytest

from splade_lucene import LuceneImpactIndexer, PseudoDocument
from splade_lucene import demo as module
from splade_lucene.corpus.reading import PYTHON_DOCS, describe_corpus
from splade_lucene.demo import run_demo
from splade_lucene.errors import InputError
from splade_lucene.manifest import INDEX_FILE


class Built(Exception):  # noqa: N818 - not an error
    """Raised where the demo would build its index."""


@pytest.fixture(autouse=True)
def no_building(monkeypatch):
    def build(*_, **__):
        raise Built

    monkeypatch.setattr(module, "build_index", build)


def write_index(folder):
    with LuceneImpactIndexer(folder) as indexer:
        indexer.add([PseudoDocument("d1", "text", {"term": 3})])


def write_older(path, corpus):
    """A manifest of an earlier version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": 1, "encoded_with": {"corpus": corpus}}))


@pytest.mark.parametrize("name", ["index", "pseudo-documents", "bm25-index", "qrels.txt"])
def test_files_of_others_are_not_replaced(name, tmp_path):
    if name == "index":
        write_index(tmp_path / name)
    elif name == "pseudo-documents":
        write_older(tmp_path / name / "splade-lucene.manifest", "corpus.jsonl")
    elif name == "bm25-index":
        (tmp_path / name).mkdir()
        (tmp_path / name / "segments_1").touch()
    else:
        (tmp_path / name).touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="files that are not the demo's"):
        run_demo(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_index_of_others_beside_the_encoding_of_a_demo_is_not_replaced(tmp_path):
    write_older(tmp_path / "pseudo-documents" / "splade-lucene.manifest", describe_corpus(PYTHON_DOCS))
    write_index(tmp_path / "index")
    with pytest.raises(InputError, match="files that are not the demo's"):
        run_demo(tmp_path)


def test_what_an_earlier_version_wrote_is_built_again(tmp_path):
    write_index(tmp_path / "index")
    shutil.copytree(tmp_path / "index", tmp_path / "bm25-index")
    for path in (tmp_path / "index" / INDEX_FILE, tmp_path / "pseudo-documents" / "splade-lucene.manifest"):
        write_older(path, describe_corpus(PYTHON_DOCS))
    with pytest.raises(Built):
        run_demo(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_cut_off_at_its_beginning_is_resumed(tmp_path):
    (tmp_path / "pseudo-documents").mkdir()
    (tmp_path / "pseudo-documents" / "splade-lucene.lock").touch()
    (tmp_path / ".index.splade-lucene-first").mkdir()
    with pytest.raises(Built):
        run_demo(tmp_path)
