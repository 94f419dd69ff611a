"""Resumable HTTP downloads: after a lost connection or a killed run, only the missing rest is downloaded.

The received part of a file is stored as ``NAME.partial``. The rest is requested with a Range header and an If-Range header
with the ETag of the first part, so a file that has changed in the meantime is downloaded from the start.
"""

from __future__ import annotations

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
from splade_lucene.locks import lock

TIMEOUT = 60  # seconds without a byte
TRIES = 5  # consecutive tries without new data
_BLOCK = 1 << 20

Progress = Callable[[int, int], None]
"""Called with the number of bytes received, and the total (0: unknown)."""


def fetch_whole(url: str, partial: Path, estimated_size: int, progress: Progress) -> None:
    """Downloads a file, or the rest of it.

    Args:
        url: Address of the file.
        partial: Target file; existing content is the first part of the file.
        estimated_size: Expected size in bytes; 0 if unknown.
        progress: Called after each block.

    Raises:
        ConnectionError: The server cannot be reached, returns an error, or keeps closing the connection.
        DownloadError: Another process is downloading the file, or there is not enough disk space.
        OSError: The file cannot be written.
    """
    tag = partial.with_name(f"{partial.name}.etag")
    with _sole_writer(partial) as file:
        if estimated_size - file.tell() > shutil.disk_usage(partial.parent).free:
            raise DownloadError(
                f"{partial}: not enough disk space for {estimated_size / 1e9:.1f} GB. Choose another folder=…."
            )
        tries = TRIES
        while True:
            before = file.tell()
            try:
                if _append(url, file, tag, estimated_size, progress):
                    break
                reason = "the connection was closed early"
            except urllib.error.HTTPError as error:
                error.close()
                raise ConnectionError(f"{url} returned {error.code} {error.reason}") from error
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
                reason = str(getattr(error, "reason", "") or error)
            tries = TRIES if file.tell() > before else tries - 1
            if not tries or not file.tell():
                raise ConnectionError(f"{url} cannot be downloaded ({reason})")
            time.sleep(TRIES - tries)
    tag.unlink(missing_ok=True)


def _append(url: str, file: BinaryIO, tag: Path, estimated_size: int, progress: Progress) -> bool:
    """Requests the missing part and appends it; returns false if the connection was closed early."""
    start = file.tell()
    headers = {"User-Agent": "splade-lucene", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag.is_file():
            headers["If-Range"] = tag.read_text(encoding="utf-8")
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing is missing, or the file has changed: the checksum decides
            error.close()
            return True
        raise
    with response:
        if not _continues(response, start):
            file.truncate(0)
            file.seek(0)
            start = 0
        etag = response.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):  # weak ETags do not guarantee equal bytes
            tag.write_text(etag, encoding="utf-8")
        length = response.headers.get("Content-Length")
        total = estimated_size if length is None else start + int(length)
        while block := response.read1(_BLOCK):  # as received, so that little is lost if the process is killed
            file.write(block)
            progress(file.tell(), total)
        file.flush()
    return length is None or file.tell() >= total


def _continues(response: Any, start: int) -> bool:
    return response.status == 206 and str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


@contextmanager
def _sole_writer(partial: Path) -> Iterator[BinaryIO]:
    with partial.open("ab") as file:
        if not lock(file):
            raise DownloadError(f"{partial}: another process is downloading this file. Wait for it.")
        yield file
