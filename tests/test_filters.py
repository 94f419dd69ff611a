"""Filters: the grammar, and that searches with them equal the NumPy oracle over the documents that the filter's definition accepts."""

from __future__ import annotations

import random
import re
import tempfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.anserini import build_with_anserini, contents
from support.fields import TYPES, WORDS, accepts, documents_with_fields, random_filter

from splade_lucene import (
    Approximation,
    DocumentFilter,
    Filter,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    PyseriniSearcher,
    accelerate,
    exhaustive_search,
    index_pseudo_documents,
    parse_filter,
    where,
    write_pseudo_documents,
)
from splade_lucene.errors import QueryError
from splade_lucene.search.checks import Engine

# ---- the grammar ----


@pytest.mark.parametrize(
    ("text", "filter"),
    [
        ('lang = "de"', where("lang") == "de"),
        ("lang == 'de'", where("lang") == "de"),
        ('lang != "de"', ~(where("lang") == "de")),
        ('lang <> "de"', where("lang") != "de"),
        ("year>=2019", where("year") >= 2019),
        ("year < -1.5e3", where("year") < -1500.0),
        ("a <= 1 and b > 2 or c = 3", (where("a") <= 1) & (where("b") > 2) | (where("c") == 3)),
        ("a = 1 and (b = 2 or c = 3)", (where("a") == 1) & ((where("b") == 2) | (where("c") == 3))),
        ("NOT a = 1 AND b = 2", ~(where("a") == 1) & (where("b") == 2)),
        ("not not a exists", ~~where("a").exists()),
        ("not (a = 1 or b = 2)", ~((where("a") == 1) | (where("b") == 2))),
        ('tags in ("x", "y")', where("tags").is_in(["x", "y"])),
        ('tags not in ("x")', ~where("tags").is_in(["x"])),
        ("tags in ()", where("tags").is_in([])),
        ("year between 2019 and 2021 and a exists", where("year").between(2019, 2021) & where("a").exists()),
        ('url prefix "https://"', where("url").starts_with("https://")),
        ("on > 2019-03-01", where("on") > date(2019, 3, 1)),
        ("on = 2019-03-01T12:30:00Z", where("on") == datetime(2019, 3, 1, 12, 30, tzinfo=UTC)),
        ("on = 2019-03-01T12:30:00.5+01:30", where("on") == datetime(2019, 3, 1, 11, 0, 0, 500_000, tzinfo=UTC)),
        ("open = TRUE or open = false", (where("open") == True) | (where("open") == False)),  # noqa: E712
        ("`and` = 1", where("and") == 1),
        ("`a \\` b` = 1", where("a ` b") == 1),
        ("meta.year-of_birth = 1", where("meta.year-of_birth") == 1),
        ("größe = 1", where("größe") == 1),
        (r'"' if False else r"""a = "é\"\\\n\u00e9\ud83d\ude00" """, where("a") == 'é"\\\né😀'),
        ("a='it\\'s'", where("a") == "it's"),
        ("a = 9007199254740993", where("a") == 9007199254740993),
    ],
)
def test_text_by_hand(text, filter):
    assert parse_filter(text) == filter


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1),
        ("   ", 4),
        ("lang", 5),
        ("lang =", 7),
        ('lang = "de', 8),
        ("lang = de", 8),
        ('lang ~ "de"', 6),
        ("= 1", 1),
        ("and = 1", 1),
        ("a = 1 b = 2", 7),
        ("a = 1 and", 10),
        ("(a = 1", 7),
        ("a = 1)", 6),
        ("a in 1", 6),
        ("a in (1 2)", 9),
        ("a in (1,)", 9),
        ("a between 1", 12),
        ("a prefix 1", 10),
        ("a not = 1", 7),
        ("a = 01", 5),
        ("a = 1.", 5),
        ("a = 1e999", 5),
        ("a = nan", 5),
        ("a = 2019-02-30", 5),
        ("a = 2019-03-01T25:00", 5),
        (r'a = "\x"', 5),
        (r'a = "\ud800"', 5),
        ("`` = 1", 1),
        ("a = 1 ; drop", 7),
    ],
)
def test_wrong_text_is_refused_with_its_column(text, column):
    with pytest.raises(QueryError, match=f"at column {column}: expected .*, found .*Write for example"):
        parse_filter(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('and = "v1"', "the name of a field (`and` if that is one), found and"),
        ("a = 1 and In >= 3", "the name of a field (`In` if that is one), found In"),
        ('lang = "de', 'a string that ends with ", found "de'),
        ("lang in ('de", "a string that ends with ', found 'de"),
    ],
)
def test_a_wrong_filter_says_what_may_have_been_meant(text, expected):
    with pytest.raises(QueryError, match=re.escape(f"expected {expected}.")):
        parse_filter(text)


def test_deep_nesting_is_refused_and_not_a_crash():
    assert parse_filter("(" * 50 + "a = 1" + ")" * 50) == (where("a") == 1)
    for text in ("(" * 100_000, "not " * 100_000 + "a = 1"):
        with pytest.raises(QueryError, match="100 levels"):
            parse_filter(text)


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_filter_to_text_and_back(seed):
    drawn = random_filter(random.Random(seed), 5)
    text = str(drawn)
    assert parse_filter(text) == drawn
    assert str(parse_filter(text)) == text


@given(
    name=st.text(st.characters(codec="utf-8"), min_size=1),
    value=st.text(st.characters(codec="utf-8"))
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones()),
)
def test_any_name_and_value_to_text_and_back(name, value):
    try:
        drawn = where(name) >= value
    except OverflowError:  # of datetime: the year 0 or 10000 in UTC
        return
    assert parse_filter(str(drawn)) == drawn


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), [1], b"x", "\ud800", object()])
def test_values_that_no_field_has_are_refused(value):
    with pytest.raises(QueryError):
        where("a") == value  # noqa: B015


def test_filters_have_no_truth_and_combine_with_filters_only():
    with pytest.raises(QueryError, match="parentheses"):
        bool(where("a") == 1)
    with pytest.raises(QueryError, match="only be combined with a filter"):
        (where("a") == 1) & "b = 2"  # type: ignore[operator]
    assert (where("a") == np.int64(3)) == (where("a") == 3)
    assert str(where("a") >= np.datetime64("2019-03-01")) == 'a >= "2019-03-01"'
    with pytest.raises(QueryError, match="cannot be compared"):
        where("a") == np.timedelta64(3, "ns")  # noqa: B015
    aware = datetime(2019, 3, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert str(where("a") == aware) == str(where("a") == datetime(2019, 3, 1, 12)) == "a = 2019-03-01T12:00:00Z"


# ---- searches ----


def build(documents: list[PseudoDocument], folder: Path, source: random.Random) -> list[PseudoDocument]:
    """An index by one of the writers, or by both; returns the documents that it has."""
    index, way = folder / "index", source.choice(["bulk", "several", "both"])
    first = documents[: 1 + len(documents) // 2] if way == "both" else documents
    if way == "several":
        with LuceneImpactIndexer(index, fields=TYPES) as indexer:
            for start in range(0, len(documents), 1 + len(documents) // 3):
                indexer.add(documents[start : start + 1 + len(documents) // 3])
                indexer.commit()
    else:
        write_pseudo_documents(folder / "docs.jsonl", first)
        index_pseudo_documents(
            folder / "docs.jsonl", index, fields=TYPES, store="none", order=source.choice(["bp", "input"]),
            memory=source.choice([None, 20_000]), accelerator=source.random() < 0.5,
        )  # fmt: skip
    with LuceneImpactIndexer(index, fields=TYPES) as indexer:
        indexer.add([each for each in documents if each not in first])
        deleted = {each.docid for each in documents if source.random() < 0.1}
        indexer.delete(deleted)
        if source.random() < 0.3:
            indexer.merge()
    if source.random() < 0.5:
        accelerate(index)
    return [each for each in documents if each.docid not in deleted]


@pytest.mark.slow
@settings(max_examples=8, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32))
def test_random_searches_equal_the_oracle_over_the_accepted_documents(seed):
    source = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        documents = build(documents_with_fields(source.choice([2, 64, 300]), seed), Path(folder), source)
        index = Path(folder) / "index"
        searchers = [LuceneImpactSearcher(index, engine=engine) for engine in get_args(Engine)]
        searchers.append(LuceneImpactSearcher(index, cache_bytes=0))
        for _ in range(15):
            drawn = random_filter(source)
            query = {f"t{i}": source.randint(1, 100) for i in source.sample(range(40), source.choice([1, 5, 30]))}
            k = source.choice([1, 10, 1000])
            accepted = [each for each in documents if accepts(drawn, dict(each.fields))]
            expected = exhaustive_search(accepted, query, k)
            for searcher in searchers:
                forms: list[Filter | str | DocumentFilter] = [drawn, str(drawn), searcher.filter_by(drawn)]
                hits = searcher.search(query, k, filter=source.choice(forms))
                assert list(zip(hits.docids, hits.scores.tolist(), strict=True)) == expected, (
                    str(drawn),
                    searcher.engine,
                )
            assert len(searchers[0].filter_by(drawn)) == len(accepted)
            counted = Counter(tag for each in accepted for tag in cast("list[str]", each.fields.get("tags", [])))
            assert searchers[0].facets("tags", drawn) == counted
        for searcher in searchers:
            searcher.close()


@pytest.fixture(scope="module")
def documents() -> list[PseudoDocument]:
    return documents_with_fields(600, 7)


@pytest.fixture(scope="module")
def index(documents, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("filters")
    write_pseudo_documents(folder / "docs.jsonl", documents)
    index_pseudo_documents(folder / "docs.jsonl", folder / "index", fields=TYPES)
    return folder / "index"


def test_batch_search_recall_and_approximation_honour_filters(documents, index):
    drawn = (where("lang") == "de") | (where("year") >= 2019)
    accepted = [each for each in documents if accepts(drawn, dict(each.fields))]
    queries = [{f"t{i}": 3, f"t{i + 1}": 2} for i in range(20)]
    with LuceneImpactSearcher(index) as searcher:
        found = searcher.batch_search(queries, [*map(str, range(20))], 10, 2, filter=str(drawn))
        for query, hits in zip(queries, found.values(), strict=True):
            assert list(zip(hits.docids, hits.scores.tolist(), strict=True)) == exhaustive_search(accepted, query, 10)
        assert searcher.recall(queries, 10, filter=drawn) == [1.0] * 20
    docids = {each.docid for each in accepted}
    with LuceneImpactSearcher(index, approximation=Approximation(beta=0.5, candidates=5)) as searcher:
        assert all({*searcher.search(query, 10, filter=drawn).docids} <= docids for query in queries)


def test_without_a_filter_fields_change_no_posting_and_no_hit(documents, index, tmp_path):
    plain = [PseudoDocument(each.docid, each.contents, each.vector) for each in documents]
    write_pseudo_documents(tmp_path / "docs.jsonl", plain)
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index")
    assert contents(index) == contents(tmp_path / "index")
    with LuceneImpactSearcher(index) as ours, LuceneImpactSearcher(tmp_path / "index") as without:
        with PyseriniSearcher(index) as theirs:
            for number in range(39):
                query = {f"t{number}": 3, f"t{number + 1}": 5}
                assert ours.search(query, 100) == without.search(query, 100) == theirs.search(query, 100)
        assert without.reader.fields == {}
        with pytest.raises(QueryError, match="has no fields: build it with"):
            without.search({"t1": 1}, filter="year = 1")


@pytest.mark.process
def test_anserini_ignores_fields_and_reads_the_same_postings(documents, index, tmp_path):
    write_pseudo_documents(tmp_path / "collection" / "docs.jsonl", documents)
    build_with_anserini(tmp_path / "collection", tmp_path / "index")
    assert contents(index) == contents(tmp_path / "index")


def test_a_filter_that_accepts_nothing_gives_no_hits(index):
    with LuceneImpactSearcher(index) as searcher:
        for text in (
            'lang = "xx"',
            "year > 9223372036854775807",
            "year = 0.5",
            "tags in ()",
            "price > 1e308 and price < 0",
        ):
            assert len(searcher.search({"t1": 1}, filter=text)) == 0
            assert len(searcher.filter_by(text)) == 0
        assert searcher.facets("lang", 'lang = "xx"') == {}


def test_filters_of_docids_and_of_fields_are_joined(documents, index):
    some = [each.docid for each in documents[::3]]
    drawn = where("lang").exists()
    with LuceneImpactSearcher(index) as searcher, LuceneImpactSearcher(index) as other:
        both = searcher.make_filter(some) & searcher.filter_by(drawn)
        assert len(both) == sum("lang" in each.fields for each in documents[::3])
        found = searcher.search({"t1": 1}, 1000, filter=both).docids
        accepted = [each for each in documents[::3] if "lang" in each.fields]
        assert found == [docid for docid, _ in exhaustive_search(accepted, {"t1": 1}, 1000)]
        with pytest.raises(QueryError, match="another searcher"):
            searcher.search({"t1": 1}, filter=other.filter_by(drawn))
        with pytest.raises(QueryError, match="made by different searchers"):
            searcher.make_filter(some) & other.make_filter(some)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("yaer = 1", r"no field 'yaer'.*lang \(keyword\).*year \(integer\)"),
        ('year = "2019"', "'year' is of the type integer.*number without quotes"),
        ("year = true", "'year' is of the type integer"),
        ("lang = 3", "'lang' is of the type keyword.*string in quotes"),
        ("lang = 2019-03-01", "string in quotes"),
        ("lang in ('de', 3)", "string in quotes"),
        ("price = 'x'", "'price' is of the type number"),
        ("on = 3", "'on' is of the type date.*a date such as"),
        ("on = 'yesterday'", "a date such as"),
        ("open = 1", "'open' is of the type boolean.*= true"),
        ("open < true", "= true"),
        ("year prefix '2'", "only keywords have prefixes. Compare it by a range"),
    ],
)
def test_a_comparison_that_the_type_does_not_allow_is_refused(index, text, says):
    with LuceneImpactSearcher(index) as searcher, pytest.raises(QueryError, match=says):
        searcher.search({"t1": 1}, filter=text)


def test_values_and_facets_of_hits(documents, index):
    given = {each.docid: each.fields for each in documents}
    with LuceneImpactSearcher(index) as searcher:
        hits = searcher.search({"t1": 1, "t2": 1}, 200)
        assert len(hits) > 100
        for hit, fields in zip(hits, hits.fields(), strict=True):
            assert hit.fields == fields
            expected: dict[str, Any] = dict(given[hit.docid])
            assert fields.get("lang") == expected.get("lang")
            assert fields.get("year") == expected.get("year")
            assert fields.get("price") == expected.get("price")
            assert fields.get("open") == expected.get("open")
            assert fields.get("tags", []) == sorted(expected.get("tags", []), key=str.encode)
            assert str(fields.get("on"))[:10] == str(expected.get("on"))[:10]
        assert hits.fields("year") == [{k: v for k, v in each.items() if k == "year"} for each in hits.fields()]
        counted = Counter(each["lang"] for each in hits.fields("lang") if each)
        facets = hits.facets("lang")
        assert facets == counted
        assert list(facets.values()) == sorted(counted.values(), reverse=True)
        assert set(facets) <= set(WORDS)
        with pytest.raises(QueryError, match="only keywords are counted"):
            hits.facets("year")
        with pytest.raises(QueryError, match="no field 'x'"):
            hits.fields("x")


def test_filters_are_kept_and_given_up(index):
    with LuceneImpactSearcher(index) as searcher:
        first = searcher.filter_by("year = 0")
        assert searcher.filter_by("year  =  0").java is first.java
        for year in range(1, 40):
            searcher.filter_by(f"year = {year}")
        assert searcher.filter_by("year = 0").java is not first.java
        assert len(searcher.search({"t1": 1}, filter=first)) == len(searcher.search({"t1": 1}, filter="year = 0"))


def test_declared_fields_that_no_document_has_accept_nothing(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index", fields={"lang": "keyword"}) as indexer:
        indexer.add(PseudoDocument("d1", "", {"a": 1}))
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert len(searcher.search({"a": 1}, filter='lang = "de"')) == 0
        assert len(searcher.search({"a": 1}, filter='lang != "de"')) == 1
        with pytest.raises(QueryError, match=r"Its fields are: lang \(keyword\)"):
            searcher.search({"a": 1}, filter="x = 1")


def test_a_filter_is_a_filter():
    assert isinstance(where("a").exists(), Filter)


def test_conditions_follow_a_refresh_and_made_filters_do_not(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index", fields={"year": "integer"}) as indexer:
        indexer.add(PseudoDocument("d1", "", {"a": 1}, {"year": 2019}))
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        made = searcher.filter_by("year >= 2019")
        assert searcher.search({"a": 1}, filter=made).docids == ["d1"]
        with LuceneImpactIndexer(tmp_path / "index", fields={"lang": "keyword"}) as indexer:
            indexer.add(PseudoDocument("d2", "", {"a": 1}, {"year": 2020, "lang": "de"}))
            indexer.optimize()
        assert searcher.search({"a": 1}, filter="year >= 2019").docids == ["d1"]
        assert searcher.refresh()
        assert searcher.search({"a": 1}, filter="year >= 2019").docids == ["d1", "d2"]
        assert searcher.search({"a": 1}, filter='lang = "de"')[0].fields == {"lang": "de", "year": 2020}
        with pytest.raises(QueryError, match="before this searcher was refreshed"):
            searcher.search({"a": 1}, filter=made)
