"""A table of query weights for a trained model: its document-only variant, whose queries need no network.

SPLADE-doc gives each token of a query weight 1 (arXiv 2109.10086); inference-free models use the inverse document frequency
or learn the table (arXiv 2411.04403). Here the table holds the mean weight that the model itself gives a term in the queries
containing it. The weights of terms in few queries are smoothed towards the weight expected from their document frequency.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splade_lucene.encoder import SpladeEncoder
from splade_lucene.encoder.location import locate
from splade_lucene.files.files import atomic_text_writer

_PRIOR = 3.0  # weight of the expectation, in queries
_MIN_QUERIES = 20  # queries with a term, from which its mean is used to fit the expectation


def make_query_table(encoder: SpladeEncoder, queries: Sequence[str], passages: Sequence[str]) -> dict[str, float]:
    """Computes a query weight for each token.

    Args:
        encoder: The model.
        queries: Representative queries.
        passages: Texts from which document frequencies are computed.

    Returns:
        Token, as spelled by the tokenizer → weight above 0.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(locate(encoder.layout.location.name).tokenizer_folder / "tokenizer.json"))
    tokenizer.no_padding()
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    idf = np.log((len(passages) + 1) / (_document_frequencies(tokenizer, passages, size) + 1))
    sums, counts = np.zeros(size), np.zeros(size)
    weights = encoder.encode_queries(list(queries))
    for number, ids in enumerate(_ids(tokenizer, queries)):
        row = weights.row(number)
        vector = dict(zip(weights.term_ids[row].tolist(), weights.values[row].tolist(), strict=True))
        for term_id in ids:
            sums[term_id] += vector.get(term_id, 0.0)
            counts[term_id] += 1
    is_frequent = counts >= min(_MIN_QUERIES, np.max(counts))
    means = sums[is_frequent] / counts[is_frequent]
    line = np.polynomial.Polynomial.fit(idf[is_frequent], means, 1)
    expected = np.clip(line(idf), 0, np.quantile(means, 0.95))  # bounds the extrapolation to rarer terms
    table = (sums + _PRIOR * expected) / (counts + _PRIOR)
    specials = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    return {
        token: round(float(table[term_id]), 4)
        for token, term_id in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        if token not in specials and table[term_id] >= 0.005
    }


def write_query_table(path: Path, table: dict[str, float]) -> None:
    """Writes OpenSearch's ``query_token_weights.txt``: token, tab, weight."""
    with atomic_text_writer(path) as file:
        file.writelines(f"{token}\t{weight:g}\n" for token, weight in table.items())


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[set[int]]:
    return [set(each.ids) for each in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def _document_frequencies(tokenizer: Any, texts: Sequence[str], size: int) -> NDArray[np.float64]:
    """Number of texts that contain each token."""
    counts = np.zeros(size)
    for start in range(0, len(texts), 4096):
        for ids in _ids(tokenizer, texts[start : start + 4096]):
            counts[list(ids)] += 1
    return counts
