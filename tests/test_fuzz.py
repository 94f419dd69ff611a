"""Ten thousand odd texts among two hundred broken lines: each is encoded, or named with a reason, and none stops the rest."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from splade_lucene import (
    DocumentSettings,
    LuceneImpactSearcher,
    Pruning,
    PseudoDocument,
    Quantizer,
    SpladeEncoder,
    encode_corpus,
    index_pseudo_documents,
    read_pseudo_documents,
    write_pseudo_documents,
)
from splade_lucene.corpus.reading import read_corpus
from splade_lucene.errors import CorpusError, PseudoDocumentError
from splade_lucene.manifest import Manifest

SEED = 20261124
TEXTS = 10_000
RULE = Quantizer.named("naver")
LENGTH = 12
LONE = re.compile("[\ud800-\udfff]")

# ---- odd texts ----

WORDS = ["cat", "Heart", "naïve", "Straße", "日本語", "бег", "don't", "1,234.5", "e-mail", "don’t", "x²", "ﬁ", "İ", "ẞ"]
RIGHT_TO_LEFT = ["שלום", "مرحبا", "עולם", "\u202eevil\u202c", "\u200fmark", "كِتَابٌ", "\u2067isolate\u2069"]
EMOJI = ["😀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "❤️", "1️⃣", "\u200d", "👩‍", "\ufe0f"]
SPECIAL = [
    "[SEP]",
    "[MASK]",
    "[PAD]",
    "[CLS]",
    "[UNK]",
    "<s>",
    "</s>",
    "<mask>",
    "##ing",
    "[unused0]",
    "[sep]",
    "[ SEP ]",
]
HTML = [
    "<div class='a'>",
    "</p>",
    "&amp;",
    "&#0;",
    "<script>alert(1)</script>",
    "<!--",
    "]]>",
    "<br/>",
    "&nbsp;",
    '"',
    "\\",
]
SPACES = [
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1f",
    "\x85",
    "\u2028",
    "\u2029",
    "\u00a0",
    "\u3000",
    "\u200b",
]


def some(source: random.Random, pieces: list[str], glue: str = " ", most: int = 20) -> str:
    return glue.join(source.choices(pieces, k=source.randint(1, most)))


def characters(source: random.Random, *ranges: tuple[int, int], most: int = 60) -> str:
    return "".join(chr(source.randint(*source.choice(ranges))) for _ in range(source.randint(1, most)))


KINDS: dict[str, Callable[[random.Random], str]] = {
    "empty": lambda _: "",
    "blank": lambda s: some(s, SPACES, ""),
    "words": lambda s: some(s, WORDS),
    "punctuation": lambda s: characters(
        s, (33, 47), (58, 64), (91, 96), (123, 126), (0x2010, 0x205E), (0x3001, 0x303F)
    ),
    "one character": lambda s: s.choice([".", "a", "\x00", "漢", "\ufffd", "\ud800", "😀", "\u0301"]),
    "NUL": lambda s: some(s, ["\x00", "a\x00b", "cat", "\x00\x00"]),
    "lone surrogates": lambda s: some(s, ["\ud800", "\udfff", "a\udc00b", "\ud83d \ude00", "cat", "\udbff\udbff"]),
    "control characters": lambda s: characters(s, (0, 31), (127, 159), (65, 70)),
    "right to left": lambda s: some(s, [*RIGHT_TO_LEFT, "cat"]),
    "emoji": lambda s: some(s, EMOJI, s.choice(["", " "])),
    "combining marks": lambda s: some(
        s, ["e" + "\u0301" * 30, "\u0300", "Z̸͉a̶l̷g̵o̴", "한\u1100\u1161\u11a8", "किताब", "ก็็็็"]
    ),
    "byte order marks": lambda s: some(s, ["\ufeff", "cat", "\ufeffdog", "\ufffe"], s.choice(["", " "])),
    "private use": lambda s: characters(s, (0xE000, 0xF8FF), (0xF0000, 0xFFFFD), (0x100000, 0x10FFFD)),
    "noncharacters": lambda s: some(s, ["\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001ffff", "\U0010fffe", "cat"], ""),
    "line separators": lambda s: some(s, [*SPACES, "cat", "dog"], ""),
    "special tokens": lambda s: some(s, SPECIAL, s.choice(["", " "])),
    "HTML": lambda s: some(s, [*HTML, "text"], ""),
    "URL": lambda s: "https://example.org/" + characters(s, (33, 126), most=3000),
    "any characters": lambda s: characters(s, (0, 0xD7FF), (0xE000, 0x10FFFF)),
    "any small characters": lambda s: characters(s, (0, 0x2FF)),
    "escapes": lambda s: some(s, ["\\u0041", '\\"', "\\n", "\\", '"', "\\ud800", "{}", "[1]", "\\x00"], ""),
    "number": lambda s: str(s.random() * 10 ** s.randint(-30, 30)),
    "Chinese": lambda s: characters(s, (0x4E00, 0x9FFF)),
    "ideographic variants": lambda s: some(s, ["葛\U000e0100", "a\U000e0041\U000e007f", "𠮷", "𝕳𝖊𝖑𝖑𝖔", "ﷺ"], ""),
}
LONG: dict[str, str] = {  # few of each, for they take their time
    "a word of 10,000 characters": "w" * 10_000,
    "a word of 10,000 Chinese characters": "漢" * 10_000,
    "10,000 combining marks": "e" + "\u0301" * 10_000,
    "1 MB in words": "cats and dogs " * 75_000,
    "1 MB in one word": "x" * 1_000_000,
    "1 MB of punctuation": "!?" * 500_000,
    "1 MB of emoji": "👨‍👩‍👧" * 60_000,
    "1 MB of special tokens": "[SEP]" * 200_000,
}


# ---- broken lines ----


class Broken(NamedTuple):
    """A line that is not a document, and the expected error."""

    line: bytes
    reason: str


def broken_lines() -> Iterator[Broken]:  # noqa: C901 - a kind of fault a loop
    """Some two hundred. Each duplicate comes after the good line d0."""
    for line in (b"{", b"}", b"nonsense", b'{"id": "x", "text": "a"', b'{"id": "x" "text": "a"}', b"{'id': 'x', 'text': 'a'}",
                 b'{"id": "x", "text": "a"} trailing', b'{"id": "x", "text": "a"}{"id": "y", "text": "b"}', b"\x00",
                 b'{"id": "x", "text": "a\x01b"}', b'{"id": "x", "text": "\\x"}', b'{"id": "x", "text": "\\u12"}', b"\xef\xbb\xbf",
                 b'{"id": x}', b'{"id": "x", "text": "a",}', b"// comment", b'{"id": ' + b"7" * 5000 + b', "text": "a"}',
                 b"[" * 100_000, b'{"id": "x", "text": ' + b"[" * 100_000, b'{"a":' * 100_000,
                 b'{"id": "x", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"id": "x"}\r{"id": "y"}'):  # fmt: skip
        yield Broken(line, "invalid JSON")
    for line in (b"5", b'"text"', b"null", b"true", b"[]", b'["x", "a"]', b"1.5", b"NaN"):
        yield Broken(line, "not a JSON object")
    for line in (b'{"id": "x", "text": "caf\xe9"}', b'{"id": "x", "text": "\xc0\xaf"}', b'{"id": "x", "text": "\xed\xa0\x80"}',
                 b"\xff\xfe{\x00", b'{"id": "x", "text": "\x80"}', b'{"id": "\xff", "text": "a"}', b'{"id": "x", "text": "\xf4\x90\x80\x80"}',
                 '{"id": "x", "text": "a"}'.encode("utf-16"), '{"id": "x", "text": "漢"}'.encode("shift-jis"),
                 b'{"id": "x", "text": "\xe6\xbc'):  # fmt: skip
        yield Broken(line, "not UTF-8")
    record: dict[str, Any]
    for record in ({}, {"text": "a"}, {"id": None, "text": "a"}, {"Id": "x", "text": "a"}, {"name": "x"},
                   {"id": float("nan"), "text": "a"}, {"_id": float("nan"), "text": "a"}):  # fmt: skip
        yield Broken(json.dumps(record).encode(), "the document has none of the keys id, _id, docid, doc_id")
    value: Any
    for value in ("", " ", "a b", "a\tb", "a\n", "\u2028", "a\u00a0b", "\u3000x", "\x85", "a\x00b", "\x1f", "\x7f", "\ud800", "a\udfff",
                  1.5, True, False, [], ["a"], {}, {"a": 1}, float("inf"), [[[]]], "漢" * 10_923):  # fmt: skip
        for key in ("id", "_id"):
            yield Broken(json.dumps({key: value, "text": "a"}).encode(), "is not valid; expected a string or integer")
    for record in ({"id": "x"}, {"id": "x", "text": None}, {"id": "x", "title": ""}, {"id": "x", "body": "a"}, {"id": "x", "title": None},
                   {"id": "x", "contents": None, "text": None}):  # fmt: skip
        yield Broken(json.dumps(record).encode(), "has none of the keys contents, text")
    for value in (5, 1.5, True, ["a"], {"a": "b"}, {"text": "a"}):
        for record in (
            {"id": "x", "text": value},
            {"id": "x", "contents": value},
            {"id": "x", "text": "a", "title": value},
        ):
            yield Broken(json.dumps(record).encode(), "is not a string (")
    for docid in ("d0", "d0", "7", 7):
        yield Broken(json.dumps({"id": docid, "text": "a"}).encode(), "duplicate id")
    for depth in range(900, 1000, 2):  # about where Python stops reading, and what it reads is to be shown
        nested = b"[" * depth + b"]" * depth
        yield Broken(b'{"id": ' + nested + b', "text": "a"}', "")
        yield Broken(b'{"id": "x", "text": ' + nested + b"}", "")


# ---- the corpus ----


class Odd(NamedTuple):
    """The corpus and what is in it."""

    path: Path
    texts: dict[str, str]  # docid → what is to be read
    kinds: dict[str, str]
    broken: dict[int, Broken]  # by number of the line


def as_read(title: str, text: str) -> str:
    """Title, space and text, trimmed; JSON's escaped surrogates are joined to pairs, and unpaired ones replaced."""
    return LONE.sub("\ufffd", json.loads(json.dumps(f"{title} {text}".strip())))


def name_of(source: random.Random, number: int) -> str | int:
    if number in (0, 7):  # which broken lines use again
        return 7 if number else "d0"
    i = number
    names: list[str | int] = [
        f"d{i}",
        f"{i}",
        i,
        -i,
        f"文書{i}",
        f"d/{i}?é=\"'\\",
        f"😀{i}",
        f"\ufeff{i}",
        f"{i}\u200b",
    ]
    return source.choice(names)


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Odd:
    source = random.Random(SEED)
    kinds = [*LONG, *source.choices(list(KINDS), k=TEXTS - len(LONG))]
    source.shuffle(kinds)
    texts: dict[str, str] = {}
    lines: list[bytes | Broken] = []
    for number, kind in enumerate(kinds):
        docid, text = name_of(source, number), LONG[kind] if kind in LONG else KINDS[kind](source)
        title = KINDS[source.choice(list(KINDS))](source) if source.random() < 0.1 else ""
        record = {source.choice(["id", "_id", "docid", "doc_id"]): docid, source.choice(["text", "contents"]): text}
        if title or source.random() < 0.1:
            record["title"] = title or source.choice(["", None])
        escaped = bool(LONE.search(text + title)) or source.random() < 0.5
        lines.append(json.dumps(record, ensure_ascii=escaped).encode())
        texts[str(docid)] = as_read(title, text)
    assert len(texts) == TEXTS
    for bad in broken_lines():
        lines.insert(source.randint(8, len(lines)), bad)
    broken, count = {}, 0
    path = tmp_path_factory.mktemp("fuzz") / "corpus.jsonl"
    with path.open("wb") as file:
        for line in lines:
            if isinstance(line, Broken):
                broken[count + 1] = line
                line = line.line
            end = source.choice([b"\n", b"\n", b"\r\n", b"\n\n", b"\n \t\n\x0c\n"])
            file.write(line + end)
            count += end.count(b"\n")
    return Odd(path, texts, dict(zip(texts, kinds, strict=True)), broken)


@pytest.fixture(scope="module")
def encoder(tiny_model) -> SpladeEncoder:
    return SpladeEncoder(tiny_model, documents=DocumentSettings(max_length=LENGTH), device="cpu", dtype="float32")


class Encoded(NamedTuple):
    folder: Path
    manifest: Manifest
    problems: list[CorpusError]


@pytest.fixture(scope="module")
def encoded(odd, encoder, tmp_path_factory) -> Encoded:
    folder = tmp_path_factory.mktemp("fuzz") / "encoded"
    problems: list[CorpusError] = []
    manifest = encode_corpus(
        odd.path, folder, encoder, RULE, pruning=Pruning(top_terms=8), skip_bad=True, on_problem=problems.append
    )
    return Encoded(folder, manifest, problems)


@pytest.mark.slow
def test_every_text_is_encoded_and_every_broken_line_is_named(odd, encoded):
    print(f"seed {SEED}")
    assert len(odd.broken) > 200
    matches = [re.match(rf"{re.escape(str(odd.path))}:(\d+): ", str(problem)) for problem in encoded.problems]
    named = {int(match[1]) for match in matches}
    assert [line.line[:80] for number, line in sorted(odd.broken.items()) if number not in named] == []
    assert [int(match[1]) for match in matches] == sorted(odd.broken)
    assert encoded.manifest.skipped == len(odd.broken)
    assert encoded.manifest.documents + len(encoded.manifest.empty) == len(odd.texts)
    for problem, (line, reason) in zip(encoded.problems, (odd.broken[n] for n in sorted(odd.broken)), strict=True):
        assert reason in str(problem), (line[:80], str(problem)[:200])
        assert problem.remedy
        assert str(problem).encode()  # so that it can be printed
        assert len(str(problem)) < 8000


@pytest.mark.slow
def test_what_was_written_is_valid_and_has_the_texts_as_they_were_read(odd, encoded):
    documents = list(read_pseudo_documents(encoded.folder))  # which checks each
    without = set(encoded.manifest.empty)
    assert [each.docid for each in documents] == [docid for docid in odd.texts if docid not in without]
    for each in documents:
        assert each.contents == odd.texts[each.docid], odd.kinds[each.docid]
        assert 0 < len(each.vector) <= 8
    assert {odd.kinds[each.docid] for each in documents} == {*KINDS, *LONG}


@pytest.mark.slow
def test_it_can_be_indexed_and_the_texts_come_back(odd, encoded, tmp_path):
    summary = index_pseudo_documents(encoded.folder, tmp_path / "index")
    assert (summary.documents, summary.skipped) == (encoded.manifest.documents, ())
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.num_docs == encoded.manifest.documents
        for each in read_pseudo_documents(encoded.folder):
            assert (searcher.doc(each.docid).contents() or "") == odd.texts[each.docid], odd.kinds[each.docid]


@pytest.mark.slow
def test_the_first_broken_line_stops_where_none_may_be_dropped(odd, encoder, tmp_path):
    first = min(odd.broken)
    with pytest.raises(CorpusError, match=re.escape(f"{odd.path}:{first}: ")):
        encode_corpus(odd.path, tmp_path / "out", encoder, RULE)


@pytest.mark.slow
def test_each_broken_line_stops_with_its_own_place(tmp_path):
    good = [json.dumps({"id": docid, "text": "a"}).encode() for docid in ("d0", 7)]
    path = tmp_path / "corpus.jsonl"
    for broken in broken_lines():
        path.write_bytes(b"\n".join([*good, broken.line, b'{"id": "behind", "text": "b"}']))
        documents = read_corpus(path)
        assert [next(documents).docid, next(documents).docid] == ["d0", "7"]
        with pytest.raises(CorpusError) as caught:
            next(documents)
        assert str(caught.value).startswith(f"{path}:3: "), broken
        assert broken.reason in str(caught.value)


@pytest.mark.slow
def test_odd_texts_have_the_weights_of_the_published_formula(odd, encoder, tiny_model):
    """One text of each kind, encoded alone with transformers from all logits."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    network = AutoModelForMaskedLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    chosen = {kind: docid for docid, kind in odd.kinds.items()}
    assert len(chosen) == len(KINDS) + len(LONG)
    found = encoder.encode_documents([odd.texts[docid] for docid in chosen.values()])
    for row, (kind, docid) in enumerate(chosen.items()):
        inputs = tokenizer(odd.texts[docid], return_tensors="pt", truncation=True, max_length=LENGTH)
        with torch.no_grad():
            logits = network(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[0]
        expected = torch.log1p(torch.relu(logits)).amax(dim=0).numpy()
        entries = found.row(row)
        if inputs["input_ids"].shape[1] == 2:
            expected[:] = 0  # a text of which the tokenizer keeps nothing has no terms
        expected[found.term_ids[entries]] -= found.values[entries]
        assert abs(expected).max() < 2e-5, kind


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": "a\\"b", "contents": "caf\xe9", "vector": {"cat": 1}}',
        b'{"id": "a\\"b", "contents": "\xed\xa0\x80", "vector": {"cat": 1}}',
        b'{"id": "a\\"b", "contents": "x", "vector": {"c\xe9t": 1}}',
        b'\xef\xbb\xbf{"id": "a\\"b", "contents": "x", "vector": {"cat": 1}}',
        '{"id": "a", "contents": "x", "vector": {"cat": 1}}'.encode("utf-16-be"),
    ],
)
def test_bytes_that_are_no_text_are_refused_by_reader_and_index_alike(tmp_path, line):
    (tmp_path / "broken.jsonl").write_bytes(line + b"\n")
    with pytest.raises(PseudoDocumentError) as read:
        list(read_pseudo_documents(tmp_path / "broken.jsonl"))
    with pytest.raises(PseudoDocumentError) as indexed:
        index_pseudo_documents(tmp_path / "broken.jsonl", tmp_path / "index")
    reasons = [re.search("not UTF-8|not a single JSON object", str(each.value))[0] for each in (read, indexed)]
    assert reasons[0] == reasons[1]


def test_long_texts_under_ids_with_quotes_are_indexed(tmp_path):
    documents = [PseudoDocument(f'"{number}"', "!?" * 50_000, {"cat": 1}) for number in range(3)]
    write_pseudo_documents(tmp_path / "long.jsonl", documents)
    assert index_pseudo_documents(tmp_path / "long.jsonl", tmp_path / "index").documents == 3
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert [searcher.doc(each.docid).contents() for each in documents] == [each.contents for each in documents]


@pytest.mark.parametrize("character", ["x", "é", "漢", "😀"])
def test_an_id_is_as_long_as_an_index_can_hold_it_and_no_longer(tmp_path, character):
    size = len(character.encode())
    longest = character * (32_766 // size)
    longest += "x" * (32_766 - len(longest.encode()))
    for name, docid in (("fits", longest), ("over", longest + "x")):
        vector = f'{{"id": "{docid}", "contents": "a", "vector": {{"cat": 1}}}}\n'
        (tmp_path / f"{name}.jsonl").write_text(f'{{"id": "{docid}", "text": "a"}}\n')
        (tmp_path / f"{name}.encoded.jsonl").write_text(vector)
    assert next(read_corpus(tmp_path / "fits.jsonl")).docid == longest
    assert next(read_pseudo_documents(tmp_path / "fits.encoded.jsonl")).docid == longest
    assert index_pseudo_documents(tmp_path / "fits.encoded.jsonl", tmp_path / "fits").documents == 1
    with pytest.raises(CorpusError, match="of 1 to 32,766 bytes") as refused:
        next(read_corpus(tmp_path / "over.jsonl"))
    assert len(str(refused.value)) < 600
    for read in (
        lambda path: list(read_pseudo_documents(path)),
        lambda path: index_pseudo_documents(path, tmp_path / "o"),
    ):
        with pytest.raises(PseudoDocumentError, match=r"longer than 32,766 bytes"):
            read(tmp_path / "over.encoded.jsonl")
