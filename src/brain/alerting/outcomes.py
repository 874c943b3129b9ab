"""What became of messages: the notification log follows what the services accepted, and events tell of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from brain.alerting import repository
from brain.alerting.announce import notification_failed, notified
from brain.alerting.configuration import AlertingConfiguration
from brain.alerting.connections import note_found, note_lost
from brain.alerting.delivery import SKIPPED
from brain.alerting.events import NOTIFICATION_FAILED, NOTIFIED
from brain.alerting.notification_log import NotificationLogEntry, Refusal, accepted, next_refusal, refused
from brain.alerting.notifications import alerts_of
from brain.alerting.obsolete import is_wanted
from brain.alerting.rate_limits import SUMMARY, refused_summary
from brain.alerting.recipients import nobody_was_reached, not_reached, put_again, put_for
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

    def __init__(
        self, configuration: AlertingConfiguration, stored: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        self.failed: Counter[str] = Counter()
        """Messages, or addresses of them, that failed in this process, by notifier: each has an event."""
        self._configuration = configuration
        self._stored = stored
        self._clock = clock

    def sent(self, db: sa.Connection, row: OutboxRow, answer: Mapping[str, Any]) -> None:
        """Log the page as accepted, and announce it, unless nothing was sent. Addresses that refused it are said."""
        now, action = self._clock(), PageAction(row.body["action"])

        def changed(entry: NotificationLogEntry) -> NotificationLogEntry:
            return accepted(entry, action, row.body["number"], alerts_of(db, row.dedup), now)

        self._change(db, row, changed)
        if SKIPPED in answer:
            if row.body.get("only") and action.is_paging and not row.body["said"]:
                self._put_failed(db, row, f"given up: {answer[SKIPPED]}", row.body["only"])
            return
        note_found(db, row.channel, now)
        for one in not_reached(answer):
            put_for(db, row, one, now, self._configuration.group_interval(row.body["route"]))
            if one.final:
                self._put_failed(db, row, one.words, [one.address])
        if not nobody_was_reached(answer):
            reached = answer["accepted"] if not_reached(answer) else row.body.get("only", ())
            self._put(db, NOTIFIED.name, lambda: notified(row, reached))

    def refused(self, db: sa.Connection, row: OutboxRow, error: str) -> None:
        """Let the page be due again, and announce the refusal: the first of several that are alike."""
        now, action = self._clock(), PageAction(row.body["action"])
        if only := row.body.get("only"):
            if action.is_paging and is_wanted(db, row, self._configuration, now):
                put_again(db, row, error, now + self._configuration.group_interval(row.body["route"]))
            if row.body["said"] != error:
                self._put_failed(db, row, error, only)
            return
        before: list[Refusal | None] = []

        def changed(entry: NotificationLogEntry) -> NotificationLogEntry:
            before.append(entry.refusal)
            refusal = next_refusal(entry.refusal, action, error, now)
            return refused(entry, action, row.body["number"], row.body["news"], refusal)

        if row.dedup.startswith(SUMMARY) and action.is_paging:
            lock_tables(db)
            refused_summary(db, int(row.dedup.split()[1]), now)
        self._change(db, row, changed)
        if not any(one is not None and one.error == error for one in before):
            self._put_failed(db, row, error)

    def postponed(self, db: sa.Connection, row: OutboxRow, error: Exception) -> None:
        """Announce it once when the service does not know our account, or is away for long: its messages wait."""
        note_lost(db, row, error, self._clock())

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

    def _put_failed(self, db: sa.Connection, row: OutboxRow, error: str, recipients: Sequence[str] = ()) -> None:
        self.failed[row.channel] += 1
        self._put(db, NOTIFICATION_FAILED.name, lambda: notification_failed(row, error, recipients))

    def _put(self, db: sa.Connection, event_type: str, make: Callable[[], Event]) -> None:
        try:
            put_event(db, CONSUMER, make(), self._clock())
        except EnvelopeError as error:  # or the page would be sent again and again
            note_failure(event_type, error)
