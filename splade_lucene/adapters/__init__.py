"""Adapters: the index as a part of the pipelines of other packages, and their models and evaluators here.

=========================  ===========================================================================================
module                     purpose
=========================  ===========================================================================================
``retrieval``              shared by the retrievers: an index and its search settings
``pyterrier``              PyTerrier: an index as an artifact, its indexers, encoders and retriever; one JVM for both
``langchain``              LangChain: a ``BaseRetriever``
``llamaindex``             LlamaIndex: a ``BaseRetriever``, and its filters
``haystack``               Haystack: a component, and its filters
``corpus_search``          shared by the evaluators: a corpus that is encoded, indexed and searched
``beir``                   BEIR: a search for its ``EvaluateRetrieval``
``mteb``                   MTEB: a search for ``mteb.evaluate``
``sentence_transformers``  sentence-transformers: its ``SparseEncoder`` as encoder, and ours for its evaluators
=========================  ===========================================================================================

The retrievers are classes of their packages, so each module is imported by its own name:
``from splade_lucene.adapters.langchain import SpladeRetriever``.
"""
