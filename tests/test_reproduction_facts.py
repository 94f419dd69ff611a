"""Every entry of the catalogue against independent sources: Anserini's jar, Pyserini's matrix, figures by hand."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.commands import run_script
from typer.testing import CliRunner

from splade_lucene.cli.app import app
from splade_lucene.jvm import find_fatjar
from splade_lucene.reproduction import read_catalogue
from splade_lucene.reproduction.commands import anserini_commands, our_commands, pyserini_commands
from splade_lucene.reproduction.downloads import Downloads
from splade_lucene.reproduction.plans import make_plan
from splade_lucene.reproduction.reading import CATALOGUE

yaml = pytest.importorskip("yaml")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CONFIGS = "reproduce/from-document-collection/configs"
ENTRIES = read_catalogue()
OURS = ("cacm", "python-docs")
PAPER = ("splade-v2-max", "splade-v2-distil")
PUBLISHED = {
    name: entry
    for name, entry in ENTRIES.items()
    if entry.collection not in OURS and entry.system.name not in PAPER  # those are in test_reproduction_groups.py
}

# Collection → (documents, queries in the file, judged queries); of the tracks' overviews and of BEIR's paper (table 1).
COUNTS = {
    "msmarco-v1-passage": (8_841_823, 6980, 6980), "dl19-passage": (8_841_823, 43, 43),
    "dl20-passage": (8_841_823, 200, 54), "msmarco-v2-passage-dev": (138_364_198, 3903, 3903),
    "msmarco-v2-passage-dev2": (138_364_198, 4281, 4281), "dl21-passage": (138_364_198, 477, 53),
    "dl22-passage": (138_364_198, 500, 76), "dl23-passage": (138_364_198, 700, 82),
    **{f"beir-v1.0.0-{name}": (documents, judged, judged) for name, documents, judged in (
        ("trec-covid", 171_332, 50), ("nfcorpus", 3_633, 323), ("bioasq", 14_914_603, 500), ("nq", 2_681_468, 3_452),
        ("hotpotqa", 5_233_329, 7_405), ("fiqa", 57_638, 648), ("signal1m", 2_866_316, 97), ("trec-news", 594_977, 57),
        ("robust04", 528_155, 249), ("arguana", 8_674, 1_406), ("webis-touche2020", 382_545, 49),
        ("webis-touche2020-v1", 382_545, 49),
        ("quora", 522_931, 10_000), ("dbpedia-entity", 4_635_922, 400), ("scidocs", 25_657, 1_000),
        ("fever", 5_416_568, 6_666), ("climate-fever", 5_416_593, 1_535), ("scifact", 5_183, 300),
    )},
}  # fmt: skip
CQADUPSTACK = (457_199, 13_145)  # documents and queries of all twelve parts together

# System → impacts per unit of weight in documents and topics, by hand (see splade_lucene/quantizer.py and its sources).
SCALES = {
    "distill-splade-max": (100.0, 100.0), "splade-distil-cocodenser-medium": (100.0, 100.0),
    "splade-pp-ed": (100.0, 1000.0), "splade-pp-sd": (100.0, 1000.0), "splade-v3": (51.2, 51.2),
    "splade-v2-max": (100.0, 100.0), "splade-v2-distil": (100.0, 100.0),
    "unicoil": (51.2, 51.2), "deepimpact": (None, 1.0), "bm25-d2q-t5": (None, None),
}  # fmt: skip
BEIR_SCALES = {"splade-pp-ed": (100.0, 100.0), "splade-v3": (51.2, 51.2)}

# Of anserini-0.24.0, the last one with these regressions.
COCODENSER = {
    "msmarco-v1-passage": {"AP@1000": 0.3943, "RR@10": 0.3892, "R@100": 0.9111, "R@1000": 0.9817},
    "dl19-passage": {"AP(rel=2)@1000": 0.4970, "nDCG@10": 0.7425, "R(rel=2)@100": 0.6344, "R(rel=2)@1000": 0.8756},
    "dl20-passage": {"AP(rel=2)@1000": 0.5019, "nDCG@10": 0.7179, "R(rel=2)@100": 0.7619, "R(rel=2)@1000": 0.8901},
}


@cache
def jar() -> zipfile.ZipFile:
    archive = zipfile.ZipFile(find_fatjar())
    if f"{CONFIGS}/msmarco-v1-passage.splade-v3.cached.yaml" not in archive.namelist():
        pytest.skip("the installed Anserini has no configurations of cached queries")
    return archive


@cache
def prebuilt_indexes() -> dict[str, tuple[str, int, str]]:
    """File name → checksum, size and address, of Anserini's jar and of Pyserini's source."""
    found = {}
    for name in jar().namelist():
        if name.startswith("prebuilt-indexes/") and name.endswith(".json"):
            for each in json.loads(jar().read(name)):
                found[each["filename"]] = (each["md5"], each["compressed_size"], each["urls"][0])
    for node in ast.walk(ast.parse((pyserini() / "prebuilt_index_info.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
            try:
                each = ast.literal_eval(node)
            except ValueError:
                continue
            if "filename" in each:
                found[each["filename"]] = (each["md5"], each["size compressed (bytes)"], each["urls"][0])
    return found


def package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs {name}")
    return Path(spec.submodule_search_locations[0])


def pyserini() -> Path:
    return package("pyserini")


def trec_eval_name(parameters: str) -> str:
    """The measure of trec_eval's options, in ir_measures' words."""
    level = "(rel=2)" if "-l 2" in parameters else ""
    cutoff = re.search(r"-M (\d+)", parameters)
    if found := re.search(r"ndcg_cut\.(\d+)", parameters):
        return f"nDCG@{found[1]}"
    if found := re.search(r"recall\.(\d+)", parameters):
        return f"R{level}@{found[1]}"
    return f"{'RR' if 'recip_rank' in parameters else 'AP'}{level}@{cutoff[1] if cutoff else 1000}"


def test_there_is_every_collection_and_system_that_was_promised():
    systems: dict[str, set[str]] = {}
    for entry in ENTRIES.values():
        if entry.system.name not in PAPER:
            systems.setdefault(entry.collection, set()).add(entry.system.name)
    passages = {
        "splade-distil-cocodenser-medium",
        "splade-pp-ed",
        "splade-pp-sd",
        "splade-v3",
        "unicoil",
        "bm25-d2q-t5",
    }
    assert systems.pop("msmarco-v1-passage") == passages | {"distill-splade-max", "deepimpact"}
    assert systems.pop("dl19-passage") == systems.pop("dl20-passage") == passages
    for name in ("msmarco-v2-passage-dev", "msmarco-v2-passage-dev2", "dl21-passage", "dl22-passage", "dl23-passage"):
        assert systems.pop(name) == {"splade-pp-ed", "splade-pp-sd", "unicoil"}
    for name in OURS:
        assert systems.pop(name) == {"splade-minilm", "bm25"}
    assert len(systems) == 17 + 12
    assert all(
        name.startswith("beir-v1.0.0-") and each == {"splade-pp-ed", "splade-v3"} for name, each in systems.items()
    )


def test_dry_run_of_every_entry_has_the_recorded_counts_and_scales(tmp_path):
    done = CliRunner().invoke(app, ["reproduce", "--dry-run", "--json", "--dir", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    plans = {each["name"]: each for each in json.loads(done.stdout)}
    assert list(plans) == list(ENTRIES)
    parts: dict[str, tuple[int, int]] = {}
    for name, plan in plans.items():
        collection, system = ENTRIES[name].collection, ENTRIES[name].system.name
        if collection in OURS:
            continue
        documents, topics, judged = plan["documents"], plan["topics"], plan["judged"]
        if "cqadupstack" in collection:
            assert topics == judged
            parts[collection] = (documents, judged)
        elif name == "beir-v1.0.0-fever.splade-pp-ed":
            assert (documents, topics, judged) == (5_416_593, 6_666, 6_666)  # Anserini's are those of Climate-FEVER
        elif (collection, system) == ("dl20-passage", "splade-distil-cocodenser-medium"):
            assert (documents, topics, judged) == (8_841_823, 54, 54)  # this file has the judged queries only
        else:
            assert (documents, topics, judged) == COUNTS[collection], name
        scales = (BEIR_SCALES if collection.startswith("beir") and system not in PAPER else SCALES)[system]
        assert (plan["document_scale"], plan["query_scale"]) == scales, name
        assert plan["published"] == ENTRIES[name].system.published
        assert plan["todo"][0] == "fetch"
        assert {each["state"] for each in plan["files"]} <= {"to fetch", "available"}
    assert len(parts) == 12
    assert tuple(map(sum, zip(*parts.values(), strict=True))) == CQADUPSTACK
    assert list(tmp_path.iterdir()) == []  # a dry run writes nothing


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "cocodenser" not in name])
def test_figures_and_corpora_are_those_of_anserini(name):
    entry, system = PUBLISHED[name], PUBLISHED[name].system
    config = yaml.load(jar().read(f"{CONFIGS}/{system.source.rsplit('/', 1)[-1]}"), Loader=LOADER)
    topics = [each["path"] for each in config["topics"]]
    which = topics.index(system.topics.file)
    assert config["topics"][which]["qrel"] == entry.qrels.file
    model = config["models"][0]
    figures = {trec_eval_name(each["params"]): model["results"][each["metric"]][which] for each in config["metrics"]}
    assert system.published == figures
    statistics = config["index_stats"]
    assert (entry.documents, system.total_terms) == (statistics["documents"], statistics["total terms"])
    if "download_url" in config:
        assert (system.corpus.url, system.corpus.checksum) == (
            config["download_url"],
            f"md5:{config['download_checksum']}",
        )
    if system.corpus.folder:
        assert config["corpus_path"].rstrip("/").endswith(f"/{system.corpus.folder}")
    assert system.remove_query == ("-removeQuery" in model["params"])
    assert system.topics.encoded == ("-impact" in model["params"])
    assert system.anserini is not None
    assert system.anserini.search_options == model["params"]
    assert (system.anserini.index_options, system.anserini.topic_reader) == (
        config["index_options"],
        config["topic_reader"],
    )


def test_figures_of_cocodenser_are_those_of_anserini_0_24():
    found = {each.collection: dict(each.system.published) for each in ENTRIES.values() if "cocodenser" in each.name}
    assert found == COCODENSER


def test_figures_of_beir_are_those_of_pyserinis_matrix():
    """SPLADE++ ED with the same cached queries, rounded the same way."""
    matrix = yaml.load((pyserini() / "2cr" / "beir.yaml").read_text(encoding="utf-8"), Loader=LOADER)
    condition = next(each for each in matrix["conditions"] if each["name"] == "splade-pp-ed")
    if "splade-pp-ed --output" not in condition["command"]:
        pytest.skip("this Pyserini encodes these queries itself")
    assert len(condition["datasets"]) == 29
    for each in condition["datasets"]:
        published = ENTRIES[f"beir-v1.0.0-{each['dataset']}.splade-pp-ed"].system.published
        assert published == pytest.approx(each["scores"][0], abs=1e-9), each["dataset"]


def test_prebuilt_indexes_are_those_of_anserini_and_pyserini():
    known, seen = prebuilt_indexes(), 0
    for entry in PUBLISHED.values():
        if (prebuilt := entry.system.prebuilt) is not None:
            seen += 1
            assert (prebuilt.checksum.removeprefix("md5:"), prebuilt.size, prebuilt.url) == known[prebuilt.file]
            assert entry.system.name.replace("bm25-", "") in prebuilt.file
    assert seen == len(PUBLISHED) - 3 - 10  # cocodenser, and SPLADE++ on MS MARCO V2, have none


def test_every_file_has_a_checksum_and_an_address():
    for entry in PUBLISHED.values():
        for download in entry.downloads():
            assert download.checksum, (entry.name, download.file)
            assert download.url.endswith(f"/{download.file}"), (entry.name, download.file)
            assert download.estimated_size or download.file in (
                "topics.msmarco-passage.dev-subset.splade-pp-sd.tsv.gz", "qrels.beir-v1.0.0-robust04.test.txt",
                "qrels.dl22-passage.txt",
            )  # fmt: skip


def test_texts_are_those_that_ir_datasets_fetches():
    """MS MARCO's collection alone is not among its files: it fetches the archive that has queries too."""
    known = json.loads((package("ir_datasets") / "etc" / "downloads.json").read_text(encoding="utf-8"))["beir"]
    seen = set()
    for entry in ENTRIES.values():
        if entry.system.name in PAPER and entry.collection.startswith("beir"):
            name = entry.collection.removeprefix("beir-v1.0.0-").removesuffix("-v1")
            corpus, theirs = entry.system.corpus, known[name]
            assert (corpus.url, corpus.checksum) == (theirs["url"], f"md5:{theirs['expected_md5']}")
            assert corpus.download is not None
            assert corpus.download.estimated_size == pytest.approx(theirs["size_hint"], rel=0.005)
            seen.add(name)
    assert len(seen) == 13


def test_our_own_collections_are_those_of_the_shared_data(shared):
    """Compares the checksums only."""
    given = ["reproduce", "--dry-run", "--json", "--mirror", str(shared / "data")]
    done = CliRunner().invoke(app, [*given, "cacm.splade-minilm"])
    (plan,) = json.loads(done.stdout)
    assert [each["state"] for each in plan["files"]] == ["available"] * 3
    assert (plan["documents"], plan["topics"], plan["judged"]) == (3204, 52, 52)


def test_bm25_on_cacm_is_reproduced(shared, tmp_path):
    given = ["reproduce", "cacm.bm25", "--json", "--dir", str(tmp_path), "--mirror", str(shared / "data"), "--offline"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, (done.stdout, done.stderr)
    assert json.loads(done.stdout)["within_tolerance"]


@pytest.mark.slow
@pytest.mark.parametrize("system", ["bm25", "splade-minilm"])
def test_the_printed_commands_make_the_run_that_reproduce_makes(shared, tmp_path, system):
    """BM25 on all of CACM; the model, which takes minutes for that, on its first 20 documents."""
    catalogue = tmp_path / "catalogue"
    files = tmp_path / "files" / "cacm"
    shutil.copytree(shared / "data" / "cacm", files)
    entry = (CATALOGUE / "cacm.toml").read_text(encoding="utf-8").replace('name = "cacm"', 'name = "by-hand"')
    if system != "bm25":
        whole = (files / "corpus.jsonl").read_bytes()
        part = b"".join(whole.splitlines(keepends=True)[:20])
        (files / "corpus.jsonl").write_bytes(part)
        entry = entry.replace(hashlib.sha256(whole).hexdigest(), hashlib.sha256(part).hexdigest())
        entry = entry.replace(f"size = {len(whole)}", f"size = {len(part)}")
    catalogue.mkdir()
    (catalogue / "by-hand.toml").write_text(entry, encoding="utf-8")
    chosen = [f"by-hand.{system}", "--catalogue", str(catalogue)]
    given = ["reproduce", *chosen, "--dir", str(tmp_path / "a"), "--mirror", str(files.parent), "--offline"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == (0 if system == "bm25" else 1), (done.stdout, done.stderr)  # a part has other figures
    shown = CliRunner().invoke(app, ["reproduce", *chosen, "--show", "--json"])
    by_hand = tmp_path / "b"
    by_hand.mkdir()
    (by_hand / "downloads").symlink_to(files.parent)
    script = run_script("\n".join(json.loads(shown.stdout)["splade-lucene"]), by_hand)
    assert script.returncode == 0, script.stderr
    runs = [folder / "runs" / f"by-hand.{system}.trec" for folder in (tmp_path / "a", by_hand)]
    assert runs[0].read_bytes() == runs[1].read_bytes() != b""
    assert {each.name for each in (tmp_path / "a" / "indexes").iterdir()} == {
        each.name for each in (by_hand / "indexes").iterdir()
    }


@pytest.mark.parametrize(
    "name", ["beir-v1.0.0-nfcorpus.splade-v3", "dl19-passage.bm25-d2q-t5", "cacm.splade-minilm", "python-docs.bm25"]
)
def test_commands_are_shown_for_all_programs_that_read_the_files(name):
    done = CliRunner().invoke(app, ["reproduce", "--show", name])
    assert done.exit_code == 0, done.stderr
    for part in ("splade-lucene reproduce", "evaluate --qrels"):
        assert part in done.stdout
    for part in (
        "# Anserini",
        "# Pyserini",
        "io.anserini.index.IndexCollection",
        "pyserini.search.lucene",
        "pyserini.eval.trec_eval",
    ):
        assert (part in done.stdout) == (not name.startswith(OURS))


def test_commands_of_dl19_by_hand():
    entry = ENTRIES["dl19-passage.splade-pp-ed"]
    ours, anserini, pyserini_lines = our_commands(entry), anserini_commands(entry), pyserini_commands(entry)
    flat = [each.replace(" \\\n", " ") for each in (*ours, *anserini, *pyserini_lines)]
    flat = [" ".join(each.split()) for each in flat]
    assert (
        "splade-lucene index --input corpora/msmarco-passage-splade-pp-ed "
        "--index indexes/impact.msmarco-passage-splade-pp-ed --store none" in flat
    )
    assert any(each.endswith("--hits 1000 --tag dl19-passage.splade-pp-ed --encoded") for each in flat)
    assert (
        "bin/trec_eval -c -l 2 -M 1000 -m map tools/topics-and-qrels/qrels.dl19-passage.txt "
        "runs/run.dl19-passage.splade-pp-ed.txt" in flat
    )
    assert any("-topicReader TsvInt" in each and each.endswith("-impact -pretokenized") for each in flat)


def test_pyserinis_commands_stand_only_where_pyserini_reads_the_files():
    for name, entry in ENTRIES.items():
        assert bool(pyserini_commands(entry)) == (not name.startswith(OURS)), name


@pytest.mark.parametrize(
    ("name", "prebuilt", "least", "most"),
    [
        ("msmarco-v1-passage.splade-v3", False, 22e9, 23e9),  # the archive of 7.4 GB, unpacked, and an index
        ("beir-v1.0.0-nfcorpus.splade-v3", False, 54e9, 57e9),  # one folder out of an archive of 55 GB
        ("beir-v1.0.0-nfcorpus.splade-v3", True, 2e6, 6e6),
        ("cacm.splade-minilm", False, 5e6, 50e6),
    ],
)
def test_the_disk_that_a_run_takes(tmp_path, name, prebuilt, least, most):
    plan = make_plan(ENTRIES[name], tmp_path, Downloads(tmp_path / "downloads"), prebuilt=prebuilt)
    assert least < plan.disk_bytes < most
