"""The code in the pages about other packages runs as it is written, on one small index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.processes import ROOT

from splade_lucene import build_index

PACKAGES = {
    "pyterrier": "pyterrier", "langchain": "langchain_core", "llamaindex": "llama_index.core", "haystack": "haystack"
}  # fmt: skip
"""Page → the package that it is about."""

CORPUS = (
    '{"id": "d1", "text": "The heart pumps blood.", "lang": "en", "year": 2019}\n'
    '{"id": "d2", "text": "Das Herz (heart) pumpt Blut (blood).", "lang": "de", "year": 2021}\n'
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hearts")
    (folder / "hearts.jsonl").write_text(CORPUS)
    (folder / "hearts.qrels").write_text("q1 0 d1 1\nq2 0 d2 1\n")
    build_index(folder / "hearts.jsonl", folder / "hearts", fields={"lang": "keyword", "year": "integer"})
    return folder


@pytest.mark.model
@pytest.mark.parametrize("page", PACKAGES)
def test_the_code_of_the_page_runs(page, folder, monkeypatch, capsys):
    pytest.importorskip(PACKAGES[page])
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    samples = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    for code in samples:
        exec(compile(code, f"{page}.md", "exec"), names)
    assert "d1" in capsys.readouterr().out
