"""Exports searched without a server: their documents in Lucene's FeatureField, and the queries that engines make of ours.

OpenSearch's ``rank_features`` and Elasticsearch's ``sparse_vector`` index a FeatureField for each impact. Of our queries

- OpenSearch's ``rank_feature`` with ``linear`` makes ``newLinearQuery(field, feature, 1)`` in a BoostQuery,
- Elasticsearch's ``sparse_vector`` makes the same of the divided weights,
- OpenSearch's ``neural_sparse`` makes ``newLinearQuery(field, feature, weight)``, whose weight Lucene limits to 64,

all in a BooleanQuery of optional clauses, and sorts by score, then by the keyword docid. The run has to be that of the index.
"""

from __future__ import annotations

import json

import pytest
from support.collections import TERMS

from splade_lucene import LuceneImpactSearcher, PseudoDocument, Run, export_collection, jvm, write_pseudo_documents
from splade_lucene.engines.elasticsearch import Elasticsearch
from splade_lucene.engines.export_manifest import read_terms
from splade_lucene.engines.lucene_engine import scaled
from splade_lucene.engines.opensearch import OpenSearch

DEPTH = 50
QUERIES = {
    f"q{i}": {TERMS[i]: 1 + 37 * i % 90, TERMS[i + 1]: 300, TERMS[-i]: 7, TERMS[3 * i]: 1000 + i} for i in range(1, 40)
}


def java(name):
    return jvm.java_class(f"org.apache.lucene.{name}")


def searcher_of(reader):
    return java("search.IndexSearcher")(reader.getContext())


@pytest.fixture(scope="module")
def exported(index_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "out"
    export_collection("opensearch", folder, index_dir=index_dir)
    return folder


@pytest.fixture(scope="module")
def lucene(exported):
    """A searcher of Lucene's over the documents of the bulk files, and their docids in Lucene's order."""
    feature, document = java("document.FeatureField"), java("document.Document")
    keyword, byte_text = java("document.SortedDocValuesField"), java("util.BytesRef")
    directory = java("store.ByteBuffersDirectory")()
    writer = java("index.IndexWriter")(directory, java("index.IndexWriterConfig")())
    docids = []
    for path in sorted(exported.glob("documents-*.ndjson")):
        for line in path.read_text().split("\n")[1::2]:
            source = json.loads(line)
            each = document()
            each.add(keyword("docid", byte_text(source["docid"].encode())))
            for name, impact in source["impacts"].items():
                each.add(feature("impacts", name, float(impact)))
            writer.addDocument(each)
            docids.append(source["docid"])
    writer.close()
    reader = java("index.DirectoryReader").open(directory)
    yield searcher_of(reader), docids
    reader.close()
    directory.close()


def boosted(feature, name, weight):
    return java("search.BoostQuery")(feature.newLinearQuery("impacts", name, 1.0), float(weight))


def linear(feature, name, weight):
    return feature.newLinearQuery("impacts", name, float(weight))


def find(lucene, weights, shift, clause):
    """docid and score of the best documents for a bool query of such clauses."""
    searcher, docids = lucene
    feature, occur = java("document.FeatureField"), java("search.BooleanClause$Occur")
    builder = java("search.BooleanQuery$Builder")()
    for name, weight in weights.items():
        builder.add(clause(feature, name, weight), occur.SHOULD)
    field, kind = java("search.SortField"), java("search.SortField$Type")
    order = java("search.Sort")(field.FIELD_SCORE, field("docid", kind.STRING))
    hits = searcher.search(builder.build(), DEPTH, order, True).scoreDocs
    return [(docids[hit.doc], hit.score * 2**shift) for hit in hits]


def engine_weights(exported, query, engine):
    """What the engine's query has for each term, and by which power of two it is divided, read from the body of a search."""
    ids = {term: str(term_id) for term_id, term in enumerate(read_terms(exported))}
    named = {ids[term]: impact for term, impact in query.items() if term in ids}
    if engine == "neural_sparse":
        return scaled(named)
    body, shift = {"opensearch": OpenSearch, "elasticsearch": Elasticsearch}[engine]().search_body(named, DEPTH)
    if engine == "elasticsearch":
        return body["query"]["sparse_vector"]["query_vector"], shift
    clauses = [clause["rank_feature"] for clause in body["query"]["bool"]["should"]]
    return {clause["field"].removeprefix("impacts."): clause["boost"] for clause in clauses}, shift


@pytest.mark.parametrize(
    ("engine", "clause"), [("opensearch", boosted), ("elasticsearch", boosted), ("neural_sparse", linear)]
)
def test_lucenes_own_features_give_the_run_of_the_index(engine, clause, exported, lucene, index_dir, tmp_path):
    with LuceneImpactSearcher(index_dir) as searcher:
        Run(searcher.batch_search([*QUERIES.values()], [*QUERIES], DEPTH)).write(tmp_path / "ours")
    found = {}
    for qid, query in QUERIES.items():
        weights, shift = engine_weights(exported, query, engine)
        if engine != "opensearch":
            assert shift > 0
            assert max(weights.values()) <= 64
        found[qid] = find(lucene, weights, shift, clause)
    Run(found).write(tmp_path / "theirs")
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()


def test_lucene_refuses_weights_above_64_in_a_linear_query():
    feature = java("document.FeatureField")
    feature.newLinearQuery("impacts", "1", 64.0)
    with pytest.raises(Exception, match="weight"):
        feature.newLinearQuery("impacts", "1", 64.5)


def test_a_feature_holds_integers_to_511_and_no_other_odd_ones(tmp_path):
    """The limit of the export is that of Lucene: above it an impact is found with another score."""
    feature, document = java("document.FeatureField"), java("document.Document")
    directory = java("store.ByteBuffersDirectory")()
    writer = java("index.IndexWriter")(directory, java("index.IndexWriterConfig")())
    values = [*range(1, 520)]
    each = document()
    for value in values:
        each.add(feature("impacts", str(value), float(value)))
    writer.addDocument(each)
    writer.close()
    reader = java("index.DirectoryReader").open(directory)
    searcher = searcher_of(reader)
    scores = {
        value: searcher.search(feature.newLinearQuery("impacts", str(value), 1.0), 1).scoreDocs[0].score
        for value in values
    }
    reader.close()
    directory.close()
    assert [value for value in values if scores[value] != value] == [513, 515, 517, 519]
    write_pseudo_documents(tmp_path / "docs.jsonl", [PseudoDocument("a", "", {"cat": 511})])
    export_collection("opensearch", tmp_path / "out", pseudo_documents=tmp_path / "docs.jsonl")
