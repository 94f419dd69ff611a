"""Tables of miniature BEIR folders, encoded here by two models: run, killed, resumed, printed."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import ir_measures
import pytest
from support.checkpoints import tiny_checkpoint
from support.commands import run_script
from support.downloads import Handler, serving, zip_of
from support.processes import ROOT, child_environment
from typer.testing import CliRunner

from splade_lucene import PseudoDocument, Run, SpladeEncoder, exhaustive_search
from splade_lucene.cli.app import app
from splade_lucene.encoder.settings import DocumentSettings
from splade_lucene.errors import CatalogueError
from splade_lucene.quantizer import Quantizer
from splade_lucene.reproduction import read_catalogue, read_groups
from splade_lucene.reproduction.commands import our_commands

DOCUMENTS = {
    "hearts": {"h1": ("Heart", "The heart pumps blood."), "h2": ("", "A vein carries blood to the heart."),
               "h3": ("Lung", "The lung takes up oxygen.")},
    "plants": {"p1": ("", "Plants turn sunlight into sugar."), "p2": ("Root", "A root takes up water."),
               "p3": ("", "Sugar feeds the root."), "p4": ("Leaf", "A green leaf needs sunlight and water.")},
    "stars": {"s1": ("Sun", "The sun is a star."), "s2": ("", "A star burns hydrogen."), "s3": ("Moon", "It has no air.")},
}  # fmt: skip
QUERIES = {
    "hearts": {"q1": "blood in a vein", "q2": "oxygen", "train1": "not judged for the test"},
    "plants": {"p3": "sugar of the root", "q2": "sunlight"},  # the first one is a document too
    "stars": {"q1": "is the sun a star", "q2": "air on the moon"},
}
QRELS = {
    "hearts": {"q1": {"h2": 1, "h1": 1}, "q2": {"h3": 1}},
    "plants": {"p3": {"p2": 1, "p3": 1}, "q2": {"p4": 2, "p1": 1}},
    "stars": {"q1": {"s1": 1}, "q2": {"s3": 1, "s2": 0}},
}
SYSTEMS = ("small", "tiny")
MEASURE = "nDCG@10"


def beir_zip(name: str) -> bytes:
    """A data set as BEIR packs it: a folder with corpus, queries and judgments, and the metadata files that macOS adds."""
    corpus = [{"_id": key, "title": title, "text": text} for key, (title, text) in DOCUMENTS[name].items()]
    queries = [{"_id": key, "text": text, "metadata": {}} for key, text in QUERIES[name].items()]
    qrels = [f"{qid}\t{docid}\t{grade}" for qid, of in QRELS[name].items() for docid, grade in of.items()]
    files = {
        "corpus.jsonl": "".join(json.dumps(each) + "\n" for each in corpus),
        "queries.jsonl": "".join(json.dumps(each) + "\n" for each in queries),
        "qrels/test.tsv": "\n".join(["query-id\tcorpus-id\tscore", *qrels, ""]),
        "._corpus.jsonl": "of a Mac",
    }
    return zip_of({f"{name}/{path}": text.encode() for path, text in files.items()})


ZIPS = {f"{name}.zip": beir_zip(name) for name in DOCUMENTS}


def oracle(encoder: SpladeEncoder, name: str) -> float:
    """nDCG@10 of an exhaustive search, computed by ir_measures, without the query itself among its hits."""
    rule = Quantizer.named("naver")
    texts = [f"{title} {text}".strip() for title, text in DOCUMENTS[name].values()]
    rows = encoder.encode_documents(texts).quantize(rule, "document")
    pseudo = [PseudoDocument(docid, "", row) for docid, row in zip(DOCUMENTS[name], rows, strict=True)]
    vectors = encoder.encode_queries([*QUERIES[name].values()]).quantize(rule, "query")
    run = {
        qid: {docid: score for docid, score in exhaustive_search(pseudo, vector, 10) if docid != qid}
        for qid, vector in zip(QUERIES[name], vectors, strict=True)
    }
    measure = ir_measures.parse_measure(MEASURE)
    return ir_measures.calc_aggregate([measure], QRELS[name], run)[measure]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, str]:
    kinds = {"small": "bert", "tiny": "distilbert"}
    return {name: str(tiny_checkpoint(tmp_path_factory.mktemp(name), kind)) for name, kind in kinds.items()}


@pytest.fixture(scope="module")
def expected(models) -> dict[tuple[str, str], float]:
    found = {}
    for system in SYSTEMS:
        encoder = SpladeEncoder(models[system], DocumentSettings(max_length=32), dtype="float32", device="cpu")
        found.update({(name, system): oracle(encoder, name) for name in DOCUMENTS})
    return found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def catalogue(address, models, expected, tmp_path_factory) -> Path:
    """Three data sets, each with two systems, in a group of two rows: one data set, and the mean of two."""
    folder = tmp_path_factory.mktemp("catalogue")
    for name in DOCUMENTS:
        data = ZIPS[f"{name}.zip"]
        archive = (f'file = "{name}.zip"\nurl = "{address}/{name}.zip"\nsize = {len(data)}\n'
                   f'checksum = "md5:{hashlib.md5(data).hexdigest()}"\n')  # fmt: skip
        text = f'name = "{name}"\ntitle = "{name}"\ndocuments = {len(DOCUMENTS[name])}\njudged = 2\n'
        text += f'[qrels]\n{archive}member = "qrels/test.tsv"\n'
        for system in SYSTEMS:
            text += f"""
[[systems]]
name = "{system}"
title = "A {system} model"
method = "encode"
source = "the oracle"
tolerance = 0.0001
remove_query = true
model = "{models[system]}"
quantizer = "naver"
max_length = 32
document_scale = 100.0
query_scale = 100.0
[systems.topics]
{archive}member = "queries.jsonl"
count = {len(QUERIES[name])}
[systems.corpus]
name = "{name}"
folder = "{name}"
{archive}
[systems.published]
"{MEASURE}" = {expected[name, system]:.4f}
"""
        (folder / f"{name}.toml").write_text(text)
    (folder / "tables.toml").write_text(f"""
[[groups]]
name = "all.table"
title = "Small ones"
source = "the oracle"
systems = ["small", "tiny"]
note = "of three folders"
[[groups.rows]]
title = "Hearts"
collections = ["hearts"]
measure = "{MEASURE}"
[[groups.rows]]
title = "Plants & stars"
collections = ["plants", "stars"]
measure = "{MEASURE}"
[[groups.averages]]
title = "average"
[groups.averages.published]
small = 0.7654
[[groups.averages]]
title = "without hearts"
without = ["Hearts"]

[[groups]]
name = "two.table"
title = "Two"
source = "the oracle"
systems = ["tiny"]
[[groups.rows]]
title = "Hearts and plants"
collections = ["hearts", "plants"]
measure = "{MEASURE}"
""")
    return folder


@pytest.fixture(scope="module")
def finished(catalogue, tmp_path_factory) -> Path:
    """A working folder in which the group was run."""
    folder = tmp_path_factory.mktemp("work")
    Handler.reset(dict(ZIPS))
    done = invoke("all.table", "--catalogue", catalogue, "--dir", folder, "--threads", "1", "--json")
    assert done.exit_code == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    assert [name for name, _ in Handler.asked] == [*ZIPS]  # each once
    return folder


@pytest.fixture
def options(catalogue, tmp_path, monkeypatch) -> list[object]:
    """Options: a copy of the catalogue, to change, and a new working folder."""
    Handler.reset(dict(ZIPS))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setenv("SPLADE_LUCENE_COLLECTIONS", "")
    shutil.copytree(catalogue, tmp_path / "catalogue")
    return ["--catalogue", tmp_path / "catalogue", "--dir", tmp_path / "work"]


@pytest.fixture
def finished_options(options, finished) -> list[object]:
    """The same with the folder in which the group was run."""
    return [*options[:3], finished]


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["reproduce", *map(str, arguments)])


def figures(expected: dict[tuple[str, str], float], system: str) -> list[float]:
    """The rows and averages of the table, by hand."""
    hearts, plants, stars = (expected[name, system] for name in DOCUMENTS)
    both = (plants + stars) / 2
    return [hearts, both, (hearts + both) / 2, both]


# ---- the table ----


def test_a_group_runs_all_and_prints_its_table(finished_options, finished, expected):
    found = json.loads((finished / "stdout").read_text())
    assert (found["name"], found["within_tolerance"], found["failed"]) == ("all.table", True, {})
    titles = ["Hearts", "Plants & stars", "average", "without hearts"]
    assert [row["title"] for row in found["rows"]] == titles
    for column, system in enumerate(SYSTEMS):
        cells = [row["figures"][column] for row in found["rows"]]
        assert {cell["system"] for cell in cells} == {system}
        assert [cell["obtained"] for cell in cells] == pytest.approx(figures(expected, system), abs=1e-9)
        published = figures(expected, system)
        if system == "small":
            published[2] = 0.7654  # as the group says
        assert [cell["published"] for cell in cells] == pytest.approx(published, abs=1e-4)

    small, tiny = figures(expected, "small"), figures(expected, "tiny")
    first = [f"{small[0]:.4f}", f"{small[1]:.4f}", "0.7654", f"{small[3]:.4f}"]
    done = invoke("all.table", *finished_options, "--output-format", "markdown")
    assert done.exit_code == 0, done.stderr
    lines = [
        "| Small ones | small published | small obtained | tiny published | tiny obtained |",
        "|---|---:|---:|---:|---:|",
    ]
    for title, published_one, a, b in zip(titles, first, small, tiny, strict=True):
        lines.append(f"| {title} | {published_one} | {a:.4f} | {b:.4f} | {b:.4f} |")
    assert done.stdout.splitlines()[:6] == lines
    assert "published: the oracle" in done.stdout
    assert Handler.asked == []
    assert done.stderr.count("finished before") == 6 * 3  # of each entry: unpack, index and search

    done = invoke("all.table", *finished_options, "--output-format", "latex")
    assert done.stdout.startswith(r"\begin{tabular}{lrrrr}")
    row = [first[1], *(f"{each:.4f}" for each in (small[1], tiny[1], tiny[1]))]
    assert rf"Plants \& stars & {' & '.join(row)} \\" in done.stdout
    assert "\n% of three folders" in done.stdout


def test_what_a_group_would_do(options):
    plans = json.loads(invoke("all.table", *options, "--dry-run", "--json").stdout)
    assert {each["name"] for each in plans} == {f"{name}.{system}" for name in DOCUMENTS for system in SYSTEMS}
    assert [file["file"] for each in plans for file in each["files"]].count("plants.zip") == 2
    shown = json.loads(invoke("all.table", *options, "--show", "--json").stdout)
    assert [each["name"] for each in shown] == [each["name"] for each in plans]
    listed = invoke("--list", *options)
    assert "groups of entries: all.table, beir.splade-v3, paper.table1, paper.table2, two.table" in listed.stderr
    done = invoke("all.table", *options, "--download-only", "--json")
    assert [Path(each).name for each in json.loads(done.stdout)] == [*ZIPS]
    assert "Did you mean all.table, " in invoke("all.tabel", *options).stderr


@pytest.mark.process
def test_a_killed_group_goes_on_where_it_was(options, expected, tmp_path):
    """Killed while the second data set is fetched: the first one is not run again."""
    Handler.stalls.add("plants.zip")
    Handler.breaks["plants.zip"] = [200]
    command = [sys.executable, "-m", "splade_lucene", "reproduce", "two.table", *options]
    child = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=child_environment(), stderr=subprocess.PIPE)
    partial = tmp_path / "work/downloads/plants.zip.partial"
    deadline, tick = time.monotonic() + 240, threading.Event()
    while not (partial.exists() and partial.stat().st_size):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()[1]
        tick.wait(0.05)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    Handler.stalls.clear()
    Handler.asked.clear()
    done = invoke("two.table", "--json", *options)
    assert done.exit_code == 0, done.stderr
    assert Handler.asked == [("plants.zip", "bytes=200-")]
    assert "search.hearts.tiny: finished before" in done.stderr
    assert "search.plants.tiny: finished before" not in done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    mean = (expected["hearts", "tiny"] + expected["plants", "tiny"]) / 2
    assert row["figures"] == [
        {"system": "tiny", "published": pytest.approx(mean, abs=1e-4), "obtained": pytest.approx(mean)}
    ]


def test_what_is_not_there_leaves_a_gap_and_the_others_run(finished_options, finished, expected, tmp_path):
    del Handler.files["stars.zip"]
    archive = (finished / "downloads/stars.zip").rename(tmp_path / "stars.zip")
    path = tmp_path / "catalogue/hearts.toml"
    head, tail = path.read_text().split('name = "tiny"')
    published = tail.replace(f'"{MEASURE}" = {expected["hearts", "tiny"]:.4f}', f'"{MEASURE}" = 0.05')
    path.write_text(f'{head}name = "tiny"{published}')
    done = invoke("all.table", *finished_options, "--output-format", "markdown")
    archive.rename(finished / "downloads/stars.zip")
    assert done.exit_code == 1
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:6]]
    assert table[0][-2:] == ["0.0500", f"{expected['hearts', 'tiny']:.4f}†"]
    assert [row[2] for row in table[1:]] == [
        "–"
    ] * 3  # of two data sets one is missing: so are their mean and the average
    assert "– not run: stars.small, stars.tiny" in done.stdout
    assert "† outside the tolerance of the entry" in done.stdout
    assert "stars.small was not run: stars.zip is not available locally" in done.stderr


def test_a_member_that_the_archive_lacks(finished_options, tmp_path):
    path = tmp_path / "catalogue/hearts.toml"
    path.write_text(path.read_text().replace('"qrels/test.tsv"', '"qrels/dev.tsv"'))
    done = invoke("hearts.small", *finished_options)
    assert (done.exit_code, "hearts.zip does not have this file" in done.stderr) == (1, True)


def test_an_entry_as_a_table(finished_options, expected):
    done = invoke("stars.small", *finished_options, "--output-format", "markdown")
    assert done.exit_code == 0, done.stderr
    figure = f"{expected['stars', 'small']:.4f}"
    assert f"| {MEASURE} | {figure} | {figure} |" in done.stdout.splitlines()
    assert "| documents | 3 | 3 |" in done.stdout.splitlines()


def test_the_printed_commands_make_the_same_run_of_a_zip(options, finished, tmp_path):
    commands = json.loads(invoke("plants.tiny", *options, "--show", "--json").stdout)["splade-lucene"]
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/plants.zip").write_bytes(ZIPS["plants.zip"])
    done = run_script("\n".join(command for command in commands if not command.startswith("curl ")), tmp_path)
    assert done.returncode == 0, done.stderr
    by_hand, at_once = Run.read(tmp_path / "runs/plants.tiny.trec"), Run.read(finished / "runs/plants.tiny.trec")
    assert dict(by_hand) == dict(at_once)
    assert "p3" not in [docid for docid, _ in at_once["p3"]]


# ---- the catalogue's own groups ----


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('["hearts"]', '["herats"]', "all.table, Hearts: herats.small: no such entry"),
        (f'measure = "{MEASURE}"', 'measure = "AP@5"', "hearts.small: no published AP@5"),
        ('without = ["Hearts"]', 'without = ["Heart"]', "without hearts: Heart: no such row or system"),
        ("small = 0.7654", "smal = 0.7654", "average: smal: no such row or system"),
        ('title = "Hearts"', 'titel = "Hearts"', "unknown key groups[0].rows[0].titel. Did you mean title?"),
        ('systems = ["small", "tiny"]', 'systems = "small"', "groups[0].systems is not a list"),
    ],
)
def test_faults_of_a_group_name_the_place(options, tmp_path, old, new, reason):
    catalogue = tmp_path / "catalogue"
    path = catalogue / "tables.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CatalogueError) as caught:
        read_groups([catalogue])["all.table"].members(read_catalogue([catalogue]))
    assert reason in str(caught.value)


# ---- the paper ----

# Of the authors' own notebook (naver/splade, beir_evaluation/splade_beir.ipynb, until April 2023), for DistilSPLADE-max.
NOTEBOOK = {
    "ArguAna": 0.479, "Climate-FEVER": 0.235, "DBPedia": 0.435, "FEVER": 0.786, "FiQA-2018": 0.336, "HotpotQA": 0.684,
    "NFCorpus": 0.334, "NQ": 0.521, "Quora": 0.838, "SCIDOCS": 0.158, "SciFact": 0.693, "TREC-COVID": 0.710,
    "Touché-2020 (v1)": 0.364,
}  # fmt: skip


def test_the_papers_figures_of_beir_are_those_of_its_authors_and_of_its_averages():
    entries, table = read_catalogue(), read_groups()["paper.table2"]
    by_row = {
        row.title: {
            system: entries[f"{row.collections[0]}.{system}"].system.published[MEASURE] for system in table.systems
        }
        for row in table.rows
    }
    assert {title: by["splade-v2-distil"] for title, by in by_row.items() if title != "MS MARCO"} == NOTEBOOK
    for average in table.averages:  # which the paper gives too, and to which each of its figures contributes
        for system, published in average.published.items():
            figures = [by[system] for title, by in by_row.items() if title not in average.without]
            assert round(sum(figures) / len(figures), 3) == published


def test_the_papers_first_table_is_the_one_on_the_models_own_pages():
    """Of naver/splade's README (RR@10), NAVER's page of models (DistilSPLADE-max) and transcriptions (SPLADE-max), in percent."""
    entries, table = read_catalogue(), read_groups()["paper.table1"]
    pages = {"splade-v2-max": [34.0, 96.5, 68.4, 85.1], "splade-v2-distil": [36.8, 97.9, 72.9, 86.5]}
    for system, figures in pages.items():
        found = [entries[f"{row.collections[0]}.{system}"].system.published[row.measure] for row in table.rows]
        assert [round(100 * each, 1) for each in found] == figures


def test_the_groups_have_the_data_sets_of_their_tables():
    entries, groups = read_catalogue(), read_groups()
    assert {name: len(group.members(entries)) for name, group in groups.items()} == {
        "beir.splade-v3": 17 + 12, "paper.table1": 4, "paper.table2": 28,
    }  # fmt: skip
    beir = {
        each.collection for each in entries.values() if each.system.name == "splade-v3" and "beir" in each.collection
    }
    assert {each.collection for each in groups["beir.splade-v3"].members(entries)} == beir
    for entry in groups["paper.table2"].members(entries):
        (encode,) = [each for each in our_commands(entry) if each.startswith("splade-lucene encode ")]
        assert f"--model {entry.system.model}" in encode
