"""A real Chromium for the tests of the page, driven by Playwright; without either they are skipped."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_browser() -> str:
    """The browser of this machine; none is downloaded."""
    named = os.environ.get("SPLADE_LUCENE_TEST_BROWSER")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium: 'make browser' installs it, SPLADE_LUCENE_TEST_BROWSER names another one")
    return found


@contextlib.contextmanager
def browser_context() -> Iterator[BrowserContext]:
    """A browser with an empty profile, in which nothing but this machine can be reached."""
    executable = find_browser()
    sync_playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright").sync_playwright
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            Path(profile), executable_path=executable, headless=True, args=FLAGS, accept_downloads=True,
            viewport={"width": 1280, "height": 860}, permissions=["clipboard-read", "clipboard-write"],
        )  # fmt: skip
        context.set_default_timeout(20_000)
        yield context
        context.close()
