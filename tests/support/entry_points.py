"""The entry points of setup.cfg, as they are when the package is installed."""

from __future__ import annotations

import configparser
from pathlib import Path

from support.processes import ROOT


def write_entry_points(folder: Path) -> Path:
    """Writes what an installation of the package tells of itself; before other folders on the path, it hides those.

    Args:
        folder: A folder, to be put on the path.
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
