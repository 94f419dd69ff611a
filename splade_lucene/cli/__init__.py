"""The command line: the only place that prints or sets an exit code.

Results go to stdout, progress and notes to stderr. The commands import heavy modules lazily, so that --help is fast.
"""

from __future__ import annotations

import sys

from splade_lucene.cli import interrupts

__all__ = ["main"]


def main() -> None:
    """Runs the program. The handler of Ctrl-C is in place before the commands are imported."""
    interrupts.install()
    try:
        from splade_lucene.cli.app import run_program

        run_program()
    except KeyboardInterrupt:  # before a command has begun
        print(interrupts.MESSAGE, file=sys.stderr)
        sys.exit(130)
