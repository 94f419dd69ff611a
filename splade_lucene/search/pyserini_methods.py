"""The methods of Pyserini's ``LuceneImpactSearcher`` that an impact searcher does not support."""

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


_DOWNLOAD = "Call pyserini.util.download_prebuilt_index, and open the folder that it returns"
_ENCODER = "Pass another query_encoder, or encoded queries"


def _refuse(method: str, reason: str, remedy: str) -> NoReturn:
    raise QueryError(f"{method} is not available: {reason}", remedy=remedy)
