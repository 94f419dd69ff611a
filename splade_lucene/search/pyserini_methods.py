"""The methods of Pyserini's ``LuceneImpactSearcher`` that an impact searcher can only refuse, or answer with a constant."""

from __future__ import annotations

from typing import Any, NoReturn

from splade_lucene.errors import QueryError


class PyseriniMethods:
    """Makes scripts written for Pyserini fail with the reason, instead of with an ``AttributeError``."""

    @classmethod
    def from_prebuilt_index(cls, *_: Any, **__: Any) -> NoReturn:
        """Refused: prebuilt indexes are downloaded by Pyserini."""
        _refuse("from_prebuilt_index", "prebuilt indexes are downloaded by Pyserini", _DOWNLOAD)

    @staticmethod
    def list_prebuilt_indexes(*_: Any, **__: Any) -> NoReturn:
        """Refused: prebuilt indexes are listed by Pyserini."""
        _refuse("list_prebuilt_indexes", "prebuilt indexes are listed by Pyserini", _DOWNLOAD)

    def set_analyzer(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: queries are encoded, not analyzed."""
        _refuse("set_analyzer", "the queries of an impact index are encoded, not analyzed", _ENCODER)

    def set_language(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: queries are encoded, not analyzed."""
        _refuse("set_language", "the queries of an impact index are encoded, not analyzed", _ENCODER)

    def set_rm3(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: relevance feedback needs the vectors of documents."""
        _refuse("set_rm3", _NO_VECTORS, _FEEDBACK)

    def set_rocchio(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: relevance feedback needs the vectors of documents."""
        _refuse("set_rocchio", _NO_VECTORS, _FEEDBACK)

    def unset_rm3(self) -> None:
        """Does nothing: relevance feedback is always off."""

    def unset_rocchio(self) -> None:
        """Does nothing: relevance feedback is always off."""

    def is_using_rm3(self) -> bool:
        """False: relevance feedback is always off."""
        return False

    def is_using_rocchio(self) -> bool:
        """False: relevance feedback is always off."""
        return False


_DOWNLOAD = "Call pyserini.util.download_prebuilt_index, and open the folder that it returns"
_ENCODER = "Pass another query_encoder, or encoded queries"
_NO_VECTORS = "relevance feedback needs the vectors of documents, which this searcher cannot read from an index"
_FEEDBACK = 'Index with store="raw", and use Pyserini\'s own LuceneImpactSearcher'


def _refuse(method: str, reason: str, remedy: str) -> NoReturn:
    raise QueryError(f"{method} is not available: {reason}", remedy=remedy)
