"""Options that several commands share, each spelled, explained and defaulted once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from splade_lucene.errors import InputError
from splade_lucene.quantizer import RULES


class Pooling(str, Enum):
    """SPLADE's two poolings."""

    max = "max"
    sum = "sum"


class Activation(str, Enum):
    """What is done with logits."""

    log1p_relu = "log1p_relu"
    log1p_log1p_relu = "log1p_log1p_relu"


class Queries(str, Enum):
    """How queries are encoded."""

    model = "model"
    lexical = "lexical"
    binary = "binary"
    table = "table"


class Dtype(str, Enum):
    """Floating-point types of the network of documents."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


class QueryDtype(str, Enum):
    """Floating-point types of the network of queries."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


class Store(str, Enum):
    """What an index keeps of a document."""

    none = "none"
    text = "text"
    raw = "raw"


class Order(str, Enum):
    """How an index numbers its documents."""

    bp = "bp"
    input = "input"


QuantizerName = Enum("QuantizerName", {"auto": "auto", **{name: name for name in RULES}}, type=str)  # type: ignore[misc]


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Tells of a wrong value as typer tells of wrong options; for blocks that read nothing but options."""
    try:
        yield
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def _one_device(value: str) -> str:
    if "," in value:
        raise typer.BadParameter("several devices are for encode and build.")
    return value


QueriesOption = Annotated[
    Queries | None,
    typer.Option(
        "--queries",
        help="model; lexical: the query's own terms only; binary: SPLADE-doc; table: idf.json and the like.",
    ),
]
QueryPrefixOption = Annotated[str | None, typer.Option("--query-prefix", help="Put before each query.")]
QueryMaxLengthOption = Annotated[
    int | None, typer.Option("--query-max-length", min=3, help="Tokens after which a query is cut.")
]
TrustOption = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that the checkpoint brings.")]
ScaleOption = Annotated[
    float | None, typer.Option("--scale", help="Impacts per unit of weight, in place of the rule's.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", callback=_one_device, metavar="NAME", help="auto, cpu, cuda, cuda:1 …")
]
QueryDtypeOption = Annotated[
    QueryDtype, typer.Option("--dtype", help="auto is float32; int8 holds the decoder in 8 bits.")
]
CorpusOption = Annotated[
    str,
    typer.Option(
        "--corpus", metavar="SRC",
        help=".jsonl, .tsv or .parquet file, a folder of them, a BEIR folder, a folder of .txt/.md, irds:NAME, hf:NAME, "
        "or python-docs.",
    ),
]  # fmt: skip
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
IndexOption = Annotated[Path, typer.Option("--index", metavar="DIR", help="The Lucene index.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, max=65_536, help="Threads. Default: all cores.")]
StoreOption = Annotated[
    Store, typer.Option("--store", help="Keep nothing, the text, or the whole input (Anserini's -storeRaw).")
]
OrderOption = Annotated[
    Order, typer.Option("--order", help="bp: documents that share terms become neighbours, for speed. No hit changes.")
]
AcceleratorOption = Annotated[
    bool,
    typer.Option(
        "--accelerator/--no-accelerator",
        help="Keep the postings once more as searches want them, 3.5 bytes each. No hit changes.",
    ),
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out, count and name what cannot be read or indexed.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
