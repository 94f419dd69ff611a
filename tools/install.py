#!/usr/bin/env python3
"""Makes .venv and installs this project into it, for `make demo` and `make test`.

    python3 tools/install.py [--venv DIR] [--extra NAME ...] [--torch-index URL]

It runs on the user's own Python before anything is installed, so it uses the standard library alone and no syntax newer
than Python 3.6: an older Python has to get as far as the sentence that says it is too old. Versions come from
constraints.txt. What is installed already is left alone, an interrupted installation is resumed, and a changed setup.cfg or
constraints.txt renews it. A failure ends with one sentence that says what to do.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
NEWEST_TESTED = (3, 14)
PYTHON = "{}.{}".format(*sys.version_info[:2])
STATE = ".splade-lucene-install.json"
GB = 10**9

# The environment with the extra dev, and what pip downloads for it. Measured on Linux x86_64, but for the downloads of the
# last two, which are estimates. PyPI's torch for Linux brings CUDA; its CPU build, and macOS's, does not.
SIZES = {"cuda": (6.9 * GB, 3.3 * GB), "cpu": (3.6 * GB, 1.0 * GB), "light": (0.8 * GB, 0.4 * GB)}
RENEWAL = 1 * GB  # of single packages


class InstallError(Exception):
    """Why the installation cannot go on, and what to do about it, in a sentence."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=Path(".venv"), help="the environment (default: .venv)")
    parser.add_argument("--extra", action="append", default=[], help="an extra of setup.cfg, such as dev")
    parser.add_argument(
        "--light", action="store_true", help="what tests/light.txt lists, and Pyserini without its needs"
    )
    parser.add_argument("--torch-index", default="", metavar="URL", help="a package index to take torch from as well")
    args = parser.parse_args()
    try:
        install(Path(os.path.realpath(str(args.venv))), sorted(set(args.extra)), args.light, args.torch_index)
    except InstallError as error:
        sys.exit(f"\ninstallation failed: {error}")
    except OSError as error:
        sys.exit(f"\ninstallation failed: {error}: repair that and run the same command again.")
    except KeyboardInterrupt:
        sys.exit("\ninstallation interrupted: run the same command again to resume it.")


def install(venv, extras, light, torch_index):
    check_python()
    before = read_state(venv)
    torch_index = torch_index or before.get("torch_index", "")
    names = ["setup.cfg", "constraints.txt"] + (["tests/light.txt"] if light else [])
    wanted = {
        "venv": str(venv),
        "python": PYTHON,
        "torch_index": torch_index,
        "extras": extras,
        "inputs": {name: digest(ROOT / name) for name in names},
    }
    if is_current(before, wanted) and has_pip(venv) and (venv / "bin" / "splade-lucene").exists():
        return
    started = time.time()
    clear_other(venv, before, torch_index)
    sizes = expected_sizes(light, torch_index)
    check_disk(venv, sizes, is_complete="inputs" in read_state(venv))
    if "inputs" not in before:
        check_compiler()
    # all that identifies the environment now, and what was to be installed when all of it is there
    make_environment(venv, {key: wanted[key] for key in ("venv", "python", "torch_index")})
    discard_unfinished_packages(venv)
    say(f"installing with pip into {venv}: {sizes[0] / GB:.1f} GB, downloads of {sizes[1] / GB:.1f} GB, some minutes")
    if light:
        run_pip(venv, ["--requirement", str(ROOT / "tests" / "light.txt")], "")
        run_pip(venv, ["--no-deps", "pyserini", "--editable", str(ROOT)], "")
    else:
        run_pip(venv, ["--editable", str(ROOT) + ("[{}]".format(",".join(extras)) if extras else "")], torch_index)
    write_state(venv, wanted)
    seconds = int(time.time() - started)
    say(f"installed in {venv}: {tree_size(venv) / GB:.1f} GB, {seconds // 60} min {seconds % 60:02} s")


def say(text):
    print("==> " + text, flush=True)


# ---- what was installed ----


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_state(venv):
    try:
        return dict(json.loads((venv / STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def write_state(venv, state):
    partial = venv / (STATE + ".partial")
    partial.write_text(json.dumps(state, indent=1) + "\n")
    partial.replace(venv / STATE)


def is_current(before, wanted):
    """Whether all that is wanted was installed, from the same files; more extras than wanted do no harm."""
    same = all(before.get(key) == wanted[key] for key in ("venv", "python", "inputs", "torch_index"))
    return same and set(wanted["extras"]) <= set(before.get("extras", []))


# ---- what the machine has ----


def check_python():
    version = platform.python_version()
    if sys.version_info < OLDEST:
        raise InstallError(
            f"Python 3.11 or newer is needed and {sys.executable} is Python {version}: install a newer one and name it, "
            "as in 'make demo PYTHON=python3.12'."
        )
    if sys.version_info[:2] > NEWEST_TESTED:
        say(
            f"note: Python {version} is newer than 3.14, the newest one that this was tested with; packages without a "
            "wheel for it are compiled. Name another with PYTHON=python3.13."
        )
    if not (has_module("venv") and has_module("ensurepip")):
        raise InstallError(
            f"this Python has no module 'venv': install it (Debian and Ubuntu: apt install python{PYTHON}-venv) and run "
            "the same command again."
        )


def has_module(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def check_compiler():
    """Linux on arm64 is the one platform on which a package has no wheel (tests/test_resolution.py keeps this true)."""
    if not (sys.platform.startswith("linux") and platform.machine() in ("aarch64", "arm64")):
        return
    lacking = []
    if not any(shutil.which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang")):
        lacking.append("a C compiler")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        lacking.append("Python's headers")
    if lacking:
        raise InstallError(
            f"on Linux arm64 the package pytrec-eval-terrier is compiled, which needs {' and '.join(lacking)}: install "
            f"them (Debian and Ubuntu: apt install gcc python{PYTHON}-dev) and run the same command again."
        )


def expected_sizes(light, torch_index):
    if light:
        return SIZES["light"]
    return SIZES["cuda" if sys.platform.startswith("linux") and not torch_index else "cpu"]


def check_disk(venv, sizes, is_complete):
    """The environment, pip's temporary files and pip's cache may lie on one disk or on three."""
    size, download = (RENEWAL, RENEWAL) if is_complete else (max(0, sizes[0] - tree_size(venv)), sizes[1])
    needs = [(venv, size), (Path(tempfile.gettempdir()), download)]
    if not os.environ.get("PIP_NO_CACHE_DIR"):
        cache = os.environ.get("PIP_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or str(Path.home())
        needs.append((Path(cache), download))
    disks = {}
    for folder, needed in needs:
        folder = existing_parent(folder)
        disks.setdefault(folder.stat().st_dev, [folder, 0])[1] += needed
    for folder, needed in disks.values():
        free = shutil.disk_usage(str(folder)).free
        if free < needed:
            raise InstallError(
                f"the disk of {folder} has {free / GB:.1f} GB free and {needed / GB:.1f} GB are needed, downloads included: "
                "make room and run the same command again. PyTorch's CPU build needs less: "
                "TORCH_INDEX=https://download.pytorch.org/whl/cpu."
            )


def existing_parent(path):
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def tree_size(folder):
    total = 0
    for parent, _, names in os.walk(str(folder)):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                total += path.stat().st_blocks * 512
    return total


# ---- the environment ----


def clear_other(venv, before, torch_index):
    """Removes an environment of ours that is of another Python, PyTorch or place; refuses what is not ours."""
    if not venv.exists() or (venv.is_dir() and not any(venv.iterdir())):
        return
    config = venv / "pyvenv.cfg"
    if not (config.is_file() or before):
        raise InstallError(f"{venv} is not a virtual environment: move it away, or pass VENV=another.")
    found = re.search(
        r"^version(?:_info)? *= *(\d+\.\d+)", config.read_text() if config.is_file() else "", re.MULTILINE
    )
    version = found.group(1) if found else before.get("python", "an unknown version")
    if version != PYTHON:
        reason = f"was made with Python {version}, and this is {PYTHON}"
    elif before.get("torch_index", torch_index) != torch_index:
        reason = "was made with another build of PyTorch"
    elif before.get("venv", str(venv)) != str(venv):
        reason = f"was moved here from {before['venv']}"
    elif not has_pip(venv):
        reason = "has no working pip"
    else:
        return
    if not before:
        raise InstallError(f"{venv} {reason}, and was not made by this command: move it away, or pass VENV=another.")
    say(f"{venv} {reason}; recreating it")
    shutil.rmtree(str(venv))


def make_environment(venv, state):
    if has_pip(venv):
        write_state(venv, state)
        return
    say(f"making {venv} with Python {platform.python_version()}")
    venv.mkdir(parents=True, exist_ok=True)
    write_state(venv, state)  # first: an environment that was not finished is known as ours
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)])
    if done.returncode or not has_pip(venv):
        raise InstallError(
            f"'{sys.executable} -m venv {venv}' failed with the message above: repair this Python or name another with "
            "PYTHON=python3.12."
        )


def has_pip(venv):
    python = venv / "bin" / "python"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return python.exists() and subprocess.run([str(python), "-m", "pip", "--version"], **quiet).returncode == 0


def discard_unfinished_packages(venv):
    """Makes pip install again what it was installing when it was killed.

    Pip takes a package for installed as soon as its METADATA is there, and writes INSTALLER after its last file.
    """
    for metadata in venv.glob("lib*/python*/site-packages/*.dist-info"):
        if not (metadata / "INSTALLER").exists():
            say("{} was not installed completely; installing it again".format(metadata.name.replace(".dist-info", "")))
            shutil.rmtree(str(metadata))


def run_pip(venv, arguments, torch_index):
    log = venv / "pip.log"
    log.write_text("")  # pip appends
    command = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--log", str(log), "install"]
    command += ["--constraint", str(ROOT / "constraints.txt")]
    if torch_index:
        command += ["--extra-index-url", torch_index]
    if subprocess.run(command + arguments).returncode:
        raise InstallError(f"{explain(log.read_text(encoding='utf-8', errors='replace'))} (pip's log: {log})")
    log.unlink()


HERE = f"Python {platform.python_version()} on {platform.platform()}"
UNRESOLVED = "ResolutionImpossible: for help|have conflicting dependencies"
NOT_FOUND = "No matching distribution found|from versions: none"
CAUSES = (
    (r"No space left on device|\[Errno 28\]", "the disk is full: make room and run the same command again"),
    (
        UNRESOLVED,
        f"the versions in constraints.txt do not fit {HERE}: use Python 3.11 to 3.14, or report this",
    ),
    (
        r"command '\S*(gcc|cc|clang)\S*' failed|unable to execute '\S*cc'|Python\.h: No such file",
        "a package had to be compiled and the compiler failed: install a C compiler and Python's headers (Debian and "
        "Ubuntu: apt install gcc python3-dev) and run the same command again",
    ),
    (
        r"Temporary failure in name resolution|Name or service not known|nodename nor servname|No address associated|"
        r"Network is unreachable",
        "there is no network, or no name server answers: connect this machine, or name an index that it reaches with "
        "PIP_INDEX_URL, and run the same command again",
    ),
    (
        r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|Read timed out|Connection refused|Connection reset|"
        r"ProxyError|SSLError|Max retries exceeded|IncompleteRead|5\d\d Server Error",
        "the package index does not answer: check the network and the proxy, or name another index with "
        "PIP_INDEX_URL, and run the same command again",
    ),
    (
        NOT_FOUND,
        f"the package index does not have a package for {HERE}: the lines above name it; use Python 3.11 to 3.14, "
        "or name another index with PIP_INDEX_URL",
    ),
)


def explain(log):
    """The sentence for a failure of pip, from its log."""
    for pattern, sentence in CAUSES:
        if re.search(pattern, log):
            return sentence
    return "pip failed with the message above: repair what it names and run the same command again"


if __name__ == "__main__":
    main()
