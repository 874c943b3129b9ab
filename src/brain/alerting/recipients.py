"""Receivers of one message with outcomes of their own: of a mail to several, a server may accept some.

Each address that was not accepted has the message as a row of its own from then on, so that it delays no other message.
One that is for later is tried again until the server takes it; one that was refused is tried again each
`group_interval`, as long as its alerts still ask for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from brain.alerting.tables import CONSUMER
from brain.connectors.pages import PageAction
from brain.kit import outbox
from brain.kit.outbox import OutboxRow, OutboxState

LATER_SECONDS = 60.0
"""Before an address that was for later is tried again: greylisting wants about a minute (RFC 6647, 2.1)."""


class NotReached(NamedTuple):
    """An address that a message did not reach."""

    address: str
    words: str
    """The server's."""
    final: bool
    """Whether the server refused it, and did not put it off."""


def page_id(row: OutboxRow) -> str:
    """The id of the row's page: that of the whole message for a row of one address."""
    named = row.body.get("page_id")
    return named or f"soc {row.dedup} {int(row.created_at)}".replace(" ", "-").replace(".", "-")


def not_reached(answer: Mapping[str, Any]) -> list[NotReached]:
    """The addresses that a notifier's answer says were not accepted; none for a service with one receiver."""
    words = answer.get("words") or {}
    return [
        NotReached(address, str(words.get(address, "")), final)
        for name, final in (("refused", True), ("later", False))
        for address in _addresses(answer.get(name))
    ]


def _addresses(value: object) -> list[str]:
    """A notifier of another package may have other things under these names."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def nobody_was_reached(answer: Mapping[str, Any]) -> bool:
    """Whether the message reached no address, though some are only for later."""
    return bool(not_reached(answer)) and not answer.get("accepted")


def put_for(db: sa.Connection, row: OutboxRow, one: NotReached, now: float, interval: float) -> None:
    """Put the message again, for this address alone. The end of a page that an address refused is not put."""
    if one.final and not PageAction(row.body["action"]).is_paging:
        return
    body = {name: value for name, value in row.body.items() if name not in ("number", "news")}
    message = outbox.Message(
        consumer=CONSUMER,
        channel=row.channel,
        key=f"{row.key} to {one.address}",
        dedup=f"{row.dedup} to {one.address}",
        body={
            **body,
            "only": [one.address],
            "thread": row.key,
            "page_id": page_id(row),
            "said": one.words if one.final else "",
        },
        due_at=now + (interval if one.final else LATER_SECONDS),
    )
    outbox.put(db, message, now)


def put_again(db: sa.Connection, row: OutboxRow, error: str, due_at: float) -> None:
    """Let a refused row of one address wait once more."""
    table = outbox.outbox
    values = {"state": OutboxState.WAITING.value, "due_at": due_at, "body": {**row.body, "said": error}}
    db.execute(sa.update(table).where(table.c.id == row.id).values(values))


def refused_addresses(db: sa.Connection) -> list[tuple[str, str, list[str]]]:
    """The addresses that refuse a page now: each with its notifier before it, and the ids of the page's alerts."""
    table = outbox.outbox
    mine = sa.and_(table.c.consumer == CONSUMER, table.c.state == OutboxState.WAITING.value)
    query = sa.select(table.c.channel, table.c.body).where(mine, table.c.key.like("% to %")).limit(1000)
    return [
        (channel, body["only"][0], [alert["id"] for alert in body["alerts"]])
        for channel, body in db.execute(query)
        if body.get("only") and body["said"]
    ]
