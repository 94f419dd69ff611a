"""What the Makefile installs can be resolved on every Python and platform, from the package index alone.

uv resolves for a Python and a platform that this machine is not, and installs nothing. It knows neither wheels that lie
on this machine nor pip's configuration, so that these cannot hide a conflict.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import ROOT

from splade_lucene.files.files import cache_folder

PYTHONS = ["3.11.0", "3.11.2", "3.12", "3.13", "3.14"]
PLATFORMS = {
    "Linux x86_64": "x86_64-manylinux_2_28",
    "Linux arm64": "aarch64-manylinux_2_28",
    "macOS 14 arm64": "aarch64-apple-darwin",
}
COMPILED = {"Linux x86_64": set(), "Linux arm64": {"pytrec-eval-terrier"}, "macOS 14 arm64": set()}
"""What has no wheel and needs a C compiler; README and tools/install.py say the same."""

PURE_PYTHON = {"pyserini"}
"""What has no wheel either, and is built without a compiler."""

UNREACHABLE = re.compile(r"dns error|failed to fetch|error sending request|could not connect|connection refused", re.I)


INDEX = """
[[index]]
url = "https://pypi.org/simple"
default = true
cache-control = { api = "max-age=600", files = "max-age=31536000, immutable" }
"""
"""The index that uv takes anyway; some mirrors of it have everything fetched anew each time unless told otherwise."""


def uv(*arguments: str, what: str) -> subprocess.CompletedProcess[str]:
    """``uv pip compile`` of requirements, with a cache of its own."""
    program = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        pytest.skip("needs uv")
    cache = cache_folder() / "tests" / "uv"
    config = cache / "uv.toml"
    cache.mkdir(parents=True, exist_ok=True)
    config.write_text(INDEX)
    command = [program, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--config-file", str(config)]
    environment = {
        **os.environ,
        "UV_CACHE_DIR": str(cache),
        "UV_PYTHON_DOWNLOADS": "never",
        "MACOSX_DEPLOYMENT_TARGET": "14.0",
    }
    return subprocess.run(
        [*command, *arguments, "-"], input=what, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300
    )


@pytest.fixture(scope="module", autouse=True)
def package_index() -> None:
    """Skips where no package index answers."""
    done = uv("--refresh", what="iniconfig")
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip(f"no package index answers: {' '.join(done.stderr.split())[-120:]}")
    assert done.returncode == 0, done.stderr


def requirements(*extras: str) -> str:
    """What setup.cfg requires, with the extras that an extra names."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split("\n")
    for extra in extras:
        for line in config["options.extras_require"][extra].split("\n"):
            nested = re.fullmatch(r"splade-lucene\[(.+)\]", line)
            lines += requirements(*nested[1].split(",")).split("\n") if nested else [line]
    return "\n".join(lines)


def on(python: str, platform: str) -> tuple[str, ...]:
    return "--python-version", python, "--python-platform", PLATFORMS[platform]


def check_wheels(python: str, platform: str, pins: list[str]) -> None:
    """All pins have wheels there but for those that are known to have none, and these have none indeed."""

    def wheels_for(pins: list[str]) -> subprocess.CompletedProcess[str]:
        return uv(*on(python, platform), "--no-deps", "--only-binary", ":all:", what="\n".join(pins))

    without = PURE_PYTHON | COMPILED[platform]
    done = wheels_for([pin for pin in pins if pin.partition("==")[0] not in without])
    assert done.returncode == 0, f"Python {python}, {platform}:\n{done.stderr}"
    for name in COMPILED[platform]:
        done = wheels_for([pin for pin in pins if pin.partition("==")[0] == name])
        assert "no usable wheels" in done.stderr, f"{name} has a wheel now; README says that it has none"


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_what_the_makefile_installs_resolves(python, platform):
    """For ``make test``; ``make demo`` installs a part of that, with the same constraints."""
    done = uv(*on(python, platform), "--constraint", "constraints.txt", what=requirements("dev"))
    assert done.returncode == 0, f"Python {python}, {platform}:\n{done.stderr}"
    check_wheels(python, platform, done.stdout.splitlines())


@pytest.mark.parametrize("resolution", ["highest", "lowest-direct"])
def test_the_bare_package_resolves_without_constraints(resolution):
    """For all Pythons and platforms at once."""
    done = uv("--universal", "--python-version", "3.11.0", "--resolution", resolution, what=requirements())
    assert done.returncode == 0, done.stderr
    pins = done.stdout.splitlines()
    if resolution == "highest":
        for python in PYTHONS:
            for platform in PLATFORMS:
                check_wheels(python, platform, pins)
    else:
        assert {"typer==0.19.0", "ir-measures==0.3.7"} <= {pin.partition(" ")[0] for pin in pins}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", [PYTHONS[0], PYTHONS[-1]])
def test_a_light_installation_resolves_and_brings_nothing_heavy(python, platform):
    done = uv(*on(python, platform), what="-r requirements-search.txt")
    alone = uv(*on(python, platform), "--no-deps", what="-r requirements-search-alone.txt")
    assert done.returncode == alone.returncode == 0, done.stderr + alone.stderr
    pins = done.stdout.splitlines()
    assert {"torch", "transformers", "scipy", "pandas", "pyarrow"}.isdisjoint(pin.partition("==")[0] for pin in pins)
    check_wheels(python, platform, pins + alone.stdout.splitlines())


def test_the_constraints_are_those_that_make_writes(tmp_path):
    """Resolving again gives the same file: it was not edited, and setup.cfg still matches it."""
    extras = configparser.ConfigParser(interpolation=None)
    extras.read(ROOT / "setup.cfg")
    written = tmp_path / "constraints.txt"
    shutil.copy(ROOT / "constraints.txt", written)
    done = uv(
        "--universal", "--python-version", "3.11", "--constraint", "constraints.in", "--output-file", str(written),
        what=requirements(*extras["options.extras_require"]),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    def pins(path: Path) -> list[str]:
        return [line for line in path.read_text().splitlines() if not line.startswith("#")]

    assert pins(written) == pins(ROOT / "constraints.txt"), "run: make constraints"


def test_readme_names_what_is_compiled():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for packages in COMPILED.values():
        for package in packages:
            assert package in readme
            assert package in (ROOT / "tools" / "install.py").read_text(encoding="utf-8")
