"""Step 1: reading queries.

``reading`` reads all supported file formats: ``lines`` those with one query per line, ``records`` JSON and Parquet, ``trec``
TREC topics and their relatives. ``named`` finds topics and judgments by name.
"""
