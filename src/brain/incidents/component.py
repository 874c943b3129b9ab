"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.incidents.service import IncidentService
from brain.incidents.settings import IncidentSettings
from brain.incidents.tasks import IncidentTasks
from brain.incidents.webhooks import TicketWebhooks
from brain.kit.protocols import AuditProofs
from brain.logs import Log
from brain.plugins import Component, PluginContext, Routes

log: Log = Log("brain.incidents")


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Incident automation on these parts."""
    settings = context.table(IncidentSettings)
    proofs = context.find(AuditProofs)
    if proofs is None:
        log.warning("incidents show decisions without audit proofs: no installed plug-in provides AuditProofs")
    async with IncidentTasks.open(context) as tasks:
        service = IncidentService(context.database, settings, proofs=proofs)
        webhooks = TicketWebhooks(context.database, settings, tasks.systems, time.time)
        yield Component(
            Routes(("/incidents",), "brain.incidents.http:incidents_router", (service, webhooks)),
            tasks.loops,
            tasks.metrics,
        )
