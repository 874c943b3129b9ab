"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.kit.protocols import EffectGuard
from brain.links.prometheus import connector_metrics
from brain.links.service import ConnectorService
from brain.links.tasks import ConnectorTasks
from brain.links.webhooks import WebhookReceiver
from brain.plugins import Component, PluginContext, Routes


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Connectors on these parts."""
    service = ConnectorService(context.database, context.settings)
    async with ConnectorTasks.open(context, service) as tasks:
        guard = context.find(EffectGuard)
        try:
            yield Component(
                Routes(
                    ("/connectors",),
                    "brain.links.http:connectors_router",
                    (service, tasks, WebhookReceiver(service, tasks), guard),
                ),
                tasks.loops,
                lambda: connector_metrics(service, tasks),
            )
        finally:
            if guard is not None:
                await guard.close()
