#!/usr/bin/env python3
"""Relevance feedback, scores of given pairs and documents as queries: effectiveness and cost.

    python benchmarks/feedback.py [--documents 200000] [--queries 200] [--repeat 5] [--skip-cacm | --skip-costs]

Effect: nDCG@10, AP and R@100 on CACM, with the embedded model, without feedback and with it. The settings are Pyserini's
defaults, with Anserini's rule for terms and without; none was chosen by looking at these figures.

Cost: milliseconds per query on a generated collection, one thread, warm, all hits read. Each is measured in turn with the plain
search of the same queries, and feedback also with Pyserini's, on the same index, which stores the input for it; so each ratio
comes from one run: above 1, ours takes longer. Hits of Pyserini's feedback are compared with ours first. "first" is the first
such call of a searcher.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import ROOT, SHARED, WORK, add_write_results, corpus, describe_machine, figure, queries, write_results

sys.path.insert(0, str(ROOT))

from splade_lucene import (
    LuceneImpactSearcher,
    Run,
    SpladeEncoder,
    build_index,
    evaluate,
    index_pseudo_documents,
    read_qrels,
    read_topics,
)
from splade_lucene.jvm.pyserini_import import pyserini_importable

MEASURES = ("nDCG@10", "AP", "R@100")
CANDIDATES = 1000
Turn = Callable[[Any], None]
KINDS: dict[str, tuple[Turn, Turn | None]] = {
    "Rocchio": (lambda searcher: searcher.set_rocchio(), lambda theirs: theirs.set_rocchio()),
    "RM3": (lambda searcher: searcher.set_rm3(), lambda theirs: theirs.set_rm3()),
    "Rocchio, all terms": (lambda searcher: searcher.set_rocchio(all_terms=True), None),
    "RM3, all terms": (lambda searcher: searcher.set_rm3(all_terms=True), None),
}
"""How feedback is turned on, here and in Pyserini."""


@contextmanager
def feedback(searcher: LuceneImpactSearcher, turn_on: Turn) -> Iterator[None]:
    turn_on(searcher)
    yield
    searcher.unset_rocchio()
    searcher.unset_rm3()


def measure_effect() -> dict[str, Any]:
    folder, index = SHARED / "data" / "cacm", WORK / "index-feedback-cacm"
    if not index.exists():
        build_index(folder / "corpus.jsonl", index, SpladeEncoder(device="cpu"))
    qrels = read_qrels(folder / "qrels.txt")
    topics = [topic for topic in read_topics(folder / "topics.tsv") if topic.qid in qrels]
    texts, qids = [topic.text for topic in topics], [topic.qid for topic in topics]
    figures: dict[str, Any] = {}
    print(f"CACM, {len(qids)} queries\n{'':20}" + "".join(f" {name:>9}" for name in MEASURES))
    with LuceneImpactSearcher(index) as searcher:
        plain = evaluate(qrels, Run(searcher.batch_search(texts, qids, 1000)), MEASURES)
        print(f"{'no feedback':20}" + "".join(f" {plain[name]:9.4f}" for name in MEASURES))
        figures["cacm/no feedback"] = figure("no feedback on CACM", plain["nDCG@10"], "nDCG@10", **plain)
        for kind, (turn_on, _) in KINDS.items():
            with feedback(searcher, turn_on):
                found = evaluate(qrels, Run(searcher.batch_search(texts, qids, 1000)), MEASURES)
            print(f"{kind:20}" + "".join(f" {found[name]:9.4f}" for name in MEASURES), flush=True)
            figures[f"cacm/{kind}"] = figure(
                f"{kind} on CACM", found["nDCG@10"], "nDCG@10", peer="no feedback", peer_value=plain["nDCG@10"],
                **found,
            )  # fmt: skip
    return figures


class Encoded:
    """A query encoder that returns already encoded queries unchanged."""

    def encode(self, query: Any) -> dict[str, int]:
        return dict(query)


def check(searcher: LuceneImpactSearcher, theirs: Any, vectors: list[Any]) -> None:
    """Compares the first hits of both; near-ties may change places."""
    for kind, (turn_on, turn_on_theirs) in KINDS.items():
        if turn_on_theirs is not None:
            turn_on_theirs(theirs)
            with feedback(searcher, turn_on):
                same = [
                    len({*searcher.search(vector, 100).docids} & {hit.docid for hit in theirs.search(vector, 100)})
                    for vector in vectors[:10]
                ]
            assert min(same) >= 99, (kind, same)


def seconds(call: Callable[[Any], Any], vectors: list[Any]) -> float:
    start = time.perf_counter()
    for vector in vectors:
        for hit in call(vector):
            hit  # noqa: B018 - read as a caller does
    return time.perf_counter() - start


def first_milliseconds(index: Path, call: Callable[[LuceneImpactSearcher], Any], vector: Any) -> float:
    """The time of the first call of a searcher that has searched for the query already."""
    with LuceneImpactSearcher(index) as searcher:
        searcher.search(vector, CANDIDATES)
        start = time.perf_counter()
        call(searcher)
        return (time.perf_counter() - start) * 1000


class Costs:
    """Measures calls in turn with others, and prints and keeps the medians."""

    def __init__(self, args: argparse.Namespace, vectors: list[Any]) -> None:
        self._args, self._vectors = args, vectors
        self.figures: dict[str, Any] = {}

    def measure(self, name: str, k: int, first: float, ours: Callable[[Any], Any], *peers: tuple[str, Any]) -> None:
        """Prints the milliseconds of a query, and its ratios to those of the peers."""
        calls = [ours, *(call for _, call in peers)]
        rounds = [[seconds(call, self._vectors) for call in calls] for _ in range(self._args.repeat + 1)]
        times = [
            statistics.median(each) / len(self._vectors) * 1000 for each in zip(*rounds[1:], strict=True)
        ]  # the first round warms up
        ratios = "".join(
            f"  {times[0] / other:5.2f} of {peer}" for (peer, _), other in zip(peers, times[1:], strict=True)
        )
        print(f"{name:20} {k:5} {times[0]:8.3f} {first:9.2f}{ratios}", flush=True)
        for (peer, _), value in zip(peers, times[1:], strict=True):
            self.figures[f"{name}/{self._args.documents}/{k}/{peer}"] = figure(
                f"{name}, {self._args.documents:,} documents, k = {k}", times[0], "ms", peer=peer, peer_value=value,
                ratio=value / times[0], first=first,
            )  # fmt: skip


def measure_costs(args: argparse.Namespace) -> dict[str, Any]:
    index = WORK / f"index-feedback-{args.documents}"
    if not index.exists():
        index_pseudo_documents(corpus(args.documents, 1), index, store="raw")
    vectors = list(queries().values())[: args.queries]
    costs = Costs(args, vectors)
    with pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as PyserinisSearcher
    theirs = PyserinisSearcher(str(index), Encoded(), -1)
    print(f"\n{args.documents:,} documents, {len(vectors)} queries\n{'':20} {'k':>5} {'ms':>8} {'first ms':>9}")
    with LuceneImpactSearcher(index) as searcher, LuceneImpactSearcher(index) as plain:
        check(searcher, theirs, vectors)
        for kind, (turn_on, turn_on_theirs) in KINDS.items():
            for k in (10, 1000):
                peers = [("the plain search", lambda vector, k=k: plain.search(vector, k))]
                if turn_on_theirs is not None:
                    turn_on_theirs(theirs)
                    peers.append(("Pyserini's", lambda vector, k=k: theirs.search(vector, k)))

                def first_call(fresh: LuceneImpactSearcher, turn_on: Turn = turn_on, k: int = k) -> None:
                    turn_on(fresh)
                    fresh.search(vectors[0], k)

                first = statistics.median(first_milliseconds(index, first_call, vectors[0]) for _ in range(3))
                with feedback(searcher, turn_on):
                    costs.measure(kind, k, first, lambda vector, k=k: searcher.search(vector, k), *peers)
        candidates = {id(vector): plain.search(vector, CANDIDATES).docids for vector in vectors}
        first = first_milliseconds(index, lambda fresh: fresh.score(vectors[0], candidates[id(vectors[0])]), vectors[0])
        costs.measure(
            "scores", CANDIDATES, first, lambda vector: searcher.score(vector, candidates[id(vector)]),
            ("the plain search", lambda vector: plain.search(vector, CANDIDATES)),
        )  # fmt: skip
        best = {key: docids[0] for key, docids in candidates.items()}
        for name, terms in (("like a document", None), ("like, 16 terms", 16)):

            def like(vector: Any, searcher: LuceneImpactSearcher = searcher, terms: int | None = terms) -> Any:
                return searcher.more_like_this(best[id(vector)], max_terms=terms)

            first = first_milliseconds(index, lambda fresh, like=like: like(vectors[0], fresh), vectors[0])
            costs.measure(name, 10, first, like, ("the plain search", lambda vector: plain.search(vector, 10)))
    theirs.close()
    return costs.figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--skip-cacm", action="store_true", help="measure costs alone")
    parser.add_argument("--skip-costs", action="store_true", help="measure the effect on CACM alone")
    add_write_results(parser)
    args = parser.parse_args()
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}")
    figures = {} if args.skip_cacm else measure_effect()
    if not args.skip_costs:
        figures |= measure_costs(args)
    if args.write_results:
        write_results("feedback", figures)


if __name__ == "__main__":
    main()
