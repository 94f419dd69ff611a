"""Texts → sparse weights, and queries → impacts that match an index."""

from __future__ import annotations

from splade_lucene.encoder.encoder import SparseWeights, SpladeEncoder
from splade_lucene.encoder.query import SpladeQueryEncoder, open_query_encoder

__all__ = ["SparseWeights", "SpladeEncoder", "SpladeQueryEncoder", "open_query_encoder"]
