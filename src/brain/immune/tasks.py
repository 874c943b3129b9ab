"""The immune plug-in opened: healing, as a consumer of its own critical events, and what is derived."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.immune.fleet import Fleet
from brain.immune.healing import FORMER_GROUP, GROUP, Healing
from brain.immune.service import ImmuneService
from brain.immune.vitals import Vitals
from brain.plugins import Component, PluginContext, Routes


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Health on a server's stream and store, healing and what is derived included."""
    service = ImmuneService(context.stream, context.store, fleet=Fleet(context).state)
    context.stream.plugin_consumer(
        GROUP, "immune.critical_event", Healing(service, context.store).handle, former=FORMER_GROUP
    )
    vitals = Vitals(context)
    yield Component(
        Routes(("/immune",), "brain.immune.http:immune_router", (service, vitals)),
        vitals.loops,
        checks={"immune": vitals.check},
    )
