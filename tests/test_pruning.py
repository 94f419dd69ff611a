"""Which terms a document keeps, in which order they are written, and how passages make one document."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.encoders import encoder_on_cpu
from support.progress import RecordedProgress
from transformers import AutoModelForMaskedLM, AutoTokenizer
from typer.testing import CliRunner

from splade_lucene import (
    DocumentSettings,
    Pruning,
    PseudoDocument,
    Quantizer,
    SparseWeights,
    SpladeEncoder,
    encode_corpus,
    read_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.encoder.batching import Sequencer
from splade_lucene.encoder.sparse import SparseImpacts
from splade_lucene.errors import InputError, PseudoDocumentError
from splade_lucene.manifest import read_folder_manifest
from splade_lucene.pseudo_documents.format import ImpactWriter
from splade_lucene.quantizer import RULES, Scaling
from splade_lucene.records import Document

Row = dict[int, float]
VOCABULARY = [f"t{i}" for i in range(40)]
RULE = Quantizer.named("naver")


# ---- pruning, against one document at a time in exact arithmetic ----


def keep(row: Row, pruning: Pruning) -> tuple[Row, Row]:
    """The entries that stay; and those that may, because they are within rounding error of the kept mass."""
    ranked = sorted(row.items(), key=lambda entry: (-entry[1], entry[0]))
    mass = sum(Fraction(weight) for weight in row.values())
    target, before = Fraction(pruning.kept_mass) * mass, Fraction(0)
    kept, doubtful = {}, {}
    for rank, (term, weight) in enumerate(ranked):
        by_rank = pruning.top_terms == 0 or rank < pruning.top_terms
        by_ratio = pruning.max_ratio == 0 or weight > pruning.max_ratio * ranked[0][1]
        if by_rank and by_ratio and weight >= pruning.min_weight:
            if pruning.kept_mass == 1 or before < target:
                kept[term] = weight
            if abs(before - target) < mass / 10**9:
                doubtful[term] = weight
        before += Fraction(weight)
    return kept, doubtful


def to_rows(weights: SparseWeights) -> list[Row]:
    rows = []
    for number in range(len(weights)):
        entries = weights.row(number)
        term_ids = weights.term_ids[entries].tolist()
        assert term_ids == sorted(set(term_ids))
        rows.append(dict(zip(term_ids, weights.values[entries].tolist(), strict=True)))
    return rows


def from_rows(rows: list[Row]) -> SparseWeights:
    entries = [(term, row[term]) for row in rows for term in sorted(row)]
    starts = np.cumsum([0, *map(len, rows)])
    term_ids, values = np.array([t for t, _ in entries], np.int32), np.array([w for _, w in entries], np.float32)
    return SparseWeights(starts, term_ids, values, VOCABULARY)


coarse = st.integers(1, 40).map(lambda i: i / 16)  # whose sums are exact, with many ties
fine = st.floats(2**-10, 8, width=32)
term_ids = st.integers(0, len(VOCABULARY) - 1)
coarse_rows = st.lists(st.dictionaries(term_ids, coarse, max_size=12), max_size=6)
fine_rows = st.lists(st.dictionaries(term_ids, fine, max_size=30), max_size=6)
coarse_prunings = st.builds(
    Pruning,
    top_terms=st.integers(0, 8),
    min_weight=st.sampled_from([0.0, 0.0, 0.25, 1.0]),
    max_ratio=st.sampled_from([0.0, 0.0, 0.25, 0.5]),
    kept_mass=st.sampled_from([1.0, 1.0, 0.5, 0.75, 0.25, 1 / 16]),
)
fine_prunings = st.builds(
    Pruning,
    top_terms=st.integers(0, 20),
    min_weight=st.just(0.0) | st.floats(0, 4),
    max_ratio=st.just(0.0) | st.floats(0, 0.99),
    kept_mass=st.just(1.0) | st.floats(0.01, 1),
)


@settings(max_examples=300)
@given(coarse_rows, coarse_prunings)
def test_the_entries_that_every_rule_keeps_stay_and_ties_go_to_the_first_terms(rows, pruning):
    assert to_rows(from_rows(rows).prune(pruning)) == [keep(row, pruning)[0] for row in rows]


@settings(max_examples=300)
@given(fine_rows, fine_prunings)
def test_whatever_the_weights_are(rows, pruning):
    for found, row in zip(to_rows(from_rows(rows).prune(pruning)), rows, strict=True):
        kept, doubtful = keep(row, pruning)
        assert found.items() <= row.items()
        assert {term for term in found.keys() ^ kept.keys() if term not in doubtful} == set()


@settings(max_examples=100)
@given(coarse_rows, coarse_prunings)
def test_a_document_is_pruned_alike_alone_and_among_others(rows, pruning):
    together = to_rows(from_rows(rows).prune(pruning))
    assert together == [to_rows(from_rows([row]).prune(pruning))[0] for row in rows]


def test_by_hand():
    row = {3: 2.0, 1: 1.0, 5: 1.0, 0: 0.5, 7: 0.25, 9: 0.25}
    for pruning, left in (
        (Pruning(), [0, 1, 3, 5, 7, 9]),
        (Pruning(top_terms=2), [1, 3]),  # of the two ones, that of the smaller term_id
        (Pruning(min_weight=0.5), [0, 1, 3, 5]),
        (Pruning(max_ratio=0.5), [3]),  # half of the largest is not above half of it
        (Pruning(max_ratio=0.49), [1, 3, 5]),
        (Pruning(kept_mass=0.4), [3]),  # 2 of 5
        (Pruning(kept_mass=0.41), [1, 3]),
        (Pruning(kept_mass=0.9), [0, 1, 3, 5]),  # 4.5 of 5
        (Pruning(kept_mass=0.96), [0, 1, 3, 5, 7, 9]),
        (Pruning(top_terms=4, min_weight=0.3, max_ratio=0.3, kept_mass=0.7), [1, 3, 5]),
        (Pruning(min_weight=9), []),
    ):
        assert sorted(to_rows(from_rows([row]).prune(pruning))[0]) == left, pruning


@pytest.mark.parametrize(
    "wrong", [{"top_terms": -1}, {"min_weight": -0.1}, {"max_ratio": 1.0}, {"max_ratio": -0.1}, {"kept_mass": 0.0},
              {"kept_mass": 1.1}]
)  # fmt: skip
def test_prunings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError):
        Pruning(**wrong)


TEXTS = ["the cat sat on the mat", "", "dogs and cats " * 20, "a heart pumps blood", "x", "sugar " * 50]
FLAGS = {
    ("--top-terms", "5"): Pruning(top_terms=5),
    ("--min-weight", "0.4"): Pruning(min_weight=0.4),
    ("--max-ratio", "0.75"): Pruning(max_ratio=0.75),
    ("--kept-mass", "0.5"): Pruning(kept_mass=0.5),
    ("--top-terms", "30", "--min-weight", "0.35", "--max-ratio", "0.7", "--kept-mass", "0.3"): Pruning(
        30, 0.35, 0.7, 0.3
    ),
}


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_the_commands_flags_prune_what_is_written(tiny_model, tmp_path, flags):
    from splade_lucene.cli.app import app

    corpus = tmp_path / "corpus.tsv"
    corpus.write_text("".join(f"d{i}\t{text.strip()}\n" for i, text in enumerate(TEXTS)))
    arguments = ["encode", "--corpus", corpus, "--output", tmp_path / "out", "--model", tiny_model, "--device", "cpu",
                 "--dtype", "float32", *flags]  # fmt: skip
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    encoder = SpladeEncoder(tiny_model, device="cpu", dtype="float32")
    weights = encoder.encode_documents([text.strip() for text in TEXTS])
    written = {each.docid: each.vector for each in read_pseudo_documents(tmp_path / "out")}
    assert len(written) > 3
    assert written.keys() == {f"d{number}" for number, text in enumerate(TEXTS) if text}
    for number, row in enumerate(to_rows(weights)):
        if not TEXTS[number]:
            continue
        kept, doubtful = keep(row, FLAGS[flags])
        assert 0 < len(kept) < len(row)
        assert not doubtful
        impacts = {weights.terms[term]: round(float(np.float32(w) * np.float32(100))) for term, w in kept.items()}
        assert written[f"d{number}"] == {term: impact for term, impact in impacts.items() if impact}
    assert read_folder_manifest(tmp_path / "out").pruning == asdict(FLAGS[flags])
    encode_corpus(corpus, tmp_path / "same", encoder, RULE, pruning=FLAGS[flags])
    name = "part-00000.jsonl"
    assert (tmp_path / "same" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize("flags", [("--max-ratio", "1"), ("--kept-mass", "0"), ("--top-terms", "-1")])
def test_flags_that_make_no_sense_are_refused(tiny_model, tmp_path, flags):
    from splade_lucene.cli.app import app

    (tmp_path / "corpus.tsv").write_text("a\tb\n")
    arguments = ["encode", "--corpus", tmp_path / "corpus.tsv", "--output", tmp_path / "out", "--model", tiny_model,
                 *flags]  # fmt: skip
    assert CliRunner().invoke(app, list(map(str, arguments))).exit_code in (1, 2)
    assert not (tmp_path / "out").exists()


# ---- order and bytes ----


entries = st.lists(st.tuples(st.integers(0, 4), term_ids, st.integers(1, 2**31 - 1) | st.integers(1, 3)), max_size=60,
                   unique_by=lambda entry: entry[:2]).map(sorted)  # fmt: skip


@settings(max_examples=200)
@given(entries)
def test_impacts_stand_largest_first_then_by_term(given_entries):
    texts, terms, values = (np.array([each[i] for each in given_entries], np.int64) for i in range(3))
    impacts = SparseImpacts.from_entries(texts, terms, values.astype(np.int32), 5, VOCABULARY)
    assert len(impacts) == 5
    for number in range(5):
        expected = sorted(((t, v) for text, t, v in given_entries if text == number), key=lambda e: (-e[1], e[0]))
        entries_of = impacts.row(number)
        assert impacts.term_ids[entries_of].tolist() == [t for t, _ in expected]
        assert impacts.values[entries_of].tolist() == [v for _, v in expected]
        assert list(impacts[number].items()) == [(VOCABULARY[t], v) for t, v in expected]
    assert impacts.counts.tolist() == [sum(each[0] == number for each in given_entries) for number in range(5)]


ODD_TERMS = [
    '"',
    "\\",
    "é",
    "##ing",
    "漢字",
    "😀",
    "a\u00a0b",
    "[CLS]",
    "'",
    "/",
    "</s>",
    "␛20;",
    "\x7f",
    "\ufeff",
    "\u2060",
]
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
odd_documents = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=10),
        any_text,
        st.dictionaries(st.integers(0, len(ODD_TERMS) - 1), st.integers(1, 10**8), max_size=10),
    ),
    max_size=5,
    unique_by=lambda each: each[0],
)


@settings(max_examples=100)
@given(odd_documents, st.sampled_from(["part.jsonl", "part.jsonl.gz"]))
def test_impacts_are_written_as_pseudo_documents_are(tmp_path_factory, documents, name):
    folder = tmp_path_factory.getbasetemp() / "written"
    texts = np.array([i for i, (_, _, vector) in enumerate(documents) for _ in vector], np.int64)
    terms = np.array([term for _, _, vector in documents for term in sorted(vector)], np.int64)
    values = np.array([vector[term] for _, _, vector in documents for term in sorted(vector)], np.int32)
    impacts = SparseImpacts.from_entries(texts, terms, values, len(documents), ODD_TERMS)
    ImpactWriter(ODD_TERMS).write(folder / name, [Document(docid, text) for docid, text, _ in documents], impacts)
    ordered = [PseudoDocument(docid, text, {ODD_TERMS[t]: v for t, v in sorted(vector.items(), key=lambda e: (-e[1], e[0]))})
               for docid, text, vector in documents if vector]  # fmt: skip
    write_pseudo_documents(folder / f"expected-{name}", ordered)
    assert (folder / name).read_bytes() == (folder / f"expected-{name}").read_bytes()
    lines = [json.loads(line) for line in read_bytes(folder / name).decode().split("\n")[:-1]]
    assert lines == [{"id": each.docid, "contents": each.contents, "vector": each.vector} for each in ordered]
    if ordered:
        assert list(read_pseudo_documents(folder / name)) == ordered


def read_bytes(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_impacts_that_sum_to_more_than_an_index_holds_are_refused(tmp_path):
    values = np.array([2**31 - 1, 1], np.int32)
    impacts = SparseImpacts(np.array([0, 2]), np.array([0, 1], np.int32), values, ["a", "b"])
    with pytest.raises(PseudoDocumentError, match="document 'd': the document's impacts sum to over 2147483647"):
        ImpactWriter(["a", "b"]).write(tmp_path / "part.jsonl", [Document("d", "text")], impacts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("term", ["a b", "", "x" * 256, "\ud800"])
def test_a_vocabulary_that_no_index_can_hold_is_refused(term):
    with pytest.raises(PseudoDocumentError, match="the model's vocabulary: "):
        ImpactWriter(["fine", term])


# ---- quantizing where the weights are ----


@pytest.mark.parametrize("side", ["document", "query"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES)
def test_tensors_are_quantized_as_arrays_are(rule, dtype, side):
    quantizer = Quantizer.named(rule)
    scale = getattr(quantizer, side).scale
    kind = np.dtype(dtype).type
    halves = ((np.arange(4000) + 0.5) / scale).astype(kind)
    source = np.random.default_rng(5)
    weights = np.concatenate([
        halves, np.nextafter(halves, kind(0)), np.nextafter(halves, kind(99)), (np.arange(4000) / scale).astype(kind),
        source.random(20_000).astype(kind) * 4, np.array([0, 1e-30, 1e9, 1e30], kind),
    ])  # fmt: skip
    expected = quantizer.quantize(weights, side)
    found = quantizer.quantize(torch.from_numpy(weights), side)
    assert found.dtype == torch.int32
    assert (found.numpy() == expected).all()
    reshaped = torch.from_numpy(weights)[:20_000].reshape(200, 100).T  # neither in one piece nor of one dimension
    assert (quantizer.quantize(reshaped, side).numpy() == expected[:20_000].reshape(200, 100).T).all()


@settings(max_examples=200)
@given(
    st.lists(st.floats(0, 2**20, width=32), max_size=20),
    st.builds(
        Scaling,
        st.sampled_from([1.0, 100.0, 256.0, 51.2, 0.3]),
        st.sampled_from([1.0, 5.0, 3.0]),
        st.sampled_from(["half-even", "half-up", "truncate"]),
        st.sampled_from(["float32", "float64"]),
    ),
    st.sampled_from([2**31 - 1, 255]),
)
def test_tensors_are_quantized_as_arrays_are_by_any_rule(weights, scaling, ceiling):
    quantizer = Quantizer("any", scaling, scaling, ceiling)
    for kind in (np.float32, np.float64):
        array = np.array(weights, kind)
        found = quantizer.quantize(torch.from_numpy(array), "query").tolist()
        assert found == quantizer.quantize(array, "query").tolist()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_tensors_that_are_no_weights_are_refused(bad):
    with pytest.raises(InputError, match="weights must be finite and at least 0"):
        RULE.quantize(torch.tensor([1.0, bad]), "document")


# ---- passages ----


LONG = " ".join(f"word {i} heart cat sugar number{i * 7}" for i in range(12))


@cache
def through_transformers(model: Path) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(model), AutoModelForMaskedLM.from_pretrained(model, dtype=torch.float32).eval()


def passages_one_by_one(model: Path, text: str, size: int, overlap: int, pooling: str) -> np.ndarray:
    """Windows as transformers cuts them, each alone through the network, the largest weight of each term."""
    tokenizer, network = through_transformers(model)
    windows = tokenizer(text, truncation=True, max_length=size, stride=overlap, return_overflowing_tokens=True)
    best = torch.zeros(network.config.vocab_size)
    for ids in windows["input_ids"]:
        with torch.no_grad():
            logits = network(input_ids=torch.tensor([ids])).logits[0]
        weights = torch.log1p(torch.relu(logits))
        best = torch.maximum(best, weights.amax(dim=0) if pooling == "max" else weights.sum(dim=0))
    assert len(windows["input_ids"]) > 1
    return best.numpy()


def dense(weights: SparseWeights, text: int) -> np.ndarray:
    row = np.zeros(len(weights.terms), np.float32)
    row[weights.term_ids[weights.row(text)]] = weights.values[weights.row(text)]
    return row


@pytest.mark.parametrize("pooling", ["max", "sum"])
@pytest.mark.parametrize(("size", "overlap"), [(16, 0), (16, 4), (20, 10), (64, 7)])
def test_a_long_document_has_the_largest_weights_of_its_passages(tiny_model, size, overlap, pooling):
    encoder = encoder_on_cpu(tiny_model, pooling=pooling, passage_tokens=size, passage_overlap=overlap)
    short = "a short text"
    found = encoder.encode_documents([short, LONG, "", LONG + " end"])
    for number, text in ((1, LONG), (3, LONG + " end")):
        expected = passages_one_by_one(tiny_model, text, size, overlap, pooling)
        assert abs(dense(found, number) - expected).max() < 5e-5
    plain = encoder_on_cpu(tiny_model, pooling=pooling).encode_documents([short, ""])
    assert abs(dense(found, 0) - dense(plain, 0)).max() < 5e-6
    assert abs(dense(found, 2) - dense(plain, 1)).max() < 5e-6


def test_passages_of_any_length_are_those_of_transformers(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for words in range(1, 60):  # a blank text has no passage
        text = " ".join(["cat", "dog", "bird"][i % 3] for i in range(words))
        for size, overlap in ((8, 0), (8, 4), (11, 3), (40, 1)):
            found = Sequencer(tokenizer, 512, passage_tokens=size, passage_overlap=overlap)([text])
            expected = tokenizer(text, truncation=True, max_length=size, stride=overlap, return_overflowing_tokens=True)
            assert found.ids == expected["input_ids"], (words, size, overlap)
            assert found.owners == [0] * len(found.ids)
            assert found.pooled == [(0, len(ids)) for ids in found.ids]


def test_passages_are_no_longer_than_the_model_takes(tiny_model):
    with pytest.raises(InputError, match=r"Set passage_tokens to 8 to 64 \(this model's limit\)"):
        SpladeEncoder(tiny_model, documents=DocumentSettings(passage_tokens=500), device="cpu", dtype="float32")
    encoder = SpladeEncoder(
        tiny_model, documents=DocumentSettings(passage_tokens=64, max_length=20), device="cpu", dtype="float32"
    )
    assert max(len(ids) for ids in encoder.tokenize_documents([LONG]).ids) == 64


def test_documents_of_passages_are_written_whole(tiny_model, tmp_path):
    corpus = tmp_path / "corpus.tsv"
    corpus.write_text(f"long\t{LONG}\nshort\tcat\n")
    encoder = SpladeEncoder(
        tiny_model, documents=DocumentSettings(passage_tokens=16, passage_overlap=4), device="cpu", dtype="float32"
    )
    progress = RecordedProgress()
    manifest = encode_corpus(corpus, tmp_path / "out", encoder, RULE, progress=progress)
    long, short = read_pseudo_documents(tmp_path / "out")
    assert (long.contents, short.contents) == (LONG, "cat")
    expected = passages_one_by_one(tiny_model, LONG, 16, 4, "max")
    impacts = np.array([long.vector.get(term, 0) for term in encoder.terms])
    assert abs(impacts - 100 * expected).max() < 0.51
    assert manifest.documents == 2
    assert progress.steps == [("encoding", 2, "documents")]
    assert sum(count for count, _, _ in progress.reports) == 2
    tokens = len(AutoTokenizer.from_pretrained(tiny_model)(LONG, add_special_tokens=False)["input_ids"])
    assert sum(each for _, each, _ in progress.reports) > tokens + 3


@pytest.mark.parametrize("wrong", [(7, 0), (16, 9), (16, -1)])
def test_passages_that_make_no_sense_are_refused(tiny_model, wrong):
    with pytest.raises(
        InputError,
        match=r"Set passage_tokens to 8 to 64 \(this model's limit\) and passage_overlap to at most half of it",
    ):
        SpladeEncoder(tiny_model, documents=DocumentSettings(passage_tokens=wrong[0], passage_overlap=wrong[1]))


# ---- what other engines take ----


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.integers(0, 7), st.floats(2**-7, 9, width=32), max_size=6), max_size=5))
def test_rows_as_a_scipy_matrix_and_as_arrays_are_the_mappings(rows):
    weights = from_rows(rows)
    impacts = weights.impacts(RULES["naver"], "document")
    for matrix in (weights, impacts):
        found = matrix.to_scipy()
        dense = np.zeros((len(matrix), len(matrix.terms)), matrix.values.dtype)
        for number in range(len(matrix)):
            for term, value in matrix[number].items():
                dense[number, matrix.terms.index(term)] = value
        assert found.shape == dense.shape
        assert found.dtype == dense.dtype
        assert np.array_equal(found.toarray(), dense)
        for number in range(len(matrix)):
            assert (np.diff(found.indices[found.indptr[number] : found.indptr[number + 1]]) > 0).all()
        for row, expected in zip(matrix.rows(), matrix, strict=True):
            assert dict(zip(row.terms, row.values.tolist(), strict=True)) == expected
            assert [matrix.terms[i] for i in row.term_ids] == row.terms == list(expected)
        before = matrix.values.copy()
        found.data[:] = 0  # a copy
        assert np.array_equal(matrix.values, before)
