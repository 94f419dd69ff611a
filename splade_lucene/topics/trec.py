"""TREC topics: ``<top>`` blocks whose tags may or may not be closed, XML with ``<topic number="…">``, and their relatives.

In the ad hoc tracks, a ``<top>`` block has the form ``<num> Number: 301 <title> … <desc> Description: … <narr> Narrative:
…``; the first years use ``<title> Topic: …`` and additional fields, and later tracks close their tags. Labels such as
``Number:`` are removed, and so are leading zeros of numbers (``051``) and the letters of the Arabic and Microblog tracks
(``AR26``, ``MB001``), because judgments do not have them. Topics of background linking have only the id of a document,
which is then their title, as in Anserini.

In XML topics, the fields are called query, question or description, and narrative. NTCIR's WWW task has ``<query>`` with
``<qid>``, ``<content>`` and ``<description>``, and CACM has ``<DOC>`` with ``<DOCNO>`` and a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import NamedTuple

from splade_lucene.errors import TopicsError

FIELDS = ("title", "desc", "narr")
"""The fields of a topic: a few words, a sentence, and a description of what is relevant."""

_TOP = re.compile(r"<top(?:\s[^<>]*)?>(.*?)(?=<top[\s>]|</top\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(
    r"<(/?)(num|title|query|desc|narr|dom|smry|con|fac|def|nat|time|querytime|querytweettime|docid|url|subtopics?|to)"
    r"\b[^<>]*>",
    re.IGNORECASE,
)
_LABELS = {"num": "number", "title": "topic", "desc": "description", "narr": "narrative"}
_SYNONYMS = {"query": "title"}

_TOPIC = re.compile(r"<topic\b([^<>]*)>(.*?)</topic\s*>", re.IGNORECASE | re.DOTALL)
_NUMBERED = re.compile(r"(?:AR|MB)?0*([0-9]+)")
_NUMBER = re.compile(r"\b(?:number|id)\s*=\s*[\"']([^\"']*)[\"']", re.IGNORECASE)
_ELEMENTS = {
    "title": ("query", "title"), "desc": ("question", "description", "desc"), "narr": ("narrative", "narr"),
}  # fmt: skip


_QUERY = re.compile(r"<query\s*>(.*?)</query\s*>", re.IGNORECASE | re.DOTALL)
_DOC = re.compile(r"<DOC\s*>\s*<DOCNO\s*>(.*?)</DOCNO\s*>(.*?)</DOC\s*>", re.IGNORECASE | re.DOTALL)


class TrecTopic(NamedTuple):
    """A topic: its first line, its qid and its fields."""

    line: int
    qid: str
    fields: Mapping[str, str]


def is_trec(text: str) -> bool:
    """Whether a text begins like TREC topics."""
    return re.match(r"\s*<(top|topics?|queries|doc|\?xml|!--|!doctype)\b", text, re.IGNORECASE) is not None or (
        text.lstrip().startswith("<!--")
    )


def check_field(field: str) -> list[str]:
    """Splits a choice such as ``title+desc`` into field names.

    Raises:
        TopicsError: The field is unknown.
    """
    names = field.split("+")
    if wrong := [name for name in names if name not in FIELDS]:
        raise TopicsError(
            f"topics have no field {wrong[0]!r}", remedy=f"Choose {', '.join(FIELDS)}, or several as title+desc"
        )
    return names


def choose_fields(fields: Mapping[str, str], field: str) -> str | None:
    """Joins the texts of the chosen fields with spaces; None if the topic has none of them."""
    return " ".join(fields[name] for name in check_field(field) if fields.get(name)) or None


def parse_trec(text: str, path: Path, start: int = 1) -> Iterator[TrecTopic]:
    """Parses TREC topics.

    Args:
        text: The contents of the file.
        path: The file, for messages.
        start: The line number at which the text begins.

    Raises:
        TopicsError: A topic has no number.
    """
    for match, parse, expected in _find_topics(text):
        line = text.count("\n", 0, match.start()) + start
        qid, fields = parse(match)
        if not qid:
            raise TopicsError(f"the topic has no {expected}", path=path, line=line, remedy="Add its number")
        yield TrecTopic(line, _as_judged(qid), fields)


def _as_judged(qid: str) -> str:
    """The qid as judgments have it: ``51`` for ``051``, ``26`` for ``AR26``, and ``1`` for ``MB001``."""
    number = _NUMBERED.fullmatch(qid)
    return number[1] if number else qid


_Parse = Callable[[re.Match[str]], tuple[str, dict[str, str]]]


def _find_topics(text: str) -> Iterator[tuple[re.Match[str], _Parse, str]]:
    """The topics in a text, each with the function that parses it and with what contains its number."""
    for pattern, parse, expected in (
        (_TOP, _parse_block, "<num>"),
        (_TOPIC, _parse_element, 'number="…"'),
        (_QUERY, _parse_query, "<qid>"),
        (_DOC, _parse_doc, "<DOCNO>"),
    ):
        found = list(pattern.finditer(text))
        if found:
            return ((match, parse, expected) for match in found)
    return iter(())


def _parse_block(match: re.Match[str]) -> tuple[str, dict[str, str]]:
    block = match[1]
    parts: dict[str, list[str]] = {}
    name, start = "", 0
    for tag in _TAG.finditer(block):
        parts.setdefault(name, []).append(block[start : tag.start()])
        start = tag.end()
        kind = tag[2].lower()
        name = "" if tag[1] else _SYNONYMS.get(kind, kind)
    parts.setdefault(name, []).append(block[start:])
    fields = {name: _without_label(" ".join(" ".join(parts.get(name, [])).split()), name) for name in _LABELS}
    if not any(fields[name] for name in FIELDS):
        fields["title"] = " ".join(parts.get("docid", [])).strip()
    return fields.pop("num"), fields


def _without_label(text: str, name: str) -> str:
    label, colon, rest = text.partition(":")
    return rest.strip() if colon and label.strip().lower() == _LABELS[name] else text


def _parse_query(match: re.Match[str]) -> tuple[str, dict[str, str]]:
    fields = {"title": ("content",), "desc": ("description",)}
    return _element(match[1], ("qid",)), {name: _element(match[1], tags) for name, tags in fields.items()}


def _parse_doc(match: re.Match[str]) -> tuple[str, dict[str, str]]:
    return match[1].strip(), {"title": " ".join(match[2].split())}


def _parse_element(match: re.Match[str]) -> tuple[str, dict[str, str]]:
    attributes, body = match[1], match[2]
    number = _NUMBER.search(attributes)
    fields = {name: _element(body, tags) for name, tags in _ELEMENTS.items()}
    if not any(fields.values()) and "<" not in body:
        fields["title"] = " ".join(unescape(body).split())  # topics of the clinical trials tracks
    return number[1].strip() if number else "", fields


def _element(body: str, names: tuple[str, ...]) -> str:
    for name in names:
        found = re.search(rf"<{name}\b[^<>]*>(.*?)</{name}\s*>", body, re.IGNORECASE | re.DOTALL)
        if found:
            return " ".join(unescape(found[1]).split())
    return ""
