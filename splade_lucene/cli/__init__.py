"""The command line: the only place that prints or sets an exit code.

Results go to stdout, progress and notes to stderr. The commands import heavy modules lazily, so that --help is fast.

===========================================================  ==========================================================
module                                                       purpose
===========================================================  ==========================================================
``app``, ``command``, ``interrupts``                         the program: commands, exit codes, errors, pipes, Ctrl-C
``build``, ``encode``, ``index``, ``report``                 commands that encode and index
``change``, ``merge``, ``accelerate``, ``check``, ``stats``  commands on an index; ``change``: add, delete, optimize
``search``, ``score``, ``more_like_this``                    commands that search; ``search`` also has ``explain``
``interactive``, ``search_report``                           searching at a prompt; the reports of ``search``
``bm25``, ``rerank``, ``run``                                commands on runs, and the BM25 baseline
``evaluate``, ``compare``                                    commands that evaluate
``reproduce``, ``reproduce_runs``                            ``reproduce``, and how it runs entries
``export``, ``import_command``, ``push``                     commands for other engines
``models``, ``train``, ``serve``, ``demo``                   the other commands
``options``, ``option_groups``                               shared options, and groups of them
``search_options``, ``topic_options``                        options of searches and of topics
``feedback_options``, ``hybrid_options``                     options of relevance feedback and of hybrid search
``engine_options``, ``ray_options``                          options for other engines and for Ray
``output``, ``terminal``                                     messages, progress, tables; text safe for a terminal
===========================================================  ==========================================================
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
