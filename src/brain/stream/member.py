"""One consumer's membership of a group: its lease, and taking over what the dead left behind.

A lease is a counter that its holder counts up (`heartbeat`). Others watch the counters by their own monotonic clock,
and expel a member whose counter stood still for the lease's length; from then on the backend refuses (Fenced) whatever
the expelled one says. So no wall clock, ours or the server's, can end a lease early or keep a dead one alive.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence

from brain.logs import Log
from brain.stream.backends import Backend, Held
from brain.stream.dead_letters import DeadLetter

log: Log = Log("brain.group")


class Member:
    """Synchronous: called through the stream's executor."""

    def __init__(
        self, backend: Backend, group: str, lease: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name: str = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
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

    def heartbeat(self) -> list[Held]:
        """Renew the lease, expel who has not, and take over what they held. Raises Fenced when the lease is lost."""
        now = self._monotonic()
        counts = self._backend.heartbeat(self.group, self.name)
        for other, count in counts.items():
            known = self._seen.get(other)
            if known is None or known[0] != count:
                self._seen[other] = (count, now)
            elif other != self.name and now - known[1] >= self._lease:
                log.warning("a consumer is gone; taking over what it held", group=self.group, consumer=other)
                self._backend.expel(self.group, other, count)
                del self._seen[other]
        for gone in self._seen.keys() - counts.keys():
            del self._seen[gone]
        return self._backend.take_over(self.group, self.name)

    def dead_letter(self, position: str, data: bytes, error: str, attempts: int, history: tuple[str, ...] = ()) -> None:
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
        self._backend.dead_letter(letter, self.name)
        log.error("an event became a dead letter", group=self.group, position=position, error=error)

    def leave(self, done: Sequence[str]) -> None:
        """Acknowledge what is done, and give the lease back; what is still held goes to the others at once."""
        if done:
            self._backend.ack(self.group, self.name, done)
        self._backend.expel(self.group, self.name)
