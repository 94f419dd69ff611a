"""A small collection of our own, reproduced against a loopback server: broken, changed, killed, offline and wrong."""

from __future__ import annotations

import bz2
import fcntl
import gzip
import hashlib
import io
import json
import lzma
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commands import run_script
from support.downloads import Handler, serving, tar_of, zip_of
from support.processes import ROOT, child_environment
from support.progress import RecordedProgress
from typer.testing import CliRunner

from splade_lucene import LuceneImpactIndexReader, PseudoDocument, Run, SpladeEncoder, exhaustive_search
from splade_lucene.cli.app import app
from splade_lucene.corpus.reading import read_corpus
from splade_lucene.errors import CatalogueError, DownloadError
from splade_lucene.evaluation import evaluate
from splade_lucene.progress import NO_PROGRESS
from splade_lucene.quantizer import Quantizer
from splade_lucene.reproduction import archives, entries, fetching, find_entry, read_catalogue, reproduce
from splade_lucene.reproduction.checks import check_entry
from splade_lucene.reproduction.commands import our_commands
from splade_lucene.reproduction.downloads import Downloads, find_fault
from splade_lucene.reproduction.entries import Download
from splade_lucene.reproduction.reading import read_collection
from splade_lucene.reproduction.running import _Running
from splade_lucene.reproduction.steps import Steps
from splade_lucene.reproduction.unpacking import unpack
from splade_lucene.topics.reading import read_topics

NAMES = ("animals.tar", "topics.tsv.gz", "qrels.txt", "texts.jsonl", "topics.txt.tsv")


# ---- the collection, and what serves it ----


def impacts(number: int) -> dict[str, int]:
    """By hand: cats rank d9, d8 … d0; five dogs tie; d31 is a fish, and so is d30, more so."""
    if number < 10:
        return {"cat": number + 1}
    if 20 <= number < 25:
        return {"dog": 5}
    return {30: {"fish": 9}, 31: {"fish": 5}}.get(number, {"other": 1})


def collection() -> dict[str, bytes]:
    lines = [json.dumps({"id": f"d{i}", "contents": "x" * 2000, "vector": impacts(i)}) + "\n" for i in range(40)]
    texts = [json.dumps({"id": f"d{i}", "contents": " ".join(impacts(i))}) + "\n" for i in range(40)]
    return {
        "animals.tar": tar_of(
            {
                "all/cats/part.jsonl": b'{"id": "no", "contents": "", "vector": {"cat": 99}}\n',
                "all/animals/one.jsonl": "".join(lines[:25]).encode(),
                "all/animals/two.jsonl.gz": gzip.compress("".join(lines[25:]).encode(), mtime=0),
            }
        ),
        "topics.tsv.gz": gzip.compress(b"q1\tcat cat\nq2\tdog\nd30\tfish\nq4\tother\n", mtime=0),
        "qrels.txt": b"q1 0 d8 1\nq2 0 d23 1\nd30 0 d31 1\n",
        "texts.jsonl": "".join(texts).encode(),
        "topics.txt.tsv": b"q1\tcat\nq2\tdog\nd30\tfish\nq4\tother\n",
    }


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as found:
        yield found


@pytest.fixture
def served(address, monkeypatch) -> str:
    """Resets the server's state, and disables waiting between tries."""
    Handler.reset(collection())
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setenv("SPLADE_LUCENE_COLLECTIONS", "")
    return address


def facts(address: str, name: str) -> str:
    data = collection()[name]
    kinds = {
        "animals.tar": f"md5:{hashlib.md5(data).hexdigest()}",
        "topics.tsv.gz": f"git-blob:{hashlib.sha1(b'blob %d' % len(data) + bytes(1) + data).hexdigest()}",
    }
    checksum = kinds.get(name, f"sha256:{hashlib.sha256(data).hexdigest()}")
    return f'file = "{name}"\nurl = "{address}/{name}"\nchecksum = "{checksum}"\nsize = {len(data)}\n'


def system(address: str, name: str, figure: float, extra: str = "") -> str:
    return f"""
[[systems]]
name = "{name}"
title = "By hand"
method = "impacts"
source = "this test"
tolerance = 0.0001
total_terms = 117
query_scale = 1.0
quantization = "none"
{extra}
[systems.topics]
{facts(address, "topics.tsv.gz")}count = 4
encoded = true
[systems.corpus]
name = "animals"
folder = "animals"
{facts(address, "animals.tar")}
[systems.published]
"RR@10" = {figure}
"R@100" = 1.0
"""


@pytest.fixture
def catalogue(served, tmp_path) -> Path:
    """Four systems: as Anserini's run is judged, the same with a wrong figure, our own order, and BM25."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    bm25 = f"""
[[systems]]
name = "bm25"
title = "BM25"
method = "bm25"
source = "this test"
tolerance = 0.0001
[systems.topics]
{facts(served, "topics.txt.tsv")}count = 4
[systems.corpus]
name = "animal-texts"
{facts(served, "texts.jsonl")}
[systems.published]
"R@100" = 1.0
"""
    (folder / "animals.toml").write_text(
        f'name = "animals"\ntitle = "Forty animals"\ndocuments = 40\njudged = 3\n[qrels]\n{facts(served, "qrels.txt")}'
        + system(served, "right", 0.6667, 'ties = "descending"\nremove_query = true')
        + system(served, "wrong", 0.9, 'ties = "descending"\nremove_query = true')
        + system(served, "ours", 0.4167)
        + bm25
    )
    return folder


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["reproduce", *map(str, arguments)])


def figures(done) -> dict[str, tuple[float, float, bool]]:
    found = json.loads(done.stdout)
    return {each["name"]: (each["published"], each["obtained"], each["within_tolerance"]) for each in found["figures"]}


# ---- from nothing to figures ----


def test_from_the_network_to_figures_and_again_from_what_is_there(catalogue, tmp_path):
    Handler.breaks["animals.tar"] = [30_000, 20_000]
    options = ["--catalogue", catalogue, "--dir", tmp_path / "work", "--threads", "1"]
    done = invoke("animals.right", *options, "--json")
    assert done.exit_code == 0, done.stderr
    # d8 and d23 stand second (ties by docid descending), d31 first without the query itself: (1/2 + 1/2 + 1) / 3
    assert figures(done) == {
        "documents": (40, 40, True), "total terms": (117, 117, True), "topics": (4, 4, True), "judged": (3, 3, True),
        "RR@10": (0.6667, pytest.approx(2 / 3), True), "R@100": (1.0, 1.0, True),
    }  # fmt: skip
    assert [wanted for name, wanted in Handler.asked if name == "animals.tar"] == [None, "bytes=30000-", "bytes=50000-"]
    with LuceneImpactIndexReader(tmp_path / "work/indexes/impact.animals") as reader:
        assert reader.statistics()["total_impact"] == 10 * 11 // 2 + 5 * 5 + 9 + 5 + 23
    assert not list((tmp_path / "work").rglob("*.partial*"))

    plan = json.loads(invoke("animals.right", "--dry-run", "--json", *options[:4]).stdout)[0]
    assert (plan["finished"], plan["todo"]) == (["unpack", "index", "search"], ["evaluate"])
    (tmp_path / "work/records/index.impact.animals.json").rename(
        tmp_path / "kept"
    )  # as if it was killed before the end
    plan = json.loads(invoke("animals.right", "--dry-run", "--json", *options[:4]).stdout)[0]
    assert (plan["finished"], plan["todo"]) == (["unpack", "search"], ["index", "evaluate"])
    (tmp_path / "kept").rename(tmp_path / "work/records/index.impact.animals.json")

    Handler.asked.clear()
    for name, figure, code, mark in (("right", 2 / 3, 0, "✓"), ("wrong", 2 / 3, 1, "✗"), ("ours", 5 / 12, 0, "✓")):
        done = invoke(f"animals.{name}", *options)
        line = next(line for line in done.stdout.splitlines() if line.startswith("RR@10"))
        assert (done.exit_code, line.split()[2:]) == (code, [f"{figure:.4f}", mark]), done.stderr
        assert "index.impact.animals: finished before" in done.stderr
    assert ("a figure is outside its tolerance" in done.stderr) is False
    assert Handler.asked == []  # all three from what was fetched, unpacked and indexed once

    again = reproduce(find_entry("animals.right", read_catalogue([catalogue])), tmp_path / "work")  # from Python
    assert (again.is_within_tolerance, again.run) == (True, tmp_path / "work/runs/animals.right.trec")

    done = invoke("animals.bm25", *options)
    assert (done.exit_code, "R@100" in done.stdout) == (0, True), done.stderr


def test_a_run_that_is_stopped_goes_on_with_what_is_missing(catalogue, tmp_path, monkeypatch):
    options = ["--catalogue", catalogue, "--dir", tmp_path / "work"]
    whole, stop = _Running._search, iter([KeyboardInterrupt])

    def search(self, topics):
        if (error := next(stop, None)) is not None:
            raise error
        whole(self, topics)

    monkeypatch.setattr(_Running, "_search", search)
    done = invoke("animals.right", *options)
    assert (done.exit_code, done.stdout) == (130, "")
    done = invoke("animals.right", *options)
    assert (done.exit_code, "search.animals.right: /" in done.stderr) == (0, True), done.stderr
    assert "index.impact.animals: finished before" in done.stderr
    done = invoke("animals.right", *options)
    assert "search.animals.right: finished before" in done.stderr
    (tmp_path / "work/runs/animals.right.trec").write_text("q1 Q0 d1 1 1 x\n")  # not what the step left
    done = invoke("animals.right", *options)
    assert (done.exit_code, "search.animals.right: /" in done.stderr) == (0, True)


def test_a_killed_download_is_gone_on_with(catalogue, tmp_path):
    whole = len(Handler.files["animals.tar"])
    Handler.stalls.add("animals.tar")
    Handler.breaks["animals.tar"] = [30_000]
    command = [sys.executable, "-m", "splade_lucene", "reproduce", "animals.right", "--download-only",
               "--catalogue", catalogue, "--dir", tmp_path / "work"]  # fmt: skip
    child = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=child_environment(), stderr=subprocess.PIPE)
    partial = tmp_path / "work/downloads/animals.tar.partial"
    deadline = time.monotonic() + 120
    real_sleep = threading.Event()
    while not (partial.exists() and partial.stat().st_size):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()[1]
        real_sleep.wait(0.05)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    left = partial.stat().st_size
    assert 0 < left < whole
    Handler.stalls.clear()
    Handler.asked.clear()
    plan = json.loads(invoke("animals.right", "--dry-run", "--json", *command[-4:]).stdout)[0]
    assert [each["state"] for each in plan["files"]] == ["partly fetched", "to fetch", "to fetch"]
    assert invoke("animals.right", "--download-only", *command[-4:]).exit_code == 0
    assert Handler.asked[0] == ("animals.tar", f"bytes={left}-")
    assert (tmp_path / "work/downloads/animals.tar").read_bytes() == Handler.files["animals.tar"]


def test_two_processes_do_not_share_a_folder_at_once(catalogue, tmp_path):
    with Steps(tmp_path / "work").sole_user():
        done = invoke("animals.right", "--catalogue", catalogue, "--dir", tmp_path / "work")
        partial = tmp_path / "qrels.txt.partial"
        with partial.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with NO_PROGRESS.step("", None, "bytes") as advance:
                with pytest.raises(DownloadError, match="another process is downloading this file"):
                    fetching.fetch_file("http://127.0.0.1:1/", partial, 0, advance)
    assert (done.exit_code, "another process is using this folder" in done.stderr, Handler.asked) == (1, True, [])


def test_work_goes_where_the_environment_says(catalogue, tmp_path, monkeypatch):
    monkeypatch.setenv("SPLADE_LUCENE_CACHE", str(tmp_path / "cache"))
    done = invoke("animals.right", "--dry-run", "--catalogue", catalogue)
    assert done.stdout.splitlines()[0].endswith(f"in {tmp_path}/cache/reproduce")
    for part in ("to fetch", "finished        nothing", "to do           fetch, unpack, index, search, evaluate"):
        assert part in done.stdout


# ---- what is wrong ----


def test_a_changed_file_is_not_kept(catalogue, tmp_path):
    Handler.files["qrels.txt"] = Handler.files["qrels.txt"].replace(b"d8", b"d9")
    done = invoke("animals.right", "--catalogue", catalogue, "--dir", tmp_path / "work", "--download-only")
    assert done.exit_code == 1
    assert "the sha256 checksum is" in done.stderr
    assert not list((tmp_path / "work").rglob("qrels.txt*"))


def test_a_file_that_changed_between_two_tries_is_fetched_anew(served, tmp_path):
    old, new = b"a" * 50_000, b"b" * 60_000
    Handler.files["f"], Handler.breaks["f"] = old, [20_000]
    download = Download("f", f"{served}/f", f"sha256:{hashlib.sha256(new).hexdigest()}")
    partial = tmp_path / "f.partial"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "TRIES", 1)
        Handler.breaks["f"] = [20_000, 0]
        with pytest.raises(DownloadError, match="was closed early"):
            Downloads(tmp_path).fetch(download)
    assert partial.stat().st_size == 20_000
    Handler.files["f"] = new
    assert Downloads(tmp_path).fetch(download).read_bytes() == new
    assert Handler.asked[-1] == ("f", "bytes=20000-")


def test_the_progress_of_a_download_counts_each_byte_once(served, tmp_path):
    """First whole; then the rest of it; then, as the file has changed, all of it again."""
    Handler.files["f"] = bytes(50_000)
    download = Download("f", f"{served}/f", size=50_000)
    for there, counts in ((0, [50_000]), (20_000, [20_000, 30_000]), (20_000, [20_000, -20_000, 50_000])):
        (tmp_path / "f").unlink(missing_ok=True)
        (tmp_path / "f.partial").write_bytes(bytes(there))
        if len(counts) > 2:
            (tmp_path / "f.partial.etag").write_text('"of another file"')
        progress = RecordedProgress()
        Downloads(tmp_path, progress=progress).fetch(download)
        assert progress.steps == [("f", 50_000, "bytes")]
        resumed = [count for count, _, resumed in progress.reports if resumed]
        fresh = sum(count for count, _, resumed in progress.reports if not resumed)
        assert [*resumed, fresh] == counts


def test_a_server_without_ranges_and_a_partial_file_that_is_whole(served, tmp_path):
    data = b"c" * 5_000
    Handler.files["f"] = data
    (tmp_path / "f.partial").write_bytes(data)
    download = Download("f", f"{served}/f", f"md5:{hashlib.md5(data).hexdigest()}")
    assert Downloads(tmp_path).fetch(download).read_bytes() == data  # 416: nothing is missing
    (tmp_path / "f").unlink()
    (tmp_path / "f.partial").write_bytes(b"of something else that is longer" * 1_000)
    with pytest.raises(DownloadError, match="the md5 checksum"):
        Downloads(tmp_path).fetch(download)
    assert not (tmp_path / "f.partial").exists()
    assert Downloads(tmp_path).fetch(download).read_bytes() == data


@pytest.mark.parametrize(("url", "reason"), [("/none", "returned 404"), ("", "no download address is known")])
def test_what_cannot_be_had_says_what_to_put_where(served, tmp_path, url, reason):
    download = Download("a/f.tar", f"{served}{url}" if url else "", "md5:" + "0" * 32, published_size="7.4 GB")
    with pytest.raises(DownloadError) as caught:
        Downloads(tmp_path).fetch(download)
    for part in (reason, str(tmp_path / "a/f.tar"), "mirror=…", "md5:000", "7.4 GB"):
        assert part in str(caught.value)


def test_no_network_and_a_damaged_mirror(catalogue, tmp_path):
    work = ["--catalogue", catalogue, "--dir", tmp_path / "work"]
    done = invoke("animals.right", *work, "--offline")
    assert (done.exit_code, "the network is disabled by --offline" in done.stderr, Handler.asked) == (1, True, [])
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/topics.tsv.gz").write_bytes(b"something else")
    done = invoke("animals.right", *work, "--offline", "--mirror", tmp_path / "mirror")
    assert (done.exit_code, "bytes, expected" in done.stderr) == (1, True)
    assert (tmp_path / "mirror/topics.tsv.gz").read_bytes() == b"something else"
    assert invoke("animals.right", *work, "--mirror", tmp_path / "nowhere").exit_code == 2


# ---- without a network ----


@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
def test_mirrors_and_offline_archives(catalogue, tmp_path, form):
    files = {name: data for name, data in Handler.files.items() if name in NAMES}
    mirror = tmp_path / {"folder": "mirror", "tar": "mirror.tar", "zip": "mirror.zip"}[form]
    if form == "folder":
        mirror.mkdir()
        for name, data in files.items():
            (mirror / name).write_bytes(data)
    elif form == "tar":
        mirror.write_bytes(tar_of({f"files/{name}": data for name, data in files.items()}))
    else:
        with zipfile.ZipFile(mirror, "w") as zipped:
            for name, data in files.items():
                zipped.writestr(f"files/{name}", data)
    given = ["animals.right", "--catalogue", catalogue, "--dir", tmp_path / "work", "--offline", "--mirror", mirror]
    plan = json.loads(invoke(*given, "--dry-run", "--json").stdout)[0]
    assert {each["state"] for each in plan["files"]} == {"available" if form == "folder" else "in the archive"}
    assert plan["bytes_to_fetch"] == 0
    done = invoke(*given, "--download-only", "--json")
    assert done.exit_code == 0, done.stderr
    assert [Path(each).read_bytes() for each in json.loads(done.stdout)] == [files[name] for name in NAMES[:3]]
    assert Handler.asked == []


def test_what_is_fetched_serves_as_a_mirror(catalogue, tmp_path):
    first = ["animals.right", "--catalogue", catalogue, "--dir", tmp_path / "first", "--download-only"]
    assert invoke(*first).exit_code == 0
    Handler.asked.clear()
    given = ["--dir", tmp_path / "second", "--mirror", tmp_path / "first/downloads", "--offline"]
    assert invoke(*first[:3], "--download-only", *given).exit_code == 0
    assert Handler.asked == []


# ---- a model of one's own, and a published index ----


def test_texts_through_a_model_equal_the_oracle(catalogue, served, tmp_path):
    from support.checkpoints import tiny_checkpoint

    (tmp_path / "model").mkdir()
    tiny_checkpoint(tmp_path / "model", "bert")
    encoder, rule = SpladeEncoder(tmp_path / "model", dtype="float32", device="cpu"), Quantizer.named("naver")
    (tmp_path / "texts.jsonl").write_bytes(Handler.files["texts.jsonl"])
    (tmp_path / "topics.tsv").write_bytes(Handler.files["topics.txt.tsv"])
    texts, queries = list(read_corpus(tmp_path / "texts.jsonl")), read_topics(tmp_path / "topics.tsv")
    documents = encoder.encode_documents([each.text for each in texts]).quantize(rule, "document")
    vectors = encoder.encode_queries([each.text for each in queries]).quantize(rule, "query")
    pairs = zip(texts, documents, strict=True)
    pseudo = [PseudoDocument(each.docid, "", vector) for each, vector in pairs if vector]
    ranked = {q.qid: exhaustive_search(pseudo, vector, 1000) for q, vector in zip(queries, vectors, strict=True)}
    qrels = {"q1": {"d8": 1}, "q2": {"d23": 1}, "d30": {"d31": 1}}
    expected = evaluate(qrels, Run(ranked), ["nDCG@10"])["nDCG@10"]
    (catalogue / "mine.toml").write_text(f"""
name = "mine"
title = "Mine"
documents = {len(pseudo)}
judged = 3
[qrels]
{facts(served, "qrels.txt")}
[[systems]]
name = "tiny"
title = "A tiny model"
method = "encode"
source = "the oracle"
tolerance = 0.0001
model = "{tmp_path / "model"}"
quantizer = "naver"
document_scale = 100.0
query_scale = 100.0
[systems.topics]
{facts(served, "topics.txt.tsv")}count = 4
[systems.corpus]
name = "animal-texts"
{facts(served, "texts.jsonl")}
[systems.published]
"nDCG@10" = {expected:.4f}
""")
    options = ["--catalogue", catalogue, "--dir", tmp_path / "work", "--json"]
    done = invoke("mine.tiny", *options)
    assert done.exit_code == 0, done.stderr
    assert figures(done)["nDCG@10"][1] == pytest.approx(expected, abs=1e-9)
    assert "finished before" in invoke("mine.tiny", *options).stderr


def test_a_published_index_in_place_of_ones_own(catalogue, served, tmp_path):
    assert invoke("animals.right", "--catalogue", catalogue, "--dir", tmp_path / "work").exit_code == 0
    index = tmp_path / "work/indexes/impact.animals"
    data = tar_of({f"made/{each.name}": each.read_bytes() for each in index.iterdir() if each.is_file()})
    Handler.files["index.tar.gz"] = gzip.compress(data, mtime=0)
    size, checksum = len(Handler.files["index.tar.gz"]), hashlib.md5(Handler.files["index.tar.gz"]).hexdigest()
    text = (catalogue / "animals.toml").read_text()
    prebuilt = (f'[systems.prebuilt]\nfile = "index.tar.gz"\nurl = "{served}/index.tar.gz"\n'
                f'checksum = "md5:{checksum}"\nsize = {size}\n[systems.published]')  # fmt: skip
    (catalogue / "animals.toml").write_text(text.replace("[systems.published]", prebuilt, 1))
    Handler.asked.clear()
    done = invoke("animals.right", "--catalogue", catalogue, "--dir", tmp_path / "other", "--prebuilt", "--json")
    assert done.exit_code == 0, done.stderr
    assert figures(done)["RR@10"][1] == pytest.approx(2 / 3)
    assert {name for name, _ in Handler.asked} == {"index.tar.gz", "topics.tsv.gz", "qrels.txt"}
    refused = invoke("animals.wrong", "--catalogue", catalogue, "--dir", tmp_path / "other", "--prebuilt")
    assert (refused.exit_code, "animals.wrong: no index is published for this entry" in refused.stderr) == (1, True)


# ---- the catalogue's own faults ----


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("judged = 3", "judgd = 3", "unknown key judgd. Did you mean judged?"),
        ("judged = 3", 'judged = "3"', "invalid value '3' for judged. Write a value of type int"),
        ("judged = 3\n", "", "the key judged is missing"),
        ("judged = 3", "judged = 5", "5 queries are judged, but there are only 4"),
        (
            'method = "impacts"',
            'method = "magic"',
            "invalid value 'magic' for systems[0].method. Choose one of: impacts, encode, bm25",
        ),
        ("md5:", "md4:", "is not a valid checksum (md5, sha256, git-blob)"),
        ('file = "animals.tar"', 'file = "../animals.tar"', "is not a relative path"),
        ("encoded = true", "", "method impacts needs encoded topics"),
        ('"RR@10" = 0.6667', '"RRR@10" = 0.6667', "unknown measure 'RRR@10'"),
        ('"RR@10" = 0.6667', '"RR@10" = 66.67', "is 66.67, expected a value between 0 and 1"),
        ('name = "wrong"', 'name = "right"', "duplicate entry animals.right, also defined in animals.toml"),
        ('title = "Forty animals"', "title = Forty", "invalid TOML"),
        ('source = "this test"', "source = 7", "invalid value 7 for systems[0].source"),
        ("query_scale = 1.0", "query_scale = -1.0", "query_scale is -1.0, expected a value above 0"),
    ],
)
def test_faults_of_an_entry_name_file_and_key(catalogue, old, new, reason):
    file = catalogue / "animals.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(CatalogueError) as caught:
        check_entry(find_entry("animals.right", read_catalogue([catalogue])))
    assert reason in str(caught.value)
    assert str(file) in str(caught.value)


def test_the_form_that_is_documented_can_be_read(tmp_path):
    text = textwrap.dedent(entries.__doc__.split(".. code-block:: toml")[1])
    (tmp_path / "form.toml").write_text(text)
    (entry,) = read_collection(tmp_path / "form.toml")
    assert (entry.name, entry.judged, entry.system.published) == ("animals.splade-v3", 3, {"RR@10": 0.3999})
    assert [each.file for each in entry.downloads()] == ["animals.tar", "topics.tsv.gz", "qrels.txt"]


def test_names_that_are_nearly_right():
    catalogue = read_catalogue()
    for given, meant in (
        ("cacm", "cacm.bm25, cacm.splade-minilm"),
        ("dl19-passage.splade-v4", "dl19-passage.splade-v3"),
    ):
        with pytest.raises(CatalogueError, match=meant):
            find_entry(given, catalogue)


# ---- archives and servers that do not keep their word ----

TEN = b"0123456789"


def zip_with_header(field: int, value: bytes) -> bytes:
    """A zip of one file, with some bytes of both its headers (local and central) overwritten."""
    data = bytearray(zip_of({"f": TEN}, zipfile.ZIP_STORED))
    for signature, shift in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
        at = data.index(signature) + field + shift
        data[at : at + len(value)] = value
    return bytes(data)


def zip_with_wrong_crc() -> bytes:
    return zip_of({"a": b"b", "f": TEN}, zipfile.ZIP_STORED).replace(TEN, TEN[::-1])


def zip_with_a_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("f")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/hostname")
    return buffer.getvalue()


def tar_with(kind: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("f")
        member.type, member.linkname = kind, "/etc/hostname"
        tar.addfile(member)
    return buffer.getvalue()


def tree(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


BROKEN = {
    "crc.zip": (zip_with_wrong_crc, "Bad CRC-32"),
    "encrypted.zip": (lambda: zip_with_header(6, b"\1"), "is encrypted"),
    "method.zip": (lambda: zip_with_header(8, b"\x63"), "compression"),
    "link.zip": (zip_with_a_link, "is a link or a device"),
    "symlink.tar": (lambda: tar_with(tarfile.SYMTYPE), "is a link or a device"),
    "hardlink.tar": (lambda: tar_with(tarfile.LNKTYPE), "is a link or a device"),
    "fifo.tar": (lambda: tar_with(tarfile.FIFOTYPE), "is a link or a device"),
    "cut.zip": (lambda: zip_of({"f": TEN})[:-30], "not a zip file"),
    "cut.tar": (lambda: tar_of({"f": TEN * 500})[:2_000], "unexpected end of data"),
    "cut.tar.gz": (lambda: gzip.compress(tar_of({"f": TEN * 1000}))[:-30], "cannot be unpacked"),
    "cut.tar.bz2": (lambda: bz2.compress(tar_of({"f": TEN}))[:-30], "cannot be unpacked"),
    "flipped.tar.bz2": (lambda: bz2.compress(tar_of({"f": TEN})).replace(b"1AY&SY", b"1AY&SZ"), "cannot be unpacked"),
    "cut.tar.xz": (lambda: lzma.compress(tar_of({"f": TEN}))[:-30], "cannot be unpacked"),
    "text.zip": (lambda: b"not an archive", "not a zip file"),
    "empty.zip": (lambda: b"", "not a zip file"),
    "unknown.rar": (lambda: b"Rar!\x1a\7\0" + bytes(100), "cannot be unpacked"),
}  # fmt: skip
LIARS = {
    "bomb.zip": (
        lambda: zip_of({"f": bytes(300_000_000)}),
        "at most 10 bytes were expected, but the file has 300,000,000",
    ),
    "bomb.tar.gz": (lambda: gzip.compress(tar_of({"f": bytes(300_000_000)}), 1), "but the file has 300,000,000"),
    "short.zip": (lambda: zip_of({"f": TEN[:3]}), "the size is 3 bytes, expected 10"),
    "other.zip": (lambda: zip_of({"f": TEN[::-1]}), "the sha256 checksum is"),
}
UNSAFE = {
    "outside.tar": (lambda: tar_of({"../outside": b"x"}), "is outside the target folder"),
    "outside.zip": (lambda: zip_of({"a/../../outside": b"x"}), "is outside the target folder"),
    "twice.tar": (lambda: tar_of({"a": b"x", "/a": b"y"}), "'/a' cannot be written: File exists"),
    "folder.zip": (lambda: zip_of({"a": b"x", "a/b": b"y"}), "'a/b' cannot be written"),
    "long.tar": (lambda: tar_of({"n" * 300: b"x"}), "cannot be written: File name too long"),
    "bomb.tar.gz": (lambda: gzip.compress(tar_of({"a": bytes(80_000_000)}), 1), "at most 67,108,864 bytes"),
    "bomb.zip": (lambda: zip_of({str(i): bytes(1_000_000) for i in range(70)}), "at most 67,108,864 bytes"),
    "none.zip": (lambda: zip_of({}), "the archive has no files"),
}


@pytest.mark.parametrize("name", [*BROKEN, *LIARS])
def test_a_mirror_that_lies_leaves_nothing(tmp_path, name):
    made, reason = {**BROKEN, **LIARS}[name]
    (tmp_path / name).write_bytes(made())
    download = Download("f", "", f"sha256:{hashlib.sha256(TEN).hexdigest()}", len(TEN))
    with pytest.raises(DownloadError, match=reason):
        Downloads(tmp_path / "work", tmp_path / name).fetch(download)
    assert tree(tmp_path) == [name]


@pytest.mark.parametrize("name", [*BROKEN, *UNSAFE])
def test_unpacking_stays_inside_and_leaves_nothing(tmp_path, name):
    made, reason = {**BROKEN, **UNSAFE}[name]
    (tmp_path / name).write_bytes(made())
    with pytest.raises(DownloadError, match=reason):
        unpack(tmp_path / name, tmp_path / "in")
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_an_archive_damaged_anywhere_is_refused_or_right(tmp_path, form):
    """One bit changed or the end cut off, at 60 places: the files are those that were packed, or there are none.

    A tar file has no checksum of its contents; the entry has one of the whole file.
    """
    files = {"a/one": TEN * 200, "a/two": random.Random(1).randbytes(700)}
    packers: dict[str, Callable[[bytes], bytes]] = {
        "tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress,
    }  # fmt: skip
    data = zip_of(files) if form == "zip" else packers[form](tar_of(files))
    draw, path, target = random.Random(form), tmp_path / f"x.{form}", tmp_path / "in"
    refused = 0
    for number in range(60):
        at = draw.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        path.write_bytes(flipped if number % 3 else data[:at])
        try:
            unpack(path, target)
        except DownloadError:
            refused += 1
            assert [each.name for each in tmp_path.iterdir()] == [path.name]
        else:
            found = {each.read_bytes() for each in target.rglob("*") if each.is_file()}
            assert form == "tar" or found <= set(files.values())
            shutil.rmtree(target)
    assert refused > 10


def test_no_byte_is_written_beyond_the_published_size(tmp_path):
    """As for a format whose reader continues after the size in the header."""
    with pytest.raises(
        DownloadError, match="m.zip, f: at most 10 bytes were expected, but the file does not end there"
    ):
        archives.write_file(iter([TEN[:6], TEN[6:], TEN]), tmp_path / "f", 10, "m.zip, f")
    assert (tmp_path / "f").read_bytes() == TEN


@pytest.mark.parametrize("length", ["3000000", None], ids=["with its length", "without a length"])
def test_a_server_that_sends_more_than_was_published_is_not_listened_to(served, tmp_path, length):
    Handler.files["f"], Handler.lengths["f"] = bytes(3_000_000), length
    for download, limit in (
        (Download("f", f"{served}/f", size=10), "10"),
        (Download("f", f"{served}/f", published_size="1 MB"), "1,100,000"),  # rounded, so a tenth more is allowed
    ):
        with pytest.raises(DownloadError, match=f"at most {limit} bytes were expected"):
            Downloads(tmp_path).fetch(download)
        assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("length", "outcome"),
    [("4", "the size is 4 bytes, expected 10"), ("11", "at most 10 bytes"), ("-1", ""), ("ten", ""), ("", "")],
)
def test_a_length_that_is_wrong(served, tmp_path, length, outcome):
    Handler.files["f"], Handler.lengths["f"] = TEN, length
    download = Download("f", f"{served}/f", f"sha256:{hashlib.sha256(TEN).hexdigest()}", 10)
    if outcome:
        with pytest.raises(DownloadError, match=outcome):
            Downloads(tmp_path).fetch(download)
        assert tree(tmp_path) == []
    else:
        assert Downloads(tmp_path).fetch(download).read_bytes() == TEN


@pytest.mark.parametrize("address", ["127.0.0.1:1/f", "127.0.0.1:1/ö", "127.0.0.1:1/a b", "[::1/f", "127.0.0.1:x/f"])
def test_an_address_that_cannot_be_asked(tmp_path, address):
    with pytest.raises(DownloadError, match="is not available locally"):
        Downloads(tmp_path).fetch(Download("f", f"http://{address}"))


def test_git_blob_checksum_is_gits(tmp_path):
    (tmp_path / "f").write_bytes(b"hello\n")  # git hash-object says ce013625…
    assert find_fault(tmp_path / "f", Download("f", checksum="git-blob:ce013625030ba8dba906f756967f9e9ca394464a")) == ""


# ---- by hand ----


def test_the_commands_that_are_shown_give_the_same_run(catalogue, tmp_path):
    """For our own order of ties. Fetching, which the commands do with curl, is not repeated here."""
    entry = find_entry("animals.ours", read_catalogue([catalogue]))
    commands = [line for line in our_commands(entry) if not line.startswith("curl ")]
    (tmp_path / "downloads").mkdir()
    for name in NAMES[:3]:
        (tmp_path / "downloads" / name).write_bytes(Handler.files[name])
    done = run_script("\n".join(commands), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "0.4167" in done.stdout
    assert invoke("animals.ours", "--catalogue", catalogue, "--dir", tmp_path / "work").exit_code == 0
    by_hand, at_once = (Run.read(folder / "runs/animals.ours.trec") for folder in (tmp_path, tmp_path / "work"))
    assert dict(by_hand) == dict(at_once)
    shutil.rmtree(tmp_path / "work")


def test_lists_for_people_and_machines(catalogue):
    lines = invoke("--list", "--catalogue", catalogue).stdout.splitlines()
    rows = json.loads(invoke("--list", "--catalogue", catalogue, "--json").stdout)
    assert [line.split()[0] for line in lines[1:]] == [row["name"] for row in rows] == [*read_catalogue([catalogue])]
    assert next(line.split()[1:] for line in lines if line.startswith("animals.right")) == [
        "40",
        "3",
        "RR@10",
        "0.6667",
    ]
    plans = invoke("--dry-run", "--catalogue", catalogue)
    assert len(plans.stdout.splitlines()) == len(rows)
    assert f"{len(rows)} entries fit together" in plans.stderr


def test_wrong_usage():
    for wrong in ([], ["--list", "--show"], ["--list", "cacm.bm25"], ["--dry-run", "--show", "cacm.bm25"]):
        assert invoke(*wrong).exit_code == 2, wrong
    assert invoke("no-such-entry").exit_code == 1
