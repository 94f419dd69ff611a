#!/usr/bin/env python3
"""Creates .venv and installs this project into it, for `make demo` and `make test`.

    python3 tools/install.py [--venv DIR] [--extra NAME ... | --requirements FILE] [--torch-index URL]

It runs on the user's own Python before anything is installed, so it uses only the standard library and no syntax newer than
Python 3.6: older versions must get as far as the message that they are too old. Package versions come from constraints.txt. An
up-to-date installation is left alone, an interrupted one is resumed, and a changed setup.cfg or constraints.txt updates it.
Failures end with a one-sentence message that states the remedy.
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

# Size of the environment with the extra dev, and of pip's downloads for it. Measured on Linux x86_64, except for the downloads
# of the CPU build, which are an estimate. PyPI's torch for Linux includes CUDA; its CPU build and macOS's do not.
SIZES = {"cuda": (8.2 * GB, 3.7 * GB), "cpu": (4.9 * GB, 1.4 * GB), "light": (1.0 * GB, 0.4 * GB)}
LIGHT = ("requirements-search.txt", "requirements-search-alone.txt")
UPDATE = 1 * GB  # to replace some packages


class InstallError(Exception):
    """Why the installation failed, and what to do about it, in one sentence."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=Path(".venv"), help="the environment (default: .venv)")
    parser.add_argument("--extra", action="append", default=[], help="an extra of setup.cfg, such as dev")
    parser.add_argument(
        "--requirements",
        default="",
        metavar="FILE",
        help="install what this file lists, and without what they require: requirements-search-alone.txt and this project",
    )
    parser.add_argument("--torch-index", default="", metavar="URL", help="an additional package index for torch")
    args = parser.parse_args()
    try:
        install(Path(os.path.realpath(str(args.venv))), sorted(set(args.extra)), args.requirements, args.torch_index)
    except InstallError as error:
        sys.exit(f"\ninstallation failed: {error}")
    except OSError as error:
        sys.exit(f"\ninstallation failed: {error}: fix this and run the same command again.")
    except KeyboardInterrupt:
        sys.exit("\ninstallation interrupted: run the same command again to resume it.")


def install(venv, extras, requirements, torch_index):
    check_python()
    before = read_state(venv)
    torch_index = torch_index or before.get("torch_index", "")
    names = ["setup.cfg", "constraints.txt"] + ([requirements, *LIGHT] if requirements else [])
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
    sizes = expected_sizes(requirements, torch_index)
    check_disk(venv, sizes, is_complete="inputs" in read_state(venv))
    if "inputs" not in before:
        check_compiler()
    # first only what identifies the environment; the rest is added once everything is installed
    make_environment(venv, {key: wanted[key] for key in ("venv", "python", "torch_index")})
    discard_unfinished_packages(venv)
    say(f"installing with pip into {venv}: {sizes[0] / GB:.1f} GB, downloads of {sizes[1] / GB:.1f} GB, some minutes")
    if requirements:
        run_pip(venv, ["--requirement", str(ROOT / requirements)], "")
        run_pip(venv, ["--no-deps", "--requirement", str(ROOT / LIGHT[1]), "--editable", str(ROOT)], "")
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
    """Whether everything wanted is installed, from the same files; additional extras do no harm."""
    same = all(before.get(key) == wanted[key] for key in ("venv", "python", "inputs", "torch_index"))
    return same and set(wanted["extras"]) <= set(before.get("extras", []))


# ---- what the machine has ----


def check_python():
    version = platform.python_version()
    if sys.version_info < OLDEST:
        raise InstallError(
            f"Python 3.11 or newer is required, but {sys.executable} is Python {version}: install a newer one and select it, "
            "as in 'make demo PYTHON=python3.12'."
        )
    if sys.version_info[:2] > NEWEST_TESTED:
        say(
            f"note: Python {version} is newer than 3.14, the newest tested version; packages without a wheel for it are "
            "compiled. To select another Python, use PYTHON=python3.13."
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
    """Checks for a compiler on Linux arm64, the only platform where a package has no wheel (see tests/test_resolution.py)."""
    if not (sys.platform.startswith("linux") and platform.machine() in ("aarch64", "arm64")):
        return
    missing = []
    if not any(shutil.which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang")):
        missing.append("a C compiler")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        missing.append("Python's headers")
    if missing:
        raise InstallError(
            f"on Linux arm64 the package pytrec-eval-terrier is compiled, which needs {' and '.join(missing)}: install "
            f"them (Debian and Ubuntu: apt install gcc python{PYTHON}-dev) and run the same command again."
        )


def expected_sizes(requirements, torch_index):
    if requirements:
        return SIZES["light"]
    return SIZES["cuda" if sys.platform.startswith("linux") and not torch_index else "cpu"]


def check_disk(venv, sizes, is_complete):
    """Checks the free space; the environment, pip's temporary files and pip's cache may be on different disks."""
    size, download = (UPDATE, UPDATE) if is_complete else (max(0, sizes[0] - tree_size(venv)), sizes[1])
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
                f"the disk of {folder} has {free / GB:.1f} GB free, but {needed / GB:.1f} GB are needed including downloads: "
                "free some space and run the same command again. PyTorch's CPU build needs less: "
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
    """Removes our environment if it belongs to another Python, PyTorch or folder; refuses environments that are not ours."""
    if not venv.exists() or (venv.is_dir() and not any(venv.iterdir())):
        return
    config = venv / "pyvenv.cfg"
    if not (config.is_file() or before):
        raise InstallError(f"{venv} is not a virtual environment: move it away, or choose another folder with VENV=.")
    found = re.search(
        r"^version(?:_info)? *= *(\d+\.\d+)", config.read_text() if config.is_file() else "", re.MULTILINE
    )
    version = found.group(1) if found else before.get("python", "an unknown version")
    if version != PYTHON:
        reason = f"was created with Python {version}, but this is {PYTHON}"
    elif before.get("torch_index", torch_index) != torch_index:
        reason = "was created with another build of PyTorch"
    elif before.get("venv", str(venv)) != str(venv):
        reason = f"was moved here from {before['venv']}"
    elif not has_pip(venv):
        reason = "has no working pip"
    else:
        return
    if not before:
        raise InstallError(
            f"{venv} {reason}, and was not created by this command: move it away, or choose another folder with VENV=."
        )
    say(f"{venv} {reason}; recreating it")
    shutil.rmtree(str(venv))


def make_environment(venv, state):
    if has_pip(venv):
        write_state(venv, state)
        return
    say(f"creating {venv} with Python {platform.python_version()}")
    venv.mkdir(parents=True, exist_ok=True)
    write_state(venv, state)  # first, so that an unfinished environment is recognized as ours
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)])
    if done.returncode or not has_pip(venv):
        raise InstallError(
            f"'{sys.executable} -m venv {venv}' failed with the message above: repair this Python or select another with "
            "PYTHON=python3.12."
        )


def has_pip(venv):
    python = venv / "bin" / "python"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return python.exists() and subprocess.run([str(python), "-m", "pip", "--version"], **quiet).returncode == 0


def discard_unfinished_packages(venv):
    """Removes packages whose installation was interrupted, so that pip installs them again.

    Pip considers a package installed once its METADATA exists, and writes INSTALLER after the last file.
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
GIVEN_UP = "Could not fetch URL .*: (connection error|timed out)"  # pip then takes the page for empty
UNRESOLVED = "ResolutionImpossible: for help|have conflicting dependencies"
NOT_FOUND = "No matching distribution found|from versions: none"
CAUSES = (
    (r"No space left on device|\[Errno 28\]", "the disk is full: free some space and run the same command again"),
    (
        UNRESOLVED,
        f"the versions in constraints.txt are not available for {HERE}: use Python 3.11 to 3.14, or report this",
    ),
    (
        r"command '\S*(gcc|cc|clang)\S*' failed|unable to execute '\S*cc'|Python\.h: No such file",
        "a package had to be compiled, but the compiler failed: install a C compiler and Python's headers (Debian and "
        "Ubuntu: apt install gcc python3-dev) and run the same command again",
    ),
    (
        r"Temporary failure in name resolution|Name or service not known|nodename nor servname|No address associated|"
        r"Network is unreachable",
        "there is no network, or name resolution fails: connect this machine, or set PIP_INDEX_URL to an index that it can "
        "reach, and run the same command again",
    ),
    (
        r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|Read timed out|Connection refused|Connection reset|"
        r"ProxyError|SSLError|Max retries exceeded|IncompleteRead|5\d\d Server Error",
        "the package index does not respond: check the network and the proxy, or set PIP_INDEX_URL to another index, and run "
        "the same command again",
    ),
    (
        NOT_FOUND,
        f"the package index has no suitable version of a package for {HERE}: see the lines above; use Python 3.11 to 3.14, "
        "or set PIP_INDEX_URL to another index",
    ),
)


def explain(log):
    """The message for a failure of pip, derived from its log."""
    is_offline = re.search(GIVEN_UP, log)
    for pattern, sentence in CAUSES:
        if re.search(pattern, log) and not (is_offline and pattern == UNRESOLVED):
            return sentence
    return "pip failed with the message above: fix the problem and run the same command again"


if __name__ == "__main__":
    main()
