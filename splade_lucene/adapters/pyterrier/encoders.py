"""PyTerrier: encoders as transformers, texts to ``toks`` and queries to ``query_toks``, as its learned sparse packages do."""

from __future__ import annotations

from typing import Any

from splade_lucene.arguments import to_count
from splade_lucene.encoder import Pruning, SpladeEncoder
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.models import recommended_quantizer
from splade_lucene.quantizer import Quantizer
from splade_lucene.search.queries import encode_queries
from splade_lucene.search.query_encoder import SpladeQueryEncoder

with uninterrupted_imports(extra="pyterrier"):
    import pandas as pd
    import pyterrier as pt


class DocumentEncoder(pt.Transformer):
    """Adds the column ``toks``: the {term: impact} form of each text.

    Args:
        encoder: The encoder; None for the embedded model.
        quantizer: The quantizer; None for the model's recommended one.
        pruning: Which terms to keep.
        min_impact: Smallest impact to keep.
        text_field: The column with the texts.
        batch_size: Number of texts that an indexing pipeline passes at once.
    """

    def __init__(
        self, encoder: SpladeEncoder | None = None, quantizer: Quantizer | None = None, *, pruning: Pruning = Pruning(),
        min_impact: int = 1, text_field: str = "text", batch_size: int = 512,
    ) -> None:  # fmt: skip
        self.encoder = encoder or SpladeEncoder()
        self.quantizer = quantizer or recommended_quantizer(self.encoder.layout.location.name)
        self.pruning, self.min_impact, self.text_field = pruning, min_impact, text_field
        self.batch_size = to_count(batch_size, "batch_size")

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Encodes the texts of a frame."""
        pt.validate.columns(inp, includes=[self.text_field], context=self)
        sequences = self.encoder.tokenize_documents(inp[self.text_field].tolist())
        impacts = self.encoder.encode_impacts(
            sequences, self.quantizer, pruning=self.pruning, min_impact=self.min_impact
        )
        return inp.assign(toks=pd.Series([*impacts], index=inp.index, dtype=object))

    def __repr__(self) -> str:
        return f"DocumentEncoder({self.encoder.layout.location.name!r})"


class QueryEncoder(pt.Transformer):
    """Adds the column ``query_toks``: the {term: impact} form of each query. A blank query has no terms.

    Args:
        encoder: An object with the method ``encode(text)``, such as a :class:`splade_lucene.SpladeQueryEncoder`; None for the
            embedded model. :meth:`ImpactIndex.query_encoder` makes the one that matches an index.
    """

    def __init__(self, encoder: Any = None) -> None:
        if encoder is None:
            model = SpladeEncoder()
            encoder = SpladeQueryEncoder(model, recommended_quantizer(model.layout.location.name))
        self.encoder = encoder

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Encodes the queries of a frame."""
        pt.validate.columns(inp, includes=["query"], context=self)
        toks = encode_queries(inp["query"].tolist(), lambda: self.encoder)
        return inp.assign(query_toks=pd.Series(toks, index=inp.index, dtype=object))

    def __repr__(self) -> str:
        return f"QueryEncoder({type(self.encoder).__name__})"
