"""Exports an index or pseudo-documents to an engine: a folder of files that it loads, and a manifest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from splade_lucene.arguments import to_count, to_flag, to_path
from splade_lucene.engines.collection import Collection, open_collection
from splade_lucene.engines.export_manifest import MANIFEST, TERMS, ExportManifest, read_terms
from splade_lucene.engines.exporter import Exporter, ExportOptions
from splade_lucene.engines.names import DEFAULT_NAME, PIECE_BYTES, EngineName, Keys
from splade_lucene.engines.pieces import ExportFolder
from splade_lucene.engines.registry import exporter
from splade_lucene.errors import InputError
from splade_lucene.fields.schema import Fields
from splade_lucene.files.exchange import replace_folder
from splade_lucene.files.files import sole_writer, storage_error, work_folder
from splade_lucene.index.joined import Duplicates, IndexDirs
from splade_lucene.progress import NO_PROGRESS, Progress
from splade_lucene.pseudo_documents.problems import Problem
from splade_lucene.version import __version__

_LEAST_PIECE = 1 << 10
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


@dataclass(frozen=True)
class ExportSummary:
    """The result of an export.

    Attributes:
        output: The folder.
        engine: The engine.
        documents: Number of documents.
        postings: Number of their terms, added up.
        terms: Number of terms.
        pieces: Number of files of documents.
        bytes: Size of all files together.
    """

    output: Path
    engine: str
    documents: int
    postings: int
    terms: int
    pieces: int
    bytes: int


def export_collection(  # noqa: PLR0913 - all but the first two are keywords with defaults
    to: EngineName,
    output: str | Path,
    *,
    index_dir: IndexDirs | None = None,
    pseudo_documents: str | Path | None = None,
    keys: Keys | None = None,
    texts: bool = True,
    name: str = DEFAULT_NAME,
    piece_bytes: int = PIECE_BYTES,
    numbering: str | Path | None = None,
    fields: Fields = None,
    duplicates: Duplicates = "refuse",
    skip_bad: bool = False,
    on_problem: Callable[[Problem], None] | None = None,
    overwrite: bool = False,
    progress: Progress = NO_PROGRESS,
) -> ExportSummary:
    """Exports an index or pseudo-documents to an engine.

    The output is a folder with everything that the engine needs: its schema, the documents in files of bounded size, queries
    to copy, the terms by id, ``README.md`` with the commands that load and search it, and ``export.json``, the manifest. It
    gets its name when it is complete; the same call resumes after an interruption.

    Args:
        to: The engine.
        output: The folder.
        index_dir: The index, or several, which are exported as one.
        pseudo_documents: Pseudo-documents instead of an index: a file or folder.
        keys: How terms are exported: as ``ids``, decimal numbers, which every engine accepts, or as the ``terms``
            themselves, some of which an engine may lose or change; such terms are refused. Default: the engine's.
        texts: Export the stored texts.
        name: The name in the engine: of an index, a collection or a schema. It is part of file names, URLs and commands, so
            it has only ASCII letters, digits, ``_``, ``-`` and ``.``; some engines allow fewer.
        piece_bytes: Target size of each file of documents, in bytes.
        numbering: An earlier export: its terms keep their ids, and new ones follow, so that both can be loaded into one engine.
        fields: For pseudo-documents: the fields to export; see :func:`splade_lucene.index_pseudo_documents`. An index is
            exported with all its fields.
        duplicates: For several indexes: see :class:`splade_lucene.LuceneImpactSearcher`.
        skip_bad: For pseudo-documents: skip those that cannot be indexed.
        on_problem: Called with the problem of each skipped document.
        overwrite: Replace an earlier export.
        progress: Reports the progress.

    Raises:
        InputError: The engine would not store the documents exactly, the engine is unknown, ``output`` exists, or both or
            none of ``index_dir`` and ``pseudo_documents`` are given.
        PseudoDocumentError: A pseudo-document cannot be indexed.
        IndexAccessError: The index cannot be opened.
        StorageError: A disk error.
    """
    engine, output = exporter(to), to_path(output).resolve()
    options = _options(engine, keys, texts=texts, name=name, piece_bytes=piece_bytes)
    overwrite = to_flag(overwrite, "overwrite")
    known: Sequence[str] = read_terms(to_path(numbering)) if numbering is not None else ()
    busy = InputError(
        "another process is writing this export", path=output, remedy="Wait for it, or use another folder"
    )
    with sole_writer(output, busy):
        _check_output(output, overwrite=overwrite)
        with open_collection(
            index_dir, pseudo_documents, numbering=known, fields=fields, duplicates=duplicates, skip_bad=skip_bad,
            on_problem=on_problem, progress=progress,
        ) as collection:  # fmt: skip
            engine.check(collection, options)
            manifest = _write(to, engine, collection, options, output, progress)
        _publish(work_folder(output, "exporting"), output, overwrite=overwrite)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return ExportSummary(
        output, to, manifest.documents, manifest.postings, len(collection.terms), len(manifest.pieces), size
    )


def _options(engine: Exporter, keys: str | None, *, texts: bool, name: str, piece_bytes: int) -> ExportOptions:
    if keys is not None and keys not in engine.keys:
        raise InputError(
            f"keys must be one of {', '.join(engine.keys)} for {engine.title}, got {keys!r:.60}",
            remedy=f"Leave out keys=… for {engine.keys[0]}",
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r:.80} cannot be a name, which is part of file names, URLs and commands",
            remedy="Use up to 255 letters from a to z, digits, and, not at the beginning, - and .; also _",
        )
    chosen = next(each for each in get_args(Keys) if each == (keys or engine.keys[0]))
    piece = to_count(piece_bytes, "piece_bytes", least=_LEAST_PIECE)
    return ExportOptions(chosen, to_flag(texts, "texts"), name, piece)


def _write(
    to: EngineName, engine: Exporter, collection: Collection, options: ExportOptions, output: Path, progress: Progress
) -> ExportManifest:
    building = work_folder(output, "exporting")
    try:
        building.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(building, error) from error
    settings: dict[str, Any] = {
        "engine": to, "version": __version__, "collection": collection.identity, **asdict(options)
    }  # fmt: skip
    folder = ExportFolder(building, settings, progress)
    engine.write(collection, options, folder)
    folder.write_text(TERMS, "".join(f"{term}\n" for term in collection.terms))
    folder.write_text("README.md", _readme(engine, collection, options))
    manifest = ExportManifest.of(to, collection, options, folder.pieces)
    folder.write_text(MANIFEST, manifest.text())
    folder.finish()
    return manifest


def _readme(engine: Exporter, collection: Collection, options: ExportOptions) -> str:
    facts = (
        f"{collection.num_docs:,} documents with {collection.postings:,} impacts of {len(collection.terms):,} terms. "
        f"`{TERMS}` has the terms: the id of a term is its line, from 0. `{MANIFEST}` says how they were encoded."
    )
    return f"# {options.name}, for {engine.title}\n\n{facts}\n\n{engine.readme(collection, options).strip()}\n"


def _check_output(output: Path, *, overwrite: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / MANIFEST).is_file():
        raise InputError(
            "this exists and is not an export, so it is not replaced", path=output, remedy="Use another folder"
        )
    if not overwrite:
        raise InputError("an export exists here", path=output, remedy="Pass overwrite=True to replace it")


def _publish(built: Path, output: Path, *, overwrite: bool) -> None:
    """Gives a finished export its name."""
    _check_output(output, overwrite=overwrite)
    try:
        replace_folder(built, output)
    except OSError as error:
        raise storage_error(output, error) from error
