"""The tokenizer of a checkpoint, using only the tokenizers library, for encoding without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import Any

from splade_lucene.encoder.location import read_json
from splade_lucene.encoder.soundness import check_tokenizer
from splade_lucene.encoder.terms import vocabulary_terms
from splade_lucene.encoder.words import TokenSpan, WordSpans
from splade_lucene.errors import ModelError
from splade_lucene.imports import uninterrupted_imports

TOKENIZER = "tokenizer.json"
_CUSTOMARY = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]", "<s>", "</s>", "<unk>", "<pad>", "<mask>"}
_WITHOUT_DEFAULTS = ("PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend")
"""Classes of transformers in which all special tokens have to be named."""


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
        self._settings = _settings(folder)
        flagged = {token.content for token in added.values() if token.special}
        named = _names(self._settings) | (flagged & _CUSTOMARY if self._has_defaults() else set())
        self._specials = {self._entries[name]: name for name in named if name in self._entries}
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

    def spans(self, texts: Sequence[str], wanted: Set[str] | None = None) -> list[list[TokenSpan]]:
        """The tokens of each text in its order, without special ones, and where they are.

        Args:
            texts: The texts.
            wanted: Only tokens of these terms; None for all.
        """
        return self._words.find(texts, wanted) if self._splits_at_spaces else self._spans(texts, wanted)

    def _spans(self, texts: Sequence[str], wanted: Set[str] | None = None) -> list[list[TokenSpan]]:
        terms = self._terms
        return [
            [
                TokenSpan(terms[term_id], *place)
                for term_id, place in zip(each.ids, each.offsets, strict=True)
                if wanted is None or terms[term_id] in wanted
            ]
            for each in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ]

    @cached_property
    def _words(self) -> WordSpans:
        return WordSpans(self._spans)

    @cached_property
    def _splits_at_spaces(self) -> bool:
        """Whether a text has the tokens of what is between its spaces: known only for tokenizers of BERT's kind."""
        parts = json.loads(self._tokenizer.to_str())
        kinds = [(parts[name] or {}).get("type") for name in ("normalizer", "pre_tokenizer", "model")]
        around = [each for each in parts["added_tokens"] if each["lstrip"] or each["rstrip"] or " " in each["content"]]
        return kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"] and not around

    @cached_property
    def _terms(self) -> list[str]:
        return self.terms()

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
        """The ids of special tokens, ascending: those that the settings name.

        As in transformers, others that ``tokenizer.json`` calls special, such as ModernBERT's ``<|padding|>``, are terms.
        """
        return sorted(self._specials)

    def _has_defaults(self) -> bool:
        """Whether special tokens have their customary names where the settings say nothing, as in BERT's class."""
        return self._settings.get("tokenizer_class") not in _WITHOUT_DEFAULTS

    @property
    def pad_token_id(self) -> int | None:
        """The id of the padding token, if there is one."""
        named = self._named("pad_token")
        if named is not None or not self._has_defaults():
            return named
        return next((term_id for term_id, name in self._specials.items() if name in ("[PAD]", "<pad>")), None)

    @property
    def unk_token_id(self) -> int | None:
        """The id of the unknown token; from the settings if they name it, because not every tokenizer model does."""
        named = self._named("unk_token")
        return self._entries.get(getattr(self._tokenizer.model, "unk_token", None) or "") if named is None else named

    def _named(self, name: str) -> int | None:
        entry = _content(self._settings.get(name))
        return None if entry is None else self._entries.get(entry)


def _settings(folder: Path) -> dict[str, Any]:
    """What the files beside ``tokenizer.json`` say; the first one alone if it lists the added tokens."""
    paths = [folder / "tokenizer_config.json", folder / "special_tokens_map.json"]
    config, names = (read_json(path) if path.is_file() else {} for path in paths)
    return config if "added_tokens_decoder" in config else {**config, **names}


def _names(settings: Mapping[str, Any]) -> set[str]:
    """The special tokens that settings name."""
    named = [value for key, value in settings.items() if key.endswith("_token")]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        more = settings.get(key) or []
        named += more.values() if isinstance(more, dict) else more
    return {content for each in named if (content := _content(each)) is not None}


def _content(token: object) -> str | None:
    """A token that is written as a string, or as an object with its content."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


@uninterrupted_imports()
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
