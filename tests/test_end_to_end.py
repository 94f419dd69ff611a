"""The main job on real text: the demo, and CACM through our command line and through Pyserini's own classes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.anserini import build_with_anserini, contents
from support.commands import assert_interrupted, run, run_well
from support.processes import ROOT

from splade_lucene import Run, SpladeEncoder, evaluate, jvm, read_topics
from splade_lucene.corpus import reading
from splade_lucene.corpus.python_docs import read_python_docs
from splade_lucene.demo import read_questions
from splade_lucene.jvm.pyserini_import import pyserini_importable
from splade_lucene.pseudo_documents import parts


@pytest.fixture(scope="module")
def cacm(shared: Path, tmp_path_factory) -> Path:
    """CACM, built with the embedded model and searched."""
    folder = tmp_path_factory.mktemp("cacm")
    source = shared / "data" / "cacm"
    run_well(
        "build", "--corpus", source, "--index", folder / "index", "--output", folder / "encoded", "--max-length", "128"
    )
    run_well("search", "--index", folder / "index", "--topics", source / "topics.tsv", "--output", folder / "ours.trec")
    return folder


@pytest.mark.model
@pytest.mark.slow
def test_cacm_is_ranked_as_well_as_its_model_card_says(cacm, shared):
    means = evaluate(shared / "data" / "cacm" / "qrels.txt", cacm / "ours.trec", ["nDCG@10", "R@100"])
    assert means["nDCG@10"] > 0.46  # BM25: .460
    assert means["R@100"] > 0.63  # BM25: .620


@pytest.mark.model
@pytest.mark.slow
def test_pyserinis_own_classes_give_the_identical_run_on_the_same_index(cacm, shared, encoder):
    """Pyserini's searcher, driven as its users drive it, with our object as its query encoder."""
    from splade_lucene import Quantizer, SpladeQueryEncoder

    with pyserini_importable():
        from pyserini.search.lucene import LuceneImpactSearcher as Theirs
    topics = read_topics(shared / "data" / "cacm" / "topics.tsv")
    theirs = Theirs(str(cacm / "index"), SpladeQueryEncoder(encoder, Quantizer.named("naver")), min_idf=-1)
    found = theirs.batch_search([query.text for query in topics], [query.qid for query in topics], 1000, 2)
    Run({query.qid: [(hit.docid, round(hit.score)) for hit in found[query.qid]] for query in topics}).write(
        cacm / "theirs.trec"
    )
    assert (cacm / "theirs.trec").read_bytes() == (cacm / "ours.trec").read_bytes()
    source = shared / "data" / "cacm" / "topics.tsv"
    run_well(
        "search",
        "--index",
        cacm / "index",
        "--topics",
        source,
        "--output",
        cacm / "engine.trec",
        "--engine",
        "pyserini",
    )
    assert (cacm / "engine.trec").read_bytes() == (cacm / "ours.trec").read_bytes()


@pytest.mark.model
@pytest.mark.slow
def test_cacms_postings_equal_anserinis(cacm):
    build_with_anserini(cacm / "encoded", cacm / "anserini")
    ours = contents(cacm / "index")
    assert len(ours) > 5000
    assert ours == contents(cacm / "anserini")


@pytest.mark.model
@pytest.mark.slow
def test_trec_evals_own_binary_agrees_to_the_last_digit(cacm, shared):
    if not sys.platform.startswith("linux"):
        pytest.skip("the fatjar's binary used here is for Linux")
    binary = cacm / "trec_eval"
    with zipfile.ZipFile(jvm.find_fatjar()) as jar:
        binary.write_bytes(jar.read("trec_eval/trec_eval-linux-amd64"))
    binary.chmod(0o755)
    qrels = shared / "data" / "cacm" / "qrels.txt"
    command = [
        str(binary),
        "-c",
        "-m",
        "ndcg_cut.10",
        "-m",
        "map",
        "-m",
        "recall.100,1000",
        "-m",
        "recip_rank",
        str(qrels),
        str(cacm / "ours.trec"),
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    theirs = {line.split()[0]: line.split()[2] for line in lines}
    ours = evaluate(qrels, cacm / "ours.trec", ["nDCG@10", "AP", "R@100", "R@1000", "RR"])
    assert [f"{value:.4f}" for value in ours.values()] == [
        theirs[name] for name in ("ndcg_cut_10", "map", "recall_100", "recall_1000", "recip_rank")
    ]


@pytest.fixture
def some_python_docs(monkeypatch) -> None:
    """The known answers of the demo's questions, and every sixteenth other document: all of them take minutes."""
    answers = {docid for _, relevant in read_questions() for docid in relevant}
    chosen = [each for number, each in enumerate(read_python_docs()) if each.docid in answers or number % 16 == 0]
    monkeypatch.setattr(reading, "read_python_docs", lambda: iter(chosen))


@pytest.mark.model
@pytest.mark.slow
def test_the_demo_answers_evaluates_survives_ctrl_c_and_is_reused(some_python_docs, tmp_path, monkeypatch):
    """One demo from nothing, interrupted once on its way; then again, which encodes nothing."""
    pytest.importorskip("torch")
    folder = tmp_path / "demo"
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 100)
    encode_impacts, calls = SpladeEncoder.encode_impacts, []

    def interrupted(*given, **options):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode_impacts(*given, **options)

    monkeypatch.setattr(SpladeEncoder, "encode_impacts", interrupted)
    first = run("demo", "--dir", folder)
    assert_interrupted(first)
    assert re.search(r"First the \d+ docstrings of csv, glob, inspect, os, pathlib, shutil:", first.stdout)
    assert "1.*" in first.stdout.partition("Now those of all modules.")[0]  # a known answer comes first
    assert [path.name for path in folder.rglob("part-*")] == ["part-00000.jsonl"]
    printed = run_well("demo", "--dir", folder)
    assert "100 questions" in printed
    assert "os.walk" in printed
    for command in printed.partition("Try next:")[2].strip().splitlines():
        program, *arguments = shlex.split(command)
        assert shutil.which(program)
        assert run_well(*arguments)
    assert len(printed.partition("Try next:")[2].strip().splitlines()) == 3
    assert not (folder / "first-index").exists()
    first_part = (folder / "pseudo-documents" / "part-00000.jsonl").stat().st_mtime_ns
    shutil.rmtree(folder / "bm25-index")  # as if it had been cut off between its two indexes
    again = run_well("demo", "--dir", folder)
    assert "First" not in again
    table = json.loads(run_well("demo", "--dir", folder, "--json"))["table"]
    assert (folder / "pseudo-documents" / "part-00000.jsonl").stat().st_mtime_ns == first_part
    assert table["SPLADE"]["nDCG@10"] > table["BM25"]["nDCG@10"] > 0.2
    assert f"{table['SPLADE']['nDCG@10']:.4f}" in printed
    qrels = {query.qid: dict.fromkeys(relevant, 1) for query, relevant in read_questions()}
    assert len(qrels) >= 60
    for system in ("splade", "bm25"):
        means = evaluate(qrels, folder / "runs" / f"{system}.trec", ["nDCG@10"])
        assert means["nDCG@10"] == pytest.approx(table["SPLADE" if system == "splade" else "BM25"]["nDCG@10"])
    answers = json.loads(
        run_well("search", "--index", folder / "index", "--query", "parse command line arguments", "--json")
    )
    assert any("argparse" in row["docid"] or "optparse" in row["docid"] for row in answers[:5])


def test_no_file_of_the_package_is_missing_from_a_built_distribution(tmp_path):
    """What setup.cfg packs: the model, the jar, the questions, the known models, the type marker."""
    from setuptools import Distribution
    from setuptools.config.setupcfg import read_configuration

    options = read_configuration(ROOT / "setup.cfg")["options"]
    distribution = Distribution({"packages": options["packages"], "package_data": options["package_data"]})
    distribution.script_name = "setup.py"
    command = distribution.get_command_obj("build_py")
    command.ensure_finalized()
    packed = {
        str(Path(package.replace(".", "/")) / name) for package, _, _, names in command.data_files for name in names
    }
    packed |= {str(Path(path).relative_to(ROOT)) for *_, path in command.find_all_modules() if Path(path).is_absolute()}
    for needed in ("splade_lucene/jars/splade-lucene-bridge.jar", "splade_lucene/models/splade-minilm/model.int8.safetensors",
                   "splade_lucene/models/splade-minilm-doc/query_token_weights.txt",
                   "splade_lucene/models/known_models.json", "splade_lucene/data/python_docs_questions.jsonl",
                   "splade_lucene/py.typed"):  # fmt: skip
        assert needed in packed, needed
