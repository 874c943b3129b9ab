"""A group that stands still while events wait is named within a bounded time; one that is slow, idle or away is not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from brain.errors import Unavailable
from brain.server.progress import STILL_SECONDS, Progress
from brain.stream.backends import GroupInfo
from support.clock import Clock

GROUP = GroupInfo(name="soc", pattern="*", read_to="10", safe="10", lag=5, pending=0, dead=0, consumers=1)
TIMEOUT = 30.0


class Watched:
    """A stream with one group, consumed here."""

    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self.group: GroupInfo | None = GROUP
        self.consumer = SimpleNamespace(group=SimpleNamespace(name="soc"), delivered=0, failed=0, timeout=TIMEOUT)
        self.consumers = [self.consumer]
        stream: Any = self
        self.progress = Progress(stream, lambda: {"soc"}, self.clock)

    async def groups(self) -> list[GroupInfo]:
        if self.group is None:
            raise Unavailable("the stream is away")
        return [self.group, replace(GROUP, name="of somebody else")]

    async def after(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        await self.progress.look()
        return self.progress.troubles()


async def test_a_group_that_stands_still_is_named_after_a_bounded_time() -> None:
    watched = Watched()
    assert await watched.after(0) == []
    assert await watched.after(STILL_SECONDS + TIMEOUT) == []
    assert await watched.after(5) == [
        f"group soc: no progress, with 5 events waiting, for {STILL_SECONDS + TIMEOUT + 5:.0f} s; see the log"
    ]
    watched.group = replace(GROUP, safe="11", read_to="11", lag=4)
    assert await watched.after(5) == []


async def test_what_is_handled_or_given_up_is_progress_and_what_is_idle_stands_not_still() -> None:
    watched = Watched()
    for number in range(5):
        watched.consumer.failed = number
        assert await watched.after(STILL_SECONDS) == []
    watched.group = replace(GROUP, lag=0)
    for _ in range(5):
        assert await watched.after(STILL_SECONDS) == []
    watched.group = GROUP
    assert await watched.after(1) == []


async def test_while_the_stream_is_away_no_group_is_blamed() -> None:
    watched = Watched()
    await watched.after(0)
    watched.group = None
    assert await watched.after(1000) == []
    watched.group = GROUP
    assert await watched.after(1) == []
