"""The tasks of the threats plug-in: the detections, and a regular look at the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from brain.errors import BrainError
from brain.logs import Log
from brain.plugins import Component, PluginContext, Routes
from brain.threats.detections import FORMER_GROUP, GROUP, DenialDetection
from brain.threats.service import ThreatService

log: Log = Log("brain.threats")

LOOK_SECONDS = 0.5


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Threats on a server's stream and store, detections included."""
    service = ThreatService(context.stream, context.store)
    context.stream.plugin_consumer(GROUP, "policy.action_denied", DenialDetection(service).handle, former=FORMER_GROUP)
    yield Component(
        Routes(("/threats",), "brain.threats.http:threats_router", (service, context.stream)),
        tasks=(partial(refresh_regularly, service),),
    )


async def refresh_regularly(service: ThreatService) -> None:
    """Look at the store every LOOK_SECONDS, until cancelled, so that lost threats are restored without a request."""
    while True:
        try:
            await service.refresh()
        except BrainError as error:
            log.warning("store not checked for lost threats, trying again", error=str(error))
        await asyncio.sleep(LOOK_SECONDS)
