"""What became of messages: the notification log follows what the services accepted, and events tell of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from brain.alerting import repository
from brain.alerting.announce import notification_failed, notified
from brain.alerting.delivery import SKIPPED
from brain.alerting.events import NOTIFICATION_FAILED, NOTIFIED
from brain.alerting.notification_log import NotificationLogEntry, Refusal, accepted, next_refusal, refused
from brain.alerting.notifications import alerts_of
from brain.alerting.rate_limits import SUMMARY, refused_summary
from brain.alerting.tables import CONSUMER, GROUPS, lock_tables
from brain.charter import Event
from brain.connectors.pages import PageAction
from brain.errors import EnvelopeError
from brain.kit.outbox import OutboxRow, Outcomes, put_event
from brain.stream.publisher import note_failure


class NotificationOutcomes(Outcomes):
    """Stores the outcome of each message, with its event, in the transaction that settles its row.

    `stored` is called after that transaction: there may be new events, and groups that are due. `clock` gives Unix
    seconds.
    """

    def __init__(self, stored: Callable[[], None], clock: Callable[[], float]) -> None:
        self._stored = stored
        self._clock = clock

    def sent(self, db: sa.Connection, row: OutboxRow, answer: Mapping[str, Any]) -> None:
        """Log the page as accepted, and announce it, unless nothing was sent."""
        now, action = self._clock(), PageAction(row.body["action"])

        def changed(entry: NotificationLogEntry) -> NotificationLogEntry:
            return accepted(entry, action, row.body["number"], alerts_of(db, row.dedup), now)

        self._change(db, row, changed)
        if SKIPPED not in answer:
            self._put(db, NOTIFIED.name, lambda: notified(row))

    def refused(self, db: sa.Connection, row: OutboxRow, error: str) -> None:
        """Let the page be due again, and announce the refusal: the first of several that are alike."""
        now, action = self._clock(), PageAction(row.body["action"])
        found: list[Refusal | None] = []

        def changed(entry: NotificationLogEntry) -> NotificationLogEntry:
            found.append(entry.refusal)
            refusal = next_refusal(entry.refusal, error, now, closing=not action.is_paging)
            return refused(entry, action, row.body["number"], row.body["news"], refusal)

        if row.dedup.startswith(SUMMARY):
            if action.is_paging:
                lock_tables(db)
                refused_summary(db, int(row.dedup.split()[1]), now)
        else:
            self._change(db, row, changed)
        if not any(before is not None and before.error == error for before in found):
            self._put(db, NOTIFICATION_FAILED.name, lambda: notification_failed(row, error))

    def stored(self) -> None:
        """Ship the event, and look what is due."""
        self._stored()

    def _change(
        self, db: sa.Connection, row: OutboxRow, changed: Callable[[NotificationLogEntry], NotificationLogEntry]
    ) -> None:
        """Change the log's entry of the message's group and notifier, and make the group due."""
        if "number" not in row.body:  # a summary, or a message of a version before
            return
        lock_tables(db)
        group = row.body["group"]
        entry = repository.log_entries(db, [group])[group].get(row.channel)
        if entry is not None and (after := changed(entry)) != entry:
            repository.save_log(db, {group: {row.channel: after}})
            repository.touch(db, GROUPS.c.id == group)

    def _put(self, db: sa.Connection, event_type: str, make: Callable[[], Event]) -> None:
        try:
            put_event(db, CONSUMER, make(), self._clock())
        except EnvelopeError as error:  # or the page would be sent again and again
            note_failure(event_type, error)
