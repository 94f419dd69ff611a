"""Step 5: pseudo-documents → a plain Lucene impact index.

``indexer`` builds it and changes it, ``texts`` builds one of texts for BM25, ``publish`` puts it in its place,
``accelerator`` keeps its postings once more for speed, ``reader`` says what is in it.
"""
