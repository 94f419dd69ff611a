"""The command line: the only place that prints or sets an exit code.

Results go to stdout, progress and notes to stderr. The commands import heavy modules lazily, so that --help is fast.
"""

from __future__ import annotations

from splade_lucene.cli.app import app, main

__all__ = ["app", "main"]
