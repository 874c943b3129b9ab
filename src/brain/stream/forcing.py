"""Forcing a journal out to stable storage, for `durability="power"`."""

from __future__ import annotations

from contextlib import AbstractContextManager

from brain.locks import InterruptibleLock
from brain.platform import force_out
from brain.stream.journal import Journal


class Forcing:
    """Which records of a journal are on stable storage."""

    def __init__(self) -> None:
        self._lock = InterruptibleLock()  # a publish may interrupt another one of its thread
        self._forced = 0

    def force(self, journal: Journal, seq: int, appending: AbstractContextManager[object]) -> None:
        """Return when the record is on stable storage; one fdatasync serves all that were appended before it began.

        Nothing is appended inside of `appending`.
        """
        with self._lock:
            if seq < self._forced:
                return
            with appending:
                upto, file = journal.next_seq, journal.file
            if file is not None:
                force_out(file.fileno())
            self._forced = max(self._forced, upto)
