"""Checks whether several indexes can be searched or merged as one, by their manifests and fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from splade_lucene.errors import InputError
from splade_lucene.fields.values import FieldType
from splade_lucene.manifest import Manifest


class DescribedIndex(Protocol):
    """An index with a record of how it was made, open in this process or in another one."""

    @property
    def index_dir(self) -> Path:
        """Its folder."""
        ...

    @property
    def num_docs(self) -> int:
        """Number of documents."""
        ...

    @property
    def fields(self) -> dict[str, FieldType]:
        """Its fields and their types."""
        ...

    def manifest(self) -> Manifest | None:
        """Its manifest, if it has one."""
        ...


PathsAndManifests = Sequence[tuple[Path, Manifest]]
"""The folders of indexes, and their manifests."""


def common_manifest(indexes: Sequence[DescribedIndex]) -> Manifest | None:
    """The manifest of several indexes as one: how all were made, with what each has added up.

    An index whose manifest does not name its model or quantizer is taken to agree with the others; see
    :func:`compatibility_warnings`.

    Args:
        indexes: The indexes, at least one.

    Returns:
        The manifest; None if no index has one.

    Raises:
        InputError: Two indexes were made with different models, settings, prunings or quantizers, or a manifest is damaged.
    """
    manifests = _manifests(indexes)
    ruled = [(path, manifest) for path, manifest in manifests if manifest.quantizer is not None]
    for known in (_naming_models(manifests), ruled):
        for path, manifest in known[1:]:
            _check_same(*known[0], path, manifest)
    if not manifests:
        return None
    path, first = leading_manifest(manifests)
    every = [manifest for _, manifest in manifests]
    is_one_encoding = len({manifest.settings for manifest in every}) == 1
    return replace(
        first,
        **first.mixed_with(*(manifest for other, manifest in manifests if other != path)),
        documents=sum(each.num_docs for each in indexes),
        encoding="",
        settings=first.settings if is_one_encoding else "",
        encoded_with=first.encoded_with if is_one_encoding else {"passages": [*first.passages]},
        empty=tuple(dict.fromkeys(docid for manifest in every for docid in manifest.empty)),
        skipped=sum(manifest.skipped for manifest in every),
        history=(),
        commit="",
        fields={name: kind for manifest in every for name, kind in manifest.fields.items()},
    )


def leading_manifest(manifests: PathsAndManifests) -> tuple[Path, Manifest]:
    """The manifest that says for several indexes how queries are encoded, and its index.

    It is the first that names a model, or else the first. If it has no quantizer, it gets that of the first which has one.

    Args:
        manifests: The manifests, at least one.
    """
    path, manifest = (_naming_models(manifests) or manifests)[0]
    quantizers = [each.quantizer for _, each in manifests if each.quantizer is not None]
    return path, replace(manifest, quantizer=manifest.quantizer or next(iter(quantizers), None))


def compatibility_warnings(indexes: Sequence[DescribedIndex]) -> list[str]:
    """Warnings, one for each reason why the scores of several indexes may not be comparable."""
    named = _naming_models(_manifests(indexes))
    unnamed = [each.index_dir for each in indexes if named and each.index_dir not in dict(named)]
    return [
        *(f"{path} does not name its model; it is searched with the model of {named[0][0]}" for path in unnamed),
        *_different_query_sides(named),
    ]


def _manifests(indexes: Sequence[DescribedIndex]) -> PathsAndManifests:
    return [(each.index_dir, manifest) for each in indexes if (manifest := each.manifest()) is not None]


def _naming_models(manifests: PathsAndManifests) -> PathsAndManifests:
    return [(path, manifest) for path, manifest in manifests if manifest.model]


def _check_same(path: Path, manifest: Manifest, other_path: Path, other: Manifest) -> None:
    differences = manifest.differences(other)
    if differences:
        raise InputError(
            f"{path} and {other_path} were encoded differently, so their scores cannot be compared: {'; '.join(differences)}",
            remedy="Encode one of the two again, with the model and quantizer of the other",
        )


def _different_query_sides(named: PathsAndManifests) -> Iterator[str]:
    """Warnings of indexes that name different query models or query lengths: those of the first one count."""
    for path, manifest in named[1:]:
        first_path, first = named[0]
        found = [
            f"{what} ({one}; {other})"
            for what, is_same, one, other in (
                ("the query model", manifest.query_digest == first.query_digest,
                 _query_model(first), _query_model(manifest)),
                ("query_max_length", manifest.query_max_length == first.query_max_length,
                 first.query_max_length, manifest.query_max_length),
            )
            if not is_same
        ]  # fmt: skip
        if found:
            differences = "; ".join(found)
            yield f"{first_path} and {path} differ in how queries are encoded: {differences}; those of the first are used"


def _query_model(manifest: Manifest) -> str:
    return f"{manifest.choices.get('query_model') or manifest.model}, weights {manifest.query_digest[:12] or 'unknown'}"


def common_fields(indexes: Sequence[DescribedIndex]) -> dict[str, FieldType]:
    """The fields of several indexes and their types.

    Raises:
        InputError: Two indexes have a field of the same name with different types.
    """
    known: dict[str, tuple[FieldType, Path]] = {}
    for index in indexes:
        for name, kind in index.fields.items():
            first, path = known.setdefault(name, (kind, index.index_dir))
            if first != kind:
                raise InputError(
                    f"the field {name!r} has the type {first} in {path} and {kind} in {index.index_dir}",
                    remedy="Build one of the two again, with the type of the other, or with another name",
                )
    return {name: kind for name, (kind, _) in known.items()}
