"""The oracle against hand values and against sums in plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splade_lucene.records import Contribution, PseudoDocument
from splade_lucene.search.reference import exhaustive_search


def documents_of(vectors):
    return [PseudoDocument(docid, "", vector) for docid, vector in vectors.items()]


BY_HAND = documents_of(
    {
        "d1": {"a": 2, "b": 3},
        "d2": {"b": 10},
        "d3": {"c": 7},
        "d10": {"a": 5},
    }
)


def test_scores_by_hand():
    assert exhaustive_search(BY_HAND, {"a": 2, "b": 1}, 10) == [("d10", 10), ("d2", 10), ("d1", 7)]


def test_ties_at_the_boundary_go_to_the_docid_that_is_first_as_bytes():
    assert exhaustive_search(BY_HAND, {"a": 2, "b": 1}, 1) == [("d10", 10)]
    ties = documents_of({docid: {"t": 1} for docid in ("2", "10", "é", "z", "Z", "1")})
    assert exhaustive_search(ties, {"t": 3}, 4) == [("1", 3), ("10", 3), ("2", 3), ("Z", 3)]
    assert [docid for docid, _ in exhaustive_search(ties, {"t": 3}, 9)][4:] == ["z", "é"]


def test_bytes_and_not_utf16_units_decide():
    # U+FF5E comes before U+1F600 as bytes, but behind it in Java's UTF-16
    ties = documents_of({"😀": {"t": 1}, "\uff5e": {"t": 1}})
    assert exhaustive_search(ties, {"t": 1}, 2) == [("\uff5e", 1), ("😀", 1)]


def test_documents_without_a_common_term_are_no_hits():
    assert exhaustive_search(BY_HAND, {"x": 5}, 10) == []
    assert exhaustive_search(BY_HAND, {}, 10) == []
    assert exhaustive_search(BY_HAND, {"c": 0}, 10) == []
    assert exhaustive_search([], {"a": 1}, 10) == []
    assert exhaustive_search(BY_HAND, {"a": 1}, 0) == []


def test_large_scores_are_exact():
    big = documents_of({"d1": {"a": 2**31 - 1, "b": 1}, "d2": {"a": 2**31 - 1}})
    assert exhaustive_search(big, {"a": 2**20, "b": 1}, 2) == [
        ("d1", (2**31 - 1) * 2**20 + 1),
        ("d2", (2**31 - 1) * 2**20),
    ]


vectors = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 300), max_size=6)
collections = st.dictionaries(st.text("01é😀z", min_size=1, max_size=3), vectors, max_size=12)


@given(collections, vectors, st.integers(0, 15))
def test_ranking_is_that_of_plain_sums(collection, query, k):
    scores = {
        docid: sum(impact * vector.get(term, 0) for term, impact in query.items())
        for docid, vector in collection.items()
    }
    hits = [docid for docid in scores if scores[docid] > 0]
    hits.sort(key=lambda docid: docid.encode())
    hits.sort(key=lambda docid: scores[docid], reverse=True)  # stable
    found = exhaustive_search(documents_of(collection), query, k)
    assert found == [(docid, scores[docid]) for docid in hits[:k]]
    assert not any(isinstance(score, np.generic) for _, score in found)


def test_contribution_is_the_product():
    assert Contribution("a", 3, 7).product == 21
    contributions = [Contribution("a", 2, 2), Contribution("b", 1, 3)]
    (hit,) = [score for docid, score in exhaustive_search(BY_HAND, {"a": 2, "b": 1}, 9) if docid == "d1"]
    assert sum(each.product for each in contributions) == hit


def test_records_cannot_be_changed():
    with pytest.raises(AttributeError):
        BY_HAND[0].docid = "other"
