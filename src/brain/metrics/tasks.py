"""The tasks of the metrics plug-in: count every event, delete old points, and send by OTLP if set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Engine

from brain.errors import InvalidInput
from brain.extras import needs
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import EventShipping
from brain.kit.projection import Projection
from brain.logs import Log
from brain.metrics.announce import CONSUMER
from brain.metrics.definition_store import FORMER_GROUP, SETTINGS, Defined, check, define, read_defined
from brain.metrics.plugin import PLUGIN
from brain.metrics.projector import EventCounter
from brain.metrics.prometheus import stored_metrics
from brain.metrics.prune import prune
from brain.metrics.schema import changing_tables, make_tables
from brain.metrics.settings import MetricsSettings
from brain.metrics.time_range import keep_seconds
from brain.metrics.watcher import Watcher
from brain.plugins import Component, PluginContext, Routes
from brain.store.deletion_clock import deletion_clock

log: Log = Log("brain.metrics")

GROUP = PLUGIN.group
RETRY, PRUNE_EVERY = 1.0, 60.0
"""Seconds."""


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Metrics on these parts. The database need not answer yet.

    Raises InvalidInput when brain.toml defines what does not fit together, and MissingExtra when metrics are to be sent
    by OTLP and its extra is not installed.
    """
    engine, settings = context.database, context.table(MetricsSettings)
    if settings.defines():
        check(Defined(sets={SETTINGS: settings.defined()}))
    shipping = EventShipping(engine, CONSUMER, context.stream)
    counter = Projection(context, GROUP, EventCounter().apply, former=FORMER_GROUP)
    watcher = Watcher(engine, lambda: counter.dead)
    tasks: list[Callable[[], Coroutine[Any, Any, None]]] = [
        lambda: count(context, counter, settings),
        lambda: prune_regularly(engine, settings, clock=deletion_clock(context.store)),
        watcher.run,
        shipping.run,
    ]
    if settings.otlp_endpoint:
        with needs("metrics.otlp_endpoint", "otlp"):
            from brain.metrics import otlp
        tasks.append(lambda: otlp.export(context))
    yield Component(
        Routes(("/metrics",), "brain.metrics.http:metrics_router", (engine, settings, time.time)),
        tasks,
        lambda: stored_metrics(engine, settings, time.time),
    )


async def count(context: PluginContext, counter: Projection, settings: MetricsSettings) -> None:
    """Count every event of the stream, until cancelled; an outage of the database is waited for.

    What brain.toml defines counts from then on.
    """
    await _until_it_answers(context.database, lambda: _prepare(context.database, settings))
    await counter.run()


async def _until_it_answers(engine: Engine, work: Callable[[], None]) -> None:
    while True:
        try:
            return await for_tasks(engine, work)
        except OUTAGE as error:
            log.warning("metrics wait: the database does not answer", error=str(error))
            await asyncio.sleep(RETRY)


def _prepare(engine: Engine, settings: MetricsSettings) -> None:
    with changing_tables(engine) as connection:
        if not settings.defines() and SETTINGS not in read_defined(connection).sets:
            return
        try:
            define(connection, SETTINGS, settings.defined(), time.time())
        except InvalidInput as error:  # a person has defined the same by the API meanwhile
            log.error("what brain.toml defines does not count; the definitions stay as they were", error=str(error))


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
