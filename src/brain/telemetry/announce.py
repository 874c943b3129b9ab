"""The events of telemetry, made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from brain.charter import Event
from brain.kit.windows import Window
from brain.telemetry.events import (
    CONNECTED,
    DISCONNECTED,
    GAP,
    LIMIT_CLEARED,
    LIMIT_CROSSED,
    PUBLISHED,
    RECOVERED,
    STALE,
    USAGE,
    ModelUsage,
    ToolUsage,
)
from brain.telemetry.genai import MODEL
from brain.telemetry.pricing import UNIT

if TYPE_CHECKING:
    from brain.telemetry.crossings import Crossing

SHOWN = 100
"""Most names of values in one event."""
LISTED = 20
"""Most models, and most tools, in one event."""


def connected(source: str, connection: str, seq: int, now: float) -> Event:
    """A `telemetry.connection_established`."""
    return CONNECTED.event(
        {"robot_id": source, "connection_id": connection, "connected_at": now, "seq": seq}, target=source
    )


def disconnected(source: str, connection: str, since: float, reason: str, now: float) -> Event:
    """A `telemetry.connection_closed`."""
    return DISCONNECTED.event(
        {
            "robot_id": source,
            "connection_id": connection,
            "duration_seconds": max(0.0, now - since),
            "reason": reason,
            "disconnected_at": now,
        },
        target=source,
    )


def published(source: str, window: Mapping[str, Window], since: float, now: float) -> Event:
    """A `telemetry.metrics_published`."""
    shown = dict(list(window.items())[:SHOWN])
    return PUBLISHED.event(
        {
            "robot_id": source,
            "metrics": {name: found.last for name, found in shown.items()},
            "window": {
                name: {"min": found.least, "max": found.most, "mean": found.mean, "count": found.count}
                for name, found in shown.items()
            },
            "left_out": len(window) - len(shown),
            "window_seconds": max(0.0, now - since),
            "published_at": now,
        },
        target=source,
    )


def stale(source: str, last_seen: float, expected: float) -> Event:
    """A `telemetry.stale`."""
    return STALE.event({"source_id": source, "last_seen": last_seen, "expected_interval": expected}, target=source)


def recovered(source: str, last_seen: float, now: float) -> Event:
    """A `telemetry.recovered`."""
    silent = max(0.0, now - last_seen)
    return RECOVERED.event({"source_id": source, "last_seen": last_seen, "silent_seconds": silent}, target=source)


def gap(source: str, first: int, last: int) -> Event:
    """A `telemetry.gap`."""
    return GAP.event({"source_id": source, "from_seq": first, "to_seq": last, "lost": last - first + 1}, target=source)


def limit(source: str, crossing: Crossing) -> Event:
    """A `telemetry.limit_crossed`, or a `telemetry.limit_cleared`."""
    change, level = crossing.change, crossing.level
    if change.crossed:
        return LIMIT_CROSSED.event(
            {"source_id": source, "name": crossing.value_name, "value": change.value, "limit": level}, target=source
        )
    return LIMIT_CLEARED.event(
        {
            "source_id": source,
            "name": crossing.value_name,
            "value": change.value,
            "limit": level,
            "seconds": change.for_seconds,
        },
        target=source,
    )


def used(agent: str, bucket: int, width: int, rows: Sequence[Any], currency: str) -> Event:
    """A `telemetry.agent_usage` of the rows of one agent in one window."""
    models = sorted((row for row in rows if row.kind == MODEL), key=lambda row: -(row.input_tokens + row.output_tokens))
    tools = sorted((row for row in rows if row.kind != MODEL), key=lambda row: -row.calls)
    return USAGE.event(
        {
            "agent_id": agent,
            "window_started_at": float(bucket),
            "window_seconds": width,
            "input_tokens": sum(row.input_tokens for row in models),
            "output_tokens": sum(row.output_tokens for row in models),
            "cost": cost_of(models),
            "currency": currency,
            "models": [_model(row) for row in models[:LISTED]],
            "tools": [_tool(row) for row in tools[:LISTED]],
        },
        target=agent,
    )


def cost_of(rows: Sequence[Any]) -> float | None:
    """What these calls of models cost, as far as it is known; None when no model of them has a price."""
    if not any(row.calls > row.unpriced for row in rows):
        return None
    return float(sum(row.cost for row in rows) / UNIT)


def _model(row: Any) -> ModelUsage:
    return {
        "model": row.name,
        "provider": row.provider,
        "operation": row.operation,
        "calls": row.calls,
        "errors": row.errors,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cost": cost_of([row]),
        "seconds": row.nanoseconds / 1e9,
    }


def _tool(row: Any) -> ToolUsage:
    return {"tool": row.name, "calls": row.calls, "errors": row.errors, "seconds": row.nanoseconds / 1e9}
