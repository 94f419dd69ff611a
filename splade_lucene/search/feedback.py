"""Pseudo-relevance feedback: the top hits of a query are assumed relevant, and the query is expanded with their terms.

It is Anserini's Rocchio and RM3, with Pyserini's names and defaults, computed in Java. Anserini reads the vectors of documents
from term vectors or from the stored input; here they are read from the postings, so that any index works.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splade_lucene import jvm
from splade_lucene.arguments import is_number, to_count, to_flag
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_SHOWN
from splade_lucene.errors import QueryError
from splade_lucene.jvm import wire
from splade_lucene.search.cancellation import java_cancellation
from splade_lucene.search.checks import check_k
from splade_lucene.search.method_group import MethodGroup

_LARGEST_WEIGHT = 1e38  # the sum of two still fits single precision, which Java uses
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rocchio:
    """Rocchio's feedback; see :meth:`FeedbackMethods.set_rocchio`.

    Raises:
        QueryError: A value is out of range.
    """

    top_fb_terms: int = 10
    top_fb_docs: int = 10
    bottom_fb_terms: int = 10
    bottom_fb_docs: int = 10
    alpha: float = 1
    beta: float = 0.75
    gamma: float = 0
    debug: bool = False
    use_negative: bool = False
    all_terms: bool = False

    def __post_init__(self) -> None:
        _check_counts(self, "top_fb_terms", "top_fb_docs", "bottom_fb_terms", "bottom_fb_docs")
        _check_flags(self, "debug", "use_negative", "all_terms")
        for name in ("alpha", "beta", "gamma"):
            _check_number(name, getattr(self, name), _LARGEST_WEIGHT)

    def to_java(self) -> Any:
        """Java's object."""
        return jvm.facade("Search").rocchio(
            self.top_fb_terms, self.top_fb_docs, self.bottom_fb_terms, self.bottom_fb_docs if self.use_negative else 0,
            float(self.alpha), float(self.beta), float(self.gamma), self.all_terms,
        )  # fmt: skip


@dataclass(frozen=True)
class Rm3:
    """RM3 feedback; see :meth:`FeedbackMethods.set_rm3`.

    Raises:
        QueryError: A value is out of range.
    """

    fb_terms: int = 10
    fb_docs: int = 10
    original_query_weight: float = 0.5
    debug: bool = False
    filter_terms: bool = True
    all_terms: bool = False

    def __post_init__(self) -> None:
        _check_counts(self, "fb_terms", "fb_docs")
        _check_flags(self, "debug", "filter_terms", "all_terms")
        _check_number("original_query_weight", self.original_query_weight, 1)

    def to_java(self) -> Any:
        """Java's object."""
        return jvm.facade("Search").rm3(
            self.fb_terms, self.fb_docs, float(self.original_query_weight), self.filter_terms and not self.all_terms,
            self.all_terms,
        )  # fmt: skip


Feedback = Rocchio | Rm3
"""How queries are expanded."""


def _check_counts(settings: Feedback, *names: str) -> None:
    for name in names:
        to_count(getattr(settings, name), name, error=QueryError)


def _check_flags(settings: Feedback, *names: str) -> None:
    for name in names:
        to_flag(getattr(settings, name), name, error=QueryError)


def _check_number(name: str, number: Any, largest: float) -> None:
    if not is_number(number) or not 0 <= number <= largest:
        limit = f"from 0 to {largest}" if largest == 1 else "of at least 0"
        if largest > 1 and is_number(number) and number > largest:
            limit = f"of at most {largest:g}, because weights are in single precision"
        raise QueryError(f"{name} must be a number {limit}, got {number!r:.80}")


class FeedbackMethods(MethodGroup):
    """Turns relevance feedback on and off, with the methods of Pyserini's ``LuceneImpactSearcher``.

    One kind is on at a time: turning one on turns the other off.
    """

    _feedback: Feedback | None = None
    _warned: Feedback | None = None

    def set_rm3(
        self,
        fb_terms: int = 10,
        fb_docs: int = 10,
        original_query_weight: float = 0.5,
        debug: bool = False,  # noqa: FBT001, FBT002 - as in Pyserini
        filter_terms: bool = True,  # noqa: FBT001, FBT002 - as in Pyserini
        *,
        all_terms: bool = False,
    ) -> None:
        """Turns RM3 feedback on, for all later searches.

        Args:
            fb_terms: Number of terms to take from the hits.
            fb_docs: Number of hits to take for relevant.
            original_query_weight: Weight of the original query, from 0 to 1.
            debug: Log the original and expanded queries, at the level INFO.
            filter_terms: Take only terms of the letters a to z and digits, which excludes pieces of words (``##ing``).
            all_terms: Take terms of any kind. Otherwise, as in Anserini, they have 2 to 20 characters, and occur in at most
                a tenth of the documents.

        Raises:
            QueryError: A value is out of range.
        """
        self._feedback = Rm3(fb_terms, fb_docs, original_query_weight, debug, filter_terms, all_terms)

    def set_rocchio(  # noqa: PLR0913 - Pyserini's arguments
        self,
        top_fb_terms: int = 10,
        top_fb_docs: int = 10,
        bottom_fb_terms: int = 10,
        bottom_fb_docs: int = 10,
        alpha: float = 1,
        beta: float = 0.75,
        gamma: float = 0,
        debug: bool = False,  # noqa: FBT001, FBT002 - as in Pyserini
        use_negative: bool = False,  # noqa: FBT001, FBT002 - as in Pyserini
        *,
        all_terms: bool = False,
    ) -> None:
        """Turns Rocchio's feedback on, for all later searches.

        Args:
            top_fb_terms: Number of terms to take from the hits that count as relevant.
            top_fb_docs: Number of hits to take for relevant, the first ones.
            bottom_fb_terms: With ``use_negative``: number of terms of the hits that count as not relevant.
            bottom_fb_docs: With ``use_negative``: number of hits to take for not relevant, the last ones of the k hits. In
                hybrid search, these are the ``depth`` hits of the ranking by impacts.
            alpha: Weight of the original query.
            beta: Weight of the relevant hits.
            gamma: With ``use_negative``: weight of the hits that are not relevant, which is subtracted.
            debug: Log the original and expanded queries, at the level INFO.
            use_negative: Whether the last hits count as not relevant.
            all_terms: Take terms of any kind. Otherwise, as in Anserini, they have 2 to 20 characters, and occur in at most
                a tenth of the documents.

        Raises:
            QueryError: A value is out of range.
        """
        self._feedback = Rocchio(
            top_fb_terms,
            top_fb_docs,
            bottom_fb_terms,
            bottom_fb_docs,
            alpha,
            beta,
            gamma,
            debug,
            use_negative,
            all_terms,
        )

    def unset_rm3(self) -> None:
        """Turns RM3 feedback off, if it is on."""
        if self.is_using_rm3():
            self._feedback = None

    def unset_rocchio(self) -> None:
        """Turns Rocchio's feedback off, if it is on."""
        if self.is_using_rocchio():
            self._feedback = None

    def is_using_rm3(self) -> bool:
        """Whether RM3 feedback is on."""
        return isinstance(self._feedback, Rm3)

    def is_using_rocchio(self) -> bool:
        """Whether Rocchio's feedback is on."""
        return isinstance(self._feedback, Rocchio)

    def expand(self, q: Any, k: int = HITS_SHOWN, *, filter: Any = None) -> dict[str, int]:
        """The query with which ``search`` searches: with relevance feedback the expanded one, else the encoded one.

        The weights of an expanded query are real numbers. They become integers in their proportion that add up to about 2²²,
        so that scores are exact: a search for this query without feedback finds the same hits and scores.

        Args:
            q: The query, as for ``search``.
            k: Number of hits of the search, or of a hybrid search the ``depth``; it matters only to Rocchio's feedback with
                ``use_negative``.
            filter: Restricts the hits that count as relevant, as in the search.

        Raises:
            QueryError: The query is malformed.
        """
        vector, k, snapshot = self.encode(q), check_k(k), self._snapshot
        java_filter = self._java_filter(filter, snapshot)
        return dict(self._expand(snapshot, [vector], k, 1, self._settings, java_filter)[0])

    def _expand(
        self, snapshot: Any, vectors: Sequence[Mapping[str, int]], k: int, threads: int, settings: Any, java_filter: Any
    ) -> Sequence[Mapping[str, int]]:
        """Searches for queries and expands them by the terms of their hits, if feedback is on.

        Args:
            snapshot: The open commit.
            vectors: The encoded queries.
            k: Number of hits of which the last are taken for not relevant.
            threads: Number of threads.
            settings: Java's settings of the search.
            java_filter: Java's filter of the hits; None for none.

        Returns:
            The expanded queries: {term: impact}, the largest impact first.
        """
        feedback = self._feedback
        if feedback is None:
            return vectors
        with jvm.translated_exceptions(self.index_dir):
            answer = jvm.facade("Search").expand(
                snapshot.java, wire.pack_queries(vectors), k, threads, settings, java_filter, feedback.to_java(),
                java_cancellation(),
            )  # fmt: skip
        without_terms, expanded = wire.unpack_expanded(wire.to_bytes(answer))
        erased = [i for i, (vector, new) in enumerate(zip(vectors, expanded, strict=True)) if vector and not new]
        if erased:
            found = self._search_vectors(snapshot, [vectors[i] for i in erased], 1, threads, settings, java_filter)
            erased = [i for i, hits in zip(erased, found, strict=True) if hits]  # others have no hits to learn from
            for i in erased:
                expanded[i] = dict(sorted(vectors[i].items(), key=lambda pair: -pair[1]))
        self._warn(feedback, without_terms, len(erased), len(vectors))
        if feedback.debug:
            for vector, new in zip(vectors, expanded, strict=True):
                _log.info("the query %s was expanded to %s", dict(vector), new)
        return expanded

    def _warn(self, feedback: Feedback, without_terms: int, erased: int, queries: int) -> None:
        """Warns once of queries to which feedback adds nothing, or of which it would leave nothing."""
        if self._warned is feedback or not (without_terms or erased):
            return
        self._warned = feedback
        if without_terms:
            _log.warning(
                "relevance feedback adds nothing to %s of %d: by Anserini's rule, a term must have 2 to 20 "
                "characters%s and be in at most a tenth of the documents, and their first hits have no such term. Pass "
                "all_terms=True to allow any term",
                counted(without_terms, "query"), queries,
                ", a to z or digits," if isinstance(feedback, Rm3) and feedback.filter_terms else "",
            )  # fmt: skip
        if erased > without_terms:
            _log.warning(
                "relevance feedback would leave no term with a weight above 0 in %s of %d, so the original query is "
                "searched. Give the query or the relevant hits a larger weight",
                counted(erased, "query"), queries,
            )  # fmt: skip
