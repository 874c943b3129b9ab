"""What the stream says of itself."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority


class RetentionBlocked(TypedDict):
    """A group's unread events kept the stream from being trimmed to its limits."""

    group: Annotated[str, Meta(description="The consumer group that is furthest behind.")]
    lag: Annotated[int, Meta(description="How many events the group has not been handed yet.")]
    pending: Annotated[int, Meta(description="How many it was handed and has not acknowledged.")]
    safe: Annotated[str, Meta(description="The position up to which it has acknowledged everything; may be empty.")]
    wanted: Annotated[str, Meta(description="The position up to which the limits would have trimmed.")]
    remedy: Annotated[str, Meta(description="What a person can do.")]


RETENTION_BLOCKED = EventType(
    "stream.retention_blocked",
    "stream",
    RetentionBlocked,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="The stream is larger or older than its limits allow, because a group has not read what should go.",
    example={
        "group": "billing",
        "lag": 120000,
        "pending": 12,
        "safe": "48210",
        "wanted": "160000",
        "remedy": "start the group's consumer, or remove the group with `brain groups remove billing`",
    },
)

EVENTS: tuple[EventType[Any], ...] = (RETENTION_BLOCKED,)
