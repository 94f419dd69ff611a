"""Converts documents of other systems to pseudo-documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from splade_lucene.arguments import check_choice, to_flag, to_path
from splade_lucene.engines.export_manifest import MANIFEST, read_export
from splade_lucene.engines.importing.documents import Conversion, NotQuantizedError, Read, Settings
from splade_lucene.engines.importing.dumps import read_milvus, read_opensearch, read_qdrant
from splade_lucene.engines.importing.embeddings import read_embeddings
from splade_lucene.engines.importing.indexes import index_facts, locate_pyserini_index, read_ciff, read_index, read_pisa
from splade_lucene.engines.importing.json_lines import read_json_lines
from splade_lucene.engines.importing.tables import read_parquet
from splade_lucene.engines.importing.vocabulary import read_vocabulary
from splade_lucene.engines.names import Origin
from splade_lucene.errors import InputError, PseudoDocumentError
from splade_lucene.fields.schema import FieldSchema
from splade_lucene.files.exchange import replace_folder
from splade_lucene.files.files import (
    atomic_text_writer,
    digest_of_digests,
    file_digest,
    new_folder,
    sole_writer,
    storage_error,
    work_folder,
)
from splade_lucene.files.pipes import original_name
from splade_lucene.manifest import FOLDER_MANIFEST, Manifest, Part, read_folder_manifest, write_manifest
from splade_lucene.progress import NO_PROGRESS, Advance, Progress
from splade_lucene.pseudo_documents.format import format_pseudo_document
from splade_lucene.quantizer import Quantizer
from splade_lucene.records import PseudoDocument
from splade_lucene.version import __version__

_PART_DOCUMENTS = 100_000


def import_collection(  # noqa: PLR0913 - all but the first three are keywords with defaults
    origin: Origin,
    source: str | Path,
    output: str | Path,
    *,
    quantizer: Quantizer | None = None,
    vocabulary: str | Path | None = None,
    vector_field: str | None = None,
    id_field: str | None = None,
    text_field: str | None = None,
    corpus: str | None = None,
    gzip: bool = False,
    overwrite: bool = False,
    skip_bad: bool = False,
    on_problem: Callable[[PseudoDocumentError], None] | None = None,
    progress: Progress = NO_PROGRESS,
) -> Manifest:
    """Converts the documents of another system, or its exports, to pseudo-documents.

    The output folder gets its name when it is complete.

    Args:
        origin: The system or format.
        source: A file, or a folder of files; for ``anserini`` and ``pyserini`` the folder of an impact index, and for
            ``pyserini`` also the name of a prebuilt one, which Pyserini downloads.
        output: The folder of the pseudo-documents.
        quantizer: Quantizes weights; its document side applies. None if the weights are impacts already.
        vocabulary: Where terms are ids: the model, a file with its terms, or the export that numbered them; see
            :func:`~splade_lucene.engines.importing.vocabulary.read_vocabulary`. Default: the export that the source is.
        vector_field: The key or column with the weights. Default: found by its contents.
        id_field: The key or column with the docid. Default: the usual ones, and else the system's own id.
        text_field: The key or column with the text. Default: the usual ones.
        corpus: For sentence-transformers: the corpus that was encoded, for ids and texts.
        gzip: Compress the pseudo-documents.
        overwrite: Replace pseudo-documents in the output folder.
        skip_bad: Skip documents that cannot be indexed.
        on_problem: Called with the error for each skipped document.
        progress: Reports the progress.

    Returns:
        The folder's manifest. Its ``empty`` lists documents without terms, which are in no file.

    Raises:
        PseudoDocumentError: A document cannot be indexed, a docid occurs twice, a weight is not an integer and there is no
            quantizer, a term id is unknown, or the source is damaged.
        InputError: The origin is unknown, an argument does not fit it, or ``output`` exists.
        IndexAccessError: The index cannot be opened.
        StorageError: A disk error.
    """
    reader = _reader(origin, vocabulary=vocabulary, vector_field=vector_field, id_field=id_field, text_field=text_field,
                     corpus=corpus)  # fmt: skip
    overwrite = to_flag(overwrite, "overwrite")
    output = to_path(output).resolve()
    if origin == "pyserini":
        source = locate_pyserini_index(str(source))
    path = to_path(source, error=PseudoDocumentError)
    if path.is_dir() and output.is_relative_to(path.resolve()):
        raise InputError("the output folder is inside the source", path=output, remedy="Use another folder")
    export = _export_of(path, vocabulary)
    facts = index_facts(path) if reader.read is read_index else _export_facts(export)
    terms, terms_from = _terms(export, vocabulary) if reader.has_ids else (None, "")
    with _output_folder(output, overwrite=overwrite) as folder:
        settings = Settings(
            folder, terms, terms_from, vector_field, id_field, text_field, corpus, FieldSchema.of(facts.fields)
        )
        writer = _Writer(folder, gzip=gzip)
        with progress.step("importing", None, "documents") as advance:
            skipped = _convert(reader.read, path, settings, Conversion(quantizer), writer, advance, skip_bad=skip_bad,
                               on_problem=on_problem)  # fmt: skip
        writer.finish()
        if not writer.documents:
            raise PseudoDocumentError("no document has a term", path=path, remedy="Check that it is the right source")
        manifest = replace(
            facts, quantizer=quantizer or facts.quantizer, corpus=original_name(path), documents=writer.documents,
            encoding=digest_of_digests(bytes.fromhex(part.sha256) for part in writer.parts),
            encoded_with=facts.encoded_with or {"imported_from": origin}, parts=tuple(writer.parts),
            empty=tuple(dict.fromkeys((*facts.empty, *writer.empty))), skipped=facts.skipped + skipped, history=(),
            commit="", bm25={}, versions={**facts.versions, "splade_lucene": __version__},
        )  # fmt: skip
        write_manifest(folder / FOLDER_MANIFEST, manifest)
    return manifest


class _Reader(NamedTuple):
    """How documents of an origin are read.

    Attributes:
        read: Reads them.
        takes: The arguments that have a meaning there.
    """

    read: Read
    takes: tuple[str, ...] = ()

    @property
    def has_ids(self) -> bool:
        """Whether terms may be ids."""
        return "vocabulary" in self.takes


_MEMBERS = ("vector_field", "id_field", "text_field")
_READERS: dict[Origin, _Reader] = {
    "ciff": _Reader(read_ciff),
    "anserini": _Reader(read_index),
    "pyserini": _Reader(read_index),
    "seismic": _Reader(read_json_lines, _MEMBERS),
    "bmp": _Reader(lambda source, settings: _bmp_reader(source)(source, settings), _MEMBERS),
    "pisa": _Reader(read_pisa),
    "sentence-transformers": _Reader(read_embeddings, (*_MEMBERS, "vocabulary", "corpus")),
    "opensearch": _Reader(read_opensearch, (*_MEMBERS, "vocabulary")),
    "elasticsearch": _Reader(read_opensearch, (*_MEMBERS, "vocabulary")),
    "qdrant": _Reader(read_qdrant, (*_MEMBERS, "vocabulary")),
    "milvus": _Reader(read_milvus, (*_MEMBERS, "vocabulary")),
    "parquet": _Reader(read_parquet, (*_MEMBERS, "vocabulary")),
}


def _bmp_reader(source: Path) -> Read:
    """BMP's tools read CIFF; its Python indexer takes vectors, which people keep as JSON lines."""
    names = [each.name for each in (source.iterdir() if source.is_dir() else [source])]
    return read_ciff if any(".ciff" in name.lower() for name in names) else read_json_lines


def _reader(origin: Origin, **given: object) -> _Reader:
    check_choice(origin, Origin, "origin")
    reader = _READERS[origin]
    for name, value in given.items():
        if value is not None and name not in reader.takes:
            raise InputError(f"{name}=… does not apply to {origin}", remedy="Leave it out")
    return reader


def _export_of(source: Path, vocabulary: str | Path | None) -> Path | None:
    """The folder of the export that a source is, or is a file of, or whose terms it has; None if it is none."""
    folders = (source, source.parent) if vocabulary is None else (Path(vocabulary),)
    return next((each for each in folders if (each / MANIFEST).is_file()), None)


def _export_facts(export: Path | None) -> Manifest:
    """How the documents of an export were made, and their fields."""
    if export is None:
        return Manifest()
    manifest = read_export(export)
    return replace(manifest.encoding or Manifest(), fields=manifest.fields)


def _terms(export: Path | None, vocabulary: str | Path | None) -> tuple[list[str] | None, str]:
    """The term of each term_id, None if terms are no ids, and where they are from."""
    if vocabulary is not None:
        return read_vocabulary(vocabulary), str(vocabulary)
    if export is None or read_export(export).keys == "terms":
        return None, ""
    return read_vocabulary(export), str(export)


def _convert(
    read: Read, source: Path, settings: Settings, convert: Conversion, writer: _Writer, advance: Advance, *,
    skip_bad: bool, on_problem: Callable[[PseudoDocumentError], None] | None,
) -> int:  # fmt: skip
    """Writes all documents; returns the number of those that were skipped."""
    skipped = 0
    for found in read(source, settings):
        try:
            if isinstance(found, PseudoDocumentError):
                raise found
            writer.add(convert(found))
        except NotQuantizedError:
            raise
        except PseudoDocumentError as problem:
            if not skip_bad:
                raise
            skipped += 1
            if on_problem:
                on_problem(problem)
        advance(1)
    return skipped


class _Writer:
    """Writes documents to the files of a folder.

    Attributes:
        documents: Number of documents with terms.
        empty: The docids of those without.
        parts: The finished files.
    """

    def __init__(self, folder: Path, *, gzip: bool) -> None:
        self._folder, self._suffix = folder, ".jsonl.gz" if gzip else ".jsonl"
        self._waiting: list[str] = []
        self.documents = 0
        self.empty: list[str] = []
        self.parts: list[Part] = []

    def add(self, document: PseudoDocument) -> None:
        """Adds a document; of one without terms, only the docid is kept."""
        if not document.vector:
            self.empty.append(document.docid)
            return
        self.documents += 1
        self._waiting.append(format_pseudo_document(document) + "\n")
        if len(self._waiting) == _PART_DOCUMENTS:
            self.finish()

    def finish(self) -> None:
        """Writes what is not yet written."""
        if not self._waiting:
            return
        path = self._folder / f"part-{len(self.parts):05d}{self._suffix}"
        with atomic_text_writer(path) as file:
            file.writelines(self._waiting)
        self.parts.append(Part(len(self.parts), path.name, len(self._waiting), 0, (), file_digest(path)))
        self._waiting.clear()


@contextmanager
def _output_folder(output: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder to write into, which gets its name if the block succeeds.

    Raises:
        InputError: Something that may not be replaced has the name, or another process is writing it.
    """
    busy = InputError(
        "another process is writing this folder", path=output, remedy="Wait for it, or use another folder"
    )
    with sole_writer(output, busy):
        _check_target(output, overwrite=overwrite)
        with new_folder(work_folder(output, "importing")) as building:
            try:
                yield building
                replace_folder(building, output)
            except OSError as error:
                raise storage_error(output, error) from error


def _check_target(output: Path, *, overwrite: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(islice(output.iterdir(), 1))):
        return
    if not output.is_dir() or read_folder_manifest(output) is None:
        raise InputError("this exists and holds no pseudo-documents, so it is not replaced", path=output,
                         remedy="Use another folder")  # fmt: skip
    if not overwrite:
        raise InputError("pseudo-documents exist here", path=output, remedy="Pass overwrite=True to replace them")
