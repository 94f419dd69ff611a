"""Step 8: runs to measures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from splade_lucene.cli.options import JsonOption
from splade_lucene.cli.output import note, print_table
from splade_lucene.evaluation import DEFAULT_MEASURES


def evaluate(
    qrels: Annotated[Path, typer.Option("--qrels", metavar="FILE", help="Judgments, TREC or BEIR format.")],
    run: Annotated[list[Path], typer.Option("--run", metavar="RUN", help="A TREC run; may be given several times.")],
    measures: Annotated[str, typer.Option("--measures", help="As ir_measures spells them.")] = " ".join(
        DEFAULT_MEASURES
    ),
    as_json: JsonOption = False,
) -> None:
    """Evaluate runs against judgments."""
    from splade_lucene.evaluation import evaluate as evaluate_run
    from splade_lucene.evaluation import read_qrels
    from splade_lucene.run import Run

    judged = read_qrels(qrels)
    table = {}
    for path in run:
        ranked = Run.read(path)
        missing = len(set(judged) - set(ranked))
        if missing:
            note(f"{path}: {missing} of {len(judged)} judged queries have no hits; each counts as 0")
        table[str(path)] = evaluate_run(judged, ranked, re.split(r"[,\s]+(?![^()]*\))", measures.strip()))
    if as_json:
        print(json.dumps(table))
    else:
        print_table(table)
