"""What this machine remembers of the log outside the database: the last checkpoint that it signed.

A database that was rolled back, its checkpoints with it, is whole in itself. The file beside the key tells: this log
has been longer, so nothing more is signed, which could contradict what others may have seen.
"""

from __future__ import annotations

import os
from pathlib import Path

from brain.audit.merkle import root_at
from brain.audit.note import BadNote, Checkpoint, Verifier
from brain.audit.tree import StoredTree, Tampered
from brain.logs import Log

log = Log("brain.audit")


class Remembered:
    """The last checkpoint signed here; in a file, once there was one."""

    def __init__(self, path: Path, key: Verifier) -> None:
        self.path = path
        self._key = key
        self._last: Checkpoint | None = None
        self._read = False

    def check(self, tree: StoredTree, size: int) -> None:
        """Raises Tampered unless the tree of `size` entries continues the one that was signed."""
        last = self._recall()
        if last is None or last.size == 0:
            return
        if last.size > size or root_at(last.size, tree.node) != last.root:
            raise Tampered(
                f"the database does not continue the checkpoint of {last.size} entries that was signed here: it was "
                f"rolled back or replaced (to go on all the same, remove {self.path})"
            )

    def keep(self, note: bytes, checkpoint: Checkpoint) -> None:
        """Remember this one, whose entries are committed."""
        self._last, self._read = checkpoint, True
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            draft.write_bytes(note)
            draft.replace(self.path)
        except OSError as error:
            log.warning("the last checkpoint is not kept beside the key", path=str(self.path), error=str(error))

    def _recall(self) -> Checkpoint | None:
        if not self._read:
            note = read_note(self.path)
            try:
                self._last = Checkpoint.open(note, self._key) if note is not None else None
            except BadNote as error:
                log.warning("the checkpoint beside the key is of another log", path=str(self.path), error=str(error))
            self._read = True
        return self._last


def read_note(path: Path) -> bytes | None:
    """What is in the file; None without one."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
