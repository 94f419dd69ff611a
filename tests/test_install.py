"""The installation script: what it refuses and with which message, what it keeps and what it resumes."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.processes import ROOT

SCRIPT = ROOT / "tools" / "install.py"
spec = importlib.util.spec_from_file_location("tools_install", SCRIPT)
installer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(installer)


def environment(**changes: str) -> dict[str, str]:
    """An environment in which pip ignores this machine's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1", "PIP_NO_CACHE_DIR": "1", **changes}


# ---- what the machine has ----


def test_an_old_python_gets_as_far_as_the_message():
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 6, 9), (3, 9, 2), (3, 10, 13)])
def test_a_python_that_is_too_old(monkeypatch, version):
    monkeypatch.setattr(installer.sys, "version_info", version)
    with pytest.raises(installer.InstallError, match=r"3\.11 or newer is required, .* 'make demo PYTHON=python3\.12'"):
        installer.check_python()


def test_a_python_that_is_newer_than_tested_is_only_noted(monkeypatch, capsys):
    monkeypatch.setattr(installer.sys, "version_info", (3, 15, 0))
    installer.check_python()
    assert "is newer than 3.14" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv(monkeypatch, missing):
    monkeypatch.setattr(installer, "has_module", lambda name: name != missing)
    with pytest.raises(installer.InstallError, match=r"no module 'venv': install it .*apt install python3\.\d+-venv"):
        installer.check_python()


def test_a_compiler_is_needed_on_linux_arm64_alone(monkeypatch):
    monkeypatch.setattr(installer.shutil, "which", lambda name: None)
    monkeypatch.setattr(installer.sysconfig, "get_paths", lambda: {"include": "/nowhere"})
    monkeypatch.setattr(installer.sys, "platform", "linux")
    monkeypatch.setattr(installer.platform, "machine", lambda: "x86_64")
    installer.check_compiler()
    monkeypatch.setattr(installer.platform, "machine", lambda: "aarch64")
    with pytest.raises(
        installer.InstallError,
        match=r"pytrec-eval-terrier is compiled, which needs a C compiler and Python's headers: .*apt install gcc python3",
    ):
        installer.check_compiler()
    monkeypatch.setattr(installer.sys, "platform", "darwin")
    installer.check_compiler()


def free_space(monkeypatch, gigabytes: float) -> None:
    monkeypatch.setattr(installer.shutil, "disk_usage", lambda path: SimpleNamespace(free=gigabytes * 10**9))


def test_a_disk_that_is_too_small(monkeypatch, tmp_path):
    sizes = (7 * 10**9, 3 * 10**9)
    monkeypatch.setattr(installer.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    free_space(monkeypatch, 12.9)
    with pytest.raises(installer.InstallError, match=r"has 12\.9 GB free, but 13\.0 GB are needed .*: free some space"):
        installer.check_disk(tmp_path / "venv", sizes, is_complete=False)
    free_space(monkeypatch, 13)
    installer.check_disk(tmp_path / "venv", sizes, is_complete=False)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    free_space(monkeypatch, 10)
    installer.check_disk(tmp_path / "venv", sizes, is_complete=False)


def test_what_is_installed_already_needs_little_room(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setattr(installer.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(installer, "tree_size", lambda folder: 6 * 10**9)
    free_space(monkeypatch, 3)
    installer.check_disk(tmp_path, (7 * 10**9, 2 * 10**9), is_complete=False)  # it was interrupted
    free_space(monkeypatch, 2)
    installer.check_disk(tmp_path, (7 * 10**9, 2 * 10**9), is_complete=True)


# ---- what is there ----

OURS = {"venv": "", "python": installer.PYTHON, "torch_index": ""}


def make_venv(folder: Path, version: str = f"{installer.PYTHON}.1", **state: str) -> Path:
    venv = folder / "a venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n")
    (venv / "thesis.tex").write_text("")
    if state:
        installer.write_state(venv, {**OURS, "venv": str(venv), **state})
    return venv


@pytest.fixture
def with_pip(monkeypatch):
    monkeypatch.setattr(installer, "has_pip", lambda venv: True)


def test_a_folder_that_is_no_environment_is_kept(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(installer.InstallError, match="is not a virtual environment: move it away"):
        installer.clear_other(tmp_path, {}, "")
    assert (tmp_path / "thesis.tex").exists()


def test_an_environment_that_fits_is_kept(tmp_path, with_pip):
    installer.clear_other(make_venv(tmp_path), {}, "")
    assert (tmp_path / "a venv" / "thesis.tex").exists()


def test_an_environment_of_another_python_that_is_not_ours_is_kept(tmp_path, with_pip):
    venv = make_venv(tmp_path, "3.2.1")
    with pytest.raises(
        installer.InstallError, match=r"was created with Python 3\.2, .* not created by this command: move it away"
    ):
        installer.clear_other(venv, installer.read_state(venv), "")
    assert (venv / "thesis.tex").exists()


def test_an_environment_without_pip_that_is_not_ours_is_kept(tmp_path):
    venv = make_venv(tmp_path)
    with pytest.raises(installer.InstallError, match="has no working pip, and was not created by this command"):
        installer.clear_other(venv, {}, "")
    assert (venv / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("version", "state", "torch_index"),
    [
        ("3.2.1", {"python": "3.2"}, ""),
        (f"{installer.PYTHON}.1", {"torch_index": ""}, "https://example.org"),
        (f"{installer.PYTHON}.1", {"venv": "/moved/away"}, ""),
    ],
)
def test_an_environment_of_ours_that_does_not_fit_is_made_again(tmp_path, with_pip, version, state, torch_index):
    venv = make_venv(tmp_path, version, **state)
    installer.clear_other(venv, installer.read_state(venv), torch_index)
    assert not venv.exists()


# ---- what is installed ----


def test_what_was_installed_is_current_until_something_changes():
    inputs = {"setup.cfg": "a", "constraints.txt": "b"}
    state = {"venv": "/v", "python": "3.11", "torch_index": "", "inputs": inputs, "extras": ["dev"]}
    assert installer.is_current(state, state)
    assert installer.is_current(state, {**state, "extras": []})  # make demo after make test
    assert not installer.is_current({**state, "extras": []}, state)
    assert not installer.is_current({}, state)
    assert not installer.is_current({"venv": "/v", "python": "3.11", "torch_index": ""}, state)  # it was interrupted
    for key, other in (
        ("python", "3.12"),
        ("venv", "/w"),
        ("torch_index", "x"),
        ("inputs", {**inputs, "setup.cfg": "c"}),
    ):
        assert not installer.is_current({**state, key: other}, state)


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 30])
def test_a_damaged_state_counts_as_none(tmp_path, text):
    (tmp_path / installer.STATE).write_text(text)
    assert installer.read_state(tmp_path) == {}


def test_a_package_that_pip_did_not_finish_is_installed_again(tmp_path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, files in {"whole-1.0": ("METADATA", "INSTALLER"), "half-2.0": ("METADATA",)}.items():
        folder = packages / f"{name}.dist-info"
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).write_text("")
    installer.discard_unfinished_packages(tmp_path)
    assert [path.name for path in packages.iterdir()] == ["whole-1.0.dist-info"]


def write_index(folder: Path, version: str) -> str:
    """A package index of one wheel that calls itself torch; its address."""
    wheel = folder / "torch" / f"torch-{version}-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    metadata = f"torch-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{metadata}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        archive.writestr(f"{metadata}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{metadata}/RECORD", "")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name.replace("+", "%2B")}">{wheel.name}</a>')
    return folder.as_uri()


def test_the_torch_index_is_preferred_where_it_has_the_version(monkeypatch, tmp_path):
    """pip, asked as the script asks it, takes the CPU build over the same version of the ordinary index."""
    pytest.importorskip("pip")
    commands = []
    real_run = subprocess.run
    monkeypatch.setattr(
        installer.subprocess,
        "run",
        lambda command, **_options: commands.append(command) or SimpleNamespace(returncode=0),
    )
    cpu = write_index(tmp_path / "cpu", "2.13.0+cpu")
    installer.run_pip(tmp_path, ["--editable", "."], cpu)
    (command,) = commands
    command[0] = sys.executable
    command[command.index("install") + 1 : command.index("install") + 1] = [
        "--dry-run",
        "--no-deps",
        "--ignore-installed",
    ]
    command[command.index("--editable") :] = ["torch"]
    plain = write_index(tmp_path / "plain", "2.13.0")
    done = real_run(command, env=environment(PIP_INDEX_URL=plain), capture_output=True, text=True)
    assert "Would install torch-2.13.0+cpu" in done.stdout, done.stdout + done.stderr
    assert installer.expected_sizes("", cpu) == installer.SIZES["cpu"]


def test_a_list_of_requirements_is_installed_with_pyserini_and_without_what_that_requires(monkeypatch, tmp_path):
    """Installed once, and again only if the list, or one that it includes, has changed."""
    commands = []
    venv = tmp_path / "venv"
    for name in ("check_disk", "check_compiler", "make_environment"):
        monkeypatch.setattr(installer, name, lambda *_, **__: None)
    monkeypatch.setattr(installer, "has_pip", lambda venv: True)
    monkeypatch.setattr(installer, "run_pip", lambda venv, arguments, torch_index: commands.append(arguments))
    monkeypatch.setattr(installer, "clear_other", lambda *_: None)
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "splade-lucene").touch()
    for _ in range(2):
        installer.install(venv, [], "tests/light.txt", "")
    listed, alone = commands
    assert listed == ["--requirement", str(ROOT / "tests" / "light.txt")]
    assert alone == ["--no-deps", "--requirement", str(ROOT / "requirements-search-alone.txt"), "--editable", str(ROOT)]
    state = installer.read_state(venv)
    assert {"requirements-search.txt", "tests/light.txt"} < set(state["inputs"])
    state["inputs"]["requirements-search.txt"] = "another"
    installer.write_state(venv, state)
    installer.install(venv, [], "tests/light.txt", "")
    assert len(commands) == 4


# ---- how pip fails ----


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        ("https://nowhere.invalid/simple", "there is no network, or name resolution fails"),
        ("http://127.0.0.1:9/simple", "the package index does not respond"),
    ],
)
def test_without_a_network_or_an_index_the_last_line_says_so(tmp_path, index, sentence):
    small = ["--requirements", "requirements-search.txt"]  # torch's 12 GB of free disk are not needed for this
    command = [sys.executable, str(SCRIPT), "--venv", str(tmp_path / "venv"), *small]
    done = subprocess.run(command, env=environment(PIP_INDEX_URL=index), capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"installation failed: {sentence}"), done.stderr
    assert "run the same command again" in last
    assert installer.read_state(tmp_path / "venv").keys() == {
        "venv",
        "python",
        "torch_index",
    }  # not what was to be installed


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full: free some space"),
        ("error: command '/usr/bin/gcc' failed with exit code 1", "a package had to be compiled"),
        ("src/x.c:1:10: fatal error: Python.h: No such file or directory", "a package had to be compiled"),
        ("ERROR: ResolutionImpossible: for help visit", "the versions in constraints.txt are not available for Python"),
        (
            "Read timed out.\nERROR: ResolutionImpossible: for help",
            "the versions in constraints.txt are not available for Python",
        ),
        (
            "Could not fetch URL https://x/: connection error: Max retries exceeded\nERROR: ResolutionImpossible: for help",
            "the package index does not respond",
        ),
        (
            "ERROR: No matching distribution found for pyjnius==1.9.0",
            "the package index has no suitable version of a package for",
        ),
        ("ReadTimeoutError: Read timed out.", "the package index does not respond"),
        ("something else", "pip failed with the message above"),
    ],
)
def test_other_failures_of_pip(log, sentence):
    assert installer.explain(log).startswith(sentence)
