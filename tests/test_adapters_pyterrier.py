"""PyTerrier's indexers, encoders, retriever and artifact, with PyTerrier's own operators and experiments."""

from __future__ import annotations

import json
import pickle
import tarfile

import numpy as np
import pandas as pd
import pyterrier as pt
import pytest
from lz4.frame import LZ4FrameFile
from support.collections import random_collection
from support.engine_server import Engine, serving
from support.entry_points import write_entry_points
from support.pipelines import DOCUMENTS, pipeline_index

from splade_lucene import (
    Approximation,
    CorpusError,
    EngineSearcher,
    InputError,
    LuceneImpactSearcher,
    NotAnIndexError,
    PseudoDocumentError,
    Quantizer,
    QueryError,
    Run,
    RunError,
    TokFreqQueryEncoder,
    check_index,
    evaluate,
    export_collection,
    push_export,
)
from splade_lucene.adapters.pyterrier import (
    DocumentEncoder,
    ImpactIndex,
    ImpactRetriever,
    QueryEncoder,
    TextLoader,
    results_to_run,
    run_to_results,
)
from splade_lucene.adapters.pyterrier.index import artifact_metadata
from splade_lucene.index.reader import read_index_manifest

# PyTerrier's operators use what pandas will remove
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

BY_WORDS = TokFreqQueryEncoder()
COLUMNS = ["qid", "query", "docno", "score", "rank"]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return ImpactIndex(pipeline_index(tmp_path_factory.mktemp("pyterrier")), query_encoder=BY_WORDS)


def queries(*texts):
    return pd.DataFrame([[f"q{number}", text] for number, text in enumerate(texts, 1)], columns=["qid", "query"])


def rows(results, *columns):
    return [*results[[*columns]].itertuples(index=False, name=None)]


# ---- retrieving ----


def test_results_have_pyterriers_columns_and_types(index):
    found = index.retriever()(queries("cat", "bread"))
    assert rows(found, *COLUMNS) == [
        ("q1", "cat", "d1", 3.0, 0), ("q1", "cat", "d3", 2.0, 1), ("q1", "cat", "d2", 1.0, 2),
        ("q2", "bread", "d4", 5.0, 0),
    ]  # fmt: skip
    assert list(found.columns) == COLUMNS
    assert (found["score"].dtype, found["rank"].dtype) == (np.float64, np.int64)


def test_results_are_the_searchers(index_dir, collection):
    topics = pd.DataFrame(
        [[f"q{n}", document.vector] for n, document in enumerate(random_collection(40, seed=5, impacts=3))],
        columns=["qid", "query_toks"],
    )
    with LuceneImpactSearcher(index_dir) as searcher:
        found = ImpactRetriever(searcher, 50, threads=2)(topics)
        hits = searcher.batch_search(topics["query_toks"], topics["qid"], 50)
    assert {*results_to_run(found)} == {*hits}
    for qid, ranking in results_to_run(found).items():
        assert [docid for docid, _ in ranking] == hits[qid].docids
        assert [score for _, score in ranking] == pytest.approx(hits[qid].scores, rel=1e-4)


def test_frames_without_queries_and_queries_without_terms_give_empty_frames_of_the_right_form(index):
    retriever = index.retriever(columns=["text", "year"])
    for topics in (queries(), queries("", "unknown words")):
        found = retriever(topics)
        assert list(found.columns) == [*COLUMNS, "text", "year"]
        assert (len(found), found["score"].dtype, found["rank"].dtype) == (0, np.float64, np.int64)
    assert retriever([]) == []


def test_inputs_and_outputs_can_be_inspected(index):
    retriever = index.retriever()
    assert pt.inspect.transformer_inputs(retriever)[:2] == [["qid", "query"], ["qid", "query_toks"]]
    assert pt.inspect.transformer_outputs(retriever, ["qid", "query"]) == COLUMNS
    pipeline = retriever >> pt.text.get_text(index, ["text"])
    assert pt.inspect.transformer_outputs(pipeline, ["qid", "query"]) == [*COLUMNS, "text"]
    assert pt.inspect.transformer_inputs(pipeline)[0] == ["qid", "query"]
    encoder = QueryEncoder(BY_WORDS)
    assert pt.inspect.transformer_outputs(encoder >> retriever, ["qid", "query"]) == [
        "qid", "query", "query_toks", "docno", "score", "rank"
    ]  # fmt: skip
    assert pt.inspect.indexer_inputs(index.toks_indexer()) == [["docno", "toks"]]
    assert pt.inspect.indexer_inputs(index.indexer(text_field=["title", "text"])) == [["docno", "title", "text"]]
    with pytest.raises(pt.validate.InputValidationError):
        retriever(pd.DataFrame({"qid": ["q1"], "text": ["cat"]}))


def test_other_columns_of_queries_stay(index):
    topics = queries("cat").assign(query_0="a cat?", language="en")
    found = index.retriever(1)(topics)
    assert rows(found, "query_0", "language", "docno") == [("a cat?", "en", "d1")]


def test_query_toks_come_before_the_query(index):
    topics = queries("cat").assign(query_toks=[{"bread": np.int32(2)}])
    assert rows(index.retriever()(topics), "docno", "score") == [("d4", 10.0)]


def test_a_single_query_can_be_searched(index):
    assert rows(index.retriever().search("dog"), "qid", "docno") == [("1", "d2"), ("1", "d3")]


def test_filters_columns_hybrid_and_approximation(index):
    found = index.retriever(filter='lang = "en"', columns=["text", "year"])(queries("cat"))
    assert rows(found, "docno", "text", "year") == [("d1", "a cat on a mat", 2019), ("d3", "dogs and cats", 2023)]
    assert rows(index.retriever(columns="price")(queries("dog")), "docno", "price") == [("d2", None), ("d3", 2)]
    with LuceneImpactSearcher(index.folder, BY_WORDS) as searcher:
        fused = searcher.search_hybrid("cat baked")
    assert rows(index.retriever(hybrid=True)(queries("cat baked")), "docno") == [(docid,) for docid in fused.docids]
    toks = queries("baked").assign(query_toks=[{"cat": 1}])
    assert {*index.retriever(hybrid=True)(toks)["docno"]} == {"d1", "d2", "d3", "d4"}
    with ImpactIndex(index.folder, approximation=Approximation(beta=0.5)).opened.searcher as searcher:
        assert rows(ImpactRetriever(searcher)(toks.assign(query_toks=[{"dog": 2, "cat": 1}])), "docno") == [
            ("d2",),
            ("d3",),
        ]


def test_wrong_queries_and_settings_are_refused(index):
    retriever = index.retriever()
    with pytest.raises(QueryError, match="duplicate qid 'q1'"):
        retriever(pd.concat([queries("cat"), queries("dog")]))
    with pytest.raises(QueryError, match="query_toks must be a mapping"):
        retriever(pd.DataFrame({"qid": ["q1"], "query_toks": ["cat"]}))
    with pytest.raises(QueryError, match="no manifest records a quantizer"):
        retriever(pd.DataFrame({"qid": ["q1"], "query_toks": [{"cat": 0.5}]}))
    with pytest.raises(QueryError, match="a query must be a text"):
        retriever(pd.DataFrame({"qid": ["q1"], "query": [None]}))
    with pytest.raises(QueryError, match="num_results must be an integer of at least 1"):
        index.retriever(0)
    with pytest.raises(QueryError, match="no field 'colour'"):
        index.retriever(columns=["colour"])(queries("cat"))


def test_a_searcher_of_another_engine_retrieves_and_refuses_what_it_lacks(index, tmp_path):
    pytest.importorskip("opensearchpy", reason="needs the extra opensearch")
    export_collection("opensearch", tmp_path / "out", index_dir=index.folder)
    with serving(Engine("opensearch", "3.9.0")) as url:
        push_export(tmp_path / "out", url)
        with EngineSearcher(url, query_encoder=BY_WORDS) as searcher:
            topics = queries("cat dog", "bread", "unknown", "cat dog").assign(note=np.int64(7))
            for options in ({"columns": ["text", "year"]}, {"filter": "year > 2019"}, {"num_results": 1}):
                theirs = ImpactRetriever(searcher, **options)
                pd.testing.assert_frame_equal(theirs(topics), index.retriever(**options)(topics))
            with pytest.raises(QueryError, match="splade: no manifest records a quantizer"):
                theirs(pd.DataFrame({"qid": ["q1"], "query_toks": [{"cat": 0.5}]}))
            with pytest.raises(QueryError, match="EngineSearcher does not score given documents.*folder of an index"):
                theirs(index.retriever()(topics))
            with pytest.raises(QueryError, match="EngineSearcher does not load what is stored"):
                TextLoader(searcher)(pd.DataFrame({"docno": ["d1"]}))


# ---- operators ----


def test_cut_offs_become_the_number_of_results(index):
    pipeline = index.retriever() % 2
    compiled = pipeline.compile()
    assert isinstance(compiled, ImpactRetriever)
    assert compiled.num_results == 2
    topics = queries("cat", "dog cat", "bread")
    pd.testing.assert_frame_equal(compiled(topics), pipeline(topics))
    assert (index.retriever(2) % 5).compile().num_results == 2
    with_text = (index.retriever() >> index.text_loader("text")) % 1
    assert [type(part).__name__ for part in with_text.compile()] == ["ImpactRetriever", "TextLoader"]
    assert rows(with_text.compile()(topics), "docno", "text") == rows(with_text(topics), "docno", "text")
    nothing = index.retriever() % 0
    assert len(nothing(topics)) == len(nothing.compile()(topics)) == 0


def test_given_documents_are_scored(index):
    given = pd.DataFrame(
        [["q1", "dog", "d3", 9.0, 0, "x"], ["q1", "dog", "d2", 8.0, 1, "y"], ["q1", "dog", "d4", 7.0, 2, "z"]],
        columns=[*COLUMNS, "note"],
    )
    found = index.retriever()(given)
    assert rows(found, "docno", "score", "rank", "note") == [
        ("d2", 4.0, 0, "y"),
        ("d3", 2.0, 1, "x"),
        ("d4", 0.0, 2, "z"),
    ]
    assert rows(index.retriever(columns=["year"])(given), "docno", "year") == [("d2", 2021), ("d3", 2023), ("d4", None)]
    assert list(index.retriever()(given.iloc[:0]).columns) == ["qid", "query", "docno", "note", "score", "rank"]
    with pytest.warns(UserWarning, match="1 document is not in the index, and left out"):
        assert rows(index.retriever()(given.replace("d4", "d9")), "docno") == [("d2",), ("d3",)]
    with pytest.raises(QueryError, match="the qid 'q1' has two queries"):
        index.retriever()(given.assign(query=["dog", "cat", "dog"]))
    with pytest.raises(QueryError, match="scored by their impacts only"):
        index.retriever(filter="year > 2000")(given)


def test_operators_of_pipelines(index):
    cats, dogs = index.retriever(), QueryEncoder(TokFreqQueryEncoder()) >> index.retriever()
    topics = queries("cat dog")
    expected = {"d1": 6.0, "d2": 10.0, "d3": 8.0}
    added = (cats + dogs)(topics)
    assert {row.docno: round(row.score, 3) for row in added.itertuples()} == expected
    weighted = (cats * 2.0)(topics)
    assert {row.docno: round(row.score, 3) for row in weighted.itertuples()} == expected
    features = (cats >> (index.retriever() ** (index.retriever() * 3.0)))(topics)
    assert {row.docno: [*np.round(row.features, 3)] for row in features.itertuples()} == {
        "d1": [3.0, 9.0], "d2": [5.0, 15.0], "d3": [4.0, 12.0]
    }  # fmt: skip
    assert {*(cats | index.retriever(filter="year > 2020"))(topics)["docno"]} == {"d1", "d2", "d3"}
    assert {*(cats & index.retriever(filter="year > 2020"))(topics)["docno"]} == {"d2", "d3"}
    first, others = index.retriever(1), index.retriever()
    assert rows((first ^ others)(topics).sort_values("rank"), "docno") == [("d2",), ("d3",), ("d1",)]


def test_experiments_have_our_measures(index_dir, tmp_path):
    """The scores have many ties, which evaluators would break otherwise."""
    documents = random_collection(60, seed=9, impacts=2)
    topics = pd.DataFrame([[d.docid, d.vector] for d in documents[:20]], columns=["qid", "query_toks"])
    judged = {qid: {f"d{n}": n % 3 for n in range(0, 2000, 7)} for qid in topics["qid"]}
    qrels = pd.DataFrame(
        [[qid, docno, grade] for qid, grades in judged.items() for docno, grade in grades.items()],
        columns=["qid", "docno", "label"],
    )
    with LuceneImpactSearcher(index_dir) as searcher:
        run = Run(searcher.batch_search(topics["query_toks"], topics["qid"], 100))
        retriever = ImpactRetriever(searcher, 100)
        table = pt.Experiment(
            [retriever, run_to_results(run), retriever % 10], topics, qrels, ["ndcg_cut_10", "map", "recip_rank"],
            names=["retriever", "run", "cut"],
        ).set_index("name")  # fmt: skip
        assert results_to_run(retriever(topics)).keys() == run.keys()
    own = evaluate(judged, run, ["nDCG@10", "AP", "RR"])
    for system in ("retriever", "run"):
        assert [*table.loc[system, ["ndcg_cut_10", "map", "recip_rank"]]] == pytest.approx([*own.values()], abs=1e-9)
    assert table.loc["cut", "ndcg_cut_10"] == table.loc["run", "ndcg_cut_10"]


def test_runs_and_results_are_the_same(tmp_path):
    run = Run({"q2": [("a", 3.0), ("b", 3.0), ("c", 1.0)], "q1": [("x", 7.0)]})
    results = run_to_results(run)
    assert rows(results, "qid", "docno", "rank") == [("q2", "a", 0), ("q2", "b", 1), ("q2", "c", 2), ("q1", "x", 0)]
    assert (results.groupby("qid")["score"].diff().dropna() < 0).all()
    again = results_to_run(results.sample(frac=1, random_state=3), tag="again")
    assert {qid: [docid for docid, _ in ranking] for qid, ranking in again.items()} == {
        "q1": ["x"],
        "q2": ["a", "b", "c"],
    }
    assert again.tag == "again"
    run.write(tmp_path / "run.trec")
    pd.testing.assert_frame_equal(run_to_results(tmp_path / "run.trec"), results)
    assert len(run_to_results({})) == 0
    tied = results.assign(score=1.0).drop(columns="rank")
    assert [docid for docid, _ in results_to_run(tied)["q2"]] == ["c", "b", "a"]  # as evaluators break ties
    for column in ("score", "docno"):
        with pytest.raises(RunError):
            results_to_run(results.assign(**{column: np.nan}))
    with pytest.raises(pt.validate.InputValidationError):
        results_to_run(results[["qid", "docno"]])


# ---- indexing ----


def as_dicts():
    return [{"docno": d.docid, "text": d.contents, "toks": dict(d.vector), **d.fields} for d in DOCUMENTS]


def test_documents_with_toks_are_indexed(tmp_path, index):
    made = ImpactIndex(tmp_path / "made", query_encoder=BY_WORDS)
    assert made.toks_indexer(fields="lang,year:integer,tags,on,price,free", bm25=True).index(iter(as_dicts())) is made
    assert len(made) == 4
    topics = queries("cat", "dog cat", "bread")
    columns = ["text", "lang", "year", "tags", "on", "price", "free"]
    pd.testing.assert_frame_equal(made.retriever(columns=columns)(topics), index.retriever(columns=columns)(topics))
    with pytest.raises(InputError, match="exists"):
        made.toks_indexer().index(as_dicts())
    made.toks_indexer(overwrite=True).index([{"docno": "n1", "toks": {"cat": np.int64(4)}}])
    assert rows(made.retriever()(topics), "docno", "score") == [("n1", 4.0), ("n1", 4.0)]
    made.close()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_float_weights_need_a_quantizer_and_queries_follow_it(tmp_path):
    documents = [{"docno": "d1", "toks": {"cat": 1.25, "the": 0.001}}, {"docno": "d2", "toks": {"cat": 0.5}}]
    made = ImpactIndex(tmp_path / "made")
    with pytest.raises(PseudoDocumentError, match="document 'd1': the term 'cat' has the weight 1.25"):
        made.toks_indexer().index(documents)
    assert list(tmp_path.iterdir()) == []
    made.toks_indexer(quantizer="naver").index(documents)
    assert read_index_manifest(made.folder).quantizer == Quantizer.named("naver")
    topics = pd.DataFrame({"qid": ["q1"], "query_toks": [{"cat": np.float32(0.5)}]})
    assert rows(made.retriever()(topics), "docno", "score") == [("d1", 125 * 50.0), ("d2", 50 * 50.0)]
    made.close()


def test_documents_without_terms_are_counted_as_empty(tmp_path):
    made = ImpactIndex(tmp_path / "made")
    made.toks_indexer().index(
        [{"docno": "d1", "toks": {"cat": 1}}, {"docno": "d2", "toks": {}}, {"docno": "d3", "toks": {"x": 0}}]
    )
    assert len(made) == 1
    assert read_index_manifest(made.folder).empty == ("d2", "d3")
    made.close()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (
            {"docno": "d1", "text": "a cat"},
            "document 1 needs docno and toks, a mapping of terms to weights; it has docno, text",
        ),
        ({"toks": {"cat": 1}}, "document 1 needs docno and toks"),
        ({"docno": "d 1", "toks": {"cat": 1}}, "d 1"),
        ({"docno": "d1", "toks": {"cat": -1}}, "cat"),
        ({"docno": np.nan, "toks": {"cat": 1}}, "document 1 needs docno and toks"),
        ({"docno": 1.0, "toks": {"cat": 1}}, "the docno 1.0 is not valid"),
        ({"docno": "d1", "toks": {"cat": True}}, "has the weight True"),
    ],
)
def test_wrong_documents_are_refused(tmp_path, document, reason):
    with pytest.raises(PseudoDocumentError, match=reason):
        ImpactIndex(tmp_path / "made").toks_indexer().index([document])
    assert list(tmp_path.iterdir()) == []


def test_what_a_data_frame_leaves_empty_is_missing(tmp_path):
    documents = pd.DataFrame(
        [["d1", {"cat": 1}, "a cat", 2019], [7, {"cat": 2}, None, None]], columns=["docno", "toks", "text", "year"]
    )
    assert documents["year"].isna().any()
    made = ImpactIndex(tmp_path / "made")
    made.toks_indexer(fields="year:integer").index(documents.to_dict("records"))
    topics = pd.DataFrame([["q1", {"cat": 1}]], columns=["qid", "query_toks"])
    assert [*made.retriever()(topics)["docno"]] == ["7", "d1"]
    assert [*made.retriever(filter="year exists")(topics)["docno"]] == ["d1"]
    assert rows(made.retriever(1, columns=["year"])(topics), "docno", "year") == [("7", None)]
    with pytest.raises(InputError, match="stores no text of the document '7'"):
        made.retriever(columns=["text"])(topics)
    made.close()
    for missing in ("docno", "text"):
        with pytest.raises(CorpusError, match=f"document 1 has no {missing}"):
            ImpactIndex(tmp_path / "other").indexer().index([{"docno": "d1", "text": "a cat", missing: np.nan}])


@pytest.mark.model
def test_texts_are_encoded_indexed_and_found(tmp_path, encoder):
    texts = [{"docno": "d1", "title": "Cats", "text": "They purr.", "year": np.int64(2019)},
             {"docno": "d2", "title": "Bread", "text": "It is baked in an oven.", "year": 2021}]  # fmt: skip
    made = ImpactIndex(tmp_path / "made")
    made.indexer(encoder=encoder, text_field=["title", "text"], fields={"year": "integer"}).index(texts)
    found = made.retriever(columns=["text", "year"])(queries("loaf of bread", ""))
    assert rows(found.head(1), "docno", "text", "year") == [("d2", "Bread It is baked in an oven.", 2021)]
    with pytest.raises(CorpusError, match="document 2 has no text; it has docno, title"):
        made.indexer(encoder=encoder, overwrite=True).index([texts[0], {"docno": "d2", "title": "x"}])
    assert len(made) == 2
    # encoder, toks indexer and query encoder in pipelines give the same
    plain = ImpactIndex(tmp_path / "plain")
    joined = [{"docno": each["docno"], "text": f"{each['title']} {each['text']}"} for each in texts]
    (DocumentEncoder(encoder) >> plain.toks_indexer()).index(joined)
    scored = (made.query_encoder() >> plain.retriever())(queries("loaf of bread", ""))
    assert rows(scored, "qid", "docno", "score") == rows(found, "qid", "docno", "score")
    assert QueryEncoder()(queries("", "bread"))["query_toks"].map(bool).tolist() == [False, True]
    with pytest.raises(InputError, match="no manifest that names its model"):
        plain.doc_encoder()  # the index of toks does not name a model
    frame, empty = pd.DataFrame(joined), pd.DataFrame(columns=["docno", "text"])
    as_indexed = made.doc_encoder()
    assert as_indexed(frame)["toks"].tolist() == DocumentEncoder(encoder)(frame)["toks"].tolist()
    assert list(as_indexed(frame).columns) == list(as_indexed(empty).columns) == ["docno", "text", "toks"]
    made.close()
    plain.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "plain"]


# ---- the artifact ----


def test_an_index_is_packed_and_loaded(tmp_path, index):
    package = index.build_package(str(tmp_path / "pets.tar.lz4"), verbose=False)
    with LZ4FrameFile(package) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert json.loads((tmp_path / "unpacked" / "pt_meta.json").read_text()) == {
        "type": "sparse_index", "format": "splade_lucene", "package_hint": "splade-lucene[pyterrier]"
    }  # fmt: skip
    assert check_index(tmp_path / "unpacked").is_sound
    loaded = ImpactIndex.load(str(tmp_path / "unpacked"), query_encoder=BY_WORDS)
    topics = queries("cat", "dog")
    pd.testing.assert_frame_equal(loaded.retriever()(topics), index.retriever()(topics))
    loaded.close()
    with pytest.raises(NotAnIndexError, match="contains no index"):
        ImpactIndex(tmp_path / "nothing").build_package()


def test_indexes_of_our_commands_are_recognized(index, tmp_path):
    listing = [path.name for path in index.folder.iterdir()]
    assert artifact_metadata(str(index.folder), listing) == {"type": "sparse_index", "format": "splade_lucene"}
    assert artifact_metadata(str(tmp_path), []) is None


def test_pyterrier_finds_the_artifact_by_its_entry_points(index, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(write_entry_points(tmp_path)))
    loaded = pt.Artifact.load(str(index.folder), query_encoder=BY_WORDS)
    assert isinstance(loaded, ImpactIndex)
    assert rows(loaded.retriever()(queries("bread")), "docno") == [("d4",)]
    loaded.close()


def test_retrievers_can_be_sent_to_another_process(index):
    topics = queries("cat")
    index.retriever()(topics)
    again = pickle.loads(pickle.dumps(index.retriever(2)))
    pd.testing.assert_frame_equal(again(topics), index.retriever(2)(topics))


def test_stored_texts_are_loaded(index, tmp_path):
    frame = pd.DataFrame({"docno": ["d2", "d1", "d2"], "note": [1, 2, 3]})
    loaded = TextLoader(index, "*")(frame)
    assert rows(loaded, "docno", "note", "text", "year") == [
        ("d2", 1, "ein hund und eine katze", 2021), ("d1", 2, "a cat on a mat", 2019), ("d2", 3, "ein hund und eine katze", 2021)
    ]  # fmt: skip
    with pytest.raises(InputError, match="d9"):
        index.text_loader("text")(pd.DataFrame({"docno": ["d9"]}))
    bare = ImpactIndex(pipeline_index(tmp_path, store="none", bm25=False), query_encoder=BY_WORDS)
    with pytest.raises(InputError, match="stores no text of the document 'd1'"):
        bare.retriever(columns=["text"])(queries("mat"))
    assert rows(bare.retriever(columns=["year"])(queries("mat")), "docno", "year") == [("d1", 2019)]
    bare.close()
