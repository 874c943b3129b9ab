"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.kit.database_threads import for_tasks
from brain.missions.tables import make_tables
from brain.missions.tasks import MissionTasks
from brain.plugins import Component, PluginContext, Routes


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Missions on these parts."""
    await for_tasks(context.database, make_tables, context.database)
    tasks = MissionTasks(context)
    try:
        yield Component(
            Routes(("/missions", "/tasks", "/agents"), "brain.missions.http:whole_router", (tasks.service,)),
            tasks.loops,
            tasks.metrics,
            end_waits=tasks.service.end_waits,
        )
    finally:
        await tasks.close()
