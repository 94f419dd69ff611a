"""The package's entry points, read from setup.cfg rather than from an installation that may be older."""

from __future__ import annotations

import configparser
from pathlib import Path

from support.processes import ROOT


def write_entry_points(folder: Path) -> Path:
    """Writes a ``dist-info`` folder with the entry points of setup.cfg.

    Args:
        folder: Where to write it. Put this folder first on the path, so that it takes precedence over the installed one.
    """
    config = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    config.optionxform = str  # type: ignore[assignment,method-assign]
    config.read(ROOT / "setup.cfg")
    groups = config["options.entry_points"]
    text = "".join(f"[{group}]\n{lines.strip()}\n\n" for group, lines in groups.items())
    installed = folder / "splade_lucene-0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: splade-lucene\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(text)
    return folder
