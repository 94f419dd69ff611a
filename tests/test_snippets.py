"""Passages of texts with the query's terms marked."""

from __future__ import annotations

from typing import Any

import pytest

from splade_lucene import (
    Approximation,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    QueryError,
    SpladeEncoder,
    TokFreqQueryEncoder,
)
from splade_lucene.search.snippets import find_terms, make_snippets


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("snippets") / "index"
    with LuceneImpactIndexer(folder) as indexer:
        indexer.add([PseudoDocument(f"d{i}", f"text {i}", {"a": i + 1, f"b{i}": 1}) for i in range(5)])
    with LuceneImpactSearcher(folder, TokFreqQueryEncoder()) as searcher:
        yield searcher


def snippet(searcher: LuceneImpactSearcher, text: str, vector: dict[str, int], **options: int) -> str:
    (found,) = make_snippets(searcher, [text], vector, **options)
    return "".join(f"[{each.text}]" if each.marked else each.text for each in found)


def test_matches_are_marked(searcher):
    assert snippet(searcher, "a cat  and\na dog", {"cat": 2, "dog": 1, "and": 0}) == "a [cat] and a [dog]"
    assert snippet(searcher, "cat", {"cat": 1}) == "[cat]"
    assert snippet(searcher, " \n", {"cat": 1}) == ""
    assert snippet(searcher, "nothing here", {"cat": 1}) == "nothing here"


def test_the_passage_with_the_most_important_distinct_terms_is_shown(searcher):
    text = " ".join(["filler"] * 40 + ["cat"] * 9 + ["filler"] * 40 + ["cat", "x", "dog"] + ["filler"] * 40)
    shown = snippet(searcher, text, {"cat": 3, "dog": 2}, characters=60)
    assert "[cat] x [dog]" in shown
    assert shown.startswith("… filler")
    assert shown.endswith("filler …")
    assert len(shown) < 60 + 20
    only = snippet(searcher, text, {"dog": 2}, characters=60)
    assert only.count("[dog]") == 1


@pytest.mark.parametrize("characters", [1, 5, 17, 40, 1000])
@pytest.mark.parametrize("text", ["word " * 50 + "match " + "word " * 50, "match" * 3 + " match", "x" * 300 + " match"])
def test_snippets_are_pieces_of_the_text_and_show_a_match(searcher, text, characters):
    (found,) = make_snippets(searcher, [text], {"match": 1}, characters=characters)
    shown = "".join(each.text for each in found).removeprefix("… ").removesuffix(" …")
    assert shown in " ".join(text.split())
    assert [each.text for each in found if each.marked][:1] == ["match"]
    assert all(each.text for each in found)


def test_tokens_of_a_model_are_found_where_they_are(encoder: SpladeEncoder):
    (spans,) = encoder.query_spans(["Naïve CAFÉ, unbelievable"])
    text = "Naïve CAFÉ, unbelievable"
    assert [text[span.start : span.stop].lower() for span in spans][:3] == ["naïve", "café", ","]
    assert [span.term for span in spans][:3] == ["naive", "cafe", ","]
    pieces = [span.term for span in spans][3:]
    assert "".join(piece.removeprefix("##") for piece in pieces) == "unbelievable"


def test_pieces_of_a_word_are_one_mark(tmp_path, encoder: SpladeEncoder):
    from splade_lucene import Quantizer, SpladeQueryEncoder

    with LuceneImpactIndexer(tmp_path / "index") as indexer:
        indexer.add([PseudoDocument("d", "", {"a": 1})])
    text = "the unbelievableness of it"
    with LuceneImpactSearcher(tmp_path / "index", SpladeQueryEncoder(encoder, Quantizer.named("naver"))) as searcher:
        (spans,) = find_terms(searcher, [text])
        pieces = {span.term: 1 for span in spans if span.start >= 4 and span.stop <= 20}
        assert len(pieces) > 1
        assert snippet(searcher, text, pieces) == "the [unbelievableness] of it"


# ---- what the server uses of hits, searches and readers ----


def test_documents_of_hits_are_read_at_once(searcher):
    hits = searcher.search({"a": 1}, 3)
    documents = hits.documents()
    assert [each.docid() for each in documents] == hits.docids
    assert [each.contents() for each in documents] == [hit.contents for hit in hits]
    assert [each.lucene_docid() for each in documents] == hits.lucene_docids.tolist()


def test_an_approximation_can_be_chosen_for_one_search(searcher):
    beta = Approximation(beta=0.5)
    with LuceneImpactSearcher(searcher.index_dir, approximation=beta) as other:
        query = {"a": 1, "b0": 9}
        approximate = searcher.search(query, 5, approximation=beta)
        assert approximate == other.search(query, 5) != searcher.search(query, 5)
        assert other.search(query, 5, approximation=Approximation()) == searcher.search(query, 5)
    with LuceneImpactSearcher(searcher.index_dir, engine="taat") as other, pytest.raises(QueryError, match="block-max"):
        other.search(query, 5, approximation=Approximation(alpha=0.5))


def test_distributions_and_ranges_are_those_of_live_documents(tmp_path):
    fields = {"year": "integer", "price": "number", "day": "date", "lang": "keyword", "open": "boolean"}
    with LuceneImpactIndexer(tmp_path / "index", fields=fields) as indexer:
        for number in range(6):
            values: Any = {"year": 1990 + number, "price": -number / 2, "day": f"2020-01-0{number + 1}", "lang": "de"}
            indexer.add([PseudoDocument(f"d{number}", "", {f"t{i}": number + 1 for i in range(number + 1)}, values)])
            indexer.commit()
        indexer.delete("d5")
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        found = searcher.reader.distributions()
        assert found.impacts == {number + 1: number + 1 for number in range(5)}
        assert found.lengths == dict.fromkeys(range(1, 6), 1)
        assert searcher.reader.value_range("year") == (1990, 1994)
        assert searcher.reader.value_range("price") == (-2, 0)
        first, last = map(str, searcher.reader.value_range("day"))
        assert (first[:10], last[:10]) == ("2020-01-01", "2020-01-05")
        assert searcher.reader.value_range("open") is None
        with pytest.raises(QueryError, match="has keywords"):
            searcher.reader.value_range("lang")
        with pytest.raises(QueryError, match="no field 'none'"):
            searcher.reader.value_range("none")
    with LuceneImpactSearcher([tmp_path / "index"]) as searcher:
        assert searcher.reader.distributions() == found
