"""Adapters: the index as a part of the pipelines of other packages.

=====================  ===============================================================================================
module                 purpose
=====================  ===============================================================================================
``retrieval``          what retrievers of pipelines share: an index, and how it is searched
``pyterrier``          PyTerrier: indexers, encoders and retrievers of an index artifact
``langchain``          LangChain: a ``BaseRetriever``
``llamaindex``         LlamaIndex: a ``BaseRetriever``, and its filters
``haystack``           Haystack: a component, and its filters
=====================  ===============================================================================================

Each module imports its package, so import it directly: ``from splade_lucene.adapters.langchain import SpladeRetriever``.
"""
