"""The public API: what the package exports, and how little importing it loads."""

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import splade_lucene

PACKAGE = Path(splade_lucene.__file__).parent
PUBLIC: list[str] = vars(splade_lucene)["__all__"]
HEAVY = ("torch", "transformers", "jnius", "jnius_config", "pyserini", "datasets", "ir_measures", "ir_datasets")


def in_child(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def loaded_by(statement):
    return in_child(f"import json, sys\n{statement}\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))")


# ---- names ----


def test_names_are_sorted_and_unique():
    assert sorted(set(PUBLIC)) == PUBLIC
    assert len(PUBLIC) >= 20


def test_names_that_other_peoples_scripts_rely_on_are_there():
    promised = """SpladeEncoder LuceneImpactIndexer LuceneImpactSearcher Run evaluate Quantizer read_pseudo_documents
    write_pseudo_documents Document Query PseudoDocument SpladeLuceneError read_corpus read_topics""".split()  # noqa: SIM905
    assert set(promised) <= set(PUBLIC)


def test_each_name_is_the_thing_of_its_module():
    for name in set(PUBLIC) - {"__version__"}:
        thing = getattr(splade_lucene, name)
        home = import_module(thing.__module__)
        assert home.__name__.startswith("splade_lucene.")
        assert getattr(home, name) is thing
        assert thing.__doc__


@pytest.mark.process
def test_star_import_gives_exactly_these_names():
    names = in_child(
        "import json\nbefore = set(globals())\nfrom splade_lucene import *\n"
        "print(json.dumps(sorted(set(globals()) - before - {'before'})))"
    )
    assert names == PUBLIC


def test_type_checkers_see_the_names_that_are_loaded():
    stub = (PACKAGE / "__init__.pyi").read_text(encoding="utf-8")
    lines = [re.fullmatch(r"from \.([a-z0-9_.]+) import (\w+) as (\w+)", line) for line in stub.splitlines()]
    assert all(lines), "a stub re-exports a name only under an alias, and lazy_loader reads relative imports only"
    for module, name, alias in (line.groups() for line in lines):
        assert name == alias
        assert getattr(import_module(f"splade_lucene.{module}"), name) is getattr(splade_lucene, name)


def test_every_error_that_is_raised_on_purpose_can_be_caught_by_its_public_name():
    from splade_lucene import errors

    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    assert {each.__name__ for each in classes if issubclass(each, Exception)} <= set(PUBLIC)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No splade_lucene attribute nothing"):
        splade_lucene.nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="nothing"):
        from splade_lucene import nothing  # type: ignore[attr-defined]  # noqa: F401


def test_dir_shows_the_names():
    assert set(PUBLIC) <= set(dir(splade_lucene))


# ---- what is loaded ----


@pytest.mark.parametrize(
    "statement",
    [
        "import splade_lucene",
        "from splade_lucene import Quantizer",
        "from splade_lucene import Run, Query, read_topics, read_corpus, read_pseudo_documents, evaluate",
        "import splade_lucene.cli.app",
    ],
)
@pytest.mark.process
def test_light_imports_load_nothing_heavy(statement):
    assert loaded_by(statement) == []


@pytest.mark.process
def test_all_names_load_without_java():
    assert loaded_by("from splade_lucene import *") == []
    assert "torch" in loaded_by("import splade_lucene.encoder.network")  # so the check would notice it
