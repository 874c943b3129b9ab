"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.detections.settings import DetectionSettings
from brain.detections.tasks import DetectionTasks, load_configured
from brain.kit.database_threads import for_tasks
from brain.plugins import Component, PluginContext, Routes


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Detections on these parts. Raises InvalidInput for rules that cannot be loaded."""
    loaded = await for_tasks(context.database, load_configured, context.table(DetectionSettings))
    tasks = DetectionTasks(context, loaded)
    await tasks.prepare()
    yield Component(
        Routes(("/detections",), "brain.detections.http:detections_router", (loaded, context.database)),
        tasks.loops,
        tasks.metrics,
        {"detections": tasks.check},
    )
