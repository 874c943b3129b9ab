"""Events made into alerts: what the projection does with a batch, inside its transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from brain.alerting import repository
from brain.alerting.alerts import Alert, HealingEnded, Signal, applied
from brain.alerting.configuration import Configuration
from brain.alerting.tables import alone
from brain.kit.projection import Item


class AlertProjection:
    """Applies signals to the alerts of the tables. `clock` gives Unix seconds: no event counts as from the future."""

    def __init__(self, configuration: Configuration, clock: Callable[[], float] = time.time) -> None:
        self._configuration = configuration
        self._clock = clock

    def apply(self, db: sa.Connection, items: Sequence[Item]) -> None:
        """The Apply of a Projection: one batch of events, in stream order."""
        now = self._clock()
        signals = [
            # A clock that runs ahead somewhere must not put off a page until its time has come.
            replace(signal, at=min(signal.at, now))
            for item in items
            if item.event is not None
            for signal in self._configuration.reading.signals(item.event)
        ]
        if not signals:
            return
        alone(db)
        keys = {signal.key for signal in signals if not isinstance(signal, HealingEnded)}
        stories = {signal.story for signal in signals if isinstance(signal, HealingEnded)}
        newest = {alert.key: alert for alert in repository.current(db, keys, stories)}
        before = {alert.id: alert for alert in newest.values()}
        changed: dict[str, Alert] = {}
        for signal in signals:
            for alert in self._applied(newest, signal):
                newest[alert.key] = changed[alert.id] = alert
        news = [alert for id, alert in changed.items() if before.get(id) != alert]
        repository.keep_alerts(db, news, self._configuration.routes)

    def _applied(self, newest: Mapping[str, Alert], signal: Signal) -> list[Alert]:
        if isinstance(signal, HealingEnded):
            targets = [key for key, alert in newest.items() if signal.concerns(alert)]
        else:
            targets = [signal.key]
        after = (applied(newest.get(key), signal, self._configuration.reopen_within) for key in targets)
        return [alert for alert in after if alert is not None]
