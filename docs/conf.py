"""How Sphinx builds the documentation. Run by ``make docs``; the site is in ``build/docs``."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import splade_lucene

HERE = Path(__file__).resolve().parent

project = "splade_lucene"
author = "the authors of splade_lucene"
project_copyright = "the authors of splade_lucene; Apache-2.0"
release = version = splade_lucene.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
highlight_language = "none"

html_theme = "furo"
html_title = f"splade_lucene {release}"
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # as written; computed ones would name folders of the machine that builds
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_attr_annotations = False  # the signature has them
autodoc_default_options = {"members": True, "exclude-members": "model_config"}

# References within the package must resolve. The site links to no other site: it is built without a network.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|contextlib|datetime|pathlib|types|typing|numpy|torch)\..*"),
    (r"py:.*", r"(pandas|pyterrier|llama_index|langchain_core|haystack)\..*|InputValidationError|CallbackManager"),
    (r"py:class", r".*\b[A-Z]"),  # type variables
    (r"py:class", r"Path|Tensor|NDArray|np\..*|csr_array"),  # in annotations
    (
        r"py:class",
        r"(Onnx(Document)?)?Network|(.*\.)?(TokenSequences|Session|ShardedReader|PartWorkers)"
        r"|splade_lucene\.search\.hits\.StoredFields",
    ),  # internal to their packages
]


def shorten_help(command: Any) -> None:
    """Gives each command the first sentence of its help as its one-line help; Click would end it in an ellipsis."""
    for each in getattr(command, "commands", {}).values():
        each.short_help = re.split(r"(?<=[.:])\s", each.help or "", maxsplit=1)[0]
        shorten_help(each)


def write_command_line() -> str:
    """The help of all commands as Markdown, by Typer's own generator."""
    import typer
    from typer.cli import get_docs_for_click

    from splade_lucene.cli.app import app

    command = typer.main.get_command(app)
    shorten_help(command)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="splade-lucene", indent=1)
    text = re.sub(r"(`[^`]*`)|(--[a-z][a-z-]*)", lambda found: found[1] or f"`{found[2]}`", text)  # else dashes
    return re.sub(r"\n{3,}", "\n\n", text)


def write_guides() -> str:
    """Title and first words of each notebook."""
    entries = []
    for path in sorted((HERE.parent / "notebooks").glob("[0-9]*.ipynb")):
        title, _, rest = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]).partition("\n")
        opening = rest.strip().split("\n\n")[0]
        link = f"{{download}}`{path.name} <../notebooks/{path.name}>`"
        entries.append(f"## {title.lstrip('# ')}\n\n{opening}\n\n{link}\n")
    return "\n".join(entries)


PACKAGE = HERE.parent / "splade_lucene"


def imported_steps(part: Path) -> set[str]:
    """The folders and modules of the package that a folder or module imports, lazily or not."""
    found: set[str] = set()
    for path in [part] if part.is_file() else part.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "splade_lucene":
                below = (node.module or "").split(".")[1:]
                found |= {below[0]} if below else {alias.name for alias in node.names}
    return found - {part.stem}


def write_imports() -> str:
    """Each folder and module of the package with its first sentence and what it imports, in the order of the flow."""
    guard = ast.parse((HERE.parent / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    steps = next(
        node.value.func.value.value.split()  # type: ignore[attr-defined]
        for node in guard.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STEPS"
    )
    rows = ["| | content | imports |", "|---|---|---|"]
    for name in steps:
        part = PACKAGE / name if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
        source = part / "__init__.py" if part.is_dir() else part
        title = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        imported = imported_steps(part)
        imports = [f"`{each}`" for each in steps if each in imported]
        cell = re.sub(r"``([^`]*)``", r"`\1`", re.sub(r":\w+:`([^`]*)`", r"`\1`", title)).replace("|", "\\|")
        rows.append(f"| `{name}{'/' if part.is_dir() else ''}` | {cell} | {' '.join(imports)} |")
    return "\n".join(rows)


GENERATED = {
    "<!-- the commands -->": write_command_line,
    "<!-- the guides -->": write_guides,
    "<!-- the imports -->": write_imports,
}


def fill_in(app: Any, docname: str, source: list[str]) -> None:
    """Replaces the markers of a page with what is generated."""
    for marker, write in GENERATED.items():
        if marker in source[0]:
            source[0] = source[0].replace(marker, write())


def prepare(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Adds what Napoleon and docutils need and this package's docstrings leave out."""
    if what == "module":  # an indented block is an example or a drawing
        for number in range(len(lines) - 1, 1, -1):
            if lines[number].startswith("    ") and not lines[number - 1] and not lines[number - 2].startswith(" "):
                lines[number:number] = ["::", ""]
    # Types stand in signatures only, so no colon parts a type from its description.
    for number, line in enumerate(lines):
        is_opening = number == 0 and what in ("attribute", "data", "property")
        if is_opening or (number and lines[number - 1].strip() in ("Returns:", "Yields:")):
            indent = len(line) - len(line.lstrip())
            lines[number] = f"{line[:indent]}: {line[indent:]}"


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return f"{type(value).__name__}()" if hasattr(value, "model_fields") else repr(value)


def fix_signature(app: Any, what: str, name: str, thing: Any, options: Any, signature: str, returns: str) -> Any:
    """Writes a default factory of a dataclass in a form that Sphinx can read, and the defaults of settings."""
    if settings := getattr(thing, "model_fields", None):
        written = [key if field.is_required() else f"{key}={_default(field)}" for key, field in settings.items()]
        return f"(*, {', '.join(written)})", None
    return (signature.replace("<factory>", "..."), returns) if signature else None


def resolve(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Finds the entry of a name that is written with its module, or without any.

    What users import is documented as ``splade_lucene.Name``; annotations name the module that defines it.
    """
    if node.get("refdomain") != "py":
        return None
    domain, parts = env.domains["py"], node["reftarget"].split(".")
    names = [f".{name}" for name, entry in domain.objects.items() if not entry.aliased]
    for start in range(len(parts)):
        tail = ".".join(["", *parts[start:]])
        found = {name[1:] for name in names if name.endswith(tail)}
        if len(found) == 1:
            return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], found.pop(), node, contnode)
    return None


def setup(app: Any) -> None:
    """Registers what this file adds."""
    app.connect("source-read", fill_in)
    app.connect("autodoc-process-docstring", prepare, priority=400)  # before Napoleon
    app.connect("autodoc-process-signature", fix_signature)
    app.connect("missing-reference", resolve)
