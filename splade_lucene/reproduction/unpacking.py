"""Unpacks archives into folders: safely, atomically, and only the needed part."""

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
    """Whether a file is an archive, by its name."""
    return path.name.endswith(ARCHIVES)


def unpack(archive: Path, target: Path, folder: str = "", progress: Callable[[int], None] | None = None) -> int:
    """Unpacks an archive into a folder, which appears under its name only when all files are there.

    Args:
        archive: A tar file.
        target: The folder to create.
        folder: Unpack only files below a folder of this name, anywhere in the archive, without the path above it.
        progress: Called with 1 for each file.

    Returns:
        Number of files.

    Raises:
        DownloadError: The archive is damaged, has a path outside itself, or does not contain the folder.
        StorageError: The disk is full or not writable.
    """
    partial = work_folder(target, "unpacking")
    count = 0
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with tarfile.open(archive) as tar:
            for member in tar:
                name = _target_name(member.name, folder)
                if not member.isfile() or name is None:
                    continue
                _write(tar, member, partial / name)
                count += 1
                if progress:
                    progress(1)
        if not count:
            raise DownloadError(f"{archive}: the archive has no files{f' in a folder {folder}' if folder else ''}.")
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DownloadError(f"{archive}: the archive cannot be unpacked ({error}). Download it again.") from error
    except OSError as error:
        raise storage_error(target, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Writes a member that is a regular file. Python's own extraction filters exist only since 3.11.4."""
    source = tar.extractfile(member)
    assert source is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    with source, path.open("wb") as file:
        shutil.copyfileobj(source, file, _COPIED_AT_ONCE)


def _target_name(name: str, folder: str) -> str | None:
    """Path of a member below the target folder; None if the member is not needed.

    Raises:
        tarfile.TarError: The path is outside the target folder.
    """
    parts = PurePosixPath(name.lstrip("/")).parts
    if ".." in parts:
        raise tarfile.TarError(f"{name!r} is outside the target folder")
    if not parts or parts[-1].startswith("._"):  # metadata files added by macOS
        return None
    if not folder:
        return str(PurePosixPath(*parts))
    if folder not in parts[:-1]:
        return None
    return str(PurePosixPath(*parts[parts.index(folder) + 1 :]))
