"""Defaults shared by the library and the command line. Importing this module is fast."""

from __future__ import annotations

import os
from typing import Literal

from splade_lucene.arguments import to_count

DEFAULT_MAX_LENGTH = 256
"""Maximum number of tokens of a document or query, as in the SPLADE papers."""

MAX_IMPACT = 2**31 - 1
"""The largest frequency that Lucene can store; limits each impact and the sum of a document's impacts."""

HITS_SHOWN = 10
"""Hits shown for a single query, as in Pyserini."""

HITS_IN_RUN = 1000
"""Hits per query in a run, as in trec_eval and Anserini's guides."""

HITS_TO_RERANK = 100
"""Hits per query that a cross-encoder reranks."""

RERANK_BATCH = 32
"""Pairs of query and document that a cross-encoder scores at a time."""

QUERY_BATCH = 64
"""Queries that are encoded or searched between two reports of progress; their hits are in memory together."""

K1 = 0.9
"""BM25's term frequency saturation, Anserini's default."""

B = 0.4
"""BM25's length normalization, Anserini's default."""

MEASURES = ("nDCG@10", "RR@10", "R@100", "R@1000", "AP")
"""The measures of a run."""

QUICK_MEASURES = ("nDCG@10", "RR@10", "R@100")
"""The measures of short rankings: in the demo, validation during training, and samples."""

SAMPLE_DOCUMENTS = 1000
"""Size of the sample on which encodings are compared."""


TrecEval = Literal[9, 10]
"""A version of trec_eval."""

TREC_EVAL: TrecEval = 9
"""The version of trec_eval that measures agree with, as long as pytrec_eval is a build of it."""


def thread_count(threads: int | None = None) -> int:
    """The number of threads to use: the given number, or one per core that this process may use.

    Raises:
        InputError: It is not an integer, or out of range.
    """
    if threads is not None:
        return to_count(threads, "threads")
    if hasattr(os, "sched_getaffinity"):  # Linux: a container or ``taskset`` may leave only some of the cores
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
