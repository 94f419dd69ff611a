"""Documents of other systems → pseudo-documents.

``importer`` is the door. Each of the others reads some formats as documents with weights: ``json_lines`` those of Seismic and
BMP, ``dumps`` of OpenSearch, Elasticsearch and Qdrant, ``embeddings`` of sentence-transformers, ``tables`` Parquet, ``indexes``
Lucene's and CIFF. ``documents`` makes impacts of their weights.
"""
