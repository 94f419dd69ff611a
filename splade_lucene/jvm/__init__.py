"""The interface to Java: the only package that contains Java class names and packed formats.

=====================  ===============================================================================================
module                 purpose
=====================  ===============================================================================================
``runtime``            finds Java and Lucene
``class_data``         an archive of Java's classes, with which the JVM starts faster
``process``            starts the JVM of this process and calls its static methods
``exceptions``         translates Java exceptions
``wire``               packs and unpacks the data exchanged with Java
``pyserini_import``    imports Pyserini's own classes on the same JVM
``signals``            keeps the JVM's signal handlers when another library sets its own
``sharing``            shares the JVM with another program that configures it
=====================  ===============================================================================================

Importing this package does not start Java.
"""

from splade_lucene.jvm.process import (
    BRIDGE_JAR,
    JavaHandle,
    facade,
    java_class,
    java_path,
    start,
    translated_exceptions,
    versions,
)
from splade_lucene.jvm.runtime import MINIMUM_JAVA, JavaRuntime, find_fatjar, find_runtime, read_runtime
from splade_lucene.jvm.signals import restore_handlers

__all__ = [
    "BRIDGE_JAR",
    "MINIMUM_JAVA",
    "JavaHandle",
    "JavaRuntime",
    "facade",
    "find_fatjar",
    "find_runtime",
    "java_class",
    "java_path",
    "read_runtime",
    "restore_handlers",
    "start",
    "translated_exceptions",
    "versions",
]
