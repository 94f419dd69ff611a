"""A table of query weights for a trained model: its document-only sibling, whose queries need no network.

SPLADE-doc weighs each token of a query 1 (arXiv 2109.10086), inference-free models take an inverse document
frequency or learn the table (arXiv 2411.04403). Here the table is what the model itself says: the mean weight that it gives a
term in the queries that hold it. Terms that few queries hold are drawn towards what their document frequency lets expect.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder import SpladeEncoder
from splade_lucene.encoder.location import locate
from splade_lucene.files import written_whole

_PRIOR = 3.0  # how many queries the expectation counts as
_OFTEN = 20  # queries from which on a term's mean tells what is to be expected of others


def make_query_table(encoder: SpladeEncoder, queries: Sequence[str], passages: Sequence[str]) -> dict[str, float]:
    """The weight of each term that may stand in a query.

    Args:
        encoder: The model.
        queries: Texts that queries are like.
        passages: Texts whose document frequencies tell rare terms from common ones.

    Returns:
        Token, as the tokenizer spells it → weight above 0.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(locate(encoder.layout.location.name).tokenizer_folder / "tokenizer.json"))
    tokenizer.no_padding()
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    logarithms = np.log((len(passages) + 1) / (_holding(tokenizer, passages, size) + 1))
    sums, counts = np.zeros(size), np.zeros(size)
    weights = encoder.encode_queries(list(queries))
    for number, ids in enumerate(_ids(tokenizer, queries)):
        row = weights.row(number)
        given = dict(zip(weights.term_ids[row].tolist(), weights.values[row].tolist(), strict=True))
        for term_id in ids:
            sums[term_id] += given.get(term_id, 0.0)
            counts[term_id] += 1
    often = counts >= min(_OFTEN, np.max(counts))
    means = sums[often] / counts[often]
    line = np.polynomial.Polynomial.fit(logarithms[often], means, 1)
    expected = np.clip(line(logarithms), 0, np.quantile(means, 0.95))  # terms rarer than any that was seen often
    table = (sums + _PRIOR * expected) / (counts + _PRIOR)
    specials = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    return {
        token: round(float(table[term_id]), 4)
        for token, term_id in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        if token not in specials and table[term_id] >= 0.005
    }


def write_query_table(path: Path, table: dict[str, float]) -> None:
    """Writes OpenSearch's ``query_token_weights.txt``: token, tab, weight."""
    with written_whole(path) as file:
        file.writelines(f"{token}\t{weight:g}\n" for token, weight in table.items())


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[set[int]]:
    return [set(each.ids) for each in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def _holding(tokenizer: Any, texts: Sequence[str], size: int) -> NDArray[np.float64]:
    """How many texts hold each token."""
    counts = np.zeros(size)
    for start in range(0, len(texts), 4096):
        for ids in _ids(tokenizer, texts[start : start + 4096]):
            counts[list(ids)] += 1
    return counts
