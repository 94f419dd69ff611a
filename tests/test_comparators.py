"""uniCOIL, DeepImpact and doc2query through the same index, search and evaluation, from files as they are published.

The layouts are those of Anserini's regressions ``msmarco-v1-passage.unicoil``, ``.deepimpact`` and ``.docTTTTTquery``: a folder
of JSON lines with ``vector`` (JsonVectorCollection) or ``contents`` (JsonCollection), topics as ``qid<TAB>tokens``, each token
as often as its impact. uniCOIL has word pieces and impacts on both sides; DeepImpact words, impacts of eight bits, and queries
that contain each word once; doc2query is text: the passage followed by the predicted queries.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.anserini import build_with_anserini, search_with_anserini
from typer.testing import CliRunner

from splade_lucene import PseudoDocument, Run, evaluate, exhaustive_search, jvm, read_topics
from splade_lucene.cli.app import app

pytestmark = pytest.mark.java

PIECES = ["what", "is", "paula", "deen", "##s", "brother", "##rogen", "and", "receptor", "define", ",", "?", "'", "2", "1958",
          "treat", "##ing", "tension", "head", "##aches", "café", "ﬁ"]  # fmt: skip
WORDS = ["paula", "what", "brother", "s", "deen", "receptor", "androgen", "define", "treating", "tension", "medication",
         "headaches", "aspirin", "1958"]  # fmt: skip
DEEPIMPACT_TOPICS = ("1048585\tpaula what brother s deen\n2\treceptor androgen define\n"
                     "524332\ttreating tension medication headaches\n")  # fmt: skip


def run_well(*arguments: object) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def write_collection(folder: Path, records: list[dict[str, Any]], gzipped: bool = False) -> None:
    """As it is published: several files of JSON lines."""
    folder.mkdir()
    half = len(records) // 2
    for number, part in enumerate((records[:half], records[half:])):
        lines = "".join(json.dumps(record) + "\n" for record in part).encode()
        name = f"docs{number:02}.jsonl" + (".gz" if gzipped else "")
        (folder / name).write_bytes(gzip.compress(lines) if gzipped else lines)


def anserini_topics(path: Path) -> dict[str, str]:
    """Topics as Anserini's own reader of such files sees them."""
    reader = jvm.java_class("io.anserini.search.topicreader.TsvIntTopicReader")
    topics = reader(jvm.java_class("java.nio.file.Path").of(str(path))).read()
    return {str(entry.getKey()): entry.getValue().get("title") for entry in topics.entrySet().toArray()}


def search_impacts_with_anserini(index: Path, tokens: str, k: int) -> list[tuple[str, int]]:
    """Anserini's searcher of impacts; its scores are integers but for a trace that it puts on ties."""
    integer = jvm.java_class("java.lang.Integer")
    query = jvm.java_class("java.util.HashMap")()
    for token, count in Counter(tokens.split()).items():
        query.put(token, integer(count))
    searcher = jvm.java_class("io.anserini.search.SimpleImpactSearcher")(str(index))
    try:
        return [(hit.docid, round(hit.score)) for hit in searcher.search(query, k)]
    finally:
        searcher.close()


def index_and_search(folder: Path, topics: Path) -> Run:
    """The commands of any pseudo-documents and their topics."""
    run_well("index", "--input", folder / "collection", "--index", folder / "index")
    run_well("search", "--index", folder / "index", "--topics", topics, "--encoded", "--output", folder / "run.trec")
    return Run.read(folder / "run.trec")


def assert_judged(folder: Path, run: Run) -> None:
    """Evaluates with the second hit of each query as the one that is relevant, so that RR is a half."""
    relevant = {qid: ranking[1][0] for qid, ranking in run.items()}
    (folder / "qrels.txt").write_text("".join(f"{qid} 0 {docid} 1\n" for qid, docid in relevant.items()))
    means = evaluate(folder / "qrels.txt", folder / "run.trec", ["RR@10", "R@1000"])
    assert [*means.values()] == [0.5, 1]


def test_unicoil_is_indexed_and_searched_as_by_anserini(tmp_path):
    source = random.Random(6)
    records = [
        {
            "id": f"D{number // 3}#{number % 3}",  # as of the segmented documents
            "contents": " ".join(source.choices(PIECES, k=12)),
            "vector": {piece: source.randint(1, 600) for piece in source.sample(PIECES, source.randint(1, 15))},
        }
        for number in range(240)
    ]
    write_collection(tmp_path / "collection", records, gzipped=True)
    asked = {
        str(qid): {piece: source.randint(1, 250) for piece in source.sample(PIECES, source.randint(2, 9))}
        for qid in (1048585, 2, 524332, 19335)
    }
    lines = [
        qid + "\t" + " ".join(" ".join([piece] * count) for piece, count in each.items()) for qid, each in asked.items()
    ]
    topics = tmp_path / "topics.unicoil.tsv.gz"
    topics.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    assert {query.qid: query.vector for query in read_topics(topics, encoded=True)} == asked
    run = index_and_search(tmp_path, topics)
    build_with_anserini(tmp_path / "collection", tmp_path / "theirs")
    theirs = anserini_topics(topics)
    assert {*run} == {*theirs} == {*asked}
    for qid, ranking in run.items():
        expected = search_impacts_with_anserini(tmp_path / "theirs", theirs[qid], 1000)
        assert [docid for docid, _ in ranking] == [docid for docid, _ in expected]
        assert [score for _, score in ranking] == pytest.approx([score for _, score in expected], rel=1e-5)
    assert_judged(tmp_path, run)


def test_deepimpact_is_searched_as_by_anserini_and_the_oracle(tmp_path):
    source = random.Random(7)
    records: list[dict[str, Any]] = [
        {
            "id": number,  # a number, not a string
            "contents": " ".join(source.choices(WORDS, k=8)),
            "vector": {word: source.randint(1, 255) for word in source.sample(WORDS, source.randint(1, 10))},
        }
        for number in range(200)
    ]
    write_collection(tmp_path / "collection", records)
    topics = tmp_path / "topics.deepimpact.tsv"
    topics.write_text(DEEPIMPACT_TOPICS)
    run = index_and_search(tmp_path, topics)
    documents = [PseudoDocument(str(each["id"]), each["contents"], each["vector"]) for each in records]
    for qid, tokens in anserini_topics(topics).items():
        expected = exhaustive_search(documents, dict.fromkeys(tokens.split(), 1), 1000)
        assert expected == search_impacts_with_anserini(tmp_path / "index", tokens, 1000)
        assert [docid for docid, _ in run[qid]] == [docid for docid, _ in expected]
        assert [round(score) for _, score in run[qid]] == [score for _, score in expected]
        assert len(expected) > 100
    assert_judged(tmp_path, run)


def test_doc2query_is_text_and_ranked_as_by_anserini(tmp_path):
    """One expanded passage is found by a word that only its predicted queries have."""
    source = random.Random(8)
    passages = {str(number): " ".join(source.choices(WORDS[:10], k=20)) for number in range(60)}
    predicted = {docid: " ".join(source.choices(WORDS, k=30)) for docid in passages}
    predicted["17"] += " why do unicorns have headaches"
    records = [{"id": docid, "contents": f"{text} {predicted[docid]}"} for docid, text in passages.items()]
    write_collection(tmp_path / "collection", records)
    (tmp_path / "topics.tsv").write_text(
        "1048585\twhat is paula deen's brother\n2\tandrogen receptor define\n7\tunicorn?\n"
    )
    run_well("bm25", "index", "--corpus", tmp_path / "collection", "--index", tmp_path / "index")
    for k1, b in ((0.9, 0.4), (2.18, 0.86)):  # Anserini's, and those that it tunes on the expanded text
        settings = ("--k1", k1, "--b", b, "--output", tmp_path / "run.trec")
        run_well("bm25", "search", "--index", tmp_path / "index", "--topics", tmp_path / "topics.tsv", *settings)
        run = Run.read(tmp_path / "run.trec")
        for query in read_topics(tmp_path / "topics.tsv"):
            expected = search_with_anserini(tmp_path / "index", query.text, 1000, k1, b)
            assert [docid for docid, _ in run[query.qid]] == [docid for docid, _ in expected]
            assert [score for _, score in run[query.qid]] == pytest.approx([score for _, score in expected], abs=1e-4)
        assert [docid for docid, _ in run["7"]] == ["17"]
    (tmp_path / "qrels.txt").write_text("7 0 17 1\n2 0 nobody 1\n")
    assert evaluate(tmp_path / "qrels.txt", tmp_path / "run.trec", ["RR@10"])["RR@10"] == 0.5
