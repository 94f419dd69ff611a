"""Archives to folders: safely, whole, and only the part that counts."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from splade_lucene.errors import DownloadError
from splade_lucene.files import storage_error, work_folder

_COPIED_AT_ONCE = 1 << 20
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def is_archive(path: Path) -> bool:
    """Whether a file is to be unpacked, by its name."""
    return path.name.endswith(ARCHIVES)


def unpack(archive: Path, target: Path, folder: str = "", progress: Callable[[int], None] | None = None) -> int:
    """Unpacks the files of an archive into a folder, which appears under its name when all are there.

    Args:
        archive: A tar file.
        target: The folder to make.
        folder: Only what lies below a folder of this name, wherever that is in the archive, without the path to it.
        progress: Called with 1 for each file.

    Returns:
        How many files.

    Raises:
        DownloadError: The archive is damaged, names a place outside itself, or has no such folder.
        StorageError: The disk refused.
    """
    work = work_folder(target, "unpacking")
    count = 0
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        with tarfile.open(archive) as tar:
            for member in tar:
                name = _place(member.name, folder)
                if not member.isfile() or name is None:
                    continue
                _write(tar, member, work / name)
                count += 1
                if progress:
                    progress(1)
        if not count:
            raise DownloadError(f"{archive}: no file {f'below a folder {folder}' if folder else 'is'} in this archive.")
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DownloadError(f"{archive}: this archive cannot be unpacked ({error}). Fetch it again.") from error
    except OSError as error:
        raise storage_error(target, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return count


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Writes a member that is a file. Python's own filters for safe names came only with 3.11.4."""
    source = tar.extractfile(member)
    assert source is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    with source, path.open("wb") as file:
        shutil.copyfileobj(source, file, _COPIED_AT_ONCE)


def _place(name: str, folder: str) -> str | None:
    """Where a member goes; None if it does not count.

    Raises:
        tarfile.TarError: Outside the folder that the archive is unpacked into.
    """
    parts = PurePosixPath(name.lstrip("/")).parts
    if ".." in parts:
        raise tarfile.TarError(f"{name!r} lies outside of it")
    if not parts or parts[-1].startswith("._"):  # what macOS adds
        return None
    if not folder:
        return str(PurePosixPath(*parts))
    if folder not in parts[:-1]:
        return None
    return str(PurePosixPath(*parts[parts.index(folder) + 1 :]))
