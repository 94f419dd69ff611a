"""Encoding, building and searching on a cluster of real raylets: the results are those of one machine, whatever happens."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.clusters import FILE_LIMIT, RAYLETS, WhenDone, import_path, patiently, raylet, raylet_of, workers_named
from support.commands import check_failed, run, run_well
from support.files import files
from support.object_store import FOLDER, objects, register_objects
from support.processes import child_environment, free_port, run_python, wait_for

pytest.importorskip("ray", reason="ray is not installed")

from ray.cluster_utils import Cluster

from splade_lucene import (
    CorpusError,
    IndexAccessError,
    InputError,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    Quantizer,
    QueryError,
    RayCluster,
    RayWorkers,
    ShardedSearcher,
    SpladeEncoder,
    SpladeLuceneError,
    StorageError,
    build_index,
    build_sharded_index,
    encode_corpus,
    merge_indexes,
    where,
)
from splade_lucene.distributed import building, encoding, pool
from splade_lucene.distributed import cluster as cluster_module
from splade_lucene.files import remote_locks
from splade_lucene.index.shards import is_sharded, read_shards
from splade_lucene.manifest import Part, read_folder_manifest
from splade_lucene.pseudo_documents import parts

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.filterwarnings("ignore")]

RULE = Quantizer.named("naver")
WORDS = ["cat", "dog", "bird", "fish", "horse", "cow", "sheep", "goat", "mouse", "rat", "heart", "blood", "sugar"]
DOCUMENTS = 240


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 20)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Documents of 1 to 30 words, some blank, with fields."""
    path, source = tmp_path_factory.mktemp("corpus") / "corpus.jsonl", random.Random(23)
    with path.open("w") as file:
        for number in range(DOCUMENTS):
            text = " ".join(source.choices(WORDS, k=source.randint(1, 30))) if number % 17 else ""
            lang = source.choice(["de", "en"])
            file.write(
                json.dumps({"id": f"d{number}", "contents": text, "lang": lang, "year": 2000 + number % 20}) + "\n"
            )
    return path


@pytest.fixture(scope="module")
def expected(tmp_path_factory, corpus, tiny_encoder) -> Path:
    """What one machine encodes."""
    output = tmp_path_factory.mktemp("expected") / "encoded"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_DOCUMENTS", 20)
        encode_corpus(corpus, output, tiny_encoder, RULE, fields="lang,year")
    return output


@pytest.fixture(scope="module")
def raylets(tmp_path_factory) -> Iterator[Cluster]:
    """Two nodes with two logical CPUs each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", import_path(tmp_path_factory.mktemp("path")))
        patch.setenv(FOLDER, str(tmp_path_factory.mktemp("objects")))
        register_objects()
        for name, value in RAYLETS.items():
            patch.setenv(name, value)
        cluster = patiently(Cluster, initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        patiently(cluster.add_node, num_cpus=2)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def cluster(raylets) -> RayCluster:
    return RayCluster(raylets.address, workers=2, timeout=600)


def encode(corpus: Path, output: str | Path, encoder: SpladeEncoder, cluster: RayCluster, **options: Any) -> Any:
    return encode_corpus(corpus, output, encoder, RULE, workers=RayWorkers(cluster), fields="lang,year", **options)


# ---- encoding ----


def test_a_cluster_writes_what_one_machine_writes_although_a_worker_and_a_node_die(
    corpus, expected, tiny_encoder, raylets, cluster, tmp_path
):
    killed, removed = [], []

    def kill() -> None:
        killed.append(workers_named("PartWorker", raylets)[0])
        os.kill(killed[0], signal.SIGKILL)

    def remove() -> None:
        removed.append(next(iter(raylets.worker_nodes)))
        raylets.remove_node(removed[0], allow_graceful=False)

    try:
        encode(corpus, tmp_path / "out", tiny_encoder, cluster, progress=WhenDone(kill, remove))
    finally:
        if removed:
            patiently(raylets.add_node, num_cpus=2)
    assert killed
    assert removed
    assert files(tmp_path / "out") == files(expected)
    manifest = json.loads((expected / "splade-lucene.manifest").read_text())
    assert len(manifest["parts"]) == DOCUMENTS // 20
    assert sum(each["documents"] for each in manifest["parts"]) == DOCUMENTS


def test_a_slow_worker_and_a_node_with_a_full_disk_do_not_hold_up_the_end(
    corpus, expected, tiny_encoder, raylets, tmp_path, monkeypatch
):
    monkeypatch.setattr(pool, "_LEAST_SECONDS", 0.5)
    smallest = min(path.stat().st_size for path in expected.glob("part-*"))
    node = patiently(raylets.add_node, num_cpus=2, env_vars={FILE_LIMIT: str(smallest // 2)})
    pools: list[pool.WorkPool] = []
    slow: list[int] = []

    def stop() -> None:
        slow.append(next(each for each in workers_named("PartWorker", raylets) if raylet_of(each) != raylet(node)))
        os.kill(slow[0], signal.SIGSTOP)

    class Watched(pool.WorkPool):
        """Waits for a node that starts late, and repeats nothing before that node has failed to write."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            pools.append(self)

        def _assign_new(self, tasks: Iterator[tuple[int, Any]]) -> bool:
            return super()._assign_new(tasks) if all(each.is_ready for each in self._members) else True

        def _reassign(self) -> None:
            if self.storage_error is not None:
                super()._reassign()

    monkeypatch.setattr(encoding, "WorkPool", Watched)
    try:
        three = RayCluster(raylets.address, workers=3, cpus=2, timeout=600)  # one on each node
        encode(corpus, tmp_path / "out", tiny_encoder, three, progress=WhenDone(stop))
    finally:
        raylets.remove_node(node)
    assert slow
    assert files(tmp_path / "out") == files(expected)
    assert pools[0].repeated  # the stopped worker's parts
    assert pools[0].storage_error is not None


def test_a_disk_that_is_full_everywhere_is_an_error_that_names_a_node(
    corpus, expected, tiny_encoder, raylets, tmp_path
):
    smallest = min(path.stat().st_size for path in expected.glob("part-*"))
    node = patiently(raylets.add_node, num_cpus=3, env_vars={FILE_LIMIT: str(smallest // 2)})
    try:
        with pytest.raises(StorageError, match=r"on .*part-0000.\.jsonl: cannot write \(File too large\)"):
            encode(corpus, tmp_path / "out", tiny_encoder, RayCluster(raylets.address, cpus=3, timeout=600))
    finally:
        raylets.remove_node(node)
    assert not [*(tmp_path / "out").glob("part-*")]


def test_no_more_workers_start_than_there_are_parts(corpus, tiny_encoder, raylets, tmp_path, monkeypatch):
    one = tmp_path / "one document.jsonl"
    one.write_text(corpus.read_text().splitlines()[3] + "\n")
    counts = []

    class Counting(pool.WorkPool):
        def __init__(self, *arguments: Any, count: int, **options: Any) -> None:
            counts.append(count)
            super().__init__(*arguments, count=count, **options)

    monkeypatch.setattr(encoding, "WorkPool", Counting)
    monkeypatch.chdir(tmp_path)
    encode(Path(one.name), Path("some folder"), tiny_encoder, RayCluster(raylets.address, workers=4, timeout=600))
    assert counts == [1]
    encode_corpus(one, tmp_path / "alone", tiny_encoder, RULE, fields="lang,year")
    assert (tmp_path / "some folder" / "part-00000.jsonl").read_bytes() == (
        tmp_path / "alone" / "part-00000.jsonl"
    ).read_bytes()


def test_the_driver_is_killed_and_run_again(corpus, expected, tiny_model, tiny_encoder, raylets, cluster, tmp_path):
    output = tmp_path / "out"
    journal = output / "splade-lucene.journal"
    program = f"""
from splade_lucene import *
from splade_lucene.pseudo_documents import parts
parts.PART_DOCUMENTS = 20
encoder = SpladeEncoder({str(tiny_model)!r}, device="cpu", dtype="float32")
workers = RayWorkers(RayCluster({cluster.address!r}, workers=1, timeout=600))
encode_corpus({str(corpus)!r}, {str(output)!r}, encoder, Quantizer.named("naver"), workers=workers, fields="lang,year")
"""
    driver = subprocess.Popen([sys.executable, "-c", program], env=child_environment())
    try:
        wait_for(lambda: driver.poll() is not None or (journal.exists() and journal.read_text().count("\n") > 2), 600)
    finally:
        driver.kill()
        driver.wait()
    finished = [json.loads(line)["name"] for line in journal.read_text().splitlines()[1:]]
    assert finished
    before = {name: (output / name).stat().st_mtime_ns for name in finished}
    wait_for(lambda: not workers_named("PartWorker", raylets), 600)  # those of a driver end with it
    encode(corpus, output, tiny_encoder, replace(cluster, workers=1))
    assert files(output) == files(expected)
    assert {name: (output / name).stat().st_mtime_ns for name in finished} == before


def test_an_object_store_gets_the_same_although_the_driver_and_a_worker_die(
    corpus, expected, built, tiny_model, tiny_encoder, raylets, cluster, tmp_path
):
    url = "objects://bucket/encoded"
    program = f"""
from splade_lucene import *
from splade_lucene.pseudo_documents import parts
parts.PART_DOCUMENTS = 20
encoder = SpladeEncoder({str(tiny_model)!r}, device="cpu", dtype="float32")
workers = RayWorkers(RayCluster({cluster.address!r}, workers=1, timeout=600))
encode_corpus({str(corpus)!r}, {url!r}, encoder, Quantizer.named("naver"), workers=workers, fields="lang,year")
"""

    def finished() -> list[str]:
        return [name for name in objects("encoded") if name.startswith("splade-lucene.parts/")]

    driver = subprocess.Popen(
        [sys.executable, "-c", program], env=child_environment(PYTHONPATH=os.environ["PYTHONPATH"])
    )
    try:
        wait_for(lambda: driver.poll() is not None or len(finished()) > 2, 600)
    finally:
        driver.kill()
        driver.wait()
    numbers = [int(name.removeprefix("splade-lucene.parts/").removesuffix(".json")) for name in finished()]
    before = {f"part-{number:05d}.jsonl": 0 for number in numbers}
    before = {name: objects("encoded")[name].stat().st_mtime_ns for name in before}
    assert "splade-lucene.lock" in objects("encoded")
    wait_for(lambda: not workers_named("PartWorker", raylets), 600)
    resumed = [lambda: None for _ in numbers]
    kill = WhenDone(*resumed, lambda: os.kill(workers_named("PartWorker", raylets)[0], signal.SIGKILL))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_locks, "_PATIENCE", 2.0)
        encode(corpus, url, tiny_encoder, cluster, progress=kill)
    assert {name: file.read_bytes() for name, file in objects("encoded").items()} == files(expected)
    assert {name: objects("encoded")[name].stat().st_mtime_ns for name in before} == before
    build_sharded_index(
        corpus, tmp_path / "shards", cluster, tiny_encoder, RULE, shards=2, fields="lang,year", pseudo_documents=url
    )
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
    assert not [path for path in (tmp_path / "shards").iterdir() if path.name.startswith(".")]
    with LuceneImpactSearcher(built / "one") as one, LuceneImpactSearcher(tmp_path / "shards") as shards:
        assert shards.search("cats and dogs", 100) == one.search("cats and dogs", 100)


def test_a_node_that_cannot_use_the_store_is_named(corpus, tiny_encoder, raylets, tmp_path):
    node = patiently(raylets.add_node, num_cpus=1, env_vars={FOLDER: str(tmp_path)})
    try:
        with pytest.raises(InputError, match=r"nodes of the Ray cluster cannot use this folder: on .* has this name"):
            encode(corpus, "objects://bucket/apart", tiny_encoder, RayCluster(raylets.address, timeout=600))
    finally:
        raylets.remove_node(node)
    assert not objects("apart")


def test_a_docid_that_two_parts_have_is_refused_as_on_one_machine(corpus, tiny_encoder, cluster, tmp_path):
    double = tmp_path / "corpus.jsonl"
    double.write_text(corpus.read_text() + corpus.read_text().splitlines()[7] + "\n")
    with pytest.raises(CorpusError) as alone:
        encode_corpus(double, tmp_path / "alone", tiny_encoder, RULE)
    with pytest.raises(CorpusError) as together:
        encode(double, tmp_path / "out", tiny_encoder, cluster)
    assert str(together.value) == str(alone.value)
    assert "duplicate id 'd7'" in str(alone.value)
    assert not (tmp_path / "out").exists()


def test_what_waits_for_a_place_that_never_comes_says_so(corpus, tiny_encoder, raylets, cluster, tmp_path):
    with RayCluster(raylets.address).connected() as session:
        hog = session.ray.remote(num_cpus=2)(Hog)
        actors = [hog.remote() for _ in range(2)]
        session.ray.get([getattr(each, "ready").remote() for each in actors])  # noqa: B009
        with pytest.raises(SpladeLuceneError, match=r"no progress .* 2 workers wait for a place .* each needs 1 CPUs"):
            encode(corpus, tmp_path / "out", tiny_encoder, RayCluster(raylets.address, workers=2, timeout=3))


def test_the_jvm_keeps_its_signal_handlers(raylets):
    """Without them, the first null pointer that Java code reads on purpose would end the process."""
    code = f"""
import ctypes, signal
from splade_lucene import RayCluster, jvm

def handlers():
    found = []
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL):
        buffer = ctypes.create_string_buffer(256)
        assert ctypes.CDLL(None).sigaction(int(number), None, buffer) == 0
        found.append(buffer.raw[:8])  # the address of the handler
    return found

jvm.start()
before = handlers()
assert any(any(each) for each in before)
with RayCluster({raylets.address!r}).connected():
    assert handlers() == before
assert handlers() == before
"""
    done = run_python(code, RAY_AUTH_MODE="disabled")
    assert done.returncode == 0, done.stderr


class Hog:
    """Takes all CPUs of a node."""

    def ready(self) -> bool:
        return True


# ---- shards ----


@pytest.fixture(scope="module")
def built(tmp_path_factory, corpus, tiny_encoder, cluster) -> Path:
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_DOCUMENTS", 20)
        build_index(corpus, folder / "one", tiny_encoder, RULE, fields="lang,year")
        summary = build_sharded_index(
            corpus, folder / "shards", cluster, tiny_encoder, RULE, shards=2, fields="lang,year"
        )
    with LuceneImpactSearcher(folder / "one") as one:
        counts = one.reader.statistics()
    assert (summary.index.documents, summary.index.postings) == (counts["documents"], counts["postings"])
    assert summary.index.terms == counts["terms"]
    return folder


def random_queries(searcher: LuceneImpactSearcher, count: int) -> list[dict[str, int]]:
    source = random.Random(5)
    terms = [each.term for each in searcher.reader.terms()]
    return [
        {term: source.randint(1, 50) for term in source.sample(terms, min(len(terms), source.randint(1, 8)))}
        for _ in range(count)
    ]


def ranked(found: Any) -> Any:
    return {qid: (hits.docids, hits.scores.tolist()) for qid, hits in found.items()}


def test_shards_are_one_index_for_whatever_takes_several(built, tmp_path):
    assert is_sharded(built / "shards")
    shards = read_shards(built / "shards")
    assert len(shards.shards) == 2
    assert abs(shards.documents[0] - shards.documents[1]) <= 20
    merge_indexes(built / "shards", tmp_path / "merged")
    with (
        LuceneImpactSearcher(built / "one") as one,
        LuceneImpactSearcher(built / "shards") as joined,
        LuceneImpactSearcher(tmp_path / "merged") as merged,
    ):
        queries = random_queries(one, 60)
        qids = [f"q{number}" for number in range(60)]
        found = ranked(one.batch_search(queries, qids, 100))
        assert ranked(joined.batch_search(queries, qids, 100)) == found
        assert ranked(merged.batch_search(queries, qids, 100)) == found
        assert merged.reader.statistics()["total_impact"] == one.reader.statistics()["total_impact"]


def test_scatter_and_gather_find_what_the_index_finds(built, raylets, cluster):
    with (
        LuceneImpactSearcher(built / "one") as one,
        ShardedSearcher(built / "shards", cluster=cluster) as sharded,
    ):
        queries = random_queries(one, 60)
        qids = [f"q{number}" for number in range(60)]
        assert sharded.num_docs == one.num_docs
        assert sharded.fields == one.reader.fields
        for k in (1, 10, 1000):
            assert ranked(sharded.batch_search(queries, qids, k)) == ranked(one.batch_search(queries, qids, k))
        condition = (where("lang") == "de") & (where("year") >= 2010)
        for each in (condition, 'lang = "de" and year >= 2010'):
            found = one.batch_search(queries, qids, 1000, filter=each)
            assert ranked(sharded.batch_search(queries, qids, 1000, filter=each)) == ranked(found)
        hits, same = one.search("cats and dogs", 50), sharded.search("cats and dogs", 50)
        assert len(hits) > 10
        assert same == hits
        assert [each.contents for each in same] == [each.contents for each in hits]
        assert same.fields() == hits.fields()
        assert same.facets("lang") == hits.facets("lang")
        assert [each.raw() for each in same.documents()] == [each.raw() for each in hits.documents()]
        for hit, other in zip(hits[:5], same[:5], strict=True):
            assert sharded.doc(other.lucene_docid).docid() == hit.docid
            assert sharded.doc(hit.docid).raw() == one.doc(hit.docid).raw()
            assert sharded.explain("cats and dogs", hit.docid) == one.explain("cats and dogs", hit.docid)
        assert sharded.doc("missing") is None
        assert ranked(sharded.batch_search(iter(queries), iter(qids), 10)) == ranked(
            one.batch_search(queries, qids, 10)
        )
        given: list[Any] = ["cats", {"cat": 1}]
        assert sharded.encode_batch(iter(given)) == one.encode_batch(given)
        assert sharded.quantize({"cat": 1.239, "dog": 0.001}) == one.quantize({"cat": 1.239, "dog": 0.001})
        os.kill(workers_named("Shard", raylets)[0], signal.SIGKILL)
        assert ranked(sharded.batch_search(queries, qids, 10)) == ranked(one.batch_search(queries, qids, 10))
        with LuceneImpactSearcher(built / "one", min_idf=0.9) as rare:
            sharded.min_idf = 0.9
            everything = ranked(rare.batch_search(queries, qids, 1000))
            assert everything != ranked(one.batch_search(queries, qids, 1000))
            assert ranked(sharded.batch_search(queries, qids, 1000)) == everything
        for wrong in ({"filter": 'color = "red"'}, {"k": 0}):
            with pytest.raises(QueryError):
                sharded.search({"cat": 1}, **wrong)
        with pytest.raises(InputError, match="no document has the id 'missing'"):
            sharded.explain({"cat": 1}, "missing")
    with pytest.raises(IndexAccessError, match="closed"):
        sharded.search({"cat": 1})


def test_the_command_writes_the_same_run(built, cluster, tmp_path):
    topics = tmp_path / "topics.tsv"
    topics.write_text("q1\tcat and dog\nq2\tblood\nq3\t\nq4\tsugar heart mouse\n")
    search = ("search", "--topics", topics, "--hits", 20, "--filter", "year >= 2003")
    run_well(*search, "--index", built / "one", "--output", tmp_path / "one.trec")
    run_well(*search, "--index", built / "shards", "--output", tmp_path / "joined.trec")
    run_well(
        *search, "--index", built / "shards", "--output", tmp_path / "sharded.trec", "--ray", cluster.address,
    )  # fmt: skip
    assert (tmp_path / "sharded.trec").read_bytes() == (tmp_path / "one.trec").read_bytes()
    assert (tmp_path / "joined.trec").read_bytes() == (tmp_path / "one.trec").read_bytes()
    assert len((tmp_path / "one.trec").read_text().splitlines()) == 60


def test_a_local_cluster_opens_shards_beyond_its_cores(tmp_path):
    for name in "ab":
        with LuceneImpactIndexer(tmp_path / name) as indexer:
            indexer.add([PseudoDocument(name, "", {"cat": 1})])
    done = run_python(
        f"""
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from splade_lucene import ShardedSearcher
with ShardedSearcher([{str(tmp_path / "a")!r}, {str(tmp_path / "b")!r}]) as searcher:
    print(searcher.search({{"cat": 1}}, k=10).docids)
"""
    )
    assert done.stdout.splitlines()[-1] == "['a', 'b']", done.stderr


def test_a_docid_in_two_shards_is_refused(cluster, tmp_path):
    for name, docids in (("a", ["x", "y"]), ("b", ["y", "z"])):
        with LuceneImpactIndexer(tmp_path / name) as indexer:
            indexer.add([PseudoDocument(docid, "", {"cat": 1}) for docid in docids])
    with pytest.raises(InputError, match="1 docid belongs to two documents: 'y' in .*a and .*b"):
        ShardedSearcher([tmp_path / "a", tmp_path / "b"], cluster=cluster)


def test_build_with_the_command_resumes_and_merges(corpus, built, tiny_model, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 60)
    arguments = (
        "build", "--corpus", corpus, "--index", tmp_path / "index", "--model", tiny_model, "--quantizer", "naver",
        "--shards", 2, "--dtype", "float32", "--merge", "--ray", cluster.address, "--ray-workers", 1,
    )  # fmt: skip

    def fail(*_: Any, **__: Any) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(building, "merge_indexes", fail)
        check_failed(run(*arguments))
    shards = tmp_path / ".index.splade-lucene-shards"
    before = {path: path.stat().st_mtime_ns for path in shards.rglob("segments_*")}
    assert len(before) == 2
    with monkeypatch.context() as patch:
        kept = {}

        def merge(source: Path, *rest: Any, **options: Any) -> Any:
            kept.update({path: path.stat().st_mtime_ns for path in source.rglob("segments_*")})
            return merge_indexes(source, *rest, **options)

        patch.setattr(building, "merge_indexes", merge)
        run_well(*arguments)
    assert kept == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["index"]
    with LuceneImpactSearcher(built / "one") as one, LuceneImpactSearcher(tmp_path / "index") as merged:
        assert merged.search("cats and dogs", 100) == one.search("cats and dogs", 100)


# ---- what is refused ----


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_parts_are_divided_in_order_and_evenly(count):
    sizes = [10, 10, 0, 20, 20, 5, 20, 20]
    given = [Part(number, f"part-{number}", size, 0, (), "", 0) for number, size in enumerate(sizes)]
    groups = building.split(given, count)
    assert [part for group in groups for part in group] == given
    totals = [sum(part.documents for part in group) for group in groups]
    assert len(totals) == count
    assert min(totals) > 0
    assert max(totals) - min(totals) <= 20
    assert len(building.split(given, 7)) == 7
    assert building.split(given, 8) == []


def test_more_shards_than_parts_are_refused(expected):
    manifest = read_folder_manifest(expected)
    assert manifest is not None
    assert [each.documents for each in building.shard_manifests(manifest, 12)]
    with pytest.raises(CorpusError, match=r"the corpus has 12 parts with documents.*shards=12"):
        building.shard_manifests(manifest, 13)


def test_what_the_cluster_cannot_do_is_refused_before_the_work(corpus, tiny_encoder, raylets, tmp_path):
    with pytest.raises(
        InputError, match=r"9 workers do not fit into the Ray cluster, only 4: each needs 1 CPUs, .* GiB"
    ):
        encode(corpus, tmp_path / "out", tiny_encoder, RayCluster(raylets.address, workers=9))
    with pytest.raises(InputError, match="does not fit .* each needs 1 CPUs, 1 GPUs"):
        encode(corpus, tmp_path / "out", tiny_encoder, RayCluster(raylets.address, gpus=1))
    with pytest.raises(InputError, match="cannot open nothing://bucket/out"):
        encode_corpus(
            corpus, "nothing://bucket/out", tiny_encoder, RULE, workers=RayWorkers(RayCluster(raylets.address))
        )
    with pytest.raises(InputError, match="objects://bucket/index is a URL, and an index needs a folder"):
        build_sharded_index(corpus, "objects://bucket/index", RayCluster(raylets.address), tiny_encoder, RULE, shards=2)
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_ray_only_counts_is_an_error(corpus, tiny_encoder, raylets, tmp_path):
    node = patiently(raylets.add_node, num_cpus=1, num_gpus=1)
    try:
        with pytest.raises(InputError, match="cannot use the device 'cuda'"):
            encode(corpus, tmp_path / "out", tiny_encoder, RayCluster(raylets.address, gpus=0.5, timeout=600))
    finally:
        raylets.remove_node(node)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"address": "ray://head:10001"}, "Ray Client"),
        ({"address": ""}, "expected the address"),
        ({"workers": 0}, "workers must be an integer of at least 1"),
        ({"cpus": -1}, "cpus must be a number of at least 0"),
        ({"cpus": 0}, "a worker needs a CPU or a GPU"),
        ({"timeout": float("nan")}, "timeout must be a number"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        RayCluster(**settings)


def test_a_server_that_is_not_ray_is_named(corpus, tiny_encoder, tmp_path, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        with pytest.raises(InputError, match=f"what answers at {address} is not a Ray cluster"):
            encode(corpus, tmp_path / "out", tiny_encoder, RayCluster(address))
        server.shutdown()
    monkeypatch.setattr(cluster_module, "_CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match=f"no Ray cluster answers at {address} .timed out"):
            encode(corpus, tmp_path / "out", tiny_encoder, RayCluster(address))


def test_a_machine_without_a_cluster_is_told_our_remedy_only(monkeypatch):
    import ray

    def init(**_: Any) -> None:
        raise ConnectionError(
            "Could not find any running Ray instance. Please specify the one by the `--address` flag."
        )

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError, match=r"at 'auto' \(Could not find any running Ray instance\)\. Start one with"):
        with RayCluster("auto").connected():
            pass


def test_an_address_without_a_cluster_is_named(corpus, tiny_encoder, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    for wrong, message in ((address, f"no Ray cluster answers at {address}"), ("head", "is not HOST:PORT")):
        with pytest.raises(InputError, match=message):
            encode(corpus, tmp_path / "out", tiny_encoder, RayCluster(wrong))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("encode", "--corpus", "c", "--output", "o", "--ray-workers", "2"), "--ray-workers requires --ray"),
        (("encode", "--corpus", "c", "--output", "o", "--ray", "local", "--device", "cuda"), "--ray does not support --device"),
        (("build", "--corpus", "c", "--index", "i", "--shards", "2"), "--shards requires --ray"),
        (("build", "--corpus", "c", "--index", "i", "--ray", "local", "--merge"), "--merge requires --shards"),
        (("search", "--index", "i", "--query", "q", "--ray", "local"), "--ray does not support --query"),
        (
            ("search", "--index", "i", "--topics", "t", "--output", "o", "--ray", "local", "--mode", "approximate"),
            "--ray does not support --mode approximate, --duplicates last",
        ),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_wrong_usage(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_scores_of_many_shards_are_merged_in_the_order_of_bytes():
    from splade_lucene.distributed.searching import _rows
    from splade_lucene.ids import hit_order

    ranking = (["z", "é", "😀", "\uffff"], np.array([5, 5, 5, 4]), np.array([1, 2, 3, 4], np.int32), None)
    rows = sorted(_rows(ranking, 0), key=lambda row: hit_order(row[0], row[1]))
    assert [docid for docid, *_ in rows] == [*sorted(["z", "é", "😀"], key=str.encode), "\uffff"]
