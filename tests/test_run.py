"""Run files, to the letter, and the order that evaluators see in them."""

import gzip
import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.files import write

from splade_lucene.errors import RunError, StorageError
from splade_lucene.run.formats import RUN_FORMATS, RunFormat, looks_like
from splade_lucene.run.run import Run, open_run_writer, strictly_falling

docids = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=10)
falling_scores = st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 20), max_size=60).map(
    lambda scores: sorted(scores, reverse=True)
)


def trec_order(path):
    """What trec_eval makes of a file: scores as C floats, descending, then docids as bytes, descending."""
    rankings: dict[str, list[tuple[float, bytes]]] = {}
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        qid, _, docid, _, score, _ = line.split(" ")
        rankings.setdefault(qid, []).append((float(np.float32(score)), docid.encode()))
    return {qid: [docid.decode() for _, docid in sorted(hits, reverse=True)] for qid, hits in rankings.items()}


# ---- scores that fall strictly ----


def test_scores_by_hand():
    # between 4 and 8 neighbours are 2**-21 apart
    assert strictly_falling([7, 5, 5, 5, 4]) == [7.0, 5.0, 5.0 - 2**-21, 5.0 - 2 * 2**-21, 4.0]
    assert strictly_falling([3, 2, 1]) == [3.0, 2.0, 1.0]
    assert strictly_falling([]) == []
    assert strictly_falling([2**24 + 1, 2**24]) == [2.0**24, 2.0**24 - 1]  # single precision cannot tell them apart


@given(falling_scores)
def test_scores_fall_strictly_in_single_precision(scores):
    falling = strictly_falling(scores)
    assert len(falling) == len(scores)
    single = np.array(falling, dtype=np.float64).astype(np.float32)
    assert (np.diff(single) < 0).all()
    assert single.astype(np.float64).tolist() == falling  # exact


@given(falling_scores)
def test_scores_without_ties_stay_as_they_are(scores):
    distinct = [score for score in sorted(set(scores), reverse=True) if score <= 2**24]
    assert strictly_falling(distinct) == distinct


@given(falling_scores)
def test_changed_scores_keep_the_order_and_stay_close(scores):
    falling = strictly_falling(scores)
    for score, changed in zip(scores, falling, strict=True):
        assert abs(changed - score) <= 2**-23 * max(1, score) * (len(scores) + 1)
    for i in range(len(scores)):
        for j in range(i):
            if scores[j] > scores[i]:
                assert falling[j] > falling[i]


# ---- writing ----


def test_trec_lines_by_hand(tmp_path):
    run = Run({"q1": [("d2", 7), ("d1", 5), ("d9", 5)], "q2": [("d3", 16_777_216)]})
    run.write(tmp_path / "new" / "run.txt")
    assert (tmp_path / "new" / "run.txt").read_text() == (
        "q1 Q0 d2 1 7 splade-lucene\n"
        "q1 Q0 d1 2 5 splade-lucene\n"
        "q1 Q0 d9 3 4.9999995 splade-lucene\n"
        "q2 Q0 d3 1 16777216 splade-lucene\n"
    )


def test_msmarco_lines_by_hand(tmp_path):
    Run({"q1": [("d2", 7), ("d1", 5), ("d9", 5)], "q2": [("d3", 1)]}).write(tmp_path / "run.tsv", format="msmarco")
    assert (tmp_path / "run.tsv").read_text() == "q1\td2\t1\nq1\td1\t2\nq1\td9\t3\nq2\td3\t1\n"


def test_tag_and_gzip(tmp_path):
    Run({"q": [("d", 3)]}).write(tmp_path / "run.txt.gz", tag="my-tag")
    assert gzip.decompress((tmp_path / "run.txt.gz").read_bytes()) == b"q Q0 d 1 3 my-tag\n"


def test_hits_of_a_searcher_are_written_as_pairs_are(tmp_path):
    hits = SimpleNamespace(docids=["a", "b"], scores=np.array([9, 9], dtype=np.int64))
    Run({"q": hits}).write(tmp_path / "hits.txt")
    Run({"q": [("a", 9), ("b", 9)]}).write(tmp_path / "pairs.txt")
    with open_run_writer(tmp_path / "writer.txt") as writer:
        writer.add("q", hits)
    text = (tmp_path / "hits.txt").read_text()
    assert text.startswith("q Q0 a 1 9 splade-lucene\nq Q0 b 2 8.999999")
    assert (tmp_path / "pairs.txt").read_text() == (tmp_path / "writer.txt").read_text() == text


# ---- rankings of any form ----

SCORES = {"b": 2, "low": -1.0, "a": 2.0, "best": 5}


def test_a_mapping_of_scores_is_ranked_by_its_scores(tmp_path):
    ranked = [("best", 5.0), ("a", 2.0), ("b", 2.0), ("low", -1.0)]  # the tie by docid, as in a searcher
    for order in itertools.permutations(SCORES):
        assert Run({"q": {docid: SCORES[docid] for docid in order}})["q"] == ranked
    with open_run_writer(tmp_path / "run.txt", tag="t") as writer:
        writer.add("q", SCORES)
    assert (
        tmp_path / "run.txt"
    ).read_text() == "q Q0 best 1 5 t\nq Q0 a 2 2 t\nq Q0 b 3 1.9999999 t\nq Q0 low 4 -1 t\n"


@given(st.dictionaries(docids, st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
def test_a_mapping_of_scores_without_ties_is_ranked_as_trec_eval_ranks_it(tmp_path_factory, drawn):
    scores = {docid: score for score, docid in {score: docid for docid, score in drawn.items()}.items()}
    path = tmp_path_factory.mktemp("run") / "run.txt"
    path.write_text("".join(f"q Q0 {docid} 0 {score!r} t\n" for docid, score in scores.items()), encoding="utf-8")
    assert [docid for docid, _ in Run({"q": scores})["q"]] == trec_order(path)["q"]


def test_every_form_of_ranking():
    ranked = [("d2", 7.0), ("1", 5.0)]
    columns = SimpleNamespace(docids=["d2", 1], scores=np.array([7, 5]))
    objects = [SimpleNamespace(docid="d2", score=7), SimpleNamespace(docid=np.int64(1), score=5)]
    pairs = [("d2", 7), (1, np.float32(5))]
    for form in (columns, objects, pairs, iter(pairs), map(tuple, pairs), {1: 5, "d2": 7}, dict(pairs)):
        assert dict(Run({np.int64(4): form})) == {"4": ranked}


@pytest.mark.parametrize(
    ("rankings", "says"),
    [
        ([("q", [("d", 1)])], "for an object of another package, Run.from_ranx, Run.from_ir_measures or"),
        (iter([("q", [("d", 1)])]), "expected a run, got list_iterator"),
        ({1.0: {}}, "expected a valid string or an integer as qid, got 1.0"),
        ({None: {}}, "got None"),
        ({1: {}, "1": {}}, "two rankings have the qid '1'"),
        ({"q": {1: 2, "1": 3}}, "document '1' is ranked twice for query 'q'"),
        ({"q": [("d", 3), ("e", 2), ("d", 1)]}, "document 'd' is ranked twice for query 'q'"),
        ({"q": {1.5: 2}}, "expected a valid string or an integer as docid, got 1.5 (query 'q')"),
        ({"q": {"a\ud800": 2.0}}, "expected a valid string or an integer as docid, got 'a\\ud800'"),
        ({"q\udfff": {"d": 2.0}}, "expected a valid string or an integer as qid"),
        ({"q": {"d": "5"}}, "the score '5' of query 'q' is not a number"),
        ({"q": {"d": None}}, "the score None of query 'q' is not a number"),
        ({"q": {"d": True}}, "the score True of query 'q' is not a number"),
        ({"q": [("d", [1])]}, "the score [1] of query 'q' is not a number"),
        ({"q": {"d": float("nan"), "e": 1}}, "query 'q' has a score that is not a finite number: nan"),
        ({"q": [("low", 1.0), ("best", 5.0)]}, "query 'q': the score rises from 1 at rank 1 to 5 at rank 2"),
        ({"q": ["d1", "d2"]}, "expected a docid and a score for query 'q', got 'd1'"),
        ({"q": "d1"}, "expected the ranking of query 'q', got 'd1'"),
        ({"q": 5}, "expected the ranking of query 'q', got 5"),
    ],
)
def test_rankings_that_cannot_be_read_are_named(rankings, says):
    with pytest.raises(RunError, match=re.escape(says)) as caught:
        Run(rankings)
    assert caught.value.remedy


def test_a_run_file_is_named_by_its_path(tmp_path):
    path = write(tmp_path / "run.txt", "q Q0 d 1 5 t\n")
    with path.open() as file, pytest.raises(RunError, match="expected a path, got .*TextIOWrapper"):
        Run.read(file)  # type: ignore[arg-type]


def test_run_is_a_mapping():
    run = Run({"q1": [("d", 1)], "q2": []})
    assert list(run) == ["q1", "q2"]
    assert len(run) == 2
    assert run["q1"] == [("d", 1.0)]
    assert run["q2"] == []
    assert "q3" not in run


@given(st.lists(docids, min_size=2, max_size=30, unique=True), st.data())
def test_evaluators_see_the_order_that_was_written(tmp_path_factory, docs, data):
    scores = sorted((data.draw(st.integers(1, 5)) for _ in docs), reverse=True)  # many ties
    path = tmp_path_factory.mktemp("run") / "run.txt"
    Run({"q": zip(docs, scores, strict=True)}).write(path)
    assert trec_order(path) == {"q": docs}


qids = docids.filter(lambda qid: not qid.startswith("\ufeff"))


def test_a_qid_with_a_byte_order_mark_is_not_written(tmp_path):
    with pytest.raises(RunError, match="begins with a byte order mark"):
        Run({"\ufeff1": [("d", 1)]}).write(tmp_path / "run.txt")


@given(st.dictionaries(qids, st.tuples(st.lists(docids, min_size=1, unique=True), st.integers(0, 2**31)), min_size=1))
def test_what_is_written_is_read_back(tmp_path_factory, drawn):
    rankings = {qid: [(doc, top - i // 3) for i, doc in enumerate(docs)] for qid, (docs, top) in drawn.items()}
    folder = tmp_path_factory.mktemp("run")
    Run(rankings).write(folder / "run.txt")
    again = Run.read(folder / "run.txt")
    assert {qid: [docid for docid, _ in hits] for qid, hits in again.items()} == {
        qid: [docid for docid, _ in hits] for qid, hits in rankings.items()
    }
    for qid, hits in again.items():
        for (_, score), (_, written) in zip(hits, rankings[qid], strict=True):
            assert score == pytest.approx(written, rel=1e-5, abs=1e-5)
    again.write(folder / "again.txt")
    assert (folder / "again.txt").read_bytes() == (folder / "run.txt").read_bytes()


def test_json_by_hand(tmp_path):
    Run({"q1": [("d2", 7), ("é", 5), ("d9", 5)], "q2": []}).write(tmp_path / "run.json", format="json")
    text = '{\n"q1": {"d2": 7, "é": 5, "d9": 4.9999995},\n"q2": {}\n}\n'
    assert (tmp_path / "run.json").read_text(encoding="utf-8") == text
    assert json.loads(text) == {"q1": {"d2": 7, "é": 5, "d9": 4.9999995}, "q2": {}}
    Run({}).write(tmp_path / "empty.json", format="json")
    assert json.loads((tmp_path / "empty.json").read_text()) == {}


rankings = st.dictionaries(docids, st.lists(docids, min_size=1, max_size=8, unique=True), min_size=1, max_size=4)


@pytest.mark.parametrize("name", ["run", "run.gz"])
@pytest.mark.parametrize("form", RUN_FORMATS)
@given(drawn=rankings, data=st.data())
@settings(max_examples=40)
def test_every_form_is_read_back_and_told_from_the_others(tmp_path_factory, name, form, drawn, data):
    numbers = st.floats(-1e6, 1e6, width=32) | st.integers(0, 4)
    falling = {qid: sorted((data.draw(numbers) for _ in docs), reverse=True) for qid, docs in drawn.items()}
    run = Run({qid: zip(docs, falling[qid], strict=True) for qid, docs in drawn.items()})
    folder = tmp_path_factory.mktemp("run")
    run.write(folder / name, format=form, tag="mine")
    again = Run.read(folder / name)
    assert again.format == form
    assert {qid: [docid for docid, _ in hits] for qid, hits in again.items()} == drawn
    for qid, hits in run.items():
        expected = (
            [1 / rank for rank in range(1, len(hits) + 1)]
            if form == "msmarco"
            else strictly_falling([s for _, s in hits])
        )
        assert [np.float32(score) for _, score in again[qid]] == [np.float32(score) for score in expected]
    again.write(folder / f"again-{name}", format=form)
    assert (folder / f"again-{name}").read_bytes() == (folder / name).read_bytes()  # the tag, too


@given(drawn=rankings)
@settings(max_examples=30)
def test_one_form_after_another_keeps_the_order(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("run")
    Run({qid: [(docid, 3) for docid in docs] for qid, docs in drawn.items()}).write(folder / "0", format="trec")
    forms: tuple[RunFormat, ...] = ("json", "msmarco", "json", "trec")
    for number, form in enumerate(forms):
        Run.read(folder / str(number)).write(folder / str(number + 1), format=form)
    assert {qid: [docid for docid, _ in hits] for qid, hits in Run.read(folder / "4").items()} == drawn


@pytest.mark.parametrize("form", RUN_FORMATS)
def test_what_no_reader_would_take_is_not_written(tmp_path, form):
    for qid, hits, reason in (
        ("q", [("d", 2), ("e", 1), ("d", 0)], "document 'd' is ranked twice for query 'q'"),
        ("q", [("d", float("nan"))], "a score that is not a finite number"),
        ("q", [("d", 1e39)], "a score that is not a finite number"),  # beyond single precision
        ("q 1", [("d", 1)], "the qid 'q 1' is not valid"),
    ):
        with pytest.raises(RunError, match=reason):
            Run({qid: hits}).write(tmp_path / "run", format=form)
    with open_run_writer(tmp_path / "twice", format=form) as writer:
        writer.add("q", [("d", 1)])
        with pytest.raises(RunError, match="query 'q' already has a ranking"):
            writer.add("q", [("e", 1)])
    assert list(Run.read(tmp_path / "twice")) == ["q"]
    assert [path.name for path in tmp_path.iterdir()] == ["twice"]


@pytest.mark.parametrize("tag", ["", "my tag", "tab\ttag", "line\n", " tag"])
def test_tag_with_white_space_is_refused(tmp_path, tag):
    with pytest.raises(RunError, match="is empty or contains white space"):
        Run({"q": [("d", 1)]}).write(tmp_path / "run.txt", tag=tag)
    assert list(tmp_path.iterdir()) == []


def test_unknown_format_is_refused(tmp_path):
    with pytest.raises(RunError, match="unknown run format 'csv'") as caught:
        Run({"q": [("d", 1)]}).write(tmp_path / "run.txt", format="csv")  # type: ignore[arg-type]
    assert caught.value.remedy == "Choose trec, msmarco or json"
    assert list(tmp_path.iterdir()) == []


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "run.txt", tmp_path / "folder"):
        with pytest.raises(StorageError, match="cannot write") as caught:
            Run({"q": [("d", 1)]}).write(path)
        assert str(caught.value).startswith(f"{path}: ")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "x"


def test_run_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "run.txt"
    with open_run_writer(path) as writer:
        writer.add("q", [("d", 1)])
        assert not path.exists()
    assert path.read_text() == "q Q0 d 1 1 splade-lucene\n"


def fail_half_way(path):
    with open_run_writer(path) as writer:
        writer.add("q", [("d", 1)])
        raise KeyboardInterrupt


def test_interrupted_run_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fail_half_way(tmp_path / "run.txt")
    assert list(tmp_path.iterdir()) == []


# ---- reading ----


def test_reading_sorts_as_evaluators_do(tmp_path):
    path = write(
        tmp_path / "run.txt",
        "q2 Q0 x 1 1 t\n\nq1 Q0 d10 1 3 t\nq1 Q0 d2 2 3.0 t\nq1\tQ0\te  3 7e0 t\nq1 Q0 é 4 3.00000001 t\nq1 Q0 z 9 -1 t\n",
    )
    run = Run.read(path)
    assert list(run) == ["q2", "q1"]
    # ranks are ignored; 3.00000001 is 3 in single precision; ties by docid as bytes, descending
    assert [docid for docid, _ in run["q1"]] == ["e", "é", "d2", "d10", "z"]
    assert run["q2"] == [("x", 1.0)]


@pytest.mark.parametrize("kind", ["trec", "msmarco", "json"])
def test_half_of_a_surrogate_pair_is_refused_when_a_run_is_written(tmp_path, kind):
    path = tmp_path / "run"
    for rankings, tag in (
        ({"q\ud800": {"d": 1.0}}, "t"),
        ({"q": {"d\udc00": 1.0}}, "t"),
        ({"q": {"d": 1.0}}, "t\udc00"),
    ):
        with pytest.raises(RunError, match=r"valid string or an integer as|an unpaired surrogate"):
            Run(rankings).write(path, format=kind, tag=tag)
    with (
        pytest.raises(RunError, match="valid string or an integer as docid"),
        open_run_writer(path, format=kind) as writer,
    ):
        writer.add("q", [("d\ud800", 1.0)])
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_word_of_a_tag_counts(tmp_path):
    path = write(tmp_path / "run.txt", "q Q0 d 1 5 STANDARD more junk at\nq Q0 e 2 4 STANDARD end of lines.\n")
    run = Run.read(path)
    assert (dict(run), run.tag) == ({"q": [("d", 5.0), ("e", 4.0)]}, "STANDARD")  # as trec_eval reads it


def test_gzipped_run_is_read(tmp_path):
    assert dict(Run.read(write(tmp_path / "r.gz", "q Q0 d 1 5 t\n"))) == {"q": [("d", 5.0)]}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("q Q0 d 1 5", "expected six columns (qid Q0 docid rank score tag), found 5"),
        ("q Q0 my doc 1 5 t", "found 7"),
        ("q 1 Q0 d 1 5 t", "found 7"),
        ("q\td\t1", "found 3"),
        ("q Q0 d 1 five t", "the score 'five' is not a number"),
        ("q Q0 d 1 nan t", "the score 'nan' is not a number"),
        ("p Q0 d 2 4 t", "document 'd' is ranked twice for query 'p'"),
    ],
)
def test_malformed_line_is_named(tmp_path, line, says):
    path = write(tmp_path / "run.txt", f"p Q0 d 1 5 t\n\n{line}\n")
    with pytest.raises(RunError) as caught:
        Run.read(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert says in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q\td\t1\nq\te\t1\n", ":2: duplicate rank 1 (query 'q')"),
        ("q\td\t1\nq\te\t0\n", ":2: the rank '0' is not an integer of at least 1"),
        ("q\td\t1\nq\te\t1.5\n", ":2: the rank '1.5' is not an integer"),
        ("q\td\t1\nq\te\t²\n", ":2: the rank '²' is not an integer"),
        ("q\td\t1\nq\td\t2\n", ":2: document 'd' is ranked twice for query 'q'"),
        ("q\td\t1\nq Q0 e 2 4 t\n", ":2: expected three columns (qid, docid, rank), found 6"),
        ("q Q0 e 2 4 t\nq\td\t1\n", ":2: expected six columns (qid Q0 docid rank score tag), found 3"),
        ('\n{"q": {"d": 1,}}', ":2: invalid JSON"),
        ('{"q": {"d": 1}, "q": {}}', ": query 'q' is a duplicate"),
        ('{"q": {"d": 1, "d": 2}}', ": document 'd' is ranked twice for query 'q'"),
        ('{"q": {"d": true}}', ": the score True is not a number"),
        ('{"q": {"d": NaN}}', ": the score nan is not a number"),
        ('{"q": {"d": "1"}}', ": the score '1' is not a number"),
        ('{"q": ["d"]}', ": query 'q' has no object of docid: score (['d'])"),
    ],
)
def test_malformed_other_forms(tmp_path, text, says):
    path = write(tmp_path / "run", text)
    with pytest.raises(RunError) as caught:
        Run.read(path)
    assert f"{path}{says}" in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ('{"q": {"d": 1, "e": 2}}', "json"),  # six words
        ('{"q": {"d": 1}}', "json"),
        ("{\n", "json"),
        (" { } \n", "json"),
        ('{"\\"q": 1', "json"),
        ("{ Q0 d 1 5 t\n", "trec"),
        ("{} Q0 d 1 5 t\n", "trec"),
        ('{"\td\t1\n', "msmarco"),
        ("q\td\t1", "msmarco"),
        ("q d", "trec"),
    ],
)
def test_forms_are_told_by_the_first_line(line, form):
    assert looks_like(line) == form


def test_a_form_can_be_given(tmp_path):
    path = write(tmp_path / "run", "[1]")
    with pytest.raises(RunError, match="the JSON is not an object"):
        Run.read(path, format="json")
    with pytest.raises(RunError, match="unknown run format 'csv'"):
        Run.read(path, format="csv")  # type: ignore[arg-type]


def test_json_ties_are_in_the_order_that_evaluators_see(tmp_path):
    path = write(tmp_path / "run", '{"q": {"d10": 3, "d2": 3.00000001, "z": -1, "e": 7e0}, "p": {}}')
    run = Run.read(path)
    assert [docid for docid, _ in run["q"]] == ["e", "d2", "d10", "z"]
    assert run["p"] == []


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_empty_run(tmp_path, text):
    with pytest.raises(RunError, match="the run is empty"):
        Run.read(write(tmp_path / "run.txt", text))


def test_missing_run_and_folder(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(RunError, match="cannot read this file") as caught:
            Run.read(path)
        assert caught.value.path == path


def test_not_utf8(tmp_path):
    path = tmp_path / "run.txt"
    path.write_bytes("q Q0 é 1 5 t\n".encode("latin-1"))
    with pytest.raises(RunError, match="not UTF-8"):
        Run.read(path)


@pytest.mark.parametrize("damage", ["cut", "plain", "flipped"])
def test_damaged_gzip(tmp_path, damage):
    whole = gzip.compress("".join(f"q Q0 d{i * i} {i} {5000 - i} t\n" for i in range(1, 2000)).encode())
    data = {"cut": whole[:-100], "plain": b"q Q0 d 1 1 t", "flipped": whole[:50] + b"\xff" * 50 + whole[100:]}[damage]
    path = tmp_path / "run.gz"
    path.write_bytes(data)
    with pytest.raises(RunError, match="cannot read this file") as caught:
        Run.read(path)
    assert caught.value.path == path
