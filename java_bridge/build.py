#!/usr/bin/env python3
"""Compiles the bridge with plain javac and writes its jar into the package.

    python java_bridge/build.py                      # needs a JDK of 21 or newer and an installed pyserini
    python java_bridge/build.py --fatjar F --output J  # against another Anserini fatjar

The jar is a function of the sources and the compiler alone: entries are sorted and carry no time. It holds the sources'
SHA-256, which a test compares with the sources in this folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src"
sys.path.insert(0, str(HERE.parent))

from splade_lucene import jvm

DIGEST_ENTRY = "META-INF/sources.sha256"


def source_files() -> list[Path]:
    """All Java sources, sorted."""
    return sorted(SOURCES.rglob("*.java"))


def sources_digest() -> str:
    """SHA-256 over the sources' names and contents."""
    digest = hashlib.sha256()
    for path in source_files():
        digest.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def find_jdks() -> list[Path]:
    """Folders of JDKs of 21 or newer, those that variables name first."""
    named = [os.environ.get(name) for name in ("SPLADE_LUCENE_JDK", "SPLADE_LUCENE_JAVA_HOME", "JAVA_HOME")]
    homes = [Path(home) for home in named if home]
    homes += sorted(Path("/usr/lib/jvm").glob("*")) + sorted(
        Path("/Library/Java/JavaVirtualMachines").glob("*/Contents/Home")
    )
    found = []
    for home in homes:
        runtime = jvm.read_runtime(home)
        if (home / "bin" / "javac").exists() and runtime is not None and runtime.version >= jvm.MINIMUM_JAVA:
            found.append(home)
    return found


def build(fatjar: Path, output: Path, jdk: Path) -> None:
    """Compiles all sources against a fatjar and writes the jar."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                str(jdk / "bin" / "javac"),
                "--release",
                "21",
                "-Xlint:all",
                "-Xdoclint:all,-missing",
                "-Werror",
                "-g:source,lines",
                "-proc:none",
                "-cp",
                str(fatjar),
                "-d",
                folder,
                *map(str, source_files()),
            ],
            check=True,
        )
        entries = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in Path(folder).rglob("*.class")]
    entries.append((DIGEST_ENTRY, (sources_digest() + "\n").encode()))
    output.parent.mkdir(parents=True, exist_ok=True)
    whole = output.with_name(output.name + ".partial")
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as jar:
        for name, content in sorted(entries):
            jar.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    whole.replace(output)  # a JVM that runs has the old one mapped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fatjar", type=Path, help="Anserini fatjar (default: the installed pyserini's)")
    parser.add_argument("--output", type=Path, default=jvm.BRIDGE_JAR)
    args = parser.parse_args()
    jdks = find_jdks()
    if not jdks:
        sys.exit("No JDK of 21 or newer: set JAVA_HOME to one.")
    build(args.fatjar or jvm.find_fatjar(), args.output, jdks[0])
    print(
        f"{args.output}: {len(source_files())} sources, {args.output.stat().st_size:,} bytes, javac of {jdks[0].name}"
    )


if __name__ == "__main__":
    main()
