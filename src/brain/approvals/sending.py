"""Sends each person who may answer a request a link: rows of the outbox, and the delivery of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from brain.approvals.events import LINK_MADE, LinkMade
from brain.approvals.links import PATH, Links
from brain.approvals.settings import PersonSettings
from brain.charter import Severity
from brain.connectors.pages import Page, PageAction
from brain.errors import NotFound
from brain.kit import outbox
from brain.kit.outbox import OutboxRow, Outcomes, put_event
from brain.kit.projection import Item
from brain.kit.protocols import ApprovalRequests, AskedApproval, Notifiers

CONSUMER = "approvals"
SKIPPED = "skipped"
"""The key of an answer that says why nothing was sent."""


class LinkProjector:
    """Puts a row into the outbox for each request and person. `clock` gives Unix seconds."""

    def __init__(self, people: Mapping[str, PersonSettings], clock: Callable[[], float] = time.time) -> None:
        self._people = {name: person for name, person in people.items() if person.notifier}
        self._clock = clock

    def apply(self, db: sa.Connection, items: Sequence[Item]) -> None:
        """Apply one batch of events. A row holds no link: it is made when it is sent."""
        now = self._clock()
        for item in items:
            payload = {} if item.event is None else item.event.payload
            approval, until = payload.get("approval_id"), payload.get("expires_at")
            if not isinstance(approval, str) or not isinstance(until, (int, float)) or until <= now:
                continue
            for name, person in self._people.items():
                key = f"{approval} {name}"
                body = {"approval": approval, "person": name}
                outbox.put(
                    db, outbox.Message(consumer=CONSUMER, channel=person.notifier, key=key, dedup=key, body=body), now
                )


class LinkDelivery(Outcomes):
    """Sends rows of the outbox, and announces what was sent. `base` is the public URL."""

    def __init__(
        self,
        people: Mapping[str, PersonSettings],
        requests: ApprovalRequests,
        notifiers: Notifiers,
        links: Links,
        base: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._people = people
        self._requests = requests
        self._notifiers = notifiers
        self._links = links
        self._base = base
        self._clock = clock

    async def deliver(self, row: OutboxRow) -> Mapping[str, Any]:
        """Send one row, unless an answer of that person would not count now. Raises as a Dispatcher expects."""
        name = row.body["person"]
        person = self._people.get(name)
        if person is None:
            return {SKIPPED: f"{name} is not among those who approve any more"}
        asked = await asyncio.to_thread(self._wanted, row.body["approval"], name)
        if isinstance(asked, str):
            return {SKIPPED: asked}
        token = await asyncio.to_thread(self._links.token, asked, name)
        page = message(asked, name, f"{self._base}{PATH}{token}", [person.address] if person.address else [])
        await self._notifiers.send(row.channel, page)
        return {"expires_at": asked.expires_at}

    def sent(self, db: sa.Connection, row: OutboxRow, answer: Mapping[str, Any]) -> None:
        """Announce the link, in the transaction that marks the row."""
        if SKIPPED in answer:
            return
        made: LinkMade = {
            "approval_id": row.body["approval"],
            "approver": row.body["person"],
            "via": row.channel,
            "expires_at": answer["expires_at"],
        }
        put_event(db, CONSUMER, LINK_MADE.event(made), self._clock())

    def _wanted(self, approval_id: str, name: str) -> AskedApproval | str:
        """The request, or why no link is sent."""
        try:
            fault = self._requests.fault(approval_id, name)
            return fault if fault is not None else self._requests.look(approval_id)
        except NotFound as error:
            return str(error)


def message(asked: AskedApproval, name: str, url: str, only: Sequence[str] = ()) -> Page:
    """The message that brings `name` the link."""
    what = " ".join(filter(None, (asked.action, asked.resource)))
    until = f"{datetime.fromtimestamp(asked.expires_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    details = {
        "name": "approval",
        "severity": Severity.MEDIUM.value,
        "state": "waits for an answer",
        "summary": f"{asked.reason}; it waits until {until}. The link is for {name} alone, and counts once",
        "labels": {"agent": asked.agent},
    }
    return Page(
        id=f"approval {asked.id} {name}",
        action=PageAction.TRIGGER,
        dedup_key=f"approval {asked.id} {name}",
        severity=Severity.MEDIUM,
        summary=f"{asked.agent} asks: {what}"[:500],
        at=asked.requested_at,
        labels={"approval_id": asked.id},
        alerts=[details],
        alerts_total=1,
        links=[(f"See what is asked, and answer as {name}", url)],
        only=only,
    )
