"""PyTerrier: indexers of texts, and of documents with ``toks``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol

from splade_lucene.arguments import to_ordered_list
from splade_lucene.encoder import SpladeEncoder
from splade_lucene.errors import CorpusError, PseudoDocumentError
from splade_lucene.fields.schema import FieldRequest, Fields
from splade_lucene.files.files import atomic_text_writer, file_digest, new_folder, work_folder
from splade_lucene.ids import check_id
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.index.build import build_index
from splade_lucene.index.indexer import index_pseudo_documents
from splade_lucene.manifest import FOLDER_MANIFEST, Manifest, Part, write_manifest
from splade_lucene.pseudo_documents.format import write_pseudo_documents
from splade_lucene.quantizer import Quantizer
from splade_lucene.records import PseudoDocument

with uninterrupted_imports(extra="pyterrier"):
    import pandas as pd
    import pyterrier as pt

_DOCUMENTS = "documents.jsonl"


class Target(Protocol):
    """The index that is built: an :class:`ImpactIndex`."""

    folder: Path

    def close(self) -> None:
        """Closes its files."""
        ...


class TextIndexer(pt.Indexer):
    """Encodes and indexes texts. The index names its model, so its retriever takes queries as texts.

    Args:
        index: The index to build.
        text_field: The key of the texts, or several keys, whose texts are joined by a space.
        encoder: The encoder; None for the embedded model.
        quantizer: The quantizer; None for the model's recommended one.
        fields: Other keys to index as fields, by which searches are filtered; see :func:`splade_lucene.encode_corpus`.
        overwrite: Replace an existing index.
        options: Further arguments of :func:`splade_lucene.build_index`, such as ``store`` and ``bm25``.
    """

    def __init__(
        self, index: Target, *, text_field: str | Sequence[str] = "text", encoder: SpladeEncoder | None = None,
        quantizer: Quantizer | None = None, fields: Fields = None, overwrite: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        self.target, self.encoder, self.quantizer, self.overwrite = index, encoder, quantizer, overwrite
        self.text_fields = [text_field] if isinstance(text_field, str) else to_ordered_list(text_field, "text_field")
        self.fields, self.options = FieldRequest.of(fields), options

    def index_inputs(self) -> list[list[str]]:
        """The keys that documents need."""
        return [["docno", *self.text_fields]]

    def index(self, iter: Iterable[Mapping[str, Any]]) -> Any:  # noqa: A002 - PyTerrier's name
        """Indexes documents.

        Args:
            iter: Dictionaries with ``docno``, the texts and, if asked for, fields.

        Returns:
            The index.

        Raises:
            CorpusError: A document lacks its docno or text, or cannot be indexed; or there are none.
            InputError: The index exists, and ``overwrite`` is not set.
        """
        with new_folder(work_folder(self.target.folder, "corpus")) as folder:
            with atomic_text_writer(folder / _DOCUMENTS) as file:
                for number, document in enumerate(iter, 1):
                    file.write(self._record(document, number) + "\n")
            self.target.close()
            build_index(
                folder / _DOCUMENTS, self.target.folder, self.encoder, self.quantizer, overwrite=self.overwrite,
                id_field="id", text_field="contents", fields=self.fields or None, **self.options,
            )  # fmt: skip
        return self.target

    def _record(self, document: Mapping[str, Any], number: int) -> str:
        missing = [key for key in ("docno", *self.text_fields) if _is_missing(document.get(key))]
        if missing:
            raise CorpusError(
                f"document {number} has no {', '.join(missing)}; it has {', '.join(map(str, document)) or 'no keys'}",
                remedy="Name the key of the text with text_field=…",
            )
        docid = check_id(_plain(document["docno"]), noun="docno", error=CorpusError)
        text = " ".join(str(document[key]) for key in self.text_fields)
        values = _field_values(document, self.fields, {"docno", *self.text_fields})
        try:
            return json.dumps({**values, "id": docid, "contents": text}, ensure_ascii=False)
        except TypeError as error:
            raise CorpusError(f"document {docid!r:.80}: {error}", remedy="Leave the field out") from None


class ToksIndexer(pt.Indexer):
    """Indexes documents that are encoded: with ``toks``, as learned sparse encoders of PyTerrier's packages write them.

    Args:
        index: The index to build.
        toks_field: The key of the {term: impact} vectors.
        text_field: The key of the texts to store, where documents have them.
        quantizer: Turns float weights into impacts: a quantizer, or its name (``naver`` multiplies by 100). The index keeps
            it for ``query_toks``. None: the weights are impacts, and must be integers.
        fields: Other keys to index as fields; see :func:`splade_lucene.index_pseudo_documents`.
        overwrite: Replace an existing index.
        options: Further arguments of :func:`splade_lucene.index_pseudo_documents`, such as ``store`` and ``threads``.
    """

    def __init__(
        self, index: Target, *, toks_field: str = "toks", text_field: str = "text",
        quantizer: Quantizer | str | None = None, fields: Fields = None, overwrite: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        self.target, self.toks_field, self.text_field, self.overwrite = index, toks_field, text_field, overwrite
        self.quantizer = Quantizer.named(quantizer) if isinstance(quantizer, str) else quantizer
        self.fields, self.options = FieldRequest.of(fields), options

    def index_inputs(self) -> list[list[str]]:
        """The keys that documents need."""
        return [["docno", self.toks_field]]

    def index(self, iter: Iterable[Mapping[str, Any]]) -> Any:  # noqa: A002 - PyTerrier's name
        """Indexes documents. Those without terms are counted as empty, and not indexed.

        Args:
            iter: Dictionaries with ``docno``, ``toks`` and, if there are any, a text and fields.

        Returns:
            The index.

        Raises:
            PseudoDocumentError: A document lacks its docno or vector, or cannot be indexed; or there are none.
            InputError: The index exists, and ``overwrite`` is not set.
        """
        with new_folder(work_folder(self.target.folder, "toks")) as folder:
            empty: list[str] = []
            path = folder / _DOCUMENTS
            count = write_pseudo_documents(path, self._documents(iter, empty))
            part = Part(0, _DOCUMENTS, count + len(empty), 0, tuple(empty), file_digest(path))
            manifest = Manifest(
                quantizer=self.quantizer, documents=count + len(empty), parts=(part,), empty=tuple(empty)
            )
            write_manifest(folder / FOLDER_MANIFEST, manifest)
            self.target.close()
            index_pseudo_documents(
                folder, self.target.folder, overwrite=self.overwrite, fields=self.fields or None, **self.options
            )
        return self.target

    def _documents(self, given: Iterable[Mapping[str, Any]], empty: list[str]) -> Iterator[PseudoDocument]:
        for number, document in enumerate(given, 1):
            given_id = document.get("docno")
            if _is_missing(given_id) or not isinstance(document.get(self.toks_field), Mapping):
                raise PseudoDocumentError(
                    f"document {number} needs docno and {self.toks_field}, a mapping of terms to weights; it has "
                    f"{', '.join(map(str, document)) or 'no keys'}",
                    remedy="Encode the documents first: index.doc_encoder() >> index.toks_indexer()",
                )
            docid = check_id(_plain(given_id), noun="docno", error=PseudoDocumentError)
            vector = self._impacts(docid, document[self.toks_field])
            if not vector:
                empty.append(docid)
                continue
            text = document.get(self.text_field)
            fields = _field_values(document, self.fields, {"docno", self.toks_field, self.text_field})
            yield PseudoDocument(docid, None if _is_missing(text) else str(text), vector, fields)

    def _impacts(self, docid: str, toks: Mapping[str, Any]) -> dict[str, int]:
        if self.quantizer is not None:
            return self.quantizer.quantize_vector(toks, "document")
        for term, weight in toks.items():
            if not isinstance(weight, Integral) or isinstance(weight, bool):
                raise PseudoDocumentError(
                    f"document {docid!r:.80}: the term {term!r:.60} has the weight {weight!r}, and impacts are integers",
                    remedy='Pass quantizer="naver" (times 100) or another rule to toks_indexer()',
                )
        return {term: int(weight) for term, weight in toks.items() if weight}


def _field_values(document: Mapping[str, Any], fields: FieldRequest, without: set[str]) -> dict[str, Any]:
    """The values of the fields that are asked for; NumPy's numbers as Python's."""
    wanted = (
        document.keys() - without - {"id", "contents"} if fields.everything else document.keys() & fields.types.keys()
    )
    return {name: _plain(value) for name, value in document.items() if name in wanted and not _is_missing(value)}


def _is_missing(value: object) -> bool:
    """Whether a value is None, NaN, NaT or NA, as data frames have it where there is none."""
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _plain(value: Any) -> Any:
    """A value of NumPy as Python's."""
    return value.tolist() if hasattr(value, "tolist") else value
