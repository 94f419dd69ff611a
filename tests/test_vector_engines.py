"""Engines that run in this process load our exports and find what we find: Qdrant, Milvus Lite, Seismic, BMP."""

from __future__ import annotations

import json
import os
import random
import re
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.collections import random_collection
from support.commands import run_well
from support.fields import TYPES, documents_with_fields, random_filter

from splade_lucene import (
    EngineSearcher,
    LuceneImpactSearcher,
    PseudoDocument,
    Run,
    index_pseudo_documents,
    read_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.engines.export import export_collection
from splade_lucene.engines.importing.importer import import_collection
from splade_lucene.errors import EngineError, InputError, QueryError

K = 20
Vector = dict[str, int]
Ranking = list[tuple[str, float]]


class World:
    """A collection, its queries, and the exact score of every document for each."""

    def __init__(self, folder: Path) -> None:
        self.documents = random_collection(600, seed=11, impacts=255)
        self.source = folder / "x.jsonl"
        write_pseudo_documents(self.source, self.documents)
        index_pseudo_documents(self.source, folder / "index")
        source = random.Random(2)
        terms = sorted({term for each in self.documents for term in each.vector})
        self.queries: list[Vector] = [
            {term: source.randint(1, 300) for term in source.sample(terms, size)} for size in (1, 2, 5, 5, 8, 8, 20, 60)
        ]
        with LuceneImpactSearcher(folder / "index") as searcher:
            self.exact = [
                dict(zip(hits.docids, hits.scores.tolist(), strict=True))
                for hits in (searcher.search(query, len(self.documents)) for query in self.queries)
            ]

    def check_equal(self, rankings: Iterable[Ranking]) -> None:
        """Compares scores exactly; which of equal ones come first, and last, is the engine's."""
        for exact, ranking in zip(self.exact, rankings, strict=True):
            assert [score for _, score in ranking] == list(exact.values())[:K]
            assert dict(ranking) == {docid: exact[docid] for docid, _ in ranking}
            least = [*exact.values()][:K][-1]
            assert {docid for docid, score in exact.items() if score > least} <= {docid for docid, _ in ranking}

    def recall(self, rankings: Iterable[Ranking]) -> float:
        """The share of the best K that were found; others with the score of the last one count as well."""
        found = total = 0
        for exact, ranking in zip(self.exact, rankings, strict=True):
            best = [*exact.values()][:K]
            found += sum(exact.get(docid, 0) >= best[-1] for docid, _ in ranking[:K])
            total += len(best)
        return found / total


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("engines"))


def ids(export: Path, vector: Mapping[str, int]) -> dict[int, float]:
    terms = {term: number for number, term in enumerate((export / "terms.txt").read_text(encoding="utf-8").split("\n"))}
    return {terms[term]: float(impact) for term, impact in vector.items()}


def same(documents: Iterable[PseudoDocument], back: Path) -> bool:
    found = {each.docid: (each.contents, each.vector) for each in read_pseudo_documents(back)}
    return found == {each.docid: (each.contents, each.vector) for each in documents}


@pytest.mark.slow
def test_qdrant_finds_the_same(world, tmp_path, monkeypatch):
    qdrant = pytest.importorskip("qdrant_client", reason="needs qdrant-client, of the extra qdrant")
    export = tmp_path / "export"
    export_collection("qdrant", export, pseudo_documents=world.source, piece_bytes=100_000)
    monkeypatch.chdir(export)
    program = re.search(r"```python\n(.*?)```", (export / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    loaded: dict[str, Any] = {}
    exec(compile(program, "README.md", "exec"), loaded)
    client = loaded["client"]
    try:
        assert client.count("splade").count == len(world.documents)

        def search(query: Vector) -> Ranking:
            weights = ids(export, query)
            vector = qdrant.models.SparseVector(indices=list(weights), values=list(weights.values()))
            found = client.query_points("splade", query=vector, using="impacts", limit=K, with_payload=["docid"])
            return [(hit.payload["docid"], hit.score) for hit in found.points]

        world.check_equal(map(search, world.queries))
        body = json.loads((export / "query.json").read_text())
        vector = qdrant.models.SparseVector(**body["query"])
        assert client.query_points("splade", query=vector, using=body["using"], limit=body["limit"]).points
        points = client.scroll("splade", limit=1000, with_vectors=True)[0]
        (tmp_path / "dump.jsonl").write_text(
            "".join(f"{each.model_dump_json()}\n" for each in points), encoding="utf-8"
        )
    finally:
        client.close()
    import_collection("qdrant", tmp_path / "dump.jsonl", tmp_path / "back", vocabulary=export)
    assert same(world.documents, tmp_path / "back")


@pytest.fixture(scope="module")
def qdrant(world, tmp_path_factory):
    """A folder of Qdrant's local mode, loaded with the program of README.md, and the index of the same documents."""
    pytest.importorskip("qdrant_client", reason="needs qdrant-client, of the extra qdrant")
    folder = tmp_path_factory.mktemp("qdrant")
    documents = [
        PseudoDocument(each.docid, None if number % 9 == 0 else each.contents, each.vector, with_fields.fields)
        for number, (each, with_fields) in enumerate(
            zip(world.documents[:300], documents_with_fields(300, seed=3), strict=True)
        )
    ]
    documents[0] = PseudoDocument("d 漢字".replace(" ", "\u2019"), "", {"tie": 1}, {"year": 2019})
    documents += [PseudoDocument(f"tie{i}", "", {"tie": 1}) for i in range(50)]
    write_pseudo_documents(folder / "docs.jsonl", documents)
    index_pseudo_documents(folder / "docs.jsonl", folder / "index", fields=TYPES)
    export_collection("qdrant", folder / "export", index_dir=folder / "index", name="docs", piece_bytes=50_000)
    program = re.search(
        r"```python\n(.*?)```", (folder / "export" / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )[1]
    before = Path.cwd()
    os.chdir(folder / "export")
    try:
        loaded: dict[str, Any] = {}
        exec(compile(program, "README.md", "exec"), loaded)
        loaded["client"].close()
    finally:
        os.chdir(before)
    return folder / "export" / "docs.qdrant", folder / "index"


def test_a_searcher_of_qdrant_gives_the_run_of_the_index(world, qdrant, tmp_path):
    place, index = qdrant
    queries = [*world.queries, {"tie": 3}, {"unknown": 1}, {}]
    qids = [f"q{i}" for i in range(len(queries))]
    with LuceneImpactSearcher(index) as ours, EngineSearcher(str(place), "docs", engine="qdrant") as theirs:
        assert theirs.num_docs == ours.num_docs
        for k in (1, 7, 20, 1000, 20_000):
            expected = ours.batch_search(queries, qids, k)
            found = theirs.batch_search(queries, qids, k, threads=3)
            for each, name in ((expected, "ours"), (found, "theirs")):
                Run(each).write(tmp_path / name)
            assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes(), k
        hits, same_hits = theirs.search({"tie": 1}, 60), ours.search({"tie": 1}, 60)
        assert [hit.contents for hit in hits] == [hit.contents for hit in same_hits]
        assert hits.fields() == same_hits.fields()
        assert theirs.doc("none") is None


@pytest.mark.slow
def test_qdrants_filters_accept_what_those_of_the_index_do(world, qdrant):
    place, index = qdrant
    source, query = random.Random(5), {term: 1 for each in world.documents for term in each.vector}
    refused, compared = [], 0
    with LuceneImpactSearcher(index) as ours, EngineSearcher(str(place), "docs", engine="qdrant") as theirs:
        for each in (random_filter(source) for _ in range(150)):
            expected = ours.search(query, 400, filter=each)
            try:
                found = theirs.search(query, 400, filter=each)
            except QueryError as error:
                refused.append(str(error))
            else:
                assert found == expected, str(each)
                compared += 1
        with pytest.raises(
            QueryError, match="Qdrant cannot compare keywords by their order, as the filter on the field 'lang'"
        ):
            theirs.search(query, filter='lang > "de"')
    assert len(refused) > 5
    assert all(re.search("Qdrant cannot compare (keywords by their order|year with)", told) for told in refused)
    assert compared > 80


def test_the_command_searches_qdrant(qdrant, tmp_path):
    place, index = qdrant
    topics = tmp_path / "topics.jsonl"
    topics.write_text(json.dumps({"qid": "q1", "vector": {"tie": 2, "term1": 5, "term2": 1}}) + "\n")
    asked = ["--topics", topics, "--encoded", "--filter", "year >= 2019 or not year exists"]
    run_well("search", "--engine", "qdrant", "--url", place, "--name", "docs", *asked, "--output", tmp_path / "theirs")
    run_well("search", "--index", index, *asked, "--output", tmp_path / "ours")
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()
    assert (tmp_path / "ours").read_bytes()


@pytest.mark.parametrize("answer", [b"<html>Log in</html>", b'{"result": 1}', b""])
def test_what_qdrant_did_not_write_is_an_error(answer):
    pytest.importorskip("qdrant_client", reason="needs qdrant-client, of the extra qdrant")

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        with pytest.raises(EngineError, match=r"the answer of Qdrant at \S+ cannot be read") as raised:
            EngineSearcher(f"http://127.0.0.1:{server.server_address[1]}", engine="qdrant")
        server.shutdown()
    assert raised.value.status == 200


def test_what_is_no_collection_of_ours_is_refused(qdrant, tmp_path):
    from qdrant_client import QdrantClient

    with pytest.raises(InputError, match="neither the URL of Qdrant nor the folder"):
        EngineSearcher(str(tmp_path), engine="qdrant")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(EngineError, match=r"has no collection other\. Load it as the README\.md of the export says"):
        EngineSearcher(str(qdrant[0]), "other", engine="qdrant")
    client = QdrantClient(path=str(tmp_path / "foreign"))
    client.create_collection("splade", vectors_config={})
    client.close()
    with pytest.raises(EngineError, match="collection splade has no metadata"):
        EngineSearcher(str(tmp_path / "foreign"), engine="qdrant")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(EngineError, match=rf"Qdrant at {url} cannot be reached .*Check the URL"):
        EngineSearcher(url, engine="qdrant", patience=0)
    with pytest.raises(InputError, match="at one URL, got 2"):
        EngineSearcher([url, url], engine="qdrant")


@pytest.mark.process
def test_milvus_lite_finds_the_same(world, tmp_path, monkeypatch):
    pymilvus = pytest.importorskip("pymilvus", reason="needs pymilvus, of the extra milvus")
    pytest.importorskip("milvus_lite", reason="needs milvus-lite, of the extra milvus")
    export = tmp_path / "export"
    export_collection("milvus", export, pseudo_documents=world.source, piece_bytes=100_000)
    monkeypatch.setattr(sys, "argv", ["load.py", str(tmp_path / "milvus.db")])
    runpy.run_path(str(export / "load.py"))
    client = pymilvus.MilvusClient(str(tmp_path / "milvus.db"))
    try:

        def search(query: Vector) -> Ranking:
            (hits,) = client.search(
                "splade", data=[ids(export, query)], anns_field="impacts", limit=K, output_fields=["docid"]
            )
            return [(hit["docid"], hit["distance"]) for hit in hits]

        world.check_equal(map(search, world.queries))
        rows = client.query("splade", filter='docid != ""', output_fields=["docid", "text", "impacts"], limit=1000)
        (tmp_path / "dump.json").write_text(json.dumps({"data": [dict(row) for row in rows]}), encoding="utf-8")
    finally:
        client.close()
    load, search_once = (export / "README.md").read_text().split("```sh\n")[1].split("```")[0].splitlines()[1:]
    environment = {
        **os.environ,
        "URI": str(tmp_path / "other.db"),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    shown = subprocess.run(
        ["bash", "-euc", f"{load}\n{load}\n{search_once}"],
        cwd=export,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.count("'distance'") == 10  # loaded again, with no document twice
    assert len(set(re.findall(r"'docid': '([^']+)', 'distance'", shown))) == 10
    import_collection("milvus", tmp_path / "dump.json", tmp_path / "back", vocabulary=export)
    assert same(world.documents, tmp_path / "back")


def test_seismic_finds_most(world, tmp_path, record_property):
    seismic = pytest.importorskip("seismic", reason="needs pyseismic-lsr, of the extra seismic")
    export = tmp_path / "export"
    export_collection("seismic", export, pseudo_documents=world.source, piece_bytes=100_000)
    with (tmp_path / "all.jsonl").open("wb") as file:
        for piece in sorted(export.glob("documents-*.jsonl")):
            file.write(piece.read_bytes())
    index = seismic.SeismicIndex.build(str(tmp_path / "all.jsonl"), num_threads=1)
    assert index.len == len(world.documents)
    text = seismic.get_seismic_string()

    def search(query: Vector) -> Ranking:
        weights = np.array(list(query.values()), np.float32)
        hits = index.search("q", np.array(list(query), text), weights, k=K, query_cut=len(query), heap_factor=0.7)
        return [(docid, score) for _, score, docid in hits]

    rankings = list(map(search, world.queries))
    for exact, ranking in zip(world.exact, rankings, strict=True):
        assert dict(ranking) == pytest.approx({docid: exact[docid] for docid, _ in ranking})
    recall = world.recall(rankings)
    record_property("recall", recall)
    print(f"Seismic: recall@{K} {recall:.3f}")
    assert recall > 0.95
    assert index.get_doc_text("d1")


def test_bmp_finds_most(world, tmp_path):
    bmp = pytest.importorskip("bmp", reason="needs the package bmp, of the extra bmp")
    export_collection("bmp", tmp_path / "export", pseudo_documents=world.source)
    bmp.ciff2bmp(
        ciff_file=str(tmp_path / "export" / "collection.ciff"),
        output=str(tmp_path / "x.bmp"),
        bsize=32,
        compress_range=False,
    )
    searcher = bmp.Searcher(str(tmp_path / "x.bmp"))

    def search(query: Vector) -> Ranking:
        docids, scores = searcher.search(
            {term: float(impact) for term, impact in query.items()}, k=K, alpha=1.0, beta=1.0
        )
        return list(zip(docids, scores, strict=True))

    recall = world.recall(map(search, world.queries))
    print(f"BMP: recall@{K} {recall:.3f}")
    assert recall > 0.9
    single = world.queries[0]  # a query of one term: rounding its weight changes no order
    assert len(single) == 1
    world_of_one = [docid for docid, _ in search(single)]
    exact = world.exact[0]
    assert [exact[docid] for docid in world_of_one] == [*exact.values()][:K]
