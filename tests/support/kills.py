"""Encodings that are killed and resumed, many times, in a process of its own: ``python -m support.kills FOLDER MODEL``."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from splade_lucene import Pruning, Quantizer, SpladeEncoder, encode_corpus
from splade_lucene.pseudo_documents import parts
from splade_lucene.pseudo_documents.format import ImpactWriter
from support.files import files

RULE = Quantizer.named("naver")
MANIFEST, JOURNAL = "splade-lucene.manifest", "splade-lucene.journal"
SEED = 20261123
KILLS = 20
WORDS = ["cat", "dog", "bird", "fish", "horse", "cow", "sheep", "goat", "mouse", "rat", "heart", "blood", "sugar"]


def write_corpus(path: Path, documents: int) -> Path:
    """Texts of 1 to 30 words, some blank."""
    source = random.Random(documents)
    texts = (" ".join(source.choices(WORDS, k=source.randint(1, 30))) for _ in range(documents))
    path.write_text("".join(f"d{i}\t{text if i % 17 else ''}\n" for i, text in enumerate(texts)))
    return path


def finished_parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("part*.jsonl"))


def kill_and_resume(target: str, model: str) -> None:
    """Runs in a process of its own, which computes nothing itself so that its forks are sound; prints what it saw."""
    torch.set_num_threads(1)
    folder = Path(target)
    encoder = SpladeEncoder(model, device="cpu", dtype="float32")
    encoder.load("document")
    writer = ImpactWriter(encoder.terms)
    setattr(parts, "ImpactWriter", lambda _: writer)  # noqa: B010 - made once: kills are to hit what comes behind it
    print(json.dumps({"random": random_kills(folder, encoder), "everywhere": kills_everywhere(folder, encoder)}))


def forked(task: Callable[[], object]) -> int:
    """Starts a task in a copy of this process."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            task()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def done(pid: int) -> int:
    """Waits for a process; minus the signal that ended it, else its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def random_kills(folder: Path, encoder: SpladeEncoder) -> dict[str, object]:
    parts.PART_DOCUMENTS = 5
    corpus = write_corpus(folder / "many.tsv", 300)
    source = random.Random(SEED)
    print(f"seed {SEED}", file=sys.stderr)

    def encode(name: str) -> int:
        return forked(lambda: encode_corpus(corpus, folder / name, encoder, RULE))

    assert done(encode("undisturbed")) == 0
    start = time.monotonic()
    assert done(encode("timed")) == 0
    whole = time.monotonic() - start
    expected, output = files(folder / "undisturbed"), folder / "killed"
    killed_after: list[int] = []
    codes: list[int] = []
    complete: list[bool] = []
    while len(killed_after) < KILLS:
        pid = encode("killed")
        time.sleep(source.uniform(0, whole / 4))
        os.kill(pid, signal.SIGKILL)
        code = done(pid)
        if code == 0 or ((output / MANIFEST).exists() and not (output / JOURNAL).exists()):
            complete.append(files(output) == expected)  # it was done before the signal came: once more
            shutil.rmtree(output)
            continue
        codes.append(code)
        killed_after.append(len(finished_parts(output)) if output.exists() else 0)
    assert done(encode("killed")) == 0
    complete.append(files(output) == expected)
    return {"codes": codes, "after": killed_after, "equal": complete, "names": sorted(expected)}


def kills_everywhere(folder: Path, encoder: SpladeEncoder) -> dict[str, list[list[object]]]:
    """Kills right before the first access to the output folder, before the second, and so on, from three initial states."""
    parts.PART_DOCUMENTS = 10
    corpus = write_corpus(folder / "few.tsv", 20)

    def encode(output: Path, touch: int = 0, **options) -> int:
        def task() -> None:
            if touch:
                sys.addaudithook(killer(output, touch))
            encode_corpus(corpus, output, encoder, RULE, **options)

        return done(forked(task))

    expected_folder, other, damaged = folder / "expected", folder / "other", folder / "damaged"
    assert encode(expected_folder) == 0
    assert encode(other, pruning=Pruning(top_terms=3), gzip=True) == 0
    shutil.copytree(expected_folder, damaged)
    (damaged / "part-00000.jsonl").write_bytes((damaged / "part-00000.jsonl").read_bytes()[:-100])
    expected = files(expected_folder)
    assert json.loads(expected[MANIFEST])["empty"] == ["d0", "d17"]
    seen: dict[str, list[list[object]]] = {}
    for beginning, options in ((folder / "nothing", {}), (other, {"overwrite": True}), (damaged, {})):
        seen[beginning.name] = []
        for touch in range(1, 100):
            output = folder / f"{beginning.name}-{touch}"
            if beginning.exists():
                shutil.copytree(beginning, output)
            if encode(output, touch, **options) == 0:
                break
            code = encode(output, **options)
            seen[beginning.name].append([touch, code, files(output) == expected])
    return seen


def killer(folder: Path, touch: int) -> Callable[[str, tuple[object, ...]], None]:
    """An audit hook that kills this process when a file in a folder is opened, renamed or deleted for the touch-th time."""
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(arguments[0]).startswith(str(folder)):
            count += 1
            if count == touch:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


if __name__ == "__main__":
    kill_and_resume(*sys.argv[1:])
