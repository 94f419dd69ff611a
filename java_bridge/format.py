#!/usr/bin/env python3
"""Formats the bridge's Java sources and tests with google-java-format, in Google's style.

    python java_bridge/format.py          # rewrite the sources
    python java_bridge/format.py --check  # name the files that are not formatted, and fail if there are any

The formatter is a jar of its own, google-java-format-VERSION-all-deps.jar. The path of the jar is in the variable
SPLADE_LUCENE_JAVA_FORMAT, or the jar is in ../shared/java. It runs on a JDK of 21 or newer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build import HERE, find_jdks

VARIABLE = "SPLADE_LUCENE_JAVA_FORMAT"
SHARED = HERE.parent.parent / "shared" / "java"
# What google-java-format needs of the compiler's internals.
EXPORTS = [
    f"--add-exports=jdk.compiler/com.sun.tools.javac.{name}=ALL-UNNAMED"
    for name in ("api", "code", "file", "parser", "tree", "util")
]


def find_formatter(shared: Path = SHARED) -> Path | None:
    """The formatter's jar; None if there is none.

    Raises:
        FileNotFoundError: The variable names a file that does not exist.
    """
    if named := os.environ.get(VARIABLE):
        if not Path(named).is_file():
            raise FileNotFoundError(f"{VARIABLE}={named} is not a file")
        return Path(named)
    return max(shared.glob("google-java-format-*-all-deps.jar"), default=None)


def java_files() -> list[Path]:
    """All Java files of the bridge, sorted."""
    return sorted([*(HERE / "src").rglob("*.java"), *(HERE / "tests").rglob("*.java")])


def run_formatter(jar: Path, jdk: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs the formatter on all files."""
    command = [str(jdk / "bin" / "java"), *EXPORTS, "-jar", str(jar), *options, *map(str, java_files())]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args()
    try:
        jar = find_formatter()
    except FileNotFoundError as error:
        sys.exit(f"{error}.")
    if jar is None:
        report = sys.exit if args.check else print
        report(
            "google-java-format was not found: download google-java-format-VERSION-all-deps.jar from "
            f"https://github.com/google/google-java-format/releases and set {VARIABLE} to its path."
        )
        return
    jdks = find_jdks()
    if not jdks:
        sys.exit("No JDK of 21 or newer: set JAVA_HOME to one.")
    done = run_formatter(jar, jdks[0], *(["--dry-run", "--set-exit-if-changed"] if args.check else ["--replace"]))
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    if done.returncode:
        sys.exit("These files are not formatted: run 'make format'." if args.check and done.stdout else done.returncode)


if __name__ == "__main__":
    main()
