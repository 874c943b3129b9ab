"""A consumer group in this process, on a stream that a server of another process serves, which gives up on events."""

from __future__ import annotations

import time

from brain.stream.backends import Entry, open_backend
from brain.stream.dead_letters import DeadLetter

MEMBER = "tests"


class Letters:
    """The group's one member, inside a `with` block."""

    def __init__(self, stream: str, group: str, pattern: str) -> None:
        self._backend = open_backend(stream)
        self._group = group
        self._pattern = pattern

    def __enter__(self) -> Letters:
        self._backend.create_group(self._group, self._pattern, "")
        self._backend.join(self._group, MEMBER)
        return self

    def __exit__(self, *_: object) -> None:
        self._backend.close()

    def fetch(self, limit: int) -> list[Entry]:
        """The next events of the group; it hands out all types, as backends do not know patterns."""
        return self._backend.fetch(self._group, MEMBER, limit)

    def dead_letter(self, count: int, error: str, about: str = "") -> None:
        """Give up on the next `count` events of the group's type that hold the text `about`, and ack the others."""
        wanted = f'"type":"{self._pattern}"'.encode()
        while count:
            for entry in self.fetch(100):
                if count and wanted in entry.data and about.encode() in entry.data:
                    count -= 1
                    self._dead_letter(entry, error)
                else:
                    self._backend.ack(self._group, MEMBER, [entry.position])

    def _dead_letter(self, entry: Entry, error: str) -> None:
        now = time.time()
        history = tuple(f"{now - age:.3f} {error}" for age in (3, 2, 1))
        letter = DeadLetter(
            group=self._group,
            position=entry.position,
            data=entry.data,
            error=error,
            attempts=3,
            history=history,
            buried_at=now,
        )
        self._backend.dead_letter(letter, MEMBER)
