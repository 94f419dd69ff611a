"""Files are written whole or not at all, and read without changing a character."""

import errno
import gzip
import time
from pathlib import Path

import pytest

from splade_lucene.errors import StorageError
from splade_lucene.files import open_text, storage_error, written_whole

TEXT = "a\r\nb\u2028c\u0085d\x0b\rlast é"


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_text_is_read_without_changing_line_ends(tmp_path, name):
    data = TEXT.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    with open_text(tmp_path / name) as lines:
        assert list(lines) == ["a\r\n", "b\u2028c\u0085d\x0b\rlast é"]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "new/folders/a.txt"])
def test_what_is_written_is_there_as_utf8(tmp_path, name):
    path = tmp_path / name
    with written_whole(path) as file:
        file.write("é\n")
        file.write("b\n")
        assert not path.exists()
    data = path.read_bytes()
    assert (gzip.decompress(data) if name.endswith(".gz") else data) == b"\xc3\xa9\nb\n"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def fail_half_way(path, error):
    with written_whole(path) as file:
        file.write("half")
        raise error


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_a_failing_block_leaves_nothing_new(tmp_path, name, error):
    with pytest.raises(type(error)) as caught:
        fail_half_way(tmp_path / name, error)
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_leaves_the_earlier_file_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("earlier")
    with pytest.raises(ValueError, match="x"):
        fail_half_way(path, ValueError("x"))
    assert path.read_text() == "earlier"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_a_good_block_replaces_the_earlier_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("earlier and longer")
    with written_whole(path) as file:
        file.write("new")
    assert path.read_text() == "new"


def test_a_left_over_of_a_killed_process_does_no_harm(tmp_path):
    (tmp_path / "a.txt.partial").write_text("left over, and longer than what comes now")
    with written_whole(tmp_path / "a.txt") as file:
        file.write("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_gzipped_files_of_the_same_text_are_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    # encode --gzip promises that a resumed run's files equal an undisturbed run's, byte for byte
    written = []
    for moment in (1_000_000_000.0, 1_100_000_000.0):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        with written_whole(tmp_path / "a.txt.gz") as file:
            file.write(TEXT)
        written.append((tmp_path / "a.txt.gz").read_bytes())
    assert gzip.decompress(written[0]) == TEXT.encode()
    assert written[0] == written[1]


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "below" / "a.txt"
    with pytest.raises(StorageError) as caught, written_whole(path):
        pytest.fail("the block must not run")
    assert str(caught.value).startswith(f"{path}: cannot write (")
    assert isinstance(caught.value.__cause__, OSError)
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_of_that_name(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(StorageError, match="cannot write"), written_whole(tmp_path / "a.txt") as file:
        file.write("x")
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_full_disk_is_a_storage_error(tmp_path, name):
    (tmp_path / f"{name}.partial").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left on device") as caught, written_whole(tmp_path / name) as file:
        file.write("x" * 1_000_000)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_message_names_path_reason_and_remedy(tmp_path):
    error = storage_error(tmp_path / "a", OSError(errno.ENOSPC, "No space left on device"))
    assert str(error).startswith(f"{tmp_path / 'a'}: cannot write (No space left on device). Check the free disk space")
    assert "cannot write (odd)" in str(storage_error(tmp_path / "a", OSError("odd")))
