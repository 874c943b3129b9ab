"""The plug-in opened: its engine and its routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from brain.plugins import Component, PluginContext, Routes
from brain.policy.effects import acquire_engine, release_engine
from brain.policy.prometheus import metrics, readiness
from brain.policy.quick import quick_answers


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The policy routes over rules kept in the store, their events going to the stream."""
    engine = await asyncio.to_thread(acquire_engine, context)
    try:
        yield Component(
            Routes(("/policy",), "brain.policy.http:make_router", (engine, context.stream)),
            quick=quick_answers(engine),
            metrics=partial(metrics, engine),
            checks={"rules": partial(readiness, engine)},
        )
    finally:
        await asyncio.to_thread(release_engine, context)
