"""One consumer's membership of a group: its lease, and taking over what the dead left behind.

A lease is a counter that its holder counts up (`beat`). Others watch the counters by their own monotonic clock, and
expel a member whose counter stood still for the lease's length; from then on the backend refuses (Fenced) whatever the
expelled one says. So no wall clock, ours or the server's, can end a lease early or keep a dead one alive.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence

from brain.logs import Log
from brain.stream.backends import Backend, DeadLetter, Held

log = Log("brain.group")


class Member:
    """Synchronous: called through the stream's executor."""

    def __init__(
        self, backend: Backend, group: str, lease: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
        self.group = group
        self._backend = backend
        self._lease = lease
        self._monotonic = monotonic
        self._seen: dict[str, tuple[int, float]] = {}

    def join(self, pattern: str, start: str, former: Sequence[str] = ()) -> list[Held]:
        """Make the group if there is none, join it, and take what nobody holds.

        `former` are memberships of ours that could not be given back: what they held is taken too, and so comes first.
        """
        self._backend.create_group(self.group, pattern, start)
        self._backend.join(self.group, self.name)
        for name in former:
            self._backend.expel(self.group, name)
        return self._backend.take_over(self.group, self.name)

    def beat(self) -> list[Held]:
        """Renew the lease, expel who has not, and take over what they held. Raises Fenced when the lease is lost."""
        now = self._monotonic()
        beats = self._backend.beat(self.group, self.name)
        for other, beat in beats.items():
            known = self._seen.get(other)
            if known is None or known[0] != beat:
                self._seen[other] = (beat, now)
            elif other != self.name and now - known[1] >= self._lease:
                log.warning("consumer gone, taking over", group=self.group, consumer=other)
                self._backend.expel(self.group, other, beat)
                del self._seen[other]
        for gone in self._seen.keys() - beats.keys():
            del self._seen[gone]
        return self._backend.take_over(self.group, self.name)

    def bury(self, position: str, data: bytes, error: str, attempts: int, history: tuple[str, ...] = ()) -> None:
        """Make a held event a dead letter of the group. Raises Fenced."""
        letter = DeadLetter(
            group=self.group,
            position=position,
            data=data,
            error=error,
            attempts=attempts,
            history=history,
            buried_at=time.time(),
        )
        self._backend.bury(letter, self.name)
        log.error("event became a dead letter", group=self.group, position=position, error=error)

    def leave(self) -> None:
        """Give the lease back; what is still held goes to the others at once."""
        self._backend.expel(self.group, self.name)
