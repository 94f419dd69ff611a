"""A real OpenSearch, of one node and of three: what is exported and loaded gives the run of the index, byte for byte."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("opensearchpy", reason="needs the extra opensearch")

from support.collections import mixed_collection
from support.commands import run_well
from support.fields import TYPES, documents_with_fields, random_filter
from support.opensearch import opensearch_cluster

from splade_lucene import (
    EngineSearcher,
    LuceneImpactSearcher,
    PseudoDocument,
    Run,
    export_collection,
    index_pseudo_documents,
    push_export,
    where,
    write_pseudo_documents,
)
from splade_lucene.engines.client import EngineClient, open_client
from splade_lucene.errors import EngineError

pytestmark = [pytest.mark.process, pytest.mark.slow]

DOCUMENTS, QUERIES, DEPTH = 50_000, 40, 1000
PATIENCE = 600  # seconds, on a machine that does other things


@pytest.fixture(scope="module")
def generated(shared, tmp_path_factory):
    """Documents made of real SPLADE vectors, as an index and as an export, and our run of other vectors."""
    folder = tmp_path_factory.mktemp("generated")
    with gzip.open(shared / "data" / "splade-queries" / "splade-v3.queries.jsonl.gz", "rt") as file:
        vectors = {str(line["id"]): line["vector"] for line in map(json.loads, file)}
    queries = dict(islice(vectors.items(), QUERIES))
    documents = mixed_collection([*vectors.values()][QUERIES:], DOCUMENTS, seed=7)
    write_pseudo_documents(folder / "documents.jsonl", documents)
    index_pseudo_documents(folder / "documents.jsonl", folder / "index", order="input", accelerator=False)
    export_collection("opensearch", folder / "export", index_dir=folder / "index", name="generated")
    with LuceneImpactSearcher(folder / "index") as searcher:
        found = searcher.batch_search([*queries.values()], [*queries], DEPTH)
        deep = searcher.search(next(iter(queries.values())), 25_000)
    Run(found).write(folder / "ours.trec")
    return folder, queries, deep


@pytest.fixture(scope="module")
def cacm(shared, tmp_path_factory):
    """CACM, encoded with the embedded model, as an index, our run and an export."""
    folder = tmp_path_factory.mktemp("cacm")
    source = shared / "data" / "cacm"
    run_well(
        "build", "--corpus", source, "--index", folder / "index", "--output", folder / "encoded", "--max-length", 16
    )
    run_well("search", "--index", folder / "index", "--topics", source / "topics.tsv", "--output", folder / "ours.trec")
    run_well(
        "export", "--to", "opensearch", "--index", folder / "index", "--output", folder / "export", "--name", "cacm"
    )
    return folder


@pytest.fixture(scope="module")
def three_nodes(shared, tmp_path_factory):
    with opensearch_cluster(shared, tmp_path_factory.mktemp("three"), 3) as cluster:
        cluster.wait("green", nodes=3, seconds=PATIENCE)
        yield cluster


def check_run(urls, generated) -> None:
    """Searches for all queries, and compares the run with ours."""
    folder, queries, _ = generated
    with EngineSearcher(urls, "generated") as searcher:
        Run(searcher.batch_search([*queries.values()], [*queries], DEPTH, threads=2)).write(folder / "theirs.trec")
    assert (folder / "theirs.trec").read_bytes() == (folder / "ours.trec").read_bytes()


def test_one_node_gives_the_run_of_the_index(generated, shared, tmp_path, monkeypatch):
    folder, queries, deep = generated
    with opensearch_cluster(shared, tmp_path / "one", 1) as cluster:
        summary = push_export(folder / "export", cluster.urls, threads=2)
        assert (summary.sent, summary.total) == (DOCUMENTS, DOCUMENTS)
        check_run(cluster.urls, generated)
        with EngineSearcher(cluster.urls, "generated") as searcher:
            assert searcher.num_docs == DOCUMENTS
            assert searcher.search(next(iter(queries.values())), 25_000) == deep  # in pages
        check_names(cluster.urls, tmp_path)
        check_readme(cluster.urls[0], tmp_path)
        check_filters(cluster.urls, tmp_path)
        check_pages(cluster.urls, tmp_path, monkeypatch)


def check_names(urls, folder: Path) -> None:
    """The engine loses terms with dots, for which the export refuses them as keys; with ids it finds them all."""
    terms = [".", "...", "3.5", "a.b", ".a", "a.", "##ing", "[CLS]", "é", '"', "\\", "*", "-", "a,b"]
    write_pseudo_documents(
        folder / "names.jsonl", [PseudoDocument(f"d{i}", "", {term: i + 1}) for i, term in enumerate(terms)]
    )
    export_collection("opensearch", folder / "names", pseudo_documents=folder / "names.jsonl", name="names")
    push_export(folder / "names", urls)
    with EngineSearcher(urls, "names") as searcher:
        for i, term in enumerate(terms):
            assert [(hit.docid, hit.score) for hit in searcher.search({term: 2})] == [(f"d{i}", 2.0 * (i + 1))]
    dotless = [(i, term) for i, term in enumerate(terms) if "." not in term]
    write_pseudo_documents(
        folder / "dotless.jsonl", [PseudoDocument(f"d{i}", "", {term: i + 1}) for i, term in dotless]
    )
    export_collection(
        "opensearch", folder / "dotless", pseudo_documents=folder / "dotless.jsonl", name="dotless", keys="terms"
    )
    push_export(folder / "dotless", urls)
    with EngineSearcher(urls, "dotless") as searcher:
        for i, term in dotless:
            assert [(hit.docid, hit.score) for hit in searcher.search({term: 2})] == [(f"d{i}", 2.0 * (i + 1))]


def check_readme(url: str, folder: Path) -> None:
    """The three commands of README.md load and search an export."""
    write_pseudo_documents(
        folder / "few.jsonl", [PseudoDocument(f"d{i}", f"text {i}", {"cat": 1 + i % 7, "dog": 5}) for i in range(300)]
    )
    export_collection("opensearch", folder / "few", pseudo_documents=folder / "few.jsonl", name="few", piece_bytes=4096)
    script = (folder / "few" / "README.md").read_text().split("```sh\n")[1].split("```")[0]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder / "few", env={"URL": url, "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count('"errors":true') == 0
    answer = json.loads(done.stdout[done.stdout.index('{"took"') :])
    query = json.loads((folder / "few" / "query.json").read_text())
    weights = {c["rank_feature"]["field"]: c["rank_feature"]["boost"] for c in query["query"]["bool"]["should"]}
    assert weights == {"impacts.1": 5, "impacts.0": 1}
    best = sorted((-(1 + i % 7) - 25, f"d{i}") for i in range(300))[:10]
    assert [tuple(hit["sort"]) for hit in answer["hits"]["hits"]] == [(-score, docid) for score, docid in best]


def check_filters(urls, folder: Path) -> None:
    """Every operator on every type accepts the documents that it accepts in the index."""
    write_pseudo_documents(folder / "fields.jsonl", documents_with_fields(1000, seed=8))
    index_pseudo_documents(folder / "fields.jsonl", folder / "with-fields", fields=TYPES)
    export_collection("opensearch", folder / "fields", index_dir=folder / "with-fields", name="fields")
    push_export(folder / "fields", urls, shards=2)
    source = random.Random(6)
    filters = [random_filter(source) for _ in range(200)]
    filters += [where("lang").is_in([f"x{i}" for i in range(70_000)] + ["de"]), where("year").is_in(range(3000))]
    query = {f"t{i}": i + 1 for i in range(40)}
    sizes = set()
    with LuceneImpactSearcher(folder / "with-fields") as ours, EngineSearcher(urls, "fields") as theirs:
        for each in filters:
            expected = ours.search(query, 1000, filter=each)
            assert theirs.search(query, 1000, filter=each) == expected, str(each)
            sizes.add(len(expected))
        hits = theirs.search(query, 1000)
        assert hits.fields() == ours.search(query, 1000).fields()
        assert hits.facets("tags") == ours.search(query, 1000).facets("tags")
    assert len(sizes) > 100


def check_pages(urls, folder: Path, monkeypatch) -> None:
    """A ranking that is read in pages is that of its beginning, while documents go."""
    write_pseudo_documents(
        folder / "pages.jsonl", [PseudoDocument(f"d{i}", "", {"cat": 1 + i % 200, "dog": 1}) for i in range(1000)]
    )
    index_pseudo_documents(folder / "pages.jsonl", folder / "paged")
    export_collection("opensearch", folder / "pages", index_dir=folder / "paged", name="pages")
    push_export(folder / "pages", urls, shards=2)
    client = open_client("opensearch", urls)
    client.request("PUT", "/pages/_settings", {"index": {"max_result_window": 100}})
    search, pages = EngineClient.search, []

    def searched(self, *arguments, **options):
        pages.append(search(self, *arguments, **options))
        if len(pages) == 2:
            gone = [docid for docid in expected.docids if docid.startswith("d9")]
            lines = "".join(json.dumps({"delete": {"_id": docid}}) + "\n" for docid in gone)
            assert {item["status"] for item in client.bulk("pages", lines.encode())} == {200}
            client.request("POST", "/pages/_refresh")
        return pages[-1]

    try:
        with LuceneImpactSearcher(folder / "paged") as ours, EngineSearcher(urls, "pages") as theirs:
            expected = ours.search({"cat": 3, "dog": 1}, 1000)
            monkeypatch.setattr(EngineClient, "search", searched)
            assert theirs.search({"cat": 3, "dog": 1}, 1000) == expected
            assert len(pages) == 10
            left = [docid for docid in expected.docids if not docid.startswith("d9")]
            assert theirs.search({"cat": 3, "dog": 1}, 1000).docids == left
        opened = client.request("GET", "/_nodes/stats/indices/search")["nodes"].values()  # points in time
        assert sum(node["indices"]["search"]["point_in_time_current"] for node in opened) == 0
    finally:
        monkeypatch.undo()
        client.close()


def holder_of_state(client: EngineClient, urls: list[str]) -> int:
    """The number of a node that holds part of the point in time of the next page."""
    nodes = client.request("GET", "/_nodes/stats/indices,http/search")["nodes"]
    addresses = client.request("GET", "/_nodes/http")["nodes"]
    holders = {
        addresses[name]["http"]["publish_address"].rpartition(":")[2]
        for name, node in nodes.items()
        if node["indices"]["search"]["point_in_time_current"]
    }
    return max(number for number, url in enumerate(urls) if url.rpartition(":")[2] in holders)


def check_missing_shards(urls: list[str]) -> None:
    """Without replicas the hits of a stopped node are missing: no run, rather than a part of one."""
    with EngineSearcher(urls, "few", patience=0) as searcher, pytest.raises(EngineError, match=r"503|only partial"):
        searcher.search({"cat": 1})
    client = open_client("opensearch", urls)
    client.request("DELETE", "/few")
    client.close()


@pytest.mark.model
def test_three_nodes_give_the_runs_of_the_indexes_with_one_stopped_and_back(
    generated, cacm, three_nodes, shared, tmp_path, monkeypatch
):
    folder, queries, deep = generated
    urls = [argument for url in three_nodes.urls for argument in ("--url", url)]
    summary = push_export(folder / "export", three_nodes.urls, shards=3, replicas=1, threads=2)
    assert summary.total == DOCUMENTS
    run_well("push", "--to", "opensearch", "--input", cacm / "export", *urls, "--shards", 3, "--replicas", 1)
    write_pseudo_documents(
        tmp_path / "few.jsonl", [PseudoDocument(f"d{i}", "", {"cat": 1 + i % 7}) for i in range(300)]
    )
    export_collection("opensearch", tmp_path / "few", pseudo_documents=tmp_path / "few.jsonl", name="few")
    push_export(tmp_path / "few", three_nodes.urls, shards=3)

    def check() -> None:
        check_run(three_nodes.urls, generated)
        run_well(
            "search", "--engine", "opensearch", *urls, "--name", "cacm", "--topics",
            shared / "data" / "cacm" / "topics.tsv", "--output", cacm / "theirs.trec",
        )  # fmt: skip
        assert (cacm / "theirs.trec").read_bytes() == (cacm / "ours.trec").read_bytes()

    three_nodes.wait("green", seconds=PATIENCE)
    check()
    search, pages, killed = EngineClient.search, [], []

    def searched(self, *arguments, **options):
        pages.append(search(self, *arguments, **options))
        if len(pages) == 1:
            killed.append(holder_of_state(self, three_nodes.urls))
            three_nodes.kill(killed[0])
        return pages[-1]

    with EngineSearcher(three_nodes.urls, "generated") as searcher, monkeypatch.context() as patched:
        patched.setattr(EngineClient, "search", searched)
        assert searcher.search(next(iter(queries.values())), 25_000) == deep
        assert len(pages) > 3  # again from the first
    check_missing_shards([url for number, url in enumerate(three_nodes.urls) if number != killed[0]])
    three_nodes.wait("yellow", nodes=2, seconds=PATIENCE)
    check()
    three_nodes.start(killed[0])
    three_nodes.wait("green", nodes=3, seconds=PATIENCE)
    check()
    assert push_export(folder / "export", three_nodes.urls[:1]).sent == 0
    with (
        LuceneImpactSearcher(cacm / "index") as ours,
        EngineSearcher(three_nodes.urls, "cacm", ours.query_encoder) as theirs,
    ):
        assert theirs.num_docs == ours.num_docs
        found = theirs.search("time sharing operating systems", 5)
        assert found == ours.search("time sharing operating systems", 5)
        assert [hit.contents for hit in found] == [ours.doc(hit.docid).contents() for hit in found]
