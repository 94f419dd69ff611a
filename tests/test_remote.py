"""Pseudo-documents in an object store are those of a folder, also after interruptions, and only one process writes them."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from support.commands import check_failed, run, run_well
from support.files import files
from support.kills import RULE, write_corpus
from support.object_store import FOLDER, objects, register_objects

from splade_lucene import LuceneImpactSearcher, SpladeEncoder, build_index, encode_corpus, index_pseudo_documents
from splade_lucene.errors import InputError, PseudoDocumentError, StorageError
from splade_lucene.files import remote_locks
from splade_lucene.files.remote import RemoteFolder, to_folder
from splade_lucene.files.remote_locks import RemoteLock
from splade_lucene.pseudo_documents import parts
from splade_lucene.pseudo_documents.journal import Shard
from splade_lucene.pseudo_documents.remote_journal import RemoteJournal

pytestmark = pytest.mark.usefixtures("one_thread")

URL = "objects://bucket/a folder/out"
STORE = RemoteFolder(URL)
BELOW = "a folder/out"


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    (tmp_path / "objects").mkdir()
    monkeypatch.setenv(FOLDER, str(tmp_path / "objects"))
    register_objects()
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 10)
    for name, seconds in (("_RENEWAL", 0.1), ("_PATIENCE", 0.5), ("_POLL", 0.05), ("_SETTLING", 0.05)):
        monkeypatch.setattr(remote_locks, name, seconds)


@pytest.fixture
def corpus(tmp_path) -> Path:
    return write_corpus(tmp_path / "corpus.tsv", 45)


@pytest.fixture
def expected(corpus, tiny_encoder, tmp_path) -> dict[str, bytes]:
    encode_corpus(corpus, tmp_path / "alone", tiny_encoder, RULE)
    return files(tmp_path / "alone")


def contents() -> dict[str, bytes]:
    return {name: file.read_bytes() for name, file in objects(BELOW).items()}


def interrupted(
    corpus: Path, encoder: SpladeEncoder, monkeypatch: pytest.MonkeyPatch, after: int, **options: Any
) -> None:
    """Encodes until some parts are recorded."""
    with monkeypatch.context() as patch:
        add = RemoteJournal.add

        def stop(journal: RemoteJournal, part: Any) -> None:
            if len(journal.parts) == after:
                raise StorageError("the machine is gone")
            add(journal, part)

        patch.setattr(RemoteJournal, "add", stop)
        with pytest.raises(StorageError, match="the machine is gone"):
            encode_corpus(corpus, URL, encoder, RULE, **options)


# ---- encoding ----


def test_a_store_gets_what_a_folder_gets(corpus, tiny_encoder, expected):
    manifest = encode_corpus(corpus, URL, tiny_encoder, RULE)
    assert contents() == expected
    assert [part.size for part in manifest.parts] == [len(expected[part.name]) for part in manifest.parts]
    before = {name: file.stat().st_mtime_ns for name, file in objects(BELOW).items()}
    assert encode_corpus(corpus, URL, tiny_encoder, RULE) == manifest
    assert {name: file.stat().st_mtime_ns for name, file in objects(BELOW).items()} == before


@pytest.mark.parametrize("after", [0, 1, 3])
def test_what_was_interrupted_resumes(after, corpus, tiny_encoder, expected, tmp_path, monkeypatch):
    interrupted(corpus, tiny_encoder, monkeypatch, after)
    found = objects(BELOW)
    assert [name for name in found if name.startswith("splade-lucene.parts/")] == [
        f"splade-lucene.parts/{number:05d}.json" for number in range(after)
    ]
    before = {f"part-{number:05d}.jsonl": 0 for number in range(after)}
    before = {name: found[name].stat().st_mtime_ns for name in before}
    with pytest.raises(
        InputError, match=r"objects://bucket/a folder/out/splade-lucene.journal: the encoding is unfinished"
    ):
        index_pseudo_documents(URL, tmp_path / "index")
    encode_corpus(corpus, URL, tiny_encoder, RULE)
    assert contents() == expected
    assert {name: objects(BELOW)[name].stat().st_mtime_ns for name in before} == before


def test_a_part_that_is_gone_or_cut_is_encoded_again(corpus, tiny_encoder, expected, monkeypatch):
    interrupted(corpus, tiny_encoder, monkeypatch, 3)
    objects(BELOW)["part-00000.jsonl"].unlink()
    objects(BELOW)["part-00001.jsonl"].write_bytes(b"half")
    encode_corpus(corpus, URL, tiny_encoder, RULE)
    assert contents() == expected
    objects(BELOW)["part-00002.jsonl"].write_bytes(b"half")  # after the end
    encode_corpus(corpus, URL, tiny_encoder, RULE)
    assert contents() == expected


def test_entries_of_another_encoding_do_not_count(corpus, tiny_encoder, expected, monkeypatch):
    """As when a process is killed between replacing the settings and deleting what belonged to the old ones."""
    interrupted(corpus, tiny_encoder, monkeypatch, 3, min_impact=2)
    entries = {name: content for name, content in contents().items() if name.startswith("splade-lucene.parts/")}
    interrupted(corpus, tiny_encoder, monkeypatch, 1, overwrite=True)
    STORE.write(entries)
    STORE.write({"splade-lucene.parts/00004.json": b"{broken"})
    encode_corpus(corpus, URL, tiny_encoder, RULE)
    assert contents() == expected


def test_other_settings_are_refused_or_replace(corpus, tiny_encoder, expected, monkeypatch):
    encode_corpus(corpus, URL, tiny_encoder, RULE, min_impact=2, gzip=True)
    with pytest.raises(
        InputError, match=r"^objects://bucket/a folder/out: this was encoded with other settings .*min_impact"
    ):
        encode_corpus(corpus, URL, tiny_encoder, RULE)
    encode_corpus(corpus, URL, tiny_encoder, RULE, overwrite=True)
    assert contents() == expected
    objects(BELOW)["splade-lucene.manifest"].write_bytes(b"\xff{")
    with pytest.raises(
        InputError, match=r"^objects://bucket/a folder/out/splade-lucene.manifest: the manifest is damaged"
    ):
        encode_corpus(corpus, URL, tiny_encoder, RULE)
    interrupted(corpus, tiny_encoder, monkeypatch, 2, overwrite=True)
    encode_corpus(corpus, URL, tiny_encoder, RULE)
    assert contents() == expected


def test_shards_of_an_encoding_share_a_folder(corpus, tiny_encoder, expected, tmp_path):
    encode_corpus(corpus, URL, tiny_encoder, RULE, shard=Shard(2, 2))
    with pytest.raises(InputError, match="missing shards: 1/2"):
        index_pseudo_documents(URL, tmp_path / "index")
    encode_corpus(corpus, URL, tiny_encoder, RULE, shard=Shard(1, 2))
    assert {name: each for name, each in contents().items() if name.startswith("part-")} == {
        name: each for name, each in expected.items() if name.startswith("part-")
    }
    assert index_pseudo_documents(URL, tmp_path / "index").documents > 30


def test_what_cannot_be_written_is_named(corpus, tiny_encoder):
    with pytest.raises(
        StorageError, match=r"^objects://other/out: cannot write .* \(The specified bucket does not exist\)"
    ):
        encode_corpus(corpus, "objects://other/out", tiny_encoder, RULE)
    with pytest.raises(InputError, match=r"cannot open nothing://bucket/out .*Install the package"):
        encode_corpus(corpus, "nothing://bucket/out", tiny_encoder, RULE)
    with pytest.raises(InputError, match="names no folder"):
        encode_corpus(corpus, "objects://", tiny_encoder, RULE)


def test_a_url_of_a_file_is_a_path(corpus, tiny_encoder, expected, tmp_path):
    encode_corpus(corpus, f"file://{tmp_path}/a file", tiny_encoder, RULE)
    assert {path.name: path.read_bytes() for path in (tmp_path / "a file").iterdir()} == expected
    assert to_folder("out") == Path("out")
    assert to_folder(Path("s3://bucket/out")) == RemoteFolder("s3://bucket/out")
    assert to_folder("hdfs:///data/out/") == RemoteFolder("hdfs:///data/out")


def test_a_file_system_with_folders_gets_them(corpus, tiny_encoder, expected):
    import fsspec

    encode_corpus(corpus, "memory://deep/er/out", tiny_encoder, RULE)
    store = fsspec.filesystem("memory")
    found = {path.rpartition("/")[2]: store.cat_file(path) for path in store.find("/deep/er/out")}
    store.rm("/deep", recursive=True)
    assert found == expected


# ---- one writer ----


def test_a_living_writer_keeps_others_out(corpus, tiny_encoder, expected):
    other = RemoteLock(STORE, "splade-lucene.lock")
    assert other.acquire()
    with pytest.raises(InputError, match=rf"process {os.getpid()} on .* is encoding into this folder. Wait for it"):
        encode_corpus(corpus, URL, tiny_encoder, RULE)
    other.release()
    encode_corpus(corpus, URL, tiny_encoder, RULE)
    assert contents() == expected


def test_a_dead_writer_does_not(corpus, tiny_encoder, expected):
    assert STORE.create("splade-lucene.lock", b'{"owner": "process 1 on a machine that is gone", "token": "x"}')
    encode_corpus(corpus, URL, tiny_encoder, RULE)
    assert contents() == expected
    for content in (b"", b"[]", b"\xff"):
        assert STORE.create("splade-lucene.lock", content)
        lock = RemoteLock(STORE, "splade-lucene.lock")
        assert lock.acquire()
        lock.release()
    assert "splade-lucene.lock" not in contents()


def test_a_writer_that_was_suspended_stops(corpus, tiny_encoder, monkeypatch):
    """Another one takes over while this one does not renew its lock."""
    add, taken = RemoteJournal.add, threading.Event()

    def suspended(journal: RemoteJournal, part: Any) -> None:
        if not taken.is_set():
            taken.set()
            STORE.write({"splade-lucene.lock": b'{"owner": "process 7 on another machine", "token": "y"}'})
            journal._remote_lock._thread.join(10)
        add(journal, part)

    monkeypatch.setattr(RemoteJournal, "add", suspended)
    with pytest.raises(StorageError, match="process 7 on another machine has taken over"):
        encode_corpus(corpus, URL, tiny_encoder, RULE)
    assert json.loads(contents()["splade-lucene.lock"])["token"] == "y"


def test_one_of_many_takes_a_lock(monkeypatch):
    locks = [RemoteLock(STORE, "splade-lucene.lock") for _ in range(8)]
    taken = []

    def take(lock: RemoteLock) -> None:
        if lock.acquire():
            taken.append(lock)

    for dead in (False, True):
        if dead:
            STORE.create("splade-lucene.lock", b"{}")
        threads = [threading.Thread(target=take, args=(lock,)) for lock in locks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1
        taken.pop().release()
        locks = [RemoteLock(STORE, "splade-lucene.lock") for _ in range(8)]


# ---- indexing ----


def found_in(index_dir: Path) -> Any:
    with LuceneImpactSearcher(index_dir) as searcher:
        return searcher.search("blood and sugar", 100), searcher.reader.statistics()["total_impact"]


def test_an_index_is_built_from_a_store(corpus, tiny_encoder, expected, tmp_path):
    index_pseudo_documents(tmp_path / "alone", tmp_path / "one")
    encode_corpus(corpus, URL, tiny_encoder, RULE)
    index_pseudo_documents(URL, tmp_path / "two")
    build_index(corpus, tmp_path / "three", tiny_encoder, RULE, pseudo_documents=URL)
    one = found_in(tmp_path / "one")
    assert len(one[0]) > 10
    assert found_in(tmp_path / "two") == one
    assert found_in(tmp_path / "three") == one
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    with pytest.raises(InputError, match="an index exists here"):
        index_pseudo_documents(URL, tmp_path / "two")
    with pytest.raises(PseudoDocumentError, match=r"^objects://bucket/nothing: no such folder"):
        index_pseudo_documents("objects://bucket/nothing", tmp_path / "four")


def test_a_copy_is_checked_and_continued(corpus, tiny_encoder, tmp_path, monkeypatch):
    encode_corpus(corpus, URL, tiny_encoder, RULE)
    part = objects(BELOW)["part-00002.jsonl"]
    whole = part.read_bytes()
    part.write_bytes(whole.replace(b"1", b"2"))
    with pytest.raises(StorageError, match=r"^objects://bucket/a folder/out/part-00002.jsonl: this part has changed"):
        index_pseudo_documents(URL, tmp_path / "index")
    part.write_bytes(whole)
    copied = []
    download = RemoteFolder.download

    def count(folder: RemoteFolder, name: str, file: Path) -> None:
        copied.append(name)
        download(folder, name, file)

    monkeypatch.setattr(RemoteFolder, "download", count)
    index_pseudo_documents(URL, tmp_path / "index")
    assert "part-00002.jsonl" in copied
    assert "part-00000.jsonl" not in copied


def test_the_commands_take_urls(corpus, tiny_model, tmp_path):
    options = ("--model", tiny_model, "--dtype", "float32", "--quantizer", "naver", "--device", "cpu")
    report = json.loads(run_well("encode", "--corpus", corpus, "--output", URL, *options, "--json"))
    assert report["output"] == URL
    run_well("index", "--input", URL, "--index", tmp_path / "index")
    run_well("build", "--corpus", corpus, "--index", tmp_path / "built", "--output", URL, *options)
    assert found_in(tmp_path / "index") == found_in(tmp_path / "built")
    for command in (("index", "--input", URL), ("build", "--corpus", corpus, *options)):
        told = check_failed(run(*command, "--index", "objects://bucket/index"))
        assert "objects://bucket/index is a URL, and an index needs a folder" in " ".join(told.split())
