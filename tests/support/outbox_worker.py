"""A process that sends an outbox to the stand-ins through the real connectors, until it is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, select

from brain.charter import IncidentState
from brain.connectors.jira import Jira
from brain.connectors.pagerduty import PagerDuty, PagerDutyAlert
from brain.connectors.sender import RetryPolicy, Sender
from brain.connectors.servicenow import ServiceNow
from brain.connectors.slack import Slack, SlackMessage
from brain.connectors.tickets import NewTicket, TicketSystem
from brain.connectors.webhook import Webhook
from brain.kit.database import open_database
from brain.kit.outbox import Dispatcher, DispatchOptions, OutboxRow, outbox
from support.vendors import (
    jira_settings,
    pagerduty_settings,
    servicenow_settings,
    slack_settings,
    webhook_settings,
)

SETTLE = 0.6
CHANNELS = ("pagerduty", "slack", "webhook", "jira", "servicenow")


class Delivery:
    """A row's channel says the service, its body what is to be done there: `do` is open, note or close."""

    def __init__(self, sender: Sender, url: str, database: Engine) -> None:
        self._database = database
        self._pagerduty = PagerDuty(pagerduty_settings(url), sender)
        self._slack = Slack(slack_settings(url), sender)
        self._webhook = Webhook(webhook_settings(url), sender, time.time)
        self._systems: dict[str, TicketSystem[Any]] = {
            "jira": Jira(jira_settings(url, settle_seconds=SETTLE), sender),
            "servicenow": ServiceNow(servicenow_settings(url, settle_seconds=SETTLE), sender),
        }

    async def deliver(self, row: OutboxRow) -> Mapping[str, Any]:
        do = row.body["do"]
        if row.channel == "pagerduty":
            if do == "open":
                return {
                    **await self._pagerduty.trigger(
                        PagerDutyAlert(dedup_key=row.key, summary="x", source="x", severity="")
                    )
                }
            call = self._pagerduty.acknowledge if do == "note" else self._pagerduty.resolve
            return {**await call(row.key)}
        if row.channel == "slack":
            return {**await self._slack.post(SlackMessage(title=row.dedup))}
        if row.channel == "webhook":
            return {**await self._webhook.post(row.dedup, {"type": do, "key": row.key})}
        system = self._systems[row.channel]
        if do == "open":
            return {**await system.ensure(NewTicket(incident_id=row.key, title=row.key, description=""))}
        id = await asyncio.to_thread(self._opened, row)
        if do == "note":
            return {"added": await system.comment(id, f"a note on {row.key}", row.dedup)}
        await system.comment(id, "it is over", row.dedup)
        return {**await system.move(id, IncidentState.RESOLVED, "it is over")}

    def _opened(self, row: OutboxRow) -> str:
        """The id of the ticket, as the service answered when it was opened."""
        with self._database.begin() as db:
            where = outbox.c.dedup == f"{row.channel} {row.key} open"
            return str(db.execute(select(outbox.c.answer).where(where)).scalar_one()["id"])


async def send_all(database: str, url: str, answer_within: float = 1.0) -> None:
    """Until cancelled. A service that has not answered in so many seconds is asked again."""
    engine = open_database(database)
    how = DispatchOptions(
        wait=0.02,
        max_wait=0.5,
        poll=0.2,
        per_minute=None,
        timeout=1.5 * answer_within,
        lease=2 * answer_within,
        grace=0,
        concurrency=3,
    )
    async with Sender(RetryPolicy(attempts=2, timeout=answer_within, wait=0.02, max_wait=0.2)) as sender:
        await Dispatcher(engine, "alerting", Delivery(sender, url, engine).deliver, options=how).run()


def run(database: str, url: str) -> None:
    """The whole process."""
    asyncio.run(send_all(database, url))
