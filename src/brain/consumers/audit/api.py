"""The consumer opened: its work, which is appending, and deleting what is old; and its routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.consumers import Consumer, House
from brain.consumers.audit.custody import Custody
from brain.consumers.audit.events import PAYLOADS_DELETED
from brain.consumers.audit.log import AuditLog
from brain.consumers.audit.retention import DAY, prune
from brain.consumers.audit.routes import audit_router
from brain.consumers.database import OUTAGE
from brain.consumers.projection import Projection
from brain.logs import Log
from brain.stream.publisher import emit

log = Log("brain.audit")

GROUP = "audit"
_RETRY = 1.0  # seconds


@asynccontextmanager
async def open_consumer(house: House) -> AsyncIterator[Consumer]:
    """The consumer on these parts. The database need not answer yet."""
    custody = Custody(house.settings.audit, house.database)

    async def append() -> None:
        audit = await _opened(custody)
        await Projection(house, GROUP, audit.append, committed=audit.committed).run()

    async def delete_old() -> None:
        audit = await _opened(custody)
        while True:
            await _prune(house, custody, audit)
            await asyncio.sleep(custody.settings.prune_every)

    yield Consumer(audit_router(custody), (append, delete_old))


async def _opened(custody: Custody) -> AuditLog:
    """The log, once the database answers."""
    while True:
        try:
            return await asyncio.to_thread(custody.log)
        except OUTAGE as error:
            log.warning("the audit log waits for its database", error=str(error))
            await asyncio.sleep(_RETRY)


async def _prune(house: House, custody: Custody, audit: AuditLog) -> None:
    """Delete what is older than the retention, and say so; after an outage the next round does it."""
    days, now = custody.settings.retention_days, custody.clock()
    try:
        count = await asyncio.to_thread(prune, house.database, audit.sealing, days, now)
    except OUTAGE as error:
        log.warning("old payloads are not deleted", error=str(error))
        return
    if count:
        log.info("deleted old payloads from the audit log", count=count)
        emit(
            house.stream,
            PAYLOADS_DELETED,
            {"count": count, "older_than": now - days * DAY, "retention_days": days},
        )
