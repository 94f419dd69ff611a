#!/usr/bin/env python3
"""Executes notebooks/*.py and writes each as .ipynb with its output. Run by ``make notebooks``."""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

HERE = Path(__file__).resolve().parent
RESET = f"import os\nos.chdir({str(HERE)!r})\n%reset -f"
"""Code that gives a reused kernel its folder back and deletes its variables."""


def sources() -> list[Path]:
    """The notebooks as scripts, in order."""
    return sorted(path for path in HERE.glob("[0-9]*.py"))


def execute(path: Path, kernel: AsyncKernelManager | None = None) -> NotebookNode:
    """Runs a notebook from top to bottom; an exception in a cell is raised here.

    A given kernel is started if it does not run, is reset before the notebook runs, and is left running.
    """
    notebook = jupytext.read(path)
    if kernel is not None and kernel.has_kernel:
        _run(new_notebook(cells=[new_code_cell(RESET)]), kernel)
    _run(notebook, kernel)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # fixed, so that an unchanged notebook gives the same file
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    return notebook


def _run(notebook: NotebookNode, kernel: AsyncKernelManager | None) -> None:
    folder = {"metadata": {"path": str(HERE)}}
    client = NotebookClient(  # one stream output per cell, however the kernel sent it
        notebook, kernel, timeout=600, kernel_name="python3", coalesce_streams=True, resources=folder
    )
    client.execute()
    if client.kc is not None:  # of a kernel that was given
        client.kc.stop_channels()


def main() -> None:
    """Executes the notebooks named on the command line, or all."""
    for path in [Path(name) for name in sys.argv[1:]] or sources():
        jupytext.write(execute(path), path.with_suffix(".ipynb"))
        print(path.with_suffix(".ipynb"))  # noqa: T201


if __name__ == "__main__":
    main()
