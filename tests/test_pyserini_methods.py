"""What scripts written for Pyserini's LuceneImpactSearcher call: each method does the same here, or says why not."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.manifests import rewrite_manifest

from splade_lucene import (
    InputError,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    Quantizer,
    QueryError,
    TokFreqQueryEncoder,
    index_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.jvm.pyserini_import import pyserini_importable

DOCUMENTS = [
    PseudoDocument("heart", "The heart pumps blood.", {"heart": 90, "blood": 40}),
    PseudoDocument("vein", "Veins carry blood.", {"vein": 70, "blood": 60}),
    PseudoDocument("leaf", "Leaves make sugar.", {"leaf": 80, "sugar": 30}),
]

SAME = {
    "search": ["q", "k", "fields"],
    "batch_search": ["queries", "qids", "k", "threads", "fields"],
    "doc": ["docid"],
    "doc_by_field": ["field", "q"],
    "encode": ["query"],
    "close": [],
    "set_rm3": ["fb_terms", "fb_docs", "original_query_weight", "debug", "filter_terms"],
    "unset_rm3": [],
    "is_using_rm3": [],
    "set_rocchio": [
        "top_fb_terms", "top_fb_docs", "bottom_fb_terms", "bottom_fb_docs", "alpha", "beta", "gamma", "debug",
        "use_negative",
    ],
    "unset_rocchio": [],
    "is_using_rocchio": [],
}  # fmt: skip
"""Methods with the same meaning, and Pyserini's parameters."""

REFUSED = {
    "set_analyzer": "the queries of an impact index are encoded, not analyzed",
    "set_language": "the queries of an impact index are encoded, not analyzed",
    "from_prebuilt_index": "prebuilt indexes are downloaded by Pyserini",
    "list_prebuilt_indexes": "prebuilt indexes are listed by Pyserini",
}
"""Methods that are refused, and the reason."""


def pyserinis_methods() -> dict[str, ast.arguments]:
    """The public methods of the installed Pyserini's class and their parameters, read without importing it."""
    package = importlib.util.find_spec("pyserini")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent / "search" / "lucene" / "_impact_searcher.py"
    classes = {each.name: each for each in ast.parse(source.read_text()).body if isinstance(each, ast.ClassDef)}
    methods = [each for each in classes["LuceneImpactSearcher"].body if isinstance(each, ast.FunctionDef)]
    return {each.name: each.args for each in methods if not each.name.startswith("_")}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pyserini")
    write_pseudo_documents(folder / "docs.jsonl", DOCUMENTS)
    index_pseudo_documents(folder / "docs.jsonl", folder / "index", store="raw")
    return folder / "index"


def test_every_method_of_pyserinis_class_is_here_or_refused_with_a_reason():
    theirs = pyserinis_methods()
    assert theirs.keys() == SAME.keys() | REFUSED.keys()
    for name, parameters in SAME.items():
        assert [argument.arg for argument in theirs[name].args if argument.arg not in ("self", "cls")] == parameters
        assert callable(getattr(LuceneImpactSearcher, name))


@pytest.mark.parametrize("name", ["set_rm3", "set_rocchio"])
def test_feedback_has_pyserinis_defaults(name):
    ours = inspect.signature(getattr(LuceneImpactSearcher, name)).parameters.values()
    given = [each for each in ours if each.kind is each.POSITIONAL_OR_KEYWORD][1:]
    assert [each.name for each in given] == SAME[name]
    defaults = [eval(ast.unparse(default)) for default in pyserinis_methods()[name].defaults]
    assert [each.default for each in given] == defaults


@pytest.mark.java
def test_methods_that_are_refused_say_why(index):
    with LuceneImpactSearcher(index) as searcher:
        for name, reason in REFUSED.items():
            for arguments in ((), ("English", 3)):
                with pytest.raises(QueryError, match=f"{name} is not available: {reason}"):
                    getattr(searcher, name)(*arguments)


@pytest.mark.java
def test_strings_without_an_encoder_and_documents_by_field_equal_pyserinis(index):
    with pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as PyserinisSearcher
    theirs = PyserinisSearcher(str(index), None)
    with LuceneImpactSearcher(index, TokFreqQueryEncoder(), min_idf=0) as ours:
        for query in ("heart", "blood  blood\theart", "blood sugar leaf unknown", " "):
            assert ours.encode(query) == theirs.encode(query)
            assert [(hit.docid, hit.score, hit.lucene_docid) for hit in ours.search(query)] == [
                (hit.docid, hit.score, hit.lucene_docid) for hit in theirs.search(query)
            ]
        for docid in ("vein", "nobody"):
            mine, other = ours.doc_by_field("id", docid), theirs.doc_by_field("id", docid)
            assert (mine and (mine.docid(), mine.raw())) == (other and (other.docid(), other.raw()))
        with pytest.raises(QueryError, match=r"by the field 'id', got 'doi'\. Pass the docid to doc\(\)"):
            ours.doc_by_field("doi", "10.1000/1")
    theirs.close()


@pytest.mark.java
def test_an_index_without_a_model_names_the_encoder_of_terms(index):
    with LuceneImpactSearcher(index) as searcher, pytest.raises(QueryError, match="a TokFreqQueryEncoder"):
        searcher.search("heart blood")
    with pytest.raises(QueryError, match="a query must be a text, got 3"):
        TokFreqQueryEncoder().encode(3)  # type: ignore[arg-type]


# ---- weights that are not integers ----


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index whose manifest records a rule that multiplies the weights of queries by 1,000."""
    index = tmp_path_factory.mktemp("quantized") / "index"
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(DOCUMENTS)
    rewrite_manifest(index, lambda facts: {**facts, "quantizer": Quantizer.named("splade-pp").to_json()})
    return index


@pytest.mark.java
@pytest.mark.parametrize("weight", [2.0, 2.4, np.float32(0.5), float("nan"), "2", None, True])
def test_weights_are_refused_and_the_message_names_what_quantizes_them(quantized, weight):
    wrong = (
        r"query term 'heart' has impact .*, which is not an integer\. Quantize the weights first: searcher\.quantize"
    )
    with LuceneImpactSearcher(quantized) as searcher:
        for call in (
            lambda query: searcher.search(query),
            lambda query: searcher.batch_search([query], ["q"]),
            lambda query: searcher.explain(query, "heart"),
        ):
            with pytest.raises(QueryError, match=wrong):
                call({"blood": 1, "heart": weight})


@pytest.mark.java
def test_weights_are_quantized_by_the_query_side_of_the_indexs_rule(quantized):
    with LuceneImpactSearcher(quantized) as searcher:
        weights: dict[str, Any] = {"heart": 2.4, "blood": np.float32(0.5), "the": 0.0004, "a": 0}
        vector = searcher.quantize(weights)
        assert vector == {"heart": 2400, "blood": 500}
        assert [(hit.docid, hit.score) for hit in searcher.search(vector)] == [
            ("heart", 2400 * 90 + 500 * 40), ("vein", 500 * 60),
        ]  # fmt: skip
        wrong: Any
        for wrong in (-0.1, float("inf"), float("nan"), "2.4", None, True):
            with pytest.raises(InputError, match=r"at least 0|not a number"):
                searcher.quantize({"heart": wrong})


@pytest.mark.java
def test_an_index_without_a_rule_names_the_rules(index):
    with (
        LuceneImpactSearcher(index) as searcher,
        pytest.raises(QueryError, match=r'Quantizer\.named\("naver"\)\.quantize_vector\(weights, "query"\)'),
    ):
        searcher.quantize({"heart": 2.4})
    assert Quantizer.named("naver").quantize_vector({"heart": 2.4}, "query") == {"heart": 240}
