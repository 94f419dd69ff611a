"""The input of a training run: configuration, examples, teachers, drawing."""

import gzip
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from splade_lucene.errors import ConfigError, CorpusError, ExamplesError, TopicsError
from splade_lucene.files.locks import is_locked
from splade_lucene.progress import NO_PROGRESS
from splade_lucene.training import mining, read_config
from splade_lucene.training.config import Mining, Optimization, Teacher
from splade_lucene.training.example_scorer import ExampleScorer, scores_of_batch
from splade_lucene.training.examples import Example, Texts, known_scores, read_examples, read_texts, write_examples
from splade_lucene.training.mining import Sources, mine
from splade_lucene.training.sampling import draw_rows, to_columns
from splade_lucene.training.teachers import DenseScorer, Ensemble, RankedScorer, rankings_by_row

CONFIG = """\
recipe: splade-max
base: some/base
output: out
data:
  passages: passages.tsv
  queries: queries.tsv
teacher:
  bm25: 1.0
"""


BILLION_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)

# ---- configuration ----


def write_config(folder, text=CONFIG):
    (folder / "passages.tsv").write_text("d1\ta text\n")
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file_and_hub_names_stay(tmp_path):
    config = read_config(write_config(tmp_path))
    assert config.data.passages == str(tmp_path / "passages.tsv")
    assert config.base == "some/base"
    assert config.output == str(tmp_path / "out")


def test_output_can_be_given_instead(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_config(write_config(tmp_path), output="elsewhere").output == str(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("rounds", 0, "rounds: .*1 or 2"), ("output", "", "output.*: expected a path or a name, got an empty one"),
     ("data", {}, "set data.passages"), ("base", "", "base.*: expected a path or a name, got an empty one"), ("losses", False, "losses")],
)  # fmt: skip
def test_a_change_to_a_value_that_is_false_is_a_change(tmp_path, key, value, message):
    path = write_config(tmp_path)
    assert read_config(path, **{key: None}) == read_config(path)
    with pytest.raises(ConfigError, match=message):
        read_config(path, **{key: value})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONFIG + "speed: 3\n", r"config\.yaml: speed \(line 9\): unknown key, got 3"),
        (CONFIG + "optimization:\n  steps: many\n", r"optimization\.steps \(line 10\): .*integer.*got 'many'"),
        (CONFIG + "optimization:\n  learning_rate: -1\n", r"optimization\.learning_rate \(line 10\): .*greater than 0"),
        (CONFIG.replace("splade-max", "splade-min"), r"recipe \(line 1\): .*'splade'.*got 'splade-min'"),
        (CONFIG.replace("base: some/base\n", ""), r"base: Field required"),
        (CONFIG.replace("teacher:\n  bm25: 1.0\n", ""), r"set data\.examples, or a teacher"),
        (CONFIG.replace("bm25: 1.0", "bm25: 0"), r"teacher \(line 7\): set at least one of dense"),
        (CONFIG + "optimization: {seed: -1}\n", r"optimization\.seed \(line 9\): .*greater than or equal to 0"),
        (CONFIG.replace("  passages: passages.tsv\n", ""), r"set data\.passages and data\.queries, or data\.examples"),
        (CONFIG + "losses: {kl: 0}\n", r"losses \(line 9\): at least one loss must be above 0"),
        (CONFIG + "sparsity: {ramp: 0}\n", r"sparsity\.ramp \(line 9\)"),
        (CONFIG + "sparsity: {query_weight: .nan}\n", r"sparsity\.query_weight \(line 9\): .*finite"),
        (CONFIG + "optimization: [1\n", r"config\.yaml:1\d: invalid YAML"),
        (CONFIG + "base: other\n", r"config\.yaml:9: invalid YAML \(duplicate key 'base'\)"),
        (CONFIG + "optimization: {seed: 1, seed: 2}\n", r"config\.yaml:9: invalid YAML \(duplicate key 'seed'\)"),
        (
            CONFIG + "a: &a [x]\nb: *a\n",
            r"config\.yaml:10: invalid YAML \(an alias, which is not supported: write out the value\)",
        ),
        (BILLION_LAUGHS, r"config\.yaml:2: invalid YAML \(an alias"),
        (CONFIG + "a: " + "[" * 10_000, r"config\.yaml:9: invalid YAML \(nested more than 20 levels deep\)"),
        (
            CONFIG + "a: " + "1:" * 50_000 + "1\n",
            r"config\.yaml:9: invalid YAML \(a number of 100 characters or more\)",
        ),
        (CONFIG + "a: !!bool x\n", r"invalid YAML \(invalid value"),
        (CONFIG + "a: 2001-99-99\n", r"invalid YAML \(month must be in 1\.\.12\)"),
        (
            CONFIG.replace("output: out", "output: ~nobody-has-this-name/x"),
            r"output \(line 3\): Could not determine home",
        ),
        ("just words", r"not a mapping of keys"),
    ],
)
def test_what_is_wrong_is_named_with_key_and_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_config(write_config(tmp_path, text))


def test_all_faults_are_named_at_once(tmp_path):
    with pytest.raises(ConfigError, match=r"speed \(line 9\).*colour \(line 10\)"):
        read_config(write_config(tmp_path, CONFIG + "speed: 3\ncolour: red\n"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.yaml: the file cannot be read"):
        read_config(tmp_path / "nothing.yaml")


# ---- examples ----


def texts():
    return Texts(["q1", "q2"], ["first", "second"], ["d1", "d2", "d3"], ["one", "two", "three"])


def write_lines(path, *records):
    text = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_pairs_triples_and_scored_lists_by_id(tmp_path):
    path = write_lines(
        tmp_path / "examples.jsonl.gz",
        {"qid": "q1", "docids": ["d1", "d2", "d3"], "scores": [1.0, 3.0, 2.0]},
    )
    (example,) = read_examples(path, texts())
    assert example.query == 0
    assert example.passages.tolist() == [1, 2, 0]  # best first
    assert example.scores.tolist() == [3.0, 2.0, 1.0]
    path = write_lines(
        tmp_path / "triples.jsonl",
        {"qid": "q2", "positive_id": "d3", "negative_id": "d1"}, {"qid": "q1", "positive_id": "d2"},
    )  # fmt: skip
    triple, pair = read_examples(path, texts())
    assert (triple.query, triple.passages.tolist(), triple.scores) == (1, [2, 0], None)
    assert pair.passages.tolist() == [1]


def test_texts_in_the_records_are_added_once(tmp_path):
    known = Texts([], [], [], [])
    path = write_lines(
        tmp_path / "examples.jsonl",
        {"query": "what", "positive": "this", "negative": "that"}, {"query": "what", "positive": "that"},
    )  # fmt: skip
    first, second = read_examples(path, known)
    assert list(known.queries) == ["what"]
    assert list(known.passages) == ["this", "that"]
    assert first.passages.tolist() == [0, 1]
    assert second.passages.tolist() == [1]


def test_parquet_says_the_same(tmp_path):
    table = pa.table({"qid": ["q1"], "docids": [["d1", "d2"]], "scores": [[0.5, 0.75]]})
    pyarrow.parquet.write_table(table, tmp_path / "examples.parquet")
    (example,) = read_examples(tmp_path / "examples.parquet", texts())
    assert example.passages.tolist() == [1, 0]


def test_written_examples_are_read_again(tmp_path):
    known = texts()
    given = [
        Example(1, np.array([2, 0]), np.array([0.5, 0.25], np.float32)),
        Example(0, np.array([1]), np.array([1.0])),
    ]
    assert write_examples(tmp_path / "examples.jsonl.gz", known, given) == 2
    read = read_examples(tmp_path / "examples.jsonl.gz", known)
    for ours, theirs in zip(read, given, strict=True):
        assert ours.query == theirs.query
        assert ours.passages.tolist() == theirs.passages.tolist()
        assert ours.scores.tolist() == theirs.scores.tolist()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"qid": "q1", ', r"examples\.jsonl:2: invalid JSON"),
        ("[1]", r"examples\.jsonl:2: not a JSON object"),
        ({"positive_id": "d1"}, r":2: a record needs either qid or query"),
        ({"qid": "q1", "query": "x", "positive_id": "d1"}, r":2: a record needs either qid or query"),
        ({"qid": "q9", "positive_id": "d1"}, r":2: qid 'q9' is not in data\.queries"),
        ({"qid": "q1", "positive_id": "d9"}, r":2: positive_id 'd9' is not in data\.passages"),
        ({"qid": "q1"}, r":2: the query has no passage"),
        ({"qid": "q1", "negative_id": "d1"}, r":2: the query has no passage"),
        ({"qid": "q1", "docids": []}, r":2: docids must be a list of at least one passage"),
        ({"qid": "q1", "docids": ["d1"], "scores": [1, 2]}, r":2: scores must be 1 finite numbers"),
        ({"qid": "q1", "docids": ["d1"], "scores": ["x"]}, r":2: scores must be 1 finite numbers"),
        ('{"qid": "q1", "docids": ["d1"], "scores": [NaN]}', r":2: scores must be 1 finite numbers"),
        ({"query": "x", "positive": 5}, r":2: positive must be a string, got 5"),
        ({"qid": "q1", "docids": ["d1"], "scores": [10**400]}, r":2: scores must be 1 finite numbers"),
        ({"qid": "q1", "docids": ["d1"], "scores": [1]}, r"some records have scores and others do not"),
        (
            {"qid": "q1", "positive_id": "d1", "negative_id": "d2", "scores": [1]},
            r":2: scores must be 2 finite numbers",
        ),
        ({"qid": "q1", "docids": ["d1"], "scores": [1e39]}, r":2: scores must be 1 finite numbers.* single precision"),
        ({"query": "x", "passages": ["y", None]}, r":2: passages must be a string, got None"),
        (
            {"qid": "q1", "positive": "y"},
            r":2: positive cannot be combined with qid\. Use only qid, .*, or only query, ",
        ),
        ({"qid": "q1", "positive_id": "d1", "negative": "y"}, r":2: negative cannot be combined with qid"),
        ({"qid": "q1", "passages": ["y"]}, r":2: passages cannot be combined with qid"),
        ({"query": "x", "positive_id": "d1"}, r":2: positive_id cannot be combined with query"),
        ({"query": "x", "positive": "y", "docids": ["d1"]}, r":2: docids cannot be combined with query"),
        ({"qid": "q1", "positive_id": "d1", "docids": ["d2"]}, r":2: positive_id cannot be combined with docids"),
        ({"query": "x", "passages": ["y"], "negative": "z"}, r":2: negative cannot be combined with passages"),
    ],
)
def test_bad_records_are_named_with_their_line(tmp_path, record, message):
    path = write_lines(tmp_path / "examples.jsonl", {"qid": "q1", "positive_id": "d1"}, record)
    with pytest.raises(ExamplesError, match=message):
        read_examples(path, texts())


@pytest.mark.parametrize(
    "key", ["Scores", "neg_ids", "hard_negatives", "source", "negatives", "positive_ids", "pos", "positive_passages", "negative_x"],
)  # fmt: skip
def test_keys_that_are_not_used_are_refused_by_name_unless_they_are_ignored_by_name(tmp_path, key):
    by_id = {"qid": "q1", "positive_id": "d1"}
    path = write_lines(tmp_path / "examples.jsonl", {**by_id, key: None}, {**by_id, key: ["d2"]})
    with pytest.raises(ExamplesError, match=rf"jsonl:2: unknown key {key}\. .* docids, .* scores.* data\.ignored_keys"):
        read_examples(path, texts())
    assert [each.passages.tolist() for each in read_examples(path, texts(), ignored=[key])] == [[0], [0]]
    table = pa.table({"query": ["a", "b"], "positive": ["c", "d"], key: [None, 1]})
    pyarrow.parquet.write_table(table, tmp_path / "examples.parquet")
    with pytest.raises(ExamplesError, match=rf"parquet:2: unknown key {key}\. .* passages, .* scores"):
        read_examples(tmp_path / "examples.parquet", texts())


def test_scores_of_pairs_and_triples_make_them_scored_lists(tmp_path):
    path = write_lines(
        tmp_path / "examples.jsonl", {"qid": "q1", "positive_id": "d1", "negative_id": "d2", "scores": [1.5, 2.5]},
        {"query": "x", "positive": "y", "negative": "z", "scores": [3, -1]}, {"qid": "q2", "positive_id": "d3", "scores": [7]},
    )  # fmt: skip
    read = read_examples(path, texts())
    assert [each.passages.tolist() for each in read] == [[0, 1], [3, 4], [2]]  # the positive stays the positive
    assert [each.scores.tolist() for each in read] == [[1.5, 2.5], [3, -1], [7]]
    assert [each.positives for each in read] == [1, 1, 1]


def test_examples_of_blank_queries_are_dropped(tmp_path, caplog):
    known = Texts(["q1", "q2"], ["first", " "], ["d1"], ["one"])
    both = [{"qid": "q2", "positive_id": "d1"}, {"qid": "q1", "positive_id": "d1"}]
    path = write_lines(tmp_path / "examples.jsonl", *both)
    assert [example.query for example in read_examples(path, known)] == [0]
    assert "skipped examples with blank queries: 1" in caplog.text
    (tmp_path / "train.tsv").write_text("q2 0 d1 1\nq1 0 d1 1\n")
    assert [example.query for example in read_examples(tmp_path / "train.tsv", known)] == [0]
    with pytest.raises(ExamplesError, match=r"examples\.jsonl: the queries of all examples are blank"):
        read_examples(write_lines(path, both[0]), known)


@pytest.mark.parametrize("name", ["examples.jsonl.gz", "examples.parquet"])
def test_files_that_are_none_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(ExamplesError, match=name):
        read_examples(tmp_path / name, texts())


def test_an_empty_or_missing_file_is_named(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ExamplesError, match="no examples found"):
        read_examples(tmp_path / "empty.jsonl", texts())
    with pytest.raises(ExamplesError, match="no such file"):
        read_examples(tmp_path / "none.jsonl", texts())


def test_judgments_are_pairs(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\nq1\td3\t0\nq2\td1\t2\n")
    assert [(each.query, each.passages.tolist(), each.scores) for each in read_examples(path, texts())] == [
        (0, [1], None), (1, [0], None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q9 0 d1 1", r"train\.tsv:3: qid 'q9' is not in data\.queries\. Check data\.queries"),
        ("q2\td9\t1", r"train\.tsv:3: docid 'd9' is not in data\.passages\. Check data\.passages"),
    ],
)
def test_unknown_ids_of_judgments_are_named_with_their_line(tmp_path, line, message):
    path = tmp_path / "train.tsv"
    path.write_text(f"q1 0 d1 1\n\n{line}\nq1 0 d2 1\n{line}\n")
    with pytest.raises(ExamplesError, match=message):
        read_examples(path, texts())
    path.write_text("q9 0 d1 0\nq1 0 d2 1\n")
    assert len(read_examples(path, texts())) == 1  # what is not relevant need not be known


def test_several_lists_of_a_query_are_known_together():
    given = [
        Example(0, np.array([3, 1]), np.array([9.0, 1.0])), Example(2, np.array([2]), np.array([4.0])),
        Example(0, np.array([1, 5]), np.array([2.0, 0.5])),
    ]  # fmt: skip
    scorer = RankedScorer(known_scores(given, 3).rankings, "none")
    none = np.nan
    expected = [[none, 2, none, 9, none, 0.5], [none] * 6, [none, none, 4, none, none, none]]
    np.testing.assert_array_equal(scorer.scores(np.arange(3), np.arange(6)), expected)


def test_what_is_drawn_from_an_example_has_its_scores_and_not_those_of_another_one():
    given = [
        Example(0, np.array([3, 1]), np.array([0.0, -2.0]), 1), Example(0, np.array([3, 5]), np.array([0.0, -7.0]), 1),
        Example(0, np.array([4, 1]), np.array([0.0, -9.0]), 1), Example(2, np.array([2, 1]), np.array([4.0, 1.0]), 1),
    ]  # fmt: skip
    scorer = ExampleScorer(given, 3)
    assert scorer.disputed == 1  # the first query, whose passage 1 has two scores
    rows = np.array([[0, 4, 1], [2, 2, 1]], np.int32)
    none = np.nan
    np.testing.assert_array_equal(scores_of_batch(scorer, rows), [[0, none, -9, -9], [none, 4, 1, 1]])
    own = scores_of_batch(scorer, np.array([[0, 3, 1]], np.int32))
    np.testing.assert_array_equal(own, [[0, -2]])
    np.testing.assert_array_equal(scores_of_batch(scorer, np.array([[0, 3, 5]], np.int32)), [[0, -7]])
    ranked = RankedScorer(known_scores(given, 3).rankings, "none")  # of a teacher, which has no examples
    np.testing.assert_array_equal(scores_of_batch(ranked, rows), [[0, none, -2, -2], [none, 4, 1, 1]])


def test_halves_of_surrogate_pairs_in_texts_become_replacement_characters(tmp_path):
    known = Texts([], [], [], [])
    path = write_lines(tmp_path / "examples.jsonl", '{"query": "a \\ud800", "positive": "b \\udc00 c"}')
    read_examples(path, known)
    assert [*known.queries, *known.passages] == ["a \ufffd", "b \ufffd c"]


def test_beir_folders_are_read(tmp_path):
    write_lines(tmp_path / "corpus.jsonl", {"_id": "d1", "title": "A", "text": "b"})
    write_lines(tmp_path / "queries.jsonl", {"_id": "q1", "text": "what"})
    read = read_texts(str(tmp_path), str(tmp_path))
    assert (list(read.passages), list(read.queries)) == (["A b"], ["what"])


@pytest.mark.parametrize("name", ["passages.tsv", "passages.jsonl.gz"])
def test_a_file_without_passages_or_queries_is_named(tmp_path, name):
    write_lines(tmp_path / name)
    (tmp_path / "queries.tsv").write_text("q1\twhat\n")
    with pytest.raises(CorpusError, match=rf"{name}: no passages found\. Check"):
        read_texts(str(tmp_path / name), str(tmp_path / "queries.tsv"))
    with pytest.raises(TopicsError, match=rf"{name}: no queries in this file\. Check"):
        read_texts(None, str(tmp_path / name))
    assert not read_texts(None, None).passages


# ---- teachers ----


def test_an_ensemble_adds_what_its_parts_say():
    source = np.random.default_rng(0)
    queries, passages = source.normal(size=(3, 8)).astype(np.float16), source.normal(size=(5, 8)).astype(np.float16)
    ranked = RankedScorer(
        [(np.array([1, 3]), np.array([4.0, 2.0], np.float32)), (np.zeros(0, np.int64), np.zeros(0, np.float32)),
         (np.array([0]), np.array([7.0], np.float32))], "best",
    )  # fmt: skip
    assert ranked.scores(np.arange(3), np.arange(5)).tolist() == [[0, 1, 0, 0.5, 0], [0] * 5, [1, 0, 0, 0, 0]]
    both = Ensemble([(2.0, DenseScorer(queries, passages)), (0.5, ranked)])
    expected = 2 * (queries.astype(np.float32) @ passages.astype(np.float32).T)
    expected += 0.5 * ranked.scores(np.arange(3), np.arange(5))
    assert np.allclose(both.scores(np.array([2, 0]), np.array([4, 0, 1])), expected[[2, 0]][:, [4, 0, 1]], atol=1e-5)


def test_scores_without_a_meaningful_zero_go_up_to_1_and_unlisted_passages_have_none():
    run = {"q1": [("d2", -3.0), ("d1", -7.0), ("d9", -9.0)], "q2": [("d1", 5.0)]}
    rankings = rankings_by_row(run, ["q1", "q2", "q3"], {"d1": 0, "d2": 1, "d3": 2})
    scores = RankedScorer(rankings, "range").scores(np.arange(3), np.arange(3))
    none = np.nan
    np.testing.assert_allclose(scores, [[0.05, 1, none], [1, none, none], [none, none, none]], rtol=1e-6)
    with_others = Ensemble([(2.0, RankedScorer(rankings, "best")), (1.0, RankedScorer(rankings, "range"))])
    assert np.isnan(with_others.scores(np.arange(3), np.arange(3))).tolist() == np.isnan(scores).tolist()


# ---- mining ----


@pytest.fixture
def sources(tmp_path):
    """Makes sources of three queries and four passages; the teacher is a run file."""
    known = Texts(
        ["q1", "q2", "q3"], ["heart blood", "river bank", "\t "], ["d1", "d2", "d3", "d4"],
        ["blood of a heart", "a river", "bank of a river", "a heart"],
    )  # fmt: skip

    def make(run, queries=(0, 1, 2)):
        (tmp_path / "teacher.trec").write_text(run)
        teacher = Teacher(scores=str(tmp_path / "teacher.trec"))
        return Sources(known, np.array(queries), teacher, tmp_path, "cpu", lambda _: NO_PROGRESS)

    return make


def test_mined_candidates_are_in_the_teachers_order(sources, caplog):
    mined = mine(sources("q1 Q0 d4 1 9 t\nq2 Q0 d3 1 5 t\nq2 Q0 d2 2 4 t\n"), Mining())
    assert [(each.query, each.passages.tolist()) for each in mined] == [(0, [3, 0]), (1, [2, 1])]
    np.testing.assert_array_equal(mined[0].scores, [1, np.nan])  # one that the run lacks is the last, without a score
    assert caplog.messages == ["skipped blank queries: 1"]


def test_two_runs_do_not_build_the_same_bm25_index(sources, monkeypatch):
    held = []

    def index_texts(_documents, index, **_):
        held.append(is_locked(index.with_name(f"{index.name}.lock")))
        raise KeyboardInterrupt

    monkeypatch.setattr(mining, "index_texts", index_texts)
    with pytest.raises(KeyboardInterrupt):
        mine(sources("q1 Q0 d4 1 9 t\n"), Mining())
    assert held == [True]


def test_queries_that_the_teacher_says_nothing_of_are_refused_or_dropped(sources, caplog):
    run = "q2 Q0 d2 1 9 t\nq1 Q0 d2 1 7 t\n"
    with pytest.raises(
        ExamplesError,
        match=r"teacher\.trec: 1 of 2 queries have no candidate scored .*first one: 'q1'.*missing_scores: drop",
    ):
        mine(sources(run, (0, 1)), Mining(scores=0))
    both = mine(sources(run, (0, 1)), Mining())  # the passages of the teacher's file are candidates, too
    assert [(each.query, each.passages.tolist()[0]) for each in both] == [(0, 1), (1, 1)]
    (mined,) = mine(sources(run, (0, 1)), Mining(scores=0), missing="drop")
    assert (mined.query, mined.passages.tolist()) == (1, [1, 2])
    assert caplog.messages == ["skipped queries without a candidate scored by the teacher: 1"]
    with pytest.raises(ExamplesError, match=r"scores none of the mined candidates.*Check that teacher\.scores"):
        mine(sources("q1 Q0 d2 1 7 t\n", (0, 1)), Mining(scores=0))


def test_what_is_distilled_has_two_different_scores(sources, caplog):
    run = "q1 Q0 d4 1 9 t\nq2 Q0 d3 1 5 t\nq2 Q0 d2 2 4 t\n"
    with pytest.raises(
        ExamplesError, match=r"1 of 2 queries have no pair of candidates to which the teacher gives different"
    ):
        mine(sources(run, (0, 1)), Mining(), is_distilled=True)
    (mined,) = mine(sources(run, (0, 1)), Mining(), missing="drop", is_distilled=True)
    assert (mined.query, mined.passages.tolist()) == (1, [2, 1])
    assert mined.scores.tolist() == [1, pytest.approx(0.05)]
    assert caplog.messages == [
        "skipped queries without a pair of candidates to which the teacher gives different scores: 1"
    ]
    with pytest.raises(ExamplesError, match="scores none of the mined candidates"):
        mine(sources("q2 Q0 d3 1 5 t\nq2 Q0 d2 1 5 t\n", (1,)), Mining(), is_distilled=True)  # all are equal


def test_queries_that_are_all_blank_are_named(sources):
    with pytest.raises(ExamplesError, match=r"all queries are blank\. Check data\.queries"):
        mine(sources("q1 Q0 d2 1 7 t\n", (2,)), Mining())


# ---- drawing ----


def lists(count=40, length=30):
    source = np.random.default_rng(1)
    return [
        Example(q, source.permutation(200)[:length], np.linspace(1, 0, length, dtype=np.float32)) for q in range(count)
    ]


def test_each_step_gets_its_passages_and_the_seed_decides():
    settings = Optimization(steps=7, queries=9, passages=4, seed=3)
    rows = draw_rows(lists(), settings, positives=5, passages=200)
    assert rows.shape == (63, 5)
    assert np.array_equal(rows, draw_rows(lists(), settings, positives=5, passages=200))
    others = draw_rows(lists(), Optimization(steps=7, queries=9, passages=4, seed=4), positives=5, passages=200)
    assert not np.array_equal(rows, others)
    assert {row[0] for row in rows[:40].tolist()} == set(range(40))  # every query once, before one comes again


def test_the_first_passage_is_among_the_best_and_the_others_are_farther_down():
    examples = lists()
    for query, first, second, third in draw_rows(examples, Optimization(steps=20, queries=20), 5, 200):
        ranks = [examples[query].passages.tolist().index(row) for row in (first, second, third)]
        assert ranks[0] < 5 <= ranks[1] < ranks[2]


def test_lists_that_are_too_short_are_filled_with_other_passages():
    examples = [Example(0, np.array([7])), Example(1, np.array([3, 4]), np.array([1.0, 0.5]))]
    for query, *passages in draw_rows(examples, Optimization(steps=10, queries=2, passages=3), 5, 200):
        assert len(set(passages)) == 3
        assert passages[0] in ([7] if query == 0 else [3, 4])


def drawn_as_before(examples, settings, positives, passages):
    """The loop of the versions whose results are published."""
    source = np.random.default_rng(settings.seed)
    rows: list[Any] = []
    while len(rows) < settings.steps * settings.queries:
        for number in source.permutation(len(examples))[: settings.steps * settings.queries - len(rows)]:
            listed, count = examples[number].passages, settings.passages
            if examples[number].scores is None:
                drawn = listed[:count].tolist()
            else:
                best = min(positives, max(1, len(listed) - count + 1))
                drawn = [listed[source.integers(best)]]
                if len(listed) > best:
                    bounds = np.unique(np.geomspace(best, len(listed), count).round().astype(int)).tolist()
                    drawn += [listed[source.integers(low, high)] for low, high in pairwise(bounds)]
            while len(drawn) < count:
                row = source.integers(passages)
                if row not in drawn:
                    drawn.append(row)
            rows.append([examples[number].query, *drawn])
    return np.array(rows, np.int32)


def pairs_and_triples(count=40):
    source = np.random.default_rng(2)
    return [Example(q, source.permutation(50)[: 1 + q % 2]) for q in range(count)]


@pytest.mark.parametrize("passages", [1, 2, 3, 6])
@pytest.mark.parametrize("examples", [lists(), lists(length=7), lists(length=3), pairs_and_triples()])
def test_what_is_drawn_of_one_example_a_query_is_what_was_always_drawn(examples, passages):
    for steps, queries in ((8, 5), (13, 3), (1, 40), (3, 1)):
        settings = Optimization(steps=steps, queries=queries, passages=passages, seed=6)
        rows = draw_rows(examples, settings, positives=2, passages=200)
        assert np.array_equal(rows, drawn_as_before(examples, settings, 2, 200))


def of_queries(*queries):
    return [Example(query, np.array([number])) for number, query in enumerate(queries)]


@pytest.mark.parametrize(
    "examples", [of_queries(*range(10)), of_queries(*[*range(8)] * 3), of_queries(0, 0, 0, *range(8))]
)
def test_no_query_comes_twice_in_a_batch(examples):
    for seed in range(20):
        rows = draw_rows(examples, Optimization(steps=40, queries=7, passages=1, seed=seed), 1, 50)
        for batch in rows.reshape(40, 7, 2):
            assert len(set(batch[:, 0].tolist())) == 7
        counts = np.bincount(rows[:, 1], minlength=len(examples))
        assert counts.min() > 0
        if len(examples) == 24:  # as many of each query
            assert counts.max() - counts.min() < 4


def test_an_example_comes_again_after_all_others_where_queries_allow_it():
    examples = of_queries(*range(10))
    for seed in range(20):
        rows = draw_rows(examples, Optimization(steps=50, queries=4, passages=1, seed=seed), 1, 50)[:, 0]
        assert all(len(set(rows[at : at + 10].tolist())) == 10 for at in range(0, 200, 10))


def test_fewer_queries_than_a_batch_has_come_as_seldom_as_possible():
    rows = draw_rows(of_queries(0, 0, 0, 0, 1, 2), Optimization(steps=30, queries=7, passages=1), 1, 50)
    for batch in rows.reshape(30, 7, 2):
        assert sorted(np.bincount(batch[:, 0]).tolist()) == [2, 2, 3]
    assert set(rows[:, 1].tolist()) == set(range(6))
    assert draw_rows(of_queries(3), Optimization(steps=2, queries=2, passages=1), 1, 50).tolist() == [[3, 0]] * 4


def test_what_other_examples_of_a_query_hold_is_no_negative():
    examples = [Example(0, np.array([row])) for row in range(6)] + [Example(1, np.array([9]))]
    for query, first, *others in draw_rows(examples, Optimization(steps=50, queries=2, passages=3), 1, 10).tolist():
        assert len({first, *others}) == 3
        assert not set(others) & (set(range(6)) if query == 0 else {9})


def test_where_too_few_passages_are_unknown_known_ones_follow_them():
    examples = [Example(0, np.array([row])) for row in range(4)]
    for _, first, *others in draw_rows(examples, Optimization(steps=20, queries=1, passages=4), 1, 5).tolist():
        assert first < 4
        assert others[0] == 4
        assert len({first, *others}) == 4


def test_of_a_list_without_scores_the_first_is_the_positive_and_the_others_are_drawn():
    examples = [Example(query, np.arange(10) + 10 * query) for query in range(2)]
    rows = draw_rows(examples, Optimization(steps=60, queries=2, passages=4), 5, 200)
    for query, first, *others in rows.tolist():
        assert first == 10 * query
        assert len(set(others)) == 3
        assert set(others) <= set(range(10 * query + 1, 10 * query + 10))
    assert set(rows[:, 2:].ravel().tolist()) == set(range(20)) - {0, 10}


def test_more_passages_of_a_query_than_there_are_are_refused():
    with pytest.raises(
        ConfigError, match=r"needs 4 passages, but the collection has only 3\. Lower optimization\.passages"
    ):
        draw_rows([Example(0, np.array([0]))], Optimization(steps=1, queries=1, passages=4), 1, 3)
    rows = draw_rows([Example(0, np.array([0]))], Optimization(steps=1, queries=1, passages=3), 1, 3)
    assert sorted(rows[0, 1:].tolist()) == [0, 1, 2]


def test_columns_hold_the_rows():
    columns = to_columns(np.array([[1, 2, 0], [0, 1, 1]], np.int32))
    assert {name: column.tolist() for name, column in columns.items()} == {
        "query": [1, 0], "passage_1": [2, 1], "passage_2": [0, 1], "label": [[1, 2, 0], [0, 1, 1]],
    }  # fmt: skip
