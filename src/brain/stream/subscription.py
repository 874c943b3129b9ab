"""`async for event in stream.subscribe(pattern, group=...)`: a group consumed by a loop instead of a handler."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from brain.charter import Event, Pattern
from brain.errors import EnvelopeError, Unavailable
from brain.logs import Log
from brain.stream.backends import Fenced, Held, NoGroup
from brain.stream.member import Member

if TYPE_CHECKING:
    from brain.stream.stream import EventStream

log = Log("brain.subscription")

_BATCH = 200
_FLUSH_AFTER = 0.1


async def consume(
    stream: EventStream, group: str, pattern: Pattern, start: str, max_attempts: int
) -> AsyncGenerator[Event, None]:
    """Memberships of the group, one after the other should a lease or the group be lost."""
    delay = 0.0
    memberships: list[str] = []  # begun, and not known to have been given back
    while True:
        membership = _Membership(stream, group, pattern, max_attempts, memberships)
        try:
            await membership.join(start)
            async for event in membership.events():
                delay = 0.0
                yield event
        except (Fenced, NoGroup) as error:
            log.warning("joining the group anew", group=group, error=str(error))
        except Unavailable as error:
            delay = min(2.0, max(0.05, delay * 2))
            stream.outage.met(f"reading as group {group}", error)
            await asyncio.sleep(delay)
        finally:
            await membership.leave()


class _Membership:
    def __init__(
        self, stream: EventStream, group: str, pattern: Pattern, max_attempts: int, memberships: list[str]
    ) -> None:
        self._stream = stream
        self._group = group
        self._pattern = pattern
        self._max_attempts = max_attempts
        self._memberships = memberships
        self._member = Member(stream.backend, group, stream.lease)
        self._suspects: deque[Held] = deque()
        self._done: list[str] = []
        self._flushed_at = time.monotonic()
        self._beating: asyncio.Task[None] | None = None
        self._joined = False
        self._bell: asyncio.Event | None = None

    async def join(self, start: str) -> None:
        former = tuple(self._memberships)
        self._memberships.append(self._member.name)
        held = await self._stream.call(self._member.join, str(self._pattern), start, former)
        self._joined = True
        del self._memberships[:-1]
        self._suspects.extend(held)
        self._beating = asyncio.create_task(self._keep())

    async def events(self) -> AsyncGenerator[Event, None]:
        backend = self._stream.backend
        with self._stream.bell.listen() as bell:
            self._bell = bell
            while True:
                bell.clear()
                self._check_lease()
                while self._suspects:
                    event = await self._suspect(self._suspects.popleft())
                    if event is not None:
                        yield event[1]
                        self._done.append(event[0])
                    await self._flush()
                entries = await self._stream.call(backend.fetch, self._group, self._member.name, _BATCH)
                for position, data in entries:
                    event = await self._decoded(position, data, 1)
                    if event is not None and self._pattern.matches(event[1].type):
                        yield event[1]
                        self._check_lease()
                    if event is not None:
                        self._done.append(position)
                    if time.monotonic() - self._flushed_at > _FLUSH_AFTER:
                        await self._flush()
                await self._flush()
                if not entries and not self._suspects:
                    await self._stream.rung(bell)

    async def _suspect(self, held: Held) -> tuple[str, Event] | None:
        """An event that another consumer held when it went: its attempts are counted before it is handed out."""
        attempts = await self._stream.call(self._stream.backend.count_attempt, self._group, held.position)
        if attempts > self._max_attempts:
            error = "every attempt ended with the consumer gone"
            await self._stream.call(self._member.bury, held.position, held.data, error, attempts - 1)
            return None
        found = await self._decoded(held.position, held.data, attempts)
        if found is not None and not self._pattern.matches(found[1].type):
            self._done.append(held.position)
            return None
        return found

    async def _decoded(self, position: str, data: bytes, attempts: int) -> tuple[str, Event] | None:
        try:
            return position, Event.decode(data)
        except EnvelopeError as error:
            await self._stream.call(self._member.bury, position, data, f"not an event: {error}", attempts)
            return None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._stream.lease / 3)
            self._suspects.extend(await self._stream.call(self._member.beat))
            if self._suspects and self._bell is not None:
                self._bell.set()

    def _check_lease(self) -> None:
        if self._beating is not None and self._beating.done():
            self._beating.result()

    async def _flush(self) -> None:
        self._flushed_at = time.monotonic()
        done, self._done = self._done, []
        if done:
            await self._stream.call(self._stream.backend.ack, self._group, self._member.name, done)

    async def leave(self) -> None:
        """Acknowledge what is done and give back the rest, at once."""
        if self._beating is not None:
            self._beating.cancel()
        if not self._joined:
            return
        try:
            await self._flush()
            await self._stream.call(self._member.leave)
            self._memberships.clear()
        except (Fenced, NoGroup, Unavailable, RuntimeError) as error:
            log.warning("left without a word, others will take over", group=self._group, error=str(error))
