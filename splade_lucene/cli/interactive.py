"""Searches at a prompt: the terms of each query, and its hits with the matches marked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from splade_lucene.cli.output import describe_error, echo
from splade_lucene.cli.terminal import raw_stdout, show_safely
from splade_lucene.counts import counted
from splade_lucene.errors import SpladeLuceneError
from splade_lucene.files.files import cache_folder

if TYPE_CHECKING:
    from splade_lucene.search.hits import Hits
    from splade_lucene.search.searcher import LuceneImpactSearcher

_HISTORY = 1000
_TERMS = 12
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
HELP = """Type a query. Or:
  :explain N   the terms that make up the score of hit N
  :text N      the whole text of hit N
  :like N      the documents that are most like hit N
  :hits K      show K hits
  :quit        end; so does Ctrl-D
Ctrl-C drops the line, or stops an answer."""


class Conversation:
    """Answers what is typed.

    Args:
        searcher: Searches the index.
        k: Number of hits.
        options: Options of searches, such as a filter.
        is_styled: Whether to mark matches by the style of letters, rather than by brackets.
    """

    def __init__(self, searcher: LuceneImpactSearcher, k: int, options: Mapping[str, Any], *, is_styled: bool) -> None:
        self._searcher, self._k, self._options, self._is_styled = searcher, k, dict(options), is_styled
        self._vector: dict[str, int] = {}
        self._hits: Hits | None = None

    def answer(self, line: str) -> Iterator[str]:
        """The lines of the answer; none for a blank line.

        Args:
            line: What was typed.

        Raises:
            SpladeLuceneError: The query or a number is wrong.
        """
        command, _, rest = line.strip().partition(" ")
        if not command:
            return
        commands: dict[str, Callable[[str], Iterator[str]]] = {
            ":explain": self._explain, ":text": self._text, ":like": self._like, ":hits": self._set_hits,
        }  # fmt: skip
        if command in commands:
            yield from commands[command](rest.strip())
        elif command.startswith(":"):
            yield from HELP.splitlines()
        else:
            yield from self._search(line.strip())

    def _search(self, text: str) -> Iterator[str]:
        from splade_lucene.search.snippets import find_terms

        self._vector = self._searcher.encode(text)
        own = {span.term for span in find_terms(self._searcher, [text])[0]}
        ranked = sorted(self._vector.items(), key=lambda pair: (-pair[1], pair[0]))
        shown = [(f"{term} {impact}" if term in own else f"+{term} {impact}") for term, impact in ranked[:_TERMS]]
        more = f" and {len(ranked) - _TERMS} more" if len(ranked) > _TERMS else ""
        yield self._dim(f"{', '.join(map(show_safely, shown))}{more}" if shown else "no terms")
        yield from self._show(self._searcher.search(self._vector, self._k, **self._options))

    def _show(self, hits: Hits) -> Iterator[str]:
        from splade_lucene.search.snippets import make_snippets

        self._hits = hits
        texts = [document.contents() or "" for document in hits.documents()]
        snippets = make_snippets(self._searcher, texts, self._vector, characters=150)
        for rank, (docid, score, snippet) in enumerate(
            zip(hits.docids, hits.scores.tolist(), snippets, strict=True), 1
        ):
            yield f"{rank:>3} {score:>8,}  {show_safely(docid)}"
            if snippet:
                yield "    " + "".join(
                    self._mark(each.text) if each.marked else show_safely(each.text) for each in snippet
                )
        if not hits:
            some = "document that matches the filter" if self._options.get("filter") else "document"
            yield f"no {some} shares a term with the query"

    def _explain(self, number: str) -> Iterator[str]:
        docid, score = self._hit(number)
        for each in self._searcher.explain(self._vector, docid):
            yield (
                f"{show_safely(each.term):24} {each.query_impact:>8,} {each.document_impact:>9,} {each.product:>10,} "
                f"{each.product / max(1, score):>7.1%}"
            )
        yield f"{show_safely(docid)}: {score:,}"

    def _text(self, number: str) -> Iterator[str]:
        docid, _ = self._hit(number)
        document = self._searcher.doc(docid)
        text = document.contents() if document is not None else None
        yield from map(show_safely, (text or "the index stores no texts").splitlines())

    def _like(self, number: str) -> Iterator[str]:
        docid, _ = self._hit(number)
        self._vector = self._searcher.vector(docid)
        yield from self._show(self._searcher.more_like_this(docid, self._k, **self._options))

    def _set_hits(self, number: str) -> Iterator[str]:
        if not number.isdecimal() or int(number) < 1:
            yield "write for example :hits 20"
            return
        self._k = int(number)
        yield f"showing {counted(self._k, 'hit')}"

    def _hit(self, number: str) -> tuple[str, int]:
        from splade_lucene.errors import QueryError

        count = 0 if self._hits is None else len(self._hits)
        if self._hits is None or not number.isdecimal() or not 1 <= int(number) <= count:
            numbers = f"from 1 to {count}" if count else "of a hit; there is none"
            raise QueryError(f"expected a number {numbers}, got {number!r:.40}")
        at = int(number) - 1
        return self._hits.docids[at], int(self._hits.scores[at])

    def _mark(self, text: str) -> str:
        return f"{_BOLD}{show_safely(text)}{_PLAIN}" if self._is_styled else f"[{show_safely(text)}]"

    def _dim(self, text: str) -> str:
        return f"{_DIM}{text}{_PLAIN}" if self._is_styled else text


def converse(searcher: LuceneImpactSearcher, k: int, options: Mapping[str, Any]) -> None:
    """Reads queries until the end of the input. At a terminal, there is a prompt, and Ctrl-C only drops a line or an answer.

    Args:
        searcher: Searches the index.
        k: Number of hits.
        options: Options of searches, such as a filter.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, and the input is not a terminal.
    """
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    conversation = Conversation(searcher, k, options, is_styled=is_terminal and "NO_COLOR" not in os.environ)
    stream = raw_stdout()
    if is_terminal:
        echo(HELP)
    with _history(is_used=is_terminal):
        while True:
            try:
                line = input("query> " if is_terminal else "")
                if line.strip() in (":quit", ":q"):
                    return
                for each in conversation.answer(line):
                    stream.write(f"{each}\n")
            except SpladeLuceneError as error:
                echo(describe_error(error))
            except EOFError:
                stream.write("\n" if is_terminal else "")  # for the prompt of the shell
                return
            except KeyboardInterrupt:
                if not is_terminal:
                    raise
                stream.write("\n")
            stream.flush()


@contextmanager
def _history(*, is_used: bool) -> Iterator[None]:
    """Keeps a history of the lines for the next session, where Python has readline."""
    try:
        import readline
    except ImportError:
        is_used = False
    if not is_used:
        yield
        return
    path = cache_folder() / "history"
    with suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY)
    try:
        yield
    finally:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)
