"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.playbooks.tasks import PlaybookTasks
from brain.plugins import Component, PluginContext, Routes


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Playbooks on these parts. Raises InvalidInput for playbooks that cannot be loaded."""
    async with PlaybookTasks.open(context) as tasks:
        yield Component(
            Routes(("/playbooks",), "brain.playbooks.http:playbooks_router", (context, tasks)),
            tasks.loops,
            tasks.metrics,
            {"playbooks": tasks.check},
        )
