"""Hand-overs: checkpoints by which a log's key names the one that signs after it.

A hand-over is a checkpoint with one line more, signed by both keys. Witnesses sign that line with it. So a thief of a
key that was given up can name no other heir: no witness signs his. Whoever pinned any of a log's keys follows the
hand-overs from it to the key that signs today.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from brain.audit.checkpoint import Checkpoint
from brain.audit.note import BadNote, Signer, Verifier, split_note
from brain.errors import InvalidInput

_LINE = "brain-audit-handover/v1"


@dataclass(frozen=True)
class Handover:
    """One key gives the log to the next, at a size of the log."""

    checkpoint: Checkpoint
    old: Verifier
    new: Verifier
    note: bytes
    """The signed note, with the witnesses' signatures."""

    @staticmethod
    def sign(checkpoint: Checkpoint, old: Signer, new: Signer) -> Handover:
        """The hand-over of the log at this checkpoint, signed by both."""
        text = f"{checkpoint.text()}{_LINE} {old.verifier} {new.verifier}\n"
        note = old.sign(text) + new.sign(text).rpartition(b"\n\n")[2]
        return Handover.open(note)

    @staticmethod
    def open(note: bytes) -> Handover:
        """The hand-over in the note, once both signatures are verified. Raises BadNote."""
        text, _ = split_note(note)
        checkpoint = Checkpoint.parse(text)
        words = [line.split(" ") for line in text.split("\n")[3:] if line.startswith(f"{_LINE} ")]
        if len(words) != 1 or len(words[0]) != 3:
            raise BadNote(f"hand-over: needs one line of {_LINE}, the old key and the new one")
        try:
            old, new = Verifier.parse(words[0][1]), Verifier.parse(words[0][2])
        except InvalidInput as error:
            raise BadNote(f"hand-over: {error}") from error
        if old.key == new.key or checkpoint.size == 0:
            raise BadNote("hand-over: is to the same key, or of a log without entries")
        for key in (old, new):
            if Checkpoint.open(note, key) != checkpoint:
                raise BadNote("hand-over: the signatures are over something else")
        return Handover(checkpoint, old, new, note)


@dataclass(frozen=True)
class Keychain:
    """The keys of one log: the one that is trusted, and the hand-overs from it on, in order."""

    first: Verifier
    handovers: tuple[Handover, ...] = ()

    @staticmethod
    def follow(trusted: Verifier, notes: Iterable[bytes]) -> Keychain:
        """The keys that follow on `trusted` by these hand-overs; those before it are passed over. Raises BadNote."""
        followed: list[Handover] = []
        key = trusted
        for note in notes:
            handover = Handover.open(note)
            if handover.old != key:
                continue
            if followed and handover.checkpoint.size < followed[-1].checkpoint.size:
                raise BadNote("hand-over: is of a smaller log than the one before it")
            followed.append(handover)
            key = handover.new
        return Keychain(trusted, tuple(followed))

    @property
    def current(self) -> Verifier:
        """The key that signs now."""
        return self.handovers[-1].new if self.handovers else self.first

    @property
    def name(self) -> str:
        """The log's name."""
        return self.first.name

    def open(self, note: bytes) -> Checkpoint:
        """The checkpoint in a note that the key of its time has signed. Raises BadNote.

        A key signs no tree that is larger than the one it handed over, and none smaller than the one it was given.
        """
        size = Checkpoint.parse(split_note(note)[0]).size
        given = [handover.checkpoint.size for handover in self.handovers]
        keys = [self.first, *(handover.new for handover in self.handovers)]
        number = sum(1 for at in given if at < size)
        return Checkpoint.open(note, keys[number])
