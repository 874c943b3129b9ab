"""The last checkpoint that this machine signed, in a file outside the database.

A database that was rolled back is consistent in itself, its checkpoints included. The file beside the key shows that
this log has been longer. Then nothing more is signed: it could contradict what others have seen.
"""

from __future__ import annotations

import os
from pathlib import Path

from brain.audit.checkpoint import Checkpoint
from brain.audit.handover import Keychain
from brain.audit.merkle import root_at
from brain.audit.note import BadNote
from brain.audit.tree import StoredTree, Tampered
from brain.logs import Log

log: Log = Log("brain.audit")


class LocalCheckpoint:
    """The file at `path`, which need not exist yet, with the last checkpoint that a key of the log signed here."""

    def __init__(self, path: Path, keychain: Keychain) -> None:
        self.path = path
        self._keychain = keychain
        self._last: Checkpoint | None = None
        self._read = False

    def check(self, tree: StoredTree, size: int) -> None:
        """Raise Tampered unless the tree of `size` entries continues the one that was signed."""
        last = self._load()
        if last is None or last.size == 0:
            return
        if last.size > size or root_at(last.size, tree.node) != last.root:
            raise Tampered(
                f"the database does not continue the checkpoint of {last.size} entries that this machine signed: the "
                f"database was rolled back or replaced; to continue nevertheless, remove {self.path}"
            )

    def keep(self, note: bytes, checkpoint: Checkpoint) -> None:
        """Store this checkpoint; its entries must be committed. A failure is logged: the next one tries again."""
        self._last, self._read = checkpoint, True
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            draft.write_bytes(note)
            draft.replace(self.path)
        except OSError as error:
            log.warning("checkpoint not written beside the key", path=str(self.path), error=str(error))

    def _load(self) -> Checkpoint | None:
        if not self._read:
            note = read_note(self.path)
            try:
                self._last = self._keychain.open(note) if note is not None else None
            except BadNote as error:
                log.warning("checkpoint of another log ignored", path=str(self.path), error=str(error))
            self._read = True
        return self._last


def read_note(path: Path) -> bytes | None:
    """The bytes of the file; None when it does not exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
