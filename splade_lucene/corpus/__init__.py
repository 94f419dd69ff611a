"""Step 1: reading documents.

``reading`` reads all sources of documents; ``folders`` chooses the files of a folder, ``formats`` reads each file, and
``fields`` turns records into documents. ``python_docs`` extracts a corpus from the installed Python, with
the script ``docstrings``.
"""

from splade_lucene.corpus.reading import describe_corpus, read_corpus

__all__ = ["describe_corpus", "read_corpus"]
