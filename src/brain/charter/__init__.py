"""Charter v1.0: the event envelope, the declaration of event types, subscription patterns, the context of events."""

from brain.charter.context import VERSION, correlation, current_meta, in_the_wake_of
from brain.charter.envelope import Event, check_depth, mint_id, too_large
from brain.charter.event_types import EventType, Frequency, Priority
from brain.charter.patterns import Pattern
from brain.charter.principal import Principal, acting, current_principal
from brain.charter.vocabulary import Effect, HealthKind, HealthSeverity, IncidentState, Severity, ThreatStatus

__all__ = [
    "VERSION",
    "Effect",
    "Event",
    "EventType",
    "Frequency",
    "HealthKind",
    "HealthSeverity",
    "IncidentState",
    "Pattern",
    "Principal",
    "Priority",
    "Severity",
    "ThreatStatus",
    "acting",
    "check_depth",
    "correlation",
    "current_meta",
    "current_principal",
    "in_the_wake_of",
    "mint_id",
    "too_large",
]
