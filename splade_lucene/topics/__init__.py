"""Step 1: queries in.

``reading`` knows every form of file, ``trec`` TREC's, ``named`` the names of topics and judgments.
"""
