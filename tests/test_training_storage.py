"""How training stores texts and examples: compactly, in the same order, and without loss."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from splade_lucene.errors import ExamplesError, StorageError
from splade_lucene.training.config import Optimization
from splade_lucene.training.examples import Dropped, Example, Examples, Texts, known_scores, read_examples, stored_texts
from splade_lucene.training.examples.stored_texts import RowTable, StoredTexts
from splade_lucene.training.known_positives import KnownPositives
from splade_lucene.training.sampling import draw_rows


def test_texts_come_back_as_they_were():
    texts = [
        "",
        "one",
        "\u00e4\U0001f600",
        "\ud800 lone",
        "x" * 3_000_000,
        "\n",
        *(f"text {number}" for number in range(300_000)),
    ]
    stored = StoredTexts(texts)
    assert len(stored) == len(texts)
    assert list(stored) == texts
    assert [stored[at] for at in (0, 1, 2, 3, 4, 5, -1, 1000)] == [texts[at] for at in (0, 1, 2, 3, 4, 5, -1, 1000)]
    assert stored[5:3000:7] == texts[5:3000:7]
    assert stored[np.int64(2)] == texts[2]  # type: ignore[call-overload]
    stored.append("last")
    assert (stored[-1], stored[len(texts) - 1]) == ("last", texts[-1])
    with pytest.raises(IndexError, match="300007"):
        stored[300_007]


def test_texts_leave_no_file_behind(tmp_path):
    stored = StoredTexts(["text"] * 400_000, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert stored[399_999] == "text"


def test_a_disk_that_is_full_and_a_folder_that_is_missing_are_named(tmp_path, monkeypatch):
    with pytest.raises(StorageError, match=str(tmp_path / "missing")):
        StoredTexts(folder=tmp_path / "missing")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    stored = StoredTexts(folder=tmp_path)
    monkeypatch.setattr(stored_texts, "_write_all", full)
    with pytest.raises(StorageError, match=f"{tmp_path}.*No space left"):
        stored.append("text" * 300_000)


def test_a_table_of_rows_compares_what_has_the_same_hash():
    table, texts = RowTable(), [f"t{number}" for number in range(3000)]

    def find(text: str) -> int | None:
        return table.find(len(text), lambda other: texts[other] == text)  # nearly all have the same hash

    for row, text in enumerate(texts[:300]):
        assert find(text) is None
        table.add(len(text), row)
    assert [find(text) for text in texts[:302]] == [*range(300), None, None]


def random_examples(count: int, *, is_scored: bool) -> list[Example]:
    source = np.random.default_rng(3)
    found = []
    for number in range(count):
        passages = source.permutation(40)[: 1 + source.integers(6)]
        scores = np.sort(source.normal(size=len(passages)).astype(np.float32))[::-1] if is_scored else None
        positives = (
            int(source.integers(len(passages) + 1)) if is_scored else max(1, int(source.integers(len(passages))))
        )
        found.append(Example(int(source.integers(15)), passages, scores, positives, number + 1))
    return found


@pytest.mark.parametrize("is_scored", [False, True])
def test_columns_give_back_each_example(is_scored):
    given = random_examples(200, is_scored=is_scored)
    columns = Examples(given)
    assert len(columns) == 200
    for ours, theirs in zip(columns, given, strict=True):
        assert (ours.query, ours.passages.tolist(), ours.positives, ours.line) == (
            theirs.query, theirs.passages.tolist(), theirs.positives, theirs.line,
        )  # fmt: skip
        assert (None if ours.scores is None else ours.scores.tolist()) == (
            None if theirs.scores is None else theirs.scores.tolist()
        )
    assert columns[-1].line == 200
    assert [each.line for each in columns[3:6]] == [4, 5, 6]
    assert columns.ranges().tolist() == [float(np.ptp(each.scores)) for each in given if each.scores is not None]


def test_columns_keep_which_examples_have_scores():
    given = [
        Example(0, np.array([1])),
        Example(1, np.array([2, 3]), np.array([1.0, np.nan])),
        Example(2, np.array([4])),
    ]
    first, second, third = Examples(given)
    assert (first.scores, third.scores) == (None, None)
    np.testing.assert_array_equal(second.scores, given[1].scores)
    assert [each.scores for each in Examples(given).without_scores()] == [None, None, None]


def test_known_scores_are_the_highest_of_each_pair():
    given = [
        Example(1, np.array([5, 3, 4]), np.array([0.5, 2.0, np.nan])), Example(1, np.array([3, 5]), np.array([1.0, 0.75])),
        Example(3, np.array([0]), np.array([0.0])),
    ]  # fmt: skip
    found, disputed = known_scores(given, 4)
    assert [dict(zip(rows.tolist(), scores.tolist(), strict=True)) for rows, scores in found] == [
        {}, {3: 2.0, 5: 0.75}, {}, {0: 0.0},
    ]  # fmt: skip
    assert disputed.tolist() == [1]


def test_known_positives_are_counted_among_listed_negatives():
    texts = Texts(["q", "r"], ["q", "r"], list("abcd"), ["one", "two", "ONE ", "four"])
    given = [
        Example(0, np.array([0, 1])), Example(0, np.array([1, 2, 3])),  # "two" and "ONE" are positives of the same query
        Example(1, np.array([3, 0])),
    ]  # fmt: skip
    known = KnownPositives(texts, given, {"r": {"a": 1}}, passages=2, positives=1)
    assert known.count_listed() == 3
    assert known.of(1).tolist() == sorted(texts.identities([0, 3]).tolist())


def test_a_text_of_the_collection_stays_one_passage(tmp_path):
    path = tmp_path / "e.jsonl"
    records = [
        {"query": "what", "positive": "the sea", "negative": "a hill"},
        {"query": "who", "positive": "a dune", "negative": "the sea"},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    texts = Texts(["q1"], ["who"], ["d1", "d2"], ["the sea", "the sea"])
    examples = read_examples(path, texts)
    assert list(texts.passages) == ["the sea", "the sea", "a hill", "a dune"]
    assert list(texts.queries) == ["who", "what"]
    assert [(each.query, each.passages.tolist()) for each in examples] == [(1, [0, 2]), (0, [3, 0])]


def test_a_text_of_the_collection_has_the_scores_of_its_id(tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps({"query": "who", "positive": "the sea", "negative": "a hill"}) + "\n")
    texts = Texts(["q1"], ["who"], ["d1", "d2"], ["the sea", "a hill"])
    (read,) = read_examples(path, texts, scores={"q1": {"d1": 3.0, "d2": 1.0}})
    assert read.scores.tolist() == [3.0, 1.0]


def test_labelled_pairs_over_several_records_are_joined_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "e.jsonl"
    pairs = [
        ("a", "one", 0),
        ("b", "two", 1),
        ("a", "three", 1),
        ("b", " ", 1),
        ("a", "four", 0),
        ("c", " ", 1),
        ("a", "five", 1),
    ]
    path.write_text("".join(json.dumps({"query": q, "passage": p, "label": n}) + "\n" for q, p, n in pairs))
    texts, dropped = Texts(), Dropped(path)
    found = read_examples(path, texts, dropped=dropped)
    assert [(texts.queries[e.query], [texts.passages[row] for row in e.passages], e.positives, e.line) for e in found] == [
        ("a", ["three", "five", "one", "four"], 2, 3), ("b", ["two"], 1, 2),
    ]  # fmt: skip
    assert dropped.counts == {"blank passages": 2, "examples without a relevant passage": 1}


def test_scored_pairs_over_several_records_are_ranked(tmp_path):
    path = tmp_path / "e.jsonl"
    pairs = [("a", "one", 0.5), ("b", "two", 1), ("a", "three", 2.5)]
    path.write_text("".join(json.dumps({"query": q, "passage": p, "score": n}) + "\n" for q, p, n in pairs))
    texts = Texts()
    found = read_examples(path, texts)
    assert [([texts.passages[row] for row in each.passages], each.scores.tolist()) for each in found] == [
        (["three", "one"], [2.5, 0.5]), (["two"], [1.0]),
    ]  # fmt: skip
    path.write_text(path.read_text() + json.dumps({"query": "c", "positive": "one"}) + "\n")
    with pytest.raises(ExamplesError, match="some records have scores and others do not"):
        read_examples(path, Texts())


def write_triples(path: Path, count: int) -> Texts:
    source = np.random.default_rng(1)
    with path.open("w") as file:
        for query, positive, negative in source.integers(1000, size=(count, 3)).tolist():
            file.write(f"{query}\t{positive}\t{negative}\n")
    return Texts(map(str, range(1000)), map(str, range(1000)), map(str, range(1000)), map(str, range(1000)))


@pytest.mark.slow
def test_examples_by_id_take_thirty_bytes(tmp_path):
    texts = write_triples(tmp_path / "triples.tsv", 20_000)
    texts.identities(range(1000))
    tracemalloc.start()
    examples = read_examples(tmp_path / "triples.tsv", texts, dropped=Dropped(""))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(examples) > 19_900
    assert taken / len(examples) < 50  # with what the arrays have in reserve; a list of examples took 500


def test_drawing_from_columns_gives_the_same_as_from_a_list():
    given = random_examples(300, is_scored=True)
    settings = Optimization(steps=30, queries=7, passages=4, seed=5)
    rows = draw_rows(Examples(given), settings, 2, 40)
    assert rows.tolist() == draw_rows(given, settings, 2, 40).tolist()
    # as drawn when examples were in lists; a change here changes the weights of every training
    assert rows[:3].tolist() == [[6, 9, 1, 37, 21], [14, 7, 39, 16, 32], [9, 8, 27, 3, 19]]
    assert hashlib.sha256(rows.tobytes()).hexdigest().startswith("dd1d2adf7ca20005")
