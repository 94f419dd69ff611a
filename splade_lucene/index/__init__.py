"""Step 5: pseudo-documents → a plain Lucene impact index.

``build`` encodes and indexes a corpus. ``indexer`` builds and updates impact indexes, ``texts`` builds text indexes for
BM25, ``publish`` moves a finished index into place, ``accelerator`` adds a second copy of the postings for speed, and
``reader`` reads an index.
"""
