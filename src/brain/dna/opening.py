"""The services of the plug-in for a command, on the parts that the options and settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from brain.dna.models import CONSUMER
from brain.dna.promotion import RolloutService
from brain.dna.service import GenomeService
from brain.dna.settings import DnaSettings
from brain.dna.studies import StudyService
from brain.dna.tables import make_tables
from brain.kit.context import database_context, plugin_context
from brain.kit.database import database_url
from brain.kit.outbox import send_waiting
from brain.kit.protocols import EffectGuard
from brain.plugins import PluginContext
from brain.settings import CoreSettings
from brain.store import open_store
from brain.store.ours import check_exists
from brain.stream import EventStream


@dataclass(frozen=True)
class Services:
    """The services over one database."""

    genomes: GenomeService
    studies: StudyService
    rollouts: RolloutService


@asynccontextmanager
async def reading_services(settings: CoreSettings) -> AsyncIterator[Services]:
    """Services for looking: the stream is not opened. Raises InvalidInput where there is no database."""
    check_exists(database_url(settings))
    with database_context(settings) as context:
        make_tables(context.database)
        yield _services(context, None)


@asynccontextmanager
async def writing_services(settings: CoreSettings) -> AsyncIterator[Services]:
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
                await send_waiting(context, CONSUMER)


def _services(context: PluginContext, guard: EffectGuard | None) -> Services:
    database = context.database
    return Services(
        GenomeService(database), StudyService(database, context.table(DnaSettings)), RolloutService(database, guard)
    )
