#!/usr/bin/env python3
"""Writes splade_lucene/data/collection_names.json, which maps names of topics and judgments to files.

    python tools/collection_names.py EVAL     # EVAL: a checkout of github.com/castorini/eval

Anserini 1.x defines its names in two Java enums, and Pyserini 1.x adds its own spellings; Anserini and Pyserini 2.x read both
from the JSON files of castorini/eval. The names of all of them are merged. Run it in an environment with Pyserini 1.6; if
Pyserini and EVAL disagree about a name, EVAL wins and the difference is printed.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from splade_lucene import jvm
from splade_lucene.topics.named import NAMES_FILE, Kind, name_key, names_of_file

CLASSES = {"topics": "io.anserini.search.topicreader.Topics", "qrels": "io.anserini.eval.Qrels"}
Names = dict[str, tuple[str, str]]
"""Name → file and reader; judgments have no reader."""


def read_anserini_1(kind: Kind) -> Names:
    """The constants of the installed Anserini's enum, and their names in Pyserini and Anserini."""
    java = jvm.java_class(CLASSES[kind])
    constants: Names = {}
    for each in java.values():
        reader = str(each.readerClass.toString()).rpartition(".")[2] if kind == "topics" else ""
        constants[str(each.name())] = (str(each.path), reader)
    names = dict(constants)
    for name, constant in _pyserini_1_names(kind):
        if constant in constants:
            names[name] = constants[constant]
    if kind == "topics":
        for name in java.getSymbolDictionaryKeys().toArray():
            names.setdefault(str(name), constants[str(java.getByName(name).name())])
    return names


def _pyserini_1_names(kind: Kind) -> list[tuple[str, str]]:
    spec = importlib.util.find_spec("pyserini")
    assert spec is not None
    assert spec.origin
    tree = ast.parse((Path(spec.origin).parent / "search" / "_base.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == f"{kind}_mapping":
            return [(str(name), str(constant)) for name, constant in ast.literal_eval(node.value).items()]
    raise SystemExit("Pyserini 1.6 is required: the installed one has no table of names in its source.")


def read_eval(kind: Kind, checkout: Path) -> Names:
    """The names and aliases in castorini/eval."""
    entries = json.loads((checkout / f"{kind}.json").read_text(encoding="utf-8"))
    names: Names = {
        name: (entry, "") if kind == "qrels" else (entry["path"], entry["reader_class"].rpartition(".")[2])
        for name, entry in entries.items()
    }
    for name, aliases in json.loads((checkout / f"{kind}-aliases.json").read_text(encoding="utf-8")).items():
        names.update({alias: names[name] for alias in aliases if name in names})
    return names


def merge(kind: Kind, older: Names, newer: Names) -> dict[str, dict[str, object]]:
    """File → its reader, and those of its names that cannot be derived from the file name."""
    by_key = {name_key(name): entry for name, entry in older.items()}
    for name, entry in newer.items():
        before = by_key.get(name_key(name), entry)
        if before != entry:
            print(f"{kind} {name}: {before} in Anserini 1.x, {entry} in castorini/eval")
        by_key[name_key(name)] = entry
    files: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key, entry in by_key.items():
        files[entry].add(key)
    merged: dict[str, dict[str, object]] = {}
    for (file, reader), keys in sorted(files.items()):
        if file in merged:
            print(f"{kind} {file}: two readers, {merged[file]['reader']} and {reader}")
        record: dict[str, object] = {"reader": reader} if reader else {}
        merged[file] = {**record, "names": sorted(keys - set(names_of_file(file)))}
    return merged


def _format(source: str, tables: dict[Kind, dict[str, dict[str, object]]]) -> str:
    """JSON with one line per file."""
    blocks = []
    for kind, table in tables.items():
        rows = ",\n".join(f"{json.dumps(file)}: {json.dumps(record)}" for file, record in table.items())
        blocks.append(f'"{kind}": {{\n{rows}\n}}')
    return "{" + ",\n".join([f'"source": {json.dumps(source)}', *blocks]) + "}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, metavar="EVAL")
    checkout = parser.parse_args().checkout
    commit = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    kinds: tuple[Kind, ...] = ("topics", "qrels")
    tables = {kind: merge(kind, read_anserini_1(kind), read_eval(kind, checkout)) for kind in kinds}
    source = f"{jvm.find_fatjar().stem.removesuffix('-fatjar')}, its Pyserini, castorini/eval@{commit.stdout.strip()}"
    NAMES_FILE.write_text(_format(source, tables), encoding="utf-8")
    print(f"{NAMES_FILE}: {', '.join(f'{len(tables[kind])} {kind}' for kind in kinds)}")


if __name__ == "__main__":
    main()
