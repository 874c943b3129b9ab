"""The audit log and the metrics on a stream, in the process of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import sqlalchemy as sa

from brain import EventStream
from brain.kit import positions
from brain.kit.context import open_plugin, plugin_context
from brain.kit.database import create_tables, reading
from brain.plugins import PluginContext, plugins
from brain.settings import Settings
from brain.store import open_store
from brain.stream.backends import Backend, position_key
from support.metrics_traffic import Traffic
from support.waiting import until


def settings_in(folder: Path, database: str = "") -> Settings:
    """As in a folder without a settings file."""
    return Settings(
        stream=f"sqlite:///{folder}/brain.db", database=database or f"sqlite:///{folder}/brain-consumers.db"
    )


@asynccontextmanager
async def consuming(settings: Settings) -> AsyncIterator[PluginContext]:
    """The stream, with audit log and metrics on it, in this process."""
    store = open_store("memory://")
    async with EventStream.open(settings.stream) as stream, AsyncExitStack() as opened:
        context = opened.enter_context(plugin_context(stream, store, settings))
        tasks = []
        for name in ("audit", "metrics"):
            component = await opened.enter_async_context(open_plugin(plugins()[name], context))
            tasks += [asyncio.create_task(task()) for task in component.tasks]
        try:
            yield context
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def publish(stream: EventStream, traffic: Traffic, count: int) -> list[str]:
    receipts = [stream.publish(event) for event in traffic.events(count)]
    await receipts[-1]
    assert all(receipt.refused is None for receipt in receipts)
    return [receipt.event_id for receipt in receipts]


async def caught_up(database: sa.Engine, backend: Backend) -> None:
    create_tables(database, positions.METADATA)

    def behind() -> bool:
        with reading(database).begin() as db:
            at = db.execute(sa.select(positions.POSITIONS.c.position)).scalars().all()
        tail = backend.tail()
        return len(at) == 2 and all(position_key(one) >= position_key(tail) for one in at)

    await until(behind, 120)
