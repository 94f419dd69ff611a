"""Tokenizing word by word gives the same terms as tokenizing the whole text."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splade_lucene.encoder import words as words_module
from splade_lucene.encoder.tokenizer import PlainTokenizer
from splade_lucene.encoder.words import TokenSpan, WordSpans
from splade_lucene.models import embedded_model_folder

pytestmark = pytest.mark.model

PIECES = [
    " ", "  ", "\n", "\t", "\xa0", "\x1c", "\u2003", "\u3000", "\x00", "\u200b", "\ufffd", "cat", "CAFÉ", "cafe\u0301", "\u0301",
    "unbelievable", "ness", "漢字", "İ", "ß", "ﬁ", "[MASK]", "[SEP]", "[UNK]", "##s", ".", ",", "U.S.", "😀", "x" * 101, "-", "'s",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=12).map("".join)


@pytest.fixture(scope="module")
def tokenizer() -> PlainTokenizer:
    return PlainTokenizer(embedded_model_folder())


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXTS, max_size=4), share=st.integers(1, 3))
def test_words_have_the_tokens_of_the_text(tokenizer, texts, share):
    assert tokenizer._splits_at_spaces
    whole = tokenizer._spans(texts)
    assert tokenizer.spans(texts) == whole
    assert tokenizer.spans(texts) == whole  # from words that are known now
    terms = sorted({span.term for spans in whole for span in spans})
    wanted = frozenset(terms[::share])
    assert tokenizer.spans(texts, wanted) == [[span for span in spans if span.term in wanted] for spans in whole]
    assert tokenizer.spans(texts, frozenset()) == [[]] * len(texts)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("pre_tokenizer", {"type": "Whitespace"}),
        ("normalizer", {"type": "NFC"}),
        ("normalizer", None),
        ("added_tokens", [{"lstrip": True}]),
        ("added_tokens", [{"content": "two words"}]),
    ],
)
def test_other_tokenizers_get_the_whole_text(part, value, tmp_path):
    for path in embedded_model_folder().glob("*token*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    settings = json.loads((tmp_path / "tokenizer.json").read_text())
    if part == "added_tokens":
        settings[part][-1].update(value[0])
        settings["model"]["vocab"].setdefault(settings[part][-1]["content"], settings[part][-1]["id"])
    else:
        settings[part] = value
    (tmp_path / "tokenizer.json").write_text(json.dumps(settings))
    tokenizer = PlainTokenizer(tmp_path)
    assert not tokenizer._splits_at_spaces
    assert tokenizer.spans(["two words [MASK]"]) == tokenizer._spans(["two words [MASK]"])


def test_few_words_are_tokenized_and_few_are_kept(monkeypatch):
    asked: list[str] = []

    def tokenize(words):
        asked.extend(words)
        return [[TokenSpan(word.lower(), 0, len(word))] if word else [] for word in words]

    words = WordSpans(tokenize)
    assert words.find(["A cat", "a  CAT"], {"cat"}) == [[TokenSpan("cat", 2, 5)], [TokenSpan("cat", 3, 6)]]
    assert words.find(["CAT A"]) == [[TokenSpan("cat", 0, 3), TokenSpan("a", 4, 5)]]
    assert sorted(asked) == ["", "A", "CAT", "a", "cat"]
    long = "x" * 65
    words.find([long])
    words.find([long])
    assert asked.count(long) == 2
    monkeypatch.setattr(words_module, "_KNOWN_WORDS", 10)
    source = random.Random(1)
    for _ in range(50):
        text = " ".join(str(source.randint(0, 30)) for _ in range(8))
        assert [span.term for span in words.find([text])[0]] == text.split()
        assert len(words._known.tokens) <= 10
