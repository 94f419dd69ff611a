"""SPLADE retrieval on plain Lucene impact indexes.

    corpus → encoder → quantizer → pseudo-documents → Lucene impact index → searcher → run → evaluation

The public names are listed in ``__init__.pyi``, each beside the module in which it is defined, and loaded when they are
first used: importing this package loads neither torch nor a JVM.
"""

import lazy_loader

from splade_lucene.imports import uninterrupted_imports
from splade_lucene.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = uninterrupted_imports()(__getattr__)
