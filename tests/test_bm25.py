"""BM25 is Anserini's to the last hit, whoever built the index; an index is published whole or not at all."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.anserini import build_texts_with_anserini, search_with_anserini
from support.processes import run_python
from support.progress import RecordedProgress
from typer.testing import CliRunner

from splade_lucene import Bm25Searcher, Document, Query, Run, check_index, index_texts, jvm, search_texts
from splade_lucene.cli.app import app
from splade_lucene.errors import CorpusError, InputError, JavaError, NotAnIndexError, QueryError
from splade_lucene.files.files import work_folder
from splade_lucene.index import texts as text_indexing
from splade_lucene.jvm.pyserini_import import pyserini_importable

WORDS = ["running", "runner", "the", "cats", "cat", "naïve", "café", "e-mail", "U.S.", "don't", "2024", "漢字", "of",
         "index", "indexes", "indexing", "Lucene", "heart", "blood", "pumps"]  # fmt: skip
QUERIES = ["running cats", "the index of a runner", "naïve café e-mail", "blood blood blood heart", "漢字", "nothing here", "the",
           "Lucene indexes U.S. don't 2024", ""]  # fmt: skip


def random_texts(count: int, seed: int) -> list[Document]:
    """Texts of up to forty words, of which many are equal, with docids that bytes and numbers order differently."""
    source = random.Random(seed)
    texts = [" ".join(source.choices(WORDS, k=source.randint(1, 40))) for _ in range(count // 3)]
    return [Document(f"d{number}", source.choice(texts)) for number in source.sample(range(count), count)]


@pytest.fixture(scope="module")
def texts() -> list[Document]:
    return random_texts(600, seed=3)


@pytest.fixture(scope="module")
def text_index(texts: list[Document], tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("bm25") / "index"
    assert index_texts(texts, index, store="text", threads=3) == 600
    return index


def as_anserini_scores(ranking: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Scores rounded to four digits, those that are equal then lowered by a millionth each, in single precision."""
    told: list[tuple[str, float]] = []
    equal = 0
    for docid, score in ranking:
        rounded = np.float32(math.floor(score * 1e4 + 0.5) / 1e4)
        equal = equal + 1 if told and not np.float32(told[-1][1]) - rounded > np.float32(1e-4) else 0
        told.append((docid, float(rounded - np.float32(1e-6) * np.float32(equal))))
    return told


# ---- hits and scores ----


@pytest.mark.java
@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (0.82, 0.68), (2.18, 0.86), (0, 1)])
def test_hits_and_scores_equal_anserinis(text_index, k1, b):
    with Bm25Searcher(text_index, k1=k1, b=b) as searcher:
        found = 0
        for text in QUERIES:
            for k in (1, 10, 1000):
                ours = [(hit.docid, hit.score) for hit in searcher.search(text, k)]
                theirs = search_with_anserini(text_index, text, k, k1, b)
                assert [docid for docid, _ in ours] == [docid for docid, _ in theirs], (text, k)
                assert [score for _, score in as_anserini_scores(ours)] == pytest.approx(
                    [score for _, score in theirs], abs=2e-6
                )
                found += len(ours)
    assert found > 3000


@pytest.mark.java
def test_pyserinis_searcher_opens_the_index(text_index, texts):
    with pyserini_importable():
        from pyserini.search.lucene import LuceneSearcher
    theirs = LuceneSearcher(str(text_index))
    assert theirs.num_docs == 600
    with Bm25Searcher(text_index) as ours:
        for text in QUERIES:
            expected = [(hit.docid, hit.lucene_docid) for hit in theirs.search(text, 100)]
            found = list(ours.search(text, 100))
            assert [(hit.docid, hit.lucene_docid) for hit in found] == expected
            assert [hit.raw for hit in found[:5]] == [theirs.doc(docid).raw() for docid, _ in expected[:5]]
    stored = {document.docid: document.text for document in texts}
    assert json.loads(theirs.doc("d7").raw()) == {"id": "d7", "contents": stored["d7"]}
    theirs.close()


@pytest.mark.java
def test_the_index_equals_anserinis_and_either_is_searched(texts, text_index, tmp_path):
    (tmp_path / "in").mkdir()
    blank = [Document("blank", " \n\t"), Document("none", ""), Document("thin", "\u2009")]
    lines = [json.dumps({"id": each.docid, "contents": each.text}) + "\n" for each in (*blank, *texts)]
    (tmp_path / "in" / "docs.jsonl").write_text("".join(lines))
    build_texts_with_anserini(tmp_path / "in", tmp_path / "theirs", "-storePositions", "-storeDocvectors", "-storeRaw")
    assert index_texts([*blank, *texts], tmp_path / "ours") == 601
    with Bm25Searcher(tmp_path / "ours") as ours, Bm25Searcher(tmp_path / "theirs") as theirs:
        counts = [
            {name: each.statistics()[name] for name in ("documents", "terms", "postings", "total_impact")}
            for each in (ours, theirs)
        ]
        assert counts[0] == counts[1]
        assert ours.terms() == theirs.terms()
        for text in QUERIES:
            assert ours.search(text, 600) == theirs.search(text, 600)
    assert check_index(text_index).is_sound


@pytest.mark.java
def test_scores_are_those_of_the_formula(tmp_path):
    """Lucene's BM25: idf · tf / (tf + k1 · (1 − b + b · length / mean length)); lengths below 40 are stored exactly."""
    texts = {"a": "cat cat dog", "b": "cat bird bird bird bird", "c": "dog", "d": "fish fish"}
    index_texts([Document(docid, text) for docid, text in texts.items()], tmp_path / "index")
    counts = {docid: Counter(text.split()) for docid, text in texts.items()}
    mean = sum(map(Counter.total, counts.values())) / 4

    def score(docid: str, terms: dict[str, int], k1: float, b: float) -> float:
        total, length = 0.0, counts[docid].total()
        for term, times in terms.items():
            found = sum(term in each for each in counts.values())
            idf = math.log(1 + (4 - found + 0.5) / (found + 0.5))
            occurrences = counts[docid][term]
            total += times * idf * occurrences / (occurrences + k1 * (1 - b + b * length / mean))
        return total

    for k1, b in ((0.9, 0.4), (1.5, 0.75)):
        with Bm25Searcher(tmp_path / "index", k1=k1, b=b) as searcher:
            found = {hit.docid: hit.score for hit in searcher.search("cat dog dog")}
        expected = {docid: score(docid, {"cat": 1, "dog": 2}, k1, b) for docid in "abc"}
        assert found == pytest.approx(expected, rel=1e-6)
        assert [*found] == sorted(expected, key=expected.__getitem__, reverse=True)


@pytest.mark.java
def test_ties_are_ordered_by_docid_as_bytes_at_the_last_place_too(tmp_path):
    docids = [f"{letter}{number}" for letter in "aZé漢" for number in range(30)]
    random.Random(5).shuffle(docids)
    index_texts([Document(docid, "cat") for docid in docids], tmp_path / "index")
    ordered = sorted(docids, key=str.encode)
    with Bm25Searcher(tmp_path / "index") as searcher:
        for k in (1, 7, 119, 120, 500):
            assert searcher.search("cats", k).docids == ordered[:k]


@pytest.mark.java
def test_threads_change_nothing(texts, text_index, tmp_path):
    index_texts(texts, tmp_path / "one", threads=1)
    queries = [Query(f"q{number}", text) for number, text in enumerate(QUERIES * 40)]
    expected = search_texts(tmp_path / "one", queries, 20, threads=1)
    assert [*expected] == [query.qid for query in queries]
    for index, threads in ((text_index, 1), (text_index, 4), (tmp_path / "one", None)):
        assert search_texts(index, queries, 20, threads=threads) == expected


@pytest.mark.java
@pytest.mark.slow
def test_the_same_jar_does_it_on_lucene_10(texts, text_index, tmp_path, lucene10_jars):
    code = f"""
import json
from splade_lucene import Bm25Searcher, Document, index_texts, jvm
texts = [Document(*each) for each in json.loads(open({str(tmp_path / "texts.json")!r}).read())]
index_texts(texts, {str(tmp_path / "index")!r}, threads=2)
for index in ({str(tmp_path / "index")!r}, {str(text_index)!r}):
    with Bm25Searcher(index) as searcher:
        found = searcher.batch_search({QUERIES!r}, {[str(number) for number in range(len(QUERIES))]!r}, 600, 2)
    print(jvm.versions()["lucene"].split(".")[0], json.dumps([[[hit.docid, hit.score] for hit in hits] for hits in found.values()]))
"""
    (tmp_path / "texts.json").write_text(json.dumps([[each.docid, each.text] for each in texts]))
    done = run_python(code, ANSERINI_CLASSPATH=str(lucene10_jars))
    with Bm25Searcher(text_index) as searcher:
        expected = [[[hit.docid, hit.score] for hit in searcher.search(text, 600)] for text in QUERIES]
    told = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [(version, json.loads(found)) for version, found in told] == [("10", expected)] * 2, done.stderr


@pytest.mark.java
def test_a_whole_text_may_be_a_query(text_index):
    """Lucene's own limit is 1,024 different words."""
    with Bm25Searcher(text_index) as searcher:
        long = " ".join(f"word{number}" for number in range(3000)) + " blood"
        assert searcher.search(long, 5) == searcher.search("blood", 5)
        assert len(searcher.search(long, 5)) == 5


@pytest.mark.java
def test_hits_are_those_of_an_impact_searcher(text_index, texts):
    stored = {document.docid: document.text for document in texts}
    with Bm25Searcher(text_index) as searcher:
        hits = searcher.search("blood", 5)
        assert [hit.contents for hit in hits] == [stored[docid] for docid in hits.docids]
        assert [tuple(hit) for hit in hits] == list(zip(hits.docids, hits.scores.tolist(), strict=True))
        assert hits[1:3].docids == hits.docids[1:3]
        document = searcher.doc(hits[0].docid)
        assert document is not None
        assert (document.lucene_docid(), document.contents()) == (hits[0].lucene_docid, hits[0].contents)
        assert searcher.doc("nobody") is None
        assert hits == searcher.search("blood", 5)
        assert hits != searcher.search("blood", 4)


@pytest.mark.java
def test_texts_and_terms(text_index, texts, tmp_path):
    with Bm25Searcher(text_index) as searcher:
        assert searcher.analyze("The runner runs, running; the RUNNERS ran") == {"runner": 2, "run": 2, "ran": 1}
        assert searcher.text(texts[0].docid) == texts[0].text
        assert searcher.text("nobody") is None
    index_texts(texts, tmp_path / "bare", store="none")
    with Bm25Searcher(tmp_path / "bare") as searcher:
        assert searcher.text(texts[0].docid) is None
        assert searcher.num_docs == 600


# ---- whole or not at all ----


def test_texts_pass_through_in_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(text_indexing, "_BATCH_BYTES", 2000)
    given = 0
    seen: list[tuple[int, int]] = []

    def documents() -> Iterator[Document]:
        nonlocal given
        for given in range(1, 501):
            yield Document(f"d{given}", f"text number {given} with some words")

    progress = RecordedProgress(lambda count: seen.append((count, given)))
    index_texts(documents(), tmp_path / "index", progress=progress)
    assert progress.steps == [("indexing", None, "documents")]
    assert sum(count for count, _ in seen) == 500
    assert len(seen) > 10
    assert [*np.cumsum([count for count, _ in seen])] == [given for _, given in seen]  # no document is read ahead
    with Bm25Searcher(tmp_path / "index") as searcher:
        assert len(searcher.search("numbers", 1000)) == 500


def test_what_goes_wrong_leaves_nothing_behind_and_the_old_index_alone(tmp_path, text_index):
    index = tmp_path / "index"
    index_texts([Document("old", "cat")], index)

    def broken() -> Iterator[Document]:
        yield Document("new", "cat")
        raise CorpusError("broken on the way")

    def interrupted() -> Iterator[Document]:
        yield Document("new", "cat")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_texts(interrupted(), index, overwrite=True)
    for documents, reason in (
        (broken(), "broken on the way"),
        ([Document("a", "cat"), Document("b", "cat"), Document("a", "dog")], "duplicate id 'a'"),
        ([Document("a b", "cat")], "white space"),
        ([], "no document"),
    ):
        with pytest.raises(CorpusError, match=reason):
            index_texts(documents, index, overwrite=True)
        with pytest.raises(CorpusError, match=reason):
            index_texts(documents if isinstance(documents, list) else broken(), tmp_path / "other")
    with pytest.raises(InputError, match="an index exists here"):
        index_texts([Document("new", "cat")], index)
    with pytest.raises(InputError, match="unknown store .*Choose one of: none, text"):
        index_texts([Document("new", "cat")], tmp_path / "other", store="raw")  # type: ignore[arg-type]
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a Lucene index"):
        index_texts([Document("new", "cat")], tmp_path / "papers")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "papers"]
    with Bm25Searcher(index) as searcher:
        assert searcher.search("cat").docids == ["old"]


def test_what_a_killed_build_left_is_cleared(tmp_path):
    left = work_folder(tmp_path / "index", "building")
    left.mkdir()
    (left / "_0.fdt").write_text("half an index")
    index_texts([Document("a", "cat \ud800 dog"), Document("b", "the of")], tmp_path / "index", store="text")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    with Bm25Searcher(tmp_path / "index") as searcher:
        assert searcher.num_docs == 2
        assert searcher.search("dogs")[0].docid == "a"
        assert searcher.text("a") == "cat � dog"


@pytest.mark.java
@pytest.mark.parametrize("threads", [1, 3])
def test_what_a_thread_fails_at_is_heard(tmp_path, threads):
    java = jvm.facade("Bm25")
    writer = java.openWriter(str(tmp_path / "index"), threads)

    def write() -> None:
        with jvm.translated_exceptions(tmp_path):
            for _ in range(20):
                java.add(writer, b"\x05\0\0\0\x09\0\0\0")  # five documents are announced, and there is none
            java.finish(writer)

    with pytest.raises(JavaError):
        write()
    writer.rollback()


# ---- what cannot be searched ----


@pytest.mark.java
def test_what_is_no_index_of_texts_is_refused(index_dir, text_index, tmp_path):
    with pytest.raises(NotAnIndexError, match="an impact index, not a text index"):
        Bm25Searcher(index_dir)
    with pytest.raises(NotAnIndexError, match="is not a folder"):
        Bm25Searcher(tmp_path / "missing")
    with pytest.raises(NotAnIndexError, match="no Lucene index was found"):
        Bm25Searcher(tmp_path)
    for wrong in ({"k1": -1}, {"k1": math.inf}, {"b": 1.1}, {"b": math.nan}):
        with pytest.raises(QueryError, match="Anserini's default"):
            Bm25Searcher(text_index, **wrong)
    with Bm25Searcher(text_index) as searcher:
        with pytest.raises(QueryError, match="queries must be texts"):
            searcher.search({"cat": 1})  # type: ignore[arg-type]
        with pytest.raises(QueryError, match="k must be"):
            searcher.search("cat", 0)
        with pytest.raises(QueryError, match="duplicate qid"):
            searcher.batch_search(["cat", "dog"], ["q", "q"])


# ---- the command line ----


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["bm25", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lines = [("d1", "The cat sat."), ("d2", "Dogs and a cat"), ("d3", "fish"), ("d4", "cats, cats"), ("d5", " ")]
    (tmp_path / "corpus.tsv").write_text("".join(f"{docid}\t{text}\n" for docid, text in lines))
    (tmp_path / "topics.tsv").write_text("1\tcats\n2\tdog\n3\tunicorn\n")
    return tmp_path


@pytest.mark.java
def test_the_commands_index_and_search(data):
    index = data / "index"
    code, told, _ = run("index", "--corpus", data / "corpus.tsv", "--index", index, "--json", "--threads", 2)
    assert (code, json.loads(told)) == (0, {"index": str(index), "documents": 4, "blank": 1, "skipped": 0})
    code, told, noted = run(
        "search", "--index", index, "--topics", data / "topics.tsv", "--output", data / "run", "--json"
    )
    assert code == 0, noted
    assert json.loads(told) == {"run": str(data / "run"), "queries": 3, "without_hits": ["3"], "empty": []}
    expected = search_texts(index, [Query("1", "cats"), Query("2", "dog")], 1000)
    assert [docid for docid, _ in expected["1"]] == ["d4", "d1", "d2"]
    written = Run.read(data / "run")
    assert {qid: [docid for docid, _ in written[qid]] for qid in written} == {"1": ["d4", "d1", "d2"], "2": ["d2"]}
    for qid, ranking in expected.items():
        assert [score for _, score in written[qid]] == pytest.approx([score for _, score in ranking], rel=1e-6)
    assert {line.split()[-1] for line in (data / "run").read_text().splitlines()} == {"bm25"}
    other = ("--k1", 2, "--b", 0, "--hits", 1, "--tag", "mine", "--threads", 1)
    assert run("search", "--index", index, "--topics", data / "topics.tsv", "--output", data / "run", *other)[0] == 0
    (docid, score) = search_texts(index, [Query("1", "cats")], 1, k1=2, b=0)["1"][0]
    assert (data / "run").read_text().splitlines()[0].split()[:5] == ["1", "Q0", docid, "1", str(np.float32(score))]
    form = ("--output-format", "msmarco")
    assert run("search", "--index", index, "--topics", data / "topics.tsv", "--output", data / "run", *form)[0] == 0
    assert (data / "run").read_text() == "1\td4\t1\n1\td1\t2\n1\td2\t3\n2\td2\t1\n"
    (data / "topics.trec").write_text("<top>\n<num> Number: 9\n<title> fish\n<desc> Description:\ndogs\n</top>\n")
    field = ("--topics", data / "topics.trec", "--topic-field", "desc", "--output", data / "run", *form)
    assert run("search", "--index", index, *field)[0] == 0
    assert (data / "run").read_text() == "9\td2\t1\n"
    (data / "of-documents.tsv").write_text("d4\tcats\nd3\tfish\n")
    own = ("--topics", data / "of-documents.tsv", "--output", data / "run", "--json", *form)
    assert json.loads(run("search", "--index", index, *own, "--remove-query")[1])["without_hits"] == ["d3"]
    assert (data / "run").read_text() == "d4\td1\t1\nd4\td2\t2\n"
    rows = json.loads(run("search", "--index", index, "--query", "cats", "--hits", 1, "--json")[1])
    assert rows == [{"rank": 1, "docid": "d4", "score": expected["1"][0][1], "text": "cats, cats"}]
    assert "d4  cats, cats" in run("search", "--index", index, "--query", "cats")[1]
    assert "no document shares a term" in run("search", "--index", index, "--query", "unicorn")[2]
    assert "the query is empty, so it has no hits" in run("search", "--index", index, "--query", " ")[2]


@pytest.mark.java
def test_the_commands_say_what_is_wrong(data):
    index = data / "index"
    (data / "bad.tsv").write_text("d1\tcat\nno tab\nd1\tdog\n")
    code, _, told = run("index", "--corpus", data / "bad.tsv", "--index", index)
    assert (code, f"{data / 'bad.tsv'}:2: no tab" in told) == (1, True), told
    assert not index.exists()
    code, _, told = run("index", "--corpus", data / "bad.tsv", "--index", index, "--skip-bad", "--store", "none")
    assert code == 0
    assert "2 documents were skipped" in told
    assert "duplicate id 'd1', first used at" in told
    code, _, told = run("index", "--corpus", data / "corpus.tsv", "--index", index)
    assert (code, "an index exists here. Pass --overwrite" in told) == (1, True), told
    assert run("index", "--corpus", data / "corpus.tsv", "--index", index, "--overwrite")[0] == 0
    for arguments, reason in (
        ([], "pass either --query or --topics"),
        (["--query", "a", "--topics", "b"], "pass either --query or --topics"),
        (["--topics", "b"], "--topics and --output must be used together"),
        (["--query", "a", "--remove-query"], "--remove-query requires --topics"),
        (["--query", "a", "--k1", "-1"], "k1 must be a number of at least 0"),
        (["--query", "a", "--b", "2"], "b must be between 0 and 1"),
        (["--query", "a", "--hits", "0"], "--hits"),
    ):
        code, _, told = run("search", "--index", index, *arguments)
        assert (code, reason in told) == (2, True), told
