"""The payloads of other plug-ins' events, with the keys that incidents are made from and no others.

Incidents import no other plug-in. So they declare here which keys they read, and a test holds each of these against the
declared event type. Keys that are not named here may come and go.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from brain.charter import Event
from brain.errors import EnvelopeError
from brain.typed import ready

THREAT_DETECTED = "threat.detected"
THREAT_UPDATED = "threat.updated"
THREAT_BECAME_CRITICAL = "threat.became_critical"
THREAT_STATUS_CHANGED = "threat.status_changed"
THREAT_ESCALATED = "threat.escalated"
THREAT_MITIGATED = "threat.mitigated"
HEALTH_CRITICAL = "immune.critical_event"
HEALTH_PUBLISHED = "immune.event_published"
DECISION = "policy.rule_evaluated"

P = TypeVar("P", bound=msgspec.Struct)


class ThreatSubject(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that every event about a threat has."""

    threat_id: str
    type: str
    severity: str
    source: str

    @property
    def title(self) -> str:
        """The title of an incident about this threat."""
        return f"{self.type} from {self.source}"


class DetectedThreat(ThreatSubject, frozen=True, kw_only=True):
    """`threat.detected`."""

    status: str
    detected_at: float


class UpdatedThreat(ThreatSubject, frozen=True, kw_only=True):
    """`threat.updated`."""

    status: str
    old_severity: str
    description: str
    updated_at: float


class CriticalThreat(ThreatSubject, frozen=True, kw_only=True):
    """`threat.became_critical`."""


class ChangedThreat(ThreatSubject, frozen=True, kw_only=True):
    """`threat.status_changed`."""

    old_status: str
    new_status: str
    reason: str
    changed_at: float


class EscalatedThreat(ThreatSubject, frozen=True, kw_only=True):
    """`threat.escalated`."""

    reason: str
    escalated_at: float


class MitigatedThreat(ThreatSubject, frozen=True, kw_only=True):
    """`threat.mitigated`."""

    reason: str
    mitigated_at: float
    duration_seconds: float


class CriticalHealth(msgspec.Struct, frozen=True, kw_only=True):
    """`immune.critical_event`."""

    event_id: int
    kind: str
    module: str
    message: str
    critical_at: float


PAYLOADS: dict[str, type[msgspec.Struct]] = {
    THREAT_DETECTED: DetectedThreat,
    THREAT_UPDATED: UpdatedThreat,
    THREAT_BECAME_CRITICAL: CriticalThreat,
    THREAT_STATUS_CHANGED: ChangedThreat,
    THREAT_ESCALATED: EscalatedThreat,
    THREAT_MITIGATED: MitigatedThreat,
    HEALTH_CRITICAL: CriticalHealth,
}
"""The events that are read by declared keys. Of all others only optional keys are read, and a key may be missing."""


def read_payload(event: Event, shape: type[P]) -> P:
    """The keys of the event's payload. Raises EnvelopeError naming the key that is missing or has another type."""
    try:
        return msgspec.convert(event.payload, ready(shape))
    except msgspec.ValidationError as error:
        raise EnvelopeError(f"payload of {event.type}: {error}") from error
