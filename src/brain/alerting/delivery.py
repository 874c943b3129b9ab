"""Delivery: makes pages of the rows of the outbox, and sends them through their notifiers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from brain.alerting.configuration import AlertingConfiguration
from brain.alerting.obsolete import why_obsolete
from brain.alerting.pages import STEPS, decisions, links, prove, related_events, timeline
from brain.alerting.recipients import page_id
from brain.charter import Severity
from brain.connectors.notifiers import open_notifier
from brain.connectors.pages import PAGING, Page, PageAction
from brain.connectors.sender import Sender
from brain.errors import BrainError, Unavailable
from brain.kit.database import reading
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import OutboxRow
from brain.kit.protocols import AuditProofs
from brain.logs import Log
from brain.plugins import PluginContext

log: Log = Log("brain.alerting")

_FRESH = 30.0  # seconds within which the audit log has not read every event yet
_MOST_CORRELATION_IDS = 3
SKIPPED = "skipped"
"""The key of an answer that says why nothing was sent."""


class PageDelivery:
    """Sends rows of the outbox as pages; `clock` gives Unix seconds."""

    def __init__(
        self, context: PluginContext, configuration: AlertingConfiguration, sender: Sender, clock: Callable[[], float]
    ) -> None:
        self.without_events: int = 0
        """Pages sent without their events, because these could not be read in time."""
        self._context = context
        self._proofs = context.find(AuditProofs)
        self._configuration = configuration
        self._sender = sender
        self._clock = clock

    async def deliver(self, row: OutboxRow) -> Mapping[str, Any]:
        """Send one row. Raises as a Dispatcher expects."""
        settings = self._configuration.notifiers.get(row.channel)
        if settings is None:
            raise Unavailable(f"notifier {row.channel!r} is gone from alerting.notifiers; its pages wait: add it again")
        action = PageAction(row.body["action"])
        if (why := await for_tasks(self._context.database, self._why_obsolete, row)) is not None:
            return {SKIPPED: why}
        page = await self._page(row, action)
        return await open_notifier(settings, self._sender, self._clock).send(page)

    def _why_obsolete(self, row: OutboxRow) -> str | None:
        with reading(self._context.database).begin() as db:
            return why_obsolete(db, row, self._configuration, self._clock())

    async def _page(self, row: OutboxRow, action: PageAction) -> Page:
        body = row.body
        page = Page(
            id=page_id(row),
            action=action,
            dedup_key=body["dedup_key"],
            severity=Severity(body["severity"]),
            summary=body["summary"],
            at=body["at"],
            route=body["route"],
            labels=body["labels"],
            alerts=body["alerts"],
            alerts_total=body["alerts_total"],
            only=body.get("only", ()),
            held_back=body.get("held_back", ()),
            held_back_total=body.get("held_back_total", 0),
            links=links(self._configuration.public_url, body["alerts"]),
        )
        if action not in PAGING or not page.alerts:
            return page
        try:
            async with asyncio.timeout(self._configuration.send_timeout / 4):
                return await self._with_events(page)
        except (BrainError, TimeoutError) as error:
            self.without_events += 1
            log.warning(
                "a page goes out without its events, which could not be read",
                page=page.id,
                error=str(error),
                total=self.without_events,
            )
            return page

    async def _with_events(self, page: Page) -> Page:
        """The page with the decisions behind its alerts, their proofs, and the timeline."""
        ids = list(dict.fromkeys(alert["correlation_id"] for alert in page.alerts))[:_MOST_CORRELATION_IDS]
        since = min(alert["first_at"] for alert in page.alerts)
        stream = self._context.stream
        events = [event for id in ids for event in await stream.call_reader(related_events, stream, id, since)]
        found = decisions(events)
        proven = await self._prove(found)
        return replace(
            page,
            decisions=[{**decision, "proof": proven[decision["event_id"]]} for decision in found],
            timeline=timeline(sorted(events, key=lambda event: event.timestamp))[-STEPS:],
        )

    async def _prove(self, found: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any] | None]:
        """The decisions' proofs. It waits a little for a fresh decision, until the audit log has read its event."""
        ids = [decision["event_id"] for decision in found]
        fresh = any(decision["at"] > self._clock() - _FRESH for decision in found)
        end = time.monotonic() + self._configuration.send_timeout / 20
        while True:
            proven = await for_tasks(self._context.database, prove, self._proofs, ids)
            if None not in proven.values() or self._proofs is None or not fresh or time.monotonic() > end:
                return proven
            await asyncio.sleep(0.1)
