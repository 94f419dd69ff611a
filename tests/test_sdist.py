"""The source distribution: all files of the repository, and a wheel with all files of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.processes import ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow]

MADE = ("PKG-INFO", "splade_lucene.egg-info/")
"""What setuptools adds."""


def build(kind: str, source: Path, target: Path) -> Path:
    """Builds a distribution of a source folder, with the installed setuptools and without a network."""
    target.mkdir()
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout to compare with")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def unpacked(tracked, tmp_path_factory) -> Path:
    """The source distribution of a copy of the checkout, in which work has left files that git ignores."""
    folder = tmp_path_factory.mktemp("sdist")
    for name in tracked:
        (folder / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / "copy" / name)
    for left in ("benchmarks/work/big", "tests/__pycache__/x.pyc", "docs/x.partial", "notebooks/.ipynb_checkpoints/x"):
        (folder / "copy" / left).parent.mkdir(parents=True, exist_ok=True)
        (folder / "copy" / left).touch()
    with tarfile.open(build("sdist", folder / "copy", folder / "dist")) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.glob("splade_lucene-*")
    return root


def files(folder: Path) -> set[str]:
    return {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}


def test_the_source_distribution_has_the_files_of_the_repository(unpacked, tracked):
    assert {name for name in files(unpacked) if not name.startswith(MADE)} == set(tracked)


def test_it_builds_a_wheel_with_the_files_of_the_package(unpacked, tracked, tmp_path):
    wheel = build("wheel", unpacked, tmp_path / "dist")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = "splade_lucene/server/page_src/"  # of which the page in server/static is built
    assert names == {name for name in tracked if name.startswith("splade_lucene/") and not name.startswith(sources)}


def test_it_tests_itself(unpacked):
    """Runs only three modules; `make quick` in the unpacked folder runs all."""
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    command = [sys.executable, "-m", "pytest", "--quick", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    module = ["tests/test_files.py", "tests/test_manifest.py", "tests/test_quantizer.py"]
    done = subprocess.run(
        [*command, *module], cwd=unpacked, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
