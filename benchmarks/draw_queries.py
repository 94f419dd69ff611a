#!/usr/bin/env python3
"""Draws the training queries of the embedded model: 8,000 of the shared ones, and 4,000 sentences from passages.

    python benchmarks/draw_queries.py            # writes benchmarks/work/training/queries3.jsonl

The shared queries have nine words on average. Sentences of 10 to 32 words represent longer questions; the teacher determines
which passages answer them.
"""

from __future__ import annotations

import gzip
import json
import random
import re

from common import SHARED, WORK

OWN, SENTENCES, SEED = 8000, 4000, 5


def main() -> None:
    """Writes the file."""
    rng = random.Random(SEED)
    queries, passages = (_read(name) for name in ("queries", "passages"))
    drawn = rng.sample(queries, OWN)
    for passage in rng.sample(passages, len(passages)):
        sentences = [each for each in re.split(r"(?<=[.?!])\s+", passage["text"]) if 10 <= len(each.split()) <= 32]
        if sentences:
            drawn.append({"_id": f"crop-{passage['_id']}", "text": rng.choice(sentences)})
        if len(drawn) == OWN + SENTENCES:
            break
    rng.shuffle(drawn)
    target = WORK / "training" / "queries3.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(json.dumps(each) + "\n" for each in drawn), encoding="utf-8")
    print(f"wrote {len(drawn):,} queries to {target}")


def _read(name: str) -> list[dict[str, str]]:
    with gzip.open(SHARED / "data" / "training" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
