"""``search --interactive``: the input, and the answers."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.commands import run, run_fed, run_well
from support.processes import child_environment

from splade_lucene import LuceneImpactIndexer, LuceneImpactSearcher, PseudoDocument, QueryError, TokFreqQueryEncoder
from splade_lucene.cli import interactive
from splade_lucene.cli.interactive import Conversation

DOCUMENTS = [
    PseudoDocument("d1", "a cat and a dog", {"cat": 5, "dog": 2}, {"lang": "en"}),
    PseudoDocument("d2", "the cat \x1b[31m", {"cat": 3}, {"lang": "en"}),
    PseudoDocument("d3", "fish", {"fish": 9}, {"lang": "de"}),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interactive") / "index"
    with LuceneImpactIndexer(folder, fields={"lang": "keyword"}) as indexer:
        indexer.add(DOCUMENTS)
    return folder


@pytest.fixture
def conversation(index: Path):
    with LuceneImpactSearcher(index, TokFreqQueryEncoder()) as searcher:
        yield Conversation(searcher, 10, {}, is_styled=False)


def test_hits_are_shown_with_terms_and_marks(conversation):
    assert [*conversation.answer("cat dog cat")] == [
        "cat 2, dog 1",
        "  1       12  d1",
        "    a [cat] and a [dog]",
        "  2        6  d2",
        r"    the [cat] \u001b[31m",
    ]
    assert [*conversation.answer("bird")] == ["bird 1", "no document shares a term with the query"]
    assert [*conversation.answer("  ")] == []


def test_hits_are_explained_shown_and_compared(conversation):
    list(conversation.answer("cat dog cat"))
    lines = [*conversation.answer(":explain 1")]
    assert [line.split()[:4] for line in lines[:-1]] == [["cat", "2", "5", "10"], ["dog", "1", "2", "2"]]
    assert lines[-1] == "d1: 12"
    assert [*conversation.answer(":text 2")] == [r"the cat \u001b[31m"]
    assert next(conversation.answer(":like 1")).split()[-1] == "d2"
    assert [*conversation.answer(":hits 1")] == ["showing 1 hit"]
    assert len([*conversation.answer("cat")]) == 3
    assert any(":explain" in line for line in conversation.answer(":what"))
    with pytest.raises(QueryError, match="from 1 to 1, got '7'"):
        list(conversation.answer(":text 7"))


def test_no_hit_because_of_a_filter(index):
    with LuceneImpactSearcher(index, TokFreqQueryEncoder()) as searcher:
        conversation = Conversation(searcher, 10, {"filter": 'lang = "de"'}, is_styled=False)
        last = [*conversation.answer("cat")][-1]
    assert last == "no document that matches the filter shares a term with the query"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_ctrl_c_drops_a_line_of_a_terminal_and_ends_other_input(index, monkeypatch, capsys, is_terminal):
    lines: Iterator[type[BaseException] | str] = iter([KeyboardInterrupt, "fish", EOFError])

    def read(_: str) -> str:
        line = next(lines)
        if isinstance(line, type):
            raise line
        return line

    device = SimpleNamespace(isatty=lambda: is_terminal)
    monkeypatch.setattr(interactive, "input", read, raising=False)
    monkeypatch.setattr(interactive, "sys", SimpleNamespace(stdin=device, stdout=device))
    monkeypatch.setenv("NO_COLOR", "1")
    with LuceneImpactSearcher(index, TokFreqQueryEncoder()) as searcher:
        if is_terminal:
            interactive.converse(searcher, 10, {})
        else:
            with pytest.raises(KeyboardInterrupt):
                interactive.converse(searcher, 10, {})
    assert ("[fish]" in capsys.readouterr().out) == is_terminal


def test_a_conversation_on_the_command_line(tmp_path, encoder):
    corpus = tmp_path / "corpus.tsv"
    corpus.write_text("d1\tthe heart pumps blood\nd2\tan index of terms\n")
    run_well("build", "--corpus", corpus, "--index", tmp_path / "index")
    done = run_fed(
        b"blood\n:explain 1\n:text 9\n:quit\nnever\n", "search", "--index", tmp_path / "index", "--interactive"
    )
    assert done.returncode == 0, done.stderr
    assert "[blood]" in done.stdout
    assert "+" in done.stdout.splitlines()[0]
    assert "expected a number from 1 to" in done.stderr
    assert "never" not in done.stdout
    refused = run("search", "--index", tmp_path / "index", "--interactive", "--query", "x", "--json")
    assert refused.returncode == 2
    assert "--interactive does not support --query, --json" in refused.stderr


@pytest.mark.process
def test_a_terminal_gets_a_prompt_styles_and_a_history(index, tmp_path):
    program = f"""
from splade_lucene import LuceneImpactSearcher, TokFreqQueryEncoder
from splade_lucene.cli.interactive import converse
from splade_lucene.cli.terminal import safe_output
with safe_output(), LuceneImpactSearcher({str(index)!r}, TokFreqQueryEncoder()) as searcher:
    converse(searcher, 10, {{"filter": 'lang = "en"'}})
"""
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs,
        env=child_environment(XDG_CACHE_HOME=str(tmp_path), TERM="xterm", NO_COLOR=None),
    )  # fmt: skip
    os.close(theirs)
    shown = b""

    def wait_for(text: bytes) -> None:
        nonlocal shown
        end = time.monotonic() + 60
        while text not in shown and time.monotonic() < end:
            shown += os.read(mine, 10_000)
        assert text in shown, shown

    wait_for(b"query> ")
    os.write(mine, b"cat\n")
    wait_for(b"\x1b[1mcat\x1b[0m")
    wait_for(b"\\u001b[31m")
    shown = shown[shown.rindex(b"\\u001b[31m") :]
    wait_for(b"query> ")  # before it, the terminal takes Ctrl-D for another key than readline does
    os.write(mine, b"\x04")
    assert process.wait(30) == 0
    os.close(mine)
    assert "cat" in (tmp_path / "splade-lucene" / "history").read_text()
