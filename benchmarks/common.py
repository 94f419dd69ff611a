"""Shared code of the benchmarks: corpus, queries, models and a description of the machine."""

from __future__ import annotations

import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SPLADE_LUCENE_SHARED", ROOT.parent / "shared"))
WORK = ROOT / "benchmarks" / "work"


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


PLAIN_MODEL = WORK / "splade-minilm-plain"  # Pyserini recognizes SPLADE checkpoints by their path


def plain_embedded_model() -> Path:
    """Writes the embedded model with ordinary float32 weights for the other systems."""
    from splade_lucene.encoder.storage import restore_from_int8
    from splade_lucene.models import embedded_model_folder

    shutil.rmtree(PLAIN_MODEL, ignore_errors=True)
    restore_from_int8(embedded_model_folder(), PLAIN_MODEL)
    return PLAIN_MODEL


def describe_machine() -> str:
    """One line: CPU, cores, memory, Python version."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        name = next(
            (line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line), name
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
