"""The tasks of the metrics plug-in: count every event, delete old points, and send by OTLP if set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Engine

from brain.extras import needs
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.kit.projection import Projection
from brain.logs import Log
from brain.metrics.http import metrics_router
from brain.metrics.plugin import PLUGIN
from brain.metrics.projector import apply
from brain.metrics.prometheus import stored_metrics
from brain.metrics.prune import prune
from brain.metrics.schema import make_tables
from brain.metrics.settings import MetricsSettings
from brain.metrics.time_range import keep_seconds
from brain.plugins import Component, PluginContext
from brain.store.deletion_clock import deletion_clock

log: Log = Log("brain.metrics")

GROUP = PLUGIN.group
RETRY, PRUNE_EVERY = 1.0, 60.0
"""Seconds."""


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Metrics on these parts. The database need not answer yet.

    Raises MissingExtra when metrics are to be sent by OTLP and its extra is not installed.
    """
    engine, settings = context.database, context.table(MetricsSettings)
    tasks: list[Callable[[], Coroutine[Any, Any, None]]] = [
        lambda: count(context),
        lambda: prune_regularly(engine, settings, clock=deletion_clock(context.store)),
    ]
    if settings.otlp_endpoint:
        with needs("metrics.otlp_endpoint", "otlp"):
            from brain.metrics import otlp
        tasks.append(lambda: otlp.export(context))
    yield Component(metrics_router(engine, settings), tasks, lambda: stored_metrics(engine, settings, time.time))


async def count(context: PluginContext) -> None:
    """Count every event of the stream, until cancelled; an outage of the database is waited for."""
    while True:
        try:
            await for_tasks(context.database, make_tables, context.database)
            break
        except OUTAGE as error:
            log.warning("events not counted yet: the database does not answer", error=str(error))
            await asyncio.sleep(RETRY)
    await Projection(context, GROUP, apply, former="metrics").run()


async def prune_regularly(
    engine: Engine, settings: MetricsSettings, every: float = PRUNE_EVERY, clock: Callable[[], float] = time.time
) -> None:
    """Delete points older than their retention, every `every` seconds, until cancelled."""
    while True:
        try:
            await for_tasks(engine, _prune_once, engine, settings, clock)
        except OUTAGE as error:
            log.warning("old points not deleted, trying again later: the database does not answer", error=str(error))
        await asyncio.sleep(every)


def _prune_once(engine: Engine, settings: MetricsSettings, clock: Callable[[], float]) -> None:
    make_tables(engine)
    now = clock()
    with engine.begin() as connection:
        prune(connection, keep_seconds(settings), now)
