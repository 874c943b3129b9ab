"""The plug-in opened: its links, its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.plugins import Component, PluginContext, Routes
from brain.ros2_bridge.service import Ros2Service


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The bridge on these parts. Without the extra its links are down, and commands are answered with the pip line."""
    async with Ros2Service.open(context) as service:
        yield Component(Routes(("/ros2",), "brain.ros2_bridge.http:ros2_router", (service,)), service.tasks)
