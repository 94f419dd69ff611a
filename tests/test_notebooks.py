"""Each notebook runs from top to bottom, and its .ipynb shows the output of just this code."""

from __future__ import annotations

import importlib.util

import jupytext
import pytest
from conftest import ROOT

spec = importlib.util.spec_from_file_location("notebooks_execute", ROOT / "notebooks" / "execute.py")
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)


def outputs(notebook) -> list[str]:
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found.append(output.get("text") or output.get("data", {}).get("text/plain") or "")
    return found


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks.sources(), ids=lambda path: path.stem)
def test_the_notebook_runs_and_its_ipynb_is_up_to_date(path):
    shown = jupytext.read(path.with_suffix(".ipynb"))
    script = jupytext.read(path)
    assert [cell.source for cell in shown.cells] == [cell.source for cell in script.cells], "run: make notebooks"
    executed = notebooks.execute(path)
    assert len(outputs(executed)) == len(outputs(shown)) > 3
    assert outputs(executed)[-1] == outputs(shown)[-1] in ("'identical'", "'better'")


def test_there_are_notebooks():
    assert [path.stem for path in notebooks.sources()][:2] == ["00_quickstart", "01_train_your_own"]
