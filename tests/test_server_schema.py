"""The server answers requests that fit its OpenAPI schema, and those that do not, as documented, and never fails.

``SPLADE_LUCENE_TEST_CASES=10000`` sends that many requests (schemathesis).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.checkpoints import tiny_checkpoint
from support.processes import child_environment
from support.servers import TOKEN, running

from splade_lucene import SpladeEncoder, build_index
from splade_lucene.server.settings import Limits

CASES = int(os.environ.get("SPLADE_LUCENE_TEST_CASES", "120"))
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
CONFIG = """
[parameters]
"path.index" = "texts"
"path.docid" = "d1"

[phases.examples]
enabled = true
"""


@pytest.mark.process
@pytest.mark.skipif(find_spec("schemathesis") is None, reason="needs schemathesis")
@pytest.mark.parametrize("index", ["texts", "any"])
def test_all_answers_are_documented(tmp_path: Path, index: str) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(
        "".join(json.dumps({"id": f"d{i}", "contents": f"text {i}", "lang": "de", "year": i}) + "\n" for i in range(5))
    )
    encoder = SpladeEncoder(tiny_checkpoint(tmp_path / "model", "bert"), device="cpu", dtype="float32")
    build_index(corpus, tmp_path / "index", encoder, fields="all", bm25=True)
    (tmp_path / "schemathesis.toml").write_text(CONFIG if index == "texts" else "")
    with running({"texts": tmp_path / "index"}, token=TOKEN, limits=Limits(seconds=60)) as server:
        operations = sum(map(len, server.fetch("/openapi.json")["paths"].values()))
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", f"{server.url}/openapi.json",
            "--checks", CHECKS, "--max-examples", str(max(1, CASES // 2 // operations)), "--phases", "examples,fuzzing",
            "--header", f"Authorization: Bearer {TOKEN}", "--seed", "7", "--continue-on-failure", "--no-color",
            "--generation-database", "none", "--warnings", "off",
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=child_environment(), timeout=3000, check=False
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    sent = [int(number) for number in re.findall(r"(\d+) generated", done.stdout)]
    assert sum(sent) >= operations, done.stdout
