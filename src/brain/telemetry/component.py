"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.plugins import Bodies, Component, PluginContext, Routes
from brain.telemetry.requests import JSON, PROTOBUF
from brain.telemetry.service import Telemetry
from brain.telemetry.settings import TelemetrySettings


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The plug-in on these parts. The database need not answer yet."""
    settings = context.table(TelemetrySettings)
    telemetry = Telemetry(context)
    bodies = {"/telemetry/v1/": Bodies((PROTOBUF, JSON), settings.body_bytes)}
    yield Component(
        Routes(("/telemetry",), "brain.telemetry.http:telemetry_router", (telemetry,)),
        telemetry.tasks,
        telemetry.metrics,
        bodies=bodies,
    )
