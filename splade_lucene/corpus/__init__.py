"""Step 1: documents in.

``reading`` knows every form of corpus, ``python_docs`` the one that every machine has.
"""
