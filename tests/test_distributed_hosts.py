"""A cluster of two hosts with addresses of their own, in network namespaces; skipped where they cannot be made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
from support.checkpoints import tiny_checkpoint
from support.clusters import RAYLETS, import_path
from support.object_store import FOLDER, objects
from support.processes import child_environment, wait_for

pytest.importorskip("ray", reason="ray is not installed")

from splade_lucene import Quantizer, SpladeEncoder, encode_corpus

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.filterwarnings("ignore")]

NAME = f"sl{os.getpid()}"
HEAD, OTHER = "10.203.0.1", "10.203.0.2"


def made(*command: object) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces, connected by a virtual Ethernet pair."""
    one, two = f"{NAME}a", f"{NAME}b"
    with ExitStack() as stack:
        try:
            for name in (one, two):
                made("ip", "netns", "add", name)
                stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
            made(
                "ip", "link", "add", f"{NAME}x", "netns", one, "type", "veth", "peer", "name", f"{NAME}y", "netns", two
            )
            for name, device, address in ((one, f"{NAME}x", HEAD), (two, f"{NAME}y", OTHER)):
                made("ip", "-n", name, "address", "add", f"{address}/24", "dev", device)
                made("ip", "-n", name, "link", "set", device, "up")
                made("ip", "-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", "") or str(error)
            pytest.skip(f"network namespaces cannot be made here: {' '.join(reason.split())}")
        yield one, two


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """Variables of all processes: they find this package, and an object store."""
    paths = {
        "PYTHONPATH": import_path(tmp_path_factory.mktemp("path")),
        FOLDER: str(tmp_path_factory.mktemp("objects")),
    }
    return child_environment(**paths, **RAYLETS)


@pytest.fixture(scope="module")
def cluster(hosts, environment, tmp_path_factory) -> Iterator[Path]:
    """Starts Ray on both hosts; on the second, a disk of its own is mounted at the folder that is returned."""
    apart = tmp_path_factory.mktemp("apart")
    ray = f"{sys.executable} -m ray.scripts.scripts start --block --num-cpus 2 --object-store-memory 100000000"
    mount = f"mount -t tmpfs none {apart}"
    starts = (
        f"exec {ray} --head --include-dashboard false --node-ip-address {HEAD} --port 6379",
        f"{mount} && exec {ray} --address {HEAD}:6379 --node-ip-address {OTHER}",
    )
    with ExitStack() as stack:
        logs = tmp_path_factory.mktemp("logs")
        for number, (host, start) in enumerate(zip(hosts, starts, strict=True)):
            log = stack.enter_context((logs / str(number)).open("w+"))
            started = subprocess.Popen(
                ["ip", "netns", "exec", host, "sh", "-c", start], env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
            stack.callback(ended, started)
            wait_for(partial(has_begun, started, Path(log.name)), 600)
        yield apart


def has_begun(started: subprocess.Popen[bytes], log: Path) -> bool:
    assert started.poll() is None, log.read_text()[-2000:]
    return "Ray runtime started" in log.read_text()


def ended(started: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(started.pid, number)
        with suppress(subprocess.TimeoutExpired):
            started.wait(20)
            return


def test_two_hosts_encode_together_into_a_folder_or_a_store_that_they_share(
    hosts, cluster, environment, tmp_path, monkeypatch
):
    corpus, model = tmp_path / "corpus.tsv", tiny_checkpoint(tmp_path / "model", "bert")
    corpus.write_text("".join(f"d{i}\tdocument number {i} about {'cats and ' * (i % 7)}dogs\n" for i in range(90)))
    program = f"""
import sys
from splade_lucene import *
from splade_lucene.pseudo_documents import parts
parts.PART_DOCUMENTS = 10
workers = RayWorkers(RayCluster("{HEAD}:6379", workers=4, timeout=600))
encoder = SpladeEncoder({str(model)!r}, device="cpu", dtype="float32")
try:
    encode_corpus({str(corpus)!r}, {str(cluster / "out")!r}, encoder, Quantizer.named("naver"), workers=workers)
except InputError as error:
    print(error)
for output in ({str(tmp_path / "out")!r}, "objects://bucket/out"):
    encode_corpus({str(corpus)!r}, output, encoder, Quantizer.named("naver"), workers=workers)
"""
    done = subprocess.run(
        ["ip", "netns", "exec", hosts[0], sys.executable, "-c", program], capture_output=True, text=True, env=environment,
        timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the nodes of the Ray cluster do not share this folder" in done.stdout
    assert f"on {OTHER}" in done.stdout
    assert "Name a folder that all nodes see" in done.stdout
    again = tmp_path / "alone"
    with pytest.MonkeyPatch.context() as patch:
        from splade_lucene.pseudo_documents import parts

        patch.setattr(parts, "PART_DOCUMENTS", 10)
        encode_corpus(corpus, again, SpladeEncoder(model, device="cpu", dtype="float32"), Quantizer.named("naver"))
    expected = {path.name: path.read_bytes() for path in again.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == expected
    monkeypatch.setenv(FOLDER, environment[FOLDER])
    assert {name: path.read_bytes() for name, path in objects("out").items()} == expected
