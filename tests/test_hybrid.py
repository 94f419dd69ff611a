"""Hybrid search: BM25 over a second field equals that of an index of texts, and hits equal the fusion of two runs."""

from __future__ import annotations

import copy
import json
import pickle
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.commands import run, run_well
from support.manifests import rewrite_manifest
from support.processes import run_python

from splade_lucene import (
    Bm25Searcher,
    Document,
    HybridFusion,
    HybridHits,
    IndexAccessError,
    InputError,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PseudoDocument,
    PseudoDocumentError,
    QueryError,
    Run,
    RunError,
    add_pseudo_documents,
    check_index,
    delete_documents,
    index_pseudo_documents,
    index_texts,
    merge_indexes,
    optimize_index,
    reciprocal_rank_fusion,
    weighted_sum,
    where,
    write_pseudo_documents,
)
from splade_lucene.files.files import work_folder
from splade_lucene.index.reader import read_index_manifest
from splade_lucene.jvm import wire
from splade_lucene.jvm.pyserini_import import pyserini_importable
from splade_lucene.records import FieldValue
from splade_lucene.search.hybrid import PartHit

WORDS = ["running", "runner", "the", "cats", "cat", "naïve", "café", "e-mail", "U.S.", "don't", "2024", "漢字", "of",
         "index", "indexes", "indexing", "Lucene", "heart", "blood", "pumps", "😀", "\"quoted\\\"", "a\tb\nc"]  # fmt: skip
TEXTS = ["running cats", "the index of a runner", "naïve café e-mail", "blood blood blood heart", "漢字 cat", "nothing here",
         "Lucene indexes U.S. don't 2024", "", "the"]  # fmt: skip
LANGS = ("de", "en", "fr")


def draw(numbers: Iterable[int], seed: int = 0) -> dict[str, PseudoDocument]:
    """Documents with texts of which many are equal, some long and some without a term."""
    found = {}
    for number in numbers:
        source = random.Random(f"{number % 70} {seed}")
        length = source.choice((0, 1, 5, 20, 20, 40, 300))
        text = " ".join(source.choices(WORDS, k=length)) if number % 23 else "the of"
        vector = {f"t{source.randrange(30)}": source.randrange(1, 9) for _ in range(6)}
        fields: dict[str, FieldValue] = {"lang": LANGS[number % 3], "year": 2000 + number % 20}
        found[f"d{number}"] = PseudoDocument(f"d{number}", text, vector, fields)
    return found


def vector_of(text: str) -> dict[str, int]:
    """A query's vector, of its words alone; that of an empty one has no terms."""
    source = random.Random(text)
    return {f"t{source.randrange(40)}": source.randrange(1, 5) for _ in text.split()}


VECTORS = [vector_of(text) for text in TEXTS]
QIDS = [f"q{number}" for number in range(len(TEXTS))]
FIELDS = {"lang": "keyword", "year": "integer"}


def bulk(index: Path, model: dict[str, PseudoDocument], **options: Any) -> None:
    write_pseudo_documents(index.with_suffix(".jsonl"), model.values())
    index_pseudo_documents(index.with_suffix(".jsonl"), index, fields=FIELDS, bm25=True, **options)


def text_index(model: dict[str, PseudoDocument], folder: Path) -> Path:
    index_texts((Document(each.docid, each.contents) for each in model.values()), folder, overwrite=True)
    return folder


def bm25_rankings(
    index: Path, texts: Sequence[str] = TEXTS, k: int = 1000, filter: str | None = None
) -> list[list[tuple[str, float]]]:
    """BM25's hits over the field of an impact index: those of a fusion whose other weight is 0."""
    fusion = HybridFusion("sum", weights=(0, 1), depth=k, normalization="none")
    with LuceneImpactSearcher(index) as searcher:
        found = searcher.batch_search_hybrid(
            [{}] * len(texts), QIDS[: len(texts)], k, 2, fusion, texts=texts, filter=filter
        )
    return [[*zip(hits.docids, hits.scores.tolist(), strict=True)] for hits in found.values()]


def text_rankings(index: Path, k: int = 1000) -> list[list[tuple[str, float]]]:
    with Bm25Searcher(index) as searcher:
        found = searcher.batch_search(TEXTS, QIDS, k, 2)
    return [[*zip(hits.docids, hits.scores.astype(float).tolist(), strict=True)] for hits in found.values()]


@pytest.fixture(scope="module")
def model() -> dict[str, PseudoDocument]:
    return draw(range(400))


@pytest.fixture(scope="module")
def index(model: dict[str, PseudoDocument], tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("hybrid") / "index"
    bulk(index, model, threads=2)
    return index


@pytest.fixture(scope="module")
def texts(model: dict[str, PseudoDocument], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_index(model, tmp_path_factory.mktemp("texts") / "index")


# ---- the field ----


def test_bm25_equals_that_of_an_index_of_texts(index, texts):
    found = text_rankings(texts)
    assert bm25_rankings(index) == found
    assert sum(map(len, found)) > 800


@pytest.mark.parametrize(
    "options", [{"order": "input", "threads": 1}, {"memory": 50_000}, {"store": "none"}, {"store": "raw"}]
)
def test_every_build_writes_the_same_field(model, texts, tmp_path, options):
    bulk(tmp_path / "index", model, **options)
    assert bm25_rankings(tmp_path / "index") == text_rankings(texts)
    assert check_index(tmp_path / "index").is_sound


def test_added_replaced_and_deleted_documents_are_those_of_a_new_index(tmp_path):
    index, model = tmp_path / "index", draw(range(200))
    bulk(index, model)
    more = draw(range(150, 260), seed=1)
    write_pseudo_documents(tmp_path / "more.jsonl", more.values())
    with LuceneImpactSearcher(index) as searcher:
        before = searcher.search_hybrid(VECTORS[0], 50, text=TEXTS[0])
        add_pseudo_documents(tmp_path / "more.jsonl", index)
        last = draw(range(255, 300), seed=2)
        with LuceneImpactIndexer(index) as indexer:
            indexer.add(last.values())
            indexer.delete(["d1", "d259"])
        delete_documents(index, [f"d{number}" for number in range(100, 130)])
        model = {**model, **more, **last}
        model = {docid: each for docid, each in model.items() if docid not in ("d1", "d259")}
        model = {docid: each for docid, each in model.items() if not 100 <= int(docid[1:]) < 130}
        assert searcher.search_hybrid(VECTORS[0], 50, text=TEXTS[0]) == before  # a point in time
        assert searcher.refresh()
        found = {hit.docid for text in TEXTS for hit in searcher.search_hybrid({}, 1000, text=text)}
        assert found <= model.keys()
        assert found == {hit for ranking in text_rankings(text_index(model, tmp_path / "texts")) for hit, _ in ranking}
        optimize_index(index)
        assert bm25_rankings(index) == text_rankings(tmp_path / "texts")
        assert searcher.refresh()
        assert searcher.search_hybrid({}, 5, text="cats").docids == [
            docid for docid, _ in bm25_rankings(index, ["cats"])[0][:5]
        ]
    assert check_index(index).is_sound
    manifest = read_index_manifest(index)
    assert manifest is not None
    assert manifest.bm25 == {"field": "bm25", "analyzer": "DefaultEnglishAnalyzer"}


def test_the_writer_of_single_documents_writes_the_same_field(model, texts, tmp_path):
    with LuceneImpactIndexer(tmp_path / "index", bm25=True, fields=FIELDS) as indexer:
        for each in [*model.values()][:200]:
            indexer.add(each)
        indexer.commit()
        indexer.add([*model.values()][200:])
    assert bm25_rankings(tmp_path / "index") == text_rankings(texts)
    with LuceneImpactIndexer(tmp_path / "empty", bm25=True) as indexer:
        indexer.commit()
    assert bm25_rankings(tmp_path / "empty", ["cat"]) == [[]]
    with LuceneImpactIndexer(tmp_path / "empty") as indexer:  # the manifest says what the index has
        indexer.add(PseudoDocument("d1", "cats", {"cat": 1}))
    assert bm25_rankings(tmp_path / "empty", ["cat"])[0][0][0] == "d1"


def test_impacts_and_files_are_as_without_the_field(index, model, tmp_path):
    with LuceneImpactIndexReader(index) as with_field:
        counts = with_field.statistics()
        assert counts["bm25"].keys() == {"documents", "terms", "postings", "tokens"}
        write_pseudo_documents(tmp_path / "plain.jsonl", model.values())
        index_pseudo_documents(tmp_path / "plain.jsonl", tmp_path / "plain", fields=FIELDS)
        with LuceneImpactIndexReader(tmp_path / "plain") as without:
            assert "bm25" not in without.statistics()
            assert not without.has_bm25
            assert without.terms() == with_field.terms()
            assert without.docids() == with_field.docids()
            assert without.fields == with_field.fields
            manifest = without.manifest()
            assert manifest is not None
            assert manifest.bm25 == {}
    with LuceneImpactSearcher(index) as one, LuceneImpactSearcher(tmp_path / "plain") as other:
        for vector in VECTORS:
            assert one.search(vector, 400) == other.search(vector, 400)


def test_counts_are_those_of_an_index_of_texts(index, texts):
    with LuceneImpactIndexReader(index) as reader, Bm25Searcher(texts) as searcher:
        found, expected = reader.statistics()["bm25"], searcher.statistics()
        assert [found[name] for name in ("terms", "postings", "tokens")] == [
            expected[name] for name in ("terms", "postings", "total_impact")
        ]


def test_pyserini_reads_both_fields(index, model):
    with pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as PyserinisImpactSearcher
        from pyserini.search.lucene import LuceneSearcher
    theirs = LuceneSearcher(str(index))
    expected = bm25_rankings(index, k=100)
    for text, ranking in zip(TEXTS, expected, strict=True):
        found = theirs.search(text, 100, fields={"bm25": 1.0})
        assert [hit.docid for hit in found] == [docid for docid, _ in ranking]
        assert [hit.score for hit in found] == pytest.approx([score for _, score in ranking], abs=2e-4)
        twice = theirs.search(text, 100, fields={"bm25": 2.0})  # a boost multiplies the scores
        assert [hit.score for hit in twice] == pytest.approx([2 * score for _, score in ranking], abs=4e-4)
    theirs.set_bm25(1.5, 0.75)
    fusion = HybridFusion("sum", weights=(0, 1), depth=100, normalization="none", k1=1.5, b=0.75)
    with LuceneImpactSearcher(index) as searcher:
        ours = searcher.search_hybrid({}, 100, fusion, text=TEXTS[0])
    other = theirs.search(TEXTS[0], 100, fields={"bm25": 1.0})
    assert [hit.docid for hit in other] == ours.docids
    assert [hit.score for hit in other] == pytest.approx(ours.scores.tolist(), abs=2e-4)
    assert ours.scores.tolist() != [score for _, score in expected[0]]
    assert json.loads(theirs.doc("d7").raw())["contents"] == model["d7"].contents
    theirs.close()

    class Encoded:
        def encode(self, vector: dict[str, int]) -> dict[str, int]:
            return vector

    impacts = PyserinisImpactSearcher(str(index), Encoded(), -1)
    with LuceneImpactSearcher(index) as searcher:
        for vector in VECTORS[:6]:
            found = impacts.search(vector, 100)
            assert [(hit.docid, round(hit.score)) for hit in found] == [
                (hit.docid, int(hit.score)) for hit in searcher.search(vector, 100)
            ]
    impacts.close()


@pytest.mark.process
def test_the_same_jar_does_it_on_lucene_10(index, tmp_path, lucene10_jars):
    code = f"""
import json
from splade_lucene import HybridFusion, LuceneImpactSearcher, index_pseudo_documents, jvm
index_pseudo_documents({str(index.with_suffix(".jsonl"))!r}, {str(tmp_path / "index")!r}, bm25=True, fields={FIELDS!r})
for index in ({str(tmp_path / "index")!r}, {str(index)!r}):
    with LuceneImpactSearcher(index) as searcher:
        found = searcher.batch_search_hybrid({VECTORS!r}, {QIDS!r}, 400, 2, texts={TEXTS!r}, filter="year >= 2005")
    print(jvm.versions()["lucene"].split(".")[0], json.dumps([[*zip(hits.docids, hits.scores.tolist())] for hits in found.values()]))
"""
    done = run_python(code, ANSERINI_CLASSPATH=str(lucene10_jars))
    with LuceneImpactSearcher(index) as searcher:
        hits = searcher.batch_search_hybrid(VECTORS, QIDS, 400, 2, texts=TEXTS, filter="year >= 2005")
    expected = [[[*pair] for pair in zip(each.docids, each.scores.tolist(), strict=True)] for each in hits.values()]
    told = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [(version, json.loads(found)) for version, found in told] == [("10", expected)] * 2, done.stderr


def test_several_indexes_as_one_and_merged(model, texts, index, tmp_path):
    documents = [*model.values()]
    for number, name in enumerate("ab"):
        bulk(tmp_path / name, {each.docid: each for each in documents[number::2]})
    both = [tmp_path / "a", tmp_path / "b"]
    fusion = HybridFusion("sum", weights=(1, 2), normalization="none")
    with LuceneImpactSearcher(index) as whole, LuceneImpactSearcher(both) as searcher:
        for filter in (None, "year >= 2010"):
            expected = whole.batch_search_hybrid(VECTORS, QIDS, 400, 2, fusion, texts=TEXTS, filter=filter)
            found = searcher.batch_search_hybrid(VECTORS, QIDS, 400, 2, fusion, texts=TEXTS, filter=filter)
            assert found == expected
        assert searcher.reader.statistics()["bm25"] == whole.reader.statistics()["bm25"]
    assert merge_indexes(both, tmp_path / "merged").documents == 400
    assert bm25_rankings(tmp_path / "merged") == text_rankings(texts)
    manifest = read_index_manifest(tmp_path / "merged")
    assert manifest is not None
    assert manifest.bm25["field"] == "bm25"
    with LuceneImpactIndexer(tmp_path / "without") as indexer:
        indexer.add(PseudoDocument("other", "cat", {"t1": 1}))
    with pytest.raises(InputError, match="a has texts for BM25, .*without has none"):
        merge_indexes([tmp_path / "a", tmp_path / "without"], tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()
    with LuceneImpactSearcher([tmp_path / "a", tmp_path / "without"]) as searcher:
        assert len(searcher.search({"t1": 1}, 400)) > 1
        with pytest.raises(QueryError, match="without: the index has no texts for BM25"):
            searcher.search_hybrid({"t1": 1}, text="cat")


# ---- what is refused ----


def test_an_index_without_the_field_says_how_to_get_it(tmp_path):
    index, model = tmp_path / "index", draw(range(20))
    write_pseudo_documents(tmp_path / "docs.jsonl", model.values())
    index_pseudo_documents(tmp_path / "docs.jsonl", index)
    with (
        LuceneImpactSearcher(index) as searcher,
        pytest.raises(QueryError, match="index: the index has no texts for BM25.*Build it with bm25=True"),
    ):
        searcher.search_hybrid({"t1": 1}, text="cat")
    with pytest.raises(InputError, match=r"documents of this index \(20\) are not indexed for BM25"):
        index_pseudo_documents(tmp_path / "docs.jsonl", index, append=True, bm25=True)
    with pytest.raises(InputError, match="not indexed for BM25"):
        LuceneImpactIndexer(index, bm25=True)
    assert len(searched(index)) > 0


def searched(index: Path) -> HybridHits | Any:
    with LuceneImpactSearcher(index) as searcher:
        return searcher.search({f"t{number}": 1 for number in range(30)}, 400)


def test_documents_without_any_text_are_refused_and_some_are_reported(tmp_path, caplog):
    source = tmp_path / "docs.jsonl"
    vectors = [PseudoDocument(f"d{number}", "the of" if number else "", {"t1": 1}) for number in range(3)]
    write_pseudo_documents(source, vectors)
    with pytest.raises(PseudoDocumentError, match="no document has a text with a term"):
        index_pseudo_documents(source, tmp_path / "index", bm25=True)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("index")]
    write_pseudo_documents(source, [*vectors, PseudoDocument("d3", "cats", {"t1": 1})])
    index_pseudo_documents(source, tmp_path / "index", bm25=True)
    assert "3 of 4 documents have no text with a term" in caplog.text
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument("d4", "", {"t1": 1}), PseudoDocument("d5", "a cat", {"t1": 1})])
    assert "1 of 2 documents has no text: BM25 does not find it" in caplog.text
    assert bm25_rankings(tmp_path / "index", ["cat"])[0][0][0] == "d3"


def test_documents_without_text_may_be_added_to_others_that_have_one(tmp_path, caplog):
    source, index = tmp_path / "docs.jsonl", tmp_path / "index"
    write_pseudo_documents(source, [PseudoDocument("d1", "cats", {"t1": 1})])
    index_pseudo_documents(source, index, bm25=True)
    write_pseudo_documents(source, [PseudoDocument("d2", "", {"t1": 1})])
    assert add_pseudo_documents(source, index).total == 2
    assert "no text with a term" in caplog.text
    assert [docid for docid, _ in bm25_rankings(index, ["cat"])[0]] == ["d1"]
    assert check_index(index).is_sound
    delete_documents(index, ["d1", "d2"])
    optimize_index(index)
    add_pseudo_documents(source, index)  # to an index in which no document has the field
    assert check_index(index).is_sound


def test_check_misses_the_field_that_the_manifest_names(tmp_path):
    write_pseudo_documents(tmp_path / "docs.jsonl", draw(range(5)).values())
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index")
    rewrite_manifest(tmp_path / "index", lambda facts: {**facts, "bm25": {"field": "bm25"}})
    (damage,) = check_index(tmp_path / "index").damage
    assert "no document of the index has that field" in str(damage)


def test_no_field_of_documents_can_have_its_name(tmp_path):
    with pytest.raises(InputError, match="'bm25', in which texts are indexed"):
        LuceneImpactIndexer(tmp_path / "index", fields={"bm25": "keyword"})


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"method": "other"}, "unknown method"), ({"normalization": "other"}, "unknown normalization"), ({"weights": (1,)}, "two weights"),
     ({"weights": (1, -1)}, "two weights"), ({"weights": (0, 0)}, "two weights"), ({"weights": (1, float("nan"))}, "two weights"),
     ({"weights": "11"}, "several weights"), ({"depth": 0}, "depth must be an integer of at least 1"), ({"b": "x"}, "b must"), ({"k1": None}, "k1 must"), ({"constant": -1}, "at least 0"),
     ({"constant": float("nan")}, "at least 0"), ({"k1": -1}, "k1"), ({"b": 2}, "b must")],
)  # fmt: skip
def test_wrong_settings_are_refused(settings, says):
    with pytest.raises((QueryError, RunError), match=says):
        HybridFusion(**settings)


def test_wrong_queries_are_refused(index):
    with LuceneImpactSearcher(index) as searcher:
        with pytest.raises(QueryError, match="BM25 searches for texts"):
            searcher.search_hybrid({"t1": 1})
        with pytest.raises(QueryError, match=r"2 queries but 1 text\."):
            searcher.batch_search_hybrid([{"t1": 1}, {}], ["a", "b"], texts=["cat"])
        with pytest.raises(QueryError, match="texts must be strings"):
            searcher.search_hybrid({"t1": 1}, text=7)  # type: ignore[arg-type]
        with pytest.raises(QueryError, match="HybridFusion"):
            searcher.search_hybrid({"t1": 1}, 10, "rrf", text="cat")  # type: ignore[arg-type]
        with pytest.raises(QueryError, match="no field 'colour'"):
            searcher.search_hybrid({"t1": 1}, text="cat", filter='colour = "red"')


# ---- hits ----

FUSIONS = [
    HybridFusion(weights=tuple(np.array([1, 1]))),
    HybridFusion(weights=(0.3, 2), depth=30, constant=1),
    HybridFusion("sum", weights=(0.7, 0.3)),
    HybridFusion("sum", depth=7, normalization="max"),
    HybridFusion("sum", weights=(0.01, 1), normalization="none", k1=2, b=0),
]


def fused_by_hand(
    index: Path, texts: Path, fusion: HybridFusion, k: int, filter: str | None = None
) -> dict[str, list[tuple[str, float]]]:
    """The fusion of a run over the impacts, and one of BM25 over an index of texts."""
    with LuceneImpactSearcher(index) as searcher, Bm25Searcher(texts, k1=fusion.k1, b=fusion.b) as bm25:
        accepted = {*searcher.search({f"t{number}": 1 for number in range(30)}, 1000, filter=filter).docids}
        impacts = searcher.batch_search(VECTORS, QIDS, fusion.depth, 2, filter=filter)
        ranked = {
            qid: [(hit.docid, hit.score) for hit in hits if hit.docid in accepted][: fusion.depth]
            for qid, hits in bm25.batch_search(TEXTS, QIDS, 1000).items()
        }
    runs = [Run(impacts), Run(ranked)]
    if fusion.method == "rrf":
        return dict(reciprocal_rank_fusion(runs, weights=fusion.weights, constant=fusion.constant, k=k))
    return dict(weighted_sum(runs, weights=fusion.weights, normalization=fusion.normalization, k=k))


@pytest.mark.parametrize("fusion", FUSIONS, ids=str)
@pytest.mark.parametrize("filter", [None, 'lang = "de" and year >= 2005', 'lang = "xx"'])
def test_hits_are_the_fusion_of_two_runs(index, texts, fusion, filter):
    for k in (1, 10, 1000):
        expected = fused_by_hand(index, texts, fusion, k, filter)
        with LuceneImpactSearcher(index) as searcher:
            found = searcher.batch_search_hybrid(VECTORS, QIDS, k, 3, fusion, texts=TEXTS, filter=filter)
            assert [*found] == QIDS
            assert {
                qid: [*zip(hits.docids, hits.scores.tolist(), strict=True)] for qid, hits in found.items()
            } == expected
            one = searcher.search_hybrid(VECTORS[3], k, fusion, text=TEXTS[3], filter=filter)
            assert one == found["q3"]


@pytest.mark.parametrize("form", ["trec", "json"])
def test_rrf_equals_fusing_run_files(index, texts, tmp_path, form):
    with LuceneImpactSearcher(index) as searcher, Bm25Searcher(texts) as bm25:
        Run(searcher.batch_search(VECTORS, QIDS, 100)).write(tmp_path / "impacts", format=form)
        Run(bm25.batch_search(TEXTS, QIDS, 100)).write(tmp_path / "bm25", format=form)
        fused = reciprocal_rank_fusion([tmp_path / "impacts", tmp_path / "bm25"], k=100)
        found = searcher.batch_search_hybrid(VECTORS, QIDS, 100, fusion=HybridFusion(depth=100), texts=TEXTS)
    assert {qid: [*hits] for qid, hits in fused.items() if hits} == {
        qid: [(hit.docid, hit.score) for hit in hits] for qid, hits in found.items() if len(hits)
    }


ranking = st.dictionaries(
    st.sampled_from([f"d{n}" for n in range(30)] + ["é", "ÿ", "漢"]), st.integers(1, 6), max_size=25
)


@settings(max_examples=150)
@given(ranking, ranking, st.sampled_from(FUSIONS), st.integers(1, 40))
def test_fusing_columns_equals_fusing_runs(one, other, fusion, k):
    from splade_lucene.search.hits import Hits
    from splade_lucene.search.hybrid import _fused

    numbers = {docid: number for number, docid in enumerate(sorted({*one, *other}, key=hash))}
    runs = [Run({"q": ranked}) if ranked else Run({"q": []}) for ranked in (one, other)]
    columns = [
        (
            [docid for docid, _ in run["q"]],
            np.array([score for _, score in run["q"]], dtype=kind),
            np.array([numbers[docid] for docid, _ in run["q"]], dtype=np.int32),
        )
        for run, kind in zip(runs, (np.int64, np.float32), strict=True)
    ]
    nothing: Any = None
    hits = _fused("q", Hits(*columns[0], nothing), wire.TextRanking(*columns[1]), k, fusion, nothing)
    if fusion.method == "rrf":
        expected = reciprocal_rank_fusion(runs, weights=fusion.weights, constant=fusion.constant, k=k)["q"]
    else:
        expected = weighted_sum(runs, weights=fusion.weights, normalization=fusion.normalization, k=k)["q"]
    assert [*zip(hits.docids, hits.scores.tolist(), strict=True)] == expected
    assert hits.lucene_docids.tolist() == [numbers[docid] for docid in hits.docids]


def test_hits_tell_their_places_in_both_rankings(index):
    with LuceneImpactSearcher(index) as searcher:
        impacts = {hit.docid: PartHit(rank, hit.score) for rank, hit in enumerate(searcher.search(VECTORS[0], 20), 1)}
        bm25 = {
            docid: PartHit(rank, score) for rank, (docid, score) in enumerate(bm25_rankings(index, TEXTS[:1], 20)[0], 1)
        }
        hits = searcher.search_hybrid(VECTORS[0], 100, HybridFusion(depth=20), text=TEXTS[0])
        assert {hit.docid: hit.impact for hit in hits if hit.impact} == impacts
        assert {hit.docid: hit.bm25 for hit in hits if hit.bm25} == bm25
        assert {hit.docid for hit in hits} == impacts.keys() | bm25.keys()
        assert hits.parts["impact_rank"].tolist() == [hit.impact.rank if hit.impact else 0 for hit in hits]
        assert hits[0].fields["lang"] in LANGS
        assert hits.facets("lang").keys() == {*LANGS}
        assert hits[:3].docids == hits.docids[:3]
        assert [hit.bm25 for hit in hits[:3]] == [hits[number].bm25 for number in range(3)]
        assert hits.profile is not None
        for copied in (copy.copy(hits), copy.deepcopy(hits), pickle.loads(pickle.dumps(hits))):
            assert isinstance(copied, HybridHits)
            assert copied == hits
            assert [repr(hit) for hit in copied] == [repr(hit) for hit in hits]
        kept = hits.without(hits[1].lucene_docid)
        assert isinstance(kept, HybridHits)
        assert [repr(hit) for hit in kept] == [repr(hit) for hit in [hits[0], *hits[2:]]]
        for one in (copy.copy(hits[0]), copy.deepcopy(hits[0]), pickle.loads(pickle.dumps(hits[0]))):
            assert (one.docid, one.score, one.impact, one.bm25) == (
                hits[0].docid,
                hits[0].score,
                hits[0].impact,
                hits[0].bm25,
            )


def test_with_negative_feedback_the_last_of_the_depth_count(index):
    fusion = HybridFusion(depth=30)
    with LuceneImpactSearcher(index) as searcher:
        searcher.set_rocchio(use_negative=True, gamma=2, all_terms=True)
        found = searcher.search_hybrid(VECTORS[0], 5, fusion, text=TEXTS[0])
        expanded = searcher.expand(VECTORS[0], fusion.depth)
        assert expanded != searcher.expand(VECTORS[0], 5)
        searcher.unset_rocchio()
        assert found == searcher.search_hybrid(expanded, 5, fusion, text=TEXTS[0])


def test_a_side_without_hits_leaves_the_other(index):
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.search_hybrid(VECTORS[0], 50, text=" ").docids == searcher.search(VECTORS[0], 50).docids
        only_bm25 = searcher.search_hybrid({}, 50, text=TEXTS[0])
        assert only_bm25.docids == [docid for docid, _ in bm25_rankings(index, TEXTS[:1], 50)[0]]
        for fusion in FUSIONS:
            assert len(searcher.search_hybrid({}, 50, fusion, text="")) == 0
            assert len(searcher.search_hybrid({"unknown": 1}, 50, fusion, text="unknown")) == 0


def test_made_filters_restrict_both_rankings(index, model):
    chosen = [f"d{number}" for number in range(0, 400, 7)]
    with LuceneImpactSearcher(index) as searcher:
        for exclude in (False, True):
            made = searcher.make_filter(chosen, exclude=exclude) & searcher.filter_by(where("year") >= 2004)
            late = {docid for docid, each in model.items() if int(str(each.fields["year"])) >= 2004}
            wanted = late - {*chosen} if exclude else late & {*chosen}
            hits = searcher.search_hybrid(VECTORS[6], 1000, text=TEXTS[6], filter=made)
            assert {*hits.docids} <= wanted
            assert any(hit.bm25 and not hit.impact for hit in hits)
            everything = searcher.search_hybrid({}, 1000, text=TEXTS[6])
            kept = [docid for docid in everything.docids if docid in wanted]
            assert searcher.search_hybrid({}, 1000, text=TEXTS[6], filter=made).docids == kept
        with LuceneImpactSearcher(index) as other, pytest.raises(QueryError, match="another searcher"):
            other.search_hybrid({}, text="cat", filter=made)


def test_filters_see_no_deleted_documents(tmp_path):
    index = tmp_path / "index"
    bulk(index, draw(range(60)))
    delete_documents(index, [f"d{number}" for number in range(0, 60, 2)])
    for filter in ("year >= 2000", 'not lang = "de"'):
        found = {docid for ranking in bm25_rankings(index, filter=filter) for docid, _ in ranking}
        assert found
        assert all(int(docid[1:]) % 2 for docid in found)


def test_feedback_expands_the_side_of_impacts(index, texts):
    with LuceneImpactSearcher(index) as searcher, Bm25Searcher(texts) as bm25:
        plain = searcher.batch_search_hybrid(VECTORS, QIDS, 50, texts=TEXTS)
        searcher.set_rocchio()
        runs = [Run(searcher.batch_search(VECTORS, QIDS, 1000)), Run(bm25.batch_search(TEXTS, QIDS, 1000))]
        found = searcher.batch_search_hybrid(VECTORS, QIDS, 50, texts=TEXTS)
        assert found != plain
        assert {qid: [(hit.docid, hit.score) for hit in hits] for qid, hits in found.items()} == dict(
            reciprocal_rank_fusion(runs, k=50)
        )


def test_threads_change_nothing(index):
    queries, qids = VECTORS * 40, [f"q{number}" for number in range(len(VECTORS) * 40)]
    with LuceneImpactSearcher(index) as searcher:
        one = searcher.batch_search_hybrid(queries, qids, 20, 1, texts=TEXTS * 40)
        assert searcher.batch_search_hybrid(queries, qids, 20, 4, texts=TEXTS * 40) == one


# ---- killed and interrupted ----


@pytest.mark.process
def test_a_killed_build_leaves_nothing(tmp_path):
    write_pseudo_documents(tmp_path / "docs.jsonl", draw(range(300)).values())
    code = f"""
import os
from splade_lucene import index_pseudo_documents
from splade_lucene.index import indexer
def killed(*_, **__):
    os.kill(os.getpid(), 9)
indexer.check_texts = killed
index_pseudo_documents({str(tmp_path / "docs.jsonl")!r}, {str(tmp_path / "index")!r}, bm25=True)
"""
    assert run_python(code).returncode == -9
    assert work_folder(tmp_path / "index", "building").exists()
    assert not (tmp_path / "index").exists()
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index", bm25=True)
    assert not work_folder(tmp_path / "index", "building").exists()
    assert check_index(tmp_path / "index").is_sound


# ---- commands ----


@pytest.mark.model
def test_commands_build_add_and_search(tmp_path):
    corpus, index = tmp_path / "docs.tsv", tmp_path / "index"
    corpus.write_text("d1\tLucene is a search library.\nd2\tBread is baked in an oven.\nd3\tThe heart pumps blood.\n")
    run_well("build", "--corpus", corpus, "--index", index, "--bm25")
    (tmp_path / "more.tsv").write_text("d4\tBlood flows in veins.\n")
    run_well("add", "--corpus", tmp_path / "more.tsv", "--index", index)
    shown = json.loads(run_well("search", "--index", index, "--query", "blood", "--hybrid", "rrf", "--json"))
    assert {row["docid"] for row in shown} >= {"d3", "d4"}
    assert shown[0]["impact"]["rank"] == 1 or shown[0]["bm25"]["rank"] == 1
    assert isinstance(shown[0]["impact"]["score"], int)
    done = run(
        "search",
        "--index",
        index,
        "--query",
        "blood",
        "--hybrid",
        "sum",
        "--weight",
        "1",
        "--weight",
        "0.5",
        "--profile",
    )
    assert "(impact 1, bm25 " in done.stdout
    assert "these figures cover the search for impacts, not BM25 or the fusion" in done.stderr
    (tmp_path / "topics.tsv").write_text("q1\tblood\nq2\tsearch oven\n")
    run_well(
        "search", "--index", index, "--topics", tmp_path / "topics.tsv", "--output", tmp_path / "run", "--hybrid", "rrf",
        "--depth", "100", "--hits", "3", "--threads", "2",
    )  # fmt: skip
    with LuceneImpactSearcher(index) as searcher:
        found = searcher.batch_search_hybrid(["blood", "search oven"], ["q1", "q2"], 3, fusion=HybridFusion(depth=100))
    assert {qid: [docid for docid, _ in hits] for qid, hits in Run.read(tmp_path / "run").items()} == {
        qid: hits.docids for qid, hits in found.items()
    }
    assert json.loads(run_well("stats", "--index", index, "--json"))["bm25"]["documents"] == 4
    assert "texts for BM25" in run_well("stats", "--index", index)


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--weight", "1"], "require --hybrid"), (["--hybrid", "rrf", "--weight", "1"], "two weights"),
     (["--hybrid", "rrf", "--weight", "0", "--weight", "0"], "not both 0 as --weight IMPACTS --weight BM25"),
     (["--hybrid", "rrf", "--normalization", "max"], "requires --hybrid sum"),
     (["--hybrid", "sum", "--rrf-k", "9"], "requires --hybrid rrf"), (["--hybrid", "rrf", "--b", "7"], "b must be"),
     (["--hybrid", "rrf", "--encoded"], "--hybrid does not support"),
     (["--hybrid", "rrf", "--engine", "pyserini"], "--hybrid does not support")],
)  # fmt: skip
def test_wrong_options_are_refused(index, options, says):
    done = run("search", "--index", index, "--query", "cat", *options)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())


def test_a_closed_searcher_says_so(index):
    searcher = LuceneImpactSearcher(index)
    searcher.search_hybrid({"t1": 1}, text="cat")
    searcher.close()
    with pytest.raises(IndexAccessError, match="closed"):
        searcher.search_hybrid({"t1": 1}, text="cat")
