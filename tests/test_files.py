"""Files are written whole or not at all, and read without changing a character."""

import errno
import gzip
import os
import resource
import shutil
import signal
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from support.processes import run_python

from splade_lucene.errors import InputError, StorageError
from splade_lucene.files.compression import COMPRESSIONS, UNREADABLE, content_name, decompressed_name, open_bytes
from splade_lucene.files.files import atomic_text_writer, open_text, sole_writer, storage_error

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
    with atomic_text_writer(path) as file:
        file.write("é\n")
        file.write("b\n")
        assert not path.exists()
    data = path.read_bytes()
    assert (gzip.decompress(data) if name.endswith(".gz") else data) == b"\xc3\xa9\nb\n"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_what_is_written_is_compressed_as_its_name_says_and_can_be_read(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    for _ in range(2):
        with atomic_text_writer(path) as file:
            file.write(TEXT * 100)
        data = path.read_bytes()
    assert len(data) < len(TEXT) * 50
    assert content_name(path) == decompressed_name(path) == "a.txt"
    with open_text(path) as lines:
        assert lines.read() == TEXT * 100
    with atomic_text_writer(tmp_path / f"another.txt{suffix}") as file:
        file.write(TEXT * 100)
    if suffix != ".zip":  # which has the name of the file inside
        assert (tmp_path / f"another.txt{suffix}").read_bytes() == data


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_an_empty_file_is_not_a_whole_compressed_one(tmp_path, suffix):
    (tmp_path / f"a.txt{suffix}").write_bytes(b"")
    with pytest.raises(OSError, match="empty|not a zip file"), open_bytes(tmp_path / f"a.txt{suffix}") as file:
        file.read()


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_every_stream_of_a_compressed_file_is_read_or_refused(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    with atomic_text_writer(path) as file:
        file.write(TEXT)
    one = path.read_bytes()
    path.write_bytes(one + one + one)
    assert open_bytes(path).read().decode() == TEXT * 3
    for behind in (b"garbage", b"?", one[:5], one[:-3], b"?" + one[1:], one + one[:2] + b"????" + one[6:]):
        path.write_bytes(one + behind)
        with pytest.raises((OSError, EOFError)), open_bytes(path) as file:
            file.read()


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_zeros_may_follow_compressed_data(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    with atomic_text_writer(path) as file:
        file.write(TEXT)
    path.write_bytes(path.read_bytes() + bytes(100_000))
    assert open_bytes(path).read().decode() == TEXT


@pytest.mark.parametrize(
    ("suffix", "program"),
    [(".gz", "gzip -dc"), (".bz2", "bzip2 -dc"), (".xz", "xz -dc"), (".zst", "zstd -dc"), (".zip", "unzip -p")],
)
@pytest.mark.process
def test_other_programs_read_what_is_written(tmp_path, suffix, program):
    if shutil.which(program.split()[0]) is None:
        pytest.skip(f"needs {program.split()[0]}")
    with atomic_text_writer(tmp_path / f"a.txt{suffix}") as file:
        file.write(TEXT)
    done = subprocess.run([*program.split(), tmp_path / f"a.txt{suffix}"], capture_output=True, check=True)
    assert done.stdout.decode() == TEXT


@pytest.mark.parametrize("suffix", UNREADABLE)
def test_a_compression_that_is_not_written_is_refused_by_name(tmp_path, suffix):
    with pytest.raises(
        InputError, match=rf"a\.txt\{suffix}: cannot write \{suffix} files\. Use \.gz, .* or no compression"
    ):
        with atomic_text_writer(tmp_path / "new" / f"a.txt{suffix}"):
            pytest.fail("no work was to be done")
    assert not [*tmp_path.iterdir()]


def fail_half_way(path, error):
    with atomic_text_writer(path) as file:
        file.write("half")
        raise error


@pytest.mark.parametrize("name", ["a.txt", *(f"a.txt{suffix}" for suffix in COMPRESSIONS)])
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
    with atomic_text_writer(path) as file:
        file.write("new")
    assert path.read_text() == "new"


@pytest.mark.process
def test_the_next_writer_deletes_what_a_killed_one_left(tmp_path):
    code = f"""
import os, pathlib
from splade_lucene.files.files import atomic_text_writer
with atomic_text_writer(pathlib.Path({str(tmp_path / "a.txt")!r})) as file:
    file.write("left over")
    file.flush()
    os.kill(os.getpid(), 9)
"""
    assert run_python(code).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.read_text() == "left over"
    (tmp_path / "a.txt.partial").write_text("of another program")
    with atomic_text_writer(tmp_path / "a.txt") as file:
        file.write("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.txt", "a.txt.partial"]


def test_writers_of_the_same_file_do_not_mix(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_text_writer(path) as first:
        first.write("first\n" * 10_000)
        with atomic_text_writer(path) as second:
            second.write("second\n" * 5)
        assert path.read_text() == "second\n" * 5
        first.write("first\n")
    assert path.read_text() == "first\n" * 10_001  # the last one to finish
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_an_interrupt_right_after_the_new_file_was_created_leaves_none(tmp_path, monkeypatch):
    create = os.open

    def interrupted(*given, **options):
        create(*given, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        with atomic_text_writer(tmp_path / "a.txt"):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.txt.partial", "a.txt.12345678.partial"])
def test_a_planted_link_is_not_followed(tmp_path, monkeypatch, name):
    monkeypatch.setattr("secrets.token_hex", lambda count: "12345678" if count == 4 else "")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / name).symlink_to("victim")
    with suppress(StorageError), atomic_text_writer(tmp_path / "a.txt") as file:
        file.write("new")
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_new_files_have_the_mode_that_the_umask_leaves_and_replaced_ones_keep_theirs(tmp_path, mask):
    (tmp_path / "old.txt").write_text("old")
    (tmp_path / "old.txt").chmod(0o640)
    before = os.umask(mask)
    try:
        for name in ("new.txt", "new.gz", "old.txt"):
            with atomic_text_writer(tmp_path / name) as file:
                file.write("x")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new.txt", "new.gz", "old.txt")]
    assert modes == [0o666 & ~mask, 0o666 & ~mask, 0o640]


def test_a_second_writer_is_refused_or_waits(tmp_path):
    path, busy = tmp_path / "folder" / "file", InputError("busy")
    with ThreadPoolExecutor(1) as pool:

        def wait_for_it() -> list[str]:
            with sole_writer(path):
                return sorted(each.name for each in tmp_path.iterdir())

        with sole_writer(path, busy):
            with pytest.raises(InputError, match="busy"), sole_writer(path, busy):
                pytest.fail("the block must not run")
            waiting = pool.submit(wait_for_it)
            time.sleep(0.1)
            assert not waiting.done()
        assert waiting.result(10) == ["folder"]
    assert list((tmp_path / "folder").iterdir()) == []


# ---- links, pipes and devices ----


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_keeps_naming_the_file_that_is_written(tmp_path, exists):
    (tmp_path / "folder").mkdir()
    if exists:
        (tmp_path / "folder/target.txt").write_text("old")
    (tmp_path / "link").symlink_to("folder/target.txt")
    (tmp_path / "link.txt").symlink_to("link")
    with atomic_text_writer(tmp_path / "link.txt") as file:
        file.write("new")
    assert (tmp_path / "link.txt").readlink() == Path("link")
    assert (tmp_path / "link").readlink() == Path("folder/target.txt")
    assert (tmp_path / "folder/target.txt").read_text() == "new"
    assert [each.name for each in (tmp_path / "folder").iterdir()] == ["target.txt"]


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "a.txt").symlink_to("a.txt")
    with pytest.raises(StorageError, match="cannot write"), atomic_text_writer(tmp_path / "a.txt") as file:
        file.write("x")
    assert (tmp_path / "a.txt").is_symlink()


@pytest.mark.parametrize("name", ["pipe", "pipe.gz"])
def test_a_fifo_is_written_to(tmp_path, name):
    pipe = tmp_path / name
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        with atomic_text_writer(pipe) as file:
            file.write("through\n")
        data = read.result(10)
    assert (gzip.decompress(data) if name.endswith(".gz") else data) == b"through\n"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_reader_that_has_had_enough_is_a_broken_pipe(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError), atomic_text_writer(Path(f"/dev/fd/{writing}")) as file:
        file.write("x" * 1_000_000)
    os.close(writing)


def test_devices_and_links_to_them_stay(tmp_path):
    (tmp_path / "null").symlink_to("/dev/null")
    for path in (tmp_path / "null", Path("/dev/null")):
        with atomic_text_writer(path) as file:
            file.write("x")
        assert stat.S_ISCHR(path.stat().st_mode)
    assert (tmp_path / "null").is_symlink()


@pytest.mark.parametrize("spelled", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/{pid}/fd/{}", "link"])
def test_an_open_descriptor_is_written_where_it_stands(tmp_path, spelled):
    if spelled.startswith("/proc") and not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc here")
    out = tmp_path / "out.txt"
    out.write_text("before\n")
    with out.open("a") as file:  # as in a shell's >> out.txt
        path = Path(spelled.format(file.fileno(), pid=os.getpid()))
        if spelled == "link":
            path = tmp_path / "link"
            path.symlink_to(f"/dev/fd/{file.fileno()}")
        with atomic_text_writer(path) as written:
            written.write("ours\n")
        file.write("after\n")
    assert out.read_text() == "before\nours\nafter\n"


def test_gzipped_files_of_the_same_text_are_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    # encode --gzip promises that a resumed run's files equal an undisturbed run's, byte for byte
    written = []
    for moment in (1_000_000_000.0, 1_100_000_000.0):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        with atomic_text_writer(tmp_path / "a.txt.gz") as file:
            file.write(TEXT)
        written.append((tmp_path / "a.txt.gz").read_bytes())
    assert gzip.decompress(written[0]) == TEXT.encode()
    assert written[0] == written[1]


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "below" / "a.txt"
    with pytest.raises(StorageError) as caught, atomic_text_writer(path):
        pytest.fail("the block must not run")
    assert str(caught.value).startswith(f"{path}: cannot write (")
    assert isinstance(caught.value.__cause__, OSError)
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_of_that_name(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(StorageError, match="cannot write"), atomic_text_writer(tmp_path / "a.txt") as file:
        file.write("x")
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_device_is_a_storage_error():
    with (
        pytest.raises(StorageError, match="No space left on device") as caught,
        atomic_text_writer(Path("/dev/full")) as file,
    ):
        file.write("x" * 1_000_000)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_file_that_grows_beyond_what_is_allowed_is_a_storage_error(tmp_path, name):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="File too large"), atomic_text_writer(tmp_path / name) as file:
            file.write("".join(map(str, range(100_000))))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_message_names_path_reason_and_remedy(tmp_path):
    error = storage_error(tmp_path / "a", OSError(errno.ENOSPC, "No space left on device"))
    assert str(error).startswith(f"{tmp_path / 'a'}: cannot write (No space left on device). Check the free disk space")
    assert "cannot write (odd)" in str(storage_error(tmp_path / "a", OSError("odd")))
