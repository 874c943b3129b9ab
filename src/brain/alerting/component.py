"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.alerting.configuration import configuration
from brain.alerting.service import AlertService
from brain.alerting.settings import AlertingSettings
from brain.alerting.tasks import AlertingTasks
from brain.plugins import Component, PluginContext, Routes


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The plug-in alerting on these parts."""
    config = configuration(context.table(AlertingSettings))
    async with AlertingTasks.open(context, config) as tasks:
        service = AlertService(context.database, config)
        yield Component(
            Routes(
                ("/alerts", "/notifiers", "/silences"), "brain.alerting.http:alerting_router", (service, context.stream)
            ),
            tasks.tasks,
            tasks.metrics,
        )
