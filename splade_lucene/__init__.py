"""SPLADE retrieval on plain Lucene impact indexes.

    corpus → encoder → quantizer → pseudo-documents → Lucene impact index → searcher → run → evaluation

Importing this package loads neither torch nor a JVM; each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from splade_lucene.accelerator import accelerate
    from splade_lucene.approximation import Approximation
    from splade_lucene.bm25 import Bm25Searcher, index_texts, search_texts
    from splade_lucene.corpus import read_corpus
    from splade_lucene.efficiency import Efficiency, SearchCosts, measure_efficiency, measure_search
    from splade_lucene.encoder import (
        Pruning,
        SparseWeights,
        SpladeEncoder,
        SpladeQueryEncoder,
        escape_term,
        open_query_encoder,
        unescape_term,
    )
    from splade_lucene.encoding import encode_corpus
    from splade_lucene.errors import SpladeLuceneError
    from splade_lucene.evaluation import Comparison, compare, evaluate, evaluate_queries, read_qrels
    from splade_lucene.fusion import cut_run, merge_queries, merge_shards, reciprocal_rank_fusion, weighted_sum
    from splade_lucene.hits import Hit, Hits, SearchProfile
    from splade_lucene.index_reader import LuceneImpactIndexReader, check_index
    from splade_lucene.indexer import LuceneImpactIndexer, index_pseudo_documents
    from splade_lucene.named_collections import find_qrels, find_topics
    from splade_lucene.pseudo_documents import read_pseudo_documents, write_pseudo_documents
    from splade_lucene.pyserini_engine import PyseriniSearcher
    from splade_lucene.quantizer import Quantizer
    from splade_lucene.records import Contribution, Document, PseudoDocument, Query, Turn
    from splade_lucene.reference import exhaustive_search
    from splade_lucene.reranker import Reranker
    from splade_lucene.run import Run
    from splade_lucene.run_checks import check_run
    from splade_lucene.searcher import DocumentFilter, LuceneImpactSearcher
    from splade_lucene.topics import read_topics, write_encoded_topics

_HOMES = {
    "Approximation": "approximation",
    "Bm25Searcher": "bm25",
    "Comparison": "evaluation",
    "Contribution": "records",
    "Document": "records",
    "DocumentFilter": "searcher",
    "Efficiency": "efficiency",
    "Hit": "hits",
    "Hits": "hits",
    "LuceneImpactIndexReader": "index_reader",
    "LuceneImpactIndexer": "indexer",
    "LuceneImpactSearcher": "searcher",
    "Pruning": "encoder",
    "PseudoDocument": "records",
    "PyseriniSearcher": "pyserini_engine",
    "Quantizer": "quantizer",
    "Query": "records",
    "Reranker": "reranker",
    "Run": "run",
    "SearchCosts": "efficiency",
    "SearchProfile": "hits",
    "SparseWeights": "encoder",
    "SpladeEncoder": "encoder",
    "SpladeLuceneError": "errors",
    "SpladeQueryEncoder": "encoder",
    "Turn": "records",
    "accelerate": "accelerator",
    "check_index": "index_reader",
    "check_run": "run_checks",
    "compare": "evaluation",
    "cut_run": "fusion",
    "encode_corpus": "encoding",
    "escape_term": "encoder",
    "evaluate": "evaluation",
    "evaluate_queries": "evaluation",
    "exhaustive_search": "reference",
    "find_qrels": "named_collections",
    "find_topics": "named_collections",
    "index_pseudo_documents": "indexer",
    "index_texts": "bm25",
    "measure_efficiency": "efficiency",
    "measure_search": "efficiency",
    "merge_queries": "fusion",
    "merge_shards": "fusion",
    "open_query_encoder": "encoder",
    "read_corpus": "corpus",
    "read_pseudo_documents": "pseudo_documents",
    "read_qrels": "evaluation",
    "read_topics": "topics",
    "reciprocal_rank_fusion": "fusion",
    "search_texts": "bm25",
    "unescape_term": "encoder",
    "weighted_sum": "fusion",
    "write_encoded_topics": "topics",
    "write_pseudo_documents": "pseudo_documents",
}

__all__ = [
    "Approximation",
    "Bm25Searcher",
    "Comparison",
    "Contribution",
    "Document",
    "DocumentFilter",
    "Efficiency",
    "Hit",
    "Hits",
    "LuceneImpactIndexReader",
    "LuceneImpactIndexer",
    "LuceneImpactSearcher",
    "Pruning",
    "PseudoDocument",
    "PyseriniSearcher",
    "Quantizer",
    "Query",
    "Reranker",
    "Run",
    "SearchCosts",
    "SearchProfile",
    "SparseWeights",
    "SpladeEncoder",
    "SpladeLuceneError",
    "SpladeQueryEncoder",
    "Turn",
    "accelerate",
    "check_index",
    "check_run",
    "compare",
    "cut_run",
    "encode_corpus",
    "escape_term",
    "evaluate",
    "evaluate_queries",
    "exhaustive_search",
    "find_qrels",
    "find_topics",
    "index_pseudo_documents",
    "index_texts",
    "measure_efficiency",
    "measure_search",
    "merge_queries",
    "merge_shards",
    "open_query_encoder",
    "read_corpus",
    "read_pseudo_documents",
    "read_qrels",
    "read_topics",
    "reciprocal_rank_fusion",
    "search_texts",
    "unescape_term",
    "weighted_sum",
    "write_encoded_topics",
    "write_pseudo_documents",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
