"""The outbox of alerting, sent by the test's own clock: real rows and outcomes, services that say what they like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import sqlalchemy as sa

from brain.alerting.delivery import SKIPPED
from brain.alerting.evaluation import due, evaluate
from brain.alerting.obsolete import why_obsolete
from brain.alerting.outcomes import NotificationOutcomes
from brain.connectors.sender import Refused, TryLater
from brain.kit import outbox
from brain.kit.outbox import OutboxRow, claims
from support.alerting import Alerting

LONGEST = 60.0
"""The dispatcher's longest wait, for routes whose `group_interval` is 60."""

Service = Callable[[OutboxRow], Awaitable[Mapping[str, Any]]]


class Deliveries:
    """Sends what is due, one row after the other, as the dispatcher does, on the clock of `alerting`."""

    def __init__(self, alerting: Alerting, service: Service) -> None:
        self.alerting = alerting
        self.outcomes = NotificationOutcomes(alerting.configuration, lambda: None, alerting.clock)
        self._service = service
        self._number = 0

    async def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Evaluate and send, second by second."""
        for _ in range(round(seconds / step)):
            self.alerting.clock.advance(step)
            self._evaluate()
            await self.send()

    async def send(self) -> None:
        """Send all that is due now."""
        while rows := self._claimed() if self._is_waiting() else ():
            for row, token in rows:
                await self._settle(row, token)
            self._evaluate()

    def _evaluate(self) -> None:
        with self.alerting.engine.begin() as db:
            while due(db, self.alerting.clock()) and evaluate(db, self.alerting.clock(), self.alerting.configuration):
                pass

    def _is_waiting(self) -> bool:
        table = outbox.outbox
        waits = sa.exists().where(table.c.state == "waiting", table.c.due_at <= self.alerting.clock())
        with self.alerting.engine.begin() as db:
            return bool(db.execute(sa.select(waits)).scalar_one())

    def _claimed(self) -> list[tuple[OutboxRow, str]]:
        now, found = self.alerting.clock(), []
        with self.alerting.engine.begin() as db:
            for channel in self.alerting.configuration.notifiers:
                self._number += 1
                row = claims.claim(db, "alerting", channel, str(self._number), now, 100.0)
                if row is not None:
                    found.append((row, str(self._number)))
        return found

    async def _settle(self, row: OutboxRow, token: str) -> None:
        now = self.alerting.clock()
        with self.alerting.engine.begin() as db:
            why = why_obsolete(db, row, self.alerting.configuration, now)
        try:
            answer = {SKIPPED: why} if why is not None else await self._service(row)
        except Refused as error:
            said = str(error)
            self._in_transaction(
                lambda db: claims.mark_refused(db, row, token, said), lambda db: self.outcomes.refused(db, row, said)
            )
        except TryLater as error:
            failed, wait = error, max(min(LONGEST, 2.0 ** min(row.attempts - 1, 30)), error.retry_after or 0.0)
            self._in_transaction(
                lambda db: claims.postpone(db, row, token, str(failed), now + wait),
                lambda db: self.outcomes.postponed(db, row, failed),
            )
        else:
            self._in_transaction(
                lambda db: claims.mark_sent(db, row, token, answer, now),
                lambda db: self.outcomes.sent(db, row, answer),
            )

    def _in_transaction(self, mark: Callable[[sa.Connection], bool], *more: Callable[[sa.Connection], None]) -> None:
        with self.alerting.engine.begin() as db:
            assert mark(db)
            for one in more:
                one(db)
