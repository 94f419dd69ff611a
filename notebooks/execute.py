#!/usr/bin/env python3
"""Executes notebooks/*.py and writes each as .ipynb with its output. Run by ``make notebooks``."""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent


def sources() -> list[Path]:
    """The notebooks as scripts, in order."""
    return sorted(path for path in HERE.glob("[0-9]*.py"))


def execute(path: Path) -> NotebookNode:
    """Runs a notebook from top to bottom; an exception in a cell is raised here."""
    notebook = jupytext.read(path)
    place = {"metadata": {"path": str(HERE)}}  # streams as one output a cell, however the kernel sent them
    NotebookClient(notebook, timeout=600, kernel_name="python3", coalesce_streams=True, resources=place).execute()
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # not at random, so that an unchanged notebook stays the same file
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Executes the notebooks named on the command line, or all."""
    for path in [Path(name) for name in sys.argv[1:]] or sources():
        jupytext.write(execute(path), path.with_suffix(".ipynb"))
        print(path.with_suffix(".ipynb"))  # noqa: T201


if __name__ == "__main__":
    main()
