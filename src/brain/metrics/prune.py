"""Pruning: deletes what is older than its retention."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, exists, or_, select

from brain.kit.sql import upsert
from brain.metrics import series, tables
from brain.metrics.projector import kept_since
from brain.metrics.state import HEALTH_WINDOW


def prune(connection: Connection, keep: Mapping[int, float], now: float) -> int:
    """Delete buckets older than the seconds to `keep` of each step, and the rows that only they needed.

    Returns how many points were deleted. They stay deleted: a clock set back, or a longer retention, makes no
    half-empty buckets visible.
    """
    before = kept_since(connection)
    since = {step: max(before.get(step, 0), int((now - seconds) // step) * step) for step, seconds in keep.items()}
    upsert(connection, tables.kept, [{"step": step, "since": at} for step, at in since.items()])
    deleted = 0
    defines = connection.execute(select(exists(select(tables.epochs.c.id)))).scalar_one()
    for step, at in since.items():
        points, buckets = tables.points.c, tables.buckets.c
        deleted += connection.execute(delete(tables.points).where(points.step == step, points.bucket < at)).rowcount
        connection.execute(delete(tables.buckets).where(buckets.step == step, buckets.bucket < at))
        if defines:
            defined = tables.defined.c
            deleted += connection.execute(
                delete(tables.defined).where(defined.step == step, defined.bucket < at)
            ).rowcount
    _, minute, hour = series.STEPS
    connection.execute(delete(tables.health).where(tables.health.c.at < since[minute] - HEALTH_WINDOW))
    if defines:
        _forget_epochs(connection, since[hour])
    threats = tables.threats.c
    ended = or_(threats.closed_at.is_not(None), threats.detected_at.is_(None))
    connection.execute(delete(tables.threats).where(ended, threats.updated_at < since[hour]))
    return deleted


def _forget_epochs(connection: Connection, before: float) -> None:
    """Delete former definitions that ended before this time (Unix seconds), with their totals."""
    over = select(tables.epochs.c.id).where(tables.epochs.c.ended_at < before)
    connection.execute(delete(tables.defined).where(tables.defined.c.epoch.in_(over)))
    connection.execute(delete(tables.epochs).where(tables.epochs.c.ended_at < before))
