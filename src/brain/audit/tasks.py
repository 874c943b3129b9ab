"""The tasks of the audit plug-in: append the stream's events to the log, and delete old payloads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from brain.audit.events import PAYLOADS_DELETED, PayloadsDeleted
from brain.audit.open import open_projector
from brain.audit.plugin import PLUGIN
from brain.audit.projector import AuditProjector
from brain.audit.retention import DAY, prune
from brain.audit.seal import Sealing
from brain.audit.settings import AuditSettings
from brain.extras import needs
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.kit.projection import Projection
from brain.logs import Log
from brain.plugins import Component, PluginContext, Routes
from brain.store.deletion_clock import deletion_clock
from brain.stream.publisher import emit

log: Log = Log("brain.audit")

GROUP = PLUGIN.group
_RETRY = 1.0  # seconds


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The audit log on these parts. The database need not answer yet."""
    settings = context.table(AuditSettings)
    yield Component(
        Routes(("/audit",), "brain.audit.http:audit_router", (context.database, settings)),
        (
            lambda: append(context, settings),
            lambda: delete_regularly(context, settings),
            *((lambda: be_witnessed(context, settings),) if settings.witnesses else ()),
        ),
    )


async def append(context: PluginContext, settings: AuditSettings) -> None:
    """Append every event of the stream to the log, until cancelled."""
    projector = await _opened(context, settings)
    await Projection(context, GROUP, projector.apply, committed=projector.committed, former="audit").run()


async def delete_regularly(
    context: PluginContext, settings: AuditSettings, clock: Callable[[], float] | None = None
) -> None:
    """Delete payloads older than the retention, every `prune_every` seconds, until cancelled.

    `clock` gives the Unix time that ages are counted to; without one it is the `deletion_clock`.
    """
    sealing = (await _opened(context, settings)).sealing
    clock = clock or deletion_clock(context.store)
    while True:
        await _delete_old(context, sealing, settings.retention_days, clock)
        await asyncio.sleep(settings.prune_every)


async def be_witnessed(context: PluginContext, settings: AuditSettings) -> None:
    """Have the newest checkpoint signed by the witnesses, every `witness_every` seconds, until cancelled.

    Appending waits for none of them.
    """
    with needs("witnesses of the audit log", "connectors"):
        from brain.audit.witnessing import have_signed

    await _opened(context, settings)
    while True:
        try:
            await have_signed(context.database, settings)
        except OUTAGE as error:
            log.warning("no witness asked, trying again later", error=str(error))
        await asyncio.sleep(settings.witness_every)


async def _opened(context: PluginContext, settings: AuditSettings) -> AuditProjector:
    """The projector, once the database answers."""
    while True:
        try:
            return await for_tasks(context.database, open_projector, context.database, settings)
        except OUTAGE as error:
            log.warning("audit log not opened, trying again", error=str(error))
            await asyncio.sleep(_RETRY)


async def _delete_old(context: PluginContext, sealing: Sealing, days: float, clock: Callable[[], float]) -> None:
    """Delete payloads older than `days`, and publish that; after an outage the next round does it."""
    try:
        now = await for_tasks(context.database, clock)
        count = await for_tasks(context.database, prune, context.database, sealing, days, now)
    except OUTAGE as error:
        log.warning("old payloads not deleted, trying again later", error=str(error))
        return
    if count:
        log.info("deleted old payloads from the audit log", count=count)
        emit(
            context.stream,
            PAYLOADS_DELETED,
            PayloadsDeleted(count=count, older_than=now - days * DAY, retention_days=days),
        )
