"""The services of the plug-in for a command, on the parts that the options and settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from brain.dna.models import CONSUMER
from brain.dna.promotion import RolloutService
from brain.dna.reports import Reporter
from brain.dna.service import GenomeService
from brain.dna.settings import DnaSettings
from brain.dna.studies import StudyService
from brain.dna.tables import make_tables
from brain.kit.context import database_context, plugin_context
from brain.kit.database import OUTAGE, database_url
from brain.kit.outbox import ship_waiting
from brain.kit.protocols import EffectGuard
from brain.logs import Log
from brain.plugins import PluginContext
from brain.settings import Settings
from brain.store import open_store
from brain.store.ours import check_exists
from brain.stream import EventStream

log: Log = Log("brain.dna")


@dataclass(frozen=True)
class Services:
    """The services over one database."""

    genomes: GenomeService
    studies: StudyService
    rollouts: RolloutService


@asynccontextmanager
async def reading_services(settings: Settings) -> AsyncIterator[Services]:
    """Services for looking: the stream is not opened. Raises InvalidInput where there is no database."""
    check_exists(database_url(settings))
    with database_context(settings) as context:
        make_tables(context.database)
        yield _services(context, None)


@asynccontextmanager
async def writing_services(settings: Settings) -> AsyncIterator[Services]:
    """Services for changes. What they announce and report goes out at the end, or with the server when it cannot."""
    async with EventStream.open(settings.stream) as stream:
        with closing(open_store(settings.store_url)) as store, plugin_context(stream, store, settings) as context:
            make_tables(context.database)
            guard = context.find(EffectGuard)
            try:
                yield _services(context, guard)
            finally:
                if guard is not None:
                    await guard.close()
                await _send_waiting(context)


async def _send_waiting(context: PluginContext) -> None:
    await ship_waiting(context.database, CONSUMER, context.stream)
    try:
        await Reporter(context).report_all()
    except OUTAGE as error:
        log.warning("reports about genomes wait for the server", error=str(error))


def _services(context: PluginContext, guard: EffectGuard | None) -> Services:
    database = context.database
    return Services(
        GenomeService(database), StudyService(database, context.table(DnaSettings)), RolloutService(database, guard)
    )
