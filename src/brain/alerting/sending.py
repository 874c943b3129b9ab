"""Rows of the outbox made into pages, and sent: what a Dispatcher of this consumer delivers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from brain.alerting.announce import announce_failed, announce_notified
from brain.alerting.configuration import Configuration
from brain.alerting.grouping import PAGES, Action
from brain.alerting.notices import CONSUMER
from brain.alerting.notifiers import say
from brain.alerting.pages import STEPS, Page, decisions, links, proofs, story_of, timeline
from brain.connectors.sender import Refused, Sender
from brain.errors import BrainError, Unavailable
from brain.kit.database import reading
from brain.kit.outbox import OutboxRow, State, outbox
from brain.logs import Log
from brain.plugins import PluginContext

log = Log("brain.soc")

_FRESH = 30.0  # seconds within which the audit log will still come to an event


class Sending:
    """Delivers rows; `clock` gives Unix seconds."""

    def __init__(
        self, context: PluginContext, configuration: Configuration, sender: Sender, clock: Callable[[], float]
    ) -> None:
        self.bare = 0
        """Pages that went out without their story, because it could not be looked up in time."""
        self._context = context
        self._configuration = configuration
        self._sender = sender
        self._clock = clock

    async def deliver(self, row: OutboxRow) -> Mapping[str, Any]:
        """Send one row, and announce that. Raises Refused and Unavailable, as a Dispatcher wants."""
        notifier = self._configuration.notifiers.get(row.channel)
        if notifier is None:
            raise Unavailable(f"there is no notifier {row.channel!r} in the settings any more; put it back, or wait")
        action = Action(row.body["action"])
        if (why := await asyncio.to_thread(self._pointless, row, action)) is not None:
            return {"skipped": why}
        page = await self._page(row, action)
        try:
            answer = await say(notifier, page, self._sender, self._clock)
        except Refused as error:
            announce_failed(self._context.stream, row, str(error))
            raise
        announce_notified(self._context.stream, row)
        return answer

    def _pointless(self, row: OutboxRow, action: Action) -> str | None:
        """Why the row need not be sent: its page was never accepted, or (one that is tried again by hand) is over."""
        mine = sa.and_(outbox.c.consumer == CONSUMER, outbox.c.channel == row.channel, outbox.c.key == row.key)
        settled = outbox.c.state.in_([State.SENT.value, State.REFUSED.value])
        query = sa.select(outbox.c.id, outbox.c.state, outbox.c.body).where(mine, settled).order_by(outbox.c.id.desc())
        with reading(self._context.database).begin() as db:
            for id, state, body in db.execute(query):
                if id > row.id:
                    if action in PAGES and body["action"] == Action.RESOLVE:
                        return "it is over by now"
                    continue
                if action in PAGES:
                    return None
                if body["action"] == Action.RESOLVE:
                    break
                if state == State.SENT and Action(body["action"]) in PAGES:
                    return None
        return None if action in PAGES else "the page that this would end was never accepted"

    async def _page(self, row: OutboxRow, action: Action) -> Page:
        body = row.body
        page = Page(
            id=f"soc {row.dedup} {int(row.created_at)}".replace(" ", "-").replace(".", "-"),
            action=action,
            dedup_key=body["dedup_key"],
            severity=body["severity"],
            summary=body["summary"],
            at=body["at"],
            route=body["route"],
            labels=body["labels"],
            alerts=body["alerts"],
            alerts_total=body["alerts_total"],
            held_back=body.get("held_back", ()),
            held_back_total=body.get("held_back_total", 0),
            links=links(self._configuration.public_url, body["alerts"]),
        )
        if action not in PAGES or not page.alerts:
            return page
        try:
            async with asyncio.timeout(self._configuration.send_timeout / 4):
                return await self._with_story(page)
        except (BrainError, TimeoutError) as error:
            self.bare += 1
            log.warning("a page goes out without its story", page=page.id, error=str(error), total=self.bare)
            return page

    async def _with_story(self, page: Page) -> Page:
        """The page with the decisions behind it, their proofs, and the timeline."""
        stories = list(dict.fromkeys(alert["correlation_id"] for alert in page.alerts))[:3]
        since = min(alert["first_at"] for alert in page.alerts)
        stream = self._context.stream
        events = [event for story in stories for event in await stream.call(story_of, stream, story, since)]
        found = decisions(events)
        proven = await self._proofs(found)
        return replace(
            page,
            decisions=[{**decision, "proof": proven[decision["event_id"]]} for decision in found],
            timeline=timeline(sorted(events, key=lambda event: event.timestamp))[-STEPS:],
        )

    async def _proofs(self, found: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any] | None]:
        """The decisions' proofs. What has just been decided is waited for a little: the audit log has its own pace."""
        ids = [decision["event_id"] for decision in found]
        fresh = any(decision["at"] > self._clock() - _FRESH for decision in found)
        end = time.monotonic() + self._configuration.send_timeout / 10
        while True:
            proven = await asyncio.to_thread(proofs, self._context.database, ids)
            if None not in proven.values() or not fresh or time.monotonic() > end:
                return proven
            await asyncio.sleep(0.1)
