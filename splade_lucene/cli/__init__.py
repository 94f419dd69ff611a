"""The command line: the only place that prints or sets an exit code.

Results go to stdout, progress and notes to stderr. Heavy imports stand inside the commands, so that --help is quick.
"""

from __future__ import annotations

from splade_lucene.cli.app import app, main

__all__ = ["app", "main"]
