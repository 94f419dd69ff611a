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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from splade_lucene.errors import DownloadError
from splade_lucene.files.locks import lock
from splade_lucene.progress import Advance
from splade_lucene.reproduction.archives import too_large

TIMEOUT = 60  # seconds without a byte
TRIES = 5  # consecutive tries without new data
_BLOCK = 1 << 20
_NETWORK_ERRORS = (
    urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError,
    ValueError,  # an address that cannot be sent, such as one with spaces or of a redirect
)  # fmt: skip


def fetch_file(url: str, partial: Path, estimated_size: int, advance: Advance, *, limit: int | None = None) -> None:
    """Downloads a file, or the rest of it.

    Args:
        url: Address of the file.
        partial: Target file; existing content is the first part of the file.
        estimated_size: Expected size in bytes; 0 if unknown.
        advance: Called after each block with its size, and before the first with what an earlier run received.
        limit: The most bytes that the file can have; None if that is unknown.

    Raises:
        ConnectionError: The server cannot be reached, returns an error, or keeps closing the connection.
        DownloadError: Another process is downloading the file, there is not enough disk space, or the server has more bytes
            than the limit; then nothing is kept.
        OSError: The file cannot be written.
    """
    tag = partial.with_name(f"{partial.name}.etag")
    with _sole_writer(partial) as file:
        if estimated_size - file.tell() > shutil.disk_usage(partial.parent).free:
            raise DownloadError(
                f"{partial}: not enough disk space for {estimated_size / 1e9:.1f} GB. Choose another folder=…."
            )
        if file.tell():
            advance(file.tell(), resumed=True)
        tries = TRIES
        while True:
            before = file.tell()
            try:
                if _append(url, file, tag, estimated_size, advance, limit):
                    break
                reason = "the connection was closed early"
            except DownloadError:
                partial.unlink()
                tag.unlink(missing_ok=True)
                raise
            except urllib.error.HTTPError as error:
                error.close()
                raise ConnectionError(f"{url} returned {error.code} {error.reason}") from error
            except _NETWORK_ERRORS as error:
                reason = str(getattr(error, "reason", "") or error)
            tries = TRIES if file.tell() > before else tries - 1
            if not tries or not file.tell():
                raise ConnectionError(f"{url} cannot be downloaded ({reason})")
            time.sleep(TRIES - tries)
    tag.unlink(missing_ok=True)


def _append(url: str, file: BinaryIO, tag: Path, estimated_size: int, advance: Advance, limit: int | None) -> bool:
    """Requests the missing part and appends it; returns false if the connection was closed early."""
    start = file.tell()
    response = _request(url, start, tag)
    if response is None:
        return True
    with response:
        if start and not _continues(response, start):
            file.truncate(0)
            file.seek(0)
            advance(-start, resumed=True)
            start = 0
        etag = response.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):  # weak ETags do not guarantee equal bytes
            tag.write_text(etag, encoding="latin-1")
        length = response.length  # None if the header is missing or invalid
        total = estimated_size if length is None else start + length
        if length is not None and limit is not None and total > limit:
            raise too_large(url, limit, total)
        while block := _receive(response):
            if limit is not None and file.tell() + len(block) > limit:
                raise too_large(url, limit)
            file.write(block)
            file.flush()
            advance(len(block))
    return length is None or file.tell() >= total


def _request(url: str, start: int, tag: Path) -> Any:
    """Requests a file from a byte on; returns None if the server has no more bytes than that."""
    headers = {"User-Agent": "splade-lucene", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag.is_file():
            headers["If-Range"] = tag.read_text(encoding="latin-1")
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing is missing, or the file has changed: the checksum decides
            error.close()
            return None
        raise


def _receive(response: Any) -> bytes:
    """The next bytes, as received, so that little is lost if the process is killed."""
    try:
        block: bytes = response.read1(_BLOCK)
    except OSError as error:  # network errors; writing raises it for disk errors, too
        raise ConnectionError(str(error)) from error
    return block


def _continues(response: Any, start: int) -> bool:
    return response.status == 206 and str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


@contextmanager
def _sole_writer(partial: Path) -> Iterator[BinaryIO]:
    with partial.open("ab") as file:
        if not lock(file):
            raise DownloadError(f"{partial}: another process is downloading this file. Wait for it.")
        yield file
