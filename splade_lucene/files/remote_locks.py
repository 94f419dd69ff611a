"""A lock of a folder in a store, where no operating system releases it when its owner dies.

The lock is an object that its owner renews. A process that finds one waits for a renewal: if there is one, the folder
is in use; if not, the owner is assumed dead and the lock is taken over. No clocks are compared. If an owner was suspended so
long that another process took over, it notices at its next renewal, and must stop.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time

from splade_lucene.errors import StorageError
from splade_lucene.files.json_text import parse_json
from splade_lucene.files.remote import RemoteFolder
from splade_lucene.notes import note

_RENEWAL = 10.0
"""Seconds between two renewals."""

_PATIENCE = 40.0
"""Seconds without a renewal after which the owner counts as dead."""

_POLL = 1.0
_SETTLING = 2.0
"""Seconds after which one of several that took the same lock over at the same time sees who was the last."""


class RemoteLock:
    """A lock for one process and thread.

    Args:
        store: The folder.
        name: The name of the object.
    """

    def __init__(self, store: RemoteFolder, name: str) -> None:
        self._store, self.name = store, name
        self._token, self._number = secrets.token_hex(8), 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_lost = False

    def acquire(self) -> bool:
        """Takes the lock; returns whether it was taken.

        Raises:
            StorageError: The store cannot be used.
        """
        while not self._store.create(self.name, self._content()):
            if self.is_held():
                return False
            if self._read() is None:
                continue  # its owner has ended
            self._store.write({self.name: self._content()})
            time.sleep(_SETTLING)
            if not self._is_ours():
                return False
            break
        self._thread = threading.Thread(target=self._renew_always, name="lock", daemon=True)
        self._thread.start()
        return True

    def is_held(self) -> bool:
        """Whether a living process holds the lock. Telling that its owner is dead takes a while."""
        before = self._read()
        if before is not None:
            note(f"{self._store}: waiting {_PATIENCE:.0f} seconds to see whether {self.owner} still writes to it")
        end = time.monotonic() + _PATIENCE
        while before is not None and time.monotonic() < end:
            time.sleep(_POLL)
            if (found := self._read()) != before:
                return found is not None
        return False

    @property
    def owner(self) -> str:
        """The owner of the lock, in words."""
        return str((self._read() or {}).get("owner", "another process"))

    def check(self) -> None:
        """Checks that no other process has taken over.

        Raises:
            StorageError: One has.
        """
        if self._is_lost:
            raise StorageError(
                f"{self._store}: {self.owner} has taken over, because this process did not renew its lock for "
                f"{_PATIENCE:.0f} seconds. Run the same command again when the other one has ended."
            )

    def release(self) -> None:
        """Deletes the object, unless another process has taken over."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        if not self._is_lost and self._is_ours():
            self._store.delete([self.name])

    def _content(self) -> bytes:
        owner = f"process {os.getpid()} on {socket.gethostname()}"
        return json.dumps({"owner": owner, "token": self._token, "renewal": self._number}).encode()

    def _is_ours(self) -> bool:
        return (self._read() or {}).get("token") == self._token

    def _read(self) -> dict[str, object] | None:
        """The content of the object; None if it does not exist."""
        content = self._store.read([self.name]).get(self.name)
        if content is None:
            return None
        try:
            found = parse_json(content.decode())
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {"content": content.hex()}

    def _renew_always(self) -> None:
        while not self._ending.wait(_RENEWAL):
            try:
                if not self._is_ours():
                    self._is_lost = True
                    return
                self._number += 1
                self._store.write({self.name: self._content()})
            except StorageError:
                continue  # the store is unreachable, so writes fail as well
