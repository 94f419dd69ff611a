"""Lines of pseudo-documents, good and bad in every way that the rules name, drawn from a seed."""

from __future__ import annotations

import json
import random

from splade_lucene.fields.values import FieldType

IDS = [
    '"x"', '"é漢😀"', "7", "-7", "-0", "0", "1" * 1000, "1" * 1001, "-" + "1" * 1001, "1.5", "1e3", "-0.0", "01", "+1", "1.", ".5", "1e",
    "null", "true", "false", "[]", "{}", '["x"]', '{"id": "x"}', '""', '" "', '"a b"', '"a\\u00a0b"', '"a\\u0000b"', '"a\\u0085b"',
    '"\\u2028"', '"a\\tb"', '"\\ud83d"', '"\\ud83d\\ude00"', '"\\ude00\\ud83d"', '"\\uD800x"', '"' + "x" * 32_766 + '"',
    '"' + "é" * 16_383 + '"', '"' + "é" * 16_384 + '"', '"' + "x" * 32_767 + '"', '"' + "y" * 81 + '"', '"\\"\\\\\\/\\b"', "NaN", "Infinity",
    '"a\x7fb"', '"\\u200b"', '"\\ufeff"', '"\ufeff"', '"\\u180e"', '"a\\u202fb"',
]  # fmt: skip
TERMS = [
    "a", "b", "c", "cat", "##ing", "é", "漢字", "😀", '\\"', "\\\\", "\\u0061", "\\u00e9", "\\ud83d\\ude00", "a\\u00a0b", "\\u0001",
    "x" * 255, "\\u6f22" * 255, "漢" * 255, "😀" * 127,
]  # fmt: skip
BAD_TERMS = [
    "", " ", "a b", "a\\tb", "\\u2003", "\u3000", "\\u001c", "\\ud800", "\\udc00a", "x\\ud83d", "x" * 256, "漢" * 256, "😀" * 128,
    "\\u6f22" * 256, "a\\n", "\\x", "\\u12", "\\u00g0", "a\x01", "\\uD83D\\u0041", "w " * 100,
]  # fmt: skip
BAD_IMPACTS = [
    "0", "-0", "-1", "-3", "1.0", "1.50", "1e3", "1E+2", "-1.5", "0.0", '"3"', '"' + "9" * 100 + '"', "null", "true", "false", "[]", "[1, [2]]",
    "{}", '{"b": 1}', "2147483648", "99999999999999999999", "-99999999999999999999", "1" * 1000, "1" * 1001, "1." + "0" * 1000,
    "1." + "0" * 1001, "1e" + "9" * 1001, "01", "-", "+1", "1x", "", "NaN", "Infinity", "-Infinity", "nan", "0x10", "1_000", "True", "None",
    "1 2", "١",
]  # fmt: skip
OTHERS = [
    "null", "true", "1.5e3", '"text"', "[null, 1, {}]", '{"a": {"a": 1, "a": 2}}', "[" * 150 + "]" * 150, "[" * 199 + "]" * 199,
    "[" * 200 + "]" * 200, '{"a":' * 198 + "1" + "}" * 198, '{"a":' * 500 + "1" + "}" * 500, "[" * 3000, "NaN", "-Infinity", "[1, NaN]",
    "1" * 1001, "-" + "2" * 1000, "1e999", '"\\ud800"', '"[[[[{{{{"', '"' + "[" * 300 + '"', '"\\\\"', '"\\""', "tru", "nulls",
    "[1,]", "[,1]", "[1 2]", "{,}", '{"a"}', '{"a":}', "{1: 2}", "'x'", '"a\tb"', '"\\a"', "1" * 999 + "." + "2" * 1000,
]  # fmt: skip
CONTENTS = ['"text"', '""', '"é \\" \\n \\ud83d\\ude00"', "null", "5", '["text"]', '"\\ud800"', '"\x00"', '"\\u0000"', '"w"', "NaN", '"'  + "z" * 300 + '"']  # fmt: skip
FIELDS: dict[str, FieldType] = {
    "k": "keyword", "ks": "keyword[]", "i": "integer", "n": "number", "d": "date", "b": "boolean",
}  # fmt: skip
"""The fields of the lines, with their types."""
GOOD_VALUES: dict[FieldType, list[str]] = {
    "keyword": ['"de"', '""', '"é \\" \\ud83d\\ude00"', "7", "true", "null"],
    "keyword[]": ['"de"', "[]", '["b", "a", "b"]', '["é", 5, false]', "null"],
    "integer": ["0", "-0", "2019", "2019.0", "9223372036854775807", "-9223372036854775808", '"17"', "1e3"],
    "number": ["0", "-0.0", "1.5", "1e300", "5e-324", '"2.5"', "9007199254740992", "NaN"],
    "date": ['"2019-03-01"', '"2019-03-01T12:30:00Z"', '"2019-03-01T12:30:00.123456+02:00"', '"0001-01-01"', '"2020-02-29"'],
    "boolean": ["true", "false", '"true"', '"False"', "null"],
}  # fmt: skip
INSERTED = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe6\xbc", b"\xf4\x90\x80\x80", b"\x00", b"\x0b", b"\x0c", b"\x1e", b"\xc2\x85",
            b"\xc2\xa0", b"\xef\xbb\xbf", b"\t", b"\r", b" ", b",", b"}", b"{", b"]", b"[", b'"', b"\\", b":", b"1", b"-", b"/", b"//x",
            b"NaN", "漢".encode()]  # fmt: skip
WHOLE = [b"", b" ", b"\t \r", b"\x0b", b"\x0c", b"\x0b\x0c \t", b"\x1c", b"\xc2\x85", b"\xe2\x80\xa8", b"[]", b"{}", b"5", b'"x"', b"null", b"true",
         b"NaN", b"nothing", b"\x00", b"[", b"{", b"]", b"}", b'"', b"\xef\xbb\xbf", b"{}{}", b"[1, 2]", b'["id"', b"[" * 100_000,
         b'{"a":' * 100_000, b"\\", b"-", b"\xff\xfe{\x00"]  # fmt: skip


def draw_lines(source: random.Random, count: int) -> list[bytes]:
    """Draws lines without their ends. About a third of them can be indexed."""
    return [_draw(source, number) for number in range(count)]


def _draw(source: random.Random, number: int) -> bytes:
    if source.random() < 0.05:
        return source.choice(WHOLE)
    faults = source.choices([0, 1, 2, 3], [4, 4, 1, 1])[0]
    bad = [
        source.choice(["id", "term", "impact", "other", "contents", "fields", "missing", "repeated"])
        for _ in range(faults)
    ]
    pairs = [("id", _id(source, number, is_bad="id" in bad)), ("vector", _vector(source, bad))]
    if "contents" in bad or source.random() < 0.5:
        pairs.append(("contents", source.choice(CONTENTS) if "contents" in bad else json.dumps(f"text {number}")))
    if "fields" in bad or source.random() < 0.2:
        pairs.append(("fields", _fields(source, is_bad="fields" in bad)))
    if "other" in bad:
        pairs.append((source.choice(["title", "k" * 60_000, "\\ud800", "", "é"]), source.choice(OTHERS)))
    if "missing" in bad:
        del pairs[source.randrange(len(pairs))]
    if "repeated" in bad and pairs:
        pairs.append((source.choice(pairs)[0], source.choice(OTHERS)))
    source.shuffle(pairs)
    comma, colon = source.choice([", ", ",", " ,\t"]), source.choice([": ", ":", "\r:  "])
    line = ("{" + comma.join(f'"{key}"{colon}{value}' for key, value in pairs) + "}").encode()
    return _changed(source, line) if source.random() < 0.2 else line


def _id(source: random.Random, number: int, *, is_bad: bool) -> str:
    return source.choice(IDS) if is_bad else source.choice([f'"d{number}"', f'"é{number}"', str(number), f"-{number}"])


def _vector(source: random.Random, bad: list[str]) -> str:
    if source.random() < 0.05:
        return source.choice(
            [
                "{}",
                "[0.5, 1]",
                "null",
                '"a a b"',
                "7",
                "1.5",
                "true",
                '{"a": 2147483647, "b": 1}',
                '{"a": 1, "\\u0061": 2}',
            ]
        )
    postings = [(term, str(source.randint(1, 300))) for term in source.sample(TERMS, source.randint(1, 6))]
    if "term" in bad:
        postings.append((source.choice(BAD_TERMS), "1"))
    if "impact" in bad:
        postings.append((source.choice(["z", *TERMS[:3]]), source.choice(BAD_IMPACTS)))
    source.shuffle(postings)
    return "{" + ", ".join(f'"{term}": {impact}' for term, impact in postings) + "}"


def _fields(source: random.Random, *, is_bad: bool) -> str:
    """Values of fields; see :data:`FIELDS`. Bad ones may be good for some type."""
    if is_bad and source.random() < 0.2:
        return source.choice(OTHERS)
    values = [(name, source.choice(GOOD_VALUES[kind])) for name, kind in FIELDS.items() if source.random() < 0.5]
    if is_bad:
        every = [each for several in GOOD_VALUES.values() for each in several]
        values.append((source.choice([*FIELDS, "other", "\\u006e"]), source.choice([*OTHERS, *BAD_IMPACTS, *every])))
    source.shuffle(values)
    return "{" + ", ".join(f'"{name}": {value}' for name, value in values) + "}"


def _changed(source: random.Random, line: bytes) -> bytes:
    """A line with a byte or a few inserted, overwritten, lost, or without its end."""
    at = source.randrange(len(line) + 1)
    end = at + source.choice([0, 0, 1, 1, 5])
    return source.choice([line[:at] + source.choice(INSERTED) + line[end:], line[:at] + line[end:], line[:at], line + source.choice(INSERTED)])  # fmt: skip
