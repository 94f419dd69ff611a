"""Step 6: weighted queries → ranked hits.

``searcher`` searches an impact index exactly, or with an ``approximation``, and returns ``hits``; ``query_encoder`` turns
texts into impacts. ``bm25`` searches texts, ``pyserini`` uses Pyserini's own searcher, and ``reference`` is the oracle.
"""
