"""A projection on a stream and a database, in the process of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa

from brain import EventStream
from brain.kit.projection import Projection
from brain.plugins import PluginContext
from brain.settings import Settings
from brain.store import open_store


def projection_on(
    stream: EventStream,
    engine: sa.Engine,
    group: str,
    apply: Any,
    batch: int = 1000,
    batches_behind: int = 1,
    **options: Any,
) -> Projection:
    """One that is not run yet."""
    context = PluginContext(stream, open_store("memory://"), engine, Settings(stream="memory://"))
    projection = Projection(context, group, apply, **options)
    projection.batch = projection._limit = batch
    projection.batches_behind = batches_behind
    return projection


@asynccontextmanager
async def projecting(
    stream: EventStream, engine: sa.Engine, group: str, apply: Any, **options: Any
) -> AsyncIterator[Projection]:
    """One that runs inside the block, and to its end."""
    projection = projection_on(stream, engine, group, apply, **options)
    task = asyncio.create_task(projection.run())
    try:
        yield projection
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled(), task.exception()
