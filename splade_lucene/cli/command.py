"""A command whose input and output may be pipes: ``-`` stands for standard input or output."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import typer
import typer.core

from splade_lucene.cli.options import wrong_usage
from splade_lucene.cli.terminal import show_safely
from splade_lucene.files.files import check_output
from splade_lucene.files.pipes import STANDARD_INPUT, copy_pipe, is_pipe
from splade_lucene.records import well_formed

INPUTS = frozenset({
    "baseline", "config", "corpus", "only", "pairs", "qids", "qrels", "run", "source", "token_file", "topics",
    "without",
})  # fmt: skip
"""Arguments that name a file to read."""

_STANDARD_OUTPUT = "/dev/stdout"


class Command(typer.core.TyperCommand):
    """Replaces the names of pipes by those of copies, which can be read several times."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        self._check_decodable(ctx)
        output = ctx.params.get("output")
        if output is not None and not self._writes_folder():
            if str(output) == "-":
                ctx.params["output"] = type(output)(_STANDARD_OUTPUT)
            with wrong_usage():
                check_output(Path(output))
            self._check_not_input(ctx)
        given = {name: ctx.params[name] for name in sorted(INPUTS & ctx.params.keys())}
        pipes = [str(each) for value in given.values() for each in _listed(value) if is_pipe(str(each))]
        if pipes.count(STANDARD_INPUT) > 1:
            raise typer.BadParameter("only one input can be -, which is standard input")
        if not pipes:
            return super().invoke(ctx)
        with tempfile.TemporaryDirectory(prefix="splade-lucene-") as folder:
            copies = {source: _copy(source, Path(folder) / str(number)) for number, source in enumerate(pipes)}
            for name, value in given.items():
                chosen = [type(each)(copies.get(str(each), each)) for each in _listed(value)]
                ctx.params[name] = chosen if isinstance(value, list | tuple) else next(iter(chosen), value)
            return super().invoke(ctx)

    def _check_decodable(self, ctx: Any) -> None:
        """Refuses arguments, or a working folder, that are not text in the encoding of Python's file names."""
        for parameter in self.params:
            for each in _listed(ctx.params.get(parameter.name)):
                if well_formed(str(each)) != str(each):
                    raise typer.BadParameter(_undecodable(str(each)), ctx=ctx, param=cast(Any, parameter))
        with suppress(FileNotFoundError):  # the working folder has been deleted
            if well_formed(str(Path.cwd())) != str(Path.cwd()):
                raise typer.BadParameter(f"the working folder: {_undecodable(str(Path.cwd()))}")

    def _check_not_input(self, ctx: Any) -> None:
        """Refuses an output that would replace an input, unless it is a run that is changed in place."""
        output = Path(ctx.params["output"])
        for name in sorted((INPUTS - {"run", "baseline"}) & ctx.params.keys()):
            for each in _listed(ctx.params[name]):
                if output.is_file() and Path(each).is_file() and output.samefile(each):
                    raise typer.BadParameter(f"--output {output} would replace --{name}: name another file")

    def _writes_folder(self) -> bool:
        return any(each.name == "output" and each.metavar == "DIR" for each in self.params)


def _undecodable(value: str) -> str:
    encoding = sys.getfilesystemencoding()
    remedy = "rename it" if encoding == "utf-8" else "set PYTHONUTF8=1, or LC_ALL=C.UTF-8"
    shown = show_safely(os.fsencode(value).decode("utf-8", "backslashreplace"))
    return f"{shown} is not text in the encoding {encoding}: {remedy}"


def _listed(value: Any) -> list[str | Path]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _copy(source: str, folder: Path) -> Path:
    folder.mkdir()
    return copy_pipe(source, folder)
