"""The page in the package was built from the sources next to it, and keeps to what its Content-Security-Policy allows."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess

import pytest
from support.files import files
from support.processes import ROOT

SOURCES = ROOT / "splade_lucene" / "server" / "page_src"
STATIC = ROOT / "splade_lucene" / "server" / "static"


def sources_digest() -> str:
    """What build.js writes into app.js."""
    names = sorted(
        name
        for path in SOURCES.rglob("*")
        if path.is_file() and not (name := path.relative_to(SOURCES).as_posix()).startswith("node_modules/")
    )
    digest = hashlib.sha256()
    for name in names:
        content = (SOURCES / name).read_bytes()
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


def test_the_page_was_built_from_these_sources():
    (digest,) = re.findall(r"sources sha256:([0-9a-f]{64})", (STATIC / "app.js").read_text(encoding="utf-8"))
    assert digest == sources_digest(), "run: make page"


@pytest.mark.process
def test_building_again_gives_the_same_files(tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    shutil.copytree(SOURCES, tmp_path / "src", ignore=shutil.ignore_patterns("node_modules"))
    installed = subprocess.run(
        ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=0"],
        cwd=tmp_path / "src",
        capture_output=True,
        text=True,
    )
    if installed.returncode and re.search(r"ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|network", installed.stderr):
        pytest.skip(f"npm has no registry: {installed.stderr[-200:]}")
    assert installed.returncode == 0, installed.stderr
    subprocess.run(["node", "build.js", str(tmp_path / "static")], cwd=tmp_path / "src", check=True)
    assert files(tmp_path / "static") == files(STATIC)


def test_the_page_loads_nothing_from_elsewhere_and_has_no_inline_code():
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="([^"]+)"', html) == [
        "static/icon.svg", "static/style.css", "static/theme.js", "static/app.js", "docs"
    ]  # fmt: skip
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", html)
    script = (STATIC / "app.js").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"'`]+", script)) == {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML", "http://www.w3.org/1999/xhtml",
        "https://arxiv.org/abs/2110.11540",
    }  # fmt: skip
    style = (STATIC / "style.css").read_text(encoding="utf-8")
    assert "@import" not in style
    assert "url(" not in style


def test_the_sources_make_no_html_from_texts():
    """Preact escapes what it shows; nothing goes around it."""
    for path in (SOURCES / "src").iterdir():
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text()
        )
        assert not found, path
