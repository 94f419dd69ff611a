"""Other engines: exports, loading, searching, and imports from their formats.

Each engine has a module of its name, with an :class:`splade_lucene.engines.exporter.Exporter` in ``EXPORTER``;
:mod:`splade_lucene.engines.registry` lists them.

============================================  =========================================================================
module                                        purpose
============================================  =========================================================================
``export``, ``pieces``, ``export_manifest``   exports a collection, in files of bounded size, with a manifest
``collection``, ``limits``                    the documents to export; the limits of impacts
``inversion``, ``transposition``              documents to postings and back, in bounded memory
``exporter``, ``registry``, ``names``         the interface of an engine, its lookup, and names of options
``opensearch``, ``elasticsearch``             their exporters, which share ``lucene_engine``
``bmp``, ``ciff``, ``milvus``, ``parquet``    further exporters; ``ciff_format`` is the file format of CIFF
``pisa``, ``qdrant``, ``seismic``, ``vespa``  further exporters
``push``, ``client``                          loads an export into OpenSearch or Elasticsearch
``searcher``, ``opening``, ``searched``       searches an index in another engine
``lucene_index``, ``lucene_filters``          searching OpenSearch and Elasticsearch
``qdrant_index``, ``qdrant_filters``          searching Qdrant
``index_metadata``                            what an index in another engine says about itself
``importing/``                                pseudo-documents from the files of other systems
============================================  =========================================================================
"""
