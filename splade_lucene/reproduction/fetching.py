"""A file over HTTP: what a broken connection or a killed run left is gone on with, not fetched again.

What is there of a file stands in ``NAME.partial``. The rest is asked for with a Range, tied by If-Range to the ETag that
the server gave for the beginning: should the file have changed in the meantime, it comes from the start.
"""

from __future__ import annotations

import fcntl
import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from splade_lucene.errors import DownloadError

TIMEOUT = 60  # seconds without a byte
TRIES = 5  # in a row that bring nothing new
_BLOCK = 1 << 20

Progress = Callable[[int, int], None]
"""Called with the bytes that are there, and how many there will be (0: not known)."""


def fetch_whole(url: str, partial: Path, about_bytes: int, progress: Progress) -> None:
    """Fetches a file, or the rest of it.

    Args:
        url: Where it is served.
        partial: Where it goes; what stands there already is its beginning.
        about_bytes: Its size, if it is known, else 0.
        progress: Called after each block.

    Raises:
        ConnectionError: The server cannot be reached, refuses, or keeps closing; says which.
        DownloadError: Another process is at it, or the disk is too small.
        OSError: The disk refused.
    """
    tag = partial.with_name(f"{partial.name}.etag")
    with _sole_writer(partial) as file:
        if about_bytes - file.tell() > shutil.disk_usage(partial.parent).free:
            raise DownloadError(f"{partial}: {about_bytes / 1e9:.1f} GB do not fit on this disk. Name another --dir.")
        tries = TRIES
        while True:
            before = file.tell()
            try:
                if _append(url, file, tag, about_bytes, progress):
                    break
                reason = "the connection was closed early"
            except urllib.error.HTTPError as error:
                error.close()
                raise ConnectionError(f"{url} answers {error.code} {error.reason}") from error
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
                reason = str(getattr(error, "reason", "") or error)
            tries = TRIES if file.tell() > before else tries - 1
            if not tries or not file.tell():
                raise ConnectionError(f"{url} cannot be read ({reason})")
            time.sleep(TRIES - tries)
    tag.unlink(missing_ok=True)


def _append(url: str, file: BinaryIO, tag: Path, about_bytes: int, progress: Progress) -> bool:
    """Asks for what is missing and appends it; false if the connection ended before the file did."""
    start = file.tell()
    headers = {"User-Agent": "splade-lucene", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag.is_file():
            headers["If-Range"] = tag.read_text(encoding="utf-8")
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing is missing, or this is of another file: the checksum decides
            error.close()
            return True
        raise
    with response:
        if not _continues(response, start):
            file.truncate(0)
            file.seek(0)
            start = 0
        etag = response.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):  # weak ones do not promise equal bytes
            tag.write_text(etag, encoding="utf-8")
        length = response.headers.get("Content-Length")
        whole = about_bytes if length is None else start + int(length)
        while block := response.read1(_BLOCK):  # as it comes, so that a kill loses little
            file.write(block)
            progress(file.tell(), whole)
        file.flush()
    return length is None or file.tell() >= whole


def _continues(response: Any, start: int) -> bool:
    return response.status == 206 and str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


@contextmanager
def _sole_writer(partial: Path) -> Iterator[BinaryIO]:
    with partial.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadError(f"{partial}: another process is fetching this file. Wait for it.") from None
        yield file
