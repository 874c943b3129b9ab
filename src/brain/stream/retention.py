"""Retention: the stream is trimmed by age, size and count, and never of what a group has still to read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brain.errors import Unavailable
from brain.logs import Log
from brain.stream.backends import Backend, GroupInfo, position_key
from brain.stream.closed import Closed
from brain.stream.events import RETENTION_BLOCKED, RetentionBlocked
from brain.stream.publisher import emit

if TYPE_CHECKING:
    from brain.stream.stream import EventStream

log: Log = Log("brain.retention")

_STEP = 10_000  # events deleted in one transaction
_ALARM_EVERY = 300.0  # seconds between two alarms about the same group


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Limits of the stream; None for none. What exceeds one goes, oldest first, once every group has read it."""

    max_age: float | None = None
    """Seconds since the event was stored."""
    max_bytes: int | None = None
    """About how many bytes the backend may keep."""
    max_count: int | None = None
    """How many events the backend may keep."""


@dataclass(frozen=True)
class Trimmed:
    """What one pass did: how many events went, and the group that kept more from going."""

    removed: int
    blocked_by: GroupInfo | None = None
    wanted: str = ""


def trim(backend: Backend, retention: Retention, now: float) -> Trimmed:
    """Trim the stream to its limits, as far as every group has read. Raises Unavailable."""
    removed = 0
    while True:
        wanted = _excess(backend, retention, now)
        if not wanted:
            return Trimmed(removed)
        behind = min(backend.groups(), key=lambda group: position_key(group.safe), default=None)
        if behind is not None and position_key(behind.safe) < position_key(wanted):
            gone = backend.trim(min(backend.nth_oldest(_STEP), behind.safe, key=position_key)) if behind.safe else 0
            if not gone:
                return Trimmed(removed, behind, wanted)
        else:
            gone = backend.trim(min(backend.nth_oldest(_STEP), wanted, key=position_key))
            if not gone:
                return Trimmed(removed)
        removed += gone


def _excess(backend: Backend, retention: Retention, now: float) -> str:
    """The position up to which the limits want events gone; "" for none."""
    wanted = ""
    count, size = backend.size()
    surplus = 0
    if retention.max_count is not None:
        surplus = count - retention.max_count
    if retention.max_bytes is not None and size > retention.max_bytes:
        surplus = max(surplus, -(-count * (size - retention.max_bytes) // size))
    if surplus > 0:
        wanted = backend.nth_oldest(min(surplus, _STEP))
    if retention.max_age is not None:
        wanted = max(wanted, backend.position_at(now - retention.max_age), key=position_key)
    oldest = backend.nth_oldest(1)
    return wanted if oldest and position_key(wanted) >= position_key(oldest) else ""


async def keep(
    stream: EventStream, retention: Retention, every: float = 60.0, clock: Callable[[], float] = time.time
) -> None:
    """Trim every so many seconds until cancelled; publish `stream.retention_blocked` when a group stands in the way.

    `clock` gives the Unix time that ages are counted to, and may block; a server gives its `deletion_clock`.
    """
    alarmed: dict[str, float] = {}
    while True:
        try:
            done = await stream.call(_trim_now, stream.backend, retention, clock)
        except Closed:
            return
        except Unavailable as error:
            log.warning("retention waits for the backend", error=str(error))
        else:
            group = done.blocked_by
            if group is not None and time.monotonic() - alarmed.get(group.name, -_ALARM_EVERY) >= _ALARM_EVERY:
                alarmed[group.name] = time.monotonic()
                report_blocked(stream, group, done.wanted)
            if done.removed:
                log.info("the stream was trimmed", removed=done.removed)
        await asyncio.sleep(every)


def _trim_now(backend: Backend, retention: Retention, clock: Callable[[], float]) -> Trimmed:
    return trim(backend, retention, clock())


def report_blocked(stream: EventStream, group: GroupInfo, wanted: str) -> None:
    """Publish the alarm about a group that keeps the stream from being trimmed."""
    emit(
        stream,
        RETENTION_BLOCKED,
        RetentionBlocked(
            group=group.name,
            lag=group.lag,
            pending=group.pending,
            safe=group.safe,
            wanted=wanted,
            remedy=f"start the group's consumer, or remove the group with `brain groups remove {group.name}`",
        ),
    )
