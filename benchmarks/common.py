"""Shared code of the benchmarks: corpus, queries, models, searches, a description of the machine, and how figures are kept."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SPLADE_LUCENE_SHARED", ROOT.parent / "shared"))
WORK = ROOT / "benchmarks" / "work"
RESULTS = ROOT / "benchmarks" / "results"
PYTHON_DOCS_LENGTH = 192  # tokens of a docstring that are encoded, in the catalogue's entry too


def corpus(documents: int, files: int) -> Path:
    """A folder of SPLADE-like pseudo-documents, created once by the shared generator."""
    folder = WORK / f"corpus-{documents}-{files}"
    if not (folder / "done").exists():
        generator = SHARED / "tools" / "make_splade_corpus.py"
        if not generator.exists():
            sys.exit(f"{generator} not found: set SPLADE_LUCENE_SHARED to the folder of the shared tools and data")
        subprocess.run([sys.executable, str(generator), str(documents), str(folder), "--files", str(files)], check=True)
        (folder / "done").touch()
    return folder


def queries() -> dict[str, dict[str, int]]:
    """A thousand real SPLADE-v3 queries, qid → {term: impact}."""
    with gzip.open(SHARED / "data" / "splade-queries" / "splade-v3.queries.jsonl.gz", "rt", encoding="utf-8") as lines:
        return {record["id"]: record["vector"] for record in map(json.loads, lines)}


class IdentityQueryEncoder:
    """A query encoder for Pyserini that returns already encoded queries unchanged."""

    def encode(self, query: dict[str, int]) -> dict[str, int]:
        """The query itself."""
        return query


def search_ranking(searcher: Any, vector: Mapping[str, int], k: int) -> list[tuple[str, float]]:
    """The docids and scores of the k best hits of this package's searcher."""
    hits = searcher.search(vector, k)
    return list(zip(hits.docids, hits.scores.tolist(), strict=True))


PLAIN_MODEL = WORK / "splade-minilm-plain"  # Pyserini recognizes SPLADE checkpoints by their path


def plain_embedded_model() -> Path:
    """Writes the embedded model with ordinary float32 weights for the other systems."""
    from splade_lucene.encoder.storage import restore_from_int8
    from splade_lucene.models import embedded_model_folder

    shutil.rmtree(PLAIN_MODEL, ignore_errors=True)
    restore_from_int8(embedded_model_folder(), PLAIN_MODEL)
    return PLAIN_MODEL


def describe_machine(device: str = "cpu") -> str:
    """One line: the GPU if one is used, CPU, cores, memory, Python version."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        name = next(
            (line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line), name
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if device != "cpu":
        import torch

        name = f"{torch.cuda.get_device_name(device)}, {name}"
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


# ---- figures that README and docs quote ----


def add_write_results(parser: argparse.ArgumentParser) -> None:
    """Gives a script the flag ``--write-results``."""
    parser.add_argument(
        "--write-results",
        action="store_true",
        help="keep the figures in benchmarks/results, which README and docs quote",
    )


def figure(
    what: str,
    ours: float | None,
    unit: str,
    *,
    peer: str | None = None,
    peer_value: float | None = None,
    ratio: float | None = None,
    **details: Any,
) -> dict[str, Any]:
    """One measured figure.

    Args:
        what: What was measured, in words that a table can show.
        ours: The figure of this package.
        unit: Its unit: ``ms``, ``documents/s``, ``nDCG@10`` …
        peer: What it is compared with.
        peer_value: The peer's figure, in the same unit.
        ratio: How many times as fast ours is, or as small. Above 1 means that ours is better.
        details: Whatever else the tables show.
    """
    found = {"what": what, "ours": ours, "unit": unit, "peer": peer, "peer_value": peer_value, "ratio": ratio}
    return {**found, "details": details} if details else found


def write_results(script: str, figures: Mapping[str, dict[str, Any]], device: str = "cpu") -> None:
    """Keeps figures in ``benchmarks/results/SCRIPT.json``, with the command, date, machine and Python that gave them.

    Those of a GPU are in ``SCRIPT_gpu.json``. Figures of other keys stay as they are, so a run of a part renews only that
    part. ``benchmarks/tables.py`` then writes the tables.

    Args:
        script: Name of the script, without ``.py``.
        figures: Key → what :func:`figure` returned.
        device: What they were measured on.
    """
    path = RESULTS / f"{Path(script).stem}{'' if device == 'cpu' else '_gpu'}.json"
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    options = [argument for argument in sys.argv[1:] if argument != "--write-results"]
    options = [Path(argument).name if Path(argument).is_absolute() else argument for argument in options]
    origin = {
        "command": shlex.join([f"benchmarks/{Path(script).stem}.py", *options]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(device).rpartition(", Python")[0],
        "python": platform.python_version(),
    }
    for key, values in figures.items():
        details = {"details": _rounded(values["details"])} if "details" in values else {}
        plain = {name: value for name, value in values.items() if name != "details"}
        kept[key] = {**_rounded(plain), **origin, **details}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{len(figures)} figures are in {path.relative_to(ROOT)}; 'python benchmarks/tables.py' writes the tables")


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with four significant digits, enough for every table."""
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in values.items()}
