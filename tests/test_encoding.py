"""What an encoding writes, and what it refuses; for how it resumes after an interruption see test_resuming.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import run, run_well
from support.files import files
from support.progress import RecordedProgress
from transformers import AutoTokenizer

from splade_lucene import DocumentSettings, Quantizer, SpladeEncoder, encode_corpus, read_corpus, read_pseudo_documents
from splade_lucene.errors import CorpusError, InputError, StorageError
from splade_lucene.manifest import read_folder_manifest
from splade_lucene.pseudo_documents import parts
from splade_lucene.pseudo_documents.journal import Journal, Shard

RULE = Quantizer.named("naver")


@pytest.fixture(scope="module")
def tiny(tiny_model) -> SpladeEncoder:
    return SpladeEncoder(tiny_model, device="cpu")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 10)


@pytest.fixture
def corpus(tmp_path) -> Path:
    path = tmp_path / "corpus.tsv"
    path.write_text("".join(f"d{i}\tdocument number {i} about {'cats and ' * (i % 7)}dogs\n" for i in range(45)))
    return path


def test_pseudo_documents_equal_encoding_directly(tiny, corpus, tmp_path):
    manifest = encode_corpus(corpus, tmp_path / "out", tiny, RULE)
    documents = list(read_pseudo_documents(tmp_path / "out"))
    lines = corpus.read_text().splitlines()
    assert [f"{each.docid}\t{each.contents}" for each in documents] == lines
    for each in (documents[0], documents[17], documents[44]):
        alone = tiny.encode_documents([each.contents]).quantize(RULE, "document")[0]
        assert sum(abs(alone.get(t, 0) - each.vector.get(t, 0)) for t in alone.keys() | each.vector.keys()) <= 2
    assert (manifest.documents, manifest.empty, manifest.quantizer, manifest.pooling) == (45, (), RULE, "max")
    assert sorted(files(tmp_path / "out")) == [f"part-{i:05d}.jsonl" for i in range(5)] + ["splade-lucene.manifest"]


def test_shards_are_checked_for_completeness(tiny, corpus, tmp_path):
    for number in (1, 3):
        encode_corpus(corpus, tmp_path / "out", tiny, RULE, shard=Shard(number, 3))
    with pytest.raises(InputError, match=r"missing shards: 2/3"):
        read_folder_manifest(tmp_path / "out")
    encode_corpus(corpus, tmp_path / "out", tiny, RULE, shard=Shard(2, 3))
    assert read_folder_manifest(tmp_path / "out").documents == 45


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "a/b", "1/3/5"])
def test_malformed_shards_are_refused(text):
    with pytest.raises(InputError, match=r"Write I/N"):
        Shard.parse(text)


def test_documents_without_a_term_are_named_and_dropped(tiny, corpus, tmp_path):
    manifest = encode_corpus(corpus, tmp_path / "out", tiny, RULE, min_impact=10**6)
    assert manifest.documents == 0
    assert len(manifest.empty) == 45
    assert json.loads((tmp_path / "out" / "splade-lucene.manifest").read_text())["empty"][:2] == ["d0", "d1"]


# ---- documents that are longer than the maximum length ----

LENGTH = 14


@pytest.fixture(scope="module")
def short(tiny) -> SpladeEncoder:
    return SpladeEncoder(tiny.layout.location.name, DocumentSettings(max_length=LENGTH), device="cpu")


def count_long(tiny: SpladeEncoder, corpus: Path) -> int:
    """Documents that are longer with the checkpoint's own tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(tiny.layout.location.name)
    texts = [line.partition("\t")[2] for line in corpus.read_text().splitlines()]
    return sum(len(tokenizer(text)["input_ids"]) > LENGTH for text in texts)


def test_truncated_documents_are_counted(tiny, short, corpus, tmp_path):
    expected = count_long(tiny, corpus)
    assert 0 < expected < 45
    assert encode_corpus(corpus, tmp_path / "cut", short, RULE).truncated == expected
    assert encode_corpus(corpus, tmp_path / "whole", tiny, RULE).truncated == 0
    passages = DocumentSettings(max_length=LENGTH, passage_tokens=LENGTH)
    by_passages = SpladeEncoder(tiny.layout.location.name, passages, device="cpu")
    assert encode_corpus(corpus, tmp_path / "passages", by_passages, RULE).truncated == 0
    for number in (1, 2):
        encode_corpus(corpus, tmp_path / "shards", short, RULE, shard=Shard(number, 2))
    assert read_folder_manifest(tmp_path / "shards").truncated == expected


def test_resuming_counts_the_truncated_documents_of_earlier_parts(tiny, short, corpus, tmp_path):
    def interrupt(_count: int) -> None:
        if sum(count for count, _, _ in progress.reports) >= 30:
            raise KeyboardInterrupt

    progress = RecordedProgress(interrupt)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, tmp_path / "out", short, RULE, progress=progress)
    assert Journal(tmp_path / "out", Shard()).parts
    for _ in range(2):  # the second one finds the finished encoding
        assert encode_corpus(corpus, tmp_path / "out", short, RULE).truncated == count_long(tiny, corpus)


def test_the_first_parts_are_smaller_so_that_a_short_encoding_loses_less(tiny, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 2000)
    monkeypatch.setattr(parts, "FIRST_DOCUMENTS", 10)
    monkeypatch.setattr(parts, "FIRST_PARTS", 3)

    def interrupt(_count: int) -> None:
        if sum(count for count, _, _ in progress.reports) >= 25:
            raise KeyboardInterrupt

    progress = RecordedProgress(interrupt)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, tmp_path / "out", tiny, RULE, progress=progress)
    assert sum(part.documents for part in Journal(tmp_path / "out", Shard()).parts.values()) >= 10
    manifest = encode_corpus(corpus, tmp_path / "out", tiny, RULE)
    assert [part.documents for part in manifest.parts] == [10, 10, 10, 15]
    assert [each.docid for each in read_pseudo_documents(tmp_path / "out")] == [
        each.docid for each in read_corpus(corpus)
    ]


@pytest.mark.java
def test_truncated_documents_are_reported_by_the_commands(tiny, corpus, tmp_path):
    common = ("--corpus", corpus, "--model", tiny.layout.location.name, "--quantizer", "naver", "--device", "cpu")
    built = run("build", *common, "--index", tmp_path / "index", "--max-length", LENGTH)
    expected = count_long(tiny, corpus)
    note = f"{expected} of 45 documents were longer than {LENGTH} tokens: --passage-tokens reads all of them"
    assert built.stderr.splitlines().count(note) == 1
    counts = run_well("stats", "--index", tmp_path / "index")
    assert f"{expected} documents were longer than {LENGTH} tokens" in counts
    assert json.loads(run_well("stats", "--index", tmp_path / "index", "--json"))["manifest"]["truncated"] == expected
    assert "longer than" not in run("encode", *common, "--output", tmp_path / "whole").stderr
    assert "longer than" not in run_well("stats", "--index", tmp_path / "index", "--json")


def test_an_encoding_of_an_older_format_is_named(short, corpus, tmp_path):
    encode_corpus(corpus, tmp_path / "out", short, RULE)
    path = tmp_path / "out" / "splade-lucene.manifest"
    manifest = json.loads(path.read_text())
    del manifest["sha256"], manifest["truncated"]
    path.write_text(json.dumps({**manifest, "format": 1}))
    with pytest.raises(InputError, match=r"another version wrote this manifest: its format is 1, this version reads 2"):
        read_folder_manifest(tmp_path / "out")


def test_a_bad_document_stops_with_its_place_and_a_fixed_corpus_is_encoded_again(tiny, corpus, tmp_path):
    good = corpus.read_text()
    corpus.write_text(good + "no tab\n")
    with pytest.raises(CorpusError, match=r"corpus\.tsv:46: no tab"):
        encode_corpus(corpus, tmp_path / "out", tiny, RULE)


def test_a_place_that_cannot_be_written(tiny, corpus, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        encode_corpus(corpus, tmp_path / "file" / "out", tiny, RULE)


def test_a_damaged_journal_without_parts_is_as_if_it_were_not_there(tiny, corpus, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "splade-lucene.journal").write_text("no json\n")
    assert encode_corpus(corpus, tmp_path / "out", tiny, RULE).documents == 45
    (tmp_path / "out" / "splade-lucene.manifest").rename(tmp_path / "out" / "splade-lucene.journal")
    with pytest.raises(InputError, match="other settings"):  # parts, and nothing that says what they are
        encode_corpus(corpus, tmp_path / "out", tiny, RULE)
    assert encode_corpus(corpus, tmp_path / "out", tiny, RULE, overwrite=True).documents == 45


def test_an_empty_corpus_is_named(tiny, tmp_path):
    (tmp_path / "corpus.tsv").write_text("")
    with pytest.raises(CorpusError, match="no documents in"):
        encode_corpus(tmp_path / "corpus.tsv", tmp_path / "out", tiny, RULE)


def test_weights_that_are_no_numbers_are_refused():
    import numpy as np

    for bad in (np.nan, np.inf, -1.0):
        with pytest.raises(InputError, match="weights must be finite and at least 0"):
            RULE.quantize(np.array([1.0, bad]), "document")
