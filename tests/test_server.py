"""The server's own interface: the same answers as the library, errors of one shape, and no paths of the disk."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean, median_low
from urllib.parse import quote

import pytest
from support.commands import run
from support.servers import TOKEN, RunningServer, restored_logging, running

from splade_lucene import (
    Approximation,
    Bm25Searcher,
    HybridFusion,
    InputError,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    SpladeEncoder,
    build_index,
    index_pseudo_documents,
    index_texts,
    read_corpus,
)
from splade_lucene.server.page import SECURITY_HEADERS, read_page
from splade_lucene.server.registry import index_names
from splade_lucene.server.settings import Limits, ServerSettings, read_token

TEXTS = [
    "Lucene writes an inverted index of the terms of each document",
    "An index of terms is read by the searcher",
    "The heart pumps blood through the body and the blood carries oxygen",
    'Blood tests in the laboratory; <b>bold</b> & "quoted"',
    "naïve café 漢字",
    "The index of a book lists its terms",
]
VECTOR = {"term1": 3, "term2": 1, "term7": 9, "##ing": 4}
QUERY = "blood index"
FILTER = 'lang = "de" and year < 2003'


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(TEXTS):
            record = {"id": f"t{number}", "contents": text, "lang": "en" if number % 2 else "de", "year": 2000 + number}
            file.write(json.dumps(record) + "\n")
    return path


@pytest.fixture(scope="module")
def text_index(corpus: Path, encoder: SpladeEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    build_index(corpus, folder / "index", encoder, fields="all", bm25=True)
    return folder / "index"


@pytest.fixture(scope="module")
def server(index_dir: Path, text_index: Path) -> Iterator[RunningServer]:
    with running({"numbers": index_dir, "texts": text_index}) as server:
        yield server


@pytest.fixture(scope="module")
def searcher(text_index: Path) -> Iterator[LuceneImpactSearcher]:
    with LuceneImpactSearcher(text_index) as searcher:
        yield searcher


def ranking(answer: dict) -> list[tuple[str, float]]:
    assert [hit["rank"] for hit in answer["hits"]] == [*range(1, len(answer["hits"]) + 1)]
    return [(hit["docid"], hit["score"]) for hit in answer["hits"]]


def pairs(hits) -> list[tuple[str, float]]:
    return [*zip(hits.docids, hits.scores.tolist(), strict=True)]


# ---- searches ----


def test_hits_are_those_of_the_library(server, index_dir, searcher):
    with LuceneImpactSearcher(index_dir) as numbers:
        answer = server.fetch("/api/v1/numbers/search", {"vector": VECTOR, "k": 25})
        assert ranking(answer) == pairs(numbers.search(VECTOR, 25))
        assert answer["query"] is None
        assert {each["term"]: each["weight"] for each in answer["vector"]} == VECTOR
    answer = server.fetch("/api/v1/texts/search", {"query": QUERY, "k": 4})
    assert ranking(answer) == pairs(searcher.search(QUERY, 4))
    assert ranking(answer)
    assert server.fetch(f"/api/v1/texts/search?query={quote(QUERY)}&k=4")["hits"] == answer["hits"]
    assert 0 < answer["total_milliseconds"] < 60_000


def test_all_engines_and_settings_reach_the_library(server, searcher, corpus, tmp_path):
    def hits(**body):
        return ranking(server.fetch("/api/v1/texts/search", {"query": QUERY, "k": 5, **body}))

    index_texts(read_corpus(corpus), tmp_path / "bm25")
    with Bm25Searcher(tmp_path / "bm25") as bm25:
        expected = bm25.search(QUERY, 5)
        assert hits(engine="bm25") == pairs(expected)
        assert len(expected) > 2
    assert hits(engine="hybrid") == pairs(searcher.search_hybrid(QUERY, 5, HybridFusion()))
    assert hits(filter=FILTER) == pairs(searcher.search(QUERY, 5, filter=FILTER))
    approximation = Approximation(alpha=0.3)
    assert hits(alpha=0.3) == pairs(searcher.search(QUERY, 5, approximation=approximation))
    assert hits(vector={"blood": 2}) == pairs(searcher.search({"blood": 2}, 5))
    assert hits(query="  ") == []
    for hit in server.fetch("/api/v1/texts/search", {"query": QUERY, "engine": "hybrid"})["hits"]:
        places = [place for place in hit["parts"].values() if place is not None]
        assert sum(place["share"] for place in places) == pytest.approx(hit["score"])
        assert [place["share"] for place in places] == [1 / (60 + place["rank"]) for place in places]
    assert server.post("/api/v1/numbers/search", {"query": "x", "engine": "bm25"}).status == 400


def test_hits_have_fields_and_facets(server, searcher):
    answer = server.fetch("/api/v1/texts/search", {"query": QUERY, "k": 2, "facets": ["lang"], "fields": ["year"]})
    found = searcher.search(QUERY, 1000)
    assert answer["facets"]["lang"] == [{"value": value, "count": n} for value, n in found.facets("lang").items()]
    assert [hit["fields"] for hit in answer["hits"]] == found[:2].fields("year")
    error = server.post("/api/v1/texts/search", {"query": QUERY, "facets": ["nothing"]})
    assert (error.status, error.error["code"]) == (400, "bad-query")
    assert "lang (keyword)" in error.error["remedy"]


def test_contributions_add_up_to_the_score(server):
    hits = server.fetch("/api/v1/numbers/search", {"vector": VECTOR, "k": 20, "explain": True})["hits"]
    assert all(hit["score"] == sum(each["score"] for each in hit["contributions"]) > 0 for hit in hits)
    assert all(each["score"] == each["query_weight"] * each["impact"] for each in hits[0]["contributions"])
    assert any(len(hit["contributions"]) > 1 for hit in hits)


def test_own_terms_are_told_from_added_ones(server, searcher):
    answer = server.fetch("/api/v1/texts/expand?query=Blood%20index")
    vector = searcher.encode("Blood index")
    assert {each["term"]: each["weight"] for each in answer["terms"]} == vector
    weights = [each["weight"] for each in answer["terms"]]
    assert weights == sorted(weights, reverse=True)
    assert {each["term"] for each in answer["terms"] if each["own"]} == {"blood", "index"} < vector.keys()


def test_snippets_mark_matches(server):
    answer = server.fetch("/api/v1/texts/search", {"query": QUERY, "vector": {"blood": 5, "index": 1}})
    snippets = {hit["docid"]: hit["snippet"] for hit in answer["hits"]}
    assert [(part["text"], part["term"]) for part in snippets["t2"] if part["marked"]] == [("blood", "blood")] * 2
    assert "".join(part["text"] for part in snippets["t3"]) == TEXTS[3]  # text, not HTML
    assert "snippet" not in server.fetch("/api/v1/texts/search", {"query": QUERY, "highlight": False})["hits"][0]


def test_batch_streams_a_line_per_query_in_order(server, searcher):
    queries: list[dict] = [{"qid": f"q{i}", "query": text} for i, text in enumerate([QUERY, "", "terms"])]
    queries.append({"qid": "v", "vector": {"index": 2}})
    answer = server.post("/api/v1/texts/batch", {"queries": queries, "k": 3})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert [line["qid"] for line in lines] == ["q0", "q1", "q2", "v"]
    expected = [pairs(searcher.search(q, 3)) for q in (QUERY, "", "terms", {"index": 2})]
    assert [ranking(line) for line in lines] == expected
    wrong = server.post("/api/v1/texts/batch", {"queries": [queries[3], queries[0]], "engine": "bm25"})
    first, second = [json.loads(line) for line in wrong.body.splitlines()]
    assert (first["qid"], first["error"]["code"]) == ("v", "bad-query")
    assert len(second["hits"]) > 2
    unknown = server.post("/api/v1/texts/batch", {"queries": queries, "filter": "nothing = 1"})
    assert (unknown.status, unknown.error["message"]) == (400, "the index has no field 'nothing'")
    twice = server.post("/api/v1/texts/batch", {"queries": [queries[0], queries[0]]})
    assert (twice.status, twice.error["code"]) == (400, "bad-query")


# ---- documents ----


def test_a_document_is_explained_wherever_it_ranks(server, index_dir):
    with LuceneImpactSearcher(index_dir) as numbers:
        docids = numbers.search(VECTOR, 2000).docids
        for docid in (docids[0], docids[len(docids) // 2], docids[-1]):
            answer = server.fetch("/api/v1/numbers/explain", {"vector": VECTOR, "docid": docid})
            assert answer["score"] == numbers.score(VECTOR, [docid])[0]
            assert answer["rank"] == docids.index(docid) + 1
            has = {each["term"] for each in answer["contributions"]}
            assert has | {each["term"] for each in answer["missing"]} == VECTOR.keys()
            assert sum(each["score"] for each in answer["contributions"]) == answer["score"]
        other = server.fetch("/api/v1/numbers/explain", {"vector": {"nothing": 1}, "docid": docids[0]})
        assert (other["score"], other["rank"], other["missing"]) == (0, None, [{"term": "nothing", "query_weight": 1}])


def test_a_rank_is_counted_among_what_a_filter_leaves(server, searcher):
    docids = searcher.search(QUERY, 10, filter='lang = "en"').docids
    for rank, docid in enumerate(docids, 1):
        body = {"query": QUERY, "docid": docid, "filter": 'lang = "en"'}
        assert server.fetch("/api/v1/texts/explain", body)["rank"] == rank
        body["filter"] = 'lang = "de"'
        assert server.fetch("/api/v1/texts/explain", body)["rank"] is None
    assert docids


def test_terms_begin_with_a_prefix(server, searcher):
    known = {each.term: each.doc_freq for each in searcher.reader.terms()}
    for prefix in ("bl", "##", "t", "nothing such"):
        expected = [(term, count) for term, count in known.items() if term.startswith(prefix)]
        expected.sort(key=lambda pair: (-pair[1], pair[0]))
        found = server.fetch(f"/api/v1/texts/terms?prefix={quote(prefix)}&k=5")
        assert [(each["term"], each["documents"]) for each in found] == expected[:5]
    assert server.get("/api/v1/texts/terms?prefix=").status == 422


def test_documents_have_texts_fields_and_vectors(server, searcher):
    answer = server.fetch("/api/v1/texts/documents/t3")
    assert answer["contents"] == TEXTS[3]
    assert answer["fields"] == {"lang": "en", "year": 2003}
    assert {each["term"]: each["weight"] for each in answer["vector"]} == searcher.vector("t3")
    similar = server.fetch("/api/v1/texts/documents/t3/similar?k=3")
    assert ranking(similar) == pairs(searcher.more_like_this("t3", 3))
    missing = server.get("/api/v1/texts/documents/t99")
    assert (missing.status, missing.error["code"]) == (404, "unknown-document")


def test_docids_may_have_any_characters(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument(docid, docid, {"a": 1}) for docid in ("a/b", "../x", "é?#%", "..")])
    with running({"odd": tmp_path / "index"}) as server:
        for docid in ("a/b", "../x", "é?#%", ".."):
            assert server.fetch(f"/api/v1/odd/documents/{quote(docid, safe='')}")["contents"] == docid


def test_texts_are_encoded_as_queries_and_documents(server, searcher):
    assert server.fetch("/api/v1/texts/encode", {"texts": TEXTS[:2]}) == searcher.encode_batch(TEXTS[:2])
    as_documents = server.fetch("/api/v1/texts/encode", {"texts": [TEXTS[1]], "kind": "document"})
    assert as_documents == [searcher.vector("t1")]
    assert server.post("/api/v1/numbers/encode", {"texts": ["a"]}).status == 400


def test_indexes_are_described(server):
    numbers, texts = server.fetch("/api/v1/indexes")
    assert (numbers["name"], numbers["documents"], numbers["model"], numbers["fields"]) == ("numbers", 2000, None, [])
    assert texts["fields"] == [
        {"name": "lang", "type": "keyword"},
        {"name": "year", "type": "integer"},
    ]
    assert (texts["has_bm25"], texts["has_texts"], texts["read_only"]) == (True, True, True)
    fields = {each["name"]: each for each in server.fetch("/api/v1/texts/fields")}
    assert (fields["year"]["min"], fields["year"]["max"]) == (2000, 2005)
    assert fields["lang"]["values"] == [{"value": "de", "count": 3}, {"value": "en", "count": 3}]


def test_statistics_are_those_of_the_documents(server, collection):
    answer = server.fetch("/api/v1/numbers/stats")
    summary = answer["summary"]
    impacts = Counter(impact for document in collection for impact in document.vector.values())
    assert (summary["documents"], summary["postings"]) == (len(collection), impacts.total())
    for name, values in (("impacts", impacts), ("lengths", Counter(len(each.vector) for each in collection))):
        found = answer[name]
        assert (found["total"], found["largest"]) == (values.total(), max(values))
        assert found["mean"] == pytest.approx(fmean(values.elements()))
        assert found["median"] == median_low(values.elements())
        for bar in found["bars"]:
            assert bar["count"] == sum(values[value] for value in range(bar["from"], bar["to"] + 1))
        assert sum(bar["count"] for bar in found["bars"]) == values.total()
    documents = Counter(term for document in collection for term in document.vector)
    assert [each["documents"] for each in answer["frequent"]] == sorted(documents.values(), reverse=True)[:100]
    assert [each["term"] for each in answer["subwords"]["terms"]] == ["##ing"]
    kinds = {each["kind"]: each for each in answer["kinds"]}
    assert sum(each["impact"] for each in kinds.values()) == summary["total_impact"]
    assert (kinds["subword"]["terms"], kinds["subword"]["postings"]) == (1, documents["##ing"])
    assert sum(each["terms"] for each in kinds.values()) == len(documents)
    assert sum(part["bytes"] for part in answer["bytes"]) > summary["bytes"] / 2
    server.fetch("/api/v1/numbers/search", {"vector": {"term3": 2}, "k": 3})
    profile = server.fetch("/api/v1/numbers/stats")["profiles"][0]
    assert (profile["terms"], profile["hits"], profile["profile"]["blockmax"]) == (1, 3, 0)
    assert profile["profile"]["postings"] >= documents["term3"]


# ---- wrong requests ----


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "query or vector is required"),
        ({"query": "x", "k": 0}, "body.k"),
        ({"query": "x", "unknown": 1}, "body.unknown"),
        ({"vector": {"a": 1.5}}, "body.vector.a"),
        ({"vector": {"a": True, "b": "3"}}, "body.vector"),
        (b'{"query": "x", "query": "y"}', "duplicate key"),
        (b"[" * 100_000, "Nested more than 200 levels"),
        (b'{"k": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"\xff", "cannot be read"),
        (b"", "body"),
        (b"[1]", "body"),
        (b'{"vector": 3, "query": "a:b"}', "body.vector"),
        (b'{"vector": {"a": 1, "a": 2}}', "duplicate key"),
    ],
)
def test_requests_that_do_not_fit_are_named(server, body, expected):
    answer = server.post("/api/v1/texts/search", body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.error["code"]) == (422, "invalid-request")
    assert expected in answer.error["message"]


def test_errors_name_neither_folders_nor_traces(server, text_index):
    answer = server.post("/api/v1/numbers/search", {"query": "text without a model"})
    assert (answer.status, answer.error["code"]) == (400, "bad-query")
    assert "numbers has no manifest" in answer.error["message"]
    assert "/" not in answer.error["message"]
    unknown = server.get("/api/v1/none/search?query=x")
    assert (unknown.status, unknown.error["remedy"]) == (404, "Choose one of: numbers, texts")
    wrong = server.get("/api/v1/texts/search?query=x&k=2000")
    assert (wrong.status, wrong.error["code"]) == (422, "too-many-hits")
    assert server.get("/nothing").status == 404
    method = server.request("PUT", "/api/v1/texts/search")
    assert (method.status, method.error["code"]) == (405, "method-not-allowed")
    assert "POST" in method.headers["allow"] or "GET" in method.headers["allow"]


def test_parameters_that_would_be_ignored_are_refused(server):
    for parameters, expected in (
        ("k=1&filter=year%3E2019", "no parameter 'filter'; it has query and k"),
        ("hits=3", "no parameter 'hits'"),
        ("query=heart", "query is given twice"),
    ):
        answer = server.get(f"/api/v1/texts/search?query=blood&{parameters}")
        assert (answer.status, answer.error["code"]) == (422, "invalid-request")
        assert expected in answer.error["message"]
    answer = server.post("/api/v1/texts/search?k=1", {"query": "blood"})
    assert (answer.status, answer.error["message"]) == (422, "this route has no parameter 'k'; it has none")
    assert server.get("/api/v1/texts/search?query=blood&k=1").status == 200


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"engine": "bm25", "alpha": 0.9}, "alpha and exact are for the engine impact, not bm25"),
        ({"engine": "hybrid", "exact": False}, "alpha and exact are for the engine impact, not hybrid"),
        ({"exact": True, "alpha": 0.9}, "with alpha, a search is not exact"),
    ],
)
def test_an_approximation_that_would_be_ignored_is_refused(server, settings, expected):
    for path, body in (("search", {"query": "blood"}), ("batch", {"queries": [{"qid": "1", "query": "blood"}]})):
        answer = server.post(f"/api/v1/texts/{path}", {**body, **settings})
        assert answer.status == 422
        assert expected in answer.error["message"]


def test_a_document_that_loses_its_text_counts_as_deleted(text_index, tmp_path):
    shutil.copytree(text_index, tmp_path / "index")
    with running({"a": tmp_path / "index"}, token=TOKEN) as server:
        add = partial(server.post, "/api/v1/a/documents", token=TOKEN)
        added = add({"documents": [{"id": "new", "contents": "blood pressure"}]}).json
        assert (added["added"], added["deleted"]) == (1, 0)
        emptied = add({"documents": [{"id": "new", "contents": ""}]}).json
        assert emptied == {"added": 0, "deleted": 1, "documents": added["documents"] - 1}


def test_surrogates_are_replaced_in_queries(server):
    answer = server.post(
        "/api/v1/texts/search", b'{"query": "blood \\ud800"}', headers={"Content-Type": "application/json"}
    )
    assert answer.status == 200
    assert answer.json["query"] == "blood �"


# ---- the page and its headers ----


def test_every_answer_has_the_security_headers(server):
    for path in ("/health", "/api/v1/indexes", "/nothing", "/api/v1/none/fields", "/static/none.js", "/openapi.json"):
        answer = server.get(path)
        assert {name: answer.headers[name.lower()] for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert not any(name.startswith("access-control") for name in answer.headers)
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")


def test_files_are_read_once_and_no_path_reaches_the_disk(tmp_path, server):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.js").write_text("1")
    (tmp_path / "index.html").write_text("<p>")
    (tmp_path / "secret.key").write_text("not a file of a page")
    files = read_page(tmp_path)
    assert [*files] == ["a/x.js", "index.html"]
    assert files["a/x.js"].content_type == "text/javascript; charset=utf-8"
    for path in ("../app.py", "..%2fapp.py", "/etc/passwd", "%00", "a/../../app.py", "x" * 5000):
        assert server.get(f"/static/{path}").status in (404, 400)


def test_only_names_of_this_machine_are_answered(server):
    for host, status in (
        ("evil.example", 403),
        (f"localhost:{server.port}", 200),
        ("[::1]:80", 200),
        ("127.0.0.1", 200),
    ):
        assert server.get("/health", headers={"Host": host}).status == status


# ---- settings ----


def test_other_hosts_need_a_token(index_dir, tmp_path):
    with pytest.raises(InputError, match=r"token is required.*token=…"):
        ServerSettings({"a": index_dir}, host="0.0.0.0")
    with running({"a": index_dir}, host="0.0.0.0", token=TOKEN) as server:
        denied = server.get("/api/v1/indexes")
        assert (denied.status, denied.error["code"], denied.headers["www-authenticate"]) == (
            401,
            "wrong-token",
            "Bearer",
        )
        assert server.get("/api/v1/indexes", token=TOKEN + "x").status == 401
        assert server.get("/api/v1/indexes", token=TOKEN).status == 200
        assert server.get("/api/v1/indexes", headers={"Authorization": f"bearer {TOKEN}"}).status == 200
        assert server.get("/api/v1/indexes", headers={"Authorization": TOKEN}).status == 401
        assert server.get("/health").status == 200
    path = tmp_path / "token"
    path.write_text("short\n")
    with pytest.raises(InputError, match="at least 16"):
        read_token(path)
    path.write_text(TOKEN + "\n")
    assert read_token(path) == TOKEN
    path.write_text(f"\ufeff{TOKEN}\r\n", encoding="utf-8")  # as some editors write it
    assert read_token(path) == TOKEN
    with pytest.raises(InputError, match="cannot read the token"):
        read_token(tmp_path / "none")


def test_names_of_indexes(tmp_path):
    assert index_names(["a=/x/y", "/x/z", "w.e-1_x=."]) == {"a": Path("/x/y"), "z": Path("/x/z"), "w.e-1_x": Path()}
    assert index_names(["/x=y/z"]) == {"z": Path("/x=y/z")}
    with pytest.raises(InputError, match="two indexes have the name 'z'"):
        index_names(["/x/z", "z=/y"])
    with pytest.raises(InputError, match="cannot be the name"):
        index_names(["a b=/x"])
    with pytest.raises(InputError, match="no index was given"):
        ServerSettings({})
    assert index_names([f"{tmp_path}/x/.."]) == {tmp_path.name: tmp_path / "x" / ".."}
    with pytest.raises(InputError, match="cannot be the name"):
        index_names(["..=/x"])
    with pytest.raises(InputError, match="hits must be at least 1"):
        Limits(hits=0)
    with pytest.raises(InputError, match="seconds must be above 0, got nan"):
        Limits(seconds=float("nan"))
    with pytest.raises(InputError, match="refresh_seconds must be at least 0"):
        ServerSettings({"a": tmp_path}, refresh_seconds=float("nan"))


def test_titles_are_shown_where_the_whole_input_is_stored(tmp_path):
    lines = [
        {"id": "d1", "contents": "a b", "title": "T", "vector": {"a": 1}},
        {"id": "d2", "contents": "a", "vector": {"a": 1}},
    ]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index", store="raw")
    with running({"titles": tmp_path / "index"}) as server:
        hits = server.fetch("/api/v1/titles/search", {"vector": {"a": 1}})["hits"]
    assert [(hit["docid"], hit.get("title")) for hit in hits] == [("d1", "T"), ("d2", None)]
    assert hits[0]["snippet"] == [
        {"text": "a", "marked": True, "term": "a"},
        {"text": " b", "marked": False, "term": None},
    ]


def test_wrong_usage_on_the_command_line(index_dir, tmp_path):
    with restored_logging():
        check_wrong_usage(index_dir, tmp_path)


def check_wrong_usage(index_dir: Path, tmp_path: Path) -> None:
    missing = run("serve", "--index", f"a={tmp_path / 'nothing'}")
    assert (missing.returncode, "does not exist" in missing.stderr) == (1, True)
    for arguments, expected in (
        (["--host", "0.0.0.0"], "a token is required"),
        (["--token-file", str(tmp_path / "none")], "cannot read the token"),
        (["--timeout", "0"], "seconds"),
    ):
        wrong = run("serve", "--index", index_dir, *arguments)
        assert wrong.returncode == 2
        assert expected in " ".join(wrong.stderr.split())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = run("serve", "--index", index_dir, "--port", taken.getsockname()[1])
    assert busy.returncode == 1
    assert "Choose another one with --port" in busy.stderr
