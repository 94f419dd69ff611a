#!/usr/bin/env python3
"""Seconds of the demo, from an empty folder and again, until the first hits and until the end; and its measures.

    python benchmarks/demo.py

Each is a complete process, as `make demo` starts it after the installation.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common import ROOT, WORK, add_write_results, describe_machine, figure, write_results

sys.path.insert(0, str(ROOT))

from splade_lucene.manifest import read_folder_manifest

FOLDER = WORK / "demo"


def run_demo(cache: Path) -> tuple[float, float]:
    """Runs the demo; seconds until it prints its first hit, and until it ends."""
    command = [sys.executable, "-u", "-m", "splade_lucene", "demo", "--dir", str(FOLDER)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    start = time.perf_counter()
    first = None
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if first is None and line.startswith("  1."):
                first = time.perf_counter() - start
    if process.returncode or first is None:
        sys.exit(f"the demo failed, with exit code {process.returncode}")
    return first, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_write_results(parser)
    args = parser.parse_args()
    cache = WORK / "demo-cache"
    for folder in (FOLDER, cache):
        shutil.rmtree(folder, ignore_errors=True)
    first, whole = run_demo(cache)
    _, again = run_demo(cache)
    command = [sys.executable, "-m", "splade_lucene", "demo", "--dir", str(FOLDER), "--json"]
    table = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)["table"]
    manifest = read_folder_manifest(FOLDER / "pseudo-documents")
    precision = manifest.dtype if manifest else ""
    print(f"\n{describe_machine()}, {precision}")
    print(f"first hits after {first:.1f} s, all done after {whole:.1f} s; run again: {again:.1f} s")
    if args.write_results:
        write_results("demo", {
            "first": figure("first hits", first, "s", precision=precision),
            "whole": figure("all done", whole, "s", precision=precision),
            "again": figure("run again", again, "s", precision=precision),
            **{system: figure(f"the demo's questions, {system}", means["nDCG@10"], "nDCG@10", **means)
               for system, means in table.items()},
        })  # fmt: skip


if __name__ == "__main__":
    main()
