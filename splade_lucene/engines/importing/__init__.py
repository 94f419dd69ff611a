"""Documents of other systems → pseudo-documents.

``importer`` is the entry point. Each of the others reads some formats as documents with weights: ``json_lines`` those of
Seismic and BMP, ``dumps`` of OpenSearch, Elasticsearch, Qdrant and Milvus, ``embeddings`` of sentence-transformers, ``tables``
Parquet, ``indexes`` Lucene's, PISA's and CIFF. ``documents`` turns their weights into impacts. ``files`` reads sources, and
``vocabulary`` the terms of vectors that have ids instead.
"""
