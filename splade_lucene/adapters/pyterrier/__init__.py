"""PyTerrier: an index as an artifact, with its indexers, encoders and retriever.

=====================  ===============================================================================================
module                 purpose
=====================  ===============================================================================================
``index``              the artifact, which creates the objects of the other modules
``indexers``           indexes texts, or documents with ``toks``
``encoders``           texts to ``toks``, queries to ``query_toks``
``retriever``          queries to ranked documents; scores given documents; loads stored texts
``runs``               runs of ours as results of PyTerrier, and back
``java``               one JVM for Terrier and Lucene
=====================  ===============================================================================================

>>> from splade_lucene.adapters.pyterrier import ImpactIndex
>>> index = ImpactIndex(getfixture("tmp_path") / "index")
>>> documents = [{"docno": "d1", "toks": {"cat": 3}}, {"docno": "d2", "toks": {"cat": 1, "dog": 2}}]
>>> retriever = index.toks_indexer().index(documents).retriever()
>>> queries = [{"qid": "q1", "query_toks": {"cat": 2, "dog": 1}}]
>>> [(hit["docno"], hit["score"], hit["rank"]) for hit in retriever(queries)]
[('d1', 6.0, 0), ('d2', 4.0, 1)]
>>> index.close()
"""

from splade_lucene.adapters.pyterrier.encoders import DocumentEncoder, QueryEncoder
from splade_lucene.adapters.pyterrier.index import ImpactIndex
from splade_lucene.adapters.pyterrier.indexers import TextIndexer, ToksIndexer
from splade_lucene.adapters.pyterrier.retriever import ImpactRetriever, TextLoader
from splade_lucene.adapters.pyterrier.runs import results_to_run, run_to_results

__all__ = [
    "DocumentEncoder",
    "ImpactIndex",
    "ImpactRetriever",
    "QueryEncoder",
    "TextIndexer",
    "TextLoader",
    "ToksIndexer",
    "results_to_run",
    "run_to_results",
]
