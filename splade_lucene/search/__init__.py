"""Step 6: weighted queries → ranked hits.

========================================  =============================================================================
module                                    purpose
========================================  =============================================================================
``searcher``                              searches an impact index
``document_methods``, ``hybrid_methods``  its methods for given documents, and for hybrid search
``pyserini_methods``                      Pyserini's methods that it refuses
``method_group``                          the base of these groups of methods
``queries``, ``query_encoder``            the forms of queries; texts to impacts
``hits``, ``snippets``                    ranked hits, and passages of their texts
``approximation``, ``checks``             settings of approximate search; checks of arguments
``conditions``, ``cancellation``          filters for Java; stopping a search
``feedback``                              pseudo-relevance feedback: Rocchio and RM3
``bm25``                                  searches texts with BM25
``hybrid``, ``fusion``                    impacts and BM25 together; the formulas that fuse rankings
``pyserini``                              searches with Pyserini's own searcher
``reference``                             the oracle: exhaustive search in NumPy
========================================  =============================================================================
"""
