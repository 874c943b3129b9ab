"""The parts that a command needs to find something and report it at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

from brain.detections.reports import Reporter
from brain.detections.tables import CONSUMER, make_tables
from brain.kit.context import plugin_context
from brain.kit.database import OUTAGE
from brain.kit.outbox import ship_waiting
from brain.logs import Log
from brain.plugins import PluginContext
from brain.settings import CoreSettings
from brain.store import open_store
from brain.stream import EventStream

log: Log = Log("brain.detections")


@asynccontextmanager
async def writing_context(settings: CoreSettings) -> AsyncIterator[tuple[PluginContext, Callable[[], Awaitable[None]]]]:
    """The context, and what reports the hits that wait; what cannot be reported now is left to the server."""
    async with EventStream.open(settings.stream) as stream:
        with closing(open_store(settings.store_url)) as store, plugin_context(stream, store, settings) as context:
            make_tables(context.database)
            reporter = Reporter(context)

            async def report() -> None:
                await ship_waiting(context.database, CONSUMER, stream)
                try:
                    await reporter.report_all(grown=True)
                except OUTAGE as error:
                    log.warning("hits wait for the server", error=str(error))

            yield context, report
