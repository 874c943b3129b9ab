"""The service for a command or a program of one's own: on the stream, the store and the database of the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from brain.kit.context import plugin_context
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import send_waiting
from brain.kit.protocols import EffectGuard
from brain.missions.plugin import PLUGIN
from brain.missions.service import MissionService
from brain.missions.settings import MissionSettings
from brain.missions.tables import make_tables
from brain.settings import CoreSettings
from brain.store import open_store
from brain.stream import EventStream


@asynccontextmanager
async def opened_service(settings: CoreSettings) -> AsyncIterator[MissionService]:
    """The service inside the block; at its end the events and reports of what was changed are sent.

    Raises Unavailable when stream, store or database do not answer.
    """
    async with EventStream.open(settings.stream) as stream:
        with closing(open_store(settings.store_url)) as store, plugin_context(stream, store, settings) as context:
            await for_tasks(context.database, make_tables, context.database)
            guard = context.find(EffectGuard)
            try:
                yield MissionService(context.database, context.table(MissionSettings), guard=guard)
            finally:
                if guard is not None:
                    await guard.close()
                await send_waiting(context, PLUGIN.name)
