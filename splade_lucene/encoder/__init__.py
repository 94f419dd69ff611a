"""Texts → sparse weights, and queries → impacts that match an index.

name → location → layout → checkpoint → network ┐
└ table (no network)   ┴ encoder → sparse weights → pruning → impacts
"""

from __future__ import annotations

from splade_lucene.encoder.encoder import SpladeEncoder, check_encoder
from splade_lucene.encoder.layout import Choices, Layout, read_layout
from splade_lucene.encoder.pruning import Pruning
from splade_lucene.encoder.settings import DocumentSettings, QuerySettings
from splade_lucene.encoder.sparse import SparseImpacts, SparseWeights
from splade_lucene.encoder.terms import escape_term, unescape_term

__all__ = [
    "Choices",
    "DocumentSettings",
    "Layout",
    "Pruning",
    "QuerySettings",
    "SparseImpacts",
    "SparseWeights",
    "SpladeEncoder",
    "check_encoder",
    "escape_term",
    "read_layout",
    "unescape_term",
]
