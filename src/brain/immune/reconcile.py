"""Compares the stored health events with the events about them."""

from __future__ import annotations

from collections.abc import Sequence

from brain.charter import Event
from brain.immune.events import EVENT_PUBLISHED
from brain.immune.models import HealthEvent
from brain.immune.repository import HealthRepository
from brain.kit.reconciliation import NO_EVENT, NO_STATE, Reconciled
from brain.store import Store


class HealthReconciliation:
    """Each health event must have been published, and those published since the oldest stored be stored."""

    subject = "health events"
    event_types: Sequence[str] = (EVENT_PUBLISHED.name,)

    def __init__(self, store: Store) -> None:
        self._store = store
        self._events = self._stored()
        self._published: set[int] = set()

    def take(self, event: Event) -> None:
        """Note what the event says."""
        number = event.payload.get("event_id")
        if isinstance(number, int):
            self._published.add(number)

    def reconciled(self, since: float) -> Reconciled:
        """What differs, when all events since that Unix time are kept."""
        silent = [event for number, event in self._events.items() if number not in self._published]
        too_old = [event for event in silent if event.timestamp < since]
        found = [f"health event {event.id}: {NO_EVENT}" for event in silent if event.timestamp >= since]
        oldest = min(self._events, default=0)
        lost = {number for number in self._published if number >= oldest} - self._events.keys()
        now = self._stored() if lost else {}
        oldest = min(now, default=0)  # the oldest may have been removed meanwhile, to keep their number bounded
        found += [f"health event {number}: {NO_STATE}" for number in sorted(lost - now.keys()) if number >= oldest]
        return Reconciled(len(self._events.keys() | lost), len(too_old), found)

    def _stored(self) -> dict[int, HealthEvent]:
        return {event.id: event for event in HealthRepository(self._store).newest(1 << 30)}
