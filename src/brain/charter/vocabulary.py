"""The words that events carry and that more than one plug-in reads: effects, severities, statuses, kinds."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from brain.errors import InvalidInput
from brain.limits import shown

E = TypeVar("E", bound=StrEnum)


class Effect(StrEnum):
    """What a matching rule does. WARN and AUDIT allow."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    WARN = "WARN"
    AUDIT = "AUDIT"

    @property
    def allows(self) -> bool:
        """Whether an action with this effect may go on."""
        return self is not Effect.DENY

    @property
    def is_strict(self) -> bool:
        """Whether a rule with this effect counts as matched where it cannot be known: DENY and AUDIT."""
        return self in (Effect.DENY, Effect.AUDIT)


class Severity(StrEnum):
    """How bad a threat, an alert or an incident is, from the mildest to the worst."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """Its place from 0, the mildest: compare these, not the names."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class ThreatStatus(StrEnum):
    """Where a threat stands."""

    OPEN = "OPEN"
    INVESTIGATING = "INVESTIGATING"
    ESCALATED = "ESCALATED"
    MITIGATED = "MITIGATED"
    RESOLVED = "RESOLVED"
    IGNORED = "IGNORED"


class IncidentState(StrEnum):
    """Where an incident stands."""

    NEW = "NEW"
    IN_PROGRESS = "IN_PROGRESS"
    ON_HOLD = "ON_HOLD"
    RESOLVED = "RESOLVED"
    CLOSED = "CLOSED"


class HealthSeverity(StrEnum):
    """How much a health event matters."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class HealthKind(StrEnum):
    """What kind of thing happened to the fleet's health."""

    POLICY_VIOLATION = "POLICY_VIOLATION"
    ERROR_SPIKE = "ERROR_SPIKE"
    SELF_HEALING_ACTION = "SELF_HEALING_ACTION"
    RESOURCE_EXHAUSTION = "RESOURCE_EXHAUSTION"
    AGENT_FAILURE = "AGENT_FAILURE"
    PERFORMANCE_DEGRADATION = "PERFORMANCE_DEGRADATION"


def parse_name(kind: type[E], value: object, field: str) -> E:
    """The member of `kind` with this name, in any case. Raises InvalidInput listing the names."""
    try:
        return kind(str(value).upper())
    except ValueError as error:
        raise InvalidInput(f"{field}: {shown(value)} is not one of {', '.join(kind)}") from error
