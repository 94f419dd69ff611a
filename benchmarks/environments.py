#!/usr/bin/env python3
"""What runs where: the wheel in a fresh environment of every Python found, with the newest versions in its ranges.

    python benchmarks/environments.py [--python 3.12 …] [--kind whole light] [--again] [--torch-index URL]

``whole`` is ``pip install WHEEL``; ``light`` is what requirements-search.txt lists. In each environment an index is built,
searched for a text and, where the whole package is installed, the demo is run, and its questions are searched by Pyserini
too: the two runs must be equal, line by line. Sizes are those on disk. An environment is deleted after its test.
Results are kept in build/environments until the wheel changes, so an interrupted run resumes where it stopped;
``--again`` discards them. The exit code is 1 if something failed.

It runs on any of these Pythons and needs pip's package index.
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import ROOT, add_write_results, figure, write_results

sys.path.insert(0, str(ROOT / "tools"))

from install import PYTHON, tree_size

KEPT = ROOT / "build" / "environments"
KINDS = ("whole", "light")
STEPS = ("index", "search", "demo", "parity")
DOCUMENT = {"id": "d1", "contents": "The heart pumps blood.", "vector": {"blood": 182, "heart": 210}}
SCORE = 154 * 182 + 56 * 210
"""Of the document above for "blood circulation", as README shows it."""


class StepError(Exception):
    """A step failed; says how."""


def find_pythons() -> dict[str, Path]:
    """Version, such as 3.12, → the interpreter: those on PATH, and pyenv's newest of each version."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [f"python3.{minor}" for minor in range(11, 15)]
    candidates = [Path(found) for name in names if (found := shutil.which(name))]
    candidates += sorted(
        pyenv.glob("3.1[1-4].*/bin/python3"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.parts[-3])]
    )
    candidates.append(Path(sys.executable))
    found = {}
    for candidate in candidates:
        code = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([str(candidate), "-c", code], capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip() in [name.removeprefix("python") for name in names]:
            found[done.stdout.strip()] = candidate
    return dict(sorted(found.items()))


class Environment:
    """A fresh virtual environment with the wheel in it, and a folder to work in."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self.work = folder, folder / "work"
        shutil.rmtree(folder, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.run(str(python), "-m", "venv", str(folder / "venv"))

    def run(self, *command: str) -> str:
        """Runs a command in the folder, without this checkout in its way; what it prints."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["XDG_CACHE_HOME"] = str(self.folder / "cache")
        done = subprocess.run(command, cwd=self.work, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise StepError(f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def pip(self, *arguments: str) -> None:
        """Installs."""
        self.run(self.program("python"), "-m", "pip", "install", "--quiet", "--no-cache-dir", *arguments)

    def command(self, *arguments: str) -> str:
        """Runs splade-lucene."""
        return self.run(self.program("splade-lucene"), *arguments)

    def program(self, name: str) -> str:
        """A program of the environment."""
        return str(self.folder / "venv" / "bin" / name)

    def size(self) -> int:
        """Bytes on disk, as installed."""
        return int(tree_size(self.folder / "venv"))

    def version(self, package: str) -> str:
        """Version of a package; empty if it is not installed."""
        code = "import importlib.metadata as m, sys; print(next((d.version for d in m.distributions(name=sys.argv[1])), ''))"
        return self.run(self.program("python"), "-c", code, package).strip()


# ---- what is tried ----


def index(environment: Environment) -> None:
    """Builds an index of one document."""
    (environment.work / "documents.jsonl").write_text(json.dumps(DOCUMENT) + "\n", encoding="utf-8")
    environment.command("index", "--input", "documents.jsonl", "--index", "index")


def search(environment: Environment) -> None:
    """Searches for a text, which the embedded model encodes."""
    options = ("--model", "splade-minilm", "--quantizer", "naver", "--json")
    found = json.loads(environment.command("search", "--index", "index", "--query", "blood circulation", *options))
    if [(hit["docid"], hit["score"]) for hit in found] != [("d1", SCORE)]:
        raise StepError(f"other hits than d1 with {SCORE}: {found}")


def demo(environment: Environment) -> None:
    """Runs the demo, whose measures show that the model works."""
    table = json.loads(environment.command("demo", "--dir", "demo", "--json"))["table"]
    if not table["SPLADE"]["nDCG@10"] > table["BM25"]["nDCG@10"] > 0.2:
        raise StepError(f"unlikely measures: {table}")


def parity(environment: Environment) -> None:
    """Searches the demo's index for its questions, here and with Pyserini: the same hits, ranks and scores."""
    for engine in ("auto", "pyserini"):
        environment.command(
            "search", "--index", "demo/index", "--topics", "demo/topics.tsv", "--output", f"{engine}.trec",
            "--engine", engine, "--tag", "same", "--hits", "100",
        )  # fmt: skip
    ours, theirs = ((environment.work / f"{engine}.trec").read_text().splitlines() for engine in ("auto", "pyserini"))
    if ours != theirs or len(ours) < 5000:
        raise StepError(f"{sum(map(str.__ne__, ours, theirs))} of {len(ours)} and {len(theirs)} lines differ")


TRIED: dict[str, tuple[Callable[[Environment], None], ...]] = {
    "whole": (index, search, demo, parity),
    "light": (index, search),
}


def try_environment(kind: str, version: str, python: Path, wheel: Path, torch_index: str) -> dict[str, Any]:
    """Installs the wheel and tries all; seconds, sizes, versions, and under ``failed`` the first failure."""
    environment = Environment(KEPT / f"{kind}-{version}", python)
    found: dict[str, Any] = {"kind": kind, "wheel_bytes": wheel.stat().st_size}
    step = "install"
    try:
        for step, act in [
            ("install", _installer(kind, wheel, torch_index)),
            *((each.__name__, each) for each in TRIED[kind]),
        ]:
            started = time.monotonic()
            act(environment)
            found[step] = round(time.monotonic() - started, 1)
            if step == "install":
                found["bytes"] = environment.size()
                found |= {name: environment.version(name) for name in ("pyserini", "torch", "onnxruntime")}
            print(f"  {step}: {found[step]} s", flush=True)
    except StepError as error:
        found["failed"] = f"{step}: {error}"
        print(f"  {step} failed: {error}", file=sys.stderr, flush=True)
    shutil.rmtree(environment.folder)
    return found


def _installer(kind: str, wheel: Path, torch_index: str) -> Callable[[Environment], None]:
    def whole(environment: Environment) -> None:
        environment.pip(*(["--extra-index-url", torch_index] if torch_index else []), str(wheel))

    def light(environment: Environment) -> None:
        config = configparser.ConfigParser(interpolation=None)
        config.read(ROOT / "setup.cfg")
        ranges = environment.work / "ranges.txt"
        ranges.write_text(config["options"]["install_requires"], encoding="utf-8")
        for file, *more in (("requirements-search.txt",), ("requirements-search-alone.txt", "--no-deps", str(wheel))):
            lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
            names = [line for line in lines if line and not line.startswith(("#", "--constraint "))]
            environment.pip("--constraint", str(ranges), *names, *more)

    return {"whole": whole, "light": light}[kind]


# ---- all of them ----


def build_wheel(python: Path) -> Path:
    """The wheel of this checkout."""
    folder = KEPT / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    command = [str(python), "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def digest(wheel: Path) -> str:
    """SHA-256 of what is in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        return hashlib.sha256(archive.read(record)).hexdigest()


def results_of(
    pythons: dict[str, Path], kinds: list[str], torch_index: str, *, again: bool
) -> Iterator[tuple[str, dict]]:
    """The result of each environment, by version and kind; runs those that are not stored yet."""
    wheel = build_wheel(next(iter(pythons.values())))
    identity = [digest(wheel), torch_index]
    for version, python in pythons.items():
        for kind in kinds:
            path = KEPT / f"{kind}-{version}.json"
            kept = json.loads(path.read_text()) if path.exists() and not again else {}
            if kept.get("identity") != identity or "failed" in kept:
                print(f"Python {version}, {kind}, from {python}", flush=True)
                full = subprocess.run(
                    [str(python), "-c", "import platform; print(platform.python_version())"],
                    capture_output=True,
                    text=True,
                )
                kept = {"identity": identity, "python": full.stdout.strip()}
                kept |= try_environment(kind, version, python, wheel, torch_index)
                path.write_text(json.dumps(kept, indent=1) + "\n")
            yield version, kept


def print_table(found: dict[str, dict[str, Any]]) -> None:
    print(f"\n{'':14} {'Pyserini':>8} {'size':>8} {'install':>8}" + "".join(f" {step:>7}" for step in STEPS))
    for key, each in found.items():
        size = f"{each['bytes'] / 1e9:.1f} GB" if "bytes" in each else ""
        cells = [f"{each[step]:.0f} s" if step in each else "" for step in ("install", *STEPS)]
        print(
            f"{key:14} {each.get('pyserini', ''):>8} {size:>8} {cells[0]:>8}"
            + "".join(f" {cell:>7}" for cell in cells[1:])
        )
        if "failed" in each:
            print(f"{'':14} failed: {each['failed']}")
    wheel = next(iter(found.values()))["wheel_bytes"]
    print(f"\nthe wheel has {wheel / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", metavar="VERSION", help="only these, such as 3.12. Default: all found")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS), help="Default: both")
    parser.add_argument("--torch-index", default="", metavar="URL", help="an additional package index for torch")
    parser.add_argument("--again", action="store_true", help="forget what an earlier run found")
    add_write_results(parser)
    args = parser.parse_args()
    pythons = find_pythons()
    missing = [version for version in args.python or () if version not in pythons]
    if missing:
        sys.exit(f"no Python {', '.join(missing)} was found; there are {', '.join(pythons) or 'none'}")
    pythons = {version: path for version, path in pythons.items() if version in (args.python or pythons)}
    if not pythons:
        sys.exit(f"no Python from 3.11 to 3.14 was found; this one is {PYTHON}")
    KEPT.mkdir(parents=True, exist_ok=True)
    found = {}
    for version, each in results_of(pythons, args.kind, args.torch_index, again=args.again):
        found[f"{version} {each['kind']}"] = each
    print_table(found)
    if args.write_results:
        write_results("environments", {
            key: figure(f"Python {each['python']}", each["bytes"] / 1e9, "GB",
                        **{name: value for name, value in each.items() if name != "identity"})
            for key, each in found.items() if "failed" not in each
        })  # fmt: skip
    sys.exit(any("failed" in each for each in found.values()))


if __name__ == "__main__":
    main()
