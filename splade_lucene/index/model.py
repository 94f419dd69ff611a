"""Opens the encoder with which an index was made, to add texts to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splade_lucene.encoder.layout import Choices
from splade_lucene.encoder.settings import from_choices
from splade_lucene.errors import InputError, ModelError
from splade_lucene.files.typed_data import make
from splade_lucene.manifest import INDEX_FILE, Manifest

if TYPE_CHECKING:
    from splade_lucene.encoder import SpladeEncoder
    from splade_lucene.encoder.sparse import SparseImpacts


def open_document_encoder(
    manifest: Manifest | None, index_dir: Path, model: str | Path | None = None, *, device: str = "auto",
    trust_remote_code: bool = False,
) -> SpladeEncoder:  # fmt: skip
    """Opens the encoder that encodes documents as those of an index were encoded.

    Args:
        manifest: The manifest of the index; None if it has none.
        index_dir: The index, for messages.
        model: Another folder or hub name of the same checkpoint; None for that of the manifest.
        device: See :class:`splade_lucene.SpladeEncoder`.
        trust_remote_code: Likewise.

    Raises:
        InputError: The index has no manifest that names its model and quantizer.
        ModelError: The model is another one than that of the index.
    """
    from splade_lucene.encoder import SpladeEncoder

    if manifest is None or not manifest.model or manifest.quantizer is None:
        raise InputError(
            "this index has no manifest that names its model and quantizer, so texts cannot be encoded to match",
            path=index_dir,
            remedy="Add pseudo-documents, or build the index with 'splade-lucene build'",
        )
    documents, queries = from_choices(recorded_choices(manifest, index_dir))
    tokens, overlap = manifest.passages
    documents = replace(
        documents,
        max_length=manifest.max_length or documents.max_length,
        passage_tokens=tokens,
        passage_overlap=overlap,
    )
    encoder = SpladeEncoder(
        model or manifest.model, documents, replace(queries, model=None) if model else queries, device=device,
        dtype=_dtype(manifest), trust_remote_code=trust_remote_code,
    )  # fmt: skip
    if manifest.model_digest and encoder.layout.documents.location.digest() != manifest.model_digest:
        named = "is no longer" if model is None else "is not"
        revision = f", revision {manifest.model_revision}" if manifest.model_revision else ""
        raise ModelError(
            f"{model or manifest.model} {named} the model with which {index_dir} was encoded ({manifest.model}{revision}). "
            "Name the right one with model=…, or encode the corpus again."
        )
    return encoder


def encode_texts(
    encoder: SpladeEncoder, manifest: Manifest, texts: Iterable[str], progress: Callable[[int, int], None] | None = None
) -> SparseImpacts:
    """The impacts of texts, pruned and quantized as those of an index.

    Args:
        encoder: The encoder that :func:`open_document_encoder` opened.
        manifest: The manifest of the index.
        texts: The texts.
        progress: Called with the number of texts and of tokens of each batch.
    """
    from splade_lucene.encoder import Pruning

    assert manifest.quantizer is not None  # open_document_encoder has refused such a manifest
    return encoder.encode_impacts(
        encoder.tokenize_documents(texts), manifest.quantizer, pruning=Pruning(**manifest.pruning),
        min_impact=manifest.min_impact, progress=progress,
    )  # fmt: skip


def _dtype(manifest: Manifest) -> Any:
    return manifest.dtype if manifest.dtype in ("float32", "bfloat16") else "auto"


def recorded_choices(manifest: Manifest, index_dir: str | Path) -> Choices:
    """The encoder's settings that a manifest records. Ignoring an unknown one would encode in another way.

    Raises:
        InputError: A setting is unknown or not possible.
    """
    unknown = sorted(manifest.choices.keys() - {each.name for each in fields(Choices)})
    if unknown:
        raise InputError(
            f"the encoder settings have unknown names: {', '.join(unknown)}",
            path=Path(index_dir) / INDEX_FILE,
            remedy="Encode and index the corpus again with this version, or search with encoded queries",
        )
    if not manifest.choices and manifest.pooling in ("max", "sum"):
        return Choices(pooling=manifest.pooling, query_mode="model", query_max_length=manifest.query_max_length or None)  # type: ignore[arg-type]
    try:
        return make(Choices, manifest.choices)
    except ValueError as error:
        raise InputError(
            f"the manifest is damaged ({error})", path=Path(index_dir) / INDEX_FILE, remedy="Build the index again"
        ) from None
