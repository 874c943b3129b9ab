"""Compares the stored threats with the events about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from brain.charter import Event
from brain.kit.reconciliation import NO_EVENT, NO_STATE, Reconciled
from brain.store import Store
from brain.threats.events import ASSIGNED, COMMENTED, DETECTED, STATUS_CHANGED, STORE_RESTORED, UPDATED
from brain.threats.models import Threat
from brain.threats.repository import ThreatRepository


class ThreatReconciliation:
    """Each threat must have been detected by an event, and be what the last event about it says. Raises Unavailable."""

    subject = "threats"
    event_types: Sequence[str] = tuple(
        one.name for one in (DETECTED, UPDATED, STATUS_CHANGED, ASSIGNED, COMMENTED, STORE_RESTORED)
    )

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threats = self._stored()
        self._detected: set[str] = set()
        self._status: dict[str, str] = {}
        self._version: dict[str, int] = {}
        self._was_restored = False  # then versions went on without events of their own

    def take(self, event: Event) -> None:
        """Note what the event says."""
        if event.type == STORE_RESTORED.name:
            self._was_restored = True
            return
        threat_id, version = str(event.payload.get("threat_id")), event.payload.get("version")
        if isinstance(version, int):
            self._version[threat_id] = max(version, self._version.get(threat_id, 0))
        if event.type == DETECTED.name:
            self._detected.add(threat_id)
            self._status.setdefault(threat_id, str(event.payload.get("status")))
        elif event.type == STATUS_CHANGED.name:
            self._status[threat_id] = str(event.payload.get("new_status"))

    def reconciled(self, since: float) -> Reconciled:
        """What differs, when all events since that Unix time are kept."""
        too_old = {id for id, threat in self._threats.items() if threat.detected_at < since} - self._detected
        found = [*self._silent(since), *self._lost()]
        return Reconciled(len(self._threats.keys() | self._detected), len(too_old), found)

    def _silent(self, since: float) -> Iterator[str]:
        for id, threat in self._threats.items():
            if threat.detected_at >= since and id not in self._detected:
                yield f"threat {id}: {NO_EVENT}"
            elif (said := self._status.get(id)) is None:
                if threat.history and threat.history[-1].at >= since:
                    yield f"threat {id}: no event tells that it is {threat.status}"
            elif said != threat.status:
                yield f"threat {id}: it is {threat.status}, and its last event says {said}"
            elif not self._was_restored and self._version.get(id, threat.version) < threat.version:
                yield f"threat {id}: no event tells of its last change"

    def _lost(self) -> Iterator[str]:
        missing = self._detected - self._threats.keys()
        now = self._stored() if missing else {}
        yield from (f"threat {id}: {NO_STATE}" for id in sorted(missing - now.keys()))

    def _stored(self) -> dict[str, Threat]:
        return {threat.id: threat for threat in ThreatRepository(self._store).all()}
