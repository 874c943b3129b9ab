"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.plugins import Component, PluginContext, Routes
from brain.slam.service import SlamService


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Slam on these parts. The database need not answer yet; the extra is asked for by the first map."""
    service = SlamService(context)
    try:
        yield Component(Routes(("/slam",), "brain.slam.http:slam_router", (service,)), service.tasks)
    finally:
        await service.maps.close()
