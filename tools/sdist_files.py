"""Compares the files of the source distribution with those of the repository: what MANIFEST.in forgets, or should leave out.

Reads MANIFEST.in with setuptools, without a build; tests/test_sdist.py builds one.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Distribution
from setuptools.command.egg_info import manifest_maker


def packed() -> set[str]:
    """The files that a source distribution of this folder would have."""
    logging.disable(logging.WARNING)  # patterns that match nothing here
    distribution = Distribution({"script_name": "setup.py"})
    distribution.parse_config_files()
    with tempfile.TemporaryDirectory() as folder:
        info = distribution.get_command_obj("egg_info")
        info.egg_base = folder
        info.ensure_finalized()
        Path(info.egg_info).mkdir()
        maker = manifest_maker(distribution)
        maker.manifest = str(Path(info.egg_info) / "SOURCES.txt")
        maker.ensure_finalized()
        maker.run()
        return {name for name in maker.filelist.files if not Path(name).is_absolute()}


def listed(*options: str) -> set[str]:
    """The files that git lists."""
    done = subprocess.run(["git", "ls-files", "-z", *options], capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split("\0") if name and Path(name).is_file()}


def main() -> None:
    """Prints the differences; the exit code is 1 if there are any."""
    if not Path(".git").exists():
        return  # an unpacked source distribution
    files = packed()
    problems = {
        "not in the source distribution, add it to MANIFEST.in": listed() - files,
        "in the source distribution though git ignores it": files
        & listed("--others", "--ignored", "--exclude-standard"),
    }
    for problem, names in problems.items():
        for name in sorted(names):
            print(f"{name}: {problem}", file=sys.stderr)
    sys.exit(any(problems.values()))


if __name__ == "__main__":
    main()
