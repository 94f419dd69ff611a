"""Runs the demo: all steps on Python's own documentation."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.options import JsonOption
from splade_lucene.cli.output import ProgressBars, print_table

if TYPE_CHECKING:
    from splade_lucene.records import Contribution


def demo(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="The working folder. Default: the user's cache.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search Python's own documentation.

    Runs the whole pipeline: encode, index, search, evaluate.
    """
    from splade_lucene.demo import run_demo
    from splade_lucene.files.files import cache_folder

    result = run_demo(directory or cache_folder() / "demo", ProgressBars())
    if as_json:
        print(json.dumps({"folder": str(result.folder), "questions": result.questions, "table": result.table}))
        return
    print(f"{result.manifest.documents:,} docstrings of Python {sys.version.split()[0]}, in {result.folder}\n")
    for answer in result.answers:
        print(f"{answer.question.text}?\n")
        for rank, (hit, contributions) in enumerate(answer.hits, 1):
            mark = "*" if hit.docid in answer.relevant else " "
            print(f"  {rank}.{mark}{hit.docid}  {hit.score:,.0f}")
            print(f"      {_contributions(contributions, 5)}")
        if not any(hit.docid in answer.relevant for hit, _ in answer.hits):
            print(f"  known answer: {_known_answer(answer.best_rank, answer.best)}")
        print()
    print("(* known answer; each term contributes query impact x document impact to the score)\n")
    print(f"{result.questions} questions with known answers; runs, topics and qrels in {result.folder}\n")
    print_table({system: dict(means) for system, means in result.table.items()})
    print(
        f'\nAsk your own:\n  splade-lucene search --index {result.folder / "index"} --query "parse command line arguments"'
    )


def _contributions(contributions: Sequence[Contribution], count: int) -> str:
    shown = " + ".join(f"{each.term} {each.query_impact}x{each.document_impact}" for each in contributions[:count])
    rest = sum(each.product for each in contributions[count:])
    return shown + (f" + {len(contributions) - count} more: {rest:,}" if rest else "")


def _known_answer(rank: int | None, docid: str) -> str:
    return f"{docid}, not among the hits" if rank is None else f"{docid}, rank {rank}"
