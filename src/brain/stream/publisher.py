"""How modules hand events to whatever stream they were given, without ever being stopped by it."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from brain.charter import Event, EventType
from brain.logs import Log

__all__ = ["Publisher", "emit", "note_failure", "publish_all", "publish_safely"]

log = Log("brain.publisher")

P = TypeVar("P")

PUBLISH_TIMEOUT = 0.05
"""Seconds an async module waits for a foreign stream whose `publish` is a coroutine; our own needs no waiting."""

failures: Counter[str] = Counter()
"""Events by type that modules could not hand over; shown in `/metrics` and `brain doctor`."""

_running: set[asyncio.Task[Any]] = set()


class Publisher(Protocol):
    """Anything with a `publish`: EventStream, RecordingStream, or a double of the user's, plain or async."""

    def publish(self, event: Event, /) -> object:
        """Take the event; may return an awaitable."""


def emit(
    stream: Publisher | None,
    event_type: EventType[P],
    payload: P,
    *,
    target: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Publish an event of `event_type`; whatever goes wrong is logged and counted in `failures`, never raised.

    A stream whose `publish` is a coroutine function is run as a task of the running loop.
    """
    if stream is None:
        return
    try:
        event = event_type.event(payload, target=target, meta=meta)
    except Exception as error:  # noqa: BLE001  (business logic goes on; counted and logged)
        note_failure(event_type.name, error)
        return
    publish_safely(stream, event)


async def publish_all(stream: Publisher | None, events: Sequence[Event]) -> None:
    """Hand over ready events as `emit` does; a coroutine `publish` is given PUBLISH_TIMEOUT, then left running."""
    if stream is None:
        return
    for event in events:
        await _finished(event.type, publish_safely(stream, event))


def publish_safely(stream: Publisher, event: Event) -> asyncio.Task[Any] | None:
    """Hand over a ready event under the same promise; the task that finishes it when `publish` was a coroutine."""
    try:
        result = stream.publish(event)
    except Exception as error:  # noqa: BLE001  (a foreign stream may raise anything; counted and logged)
        note_failure(event.type, error)
        return None
    if not inspect.iscoroutine(result):
        return None
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        result.close()
        note_failure(event.type, "publish is a coroutine, and no event loop runs here to finish it")
        return None
    task = loop.create_task(_finish(event.type, result))
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


async def _finished(event_type: str, task: asyncio.Task[Any] | None) -> None:
    if task is not None:
        _, late = await asyncio.wait({task}, timeout=PUBLISH_TIMEOUT)
        if late:
            note_failure(event_type, f"publish did not finish within {PUBLISH_TIMEOUT} s")


async def _finish(event_type: str, result: Awaitable[object]) -> None:
    try:
        await result
    except Exception as error:  # noqa: BLE001  (as above)
        note_failure(event_type, error)


def note_failure(event_type: str, error: object) -> None:
    """Count and log that an event of this type was not published."""
    failures[event_type] += 1
    log.error("an event was not published", type=event_type, error=str(error), total=failures[event_type])
