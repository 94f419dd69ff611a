"""The tokenizer of a checkpoint by the tokenizers library alone, for encoding without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from splade_lucene.encoder.location import read_json
from splade_lucene.encoder.soundness import check_tokenizer
from splade_lucene.encoder.terms import vocabulary_terms
from splade_lucene.errors import ModelError
from splade_lucene.imports import whole_imports

TOKENIZER = "tokenizer.json"


class PlainTokenizer:
    """A tokenizer that is called like those of transformers, as far as encoding needs it.

    Args:
        folder: Folder with ``tokenizer.json``, or with an older tokenizer, for which transformers is imported.

    Raises:
        ModelError: The tokenizer is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokenizer = _load(folder)
        self._entries: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        added = self._tokenizer.get_added_tokens_decoder()
        self._specials = {term_id: token.content for term_id, token in added.items() if token.special}
        check_tokenizer(self._entries, self._specials, folder)

    def check_size(self, size: int) -> None:
        """Refuses a tokenizer that does not belong to a network.

        Args:
            size: Number of tokens that the network knows.

        Raises:
            ModelError: The tokenizer has more.
        """
        check_tokenizer(self._entries, self._specials, self._folder, size)

    def __call__(self, texts: str | Sequence[str], *, add_special_tokens: bool = True, **_: Any) -> dict[str, Any]:
        """The token ids (``input_ids``) of a text or of several texts, not truncated.

        Args:
            texts: One text or several.
            add_special_tokens: Whether to add special tokens.
            _: Other arguments of transformers' tokenizers, which ask for what this one does anyway.
        """
        several = [texts] if isinstance(texts, str) else list(texts)
        ids = [each.ids for each in self._tokenizer.encode_batch(several, add_special_tokens=add_special_tokens)]
        return {"input_ids": ids[0] if isinstance(texts, str) else ids}

    def terms(self, size: int | None = None) -> list[str]:
        """The Lucene term of each term_id; those without an entry get names that no text produces.

        Args:
            size: Number of terms; None for one more than the largest term_id.
        """
        return vocabulary_terms(self._entries, max(self._entries.values()) + 1 if size is None else size)

    def get_vocab(self) -> dict[str, int]:
        """Vocabulary entry → term_id, with added tokens."""
        return self._entries

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of special tokens, ascending."""
        return sorted(self._specials)

    @property
    def pad_token_id(self) -> int | None:
        """The id of the padding token, if the tokenizer names one."""
        return self._named("pad_token")

    @property
    def unk_token_id(self) -> int | None:
        """The id of the unknown token; from the settings if they name it, because not every tokenizer model does."""
        named = self._named("unk_token")
        return self._entries.get(getattr(self._tokenizer.model, "unk_token", None) or "") if named is None else named

    def _named(self, name: str) -> int | None:
        path = self._folder / "tokenizer_config.json"
        token = read_json(path).get(name) if path.is_file() else None
        entry = token.get("content") if isinstance(token, dict) else token
        return self._entries.get(entry) if isinstance(entry, str) else None


@whole_imports()
def _load(folder: Path) -> Any:
    from tokenizers import Tokenizer

    path = folder / TOKENIZER
    try:
        if path.is_file():
            tokenizer = Tokenizer.from_file(str(path))
        else:  # an older checkpoint, which has only the parts of a tokenizer
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False).backend_tokenizer
    except Exception as error:  # the tokenizers library raises bare exceptions
        raise ModelError(f"{folder}: cannot load the tokenizer ({error}). Copy the checkpoint again.") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
