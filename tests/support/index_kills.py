"""An index that a process keeps changing until it is killed: ``python -m support.index_kills FOLDER``.

Change number n depends on n alone, and leaves n in the index, so that after a kill the index tells which changes it has.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from splade_lucene import (
    LuceneImpactIndexer,
    LuceneImpactIndexReader,
    PseudoDocument,
    accelerate,
    add_pseudo_documents,
    check_index,
    index_pseudo_documents,
    merge_indexes,
    optimize_index,
    write_pseudo_documents,
)
from support.processes import child_environment

KINDS = ("write", "write", "file", "optimize", "build", "accelerate", "merge", "merge")
COUNTER = "counter"


def document(docid: str, seed: object) -> PseudoDocument:
    source = random.Random(str(seed))
    return PseudoDocument(
        docid, f"text {seed}", {f"t{source.randrange(80)}": source.randrange(1, 99) for _ in range(10)}
    )


class Model:
    """The documents that the index has after a number of changes."""

    def __init__(self) -> None:
        self.changes = 0
        self.documents: dict[str, PseudoDocument] = {}

    def advance(self) -> tuple[str, dict[str, PseudoDocument], list[str]]:
        """The next change: its kind, the documents that it adds, and the docids that it deletes."""
        source = random.Random(self.changes)
        kind = "build" if self.changes == 0 else source.choice(KINDS)
        added = {f"d{n}": document(f"d{n}", (n, self.changes)) for n in source.sample(range(300), 40)}
        present = sorted(self.documents.keys() - {*added, COUNTER})
        deleted = [] if kind in ("file", "merge") else source.sample(present, min(len(present), 15))
        self.changes += 1
        added[COUNTER] = PseudoDocument(COUNTER, "", {"changes": self.changes})
        for docid in deleted:
            del self.documents[docid]
        self.documents |= added
        return kind, added, deleted


def change(index: Path, model: Model) -> None:
    """Makes the next change."""
    kind, added, deleted = model.advance()
    source = index.with_suffix(".jsonl")
    if kind == "build":
        write_pseudo_documents(source, model.documents.values())
        index_pseudo_documents(source, index, overwrite=True)
    elif kind in ("file", "merge"):
        write_pseudo_documents(source, added.values())
        if kind == "merge":
            delta = index.with_name("delta")
            index_pseudo_documents(source, delta, threads=1, overwrite=True)
            merge_indexes([index, delta], index.with_name("merged"), duplicates="last", threads=1, overwrite=True)
        add_pseudo_documents(source, index, threads=1)
    else:
        with LuceneImpactIndexer(index) as indexer:
            indexer.delete(deleted)
            indexer.add(added.values())
        if kind == "optimize":
            optimize_index(index, threads=1)
        elif kind == "accelerate":
            accelerate(index)


def changes_of(index: Path) -> int:
    """How many changes an index has."""
    if not index.exists():
        return 0
    with LuceneImpactIndexReader(index) as reader:
        return reader.impacts(COUNTER, ["changes"])[0]


def contents(index: Path) -> dict[str, dict[str, int]]:
    """Docid → vector of all documents, from the postings; a duplicate docid is an error."""
    with LuceneImpactIndexReader(index) as reader:
        docids = reader.docids()
        vectors: dict[int, dict[str, int]] = {}
        for term in reader.terms():
            for number, impact in zip(*reader.postings(term.term), strict=True):
                vectors.setdefault(int(number), {})[term.term] = int(impact)
        named = {docids[number]: vector for number, vector in vectors.items()}
        assert len(named) == len(vectors) == reader.num_docs
    return named


def check_contents(index: Path, changes: int) -> None:
    """Checks that an index has exactly the documents of a number of changes."""
    model = Model()
    while model.changes < changes:
        model.advance()
    assert contents(index) == {docid: dict(each.vector) for docid, each in model.documents.items()}


def kill(folder: Path, kills: int) -> list[int]:
    """Kills a process that changes an index, again and again, and checks the index after each; returns its changes."""
    index, source = folder / "index", random.Random(kills)
    seen: list[int] = []
    while len(seen) < kills:
        command = [sys.executable, "-m", "support.index_kills", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment()) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(source.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
            done = [0, *seen, *map(int, process.stdout.read().split())][-1]
        changes = changes_of(index)
        assert changes in (done, done + 1)
        for each in (index, index.with_name("merged")):
            if each.exists():
                result = check_index(each)
                assert result.is_sound, result.damage
                check_contents(each, changes_of(each))
        assert changes_of(index.with_name("merged")) <= changes + 1
        seen.append(changes)
    change(index, (model := resumed(index)))  # removes what the last kill has left behind
    with LuceneImpactIndexer(index) as indexer:
        indexer.add(document("last", 0))
    accelerate(index)
    assert check_index(index).notes == ()
    for name in ("delta", "merged"):
        merge_indexes([index], folder / name, overwrite=True)  # removes what a killed merge has left behind
    allowed = {"index", "index.jsonl", "delta", "merged"}
    left = {path.name for path in folder.iterdir()} - allowed
    index_pseudo_documents(index.with_suffix(".jsonl"), index, overwrite=True)
    assert {path.name for path in folder.iterdir()} == allowed, left
    return [*seen, model.changes]


def resumed(index: Path) -> Model:
    """The model of an index as it is."""
    model = Model()
    for _ in range(changes_of(index)):
        model.advance()
    return model


def work(folder: Path) -> None:
    """Keeps changing the index, and prints the number of changes after each."""
    model = resumed(folder / "index")
    print("ready", flush=True)
    while True:
        change(folder / "index", model)
        print(model.changes, flush=True)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
