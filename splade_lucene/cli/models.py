"""Lists known checkpoints, and describes one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splade_lucene.cli.option_groups import ModelOptions, given_options, takes_options
from splade_lucene.cli.options import DeviceOption, JsonOption, check_required, check_supported
from splade_lucene.cli.output import echo
from splade_lucene.encoder.storage import SaveDtype

if TYPE_CHECKING:
    from splade_lucene.encoder import SpladeEncoder


@takes_options(options=ModelOptions)
def models(
    options: ModelOptions,
    checkpoint: Annotated[
        str | None, typer.Argument(help="Folder or hub name of a model. Default: list known models.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="DIR", help="Save an 8-bit checkpoint with ordinary weights, or any with --onnx."
        ),
    ] = None,
    save_dtype: Annotated[
        SaveDtype | None, typer.Option("--save-dtype", help="Type of the saved weights. Default: float32.")
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also save the network as ONNX; its queries need no torch.")
    ] = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """List known models, or describe one.

    A model is loaded and described, with the files from which its settings were read.
    """
    if save is None:
        check_required("--save", save_dtype=save_dtype is not None, onnx=onnx)
    if checkpoint is not None and options.model is not None:
        raise typer.BadParameter("CHECKPOINT and --model are mutually exclusive")
    checkpoint = checkpoint or options.model
    settings = {**given_options(options), "model": False, "device": device != "cpu"}
    if checkpoint is None:
        check_required("a checkpoint, such as splade-minilm", save=save is not None, **settings)
        _print_known_models(as_json)
        return
    if save is not None:
        check_supported("--save", **settings)
        _save(checkpoint, save, save_dtype, onnx=onnx)
        return
    encoder = replace(options, model=checkpoint).open_encoder(device=device)
    facts = _describe(encoder, options)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        lines = value if isinstance(value, list) else [f"{value:,}" if isinstance(value, int) else str(value)]
        for line in lines or [""]:
            print(f"{name:16} {line}".rstrip())
            name = ""


def _save(checkpoint: str, target: Path, dtype: SaveDtype | None, *, onnx: bool) -> None:
    from splade_lucene.encoder.location import locate
    from splade_lucene.encoder.onnx_export import save_with_onnx
    from splade_lucene.encoder.storage import restore_from_int8

    if onnx:
        save_with_onnx(checkpoint, target, dtype)
        echo(f"saved the checkpoint to {target} with model.onnx; queries are encoded by ONNX Runtime")
    else:
        restore_from_int8(locate(checkpoint).folder, target, dtype or "float32")
        echo(f"saved the checkpoint to {target}; transformers, sentence-transformers and Pyserini 1.6 can load it")


def _describe(encoder: SpladeEncoder, options: ModelOptions) -> dict[str, Any]:
    from splade_lucene.encoder.layout import TableSide

    layout = encoder.layout
    network: Any = encoder.document_network
    if isinstance(layout.queries, TableSide) or layout.queries.location != layout.documents.location:
        encoder.load("query")  # a separate model, which may be damaged
    return {
        "name": layout.location.name,
        "family": layout.family,
        "documents": layout.documents.describe(),
        "queries": layout.queries.describe(),
        "quantizer": options.open_quantizer(encoder).name,
        "max_length": encoder.max_length,
        "query_max_length": encoder.query_max_length,
        "document_prefix": layout.documents.prefix,
        "query_prefix": layout.queries.prefix,
        **_architecture(network),
        "terms": len(encoder.terms),
        "max_tokens": layout.documents.max_tokens,
        "sha256": layout.documents.location.digest(),
        "found": list(layout.found),
    }


def _architecture(network: Any) -> dict[str, Any]:
    """The architecture and number of parameters, which only networks in PyTorch tell."""
    if hasattr(network, "model"):
        return {"architecture": type(network.model).__name__, "parameters": network.parameters}
    return {"architecture": "a network for ONNX Runtime"}


def _print_known_models(as_json: bool) -> None:
    from splade_lucene.models import known_models

    known = known_models()
    if as_json:
        print(json.dumps(known, ensure_ascii=False))
        return
    print(
        f"{'name':64} {'family':17} {'query mode':10} {'quantizer':9} {'licence':16} {'gated':5} published effectiveness"
    )
    for each in known:
        figures = [f"{e['measure']} {e['value']:g} ({e['data']})" for e in each["effectiveness"][:2]]
        gated = {True: "yes", False: "no", None: "?"}[each["gated"]]
        query_mode = "other" if each["query_model"] else each["query_mode"]
        print(
            f"{each['name']:64} {each['family']:17} {query_mode:10} {each['quantizer'] or '-':9} {each['licence'] or '?':16} "
            f"{gated:5} {', '.join(figures) or '-'}"
        )
    print("\nLengths, notes and the source of each figure: --json")
