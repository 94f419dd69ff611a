"""Step 5: pseudo-documents → a plain Lucene impact index.

============================  =========================================================================================
module                        purpose
============================  =========================================================================================
``build``                     a corpus to an index: encodes and indexes it
``indexer``                   builds and updates impact indexes
``texts``                     builds text indexes for BM25
``bm25_field``                the field of an impact index with its texts, for hybrid search
``changes``, ``commits``      adds, deletes and optimizes; commits changes together with the manifest
``merging``                   merges indexes into a new one
``publish``                   checks where an index may be written, and moves a finished one into place
``accelerator``               a second copy of the postings, for faster searches
``reader``                    reads an index
``joined``, ``shards``        several indexes as one; the parts of a sharded index
``compatibility``, ``model``  whether indexes belong together; the encoder with which an index was made
``checking``                  verifies an index
============================  =========================================================================================
"""
