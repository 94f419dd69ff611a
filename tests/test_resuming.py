"""However an encoding is interrupted, the same command resumes it and writes what an uninterrupted run writes."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from support.encoders import encoder_on_cpu
from support.files import files
from support.kills import JOURNAL, KILLS, MANIFEST, RULE, SEED, write_corpus
from support.manifests import rewrite_manifest, sign
from support.processes import ROOT, child_environment, wait_for

from splade_lucene import Pruning, Quantizer, SpladeEncoder, build_index, encode_corpus, read_pseudo_documents
from splade_lucene.encoder import network, precision
from splade_lucene.errors import CorpusError, InputError, SpladeLuceneError
from splade_lucene.files.json_text import json_digest
from splade_lucene.manifest import Part, read_folder_manifest, read_manifest
from splade_lucene.pseudo_documents import devices, parts
from splade_lucene.pseudo_documents.journal import Shard

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 10)


@pytest.fixture
def corpus(tmp_path) -> Path:
    return write_corpus(tmp_path / "corpus.tsv", 45)


# ---- kill -9 ----


@pytest.fixture(scope="module")
def killed(tiny_model, tmp_path_factory) -> dict[str, dict[str, object]]:
    folder = tmp_path_factory.mktemp("kills")
    finished = subprocess.run(
        [sys.executable, "-m", "support.kills", str(folder), str(tiny_model)],
        capture_output=True,
        text=True,
        cwd=ROOT / "tests",
        env=child_environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false"),
        timeout=600,
    )
    print(finished.stderr)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.mark.slow
def test_twenty_random_kills_leave_the_bytes_of_an_undisturbed_run(killed):
    seen = killed["random"]
    print(f"seed {SEED}; parts that were there at each kill: {seen['after']}")
    assert seen["codes"] == [-signal.SIGKILL] * KILLS
    assert sum(parts < 60 for parts in seen["after"]) >= 15  # while parts were missing
    assert len(set(seen["after"])) >= 5  # early and late
    assert all(seen["equal"])
    assert seen["names"] == [f"part-{i:05d}.jsonl" for i in range(60)] + [MANIFEST]


@pytest.mark.slow
@pytest.mark.parametrize("beginning", ["nothing", "other", "damaged"])
def test_a_kill_before_any_touch_of_the_disk_is_gone_on_from_by_the_same_command(killed, beginning):
    """From an empty folder, over an encoding with other settings, and over one of which a part was damaged."""
    seen = killed["everywhere"][beginning]
    assert len(seen) >= 10
    assert [(code, equal) for _, code, equal in seen] == [(0, True)] * len(seen), seen


SEVERAL_DEVICES = """
import os, sys, time
from pathlib import Path
from splade_lucene import Quantizer, SpladeEncoder, encode_corpus
from splade_lucene.pseudo_documents import parts

model, corpus, output = sys.argv[1:]
parts.PART_DOCUMENTS = 10  # each process imports this file
Path(output + f".{os.getpid()}.pid").touch()
encode_impacts, calls = SpladeEncoder.encode_impacts, []

def slow(*given, **options):
    calls.append(1)
    if len(calls) > 2:
        time.sleep(100)  # a part that takes its time
    return encode_impacts(*given, **options)

SpladeEncoder.encode_impacts = slow
if __name__ == "__main__":
    encoder = SpladeEncoder(model, device="cpu", dtype="float32")
    encode_corpus(corpus, output, encoder, Quantizer.named("naver"), devices=("cpu", "cpu"))
"""


@pytest.mark.slow
def test_workers_end_with_their_killed_parent_and_one_process_goes_on_from_them(tiny_model, tmp_path):
    corpus = write_corpus(tmp_path / "corpus.tsv", 100)
    script, output = tmp_path / "several.py", tmp_path / "out"
    script.write_text(SEVERAL_DEVICES)
    parent = subprocess.Popen([sys.executable, str(script), str(tiny_model), str(corpus), str(output)],
                              stderr=subprocess.PIPE, text=True, env=child_environment())  # fmt: skip
    try:
        wait_for(lambda: parent.poll() is not None or len(journaled(output)) == 4, 300)
        assert parent.poll() is None, parent.stderr.read()
    finally:
        parent.kill()
        parent.communicate()
    pids = {int(path.suffixes[-2][1:]) for path in tmp_path.glob("out.*.pid")} - {parent.pid}
    assert len(pids) == 2
    wait_for(lambda: not any(is_running(pid) for pid in pids), 50)  # the part that they encode takes 100
    assert journaled(output) == [0, 1, 2, 3]
    assert not (output / MANIFEST).exists()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))  # as each of the two had
        encoder = SpladeEncoder(tiny_model, device="cpu", dtype="float32")
        encode_corpus(corpus, output, encoder, RULE)
        encode_corpus(corpus, tmp_path / "alone", encoder, RULE)
    finally:
        torch.set_num_threads(threads)
    assert files(output) == files(tmp_path / "alone")


def journaled(folder: Path) -> list[int]:
    """Numbers of the parts that a journal knows."""
    path = folder / JOURNAL
    return sorted(json.loads(line)["number"] for line in path.read_text().splitlines()[1:]) if path.exists() else []


def is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()  # nobody may have waited for it
    except OSError:
        return False


# ---- what is found on the disk ----


@pytest.fixture
def calls(tiny_encoder, monkeypatch) -> list[int]:
    """The number of texts of each part that was encoded. The fourth is interrupted."""
    seen: list[int] = []
    original = tiny_encoder.encode_impacts

    def interrupted(sequences, *rest, **options):
        seen.append(sequences.texts)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return original(sequences, *rest, **options)

    monkeypatch.setattr(tiny_encoder, "encode_impacts", interrupted)
    return seen


@pytest.fixture
def undisturbed(tiny_encoder, corpus, tmp_path) -> dict[str, bytes]:
    encode_corpus(corpus, tmp_path / "undisturbed", tiny_encoder, RULE)
    return files(tmp_path / "undisturbed")


@pytest.fixture
def interrupted(tiny_encoder, corpus, tmp_path, undisturbed, calls) -> Path:
    """A folder with the first three of five parts."""
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE)
    assert journaled(tmp_path / "out") == [0, 1, 2]
    calls += [0]
    return tmp_path / "out"


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "emptied":
        path.write_bytes(b"")
    elif kind == "extended":
        path.write_bytes(content + b"{}\n")
    elif kind == "one bit":
        path.write_bytes(content[:70] + bytes([content[70] ^ 1]) + content[71:])
    elif kind == "deleted":
        path.unlink()


@pytest.mark.parametrize("kind", ["truncated", "emptied", "extended", "one bit", "deleted"])
def test_a_part_damaged_since_the_journal_noted_it_is_encoded_again(
    tiny_encoder, corpus, interrupted, undisturbed, calls, kind
):
    damage(interrupted / "part-00001.jsonl", kind)
    calls.clear()
    calls += [0] * 4
    encode_corpus(corpus, interrupted, tiny_encoder, RULE)
    assert calls[4:] == [10, 10, 5]  # the damaged one and the two that were missing
    assert files(interrupted) == undisturbed


@pytest.mark.parametrize("kind", ["one bit", "deleted"])
def test_of_a_finished_encoding_only_a_damaged_part_is_encoded_again(
    tiny_encoder, corpus, tmp_path, undisturbed, calls, kind
):
    damage(tmp_path / "undisturbed" / "part-00004.jsonl", kind)
    encode_corpus(corpus, tmp_path / "undisturbed", tiny_encoder, RULE)
    assert calls == [5]
    assert files(tmp_path / "undisturbed") == undisturbed


def test_files_that_the_journal_does_not_know_are_replaced_or_deleted(tiny_encoder, corpus, interrupted, undisturbed):
    for name in ("part-00003.jsonl", "part-00009.jsonl", "part-00001.jsonl.gz", "part-00009.jsonl.gz.0a1b2c3d.partial"):
        (interrupted / name).write_text('{"id": "stray", "contents": "", "vector": {"cat": 1}}\n')
    encode_corpus(corpus, interrupted, tiny_encoder, RULE)
    assert files(interrupted) == undisturbed


def test_a_journal_torn_anywhere_is_read_up_to_there(tiny_encoder, corpus, interrupted, undisturbed, tmp_path):
    journal = (interrupted / JOURNAL).read_bytes()
    ends = [match.end() for match in re.finditer(b"\n", journal)]
    source = random.Random(SEED)
    for cut in sorted({*ends, *(end + 1 for end in ends[:-1]), *source.sample(range(ends[0], len(journal)), 8)}):
        folder = tmp_path / f"cut-{cut}"
        shutil.copytree(interrupted, folder)
        (folder / JOURNAL).write_bytes(journal[:cut])
        encode_corpus(corpus, folder, tiny_encoder, RULE)
        assert files(folder) == undisturbed, cut


def test_nonsense_in_the_journal_is_read_up_to_there(tiny_encoder, corpus, interrupted, undisturbed, tmp_path):
    lines = (interrupted / JOURNAL).read_text().splitlines(keepends=True)
    for number, nonsense in enumerate(("null\n", "{}\n", "[1]\n", '{"number": 1}\n', "\x00\x00\n", "\ufffd\n", "3\n")):
        folder = tmp_path / f"nonsense-{number}"
        shutil.copytree(interrupted, folder)
        (folder / JOURNAL).write_text("".join([lines[0], lines[1], nonsense, *lines[2:]]))
        encode_corpus(corpus, folder, tiny_encoder, RULE)
        assert files(folder) == undisturbed, nonsense


def test_a_finished_folder_is_not_touched_again(tiny_encoder, corpus, interrupted, undisturbed, monkeypatch):
    encode_corpus(corpus, interrupted, tiny_encoder, RULE)
    times = {path: path.stat().st_mtime_ns for path in (interrupted, *interrupted.iterdir())}
    monkeypatch.setattr(tiny_encoder, "encode_impacts", None)
    for overwrite in (False, True):
        manifest = encode_corpus(corpus, interrupted, tiny_encoder, RULE, overwrite=overwrite)
        assert manifest == read_folder_manifest(interrupted) or manifest.documents == 45 - len(manifest.empty)
    assert {path: path.stat().st_mtime_ns for path in (interrupted, *interrupted.iterdir())} == times


def test_the_manifest_tells_count_checksum_and_settings_of_the_parts(tiny_encoder, corpus, tmp_path, undisturbed):
    import hashlib

    manifest = read_manifest(tmp_path / "undisturbed" / MANIFEST)
    for number, part in enumerate(manifest.parts):
        content = undisturbed[part.name]
        assert (part.number, part.name, part.documents) == (number, f"part-{number:05d}.jsonl", 10 if number < 4 else 5)
        assert part.sha256 == hashlib.sha256(content).hexdigest()
        assert part.tokens > part.documents
    assert [part.number for part in manifest.parts] == [0, 1, 2, 3, 4]
    assert manifest.documents == sum(content.count(b"\n") for name, content in undisturbed.items() if name != MANIFEST)
    assert manifest.encoding == json_digest(manifest.encoded_with)


# ---- other settings, another corpus ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pruning": Pruning(top_terms=3)}, "(top_terms was 0, is 3)"),
        (
            {"pruning": Pruning(min_weight=0.5, kept_mass=0.9)},
            "(min_weight was 0.0, is 0.5; kept_mass was 1.0, is 0.9)",
        ),
        ({"min_impact": 2}, "(min_impact was 1, is 2)"),
        ({"gzip": True}, "(gzip was false, is true)"),
        ({"quantizer": Quantizer.named("naver", 50)}, '{"multiplier": 50.0, "divisor"'),
    ],
)
@pytest.mark.parametrize("state", ["interrupted", "finished"])
def test_other_options_are_refused_by_name(
    tiny_encoder, corpus, interrupted, undisturbed, tmp_path, state, options, message
):
    folder = interrupted if state == "interrupted" else tmp_path / "undisturbed"
    before = files(folder)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        encode_corpus(corpus, folder, tiny_encoder, **{"quantizer": RULE, **options})
    assert str(caught.value).endswith("Use another folder, or pass overwrite=True to replace it")
    assert files(folder) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 20}, "max_length was 64, is 20"),
        ({"batch_tokens": 100}, "batch_tokens was 1024, is 100"),
        ({"pooling": "sum"}, 'pooling was "max", is "sum"'),
        ({"prefix": "text: "}, 'document_prefix was "", is "text: "'),
        ({"passage_tokens": 20, "passage_overlap": 4}, "passages was [0, 0], is [20, 4]"),
        ({"dtype": "bfloat16"}, 'dtype was "float32", is "bfloat16"'),
    ],
)
def test_another_use_of_the_model_is_refused_by_name(tiny_model, corpus, interrupted, options, message):
    before = files(interrupted)
    with pytest.raises(InputError, match=re.escape(message)):
        encode_corpus(corpus, interrupted, encoder_on_cpu(tiny_model, **options), RULE)
    assert files(interrupted) == before


def test_another_model_under_the_same_name_is_refused(tiny_model, corpus, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "model")

    def encoder() -> SpladeEncoder:
        return SpladeEncoder(tmp_path / "model", device="cpu", dtype="float32")

    encode_corpus(corpus, tmp_path / "out", encoder(), RULE)
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "model/model.safetensors")
    save_file({name: each * 1.5 for name, each in weights.items()}, tmp_path / "model/model.safetensors")
    with pytest.raises(InputError, match=r'\(model_digest was "[0-9a-f]{8,}…, is "[0-9a-f]{8,}…; '):
        encode_corpus(corpus, tmp_path / "out", encoder(), RULE)


def test_a_changed_corpus_is_refused_with_what_changed(tiny_encoder, corpus, interrupted):
    before, size = files(interrupted), corpus.stat().st_size
    with corpus.open("a") as file:
        file.write("late\tone more\n")
    with pytest.raises(InputError, match=rf'corpus was "…\S*\.tsv {size} \d+", is "…\S*\.tsv {size + 14} \d+"'):
        encode_corpus(corpus, interrupted, tiny_encoder, RULE)
    assert files(interrupted) == before


def test_overwriting_leaves_nothing_of_what_was_there(tiny_encoder, corpus, interrupted, tmp_path):
    corpus.write_text("".join(f"n{i}\tcat {i}\n" for i in range(12)))
    manifest = encode_corpus(corpus, interrupted, tiny_encoder, RULE, overwrite=True)
    assert manifest.documents == 12
    assert sorted(files(interrupted)) == ["part-00000.jsonl", "part-00001.jsonl", MANIFEST]
    assert [each.docid for each in read_pseudo_documents(interrupted)] == [f"n{i}" for i in range(12)]


# ---- shards ----


@pytest.mark.parametrize("count", [2, 3])
def test_the_union_of_shards_is_the_whole(tiny_encoder, corpus, tmp_path, undisturbed, count):
    for number in range(1, count + 1):
        encode_corpus(corpus, tmp_path / "shards", tiny_encoder, RULE, shard=Shard(number, count))
    whole, sharded = files(tmp_path / "undisturbed"), files(tmp_path / "shards")
    parts = {name: content for name, content in whole.items() if name.startswith("part-")}
    assert {name: content for name, content in sharded.items() if name.startswith("part-")} == parts
    assert len(sharded) == len(parts) + count
    manifests = (read_folder_manifest(tmp_path / each) for each in ("shards", "undisturbed"))
    assert len({each.documents for each in manifests}) == 1


def test_a_shard_with_other_settings_is_refused_by_name(tiny_encoder, corpus, tmp_path):
    encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, shard=Shard(1, 2))
    with pytest.raises(InputError, match=r"\(top_terms was 0, is 5\)"):
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, shard=Shard(2, 2), pruning=Pruning(top_terms=5))


def test_unfinished_shards_with_other_settings_are_refused_by_name(tiny_encoder, corpus, tmp_path, calls):
    calls += [0, 0]
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, shard=Shard(1, 2))
    with pytest.raises(InputError, match=r"1of2\.journal: .*\(top_terms was 0, is 5\)"):
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, shard=Shard(2, 2), pruning=Pruning(top_terms=5))


def test_shards_of_another_corpus_are_refused_and_of_a_copy_are_not(tiny_encoder, corpus, tmp_path):
    encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, shard=Shard(1, 2))
    (tmp_path / "other.tsv").write_text(corpus.read_text().replace("d1", "e1"))
    with pytest.raises(InputError, match="corpus_digest was"):
        encode_corpus(tmp_path / "other.tsv", tmp_path / "out", tiny_encoder, RULE, shard=Shard(2, 2))
    shutil.copyfile(corpus, tmp_path / "copy.tsv")
    encode_corpus(tmp_path / "copy.tsv", tmp_path / "out", tiny_encoder, RULE, shard=Shard(2, 2))
    assert read_folder_manifest(tmp_path / "out").documents == 42


@pytest.mark.parametrize("then", [[Shard(1, 2), Shard(2, 2)], [Shard()], [Shard(2, 3), Shard(1, 3), Shard(3, 3)]])
def test_finished_shards_are_overwritten_by_whatever_comes(tiny_encoder, corpus, tmp_path, then):
    pruning = Pruning(top_terms=5)
    for number in (1, 2):
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, shard=Shard(number, 2))
    before = files(tmp_path / "out")
    with pytest.raises(InputError, match="pass overwrite=True to replace it"):
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, shard=then[0], pruning=pruning)
    assert files(tmp_path / "out") == before
    for shard in then:
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, shard=shard, pruning=pruning, overwrite=True)
    encode_corpus(corpus, tmp_path / "expected", tiny_encoder, RULE, pruning=pruning)
    found, expected = files(tmp_path / "out"), files(tmp_path / "expected")
    assert {name: found[name] for name in found if name.startswith("part")} == {
        name: expected[name] for name in expected if name.startswith("part")
    }
    assert len(found) == 5 + len(then)
    assert read_folder_manifest(tmp_path / "out").documents == 42


def test_two_processes_do_not_write_one_folder(tiny_encoder, corpus, tmp_path):
    from splade_lucene.pseudo_documents.journal import Journal

    for shard in (Shard(), Shard(1, 2)):  # whole, and a share of it
        with (
            Journal(tmp_path / "out", shard),
            pytest.raises(InputError, match="another process is encoding into this folder"),
        ):
            encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE)
    assert encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE).documents == 42


def test_a_file_is_no_folder(tiny_encoder, corpus):
    with pytest.raises(InputError, match=r"corpus\.tsv: this is a file, not a folder\. Use a folder"):
        encode_corpus(corpus, corpus, tiny_encoder, RULE)


def test_what_was_dropped_is_named_once_it_is_not_to_be_dropped(tiny_encoder, corpus, tmp_path):
    with corpus.open("a") as file:
        file.write("no tab\n")
    assert encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, skip_bad=True).skipped == 1
    before = files(tmp_path / "out")
    with pytest.raises(CorpusError, match=r"corpus\.tsv:46: no tab"):
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE)
    assert files(tmp_path / "out") == before
    assert encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, skip_bad=True).skipped == 1


def test_a_mistyped_corpus_leaves_nothing(tiny_encoder, corpus, tmp_path):
    with pytest.raises(CorpusError, match="no such file"):
        encode_corpus(tmp_path / "nope.jsonl", tmp_path / "out", tiny_encoder, RULE)
    assert not (tmp_path / "out").exists()
    assert encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE).documents == 42


def test_an_output_in_the_corpus_is_refused(tiny_encoder, corpus, tmp_path):
    (tmp_path / "corpus").mkdir()
    shutil.copyfile(corpus, tmp_path / "corpus" / "c.tsv")
    with pytest.raises(InputError, match="the output folder is inside the corpus folder"):
        encode_corpus(tmp_path / "corpus", tmp_path / "corpus" / "out", tiny_encoder, RULE)


def test_more_shards_than_documents(tiny_encoder, corpus, tmp_path):
    corpus.write_text("a\tcat\nb\tdog\n")
    for number in (1, 2, 3):
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, shard=Shard(number, 3))
    assert [each.docid for each in read_pseudo_documents(tmp_path / "out")] == ["a", "b"]
    assert read_folder_manifest(tmp_path / "out").documents == 2


# ---- precision ----


def interrupt_third_part(encoder: SpladeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    original, seen = encoder.encode_impacts, []

    def interrupted(*given, **options):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return original(*given, **options)

    monkeypatch.setattr(encoder, "encode_impacts", interrupted)


@pytest.mark.parametrize(("first", "second"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_an_encoding_begun_in_one_precision_goes_on_in_it(tiny_model, corpus, tmp_path, monkeypatch, first, second):
    encode_corpus(corpus, tmp_path / "expected", SpladeEncoder(tiny_model, device="cpu", dtype=first), RULE)
    monkeypatch.setattr(precision, "native_dtype", lambda _: first)
    encoder = SpladeEncoder(tiny_model, device="cpu")
    interrupt_third_part(encoder, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, tmp_path / "out", encoder, RULE)
    monkeypatch.setattr(precision, "native_dtype", lambda _: second)  # on another machine
    encode_corpus(corpus, tmp_path / "out", SpladeEncoder(tiny_model, device="cpu"), RULE)
    assert files(tmp_path / "out") == files(tmp_path / "expected")
    assert read_folder_manifest(tmp_path / "out").dtype == first
    encode_corpus(
        corpus, tmp_path / "out", SpladeEncoder(tiny_model, device="cpu"), RULE
    )  # finished, and stays as it is
    assert files(tmp_path / "out") == files(tmp_path / "expected")
    with pytest.raises(InputError, match=f'dtype was "{first}", is "{second}"'):
        encode_corpus(corpus, tmp_path / "out", SpladeEncoder(tiny_model, device="cpu", dtype=second), RULE)
    anew: dict[str, Any] = {"pruning": Pruning(top_terms=5), "overwrite": True}
    manifest = encode_corpus(corpus, tmp_path / "out", SpladeEncoder(tiny_model, device="cpu"), RULE, **anew)
    assert manifest.dtype == second  # nothing of what was there decides


def test_an_encoding_begun_with_little_memory_goes_on_in_batches_of_the_same_size(
    tiny_model, corpus, tmp_path, monkeypatch
):
    def encoder() -> SpladeEncoder:
        return SpladeEncoder(tiny_model, device="cpu", dtype="float32")

    plenty = encoder()
    encode_corpus(corpus, tmp_path / "plenty", plenty, RULE)
    monkeypatch.setattr(network, "total_memory", lambda _: 8 << 20)
    little = encoder()
    interrupt_third_part(little, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, tmp_path / "out", little, RULE)
    monkeypatch.setattr(network, "total_memory", lambda _: 1 << 40)
    again = encoder()
    encode_corpus(corpus, tmp_path / "out", again, RULE)
    assert again.batch_tokens == little.batch_tokens < plenty.batch_tokens
    assert read_manifest(tmp_path / "out" / MANIFEST).encoded_with["batch_tokens"] == little.batch_tokens
    encode_corpus(corpus, tmp_path / "out", encoder(), RULE)  # finished, and stays as it is
    assert [each.docid for each in read_pseudo_documents(tmp_path / "out")] == [f"d{i}" for i in range(45) if i % 17]


# ---- several devices ----


@pytest.mark.slow
def test_a_bad_document_found_by_a_worker_reaches_the_caller(tiny_encoder, corpus, tmp_path):
    with corpus.open("a") as file:
        file.write("no tab\n")
    with pytest.raises(CorpusError, match=r"corpus\.tsv:46: no tab between id and text\. Write id<TAB>text") as caught:
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, devices=("cpu", "cpu"))
    assert (caught.value.path, caught.value.line) == (corpus, 46)


@pytest.mark.parametrize("device", ["quantum", "meta"])
def test_a_device_that_is_not_there_is_found_before_any_work(tiny_encoder, corpus, tmp_path, device):
    with pytest.raises(InputError, match=rf"cannot use the device '{device}' .*Use device=cpu or device=auto"):
        encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, devices=("cpu", device))
    assert not (tmp_path / "out").exists()


def test_a_worker_that_dies_is_reported_and_nothing_is_lost(tiny_encoder, corpus, tmp_path, monkeypatch):
    (tmp_path / "dying_worker.py").write_text("import os, signal\ndef die(*_): os.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import dying_worker  # type: ignore[import-not-found]

    with monkeypatch.context() as patched:
        patched.setattr(devices, "_run_worker", dying_worker.die)
        patched.setattr(devices, "_POLL_SECONDS", 0.2)
        with pytest.raises(SpladeLuceneError, match=r"the process on cpu died \(exit code -9\)\. Run the same command"):
            encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE, devices=("cpu", "cpu"))
    encode_corpus(corpus, tmp_path / "out", tiny_encoder, RULE)
    encode_corpus(corpus, tmp_path / "expected", tiny_encoder, RULE)
    assert files(tmp_path / "out") == files(tmp_path / "expected")


def test_a_defect_in_a_worker_is_told_with_its_class(tiny_model, corpus, tmp_path, monkeypatch):
    """Runs the worker's function in this process, with a queue that records its messages."""
    import queue

    messages: queue.Queue[tuple[str, object]] = queue.Queue()
    job = parts.Job(str(corpus), tmp_path / "out", RULE)
    settings = SpladeEncoder(tiny_model, device="cpu", dtype="float32").settings_on("cpu")
    threads = torch.get_num_threads()
    monkeypatch.setattr(parts, "encode_parts", lambda *_: 1 / 0)
    try:
        devices._run_worker(job, settings, set(), (0, 1), messages)
    finally:
        torch.set_num_threads(threads)
    kind, error = messages.get_nowait()
    assert (kind, type(error), str(error)) == ("error", SpladeLuceneError, "ZeroDivisionError on cpu: division by zero")


def test_workers_share_the_parts_and_only_the_first_tells_of_problems(tiny_model, corpus, tmp_path):
    import queue

    with corpus.open("a") as file:
        file.write("no tab\n")
    job = parts.Job(str(corpus), tmp_path / "out", RULE, skip_bad=True)
    settings = SpladeEncoder(tiny_model, device="cpu", dtype="float32").settings_on("cpu")
    threads = torch.get_num_threads()
    told = []
    try:
        for number in (0, 1):
            messages: queue.Queue[tuple[str, object]] = queue.Queue()
            devices._run_worker(job, settings, {2}, (number, 2), messages)
            told.append([messages.get_nowait() for _ in range(messages.qsize())])
    finally:
        torch.set_num_threads(threads)
    numbers = [
        [asdict(each)["number"] for kind, each in some if kind == "part" and isinstance(each, Part)] for some in told
    ]
    assert numbers == [[0, 4], [1, 3]]
    assert [[str(each) for kind, each in some if kind == "problem"] for some in told] == [
        [f"{corpus}:46: no tab between id and text. Write id<TAB>text"],
        [],
    ]
    assert [some[-1] for some in told] == [("done", None)] * 2


@pytest.mark.parametrize("wrong", ["another format", "damaged", "another format of another shard"])
def test_overwriting_replaces_an_encoding_that_cannot_be_read_as_build_does(tiny_encoder, corpus, tmp_path, wrong):
    folder = tmp_path / "out"
    old = Shard(1, 2) if "shard" in wrong else Shard()
    encode_corpus(corpus, folder, tiny_encoder, RULE, shard=old)
    path = folder / f"splade-lucene{old.suffix}.manifest"
    text = path.read_text()
    path.write_text(text[:-100] if wrong == "damaged" else sign({**json.loads(text), "format": 1}))
    before = files(folder)
    with pytest.raises(InputError, match=r"manifest.*Pass overwrite=True to replace it"):
        encode_corpus(corpus, folder, tiny_encoder, RULE)
    assert files(folder) == before
    encode_corpus(corpus, folder, tiny_encoder, RULE, overwrite=True)
    encode_corpus(corpus, tmp_path / "anew", tiny_encoder, RULE)
    assert {*files(folder)} == {*files(tmp_path / "anew")}
    assert read_folder_manifest(folder) == read_folder_manifest(tmp_path / "anew")
    build_index(corpus, tmp_path / "index", tiny_encoder, RULE)
    rewrite_manifest(tmp_path / "index", lambda data: {**data, "format": 1})
    build_index(corpus, tmp_path / "index", tiny_encoder, RULE, overwrite=True)
