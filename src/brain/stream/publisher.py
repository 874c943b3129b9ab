"""How modules hand events to whatever stream they were given, without ever being stopped by it."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from brain.charter import Event, EventType
from brain.errors import InvalidInput
from brain.logs import Log

__all__ = ["Publisher", "check_publisher", "emit", "emit_async", "publish_all", "publish_safely"]

log: Log = Log("brain.publisher")

P = TypeVar("P")

EncodedEvent = tuple[str, str, bytes, bool]
"""Of an event its id, its type, its envelope as JSON, and whether that was looked through for secrets already."""

PUBLISH_TIMEOUT = 0.05
"""Seconds an async module waits for a foreign stream whose `publish` is a coroutine; our own needs no waiting."""

failures: Counter[str] = Counter()
"""Events by type that modules could not hand over; shown in `/metrics` and `brain doctor`."""

_running: set[asyncio.Task[Any]] = set()


class Publisher(Protocol):
    """Anything with a `publish`: EventStream, RecordingStream, or a double of the user's, plain or async."""

    def publish(self, event: Event, /) -> object:
        """Take the event; may return an awaitable."""


def check_publisher(stream: object) -> None:
    """Raises InvalidInput for what nobody can publish to: a URL, or an `EventStream.open(...)` that nobody awaited."""
    if isinstance(stream, str):
        raise InvalidInput(f"event_stream: {stream!r} is a text; give what `EventStream.open` returns")
    if isinstance(stream, Awaitable) and not hasattr(stream, "publish"):
        raise InvalidInput(
            f"event_stream: {type(stream).__name__} has no `publish`; give what `await EventStream.open(...)` or "
            "`EventStream.open_sync(...)` returns"
        )


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
    for event in _made(stream, event_type, payload, target, meta):
        assert stream is not None, "without a stream no event is made"
        publish_safely(stream, event)


async def emit_async(
    stream: Publisher | None,
    event_type: EventType[P],
    payload: P,
    *,
    target: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> None:
    """As `emit`; a coroutine `publish` is given PUBLISH_TIMEOUT to finish, then left running in the background."""
    await publish_all(stream, _made(stream, event_type, payload, target, meta))


async def publish_all(stream: Publisher | None, events: Sequence[Event]) -> None:
    """Hand over ready events, in order, under the promise of `emit_async`."""
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


def _made(
    stream: Publisher | None, event_type: EventType[P], payload: P, target: str | None, meta: Mapping[str, Any] | None
) -> Sequence[Event]:
    """The event, if anybody wants it and it can be made."""
    if stream is None:
        return ()
    try:
        return (event_type.event(payload, target=target, meta=meta),)
    except Exception as error:  # noqa: BLE001  (business logic goes on; counted and logged)
        note_failure(event_type.name, error)
        return ()


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
