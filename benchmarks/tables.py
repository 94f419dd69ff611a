#!/usr/bin/env python3
"""Writes the tables of figures in README, docs and model cards from benchmarks/results/*.json.

    python benchmarks/tables.py            # rewrites each table between its markers
    python benchmarks/tables.py --check    # exits with 1 if one differs

A table is between ``<!-- figures: NAME -->`` and ``<!-- end of figures -->``. NAME is a key of TABLES. The benchmark
scripts write the JSON files (``--write-results``); nobody edits a figure in a page by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("splade_lucene/models/*/README.md")),
]
MARKED = re.compile(r"<!-- figures: ([a-z-]+) -->\n(.*?)<!-- end of figures -->", re.DOTALL)

Figure = dict[str, Any]


@cache
def results(script: str) -> dict[str, Figure]:
    """The figures of a script, by key."""
    found: dict[str, Figure] = json.loads((RESULTS / f"{script}.json").read_text(encoding="utf-8"))
    return found


def number(value: float | None, form: str = "") -> str:
    """A figure for people; empty if there is none.

    Args:
        value: The figure.
        form: A format specification. Default: an int as it is, a float with two decimals below 1, one below 100.
    """
    if value is None:
        return ""
    if form:
        return f"{value:{form}}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def quantity(value: float | None, unit: str) -> str:
    """A figure with its unit."""
    return "" if value is None else f"{number(value)} {unit}"


def times(ratio: float | None) -> str:
    """How many times as fast, or as small; a dash if that was not measured."""
    return "–" if ratio is None else number(ratio, "" if isinstance(ratio, int) else ".1f")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """A Markdown table.

    Args:
        columns: Names.
        rows: Cells.
        align: A letter for each column: l or r.
    """
    rule = [{"r": "---:"}.get(letter, "---") for letter in align or "l" * len(columns)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (columns, rule, *rows))


def script_of(figure: Figure) -> str:
    """The command, short enough for a cell."""
    return f"`{figure['command'].removeprefix('benchmarks/')}`"


def compared(figures: Iterable[Figure], *, with_script: bool = True) -> str:
    """What was measured, here and at a peer: a row for each figure."""
    rows = []
    for each in figures:
        peer = ": ".join(part for part in (each["peer"] or "", quantity(each["peer_value"], each["unit"])) if part)
        row = [each["what"], quantity(each["ours"], each["unit"]), peer, times(each["ratio"])]
        rows.append([*row, script_of(each), each["date"]] if with_script else row)
    columns = ["", "splade_lucene", "peer", "times", "script", "date"]
    return table(columns if with_script else columns[:4], rows, "lllrll" if with_script else "lllr")


def costs(figures: Iterable[Figure]) -> str:
    """What something costs compared with something plainer: a row for each figure."""
    rows = [
        [
            each["what"],
            quantity(each["ours"], each["unit"]),
            f"{each['peer']}: {quantity(each['peer_value'], each['unit'])}" if each["peer"] else "",
            number(each["ours"] / each["peer_value"], ".2f") if each["peer"] else "",
        ]
        for each in figures
    ]
    return table(["", "", "compared with", "times as long"], rows, "lrlr")


# ---- README ----


def ratios() -> str:
    search, encode = results("searching"), results("encoding")
    figures = [
        search["1000000/search, k=10/Pyserini"],
        search["1000000/search, k=10/Lucene"],
        search["1000000/search, k=1000/Pyserini"],
        search["real-text/search, k=10/Pyserini"],
        results("indexing")["1000000/ours"],
        encode["minilm/CACM/ours float32/Pyserini"],
        best_backend("minilm/CACM/ours float32"),
        best_backend("minilm/query/ours onnx"),
        results("startup")["text"],
        results("end_to_end")["1000 queries"],
    ]
    rows = []
    for each in figures:
        peer = f"{each['peer']}: {quantity(each['peer_value'], each['unit'])}"
        script = each["command"].split()[0]
        link = f"[{Path(script).name}]({script})"
        rows.append([each["what"], quantity(each["ours"], each["unit"]), peer, f"**{times(each['ratio'])}**", link])
    return table(["", "splade_lucene", "peer", "times", "script"], rows, "lllrl")


# ---- scale ----


def measured_rates() -> dict[str, float]:
    """The arguments of ``MeasuredRates``, from the figures of the other tables."""
    search, index = results("searching"), results("indexing")
    small, large = (search[f"{size}/search, k=10/Pyserini"]["ours"] for size in (200_000, 1_000_000))
    slope = (large - small) / 0.8  # for a million documents
    rates = {
        "documents_per_second": results("encoding")["minilm/CACM/ours float32/Pyserini"]["ours"],
        "pseudo_document_bytes": results("distributed")["bytes"]["ours"],
        "index_bytes": index["200000/bytes"]["ours"] * 1e6 / 200_000,
        "accelerator_bytes": index["200000/accelerator bytes"]["ours"] * 1e6 / 200_000,
        "indexing_seconds": index["1000000/ours"]["ours"],
        "query_milliseconds": small - 0.2 * slope,
        "query_milliseconds_per_million": slope,
    }
    return {name: float(f"{rate:.4g}") for name, rate in rates.items()}


HOW_TO_MEASURE = {
    "documents_per_second": "the progress bar of `encode`, one worker",
    "pseudo_document_bytes": "bytes of the output folder / documents",
    "index_bytes": "bytes of the index without its accelerator / documents",
    "accelerator_bytes": "bytes of the accelerator / documents",
    "indexing_seconds": "the time of `index`, for a million documents",
    "query_milliseconds": "`stats --latency` on indexes of two sizes: the intercept",
    "query_milliseconds_per_million": "the slope, per million documents",
}


def scale_rates() -> str:
    """The table that readers fill in, and a call with the same figures."""
    rates = measured_rates()
    rows = [[f"`{name}`", how, f"{rates[name]:,g}", ""] for name, how in HOW_TO_MEASURE.items()]
    filled = table(["figure", "how to measure it", "here", "yours"], rows, "llrl")
    arguments = "".join(f"    {name}={rate:g},\n" for name, rate in rates.items())
    return f"""{filled}

```python
from splade_lucene import MeasuredRates, plan_scale

rates = MeasuredRates(
{arguments})
plan = plan_scale(138_364_198, rates, workers=128)
print(plan.encoding_hours, plan.index_bytes / 1e9, plan.query_milliseconds)
```"""


def scale() -> str:
    """The arithmetic for large collections."""
    sys.path.insert(0, str(ROOT))
    from splade_lucene import MeasuredRates, plan_scale

    rates = MeasuredRates(**measured_rates())
    rows = []
    for documents, name in ((138_364_198, "MS MARCO V2"), (1_000_000_000, "a billion")):
        plans = {workers: plan_scale(documents, rates, workers=workers) for workers in (16, 128)}
        plan = plans[128]
        rows.append([
            f"{name}: {documents:,}",
            *(f"{number(each.encoding_hours)} h + {number(each.indexing_hours)} h" for each in plans.values()),
            f"{number(plan.worker_hours)}", f"{number(plan.pseudo_document_bytes / 1e12)} TB",
            f"{plan.shards} of {number(plan.shard_bytes / 1e9)} GB",
            f"{number(plan.query_milliseconds)} ms", f"{number(plan.query_processor_milliseconds)} ms",
        ])  # fmt: skip
    return table(
        [
            "documents",
            "encoding + indexing, 16 workers",
            "128 workers",
            "worker hours",
            "pseudo-documents",
            "shards",
            "a query, k = 10",
            "of all shards",
        ],
        rows,
        "lrrrrrrr",
    )


def ray() -> str:
    """What Ray costs, and whether workers add up; all on one machine."""
    found = results("distributed").items()
    return compared([each for key, each in found if "/" in key], with_script=False)


# ---- performance ----


def searching() -> str:
    found = results("searching")
    rows = []
    for size in sorted({key.split("/")[0] for key in found}, key=lambda size: (not size.isdigit(), size.zfill(9))):
        for k in (10, 1000):
            ours, lucene = (found.get(f"{size}/search, k={k}/{peer}") for peer in ("Pyserini", "Lucene"))
            if ours is None:
                continue
            name = number(ours["details"]["documents"]) + ("" if size.isdigit() else " of real text")
            row = [name if k == 10 else "", str(k), number(ours["ours"], ".2f")]
            for each in (ours, lucene):
                row += ["", ""] if each is None else [number(each["peer_value"], ".1f"), times(each["ratio"])]
            rows.append(row)
    return table(
        ["documents", "k", "splade_lucene", "Pyserini's `search`", "times", "Lucene called directly", "times"],
        rows,
        "lrrrrrr",
    )


def searching_more() -> str:
    found = results("searching")
    whole = found["1000000/search, k=10/Pyserini"]
    details = whole["details"]
    rows = [
        [
            f"the {name}, 1,000,000 documents, k = 10",
            *(quantity(details[f"{side}{key}"], "ms") for side in ("", "peer_")),
            times(details[f"peer_{key}"] / details[key]),
        ]
        for name, key in (("median query", "p50"), ("slowest hundredth", "p99"))
    ]
    batches = [each for key, each in found.items() if "batch_search, 2 threads" in key]
    rows += [
        [
            each["what"],
            quantity(each["ours"], each["unit"]),
            quantity(each["peer_value"], each["unit"]),
            times(each["ratio"]),
        ]
        for each in batches
    ]
    return table(["", "splade_lucene", "Pyserini", "times"], rows, "lrrr")


def approximation() -> str:
    found = results("tradeoff")
    rows = []
    for size, kind in (("200000", "synthetic documents"), ("real-text", "documents of real text")):
        exact = found[f"{size}/exact"]
        name = f"{number(exact['details']['documents'])} {kind}"
        cells = [number(exact["ours"], ".2f")]
        for recall in ("0.99", "0.95"):
            each = found[f"{size}/recall {recall}"]
            cells += [number(each["ours"], ".2f"), number(each["peer_value"], ".2f")]
        built = quantity(exact["details"]["seismic_build_seconds"], "s")
        rows.append([name, *cells, number(found[f"{size}/alpha 0.85"]["ours"], ".3f"), built])
    return table(
        [
            "",
            "exact",
            "recall 0.99",
            "Seismic",
            "recall 0.95",
            "Seismic",
            "recall of alpha 0.85",
            "Seismic is built in",
        ],
        rows,
        "lrrrrrrr",
    )


def encoding() -> str:
    """A row for each variant of ours: the peers' figures, and how many times as fast ours is; the fastest backend of theirs."""
    rows = []
    for prefix in dict.fromkeys(key.rpartition("/")[0] for key in results("encoding") if "peak memory" not in key):
        best, plain, pyserini = (
            best_backend(prefix),
            *(results("encoding").get(f"{prefix}/{peer}") for peer in ("plain PyTorch", "Pyserini")),
        )
        backend = best["peer"].removeprefix("sentence-transformers").strip()
        rows.append(
            [
                best["what"],
                quantity(best["ours"], best["unit"]),
                *(
                    f"{number(each['peer_value'])} ({times(each['ratio'])})" if each else ""
                    for each in (plain, pyserini)
                ),
                f"{number(best['peer_value'])} ({times(best['ratio'])})" + (f", {backend}" if backend else ""),
                best["date"],
            ]
        )
    columns = [
        "",
        "splade_lucene",
        "plain PyTorch",
        "Pyserini 1.6",
        "sentence-transformers, its fastest backend",
        "date",
    ]
    return table(columns, rows, "lrrrll")


def encoding_gpu() -> str:
    """Against sentence-transformers in the same precision, and in its own."""
    peers = {"ours float32": {"sentence-transformers"},
             "ours bfloat16": {"sentence-transformers", "sentence-transformers bfloat16"}}  # fmt: skip
    figures = ((key.split("/"), each) for key, each in results("encoding_gpu").items())
    return compared(each for (*_, ours, peer), each in figures if peer in peers[ours])


def best_backend(prefix: str) -> Figure:
    """A figure against the fastest backend of sentence-transformers.

    Args:
        prefix: Model, corpus and variant of ours.
    """
    peers = (value for key, value in results("encoding").items() if key.startswith(f"{prefix}/sentence-transformers"))
    return min(peers, key=lambda figure: figure["ratio"])


def ceilings() -> str:
    rows = []
    for dtype in ("float32", "bfloat16"):
        details = results("encoding")[f"minilm/CACM/ours {dtype}/sentence-transformers"]["details"]
        rows.append([dtype, quantity(details["ceiling_gflops"], "GFLOP/s"), number(details["share_of_ceiling"], ".0%")])
    return table(["", "best product measured", "share that encoding reaches"], rows, "lrr")


def indexing() -> str:
    return compared(each for each in results("indexing").values() if each["peer"])


def end_to_end() -> str:
    return compared(results("end_to_end").values())


def serving() -> str:
    """Requests a second and latency of the server and of Pyserini's service."""
    found = results("serving")
    rows = []
    for clients in (1, 8, 64):
        for name, what in (("plain", "hits"), ("page", "hits with passages of their texts")):
            each = found[f"{name}-{clients}"]
            rows.append([
                str(clients), what, number(each["ours"]), number(each["details"]["p50"]), number(each["details"]["p99"]),
                f"**{each['ratio']:.1f}**",
            ])  # fmt: skip
        rows.append([
            str(clients), "Pyserini: hits with texts", number(each["peer_value"]), number(each["details"]["peer_p50"]),
            number(each["details"]["peer_p99"]), "",
        ])  # fmt: skip
    return table(["clients", "what is answered", "requests/s", "p50, ms", "p99, ms", "ratio"], rows, "rlrrrr")


def startup() -> str:
    return compared(results("startup").values(), with_script=False)


def training_head() -> str:
    rows = []
    for each in results("training_head").values():
        details = each["details"]
        rows.append(
            [
                each["what"],
                quantity(each["ours"], each["unit"]),
                quantity(each["peer_value"], each["unit"]),
                times(each["ratio"]),
                quantity(details.get("mib"), "MiB"),
                quantity(details.get("peer_mib"), "MiB"),
                times(details["memory_ratio"]),
            ]
        )
    return table(
        [
            "",
            "splade_lucene",
            "sentence-transformers",
            "times as fast",
            "memory",
            "sentence-transformers",
            "times less",
        ],
        rows,
        "lrrrrrr",
    )


def training() -> str:
    rows = []
    for each in results("training").values():
        shown = (quantity(each[side], each["unit"]) for side in ("ours", "peer_value"))
        rows.append([each["what"], *shown, times(each["ratio"])])
    return table(["", "splade_lucene", "sentence-transformers", "times"], rows, "lrrr")


def training_effectiveness() -> str:
    rows = []
    for each in results("training_effectiveness").values():
        details = each["details"]
        interval = f"{details['least']:+.3f} to {details['greatest']:+.3f}"
        difference = f"{each['ours'] - each['peer_value']:+.3f} ({interval})"
        shown = (f"{each[side]:.3f}" for side in ("ours", "peer_value"))
        rows.append([each["what"], number(details["queries"]), f"{details['flops']:.1f}", *shown, difference])
    heads = ["nDCG@10", "queries", "FLOPS", "splade_lucene", "sentence-transformers", "difference (95 % interval)"]
    return table(heads, rows, "lrrrrr")


def space() -> str:
    rows = [
        [each["what"], quantity(each["ours"], each["unit"]), each["command"], each["date"]]
        for each in results("indexing").values()
        if not each["peer"]
    ]
    peak = results("encoding")["minilm/CACM/ours/peak memory"]
    peer = f"{peak['peer']}: {quantity(peak['peer_value'], peak['unit'])}"
    rows.append([peak["what"], f"{quantity(peak['ours'], peak['unit'])} ({peer})", script_of(peak), peak["date"]])
    for each in results("soak").values():
        details = each["details"]
        grown = (
            f"from {quantity(details['first_gib'], 'GiB')} to {quantity(details['last_gib'], 'GiB')} in the first "
            f"{number(details['flat_after'])} queries, then no more"
        )
        rows.append([f"memory during {each['what']}", grown, script_of(each), each["date"]])
    return table(["", "memory or disk", "measured by", "date"], rows)


def soak() -> str:
    rows = [
        [
            each["what"],
            quantity(each["ours"], each["unit"]),
            number(each["details"]["checked"]),
            number(each["details"]["wrong"]),
        ]
        for each in results("soak").values()
    ]
    return table(["", "time", "answers checked", "wrong answers"], rows, "lrrr")


# ---- models ----


def _effect(found: dict[str, Figure], name: str, collection: str) -> list[str]:
    each = found.get(f"{collection}/{name}")
    if each is None:
        return [""] * 4
    details = each.get("details", {})
    return [
        number(each["ours"], ".3f"),
        number(details["R@100"], ".3f"),
        number(details.get("query_terms"), ".1f"),
        number(details.get("document_terms"), ".1f"),
    ]


def embedded_model() -> str:
    found = results("embedded_model")
    names = dict.fromkeys(key.split("/", 1)[1] for key in found if "/" in key)
    rows = [
        [name, *(cell for part in ("CACM", "python-docs") for cell in _effect(found, name, part))] for name in names
    ]
    columns = ["nDCG@10", "R@100", "terms per query", "terms per document"]
    return table(
        ["", *(f"CACM: {columns[0]}", *columns[1:]), *(f"python-docs: {columns[0]}", *columns[1:])], rows, "l" + 8 * "r"
    )


def embedded_speed() -> str:
    found = results("embedded_model")
    return table(
        ["", "", "machine", "date"],
        [
            [each["what"], quantity(each["ours"], each["unit"]), each["machine"], each["date"]]
            for each in (found["load"], found["passages"])
        ],
    )


# ---- indexes that change ----


def filters() -> str:
    rows = []
    for each in results("living").values():
        ratio = number(each["ours"] / each["peer_value"], ".2f")
        times = [number(value, ".2f") for value in (each["ours"], each["peer_value"])]
        accepts, k = each["details"]["accepts"], str(each["details"]["k"])
        rows.append([accepts, k, *times, ratio, number(each["details"]["first"], ".1f")])
    return table(["accepts", "k", "ms", "ms without", "times as long", "ms when new"], rows, "lrrrrr")


def feedback_effect() -> str:
    rows = []
    for key, each in results("feedback").items():
        kind = key.removeprefix("cacm/")
        if kind != key:
            rows.append([kind, *(number(each["details"][name], ".4f") for name in ("nDCG@10", "AP", "R@100"))])
    return table(["CACM", "nDCG@10", "AP", "R@100"], rows, "lrrr")


# ---- engines ----


def engines() -> str:
    found = [*results("engines").values()]
    details = found[0]["details"]
    own = ["splade_lucene", details["our_bytes"], details["our_load_seconds"], found[0]["ours"], 1.0, True]
    others = [
        [
            f"{each['peer']} ({each['details']['version']})", each["details"]["bytes"], each["details"]["load_seconds"],
            each["peer_value"], each["details"]["recall"], each["details"]["exact"],
        ]
        for each in found
    ]  # fmt: skip
    rows = [
        [name, number(size / 1e6), number(load), number(ms), number(recall, ".3f"), "yes" if exact else "no"]
        for name, size, load, ms, recall, exact in (own, *others)
    ]
    columns = [
        f"{number(details['documents'])} documents",
        "MB",
        "loaded in, s",
        "k = 10, ms",
        "recall",
        "exact scores",
    ]
    return table(columns, rows, "lrrrrl")


# ---- evaluation ----


def _systems(collection: str) -> str:
    measures = ("nDCG@10", "RR@10", "R@100")
    costs = (
        ("query_terms", ".1f"),
        ("document_terms", ".1f"),
        ("flops", ".2f"),
        ("bytes_a_document", ",.0f"),
        ("encode_ms", ".2f"),
        ("search_ms", ".3f"),
    )
    rows = []
    for key, each in results("compare_systems").items():
        part, _, name = key.partition("/")
        if part != collection:
            continue
        details = {"nDCG@10": each["ours"], **each["details"]}
        row = [name]
        for measure in measures:
            mark = "**" if measure in details["best"] else ""
            row.append(f"{mark}{details[measure]:.4f}{mark}" + "†" * (measure in details["differs"]))
        rows.append([*row, *(number(details[cost], form) for cost, form in costs)])
    columns = [
        "",
        *measures,
        "terms per query",
        "terms per document",
        "FLOPS",
        "bytes per document",
        "ms to encode",
        "ms to search",
    ]
    return table(columns, rows, "l" + 9 * "r")


def demo() -> str:
    """What the demo prints."""
    systems = {name: results("demo")[name]["details"] for name in ("SPLADE", "BM25")}
    columns = list(systems["SPLADE"])
    rows = [[name, *(number(means[column], ".4f") for column in columns)] for name, means in systems.items()]
    measures = table(["", *columns], rows, "l" + "r" * len(columns))
    times = [results("demo")[key] for key in ("first", "whole", "again") if key in results("demo")]
    if not times:
        return measures
    row = [times[0]["machine"], times[0]["details"]["precision"], *(f"{each['ours']:.0f} s" for each in times)]
    columns = ["", "documents in", *(each["what"] for each in times)]
    return f"{measures}\n\n{table(columns, [row], 'llrrr')}"


def environments() -> str:
    """What runs where: a row for each Python and kind of installation."""
    rows = []
    for each in results("environments").values():
        details = each["details"]
        steps = ["yes" if step in details else "–" for step in ("index", "search", "demo", "parity")]
        packages = [details["pyserini"], details["torch"] or "–"]
        sizes = [f"{each['ours']:.2f} GB", f"{details['wheel_bytes'] / 1e6:.0f} MB"]
        rows.append([each["what"], details["kind"], *packages, *sizes, *steps])
    steps = ["index", "text query", "demo", "Pyserini's searcher: the same run"]
    return table(["", "", "Pyserini", "PyTorch", "on disk", "of it the wheel", *steps], rows, "llllrr" + "l" * 4)


def report() -> str:
    rows = []
    for name, each in results("report").items():
        details = each["details"]
        rows.append(
            [
                name,
                number(details["relative_l2"], ".5f"),
                number(details["terms_lost"], ".2%"),
                number(details["terms"], ".1f"),
                number(details["changed_impacts"], ".3%"),
                number(each["ours"], ".4f"),
                number(details["RR@10"], ".4f"),
            ]
        )
    return table(["", "relative L2", "terms lost", "terms", "changed impacts", "nDCG@10", "RR@10"], rows, "lrrrrrr")


# ---- training ----


def four_systems() -> str:
    found = results("four_systems")
    rows = []
    for name in dict.fromkeys(key.split("/", 1)[1] for key in found):
        row = [name if name == "BM25" else f"`{name}`"]
        for collection in ("CACM", "python-docs"):
            each = found[f"{collection}/{name}"]
            details = each["details"]
            terms = ", ".join(
                number(details[key], ".1f") for key in ("query_terms", "document_terms") if key in details
            )
            row += [
                number(each["ours"], ".3f"),
                number(details["RR@10"], ".3f"),
                number(details["R@100"], ".3f"),
                terms,
                number(details.get("flops"), ".1f"),
            ]
        rows.append(row)
    columns = ["nDCG@10", "RR@10", "R@100", "terms per query, per document", "FLOPS"]
    return table(
        ["", f"CACM: {columns[0]}", *columns[1:], f"python-docs: {columns[0]}", *columns[1:]], rows, "l" + 10 * "r"
    )


TABLES: dict[str, Callable[[], str]] = {
    "ratios": ratios,
    "scale": scale,
    "scale-rates": scale_rates,
    "ray": ray,
    "searching": searching,
    "searching-more": searching_more,
    "approximation": approximation,
    "encoding": encoding,
    "encoding-gpu": encoding_gpu,
    "ceilings": ceilings,
    "indexing": indexing,
    "end-to-end": end_to_end,
    "serving": serving,
    "engines": engines,
    "startup": startup,
    "training-head": training_head,
    "training": training,
    "training-effectiveness": training_effectiveness,
    "space": space,
    "soak": soak,
    "embedded-model": embedded_model,
    "embedded-speed": embedded_speed,
    "systems-cacm": lambda: _systems("CACM"),
    "systems-python-docs": lambda: _systems("python-docs"),
    "demo": demo,
    "environments": environments,
    "report": report,
    "filters": filters,
    "changes": lambda: costs(results("changes").values()),
    "several": lambda: costs(results("several").values()),
    "feedback-effect": feedback_effect,
    "four-systems": four_systems,
}
"""Name of a marker → what writes its table."""


def fill_in(text: str) -> str:
    """The text of a page with its tables written again."""

    def write(found: re.Match[str]) -> str:
        return f"<!-- figures: {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end of figures -->"

    return MARKED.sub(write, text)


def main() -> None:
    """Writes or checks all pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is out of date")
    check = parser.parse_args().check
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        current = fill_in(text)
        if current != text:
            stale.append(page.relative_to(ROOT).as_posix())
            if not check:
                page.write_text(current, encoding="utf-8")
    print("\n".join(f"{page} {'is out of date' if check else 'was written'}" for page in stale))
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
