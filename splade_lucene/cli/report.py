"""Measures the loss of an encoding on a sample, before hours are spent on the whole corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.option_groups import DocumentOptions, ModelOptions, takes_options
from splade_lucene.cli.options import CorpusOption, IdFieldOption, JsonOption, SkipBadOption, TextFieldOption
from splade_lucene.cli.output import ProgressBars, Skipped
from splade_lucene.counts import counted
from splade_lucene.defaults import SAMPLE_DOCUMENTS

if TYPE_CHECKING:
    from splade_lucene.evaluation.loss_report import Distortion


@takes_options(options=ModelOptions, documents=DocumentOptions)
def report(
    corpus: CorpusOption,
    options: ModelOptions,
    documents: DocumentOptions,
    sample: Annotated[
        int, typer.Option("--sample", min=1, help="Number of documents in the sample.")
    ] = SAMPLE_DOCUMENTS,
    topics: Annotated[
        Path | None,
        typer.Option("--topics", metavar="FILE", help="Queries for measuring effectiveness; requires --qrels."),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option("--qrels", metavar="FILE", help="Judgments for measuring effectiveness; requires --topics."),
    ] = None,
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the loss of an encoding.

    Compares the effects of precision, pruning and quantization with float32 on a sample of the corpus.
    """
    from splade_lucene.evaluation.loss_report import measure_loss

    if (topics is None) != (qrels is None):
        raise typer.BadParameter("--topics and --qrels must be used together")
    encoder = options.open_encoder(documents)
    measured = measure_loss(
        corpus, encoder, options.open_quantizer(encoder), pruning=documents.pruning, min_impact=documents.min_impact,
        sample=sample, topics=topics, qrels=qrels, id_field=id_field, text_field=text_field, skip_bad=skip_bad,
        on_problem=Skipped(), progress=ProgressBars(),
    )  # fmt: skip
    if as_json:
        print(json.dumps(measured.to_json()))
    else:
        _print(measured)


def _print(measured: Distortion) -> None:
    measures = list(measured.rows[0].effectiveness)
    documents, queries = counted(measured.documents, "document"), counted(measured.queries, "query")
    print(f"{documents}, {queries}; each row is compared with the first\n")
    print(f"{'':34} {'relative L2':>11} {'terms lost':>10} {'terms':>7} {'changed impacts':>15}", end="")
    print("".join(f" {measure:>9}" for measure in measures))
    for row in measured.rows:
        changed = "" if row.changed_impacts is None else f"{row.changed_impacts:.3%}"
        print(f"{row.name:34} {row.relative_l2:>11.5f} {row.terms_lost:>10.2%} {row.terms:>7.1f} {changed:>15}", end="")
        print("".join(f" {row.effectiveness[measure]:>9.4f}" for measure in measures))
