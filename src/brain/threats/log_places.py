"""How far logs were read, kept in the store: so a log whose head was cut off does not count again.

A log that begins as it did is read whole, since its first line names its counts. One that does not, yet holds the place
that was reached, is read on from there, and from then on always: what it says is a reading of its own.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

import msgspec

from brain.kit.log_files import LogPlace, start_of
from brain.store import DocumentChange, Store
from brain.typed import ready

COLLECTION = "threats.logs"
HEAD_BYTES = 512


class KnownLog(msgspec.Struct, frozen=True):
    """A log as far as it was read: how it began, where that ended, and whether its head was cut off."""

    head: bytes = b""
    place: LogPlace = LogPlace()
    is_cut: bool = False

    def start(self, opened: BinaryIO) -> int:
        """Where to read on, when its head was cut off; 0 for a log that is read whole."""
        if not self.place.offset or not opened.seekable():
            return 0
        opened.seek(0)
        is_same = opened.read(len(self.head)) == self.head
        found = start_of(opened, self.place) if self.is_cut or not is_same else 0
        opened.seek(0)
        return found

    def reading(self) -> str:
        """The name of what comes after the place."""
        return f"sshd:after:{hashlib.sha256(self.place.before).hexdigest()[:16]}"


class LogPlaces:
    """The known logs by path, in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, path: Path) -> KnownLog:
        """What is known of the log at this path. Raises Unavailable."""
        found = self._store.get(COLLECTION, _key(path))
        return KnownLog() if found is None else msgspec.json.decode(found.data, type=ready(KnownLog))

    def put(self, path: Path, known: KnownLog) -> None:
        """The log at this path was read so far. Raises Unavailable."""
        self._store.write([DocumentChange(COLLECTION, _key(path), msgspec.json.encode(known))])


def _key(path: Path) -> str:
    return hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:40]
