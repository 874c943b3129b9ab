"""Messages that agents send: asked of the policy, kept in the outbox, sent by a notifier or to Alertmanager."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from brain.charter import Severity
from brain.connectors.notifiers import Notifier, NotifierSettings, open_notifier
from brain.connectors.pages import Page, PageAction
from brain.connectors.sender import Sender
from brain.errors import Conflict, NotFound, Unavailable
from brain.kit.database_keys import KeyedRequest, once
from brain.kit.idempotency import token_for
from brain.kit.outbox import Message, OutboxRow, Outcomes, put
from brain.kit.protocols import EffectGuard
from brain.links import repository
from brain.links.alertmanager import Alertmanager
from brain.links.announce import announce
from brain.links.events import DELIVERED, DELIVERY_FAILED
from brain.links.models import CONSUMER, ConnectorStatus
from brain.links.settings import AlertmanagerSettings
from brain.text import clip_text

ACTION = "connector.send"
"""What the policy is asked: may this agent do it, with the connector's name as the resource?"""


def open_outbound(settings: NotifierSettings, sender: Sender, clock: Callable[[], float]) -> Notifier[Any]:
    """What sends through a connector with these settings. Raises InvalidInput when its kind is not installed."""
    if isinstance(settings, AlertmanagerSettings):
        return Alertmanager(settings, sender, clock)
    return open_notifier(settings, sender, clock)


async def ask(guard: EffectGuard | None, agent: str, connector: str, params: Mapping[str, Any]) -> None:
    """Return when the agent may send this. Raises ActionDenied, ApprovalRequired and Unavailable."""
    if guard is None:
        raise Unavailable("connector.send: nothing is sent, since no installed plug-in provides EffectGuard")
    await guard.check(agent, ACTION, connector, params)


def enqueue(db: Connection, name: str, message: Mapping[str, Any], key: str | None, now: float) -> str:
    """Put the message into the outbox; its id, the same for the same key.

    Raises NotFound, and Conflict when the connector is paused or the key stands for another message.
    """
    row = repository.find(db, name, lock=True)
    if row.paused:
        raise Conflict(f"connector {name!r}: is paused; resume it first")
    id = f"msg_{token_for(f'connectors {name}', key)}"

    def make() -> str:
        body = {**message, "id": id}
        put(db, Message(consumer=CONSUMER, channel=name, key=message["dedup_key"] or id, dedup=id, body=body), now)
        return id

    return once(db, now, KeyedRequest.of(f"connectors {name}", key, message), make, str, str)


def page_of(row: OutboxRow) -> Page:
    """The message in a row of the outbox, as notifiers take it."""
    body = row.body
    text, severity = body["text"], Severity(body["severity"])
    alerts = [{"severity": severity.value, "state": body["action"], "summary": text}] if text else []
    return Page(
        id=body["id"],
        action=PageAction(body["action"]),
        dedup_key=body["dedup_key"] or body["id"],
        severity=severity,
        summary=body["title"],
        at=row.created_at,
        labels={**body["labels"], "agent": body["agent"]},
        alerts=alerts,
        alerts_total=len(alerts),
    )


class Announced(Outcomes):
    """Writes what became of a message in the transaction that marks it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def sent(self, db: Connection, row: OutboxRow, answer: Mapping[str, Any]) -> None:
        """Announce `connector.delivered`."""
        now = self._clock()
        took = max(0.0, now - row.created_at) * 1000
        about = {"connector_id": row.channel, "message_id": row.body["id"], "agent_id": row.body["agent"]}
        payload = {**about, "attempts": row.attempts, "duration_ms": took, "delivered_at": now}
        announce(db, DELIVERED, payload, now)
        repository.count(db, row.channel, now, sent=1)
        repository.set_status_of(db, row.channel, ConnectorStatus.OK, "a message was accepted", now)

    def refused(self, db: Connection, row: OutboxRow, error: str) -> None:
        """Announce `connector.delivery_failed`."""
        now, words = self._clock(), clip_text(error, repository.ERROR)
        about = {"connector_id": row.channel, "message_id": row.body["id"], "agent_id": row.body["agent"]}
        announce(db, DELIVERY_FAILED, {**about, "service_words": words, "final": True, "failed_at": now}, now)
        repository.count(db, row.channel, now, failed=1)
        repository.set_status_of(db, row.channel, ConnectorStatus.ERROR, words, now)


async def alert_groups(senders: Mapping[str, Notifier[Any]], name: str) -> list[dict[str, Any]]:
    """The groups of alerts that fire in an Alertmanager. Raises NotFound, TryLater and Refused."""
    sender = senders.get(name)
    if not isinstance(sender, Alertmanager):
        raise NotFound(f"connector {name!r}: sends to no Alertmanager")
    return await sender.groups()


async def probe(sender: Notifier[Any]) -> tuple[str, float | None]:
    """What a sender's service says of itself, and how many milliseconds that took. Raises TryLater and Refused."""
    if not isinstance(sender, Alertmanager):
        return "the settings are valid; this kind of service cannot be asked without sending something", None
    began = time.perf_counter()
    version = await sender.version()
    return f"Alertmanager {version} answers", (time.perf_counter() - began) * 1000
