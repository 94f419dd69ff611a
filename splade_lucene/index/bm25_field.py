"""The field of an impact index in which its texts are indexed for BM25, as Anserini does in an index of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from splade_lucene.counts import counted, part_of
from splade_lucene.errors import InputError, PseudoDocumentError
from splade_lucene.fields.schema import BM25_FIELD
from splade_lucene.index.reader import LuceneImpactIndexReader
from splade_lucene.notes import note

_ANALYZER = "DefaultEnglishAnalyzer"


def describe_bm25(*, bm25: bool) -> dict[str, str]:
    """What a manifest says about the field; nothing if the index does not have it."""
    return {"field": BM25_FIELD, "analyzer": _ANALYZER} if bm25 else {}


def keeps_bm25(reader: LuceneImpactIndexReader, *, wanted: bool) -> bool:
    """Whether documents that are added to an index are indexed for BM25: if the index has the field, or has no documents yet.

    Args:
        reader: The open index.
        wanted: Whether the caller asks for it.

    Raises:
        InputError: It is asked for, and the documents of the index lack the field.
    """
    if reader.has_bm25:
        return True
    if wanted and reader.num_docs:
        raise InputError(
            f"the documents of this index ({reader.num_docs:,}) are not indexed for BM25, so new ones cannot be either",
            path=reader.index_dir,
            remedy="Build the index again with bm25=True, or add the documents without it",
        )
    return wanted


def common_bm25(indexes: Sequence[LuceneImpactIndexReader]) -> bool:
    """Whether the texts of several indexes that are merged are indexed for BM25.

    Raises:
        InputError: Those of some are, and those of others are not.
    """
    having, lacking = [each for each in indexes if each.has_bm25], lacking_bm25(indexes)
    if having and lacking:
        raise InputError(
            f"{having[0].index_dir} has texts for BM25, {lacking[0].index_dir} has none, so they cannot be merged",
            remedy="Search them together instead of merging them, or build one of them again",
        )
    return bool(having)


def lacking_bm25(indexes: Sequence[LuceneImpactIndexReader]) -> list[LuceneImpactIndexReader]:
    """The indexes that have documents, and no texts for BM25."""
    return [each for each in indexes if each.num_docs and not each.has_bm25]


def check_texts(documents: int, without_text: int, source: Path, *, is_new: bool) -> None:
    """Reports documents that were indexed for BM25 without a term.

    Args:
        documents: Number of documents that were indexed.
        without_text: Number of those whose text is missing, or has no terms.
        source: Where they come from.
        is_new: Whether they are all documents of the index, so that the caller asked for BM25 for them.

    Raises:
        PseudoDocumentError: None of the documents of a new index has a text.
    """
    if is_new and without_text == documents:
        raise PseudoDocumentError(
            "no document has a text with a term, so there is nothing to index for BM25",
            path=source,
            remedy="Encode the corpus with its texts, which are the member 'contents', or index without BM25",
        )
    if without_text:
        note_without_text(documents, without_text, "text with a term")


def note_without_text(documents: int, without_text: int, lacking: str) -> None:
    """Notes that BM25 does not find some documents.

    Args:
        documents: Number of documents that were indexed.
        without_text: Number of those that BM25 does not find.
        lacking: What they have none of.
    """
    note(
        part_of(
            without_text, counted(documents, "document"), f"has no {lacking}: BM25 does not find it",
            f"have no {lacking}: BM25 does not find them",
        )
    )  # fmt: skip
