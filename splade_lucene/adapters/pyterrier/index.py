"""PyTerrier: an index as an artifact, which can be built, published and loaded, and creates the parts of pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from splade_lucene.adapters.pyterrier.encoders import DocumentEncoder, QueryEncoder
from splade_lucene.adapters.pyterrier.indexers import TextIndexer, ToksIndexer
from splade_lucene.adapters.pyterrier.retriever import ImpactRetriever, TextLoader
from splade_lucene.adapters.retrieval import OpenedIndex
from splade_lucene.arguments import to_path
from splade_lucene.defaults import HITS_IN_RUN
from splade_lucene.encoder import Pruning
from splade_lucene.errors import NotAnIndexError
from splade_lucene.imports import uninterrupted_imports
from splade_lucene.index.model import open_document_encoder
from splade_lucene.index.reader import is_index, read_index_manifest
from splade_lucene.manifest import INDEX_FILE

with uninterrupted_imports(extra="pyterrier"):
    import pyterrier as pt


class ImpactIndex(pt.Artifact):
    """An impact index as an artifact of PyTerrier, built already or to be built.

    ``index.build_package()``, ``to_hf`` and ``to_zenodo`` publish it, ``pt.Artifact.load(path)`` and ``from_hf`` load it, and
    so they do with every index that our commands have built.

    Args:
        path: The folder of the index.
        options: How it is searched: arguments of :class:`splade_lucene.LuceneImpactSearcher`, such as ``query_encoder``,
            ``engine``, ``approximation`` and ``min_idf``.

    Example:
        >>> import pyterrier as pt
        >>> index = ImpactIndex(getfixture("tmp_path") / "index")
        >>> _ = index.toks_indexer().index([{"docno": "d1", "text": "a cat", "toks": {"cat": 3}}])
        >>> pipeline = index.retriever() >> pt.text.get_text(index, "text")
        >>> print(pipeline([{"qid": "q1", "query_toks": {"cat": 1}}])[0]["text"])
        a cat
        >>> index.close()
    """

    ARTIFACT_TYPE = "sparse_index"
    ARTIFACT_FORMAT = "splade_lucene"
    ARTIFACT_PACKAGE_HINT = "splade-lucene[pyterrier]"

    def __init__(self, path: str | Path, **options: Any) -> None:
        super().__init__(to_path(path))
        self.folder = to_path(path)
        self.opened = OpenedIndex(self.folder, **options)

    def retriever(
        self, num_results: int = HITS_IN_RUN, *, columns: Sequence[str] = (), threads: int = 1, **options: Any
    ) -> ImpactRetriever:
        """A retriever; see :class:`ImpactRetriever`."""
        return ImpactRetriever(self, num_results, columns=columns, threads=threads, **options)

    def indexer(self, **options: Any) -> TextIndexer:
        """An indexer of texts; see :class:`TextIndexer`."""
        return TextIndexer(self, **options)

    def toks_indexer(self, **options: Any) -> ToksIndexer:
        """An indexer of documents with ``toks``; see :class:`ToksIndexer`."""
        return ToksIndexer(self, **options)

    def query_encoder(self) -> QueryEncoder:
        """The encoder that encodes queries to match the index."""
        return QueryEncoder(self.opened.searcher.query_encoder)

    def doc_encoder(self, *, text_field: str = "text") -> DocumentEncoder:
        """The encoder that encodes documents as those of the index, or, before it is built, with the embedded model.

        Args:
            text_field: The column with the texts.

        Raises:
            InputError: The index does not name its model.
        """
        if not is_index(self.folder):
            return DocumentEncoder(text_field=text_field)
        manifest = read_index_manifest(self.folder)
        encoder = open_document_encoder(manifest, self.folder)
        assert manifest is not None  # open_document_encoder has refused it
        return DocumentEncoder(
            encoder, manifest.quantizer, pruning=Pruning(**manifest.pruning), min_impact=manifest.min_impact,
            text_field=text_field,
        )  # fmt: skip

    def text_loader(self, fields: Sequence[str] | str = "*", *, verbose: bool = False) -> TextLoader:  # noqa: ARG002
        """What ``pt.text.get_text(index, fields)`` returns; see :class:`TextLoader`.

        Args:
            fields: ``text`` and fields of the index, or ``*``.
            verbose: PyTerrier's; nothing is shown.
        """
        return TextLoader(self, fields)

    def build_package(self, *arguments: Any, **options: Any) -> str:
        """Packs the index into one file, with PyTerrier's metadata.

        Raises:
            NotAnIndexError: It has not been built.
        """
        if not is_index(self.folder):
            raise NotAnIndexError(f"{self.folder} contains no index. Build it with indexer() or toks_indexer() first.")
        return str(super().build_package(*arguments, **options))

    def close(self) -> None:
        """Closes the index's files; the next search opens them again."""
        self.opened.close()

    def __len__(self) -> int:
        return int(self.opened.searcher.num_docs)

    def __repr__(self) -> str:
        return f"ImpactIndex({str(self.folder)!r})"


def artifact_metadata(path: str, listing: Sequence[str]) -> dict[str, str] | None:
    """PyTerrier's metadata of an index of ours that was built elsewhere; None for other folders.

    Args:
        path: A folder.
        listing: The names in it.
    """
    if not any(name.startswith("segments_") for name in listing) or not (Path(path) / INDEX_FILE).is_file():
        return None
    return {"type": ImpactIndex.ARTIFACT_TYPE, "format": ImpactIndex.ARTIFACT_FORMAT}
