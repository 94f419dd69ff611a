"""Arguments that take several values: a one-shot iterator gives the same as a list, and a single text is refused."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ir_measures import Qrel, ScoredDoc
from support.checkpoints import tiny_checkpoint

import splade_lucene
from splade_lucene import (
    Bm25Searcher,
    Document,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PseudoDocument,
    PyseriniSearcher,
    Quantizer,
    Query,
    Run,
    SpladeEncoder,
    SpladeLuceneError,
    SpladeQueryEncoder,
    encode_corpus,
    exhaustive_search,
    index_texts,
    measure_efficiency,
    qrels_from_ir_measures,
    read_pseudo_documents,
    search_texts,
    write_encoded_topics,
    write_pseudo_documents,
)
from splade_lucene.arguments import to_list, to_ordered_list

PUBLIC: list[str] = vars(splade_lucene)["__all__"]

DOCUMENTS = [PseudoDocument(f"d{i}", f"text {i}", {"cat": i + 1, f"only{i}": 2}) for i in range(5)]
VECTORS = [{"cat": 2}, {"only1": 3, "only2": 1}, {"only4": 1}]
TEXTS = ["cats and dogs", "the heart pumps blood", "text 3"]
QIDS = ["q1", "q2", "q3"]
QUERIES = [Query(qid, text, vector) for qid, text, vector in zip(QIDS, TEXTS, VECTORS, strict=True)]
RUNS = [{"q1": {"a": 2.0, "b": 1.0}}, {"q2": {"b": 3.0, "c": 2.5}}]
QRELS = {"q1": {"a": 1}, "q2": {"c": 1}}


@dataclass
class World:
    """The objects that the calls use."""

    folder: Path
    searcher: LuceneImpactSearcher
    reader: LuceneImpactIndexReader
    pyserini: PyseriniSearcher
    bm25: Bm25Searcher
    encoder: SpladeEncoder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("arguments")
    with LuceneImpactIndexer(folder / "index", bm25=True) as indexer:
        indexer.add(DOCUMENTS)
    index_texts([Document(f"t{i}", text) for i, text in enumerate(TEXTS)], folder / "texts")
    encoder = SpladeEncoder(tiny_checkpoint(folder / "model", "bert"), device="cpu", dtype="float32")
    with (
        LuceneImpactSearcher(folder / "index") as searcher,
        PyseriniSearcher(folder / "index") as pyserini,
        Bm25Searcher(folder / "texts") as bm25,
    ):
        yield World(folder, searcher, searcher.reader, pyserini, bm25, encoder)


def ranked(found: Any) -> Any:
    return {qid: [tuple(hit) for hit in hits] for qid, hits in found.items()}


def indexed(world: World, change: Callable[[LuceneImpactIndexer], None]) -> list[str]:
    path = world.folder / f"changed-{len(list(world.folder.iterdir()))}"
    with LuceneImpactIndexer(path) as indexer:
        indexer.add(DOCUMENTS[:3])
        change(indexer)
    with LuceneImpactIndexReader(path) as reader:
        return sorted(docid for docid in reader.docids() if docid in {hit.docid for hit in all_hits(path)})


def deleted(world: World, docids: Any) -> int:
    path = world.folder / f"deleted-{len(list(world.folder.iterdir()))}"
    with LuceneImpactIndexer(path) as indexer:
        indexer.add(DOCUMENTS[:3])
    return splade_lucene.delete_documents(path, docids).deleted


def with_fields(world: World, read: Callable[[LuceneImpactIndexReader], Any]) -> Any:
    path = world.folder / f"fields-{len(list(world.folder.iterdir()))}"
    with LuceneImpactIndexer(path, fields={"lang": "keyword", "year": "number"}) as indexer:
        indexer.add(
            PseudoDocument(f"d{i}", "", {"cat": 1}, {"lang": "de" if i % 2 else "en", "year": i}) for i in range(3)
        )
    with LuceneImpactIndexReader(path) as reader:
        return read(reader)


def all_hits(path: Path) -> Any:
    with LuceneImpactSearcher(path) as searcher:
        return list(searcher.search({"cat": 1}, 100))


def written(world: World, write: Callable[[Path], Any]) -> tuple[Any, bytes]:
    path = world.folder / "written.jsonl"
    return write(path), path.read_bytes()


def rows(weights: Any) -> list[dict[str, float]]:
    return list(weights)


def search_run(world: World, queries: Iterable[Query]) -> Any:
    found = splade_lucene.CollectedRankings()
    without = splade_lucene.search_run(world.searcher, queries, found, 3)
    return without, ranked(found)


def parts(world: World, devices: Iterable[str]) -> list[PseudoDocument]:
    (world.folder / "corpus.tsv").write_text("".join(f"t{i}\t{text}\n" for i, text in enumerate(TEXTS)))
    output = world.folder / f"encoded-{len(list(world.folder.iterdir()))}"
    encode_corpus(world.folder / "corpus.tsv", output, world.encoder, Quantizer.named("naver"), devices=devices)
    return list(read_pseudo_documents(output))


def built(world: World, devices: Iterable[str]) -> int:
    (world.folder / "corpus.tsv").write_text("".join(f"t{i}\t{text}\n" for i, text in enumerate(TEXTS)))
    index = world.folder / f"built-{len(list(world.folder.iterdir()))}"
    return splade_lucene.build_index(world.folder / "corpus.tsv", index, world.encoder, devices=devices).index.documents


def checked(world: World, **several: Any) -> Any:
    Run(RUNS[0]).write(world.folder / "run.trec")
    report = splade_lucene.check_run(world.folder / "run.trec", **several)
    return [str(each) for each in report.findings], report.notes


class OneWord:
    """A cross-encoder that scores by length."""

    def predict(self, pairs: list[tuple[str, str]], **_: Any) -> Any:
        return np.array([len(text) for _, text in pairs], np.float32)


def reranker() -> splade_lucene.Reranker:
    made = object.__new__(splade_lucene.Reranker)
    made.name, made.batch_size, made.model = "none", 4, OneWord()
    return made


CALLS: dict[str, tuple[list[Any], Callable[[World, Any], Any]]] = {
    "LuceneImpactSearcher.batch_search queries": (
        VECTORS, lambda world, given: ranked(world.searcher.batch_search(given, QIDS)),
    ),
    "LuceneImpactSearcher.batch_search qids": (
        QIDS, lambda world, given: ranked(world.searcher.batch_search(VECTORS, given)),
    ),
    "LuceneImpactSearcher.batch_search_hybrid queries": (
        VECTORS, lambda world, given: ranked(world.searcher.batch_search_hybrid(given, QIDS, texts=TEXTS)),
    ),
    "LuceneImpactSearcher.batch_search_hybrid qids": (
        QIDS, lambda world, given: ranked(world.searcher.batch_search_hybrid(VECTORS, given, texts=TEXTS)),
    ),
    "LuceneImpactSearcher.batch_search_hybrid texts": (
        TEXTS, lambda world, given: ranked(world.searcher.batch_search_hybrid(VECTORS, QIDS, texts=given)),
    ),
    "LuceneImpactSearcher.encode_batch queries": (VECTORS, lambda world, given: world.searcher.encode_batch(given)),
    "LuceneImpactSearcher.recall queries": (VECTORS, lambda world, given: world.searcher.recall(given)),
    "LuceneImpactSearcher.batch_score queries": (
        VECTORS, lambda world, given: [each.tolist() for each in world.searcher.batch_score(given, [["d1"]] * 3)],
    ),
    "LuceneImpactSearcher.batch_score docids": (
        [["d1"], [], ["d2", "d1"]],
        lambda world, given: [each.tolist() for each in world.searcher.batch_score(VECTORS, given)],
    ),
    "Run.from_ir_measures scored": (
        [ScoredDoc("q1", "d1", 2.0), ScoredDoc("q1", "d2", 1.0)], lambda _, given: dict(Run.from_ir_measures(given)),
    ),
    "qrels_from_ir_measures qrels": (
        [Qrel("q1", "d1", 1), Qrel("q1", "d2", 0)], lambda _, given: qrels_from_ir_measures(given),
    ),
    "LuceneImpactSearcher.score docids": (
        ["d2", "d1"], lambda world, given: world.searcher.score({"cat": 1}, given).tolist(),
    ),
    "LuceneImpactSearcher.score_known queries": (
        VECTORS, lambda world, given: world.searcher.score_known(given, [["d1"]] * 3),
    ),
    "LuceneImpactSearcher.score_known docids": (
        [["d1"], ["x"], ["d2"]], lambda world, given: world.searcher.score_known(VECTORS, given),
    ),
    "LuceneImpactSearcher.make_filter docids": (
        ["d1", "d3"],
        lambda world, given: world.searcher.search({"cat": 1}, filter=world.searcher.make_filter(given)).docids,
    ),
    "PyseriniSearcher.batch_search queries": (
        VECTORS, lambda world, given: ranked(world.pyserini.batch_search(given, QIDS)),
    ),
    "PyseriniSearcher.batch_search qids": (
        QIDS, lambda world, given: ranked(world.pyserini.batch_search(VECTORS, given)),
    ),
    "Bm25Searcher.batch_search queries": (TEXTS, lambda world, given: ranked(world.bm25.batch_search(given, QIDS))),
    "Bm25Searcher.batch_search qids": (QIDS, lambda world, given: ranked(world.bm25.batch_search(TEXTS, given))),
    "Bm25Searcher.field_values lucene_docids": ([1, 0], lambda world, given: world.bm25.field_values(given)),
    "Bm25Searcher.raw lucene_docids": ([1, 0], lambda world, given: world.bm25.raw(given)),
    "LuceneImpactIndexReader.field_values lucene_docids": (
        [2, 0], lambda world, given: with_fields(world, lambda reader: reader.field_values(given)),
    ),
    "LuceneImpactIndexReader.field_values names": (
        ["year", "lang"], lambda world, given: with_fields(world, lambda reader: reader.field_values([2, 0], given)),
    ),
    "LuceneImpactIndexReader.keyword_counts lucene_docids": (
        [2, 0], lambda world, given: with_fields(world, lambda reader: reader.keyword_counts(given, "lang")),
    ),
    "LuceneImpactIndexReader.impacts terms": (
        ["only3", "cat", "none"], lambda world, given: world.reader.impacts("d3", given),
    ),
    "LuceneImpactIndexReader.raw lucene_docids": ([2, 0], lambda world, given: world.reader.raw(given)),
    "LuceneImpactIndexer.add documents": (
        DOCUMENTS, lambda world, given: indexed(world, lambda indexer: indexer.add(given)),
    ),
    "LuceneImpactIndexer.delete docids": (
        ["d0", "d2"], lambda world, given: indexed(world, lambda indexer: indexer.delete(given)),
    ),
    "Reranker.rerank topics": (
        QUERIES[:1],
        lambda world, given: dict(reranker().rerank(RUNS[0], given, {"a": "short", "b": "a longer text"})),
    ),
    "Reranker.scores texts": (TEXTS, lambda world, given: reranker().scores("q", given).tolist()),
    "SpladeEncoder.encode_documents texts": (TEXTS, lambda world, given: rows(world.encoder.encode_documents(given))),
    "SpladeEncoder.query_spans texts": (TEXTS, lambda world, given: world.encoder.query_spans(given)),
    "SpladeEncoder.query_spans wanted": (
        ["heart", "blood"], lambda world, given: world.encoder.query_spans(["heart and blood"], given),
    ),
    "SpladeEncoder.encode_queries texts": (TEXTS, lambda world, given: rows(world.encoder.encode_queries(given))),
    "SpladeEncoder.tokenize_documents texts": (
        TEXTS, lambda world, given: world.encoder.tokenize_documents(given).ids,
    ),
    "SpladeQueryEncoder.encode_batch texts": (
        TEXTS, lambda world, given: SpladeQueryEncoder(world.encoder, Quantizer.named("naver")).encode_batch(given),
    ),
    "build_index devices": (["cpu"], built),
    "check_run topics": (["q1", "q9"], lambda world, given: checked(world, topics=given)),
    "check_run judged": (["q1", "q9"], lambda world, given: checked(world, judged=given)),
    "check_run docids": (["a"], lambda world, given: checked(world, docids=given)),
    "compare measures": (
        ["RR@10", "nDCG@10"],
        lambda world, given: splade_lucene.compare(QRELS, dict(zip("ab", RUNS, strict=True)), given).means,
    ),
    "cut_run qids": (["q1"], lambda world, given: dict(splade_lucene.cut_run({**RUNS[0], **RUNS[1]}, 1, given))),
    "delete_documents docids": (["d0", "d2"], lambda world, given: deleted(world, given)),
    "encode_corpus devices": (["cpu"], parts),
    "evaluate measures": (["RR@10", "nDCG@10"], lambda world, given: splade_lucene.evaluate(QRELS, RUNS[0], given)),
    "evaluate_queries measures": (
        ["RR@10", "nDCG@10"], lambda world, given: splade_lucene.evaluate_queries(QRELS, RUNS[0], given),
    ),
    "exhaustive_search documents": (DOCUMENTS, lambda world, given: exhaustive_search(given, {"cat": 1}, 3)),
    "index_texts documents": (
        [Document(f"t{i}", text) for i, text in enumerate(TEXTS)],
        lambda world, given: index_texts(given, world.folder / "again", overwrite=True),
    ),
    "measure_efficiency queries": (VECTORS, lambda world, given: measure_efficiency(world.reader, given)),
    "merge_queries runs": (RUNS, lambda world, given: dict(splade_lucene.merge_queries(given))),
    "merge_shards runs": (RUNS, lambda world, given: dict(splade_lucene.merge_shards(given))),
    "reciprocal_rank_fusion runs": (RUNS, lambda world, given: dict(splade_lucene.reciprocal_rank_fusion(given))),
    "reciprocal_rank_fusion weights": (
        [2.0, 1.0], lambda world, given: dict(splade_lucene.reciprocal_rank_fusion(RUNS, weights=given)),
    ),
    "score_pairs queries": (
        QUERIES, lambda world, given: splade_lucene.score_pairs(world.searcher, given, {"q1": ["d1"], "q3": ["d4"]}),
    ),
    "search_run queries": (QUERIES, search_run),
    "search_texts queries": (QUERIES, lambda world, given: search_texts(world.folder / "texts", given, 3)),
    "weighted_sum runs": (RUNS, lambda world, given: dict(splade_lucene.weighted_sum(given))),
    "weighted_sum weights": ([2.0, 1.0], lambda world, given: dict(splade_lucene.weighted_sum(RUNS, weights=given))),
    "where.is_in values": (
        ["de", "fr"], lambda world, given: str(splade_lucene.where("lang").is_in(given)),
    ),
    "write_encoded_topics queries": (
        QUERIES, lambda world, given: written(world, lambda path: write_encoded_topics(path, given)),
    ),
    "write_pseudo_documents documents": (
        DOCUMENTS, lambda world, given: written(world, lambda path: write_pseudo_documents(path, given)),
    ),
}  # fmt: skip
"""Function and argument → several values, and a call that returns what it did with them."""

SINGLE = {
    "LuceneImpactIndexer.add documents", "LuceneImpactIndexer.delete docids", "Reranker.rerank topics",
    "delete_documents docids",
}  # fmt: skip
"""Arguments that also take a single value, or a mapping."""

ONE_QUERY = {"SpladeQueryEncoder.encode text"}
"""A sequence that is one query: the turns of a conversation."""

NO_VALUES = {"Bm25Searcher.field_values names", "Bm25Searcher.keyword_counts lucene_docids"}
"""An index of texts has no fields: each value is an error."""

CLUSTER = {
    "EngineSearcher url", "EngineSearcher.batch_search qids", "EngineSearcher.batch_search queries",
    "EngineSearcher.encode_batch queries", "EngineSearcher.sources docids", "push_export url",
    "ShardedSearcher.batch_search qids", "ShardedSearcher.batch_search queries", "ShardedSearcher.encode_batch queries",
    "ShardedSearcher.of_processes paths",
}  # fmt: skip
"""They need a cluster or an engine: tests/test_distributed.py and tests/test_push.py pass them iterators."""

ADAPTERS = {
    "MtebSearch.search top_ranked", "SparseEncoderView.encode inputs", "SparseEncoderView.encode_document inputs",
    "SparseEncoderView.encode_query inputs",
}  # fmt: skip
"""Methods that other packages call, with lists, or one text where they allow it."""

MATRIX = {"SparseImpacts terms", "SparseImpacts.from_entries terms", "SparseWeights terms"}
"""The vocabulary of matrices that the encoder makes."""

SEVERAL = re.compile(r"\b(Sequence|Iterable|Collection|Container)\[")


def public_functions() -> Iterator[tuple[str, Any]]:
    for name in PUBLIC:
        thing = getattr(splade_lucene, name)
        if isinstance(thing, type):
            methods = {each: getattr(thing, each) for each in dir(thing) if not each.startswith("_")}
            yield from ((f"{name}.{each}", method) for each, method in methods.items() if callable(method))
        if callable(thing) and not (isinstance(thing, type) and issubclass(thing, Exception)):
            yield name, thing


def test_the_table_names_every_argument_that_takes_several_values():
    found = set()
    for name, function in public_functions():
        if not (getattr(function, "__module__", None) or "").startswith("splade_lucene"):
            continue
        if isinstance(function, type) and issubclass(function, dict):
            continue
        for parameter in inspect.signature(function).parameters.values():
            if SEVERAL.search(str(parameter.annotation)):
                found.add(f"{name} {parameter.name}")
    assert found - ONE_QUERY - NO_VALUES - MATRIX - CLUSTER - ADAPTERS == CALLS.keys()


@pytest.mark.java
@pytest.mark.model
@pytest.mark.parametrize("name", CALLS)
def test_an_iterator_gives_the_same_as_a_list(world, name):
    values, call = CALLS[name]
    expected = call(world, values)
    for given in ((each for each in values), map(lambda each: each, values), iter(values), tuple(values)):  # noqa: C417
        assert call(world, given) == expected, given
    assert next(iter(values), None) is not None


@pytest.mark.java
@pytest.mark.model
@pytest.mark.parametrize("name", sorted(CALLS.keys() - SINGLE))
def test_a_single_text_is_not_taken_for_several(world, name):
    with pytest.raises(SpladeLuceneError):
        CALLS[name][1](world, "12")


@pytest.mark.java
@pytest.mark.model
@pytest.mark.parametrize("name", sorted(CALLS.keys() - SINGLE))
def test_a_single_thing_that_is_not_several_is_refused(world, name):
    with pytest.raises(SpladeLuceneError):
        CALLS[name][1](world, 12)


def test_values_that_are_matched_by_position_need_an_order():
    assert to_ordered_list({"a": 1, "b": 2}.keys(), "queries") == ["a", "b"]
    assert to_list({"a"}, "docids") == ["a"]
    for wrong, kind in (({"a", "b"}, "a set"), ({"a": 1}, "a mapping"), (frozenset("a"), "a set")):
        with pytest.raises(splade_lucene.InputError, match=f"expected a sequence of queries, got {kind}"):
            to_ordered_list(wrong, "queries")


@pytest.mark.java
def test_an_open_file_is_several_queries(world):
    (world.folder / "queries.txt").write_text("cats\nblood\n")
    with (world.folder / "queries.txt").open() as lines:
        found = world.bm25.batch_search(lines, ["1", "2"])
    assert {qid: hits.docids for qid, hits in found.items()} == {"1": ["t0"], "2": ["t1"]}


def test_a_table_is_not_several_values():
    for table in (np.zeros((2, 2)), np.zeros((0, 3))):
        with pytest.raises(splade_lucene.InputError, match="expected several texts, got a ndarray"):
            to_list(table, "texts")
    assert to_list(np.array(["a", "b"]), "texts") == ["a", "b"]


# ---- paths ----


TAKE_PATHS: dict[str, Callable[[Any], object]] = {
    "Bm25Searcher": splade_lucene.Bm25Searcher,
    "LuceneImpactIndexReader": splade_lucene.LuceneImpactIndexReader,
    "LuceneImpactIndexer": splade_lucene.LuceneImpactIndexer,
    "LuceneImpactSearcher": splade_lucene.LuceneImpactSearcher,
    "Run.read": splade_lucene.Run.read,
    "Run.write": lambda path: splade_lucene.Run({"q": {"d": 1.0}}).write(path),
    "accelerate": splade_lucene.accelerate,
    "add_corpus": lambda path: splade_lucene.add_corpus("corpus.tsv", path),
    "add_pseudo_documents": lambda path: splade_lucene.add_pseudo_documents(path, "index"),
    "check_index": splade_lucene.check_index,
    "check_run": splade_lucene.check_run,
    "delete_documents": lambda path: splade_lucene.delete_documents(path, "d1"),
    "evaluate": lambda path: splade_lucene.evaluate(path, {"q": {"d": 1.0}}, ["RR@10"]),
    "index_pseudo_documents": lambda path: splade_lucene.index_pseudo_documents(path, "index"),
    "index_texts": lambda path: index_texts([], path),
    "open_query_encoder": splade_lucene.open_query_encoder,
    "optimize_index": splade_lucene.optimize_index,
    "read_corpus": lambda path: list(splade_lucene.read_corpus(path)),
    "read_pseudo_documents": lambda path: list(splade_lucene.read_pseudo_documents(path)),
    "read_qrels": splade_lucene.read_qrels,
    "read_topics": splade_lucene.read_topics,
    "write_encoded_topics": lambda path: write_encoded_topics(path, []),
    "write_pseudo_documents": lambda path: write_pseudo_documents(path, []),
}


@pytest.mark.parametrize("name", TAKE_PATHS)
@pytest.mark.parametrize(
    "wrong", ["a\0b", "a" * 300, "b/" * 3000, "", None, 3, b"plain"], ids=lambda each: repr(each)[:9]
)
def test_what_cannot_be_a_path_is_refused(tmp_path, monkeypatch, name, wrong):
    """A query or document in place of a file name used to end in a traceback, and an empty name meant the working folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpladeLuceneError, match="no file can have this name|expected"):
        TAKE_PATHS[name](wrong)
    assert not [*tmp_path.iterdir()]
