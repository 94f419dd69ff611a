"""Each notebook runs from top to bottom, and its .ipynb shows the output of just this code."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator

import jupytext
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_core.utils import run_sync
from support.processes import ROOT

spec = importlib.util.spec_from_file_location("notebooks_execute", ROOT / "notebooks" / "execute.py")
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)


def outputs(notebook) -> list[str]:
    """What each cell shows: printed text and the value of its last line."""
    found = []
    for cell in notebook.cells:
        texts = [each.get("text") or each.get("data", {}).get("text/plain") or "" for each in cell.get("outputs", [])]
        if texts:
            found.append("".join(texts))
    return found


def promise(notebook) -> str:
    """What the last cell shows if all went well: a fixed text behind an assertion, or one that is shown on a condition."""
    body = ast.parse(notebook.cells[-1].source).body
    last = body[-1].value
    if isinstance(last, ast.IfExp):
        return repr(ast.literal_eval(last.body))
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.Module(body, []))), "the last cell asserts nothing"
    return repr(ast.literal_eval(last))


@pytest.fixture(scope="module")
def kernel() -> Iterator[AsyncKernelManager]:
    """One kernel for all notebooks, which imports PyTorch and starts Java once; it starts with the first."""
    manager = AsyncKernelManager(kernel_name="python3")
    yield manager
    run_sync(manager.shutdown_kernel)(now=True)


IN_ITS_OWN_KERNEL = {"02_from_pyserini"}
"""Pyserini takes relative names from the folder in which Java was started."""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks.sources(), ids=lambda path: path.stem)
def test_the_notebook_runs_and_its_ipynb_is_up_to_date(path, kernel, request):
    if path.stem == "03_cacm":
        request.getfixturevalue("shared")  # or is skipped
    shown = jupytext.read(path.with_suffix(".ipynb"))
    script = jupytext.read(path)
    assert [cell.source for cell in shown.cells] == [cell.source for cell in script.cells], "run: make notebooks"
    executed = notebooks.execute(path, None if path.stem in IN_ITS_OWN_KERNEL else kernel)
    assert len(outputs(executed)) == len(outputs(shown)) > 3
    assert outputs(executed)[-1] == outputs(shown)[-1] == promise(script)


@pytest.mark.parametrize("path", notebooks.sources(), ids=lambda path: path.stem)
def test_the_notebook_says_first_what_it_takes(path):
    opening = "\n".join(cell.source for cell in jupytext.read(path).cells[:2])
    assert opening.startswith("# ")
    assert "minute" in opening
    assert "disk" in opening
    assert path.with_suffix(".ipynb").stat().st_size < 150_000


def test_there_are_notebooks():
    assert [path.stem[:2] for path in notebooks.sources()] == [f"{number:02}" for number in range(12)]
