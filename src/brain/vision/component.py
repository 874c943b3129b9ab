"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.plugins import Component, PluginContext, Routes
from brain.vision.players import Players
from brain.vision.service import VisionService


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Vision on these parts. The database need not answer yet; the extra is asked for by the first picture."""
    service = VisionService(context)
    players = Players(service)
    try:
        yield Component(
            Routes(("/vision",), "brain.vision.http:vision_router", (service,)), (*service.tasks, players.run)
        )
    finally:
        await service.close()
