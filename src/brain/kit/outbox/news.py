"""Wakes who sends rows once the transaction that wrote them has ended, so that nobody has to look all the time."""

from __future__ import annotations

import weakref
from typing import Any

import sqlalchemy as sa

from brain.stream.change_signal import ChangeSignal

_WRITTEN = "brain_outbox_written"

_signals: weakref.WeakKeyDictionary[sa.Engine, dict[str, ChangeSignal]] = weakref.WeakKeyDictionary()


def note_written(db: sa.Connection, topic: str) -> None:
    """Rows of this topic are written on this connection: wake who waits for them when it is given back.

    A transaction that is rolled back wakes them as well, in vain.
    """
    db.info.setdefault(_WRITTEN, set()).add(topic)


def news_of(database: sa.Engine, topic: str) -> ChangeSignal:
    """Notified after each transaction of this process that wrote rows of the topic."""
    signals = _signals.get(database)
    if signals is None:
        signals = _signals[database] = {}
        _listen(database, signals)
    return signals.setdefault(topic, ChangeSignal())


def _listen(database: sa.Engine, signals: dict[str, ChangeSignal]) -> None:
    def returned(connection: object, record: Any) -> None:
        for topic in record.info.pop(_WRITTEN, ()):
            if (signal := signals.get(topic)) is not None:
                signal.notify()

    sa.event.listen(database, "checkin", returned)
