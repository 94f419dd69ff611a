"""Models are found by folder or hub name, and only the needed files are fetched from the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError
from huggingface_hub.utils import filter_repo_objects

from splade_lucene.encoder.location import Location, locate
from splade_lucene.errors import ModelError


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of one repository: makes it of file names, and fetches from it as the real client does."""
    repository, cache = tmp_path / "repository", tmp_path / "cache"
    cache.mkdir()

    def snapshot_download(name, allow_patterns=None, ignore_patterns=None):
        names = [path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()]
        for each in filter_repo_objects(names, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns):
            (cache / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / each, cache / each)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)

    def publish(*names: str) -> None:
        for each in names:
            (repository / each).parent.mkdir(parents=True, exist_ok=True)
            (repository / each).write_text("{}")

    return publish


def fetched(location) -> set[str]:
    return {path.relative_to(location.folder).as_posix() for path in location.folder.rglob("*") if path.is_file()}


def test_safe_weights_are_fetched_and_pickled_ones_are_not(hub):
    wanted = ["config.json", "tokenizer.json", "vocab.txt", "model.safetensors", "1_SpladePooling/config.json"]
    hub(*wanted, "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "onnx/config.json", "openvino/model.bin")
    location = locate("owner/name")
    assert (location.name, fetched(location)) == ("owner/name", set(wanted))


def test_pickled_weights_are_fetched_where_there_are_no_others(hub):
    wanted = ["config.json", "modules.json", "router_config.json", "pytorch_model.bin",
              "query_0_SparseStaticEmbedding/config.json", "query_0_SparseStaticEmbedding/model.safetensors"]  # fmt: skip
    hub(*wanted)
    assert fetched(locate("owner/name")) == set(wanted)


def test_a_gated_model_says_what_to_do(monkeypatch):
    def refuse(*_, **__):
        raise GatedRepoError("Access to model owner/name is restricted.", response=_Response())

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelError, match=r"owner/name: .* restricted.*accept its terms and run 'hf auth login'"):
        locate("owner/name")


class _Response:
    headers: dict[str, str] = {}  # noqa: RUF012
    status_code = 403
    request = None


def test_folders_have_one_name_from_everywhere(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate("mine").name == locate(Path("./mine").resolve()).name == str(tmp_path / "mine")
    assert locate(None).name == locate("splade-minilm").name == locate(locate(None).folder).name == "splade-minilm"


def test_a_checkpoint_of_the_hub_has_the_commit_of_its_folder(tmp_path):
    commit = "0123456789abcdef" * 2 + "01234567"
    for folder, revision in (("snapshots/" + commit, commit), ("snapshots/main", ""), (commit, "")):
        (tmp_path / folder).mkdir(parents=True)
        assert Location("owner/name", tmp_path / folder).revision == revision


def test_a_checkpoint_that_is_an_onnx_file_has_its_digest(tmp_path):
    location = Location("m", tmp_path)
    assert location.digest() == ""
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"one")
    first = location.digest()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"two")
    assert len(first) == 64
    assert location.digest() not in ("", first)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with_weights = location.digest()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"three")
    assert location.digest() == with_weights
