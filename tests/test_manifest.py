"""Manifests: what is written is read back, shards are joined, and mismatches are named."""

import hashlib
import json
from dataclasses import replace

import pytest
from support.manifests import sign

from splade_lucene.errors import InputError
from splade_lucene.manifest import Change, Manifest, Part, read_folder_manifest, read_manifest, write_manifest
from splade_lucene.quantizer import RULES, Quantizer

FULL = Manifest(
    model="owner/modèle",
    model_digest="ab12",
    family="SPLADE",
    query_digest="56ef",
    choices={"query_mode": "model"},
    dtype="float32",
    encoded_with={"gzip": False},
    pooling="max",
    max_length=256,
    query_max_length=64,
    quantizer=Quantizer.named("anserini"),
    pruning={"top_terms": 3},
    min_impact=2,
    corpus="corpus.jsonl",
    documents=7,
    encoding="cd34",
    settings="12ab",
    parts=(Part(0, "part-00000.jsonl", 3, 20, ("d1", "d2"), "00"),),
    shard="",
    empty=("d1", "d2"),
    versions={"torch": "2.9"},
    history=(Change("2026-11-26T09:00:00Z", "build", 7, 0, 7, "x"),),
    commit="ef56",
)


def shards(folder, *manifests):
    for each in manifests:
        number, _, count = each.shard.partition("/")
        write_manifest(folder / f"splade-lucene-{number}of{count}.manifest", each)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", [None, 42.0])
def test_what_is_written_is_read_back(tmp_path, rule, scale):
    manifest = replace(FULL, quantizer=Quantizer.named(rule, scale))
    write_manifest(tmp_path / "below" / "m.manifest", manifest)
    assert read_manifest(tmp_path / "below" / "m.manifest") == manifest
    assert [each.name for each in (tmp_path / "below").iterdir()] == ["m.manifest"]


def test_default_manifest_is_read_back(tmp_path):
    write_manifest(tmp_path / "m", Manifest())
    assert read_manifest(tmp_path / "m") == Manifest()
    assert read_manifest(tmp_path / "m").quantizer is None


def test_file_by_hand(tmp_path):
    write_manifest(tmp_path / "m", FULL)
    data = json.loads((tmp_path / "m").read_text(encoding="utf-8"))
    half_up = {"multiplier": 256.0, "divisor": 5.0, "rounding": "half-up", "precision": "float32"}
    assert data == {
        "format": 2,
        "model": "owner/modèle",
        "model_digest": "ab12",
        "model_revision": "",
        "family": "SPLADE",
        "query_digest": "56ef",
        "choices": {"query_mode": "model"},
        "dtype": "float32",
        "backend": "",
        "fields": {},
        "bm25": {},
        "skipped": 0,
        "truncated": 0,
        "encoded_with": {"gzip": False},
        "pooling": "max",
        "max_length": 256,
        "other_max_lengths": [],
        "query_max_length": 64,
        "quantizer": {"name": "anserini", "document": half_up, "query": half_up, "max_impact": 2147483647},
        "pruning": {"top_terms": 3},
        "min_impact": 2,
        "corpus": "corpus.jsonl",
        "documents": 7,
        "encoding": "cd34",
        "settings": "12ab",
        "parts": [
            {
                "number": 0,
                "name": "part-00000.jsonl",
                "documents": 3,
                "tokens": 20,
                "empty": ["d1", "d2"],
                "sha256": "00",
                "truncated": 0,
                "size": 0,
            }
        ],
        "shard": "",
        "empty": ["d1", "d2"],
        "versions": {"torch": "2.9"},
        "history": [
            {
                "time": "2026-11-26T09:00:00Z",
                "operation": "build",
                "added": 7,
                "deleted": 0,
                "documents": 7,
                "source": "x",
                "deleted_empty": 0,
            }
        ],
        "commit": "ef56",
        "sha256": data["sha256"],
    }
    del data["sha256"]
    written = json.dumps(data, sort_keys=True).encode()
    assert json.loads((tmp_path / "m").read_text())["sha256"] == hashlib.sha256(written).hexdigest()


def test_keys_of_later_versions_are_passed_over_and_missing_ones_have_defaults(tmp_path):
    (tmp_path / "m").write_text(sign(json.loads('{"format": 2, "model": "x", "documents": 3, "of_the_future": [1]}')))
    assert read_manifest(tmp_path / "m") == Manifest(model="x", documents=3)


def test_missing_file_is_none(tmp_path):
    assert read_manifest(tmp_path / "m") is None
    assert read_folder_manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"half-up"', '"half-evdn"', "invalid value 'half-evdn' for quantizer.document.rounding"),
        ('"float32"}', '"float31"}', "invalid value 'float31' for quantizer.document.precision"),
        ('"multiplier": 256.0', '"multiplier": -256.0', "must be positive numbers, got -256.0 and 5.0"),
        ('"multiplier": 256.0', '"multiplier": 0', "must be positive numbers"),
        ('"multiplier": 256.0', '"multiplier": NaN', "invalid value nan for quantizer.document.multiplier"),
        ('"multiplier": 256.0', '"multiplier": 1e999', "invalid value inf for quantizer.document.multiplier"),
        ('"multiplier": 256.0', '"multiplier": 1' + "0" * 400, "for quantizer.document.multiplier"),
        ('"multiplier": 256.0', '"multiplier": true', "invalid value True for quantizer.document.multiplier"),
        ('"multiplier": 256.0', '"multiplier": "256"', "invalid value '256' for quantizer.document.multiplier"),
        ('"divisor": 5.0', '"divisor": 0.0', "must be positive numbers"),
        ('"divisor": 5.0', '"divisor": 1e-308', "must be positive numbers"),
        ('"max_impact": 2147483647', '"max_impact": 0', "max_impact must be 1 to 2147483647, got 0"),
        ('"max_impact": 2147483647', '"max_impact": 2147483648', "max_impact must be 1 to 2147483647"),
        ('"multiplier": 256.0, ', "", "the key quantizer.document.multiplier is missing"),
        ('"pooling": "max"', '"pooling": "mbx"', "unknown pooling 'mbx', expected max or sum"),
        ('"max_length": 256', '"max_length": -1', "max_length is -1, expected at least 0"),
        ('"max_length": 256', '"max_length": 256.0', "invalid value 256.0 for max_length"),
        ('"min_impact": 2', '"min_impact": 0', "min_impact is 0, expected at least 1"),
        ('"shard": ""', '"shard": "3/2"', "'3/2' is not a shard"),
        ('"shard": ""', '"shard": "x/y"', "'x/y' is not a shard"),
        ('"model": "owner/mod', '"model": "\\ud800owner/mod', "for model"),
        ('"part-00000.jsonl"', '"../part-00000.jsonl"', "'../part-00000.jsonl' is not the name of a part"),
        ('"empty": ["d1", "d2"]', '"empty": ["d1", 2]', "invalid value 2 for parts[0].empty[1]"),
        ('"versions": {"torch": "2.9"}', '"versions": {"torch": 2.9}', "invalid value 2.9 for versions.torch"),
        ('"versions": {"torch": "2.9"}', '"versions": ["torch"]', "versions is not a mapping"),
        ('"model_digest"', '"model"', "duplicate key 'model'"),
        ('"query_mode": "model"', '"query_mode": ' + "[" * 500 + "]" * 500, "Nested more than 200 levels deep"),
    ],
)
def test_an_impossible_value_is_named_with_its_key(tmp_path, old, new, says):
    text = json.dumps(FULL.to_json(), ensure_ascii=False)
    assert old in text
    (tmp_path / "m").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_manifest(tmp_path / "m")
    assert str(caught.value).startswith(f"{tmp_path / 'm'}: the manifest is damaged (")
    assert says in str(caught.value)


def test_a_huge_number_of_shards_takes_no_time(tmp_path):
    shards(tmp_path, replace(FULL, shard="1/999999999"))
    with pytest.raises(InputError, match=r"missing shards: 2/999999999, 3/999999999, .* and more"):
        read_folder_manifest(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b'{"quantizer": {"name": "naver"}}',
        b'{"quantizer": {"name": "n", "document": {"wrong": 1}, "query": {}, "max_impact": 1}}',
        b'{"quantizer": "naver"}',
        b'{"empty": 5}',
    ],
)
def test_damaged_manifest_is_named(tmp_path, text):
    (tmp_path / "m").write_bytes(text)
    with pytest.raises(InputError, match="the manifest is damaged") as caught:
        read_manifest(tmp_path / "m")
    assert caught.value.path == tmp_path / "m"
    assert "Delete it and build again" in str(caught.value)


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    write_manifest(tmp_path / "m", FULL)
    whole = (tmp_path / "m").read_bytes()
    harmless = 0
    for position in range(0, 8 * len(whole), 9):  # a bit of each byte
        changed = bytearray(whole)
        changed[position // 8] ^= 1 << position % 8
        (tmp_path / "m").write_bytes(changed)
        try:
            found = read_manifest(tmp_path / "m")
        except InputError:
            continue
        assert found == FULL  # such as white space
        harmless += 1
    assert harmless < len(whole)


def test_a_value_that_is_possible_but_was_changed_is_refused(tmp_path):
    write_manifest(tmp_path / "m", FULL)
    for old, new in (('"multiplier": 256.0', '"multiplier": 900.0'), ('"commit": ', '"commut": ')):
        text = (tmp_path / "m").read_text()
        assert old in text
        (tmp_path / "changed").write_text(text.replace(old, new))
        with pytest.raises(InputError, match=r"the manifest is damaged \(its checksum is wrong\)"):
            read_manifest(tmp_path / "changed")


def test_a_manifest_of_another_format_says_so(tmp_path):
    (tmp_path / "m").write_text('{"format": 1, "model": "x"}')
    with pytest.raises(InputError, match="another version wrote this manifest: its format is 1, this version reads 2"):
        read_manifest(tmp_path / "m")


def test_the_oldest_changes_are_added_up():
    manifest = Manifest()
    for number in range(1, 1011):
        manifest = manifest.after(Change(f"time {number}", "add", 2, 1, number))
    assert len(manifest.history) == 1000
    assert manifest.history[0] == Change("time 11", "earlier", 22, 11, 11)
    assert manifest.history[1] == Change("time 12", "add", 2, 1, 12)
    assert manifest.documents == 1010


# ---- folders ----


def test_folder_with_one_manifest(tmp_path):
    write_manifest(tmp_path / "splade-lucene.manifest", FULL)
    assert read_folder_manifest(tmp_path) == FULL


def test_keys_of_later_versions_are_passed_over_in_parts_too(tmp_path):
    write_manifest(tmp_path / "m", FULL)
    text = (tmp_path / "m").read_text().replace('"tokens": 20', '"tokens": 20, "colour": "blue"')
    (tmp_path / "m").write_text(sign(json.loads(text)))
    assert "blue" in text
    assert read_manifest(tmp_path / "m") == FULL


def test_shards_are_joined(tmp_path):
    shards(
        tmp_path,
        replace(FULL, shard="2/3", documents=20, empty=("b",), encoding="e2"),
        replace(FULL, shard="1/3", documents=10, empty=("a",), encoding="e1"),
        replace(FULL, shard="3/3", documents=30, empty=(), encoding="e3"),
    )
    assert read_folder_manifest(tmp_path) == replace(
        FULL, documents=60, empty=("a", "b"), encoding="e1 e2 e3", parts=FULL.parts * 3
    )


def test_missing_shards_are_named(tmp_path):
    shards(tmp_path, replace(FULL, shard="2/4"), replace(FULL, shard="4/4"))
    with pytest.raises(InputError, match=r"missing shards: 1/4, 3/4") as caught:
        read_folder_manifest(tmp_path)
    assert caught.value.path == tmp_path
    assert "Encode the missing shards" in caught.value.remedy


@pytest.mark.parametrize(
    "other", [{"quantizer": Quantizer.named("naver")}, {"model_digest": "other"}, {"pooling": "sum"}]
)
def test_shards_encoded_differently_are_refused(tmp_path, other):
    shards(tmp_path, replace(FULL, shard="1/2"), replace(FULL, shard="2/2", **other))
    with pytest.raises(
        InputError, match=r"with different settings, or from a different corpus, than splade-lucene-1of2\.manifest"
    ) as caught:
        read_folder_manifest(tmp_path)
    assert caught.value.path == tmp_path / "splade-lucene-2of2.manifest"


def test_shards_of_different_divisions_are_refused(tmp_path):
    # their shares overlap: 1/2 and 2/2 are the whole corpus, and 1/3 is in it again
    shards(tmp_path, replace(FULL, shard="1/2"), replace(FULL, shard="2/2"), replace(FULL, shard="1/3"))
    with pytest.raises(InputError):
        read_folder_manifest(tmp_path)


def test_shards_beside_a_whole_encoding_are_refused(tmp_path):
    write_manifest(tmp_path / "splade-lucene.manifest", FULL)
    shards(tmp_path, replace(FULL, shard="1/2"), replace(FULL, shard="2/2"))
    with pytest.raises(InputError):
        read_folder_manifest(tmp_path)
