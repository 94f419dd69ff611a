"""Damaged indexes: ``check`` and ``verify=True`` name the file, and damage never causes anything but an error of this package.

``SPLADE_LUCENE_TEST_FLIPS`` says how many single bits are flipped, one at a time: a few by default, 2,000 for a long run.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.java import has_lucene_10
from support.processes import ROOT

from splade_lucene import (
    DamagedIndexError,
    IndexVersionError,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    SpladeLuceneError,
    accelerate,
    check_index,
    delete_documents,
    index_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.errors import JavaError

FLIPS = int(os.environ.get("SPLADE_LUCENE_TEST_FLIPS", "60"))
FIELDS = {"lang": "keyword", "year": "number"}
QUERY = {f"t{number}": number + 1 for number in range(12)}
HEADER = 44
"""Bytes of a file's header whose damage can look like another version: magic, codec, version, id."""

pytestmark = pytest.mark.java


def build(folder: Path, seed: int = 0, count: int = 200) -> Path:
    """An index with all kinds of files: stored texts, fields, deleted documents, an accelerator, a manifest."""
    source = random.Random(seed)
    documents = [
        PseudoDocument(
            f"d{number}", f"text {number}", {f"t{source.randrange(60)}": source.randrange(1, 300) for _ in range(12)},
            {"lang": source.choice(["de", "en"]), "year": 2000 + number % 20},
        )
        for number in range(count)
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    write_pseudo_documents(folder / "in.jsonl", documents)
    index_pseudo_documents(folder / "in.jsonl", folder / "index", fields=FIELDS, overwrite=True)
    delete_documents(folder / "index", ["d7", "d8"])
    return folder / "index"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def index(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "index")
    return tmp_path / "index"


def names(index: Path) -> list[str]:
    return sorted(
        path.relative_to(index).as_posix() for path in index.rglob("*") if path.is_file() and path.name != "write.lock"
    )


def damaged(path: Path, content: bytes) -> None:
    """Replaces a file: one that is written over could still be mapped."""
    path.with_name("damaged.partial").write_bytes(content)
    path.with_name("damaged.partial").replace(path)


def flipped(whole: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(whole)
    changed[at] ^= 1 << bit
    return bytes(changed)


def use_all(index: Path) -> None:
    """Reads all kinds of files without verifying them."""
    with LuceneImpactSearcher(index) as searcher:
        hits = searcher.search(QUERY, 30)
        searcher.search(QUERY, 30, filter='lang = "de" and year > 2004')
        hits.fields()
        hits.facets("lang")
        assert len([hit.contents for hit in hits]) == len(hits)
        searcher.facets("lang")
        searcher.make_filter(["d1"])
        searcher.doc("d3")
        searcher.doc(0)
        searcher.explain({"t1": 2}, "d5")
        searcher.reader.statistics()
        searcher.reader.terms()
        searcher.reader.docids()
        searcher.reader.postings("t1")


def outcome(use: Callable[[], Any]) -> str:
    """The result of a use: none, or an error of this package; other errors are raised."""
    try:
        use()
    except (JavaError, IndexVersionError):
        raise
    except SpladeLuceneError as error:
        return f"{type(error).__name__}: {error}"
    return "unnoticed"


def check_named(index: Path, name: str, what: object) -> None:
    """``check`` and ``verify=True`` name a damaged file."""
    found = check_index(index).damage
    assert name in [each.file for each in found], (name, what, found)
    with pytest.raises(DamagedIndexError, match=re.escape(name)):
        LuceneImpactSearcher(index, verify=True)


def test_nothing_is_wrong_with_a_sound_index(index):
    result = check_index(index)
    assert (result.damage, result.notes) == ((), ())
    LuceneImpactSearcher(index, verify=True).close()
    use_all(index)
    kinds = {name.rpartition(".")[2] for name in names(index)}
    assert {"dvd", "kdd", "tim", "tip", "doc", "fdt", "liv", "si", "postings", "json"} <= kinds


def test_a_damaged_header_is_damage_and_not_another_version(index):
    source = random.Random(5)
    for name in names(index):
        whole = (index / name).read_bytes()
        for at in range(0, min(HEADER, len(whole)), 3):
            damaged(index / name, flipped(whole, at, source.randrange(8)))
            outcome(lambda: use_all(index))
        check_named(index, name, "its header")
        damaged(index / name, whole)


def test_a_version_of_a_whole_file_is_told_as_one(tmp_path):
    """An index of Lucene 10 is not damaged, whichever Lucene reads it."""
    shutil.copytree(ROOT / "tests" / "data" / "lucene10-index", tmp_path / "index")
    if has_lucene_10():
        assert check_index(tmp_path / "index").damage == ()
    else:
        for use in (check_index, LuceneImpactSearcher, lambda path: LuceneImpactSearcher(path, verify=True)):
            with pytest.raises(IndexVersionError, match="newer Lucene"):
                use(tmp_path / "index")
    segments = next((tmp_path / "index").glob("segments_*"))
    segments.write_bytes(flipped(segments.read_bytes(), 40, 3))
    check_named(tmp_path / "index", segments.name, "its header")


def test_damage_that_is_met_while_reading_names_the_remedy(index):
    """Bytes in the middle of these files are read without a checksum, so any result is possible."""
    source = random.Random(3)
    seen: Counter[str] = Counter()
    for name in names(index):
        if name.endswith((".dvd", ".kdd", ".tim", ".fdt")):
            whole = (index / name).read_bytes()
            for _ in range(25):
                damaged(index / name, flipped(whole, source.randrange(HEADER, len(whole) - 16), source.randrange(8)))
                said = outcome(lambda: use_all(index))
                if said != "unnoticed":
                    seen[name.rpartition(".")[2]] += 1
                    assert "splade-lucene check" in said
            damaged(index / name, whole)
    # Lucene 10 does not notice any of these changes in .tim
    assert seen.keys() | ({"tim"} if has_lucene_10() else set()) == {"dvd", "kdd", "tim", "fdt"}


def test_a_segments_file_of_another_index_is_blamed_itself(index, tmp_path):
    segments = next(index.glob("segments_*"))
    other = build(tmp_path / "other", seed=1)
    whole, other_si = segments.read_bytes(), (other / "_0.si").read_bytes()
    damaged(segments, (other / segments.name).read_bytes())
    assert [(each.file, each.problem) for each in check_index(index).damage if each.file != "splade_lucene/manifest.json"] == [
        (segments.name, "the segment _0 has another id: this file belongs to another index")
    ]  # fmt: skip
    with LuceneImpactIndexer(other) as indexer:
        indexer.add(PseudoDocument("new", "", {"t1": 1}))
        indexer.merge()
    damaged(segments, next(other.glob("segments_*")).read_bytes())
    assert segments.name in [each.file for each in check_index(index).damage]
    damaged(segments, whole)
    damaged(index / "_0.si", other_si)
    assert [each.file for each in check_index(index).damage] == ["_0.si"]


def test_an_accelerator_that_was_deleted_is_missed(index, caplog):
    (path,) = (index / "splade_lucene" / "accelerator").glob("*.postings")
    path.unlink()
    result = check_index(index)
    assert result.notes == (
        "the accelerator is incomplete: it covers 0 of 1 segment. Run 'splade-lucene accelerate' to complete it",
    )
    LuceneImpactSearcher(index).close()
    assert result.notes[0] in caplog.text
    accelerate(index)
    caplog.clear()
    LuceneImpactSearcher(index).close()
    assert caplog.text == ""
    assert check_index(index).notes == ()
    shutil.rmtree(path.parent)  # an index need not have one
    LuceneImpactSearcher(index).close()
    assert caplog.text == ""


def damages(index: Path, other: Path, count: int) -> Iterator[tuple[str, str, bytes]]:
    """Files, what happens to them, and what they have afterwards: every way for every file, and ``count`` flips."""
    contents = {name: (index / name).read_bytes() for name in names(index)}
    source = random.Random(17)
    for name, whole in contents.items():
        yield name, "emptied", b""
        yield name, "truncated", whole[: source.randrange(1, len(whole))]
        if (other / name).exists():
            yield name, "swapped", (other / name).read_bytes()
    sizes = list(map(len, contents.values()))
    for number in range(count):  # in turn: where most bytes are, and in any file alike
        (name,) = source.choices(list(contents), sizes if number % 2 else None)
        at = source.randrange(len(contents[name]))
        yield name, "flipped", flipped(contents[name], at, source.randrange(8))


def test_whatever_is_damaged_is_named(index, tmp_path, capsys):
    other = build(tmp_path / "other", seed=1)
    whole = {name: (index / name).read_bytes() for name in names(index)}
    came_of: Counter[tuple[str, str]] = Counter()
    for name, what, content in damages(index, other, FLIPS):
        damaged(index / name, content)
        check_named(index, name, what)
        came_of[what, outcome(lambda: use_all(index)).partition(":")[0]] += 1
        damaged(index / name, whole[name])
    assert check_index(index).is_sound
    assert sum(number for (what, _), number in came_of.items() if what == "flipped") == FLIPS
    with capsys.disabled():
        if FLIPS >= 1000:
            for (what, error), number in sorted(came_of.items()):
                print(f"\n{what}: without verify {error} {number}", end="")
