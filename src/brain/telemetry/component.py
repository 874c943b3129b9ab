"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.plugins import Component, PluginContext, Routes
from brain.telemetry.service import Telemetry
from brain.telemetry.settings import TelemetrySettings


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The plug-in on these parts. The database need not answer yet."""
    settings = context.table(TelemetrySettings)
    telemetry = Telemetry(context)
    yield Component(
        Routes(("/telemetry",), "brain.telemetry.http:telemetry_router", (telemetry, settings.body_bytes)),
        telemetry.tasks,
        telemetry.metrics,
    )
