"""Loads and searches with the official clients, against a server that answers exactly or misbehaves."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("opensearchpy", reason="needs the extra opensearch")
pytest.importorskip("elasticsearch", reason="needs the extra elasticsearch")

from support.collections import TERMS
from support.commands import check_failed, run, run_well
from support.engine_server import Engine, basic, serving
from support.fields import TYPES, documents_with_fields, random_filter
from support.processes import child_environment

from splade_lucene import (
    Approximation,
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
from splade_lucene.adapters.retrieval import Retrieval
from splade_lucene.engines import lucene_engine, push
from splade_lucene.engines.names import ServedEngine
from splade_lucene.errors import EngineError, InputError, QueryError

ENGINES: list[tuple[ServedEngine, str]] = [("opensearch", "3.9.0"), ("elasticsearch", "9.1.0")]
QUERIES = [{TERMS[i]: 1 + 37 * i % 90, TERMS[i + 1]: 300, TERMS[-i]: 7, "unknown": 5} for i in range(1, 20)]
QIDS = [f"q{i}" for i in range(len(QUERIES))]


@pytest.fixture(scope="module")
def exports(index_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    for name, _ in ENGINES:
        export_collection(name, folder / name, index_dir=index_dir, piece_bytes=100_000)
    return folder


@pytest.fixture(scope="module")
def expected(index_dir):
    with LuceneImpactSearcher(index_dir) as searcher:
        yield searcher.batch_search(QUERIES, QIDS, 300)


@pytest.fixture(params=ENGINES, ids=[name for name, _ in ENGINES])
def served(request):
    engine = Engine(*request.param)
    with serving(engine) as url:
        yield engine, request.param[0], url


@pytest.fixture
def small_requests(monkeypatch):
    monkeypatch.setattr(push, "_REQUEST_BYTES", 20_000)


def run_bytes(path: Path, hits) -> bytes:
    Run(hits).write(path)
    return path.read_bytes()


# ---- load and search ----


def test_what_is_loaded_gives_the_run_of_the_index(served, exports, expected, tmp_path, small_requests):
    engine, name, url = served
    summary = push_export(exports / name, url, threads=3, shards=3, replicas=1)
    assert (summary.documents, summary.sent, summary.total, summary.name) == (2000, 2000, 2000, "splade")
    assert engine.bulks > 10
    assert engine.indexes["splade"]["settings"]["index"] == {
        "number_of_shards": 3, "number_of_replicas": 1, "refresh_interval": None,
    }  # fmt: skip
    with EngineSearcher(url, engine=name) as searcher:
        assert searcher.num_docs == 2000
        found = searcher.batch_search(QUERIES, QIDS, 300, threads=4)
        assert [*found] == QIDS
        for qid in QIDS:
            assert found[qid].docids == expected[qid].docids
            assert found[qid].scores.tolist() == expected[qid].scores.tolist()
        assert run_bytes(tmp_path / "theirs", found) == run_bytes(tmp_path / "ours", expected)
        hits = searcher.search(QUERIES[0], 5)
        assert hits == expected["q0"][:5]
        assert [hit.contents for hit in hits] == [hit.contents for hit in expected["q0"][:5]]
        assert len(searcher.search({"unknown": 1})) == len(searcher.search({})) == 0
        assert searcher.doc(hits[0].docid).contents() == hits[0].contents
        assert searcher.doc("none") is None
        assert searcher.encode({"cat": 3, "dog": 0}) == {"cat": 3}


def test_more_hits_than_the_engine_returns_at_once_are_fetched_in_pages(served, exports, expected):
    engine, name, url = served
    push_export(exports / name, url)
    engine.indexes["splade"]["settings"]["index"]["max_result_window"] = 70
    engine.bodies.clear()
    with EngineSearcher(url, engine=name) as searcher:
        assert searcher.search(QUERIES[3], 300) == expected["q3"]
    assert [body["size"] for body in engine.bodies] == [70, 70, 70, 70, 20][: len(engine.bodies)]
    assert len(engine.bodies) > 2
    assert all("search_after" in body for body in engine.bodies[1:])


def test_pages_are_of_one_state_while_somebody_writes(served, exports, expected):
    engine, name, url = served
    push_export(exports / name, url)
    index = engine.indexes["splade"]
    index["settings"]["index"]["max_result_window"] = 70
    engine.bodies.clear()

    def write(number: int) -> None:
        if number == 2:  # between two pages: the best hits are gone, and all scores are others
            for docid in expected["q3"].docids[:100]:
                index["visible"].pop(docid)
            index["visible"] |= {
                key: {**each, "impacts": dict.fromkeys(each["impacts"], 1)} for key, each in index["visible"].items()
            }

    engine.before_search = write
    with EngineSearcher(url, engine=name) as searcher:
        assert searcher.search(QUERIES[3], 300) == expected["q3"]
        assert searcher.search(QUERIES[3], 300) != expected["q3"]  # the next one finds what was written
    assert len(engine.bodies) > 4
    assert len(engine.kept) == 2
    assert [*engine.kept.values()] == [None, None]  # ended


def test_a_state_that_is_lost_between_pages_is_read_again_from_the_first(served, exports, expected):
    engine, name, url = served
    push_export(exports / name, url)
    engine.indexes["splade"]["settings"]["index"]["max_result_window"] = 70
    engine.bodies.clear()

    def lose(number: int) -> None:
        if number == 3:  # as if the node that held it had stopped
            engine.kept.update(dict.fromkeys(engine.kept))

    engine.before_search = lose
    with EngineSearcher(url, engine=name) as searcher:
        assert searcher.search(QUERIES[3], 300) == expected["q3"]
    assert len(engine.kept) == 2
    engine.before_search = lambda _: engine.kept.update(dict.fromkeys(engine.kept))
    with (
        EngineSearcher(url, engine=name, patience=0) as searcher,
        pytest.raises(EngineError, match="No search context found.*Its node may have stopped; try again"),
    ):
        searcher.search(QUERIES[3], 300)


@pytest.fixture(scope="module")
def with_fields(tmp_path_factory):
    """Documents with all kinds of fields, as an index and as exports."""
    folder = tmp_path_factory.mktemp("fields")
    write_pseudo_documents(folder / "docs.jsonl", documents_with_fields(400, seed=8))
    index_pseudo_documents(folder / "docs.jsonl", folder / "index", fields=TYPES)
    for name, _ in ENGINES:
        export_collection(name, folder / name, index_dir=folder / "index")
    return folder


def test_filters_accept_what_those_of_the_index_do(served, with_fields):
    _, name, url = served
    push_export(with_fields / name, url)
    source = random.Random(4)
    filters = [random_filter(source) for _ in range(150)]
    filters += [where("year").is_in([*range(1, 3000), 2019]), where("lang").starts_with(""), where("tags").is_in([])]
    query = {f"t{i}": i + 1 for i in range(40)}
    sizes = set()
    with LuceneImpactSearcher(with_fields / "index") as ours, EngineSearcher(url, engine=name) as theirs:
        for each in filters:
            expected = ours.search(query, 400, filter=each)
            assert theirs.search(query, 400, filter=each) == expected, str(each)
            assert theirs.search(query, 400, filter=str(each)) == expected
            sizes.add(len(expected))
        assert len(sizes) > 50
        found = theirs.batch_search([query, {"t1": 3}], ["a", "b"], 400, 2, filter='lang = "de" or open = true')
        assert found == ours.batch_search([query, {"t1": 3}], ["a", "b"], 400, 2, filter='lang = "de" or open = true')
        for wrong, told in (
            ("size = 1", "the index has no field 'size'. Its fields are: lang"),
            ("year = '2019'", "Use a number without quotes"),
            ("year =", "at column 7"),
            (ours.make_filter(["d1"]), "supports only filters on fields, got DocumentFilter"),
        ):
            with pytest.raises(QueryError, match=told):
                theirs.search(query, filter=wrong)  # type: ignore[arg-type]


def test_more_keywords_than_an_engine_takes_at_once_are_asked_for_in_pieces(served, with_fields):
    _, name, url = served
    push_export(with_fields / name, url)
    many = where("lang").is_in([f"x{i}" for i in range(70_000)] + ["de"])
    with LuceneImpactSearcher(with_fields / "index") as ours, EngineSearcher(url, engine=name) as theirs:
        assert theirs.search({"t1": 1}, 400, filter=many) == ours.search({"t1": 1}, 400, filter='lang = "de"')


def test_elasticsearch_gets_weights_of_at_most_64_and_no_pruning(exports):
    engine = Engine("elasticsearch", "9.1.0")
    with serving(engine) as url:
        push_export(exports / "elasticsearch", url)
        with EngineSearcher(url, engine="elasticsearch") as searcher:
            searcher.search({"term1": 300, "term2": 1})
    query = engine.bodies[-1]["query"]["sparse_vector"]
    assert sorted(query["query_vector"].values()) == [0.125, 37.5]
    assert query["prune"] is False
    assert engine.indexes["splade"]["mappings"]["properties"]["impacts"]["index_options"] == {"prune": False}


@pytest.mark.parametrize(("version", "knows"), [("8.18.3", False), ("8.19.0", True), ("9.0.4", False), ("9.2.1", True)])
def test_older_versions_of_elasticsearch_get_no_option_that_they_do_not_know(exports, version, knows):
    engine = Engine("elasticsearch", version)
    with serving(engine) as url:
        push_export(exports / "elasticsearch", url)
    assert ("index_options" in engine.indexes["splade"]["mappings"]["properties"]["impacts"]) is knows


def test_iterators_give_the_same_as_lists_and_a_single_text_is_not_several(exports, expected):
    with serving(Engine("opensearch", "3.9.0")) as url:
        push_export(exports / "opensearch", iter([url]))
        with EngineSearcher(iter([url])) as searcher:
            assert searcher.batch_search(iter(QUERIES), iter(QIDS), 300) == expected
            assert searcher.encode_batch(iter(QUERIES)) == QUERIES
            assert searcher.sources(("d1", "none"))[1] is None
            for call in (
                lambda: searcher.batch_search("12", QIDS), lambda: searcher.batch_search(QUERIES, "12"),
                lambda: searcher.encode_batch("12"), lambda: searcher.sources("12"),
            ):  # fmt: skip
                with pytest.raises(InputError):
                    call()


def test_terms_as_keys_give_the_same_run(tmp_path, expected, collection_dir):
    export_collection("opensearch", tmp_path / "out", pseudo_documents=collection_dir, keys="terms", name="by-term")
    with serving(Engine("opensearch", "3.9.0")) as url:
        push_export(tmp_path / "out", url)
        with EngineSearcher([url, url], "by-term") as searcher:
            assert searcher.batch_search(QUERIES, QIDS, 300) == expected


def test_fields_and_facets_of_hits_come_from_the_engine(tmp_path):
    path = tmp_path / "docs.jsonl"
    write_pseudo_documents(
        path,
        [
            PseudoDocument(f"d{i}", "", {"cat": 9 - i}, {"lang": "de" if i % 2 else "en", "year": 2000 + i})
            for i in range(5)
        ],
    )
    export_collection("opensearch", tmp_path / "out", pseudo_documents=path, fields="lang:keyword, year:integer")
    with serving(Engine("opensearch", "3.9.0")) as url:
        push_export(tmp_path / "out", url)
        with EngineSearcher(url) as searcher:
            hits = searcher.search({"cat": 1}, 4)
            assert hits.fields() == [{"lang": "de" if i % 2 else "en", "year": 2000 + i} for i in range(4)]
            assert hits.facets("lang") == {"de": 2, "en": 2}
            assert hits[0].contents == ""
            with pytest.raises(QueryError, match="the index has no field 'size'"):
                hits.fields("size")
            with pytest.raises(QueryError, match="only keywords are counted"):
                hits.facets("year")


def test_pipelines_take_a_searcher_of_another_engine(served, tmp_path):
    _, name, url = served
    documents = [
        PseudoDocument("e", "", {"cat": 2}, {"year": 2019}),
        PseudoDocument("t", "a cat", {"cat": 1}, {"year": 2020}),
        PseudoDocument("n", None, {"dog": 1}),
    ]
    write_pseudo_documents(tmp_path / "docs.jsonl", documents)
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index", fields="year:integer")
    export_collection(name, tmp_path / "out", index_dir=tmp_path / "index")
    push_export(tmp_path / "out", url)
    with EngineSearcher(url, engine=name) as searcher:
        found = Retrieval(searcher).search({"cat": 3})
        assert [(each.docid, each.score, each.text, each.fields) for each in found] == [
            ("e", 6.0, "", {"year": 2019}), ("t", 3.0, "a cat", {"year": 2020})
        ]  # fmt: skip
        assert found == Retrieval(tmp_path / "index").search({"cat": 3})
        assert [each.docid for each in Retrieval(searcher, filter="year > 2019").search({"cat": 3})] == ["t"]
        with pytest.raises(InputError, match="stores no text of the document 'n'"):
            Retrieval(searcher).search({"dog": 1})
        for settings, lacking in (({"hybrid": True}, "hybrid"), ({"approximation": Approximation()}, "approximate")):
            with pytest.raises(QueryError, match=f"EngineSearcher has no {lacking} search.*pass the folder"):
                Retrieval(searcher, **settings)


# ---- interruptions ----


def test_a_load_that_was_interrupted_sends_what_is_not_there(
    served, tmp_path, collection_dir, monkeypatch, small_requests
):
    engine, name, url = served
    monkeypatch.setattr(lucene_engine, "PART_DOCUMENTS", 100)
    monkeypatch.setattr(push, "PART_DOCUMENTS", 100)
    export_collection(name, tmp_path / "parts", pseudo_documents=collection_dir, piece_bytes=50_000)
    engine.before_bulk = lambda number: 400 if number == 20 else None
    with pytest.raises(
        EngineError, match="refuses the request with status 400: rejected_execution_exception: too busy"
    ):
        push_export(tmp_path / "parts", url, threads=2)
    assert 0 < len(engine.indexes["splade"]["documents"]) < 2000
    summary = push_export(tmp_path / "parts", url, threads=2)
    assert summary.total == 2000
    assert 0 < summary.sent < 2000 - 500
    again = push_export(tmp_path / "parts", url)
    assert (again.sent, again.total) == (0, 2000)


@pytest.mark.process
def test_a_killed_push_resumes(exports, tmp_path):
    engine = Engine("opensearch", "3.9.0")
    reached = threading.Event()

    def slowly(number: int) -> None:
        if number >= 3:
            reached.set()
            time.sleep(0.2)

    engine.before_bulk = slowly
    with serving(engine) as url:
        script = f"""
from splade_lucene.engines import push
push._REQUEST_BYTES = 20_000
push.push_export({str(exports / "opensearch")!r}, {url!r}, threads=2)
"""
        process = subprocess.Popen([sys.executable, "-c", script], env=child_environment())
        assert reached.wait(120)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        assert 0 < len(engine.indexes["splade"]["documents"]) < 2000
        assert engine.indexes["splade"]["settings"]["index"]["refresh_interval"] == "-1"
        engine.before_bulk = lambda _: None
        assert push_export(exports / "opensearch", url).total == 2000
    assert engine.indexes["splade"]["settings"]["index"]["refresh_interval"] is None


def test_a_busy_engine_is_waited_for_and_gets_each_document_once(served, exports, expected, small_requests):
    engine, name, url = served
    refused: set[tuple[int, str]] = set()
    engine.before_bulk = lambda number: 429 if number in (2, 3, 7) else 503 if number == 5 else None

    def too_busy(number: int, identity: str) -> int | None:
        if number % 3 == 0 and identity.endswith("7"):
            refused.add((number, identity))
            return 429
        return None

    engine.item_status = too_busy
    summary = push_export(exports / name, url, threads=3)
    assert refused
    assert (summary.sent, summary.total) == (2000, 2000)
    with EngineSearcher(url, engine=name) as searcher:
        assert searcher.batch_search(QUERIES, QIDS, 300) == expected


def test_an_engine_that_stays_too_busy_is_an_error_after_a_while(served, exports):
    engine, name, url = served
    engine.before_bulk = lambda _: 429
    start = time.monotonic()
    with pytest.raises(EngineError, match="status 429: rejected_execution_exception: too busy") as raised:
        push_export(exports / name, url, patience=0.5)
    assert raised.value.status == 429
    assert 0.4 < time.monotonic() - start < 30
    assert engine.bulks > 1


def test_a_document_that_the_engine_refuses_is_named(served, exports):
    engine, name, url = served
    engine.item_status = lambda _, identity: 400 if identity == "d7" else None
    with pytest.raises(EngineError, match="refuses the document 'd7': rejected_execution_exception: queue is full"):
        push_export(exports / name, url)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>Log in</html>", "text/html"), (200, b'{"items": [', "application/json"),
        (200, b"[1]", "application/json"), (200, b"", "application/json"), (200, b'{"x": 1}', "application/json"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", ["_bulk", "_search", "_count", ""])
def test_what_the_engine_did_not_write_is_an_error_at_once(served, exports, answer, at):
    engine, name, url = served
    if (at, answer[1]) == ("", b'{"x": 1}'):
        return  # an index without a mapping is refused below
    engine.disturb = lambda method, path, _: answer if path.endswith(f"/{at}") else None
    with pytest.raises(EngineError, match=r"the answer of \w+ at \S+ cannot be read \(") as raised:
        push_export(exports / name, url)
    assert raised.value.status == 200


def test_answers_of_searches_that_the_engine_did_not_write_are_errors(served, exports):
    engine, name, url = served
    push_export(exports / name, url)
    with EngineSearcher(url, engine=name) as searcher:
        for answer in (b"<html>", b'{"hits": {"hits": [{"_score": 1}]}}', b'{"hits": null}'):
            engine.disturb = lambda *_, answer=answer: (200, answer, "application/json")
            with pytest.raises(EngineError, match="cannot be read"):
                searcher.search(QUERIES[0])
            with pytest.raises(EngineError, match="cannot be read"):
                searcher.doc("d1")


@pytest.mark.parametrize("request_", ["PUT /splade", "DELETE /splade", "POST /splade/_bulk", "POST /splade/_count"])
def test_a_request_whose_answer_is_lost_is_repeated(served, exports, request_):
    engine, name, url = served
    push_export(exports / name, url)
    engine.requests.clear()
    engine.disturb = lambda method, path, count: "lost" if (f"{method} {path}", count) == (request_, 1) else None
    summary = push_export(exports / name, url, overwrite=True)
    assert (summary.sent, summary.total) == (2000, 2000)
    assert engine.requests.count(request_) > 1


def test_requests_that_a_proxy_finds_too_large_are_halved(served, exports):
    engine, name, url = served
    sizes: list[int] = []

    def refuse(method: str, path: str, count: int) -> tuple[int, bytes, str] | None:
        if not path.endswith("/_bulk"):
            return None
        sizes.append(int(engine.headers[-1]["content-length"]))
        return (413, b"<html>Request Entity Too Large</html>", "text/html") if sizes[-1] > 30_000 else None

    engine.disturb = refuse
    assert push_export(exports / name, url, threads=1).total == 2000
    assert max(sizes) > 30_000 > min(sizes)
    engine.disturb = lambda method, path, _: (413, b"<html>Too Large</html>", "text/html") if "_bulk" in path else None
    with pytest.raises(EngineError, match=r"status 413: <html>Too Large</html>\. Raise the largest size of a request"):
        push_export(exports / name, url, overwrite=True, threads=1)


def test_a_redirection_names_the_remedy(served, exports):
    engine, name, url = served
    engine.disturb = lambda *_: (301, b"", "text/html")
    with pytest.raises(EngineError, match="status 301: no reason given. Pass the URL to which this one redirects"):
        push_export(exports / name, url)


def test_documents_that_get_lost_are_noticed(served, exports):
    engine, name, url = served
    push_export(exports / name, url)
    lost = engine.indexes["splade"]["documents"]
    lost.pop("d3")
    assert push_export(exports / name, url).sent == 2000  # the part is sent again
    lost.pop("d4")

    class Forgetful(dict):
        def __setitem__(self, key, value):
            if key != "d4":
                super().__setitem__(key, value)

    engine.indexes["splade"]["documents"] = Forgetful(lost)
    with pytest.raises(EngineError, match=r"has 1,999 of the export's 2,000 documents in splade"):
        push_export(exports / name, url)


# ---- other exports in the index ----


def test_an_index_of_another_export_is_kept_unless_asked(served, tmp_path):
    engine, name, url = served
    for part, docid in (("one", "a"), ("two", "b")):
        write_pseudo_documents(tmp_path / f"{part}.jsonl", [PseudoDocument(docid, "", {"cat": 1, part: 5})])
    export_collection(name, tmp_path / "one", pseudo_documents=tmp_path / "one.jsonl")
    export_collection(name, tmp_path / "two", pseudo_documents=tmp_path / "two.jsonl")
    push_export(tmp_path / "one", url)
    with pytest.raises(InputError, match="has an index splade of another export"):
        push_export(tmp_path / "two", url)
    with pytest.raises(InputError, match="the ids of terms differ between the index splade"):
        push_export(tmp_path / "two", url, append=True)
    export_collection(name, tmp_path / "three", pseudo_documents=tmp_path / "two.jsonl", numbering=tmp_path / "one")
    summary = push_export(tmp_path / "three", url, append=True)
    assert (summary.documents, summary.total) == (1, 2)
    with EngineSearcher(url, engine=name) as searcher:
        hits = searcher.search({"cat": 2, "two": 1})
        assert [(hit.docid, hit.score) for hit in hits] == [("b", 7.0), ("a", 2.0)]
    assert push_export(tmp_path / "three", url, append=True).sent == 0
    assert push_export(tmp_path / "two", url, overwrite=True).total == 1
    engine.indexes["splade"]["documents"]["x"] = {"docid": "x", "part": "mine", "impacts": {"0": 1}}
    with pytest.raises(EngineError, match="has 1 other documents in splade"):
        push_export(tmp_path / "two", url)


def test_the_number_of_shards_stays_and_that_of_replicas_changes(served, exports):
    engine, name, url = served
    push_export(exports / name, url, shards=3)
    settings = engine.indexes["splade"]["settings"]["index"]
    with pytest.raises(
        InputError, match=r"splade has 3 shards, got shards=2: their number cannot be changed\. Leave out shards"
    ):
        push_export(exports / name, url, shards=2)
    assert push_export(exports / name, url, shards=3, replicas=2).sent == 0
    assert (settings["number_of_shards"], settings["number_of_replicas"]) == (3, 2)
    push_export(exports / name, url)
    assert settings["number_of_replicas"] == 2
    push_export(exports / name, url, shards=2, overwrite=True)
    assert engine.indexes["splade"]["settings"]["index"]["number_of_shards"] == 2


def test_documents_of_another_model_are_not_added(tmp_path):
    from dataclasses import replace

    from splade_lucene.engines.index_metadata import describe_index
    from splade_lucene.manifest import Manifest

    one = Manifest(model="a", model_digest="1")
    own = describe_index("x", "ids", ("cat",), {}, one, texts=True)
    with pytest.raises(InputError, match=r"documents of the index splade were encoded differently: the model \(a"):
        own.joined(describe_index("y", "ids", ("cat",), {}, replace(one, model_digest="2"), texts=True), "splade")
    assert own.joined(describe_index("y", "ids", ("cat", "dog"), {}, one, texts=True), "splade").terms == ("cat", "dog")
    with pytest.raises(InputError, match="has ids as keys, and the export has terms"):
        own.joined(describe_index("y", "terms", ("cat",), {}, one, texts=True), "splade")


# ---- what is refused ----


def test_what_does_not_fit_is_refused(exports, served, tmp_path):
    engine, name, url = served
    other = next(each for each, _ in ENGINES if each != name)
    with pytest.raises(InputError, match=f"this export is for {other}, not for {name}"):
        push_export(exports / other, url, to=name)
    if name == "opensearch":  # the official client of Elasticsearch refuses what does not say that it is it
        with pytest.raises(EngineError, match="not Elasticsearch"):
            push_export(exports / other, url)
    else:
        with pytest.raises(InputError, match="is not OpenSearch"):
            push_export(exports / other, url)
    assert engine.indexes == {}
    with pytest.raises(EngineError, match=r"has no index nothing\. Load it with 'splade-lucene push'"):
        EngineSearcher(url, "nothing", engine=name)
    engine.indexes["foreign"] = {"mappings": {}, "settings": {}}
    with pytest.raises(EngineError, match="index foreign was not made from an export"):
        EngineSearcher(url, "foreign", engine=name)
    write_pseudo_documents(tmp_path / "docs.jsonl", [PseudoDocument("a", "", {"cat": 1})])
    export_collection("vespa", tmp_path / "vespa", pseudo_documents=tmp_path / "docs.jsonl")
    with pytest.raises(InputError, match="this export is for vespa, which is loaded as its README"):
        push_export(tmp_path / "vespa", url)


def test_a_piece_that_has_changed_is_refused(served, exports, tmp_path):
    import shutil

    _, name, url = served
    shutil.copytree(exports / name, tmp_path / "copy")
    piece = tmp_path / "copy" / "documents-00001.ndjson"
    piece.write_bytes(piece.read_bytes().replace(b":1,", b":2,", 1))
    with pytest.raises(InputError, match=r"documents-00001\.ndjson: this file has changed since the export"):
        push_export(tmp_path / "copy", url)


def test_scores_that_the_engine_rounds_are_refused(served, tmp_path):
    _, name, url = served
    write_pseudo_documents(tmp_path / "docs.jsonl", [PseudoDocument("a", "", {"cat": 511, "dog": 1})])
    export_collection(name, tmp_path / "out", pseudo_documents=tmp_path / "docs.jsonl")
    push_export(tmp_path / "out", url)
    with EngineSearcher(url, engine=name) as searcher:
        most = 2**24 // 511
        assert searcher.search({"cat": most})[0].score == most * 511
        with pytest.raises(QueryError, match="rounds scores from 16,777,216"):
            searcher.search({"cat": most + 1})


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost:9200", "is not the URL of an engine"),
        ("ftp://localhost", "is not the URL of an engine"),
        ("http://me:secret@localhost", "would be visible in process lists"),
        ("http://localhost:99999", "is not a URL"),
        ([], "no URL is given"),
    ],
)
def test_urls_are_checked(exports, url, told):
    with pytest.raises(InputError, match=told):
        push_export(exports / "opensearch", url)


def test_an_engine_that_is_not_there_is_named_at_once(exports):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for name, _ in ENGINES:
        with pytest.raises(
            EngineError, match=rf"at {url} cannot be reached \(\[Errno \d+\] Connection refused\)\. Check"
        ):
            push_export(exports / name, url, patience=0)


# ---- who asks ----


def test_user_and_password_come_from_the_environment(served, exports, monkeypatch):
    engine, name, url = served
    engine.credentials = basic("me", "secret")
    with pytest.raises(EngineError, match=rf"denies access \(security_exception.*Set {name.upper()}_USERNAME"):
        push_export(exports / name, url)
    monkeypatch.setenv(f"{name.upper()}_USERNAME", "me")
    with pytest.raises(InputError, match=f"{name.upper()}_USERNAME without {name.upper()}_PASSWORD"):
        push_export(exports / name, url)
    monkeypatch.setenv(f"{name.upper()}_PASSWORD", "secret")
    assert push_export(exports / name, url).total == 2000
    with EngineSearcher(url, engine=name) as searcher:
        assert searcher.num_docs == 2000


def test_elasticsearch_takes_an_api_key(exports, monkeypatch):
    engine = Engine("elasticsearch", "9.1.0")
    engine.credentials = "ApiKey abc=="
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "abc==")
    with serving(engine) as url:
        assert push_export(exports / "elasticsearch", url).total == 2000


@pytest.mark.process
def test_certificates_are_verified_against_the_given_authority(served, exports, certificate, monkeypatch):
    engine, name, _ = served
    with serving(engine, certificate) as url:
        with pytest.raises(
            EngineError, match=rf"cannot be reached \(.*(certificate|CERTIFICATE).*Set {name.upper()}_CA_CERTS"
        ):
            push_export(exports / name, url, patience=0)
        monkeypatch.setenv(f"{name.upper()}_CA_CERTS", str(certificate[0]))
        assert push_export(exports / name, url).total == 2000
    monkeypatch.setenv(f"{name.upper()}_CA_CERTS", "missing.pem")
    with pytest.raises(InputError, match=rf"missing\.pem: no such file\. Correct {name.upper()}_CA_CERTS"):
        push_export(exports / name, url)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    paths = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-out", paths[0], "-keyout", paths[1]]  # fmt: skip
    try:
        subprocess.run([*map(str, command)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return paths


# ---- the commands ----


def test_the_commands_load_and_search(served, exports, expected, tmp_path):
    _, name, url = served
    told = json.loads(run_well("push", "--to", name, "--input", exports / name, "--url", url, "--json"))
    assert told == {"engine": name, "name": "splade", "documents": 2000, "sent": 2000, "total": 2000}
    again = run("push", "--to", name, "--input", exports / name, "--url", url)
    assert "2,000 documents were there before" in again.stderr
    topics = tmp_path / "topics.jsonl"
    topics.write_text("".join(json.dumps({"qid": q, "vector": v}) + "\n" for q, v in zip(QIDS, QUERIES, strict=True)))
    run_well(
        "search", "--engine", name, "--url", url, "--topics", topics, "--encoded", "--hits", 300, "--output",
        tmp_path / "theirs",
    )  # fmt: skip
    assert (tmp_path / "theirs").read_bytes() == run_bytes(tmp_path / "ours", expected)
    hits = json.loads(run_well(
        "search", "--engine", name, "--url", url, "--encoded", "--query", json.dumps(QUERIES[0]), "--json"
    ))  # fmt: skip
    assert [each["docid"] for each in hits] == expected["q0"].docids[:10]


@pytest.mark.process
def test_the_command_filters_and_counts(served, with_fields):
    _, name, url = served
    push_export(with_fields / name, url)
    asked = [
        "--encoded",
        "--query",
        '{"t1": 2, "t2": 1}',
        "--filter",
        "year >= 2019 or open = true",
        "--facet",
        "tags",
        "--json",
    ]
    theirs = json.loads(run_well("search", "--engine", name, "--url", url, *asked))
    assert theirs == json.loads(run_well("search", "--index", with_fields / "index", *asked))
    assert theirs["hits"]
    done = run("search", "--engine", name, "--url", url, "--encoded", "--query", "{}", "--filter", "size = 1")
    assert "the index has no field 'size'" in check_failed(done)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--query", "x"], "pass --index"),
        (["--query", "x", "--engine", "opensearch"], "--engine opensearch requires --url"),
        (["--query", "x", "--engine", "opensearch", "--url", "http://h", "--index", "i"], "does not support --index"),
        (
            ["--query", "x", "--engine", "elasticsearch", "--url", "http://h", "--only", "a"],
            "does not support --only",
        ),
        (
            ["--query", "x", "--engine", "opensearch", "--url", "http://h", "--hybrid", "rrf"],
            "does not support --hybrid",
        ),
        (["--query", "x", "--index", "i", "--url", "http://h"], "--url and --name require --engine"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, told):
    done = run("search", *arguments)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
