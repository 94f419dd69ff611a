"""The door to Java: the only package that knows that Java exists, its class names and its packed formats.

=====================  ===============================================================================================
module                 what it decides
=====================  ===============================================================================================
``runtime``            which Java and which Lucene
``process``            the one JVM of this process, and the static methods that are called in it
``exceptions``         what Java's exceptions mean
``wire``               the packed bytes that cross
``pyserini_import``    how Pyserini's own classes are imported onto the same JVM
=====================  ===============================================================================================

Nothing here starts Java when it is imported.
"""

from splade_lucene.jvm.process import (
    BRIDGE_JAR,
    facade,
    java_class,
    java_path,
    start,
    translated_exceptions,
    versions,
)
from splade_lucene.jvm.runtime import MINIMUM_JAVA, JavaRuntime, find_fatjar, find_runtime, read_runtime

__all__ = [
    "BRIDGE_JAR",
    "MINIMUM_JAVA",
    "JavaRuntime",
    "facade",
    "find_fatjar",
    "find_runtime",
    "java_class",
    "java_path",
    "read_runtime",
    "start",
    "translated_exceptions",
    "versions",
]
