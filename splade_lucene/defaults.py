"""Defaults that the library and the command line share. Each stands here once; importing this module is fast."""

from __future__ import annotations

import os

DEFAULT_MAX_LENGTH = 256
"""Tokens of a document or query, as in the SPLADE papers."""

MAX_IMPACT = 2**31 - 1
"""The largest frequency that Lucene stores: the limit of an impact, and of the sum of a document's impacts."""

HITS_SHOWN = 10
"""Hits of a query that a person reads, as in Pyserini."""

HITS_IN_RUN = 1000
"""Hits of a query that a run holds, as in trec_eval and Anserini's guides."""

K1 = 0.9
"""BM25's saturation, as Anserini sets it."""

B = 0.4
"""BM25's length normalization, as Anserini sets it."""

MEASURES = ("nDCG@10", "RR@10", "R@100", "R@1000", "AP")
"""What a run is evaluated by."""

QUICK_MEASURES = ("nDCG@10", "RR@10", "R@100")
"""What short rankings are evaluated by: those of the demo, of validation during training, and of samples."""

SAMPLE_DOCUMENTS = 1000
"""Documents of a sample on which encodings are compared."""


def thread_count(threads: int | None = None) -> int:
    """The threads to use: as many as are asked for, or all cores."""
    return max(1, threads or os.cpu_count() or 1)
