"""Options shared by several commands."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from splade_lucene.cli.output import describe_error
from splade_lucene.encoder.layout import QueryMode
from splade_lucene.encoder.settings import Backend, QueryDtype
from splade_lucene.errors import InputError
from splade_lucene.index.indexer import Order, Store
from splade_lucene.index.joined import Duplicates
from splade_lucene.quantizer import RuleName

QuantizerName = Literal["auto", RuleName]


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Reports input errors as wrong usage; for blocks that only evaluate options."""
    try:
        yield
    except InputError as error:
        raise typer.BadParameter(describe_error(error)) from None


def check_required(missing: str, **given: bool) -> None:
    """Refuses options that have no effect without something else.

    Args:
        missing: What is not given.
        given: Argument of an option → whether it is given.
    """
    if options := to_flags(**given):
        raise typer.BadParameter(f"{', '.join(options)} {'requires' if len(options) == 1 else 'require'} {missing}")


def check_supported(option: str, **given: bool) -> None:
    """Refuses options that have no effect beside another one.

    Args:
        option: The option beside which they have none.
        given: Argument of an option → whether it is given.
    """
    if options := to_flags(**given):
        raise typer.BadParameter(f"{option} does not support {', '.join(options)}")


def to_flags(**given: bool) -> list[str]:
    """The flags of the options that are given."""
    return [f"--{name.replace('_', '-')}" for name, is_given in given.items() if is_given]


def read_docids(path: Path) -> list[str]:
    """Reads a file of docids, one per line.

    Raises:
        InputError: It cannot be read, or has none.
    """
    from splade_lucene.files.files import numbered_lines, open_text

    try:
        with open_text(path) as file:
            docids = [docid for _, line in numbered_lines(file) if (docid := line.strip())]
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise InputError(
            f"cannot read this file ({error})", path=path, remedy="Pass a UTF-8 text file with one docid per line"
        ) from error
    if not docids:
        raise InputError("no docids in this file", path=path, remedy="Write one docid per line")
    return docids


def _one_device(value: str) -> str:
    if "," in value:
        raise typer.BadParameter("only encode, build and report accept several devices")
    return value


QueryModeOption = Annotated[
    QueryMode | None,
    typer.Option(
        "--query-mode",
        help="model; lexical: only the query's own terms; binary: SPLADE-doc; table: idf.json or similar.",
    ),
]
QueryPrefixOption = Annotated[str | None, typer.Option("--query-prefix", help="Text to prepend to each query.")]
QueryMaxLengthOption = Annotated[
    int | None, typer.Option("--query-max-length", min=3, help="Truncate queries to this many tokens.")
]
TrustOption = Annotated[bool, typer.Option("--trust-remote-code", help="Run code shipped with the checkpoint.")]
ScaleOption = Annotated[
    float | None, typer.Option("--scale", help="Impacts per unit of weight. Default: the quantizer's.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", callback=_one_device, metavar="NAME", help="auto, cpu, cuda, cuda:1 …")
]
QueryDtypeOption = Annotated[QueryDtype, typer.Option("--dtype", help="auto: float32. int8: the decoder in 8 bits.")]
BackendOption = Annotated[
    Backend, typer.Option("--backend", help="auto: ONNX Runtime if the checkpoint has an ONNX file, else torch.")
]
CorpusOption = Annotated[
    str,
    typer.Option(
        "--corpus", metavar="SRC",
        help=".jsonl, .json, .tsv, .csv or .parquet file, a folder of them, a BEIR folder, a folder of .txt/.md, "
        "irds:NAME, hf:NAME, or python-docs.",
    ),
]  # fmt: skip
IdFieldOption = Annotated[
    str | None,
    typer.Option(
        "--id-field", metavar="NAME", help="Key or column of the document id. Default: id, _id, docid, doc_id."
    ),
]
TextFieldOption = Annotated[
    str | None, typer.Option("--text-field", metavar="NAME", help="Key or column of the text. Default: contents, text.")
]
FieldsOption = Annotated[
    str | None,
    typer.Option(
        "--fields", metavar="NAMES",
        help="Fields to filter by: NAME or NAME:TYPE, separated by commas, or all. Types: keyword, keyword[], integer, "
        "number, date, boolean. Default type: inferred.",
    ),
]  # fmt: skip
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")]
IndexOption = Annotated[Path, typer.Option("--index", metavar="DIR", help="The Lucene index.")]
IndexesOption = Annotated[
    list[Path], typer.Option("--index", metavar="DIR", help="The Lucene index; repeat for several, searched as one.")
]
OptionalIndexesOption = Annotated[
    list[Path] | None,
    typer.Option("--index", metavar="DIR", help="The Lucene index; repeat for several, used as one."),
]
DuplicatesOption = Annotated[
    Duplicates,
    typer.Option("--duplicates", help="A docid in several indexes: refuse it, or take the last document."),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, max=65_536, help="Number of threads. Default: all cores.")
]
Bm25Option = Annotated[
    bool,
    typer.Option("--bm25", help="Index the texts for BM25, too, in a second field, for 'search --hybrid'."),
]
StoreOption = Annotated[
    Store, typer.Option("--store", help="Store nothing, the text, or the whole input (Anserini's -storeRaw).")
]
OrderOption = Annotated[
    Order,
    typer.Option("--order", help="bp: reorder documents for faster search. The hits are the same."),
]
AcceleratorOption = Annotated[
    bool,
    typer.Option(
        "--accelerator/--no-accelerator",
        help="Add a second copy of the postings (3.5 bytes each) for faster search. The hits are the same.",
    ),
]
SkipBadOption = Annotated[
    bool,
    typer.Option("--skip-bad", help="Skip and report documents that cannot be read or indexed."),
]
RemoveQueryOption = Annotated[
    bool, typer.Option("--remove-query", help="Drop hits whose docid is the qid, as BEIR does (ArguAna, Quora).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
