"""Verifies an index: every byte of Lucene's files and of the accelerator, the manifest, the counts, and a sample of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from splade_lucene import jvm
from splade_lucene.arguments import to_count, to_path
from splade_lucene.counts import counted
from splade_lucene.errors import (
    DamagedIndexError,
    IndexAccessError,
    InputError,
    MissingDependencyError,
    ModelError,
    NotAnIndexError,
    SpladeLuceneError,
)
from splade_lucene.files.json_text import parse_json
from splade_lucene.index.accelerator import accelerator_folders, missing_accelerators
from splade_lucene.index.model import encode_texts, open_document_encoder
from splade_lucene.index.reader import LuceneImpactIndexReader, commit_of, opened
from splade_lucene.jvm import wire
from splade_lucene.manifest import INDEX_FILE, Manifest, parse_manifest, read_manifest

_TRIES = 5
_DUPLICATES_SHOWN = 10
_TOLERANCE = {"float32": 0.02, "bfloat16": 0.1}
"""Precision → how far the impacts of a text may be from those that were computed on another machine, as a share."""


_REBUILD = "restore the index from a copy, or build it again"
_ACCELERATE = "run 'splade-lucene accelerate', or delete the damaged files of the accelerator"
_DELETE_COPY = f"delete {INDEX_FILE}, which is a copy: the next commit writes it"


@dataclass(frozen=True)
class Damage:
    """Something that is wrong with an index.

    Attributes:
        file: The file, relative to the index; empty if it is not one file.
        problem: The problem.
        remedy: The repair.
    """

    file: str
    problem: str
    remedy: str = _REBUILD

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}" if self.file else self.problem


@dataclass(frozen=True)
class IndexCheck:
    """The result of a check.

    Attributes:
        damage: The problems found; empty if the index is sound.
        notes: Observations, such as leftover files.
        files: Number of Lucene's files that were read.
        documents: Number of documents.
        encoded_again: Number of documents that were encoded again and compared.
        report: The report of Lucene's CheckIndex; empty if files are damaged, because it is then not run.
    """

    damage: tuple[Damage, ...]
    notes: tuple[str, ...]
    files: int
    documents: int
    encoded_again: int
    report: str

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage

    @property
    def remedy(self) -> str:
        """What repairs the index; empty if nothing is wrong."""
        return _remedy(self.damage)


def _remedy(damage: Sequence[Damage]) -> str:
    remedies = dict.fromkeys(each.remedy for each in damage)
    return _REBUILD if _REBUILD in remedies else "; ".join(remedies)


def check_index(index_dir: str | Path, *, sample: int = 0, model: str | Path | None = None) -> IndexCheck:
    """Verifies an impact index or an index of texts.

    Reads every byte of Lucene's files and of the accelerator, compares the checksums, and runs Lucene's CheckIndex. The
    manifest must be sound and agree with the index; no docid may occur twice.

    Args:
        index_dir: The index.
        sample: Number of documents whose stored texts are encoded again and compared, if the model is available.
        model: Another folder or hub name of the model; None for that of the manifest.

    Raises:
        NotAnIndexError: The folder is not an index.

    Example:
        >>> from splade_lucene import LuceneImpactIndexer, PseudoDocument, check_index
        >>> index_dir = getfixture("tmp_path") / "index"
        >>> with LuceneImpactIndexer(index_dir) as indexer:
        ...     indexer.add(PseudoDocument("d1", "", {"cat": 3}))
        >>> check_index(index_dir).is_sound
        True
    """
    index_dir, sample = to_path(index_dir), to_count(sample, "sample", least=0)
    for _ in range(_TRIES):
        before = _last_commit(index_dir)
        result = _check(index_dir, sample, model)
        if result.is_sound or _last_commit(index_dir) == before:
            break  # otherwise another process has committed, which deletes files
    return result


def _check(index_dir: Path, sample: int, model: str | Path | None) -> IndexCheck:
    files, damage = _verify_files(index_dir)
    if not files and not damage:
        raise NotAnIndexError(f"{index_dir}: no Lucene index was found here. Pass the folder of an index.")
    if damage:
        return IndexCheck((*damage, *_manifest_file_damage(index_dir)), (), files, 0, 0, "")
    report = ""
    found: list[Damage] = []
    notes: list[str] = []
    documents = encoded_again = 0
    try:
        with jvm.translated_exceptions(index_dir):
            report = str(jvm.facade("Index").check(jvm.java_path(index_dir)))
            notes += _leftovers(index_dir)
        if not report.endswith("clean"):
            found.append(Damage("", "Lucene's CheckIndex finds the index damaged; see its report"))
        with LuceneImpactIndexReader(index_dir) as reader:
            documents = reader.num_docs
            found += _accelerator_damage(reader)
            _note_incomplete_accelerator(reader, notes)
            manifest = _check_manifest(reader, found, notes)
            _check_docids(reader, manifest, found, notes)
            if sample and manifest is not None and not found:
                encoded_again = _check_sample(reader, manifest, sample, model, found, notes)
    except NotAnIndexError:
        notes.append("this is not an impact index: only Lucene's files were checked")
    except SpladeLuceneError as error:
        found.append(Damage("", str(error)))
    return IndexCheck(tuple(found), tuple(notes), files, documents, encoded_again, report)


def open_verified(index_dir: Path) -> LuceneImpactIndexReader:
    """Opens an index after reading every byte of Lucene's files and of the accelerator, and the manifest.

    Raises:
        DamagedIndexError: Names what is damaged.
        IndexAccessError: The folder is not an impact index, or a newer Lucene wrote it.
    """
    try:
        reader = LuceneImpactIndexReader(index_dir)
    except IndexAccessError:
        if index_dir.is_dir():
            _refuse_damage(index_dir, _verify_files(index_dir)[1])
        raise
    try:
        _, damage = _verify_files(index_dir)
        damage += _accelerator_damage(reader)
        _check_manifest(reader, damage, [])
        _refuse_damage(index_dir, damage)
    except BaseException:
        reader.close()
        raise
    return reader


def _refuse_damage(index_dir: Path, damage: Sequence[Damage]) -> None:
    if damage:
        raise DamagedIndexError(
            f"{index_dir} is damaged: {'; '.join(map(str, damage[:10]))}. To repair it, {_remedy(damage)}."
        )


def _verify_files(index_dir: Path) -> tuple[int, list[Damage]]:
    """The number of Lucene's files in the last commit, and which of them are damaged."""
    for _ in range(_TRIES):
        before = _last_commit(index_dir)
        packed = opened(index_dir, lambda path: jvm.facade("Index").verify(path))
        files, rows = wire.unpack_verification(wire.to_bytes(packed))
        if not rows or _last_commit(index_dir) == before:
            break  # otherwise another process has committed, which deletes files
    return files, [Damage(file, problem) for file, problem in rows]


def _last_commit(index_dir: Path) -> list[str]:
    return sorted(path.name for path in index_dir.glob("segments_*"))


def _leftovers(index_dir: Path) -> Iterator[str]:
    names = str(jvm.facade("Index").leftovers(jvm.java_path(index_dir))).split()
    if names:
        yield (
            f"{counted(len(names), 'file', 'does not', 'do not')} belong to the last commit "
            f"({', '.join(names[:5])}{' …' if len(names) > 5 else ''}): the next writer deletes them"
        )


def _manifest_file_damage(index_dir: Path) -> list[Damage]:
    try:
        read_manifest(index_dir / INDEX_FILE)
    except InputError as error:
        return [Damage(INDEX_FILE, _reason(error, index_dir / INDEX_FILE), _DELETE_COPY)]
    return []


def _reason(error: InputError, path: Path) -> str:
    """What is wrong with a file, without its name and the remedy, which the damage has for itself."""
    return str(error).removeprefix(f"{path}: ").removesuffix(f". {error.remedy}")


def _accelerator_damage(reader: LuceneImpactIndexReader) -> list[Damage]:
    folders = wire.pack_paths(accelerator_folders(reader.index_dir))
    with jvm.translated_exceptions(reader.index_dir):
        packed = wire.to_bytes(jvm.facade("Index").verifyAccelerators(reader.java, folders))
    return [
        Damage(_relative(Path(path), reader.index_dir), f"the accelerator {problem}", _ACCELERATE)
        for path, problem in wire.unpack_rows(packed, 2)
    ]


def _relative(path: Path, index_dir: Path) -> str:
    return str(path.relative_to(index_dir.absolute())) if path.is_relative_to(index_dir.absolute()) else str(path)


def _check_manifest(reader: LuceneImpactIndexReader, found: list[Damage], notes: list[str]) -> Manifest | None:
    """Checks the manifest of the commit, and the copy of it; returns the former, if it is sound."""
    index_dir = reader.index_dir
    if damage := _manifest_file_damage(index_dir):
        found += damage
        return None
    commit = commit_of(reader)
    copy = read_manifest(index_dir / INDEX_FILE)
    if commit.manifest is None:
        notes.append("the index has no manifest: its model and quantizer are unknown")
        if copy is not None:
            found.append(Damage(INDEX_FILE, "this manifest belongs to another index", _DELETE_COPY))
        return None
    try:
        manifest = parse_manifest(commit.manifest, index_dir / commit.name, remedy="Build the index again")
    except InputError as error:
        found.append(Damage(commit.name, _reason(error, index_dir / commit.name)))
        return None
    if manifest.commit != commit.name:
        notes.append("other software has changed the index since its manifest was written, which is ignored")
        return None
    _check_copy(copy, manifest, found, notes)
    if manifest.documents != reader.num_docs:
        found.append(
            Damage(
                "", f"the manifest counts {counted(manifest.documents, 'document')}, the index has {reader.num_docs:,}"
            )
        )
    if manifest.bm25 and not reader.has_bm25:
        found.append(
            Damage("", "the manifest says that texts are indexed for BM25, but no document of the index has that field")
        )
    return manifest


def _check_copy(copy: Manifest | None, manifest: Manifest, found: list[Damage], notes: list[str]) -> None:
    if copy is None:
        notes.append(f"{INDEX_FILE} is missing: the next commit writes it")
    elif copy.commit != manifest.commit:
        notes.append(f"{INDEX_FILE} describes another commit: the next commit writes it")
    elif copy != manifest:
        found.append(
            Damage(INDEX_FILE, "differs from the manifest that Lucene keeps; it belongs to another index", _DELETE_COPY)
        )


def _note_incomplete_accelerator(reader: LuceneImpactIndexReader, notes: list[str]) -> None:
    if problem := missing_accelerators(reader):
        notes.append(problem)


def _check_docids(
    reader: LuceneImpactIndexReader, manifest: Manifest | None, found: list[Damage], notes: list[str]
) -> None:
    with jvm.translated_exceptions(reader.index_dir):
        packed = jvm.facade("Index").duplicateDocids(reader.java, _DUPLICATES_SHOWN)
        docids = wire.unpack_strings(wire.to_bytes(packed))
    if docids:
        text = f"several documents have the same docid: {', '.join(docids)}"
        if manifest is None:
            notes.append(text)  # Anserini does not prevent it
        else:
            found.append(Damage("", text))


def _check_sample(
    reader: LuceneImpactIndexReader, manifest: Manifest, sample: int, model: str | Path | None, found: list[Damage],
    notes: list[str],
) -> int:  # fmt: skip
    """Encodes some stored texts again, and compares their impacts; returns how many."""
    if len(manifest.max_lengths) > 1:
        lengths = ", ".join(map(str, manifest.max_lengths))
        notes.append(f"documents were truncated at different lengths ({lengths} tokens), so none was encoded again")
        return 0
    texts = _stored_texts(reader, sample)
    if not texts:
        notes.append("no texts are stored, so none was encoded again")
        return 0
    try:
        encoder = open_document_encoder(manifest, reader.index_dir, model)
        impacts = encode_texts(encoder, manifest, texts.values())
    except (InputError, ModelError, MissingDependencyError) as error:
        notes.append(f"no text was encoded again: {error}")
        return 0
    limit = _TOLERANCE.get(manifest.dtype, max(_TOLERANCE.values()))
    terms = [each.term for each in reader.terms()]
    for number, docid in enumerate(texts):
        difference = _difference(dict(zip(terms, reader.impacts(docid, terms), strict=True)), impacts[number])
        if difference > limit:
            found.append(
                Damage(
                    "", f"document {docid!r:.200}: the model gives other impacts than the index has ({difference:.0%})"
                )
            )
    return len(texts)


def _stored_texts(reader: LuceneImpactIndexReader, sample: int) -> dict[str, str]:
    """Docid → text of some documents, spread over the index."""
    texts: dict[str, str] = {}
    candidates = range(0, reader.max_doc, max(1, reader.max_doc // (4 * sample)))  # some may be deleted
    for number, raw in zip(candidates, reader.raw(candidates), strict=True):
        try:
            record = parse_json(raw or "null")
        except ValueError:
            continue
        text = record.get("contents") if isinstance(record, dict) else None
        docid = reader.docid(number)
        try:
            is_live = reader.lucene_docid(docid) == number
        except InputError:
            is_live = False  # it is deleted
        if is_live and isinstance(text, str) and text and len(texts) < sample:
            texts[docid] = text
    return texts


def _difference(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    terms = one.keys() | other.keys()
    larger = sum(max(one.get(term, 0), other.get(term, 0)) for term in terms)
    return sum(abs(one.get(term, 0) - other.get(term, 0)) for term in terms) / max(1, larger)
