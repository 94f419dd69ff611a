"""Runs the demo: all steps on Python's own documentation."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.options import JsonOption
from splade_lucene.cli.output import ProgressBars, print_table
from splade_lucene.counts import counted

if TYPE_CHECKING:
    from splade_lucene.demo import Answer, DemoResult, FirstAnswers
    from splade_lucene.records import Contribution


def demo(
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="The working folder: empty, or of an earlier demo. Default: the user's cache."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search Python's own documentation.

    Runs the whole pipeline: encode, index, search, evaluate.
    """
    from splade_lucene.demo import run_demo
    from splade_lucene.files.files import cache_folder

    result = run_demo(directory or cache_folder() / "demo", ProgressBars(), None if as_json else _print_first)
    if as_json:
        print(json.dumps({"folder": str(result.folder), "questions": result.questions, "table": result.table}))
        return
    print(f"{counted(result.manifest.documents, 'docstring')} of Python {sys.version.split()[0]}, in {result.folder}\n")
    for answer in result.answers:
        _print_answer(answer, terms=5)
    print("(* known answer; each term contributes query impact x document impact to the score)\n")
    print(f"{counted(result.questions, 'question')} with known answers; runs, topics and qrels in {result.folder}\n")
    print_table({system: dict(means) for system, means in result.table.items()})
    print("\nTry next:")
    for arguments in _next_commands(result):
        print(f"  {_program()} {shlex.join(arguments)}")


def _print_first(first: FirstAnswers) -> None:
    print(f"First the {counted(first.documents, 'docstring')} of {', '.join(first.modules)}:\n")
    for answer in first.answers:
        _print_answer(answer, terms=0)
    print("Now those of all modules.\n", flush=True)


def _print_answer(answer: Answer, terms: int) -> None:
    """Prints a question and its hits, each with some of its terms."""
    print(f"{answer.question.text}?\n")
    for rank, (hit, contributions) in enumerate(answer.hits, 1):
        mark = "*" if hit.docid in answer.relevant else " "
        print(f"  {rank}.{mark}{hit.docid}  {hit.score:,.0f}")
        if terms:
            print(f"      {_contributions(contributions, terms)}")
    if not any(hit.docid in answer.relevant for hit, _ in answer.hits):
        print(f"  known answer: {_known_answer(answer.best_rank, answer.best)}")
    print()


def _next_commands(result: DemoResult) -> list[list[str]]:
    """Commands that search the demo's index, explain a score, and compare the two systems."""
    index, runs, answer = str(result.folder / "index"), result.folder / "runs", result.answers[0]
    return [
        ["search", "--index", index, "--query", "parse command line arguments"],
        ["explain", "--index", index, "--query", answer.question.text, "--docid", answer.hits[0][0].docid],
        ["compare", "--qrels", str(result.folder / "qrels.txt"),
         "--run", str(runs / "bm25.trec"), "--run", str(runs / "splade.trec")],
    ]  # fmt: skip


def _program() -> str:
    """What starts this program in the user's shell: its name where that is found, else its path."""
    program = Path(sys.executable).parent / "splade-lucene"
    on_path = shutil.which("splade-lucene")
    if on_path is not None and Path(on_path).resolve() == program.resolve():
        return "splade-lucene"
    if not program.exists():
        return f"{shlex.quote(sys.executable)} -m splade_lucene"
    here = Path.cwd()
    return shlex.quote(str(program.relative_to(here) if program.is_relative_to(here) else program))


def _contributions(contributions: Sequence[Contribution], count: int) -> str:
    shown = " + ".join(f"{each.term} {each.query_impact}x{each.document_impact}" for each in contributions[:count])
    rest = sum(each.product for each in contributions[count:])
    return shown + (f" + {len(contributions) - count} more: {rest:,}" if rest else "")


def _known_answer(rank: int | None, docid: str) -> str:
    return f"{docid}, not among the hits" if rank is None else f"{docid}, rank {rank}"
