"""Published formats of training data, dropped examples, and missing scores."""

import gzip
import io
import json
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from splade_lucene.errors import ExamplesError, RunError
from splade_lucene.training.examples import (
    Dropped,
    Example,
    Texts,
    known_scores,
    read_examples,
    read_scores,
    read_texts,
    require_scores,
    write_examples,
)
from splade_lucene.training.examples.pickled import RefusedPickleError, read_pickle


def no_texts():
    return Texts([], [], [], [])


def numbered(queries=3, passages=6):
    """Queries and passages with the ids 1, 2, 3 … as in MS MARCO."""
    return Texts(
        [str(i + 1) for i in range(queries)], [f"query {i + 1}" for i in range(queries)],
        [str(i + 1) for i in range(passages)], [f"passage {i + 1}" for i in range(passages)],
    )  # fmt: skip


def write_lines(path, *records):
    text = "".join(json.dumps(each) + "\n" for each in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def told(examples, known):
    """Each example with texts in place of ids: query, positives, others, scores."""
    return [
        (
            known.queries[each.query],
            [known.passages[row] for row in each.passages[: each.positives]],
            [known.passages[row] for row in each.passages[each.positives :]],
            None if each.scores is None else each.scores.tolist(),
        )
        for each in examples
    ]


def read_record(tmp_path, *records, **options):
    known = no_texts()
    return told(read_examples(write_lines(tmp_path / "e.jsonl", *records), known, **options), known)


# ---- sentence-transformers ----

SENTENCE_TRANSFORMERS = {
    "pair": ({"anchor": "q", "positive": "a"}, (["a"], [], None)),
    "pair of question and answer": ({"question": "q", "answer": "a"}, (["a"], [], None)),
    "triplet": ({"anchor": "q", "positive": "a", "negative": "b"}, (["a"], ["b"], None)),
    "n-tuple": (
        {"query": "q", "positive": "a", "negative_2": "c", "negative_1": "b", "negative_10": "d"},
        (["a"], ["b", "c", "d"], None),
    ),
    "triplet with a margin": ({"query": "q", "positive": "a", "negative": "b", "label": 2.5}, (["a"], ["b"], [0, -2.5])),
    "triplet with scores": ({"query": "q", "positive": "a", "negative": "b", "scores": [1, 3]}, (["a"], ["b"], [1, 3])),
    "n-tuple with margins": (
        {"query": "q", "positive": "a", "negative_1": "b", "negative_2": "c", "label": [2, -1]},
        (["a"], ["b", "c"], [0, -2, 1]),
    ),
    "n-tuple with scores": (
        {"query": "q", "positive": "a", "negative_1": "b", "negative_2": "c", "scores": [5, 4, 3]},
        (["a"], ["b", "c"], [5, 4, 3]),
    ),
    "labelled list": (
        {"query": "q", "docs": ["b", "a", "c", "d"], "labels": [0, 1, 0, 2]}, (["a", "d"], ["b", "c"], None),
    ),
    "labelled list with scores": (
        {"query": "q", "docs": ["b", "a"], "labels": [0, 1], "scores": [7, 8]}, (["a"], ["b"], [8, 7]),
    ),
    "scored list": ({"query": "q", "docs": ["b", "a"], "scores": [7, 8]}, ([], ["a", "b"], [8, 7])),
}  # fmt: skip


@pytest.mark.parametrize("name", SENTENCE_TRANSFORMERS)
def test_shapes_of_sentence_transformers(tmp_path, name):
    record, expected = SENTENCE_TRANSFORMERS[name]
    assert read_record(tmp_path, record) == [("q", *expected)]
    table = pa.Table.from_pylist([record])
    pyarrow.parquet.write_table(table, tmp_path / "e.parquet")
    known = no_texts()
    assert told(read_examples(tmp_path / "e.parquet", known), known) == [("q", *expected)]


def test_labelled_pairs_are_gathered_by_query(tmp_path):
    rows = [("p", "a", 1), ("q", "c", 0), ("p", "b", 0), ("q", "d", 1), ("p", "e", 0)]
    pairs = [{"query": query, "passage": passage, "label": label} for query, passage, label in rows]
    assert read_record(tmp_path, *pairs) == [("p", ["a"], ["b", "e"], None), ("q", ["d"], ["c"], None)]
    scored = [{"query": query, "answer": passage, "score": 1.5 * label} for query, passage, label in rows]
    assert read_record(tmp_path, *scored) == [("p", [], ["a", "b", "e"], [1.5, 0, 0]), ("q", [], ["d", "c"], [1.5, 0])]
    with pytest.raises(
        ExamplesError, match=r"e\.jsonl:1: the label of a pair must be 0 or 1, got 0\.7\. Write .* as score"
    ):
        read_record(tmp_path, {"query": "p", "answer": "a", "label": 0.7})
    with pytest.raises(ExamplesError, match=r"no example can be used \(examples without a relevant passage: 1\)"):
        read_record(tmp_path, {"query": "p", "answer": "a", "label": 0})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"query": "q", "positive": "a", "negative": "b", "label": "1"}, r"label must be the margin .* got '1'"),
        ({"query": "q", "positive": "a", "negative_1": "b", "negative_2": "c", "label": 1}, r"label must be 2 margins or 3 scores"),
        ({"query": "q", "positive": "a", "negative_1": "b", "scores": [1, 2, 3]}, r"scores must be 2 finite numbers"),
        ({"query": "q", "docs": ["a"], "labels": [0.5]}, r"labels must be whole numbers"),
        ({"query": "q", "docs": ["a", "b"], "labels": [1]}, r"labels must be 2 finite numbers"),
        ({"query": "q", "passage": "a"}, r"passage needs a label or a score"),
        ({"query": "q", "anchor": "p", "positive": "a"}, r"anchor cannot be combined with query"),
        ({"sentence1": "q", "sentence2": "a"}, r"a record needs either qid or query; it has sentence1, sentence2\. "),
        ({"query": "q", "positives": ["a"]}, r"the query has no passage \(positive or passages; unknown: positives\)"),
        ({"query": "q", "positive": 17}, r"positive must be a string, got 17\. .*ids are written as qid, positive_id"),
        ({"query": "q", "positive": "a", "negative_1_id": "b"}, r"unknown key negative_1_id"),
    ],
)  # fmt: skip
def test_impossible_records_of_sentence_transformers_are_named(tmp_path, record, message):
    with pytest.raises(ExamplesError, match=rf"e\.jsonl:1: {message}"):
        read_record(tmp_path, record)


def test_tuples_of_ids(tmp_path):
    record = {"query_id": 1, "positive_id": 2, "negative_id_1": 3, "negative_id_2": 4}
    known = numbered()
    path = write_lines(tmp_path / "e.jsonl", record, {"query_id": 2, "doc_ids": [5, 6], "labels": [0, 1]})
    assert told(read_examples(path, known), known) == [
        ("query 1", ["passage 2"], ["passage 3", "passage 4"], None), ("query 2", ["passage 6"], ["passage 5"], None),
    ]  # fmt: skip


# ---- other programs ----


def test_hard_negatives_by_system_with_the_scores_of_a_cross_encoder(tmp_path):
    path = write_lines(
        tmp_path / "msmarco-hard-negatives.jsonl.gz",
        {"qid": 1, "pos": [2], "neg": {"bm25": [3, 4], "msmarco-distilbert-base-tas-b": [4, 5]}},
        {"qid": 2, "pos": [1], "neg": {"bm25": [6]}},
    )  # fmt: skip
    known = numbered()
    assert told(read_examples(path, known), known) == [
        ("query 1", ["passage 2"], ["passage 3", "passage 4", "passage 5"], None),
        ("query 2", ["passage 1"], ["passage 6"], None),
    ]
    scores = {1: {2: 9.5, 3: -1.25, 4: np.float32(0.5), 5: np.float64(2)}, 2: {1: 3, 6: 1.5}}
    (tmp_path / "scores.pkl.gz").write_bytes(gzip.compress(pickle.dumps(scores)))
    known = numbered()
    read = read_examples(path, known, scores=read_scores(tmp_path / "scores.pkl.gz"))
    assert [each.scores.tolist() for each in read] == [[9.5, -1.25, 0.5, 2], [3, 1.5]]
    inside = {"qid": 1, "pos": [{"pid": 2, "ce-score": 9.5}], "neg": {"bm25": [{"pid": 3, "ce-score": -1}]}}
    known = numbered()
    assert told(read_examples(write_lines(path, inside), known), known) == [
        ("query 1", ["passage 2"], ["passage 3"], [9.5, -1])
    ]
    with pytest.raises(ExamplesError, match="have scores, but data.scores is given as well"):
        read_examples(path, numbered(), scores={"1": {"2": 1.0}})
    dropped = Dropped(path)
    own = {"qid": 1, "pos": [2, 2], "neg": {"bm25": [2, 3], "tas-b": [3]}}  # 2 is its own negative
    known = numbered()
    read = read_examples(write_lines(path, own), known, dropped=dropped)
    assert told(read, known) == [("query 1", ["passage 2"], ["passage 3"], None)]
    assert dropped.counts == {"negatives that are their query's positive": 1, "passages listed twice for a query": 1}
    with pytest.raises(ExamplesError, match=r"scores\.pkl\.gz: pickles hold scores.* Set data\.scores"):
        read_examples(tmp_path / "scores.pkl.gz", numbered())
    (tmp_path / "scores.pkl.gz").write_bytes(gzip.compress(pickle.dumps(scores)[:-2]))
    with pytest.raises(ExamplesError, match=r"scores\.pkl\.gz: the file cannot be read \(.+\)"):
        read_scores(tmp_path / "scores.pkl.gz")
    with pytest.raises(ExamplesError, match=r":1: neg '9' is not in data\.passages"):
        read_examples(write_lines(path, {"qid": 1, "pos": [2], "neg": {"bm25": [9]}}), numbered())


def test_tevatron(tmp_path):
    record = {
        "query_id": "7", "query": "q", "answers": ["x"],
        "positive_passages": [{"docid": "a", "title": "A", "text": "b"}],
        "negative_passages": [{"docid": "c", "title": "", "text": "d"}, {"docid": "e", "text": "f"}],
    }  # fmt: skip
    known = no_texts()
    path = write_lines(tmp_path / "e.jsonl", record)
    assert told(read_examples(path, known), known) == [("q", ["A b"], ["d", "f"], None)]
    assert (known.qids, known.docids) == (["7"], ["a", "c", "e"])
    other = {
        "query_id": "8",
        "query": "p",
        "positive_passages": [{"docid": "a", "title": "", "text": "something else"}],
    }
    with pytest.raises(ExamplesError, match=r"e\.jsonl:2: 'a' has the text 'A b' elsewhere, and 'something else' here"):
        read_examples(write_lines(path, record, other), no_texts())
    with pytest.raises(ExamplesError, match=r":1: unknown key score in positive_passages"):
        read_record(tmp_path, {**record, "positive_passages": [{"docid": "a", "text": "b", "score": 3}]})
    with pytest.raises(ExamplesError, match=r":1: positive_passages must be a list, got 'a'"):
        read_record(tmp_path, {**record, "positive_passages": "a"})


def test_flag_embedding(tmp_path):
    record = {"query": "q", "pos": ["a", "b"], "neg": ["c"], "pos_scores": [1.5, 2], "neg_scores": [-1]}
    assert read_record(tmp_path, record) == [("q", ["a", "b"], ["c"], [1.5, 2, -1])]
    without = {key: value for key, value in record.items() if "scores" not in key}
    assert read_record(tmp_path, without) == [("q", ["a", "b"], ["c"], None)]
    for change, message in (
        ({"pos_scores": None}, r"pos_scores are missing"), ({"neg_scores": [1, 2]}, r"neg_scores must be 1 finite numbers"),
        ({"prompt": "Represent"}, r"unknown key prompt.* data\.ignored_keys"),
        ({"pos_id": ["1"]}, r"pos_id cannot be combined with query.* data\.ignored_keys"), ({"pos": "a"}, r"pos must be a list, got 'a'"),
    ):  # fmt: skip
        with pytest.raises(ExamplesError, match=rf"e\.jsonl:1: {message}"):
            read_record(tmp_path, {**record, **change})
    assert read_record(tmp_path, {**record, "prompt": "Represent"}, ignored=["prompt"])[0][1] == ["a", "b"]


def test_triples_of_ms_marco_by_text_and_by_id(tmp_path):
    by_text = tmp_path / "triples.train.small.tsv"
    by_text.write_text('what is it\tThis one, 12.\tThat one.\nwho are they\tSome people\t"Others" are\n')
    known = no_texts()
    assert told(read_examples(by_text, known), known) == [
        ("what is it", ["This one, 12."], ["That one."], None), ("who are they", ["Some people"], ['"Others" are'], None),
    ]  # fmt: skip
    by_id = tmp_path / "qidpidtriples.train.full.2.tsv.gz"
    by_id.write_bytes(gzip.compress(b"1\t20\t30\n2\t30\t4000000\n"))
    known = Texts(["1", "2"], ["one", "two"], ["20", "30", "4000000"], ["a", "b", "c"])
    assert told(read_examples(by_id, known), known) == [("one", ["a"], ["b"], None), ("two", ["b"], ["c"], None)]
    scored = tmp_path / "bert_cat_ensemble_msmarcopassage_train_scores_ids.tsv"
    scored.write_text("11.5\t-2.25\t1\t20\t30\n1e1\t.5\t2\t30\t4000000\n")
    assert told(read_examples(scored, known), known) == [
        ("one", ["a"], ["b"], [11.5, -2.25]),
        ("two", ["b"], ["c"], [10, 0.5]),
    ]
    for line, message in (
        ("1\t20", r"tsv\.gz:3: expected 3 columns \(qid, positive_id, negative_id\), got 2"),
        ("1\t20\t31", r"tsv\.gz:3: negative_id '31' is not in data\.passages"),
        ("9\t20\t30", r"tsv\.gz:3: qid '9' is not in data\.queries"),
    ):
        by_id.write_bytes(gzip.compress(b"1\t20\t30\n\n" + line.encode()))
        with pytest.raises(ExamplesError, match=message):
            read_examples(by_id, known)


def test_folders_of_naver_splade(tmp_path):
    for name, text in (
        ("collection/raw.tsv", "1\tone\n2\ttwo\n3\tthree\n4\tfour\n"), ("queries/raw.tsv", "10\tfirst\n11\tsecond\n"),
        ("triplets/raw.tsv", "what\tthis one\tthat one\n"), ("judged/qrel.json", '{"10": {"1": 1, "2": 0}, "11": {"3": 1}}'),
        ("scores.json", '{"10": {"1": 9.5, "2": 1.0, "3": -2.5}, "11": {"3": 4.0, "4": 5.0}}'),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    known = read_texts(str(tmp_path / "collection"), str(tmp_path / "queries"))
    assert list(known.queries) == ["first", "second"]
    assert told(read_examples(tmp_path / "judged", known), known) == [
        ("first", ["one"], [], None), ("second", ["three"], [], None),
    ]  # fmt: skip
    read = read_examples(tmp_path / "judged", known, scores=read_scores(tmp_path / "scores.json"))
    assert told(read, known) == [("first", ["one"], ["three"], [9.5, -2.5]), ("second", ["three"], ["four"], [4, 5])]
    assert told(read_examples(tmp_path / "scores.json", known), known) == [
        ("first", [], ["one", "two", "three"], [9.5, 1, -2.5]), ("second", [], ["four", "three"], [5, 4]),
    ]  # fmt: skip
    assert told(read_examples(tmp_path / "triplets", known), known) == [("what", ["this one"], ["that one"], None)]
    (tmp_path / "scores.json").write_text('{"10": {"1": 9.5, "2": "x"}}')
    with pytest.raises(ExamplesError, match=r"scores\.json:1: the scores of query '10' must be 2 finite numbers"):
        read_examples(tmp_path / "scores.json", known)
    with pytest.raises(ExamplesError, match=r"the folder has no files of examples \(qrels/train\.tsv, raw\.tsv"):
        read_examples(tmp_path, known)


def test_data_sets_of_the_hub(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set/data").mkdir(parents=True)
    table = pa.table({"anchor": ["q", "p"], "positive": ["a", "b"], "negative_1": ["c", "d"]})
    pyarrow.parquet.write_table(table, tmp_path / "set/data/train-00000-of-00001.parquet")
    known = no_texts()
    assert told(read_examples(f"hf:{tmp_path / 'set'}", known), known) == [
        ("q", ["a"], ["c"], None),
        ("p", ["b"], ["d"], None),
    ]
    assert len(read_examples(f"hf:{tmp_path / 'set'}:default:train", no_texts())) == 2
    with pytest.raises(ExamplesError, match=r"cannot read hf:.*set:dev \(.*Check the name, the subset, the split"):
        read_examples(f"hf:{tmp_path / 'set'}:dev", no_texts())
    assert len(read_examples(tmp_path / "set", no_texts())) == 2


# ---- pickles ----


class Harmful:
    def __reduce__(self):
        return (print, ("this code was run",))


def test_pickles_that_ask_for_more_than_numbers_are_refused_and_run_nothing(tmp_path, capsys):
    path = tmp_path / "scores.pkl"
    for value, message in (
        (Harmful(), r"holds \w+\.print, and only numbers"), ({"1": {"2": Harmful()}}, r"holds \w+\.print"),
        (np.zeros(3), r"holds numpy\S*"), ({"1": {"2": np.str_("a")}}, "NumPy's type 'U1'"),
        (Dropped("x"), r"holds copyreg\._reconstructor|holds splade_lucene"), ({"1": {"2": bytearray(b"x")}}, "bytearray|array of bytes"),
    ):  # fmt: skip
        for protocol in (2, 5):
            path.write_bytes(pickle.dumps(value, protocol))
            with pytest.raises(ExamplesError, match=rf"scores\.pkl: .*({message})"):
                read_scores(path)
    assert capsys.readouterr().out == ""
    # sets an attribute of the function that stands for NumPy's
    path.write_bytes(b"\x80\x02cnumpy.core.multiarray\nscalar\n}X\x01\x00\x00\x00ak\x01sb.".replace(b"k\x01", b"K\x01"))
    with pytest.raises(ExamplesError, match="the pickle changes a function"):
        read_scores(path)


def test_pickles_of_a_few_bytes_do_not_fill_the_memory(tmp_path):
    path = tmp_path / "scores.pkl"
    for data in (
        b"\x80\x02]r\xff\xff\xff\xff.",  # remembered under the highest number
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",  # an array of a tebibyte
        b"\x80\x04\x95\xff\xff\xff\xff\xff\x00\x00\x00}.", b"\x80\x04\x8d\xff\xff\xff\xff\xff\x00\x00\x00x.",
    ):  # fmt: skip
        path.write_bytes(data)
        with pytest.raises(ExamplesError, match=r"scores\.pkl"):
            read_scores(path)


def test_numbers_of_numpy_are_read_from_pickles_of_both_versions(tmp_path):
    path = tmp_path / "scores.pkl"
    value = {1: {2: np.float32(0.5), 3: np.float64(-1e300), 4: np.int64(2**40), 5: np.float16(2)}}
    for protocol in (2, 4, 5):
        data = pickle.dumps(value, protocol)
        for module in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
            if protocol == 2:
                data = data.replace(b"numpy._core.multiarray", module)
            path.write_bytes(data)
            assert read_pickle(path) == {1: {2: 0.5, 3: -1e300, 4: 2**40, 5: 2.0}}
    path.write_bytes(b"nonsense")
    with pytest.raises(RefusedPickleError, match="not a pickle"):
        read_pickle(path)


def test_a_pickle_has_a_greatest_size(tmp_path, monkeypatch):
    path = tmp_path / "scores.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps({"1": {str(i): float(i) for i in range(1000)}})))
    assert len(read_scores(path)["1"]) == 1000
    monkeypatch.setattr("splade_lucene.training.examples.pickled.MAX_BYTES", 5000)
    with pytest.raises(
        ExamplesError, match=r"pkl\.gz: the pickle is longer than 5,000 bytes\. Write the scores as JSON"
    ):
        read_scores(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", '{"1": {"2": NaN}}', r"s\.json: the score nan of '2' for query '1' is not a finite number"),
        ("s.json", '{"1": [1]}', r"s\.json: not scores by query and passage"),
        ("s.json", '{"1": {"2": 1e39}}', r"s\.json: the score 1e\+39 of '2' .* single precision"),
        ("s.json", '{"1": {"2": true}}', r"s\.json: the score True"), ("s.json", '{"1": ', r"s\.json:1: invalid JSON"),
        ("s.trec", "1 Q0 2 1 3 t\n1 Q0 3 2 -1e39 t\n", r"s\.trec:2: the score -1e\+39 is not in the range of single"),
    ],
)  # fmt: skip
def test_impossible_scores_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises((ExamplesError, RunError), match=message):
        read_scores(tmp_path / name)


# ---- dropped examples ----


def test_what_nothing_can_be_learnt_from_is_dropped_and_counted_by_id_and_as_text(tmp_path, caplog):
    known = Texts(["q", "r", "s"], ["q", "r", " "], list("abcde"), ["one", "two", "\u200b", "ONE \n", "four"])
    by_id: list[dict[str, Any]] = [
        {"qid": "q", "positive_id": "a", "negative_id": "a"}, {"qid": "q", "positive_id": "a", "negative_id": "d"},
        {"qid": "r", "docids": ["b", "b", "b", "b", "b"]}, {"qid": "r", "positive_id": "b", "negative_id": "c"},
        {"qid": "r", "positive_id": "c", "negative_id": "a"}, {"qid": "s", "positive_id": "a"},
        {"qid": "r", "docids": ["b", "e", "e"]}, {"qid": "r", "docids": ["e", "d", "a"], "scores": [1, 2, 3]},
    ]  # fmt: skip
    expected: list[Any] = (
        [("q", ["one"], [], None)] * 2 + [("r", ["two"], [], None)] * 2 + [("r", ["two"], ["four"], None)]
    )
    counts = {
        "negatives that are their query's positive": 6, "passages listed twice for a query": 1, "blank passages": 2,
        "examples without a relevant passage": 1, "examples with blank queries": 1,
    }  # fmt: skip
    dropped = Dropped("")
    path = write_lines(tmp_path / "e.jsonl", *by_id[:-1])
    assert told(read_examples(path, known, dropped=dropped), known) == expected
    assert dropped.counts == counts
    text_of = dict(zip([*known.qids, *known.docids], [*known.queries, *known.passages], strict=True))
    names = {"qid": "query", "positive_id": "positive", "negative_id": "negative", "docids": "passages"}
    as_text = [
        {names[key]: [text_of[each] for each in value] if isinstance(value, list) else text_of[value] for key, value in record.items()}
        for record in by_id[:-1]
    ]  # fmt: skip
    dropped, fresh = Dropped(""), no_texts()
    assert told(read_examples(write_lines(path, *as_text), fresh, dropped=dropped), fresh) == expected
    assert dropped.counts == counts
    dropped.log()
    assert f"{path}: skipped negatives that are their query's positive: 6 (the first on line 1)" in caplog.messages
    # of a ranked list, the passage with the better score stays
    ranked = read_examples(write_lines(path, by_id[-1]), known)
    assert told(ranked, known) == [("r", [], ["one", "four"], [3, 1])]


# ---- missing scores ----


def example(query, passages, scores, positives=0, line=None):
    return Example(query, np.array(passages), np.array(scores, np.float32), positives, line)


def test_missing_scores_are_refused_or_dropped_and_never_filled():
    none = np.nan
    given = [
        example(0, [0, 1], [1, 2], 1, 1), example(0, [0, 1, 2], [3, none, 1], 1, 2), example(1, [0, 1], [none, 2], 1, 3),
        example(1, [0, 1], [5, 5], 1, 4), example(2, [0, 1], [1, 2], 2, 5), example(2, [3, 4], [4, none], 0, 6),
    ]  # fmt: skip
    dropped = Dropped("e.jsonl")
    with pytest.raises(
        ExamplesError,
        match=r"e\.jsonl:2: 5 of 6 examples lack a teacher's scores: 3 have passages without a score, 4 have no two "
        r"passages of different scores\. This is the first one\. .*data\.missing_scores: drop",
    ):
        require_scores(given, "refuse", dropped, is_distilled=True)
    dropped = Dropped("e.jsonl")
    kept = require_scores(given, "drop", dropped, is_distilled=True)
    assert [(each.line, each.passages.tolist(), each.scores.tolist()) for each in kept] == [
        (1, [0, 1], [1, 2]), (2, [0, 2], [3, 1]),
    ]  # fmt: skip
    assert dropped.counts == {"passages without a score": 3, "examples without two passages of different scores": 4}
    with pytest.raises(ExamplesError, match=r"no example has two passages of different scores"):
        require_scores(given[2:], "drop", Dropped("e.jsonl"), is_distilled=True)
    (only,) = require_scores(given[:1], "refuse", Dropped("e.jsonl"), is_distilled=True)
    assert (only.line, only.passages.tolist(), only.scores.tolist()) == (1, [0, 1], [1, 2])


def test_a_contrastive_loss_needs_scores_only_where_nothing_else_says_what_is_relevant():
    labelled = [example(0, [0, 1], [np.nan, 2], 1, 1), example(0, [0, 1], [5, 5], 1, 2)]
    kept = require_scores(labelled, "refuse", Dropped(""), is_distilled=False)
    assert [(each.line, each.passages.tolist()) for each in kept] == [(1, [0, 1]), (2, [0, 1])]
    with pytest.raises(ExamplesError, match=r"1 of 1 examples .*, so it is unknown which one is relevant"):
        require_scores([example(0, [0, 1], [5, 5], 0, 2)], "refuse", Dropped(""), is_distilled=False)


def test_a_missing_score_survives_the_file_of_mined_examples(tmp_path):
    known = numbered()
    given = [example(1, [2, 0], [0.5, np.nan])]
    write_examples(tmp_path / "e.jsonl.gz", known, given)
    (read,) = read_examples(tmp_path / "e.jsonl.gz", known)
    np.testing.assert_array_equal(read.scores, given[0].scores)
    assert known_scores([read], 3).rankings[1][0].tolist() == [2]
    assert json.loads(gzip.decompress((tmp_path / "e.jsonl.gz").read_bytes()))["scores"] == [0.5, None]


def test_damaged_files_of_every_shape_are_named(tmp_path):
    for name in ("e.jsonl.gz", "e.json", "e.parquet", "e.tsv.gz"):
        (tmp_path / name).write_bytes(b"\xff nonsense")
        with pytest.raises((ExamplesError, RunError), match=name):
            read_examples(tmp_path / name, numbered())
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"query": ["a"]}), stream)
    (tmp_path / "e.parquet").write_bytes(stream.getvalue())
    with pytest.raises(ExamplesError, match=r"e\.parquet:1: the query has no passage \(positive or passages\)"):
        read_examples(tmp_path / "e.parquet", numbered())


# ---- what would be read as something else ----


def test_a_header_of_triples_is_no_example(tmp_path):
    for header in ("query\tpositive\tnegative", "Anchor\tpos\tneg", "question\tanswer\tnegative"):
        (tmp_path / "triples.tsv").write_text(f"{header}\nwhat is it\tthis one\tthat one\n")
        known = no_texts()
        read = told(read_examples(tmp_path / "triples.tsv", known), known)
        assert read == [("what is it", ["this one"], ["that one"], None)]
    known = numbered(passages=40)
    (tmp_path / "train.tsv").write_text("qid\tpos_id\tneg_id\n1\t20\t30\n")
    (read,) = read_examples(tmp_path / "train.tsv", known)  # the docids are no relevance
    assert (read.positives, [known.docids[row] for row in read.passages]) == (1, ["20", "30"])
    (tmp_path / "broken.tsv").write_text("qid\tpos_id\tneg_id\n1\t20\n")
    with pytest.raises(ExamplesError, match=r"broken\.tsv:2: expected 3 columns"):
        read_examples(tmp_path / "broken.tsv", known)


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("e.tsv", ['what\tthis\tthat', 'what is "it"\t"is it ""this"""\tthat'], r"e\.tsv:2: columns are quoted as in CSV"),
        ("e.tsv", ['"what is"\t"this one"\t"that one"'] * 2, r"e\.tsv:1: columns are quoted as in CSV"),
        ("e.csv", ["query,positive,negative", "what,this,that"], r"e\.csv:1: the columns are not separated by tabs"),
        ("e.tsv", ["what is this\ta b c", "who\td e f"], r"e\.tsv:1: the table has two columns.* with query and positive"),
        ("e.tsv", [f"1\t{number}\t20\t1" for number in range(11)], r"e\.tsv:1: four columns are qid, iteration"),
        ("triples.tsv", ["1 \t20\t30"], r"triples\.tsv:1: qid '1 ' is not in data\.queries"),
        ("e.jsonl", ['{"query": "1", "positive": "20", "negative": "30"}'],
         r"e\.jsonl:1: query '1' and all its passages are ids of .* Write them as qid, positive_id"),
        ("e.jsonl", ['{"query": "1", "passages": ["20", "30"], "scores": [2, 1]}'], r"all its passages are ids"),
    ],
)  # fmt: skip
def test_what_would_be_read_as_something_else_is_refused(tmp_path, name, lines, message):
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    with pytest.raises(ExamplesError, match=message):
        read_examples(tmp_path / name, numbered(passages=40))


def test_triples_of_short_docids_are_no_judgments(tmp_path):
    known = numbered(passages=40)
    (tmp_path / "train.tsv").write_text("1\t20\t30\n2\t21\t7\n")
    first, second = read_examples(tmp_path / "train.tsv", known)
    assert [[known.docids[row] for row in each.passages] for each in (first, second)] == [["20", "30"], ["21", "7"]]
    (tmp_path / "train.tsv").write_text("1\t20\t3\n2\t21\t0\n")  # grades, which are docids, too
    (judged,) = read_examples(tmp_path / "train.tsv", known)
    assert [known.docids[row] for row in judged.passages] == ["20"]
    (tmp_path / "train.tsv").write_text("1\t20\t99\n2\t21\t50\n")  # per cent
    assert [len(each.passages) for each in read_examples(tmp_path / "train.tsv", known)] == [1, 1]


def test_what_a_file_is_called_in_capitals_does_not_matter(tmp_path):
    record = {"query": "what", "positive": "this one", "negative": "that one"}
    (tmp_path / "E.JSON").write_text(json.dumps([record]))
    (tmp_path / "E.TSV").write_text("what\tthis one\tthat one\n")
    pyarrow.parquet.write_table(pa.Table.from_pylist([record]), tmp_path / "E.PARQUET")
    for name in ("E.JSON", "E.TSV", "E.PARQUET"):
        known = no_texts()
        assert told(read_examples(tmp_path / name, known), known) == [("what", ["this one"], ["that one"], None)]
    (tmp_path / "S.JSON").write_text('{"1": {"20": 1.5}}')
    assert read_scores(tmp_path / "S.JSON") == {"1": {"20": 1.5}}


def test_an_id_that_a_pickle_has_as_a_number_and_as_a_string_is_refused(tmp_path):
    for scores in ({1: {20: 1.5}, "1": {20: 3.0}}, {1: {20: 1.5, "20": 3.0}}):
        (tmp_path / "scores.pkl").write_bytes(pickle.dumps(scores))
        with pytest.raises(ExamplesError, match=r"scores\.pkl: the id (1|20) is used both as a number and as a string"):
            read_scores(tmp_path / "scores.pkl")


def test_a_folder_with_several_parquet_files_says_how_to_read_them(tmp_path):
    for number in (0, 1):
        pyarrow.parquet.write_table(pa.table({"query": ["a"], "positive": ["b"]}), tmp_path / f"train-{number}.parquet")
    with pytest.raises(ExamplesError, match=rf"has 2 files of examples .*all parquet files as hf:{tmp_path}"):
        read_examples(tmp_path, no_texts())


def test_texts_with_quotation_marks_of_their_own_are_left_alone(tmp_path):
    lines = ['"to be" or "not"\tsaid "he"\t"alone"', "one\ttwo\tthree four"]
    (tmp_path / "e.tsv").write_text("\n".join(lines) + "\n")
    known = no_texts()
    read = told(read_examples(tmp_path / "e.tsv", known), known)
    assert read[0] == ('"to be" or "not"', ['said "he"'], ['"alone"'], None)


def test_whole_numbers_that_are_no_grades_are_scores(tmp_path):
    (tmp_path / "e.json").write_text(json.dumps({"1": {"20": 13, "30": -4}, "2": {"30": 9}}))
    first, second = read_examples(tmp_path / "e.json", numbered(passages=40))
    assert (first.scores.tolist(), second.scores.tolist()) == ([13.0, -4.0], [9.0])
    (tmp_path / "e.json").write_text(json.dumps({"1": {"20": 3, "30": -1}}))
    (judged,) = read_examples(tmp_path / "e.json", numbered(passages=40))
    assert (judged.scores, judged.positives, len(judged.passages)) == (None, 1, 1)
