"""The command line in this process or one of its own, and Ctrl-C in its middle."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

from typer.testing import CliRunner

from splade_lucene.cli import app
from support.processes import child_environment

COMMANDS = [
    "demo",
    "encode",
    "index",
    "build",
    "search",
    "rerank",
    "run",
    "encode-queries",
    "evaluate",
    "compare",
    "explain",
    "stats",
    "models",
    "train",
    "reproduce",
    "bm25",
]


def run(*arguments: object, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Runs a command in this process, which has loaded what it needs; an error that it does not expect is raised."""
    given = [str(argument) for argument in arguments]
    done = CliRunner().invoke(app, given, env={"COLUMNS": "80", **environment}, catch_exceptions=False)
    return subprocess.CompletedProcess(given, done.exit_code, done.stdout, done.stderr)


def run_fed(data: bytes, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a command in this process with data on its standard input."""
    given = [str(argument) for argument in arguments]
    done = CliRunner().invoke(app, given, input=data, env={"COLUMNS": "80"}, catch_exceptions=False)
    return subprocess.CompletedProcess(given, done.exit_code, done.stdout, done.stderr)


def run_process(*arguments: object, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own, as people start it."""
    command = [sys.executable, "-m", "splade_lucene", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=child_environment(**environment), timeout=600, check=False
    )


def check_well(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that ended well."""
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def run_well(*arguments: object) -> str:
    """Runs in this process what must end well; returns what it printed."""
    return check_well(run(*arguments))


def check_failed(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a command that failed with exit code 1, without a trace."""
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


# ---- Ctrl-C ----


def heed_ctrl_c() -> None:
    """A shell starts background jobs with SIGINT ignored, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt_when(
    arguments: list[object], ready: Callable[[int], bool], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Starts a command and sends it SIGINT as soon as something holds, which is asked with the process's number."""
    command = [sys.executable, "-m", "splade_lucene", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heed_ctrl_c
    )
    deadline = time.monotonic() + 240
    while process.poll() is None and not ready(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, (process.communicate(), "it ended before it could be interrupted")
    process.send_signal(signal.SIGINT)
    told, noted = process.communicate(timeout=120)
    return subprocess.CompletedProcess(command, process.returncode, told, noted)


def assert_interrupted(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 130, done
    assert "interrupted: no incomplete files are left" in done.stderr
    assert "Traceback" not in done.stderr
