"""The plug-in opened: its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.access.agents import Agents
from brain.access.people import People
from brain.access.repository import Keys
from brain.access.settings import AccessSettings
from brain.plugins import Component, PluginContext, Routes


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The routes over the keys and agents in the store."""
    keys, agents = Keys(context.store, context.stream), Agents(context.store, context.stream)
    people = People(context.store, context.table(AccessSettings).oidc)
    yield Component(Routes(("/access", "/agents/session"), "brain.access.http:access_routes", (keys, agents, people)))
