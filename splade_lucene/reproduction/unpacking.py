"""Unpacks archives into folders: safely, atomically, and only the needed part."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from splade_lucene.errors import DownloadError
from splade_lucene.files.exchange import replace_folder
from splade_lucene.files.files import new_folder, storage_error, work_folder
from splade_lucene.reproduction.archives import Member, broken, open_archive, too_large, write_file

_EXPANSION, _ALWAYS_ALLOWED = 100, 64 << 20
"""An archive may unpack to this many times its size, or this many bytes. Texts and impacts shrink to a tenth, seldom to a
thirtieth; an archive of nothing but zeros, to a thousandth."""

_NO_NAMES = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


def unpack(archive: Path, target: Path, folder: str = "", progress: Callable[[int], None] | None = None) -> int:
    """Unpacks an archive into a folder, which appears under its name only when all files are there.

    Args:
        archive: A tar or zip file.
        target: The folder to create.
        folder: Unpack only files below a folder of this name, anywhere in the archive, without the path above it.
        progress: Called with 1 for each file.

    Returns:
        Number of files.

    Raises:
        DownloadError: The archive is damaged or encrypted, has a link, a path outside itself or one path twice, unpacks to far
            more than its size, or does not contain the folder.
        StorageError: The disk is full or not writable.
    """
    with new_folder(work_folder(target, "unpacking")) as partial:
        try:
            count = _unpack(archive, partial, folder, progress)
            if not count:
                where = f" in a folder {folder}" if folder else ""
                raise DownloadError(f"{archive}: the archive has no files{where}. Check that it is the right archive.")
            replace_folder(partial, target)
        except OSError as error:
            raise storage_error(target, error) from error
    return count


def _unpack(archive: Path, target: Path, folder: str, progress: Callable[[int], None] | None) -> int:
    size = archive.stat().st_size
    allowed = left = max(_EXPANSION * size, _ALWAYS_ALLOWED)
    count = 0
    with open_archive(archive) as members:
        for member in members:
            name = _target_name(member.name, folder, archive)
            if name is None:
                continue
            if not member.is_regular:
                raise broken(archive, f"{member.name!r:.200} is a link or a device")
            if member.size > left:
                raise too_large(f"{archive} ({size:,} bytes), unpacked", allowed, allowed - left + member.size)
            left -= _write(member, target / name, left, archive)
            count += 1
            if progress:
                progress(1)
    return count


def _write(member: Member, path: Path, limit: int, archive: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_file(member.read(), path, limit, f"{archive}, {member.name}")
    except (OSError, ValueError) as error:  # ValueError: the name has a null character
        if isinstance(error, OSError) and error.errno not in _NO_NAMES:
            raise
        raise broken(archive, f"{member.name!r:.200} cannot be written: {getattr(error, 'strerror', error)}") from error


def _target_name(name: str, folder: str, archive: Path) -> str | None:
    """Path of a member below the target folder; None if the member is not needed.

    Raises:
        DownloadError: The path is outside the target folder.
    """
    parts = PurePosixPath(name.lstrip("/")).parts
    if ".." in parts:
        raise broken(archive, f"{name!r:.200} is outside the target folder")
    if not parts or parts[-1].startswith("._"):  # metadata files added by macOS
        return None
    if not folder:
        return str(PurePosixPath(*parts))
    if folder not in parts[:-1]:
        return None
    return str(PurePosixPath(*parts[parts.index(folder) + 1 :]))
