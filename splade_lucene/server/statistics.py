"""The statistics of an index for the page: distributions, frequent and heavy terms, and bytes by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splade_lucene.index.accelerator import FOLDER
from splade_lucene.index.reader import TermStatistics
from splade_lucene.search.cancellation import check_cancelled, java_cancellation
from splade_lucene.search.searcher import LuceneImpactSearcher
from splade_lucene.server.registry import OpenIndex

_LISTED = 100
_BARS = 60

STOP_WORDS = frozenset(
    """
    a an and are as at be but by for from had has have he her his how i if in into is it its no not of on or our s she so
    such t than that the their them then there these they this to was we were what when which who will with you your
    """.split()  # noqa: SIM905
)
"""Words that an analyzer of English drops, and a few more."""

KINDS = ("word", "subword", "stop word", "number or mark")

_PARTS = {
    "postings": (".doc", ".pos", ".pay", ".psm"),
    "terms": (".tim", ".tip", ".tmd"),
    "stored texts": (".fdt", ".fdx", ".fdm"),
    "doc values": (".dvd", ".dvm"),
    "ranges": (".kdd", ".kdi", ".kdm"),
    "norms": (".nvd", ".nvm"),
    "compound files": (".cfs", ".cfe"),
    "deletions": (".liv",),
}


def statistics(index: OpenIndex) -> dict[str, Any]:
    """The statistics of an index, and the profiles of its last searches."""
    found: dict[str, Any] = index.once_per_commit("statistics", _statistics)
    return {**found, "bytes": bytes_by_part(index.folder), "profiles": index.profiles()}


def _statistics(searcher: LuceneImpactSearcher) -> dict[str, Any]:
    reader = searcher.reader
    counts = reader.statistics()
    check_cancelled()
    terms = reader.terms()
    documents = max(1, reader.num_docs)
    distributions = reader.distributions(java_cancellation())
    shown = [_term(each, documents) for each in terms]
    subwords = [each for each in shown if is_subword(each["term"])]
    return {
        "summary": {
            **{
                name: counts[name]
                for name in ("documents", "deleted_documents", "segments", "terms", "postings", "bytes")
            },
            "total_impact": counts["total_impact"],
            "lucene": counts.get("lucene", ""),
            "commit": reader.commit(),
            "terms_per_document": counts["postings"] / documents,
        },
        "impacts": histogram(distributions.impacts),
        "lengths": histogram(distributions.lengths),
        "frequent": _largest(shown, "documents"),
        "heaviest": _largest(shown, "total_impact"),
        "subwords": {**_share(subwords, counts), "terms": _largest(subwords, "total_impact")},
        "stop_words": _largest([each for each in shown if kind_of(each["term"]) == "stop word"], "total_impact"),
        "kinds": _kinds(terms),
    }


def _term(term: TermStatistics, documents: int) -> dict[str, Any]:
    return {
        "term": term.term,
        "documents": term.doc_freq,
        "share": term.doc_freq / documents,
        "total_impact": term.total_impact,
        "mean_impact": term.total_impact / max(1, term.doc_freq),
    }


def is_subword(term: str) -> bool:
    """Whether a term is a piece within a word, as WordPiece writes it."""
    return term.startswith("##") and len(term) > 2


def kind_of(term: str) -> str:
    """What sort of term it is: ``subword``, ``stop word``, ``word``, or, without a letter, ``number or mark``."""
    if is_subword(term):
        return "subword"
    if term.lower() in STOP_WORDS:
        return "stop word"
    return "word" if any(letter.isalpha() for letter in term) else "number or mark"


def _kinds(terms: Sequence[TermStatistics]) -> list[dict[str, Any]]:
    """The share of an index that the terms of each kind make up."""
    found = {kind: {"kind": kind, "terms": 0, "postings": 0, "impact": 0} for kind in KINDS}
    for each in terms:
        of_kind: dict[str, Any] = found[kind_of(each.term)]
        of_kind["terms"] += 1
        of_kind["postings"] += each.doc_freq
        of_kind["impact"] += each.total_impact
    return [*found.values()]


def _share(terms: Sequence[Mapping[str, Any]], counts: Mapping[str, Any]) -> dict[str, Any]:
    """The share of an index that some terms make up."""
    return {
        "count": len(terms),
        "share_of_postings": sum(each["documents"] for each in terms) / max(1, counts["postings"]),
        "share_of_impact": sum(each["total_impact"] for each in terms) / max(1, counts["total_impact"]),
    }


def _largest(terms: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return sorted(terms, key=lambda each: (-each[key], each["term"]))[:_LISTED]


def histogram(counts: Mapping[int, int]) -> dict[str, Any]:
    """A distribution as bars of equal width.

    Args:
        counts: Value → how often it occurs.

    Returns:
        ``bars`` with the first and last value of each and how often they occur, ``total``, ``mean``, ``median``, ``largest``.
    """
    total = sum(counts.values())
    if not total:
        return {"bars": [], "total": 0, "mean": 0.0, "median": 0, "largest": 0}
    smallest, largest = min(counts), max(counts)
    width = (largest - smallest) // _BARS + 1
    bars: Counter[int] = Counter()
    for value, count in counts.items():
        bars[(value - smallest) // width] += count
    return {
        "bars": [
            {"from": smallest + bar * width, "to": smallest + (bar + 1) * width - 1, "count": bars[bar]}
            for bar in range((largest - smallest) // width + 1)
        ],
        "total": total,
        "mean": sum(value * count for value, count in counts.items()) / total,
        "median": _median(counts, total),
        "largest": largest,
    }


def _median(counts: Mapping[int, int], total: int) -> int:
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if 2 * seen >= total:
            return value
    return 0


def bytes_by_part(folder: Path) -> list[dict[str, Any]]:
    """The bytes of an index's files by what they hold, the largest part first."""
    sizes: Counter[str] = Counter()
    for path in folder.rglob("*"):
        try:
            size = path.stat().st_size if path.is_file() else 0
        except OSError:  # deleted by a merge at this moment
            continue
        sizes[_part(path, folder)] += size
    return [{"part": part, "bytes": size} for part, size in sizes.most_common() if size]


def _part(path: Path, folder: Path) -> str:
    if path.is_relative_to(folder / FOLDER):
        return "accelerator"
    return next((part for part, suffixes in _PARTS.items() if path.suffix in suffixes), "other")
