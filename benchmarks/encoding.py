#!/usr/bin/env python3
"""Documents per second, peak memory and query latency: ours against Pyserini, sentence-transformers and plain PyTorch.

    python benchmarks/encoding.py [--documents 256] [--repeat 3] [--models minilm distilbert] [--device cpu]

Every system runs in a separate process, in turn, on the same checkpoint and texts, and must produce {term: impact} mappings
(rule ``pyserini``); those in float32 must agree with plain PyTorch's. The checkpoints are the embedded one and one of
DistilBERT's size with random weights; the texts are CACM's abstracts and Python's documentation, unsorted. The ceiling is the
best of several large matrix products in the same precision on the same machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import (
    ROOT,
    SHARED,
    WORK,
    add_write_results,
    describe_machine,
    figure,
    plain_embedded_model,
    write_results,
)

from splade_lucene import DocumentSettings, QuerySettings

sys.path.insert(0, str(ROOT))

MAX_LENGTH = 256
SYSTEMS = ("plain PyTorch", "sentence-transformers", "Pyserini", "ours float32", "ours bfloat16")
BATCHES = {"Pyserini": 64, "sentence-transformers": 32, "plain PyTorch": 32}  # their own defaults


# ---- texts and checkpoints ----


def texts_of(corpus: str, documents: int) -> list[str]:
    """Evenly spaced texts, in the order of the corpus."""
    from splade_lucene import read_corpus

    everything = [each.text for each in read_corpus(SHARED / "data" / "cacm" if corpus == "CACM" else "python-docs")]
    return [everything[i * len(everything) // documents] for i in range(min(documents, len(everything)))]


def checkpoint(name: str) -> Path:
    """The embedded checkpoint with ordinary weights, or one of DistilBERT's size with random ones."""
    from splade_lucene.models import embedded_model_folder

    if name == "minilm":
        return plain_embedded_model()
    folder = WORK / "distilbert-random"
    if not (folder / "model.safetensors").exists():
        import shutil

        import torch
        from transformers import DistilBertConfig, DistilBertForMaskedLM

        torch.manual_seed(0)
        model = DistilBertForMaskedLM(DistilBertConfig(vocab_size=30522))
        torch.nn.init.normal_(model.vocab_projector.bias, mean=-1.7, std=0.3)  # few terms per text, as if trained
        model.save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(embedded_model_folder() / file, folder / file)
    return folder


# ---- the systems: each returns a function from texts to {term: impact} mappings, and one for a single query ----

Encode = Callable[[Sequence[str]], list[dict[str, int]]]


def plain(folder: Path, device: str) -> tuple[Encode, Encode]:
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval().to(device)
    terms = tokenizer.convert_ids_to_tokens(range(30522))

    def encode(texts: Sequence[str]) -> list[dict[str, int]]:
        found = []
        for start in range(0, len(texts), BATCHES["plain PyTorch"]):
            part = list(texts[start : start + BATCHES["plain PyTorch"]])
            inputs = tokenizer(part, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt").to(
                device
            )
            with torch.inference_mode():
                logits = model(**inputs).logits
                weights = (torch.log1p(torch.relu(logits)) * inputs["attention_mask"][..., None]).amax(dim=1)
            for row in torch.round(weights.double() / 5 * 256).int().cpu():
                ids = row.nonzero()[:, 0]
                found.append(dict(zip([terms[i] for i in ids.tolist()], row[ids].tolist(), strict=True)))
        return found

    return encode, encode


def pyserini(folder: Path, device: str) -> tuple[Encode, Encode]:
    from splade_lucene.jvm.pyserini_import import pyserini_importable

    with pyserini_importable():
        from pyserini.encode import SpladeDocumentEncoder, SpladeQueryEncoder
    documents, queries = (
        SpladeDocumentEncoder(str(folder), device=device),
        SpladeQueryEncoder(str(folder), device=device),
    )
    documents.model.float(), queries.model.float()  # transformers 5 keeps a checkpoint's float16

    def encode(texts: Sequence[str]) -> list[dict[str, int]]:
        size = BATCHES["Pyserini"]
        parts = [documents.encode(list(texts[i : i + size]), max_length=MAX_LENGTH) for i in range(0, len(texts), size)]
        return [vector for part in parts for vector in part]

    return encode, lambda texts: [queries.encode(text, max_length=MAX_LENGTH) for text in texts]


def sentence_transformers(folder: Path, device: str) -> tuple[Encode, Encode]:
    import torch
    from sentence_transformers import SparseEncoder

    model = SparseEncoder(str(folder), device=device, model_kwargs={"dtype": torch.float32})
    model.max_seq_length = MAX_LENGTH
    terms = model.tokenizer.convert_ids_to_tokens(range(30522))

    def mappings(rows: Any) -> list[dict[str, int]]:
        rows = rows.coalesce()
        texts, ids = rows.indices()
        impacts = torch.round(rows.values().double() / 5 * 256).int()
        found: list[dict[str, int]] = [{} for _ in range(rows.shape[0])]
        for text, term_id, impact in zip(texts.tolist(), ids.tolist(), impacts.tolist(), strict=True):
            found[text][terms[term_id]] = impact
        return found

    return lambda texts: mappings(model.encode_document(list(texts))), lambda texts: mappings(
        model.encode_query(list(texts))
    )


def ours(folder: Path, device: str, dtype: str) -> tuple[Encode, Encode]:
    from splade_lucene import Quantizer, SpladeEncoder, SpladeQueryEncoder

    rule = Quantizer.named("pyserini")
    encoder = SpladeEncoder(
        folder,
        documents=DocumentSettings(max_length=MAX_LENGTH),
        queries=QuerySettings(dtype=dtype),
        device=device,
        dtype=dtype,
    )
    queries = SpladeQueryEncoder(encoder, rule, cached_queries=0)
    return lambda texts: list(encoder.encode_impacts(encoder.tokenize_documents(texts), rule)), queries.encode_batch


def open_system(name: str, folder: Path, device: str) -> tuple[Encode, Encode]:
    if name.startswith("ours"):
        return ours(folder, device, name.split()[1])
    return {"plain PyTorch": plain, "Pyserini": pyserini, "sentence-transformers": sentence_transformers}[name](
        folder, device
    )


# ---- one system, in a separate process ----


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    encode, encode_query = open_system(job["system"], Path(job["folder"]), job["device"])
    if job["queries"]:
        for query in job["queries"][:10]:
            encode_query([query])
        times, vectors = [], []
        for query in job["queries"]:
            start = time.perf_counter()
            vectors += encode_query([query])
            times.append(time.perf_counter() - start)
        return {"times": times, "vectors": vectors}
    encode(job["texts"][:8])
    start = time.perf_counter()
    vectors = encode(job["texts"])
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # GiB on Linux
    return {"seconds": seconds, "peak": peak, "vectors": vectors}


def run_in_process(**job: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--job"],
        input=json.dumps({"queries": [], "texts": [], **job}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{job['system']} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# ---- figures ----


def ceiling(dtype: str, device: str) -> float:
    """FLOP per second of the best of several large products."""
    import torch

    kind = getattr(torch, dtype)
    best = 0.0
    for size in (1024, 2048):
        a, b = torch.randn(2048, size, dtype=kind, device=device), torch.randn(size, size, dtype=kind, device=device)
        for _ in range(12):
            start = time.perf_counter()
            torch.nn.functional.linear(a, b)
            if device != "cpu":
                torch.cuda.synchronize()
            best = max(best, 2 * 2048 * size * size / (time.perf_counter() - start))
    return best


def count_work(folder: Path, texts: Sequence[str]) -> tuple[int, float]:
    """Tokens of the texts, and the FLOP of the matrix products for encoding them."""
    from transformers import AutoConfig, AutoTokenizer

    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    lengths = [len(ids) for ids in tokenizer(list(texts), truncation=True, max_length=MAX_LENGTH)["input_ids"]]
    width = config.hidden_size
    layers = config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or config.hidden_dim
    flop_per_token = 2 * (layers * (4 * width**2 + 2 * width * inner) + width**2 + width * config.vocab_size)
    return sum(lengths), sum(n * flop_per_token + layers * 4 * n * n * width for n in lengths)


def agreement(expected: Sequence[dict[str, int]], found: Sequence[dict[str, int]]) -> tuple[int, int, int]:
    """Number of impacts that differ, the largest difference, and the total number of impacts."""
    differences = [
        abs(one.get(term, 0) - other.get(term, 0))
        for one, other in zip(expected, found, strict=True)
        for term in one.keys() | other.keys()
        if one.get(term, 0) or other.get(term, 0)
    ]
    return sum(d > 0 for d in differences), max(differences, default=0), len(differences)


def peer_name(system: str) -> str:
    """As the tables call a peer: Pyserini with its version, because 1.6 and 2.x differ."""
    if system != "Pyserini":
        return system
    return "Pyserini " + ".".join(importlib.metadata.version("pyserini").split(".")[:2])


def compare_documents(model: str, corpus: str, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    folder, texts = checkpoint(model), texts_of(corpus, args.documents)
    tokens, flop = count_work(folder, texts)
    rounds: dict[str, list[dict[str, Any]]] = {system: [] for system in args.systems}
    for _ in range(args.repeat):
        for system in args.systems:
            rounds[system].append(run_in_process(system=system, folder=str(folder), device=args.device, texts=texts))
    expected = rounds["plain PyTorch"][0]["vectors"]
    seconds = {system: statistics.median(each["seconds"] for each in done) for system, done in rounds.items()}
    peers = [s for s in args.systems if not s.startswith("ours")]
    best = min(seconds[s] for s in peers)
    print(f"\n{model}, {len(texts)} documents of {corpus} ({tokens / len(texts):.0f} tokens each)")
    print(
        f"{'':24}{'docs/s':>8}{'tokens/s':>10}{'best peer':>11}{'ceiling':>9}{'peak GiB':>10}"
        "  impacts that differ from plain PyTorch"
    )
    for system in args.systems:
        peak = max(each["peak"] for each in rounds[system])
        dtype = system.split()[1] if system.startswith("ours") else "float32"
        differ, largest, count = agreement(expected, rounds[system][0]["vectors"])
        print(
            f"{system:24}{len(texts) / seconds[system]:8.1f}{tokens / seconds[system]:10,.0f}"
            f"{best / seconds[system]:10.2f}x{flop / seconds[system] / args.ceilings[dtype]:9.0%}{peak:10.2f}"
            f"  {differ} of {count}, at most by {largest}",
            flush=True,
        )
    peaks = {system: max(each["peak"] for each in done) for system, done in rounds.items()}
    return document_figures(
        model, corpus, {s: len(texts) / t for s, t in seconds.items()}, peaks, flop / len(texts), args
    )


def document_figures(
    model: str, corpus: str, rates: dict[str, float], peaks: dict[str, float], flop: float, args: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """What README and docs quote: ours against each peer, and the memory of both.

    Args:
        model: The checkpoint.
        corpus: What was encoded.
        rates: System → documents per second.
        peaks: System → GiB.
        flop: Of a document, mean.
        args: The script's arguments.
    """
    size = "" if model == "minilm" else f", {model}'s size"
    texts = "documents" if corpus == "CACM" else "Python's documentation"
    found = {}
    for ours in (system for system in rates if system.startswith("ours")):
        dtype = ours.split()[1]
        details = {
            "share_of_ceiling": rates[ours] * flop / args.ceilings[dtype],
            "ceiling_gflops": args.ceilings[dtype] / 1e9,
        }
        for peer in (system for system in rates if not system.startswith("ours")):
            found[f"{model}/{corpus}/{ours}/{peer}"] = figure(
                f"encode {texts}{size}, {dtype}", rates[ours], "documents/s", peer=peer_name(peer),
                peer_value=rates[peer], ratio=rates[ours] / rates[peer], **details,
            )  # fmt: skip
    if "Pyserini" in peaks and "ours float32" in peaks:
        found[f"{model}/{corpus}/ours/peak memory"] = figure(
            "peak memory while encoding documents", peaks["ours float32"], "GiB", peer=peer_name("Pyserini"),
            peer_value=peaks["Pyserini"], ratio=peaks["Pyserini"] / peaks["ours float32"],
        )  # fmt: skip
    return found


def compare_queries(model: str, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    from splade_lucene.demo import read_questions

    folder, queries = checkpoint(model), [query.text for query, _ in read_questions()]
    rounds: dict[str, list[dict[str, Any]]] = {system: [] for system in args.systems}
    for _ in range(args.repeat):
        for system in args.systems:
            rounds[system].append(
                run_in_process(system=system, folder=str(folder), device=args.device, queries=queries)
            )
    expected = rounds["plain PyTorch"][0]["vectors"]
    print(f"\n{model}, one query at a time, {len(queries)} questions on Python")
    print(f"{'':24}{'p50 ms':>8}{'p95 ms':>8}{'best peer':>11}  impacts that differ from plain PyTorch")
    p50 = {}
    for system in args.systems:
        p50[system] = statistics.median(statistics.median(each["times"]) for each in rounds[system])
    best = min(value for system, value in p50.items() if not system.startswith("ours"))
    for system in args.systems:
        p95 = statistics.median(statistics.quantiles(each["times"], n=20)[18] for each in rounds[system])
        differ, largest, count = agreement(expected, rounds[system][0]["vectors"])
        print(
            f"{system:24}{p50[system] * 1000:8.2f}{p95 * 1000:8.2f}{best / p50[system]:10.2f}x"
            f"  {differ} of {count}, at most by {largest}",
            flush=True,
        )
    size = "" if model == "minilm" else f", {model}'s size"
    return {
        f"{model}/query/{ours}/{peer}": figure(
            f"encode one query{size}, {ours.split()[1]}, median", p50[ours] * 1000, "ms", peer=peer_name(peer),
            peer_value=p50[peer] * 1000, ratio=p50[peer] / p50[ours],
        )
        for ours in p50
        if ours.startswith("ours")
        for peer in p50
        if not peer.startswith("ours")
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=("minilm", "distilbert"), default=("minilm", "distilbert"))
    parser.add_argument("--corpora", nargs="+", choices=("CACM", "python-docs"), default=("CACM", "python-docs"))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--device", default="cpu")
    add_write_results(parser)
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(run_job(json.load(sys.stdin))))
        return
    if "plain PyTorch" not in args.systems:
        sys.exit("--systems must include plain PyTorch, which the others are compared with")
    args.ceilings = {dtype: ceiling(dtype, args.device) for dtype in ("float32", "bfloat16")}
    print(f"{describe_machine()}, {time.strftime('%Y-%m-%d')}, median of {args.repeat} rounds")
    print("ceiling: " + ", ".join(f"{dtype} {value / 1e9:,.0f} GFLOP/s" for dtype, value in args.ceilings.items()))
    figures: dict[str, dict[str, Any]] = {}
    for model in args.models:
        for corpus in args.corpora:
            figures |= compare_documents(model, corpus, args)
        figures |= compare_queries(model, args)
    if args.write_results:
        write_results("encoding", figures)


if __name__ == "__main__":
    main()
