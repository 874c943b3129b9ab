"""The events of the immune module: changes of the fleet's health."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

EventNumber = Annotated[int, Meta(ge=1, description="The health event's number: 1, 2, 3, ... in order of publishing.")]
KindName = Annotated[
    str,
    Meta(
        description="What happened: POLICY_VIOLATION, ERROR_SPIKE, SELF_HEALING_ACTION, RESOURCE_EXHAUSTION, "
        "AGENT_FAILURE or PERFORMANCE_DEGRADATION."
    ),
]
ModuleName = Annotated[str, Meta(description="Which module, agent or service the event is about.")]
HealthMessage = Annotated[str, Meta(description="What happened, for a person to read.")]
Details = Annotated[dict[str, Any], Meta(description="The reporter's own data: measures, limits, an error's text.")]


class HealthEventPublished(TypedDict):
    """The health event as it was recorded."""

    event_id: EventNumber
    severity: Annotated[str, Meta(description="INFO, WARNING or CRITICAL.")]
    kind: KindName
    module: ModuleName
    message: HealthMessage
    details: Details
    published_at: Annotated[float, Meta(description="When it was recorded, in Unix seconds.")]


class CriticalHealthEvent(TypedDict):
    """A health event of severity CRITICAL."""

    event_id: EventNumber
    severity: Annotated[str, Meta(description="Always CRITICAL.")]
    kind: KindName
    module: ModuleName
    message: HealthMessage
    details: Details
    critical_at: Annotated[float, Meta(description="When it was recorded, in Unix seconds.")]


EVENT_PUBLISHED = EventType(
    name="immune.event_published",
    module="immune",
    payload=HealthEventPublished,
    priority=Priority.HIGH,
    frequency=Frequency.MEDIUM,
    purpose="A health event was recorded; published for every one, whatever its severity.",
    example={
        "event_id": 41,
        "severity": "WARNING",
        "kind": "PERFORMANCE_DEGRADATION",
        "module": "search-agent",
        "message": "answers take 2.4 s at the median, against 0.3 s yesterday",
        "details": {"median_seconds": 2.4, "usual_seconds": 0.3},
        "published_at": 1703001234.567,
    },
)
CRITICAL_EVENT = EventType(
    name="immune.critical_event",
    module="immune",
    payload=CriticalHealthEvent,
    priority=Priority.CRITICAL,
    frequency=Frequency.LOW,
    purpose="A health event is CRITICAL and needs healing or a person now; comes besides immune.event_published.",
    example={
        "event_id": 42,
        "severity": "CRITICAL",
        "kind": "AGENT_FAILURE",
        "module": "billing-agent",
        "message": "billing-agent has not answered for 30 s",
        "details": {"last_seen": 1703001204.1, "restarts": 0},
        "critical_at": 1703001234.567,
    },
)

EVENTS: tuple[EventType[Any], ...] = (EVENT_PUBLISHED, CRITICAL_EVENT)
