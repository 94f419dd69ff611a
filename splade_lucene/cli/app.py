"""The main program: all commands, error messages and exit codes.

Exit codes: 0 success; 1 failure, with a message on stderr (and a traceback with --debug); 2 wrong usage; 130 Ctrl-C.
"""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
import typer.core

from splade_lucene.cli import interrupts
from splade_lucene.cli.accelerate import accelerate
from splade_lucene.cli.bm25 import bm25
from splade_lucene.cli.build import build
from splade_lucene.cli.change import add, delete, optimize
from splade_lucene.cli.check import check
from splade_lucene.cli.command import Command
from splade_lucene.cli.compare import compare
from splade_lucene.cli.demo import demo
from splade_lucene.cli.encode import encode, encode_queries
from splade_lucene.cli.evaluate import evaluate
from splade_lucene.cli.export import export
from splade_lucene.cli.import_command import import_command
from splade_lucene.cli.index import index
from splade_lucene.cli.merge import merge
from splade_lucene.cli.models import models
from splade_lucene.cli.more_like_this import more_like_this
from splade_lucene.cli.output import as_flags, describe_error, echo
from splade_lucene.cli.push import push
from splade_lucene.cli.report import report
from splade_lucene.cli.reproduce import reproduce
from splade_lucene.cli.rerank import rerank
from splade_lucene.cli.run import run_tools
from splade_lucene.cli.score import score
from splade_lucene.cli.search import explain, search
from splade_lucene.cli.serve import serve
from splade_lucene.cli.stats import stats
from splade_lucene.cli.terminal import safe_output
from splade_lucene.cli.train import train
from splade_lucene.errors import SpladeLuceneError
from splade_lucene.version import __version__

_MOVED = {
    ("encode", "--report"): "splade-lucene report --corpus SRC",
    ("index", "--accelerate"): "splade-lucene accelerate --index DIR",
}


class _Commands(typer.core.TyperGroup):
    """Turns errors in commands into messages and exit codes."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Refuses the spelling of what has become a command of its own."""
        for (command, flag), successor in _MOVED.items():
            if args[:1] == [command] and flag in args:
                raise typer.BadParameter(f"'{command} {flag}' is now a command of its own: {successor}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs a command; what it prints is safe for a terminal."""
        with safe_output():
            return self._invoke(ctx)

    def _invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            echo(interrupts.MESSAGE)
            raise typer.Exit(130) from None
        except SpladeLuceneError as error:
            if _debug:
                raise
            echo(f"splade-lucene: {describe_error(error)}")
            raise typer.Exit(1) from None


_debug = False

app = typer.Typer(
    name="splade-lucene",
    cls=_Commands,
    help="SPLADE retrieval on plain Lucene impact indexes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    demo,
    encode,
    encode_queries,
    report,
    index,
    accelerate,
    build,
    add,
    delete,
    optimize,
    merge,
    check,
    export,
    push,
    search,
    more_like_this,
    score,
    rerank,
    evaluate,
    compare,
    explain,
    serve,
    stats,
    models,
    train,
    reproduce,
):
    app.command(cls=Command)(command)
app.command("import", cls=Command)(import_command)
app.add_typer(bm25)
app.add_typer(run_tools, name="run")


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; allowed anywhere.")] = False,  # noqa: ARG001
) -> None:
    """SPLADE retrieval on plain Lucene impact indexes."""
    if version:
        print(__version__)
        raise typer.Exit


class _Messages(logging.Handler):
    """Prints log messages like all other messages."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        echo(text if _debug else as_flags(text))


def run_program() -> None:
    """Runs the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the encoding may lack characters of help and usage
    global _debug
    _debug = "--debug" in sys.argv
    logging.basicConfig(
        level=logging.DEBUG if _debug else logging.WARNING, handlers=[_Messages()],
        format=logging.BASIC_FORMAT if _debug else "%(message)s",
    )  # fmt: skip
    try:
        app(args=[argument for argument in sys.argv[1:] if argument != "--debug"], prog_name="splade-lucene")
    except BrokenPipeError:  # the reader of our output, such as head, has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
