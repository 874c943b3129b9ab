"""The loops of this consumer: counting, and letting go of what is too old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine

from brain.kit.database import OUTAGE
from brain.kit.projection import Item, Projection
from brain.logs import Log
from brain.metrics.projector import fold
from brain.metrics.prune import prune
from brain.metrics.schema import make_tables
from brain.metrics.settings import MetricsSettings
from brain.metrics.time_range import keep_seconds
from brain.plugins import PluginContext

log = Log("brain.metrics")

GROUP = "brain.metrics"
RETRY, PRUNE_EVERY = 1.0, 60.0
"""Seconds."""


async def count(context: PluginContext) -> None:
    """Count every event of the stream, until cancelled; an outage of the database is waited for."""
    while True:
        try:
            await asyncio.to_thread(make_tables, context.database)
            break
        except OUTAGE as error:
            log.warning("counting waits for the database", error=str(error))
            await asyncio.sleep(RETRY)
    await Projection(context, GROUP, apply, former="metrics").run()


def apply(connection: Connection, items: Sequence[Item]) -> None:
    """Count the items in all tables; bytes that are no event are not counted."""
    fold(connection, [(item.position, item.event) for item in items if item.event is not None])


async def prune_regularly(
    engine: Engine, settings: MetricsSettings, every: float = PRUNE_EVERY, clock: Callable[[], float] = time.time
) -> None:
    """Delete what is older than its retention, every so many seconds, until cancelled."""
    while True:
        try:
            await asyncio.to_thread(_prune_once, engine, settings, clock())
        except OUTAGE as error:
            log.warning("pruning waits for the database", error=str(error))
        await asyncio.sleep(every)


def _prune_once(engine: Engine, settings: MetricsSettings, now: float) -> None:
    make_tables(engine)
    with engine.begin() as connection:
        prune(connection, keep_seconds(settings), now)
