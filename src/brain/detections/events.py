"""The events of the detections plug-in."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority


class HitOpened(TypedDict):
    """A detection found something; what follows without a pause joins the same hit."""

    hit_id: Annotated[str, Meta(description="The hit's id; also the reading of its threat.")]
    detection: Annotated[str, Meta(description="The detection's id.")]
    name: Annotated[str, Meta(description="The detection's name; also the type of its threat.")]
    title: Annotated[str, Meta(description="The detection's title.")]
    level: Annotated[str, Meta(description="informational, low, medium, high or critical.")]
    tags: Annotated[list[str], Meta(description="ATT&CK techniques, OWASP ASI entries and other tags.")]
    source: Annotated[str, Meta(description="Whom the hit is about: an agent, an address, a principal.")]
    group: Annotated[dict[str, str], Meta(description="The values that its correlation was grouped by.")]
    opened_at: Annotated[float, Meta(description="When the event that completed it happened, in Unix seconds.")]
    count: Annotated[int, Meta(ge=1, description="Events that were part of it by then.")]
    events: Annotated[list[str], Meta(description="Ids of the first events that completed or joined it.")]


HIT_OPENED = EventType(
    name="detections.hit_opened",
    module="detections",
    payload=HitOpened,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A detection found something; a threat of the same type and source holds it.",
    example={
        "hit_id": "hit_5b8d0c2f9a318e7d6c4b",
        "detection": "0a5e1a52-5f0c-4c0e-9d4c-6f3f0f1b8a01",
        "name": "agent_resource_sweep",
        "title": "Agent refused on many resources",
        "level": "high",
        "tags": ["attack.t1083", "owasp.asi02"],
        "source": "agent-7",
        "group": {"agent_id": "agent-7"},
        "opened_at": 1703001234.5,
        "count": 10,
        "events": ["evt_policy_1703001234567_9f3ac81b2d40"],
    },
)
EVENTS: tuple[EventType[Any], ...] = (HIT_OPENED,)
