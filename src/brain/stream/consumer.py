"""A consumer of a group: a handler for its events, how they are delivered to it, and its runs, one after the other."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from brain import limits
from brain.charter import Event
from brain.stream.backends import check_position
from brain.stream.closed import Closed
from brain.stream.group import Group
from brain.stream.lanes import HandlerRun
from brain.stream.tasks import RestartingTask
from brain.stream.threads import HandlerThreads

_LEAST_TIMEOUT = 0.001  # seconds

Handler = Callable[[Event], Awaitable[object] | object]


@dataclass(frozen=True, kw_only=True)
class DeliveryOptions:
    """How a group's events are delivered; all times in seconds."""

    batch: int = 500
    """Events fetched at once."""
    concurrency: int = 1
    """Handlers running at the same time; with 1, events are handled in stream order but for retries.

    For plain handlers it is also the number of threads of the group: one that never returns costs one of them."""
    key: Callable[[Event], Hashable] | None = None
    """Events of one key are handled in order, retries included, whatever the concurrency, within one member.

    Members of a group share its events without regard to keys: order over all of them needs a group with one member.
    An event whose key cannot be had (the function raises, its value is not hashable) has failed that attempt."""
    max_attempts: int = 5
    """Attempts, the first delivery counted, before an event becomes a dead letter."""
    retry_delay: float = 0.1
    """Delay before the second attempt; it doubles with every further one, and is jittered."""
    max_retry_delay: float = 30.0
    timeout: float = 30.0
    """A handler running longer is cancelled, and that attempt has failed.

    A plain handler cannot be stopped: its thread runs on, and the next attempt waits until it has returned. An async
    one that does not end within `grace` (or `timeout`, if that is less) is left to itself in the same way."""
    grace: float = 5.0
    """How long a shutdown waits for running handlers."""
    start: str = "first"
    """Where a new group begins: `first` (everything kept), `now`, or a position."""

    def __post_init__(self) -> None:
        """Raises InvalidInput."""
        for name in ("batch", "concurrency", "max_attempts"):
            limits.check_count(name, getattr(self, name))
        for name in ("retry_delay", "max_retry_delay", "grace"):
            limits.check_seconds(name, getattr(self, name))
        limits.check_seconds("timeout", self.timeout, least=_LEAST_TIMEOUT)
        if self.start not in ("first", "now"):
            check_position(self.start)


class Consumer:
    """Runs `handler` for the events of a group that match the pattern, at least once each.

    Whatever the handler raises is a failed attempt of its event, SystemExit and a stray CancelledError included; only
    KeyboardInterrupt in an async handler goes through, since that is how Python hands on Ctrl-C.
    """

    def __init__(self, group: Group, handler: Handler, how: DeliveryOptions) -> None:
        self.group = group
        self._how = how
        self.handler = handler
        self.is_async: bool = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004  (an object with an async __call__)
        )
        self.delivered: int = 0
        self.failed: int = 0
        self.hanging: dict[str, asyncio.Future[Any]] = {}
        """What still runs over its time, by the position of its event; done when it has ended."""
        self._threads: HandlerThreads | None = None
        self.task: RestartingTask = RestartingTask(f"group {group.name}", self.run, group.stream.is_closed)

    async def run(self) -> None:
        """Consume until cancelled, or closed; a lost lease, a lost group and an absent backend are got over."""
        with suppress(Closed):
            while True:
                await HandlerRun(self, self._how).run()

    def troubles(self) -> list[str]:
        """What keeps this group from working as it should, a sentence each."""
        found = []
        if (ended := self.task.trouble()) != "":
            found.append(ended)
        hanging = len(self.hanging)
        if hanging >= self._how.concurrency:
            limit = f"{self._how.timeout:g} s"
            found.append(f"group {self.group.name}: {hanging} handlers run on over their time of {limit}")
        return found

    @property
    def timeout(self) -> float:
        """Seconds that its handler may take for one event."""
        return self._how.timeout

    @property
    def threads(self) -> HandlerThreads:
        """The threads of this group's plain handlers, for the running loop."""
        if self._threads is None or self._threads.loop is not asyncio.get_running_loop():
            self.close()
            self._threads = HandlerThreads(self.group.name, self._how.concurrency)
        return self._threads

    def forked(self) -> None:
        """In a forked child: threads, running handlers and counts are the parent's."""
        self.delivered = self.failed = 0
        self.hanging = {}
        self._threads = None
        self.group.forked()

    def close(self) -> None:
        """Let the threads end, each when its handler has returned; nobody waits for them."""
        if self._threads is not None:
            self._threads.close()
            self._threads = None

    def hangs(self, position: str, ended: asyncio.Future[Any]) -> None:
        """Note that the handler of the event at `position` runs on; the event is not handled again before it ends."""

        def forget(_: object) -> None:
            if self.hanging.get(position) is ended:
                del self.hanging[position]

        self.hanging[position] = ended
        ended.add_done_callback(forget)
