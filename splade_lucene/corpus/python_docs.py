"""A real corpus available on every machine: the docstrings of the running Python's standard library.

Each document is the docstring of one public module, class, function, method or property. Its docid is the dotted name
used in code (``os.walk``, ``asyncio.run``, ``collections.OrderedDict.move_to_end``).

The docstrings are read in a new process. In this one, other libraries may have changed the standard library: transformers adds
methods to ``logging.Logger``, and torch replaces ``inspect.getfile``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

from splade_lucene.corpus import docstrings
from splade_lucene.errors import CorpusError
from splade_lucene.records import Document


def read_python_docs() -> Iterator[Document]:
    """Yields the documents, ordered by module. Each appears once, under its shortest public name.

    Raises:
        CorpusError: Python cannot be started.
    """
    # -I and -S: without the environment's variables, and without the packages that are installed
    command = [sys.executable, "-I", "-S", docstrings.__file__]
    try:
        printed = subprocess.run(command, capture_output=True, check=True, text=True, encoding="ascii").stdout
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().rpartition("\n")[2]
        raise CorpusError(f"python-docs: {sys.executable} failed: {reason}") from error
    except (OSError, TypeError) as error:  # an embedded Python may have no executable
        raise CorpusError(f"python-docs: {sys.executable!r} cannot be started: {error}") from error
    for line in printed.splitlines():
        yield Document(*json.loads(line))
