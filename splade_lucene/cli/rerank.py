"""Reranks a run with a cross-encoder."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splade_lucene.cli.options import (
    DeviceOption,
    IdFieldOption,
    JsonOption,
    TextFieldOption,
    TrustOption,
    check_required,
)
from splade_lucene.cli.output import ProgressBars, echo
from splade_lucene.cli.run import OutputFormatOption, OutputOption, RunOption, TagOption
from splade_lucene.cli.search_options import check_tag
from splade_lucene.cli.topic_options import TopicFieldOption
from splade_lucene.counts import counted
from splade_lucene.defaults import HITS_TO_RERANK, RERANK_BATCH
from splade_lucene.imports import uninterrupted_imports

if TYPE_CHECKING:
    from splade_lucene.run.reranker import Texts
    from splade_lucene.run.run import Run


def rerank(
    run: RunOption,
    topics: Annotated[str, typer.Option("--topics", metavar="FILE", help="The queries, as text: a file or a name.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Folder or hub name of a cross-encoder.")],
    output: OutputOption,
    index_dir: Annotated[
        Path | None, typer.Option("--index", metavar="DIR", help="The index from which to read the stored texts.")
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option("--corpus", metavar="SRC", help="The corpus with the texts, instead of an index."),
    ] = None,
    id_field: IdFieldOption = None,
    text_field: TextFieldOption = None,
    hits: Annotated[int, typer.Option("--hits", min=1, help="Number of hits to rerank per query.")] = HITS_TO_RERANK,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Pairs per batch.")] = RERANK_BATCH,
    max_length: Annotated[
        int | None,
        typer.Option("--max-length", min=8, help="Truncate pairs to this many tokens. Default: the model's."),
    ] = None,
    device: DeviceOption = "auto",
    topic_field: TopicFieldOption = "title",
    trust_remote_code: TrustOption = False,
    output_format: OutputFormatOption = None,
    tag: TagOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rerank a run with a cross-encoder.

    Run it again to resume after an interruption.
    """
    if (index_dir is None) == (corpus is None):
        raise typer.BadParameter("pass either --index or --corpus")
    if corpus is None:
        check_required("--corpus", id_field=id_field is not None, text_field=text_field is not None)
    with uninterrupted_imports("rerank"):
        from transformers.utils import logging as transformers_logging

    from splade_lucene.files.files import work_folder
    from splade_lucene.files.outputs import is_stream
    from splade_lucene.run.reranker import Reranker
    from splade_lucene.run.run import Run
    from splade_lucene.topics.reading import read_topics

    transformers_logging.disable_progress_bar()
    first_stage = Run.read(run)
    check_tag(tag, output_format or first_stage.format)
    queries = read_topics(topics, field=topic_field)
    folder = None if is_stream(output) else work_folder(output.absolute(), "reranking")
    with ExitStack() as opened:
        texts = _open_texts(index_dir, corpus, first_stage, hits, opened, id_field=id_field, text_field=text_field)
        reranker = Reranker(
            model, device=device, max_length=max_length, batch_size=batch_size, trust_remote_code=trust_remote_code
        )
        pairs = sum(min(hits, len(ranking)) for ranking in first_stage.values())
        reranked = reranker.rerank(
            first_stage,
            queries,
            texts,
            hits,
            scores_file=folder and folder / "scores.jsonl",
            progress=ProgressBars(),
        )
    reranked.write(output, format=output_format or first_stage.format, tag=tag)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    echo(f"{counted(len(reranked), 'query')} in {output}, {counted(pairs, 'hit')} scored by {model}")
    if as_json:
        print(json.dumps({"run": str(output), "queries": len(reranked), "scored": pairs, "model": model}))


def _open_texts(
    index_dir: Path | None, corpus: str | None, run: Run, hits: int, opened: ExitStack, *, id_field: str | None,
    text_field: str | None,
) -> Texts:  # fmt: skip
    from splade_lucene.run.reranker import StoredTexts, texts_of_corpus

    if index_dir is not None:
        return opened.enter_context(StoredTexts(index_dir))
    assert corpus is not None
    docids = {docid for ranking in run.values() for docid, _ in ranking[:hits]}
    return texts_of_corpus(corpus, docids, id_field=id_field, text_field=text_field)
