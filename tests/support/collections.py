"""Collections of pseudo-documents."""

from __future__ import annotations

import random

from splade_lucene import PseudoDocument

# White space is the only thing that terms may not hold.
TERMS = [f"term{i}" for i in range(200)] + ['"', "\\", "é", "##ing", "漢字", "😀", "a\u00a0b", "[CLS]", "'", "/"]


def random_collection(documents: int, seed: int, *, impacts: int = 300) -> list[PseudoDocument]:
    """Documents with random terms and impacts; few impacts make many ties."""
    source = random.Random(seed)
    return [
        PseudoDocument(
            f"d{number}",
            f"text “{number}”\n" if number % 3 else "",
            {term: source.randint(1, impacts) for term in source.sample(TERMS, source.randint(1, 60))},
        )
        for number in source.sample(range(documents), documents)
    ]
