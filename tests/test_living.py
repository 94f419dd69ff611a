"""Indexes that change: every commit has its manifest, whatever happens, and searches stay exact."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.commands import check_failed, run, run_well
from support.index_kills import contents
from support.manifests import rewrite_manifest
from support.processes import child_environment

from splade_lucene import (
    DamagedIndexError,
    IndexAccessError,
    InputError,
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    ModelError,
    PseudoDocument,
    Quantizer,
    StorageError,
    accelerate,
    add_corpus,
    add_pseudo_documents,
    check_index,
    delete_documents,
    index_pseudo_documents,
    jvm,
    optimize_index,
    write_pseudo_documents,
)
from splade_lucene.files import exchange as exchange_module
from splade_lucene.files.exchange import exchange, moved_aside, replace_folder
from splade_lucene.index import commits, reader
from splade_lucene.index.reader import read_index_manifest
from splade_lucene.manifest import INDEX_FILE

QUERY = {f"t{i}": i + 1 for i in range(12)}


def document(number: int, seed: int = 0) -> PseudoDocument:
    source = random.Random(f"{number} {seed}")
    vector = {f"t{source.randrange(60)}": source.randrange(1, 300) for _ in range(12)}
    return PseudoDocument(f"d{number}", f"text {number} {seed}", vector)


def documents(numbers: Iterable[int], seed: int = 0) -> dict[str, PseudoDocument]:
    return {f"d{number}": document(number, seed) for number in numbers}


def expected(model: Mapping[str, PseudoDocument], k: int = 30) -> list[tuple[str, int]]:
    """The hits by hand."""
    scores = {
        docid: sum(weight * each.vector.get(term, 0) for term, weight in QUERY.items()) for docid, each in model.items()
    }
    ranked = sorted(((docid, score) for docid, score in scores.items() if score), key=lambda hit: (-hit[1], hit[0]))
    return ranked[:k]


def hits(searcher: LuceneImpactSearcher, k: int = 30) -> list[tuple[str, int]]:
    return [(hit.docid, int(hit.score)) for hit in searcher.search(QUERY, k)]


def searched(index: Path) -> list[tuple[str, int]]:
    with LuceneImpactSearcher(index) as searcher:
        return hits(searcher)


def build(index: Path, model: Mapping[str, PseudoDocument], **options: object) -> None:
    write_pseudo_documents(index.with_suffix(".jsonl"), model.values())
    index_pseudo_documents(index.with_suffix(".jsonl"), index, **options)  # type: ignore[arg-type]


def history(index: Path) -> list[tuple[str, int, int, int]]:
    manifest = read_index_manifest(index)
    assert manifest is not None
    return [(each.operation, each.added, each.deleted, each.documents) for each in manifest.history]


# ---- changes ----


def test_adding_deleting_and_optimizing_keep_hits_exact_and_are_remembered(tmp_path):
    index, model = tmp_path / "index", documents(range(300))
    build(index, model)
    with LuceneImpactSearcher(index) as searcher:
        before = hits(searcher)
        assert before == expected(model)
        changed = documents(range(280, 320), seed=1)
        write_pseudo_documents(tmp_path / "more.jsonl", changed.values())
        assert add_pseudo_documents(tmp_path / "more.jsonl", index).documents == 40
        assert hits(searcher) == before  # a point in time
        assert searcher.refresh()
        model.update(changed)
        assert hits(searcher) == expected(model)
        assert searcher.accelerated_segments == 2
        kept = searcher.search(QUERY, 3)
        gone = [f"d{number}" for number in range(0, 300, 3)]
        change = delete_documents(index, [*gone, "unknown"])
        assert (change.deleted, change.documents) == (100, 220)
        assert not {*gone} & {docid for docid, _ in searched(index)}
        assert searcher.refresh()
        for docid in gone:
            del model[docid]
        assert hits(searcher) == expected(model)
        assert kept[0].contents is not None  # hits keep their point in time
        optimize_index(index, threads=1)
        assert searcher.refresh()
        assert not searcher.refresh()
        assert hits(searcher) == expected(model)
        assert searcher.reader.statistics()["segments"] == searcher.accelerated_segments == 1
        assert searcher.doc("d286").contents() == "text 286 1"
    assert history(index) == [
        ("build", 300, 0, 300), ("add", 40, 20, 320), ("delete", 0, 100, 220), ("optimize", 0, 0, 220),
    ]  # fmt: skip
    assert check_index(index).is_sound
    assert check_index(index).notes == ()
    assert len(list((index / "splade_lucene" / "accelerator").iterdir())) == 1


def test_optimizing_orders_documents_as_a_build_does(tmp_path):
    """Documents that share terms become neighbours, however they were added."""
    source = random.Random(5)
    docs = [
        PseudoDocument(
            f"d{number}", "", {f"g{number % 8}t{source.randrange(12)}": source.randrange(1, 9) for _ in range(6)}
        )
        for number in range(640)
    ]
    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        for start in range(0, 640, 160):
            indexer.add(docs[start : start + 160])
            indexer.commit()
        indexer.optimize()
    with LuceneImpactIndexReader(tmp_path / "index") as reader:
        groups = [int(docid[1:]) % 8 for docid in reader.docids()]
        assert reader.statistics()["segments"] == 1
    assert sum(a != b for a, b in pairwise(groups)) < 100  # 639 before
    assert check_index(tmp_path / "index").is_sound


def test_optimizing_keeps_fields_and_filters(tmp_path):
    docs = [document(number) for number in range(120)]
    lines = [
        json.dumps(
            {"id": each.docid, "contents": each.contents, "vector": dict(each.vector), "fields": {"part": number % 7}}
        )
        for number, each in enumerate(docs)
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    index_pseudo_documents(tmp_path / "in.jsonl", tmp_path / "index", fields={"part": "integer"}, order="input")
    wanted = expected({each.docid: each for number, each in enumerate(docs) if number % 7 < 2 and number})
    delete_documents(tmp_path / "index", "d0")
    optimize_index(tmp_path / "index", threads=1)
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.reader.docids() != [each.docid for each in docs[1:]]
        found = searcher.search(QUERY, 30, filter="part < 2")
        assert [(hit.docid, int(hit.score)) for hit in found] == wanted
        assert [hit.fields["part"] for hit in found] == [int(hit.docid[1:]) % 7 for hit in found]
    assert check_index(tmp_path / "index").is_sound


def test_a_duplicate_within_a_batch_and_a_bad_document_leave_the_index_as_it_was(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(20)))
    before = read_index_manifest(index)
    for bad in ('{"id": "d1", "contents": "", "vector": {"x": 1}}\n' * 2, '{"id": "new", "vector": {"x": 0}}\n'):
        (tmp_path / "bad.jsonl").write_text('{"id": "d2", "contents": "", "vector": {"x": 1}}\n' + bad)
        with pytest.raises(InputError):
            add_pseudo_documents(tmp_path / "bad.jsonl", index)
        assert read_index_manifest(index) == before
        assert searched(index) == expected(documents(range(20)))


def test_documents_of_another_model_are_refused(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(5)))
    facts = {"model": "mine", "model_digest": "ab", "pooling": "max", "quantizer": Quantizer.named("naver").to_json()}
    rewrite_manifest(index, lambda data: {**data, **facts})
    from splade_lucene.files.files import file_digest
    from splade_lucene.manifest import Manifest, Part, write_manifest

    (tmp_path / "more").mkdir()
    write_pseudo_documents(tmp_path / "more" / "part.jsonl", [document(9)])
    parts = (Part(0, "part.jsonl", 1, 1, (), file_digest(tmp_path / "more" / "part.jsonl")),)
    for digest, rule in (("cd", "naver"), ("ab", "anserini")):
        other = Manifest("theirs", digest, pooling="max", quantizer=Quantizer.named(rule), documents=1, parts=parts)
        write_manifest(tmp_path / "more" / "splade-lucene.manifest", other)
        with pytest.raises(
            InputError, match="the index was encoded with mine, pooling max, .* these documents with theirs"
        ):
            add_pseudo_documents(tmp_path / "more", index)
    assert searched(index) == expected(documents(range(5)))


def test_changing_nothing_commits_nothing(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(5)))
    before = sorted(path.name for path in index.iterdir())
    with LuceneImpactIndexer(index) as indexer:
        assert indexer.commit() is None
    assert sorted(path.name for path in index.iterdir()) == before
    assert [each[0] for each in history(index)] == ["build"]
    assert optimize_index(tmp_path / "index").documents == 5


def test_an_encoding_is_no_longer_that_of_a_changed_index(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(5)))
    rewrite_manifest(index, lambda data: {**data, "encoding": "ab12", "empty": ["d7", "d8"]})
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(document(7))
    manifest = read_index_manifest(index)
    assert manifest is not None
    assert (manifest.encoding, manifest.empty) == ("", ("d8",))


# ---- the manifest ----


def test_a_kill_right_after_the_commit_keeps_the_manifest(tmp_path, monkeypatch):
    index = tmp_path / "index"
    build(index, documents(range(5)))
    rewrite_manifest(index, lambda data: {**data, "model": "mine", "quantizer": Quantizer.named("naver").to_json()})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(commits, "write_manifest", killed)
        indexer = LuceneImpactIndexer(index)
        indexer.add(document(5))
        with pytest.raises(KeyboardInterrupt):
            indexer.commit()
        indexer._handle.close()
    stale = json.loads((index / INDEX_FILE).read_text())
    manifest = read_index_manifest(index)
    assert manifest is not None
    assert (stale["documents"], manifest.documents, manifest.model) == (5, 6, "mine")
    assert check_index(index).is_sound
    assert any("describes another commit" in note for note in check_index(index).notes)
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(document(6))
    assert json.loads((index / INDEX_FILE).read_text())["model"] == "mine"
    assert check_index(index).notes == ()


def test_the_copy_of_the_manifest_may_be_deleted_but_not_damaged(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(5)))
    whole = (index / INDEX_FILE).read_text()
    (index / INDEX_FILE).write_text(whole.replace('"documents": 5', '"documents": 6', 1))
    with pytest.raises(InputError, match=r"manifest\.json: the manifest is damaged .*Delete this file: it is a copy"):
        read_index_manifest(index)
    assert [each.file for each in check_index(index).damage] == [INDEX_FILE]
    with pytest.raises(DamagedIndexError, match=r"splade_lucene/manifest\.json: the manifest is damaged"):
        LuceneImpactSearcher(index, verify=True)
    for folders in (index, [index]):
        with pytest.raises(
            InputError, match=r"manifest\.json: the manifest is damaged .*Delete this file: it is a copy"
        ):
            LuceneImpactSearcher(folders)
    (index / INDEX_FILE).write_text(whole.replace('"format": 2', '"format": 1', 1))  # of another version
    assert searched(index) == expected(documents(range(5)))
    (index / INDEX_FILE).unlink()
    manifest = read_index_manifest(index)
    assert manifest is not None
    assert manifest.documents == 5
    assert check_index(index).is_sound


def test_what_other_software_changes_is_noticed(tmp_path, caplog):
    index = tmp_path / "index"
    build(index, documents(range(5)))
    rewrite_manifest(index, lambda data: {**data, "model": "mine"})
    lucene = "org.apache.lucene."
    folder = jvm.java_class(lucene + "store.FSDirectory").open(jvm.java_class("java.io.File")(str(index)).toPath())
    writer = jvm.java_class(lucene + "index.IndexWriter")(folder, jvm.java_class(lucene + "index.IndexWriterConfig")())
    writer.setLiveCommitData(writer.getLiveCommitData())  # Lucene keeps it, whatever other software changes
    writer.close()
    assert read_index_manifest(index) is None
    assert "other software has changed the index" in caplog.text
    caplog.clear()
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.reader.fields == {}
        assert searcher.reader.manifest() is None
    assert caplog.text.count("other software has changed the index") == 1
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(document(8))
    manifest = read_index_manifest(index)
    assert manifest is not None
    assert manifest.model == ""
    assert [each[:2] for each in history(index)] == [("foreign", 5), ("add", 1)]


def test_a_commit_that_was_cut_off_takes_a_name(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(5)))
    (index / "pending_segments_7").write_bytes(b"cut")
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(document(5))
    manifest = read_index_manifest(index)
    assert manifest is not None
    assert (manifest.documents, manifest.commit) == (6, "segments_8")
    assert not (index / "pending_segments_7").exists()


# ---- damage ----


def test_every_damaged_file_is_named(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(200)))
    delete_documents(index, ["d7", "d8"])
    build(tmp_path / "other", documents(range(200), seed=3))
    delete_documents(tmp_path / "other", ["d7"])
    names = sorted(
        str(path.relative_to(index)) for path in index.rglob("*") if path.is_file() and path.name != "write.lock"
    )
    assert any(name.endswith(".liv") for name in names)
    assert any(name.endswith(".postings") for name in names)
    source = random.Random(11)
    for name in names:
        path = index / name
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[source.randrange(len(whole))] ^= 1 << source.randrange(8)
        swapped = tmp_path / "other" / name
        damages = [whole[: len(whole) // 2], b"", bytes(flipped)]
        for bad in damages + ([swapped.read_bytes()] if swapped.exists() and not name.startswith("segments_") else []):
            path.write_bytes(bad)
            result = check_index(index)
            assert name in [each.file for each in result.damage], (name, len(bad), result.damage)
            with pytest.raises(IndexAccessError, match=r"damaged"):
                LuceneImpactSearcher(index, verify=True)
        path.unlink()
        if name.startswith("_"):
            found = check_index(index).damage
            assert (name, "the file is missing") in [(each.file, each.problem) for each in found], (name, found)
            with pytest.raises(DamagedIndexError, match=rf"{re.escape(name)}|segments_"):
                LuceneImpactSearcher(index)
        path.write_bytes(whole)
    assert check_index(index).is_sound


def test_the_remedy_is_that_of_the_damage(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(20)))
    accelerator, copy = next(index.rglob("*.postings")), index / INDEX_FILE
    for path in (accelerator, copy):
        path.write_bytes(path.read_bytes()[:-5])
    done = run("check", "--index", index)
    assert "the index is damaged: run 'splade-lucene accelerate'" in done.stderr
    assert f"; delete {INDEX_FILE}, which is a copy: the next commit writes it\n" in done.stderr
    assert "build" not in done.stderr  # which would be no remedy
    copy.unlink()
    run_well("accelerate", "--index", index)
    assert check_index(index).is_sound
    for path in (accelerator, next(index.glob("*.doc"))):
        path.write_bytes(path.read_bytes()[:-5])
    assert check_index(index).remedy == "restore the index from a copy, or build it again"


def test_two_documents_with_a_docid_are_damage_in_an_index_of_ours(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(5)))
    rewrite_manifest(index, lambda data: {**data, "documents": 7})
    assert [str(each) for each in check_index(index).damage] == ["the manifest counts 7 documents, the index has 5"]


# ---- readers and writers at once ----


def test_a_reader_finds_the_old_index_or_the_new_one_while_it_is_replaced(tmp_path):
    index = tmp_path / "index"
    old, new = documents(range(50)), documents(range(50), seed=1)
    build(index, old)
    write_pseudo_documents(tmp_path / "new.jsonl", new.values())
    rounds = 6
    done = threading.Event()
    wrong: list[object] = []
    opened = 0

    def read() -> None:
        nonlocal opened
        while not done.is_set():
            try:
                found = searched(index)
                assert found in (expected(old), expected(new))
                assert read_index_manifest(index) is not None
                opened += 1
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        source = tmp_path / ("new.jsonl" if number % 2 == 0 else "index.jsonl")
        index_pseudo_documents(source, index, overwrite=True, accelerator=False)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert opened > rounds


def test_a_searcher_goes_over_to_an_index_that_has_replaced_its_own(tmp_path):
    index = tmp_path / "index"
    old, new = documents(range(50)), documents(range(50), seed=1)
    build(index, old)
    with LuceneImpactSearcher(index) as searcher:
        build(index, new, overwrite=True)
        assert hits(searcher) == expected(old)
        assert searcher.refresh()
        assert hits(searcher) == expected(new)


def test_folders_are_exchanged_in_one_step(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot exchange folders")
    assert [(path.parent.name, path.name) for path in sorted(tmp_path.glob("*/*"))] == [("a", "b"), ("b", "a")]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "c")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_finished_folder_takes_the_place_of_the_old_one(tmp_path, monkeypatch, can_exchange):
    for name in ("built", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"of-{name}").touch()
    if not can_exchange:
        monkeypatch.setattr(exchange_module, "exchange", lambda *_: False)
    replace_folder(tmp_path / "built", tmp_path / "target")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "target",
        "target/of-built",
    ]


def test_without_an_exchange_a_reader_waits_for_the_new_index(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(20)))
    index.replace(moved_aside(index))  # the moment between the two steps
    timer = threading.Timer(0.3, lambda: moved_aside(index).replace(index))
    timer.start()
    assert searched(index) == expected(documents(range(20)))
    timer.join()


def test_an_index_that_comes_between_two_looks_is_found(tmp_path, monkeypatch):
    index = tmp_path / "index"
    build(index, documents(range(20)))
    index.replace(moved_aside(index))

    def comes(path: Path) -> Path:
        if moved_aside(path).exists():
            moved_aside(path).replace(path)
        return moved_aside(path)

    monkeypatch.setattr(reader, "moved_aside", comes)
    assert searched(index) == expected(documents(range(20)))


def test_a_filter_of_before_a_refresh_is_refused(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(20)))
    with LuceneImpactSearcher(index) as searcher:
        some = searcher.make_filter(["d1", "d2"])
        assert len(searcher.search(QUERY, filter=some)) <= 2
        delete_documents(index, "d3")
        searcher.refresh()
        with pytest.raises(InputError, match="made before this searcher was refreshed"):
            searcher.search(QUERY, filter=some)


def test_a_refresh_during_a_batch_does_not_mix_commits(tmp_path, monkeypatch):
    def refresh_once(*arguments: Any) -> Any:
        found = search_vectors(*arguments)
        if searcher.num_docs == 1:
            with LuceneImpactIndexer(tmp_path / "index") as indexer:
                indexer.add(PseudoDocument("d2", "", {"cat": 9}))
            assert searcher.refresh()
        return found

    for measures_recall in (False, True):
        build(tmp_path / "index", {"d1": PseudoDocument("d1", "", {"cat": 1})}, overwrite=True)
        with LuceneImpactSearcher(tmp_path / "index") as searcher:
            search_vectors = searcher._search_vectors
            monkeypatch.setattr(searcher, "_search_vectors", refresh_once)
            queries, filter = [{"cat": 1}] * 300, searcher.make_filter(["d1", "d2"])
            if measures_recall:
                assert searcher.recall(queries, 1, filter=filter) == [1.0] * 300
            else:
                found = searcher.batch_search(queries, map(str, range(300)), 10, filter=filter)
                assert {tuple(hits.docids) for hits in found.values()} == {("d1",)}
            assert searcher.search({"cat": 1}).docids == ["d2", "d1"]


def test_closing_during_searches_is_an_error_of_ours(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(2000)))
    right = searched(index)

    def search(searcher: LuceneImpactSearcher, started: threading.Barrier, seen: list[type]) -> None:
        started.wait()
        try:
            while True:
                assert hits(searcher) == right
        except BaseException as error:
            seen.append(type(error))

    for _ in range(5):
        searcher = LuceneImpactSearcher(index, cache_bytes=0)
        started = threading.Barrier(4)
        seen: list[type] = []
        threads = [threading.Thread(target=search, args=(searcher, started, seen)) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()
        searcher.close()
        for thread in threads:
            thread.join()
        assert seen == [IndexAccessError] * 3


WRITER = """
import sys, time
from splade_lucene import LuceneImpactIndexer, PseudoDocument
indexer = LuceneImpactIndexer(sys.argv[1])
indexer.add(PseudoDocument("d9", "", {"x": 1}))
print("open", flush=True)
time.sleep(600)
"""


@pytest.mark.process
def test_a_second_writer_is_told_who_holds_the_lock_and_a_stale_one_does_not_block(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(5)))
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(index)], stdout=subprocess.PIPE, text=True, env=child_environment()
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            for write in (
                lambda: LuceneImpactIndexer(index),
                lambda: add_pseudo_documents(tmp_path / "index.jsonl", index),
                lambda: build(index, documents(range(3)), overwrite=True),
            ):
                with pytest.raises(
                    StorageError, match=rf"writing to this index: process {process.pid} \(.*python.*\)\. Wait"
                ):
                    write()
        finally:
            process.kill()
    assert (index / "write.lock").exists()
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(document(6))
    assert searched(index) == expected(documents([0, 1, 2, 3, 4, 6]))


@pytest.mark.parametrize("spoil", [Path.unlink, lambda lock: lock.write_text("spoiled")])
def test_a_writer_whose_lock_another_program_took_away_says_so(tmp_path, spoil):
    index = tmp_path / "index"
    build(index, documents(range(5)))

    def change():
        with LuceneImpactIndexer(index) as indexer:
            indexer.add(document(5))
            spoil(index / "write.lock")

    with pytest.raises(StorageError, match=r"write\.lock was deleted or changed by"):
        change()
    (index / "write.lock").unlink(missing_ok=True)
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(document(6))
    assert searched(index) == expected(documents([0, 1, 2, 3, 4, 6]))


def test_an_indexer_serves_several_threads(tmp_path):
    with LuceneImpactIndexer(tmp_path / "index") as indexer:

        def work(first: int) -> None:
            for number in range(first, first + 10):
                indexer.add(document(number))
                if number % 5 == 0:
                    indexer.commit()

        threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 40, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert searched(tmp_path / "index") == expected(documents(range(40)))
    manifest = read_index_manifest(tmp_path / "index")
    assert manifest is not None
    assert (sum(each.added for each in manifest.history), manifest.documents) == (40, 40)
    accelerate(tmp_path / "index")
    assert check_index(tmp_path / "index").notes == ()


# ---- commands ----


@pytest.mark.model
def test_texts_that_are_added_are_encoded_as_a_build_encodes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = ["The heart pumps blood.", "Plants turn sunlight into sugar.", "Bread is baked.", "Whales live in the sea."]
    lines = [f"d{number}\t{text}\n" for number, text in enumerate(texts)]
    Path("first.tsv").write_text("".join(lines[:3]))
    Path("more.tsv").write_text("d1\tVolcanoes erupt.\nd2\t \n" + lines[3])
    Path("all.tsv").write_text(lines[0] + "d1\tVolcanoes erupt.\n" + lines[3])
    run_well("build", "--corpus", "first.tsv", "--index", "index", "--dtype", "float32")
    run_well("build", "--corpus", "all.tsv", "--index", "whole", "--dtype", "float32")
    added = json.loads(run_well("add", "--index", "index", "--corpus", "more.tsv", "--json"))
    assert added["documents"] == 2
    assert contents(Path("index")) == contents(Path("whole"))  # d2 has no terms any more
    manifest = read_index_manifest(Path("index"))
    assert manifest is not None
    assert (manifest.empty, manifest.corpus) == (("d2",), "first.tsv, more.tsv")
    assert history(Path("index")) == [("build", 3, 0, 3), ("add", 2, 2, 3)]
    checked = json.loads(run_well("check", "--index", "index", "--json"))
    assert (checked["sound"], checked["encoded_again"], checked["notes"]) == (True, 3, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.tsv", "first.tsv", "index", "more.tsv", "whole"]
    told = run_well("stats", "--index", "index")
    assert f"model weights            sha256 {manifest.model_digest}" in told
    assert "model family             SPLADE-max\n" in told
    facts = {"model_digest": "0" * 64, "model_revision": "9" * 40}
    rewrite_manifest(Path("index"), lambda data: {**data, **facts})
    assert f"model revision           {'9' * 40}" in run_well("stats", "--index", "index")
    with pytest.raises(ModelError, match=r"is no longer the model with which .* \(splade-minilm, revision 9{40}\)"):
        add_corpus("more.tsv", "index")


@pytest.mark.model
def test_documents_of_a_corpus_that_cannot_be_read_are_counted_as_skipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("first.tsv").write_text("d1\tThe heart pumps blood.\nd2\n")
    Path("more.tsv").write_text("d3\td3 is read.\nd4\nd5\n")
    built = json.loads(run_well("build", "--corpus", "first.tsv", "--index", "index", "--skip-bad", "--json"))
    done = run("add", "--corpus", "more.tsv", "--index", "index", "--skip-bad", "--json")
    assert (built["skipped"], json.loads(done.stdout)["skipped"]) == (1, 2)
    assert "2 documents could not be read and were skipped" in done.stderr
    manifest = read_index_manifest(Path("index"))
    assert manifest is not None
    assert manifest.skipped == 3
    assert add_corpus("more.tsv", "index", skip_bad=True).unreadable == 2


def test_the_commands_say_what_they_did(tmp_path):
    index = tmp_path / "index"
    build(index, documents(range(20)))
    (tmp_path / "gone.txt").write_text("d1\n\nd2\nunknown\n")
    done = run("delete", "--index", index, "--docids", tmp_path / "gone.txt", "--docid", "d3")
    assert "1 of 4 docids is not in the index" in done.stderr
    assert "3 documents deleted, 17 left in" in done.stderr
    assert "17 documents in" in run("optimize", "--index", index).stderr
    write_pseudo_documents(tmp_path / "more.jsonl", [document(1, 5)])
    assert json.loads(run_well("add", "--index", index, "--input", tmp_path / "more.jsonl", "--json"))["documents"] == 1
    assert "changes" in run_well("stats", "--index", index)
    path = next(index.glob("*.doc"))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    done = run("check", "--index", index)
    assert done.returncode == 1
    assert f"damaged: {path.name}: checksum failed" in done.stderr
    (tmp_path / "gone.txt").write_text("\n \n")
    message = check_failed(run("delete", "--index", index, "--docids", tmp_path / "gone.txt"))
    assert "gone.txt: no docids in this file. Write one docid per line" in message
    add = ("add", "--input", tmp_path / "more.jsonl")
    for arguments in (
        ("add",), ("delete",), ("add", "--corpus", "c.tsv", "--input", "in"),
        (*add, "--device", "cpu"), (*add, "--trust-remote-code"),
    ):  # fmt: skip
        assert run(*arguments, "--index", index).returncode == 2
    for command in (("delete", "--docid", "d1"), ("optimize",), ("add", "--input", tmp_path / "more.jsonl")):
        assert "this folder is not an index. Build it first" in check_failed(run(*command, "--index", tmp_path / "no"))
