"""The architecture: which subpackage may import which, and what only one of them may use."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import splade_lucene

PACKAGE = Path(splade_lucene.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

STEPS = """
version errors counts imports arguments notes white_space records ids files irds progress
defaults fork_guard jvm
quantizer manifest fields models
corpus topics encoder pseudo_documents index search run evaluation
demo
training reproduction server engines adapters distributed
cli __main__
""".split()  # noqa: SIM905
"""Folders and modules of the package. Each imports only what comes before it."""

OPTIONAL = {"training", "reproduction", "server", "engines", "adapters", "distributed"}
"""Optional subpackages: only the command line, the public API and they themselves may import them."""

IMPORTED_BY_OPTIONAL = {"distributed": {"server"}}
"""Optional subpackage → other optional subpackages that it may import: ``distributed`` serves shards with the ``server``."""

DATA = {"data", "jars"}
"""Folders without code."""


def module_name(path: Path) -> str:
    parts = ["splade_lucene", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imported_modules(source: str, package: str) -> set[str]:
    """Absolute names of everything that a source imports: by statements anywhere, and by import_module with a constant."""
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


def output_calls(source: str) -> list[int]:
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


def arrows(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Each module of the package → the modules of the package that it imports, lazily or not."""
    found = {}
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imported = imported_modules(path.read_text(encoding="utf-8"), package)
        known = {each for each in imported if each in modules}
        # "from package.module import name" names the package's module; the package itself is then not meant
        found[name] = {each for each in known if not any(other.startswith(f"{each}.") for other in known)} - {name}
    return found


def step_of(module: str) -> str:
    """The subpackage or top-level module that :data:`STEPS` lists; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """A cycle through each set of modules that import each other."""
    found, finished = [], set()

    def follow(module: str, trail: list[str]) -> None:
        if module in trail:
            found.append([*trail[trail.index(module) :], module])
        elif module not in finished:
            for each in sorted(graph.get(module, ())):
                follow(each, [*trail, module])
            finished.add(module)

    for module in sorted(graph):
        follow(module, [])
    return found


ARROWS = arrows(MODULES)


# ---- the walks themselves ----


def test_walks_find_what_they_look_for(tmp_path):
    source = """
def f():
    import jnius.reflect
    from jnius_config import x
    from . import training
    from .search import hits
    from splade_lucene import reproduction
    importlib.import_module("splade_lucene.cli")
"""
    assert imported_modules(source, "splade_lucene") >= {
        "jnius.reflect",
        "jnius_config",
        "splade_lucene.training",
        "splade_lucene.search.hits",
        "splade_lucene.reproduction",
        "splade_lucene.cli",
    }
    assert imported_modules("from ..cli import x", "splade_lucene.encoder") >= {"splade_lucene.cli"}
    program = "import sys\nprint(1)\nsys.exit(2)\nraise SystemExit(3)\nraise SystemExit\nlog.print(5)"
    assert output_calls(program) == [2, 3, 4, 5]
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("def f():\n    from splade_lucene.second import x\n")
    second.write_text("from splade_lucene import first\n")
    assert arrows({"splade_lucene.first": first, "splade_lucene.second": second}) == {
        "splade_lucene.first": {"splade_lucene.second"},
        "splade_lucene.second": {"splade_lucene.first"},
    }
    assert sum(map(len, ARROWS.values())) > 300


# ---- imports ----


def test_every_module_and_folder_has_its_place_among_the_steps():
    modules = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if path.suffix in (".py", "")}
    assert modules - {"__pycache__", "__init__"} - DATA == set(STEPS)
    assert not any(path.suffix == ".py" for folder in DATA for path in (PACKAGE / folder).rglob("*"))


@pytest.mark.parametrize("package", sorted({path.parent for path in FILES} - {PACKAGE}), ids=lambda folder: folder.name)
def test_a_package_says_what_each_of_its_modules_is_for(package):
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    modules |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert modules <= set(re.findall(r"``(\w+)/?``", docstring))


@pytest.mark.parametrize("step", STEPS)
def test_a_step_imports_only_the_steps_before_it(step):
    allowed = set(STEPS[: STEPS.index(step) + 1])
    if step not in ("cli", "__main__"):
        allowed -= OPTIONAL - {step} - IMPORTED_BY_OPTIONAL.get(step, set())
    wrong = {
        f"{module} imports {target}"
        for module, targets in ARROWS.items()
        if step_of(module) == step
        for target in targets
        if step_of(target) not in allowed
    }
    assert not wrong


def test_no_modules_import_each_other():
    assert cycles(ARROWS) == []


# ---- who knows what ----


def modules_that_import(*names: str) -> set[str]:
    return {
        module
        for module, path in MODULES.items()
        if {each.partition(".")[0] for each in imported_modules(path.read_text(encoding="utf-8"), module)} & {*names}
    }


def test_only_jvm_knows_pyjnius_and_packed_layouts():
    assert {step_of(module) for module in modules_that_import("jnius", "jnius_config", "struct")} == {"jvm"}


def test_only_jvm_names_java_classes():
    named = {
        module
        for module, path in MODULES.items()
        if any(
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.startswith(("io.spladelucene", "io.anserini", "org.apache.lucene", "java."))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    assert {step_of(module) for module in named} <= {"jvm"}


HEAVY = """
accelerate datasets elasticsearch fastapi fastmcp huggingface_hub ir_datasets ir_measures jnius_config matplotlib mteb
opensearchpy pandas peft pyarrow pydantic pyserini pytrec_eval ranx scipy sentence_transformers torch transformers uvicorn yaml
""".split()  # noqa: SIM905
"""Packages that take long to import, or are optional."""


def unguarded_imports(source: str, heavy: Callable[[str], bool]) -> list[int]:
    """Lines inside functions that import something heavy neither below nor in a function decorated with uninterrupted_imports."""
    found = []

    def is_guard(node: ast.expr) -> bool:
        return ast.unparse(node).startswith(("uninterrupted_imports(", "pyserini_importable("))

    def visit(node: ast.AST, *, in_function: bool, is_guarded: bool) -> None:
        if isinstance(node, ast.FunctionDef):
            in_function, is_guarded = True, is_guarded or any(map(is_guard, node.decorator_list))
        elif isinstance(node, ast.With):
            is_guarded = is_guarded or any(is_guard(item.context_expr) for item in node.items)
        elif isinstance(node, ast.Import | ast.ImportFrom) and in_function and not is_guarded:
            found.extend([node.lineno] * any(heavy(name) for name in imported_modules(ast.unparse(node), "")))
        for child in ast.iter_child_nodes(node):
            visit(child, in_function=in_function, is_guarded=is_guarded)

    visit(ast.parse(source), in_function=False, is_guarded=False)
    return found


def heavy_modules() -> set[str]:
    """Modules of ours that import something heavy when they are imported."""
    at_once = {}
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        at_once[name] = imported_modules(ast.unparse(tree), name)
    found: set[str] = set()
    while more := {
        name
        for name, imported in at_once.items()
        if name not in found and (imported & found or {each.partition(".")[0] for each in imported} & {*HEAVY})
    }:
        found |= more
    return found


def test_imports_inside_calls_are_whole():
    """Ctrl-C waits until they are over, and a package that is not installed is named with its remedy."""
    source = """
def plain():
    import torch
def block():
    with uninterrupted_imports():
        import torch.nn
@uninterrupted_imports("train")
def decorated():
    from torch import nn
    import json
"""
    assert unguarded_imports(source, lambda name: name.startswith("torch")) == [3]
    ours = heavy_modules()
    assert {"splade_lucene.encoder.network", "splade_lucene.training.trainer"} <= ours
    assert not {"splade_lucene.encoder.encoder", "splade_lucene.cli.app", "splade_lucene.index.build"} & ours

    def is_heavy(name: str) -> bool:
        return name.partition(".")[0] in HEAVY or name in ours

    found = {
        name: lines
        for name, path in MODULES.items()
        if step_of(name) not in ("cli", "__main__")  # its handler of Ctrl-C is in place from the start
        and name not in ours
        if (lines := unguarded_imports(path.read_text(encoding="utf-8"), is_heavy))
    }
    assert found == {}


def test_only_the_command_line_prints_or_exits():
    found = {path.relative_to(PACKAGE).as_posix() for path in FILES if output_calls(path.read_text(encoding="utf-8"))}
    outside = {place for place in found if not place.startswith("cli/")}
    # a script prints for the process that started it; a process ends with the one that started it
    assert outside == {"corpus/docstrings.py", "pseudo_documents/devices.py"}
    assert found >= {"cli/output.py", "cli/app.py"}


# ---- the tests themselves ----


def test_test_modules_import_neither_each_other_nor_conftest():
    """What several of them need is in support/, and fixtures of several in conftest.py."""
    tests = Path(__file__).parent
    modules = {path.stem for path in tests.glob("test_*.py")} | {"conftest"}
    found = {
        path.relative_to(tests).as_posix(): imported & modules
        for path in tests.rglob("*.py")
        if (imported := {name.partition(".")[0] for name in imported_modules(path.read_text(encoding="utf-8"), "")})
    }
    assert len(found) > 50
    assert {path: names for path, names in found.items() if names} == {}
