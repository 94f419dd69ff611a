"""A search as a TREC run, as JSON or as Python."""

from __future__ import annotations

import io
import pprint
from collections.abc import Mapping
from dataclasses import fields

from splade_lucene.files.json_text import indented_json
from splade_lucene.run.run import DEFAULT_TAG, RunWriter
from splade_lucene.search.approximation import Approximation
from splade_lucene.search.hybrid import HybridFusion
from splade_lucene.server.answers import approximation_of, find, fusion_of, list_hits
from splade_lucene.server.registry import OpenIndex
from splade_lucene.server.schemas import ExportBody


def export(index: OpenIndex, body: ExportBody, vector: Mapping[str, int]) -> str:
    """The hits of a search as a text.

    Args:
        index: The index.
        body: The request.
        vector: Its query, encoded.
    """
    if body.format == "python":
        return as_python(index, body, vector)
    hits = find(index, body, vector, body.k, body)
    if body.format == "json":
        terms = dict(sorted(vector.items(), key=lambda pair: -pair[1]))
        found = {"qid": body.qid, "query": body.query, "vector": terms, "hits": list_hits(hits, body.fields)}
        return indented_json(found)
    file = io.StringIO()
    RunWriter(file, "trec", DEFAULT_TAG).add(body.qid, hits)
    return file.getvalue()


def as_python(index: OpenIndex, body: ExportBody, vector: Mapping[str, int]) -> str:
    """The lines of Python that find the same hits."""
    is_impact = body.engine == "impact"
    name, setting = ("approximation", approximation_of(body)) if is_impact else ("fusion", fusion_of(body, body.k))
    names, options = ["LuceneImpactSearcher"], "" if is_impact else f", text={body.query!r}"
    if changed := _changed(setting):
        names.append(type(setting).__name__)
        options += f", {name}={type(setting).__name__}({changed})"
    if body.filter:
        options += f", filter={body.filter!r}"
    method, searched = "search" if is_impact else "search_hybrid", "{}" if body.engine == "bm25" else "query"
    call = f"{method}({searched}, {body.k}{options})"
    query = pprint.pformat(dict(vector), width=100, sort_dicts=False) if body.vector is not None else repr(body.query)
    lines = [f"from splade_lucene import {', '.join(sorted(names))}", ""]
    lines += [f"searcher = LuceneImpactSearcher({index.folder.name!r})  # the folder of the index {index.name}"]
    lines += [] if body.engine == "bm25" else [f"query = {query}"]
    return "\n".join([*lines, f"for hit in searcher.{call}:", "    print(hit.docid, hit.score)", ""])


def _changed(settings: Approximation | HybridFusion) -> str:
    """The settings that are not the defaults, as arguments."""
    given = {each.name: getattr(settings, each.name) for each in fields(settings)}
    defaults = type(settings)()
    return ", ".join(f"{name}={value!r}" for name, value in given.items() if value != getattr(defaults, name))
