"""Names and defaults of options. Importing this module is fast."""

from __future__ import annotations

from typing import Literal

EngineName = Literal[
    "opensearch", "elasticsearch", "vespa", "qdrant", "milvus", "pisa", "seismic", "bmp", "parquet", "ciff"
]
"""The engines to which a collection can be exported; each is a module of its name."""

ServedEngine = Literal["opensearch", "elasticsearch"]
"""The engines that are loaded with their official clients."""

SearchedEngine = Literal[ServedEngine, "qdrant"]
"""The engines that :class:`splade_lucene.EngineSearcher` searches."""

Keys = Literal["ids", "terms"]
"""How an engine identifies a term: by its id as a decimal number, or by the term itself."""

Origin = Literal[
    "ciff", "anserini", "pyserini", "seismic", "bmp", "pisa", "sentence-transformers", "opensearch", "elasticsearch",
    "qdrant", "milvus", "parquet",
]  # fmt: skip
"""The systems and formats whose documents can be imported."""

DEFAULT_NAME = "splade"
"""What an engine calls the collection unless another name is given."""

PIECE_BYTES = 16 << 20
"""The size at which a file of documents ends."""
