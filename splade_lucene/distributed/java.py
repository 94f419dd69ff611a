"""Java in workers: each process has one JVM, and the JVMs of a node share the memory that one would take."""

from __future__ import annotations

import os

from splade_lucene.distributed.cluster import Session
from splade_lucene.encoder.memory import main_memory

JAVA_PROCESS_BYTES = 1 << 30
"""Memory that a process with a JVM asks Ray for; the JVM takes its share of the node's."""

_SHARE_OF_MEMORY = 4
_LEAST_HEAP = 256 << 20


def processes_per_node(session: Session, workers: int) -> int:
    """The number of workers that a node has if they are spread evenly."""
    return -(-workers // max(1, len(session.nodes())))


def limit_heap(processes: int) -> None:
    """Sets the heap of this process's JVM, which has not started yet, unless ``SPLADE_LUCENE_HEAP`` does.

    Args:
        processes: Number of processes of this node that have a JVM.
    """
    heap = max(_LEAST_HEAP, main_memory() // _SHARE_OF_MEMORY // processes)
    os.environ.setdefault("SPLADE_LUCENE_HEAP", f"{heap >> 20}m")
