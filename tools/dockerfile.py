#!/usr/bin/env python3
"""Runs the Dockerfile where there is no Docker: its steps, one by one, in a folder that stands for the image.

    python tools/dockerfile.py [--target search] [--folder DIR] [ARGUMENT …]

Arguments are those of ``docker run``; without any, the image's own command runs. The absolute paths of the Dockerfile lie in
the folder, the images' Python is the one that runs this script, and steps that need a user of the image (``useradd``) are
left out. Only files that .dockerignore lets through can be copied. So this shows that the steps fit together and that the
result works, not that the base images have what it needs.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ABSOLUTE = re.compile(r"(?<![\w./:-])/(?=[a-z])")
"""Where an absolute path begins, but for one inside a URL."""
MACHINE = ("useradd ", "--owner ")


class Stage:
    """A stage of a build.

    Args:
        name: Its name.
        root: The folder that stands for its file system.
        parent: The stage that it is built on.
    """

    def __init__(self, name: str, root: Path, parent: Stage | None) -> None:
        self.name, self.root = name, root
        self.environment = dict(parent.environment) if parent else {}
        self.folder = parent.folder if parent else "/"
        self.entrypoint = list(parent.entrypoint) if parent else []
        self.command = list(parent.command) if parent else []

    def inside(self, path: str) -> Path:
        """A path of the image, in the folder that stands for it."""
        return self.root / (Path(self.folder) / path).as_posix().lstrip("/")

    def relocated(self, text: str) -> str:
        """A text with its absolute paths moved into the folder."""
        return ABSOLUTE.sub(f"{self.root}/", text)

    def variables(self) -> dict[str, str]:
        """The variables of a process: this machine's, for pip, and the stage's."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return kept | self.environment

    def do(self, word: str, text: str, stages: dict[str, Stage]) -> None:
        """Follows an instruction."""
        print(f"[{self.name}] {word} {text}", flush=True)
        if word == "COPY":
            self._copy(shlex.split(text), stages)
        elif word == "USER":
            pass  # this process has no other
        elif hasattr(self, f"_{word.lower()}"):
            getattr(self, f"_{word.lower()}")(text)
        else:
            sys.exit(f"{word}: this script does not know the instruction; add it")

    def call(self, arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """What ``docker run`` with these arguments does."""
        program, *given = [*self.entrypoint, *(arguments or self.command)]
        variables = self.variables()
        found = shutil.which(program, path=variables["PATH"])
        if found is None or not found.startswith(f"{self.root}/"):
            sys.exit(f"the image has no {program}")
        return subprocess.run([found, *given], cwd=self.inside("."), env=variables, text=True, **options)

    def _arg(self, text: str) -> None:
        name, _, value = text.partition("=")
        self.environment[name] = os.environ.get(name, value)

    def _env(self, text: str) -> None:
        for part in shlex.split(text):
            name, _, value = part.partition("=")
            before = self.environment.get(name, os.environ.get(name, ""))
            self.environment[name] = self.relocated(value).replace(f"${name}", before)

    def _workdir(self, text: str) -> None:
        self.folder = text
        self.inside(".").mkdir(parents=True, exist_ok=True)

    def _run(self, text: str) -> None:
        steps = [step for step in text.split("&&") if not any(word in step for word in MACHINE)]
        command = " && ".join(steps)
        self.inside(".").mkdir(parents=True, exist_ok=True)
        subprocess.run(["sh", "-ec", self.relocated(command)], cwd=self.inside("."), env=self.variables(), check=True)

    def _copy(self, words: list[str], stages: dict[str, Stage]) -> None:
        option, *paths = words if words[0].startswith("--from=") else ["", *words]
        *names, target = paths
        for name in names:
            if not option and is_ignored(name):
                sys.exit(f"COPY {name}: .dockerignore keeps it out")
            found = stages[option.removeprefix("--from=")].inside(name) if option else ROOT / name
            into = self.inside(target) / found.name if target.endswith("/") else self.inside(target)
            into.parent.mkdir(parents=True, exist_ok=True)
            if option:
                into.symlink_to(found.resolve(strict=True))  # not a copy: an environment cannot be moved
            elif found.is_dir():
                shutil.copytree(found, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(found, into)

    def _entrypoint(self, text: str) -> None:
        self.entrypoint = json.loads(text)

    def _cmd(self, text: str) -> None:
        self.command = json.loads(text)


def is_ignored(name: str) -> bool:
    """Whether .dockerignore keeps a file or folder of the project out of the build; the last pattern that fits decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(name, pattern.lstrip("!")):
            ignored = not pattern.startswith("!")
    return ignored


def read_steps(path: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, each with its text."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        (word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


def build(target: str | None, folder: Path) -> Stage:
    """Follows the instructions that a target needs; None for the last stage."""
    steps = read_steps(ROOT / "Dockerfile")
    needed = _needed(steps, target)
    stages: dict[str, Stage] = {}
    stage = None
    for word, text in steps:
        if word == "FROM":
            base, _, name = text.partition(" AS ")
            parent = stages.get(base)
            stage = stages[name] = Stage(name, parent.root if parent else folder / name, parent)
            if parent is None:
                _provide_python(stage)
        elif stage is not None and stage.name in needed:  # what comes before the first stage chooses the base images
            stage.do(word, text, stages)
    return stages[target] if target else stage


def _provide_python(stage: Stage) -> None:
    """Gives a stage the Python that runs this script as ``python``, as the base image would."""
    programs = stage.root / "usr" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    stage.environment["PATH"] = f"{programs}:{os.environ['PATH']}"


def _needed(steps: list[tuple[str, str]], target: str | None) -> set[str]:
    """Names of the stages that a target is built from."""
    uses: dict[str, set[str]] = {}
    name = ""
    for word, text in steps:
        if word == "FROM":
            base, _, name = text.partition(" AS ")
            uses[name] = {base}
        elif word == "COPY" and text.startswith("--from="):
            uses[name].add(text.split()[0].removeprefix("--from="))
    if target not in (None, *uses):
        sys.exit(f"the Dockerfile has no target {target}: it has {', '.join(uses)}")
    needed, waiting = set(), [target or name]
    while waiting:
        stage = waiting.pop()
        if stage in uses and stage not in needed:
            needed.add(stage)
            waiting += uses[stage]
    return needed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="the stage to build. Default: the last one")
    parser.add_argument("--folder", type=Path, help="where to build. Default: a temporary folder, deleted at the end")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what docker run would get")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        stage = build(args.target, (args.folder or Path(temporary)).resolve())
        print(f"[{stage.name}] {shlex.join([*stage.entrypoint, *(args.arguments or stage.command)])}", flush=True)
        code = stage.call(args.arguments).returncode
    sys.exit(code)


if __name__ == "__main__":
    main()
