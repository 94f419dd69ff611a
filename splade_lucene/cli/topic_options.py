"""The option for choosing the fields of topics."""

from __future__ import annotations

from typing import Annotated

import typer

from splade_lucene.errors import InputError
from splade_lucene.topics.trec import check_field


def _known_field(value: str) -> str:
    try:
        check_field(value)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None
    return value


TopicFieldOption = Annotated[
    str,
    typer.Option(
        "--topic-field",
        metavar="NAME",
        callback=_known_field,
        help="Fields of TREC topics: title, desc, narr, or title+desc …",
    ),
]
