"""Whether the consumer groups of a server make progress: one that stands still while events wait for it is a fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from brain.errors import Unavailable
from brain.stream import EventStream
from brain.stream.backends import GroupInfo

STILL_SECONDS = 60.0
"""How long a group may stand still beside what one handler may take."""
LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class _Seen:
    """Where a group was when it last moved, empty for one that is not there, and when that was (monotonic)."""

    place: tuple[object, ...]
    at: float
    lag: int


def _standing(seen: _Seen) -> str:
    return f"no progress, with {seen.lag} events waiting," if seen.place else "it has not begun"


class Progress:
    """Watches the groups of these names; `groups` is asked at each look."""

    def __init__(
        self,
        stream: EventStream,
        groups: Callable[[], Collection[str]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._groups = groups
        self._monotonic = monotonic
        self._seen: dict[str, _Seen] = {}

    async def watch(self) -> None:
        """Look every LOOK_SECONDS, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """See where the groups are. While the stream does not answer, that is the fault, and no group's."""
        try:
            found = await self._stream.groups()
        except Unavailable:
            self._seen.clear()
            return
        there, now = {group.name: group for group in found}, self._monotonic()
        for name in self._groups():
            group = there.get(name)
            place = (group.read_to, group.safe, group.pending, group.dead, self._handled(group)) if group else ()
            known = self._seen.get(name)
            if known is None or place != known.place or (group is not None and not group.lag):
                self._seen[name] = _Seen(place, now, group.lag if group is not None else 0)

    def troubles(self) -> list[str]:
        """The groups that stand still, a sentence each."""
        now = self._monotonic()
        return [
            f"group {name}: {_standing(seen)} for {now - seen.at:.0f} s; see the log"
            for name, seen in sorted(self._seen.items())
            if (seen.lag or not seen.place) and now - seen.at > STILL_SECONDS + self._longest(name)
        ]

    def _handled(self, group: GroupInfo) -> int:
        return sum(one.delivered + one.failed for one in self._stream.consumers if one.group.name == group.name)

    def _longest(self, name: str) -> float:
        return max((one.timeout for one in self._stream.consumers if one.group.name == name), default=0.0)
