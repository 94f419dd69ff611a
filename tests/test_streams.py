"""The command line at its edges: pipes, locales, terminals, and paths that are not ASCII."""

from __future__ import annotations

import gzip
import io
import json
import locale
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import check_failed, check_well, run, run_fed, run_in_one_process, run_process, run_well
from support.processes import child_environment

from splade_lucene import LuceneImpactIndexer, PseudoDocument, Run, read_pseudo_documents
from splade_lucene.cli.command import INPUTS
from splade_lucene.cli.terminal import show_safely
from splade_lucene.files.compression import COMPRESSIONS
from splade_lucene.files.pipes import copy_pipe

pytestmark = pytest.mark.java

HOSTILE = "\x1b[31mred\x07 \x9b2J \u202eright\u2066 \u200f\x7f end"
"""Colours, a bell, a C1 control sequence, and changed directions of text."""

SAFE = r"\u001b[31mred\u0007 \u009b2J \u202eright\u2066 \u200f\u007f end"


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("streams") / "index"
    with LuceneImpactIndexer(path) as indexer:
        indexer.add([
            PseudoDocument("d1", HOSTILE, {"cat": 3, "\u202etac": 1}),
            PseudoDocument("d2", "plain", {"cat": 1}),
            PseudoDocument("d\u202e3", "other", {"dog": 1}),
        ])  # fmt: skip
    return path


# ---- compressed outputs ----


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_runs_are_compressed_as_their_names_say_and_read_again(index, tmp_path, suffix):
    run_file = tmp_path / f"run.trec{suffix}"
    check_well(run_fed(b"q1\tcat\n", "search", "--index", index, "--topics", "-", "--encoded", "--output", run_file))
    assert run_file.read_bytes()[:3] not in (b"", b"q1 ")
    check_well(run("run", "convert", "--run", run_file, "--output", tmp_path / "plain", "--output-format", "trec"))
    assert (tmp_path / "plain").read_text() == "q1 Q0 d1 1 3 splade-lucene\nq1 Q0 d2 2 1 splade-lucene\n"


@pytest.mark.parametrize(
    "command",
    [
        ("search", "--index", "nothing", "--topics", "nothing"),
        ("bm25", "search", "--index", "nothing", "--topics", "nothing"),
        ("encode-queries", "--topics", "nothing"),
        ("run", "fuse", "--run", "nothing", "--run", "nothing"),
        ("rerank", "--run", "nothing", "--topics", "nothing", "--model", "nothing", "--index", "nothing"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_any_work(tmp_path, command):
    done = run(*command, "--output", tmp_path / "run.7z")
    assert done.returncode == 2
    assert "run.7z: cannot write .7z files. Use .gz, .bz2" in " ".join(done.stderr.replace("│", " ").split())
    assert "cannot write, because this is a folder" in run(*command, "--output", tmp_path).stderr


@pytest.mark.process
def test_a_note_is_a_plain_sentence(tmp_path):
    """It has no prefix such as WARNING:splade_lucene.notes:."""
    (tmp_path / "t.tsv").write_bytes(b"qid\tquery\nq\tcat\n")
    (tmp_path / "run").write_bytes(b"q Q0 d 1 2 tag\n")
    done = run_process("run", "validate", "--run", tmp_path / "run", "--topics", tmp_path / "t.tsv")
    assert done.stderr == f"{tmp_path / 't.tsv'}: the first line is a header (qid, query), not a query\n"


def test_an_output_that_would_replace_an_input_is_refused(index, tmp_path):
    (tmp_path / "t.tsv").write_bytes(b"q1\tcat\n")
    (tmp_path / "link").symlink_to("t.tsv")
    topics = ("search", "--index", index, "--encoded", "--topics", tmp_path / "t.tsv")
    for output in ("t.tsv", "link"):
        done = run(*topics, "--output", tmp_path / output)
        assert done.returncode == 2
        assert "would replace --topics: name another file" in " ".join(done.stderr.split())
    assert (tmp_path / "t.tsv").read_bytes() == b"q1\tcat\n"
    check_well(run(*topics, "--output", tmp_path / "run"))
    check_well(
        run("run", "convert", "--run", tmp_path / "run", "--output", tmp_path / "run", "--output-format", "json")
    )


# ---- pipes ----


TSV, JSON = b"q1\tcat\n", b'{"id": "q1", "vector": {"cat": 1}}\n'


@pytest.mark.parametrize(
    "data",
    [TSV, JSON, gzip.compress(TSV), gzip.compress(JSON), b"\xef\xbb\xbf" + TSV],
    ids=["tsv", "json", "tsv.gz", "json.gz", "byte order mark"],
)
def test_topics_on_standard_input_are_read_by_their_contents(index, tmp_path, data):
    arguments = ("--topics", "-", "--encoded", "--output", tmp_path / "run", "--json")
    assert json.loads(check_well(run_fed(data, "search", "--index", index, *arguments)))["queries"] == 1
    assert [docid for docid, _ in Run.read(tmp_path / "run")["q1"]] == ["d1", "d2"]


def test_inputs_from_pipes_in_a_shell(index, tmp_path):
    """bash's ``<(…)``, FIFOs and redirected files; the output is a pipe, too."""
    (tmp_path / "topics").write_bytes(TSV)
    (tmp_path / "ids").write_text("d1\n")
    (tmp_path / "qrels").write_text("q1 0 d1 1\n")
    command = f"{shlex.quote(sys.executable)} -m splade_lucene"
    script = f"""set -e -o pipefail
{command} search --index {index} --topics <(cat topics) --encoded --only <(cat ids) --output - |
  {command} run cut --run - --hits 1 --output >(cat > cut) 2>cut.log
{command} evaluate --run <(echo q1 Q0 d1 1 3 x) --qrels <(cat qrels) --measures RR@10 --json
{command} search --index {index} --topics /dev/stdin --encoded --output /dev/stdout < topics
{command} run validate --run <(echo q1 Q0 d1 1 3) || true
"""
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=child_environment(), timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert '"RR@10": 1.0' in lines[0]
    assert lines[1:3] == ["q1 Q0 d1 1 3 splade-lucene", "q1 Q0 d2 2 1 splade-lucene"]
    assert re.match("/dev/fd/[0-9]+:1: columns: expected 6 columns, found 5", lines[3])
    assert (tmp_path / "cut").read_text() == "q1 Q0 d1 1 3 splade-lucene\n"


def test_pseudo_documents_from_a_fifo_are_indexed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    line = '{"id": "d1", "contents": "", "vector": {"cat": 2}}\n'
    with subprocess.Popen([sys.executable, "-c", f"open({str(tmp_path / 'pipe')!r}, 'w').write({line!r})"]):
        told = run_well("index", "--input", tmp_path / "pipe", "--index", tmp_path / "index", "--json")
    assert json.loads(told)["documents"] == 1
    assert (tmp_path / "pipe").is_fifo()


def test_a_corpus_on_standard_input_is_encoded_and_resumed(tmp_path):
    corpus = b"".join(b"d%d\tabout cats and dogs\n" % i for i in range(5))
    common = ("encode", "--corpus", "-", "--output", tmp_path / "out", "--device", "cpu", "--json")
    first = json.loads(check_well(run_fed(corpus, *common)))["manifest"]
    assert (first["documents"], first["corpus"]) == (5, "standard input")
    assert [each.docid for each in read_pseudo_documents(tmp_path / "out")] == [f"d{i}" for i in range(5)]
    assert json.loads(check_well(run_fed(corpus, *common)))["manifest"] == first
    assert "from another corpus" in check_failed(run_fed(corpus + b"d9\tmore\n", *common))


def test_errors_name_the_pipe_and_no_copy_is_left(index, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    arguments = ("--topics", "-", "--encoded", "--output", tmp_path / "run")
    error = check_failed(run_fed(b"no tab\n", "search", "--index", index, *arguments))
    assert error.startswith("splade-lucene: standard input:1: no tab")
    assert list(tmp_path.iterdir()) == []


def test_only_one_input_can_be_standard_input(index, tmp_path):
    done = run("search", "--index", index, "--topics", "-", "--only", "-", "--encoded", "--output", tmp_path / "run")
    assert done.returncode == 2
    assert "only one input can be -" in done.stderr


def test_every_option_that_names_a_file_to_read_takes_pipes():
    import typer

    from splade_lucene.cli.app import app

    def leaves(command):
        commands = getattr(command, "commands", None)
        return [leaf for each in commands.values() for leaf in leaves(each)] if commands else [command]

    files = {"FILE", "RUN", "SRC", "CONFIG.yaml"}
    named = {each.name for leaf in leaves(typer.main.get_command(app)) for each in leaf.params if each.metavar in files}
    assert named - {"output", "figure"} == INPUTS


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (TSV, "stdin.tsv"),
        (JSON, "stdin.jsonl"),
        (b'{\n "id": "q1"\n}\n', "stdin.json"),
        (b'[{"id": "q1"}]', "stdin.json"),
        (b"id,text\nd1,a cat\n", "stdin.csv"),
        (b"<top>\n<num> 1, <title> cat\n</top>\n", "stdin.tsv"),
        (b"PAR1....", "stdin.parquet"),
        (gzip.compress(JSON, mtime=0), "stdin.jsonl.gz"),
        (b"\x1f\x8b damaged", "stdin.tsv.gz"),
        (b"", "stdin.tsv"),
    ],
)
def test_copies_have_the_suffix_of_their_contents(tmp_path, monkeypatch, data, name):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    copy = copy_pipe("-", tmp_path)
    assert (copy.name, copy.read_bytes()) == (name, data)
    assert [each.name for each in tmp_path.iterdir()] == [name]


# ---- terminals ----


def test_what_a_person_reads_has_no_control_characters(index, tmp_path):
    shown = run_well("search", "--index", index, "--query", '{"cat": 1}', "--encoded")
    assert f"d1  {SAFE}" in shown
    assert r"\u202etac" in run_well(
        "explain", "--index", index, "--docid", "d1", "--query", '{"\u202etac": 1}', "--encoded"
    )
    assert r"d\u202e3" in run_well("search", "--index", index, "--query", '{"dog": 1}', "--encoded")
    missing = check_failed(run("stats", "--index", tmp_path / f"no {HOSTILE}"))
    assert rf"no {SAFE} does not exist" in missing
    (tmp_path / "bad\x1b[2J.trec").write_text("q\x9b1 Q0 d1 1\n")
    problems = run("run", "validate", "--run", tmp_path / "bad\x1b[2J.trec")
    assert problems.stdout.startswith(str(tmp_path / r"bad\u001b[2J.trec"))
    for text in (shown, missing, problems.stdout):
        assert "".join(text.split("\n")).isprintable()


def test_json_and_files_stay_exact(index, tmp_path):
    rows = json.loads(run_well("search", "--index", index, "--query", '{"cat": 1}', "--encoded", "--json"))
    assert rows[0]["text"] == HOSTILE
    (tmp_path / "topics.jsonl").write_text('{"id": "q\u202e1", "vector": {"dog": 1}}\n')
    arguments = ("--topics", tmp_path / "topics.jsonl", "--encoded", "--output", tmp_path / "run")
    assert r"d\u202e3" not in run_well("search", "--index", index, *arguments)
    assert (tmp_path / "run").read_text() == "q\u202e1 Q0 d\u202e3 1 1 splade-lucene\n"


@pytest.mark.parametrize("code", [*range(32), *range(0x7F, 0xA0), 0x2028, 0x202E, 0x2066, 0xD800])
def test_control_characters_are_written_as_in_json(code):
    shown = show_safely(f"a{chr(code)}b")
    assert shown == (f"a{chr(code)}b" if chr(code) in "\t\n" else f"a\\u{code:04x}b")


@pytest.mark.parametrize("text", ["é", "漢字", "😀", "क्षि", "a\tb\nc", "👩‍👩‍👧"])
def test_ordinary_characters_stay_or_are_escaped_where_the_encoding_lacks_them(text):
    assert show_safely(text) == text
    escaped = show_safely(text, "ascii")
    assert escaped.isascii()
    assert json.loads(f'"{escaped}"', strict=False) == text


# ---- locales ----

NO_LOCALE = {"LC_ALL": "xx_YY.UTF-8"}  # not generated
LOCALES = [
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX"},
    NO_LOCALE,
    {"LC_ALL": "C.UTF-8"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
]


@pytest.mark.parametrize("changes", LOCALES, ids=str)
def test_names_texts_and_folders_that_are_not_ascii_work_in_every_locale(tmp_path, monkeypatch, changes):
    folder = tmp_path / "Bücher 本"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, sys.path)))
    line = {"id": "dé1", "contents": "naïve 漢字 😀", "vector": {"naïve": 1, "漢": 2}}
    Path("döcs.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")
    Path("tö.jsonl").write_text('{"id": "qü", "vector": {"漢": 1}}\n', encoding="utf-8")
    commands = [
        ["index", "--input", "döcs.jsonl", "--index", "ïndex"],
        ["search", "--index", "ïndex", "--topics", "tö.jsonl", "--encoded", "--output", "rün.trec"],
        ["search", "--index", "ïndex", "--query", '{"漢": 1}', "--encoded", "--json"],
    ]
    found = check_well(run_in_one_process(commands, **changes)).splitlines()[-1]
    assert Path("rün.trec").read_text(encoding="utf-8") == "qü Q0 dé1 1 2 splade-lucene\n"
    assert json.loads(found) == [{"rank": 1, "docid": "dé1", "score": 2, "text": line["contents"]}]


def test_arguments_that_python_cannot_read_are_refused_before_any_work(tmp_path):
    (tmp_path / "döcs.jsonl").write_text("")
    done = run_process(
        "index", "--input", tmp_path / "döcs.jsonl", "--index", tmp_path / "ix", LC_ALL="C", PYTHONUTF8="0"
    )
    assert done.returncode == 2
    assert "is not text in the encoding ascii: set PYTHONUTF8=1, or LC_ALL=C.UTF-8" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["döcs.jsonl"]


def test_paths_that_are_not_utf8(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    latin = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jsonl"))
    latin.write_text('{"id": "d1", "contents": "", "vector": {"cat": 2}}\n')
    done = run("index", "--input", latin, "--index", tmp_path / "index")
    assert done.returncode == 2
    assert r"caf\xe9.jsonl is not text in the encoding utf-8: rename it" in done.stderr
    error = check_failed(run("index", "--input", folder, "--index", tmp_path / "index"))
    assert r"caf\udce9.jsonl: this path is not UTF-8, so Java cannot open it. Rename the file or folder" in error
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_a_corpus_with_a_name_that_is_not_utf8_is_encoded(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("a cat")
    run_well("encode", "--corpus", folder, "--output", tmp_path / "out", "--device", "cpu")
    assert [each.docid for each in read_pseudo_documents(tmp_path / "out")] == ["caf%E9.txt"]
    assert locale.getencoding().lower() in ("utf-8", "utf8")
