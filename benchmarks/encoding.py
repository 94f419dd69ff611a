#!/usr/bin/env python3
"""Documents per second, peak memory and query latency: ours against Pyserini, sentence-transformers and plain PyTorch.

    python benchmarks/encoding.py [--documents 256] [--repeat 3] [--models minilm distilbert] [--device cpu]
    python benchmarks/encoding.py --models minilm --corpora CACM --documents 96 --repeat 2      some eight minutes on two cores
    python benchmarks/encoding.py --device cuda --models minilm distilbert bert --corpora python-docs --documents 6000

Every system runs in turn, on a CPU in a separate process, on the same checkpoint and texts, and must produce {term: impact}
mappings (rule ``pyserini``); those in float32 must agree with plain PyTorch's. The checkpoints are the embedded one and ones
of the sizes of DistilBERT and BERT with random weights; the texts are CACM's abstracts and Python's documentation, unsorted.
The ceiling is the best of several large matrix products in the same precision on the same machine.

sentence-transformers is measured with each of its backends. ONNX and OpenVINO need optimum, which does not run with every
version of transformers: ``--peer-python PYTHON`` names the interpreter of an environment with
``pip install 'sentence-transformers[onnx,openvino]'``. A backend that is not installed there is skipped with a note, as is
one that cannot compute on the device.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import resource
import shutil
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

sys.path.insert(0, str(ROOT))

MAX_LENGTH = 256
SIZES = {"minilm": "", "distilbert": ", DistilBERT's size", "bert": ", BERT's size"}
MODELS = tuple(SIZES)
BACKENDS = {"sentence-transformers ONNX": ("onnx", "optimum.onnxruntime"),
            "sentence-transformers OpenVINO": ("openvino", "optimum.intel.openvino")}  # fmt: skip
"""Other backends of sentence-transformers: its name for them, and what they need."""

HALF = "sentence-transformers bfloat16"
"""Its own precision is float32; on a GPU its users ask for this one."""

SYSTEMS = ("plain PyTorch", "sentence-transformers", HALF, *BACKENDS, "Pyserini", "ours float32", "ours bfloat16", "ours int8",
           "ours onnx")  # fmt: skip
QUERIES_ONLY = "ours int8"  # the decoder; documents are encoded in float32 or bfloat16
BATCHES = {"Pyserini": 64, "sentence-transformers": 32, "plain PyTorch": 32}  # their own defaults


# ---- texts and checkpoints ----


def texts_of(corpus: str, documents: int) -> list[str]:
    """Evenly spaced texts, in the order of the corpus."""
    from splade_lucene import read_corpus

    everything = [each.text for each in read_corpus(SHARED / "data" / "cacm" if corpus == "CACM" else "python-docs")]
    return [everything[i * len(everything) // documents] for i in range(min(documents, len(everything)))]


def checkpoint(name: str) -> Path:
    """The embedded checkpoint with ordinary weights, or one of the size of DistilBERT or BERT with random ones."""
    from splade_lucene.models import embedded_model_folder

    if name == "minilm":
        return plain_embedded_model()
    folder = WORK / f"{name}-random"
    if not (folder / "model.safetensors").exists():
        import torch
        from transformers import BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM

        torch.manual_seed(0)
        if name == "bert":
            model: Any = BertForMaskedLM(BertConfig(vocab_size=30522))
        else:
            model = DistilBertForMaskedLM(DistilBertConfig(vocab_size=30522))
        torch.nn.init.normal_(
            model.get_output_embeddings().bias, mean=-1.7, std=0.3
        )  # few terms per text, as if trained
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


def sentence_transformers(
    folder: Path, device: str, backend: str = "torch", dtype: str = "float32"
) -> tuple[Encode, Encode]:
    import torch
    from sentence_transformers import SparseEncoder

    if backend == "torch":
        model = SparseEncoder(str(folder), device=device, model_kwargs={"dtype": getattr(torch, dtype)})
    else:
        exported = WORK / f"{folder.name}-{backend}"
        if not exported.exists():
            SparseEncoder(str(folder), backend=backend, model_kwargs={"export": True}).save_pretrained(str(exported))
        model = SparseEncoder(str(exported), device=device, backend=backend)
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
    from splade_lucene import DocumentSettings, Quantizer, QuerySettings, SpladeEncoder, SpladeQueryEncoder

    rule = Quantizer.named("pyserini")
    documents: dict[str, Any] = {"dtype": "float32" if dtype in ("onnx", "int8") else dtype}
    queries = QuerySettings(dtype=documents["dtype"] if dtype == "onnx" else dtype, backend="torch")
    if dtype == "onnx":
        folder = with_onnx(folder)
        documents["backend"], queries = "onnx", QuerySettings(backend="onnx")
    encoder = SpladeEncoder(folder, DocumentSettings(max_length=MAX_LENGTH), queries, device=device, **documents)
    queries = SpladeQueryEncoder(encoder, rule, cached_queries=0)
    return lambda texts: list(encoder.encode_impacts(encoder.tokenize_documents(texts), rule)), queries.encode_batch


def with_onnx(folder: Path) -> Path:
    """The checkpoint with an ONNX file, written once."""
    from splade_lucene.encoder.onnx_export import save_with_onnx

    target = WORK / f"{folder.name}-with-onnx"
    if not target.exists():
        save_with_onnx(folder, target)
    return target


def open_system(name: str, folder: Path, device: str) -> tuple[Encode, Encode]:
    if name.startswith("ours"):
        return ours(folder, device, name.split()[1])
    if name in BACKENDS:
        return sentence_transformers(folder, device, BACKENDS[name][0])
    if name == HALF:
        return sentence_transformers(folder, device, dtype="bfloat16")
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


def run_in_process(python: str, **job: Any) -> dict[str, Any]:
    """Runs a job in a process of its own, so that its peak memory is that of one system; on a GPU, in this process."""
    if job["device"] != "cpu":
        return run_job({"queries": [], "texts": [], **job})
    done = subprocess.run(
        [python if job["system"] in BACKENDS else sys.executable, __file__, "--job"],
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT)},
        input=json.dumps({"queries": [], "texts": [], **job}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{job['system']} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def usable_systems(args: argparse.Namespace) -> list[str]:
    """The systems that can be measured here; says which cannot, and why."""
    usable = []
    for system in args.systems:
        if system in BACKENDS:
            code = f"import sentence_transformers, {BACKENDS[system][1]}"
            found = subprocess.run([args.peer_python, "-c", code], capture_output=True, text=True, check=False)
            if found.returncode:
                print(f"{system} is skipped: {found.stderr.strip().splitlines()[-1]}")
                continue
        if args.device != "cpu" and system in (*BACKENDS, "ours onnx", "ours int8"):
            print(f"{system} is skipped: it computes on a CPU")
            continue
        if args.device == "cpu" and system == HALF:
            print(f"{system} is skipped: it is measured on a GPU")
            continue
        if system == "Pyserini" and importlib.util.find_spec("pyserini") is None:
            print(f"{system} is skipped: it is not installed")
            continue
        usable.append(system)
    return usable


# ---- figures ----


def ceiling(dtype: str, device: str) -> float:
    """FLOP per second of the best of several large products."""
    import torch

    kind = getattr(torch, dtype)
    best = 0.0
    rows, sizes = (2048, (1024, 2048)) if device == "cpu" else (8192, (4096, 8192))
    for size in sizes:
        a, b = torch.randn(rows, size, dtype=kind, device=device), torch.randn(size, size, dtype=kind, device=device)
        for _ in range(12):
            if device != "cpu":
                torch.cuda.synchronize()
            start = time.perf_counter()
            torch.nn.functional.linear(a, b)
            if device != "cpu":
                torch.cuda.synchronize()
            best = max(best, 2 * rows * size * size / (time.perf_counter() - start))
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


def dtype_of(system: str) -> str:
    """The precision of documents, whose ceiling a system is compared with."""
    return "bfloat16" if system in ("ours bfloat16", HALF) else "float32"


def variant(system: str) -> str:
    """What tables call one of ours."""
    return {"ours onnx": "float32 by ONNX Runtime", "ours int8": "int8 decoder"}.get(system, system.split()[1])


def peer_name(system: str) -> str:
    """As the tables call a peer: Pyserini with its version, because 1.6 and 2.x differ."""
    if system != "Pyserini":
        return system
    return "Pyserini " + ".".join(importlib.metadata.version("pyserini").split(".")[:2])


def compare_documents(model: str, corpus: str, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    folder, texts = checkpoint(model), texts_of(corpus, args.documents)
    tokens, flop = count_work(folder, texts)
    systems = [system for system in args.systems if system != QUERIES_ONLY]
    rounds: dict[str, list[dict[str, Any]]] = {system: [] for system in systems}
    for _ in range(args.repeat):
        for system in systems:
            job = {"system": system, "folder": str(folder), "device": args.device, "texts": texts}
            rounds[system].append(run_in_process(args.peer_python, **job))
    expected = rounds["plain PyTorch"][0]["vectors"]
    seconds = {system: statistics.median(each["seconds"] for each in done) for system, done in rounds.items()}
    peers = [s for s in systems if not s.startswith("ours")]
    best = min(seconds[s] for s in peers)
    print(f"\n{model}, {len(texts)} documents of {corpus} ({tokens / len(texts):.0f} tokens each)")
    print(
        f"{'':31}{'docs/s':>8}{'tokens/s':>10}{'best peer':>11}{'ceiling':>9}{'peak GiB':>10}"
        "  impacts that differ from plain PyTorch"
    )
    for system in systems:
        peak = max(each["peak"] for each in rounds[system])
        dtype = dtype_of(system)
        differ, largest, count = agreement(expected, rounds[system][0]["vectors"])
        print(
            f"{system:31}{len(texts) / seconds[system]:8.1f}{tokens / seconds[system]:10,.0f}"
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
    size = SIZES[model]
    texts = "documents" if corpus == "CACM" else "Python's documentation"
    found = {}
    for ours in (system for system in rates if system.startswith("ours")):
        dtype = variant(ours)
        details = {
            "share_of_ceiling": rates[ours] * flop / args.ceilings[dtype_of(ours)],
            "ceiling_gflops": args.ceilings[dtype_of(ours)] / 1e9,
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
            job = {"system": system, "folder": str(folder), "device": args.device, "queries": queries}
            rounds[system].append(run_in_process(args.peer_python, **job))
    expected = rounds["plain PyTorch"][0]["vectors"]
    print(f"\n{model}, one query at a time, {len(queries)} questions on Python")
    print(f"{'':31}{'p50 ms':>8}{'p95 ms':>8}{'best peer':>11}  impacts that differ from plain PyTorch")
    p50 = {}
    for system in args.systems:
        p50[system] = statistics.median(statistics.median(each["times"]) for each in rounds[system])
    best = min(value for system, value in p50.items() if not system.startswith("ours"))
    for system in args.systems:
        p95 = statistics.median(statistics.quantiles(each["times"], n=20)[18] for each in rounds[system])
        differ, largest, count = agreement(expected, rounds[system][0]["vectors"])
        print(
            f"{system:31}{p50[system] * 1000:8.2f}{p95 * 1000:8.2f}{best / p50[system]:10.2f}x"
            f"  {differ} of {count}, at most by {largest}",
            flush=True,
        )
    size = SIZES[model]
    return {
        f"{model}/query/{ours}/{peer}": figure(
            f"encode one query{size}, {variant(ours)}, median", p50[ours] * 1000, "ms", peer=peer_name(peer),
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
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS[:2])
    parser.add_argument("--corpora", nargs="+", choices=("CACM", "python-docs"), default=("CACM", "python-docs"))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--no-queries", action="store_true", help="measure documents only")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--peer-python", default=sys.executable, help="Python with sentence-transformers' other backends"
    )
    add_write_results(parser)
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(run_job(json.load(sys.stdin))))
        return
    if "plain PyTorch" not in args.systems:
        sys.exit("--systems must include plain PyTorch, which the others are compared with")
    args.systems = usable_systems(args)
    for stale in (*WORK.glob("*-onnx"), *WORK.glob("*-openvino")):
        shutil.rmtree(stale)
    args.ceilings = {dtype: ceiling(dtype, args.device) for dtype in ("float32", "bfloat16")}
    print(f"{describe_machine(args.device)}, {time.strftime('%Y-%m-%d')}, median of {args.repeat} rounds")
    print("ceiling: " + ", ".join(f"{dtype} {value / 1e9:,.0f} GFLOP/s" for dtype, value in args.ceilings.items()))
    for model in args.models:
        figures: dict[str, dict[str, Any]] = {}
        for corpus in args.corpora:
            figures |= compare_documents(model, corpus, args)
        if not args.no_queries:
            figures |= compare_queries(model, args)
        if args.write_results:
            write_results("encoding", figures, args.device)


if __name__ == "__main__":
    main()
