"""The papers' measures of cost against their definitions, counted pair by pair."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from splade_lucene import (
    Bm25Searcher,
    Document,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    Query,
    accelerate,
    index_pseudo_documents,
    index_texts,
    measure_efficiency,
    write_encoded_topics,
)
from splade_lucene.cli.app import app
from splade_lucene.errors import QueryError
from splade_lucene.evaluation.efficiency import measure_search
from splade_lucene.index.accelerator import FOLDER

pytestmark = pytest.mark.java


@pytest.fixture(scope="module")
def queries(collection) -> list[dict[str, int]]:
    """Queries with terms of the collection, terms that no document has, and terms without an impact."""
    source = random.Random(4)
    terms = sorted({term for document in collection for term in document.vector})
    chosen = [source.sample(terms, source.randint(0, 30)) for _ in range(25)]
    return [{**dict.fromkeys(each, 3), "nowhere": 2, terms[0] + "-not-asked": 0, "zero": 0} for each in chosen]


def test_flops_are_the_shared_terms_of_an_average_pair(collection, index_dir, queries):
    asked = [{term for term, impact in query.items() if impact} for query in queries]
    with LuceneImpactIndexReader(index_dir) as reader:
        measured = measure_efficiency(reader, queries)
        assert measure_efficiency(reader, iter(queries)) == measured
    shared = [len(query & document.vector.keys()) for query in asked for document in collection]
    assert measured.flops == pytest.approx(np.mean(shared))
    terms = set().union(*asked)
    shares = [
        np.mean([term in query for query in asked]) * np.mean([term in each.vector for each in collection])
        for term in terms
    ]
    assert measured.flops == pytest.approx(sum(shares))  # as the papers write it
    assert measured.query_postings == pytest.approx(np.mean(shared) * len(collection))
    assert measured.query_terms == np.mean([*map(len, asked)])
    assert (measured.queries, measured.documents) == (25, 2000)
    lengths = [len(each.vector) for each in collection]
    assert measured.postings == sum(lengths)
    assert measured.document_terms == np.mean(lengths)


def test_bytes_of_lucene_and_of_the_accelerator_are_apart(collection, collection_dir, tmp_path):
    index_pseudo_documents(collection_dir, tmp_path / "index", accelerator=False)
    with LuceneImpactIndexReader(tmp_path / "index") as reader:
        bare = measure_efficiency(reader)
    assert bare.accelerator_bytes == 0
    files = [path.stat().st_size for path in (tmp_path / "index").iterdir() if path.is_file()]
    assert bare.index_bytes == sum(files) / len(collection)
    assert (bare.queries, bare.query_terms, bare.query_postings, bare.flops) == (0, None, None, None)
    assert {"queries", "flops"} & bare.to_json().keys() == {"queries"}
    accelerate(tmp_path / "index")
    with LuceneImpactIndexReader(tmp_path / "index") as reader:
        both = measure_efficiency(reader)
    folder = tmp_path / "index" / FOLDER
    assert both.accelerator_bytes == sum(path.stat().st_size for path in folder.iterdir()) / len(collection) > 0
    assert both.index_bytes == bare.index_bytes


def test_deleted_documents_count_until_their_postings_are_merged_away(collection, tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add(collection[:100])
        indexer.commit()
        indexer.delete([each.docid for each in collection[:50]])
    query = dict.fromkeys(collection[7].vector, 1)
    for merged, kept in ((False, collection[:100]), (True, collection[50:100])):
        if merged:
            with LuceneImpactIndexer(tmp_path / "index") as indexer:
                indexer.merge()
        with LuceneImpactIndexReader(tmp_path / "index") as reader:
            measured = measure_efficiency(reader, [query])
        assert measured.documents == 50
        assert measured.document_terms == np.mean([len(each.vector) for each in kept])
        assert measured.flops == np.mean([len(query.keys() & each.vector.keys()) for each in kept])


def test_bm25_is_measured_with_the_same_ruler(tmp_path):
    texts = {"d1": "the cat sat", "d2": "cats, cats and dogs", "d3": "fish"}
    index_texts([Document(*each) for each in texts.items()], tmp_path / "index")
    with Bm25Searcher(tmp_path / "index") as searcher:
        measured = measure_efficiency(searcher, [searcher.analyze("a cat or dogs"), searcher.analyze("unicorn")])
        costs = measure_search(searcher.search, ["cat", "dog"])
    assert (measured.documents, measured.postings, measured.document_terms) == (3, 5, 5 / 3)
    assert (measured.query_terms, measured.query_postings, measured.flops) == (1.5, 1.5, 0.5)
    assert measured.accelerator_bytes == 0
    assert measured.index_bytes > 0
    assert costs.postings_scored is None


# ---- time ----


def test_times_are_of_each_search_alone(monkeypatch):
    """Uses a clock that only the search advances: 1, 2 … 200 ms."""
    clock = 0
    calls: list[int] = []

    def search(milliseconds: int) -> None:
        nonlocal clock
        calls.append(milliseconds)
        clock += milliseconds * 1_000_000

    monkeypatch.setattr(time, "perf_counter_ns", lambda: clock)
    costs = measure_search(search, range(1, 201))
    assert calls == [*range(1, 201)] * 2  # once untimed
    assert [costs.queries, costs.mean, costs.median, costs.p99] == pytest.approx([200, 100.5, 100.5, 198.01])
    calls.clear()
    assert measure_search(search, [3, 5], rounds=4).mean == 4
    assert calls == [3, 5] * 5
    assert measure_search(search, iter([3, 5])).queries == 2
    with pytest.raises(QueryError, match="no query was given to time"):
        measure_search(search, [])


def added_up(collection, queries) -> float:
    """What an exhaustive search adds up for an average query: an impact above 255 comes in two pieces."""
    asked = [[term for term, impact in query.items() if impact] for query in queries]
    impacts = [each.vector.get(term, 0) for query in asked for term in query for each in collection]
    return sum((impact > 0) + (impact > 255) for impact in impacts) / len(queries)


def test_postings_that_were_added_up_are_told(collection, index_dir, queries):
    with LuceneImpactSearcher(index_dir, engine="taat") as searcher:
        exhaustive = measure_search(lambda query: searcher.search(query, 10), queries)
    assert exhaustive.postings_scored == added_up(collection, queries)
    with LuceneImpactSearcher(index_dir, engine="blockmax") as searcher:
        expected = [searcher.search(query, 1).profile.postings_scored for query in queries]
        assert measure_search(lambda query: searcher.search(query, 1), queries).postings_scored == np.mean(expected)
    assert "cores" in exhaustive.machine


# ---- the command line ----


def stats(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["stats", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def topics(queries, tmp_path: Path) -> Path:
    asked = [{term: impact for term, impact in query.items() if impact} for query in queries]
    write_encoded_topics(
        tmp_path / "topics.jsonl", [Query(f"q{number}", "", query) for number, query in enumerate(asked)]
    )
    return tmp_path / "topics.jsonl"


def test_stats_show_what_queries_cost(collection, index_dir, queries, topics):
    with LuceneImpactIndexReader(index_dir) as reader:
        measured = measure_efficiency(reader, queries)
    code, told, noted = stats("--index", index_dir, "--topics", topics, "--encoded", "--latency", "--json")
    assert code == 0, noted
    facts = json.loads(told)
    assert facts["efficiency"] == measured.to_json()
    assert 0 < facts["latency"]["median"] <= facts["latency"]["p99"]
    assert facts["latency"]["postings_scored"] == added_up(collection, queries)
    assert facts["documents"] == 2000
    code, told, _ = stats("--index", index_dir, "--topics", topics, "--encoded", "--latency", "--hits", 10)
    rows = dict(line.rsplit(maxsplit=1) for line in told.splitlines() if not line.startswith("measured"))
    assert float(rows["FLOPS"]) == pytest.approx(measured.flops, abs=1e-4)
    assert float(rows["terms per query"]) == pytest.approx(measured.query_terms, abs=0.06)
    assert float(rows["ms per query, p99"]) > 0
    assert "10 hits, one thread, " in told
    bare = json.loads(stats("--index", index_dir, "--json")[1])
    assert "efficiency" not in bare
    assert facts.items() >= bare.items()


@pytest.mark.parametrize("flag", ["--encoded", "--latency"])
def test_queries_costs_need_queries(index_dir, flag):
    code, _, told = stats("--index", index_dir, flag)
    assert (code, f"{flag} requires --topics" in told) == (2, True)


def test_stats_of_a_text_index_take_no_model_and_no_encoded_queries(tmp_path):
    index_texts([Document("d1", "the cat sat")], tmp_path / "index")
    (tmp_path / "topics.tsv").write_text("q1\tcat\n")
    (tmp_path / "encoded.tsv").write_text("q1\tcat cat\n")
    for given, flag in ((["topics.tsv", "--model", "x"], "--model"), (["encoded.tsv", "--encoded"], "--encoded")):
        code, _, told = stats("--index", tmp_path / "index", "--topics", tmp_path / given[0], *given[1:])
        words = " ".join(told.replace("│", " ").split())
        assert (code, f"{flag} requires an impact index; this is a text index" in words) == (2, True)
    code, told, _ = stats("--index", tmp_path / "index", "--topics", tmp_path / "topics.tsv", "--json")
    assert (code, json.loads(told)["efficiency"]["queries"]) == (0, 1)


def test_stats_encode_texts_as_the_index_says(tmp_path):
    """The model is the one that the manifest names."""
    (tmp_path / "model").mkdir()
    from support.checkpoints import tiny_checkpoint

    tiny_checkpoint(tmp_path / "model", "bert")
    (tmp_path / "corpus.tsv").write_text("d1\tcat and dog\nd2\ta horse\n")
    (tmp_path / "topics.tsv").write_text("1\tcat fish\n2\thorse\n")
    given = ("--corpus", tmp_path / "corpus.tsv", "--index", tmp_path / "index", "--model", tmp_path / "model")
    done = CliRunner().invoke(app, ["build", *map(str, given)])
    assert done.exit_code == 0, done.stderr
    code, told, noted = stats("--index", tmp_path / "index", "--topics", tmp_path / "topics.tsv", "--json")
    assert code == 0, noted
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        lengths = [len(searcher.encode(text)) for text in ("cat fish", "horse")]
    assert json.loads(told)["efficiency"]["query_terms"] == np.mean(lengths) > 1


def test_stats_of_an_index_of_texts(tmp_path):
    index_texts([Document("d1", "the cat sat"), Document("d2", "a dog and a cat")], tmp_path / "index")
    (tmp_path / "topics.tsv").write_text("q1\tcats\nq2\ta dog or a fish\n")
    command = ["stats", "--index", str(tmp_path / "index"), "--topics", str(tmp_path / "topics.tsv")]
    done = CliRunner().invoke(app, [*command, "--latency", "--json"])
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["documents"], facts["postings"]) == (2, 4)  # cat, sat; dog, cat
    assert facts["efficiency"]["query_terms"] == 1.5  # cat; dog, fish
    assert facts["efficiency"]["flops"] == (2 + 1) / 2 / 2
    assert facts["latency"]["mean"] > 0
    assert "FLOPS" in CliRunner().invoke(app, [*command, "--latency"]).stdout
    assert CliRunner().invoke(app, [*command, "--encoded"]).exit_code != 0
