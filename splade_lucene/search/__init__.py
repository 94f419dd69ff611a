"""Step 6: weighted queries → ranked hits.

``searcher`` searches an impact index exactly, or with an ``approximation``, and returns ``hits``; ``query_encoder`` makes
impacts of texts. ``bm25`` and ``pyserini`` search the same way by other means, ``reference`` is the oracle.
"""
