"""Documents of other systems, and the conversion of their weights to impacts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from splade_lucene.arguments import is_number
from splade_lucene.corpus.fields import ID_KEYS, TEXT_KEYS
from splade_lucene.defaults import MAX_IMPACT
from splade_lucene.errors import PseudoDocumentError, shortened
from splade_lucene.fields.schema import NO_FIELDS, FieldSchema
from splade_lucene.fields.values import WrongValueError
from splade_lucene.pseudo_documents.problems import PROBLEMS, BadDocumentError, message
from splade_lucene.pseudo_documents.validation import check_docid, check_posting, check_text
from splade_lucene.quantizer import DEFAULT_RULE, Quantizer
from splade_lucene.records import FieldValue, PseudoDocument


class ForeignDocument(NamedTuple):
    """A document of another system, not yet checked.

    Attributes:
        docid: Its id.
        contents: Its text; anything but a string if there is none.
        weights: Term → weight, as they were read.
        path: Where it is.
        line: Its line or row in the file, from 1; None if the file has none.
        fields: The values of its fields, by name.
    """

    docid: object
    contents: object
    weights: Mapping[str, Any]
    path: Path
    line: int | None = None
    fields: Mapping[str, FieldValue] = {}


DocumentOrError = ForeignDocument | PseudoDocumentError
"""A document, or what is wrong with it."""

Read = Callable[[Path, "Settings"], Iterator[DocumentOrError]]
"""Reads the documents of a source."""


@dataclass(frozen=True)
class Settings:
    """What is not stated in a source itself.

    Attributes:
        work_folder: Where there is space for temporary files.
        terms: The term of each term_id, for sources that have ids; None if none are given.
        terms_from: Where the terms come from, for messages.
        vector_field: The member with the weights; None to find it.
        id_field: The member with the docid; None for the usual ones.
        text_field: The member with the text; None for the usual ones.
        corpus: The corpus with the ids and texts of embeddings; None if there is none.
        schema: The fields of documents to read, and their types.
    """

    work_folder: Path
    terms: Sequence[str] | None = None
    terms_from: str = ""
    vector_field: str | None = None
    id_field: str | None = None
    text_field: str | None = None
    corpus: str | None = None
    schema: FieldSchema = NO_FIELDS

    @property
    def id_keys(self) -> tuple[str, ...]:
        """The members that may have the docid, the first choice first."""
        return (self.id_field,) if self.id_field else ID_KEYS

    @property
    def text_keys(self) -> tuple[str, ...]:
        """The members that may have the text, the first choice first."""
        return (self.text_field,) if self.text_field else TEXT_KEYS

    def term(self, term_id: object, path: Path, line: int | None) -> str:
        """The term with an id.

        Raises:
            PseudoDocumentError: There are no terms, or none has this id.
        """
        if self.terms is None:
            raise PseudoDocumentError(
                f"terms are ids here, such as {term_id!r:.40}, and their vocabulary is unknown", path=path, line=line,
                remedy="Name the model, or a file with its terms, with vocabulary=…",
            )  # fmt: skip
        if isinstance(term_id, bool) or not isinstance(term_id, int) or not 0 <= term_id < len(self.terms):
            raise PseudoDocumentError(
                f"unknown term id {term_id!r:.40}: {self.terms_from} has the ids 0 to {len(self.terms) - 1:,}", path=path,
                line=line, remedy="Name the vocabulary of the model that made these vectors with vocabulary=…",
            )  # fmt: skip
        return self.terms[term_id]

    def weights(self, term_ids: Sequence[Any], weights: Sequence[Any], path: Path, line: int | None) -> dict[str, Any]:
        """The weights of terms that are given by their ids.

        Raises:
            PseudoDocumentError: An id is unknown or occurs twice, or there are more ids than weights or less.
        """
        if len(term_ids) != len(weights):
            raise PseudoDocumentError(
                f"{len(term_ids):,} term ids with {len(weights):,} weights", path=path, line=line,
                remedy="Export the vectors again",
            )  # fmt: skip
        found = {self.term(term_id, path, line): weight for term_id, weight in zip(term_ids, weights, strict=True)}
        if len(found) < len(term_ids):
            raise PseudoDocumentError("a term id occurs twice", path=path, line=line, remedy="Add up its weights")
        return found

    def fields(self, record: Mapping[str, Any], path: Path, line: int | None) -> dict[str, FieldValue]:
        """The values of a document's fields, which are in its member ``fields``.

        Raises:
            PseudoDocumentError: A value does not fit its type.
        """
        given = record.get("fields")
        if not self.schema or not isinstance(given, dict):
            return {}
        try:
            return self.schema.values(given)
        except WrongValueError as error:
            raise PseudoDocumentError(
                message("bad-field", str(error)), path=path, line=line, remedy="Correct the value"
            ) from None


class Conversion:
    """Makes pseudo-documents of documents, and checks them.

    Args:
        quantizer: Makes impacts of weights; None for weights that are integers.
    """

    def __init__(self, quantizer: Quantizer | None) -> None:
        self._quantizer = quantizer
        self._seen: dict[str, tuple[Path, int | None]] = {}

    def __call__(self, found: ForeignDocument) -> PseudoDocument:
        """The pseudo-document; its vector may be empty.

        Raises:
            NotQuantizedError: A weight is not an integer, and there is no quantizer.
            PseudoDocumentError: It cannot be indexed, or its docid was used before.
        """
        first = ""
        try:
            docid = check_docid(found.docid)
            if before := self._seen.get(docid):
                first = ", first used at " + ":".join(str(each) for each in before if each is not None)
                raise BadDocumentError("duplicate-id", shortened(docid))
            vector = self._impacts(found.weights)
            contents = found.contents if isinstance(found.contents, str) else None
            check_text(contents or "")
        except BadDocumentError as bad:
            kind = NotQuantizedError if bad.kind == "float-impact" else PseudoDocumentError
            remedy = _QUANTIZE if bad.kind == "float-impact" else PROBLEMS[bad.kind][1]
            raise kind(message(bad.kind, bad.detail, first), path=found.path, line=found.line, remedy=remedy) from None
        self._seen[docid] = found.path, found.line
        return PseudoDocument(docid, contents, vector, found.fields)

    def _impacts(self, weights: Mapping[str, Any]) -> dict[str, int]:
        if self._quantizer is None:
            vector = {term: _to_integer(weight) for term, weight in weights.items()}
        else:
            for term, weight in weights.items():
                _check_weight(term, weight)
            vector = self._quantizer.quantize_vector(weights, "document")
        for term, impact in vector.items():
            check_posting(term, impact)
        if sum(vector.values()) > MAX_IMPACT:
            raise BadDocumentError("huge-total")
        return vector


class NotQuantizedError(PseudoDocumentError):
    """A weight is not an integer. No document is skipped for it, because the whole source needs a quantizer."""


_QUANTIZE = f"Name the rule that turns weights into impacts with quantizer=…, such as quantizer={DEFAULT_RULE}"


def _to_integer(weight: Any) -> Any:
    """A weight; an integer if it has the value of one, because many systems know only floats."""
    return int(weight) if isinstance(weight, float) and weight.is_integer() else weight


def _check_weight(term: str, weight: Any) -> None:
    if not is_number(weight) or not math.isfinite(weight):
        check_posting(term, "" if weight is None else str(weight))
    if weight < 0:
        raise BadDocumentError("not-positive", f"{shortened(str(term))}: {weight}")
