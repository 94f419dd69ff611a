"""The accelerator changes no hit: made with an index or later, of ours or Anserini's, stale, damaged or missing."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import threading
from pathlib import Path
from typing import get_args

import pytest
from support.commands import run

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PseudoDocument,
    accelerate,
    check_index,
    exhaustive_search,
    index_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.errors import InputError, NotAnIndexError
from splade_lucene.index.accelerator import FOLDER, accelerator_bytes
from splade_lucene.search.checks import Engine

SEED = 4


def make_documents(count: int, start: int = 0) -> list[PseudoDocument]:
    source = random.Random(SEED + start)
    return [
        PseudoDocument(
            f"d{start + i}",
            "",
            {
                f"t{source.randint(0, 30)}": source.randint(1, 90),
                f"café{i % 7}": source.choice([1, 255, 256, 70_000]),
                "common": 1 + i % 300,
            },
        )
        for i in range(count)
    ]


QUERIES = [{f"t{i}": 3, f"t{i + 5}": 7, f"café{i % 7}": 2, "common": 1, "nowhere": 5} for i in range(12)]


def found(searcher: LuceneImpactSearcher, k: int = 10) -> list[list[tuple[str, int]]]:
    return [[(hit.docid, int(hit.score)) for hit in searcher.search(query, k)] for query in QUERIES]


def expected(documents: list[PseudoDocument], k: int = 10) -> list[list[tuple[str, int]]]:
    return [exhaustive_search(documents, query, k) for query in QUERIES]


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_pseudo_documents(tmp_path / "docs.jsonl", make_documents(500))
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "index", store="none")
    return tmp_path / "index"


def files(index: Path) -> list[Path]:
    return sorted((index / FOLDER).glob("*.postings"))


@pytest.mark.parametrize("engine", get_args(Engine))
def test_hits_are_those_of_the_oracle(index, engine):
    with LuceneImpactSearcher(index, engine=engine) as searcher:
        assert searcher.accelerated_segments == 1
        assert found(searcher, 7) == expected(make_documents(500), 7)


def test_what_is_read_is_what_would_be_decoded(index):
    with LuceneImpactSearcher(index) as searcher:
        fast = [(hits.docids, hits.profile.postings) for hits in map(searcher.search, QUERIES)]
    shutil.rmtree(index / FOLDER)
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 0
        assert [(hits.docids, hits.profile.postings) for hits in map(searcher.search, QUERIES)] == fast


def test_lucene_passes_it_over(index):
    assert check_index(index).is_sound
    with LuceneImpactIndexReader(index) as reader:
        assert accelerator_bytes(reader) == files(index)[0].stat().st_size
        assert reader.statistics()["bytes"] == sum(path.stat().st_size for path in index.iterdir() if path.is_file())


def test_an_index_is_built_without_one_and_gets_it_later(index, tmp_path):
    index_pseudo_documents(tmp_path / "docs.jsonl", tmp_path / "plain", store="none", accelerator=False)
    assert not (tmp_path / "plain" / FOLDER).exists()
    assert accelerate(tmp_path / "plain") == tmp_path / "plain" / FOLDER
    with LuceneImpactSearcher(tmp_path / "plain") as searcher:
        assert searcher.accelerated_segments == 1
        assert found(searcher) == expected(make_documents(500))


def test_equal_indexes_have_equal_postings(index):
    before = files(index)[0].read_bytes()
    accelerate(index)
    assert [path.read_bytes() for path in files(index)] == [before]


def test_documents_that_come_and_go(index):
    more = make_documents(100, 500)
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(more)
        indexer.commit()
        indexer.delete([f"d{i}" for i in range(0, 600, 3)])
        indexer.commit()
        left = [each for i, each in enumerate([*make_documents(500), *more]) if i % 3]
        with LuceneImpactSearcher(index) as searcher:
            assert searcher.accelerated_segments == 1  # of two: that of the first build is as it was
            assert found(searcher) == expected(left)
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 2  # brought up to date when the writer was closed
        assert found(searcher) == expected(left)
    with LuceneImpactIndexer(index) as indexer:
        indexer.merge()
    assert len(files(index)) == 1  # those of the segments that are gone went with them
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 1
        assert found(searcher) == expected(left)


def test_an_index_without_one_gets_none_by_small_changes(index):
    shutil.rmtree(index / FOLDER)
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(make_documents(10, 500))
    assert not (index / FOLDER).exists()
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 0


def test_appending_in_bulk_accelerates_what_is_new(index, tmp_path):
    before = files(index)[0]
    made = before.stat().st_mtime_ns
    write_pseudo_documents(tmp_path / "more.jsonl", make_documents(100, 500))
    index_pseudo_documents(tmp_path / "more.jsonl", index, store="none", append=True)
    assert len(files(index)) == 2
    assert before.stat().st_mtime_ns == made
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 2
        assert found(searcher) == expected(make_documents(500) + make_documents(100, 500))


@pytest.mark.parametrize("damage", ["cut", "empty", "header", "version", "directory", "other segment"])
def test_a_file_that_cannot_be_used_is_told_and_not_used(index, caplog, damage):
    path = files(index)[0]
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "empty":
        content = bytearray()
    elif damage == "header":
        content[40] ^= 1
    elif damage == "version":
        content[8:12] = struct.pack("<i", 99)
    elif damage == "directory":
        content[-3] ^= 1
    else:
        content[12] ^= 1
    path.write_bytes(content)
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 0
        assert found(searcher) == expected(make_documents(500))
    assert str(path) in caplog.text
    assert "splade-lucene accelerate" in caplog.text
    accelerate(index)
    caplog.clear()
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 1
    assert not caplog.text


def test_damaged_postings_are_decoded_instead(index):
    path = files(index)[0]
    content = bytearray(path.read_bytes())
    for place in range(60, len(content) - 2000, 97):
        content[place] ^= 0x55
    path.write_bytes(content)
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 1  # header and directory are sound
        assert found(searcher) == expected(make_documents(500))
        assert searcher.accelerated_segments == 0


def test_an_index_that_cannot_be_written_to(index, monkeypatch, tmp_path):
    shutil.rmtree(index / FOLDER)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    folder = accelerate(index)
    assert folder == tmp_path / "cache" / "splade-lucene" / "accelerators"
    other = tmp_path / "other"
    write_pseudo_documents(tmp_path / "few.jsonl", make_documents(20))
    index_pseudo_documents(tmp_path / "few.jsonl", other, accelerator=False)
    accelerate(other)
    assert len(list(folder.iterdir())) == 2  # one index clears nothing of another
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 1
        assert found(searcher) == expected(make_documents(500))
    with LuceneImpactIndexReader(index) as reader:
        assert accelerator_bytes(reader) > 0


def test_no_index_is_no_place_for_one(tmp_path):
    with pytest.raises(NotAnIndexError):
        accelerate(tmp_path)


def test_the_command(index, tmp_path):
    shutil.rmtree(index / FOLDER)
    done = run("accelerate", "--index", str(index), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == files(index)[0].stat().st_size
    old = run("index", "--accelerate", str(index))
    assert (old.returncode, "splade-lucene accelerate --index DIR" in old.stderr) == (2, True)
    assert run("index", "--input", str(tmp_path)).returncode == 2
    assert run("accelerate", "--index", str(tmp_path)).returncode == 1


@pytest.mark.parametrize("share", [0, 0.2, 0.6, 1])
def test_a_limit_of_bytes_keeps_the_commonest_terms(index, share):
    whole = sum(path.stat().st_size for path in files(index))
    limit = int(share * whole)
    accelerate(index, max_bytes=limit)
    size = sum(path.stat().st_size for path in files(index))
    directory = 1000  # of 39 terms, there whatever the limit
    longest_list = whole / 3
    assert limit - longest_list <= size <= max(limit, directory)
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.accelerated_segments == 1
        assert found(searcher) == expected(make_documents(500))


def test_a_negative_limit_of_bytes_is_refused(index):
    with pytest.raises(InputError, match="max_bytes must be at least 0, got -1"):
        accelerate(index, max_bytes=-1)


def test_the_limit_of_bytes_on_the_command_line(index):
    before = sum(path.stat().st_size for path in files(index))
    shown = run("accelerate", "--index", str(index), "--max-bytes", str(before // 2), "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["bytes"] == sum(path.stat().st_size for path in files(index)) < before
    assert run("accelerate", "--index", str(index), "--max-bytes", "-1").returncode == 2


def test_what_is_added_keeps_to_the_limit(index):
    accelerate(index, max_bytes=0)
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(make_documents(200, start=1000))
    assert sum(path.stat().st_size for path in files(index)) < 2500  # two directories of terms, no lists
    accelerate(index)
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(make_documents(200, start=2000))
    assert sum(path.stat().st_size for path in files(index)) > 10_000


def test_segments_without_an_accelerator_are_told_of(index, caplog):
    with LuceneImpactSearcher(index) as searcher:
        searcher.search(QUERIES[0])
    assert not caplog.records
    kept = {path: path.read_bytes() for path in files(index)}
    with LuceneImpactIndexer(index) as indexer:
        indexer.delete(["d1"])
        indexer.add(make_documents(20, start=1000))
    for path in set(files(index)) - set(kept):
        path.unlink()
    with LuceneImpactSearcher(index) as searcher:
        assert searcher.search(QUERIES[0])
    assert "the accelerator is incomplete: it covers 1 of 2 segments" in caplog.text


def test_damage_that_many_threads_meet_costs_no_hit_and_is_told_once(index, caplog):
    (file,) = files(index)
    damaged = bytearray(file.read_bytes())
    for at in range(60, len(damaged) - 1500, 7):  # in the lists, behind the header and before the directory
        damaged[at] ^= 0xFF
    file.write_bytes(damaged)
    whole = expected(make_documents(500))
    for _ in range(10):
        caplog.clear()
        with LuceneImpactSearcher(index) as searcher:
            assert searcher.accelerated_segments == 1  # nothing is known yet
            wrong: list[object] = []

            def search(searcher: LuceneImpactSearcher = searcher, wrong: list[object] = wrong) -> None:
                try:
                    hits = searcher.batch_search(QUERIES, [str(i) for i in range(len(QUERIES))], 10, 4)
                    if [[(hit.docid, int(hit.score)) for hit in each] for each in hits.values()] != whole:
                        wrong.append(hits)
                except Exception as error:
                    wrong.append(error)

            callers = [threading.Thread(target=search) for _ in range(3)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            assert not wrong
            assert searcher.accelerated_segments == 0
        assert caplog.text.count("is damaged") == 1, caplog.text
        assert str(file) in caplog.text
