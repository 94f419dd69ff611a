#!/usr/bin/env python3
"""The pooled head for training against sentence-transformers': time and memory of one forward and backward pass.

    python benchmarks/training_head.py [--repeat 3] [--models minilm distilbert] [--texts 60] [--tokens 96]

The peer is sentence-transformers' ``SpladePooling`` over all logits, as in its trainer. Both get the same hidden states,
decoder and gradient, and the sum of the weights and the norms of the gradients must agree. Each measurement runs in a separate
process, so that peak memory is measured correctly; the two sides take turns. ``--active`` sets the density of a text.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

from common import add_write_results, describe_machine, figure, write_results

WIDTHS = {"minilm": 384, "distilbert": 768}
TERMS = 30522


def measure(side: str, width: int, texts: int, tokens: int, active: int, pooling: str) -> dict[str, float]:
    """One forward and backward pass."""
    import torch
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    from splade_lucene.training.head import pooled_weights

    rng = torch.Generator().manual_seed(1)
    hidden = torch.randn(texts, tokens, width, generator=rng)
    weight = torch.randn(TERMS, width, generator=rng) / width**0.5
    highest = (hidden[:4].view(-1, width) @ weight.T).view(4, tokens, TERMS).amax(dim=1)
    bias = torch.full((TERMS,), -float(highest.flatten().topk(4 * active).values[-1]))
    lengths = torch.randint(tokens // 4, tokens + 1, (texts,), generator=rng)
    mask = torch.arange(tokens) < lengths.unsqueeze(1)
    gradient = torch.randn(texts, TERMS, generator=rng)
    parameters = [each.requires_grad_() for each in (hidden, weight, bias)]
    pool = SpladePooling(pooling_strategy=pooling).train()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if side == "ours":
        weights = pooled_weights([hidden], weight, bias, [mask], pooling)  # type: ignore[arg-type]
    else:
        logits = torch.nn.functional.linear(hidden, weight, bias)
        weights = pool({"token_embeddings": logits, "attention_mask": mask.long()})["sentence_embedding"]
        del logits
    middle = time.perf_counter()
    weights.backward(gradient)
    end = time.perf_counter()
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    sums = [float(each.grad.double().square().sum()) for each in parameters if each.grad is not None]
    return {
        "forward": middle - start, "backward": end - middle, "MiB": peak,
        "terms": float((weights > 0).float().sum(dim=1).mean()), "weights": float(weights.double().sum()),
        "of_hidden": sums[0], "of_weight": sums[1], "of_bias": sums[2],
    }  # fmt: skip


def in_child(*arguments: object) -> dict[str, float]:
    """The same in a separate process."""
    command = [sys.executable, __file__, "--child", json.dumps(arguments)]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def main() -> None:
    """Prints one line per model and pooling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument("--texts", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--active", type=int, default=300, help="active terms per text")
    add_write_results(parser)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(*json.loads(arguments.child))))
        return
    figures = {}
    print(describe_machine(), f"{arguments.texts} texts of up to {arguments.tokens} tokens", sep="; ")
    for model in arguments.models:
        for pooling in ("max", "sum"):
            sides: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
            for _ in range(arguments.repeat):
                for side, results in sides.items():
                    size = (WIDTHS[model], arguments.texts, arguments.tokens, arguments.active, pooling)
                    results.append(in_child(side, *size))
            for name in ("weights", "of_hidden", "of_weight", "of_bias"):
                ours, peers = sides["ours"][0][name], sides["peer"][0][name]
                assert abs(ours - peers) < 1e-3 * abs(peers), (name, ours, peers)
            ours, peer = (
                {k: statistics.median(r[k] for r in results) for k in results[0]} for results in sides.values()
            )
            totals = [each["forward"] + each["backward"] for each in (ours, peer)]
            print(
                f"{model} {pooling}, {ours['terms']:.0f} active terms: forward {ours['forward']:.2f} s, backward "
                f"{ours['backward']:.2f} s, {ours['MiB']:,.0f} MiB; sentence-transformers {peer['forward']:.2f} s, "
                f"{peer['backward']:.2f} s, {peer['MiB']:,.0f} MiB: {totals[1] / totals[0]:.1f} times as fast, "
                f"{peer['MiB'] / ours['MiB']:.1f} times less memory",
                flush=True,
            )
            figures[f"{model}/{pooling}"] = figure(
                f"a training step's head, {pooling} pooling" + (f", {model}" if model != "minilm" else ""), totals[0], "s",
                peer="sentence-transformers", peer_value=totals[1], ratio=totals[1] / totals[0],
                mib=round(ours["MiB"]), peer_mib=round(peer["MiB"]), memory_ratio=peer["MiB"] / ours["MiB"],
            )  # fmt: skip
    if arguments.write_results:
        write_results("training_head", figures)


if __name__ == "__main__":
    main()
