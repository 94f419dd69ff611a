"""Several indexes searched as one, and merged into one: both equal the index built at once, and the NumPy oracle."""

from __future__ import annotations

import json
import random
import re
import resource
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.anserini import build_with_anserini, contents
from support.commands import check_failed, run, run_well
from support.fields import TYPES, accepts, documents_with_fields, random_filter
from support.manifests import rewrite_manifest

from splade_lucene import (
    Approximation,
    Contribution,
    IndexAccessError,
    InputError,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PseudoDocument,
    PyseriniSearcher,
    Quantizer,
    Query,
    QueryError,
    StorageError,
    accelerate,
    add_corpus,
    build_index,
    check_index,
    exhaustive_search,
    index_pseudo_documents,
    jvm,
    merge_indexes,
    where,
    write_encoded_topics,
    write_pseudo_documents,
)
from splade_lucene.errors import DamagedIndexError, NotAnIndexError
from splade_lucene.files.files import work_folder
from splade_lucene.index import merging
from splade_lucene.index.reader import read_index_manifest
from splade_lucene.records import FieldValue
from splade_lucene.search.checks import Engine

TEXTS = [
    "Cats eat mice and fish.", "Paris is the capital of France.", "The heart pumps blood.", "Dogs bark at night.",
    "Bread is baked in an oven.", "Berlin is the capital of Germany.",
]  # fmt: skip

Collection = Mapping[str, PseudoDocument]

QUERIES = [
    {f"t{i}": i + 1 for i in range(12)},
    {"t0": 1},
    {"t3": 7, "t30": 50, "nowhere": 3},
    {f"t{i}": 1 for i in range(40)},
]


def collection(numbers: Sequence[int], seed: int) -> dict[str, PseudoDocument]:
    """Documents d0, d1 … that differ with the seed."""
    drawn = documents_with_fields(len(numbers), seed)
    renamed = {each.docid: f"d{numbers[i]}" for i, each in enumerate(drawn)}
    return {
        renamed[each.docid]: PseudoDocument(renamed[each.docid], f"text {seed}", each.vector, each.fields)
        for each in drawn
    }


def write(index: Path, documents: Collection, *, deleted: Sequence[str] = (), commits: int = 1) -> None:
    """An index in as many segments as commits; some documents are deleted again."""
    with LuceneImpactIndexer(index, fields=TYPES) as indexer:
        listed = [*documents.values()]
        step = -(-len(listed) // commits) or 1
        for start in range(0, len(listed), step):
            indexer.add(listed[start : start + step])
            indexer.commit()
        indexer.delete(deleted)


def build(index: Path, documents: Collection) -> None:
    write_pseudo_documents(index.with_suffix(".jsonl"), documents.values())
    index_pseudo_documents(index.with_suffix(".jsonl"), index, fields=TYPES)


def ranked(hits: Any) -> list[tuple[str, int]]:
    return [(hit.docid, int(hit.score)) for hit in hits]


def oracle(documents: Collection, query: Mapping[str, int], k: int) -> list[tuple[str, int]]:
    return [(docid, int(score)) for docid, score in exhaustive_search([*documents.values()], query, k)]


@pytest.fixture
def three(tmp_path: Path) -> tuple[list[Path], dict[str, PseudoDocument]]:
    """Three indexes without common docids, and all their documents."""
    paths = [tmp_path / name for name in "abc"]
    numbers = [range(60), range(60, 75), range(75, 140)]
    parts = [collection(each, seed) for seed, each in enumerate(numbers)]
    for path, part in zip(paths, parts, strict=True):
        write(path, part)
    return paths, {docid: each for part in parts for docid, each in part.items()}


# ---- as one ----


@pytest.mark.slow
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32))
def test_several_as_one_equal_merged_built_at_once_and_the_oracle(seed):
    source = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths, union, has_duplicates = random_indexes(folder, source)
        if has_duplicates:
            with pytest.raises(InputError, match=r"docids? belongs? to two documents"):
                LuceneImpactSearcher(paths)
            with pytest.raises(InputError, match=r"docids? belongs? to two documents"):
                merge_indexes(paths, folder / "merged")
        order = source.choice(["bp", "input"])
        summary = merge_indexes(paths, folder / "merged", duplicates="last", order=order, threads=2)  # type: ignore[arg-type]
        assert summary.documents == len(union)
        assert check_index(folder / "merged").damage == ()
        if not union:
            return
        build(folder / "built", union)
        for engine in source.sample(get_args(Engine), 2):
            cache = source.choice([None, 0])
            options: dict[str, Any] = {"engine": engine, "cache_bytes": cache, "min_idf": source.choice([None, 0, 1.5])}
            with (
                LuceneImpactSearcher(paths, duplicates="last", **options) as several,
                LuceneImpactSearcher(folder / "merged", **options) as merged,
                LuceneImpactSearcher(folder / "built", **options) as built,
            ):
                compare(several, merged, built, union, source, is_exact=options["min_idf"] is None)
        assert contents(folder / "merged") == contents(folder / "built")
        with (
            LuceneImpactIndexReader(folder / "merged") as merged_reader,
            LuceneImpactIndexReader(folder / "built") as built_reader,
        ):
            own, others = merged_reader.statistics(), built_reader.statistics()
            assert {**own, "bytes": 0} == {**others, "bytes": 0}
            assert merged_reader.fields == built_reader.fields
            assert merged_reader.used_fields == built_reader.used_fields


def random_indexes(folder: Path, source: random.Random) -> tuple[list[Path], dict[str, PseudoDocument], bool]:
    """Indexes, their documents (the last one for each docid), and whether any docid is shared."""
    paths: list[Path] = []
    union: dict[str, PseudoDocument] = {}
    count = 0
    for number in range(source.randint(2, 4)):
        start = source.randint(0, 150)
        numbers = source.sample(range(start, start + 80), source.randint(1, 60))
        documents = collection(numbers, source.randrange(2**32))
        deleted = source.sample([*documents], source.choice([0, 0, len(documents) // 3, len(documents)]))
        paths.append(folder / f"i{number}")
        write(paths[-1], documents, deleted=deleted, commits=source.randint(1, 3))
        if source.random() < 0.5:
            accelerate(paths[-1])
        left = {docid: each for docid, each in documents.items() if docid not in deleted}
        count += len(left)
        union |= left
    return paths, union, count > len(union)


def compare(
    several: LuceneImpactSearcher, merged: LuceneImpactSearcher, built: LuceneImpactSearcher, union: Collection,
    source: random.Random, *, is_exact: bool,
) -> None:  # fmt: skip
    assert several.num_docs == merged.num_docs == built.num_docs == len(union)
    for query in QUERIES:
        k, threads, filter = source.choice([1, 3, 10, 1000]), source.choice([1, 3]), random_filter(source)
        accepted = {docid: each for docid, each in union.items() if accepts(filter, dict(each.fields))}
        for chosen, documents in ((None, union), (filter, accepted)):
            found = several.search(query, k, filter=chosen)
            assert found == merged.search(query, k, filter=chosen) == built.search(query, k, filter=chosen)
            assert several.batch_search([query] * 3, ["1", "2", "3"], k, threads, filter=chosen)["2"] == found
            if is_exact:
                assert ranked(found) == oracle(documents, query, k)
            assert found.fields() == built.search(query, k, filter=chosen).fields()
            assert found.facets("tags") == built.search(query, k, filter=chosen).facets("tags")
            assert several.facets("lang", chosen) == built.facets("lang", chosen) == merged.facets("lang", chosen)
        for hit in found[:2]:
            assert several.explain(query, hit.docid) == built.explain(query, hit.docid)
    for docid in source.sample([*union], min(len(union), 5)):
        document = several.doc(docid)
        assert document is not None
        assert document.contents() == union[docid].contents
        assert several.doc(document.lucene_docid()).docid() == docid
        alone = several.make_filter([docid])
        assert len(alone) == 1
        assert len(several.make_filter([docid], exclude=True)) == len(union) - 1
        assert {hit.docid for hit in several.search(QUERIES[3], 10, filter=alone)} <= {docid}


def test_approximate_search_of_several_indexes_adds_nothing_to_scores(three):
    paths, union = three
    for settings_ in (Approximation(alpha=0.9), Approximation(beta=0.5, candidates=20), Approximation(blocks=1)):
        with LuceneImpactSearcher(paths, approximation=settings_) as searcher:
            for query in QUERIES:
                found = dict(ranked(searcher.search(query, 10)))
                exact = dict(oracle(union, query, 1000))
                assert all(score <= exact[docid] for docid, score in found.items())
                best = [docid for docid, _ in oracle(union, query, 10)]
                expected = len({*found} & {*best}) / len(best) if best else 1.0
                assert searcher.recall([query], 10)[0] == expected
    beta = Approximation(beta=0.5, candidates=1000)
    merge_indexes(paths, paths[0].parent / "merged")
    with (
        LuceneImpactSearcher(paths, approximation=beta) as several,
        LuceneImpactSearcher(paths[0].parent / "merged", approximation=beta) as merged,
    ):
        for query in QUERIES:
            assert several.search(query, 20) == merged.search(query, 20)  # beta cuts the query, not the index


def test_ties_are_resolved_by_docid_across_indexes(tmp_path):
    for name, docids in (("a", ["d5", "d1", "é"]), ("b", ["d4", "d2", "D3"]), ("c", ["d3", "😀"])):
        write(tmp_path / name, {docid: PseudoDocument(docid, "", {"cat": 2}) for docid in docids})
    with LuceneImpactSearcher([tmp_path / name for name in "abc"]) as searcher:
        assert searcher.search({"cat": 3}, 10).docids == ["D3", "d1", "d2", "d3", "d4", "d5", "é", "😀"]
        assert searcher.search({"cat": 3}, 4).docids == ["D3", "d1", "d2", "d3"]
        assert [hit.score for hit in searcher.search({"cat": 3}, 2)] == [6, 6]


def test_each_index_goes_on_to_its_newest_commit(three):
    paths, union = three
    query = {f"t{i}": 1 for i in range(40)}
    with LuceneImpactSearcher(paths) as searcher:
        assert not searcher.refresh()
        before = searcher.search(query, 1000)
        fields = [hit.fields for hit in before]
        for number, path in enumerate(paths):
            new = PseudoDocument(f"new{number}", "", {"t1": 9000 + number})
            gone = next(docid for docid in searcher.reader.parts[number].docids() if docid in union)
            write(path, {new.docid: new}, deleted=[gone])
            assert searcher.refresh()
            union = {docid: each for docid, each in union.items() if docid != gone} | {new.docid: new}
            assert ranked(searcher.search(query, 1000)) == oracle(union, query, 1000)
            assert searcher.num_docs == len(union)
        assert any(hit.docid not in union for hit in before)
        assert [hit.fields for hit in before] == fields  # of the old commit
        assert not searcher.refresh()


def test_a_docid_that_comes_to_stand_in_two_is_refused_and_the_searcher_stays_as_it_was(three):
    paths, union = three
    copy = PseudoDocument("d0", "", {"t1": 5})
    with LuceneImpactSearcher(paths) as searcher, LuceneImpactSearcher(paths, duplicates="last") as last:
        write(paths[2], {"d0": copy})
        with pytest.raises(InputError, match=f"docid belongs to two documents: 'd0' in {paths[0]} and {paths[2]}"):
            searcher.refresh()
        assert ranked(searcher.search(QUERIES[0], 1000)) == oracle(union, QUERIES[0], 1000)
        assert last.refresh()
        assert ranked(last.search({"t1": 1}, 1000)) == oracle({**union, "d0": copy}, {"t1": 1}, 1000)
        write(paths[2], {}, deleted=["d0"])
        assert searcher.refresh()
        assert last.refresh()
        for each in (searcher, last):  # the older one is visible again
            assert ranked(each.search(QUERIES[0], 1000)) == oracle(union, QUERIES[0], 1000)


def test_the_last_document_wins_everywhere(tmp_path):
    fields: list[dict[str, FieldValue]] = [{"lang": "de", "year": 2019}, {"lang": "en", "year": 2020}]
    for name, field in zip("ab", fields, strict=True):
        write(tmp_path / name, {"d": PseudoDocument("d", f"text of {name}", {"cat": 9, name: 1}, field)})
    with LuceneImpactSearcher([tmp_path / "a", tmp_path / "b"], duplicates="last") as searcher:
        assert searcher.num_docs == 1
        (hit,) = searcher.search({"cat": 1, "a": 5}, 10)
        assert (hit.docid, hit.score, hit.contents, hit.fields) == ("d", 9, "text of b", fields[1])
        assert searcher.doc("d").contents() == "text of b"
        assert searcher.facets("lang") == {"en": 1}
        assert len(searcher.filter_by('lang = "de" or year = 2019')) == 0
        assert searcher.explain({"a": 1, "b": 1}, "d") == [Contribution("b", 1, 1)]
        assert searcher.reader.postings("a")[0].tolist() == []
    with LuceneImpactSearcher([tmp_path / "b", tmp_path / "a"], duplicates="last") as searcher:
        assert searcher.facets("lang") == {"de": 1}


def test_a_document_without_terms_counts_too(tmp_path):
    write(tmp_path / "a", {"d1": PseudoDocument("d1", "", {"cat": 1}), "d2": PseudoDocument("d2", "", {"cat": 2})})
    write(tmp_path / "b", {"d3": PseudoDocument("d3", "", {"cat": 3})})
    rewrite_manifest(tmp_path / "b", lambda data: {**data, "empty": ["d2", "d4"]})
    paths = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(InputError, match="1 docid belongs to two documents: 'd2' in"):
        LuceneImpactSearcher(paths)
    with LuceneImpactSearcher(paths, duplicates="last") as searcher:
        assert searcher.search({"cat": 1}).docids == ["d3", "d1"]
    assert merge_indexes(paths, tmp_path / "m", duplicates="last").replaced == 1
    assert read_index_manifest(tmp_path / "m").empty == ("d2", "d4")
    with LuceneImpactSearcher(paths[::-1], duplicates="last") as searcher:  # the text that has terms is the last one
        assert searcher.search({"cat": 1}).docids == ["d3", "d2", "d1"]
    merge_indexes(paths[::-1], tmp_path / "n", duplicates="last")
    assert read_index_manifest(tmp_path / "n").empty == ("d4",)


def test_many_threads_and_closing(three):
    paths, union = three
    expected = [oracle(union, query, 20) for query in QUERIES]
    searcher = LuceneImpactSearcher(paths)
    started, wrong, errors = threading.Barrier(5), [], []

    def search(number: int) -> None:
        started.wait()
        try:
            while True:
                if ranked(searcher.search(QUERIES[number], 20)) != expected[number]:
                    wrong.append(number)
        except IndexAccessError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=search, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    started.wait()
    write(paths[1], {"new": PseudoDocument("new", "", {"elsewhere": 1})})
    searcher.refresh()
    searcher.close()
    for each in threads:
        each.join()
    assert not wrong
    assert len(errors) == 4
    assert all("closed. Open it again" in each for each in errors)
    with pytest.raises(IndexAccessError, match="closed"):
        searcher.refresh()


def test_an_old_view_outlives_a_refresh_and_its_shared_indexes(three):
    paths, union = three
    with LuceneImpactSearcher(paths) as searcher:
        old = searcher.search(QUERIES[0], 5)
        write(paths[1], {"new": PseudoDocument("new", "", {"t0": 1})})
        searcher.refresh()
    assert [hit.contents for hit in old] == [union[docid].contents for docid in old.docids]


def test_a_closed_old_reader_takes_no_index_from_the_new_one(three):
    paths, _ = three
    with LuceneImpactSearcher(paths) as searcher:
        old = searcher.reader
        before = old.parts
        write(paths[1], {"new": PseudoDocument("new", "", {"t0": 1})})
        assert searcher.refresh()
        old.close()
        for closed in (old.statistics, old.refreshed):
            with pytest.raises(IndexAccessError, match="closed"):
                closed()
        assert searcher.reader.statistics()["documents"] == 141
        assert not searcher.refresh()
        parts = searcher.reader.parts
        searcher.reader.close()
        for each in (*parts, *before):  # the last reader has closed them all
            with pytest.raises(IndexAccessError, match="closed"):
                each.parts  # noqa: B018


def test_what_one_index_has_without_terms_and_another_with_them_counts_once(tmp_path):
    one, two = (
        made_by(tmp_path / "a", empty=["b1", "d9"], corpus="a.tsv"),
        made_by(tmp_path / "b", corpus="b.tsv, a.tsv"),
    )
    with LuceneImpactSearcher([one, two], duplicates="last") as searcher:
        manifest = searcher.reader.manifest()
        assert (manifest.empty, manifest.corpus) == (("d9",), "a.tsv, b.tsv")
        with pytest.raises(InputError, match=f"{one}, {two}: no document has the id 'nope'"):
            searcher.explain({"cat": 1}, "nope")


def test_every_byte_of_each_index_is_verified(three):
    paths, _ = three
    LuceneImpactSearcher(paths, verify=True).close()
    (file,) = paths[1].glob("*.doc")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedIndexError, match=re.escape(f"{paths[1]} is damaged: {file.name}")):
        LuceneImpactSearcher(paths, verify=True)


# ---- what does not belong together ----


def made_by(index: Path, **facts: Any) -> Path:
    write(index, {f"{index.name}1": PseudoDocument(f"{index.name}1", "", {"cat": 1})})
    whole = {"model": "mine", "model_digest": "ab", "pooling": "max", "quantizer": Quantizer.named("naver").to_json()}
    rewrite_manifest(index, lambda data: {**data, **whole, **facts})
    return index


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"model": "theirs", "model_digest": "cd"}, r"the model \(mine, weights ab; theirs, weights cd\)"),
        ({"model_digest": "cd"}, r"the model \(mine, weights ab; mine, weights cd\)"),
        ({"model_digest": "cd", "model_revision": "e" * 40}, r"the model \(mine, weights ab; mine, revision e{40}\)"),
        ({"pooling": "sum"}, r"pooling \(max, sum\)"),
        ({"choices": {"query_mode": "lexical"}}, r"query_mode \(None, lexical\)"),
        ({"quantizer": Quantizer.named("naver", 7.0).to_json()}, r"the quantizer \(naver .*x100.*; naver .*x7"),
        ({"pruning": {"top_terms": 8}}, r"top_terms \(None, 8\)"),
        ({"min_impact": 2}, r"min_impact \(1, 2\)"),
        ({"encoded_with": {"passages": [64, 8]}}, r"passage_tokens \(0, 64\); passage_overlap \(0, 8\)"),
    ],
)
def test_indexes_of_other_models_or_quantizers_are_refused(tmp_path, facts, named):
    one, same, other = made_by(tmp_path / "a"), made_by(tmp_path / "b"), made_by(tmp_path / "c", **facts)
    LuceneImpactSearcher([one, same]).close()
    message = f"{one} and {other} were encoded differently, so their scores cannot be compared: .*{named}"
    with pytest.raises(InputError, match=message):
        LuceneImpactSearcher([one, same, other])
    with pytest.raises(InputError, match=message):
        merge_indexes([one, same, other], tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_other_lengths_and_corpora_may_be_searched_together(tmp_path):
    one = made_by(tmp_path / "a", max_length=256, corpus="news", backend="torch")
    two = made_by(tmp_path / "b", max_length=512, corpus="blogs", skipped=2, truncated=3, backend="onnx")
    merge_indexes([one, two], tmp_path / "m")
    manifest = read_index_manifest(tmp_path / "m")
    assert manifest is not None
    assert (manifest.model, manifest.corpus, manifest.documents) == ("mine", "news, blogs", 2)
    assert (manifest.skipped, manifest.truncated, manifest.encoding) == (2, 3, "")
    assert manifest.backend == ""


@pytest.mark.model
def test_a_check_knows_that_texts_were_truncated_at_different_lengths(tmp_path, cut_differently):
    paths, index = cut_differently, tmp_path / "m"
    merge_indexes(paths, index)
    manifest = read_index_manifest(index)
    assert manifest is not None
    assert (manifest.max_lengths, manifest.truncated) == ((8, 64), 1)
    assert "1 document was longer than 8 or 64 tokens" in run_well("stats", "--index", index)
    for path in (index, paths[1]):
        checked = check_index(path, sample=10)
        assert checked.is_sound
        assert checked.encoded_again == (0 if path == index else 1)
    assert check_index(index, sample=10).notes == (
        "documents were truncated at different lengths (8, 64 tokens), so none was encoded again",
    )


@pytest.fixture
def cut_differently(tmp_path) -> list[Path]:
    """An index of whole texts, and one whose texts were truncated."""
    from splade_lucene import DocumentSettings, SpladeEncoder  # not above: a part of the tests runs without torch

    (tmp_path / "a.tsv").write_text("d1\tThe heart pumps blood.\n")
    (tmp_path / "b.tsv").write_text(f"d2\t{' '.join(TEXTS)}\n")
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, length in zip(paths, (64, 8), strict=True):
        encoder = SpladeEncoder(documents=DocumentSettings(max_length=length), device="cpu", dtype="float32")
        build_index(path.with_suffix(".tsv"), path, encoder, Quantizer.named("naver"))
    return paths


def test_settings_that_only_concern_queries_are_those_of_the_first_index(tmp_path, caplog):
    one = made_by(tmp_path / "a", query_digest="e1", choices={"query_model": "one"}, query_max_length=32)
    two = made_by(tmp_path / "b", query_digest="e2", choices={"query_model": "two"}, query_max_length=64)
    for paths, length in (([one, two], 32), ([two, one], 64)):
        with LuceneImpactSearcher(paths) as searcher:
            assert searcher.reader.manifest().query_max_length == length
    assert (
        f"{one} and {two} differ in how queries are encoded: the query model (one, weights e1; two, weights e2); "
        in caplog.text
    )
    assert "query_max_length (32; 64); those of the first are used" in caplog.text


def test_what_differs_is_said_once(tmp_path, caplog):
    write(tmp_path / "a", {"d1": PseudoDocument("d1", "", {"cat": 1})})
    one, two = made_by(tmp_path / "b"), made_by(tmp_path / "c", query_max_length=64)

    def warnings() -> list[int]:
        found = [caplog.text.count(each) for each in ("does not name its model", "differ in how queries are encoded")]
        caplog.clear()
        return found

    merge_indexes([tmp_path / "a", one, two], tmp_path / "m")
    assert warnings() == [1, 1]
    with LuceneImpactSearcher([tmp_path / "a", one, two]) as searcher:
        assert warnings() == [1, 1]
        write(one, {"new": PseudoDocument("new", "", {"cat": 1})})
        assert searcher.refresh()
        assert warnings() == [0, 0]
        rewrite_manifest(two, lambda data: {**data, "query_max_length": 32})  # which is another difference
        assert searcher.refresh()
        assert warnings() == [0, 1]


def test_messages_name_all_indexes(three):
    paths, _ = three
    named = re.escape(", ".join(map(str, paths)))
    with LuceneImpactSearcher(paths) as searcher:
        with pytest.raises(InputError, match=f"{named}: 1 docid is not in the index: 'nope'"):
            searcher.score({"t1": 1}, ["nope"])
        with pytest.raises(QueryError, match=f"{named}: no manifest records a quantizer"):
            searcher.quantize({"t1": 1.0})


def test_a_refresh_that_fails_closes_what_it_opened(three, monkeypatch):
    paths, _ = three
    refreshed, opened = LuceneImpactIndexReader.refreshed, []

    def refresh(reader: LuceneImpactIndexReader) -> LuceneImpactIndexReader | None:
        if reader.index_dir == paths[2]:
            raise StorageError("the disk is gone")
        opened.append(refreshed(reader))
        return opened[-1]

    with LuceneImpactSearcher(paths) as searcher:
        write(paths[0], {"new": PseudoDocument("new", "", {"t0": 1})})
        monkeypatch.setattr(LuceneImpactIndexReader, "refreshed", refresh)
        with pytest.raises(StorageError, match="the disk is gone"):
            searcher.refresh()
        monkeypatch.undo()
        write(paths[2], {"new": PseudoDocument("new", "", {"t0": 1})})
        monkeypatch.setattr(
            LuceneImpactIndexReader, "refreshed", lambda each: opened.append(refreshed(each)) or opened[-1]
        )
        with pytest.raises(InputError, match="1 docid belongs to two documents"):
            searcher.refresh()
        assert searcher.num_docs == 140
    newer = [each for each in opened if each is not None]
    assert len(newer) == 3
    for each in newer:
        with pytest.raises(IndexAccessError, match="closed"):
            each.parts  # noqa: B018


def test_an_index_that_names_no_model_is_taken_with_a_warning(tmp_path, caplog):
    write(tmp_path / "a", {"d1": PseudoDocument("d1", "", {"cat": 1})})
    known = made_by(tmp_path / "b")
    with LuceneImpactSearcher([tmp_path / "a", known]) as searcher:
        assert searcher.quantize({"cat": 1.0}) == {"cat": 100}
        assert searcher.reader.manifest().model == "mine"
    assert f"{tmp_path / 'a'} does not name its model" in caplog.text


def test_a_field_of_two_types_is_refused(tmp_path):
    for name, kind, value in (("a", "integer", 2019), ("b", "keyword", "2019")):
        with LuceneImpactIndexer(tmp_path / name, fields={"year": kind}) as indexer:
            indexer.add(PseudoDocument(name, "", {"cat": 1}, {"year": value}))
    message = f"the field 'year' has the type integer in {tmp_path / 'a'} and keyword in {tmp_path / 'b'}"
    with pytest.raises(InputError, match=message):
        LuceneImpactSearcher([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(InputError, match=message):
        merge_indexes([tmp_path / "a", tmp_path / "b"], tmp_path / "m")


def test_a_field_of_some_indexes(tmp_path):
    write(tmp_path / "a", {"d1": PseudoDocument("d1", "", {"cat": 1}, {"lang": "de"})})
    with LuceneImpactIndexer(tmp_path / "b") as indexer:
        indexer.add(PseudoDocument("d2", "", {"cat": 2}))
    paths = [tmp_path / "b", tmp_path / "a"]
    merge_indexes(paths, tmp_path / "m")
    for searcher in (LuceneImpactSearcher(paths), LuceneImpactSearcher(tmp_path / "m")):
        with searcher:
            assert searcher.search({"cat": 1}, filter=where("lang") == "de").docids == ["d1"]
            assert searcher.search({"cat": 1}, filter=~(where("lang") == "de")).docids == ["d2"]
            assert searcher.search({"cat": 1}).fields() == [{}, {"lang": "de"}]
            assert set(searcher.reader.fields) == set(TYPES)


def test_wrong_arguments(three):
    paths, _ = three
    with pytest.raises(InputError, match="no index is named"):
        LuceneImpactSearcher([])
    with pytest.raises(InputError, match="this index is named twice"):
        LuceneImpactSearcher([paths[0], paths[1], paths[0].parent / "." / "x" / ".." / "a"])
    with pytest.raises(InputError, match="expected a sequence of indexes, got a set"):
        LuceneImpactSearcher({*paths})
    with pytest.raises(InputError, match="unknown value of duplicates 'first'. Choose one of: refuse, last"):
        LuceneImpactSearcher(paths, duplicates="first")  # type: ignore[arg-type]
    with pytest.raises(NotAnIndexError, match="nowhere does not exist"):
        LuceneImpactSearcher([*paths, paths[0].parent / "nowhere"])
    with pytest.raises(InputError, match="Pyserini's searcher opens one index, got .* Merge them first"):
        PyseriniSearcher(paths)
    with LuceneImpactSearcher([paths[0]]) as one, LuceneImpactSearcher(iter(paths)) as several:
        assert one.search(QUERIES[0], 1000) == LuceneImpactSearcher(paths[0]).search(QUERIES[0], 1000)
        assert several.num_docs == 140
        chosen = one.make_filter(["d1"])
        with pytest.raises(QueryError, match="made by another searcher"):
            several.search(QUERIES[0], filter=chosen)


# ---- merged ----


def test_a_merged_index_remembers_its_sources(tmp_path):
    write(tmp_path / "a", collection(range(10), 1), deleted=["d3"])
    write(tmp_path / "b", collection(range(8, 20), 2))
    summary = merge_indexes([tmp_path / "a", tmp_path / "b"], tmp_path / "m", duplicates="last")
    assert (summary.documents, summary.replaced) == (19, 2)
    manifest = read_index_manifest(tmp_path / "m")
    assert manifest is not None
    assert manifest.history == summary.sources
    assert [(each.operation, each.added, each.deleted, each.documents, each.source) for each in manifest.history] == [
        ("merge", 9, 0, 9, str(tmp_path / "a")),
        ("merge", 12, 2, 19, str(tmp_path / "b")),
    ]
    with LuceneImpactIndexer(tmp_path / "m") as indexer:  # and stays usable
        indexer.delete("d19")
    manifest = read_index_manifest(tmp_path / "m")
    assert manifest is not None
    assert [each.operation for each in manifest.history] == ["merge", "merge", "delete"]
    assert check_index(tmp_path / "m").is_sound
    assert merge_indexes([tmp_path / "m"], tmp_path / "alone").documents == 18


def test_where_a_merged_index_may_be_written(three):
    paths, union = three
    output = paths[0].parent / "m"
    for wrong in (paths[1], paths[1] / "below", paths[0].parent):
        with pytest.raises(InputError, match="the new index would overwrite"):
            merge_indexes(paths, wrong, overwrite=True)
    (output / "letters").mkdir(parents=True)
    with pytest.raises(InputError, match="is not a Lucene index, so it is not replaced"):
        merge_indexes(paths, output, overwrite=True)
    (output / "letters").rmdir()
    merge_indexes(paths[:2], output)
    with pytest.raises(InputError, match="an index exists here"):
        merge_indexes(paths, output)
    with LuceneImpactSearcher(output) as searcher:
        merge_indexes(paths, output, overwrite=True, accelerator=False)
        assert searcher.num_docs == 75
        assert searcher.refresh()
        assert searcher.accelerated_segments == 0
        assert ranked(searcher.search(QUERIES[0], 1000)) == oracle(union, QUERIES[0], 1000)
    with pytest.raises(InputError, match="unknown order 'best'. Choose one of: bp, input"):
        merge_indexes(paths, output, order="best", overwrite=True)  # type: ignore[arg-type]


def test_an_interrupted_merge_leaves_nothing(three, monkeypatch):
    paths, _ = three
    before = sorted(path.name for path in paths[0].parent.iterdir())
    merges, written = [], []

    class Interrupted:
        """Java, in which Ctrl-C is pressed at a call."""

        def __init__(self, at: str) -> None:
            self.at: str | None = at

        def __getattr__(self, name: str) -> Any:
            return getattr(facade("Join"), name)

        def startMerge(self, *arguments: Any) -> Any:  # noqa: N802 - Java's name
            merges.append(facade("Join").startMerge(*arguments))
            return merges[-1]

        def awaitMerge(self, merge: Any, millis: int) -> bool:  # noqa: N802 - Java's name
            return self.call("awaitMerge", merge, millis)

        def writerOf(self, merge: Any) -> Any:  # noqa: N802 - Java's name
            written.append(facade("Join").writerOf(merge))
            return self.call("writerOf", merge)

        def call(self, name: str, *arguments: Any) -> Any:
            if name == self.at:
                self.at = None
                raise KeyboardInterrupt
            return getattr(facade("Join"), name)(*arguments)

    facade = jvm.facade
    for at in ("awaitMerge", "writerOf"):
        java = Interrupted(at)
        monkeypatch.setattr(jvm, "facade", lambda name, java=java: java if name == "Join" else facade(name))
        with pytest.raises(KeyboardInterrupt):
            merge_indexes(paths, paths[0].parent / "m")
        assert facade("Join").awaitMerge(merges.pop(), 1)
    with pytest.raises(Exception, match="IndexWriter is closed"):
        facade("Index").prepare(written.pop())
    assert sorted(path.name for path in paths[0].parent.iterdir()) == before


def test_a_full_disk_is_named_and_leaves_nothing(three):
    paths, _ = three
    before = sorted(path.name for path in paths[0].parent.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        with pytest.raises(StorageError, match=r"File too large.*Check the free disk space") as caught:
            merge_indexes(paths, paths[0].parent / "m")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(work_folder(paths[0].parent / "m", "building")) in str(caught.value)
    assert sorted(path.name for path in paths[0].parent.iterdir()) == before


def test_changes_of_the_sources_meanwhile_do_not_matter(three, monkeypatch):
    paths, union = three
    run_merge = merging._run_merge

    def change_and_merge(*arguments: Any) -> Any:
        write(paths[0], {"late": PseudoDocument("late", "", {"t0": 1})}, deleted=["d0"])
        return run_merge(*arguments)

    monkeypatch.setattr(merging, "_run_merge", change_and_merge)
    merge_indexes(paths, paths[0].parent / "m")
    with LuceneImpactSearcher(paths[0].parent / "m") as searcher:
        assert ranked(searcher.search(QUERIES[0], 1000)) == oracle(union, QUERIES[0], 1000)


def test_pyserini_agrees_with_a_merged_index(three):
    paths, _ = three
    write(paths[1], {}, deleted=[f"d{number}" for number in range(60, 70)])
    output = paths[0].parent / "m"
    merge_indexes(paths, output)
    with PyseriniSearcher(output) as theirs, LuceneImpactSearcher(paths) as ours:
        assert theirs.num_docs == ours.num_docs == 130
        for query in QUERIES:
            assert ranked(theirs.search(query, 1000)) == ranked(ours.search(query, 1000))
            with PyseriniSearcher(output, min_idf=1.0) as rare, LuceneImpactSearcher(paths, min_idf=1.0) as ours_rare:
                assert ranked(rare.search(query, 1000)) == ranked(ours_rare.search(query, 1000))


@pytest.mark.java
@pytest.mark.process
def test_indexes_of_anserini_are_searched_and_merged(tmp_path):
    parts = [collection(range(30), 1), collection(range(30, 50), 2)]
    for name, part in zip("ab", parts, strict=True):
        write_pseudo_documents(
            tmp_path / f"{name}.d" / "part.jsonl", [PseudoDocument(d.docid, "", d.vector) for d in part.values()]
        )
        build_with_anserini(tmp_path / f"{name}.d", tmp_path / name)
    write(tmp_path / "ours", collection(range(50, 70), 3))
    paths = [tmp_path / "a", tmp_path / "ours", tmp_path / "b"]
    union = {**parts[0], **collection(range(50, 70), 3), **parts[1]}
    merge_indexes(paths, tmp_path / "m")
    for searcher in (LuceneImpactSearcher(paths), LuceneImpactSearcher(tmp_path / "m")):
        with searcher:
            for query in QUERIES:
                assert ranked(searcher.search(query, 1000)) == oracle(union, query, 1000)
    with PyseriniSearcher(tmp_path / "m") as theirs:
        assert ranked(theirs.search(QUERIES[0], 1000)) == oracle(union, QUERIES[0], 1000)
    check_twins(tmp_path)
    build_with_anserini(tmp_path / "b.d", tmp_path / "vectors", "-storeDocvectors")
    with pytest.raises(
        InputError, match=r"the field 'contents' is stored in different ways.*in .*/vectors .*term vectors"
    ):
        merge_indexes([tmp_path / "a", tmp_path / "vectors"], tmp_path / "n")
    assert not (tmp_path / "n").exists()
    with LuceneImpactSearcher([tmp_path / "a", tmp_path / "vectors"]) as searcher:  # which is no hindrance to a search
        expected = {**parts[0], **parts[1]}
        assert ranked(searcher.search(QUERIES[0], 1000)) == oracle(expected, QUERIES[0], 1000)


def check_twins(folder: Path) -> None:
    """Anserini does not prevent two documents with a docid, in one segment or in two; indexes of ours have none."""
    twins = [
        PseudoDocument("d1", "", {"t1": 7}),
        PseudoDocument("d1", "", {"t1": 5}),
        PseudoDocument("d2", "", {"t1": 1}),
    ]
    write_pseudo_documents(folder / "twins.d" / "part.jsonl", twins)
    build_with_anserini(folder / "twins.d", folder / "twins", "-threads", "1")
    for paths in ([folder / "twins"], [folder / "ours", folder / "twins"], [folder / "twins", folder / "ours"]):
        with pytest.raises(InputError, match=f"1 docid belongs to two documents: 'd1' twice in {folder / 'twins'}"):
            merge_indexes(paths, folder / "refused")
        assert merge_indexes(paths, folder / "t", duplicates="last", overwrite=True).replaced == 1
        assert check_index(folder / "t").is_sound
        with LuceneImpactSearcher(folder / "t") as merged:
            assert ranked(merged.search({"t1": 1}, filter=merged.make_filter(["d1", "d2"]))) == [("d1", 5), ("d2", 1)]
            if len(paths) > 1:
                with LuceneImpactSearcher(paths, duplicates="last") as several:
                    assert several.search({"t1": 1}, 1000) == merged.search({"t1": 1}, 1000)


@pytest.mark.model
def test_texts_are_searched_in_several_indexes_and_added_to_the_merged_one(tmp_path, encoder):
    texts = [f"d{number}\t{text}\n" for number, text in enumerate(TEXTS)]
    for name, lines in (("a", texts[:2]), ("b", texts[2:4]), ("c", texts[4:]), ("all", texts)):
        (tmp_path / f"{name}.tsv").write_text("".join(lines))
        if name != "c":
            build_index(tmp_path / f"{name}.tsv", tmp_path / name, encoder, Quantizer.named("naver"))
    paths = [tmp_path / "a", tmp_path / "b"]
    merge_indexes(paths, tmp_path / "m")
    with LuceneImpactSearcher(paths) as several, LuceneImpactSearcher(tmp_path / "m") as merged:
        for query in ("what do cats eat", "the capital of France"):
            assert len(several.search(query)) > 0
            assert several.search(query) == merged.search(query)
    add_corpus(tmp_path / "c.tsv", tmp_path / "m")
    with LuceneImpactSearcher(tmp_path / "m") as merged, LuceneImpactSearcher(tmp_path / "all") as at_once:
        assert merged.search("what do cats eat") == at_once.search("what do cats eat")
    assert contents(tmp_path / "m") == contents(tmp_path / "all")


# ---- commands ----


def printed(*arguments: object) -> Any:
    return json.loads(run_well(*arguments, "--json"))


def test_the_commands(three, tmp_path):
    paths, union = three
    named = [argument for path in paths for argument in ("--index", path)]
    query = ["--encoded", "--query", json.dumps(QUERIES[0])]
    found = printed("search", *named, *query, "--hits", 9)
    assert [(row["docid"], row["score"]) for row in found] == oracle(union, QUERIES[0], 9)
    assert printed("explain", *named, *query, "--docid", found[0]["docid"])["score"] == found[0]["score"]
    counts = printed("stats", *named)
    assert (counts["documents"], counts["segments"], counts["manifest"]["documents"]) == (140, 3, 140)
    topics = [Query(f"q{number}", "", vector) for number, vector in enumerate(QUERIES)]
    write_encoded_topics(tmp_path / "topics.tsv", topics)
    many = ["--encoded", "--topics", tmp_path / "topics.tsv", "--hits", 50]
    run_well("search", *named, *many, "--output", tmp_path / "several.trec", "--threads", 2)
    (tmp_path / "only.txt").write_text("d1\nd70\nnowhere\n")
    done = run("search", *named, *query, "--only", tmp_path / "only.txt", "--json")
    assert {row["docid"] for row in json.loads(done.stdout)} <= {"d1", "d70"}
    assert "1 of the 3 docids" in done.stderr
    done = run("merge", *named, "--output", tmp_path / "m", "--json")
    assert json.loads(done.stdout)["documents"] == 140
    assert f"140 documents in {tmp_path / 'm'}" in done.stderr
    run_well("search", "--index", tmp_path / "m", *many, "--output", tmp_path / "merged.trec")
    assert (tmp_path / "several.trec").read_text() == (tmp_path / "merged.trec").read_text()
    again = printed("search", "--index", tmp_path / "m", *query, "--hits", 9)
    assert [(row["docid"], row["score"]) for row in again] == oracle(union, QUERIES[0], 9)


def test_the_commands_refuse_and_take_duplicates(three, tmp_path):
    paths, _ = three
    write(paths[1], {"d0": PseudoDocument("d0", "", {"t0": 1})})
    named = [argument for path in paths for argument in ("--index", path)]
    search = ["--encoded", "--query", '{"t0": 1}']
    for command, options in (("search", search), ("merge", ["--output", tmp_path / "m"])):
        message = check_failed(run(command, *named, *options))
        assert "Pass --duplicates last to take the last one" in message
        run_well(command, *named, *options, "--duplicates", "last")
    message = check_failed(run("merge", *named, "--output", tmp_path / "m", "--duplicates", "last"))
    assert "Pass --overwrite to replace" in message
    told = printed("merge", *named, "--output", tmp_path / "m", "--overwrite", "--duplicates", "last")
    assert Counter(each["replaced"] for each in told["sources"]) == {0: 2, 1: 1}
    done = run("search", *named, *search, "--engine", "pyserini")
    assert done.returncode == 2
    assert "opens a single --index: merge them first" in re.sub(r"[\s│]+", " ", done.stderr)
