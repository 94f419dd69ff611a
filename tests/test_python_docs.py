"""The corpus that every machine has: complete, the same each time, and with the answers that the questions name."""

import hashlib
import inspect
import json
import logging
import os
import pydoc
import shutil
import subprocess
import sys
from importlib import resources

import pytest

from splade_lucene.corpus.python_docs import read_python_docs
from splade_lucene.errors import CorpusError


@pytest.fixture(scope="module")
def documents():
    return list(read_python_docs())


@pytest.fixture(scope="module")
def texts(documents):
    return {document.docid: document.text for document in documents}


@pytest.mark.parametrize(
    ("docid", "word"),
    [
        ("os.walk", "Directory tree generator"),
        ("json", "JavaScript Object Notation"),
        ("bisect.bisect_left", "insert item x in list a"),
        ("asyncio.run", "Execute the coroutine"),
        ("collections.OrderedDict.move_to_end", "Move an existing element to the end"),
        ("pathlib.Path.rglob", "subtree"),
        ("math.sqrt", "square root"),
    ],
)
def test_well_known_docstrings_are_there(texts, docid, word):
    assert word in texts[docid]
    assert word in pydoc.locate(docid).__doc__.replace("\n    ", "\n")  # the running Python's own


def test_each_text_begins_with_its_name_and_holds_its_docstring(texts):
    for docid in ("os.walk", "shutil.copytree", "textwrap.dedent", "heapq.nsmallest", "pathlib.Path.rglob"):
        docstring = " ".join(pydoc.locate(docid).__doc__.split())
        assert texts[docid].startswith(docid)
        assert " ".join(texts[docid].split()).endswith(docstring)


def test_parameters_follow_the_name(texts):
    assert texts["os.walk"].startswith("os.walk(top, topdown, onerror, followlinks) ")


def test_there_are_thousands_with_unique_ids_without_white_space(documents):
    docids = [document.docid for document in documents]
    assert len(docids) > 4000
    assert len(set(docids)) == len(docids)
    assert [docid for docid in docids if docid.split() != [docid]] == []
    assert [document.docid for document in documents if len(document.text) < len(document.docid) + 20] == []


def test_private_names_and_tests_are_dropped(texts):
    private = [docid for docid in texts if any(part.startswith("_") for part in docid.split("."))]
    for docid in private:  # only where a module itself declares the name public
        module, _, name = docid.rpartition(".")
        assert name in vars(pydoc.locate(module))["__all__"]
    tops = {docid.partition(".")[0] for docid in texts}
    assert tops <= set(sys.stdlib_module_names)
    assert not tops & {"antigravity", "this", "idlelib", "test", "pip", "setuptools"}


def read_questions():
    text = resources.files("splade_lucene").joinpath("data/python_docs_questions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_there_are_at_least_sixty_questions_each_with_an_id_and_an_answer():
    questions = read_questions()
    assert len(questions) >= 60
    assert len({question["qid"] for question in questions}) == len(questions)
    for question in questions:
        assert question["text"].strip()
        assert question["relevant"]
        assert len(set(question["relevant"])) == len(question["relevant"])


def test_every_known_answer_that_this_python_has_is_in_the_corpus(texts):
    answered = 0
    for question in read_questions():
        there = [answer for answer in question["relevant"] if pydoc.locate(answer) is not None]
        assert set(there) <= set(texts), question
        answered += bool(there)
    assert answered >= 60


def test_the_corpus_is_the_same_in_every_process(documents):
    program = (
        "import hashlib, json\nfrom splade_lucene.corpus.python_docs import read_python_docs\n"
        "data = json.dumps([[each.docid, each.text] for each in read_python_docs()])\n"
        "print(hashlib.sha256(data.encode()).hexdigest())"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[-1]
        for seed in ("1", "2")
    ]
    assert digests[0] == digests[1]
    assert len(hashlib.sha256(b"").hexdigest()) == len(digests[0])  # a digest was printed, and not something else


def test_reading_prints_nothing_and_imports_silently(capfd):
    assert sum(1 for _ in read_python_docs()) > 4000
    assert capfd.readouterr() == ("", "")


def test_what_other_libraries_add_to_the_standard_library_is_left_out(documents, monkeypatch):
    def added() -> None:
        """A method that a library adds when it is imported."""

    monkeypatch.setattr(logging.Logger, "added", added, raising=False)
    monkeypatch.setattr(inspect, "getfile", added)
    assert list(read_python_docs()) == documents


@pytest.mark.parametrize(
    ("executable", "message"),
    [
        (None, "None cannot be started"),
        ("/no/such/python", "'/no/such/python' cannot be started"),
        (shutil.which("false"), "false failed"),
    ],
)
def test_without_an_interpreter_the_error_says_so(executable, message, monkeypatch):
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(CorpusError, match=message):
        list(read_python_docs())
