"""The consumer opened: its work, which is appending, and deleting what is old; and its routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.audit.custody import Custody
from brain.audit.events import PAYLOADS_DELETED
from brain.audit.http import audit_router
from brain.audit.log import AuditLog
from brain.audit.retention import DAY, prune
from brain.audit.settings import AuditSettings
from brain.kit.database import OUTAGE
from brain.kit.projection import Projection
from brain.logs import Log
from brain.plugins import Component, PluginContext
from brain.stream.publisher import emit

log = Log("brain.audit")

GROUP = "brain.audit"
_RETRY = 1.0  # seconds


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The consumer on these parts. The database need not answer yet."""
    custody = Custody(context.table(AuditSettings), context.database)

    async def append() -> None:
        audit = await _opened(custody)
        await Projection(context, GROUP, audit.append, committed=audit.committed, former="audit").run()

    async def delete_old() -> None:
        audit = await _opened(custody)
        while True:
            await _prune(context, custody, audit)
            await asyncio.sleep(custody.settings.prune_every)

    yield Component(audit_router(custody), (append, delete_old))


async def _opened(custody: Custody) -> AuditLog:
    """The log, once the database answers."""
    while True:
        try:
            return await asyncio.to_thread(custody.log)
        except OUTAGE as error:
            log.warning("the audit log waits for its database", error=str(error))
            await asyncio.sleep(_RETRY)


async def _prune(context: PluginContext, custody: Custody, audit: AuditLog) -> None:
    """Delete what is older than the retention, and say so; after an outage the next round does it."""
    days, now = custody.settings.retention_days, custody.clock()
    try:
        count = await asyncio.to_thread(prune, context.database, audit.sealing, days, now)
    except OUTAGE as error:
        log.warning("old payloads are not deleted", error=str(error))
        return
    if count:
        log.info("deleted old payloads from the audit log", count=count)
        emit(
            context.stream,
            PAYLOADS_DELETED,
            {"count": count, "older_than": now - days * DAY, "retention_days": days},
        )
