"""The projector: applies events to the alerts in the tables, inside the transaction of the projection."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from brain.alerting import repository
from brain.alerting.configuration import AlertingConfiguration
from brain.alerting.models import Alert
from brain.alerting.signals import Fires, HealingEnded, Signal, apply_late, apply_signal
from brain.alerting.tables import lock_tables
from brain.kit.projection import Item
from brain.times import plausible

LEAST_SECONDS = 60.0
"""How long an alert fires at least, whatever time its event has; less only where the settings say so."""


class AlertProjector:
    """Applies events to alerts. `clock` gives Unix seconds: an event from the future counts as from now."""

    def __init__(self, configuration: AlertingConfiguration, clock: Callable[[], float] = time.time) -> None:
        self._configuration = configuration
        self._clock = clock

    def apply(self, db: sa.Connection, items: Sequence[Item]) -> None:
        """Apply one batch of events, in stream order."""
        now = self._clock()
        signals = [
            _at_once(signal, now)
            for item in items
            if item.event is not None
            for signal in self._configuration.signal_rules.signals(item.event)
        ]
        if not signals:
            return
        lock_tables(db)
        keys = {signal.key for signal in signals if not isinstance(signal, HealingEnded)}
        correlation_ids = {signal.correlation_id for signal in signals if isinstance(signal, HealingEnded)}
        newest = {alert.key: alert for alert in repository.current(db, keys, correlation_ids)}
        before = {alert.id: alert for alert in newest.values()}
        order = _Order(db, signals)
        changed: dict[str, Alert] = {}
        for signal in signals:
            for alert in self._applied(newest, signal, late=order.is_late(signal)):
                newest[alert.key] = changed[alert.id] = alert
        news = [alert for id, alert in changed.items() if before.get(id) != alert]
        repository.save_alerts(db, news, self._configuration.routes)
        order.save(db, now)

    def _applied(self, newest: Mapping[str, Alert], signal: Signal, *, late: bool) -> list[Alert]:
        if isinstance(signal, HealingEnded):
            targets = [key for key, alert in newest.items() if signal.concerns(alert)]
        else:
            targets = [signal.key]
            if late:
                alert = apply_late(newest.get(signal.key), signal)
                return [] if alert is None else [alert]
        after = (apply_signal(newest.get(key), signal, self._configuration.reopen_within) for key in targets)
        return [alert for alert in after if alert is not None]


def _at_once(signal: Signal, now: float) -> Signal:
    """The signal, so that neither a clock that runs ahead somewhere delays a page, nor one that is behind prevents it.

    An alert that would be over by the time of its event stays for long enough to be paged.
    """
    at = plausible(signal.at, now)
    if at != signal.at:
        signal = replace(signal, at=at)
    if isinstance(signal, Fires) and signal.expires_in is not None:
        least = now + min(signal.expires_in, LEAST_SECONDS) - at
        if least > signal.expires_in:
            return replace(signal, expires_in=least)
    return signal


class _Order:
    """Which signals come after one of a later change of the same thing: processes may overtake each other."""

    def __init__(self, db: sa.Connection, signals: Sequence[Signal]) -> None:
        keys = {signal.key for signal in signals if not isinstance(signal, HealingEnded) and signal.version}
        self._latest = repository.latest_versions(db, keys)
        self._new: dict[str, int] = {}

    def is_late(self, signal: Signal) -> bool:
        """Whether a later change was applied; else this one is now the latest. A signal without a version never is."""
        if isinstance(signal, HealingEnded) or not signal.version:
            return False
        if signal.version < self._latest.get(signal.key, 0):
            return True
        self._latest[signal.key] = self._new[signal.key] = signal.version
        return False

    def save(self, db: sa.Connection, now: float) -> None:
        """Record the latest changes."""
        repository.save_versions(db, self._new, now)
