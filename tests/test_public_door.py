"""The door: what the package shows, how little it loads, and which module may know what."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import splade_lucene

PACKAGE = Path(splade_lucene.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
WINGS = frozenset({"training", "server", "distributed", "export"})
DOORS = frozenset({"__init__.py", "__main__.py"})
COMMAND_LINE = "cli"
HEAVY = ("torch", "transformers", "jnius", "jnius_config", "pyserini", "datasets", "ir_measures", "ir_datasets")


def module_name(path):
    parts = ["splade_lucene", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(source, package="splade_lucene"):
    """Absolute names of all modules that a source imports, wherever in it: statements and import_module("…")."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join(parts[: len(parts) - node.level + 1] + ([base] if base else []))
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("import_module", "__import__"):
                found.add(str(node.args[0].value))
    return found


def output_calls(source):
    """Lines that print or end the process."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "exit", "quit", "sys.exit", "os._exit", "os.abort", "SystemExit") or (
                called in ("sys.stdout.write", "sys.stderr.write")
            ):
                lines.append(node.lineno)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name) and node.exc.id == "SystemExit":
            lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "sys":
            lines += [node.lineno for alias in node.names if alias.name == "exit"]
    return sorted(lines)


def in_child(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def loaded_by(statement):
    return in_child(f"import json, sys\n{statement}\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))")


# ---- names ----


def test_names_are_sorted_and_unique():
    assert splade_lucene.__all__ == sorted(set(splade_lucene.__all__))
    assert len(splade_lucene.__all__) >= 20


def test_names_that_other_peoples_scripts_rely_on_are_there():
    promised = """SpladeEncoder LuceneImpactIndexer LuceneImpactSearcher Run evaluate Quantizer read_pseudo_documents
    write_pseudo_documents Document Query PseudoDocument SpladeLuceneError read_corpus read_topics""".split()  # noqa: SIM905
    assert set(promised) <= set(splade_lucene.__all__)


def test_each_name_is_the_thing_of_its_module():
    for name in splade_lucene.__all__:
        thing = getattr(splade_lucene, name)
        home = import_module(thing.__module__)
        assert home.__name__.startswith("splade_lucene.")
        assert getattr(home, name) is thing
        assert thing.__doc__


def test_star_import_gives_exactly_these_names():
    names = in_child(
        "import json\nbefore = set(globals())\nfrom splade_lucene import *\n"
        "print(json.dumps(sorted(set(globals()) - before - {'before'})))"
    )
    assert names == splade_lucene.__all__


def test_type_checkers_see_the_names_that_are_loaded():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(seen) == splade_lucene.__all__
    for name, module in seen.items():
        assert getattr(import_module(module), name) is getattr(splade_lucene, name)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'splade_lucene' has no attribute 'nothing'"):
        splade_lucene.nothing  # noqa: B018
    with pytest.raises(ImportError, match="nothing"):
        from splade_lucene import nothing  # noqa: F401


def test_dir_shows_the_names():
    assert set(splade_lucene.__all__) <= set(dir(splade_lucene))


# ---- what is loaded ----


@pytest.mark.parametrize(
    "statement",
    [
        "import splade_lucene",
        "from splade_lucene import Quantizer",
        "from splade_lucene import Run, Query, read_topics, read_corpus, read_pseudo_documents, evaluate",
        "import splade_lucene.cli",
    ],
)
def test_light_imports_load_nothing_heavy(statement):
    assert loaded_by(statement) == []


def test_all_names_load_without_java():
    assert loaded_by("from splade_lucene import *") == []
    assert "torch" in loaded_by("import splade_lucene.encoder.network")  # so the check would notice it


# ---- who knows what ----


def test_walks_find_what_they_look_for():
    source = """
def f():
    import jnius.reflect
    from jnius_config import x
    from . import training
    from .server import app
    from splade_lucene import export
    importlib.import_module("splade_lucene.distributed")
"""
    assert imported_modules(source) >= {
        "jnius.reflect",
        "jnius_config",
        "splade_lucene.training",
        "splade_lucene.server",
        "splade_lucene.export",
        "splade_lucene.distributed",
    }
    assert imported_modules("from ..export import x", "splade_lucene.encoder") >= {"splade_lucene.export"}
    assert output_calls("import sys\nprint(1)\nsys.exit(2)\nraise SystemExit(3)\nraise SystemExit\nlog.print(5)") == [
        2,
        3,
        4,
        5,
    ]
    assert len(FILES) > 20


def knows_java(path):
    names = imported_modules(path.read_text(encoding="utf-8"), module_name(path.parent / "__init__.py"))
    return any(name.partition(".")[0] in ("jnius", "jnius_config") for name in names)


def test_only_one_module_knows_java():
    assert [path.relative_to(PACKAGE).as_posix() for path in FILES if knows_java(path)] == ["jvm.py"]


def test_only_the_command_line_prints_or_exits():
    found = {path.relative_to(PACKAGE) for path in FILES if output_calls(path.read_text(encoding="utf-8"))}
    outside = {place.as_posix() for place in found if place.parts[0] != COMMAND_LINE}
    assert outside == {"workers.py"}  # a worker ends with the process that started it
    assert found >= {Path(COMMAND_LINE, "output.py"), Path(COMMAND_LINE, "program.py")}


def is_core(path):
    place = path.relative_to(PACKAGE)
    return place.parts[0] not in WINGS | {COMMAND_LINE} and place.as_posix() not in DOORS


@pytest.mark.parametrize("path", filter(is_core, FILES), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_core_imports_no_wing_and_not_the_command_line(path):
    names = imported_modules(path.read_text(encoding="utf-8"), module_name(path.parent / "__init__.py"))
    inner = {name.split(".")[1] for name in names if name.startswith("splade_lucene.")}
    assert not inner & (WINGS | {COMMAND_LINE})
