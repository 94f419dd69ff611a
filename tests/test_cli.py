"""Every command, its results on stdout, its messages and exit codes, and Ctrl-C in its middle."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import (
    COMMANDS,
    assert_interrupted,
    check_failed,
    check_well,
    heed_ctrl_c,
    interrupt_when,
    run,
    run_process,
    run_well,
)
from support.java import has_lucene_10
from support.processes import ROOT
from typer.testing import CliRunner

import splade_lucene
from splade_lucene import LuceneImpactSearcher, Run, read_pseudo_documents, read_topics
from splade_lucene.cli import interrupts
from splade_lucene.cli.app import app
from splade_lucene.files.files import work_folder
from splade_lucene.pseudo_documents import parts


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A corpus of forty texts, topics, judgments, and a tiny checkpoint, with an index of them."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "model").mkdir()
    from support.checkpoints import tiny_checkpoint

    tiny_checkpoint(folder / "model", "bert")
    words = ["cat", "dog", "bird", "fish", "horse", "cow", "sheep", "goat", "mouse", "rat"]
    texts = [" ".join(words[(i * j) % 10] for j in range(1, 3 + i % 8)) for i in range(40)]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{i}", "title": "Animals", "text": text}) + "\n" for i, text in enumerate(texts))
    )
    (folder / "topics.tsv").write_text("q1\tcat and dog\nq2\ta horse\nq3\tfish\n")
    (folder / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d2 1\nq3 0 d3 2\nq9 0 d4 1\n")
    run_well("build", "--corpus", folder / "corpus.jsonl", "--index", folder / "index", "--model", folder / "model",
             "--output", folder / "encoded")  # fmt: skip
    return folder


def test_help_of_every_command_needs_neither_torch_nor_java():
    """All in one process, so the first command that loads one of them is found."""
    code = """
import contextlib, io, json, sys
from splade_lucene.cli import main
told = {}
for command in json.loads(sys.argv[1]):
    sys.argv[1:], printed = [command, "--help"], io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    heavy = sorted({"torch", "jnius", "pyserini", "transformers"} & {*sys.modules})
    told[command] = ["--help" in printed.getvalue(), heavy]
print(json.dumps(told))
"""
    assert {"build", "report", "accelerate"} <= set(COMMANDS) <= set(run_well("--help").split())
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(COMMANDS)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert json.loads(done.stdout) == {command: [True, []] for command in COMMANDS}


def test_version():
    """The installed program and the module print the same version."""
    program = [str(Path(sys.executable).with_name("splade-lucene")), "--version"]
    installed = subprocess.run(program, capture_output=True, text=True, check=False)
    for done in (installed, run_process("--version")):
        assert check_well(done).strip() == splade_lucene.__version__


def test_wrong_usage_exits_with_2(data):
    for arguments in (
        ["nonsense"], ["search", "--index", data / "index"], ["search", "--index", data / "index", "--query", "a", "--topics", "b"],
        ["search", "--index", data / "index", "--topics", data / "topics.tsv"], ["encode", "--corpus", "x"],
        ["search", "--index", data / "index", "--query", "a", "--hits", "0"], ["encode", "--quantizer", "none"],
    ):  # fmt: skip
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert "Usage" in done.stderr
    done = run("evaluate", "--qrels", data / "qrels.txt", "--run", data / "none", "--measures", "Foo@10")
    assert (done.returncode, "unknown measure 'Foo@10'" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (["--shard", "3/2"], "'3/2' is not a shard"),
        (["--scale", "nan"], "scale must be a positive number"),
        (["--passage-tokens", "4"], "passages of 4 tokens"),
        (["--passage-overlap", "4"], "--passage-overlap is set but --passage-tokens is not"),
        (["--max-ratio", "1"], "--max-ratio 1.0"),
        (["--kept-mass", "0"], "--kept-mass 0.0"),
        (["--min-weight", "nan"], "greater than or equal to 0"),
        (["--device", "quantum"], "cannot use the device 'quantum'"),
    ],
)
def test_wrong_values_exit_with_2_and_say_why(data, tmp_path, monkeypatch, wrong, reason):
    monkeypatch.setenv("COLUMNS", "500")
    given = [
        "encode",
        "--corpus",
        data / "corpus.jsonl",
        "--output",
        tmp_path / "out",
        "--model",
        data / "model",
        *wrong,
    ]
    done = CliRunner().invoke(app, list(map(str, given)))
    assert (done.exit_code, "Usage" in done.stderr, reason in done.stderr) == (2, True, True), done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (
            ["search", "--index", "index", "--query", "cat", "--device", "quantum"],
            "cannot use the device 'quantum'",
        ),
        (
            ["encode", "--corpus", "c", "--output", "o", "--device", "cpu,quantum"],
            "cannot use the device 'quantum'",
        ),
        (["index", "--input", "i", "--index", "x", "--append", "--overwrite"], "are mutually exclusive"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_read(tmp_path, monkeypatch, command, reason):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")
    if "quantum" in reason:
        pytest.importorskip("torch")  # knows the devices
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, reason in done.stderr) == (2, True), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["encode-queries", "search", "explain", "models"])
def test_only_encode_and_build_take_several_devices(command):
    assert (
        "only encode, build and report accept several devices"
        in CliRunner().invoke(app, [command, "--device", "cpu,cpu"]).stderr
    )


def test_encode_then_index_equals_build(data, tmp_path):
    run_well(
        "encode",
        "--corpus",
        data / "corpus.jsonl",
        "--output",
        tmp_path / "encoded",
        "--model",
        data / "model",
        "--gzip",
    )
    assert list(read_pseudo_documents(tmp_path / "encoded")) == list(read_pseudo_documents(data / "encoded"))
    indexed = json.loads(
        run_well("index", "--input", tmp_path / "encoded", "--index", tmp_path / "index", "--threads", "1", "--json")
    )
    assert (indexed["index"], indexed["documents"], indexed["skipped"]) == (str(tmp_path / "index"), 40, 0)
    facts = [json.loads(run_well("stats", "--index", each, "--json")) for each in (data / "index", tmp_path / "index")]
    for fact in facts:
        assert fact["documents"] == 40
        assert fact["manifest"]["model"] == str(data / "model")
        assert fact["manifest"]["quantizer"]["name"] == "naver"
        for volatile in ("manifest", "bytes"):
            fact.pop(volatile)
    assert facts[0] == facts[1]


def test_build_leaves_nothing_but_the_index(data, tmp_path):
    run_well("build", "--corpus", data / "corpus.jsonl", "--index", tmp_path / "index", "--model", data / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_search_prints_hits_for_people_and_machines(data):
    rows = json.loads(run_well("search", "--index", data / "index", "--query", "cat and dog", "--hits", "3", "--json"))
    assert [row["rank"] for row in rows] == [1, 2, 3]
    with LuceneImpactSearcher(data / "index") as searcher:
        hits = searcher.search("cat and dog", 3)
        assert [(row["docid"], row["score"], row["text"]) for row in rows] == [
            (h.docid, h.score, h.contents) for h in hits
        ]
    lines = run_well("search", "--index", data / "index", "--query", "cat and dog", "--hits", "3").splitlines()
    assert [line.split()[2] for line in lines] == [row["docid"] for row in rows]
    assert "Animals" in lines[0]


@pytest.mark.parametrize("engine", ["auto", "pyserini"])
def test_empty_queries_have_no_hits_and_a_note_says_so(data, tmp_path, engine):
    topics = tmp_path / "topics.jsonl"
    queries = [{"id": "q1", "text": "cat"}, {"id": "q2", "text": ""}, {"id": "q3", "text": " \t\u200b\x00"},
               {"id": "q4", "turns": [" ", ""]}]  # fmt: skip
    topics.write_text("".join(json.dumps(query) + "\n" for query in queries))
    done = run("search", "--index", data / "index", "--topics", topics, "--output", tmp_path / "run.trec", "--json",
               "--engine", engine)  # fmt: skip
    facts = json.loads(check_well(done))
    assert facts["without_hits"] == facts["empty"] == ["q2", "q3", "q4"]
    assert "3 queries are empty: q2, q3, q4\n" in done.stderr
    assert {line.split()[0] for line in (tmp_path / "run.trec").read_text().splitlines()} == {"q1"}
    for given in (["--query", " "], ["--encoded", "--query", "{}"], ["--encoded", "--query", '{"cat": 0}']):
        done = run("search", "--index", data / "index", "--engine", engine, *given)
        assert (check_well(done), done.stderr) == ("", "the query is empty, so it has no hits\n")


@pytest.mark.parametrize(
    ("given", "says"),
    [(["search", "--query", "{}", "--encoded", "--model", "x", "--scale", "3"], "--encoded does not support --model, --scale"),
     (["explain", "--query", "{}", "--docid", "d1", "--encoded", "--query-prefix", "q: "], "support --query-prefix"),
     (["score", "--pairs", "p", "--topics", "t", "--output", "o", "--encoded", "--device", "cpu"], "support --device"),
     (["stats", "--topics", "t", "--encoded", "--backend", "torch"], "support --backend"),
     (["search", "--query", "cat", "--tag", "mine"], "--tag requires --topics"),
     (["search", "--query", "cat", "--output-format", "json"], "--output-format requires --topics"),
     (["search", "--query", "cat", "--threads", "3"], "--threads requires --topics"),
     (["search", "--query", "cat", "--topic-field", "desc"], "--topic-field requires --topics"),
     (["bm25", "search", "--query", "cat", "--threads", "3"], "--threads requires --topics"),
     (["stats", "--model", "x", "--scale", "3"], "--model, --scale require --topics"),
     (["stats", "--topic-field", "desc"], "--topic-field requires --topics"),
     (["stats", "--topics", "t", "--hits", "5"], "--hits requires --latency"),
     (["check", "--sample", "0", "--model", "x"], "--model requires a --sample"),
     (["run", "validate", "--run", "r", "--encoded"], "--encoded requires --topics"),
     (["score", "--pairs", "p", "--topics", "t", "--output", "o", "--output-format", "tsv", "--tag", "mine"],
      "--tag requires --output-format trec"),
     (["search", "--topics", "t", "--output", "o", "--output-format", "json", "--tag", "mine"],
      "--tag requires --output-format trec")],
)  # fmt: skip
def test_options_that_would_be_ignored_are_refused(data, monkeypatch, tmp_path, given, says):
    monkeypatch.chdir(tmp_path)
    done = run(*given, "--index", data / "index")
    assert done.returncode == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())


def test_docids_of_a_filter_that_the_index_lacks_are_counted(data, tmp_path):
    (tmp_path / "ids.txt").write_text("d1\nd2\nnowhere\nd1\nelsewhere\n")
    for option in ("--only", "--without"):
        done = run("search", "--index", data / "index", "--query", "cat", option, tmp_path / "ids.txt")
        assert f"2 of the 4 docids in {tmp_path / 'ids.txt'} are not in the index\n" in done.stderr
    (tmp_path / "ids.txt").write_text("d1\nd2\n")
    done = run("search", "--index", data / "index", "--query", "cat", "--only", tmp_path / "ids.txt")
    assert "not in the index" not in done.stderr


def test_fields_of_a_corpus_are_named(data, tmp_path):
    (tmp_path / "c.json").write_text(
        json.dumps([{"docno": "a", "text": "a horse", "passage": "the cat sat"}], indent=2)
    )
    fields = ["--id-field", "docno", "--text-field", "passage"]
    done = run("encode", "--corpus", tmp_path / "c.json", "--output", tmp_path / "out", "--model", data / "model")
    assert "c.json:2: the document has none of the keys id, _id" in done.stderr
    assert "--id-field" in done.stderr
    common = ["--corpus", tmp_path / "c.json", "--model", data / "model", "--output", tmp_path / "out"]
    run_well("encode", *common, *fields)
    (document,) = read_pseudo_documents(tmp_path / "out")
    assert (document.docid, document.contents) == ("a", "the cat sat")
    run_well("build", *common, *fields, "--index", tmp_path / "index")
    done = run("encode", *common, "--id-field", "docno")
    assert done.returncode == 1  # another text is another encoding
    run_well("bm25", "index", "--corpus", tmp_path / "c.json", *fields, "--index", tmp_path / "bm25")
    found = json.loads(run_well("bm25", "search", "--index", tmp_path / "bm25", "--query", "cat", "--json"))
    assert "the cat sat" in json.dumps(found)


def test_search_writes_runs_alike_through_both_engines_and_from_encoded_topics(data, tmp_path):
    common = ["search", "--index", data / "index", "--topics", data / "topics.tsv", "--hits", "20"]
    run_well(*common, "--output", tmp_path / "a.trec", "--tag", "tag")
    run_well(*common, "--output", tmp_path / "b.trec", "--tag", "tag", "--engine", "pyserini")
    for name in ("topics.txt", "topics.jsonl"):
        encoded = run_well("encode-queries", "--topics", data / "topics.tsv", "--output", tmp_path / name,
                           "--model", data / "model", "--json")  # fmt: skip
        assert json.loads(encoded) == {"output": str(tmp_path / name), "queries": 3, "empty": []}
        searched = run_well("search", "--index", data / "index", "--topics", tmp_path / name, "--encoded", "--hits", "20",
                            "--output", tmp_path / f"{name}.trec", "--tag", "tag", "--json")  # fmt: skip
        assert json.loads(searched) == {
            "run": str(tmp_path / f"{name}.trec"),
            "queries": 3,
            "without_hits": [],
            "empty": [],
        }
    expected = (tmp_path / "a.trec").read_bytes()
    assert expected.count(b"\n") > 20
    for other in ("b.trec", "topics.txt.trec", "topics.jsonl.trec"):
        assert (tmp_path / other).read_bytes() == expected, other
    run_well(*common, "--output", tmp_path / "a.msmarco", "--output-format", "msmarco")
    first = Run.read(tmp_path / "a.trec")
    assert (tmp_path / "a.msmarco").read_text().splitlines()[0].split("\t") == ["q1", first["q1"][0][0], "1"]


def test_search_takes_trec_topics_and_names(data, tmp_path, monkeypatch):
    texts = {"1": ("cat and dog", "a horse"), "2": ("fish", "bird or cow")}
    (tmp_path / "topics.dl19-passage.txt").write_text("".join(
        f"<top>\n<num> Number: {qid}\n<title> {title}\n<desc> Description:\n{desc}\n</top>\n"
        for qid, (title, desc) in texts.items()
    ))  # fmt: skip
    monkeypatch.setenv("SPLADE_LUCENE_COLLECTIONS", str(tmp_path))

    def search(topics: object, *more: object) -> str:
        done = CliRunner().invoke(app, ["search", "--index", str(data / "index"), "--topics", str(topics), "--output",
                                        str(tmp_path / "run"), *map(str, more)])  # fmt: skip
        assert done.exit_code == 0, done.stderr
        return (tmp_path / "run").read_text()

    for at, field in enumerate(("title", "desc")):
        (tmp_path / "topics.tsv").write_text("".join(f"{qid}\t{pair[at]}\n" for qid, pair in texts.items()))
        expected = search(tmp_path / "topics.tsv")
        assert search(tmp_path / "topics.dl19-passage.txt", "--topic-field", field) == expected
        assert search("dl19-passage", "--topic-field", field) == expected


def test_encoded_topics_are_in_anserinis_form(data, tmp_path):
    run_well("encode-queries", "--topics", data / "topics.tsv", "--output", tmp_path / "t.tsv", "--model", data / "model",
             "--quantizer", "pyserini")  # fmt: skip
    for line, query in zip(
        (tmp_path / "t.tsv").read_text().splitlines(), read_topics(tmp_path / "t.tsv", encoded=True), strict=True
    ):
        qid, tokens = line.split("\t")
        assert qid == query.qid
        runs = [token for token, _ in itertools.groupby(tokens.split(" "))]
        assert len(runs) == len(set(runs)) == len(query.vector)  # repetitions stand together


def test_a_query_encoded_on_the_command_line(data):
    with LuceneImpactSearcher(data / "index") as searcher:
        term = searcher.reader.terms()[5].term
        expected = searcher.search({term: 3}, 2).docids
    rows = json.loads(
        run_well(
            "search", "--index", data / "index", "--encoded", "--query", json.dumps({term: 3}), "--hits", "2", "--json"
        )
    )
    assert [row["docid"] for row in rows] == expected


def test_evaluate_prints_a_table_and_notes_missing_queries(data, tmp_path):
    run_well("search", "--index", data / "index", "--topics", data / "topics.tsv", "--output", tmp_path / "run.trec")
    done = run("evaluate", "--qrels", data / "qrels.txt", "--run", tmp_path / "run.trec", "--measures", "RR@10 R@1000")
    assert done.returncode == 0
    assert "1 of 4 judged queries has no hits; each counts as 0" in done.stderr
    table = json.loads(
        run_well(
            "evaluate",
            "--qrels",
            data / "qrels.txt",
            "--run",
            tmp_path / "run.trec",
            "--measures",
            "RR@10,R@1000",
            "--json",
        )
    )
    [means] = table.values()
    reciprocal = 0.0
    for qid, docid in (("q1", "d1"), ("q2", "d2"), ("q3", "d3")):
        ranking = [hit for hit, _ in Run.read(tmp_path / "run.trec")[qid]]
        rank = ranking.index(docid) + 1 if docid in ranking else 99
        reciprocal += 1 / rank if rank <= 10 else 0
    assert means["RR@10"] == pytest.approx(reciprocal / 4)
    assert f"{means['RR@10']:.4f}" in done.stdout


def test_explain_sums_to_the_score(data):
    [row] = json.loads(run_well("search", "--index", data / "index", "--query", "cat and dog", "--hits", "1", "--json"))
    arguments = ["explain", "--index", data / "index", "--query", "cat and dog", "--docid", row["docid"]]
    explained = json.loads(run_well(*arguments, "--json"))
    assert explained["score"] == row["score"] == sum(term["product"] for term in explained["terms"])
    assert all(term["query_impact"] * term["document_impact"] == term["product"] for term in explained["terms"])
    printed = run_well(*arguments)
    assert f"{row['score']:,}" in printed
    assert printed.splitlines()[0].split() == ["term", "query", "document", "product", "share"]


def test_models_lists_the_known_and_looks_at_one(data):
    assert "splade-minilm" in run_well("models")
    names = [each["name"] for each in json.loads(run_well("models", "--json"))]
    assert "naver/splade-cocondenser-ensembledistil" in names
    facts = json.loads(run_well("models", data / "model", "--json"))
    assert (facts["architecture"], facts["terms"], facts["max_tokens"]) == ("BertForMaskedLM", 30522, 64)


def test_models_saves_a_checkpoint_and_needs_its_name(tmp_path):
    from safetensors.numpy import load_file

    done = CliRunner().invoke(app, ["models", "--save", str(tmp_path / "saved")])
    assert done.exit_code == 2
    assert "--save requires a checkpoint" in done.output
    assert not (tmp_path / "saved").exists()
    done = CliRunner().invoke(app, ["models", "splade-minilm", "--save-dtype", "float16"])
    assert (done.exit_code, "--save-dtype requires --save" in done.output) == (2, True)
    for given, says in (
        (["--pooling", "max"], "--pooling requires a checkpoint"),
        (["splade-minilm", "--model", "x"], "CHECKPOINT and --model are mutually exclusive"),
        (
            ["splade-minilm", "--save", tmp_path / "saved", "--query-mode", "binary"],
            "--save does not support --query-mode",
        ),
    ):
        refused = run("models", *given)
        assert (refused.returncode, says in " ".join(refused.stderr.replace("│", " ").split())) == (2, True)
    for arguments, dtype in (((), np.float32), (("--save-dtype", "float16"), np.float16)):
        run_well("models", "splade-minilm", "--save", tmp_path / "saved", *arguments)
        assert load_file(tmp_path / "saved" / "model.safetensors")["cls.predictions.bias"].dtype == dtype


def test_models_tells_of_a_damaged_table_of_queries(data, tmp_path):
    shutil.copytree(data / "model", tmp_path / "model")
    (tmp_path / "model" / "idf.json").write_text('{"cat": -1}')
    done = CliRunner().invoke(app, ["models", str(tmp_path / "model")])
    assert done.exit_code == 1
    assert "idf.json: token 'cat' has the weight -1" in done.stderr


def test_stats_for_people(data):
    printed = run_well("stats", "--index", data / "index")
    assert re.search(r"documents +40\n", printed)
    assert "naver: documents x100, queries x100" in printed


# ---- failures ----


def test_failures_are_one_message_with_a_remedy(data, tmp_path):
    (tmp_path / "twice.tsv").write_text("q1\ta\nq2\tb\nq1\tc\n")
    (tmp_path / "bad.jsonl").write_text('{"id": "a", "vector": {"cat": 0.5}}\n')
    (tmp_path / "folder").mkdir()
    index, topics = data / "index", data / "topics.tsv"
    expected = {
        "no such model folder": ["encode", "--corpus", topics, "--output", tmp_path / "x", "--model", tmp_path / "none"],
        "no Lucene index was found here": ["search", "--index", tmp_path / "folder", "--query", "{}", "--encoded"],
        "does not exist": ["stats", "--index", tmp_path / "missing"],
        "is not an integer. Quantize first": ["index", "--input", tmp_path / "bad.jsonl", "--index", tmp_path / "i"],
        "twice.tsv:3: duplicate qid 'q1', first used on line 1": [
            "search", "--index", index, "--topics", tmp_path / "twice.tsv", "--output", tmp_path / "r"],
        "cannot write": ["search", "--index", index, "--topics", topics, "--output", topics / "below-a-file" / "run"],
        "an index exists here": ["build", "--corpus", data / "corpus.jsonl", "--index", index],
        "no such file or folder": ["build", "--corpus", tmp_path / "missing.jsonl", "--index", tmp_path / "i"],
        "no document has the id 'nobody'": ["explain", "--index", index, "--query", "cat", "--docid", "nobody"],
    }  # fmt: skip
    if not has_lucene_10():
        expected["written by a newer Lucene"] = ["stats", "--index", ROOT / "tests" / "data" / "lucene10-index"]
    for message, arguments in expected.items():
        assert message in check_failed(run(*arguments)), arguments
    assert not (tmp_path / "i").exists()
    assert not (tmp_path / "x").exists()
    message, arguments = next(iter(expected.items()))
    assert message in check_failed(run_process(*arguments))


def test_debug_shows_the_trace(data, tmp_path):
    done = run_process("stats", "--index", tmp_path / "missing", "--debug")
    assert done.returncode == 1
    assert "NotAnIndexError" in done.stderr
    assert "Traceback" in done.stderr


def test_skip_bad_names_what_it_leaves_out(tmp_path):
    (tmp_path / "docs.jsonl").write_text('{"id": "a", "vector": {"cat": 1}}\n{"id": "b", "vector": {}}\n')
    done = run("index", "--input", tmp_path / "docs.jsonl", "--index", tmp_path / "index", "--skip-bad")
    assert done.returncode == 0
    assert f"skipped: {tmp_path / 'docs.jsonl'}:2: document 'b' has an empty vector" in done.stderr
    assert "1 document was skipped" in done.stderr


def test_a_reader_that_stops_early_is_no_error(data):
    with LuceneImpactSearcher(data / "index") as searcher:
        query = json.dumps({each.term: 1 for each in searcher.reader.terms()[:50]})
    search = ["search", "--index", str(data / "index"), "--query", query, "--encoded", "--hits", "40"]
    command = f"{shlex.join([sys.executable, '-m', 'splade_lucene', *search])} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.count("\n") == 1


# ---- Ctrl-C ----


INTERRUPTED = """
import signal
try:
    signal.raise_signal(signal.SIGINT)
    sum(range(1_000_000))
    told.append("finished")
except KeyboardInterrupt:
    told.append("interrupted")
"""


@pytest.fixture
def ctrl_c():
    """Handles Ctrl-C as the command line does."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupts.install()
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_ctrl_c_is_heard_at_once(ctrl_c):
    told: list[str] = []
    exec(INTERRUPTED, {"told": told})
    assert told == ["interrupted"]


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_waits_until_an_import_is_over_unless_it_is_pressed_again(ctrl_c, tmp_path, monkeypatch, presses):
    """Interrupting an import of PyTorch sometimes crashed the process, because C++ code met an unexpected exception."""
    code = INTERRUPTED.replace(
        "    signal.raise", "    signal.raise_signal(signal.SIGINT)\n    signal.raise", presses - 1
    )
    (tmp_path / f"interrupted_{presses}.py").write_text(f"told = []\n{code}")
    monkeypatch.syspath_prepend(str(tmp_path))
    if presses == 1:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            importlib.import_module("interrupted_1")
            time.sleep(10)
        assert sys.modules["interrupted_1"].told == ["finished"]
    else:
        assert importlib.import_module("interrupted_2").told == ["interrupted"]


def test_ctrl_c_before_a_command_begins_prints_a_message_and_no_trace(monkeypatch, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("splade_lucene.cli.app"), "run_program", interrupted)
    assert_message_and_no_trace(monkeypatch, capsys)


def test_ctrl_c_while_the_commands_are_imported_prints_a_message_and_no_trace(monkeypatch, capsys):
    class Interrupted:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "splade_lucene.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "splade_lucene.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert_message_and_no_trace(monkeypatch, capsys)


def assert_message_and_no_trace(monkeypatch, capsys) -> None:
    program = importlib.import_module("splade_lucene.cli")
    monkeypatch.setattr(program.interrupts, "install", lambda: None)
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted: ")


def test_ctrl_c_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupts.install()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


SMALL_PARTS = "from splade_lucene.pseudo_documents import parts\nparts.PART_DOCUMENTS = 150"


@pytest.fixture(scope="module")
def large_corpus(tmp_path_factory) -> Path:
    """Enough texts that encoding them with the tiny model takes a second and several parts."""
    path = tmp_path_factory.mktemp("large") / "corpus.tsv"
    path.write_text("".join(f"d{i}\tcat {i} and dog {i % 97} near bird {i % 13}\n" for i in range(1200)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("command", ["encode", "build"])
def test_interrupted_encoding_goes_on_and_equals_an_undisturbed_one(data, large_corpus, tmp_path, monkeypatch, command):
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 150)

    def arguments(folder: Path) -> list[object]:
        last = ["--index", folder / "index"] if command == "build" else []
        return [command, "--corpus", large_corpus, "--output", folder / "encoded", "--model", data / "model", *last]

    first_part = tmp_path / "a" / "encoded" / "part-00000.jsonl"
    assert_interrupted(interrupt_when(arguments(tmp_path / "a"), lambda pid: first_part.exists(), SMALL_PARTS))
    assert not (tmp_path / "a" / "encoded" / "splade-lucene.manifest").exists()
    before = first_part.stat().st_mtime_ns
    run_well(*arguments(tmp_path / "a"))
    assert first_part.stat().st_mtime_ns == before  # it was not encoded again
    run_well(*arguments(tmp_path / "b"))
    for path in (tmp_path / "b" / "encoded").iterdir():
        assert path.read_bytes() == (tmp_path / "a" / "encoded" / path.name).read_bytes(), path.name
    if command == "build":
        assert_equal_indexes(tmp_path / "a" / "index", tmp_path / "b" / "index")


def assert_equal_indexes(a: Path, b: Path) -> None:
    facts = []
    for index in (a, b):
        with LuceneImpactSearcher(index) as searcher:
            facts.append(
                (searcher.reader.docids(), searcher.reader.terms(), searcher.reader.raw(range(searcher.num_docs)))
            )
    assert facts[0] == facts[1]


@pytest.fixture(scope="module")
def many_pseudo_documents(tmp_path_factory) -> Path:
    """70 MB: a few seconds of indexing."""
    from support.collections import random_collection

    from splade_lucene.pseudo_documents.format import format_pseudo_document

    folder = tmp_path_factory.mktemp("many")
    lines = [format_pseudo_document(document) for document in random_collection(3000, seed=8)]
    with (folder / "docs.jsonl").open("w", encoding="utf-8") as file:
        for repeat in range(40):
            file.writelines(line.replace('"id": "d', f'"id": "r{repeat}d', 1) + "\n" for line in lines)
    return folder / "docs.jsonl"


@pytest.mark.slow
@pytest.mark.parametrize("append", [False, True])
def test_an_interrupted_index_leaves_what_was_there_and_the_next_run_completes(many_pseudo_documents, tmp_path, append):
    index = tmp_path / "index"
    options: list[object] = []
    if append:
        (tmp_path / "first.jsonl").write_text('{"id": "first", "vector": {"cat": 1}}\n')
        run_well("index", "--input", tmp_path / "first.jsonl", "--index", index)
        options = ["--append"]
    arguments = ["index", "--input", many_pseudo_documents, "--index", index, *options]
    working = index if append else work_folder(index, "building")

    def is_building(pid: int) -> bool:
        if not append:
            return (working / "write.lock").exists()
        started = "libjvm" in Path(f"/proc/{pid}/maps").read_text()  # the lock file of the first build is still there
        time.sleep(0.5 if started else 0)
        return started

    assert_interrupted(interrupt_when(arguments, is_building))
    if append:
        with LuceneImpactSearcher(index) as searcher:
            assert searcher.num_docs == 1
    else:
        assert not index.exists()
    run_well(*arguments)
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.num_docs == 120_000 + append
    assert not (work_folder(index, "building")).exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["search", "encode-queries"])
def test_interrupted_search_leaves_no_run_and_the_next_one_completes(data, tmp_path, command):
    topics = tmp_path / "topics.tsv"
    topics.write_text("".join(f"q{i}\tcat {i} and dog {i % 31}\n" for i in range(1000)))
    last = ["--model", data / "model"] if command == "encode-queries" else ["--index", data / "index"]
    arguments = [command, "--topics", topics, "--output", tmp_path / "out.jsonl", *last]
    begun = tmp_path / "begun"
    # the first batch of queries is encoded; a search has opened the file of the run by then
    before = f"""
import pathlib
from splade_lucene import SpladeEncoder
encode_queries = SpladeEncoder.encode_queries
def noted(*given, **options):
    pathlib.Path({str(begun)!r}).touch()
    return encode_queries(*given, **options)
SpladeEncoder.encode_queries = noted
"""
    assert_interrupted(interrupt_when(arguments, lambda pid: begun.exists(), before))
    begun.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["topics.tsv"]
    run_well(*arguments)
    again = (tmp_path / "out.jsonl").read_bytes()
    run_well(*arguments)
    assert (tmp_path / "out.jsonl").read_bytes() == again
    assert again.count(b"\n") >= 1000


@pytest.mark.java
def test_ctrl_c_reaches_python_while_the_jvm_runs(index_dir):
    """The JVM's own handler would end the process silently; -Xrs leaves the signal to Python."""
    code = f"""
import os, signal
from splade_lucene import LuceneImpactSearcher
with LuceneImpactSearcher({str(index_dir)!r}) as searcher:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        searcher.search({{"term1": 1}})
    except KeyboardInterrupt:
        print("heard, and still working:", len(searcher.search({{"term1": 1}}, 5)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, preexec_fn=heed_ctrl_c
    )
    assert "heard, and still working: 5" in done.stdout, done.stderr


def test_search_says_what_it_did(data):
    query = ("--query", "cat dog and a horse")
    hits = json.loads(run_well("search", "--index", data / "index", *query, "--json"))
    told = json.loads(run_well("search", "--index", data / "index", *query, "--json", "--profile"))
    assert told["hits"] == hits
    profile = told["profile"]
    assert profile["engine"] == "taat"
    assert profile["total"] > 0
    done = run("search", "--index", data / "index", *query, "--profile")
    assert "taat: 1 query" in done.stderr
    assert "postings_scored" in done.stderr


def test_search_by_fields(data, tmp_path, caplog):
    """From a corpus with metadata to filtered hits, facets, a run, and more documents."""
    animals = ["cat", "dog", "bird"]
    rows: list[dict[str, Any]] = [
        {
            "_id": f"d{i}",
            "text": f"cat dog {animals[i % 3]}",
            "metadata": {"kind": animals[i % 3], "old": i < 6, "year": 2000 + i},
        }
        for i in range(12)
    ]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_well("build", "--corpus", tmp_path / "corpus.jsonl", "--index", tmp_path / "index", "--model", data / "model",
             "--fields", "kind,old,year:integer")  # fmt: skip
    assert "the field kind is keyword (12 of 12 documents)" in caplog.text
    index = ("--index", tmp_path / "index")
    told = json.loads(run_well("search", *index, "--query", "cat", "--hits", 40, "--json", "--facet", "kind",
                               "--filter", 'year >= 2006 and kind != "dog"'))  # fmt: skip
    expected = {row["_id"]: row["metadata"] for row in rows[6:] if row["metadata"]["kind"] != "dog"}
    assert {hit["docid"]: hit["fields"] for hit in told["hits"]} == expected
    assert told["facets"] == {"kind": {"bird": 2, "cat": 2}}
    shown = run_well("search", *index, "--query", "cat", "--filter", "year = 2003", "--facet", "kind")
    assert re.search(r"^ *1 .* d3  kind=cat  old=true  year=2003  cat dog cat\nkind: cat 1\n$", shown)
    assert "kind (keyword), old (boolean), year (integer)" in run_well("stats", *index)
    (tmp_path / "some.txt").write_text("d4\nd7\nd11\n")
    both = run_well(
        "search", *index, "--query", "cat", "--json", "--only", tmp_path / "some.txt", "--filter", 'kind = "dog"'
    )
    assert {hit["docid"] for hit in json.loads(both)} == {"d4", "d7"}
    (tmp_path / "topics.tsv").write_text("q1\tcat\nq2\tdog\n")
    run_well(
        "search",
        *index,
        "--topics",
        tmp_path / "topics.tsv",
        "--output",
        tmp_path / "run.trec",
        "--filter",
        "year < 2003",
    )
    lines = (tmp_path / "run.trec").read_text().splitlines()
    assert {(line.split()[0], line.split()[2]) for line in lines} == {
        (q, f"d{i}") for q in ("q1", "q2") for i in range(3)
    }
    more = [{"_id": "e1", "text": "cat", "year": 2050, "other": 1}, {"_id": "e2", "text": "cat"}]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in more))
    run_well("add", *index, "--corpus", tmp_path / "more.jsonl")  # with the fields of the index
    told = json.loads(
        run_well("search", *index, "--query", "cat", "--json", "--filter", "year > 2040 or not kind exists")
    )
    assert {hit["docid"]: hit.get("fields") for hit in told} == {"e1": {"year": 2050}, "e2": None}
    done = run("search", *index, "--query", "cat", "--filter", "year > 3000", "--facet", "kind")
    assert (check_well(done), done.stderr) == (
        "kind: no keywords\n",
        "no document that the filter accepts shares a term with the query\n",
    )
    single, many = ("--query", "cat"), ("--topics", tmp_path / "topics.tsv", "--output", tmp_path / "other.trec")
    for given, says in (
        ((*single, "--filter", "yaer = 1"), "Its fields are: kind (keyword), old (boolean), year (integer)"),
        ((*single, "--filter", "year ="), "at column 7: expected"),
        ((*single, "--filter", "year = 1", "--engine", "pyserini"), "has no filters"),
        ((*many, "--facet", "kind"), "--facet requires --query"),
    ):
        done = run("search", *index, *given)
        assert (done.returncode, says in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_search_among_some_documents(data, tmp_path):
    query = ("--query", "cat dog and a horse")
    everything = json.loads(run_well("search", "--index", data / "index", *query, "--hits", 40, "--json"))
    docids = [hit["docid"] for hit in everything]
    (tmp_path / "docids.txt").write_text("\n".join([*docids[1::2], "", "no-such-document"]))
    for flag, left in (("--only", docids[1::2]), ("--without", docids[::2])):
        rows = run_well(
            "search", "--index", data / "index", *query, "--hits", 40, flag, tmp_path / "docids.txt", "--json"
        )
        assert [hit["docid"] for hit in json.loads(rows)] == left
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "empty.txt").write_text("\n")
    for name, reason in (("nowhere", "cannot read"), ("latin1", "a UTF-8 text file"), ("empty", "no docids")):
        done = run("search", "--index", data / "index", *query, "--only", tmp_path / f"{name}.txt")
        assert reason in check_failed(done)


def test_an_approximate_run_tells_its_loss(data, tmp_path):
    topics = ("--topics", data / "topics.tsv", "--output", tmp_path / "run.txt")
    approximate = ("--mode", "approximate", "--beta", 0.01)
    told = json.loads(run_well("search", "--index", data / "index", *topics, *approximate, "--recall", "--json"))
    with LuceneImpactSearcher(data / "index") as searcher:
        lost = []
        for query in read_topics(data / "topics.tsv"):
            vector = searcher.encode(query.text)
            heaviest = max(vector, key=lambda term: vector[term])
            best, found = (
                searcher.search(vector, 1000).docids,
                searcher.search({heaviest: vector[heaviest]}, 1000).docids,
            )
            lost.append(len({*best} & {*found}) / len(best))
    assert [*told["recall"]] == [query.qid for query in read_topics(data / "topics.tsv")]
    assert [*told["recall"].values()] == pytest.approx(lost)
    assert "queries lose no hits" in run("search", "--index", data / "index", *topics, *approximate, "--recall").stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--alpha", "0.5"], "--alpha requires --mode approximate"),
        (["--recall"], "--recall requires --mode approximate"),
        (["--mode", "approximate", "--engine", "taat"], "requires --beta"),
        (["--mode", "approximate", "--engine", "maxscore", "--blocks", "3"], "blocks requires block-max pruning"),
        (["--only", "a", "--without", "b"], "are mutually exclusive"),
        (["--min-idf", "nan"], "--min-idf must be a number"),
        (["--threads", "100000000000"], "--threads"),
        (["--mode", "approximate", "--alpha", "2"], "alpha must be above 0"),
        (["--mode", "approximate", "--candidates", "9"], "requires beta below 1"),
        (["--engine", "pyserini", "--profile"], "--engine pyserini does not support"),
    ],
)
def test_wrong_ways_to_search(data, arguments, reason):
    done = run("search", "--index", data / "index", "--query", "cat", *arguments)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.split())
