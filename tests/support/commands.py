"""The command line in this process or one of its own, scripts of commands, and Ctrl-C in the middle of a command."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import typer
from typer.testing import CliRunner

from splade_lucene.cli.app import app
from support.processes import child_environment

COMMANDS = [*typer.main.get_command(app).commands]  # type: ignore[attr-defined]
"""All commands of the program."""


def run(*arguments: object, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Runs a command in this process, which has already loaded what it needs; unexpected errors are raised."""
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


EACH_COMMAND = """
import runpy, sys
given = sys.argv[1:]
while given:
    end = given.index(";")
    sys.argv[1:], given = given[:end], given[end + 1:]
    try:
        runpy.run_module("splade_lucene", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
"""


def run_in_one_process(commands: list[list[str]], **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Runs commands one after the other in a process of its own, until one fails."""
    given = [argument for command in commands for argument in [*command, ";"]]
    return subprocess.run(
        [sys.executable, "-c", EACH_COMMAND, *given], capture_output=True, text=True,
        env=child_environment(**environment), timeout=600, check=False,
    )  # fmt: skip


def check_well(done: subprocess.CompletedProcess[str]) -> str:
    """Checks that a command succeeded; returns what it printed."""
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def run_well(*arguments: object) -> str:
    """Runs a command in this process that must succeed; returns what it printed."""
    return check_well(run(*arguments))


def check_failed(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a command that failed with exit code 1, without a trace."""
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


# ---- scripts ----

CALLER = """
import json, os, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.sendall(json.dumps([os.getcwd(), sys.argv[2:]]).encode())
    connection.shutdown(socket.SHUT_WR)
    code, told, noted = json.load(connection.makefile(encoding="utf-8"))
sys.stdout.write(told)
sys.stderr.write(noted)
sys.exit(code)
"""
"""What ``splade-lucene`` is in a script: it has the command run by the process that serves it."""


def run_script(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a bash script in a folder; each ``splade-lucene`` in it gets its arguments from bash and runs in this process."""
    with contextlib.ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        (temporary / "caller.py").write_text(CALLER)
        program = temporary / "splade-lucene"
        command = [sys.executable, "-S", "-E", str(temporary / "caller.py"), str(server.getsockname()[1])]
        program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        program.chmod(0o755)
        told = stack.enter_context((temporary / "stdout").open("w+"))
        noted = stack.enter_context((temporary / "stderr").open("w+"))
        bash = stack.enter_context(subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script], cwd=folder, stdout=told, stderr=noted,
            env=child_environment(PATH=f"{temporary}{os.pathsep}{os.environ['PATH']}"),
        ))  # fmt: skip
        server.settimeout(0.02)
        while bash.poll() is None:
            with contextlib.suppress(TimeoutError):
                _serve(server.accept()[0])
        for file in (told, noted):
            file.seek(0)
        return subprocess.CompletedProcess(script, bash.returncode, told.read(), noted.read())


def _serve(connection: socket.socket) -> None:
    """Runs the command that a connection asks for, in the folder in which it was called."""
    with connection:
        connection.settimeout(60)
        folder, arguments = json.load(connection.makefile(encoding="utf-8"))
        with contextlib.chdir(folder):
            done = run(*arguments)
        connection.sendall(json.dumps([done.returncode, done.stdout, done.stderr]).encode())


# ---- Ctrl-C ----


def heed_ctrl_c() -> None:
    """A shell starts background jobs with SIGINT ignored, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt_when(
    arguments: list[object], ready: Callable[[int], bool], before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Starts a command and sends it SIGINT as soon as a condition holds.

    Args:
        arguments: The command.
        ready: The condition, called with the process id.
        before: Python code that the process runs before the command.
    """
    program = ["-c", f"{before}\nfrom splade_lucene.cli import main\nmain()"] if before else ["-m", "splade_lucene"]
    command = [sys.executable, *program, *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child_environment(),
        preexec_fn=heed_ctrl_c,
    )  # fmt: skip
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
