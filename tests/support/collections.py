"""Collections of pseudo-documents."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

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


def mixed_collection(vectors: Sequence[Mapping[str, int]], documents: int, seed: int) -> Iterator[PseudoDocument]:
    """Documents with the terms of three vectors each, whose impacts are scaled: as skewed as the vectors are."""
    source = random.Random(seed)
    for number in range(documents):
        mixed: dict[str, int] = {}
        for vector in source.choices(vectors, k=3):
            scale = source.uniform(0.5, 1.2)
            for term, impact in vector.items():
                mixed[term] = max(mixed.get(term, 1), min(350, int(impact * scale)))
        yield PseudoDocument(str(number), "", mixed)
