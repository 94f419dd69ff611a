"""Factors by which the weights of terms are multiplied: special tokens, and a text's own terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder.table import read_tensor

if TYPE_CHECKING:
    from splade_lucene.encoder.layout import NetworkSide


def term_factors(side: NetworkSide, tokenizer: Any, terms: int) -> NDArray[np.float32]:
    """What multiplies the weight of each term: 0 drops it. With ``own_terms``, they apply to the terms of the text itself.

    Args:
        side: The settings read from the checkpoint.
        tokenizer: Its tokenizer.
        terms: Number of terms.

    Returns:
        Shape [terms].
    """
    specials = {term_id for term_id in tokenizer.all_special_ids if term_id < terms}
    dropped = specials if side.drop_specials else set()
    factors = np.ones(terms, np.float32)
    if side.own_terms and side.own_terms_factors is not None:
        found = read_tensor(side.own_terms_factors, max(tokenizer.get_vocab().values()) + 1)[:terms]
        factors[:] = 0
        factors[: len(found)] = found
    elif side.own_terms and not side.drop_specials:
        dropped = specials - {tokenizer.unk_token_id}
    factors[sorted(dropped)] = 0
    return factors
