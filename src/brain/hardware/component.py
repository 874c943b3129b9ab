"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.hardware.host import HostSensors
from brain.hardware.settings import HardwareSettings
from brain.hardware.tasks import HardwareTasks
from brain.plugins import Component, PluginContext, Routes


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Hardware on these parts."""
    settings = context.table(HardwareSettings)
    sensors = HostSensors(settings.paths, smart=settings.smart)
    async with HardwareTasks.open(context, HostSensors(settings.paths, smart=settings.smart)) as tasks:
        yield Component(
            Routes(
                ("/hardware",),
                "brain.hardware.http:hardware_router",
                (tasks.service, sensors),
            ),
            tasks.loops,
            tasks.metrics,
            {"hardware": tasks.check},
        )
