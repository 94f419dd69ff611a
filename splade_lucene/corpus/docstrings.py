"""A script that prints the docstrings of the running Python's standard library, as JSON lines of a name and a text.

It runs in a process of its own (see :mod:`splade_lucene.corpus.python_docs`) and so imports nothing but the standard library.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from types import ModuleType

# Importing these has side effects (opens a browser or a window, prints a poem), or they are tools and tests, not an API.
_EXCLUDED = frozenset(
    """antigravity distutils ensurepip idlelib lib2to3 msilib msvcrt nt pip pydoc_data setuptools test this tkinter turtle
    turtledemo venv winreg winsound""".split()  # noqa: SIM905
)
_MIN_CHARACTERS = 20  # shorter docstrings carry no information ("See above.")


def read_docstrings() -> Iterator[tuple[str, str]]:
    """Yields names and texts, ordered by module. Each docstring appears once, under its shortest public name."""
    documented: set[int] = set()
    named: set[str] = set()
    modules = [module for name in sorted(sys.stdlib_module_names) for module in _modules(name)]
    for module in modules:
        if text := _docstring(module):
            named.add(module.__name__)
            yield module.__name__, f"{module.__name__} {text}"
    for module in modules:
        for name in _public_names(module):
            member = getattr(module, name, None)
            if id(member) in documented or not _belongs(member, module):
                continue
            documented.add(id(member))
            for own_name, text in _describe(f"{module.__name__}.{name}", member):
                if own_name not in named:
                    named.add(own_name)
                    yield own_name, text


def _modules(name: str) -> Iterator[ModuleType]:
    if name.startswith("_") or name in _EXCLUDED:
        return
    module = _import(name)
    if module is None:
        return
    yield module
    for each in sorted(pkgutil.iter_modules(getattr(module, "__path__", ())), key=lambda found: found.name):
        if not each.name.startswith("_") and each.name not in ("test", "tests"):
            yield from _modules(f"{name}.{each.name}")


def _import(name: str) -> ModuleType | None:
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except Exception:  # a module for another platform, or built without its C library
            return None


def _public_names(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return sorted({str(name) for name in names})


def _belongs(member: object, module: ModuleType) -> bool:
    """Whether a class or function is defined in the module's package, or in the C module that it wraps."""
    if not (inspect.isclass(member) or inspect.isroutine(member)):
        return False
    home = getattr(member, "__module__", None) or module.__name__
    top, own = str(home).partition(".")[0], module.__name__.partition(".")[0]
    return top == own or (top.startswith("_") and top != "__future__") or (own == "os" and top in ("posix", "nt"))


def _describe(name: str, member: object) -> Iterator[tuple[str, str]]:
    if text := _docstring(member):
        yield name, f"{name}{_signature(member)} {text}"
    if not inspect.isclass(member):
        return
    for own_name, attribute in sorted(vars(member).items()):
        is_documented = inspect.isroutine(attribute) or isinstance(attribute, property)
        if own_name.startswith("_") or not is_documented:
            continue
        if text := _docstring(attribute):
            yield f"{name}.{own_name}", f"{name}.{own_name}{_signature(attribute)} {text}"


def _docstring(member: object) -> str:
    text = getattr(member, "__doc__", None)
    return inspect.cleandoc(text) if isinstance(text, str) and len(text.strip()) >= _MIN_CHARACTERS else ""


def _signature(member: object) -> str:
    try:
        parameters = inspect.signature(member).parameters  # type: ignore[arg-type]
    except (
        TypeError,
        ValueError,
        AttributeError,
    ):  # C functions without a signature, or with one that refers to a missing constant
        return ""
    return f"({', '.join(parameters)})"


if __name__ == "__main__":
    for pair in read_docstrings():
        print(json.dumps(pair))  # noqa: T201
