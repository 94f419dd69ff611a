"""Sharing the JVM with another program that configures and starts it in its own way, such as PyTerrier.

A process has one JVM. If the other program starts it, it must use a Java that can run Lucene. If this package starts it,
Pyjnius refuses the other's options and jars, but jars and system properties can still be added to the running JVM.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splade_lucene.errors import JavaRuntimeError
from splade_lucene.jvm.process import add_to_class_path
from splade_lucene.jvm.runtime import find_runtime

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_restore: Callable[[], None] | None = None


def begin_other_start(jnius_config: Any, *, choose_java: bool) -> None:
    """Prepares for another program that is about to configure Pyjnius and to use the JVM. It ends with :func:`end_other_start`.

    If no JVM runs, ``JAVA_HOME`` is the Java that we would start. If one runs, ``jnius_config.add_classpath`` adds jars to
    it instead of raising an error, and ``add_options`` sets its system properties, and warns of other options.

    Args:
        jnius_config: Pyjnius's module of that name.
        choose_java: Whether to set ``JAVA_HOME``; the caller may have been told which Java to use.
    """
    global _restore
    end_other_start()
    with _lock:
        if jnius_config.vm_running:
            _restore = _take_late_settings(jnius_config)
        elif choose_java:
            _restore = _choose_java()


def end_other_start() -> None:
    """Undoes :func:`begin_other_start`; what the JVM has been given stays."""
    global _restore
    with _lock:
        restore, _restore = _restore, None
    if restore is not None:
        restore()


def _choose_java() -> Callable[[], None] | None:
    try:
        home = str(find_runtime().home)
    except JavaRuntimeError:
        return None  # the other program may not need it; our first search reports the reason
    before = os.environ.get("JAVA_HOME")
    os.environ["JAVA_HOME"] = home

    def restore() -> None:
        if os.environ.get("JAVA_HOME") != home:
            return  # someone else has changed it
        if before is None:
            del os.environ["JAVA_HOME"]
        else:
            os.environ["JAVA_HOME"] = before

    return restore


def _take_late_settings(jnius_config: Any) -> Callable[[], None]:
    before = jnius_config.add_classpath, jnius_config.add_options
    started_with = {*jnius_config.get_options()}
    known = {*jnius_config.get_classpath()}

    def add_classpath(*paths: str) -> None:
        for path in map(str, paths):
            if path not in known:
                add_to_class_path(Path(path))
                known.add(path)

    def add_options(*options: str) -> None:
        for option in options:
            if option not in started_with:
                _set_late(option)

    def restore() -> None:
        jnius_config.add_classpath, jnius_config.add_options = before

    jnius_config.add_classpath, jnius_config.add_options = add_classpath, add_options
    return restore


def _set_late(option: str) -> None:
    import jnius

    name, _, value = option.removeprefix("-D").partition("=")
    if option.startswith("-D") and name:
        jnius.autoclass("java.lang.System").setProperty(name, value)
        return
    remedy = "Set SPLADE_LUCENE_HEAP instead" if option.startswith("-Xmx") else "Start the other program first"
    _log.warning("Java is already running, so its option %s has no effect. %s", option, remedy)
