#!/usr/bin/env python3
"""Creates the embedded model from a trained checkpoint, or measures it.

    python benchmarks/embedded_model.py --make CHECKPOINT                     # write to splade_lucene/models
    python benchmarks/embedded_model.py [--original CHECKPOINT] [--bfloat16]  # measure

Measures, on CACM and on the questions on Python's documentation, with Lucene indexes of quantized impacts: BM25; the model; its
documents pruned to different numbers of terms; its variant whose queries need no network; int8 storage against the original;
and bfloat16 against float32. Also measures the time to load the model and to encode passages of 100 tokens. Draws
docs/embedded-model.png. Needs the shared data and, for --make, the extra ``train``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from common import PYTHON_DOCS_LENGTH, ROOT, SHARED, WORK, add_write_results, describe_machine, figure, write_results
from numpy.typing import NDArray

from splade_lucene import (
    DocumentSettings,
    LuceneImpactSearcher,
    Pruning,
    PseudoDocument,
    Quantizer,
    Query,
    QuerySettings,
    Run,
    SpladeEncoder,
    evaluate,
    index_pseudo_documents,
    read_corpus,
    read_qrels,
    read_topics,
    write_pseudo_documents,
)
from splade_lucene.demo import read_questions
from splade_lucene.encoder.layout import QueryMode
from splade_lucene.encoder.sparse import SparseWeights
from splade_lucene.encoder.storage import INT8_WEIGHTS, store_in_int8
from splade_lucene.index.texts import index_texts
from splade_lucene.models import EMBEDDED_MODEL
from splade_lucene.search.bm25 import search_texts

FOLDER = WORK / "embedded-model"
MODELS = ROOT / "splade_lucene" / "models"
MEASURES = ("nDCG@10", "RR@10", "R@100")
PRUNED = (16, 32, 48, 64, 96, 128)
RULE = Quantizer.named("naver")
DOC = f"{EMBEDDED_MODEL}-doc"


class Collection:
    """Documents, queries and judgments, and the maximum length of documents."""

    def __init__(self, name: str) -> None:
        self.name = name
        if name == "CACM":
            folder = SHARED / "data" / "cacm"
            self.documents, self.length = list(read_corpus(folder / "corpus.jsonl")), 256
            self.qrels = read_qrels(folder / "qrels.txt")
            self.topics = [topic for topic in read_topics(folder / "topics.tsv") if topic.qid in self.qrels]
        else:
            questions = list(read_questions())
            self.documents, self.length = list(read_corpus("python-docs")), PYTHON_DOCS_LENGTH
            self.qrels = {query.qid: dict.fromkeys(docids, 1) for query, docids in questions}
            self.topics = [query for query, _ in questions]

    def encode(self, model: str | Path | None, dtype: str = "float32") -> SparseWeights:
        """Weights of all documents."""
        encoder = SpladeEncoder(model, documents=DocumentSettings(max_length=self.length), dtype=dtype, device="cpu")  # type: ignore[arg-type]
        return encoder.encode_documents([document.text for document in self.documents])

    def measure(self, documents: SparseWeights, queries: list[dict[str, int]]) -> dict[str, float]:
        """Measures with an index."""
        shutil.rmtree(FOLDER / "work", ignore_errors=True)
        vectors = documents.quantize(RULE, "document")
        parts = FOLDER / "work" / "part.jsonl"
        write_pseudo_documents(
            parts,
            (
                PseudoDocument(each.docid, "", vector)
                for each, vector in zip(self.documents, vectors, strict=True)
                if vector
            ),
        )
        index_pseudo_documents(parts, FOLDER / "work" / "index", accelerator=False, store="none")
        with LuceneImpactSearcher(FOLDER / "work" / "index") as searcher:
            found = searcher.batch_search(queries, [topic.qid for topic in self.topics], k=1000)
        frequencies: dict[str, int] = {}
        for vector in vectors:
            for term in vector:
                frequencies[term] = frequencies.get(term, 0) + 1
        products = sum(frequencies.get(term, 0) for query in queries for term in query)
        return {
            **evaluate(self.qrels, Run(found), MEASURES),
            "query terms": float(np.mean([len(query) for query in queries])),
            "document terms": sum(frequencies.values()) / len(vectors),
            "FLOPS": products / len(queries) / len(vectors),
        }

    def queries(self, model: str | Path | None, mode: QueryMode | None = None) -> list[dict[str, int]]:
        """The encoded queries."""
        encoder = SpladeEncoder(model, queries=QuerySettings(mode=mode), device="cpu")
        return encoder.encode_queries([topic.text for topic in self.topics]).quantize(RULE, "query")

    def measure_bm25(self) -> dict[str, float]:
        """Measures BM25."""
        index = FOLDER / f"bm25-{self.name}"
        index_texts(self.documents, index, overwrite=True)
        topics: list[Query] = self.topics
        return evaluate(self.qrels, Run(search_texts(index, topics, 1000)), MEASURES)


def make(checkpoint: Path) -> None:
    """Writes a trained model as int8, and its table of query weights, into the package."""
    from splade_lucene.training.query_table import make_query_table, write_query_table

    target = MODELS / EMBEDDED_MODEL
    kept = {name: (target / name).read_bytes() for name in ("README.md",) if (target / name).is_file()}
    shutil.rmtree(target)
    size = store_in_int8(checkpoint, target)
    for name in ("training.json", "training_args.bin", "model.safetensors"):
        (target / name).unlink(missing_ok=True)
    for name, content in kept.items():
        (target / name).write_bytes(content)
    data = SHARED / "data" / "training"
    queries = [query.text for query in read_topics(data / "queries.jsonl.gz")][::4]
    passages = [document.text for document in read_corpus(data / "passages.jsonl.gz")]
    table = make_query_table(
        SpladeEncoder(target, queries=QuerySettings(dtype="float32"), device="cpu"),
        queries,
        passages,
    )
    write_query_table(MODELS / DOC / "query_token_weights.txt", table)
    print(f"wrote {target / INT8_WEIGHTS}: {size:,} bytes; {len(table):,} query weights")


def distortion(collection: Collection, original: Path) -> dict[int, float]:
    """Relative L2 error of the weights of the hundred longest documents if a row, 64 or 32 numbers share a scale."""
    texts = sorted((document.text for document in collection.documents), key=len)[-100:]

    def weights_of(model: Path) -> NDArray[np.float32]:
        encoder = SpladeEncoder(
            model, documents=DocumentSettings(max_length=collection.length), dtype="float32", device="cpu"
        )
        encoded = encoder.encode_documents(texts)
        dense = np.zeros((len(texts), len(encoded.terms)), np.float32)
        dense[np.repeat(np.arange(len(texts)), encoded.counts), encoded.term_ids] = encoded.values
        return dense

    expected, found = weights_of(original), {}
    for group in (384, 64, 32):
        shutil.rmtree(FOLDER / "stored", ignore_errors=True)
        store_in_int8(original, FOLDER / "stored", group)
        found[group] = round(
            float(np.linalg.norm(weights_of(FOLDER / "stored") - expected) / np.linalg.norm(expected)), 4
        )
    return found


def speed() -> dict[str, float]:
    """Seconds to load without imports, in a separate process; passages of 100 tokens per second; milliseconds per query."""
    code = (
        "import time; a = time.perf_counter(); from splade_lucene import SpladeEncoder\n"
        "from splade_lucene.encoder import network; from transformers.models.bert import modeling_bert\n"
        "from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer\n"
        "b = time.perf_counter(); e = SpladeEncoder(device='cpu', dtype='float32'); e.load('document'); "
        "print(b - a, time.perf_counter() - b)"
    )
    loads = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    encoder = SpladeEncoder(device="cpu")
    encoder.load("document")
    text = " ".join(["information retrieval ranks the documents of a large collection for each query"] * 20)
    encoder = SpladeEncoder(documents=DocumentSettings(max_length=100), device="cpu")
    texts = [f"{number} {text}" for number in range(64)]
    encoder.encode_documents(texts[:8])
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        encoder.encode_documents(texts)
        rates.append(len(texts) / (time.perf_counter() - start))
    return {
        "load s": float(np.median([float(each.stdout.split()[1]) for each in loads])),
        "passages/s": float(np.median(rates)),
        "query ms": _query_time(encoder),
    }


def _query_time(encoder: SpladeEncoder) -> float:
    questions = [query.text for query, _ in read_questions()]
    encoder.encode_queries(questions[:3])
    times = []
    for question in questions:
        start = time.perf_counter()
        encoder.encode_queries([question])
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def main() -> None:
    """Creates or measures the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--original", type=Path, help="the float32 checkpoint that the embedded one was created from")
    parser.add_argument("--model", help="measure this model instead of the embedded one")
    parser.add_argument(
        "--bfloat16", action="store_true", help="measure bfloat16 as well; slow on CPUs without native support"
    )
    parser.add_argument("--collections", nargs="+", choices=("CACM", "python-docs"), default=["CACM", "python-docs"])
    add_write_results(parser)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make)
        return
    print(describe_machine())
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for name in arguments.collections:
        collection = Collection(name)
        table = rows[name] = {"BM25": collection.measure_bm25()}
        documents, queries = collection.encode(arguments.model), collection.queries(arguments.model)
        table["embedded"] = collection.measure(documents, queries)
        for terms in PRUNED:
            table[f"documents of {terms} terms"] = collection.measure(
                documents.prune(Pruning(top_terms=terms)), queries
            )
        binary = collection.queries(arguments.model, "binary")
        table["queries binary"] = collection.measure(documents, binary)
        if arguments.model is None:
            table["queries from the table"] = collection.measure(documents, collection.queries(DOC))
        if arguments.original:
            original = collection.encode(arguments.original)
            table["original, before int8"] = collection.measure(original, collection.queries(arguments.original))
            print(f"{name:12} relative L2 error by numbers per scale:", distortion(collection, arguments.original))
        if arguments.bfloat16:
            table["documents in bfloat16"] = collection.measure(collection.encode(arguments.model, "bfloat16"), queries)
        for row, figures in table.items():
            print(f"{name:12} {row:28}", *(f"{key} {value:.4f}" for key, value in figures.items()), flush=True)
    if arguments.model is None:
        measured = speed()
        print(measured)
        draw(rows)
        if arguments.write_results:
            write_results("embedded_model", as_figures(rows, measured))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "figures.json").write_text(json.dumps(rows, indent=1))


def as_figures(rows: dict[str, dict[str, dict[str, float]]], measured: dict[str, float]) -> dict[str, dict[str, Any]]:
    """The rows as figures to keep, under the names that the tables show."""
    names = {
        "embedded": EMBEDDED_MODEL,
        "original, before int8": "before int8 storage",
        "documents in bfloat16": "documents encoded in bfloat16",
        "queries from the table": DOC,
        "queries binary": "every query token weighs 1",
        **{f"documents of {terms} terms": f"documents pruned to {terms} terms" for terms in PRUNED},
    }
    others = {"R@100": "R@100", "query terms": "query_terms", "document terms": "document_terms"}
    found = {}
    for collection, table in rows.items():
        for row, values in table.items():
            name = names.get(row, row)
            details = {key: values[column] for column, key in others.items() if column in values}
            found[f"{collection}/{name}"] = figure(f"{name}, {collection}", values["nDCG@10"], "nDCG@10", **details)
    found["load"] = figure("load the embedded model, not counting imports", measured["load s"], "s")
    found["passages"] = figure("encode passages of 100 tokens", measured["passages/s"], "passages/s")
    return found


def draw(rows: dict[str, dict[str, dict[str, float]]]) -> None:
    """Plots nDCG@10 against the mean number of terms per document."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6))
    for (name, table), colour in zip(rows.items(), ("tab:blue", "tab:orange"), strict=False):
        points = sorted(
            (figures["document terms"], figures["nDCG@10"])
            for row, figures in table.items()
            if row == "embedded" or row.startswith("documents of")
        )
        axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=name)
        axes.axhline(table["BM25"]["nDCG@10"], color=colour, linestyle=":", label=f"{name}, BM25")
    axes.set_xlabel("mean terms per document")
    axes.set_ylabel("nDCG@10")
    axes.legend()
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / "embedded-model.png", dpi=110)


if __name__ == "__main__":
    main()
