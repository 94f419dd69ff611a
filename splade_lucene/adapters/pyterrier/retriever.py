"""PyTerrier: queries to ranked documents, scores of given documents, and stored texts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from numbers import Integral
from typing import Any

import numpy as np

from splade_lucene.adapters.retrieval import OpenedIndex, stored_texts
from splade_lucene.arguments import to_ordered_list
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_IN_RUN
from splade_lucene.errors import QueryError
from splade_lucene.ids import hit_order
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.run.run import strictly_falling
from splade_lucene.search.checks import check_k, check_threads
from splade_lucene.search.hits import Hits, StoredDocument
from splade_lucene.search.hybrid import HybridFusion, to_fusion

with uninterrupted_imports(extra="pyterrier"):
    import pandas as pd
    import pyterrier as pt

_TEXT = "text"
_RANKING = ("docid", "docno", "score", "rank")


def open_index(index: Any) -> OpenedIndex:
    """The opened index of an artifact; or a searcher or folders, opened."""
    opened = getattr(index, "opened", None)
    return opened if isinstance(opened, OpenedIndex) else OpenedIndex(index)


class ImpactRetriever(pt.Transformer):
    """Retrieves documents for queries, or scores documents that were retrieved before.

    A frame with ``qid`` and ``query_toks`` or ``query`` is searched; ``query_toks`` come first, and float weights in them are
    quantized as the index was. The result has ``docno``, ``score`` and ``rank`` (from 0) beside the columns of the query. A
    frame that also has ``docno`` is reranked by the exact scores of its documents. Scores fall strictly, as in our run files:
    they are the integer scores, and within ties they differ by a few parts in ten million, so that every measure keeps the
    order.

    Args:
        index: An :class:`ImpactIndex`, the folder of an index, the folders of several, or an open searcher.
        num_results: Maximum number of documents per query. ``retriever % k`` lowers it when a pipeline is compiled.
        filter: Restricts the documents: a condition on fields, or a set of docids; see
            :meth:`splade_lucene.LuceneImpactSearcher.search`.
        hybrid: Searches with BM25 for ``query``, too: True, or how both rankings are fused.
        columns: Columns to add: ``text`` for the stored text, and fields of the index.
        threads: Number of search threads.

    Raises:
        QueryError: A setting is out of range.
    """

    def __init__(
        self, index: Any, num_results: int = HITS_IN_RUN, *, filter: Any = None, hybrid: HybridFusion | bool = False,
        columns: Sequence[str] = (), threads: int = 1,
    ) -> None:  # fmt: skip
        self.index, self.num_results, self.filter = index, check_k(num_results, "num_results"), filter
        self.hybrid = to_fusion(hybrid)
        self.columns = to_ordered_list([columns] if isinstance(columns, str) else columns, "columns")
        check_threads(threads)
        self.threads = threads
        self._opened = open_index(index)

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Retrieves or scores documents for the queries of a frame.

        Raises:
            InputValidationError: Columns are missing.
            QueryError: A query is malformed, or a qid has two queries.
            InputError: The index stores no texts, and the column ``text`` is asked for.
        """
        with pt.validate.any(inp, context=self) as checked:
            checked.query_frame(["query"], mode="search")
            checked.query_frame(["query_toks"], mode="search")
            checked.result_frame(["query"], mode="rerank")
            checked.result_frame(["query_toks"], mode="rerank")
        return self._search(inp) if checked.mode == "search" else self._rerank(inp)

    def transform_iter(self, inp: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The same for dictionaries; none of them, which have no columns, give none."""
        queries = list(inp)
        return self.transform(pd.DataFrame(queries)).to_dict(orient="records") if queries else []

    def fuse_rank_cutoff(self, k: int) -> pt.Transformer:
        """This retriever with at most ``k`` documents: what ``retriever % k`` becomes in a compiled pipeline."""
        if k >= self.num_results:
            return self
        if k < 1:
            return None  # the cutoff leaves no results
        fused = copy(self)
        fused.num_results = k
        return fused

    def _search(self, inp: pd.DataFrame) -> pd.DataFrame:
        if inp["qid"].duplicated().any():
            twice = inp["qid"][inp["qid"].duplicated()].iloc[0]
            raise QueryError(f"duplicate qid {twice!r:.80}", remedy="Make all qids unique")
        found = self._hits(inp)
        kept = [name for name in inp.columns if name not in (*_RANKING, *self.columns)]
        at = np.repeat(np.arange(len(inp)), [*map(len, found)])
        out = inp[kept].iloc[at].reset_index(drop=True)
        out["docno"] = pd.Series([docid for hits in found for docid in hits.docids], dtype=object)
        out["score"] = pd.Series(
            [score for hits in found for score in strictly_falling(hits.scores.tolist())], dtype=np.float64
        )
        out["rank"] = pd.Series([rank for hits in found for rank in range(len(hits))], dtype=np.int64)
        for name in self.columns:
            values = [value for hits in found for value in _column(hits, name)]
            out[name] = pd.Series(values, dtype=object)
        return out

    def _hits(self, inp: pd.DataFrame) -> list[Hits]:
        if inp.empty:
            return []
        searcher, queries = self._opened.searcher, self._queries(inp)
        keys = [*map(str, range(len(inp)))]
        options = {} if self.filter is None else {"filter": self.filter}
        if self.hybrid is None:
            found = searcher.batch_search(queries, keys, self.num_results, self.threads, **options)
        else:
            texts = inp["query"].tolist() if "query" in inp.columns else None
            found = searcher.batch_search_hybrid(
                queries, keys, self.num_results, self.threads, self.hybrid, texts=texts, **options
            )
        return [found[key] for key in keys]

    def _queries(self, inp: pd.DataFrame) -> list[Any]:
        if "query_toks" in inp.columns:
            return [self._vector(toks) for toks in inp["query_toks"]]
        return [*inp["query"]]

    def _vector(self, toks: Any) -> dict[str, int]:
        if not isinstance(toks, Mapping):
            raise QueryError(f"query_toks must be a mapping of terms to weights, got {toks!r:.80}")
        if all(isinstance(weight, Integral) for weight in toks.values()):
            return {term: int(impact) for term, impact in toks.items()}
        found: dict[str, int] = self._opened.searcher.quantize(toks)
        return found

    def _rerank(self, inp: pd.DataFrame) -> pd.DataFrame:
        if self.hybrid is not None or self.filter is not None:
            raise QueryError(
                "given documents are scored by their impacts only, so filter and hybrid are not supported",
                remedy="Score given documents with a retriever that has neither",
            )
        if not hasattr(self._opened.searcher, "score_known"):
            raise _of_index(self._opened.searcher, "score given documents")
        rows: dict[Any, list[int]] = {}
        for row, qid in enumerate(inp["qid"].tolist()):
            rows.setdefault(qid, []).append(row)
        docids = inp["docno"].tolist()
        wanted = [[docids[row] for row in of_query] for of_query in rows.values()]
        scores: list[dict[str, int]] = []
        if rows:
            queries = self._queries(inp.iloc[[_only_query(inp, qid, of_query) for qid, of_query in rows.items()]])
            scores = self._opened.searcher.score_known(queries, wanted, self.threads)
        ranked = [_best_first(of_query, docids, known) for of_query, known in zip(rows.values(), scores, strict=True)]
        unknown = len(inp) - sum(map(len, ranked))
        if unknown:
            warnings.warn(f"{counted(unknown, 'document', 'is', 'are')} not in the index, and left out", stacklevel=3)
        return self._ranked(inp, ranked, scores, docids)

    def _ranked(
        self, inp: pd.DataFrame, ranked: list[list[int]], scores: list[dict[str, int]], docids: list[str]
    ) -> pd.DataFrame:
        out = inp.iloc[[row for of_query in ranked for row in of_query]].reset_index(drop=True)
        falling = [
            score
            for of_query, known in zip(ranked, scores, strict=True)
            for score in strictly_falling([known[docids[row]] for row in of_query])
        ]
        ranks = [rank for of_query in ranked for rank in range(len(of_query))]
        out = out.drop(columns=["score", "rank"], errors="ignore")
        out["score"], out["rank"] = pd.Series(falling, dtype=np.float64), pd.Series(ranks, dtype=np.int64)
        return TextLoader(self.index, self.columns).transform(out) if self.columns else out

    def __repr__(self) -> str:
        return f"ImpactRetriever({self.index!r}, num_results={self.num_results})"


def _of_index(searcher: Any, what: str) -> QueryError:
    return QueryError(f"{type(searcher).__name__} does not {what}", remedy="Pass the folder of an index")


def _column(hits: Hits, name: str) -> list[Any]:
    if not len(hits):
        return []
    return stored_texts(hits.documents()) if name == _TEXT else [each.get(name) for each in hits.fields(name)]


def _best_first(rows: list[int], docids: list[str], scores: Mapping[str, int]) -> list[int]:
    """The rows of the documents that have a score, in the order of hits."""
    known = [row for row in rows if docids[row] in scores]
    return sorted(known, key=lambda row: hit_order(docids[row], scores[docids[row]]))


def _only_query(inp: pd.DataFrame, qid: Any, rows: list[int]) -> int:
    """The row of the query; each row of a ranking has it.

    Raises:
        QueryError: Its rows have different queries.
    """
    name = "query_toks" if "query_toks" in inp.columns else "query"
    queries = inp[name].iloc[rows].tolist()
    if any(query != queries[0] for query in queries):
        raise QueryError(f"the qid {qid!r:.80} has two queries", remedy="Make all qids unique")
    return rows[0]


class TextLoader(pt.Transformer):
    """Adds what the index stores of each document of a frame, as ``pt.text.get_text(index, "text")`` does.

    Args:
        index: See :class:`ImpactRetriever`.
        fields: ``text`` for the stored text, and fields of the index; ``*`` for the text and all fields.
    """

    def __init__(self, index: Any, fields: Sequence[str] | str = "*") -> None:
        self.index, self.fields = index, fields
        self._opened = open_index(index)

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Adds the columns.

        Raises:
            InputValidationError: There is no column ``docno``.
            InputError: A document is not in the index, or the index stores no texts.
            QueryError: The index has no such field.
        """
        pt.validate.columns(inp, includes=["docno"], context=self)
        searcher = self._opened.searcher
        if not hasattr(searcher, "reader"):
            raise _of_index(searcher, "load what is stored of given documents")
        reader = searcher.reader
        names = [self.fields] if isinstance(self.fields, str) else [*self.fields]
        if names == ["*"]:
            names = [_TEXT, *reader.fields]
        docids = [*dict.fromkeys(inp["docno"].tolist())]
        numbers = [reader.lucene_docid(docid) for docid in docids]
        fields = [name for name in names if name != _TEXT]
        values: list[dict[str, Any]] = [{} for _ in docids]
        if fields and docids:
            values = [dict(each) for each in reader.field_values(numbers, fields)]
        if _TEXT in names and docids:
            documents = [StoredDocument(*each) for each in zip(docids, numbers, reader.raw(numbers), strict=True)]
            for each, text in zip(values, stored_texts(documents), strict=True):
                each[_TEXT] = text
        at = dict(zip(docids, values, strict=True))
        added = {
            name: pd.Series([at[docid].get(name) for docid in inp["docno"]], index=inp.index, dtype=object)
            for name in names
        }
        return inp.assign(**added)

    def fuse_rank_cutoff(self, k: int) -> pt.Transformer:
        """The cutoff before the texts are read."""
        return pt.RankCutoff(k) >> self

    def __repr__(self) -> str:
        return f"TextLoader({self.index!r}, {self.fields!r})"
