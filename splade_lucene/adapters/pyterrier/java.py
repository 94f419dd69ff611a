"""PyTerrier: one JVM for Terrier and Lucene, in either order.

PyTerrier starts Java when a class of Terrier is first used, or with ``pt.java.init()``; importing it, and pipelines without
Terrier, such as ours, do not. It calls the initializers of all installed packages, of which this is one (entry point
``pyterrier.java.init``).

- **PyTerrier first**: it would use the Java on the path, which may be too old for Lucene. Our initializer selects the one that
  we would start, unless ``pt.java.set_java_home()`` names another. Our first search adds Lucene's jars to the running JVM.
- **This package first**: PyTerrier adds its jars and sets its properties in the running JVM. Its memory options are too late,
  and it warns; ``SPLADE_LUCENE_HEAP`` sets the heap.
"""

from __future__ import annotations

import weakref
from typing import Any

from splade_lucene.imports import uninterrupted_imports
from splade_lucene.jvm.sharing import begin_other_start, end_other_start

with uninterrupted_imports(extra="pyterrier"):
    from pyterrier import java as terrier


class SharedJavaInit(terrier.JavaInitializer):
    """PyTerrier's initializer for a JVM with both; PyTerrier creates and calls it."""

    def priority(self) -> int:
        """Before all of PyTerrier's own, which change Pyjnius's configuration."""
        return -1000

    def pre_init(self, jnius_config: Any) -> None:
        """Chooses Java, or lets settings reach the JVM that runs."""
        weakref.finalize(self, end_other_start)  # if another initializer fails, as without a network
        begin_other_start(jnius_config, choose_java=not terrier.configure["java_home"])

    def post_init(self, jnius: Any) -> None:  # noqa: ARG002 - PyTerrier's signature
        """Undoes what was only for the start."""
        end_other_start()
