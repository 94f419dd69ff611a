"""Texts → sparse weights, and queries → impacts that match an index.

.. code-block:: text

    name → location → layout → checkpoint → network ─┐
                             └ table (no network) ───┴ encoder → sparse weights → pruning → impacts

================================================  =====================================================================
module                                            purpose
================================================  =====================================================================
``encoder``, ``settings``                         texts to weights; the settings that override a checkpoint
``location``, ``layout``, ``soundness``           finds a checkpoint, reads how it is used, refuses damaged ones
``checkpoint``, ``storage``                       loads networks; weights stored as int8
``tokenizer``, ``batching``                       texts to token sequences, passages and batches
``terms``, ``words``                              vocabulary entries as Lucene terms; where terms are in a text
``network``, ``linear``, ``fused``, ``screened``  a network in PyTorch, its packed layers, GPU kernel and screening
``pooling``, ``term_factors``                     SPLADE's formulas; factors of terms
``onnx_network``, ``onnx_session``                a network in ONNX Runtime
``onnx_head``, ``onnx_weights``, ``onnx_graph``   its last layer, its int8 weights, its file format
``onnx_choice``, ``onnx_export``                  choosing between PyTorch and ONNX Runtime; writing ONNX files
``table``                                         queries without a network
``sparsify``, ``sparse``, ``pruning``             batches to sparse weights; sparse vectors; which terms are kept
``memory``, ``precision``                         the memory, and the floating-point type, of a device
================================================  =====================================================================
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
