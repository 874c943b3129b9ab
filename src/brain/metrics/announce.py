"""The events of metrics, written in the transaction of what they announce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection

from brain.charter import Event, EventType
from brain.kit.outbox import put_event
from brain.metrics.events import AGGREGATION_COMPLETED, AGGREGATION_FAILED, DEFINITIONS_CHANGED
from brain.metrics.plugin import PLUGIN

CONSUMER = PLUGIN.name
"""The name under which the events wait for the stream."""


def announce(db: Connection, declared: EventType[Any], payload: Mapping[str, Any], now: float) -> Event:
    """Put an event into the outbox, as of `now`."""
    event = declared.event(cast("dict[str, Any]", dict(payload)))
    event = Event(
        id=event.id, type=event.type, source=event.source, timestamp=now, payload=event.payload, meta=event.meta
    )
    put_event(db, CONSUMER, event, now)
    return event


def definitions_changed(
    db: Connection, version: int, source: str, changed: tuple[Sequence[str], Sequence[str]], now: float
) -> None:
    """A `metrics.definitions_changed`."""
    begun, ended = changed
    payload = {
        "version": version,
        "source": source,
        "begun": list(begun),
        "ended": list(ended),
        "changed_at": now,
    }
    announce(db, DEFINITIONS_CHANGED, payload, now)


def job_completed(db: Connection, job: str, metrics: Sequence[str], counts: Mapping[str, Any], now: float) -> None:
    """A `metrics.aggregation_completed`; `counts` has its figures."""
    payload = {"job": job, "metrics": list(metrics), "differences": 0, **counts, "completed_at": now}
    announce(db, AGGREGATION_COMPLETED, payload, now)


def job_failed(db: Connection, job: str, error: tuple[str, str], now: float, behind: int | None = None) -> None:
    """A `metrics.aggregation_failed`; `error` is its type and its words."""
    kind, words = error
    payload = {
        "job": job,
        "error_type": kind,
        "error_message": words[:1000],
        "failed_at": now,
        "events_behind": behind,
    }
    announce(db, AGGREGATION_FAILED, payload, now)
