"""Checkpoints: what the log signs. Each is a signed note of the log's name, its size, and the root of its tree.

Source: C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint).
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from brain.audit.merkle import SIZE
from brain.audit.note import BadNote, Verifier, decode_base64

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}").fullmatch


@dataclass(frozen=True)
class Checkpoint:
    """What a log says about itself at one moment."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text of the note."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @staticmethod
    def parse(text: str) -> Checkpoint:
        """The checkpoint in a note's text; extension lines are passed over. Raises BadNote."""
        lines = text.split("\n")
        if len(lines) < 4 or not all(lines[:-1]) or lines[-1]:
            raise BadNote("checkpoint: needs three lines: origin, size, and the root in base64")
        origin, size, encoded = lines[:3]
        if not _NUMBER(size):
            raise BadNote(f"checkpoint: {size[:40]!r} is not a size")
        root = decode_base64(encoded)
        if root is None or len(root) != SIZE:
            raise BadNote(f"checkpoint: {encoded[:80]!r} is not a root hash in base64")
        return Checkpoint(origin, int(size), root)

    @staticmethod
    def open(note: bytes, key: Verifier) -> Checkpoint:
        """The checkpoint in a note that `key` has signed for the log of its name. Raises BadNote."""
        checkpoint = Checkpoint.parse(key.open(note))
        if checkpoint.origin != key.name:
            raise BadNote(f"checkpoint: is of the log {checkpoint.origin}, not of {key.name}")
        return checkpoint
