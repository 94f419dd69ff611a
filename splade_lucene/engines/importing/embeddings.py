"""Sparse embeddings of sentence-transformers, as ``SparseEncoder.encode`` and ``decode`` return them, saved in a file.

=========================  =============================================================================================
file                       contents
=========================  =============================================================================================
``.pt``, ``.pth``,         a tensor [texts, terms], sparse or dense; a list of tensors [terms]; or a mapping with one of
``.bin`` (torch.save)      these as ``embeddings``, and ``ids``
``.safetensors``           ``indices`` [2, entries], ``values`` and ``shape``; ``crow_indices``, ``col_indices`` and
                           ``values``; or a dense tensor ``embeddings``
``.npz``                   a matrix of SciPy
``.json``, ``.jsonl``      for each text ``{token: weight}`` or ``[[token, weight], …]``, or an object with an id and one
                           of these as ``embedding`` or ``vector``
=========================  =============================================================================================

Texts are in the order of a corpus, which gives their ids. Without one, and without ids in the file, a text's id is its
position, from 0.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splade_lucene.arguments import is_number
from splade_lucene.corpus.fields import ID_KEYS
from splade_lucene.corpus.reading import read_corpus
from splade_lucene.encoder.terms import escape_term
from splade_lucene.engines.importing.documents import DocumentOrError, ForeignDocument, Settings
from splade_lucene.engines.importing.files import json_values, member, source_files, unreadable, wrong
from splade_lucene.errors import PseudoDocumentError
from splade_lucene.files.compression import content_name
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.notes import note

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_TORCH = (".pt", ".pth", ".bin")
_JSON = (".json", ".jsonl")
_EMBEDDINGS = ("embedding", "vector", "embeddings", "sparse_embedding")
_KINDS = "a sparse or dense matrix of texts and terms"

Row = tuple[object, object, dict[str, Any], int]
"""Id and text, each None if the file does not say; the weights; and the row or line, from 1."""


def read_embeddings(source: Path, settings: Settings) -> Iterator[DocumentOrError]:
    """Reads embeddings; see :mod:`splade_lucene.engines.importing.embeddings`.

    Raises:
        PseudoDocumentError: The file cannot be read, has an unknown term id, or has not as many texts as the corpus.
        CorpusError: The corpus cannot be read.
    """
    (path, *others) = source_files(source, (*_TORCH, ".safetensors", ".npz", *_JSON))
    if others:
        raise wrong(f"several files of embeddings, such as {path.name} and {others[0].name}", source, None, "Name one")
    is_json = content_name(path).lower().endswith(_JSON)
    rows = _rows_of_json(path, settings) if is_json else _rows_of_matrix(path, settings)
    named = _with_corpus(rows, settings.corpus, path) if settings.corpus else _with_positions(rows, path)
    for found in named:
        if isinstance(found, PseudoDocumentError):
            yield found
            continue
        docid, text, weights, line = found
        yield ForeignDocument(docid, text, weights, path, line)


def _with_positions(rows: Iterator[Row | PseudoDocumentError], path: Path) -> Iterator[Row | PseudoDocumentError]:
    for position, row in enumerate(rows):
        if isinstance(row, PseudoDocumentError) or row[0] is not None:
            yield row
            continue
        note(f"{path}: there are no ids, so each document's id is its position, from 0; pass corpus=… for other ids")
        yield (position, *row[1:])


def _with_corpus(
    rows: Iterator[Row | PseudoDocumentError], corpus: str, path: Path
) -> Iterator[Row | PseudoDocumentError]:
    documents = read_corpus(corpus)
    for number in count(1):
        row, document = next(rows, None), next(documents, None)
        if row is None and document is None:
            return
        if row is None or document is None:
            fewer, more = ("embeddings", "documents") if row is None else ("documents", "embeddings")
            raise wrong(
                f"there are more {more} than {fewer} ({number - 1:,}), with the corpus {corpus}", path, None,
                "Name the whole corpus that was encoded, in the same order",
            )  # fmt: skip
        yield row if isinstance(row, PseudoDocumentError) else (document.docid, document.text, *row[2:])


# ---- JSON ----


def _rows_of_json(path: Path, settings: Settings) -> Iterator[Row | PseudoDocumentError]:
    vector_keys = (settings.vector_field,) if settings.vector_field else _EMBEDDINGS
    for line, value in json_values(path):
        if isinstance(value, PseudoDocumentError):
            yield value
            continue
        docid = text = None
        if isinstance(value, dict) and isinstance(inner := member(value, vector_keys), dict | list):
            docid, text, value = member(value, settings.id_keys), member(value, settings.text_keys), inner
        weights = _weights_of(value)
        yield (
            wrong("not an object {token: weight} or a list of [token, weight]", path, line)
            if weights is None
            else (docid, text, weights, line)
        )


def _weights_of(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return {escape_term(token): weight for token, weight in value.items()} if _are_numbers(value) else None
    if isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        found = {escape_term(token): weight for token, weight in value if isinstance(token, str)}
        return found if len(found) == len(value) else None
    return None


def _are_numbers(weights: dict[str, Any]) -> bool:
    return all(map(is_number, weights.values()))


# ---- matrices ----


def _rows_of_matrix(path: Path, settings: Settings) -> Iterator[Row]:
    suffix = path.suffix.lower()
    read: Callable[[Path], tuple[csr_array[Any], Sequence[object] | None]]
    read = _read_torch if suffix in _TORCH else _read_safetensors if suffix == ".safetensors" else _read_npz
    try:
        matrix, ids = read(path)
    except _DAMAGED as error:
        raise unreadable(path, error) from error
    if ids is not None and len(ids) != matrix.shape[0]:
        raise wrong(f"{len(ids):,} ids with {matrix.shape[0]:,} embeddings", path, None)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    starts = matrix.indptr.tolist()
    for row in range(matrix.shape[0]):
        entries = slice(starts[row], starts[row + 1])
        term_ids, weights = matrix.indices[entries].tolist(), matrix.data[entries].tolist()
        yield None if ids is None else ids[row], None, settings.weights(term_ids, weights, path, row + 1), row + 1


_DAMAGED = (
    OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip
"""What libraries raise for files that are not what their names say."""


@uninterrupted_imports()
def _read_torch(path: Path) -> tuple[csr_array[Any], Sequence[object] | None]:
    import torch

    value = torch.load(path, map_location="cpu", weights_only=True)
    ids = None
    if isinstance(value, dict):
        ids = member(value, ("ids", *ID_KEYS))
        value = member(value, _EMBEDDINGS)
    if isinstance(value, list | tuple) and value and all(isinstance(each, torch.Tensor) for each in value):
        value = torch.stack([each.to_sparse() if each.layout == torch.strided else each for each in value])
    if not isinstance(value, torch.Tensor) or value.ndim != 2:
        raise ValueError(f"expected {_KINDS}")
    found = value.to_sparse(layout=torch.sparse_coo).coalesce()
    return _matrix(found.values().float().numpy(), found.indices().numpy(), tuple(found.shape)), ids


@uninterrupted_imports()
def _read_safetensors(path: Path) -> tuple[csr_array[Any], Sequence[object] | None]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from scipy.sparse import csr_array

    try:
        loaded = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    tensors = {name: (each.float() if each.is_floating_point() else each).numpy() for name, each in loaded.items()}
    if {"crow_indices", "col_indices", "values"} <= tensors.keys():
        starts, columns = tensors["crow_indices"], tensors["col_indices"]
        width = int(tensors["shape"][1]) if "shape" in tensors else int(columns.max(initial=-1)) + 1
        return csr_array((tensors["values"], columns, starts), shape=(starts.size - 1, width)), None
    if {"indices", "values", "shape"} <= tensors.keys():
        return _matrix(tensors["values"], tensors["indices"], tuple(tensors["shape"].tolist())), None
    dense = [tensor for tensor in tensors.values() if tensor.ndim == 2]
    if len(tensors) != 1 or not dense:
        raise ValueError(f"expected {_KINDS}, found the tensors {', '.join(sorted(tensors))}")
    return csr_array(dense[0]), None


@uninterrupted_imports()
def _read_npz(path: Path) -> tuple[csr_array[Any], Sequence[object] | None]:
    from scipy.sparse import csr_array, load_npz

    return csr_array(load_npz(path)), None


@uninterrupted_imports()
def _matrix(values: Any, indices: Any, shape: tuple[int, ...]) -> csr_array[Any]:
    from scipy.sparse import coo_array, csr_array

    return csr_array(coo_array((values, (indices[0].astype(np.int64), indices[1].astype(np.int64))), shape=shape))
