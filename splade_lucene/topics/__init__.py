"""Step 1: reading queries.

``reading`` reads all supported file formats, ``trec`` the formats of TREC topics; ``named`` finds topics and judgments by
name.
"""
