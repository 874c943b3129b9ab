"""How often messages of a topic come, how many bytes they have, and how long it was silent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

_ENOUGH = 10
"""Messages from which on a topic's pace is known."""
_TIMES = 10.0
"""A topic is silent when it is so many times later than its pace."""


class TopicRate(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of a topic within some time."""

    topic: Annotated[str, Meta(description="The topic, as `/odom`.")]
    type: Annotated[str, Meta(description="The type of its messages.")]
    count: Annotated[int, Meta(description="Messages.")]
    bytes: Annotated[int, Meta(description="Their bytes.")]
    hz: Annotated[float, Meta(description="Messages a second, from the first to the last.")]
    max_gap: Annotated[float, Meta(description="The longest time between two messages, in seconds.")]
    silent_for: Annotated[float, Meta(description="Seconds from the last message to the end.")]
    silent: Annotated[bool, Meta(description="Whether the end is 10 times later than its pace, and over a second.")]


class RateCounter:
    """Counts one topic. Times are in seconds and rise."""

    def __init__(self, topic: str, type: str) -> None:
        self.topic = topic
        self.type = type
        self.count: int = 0
        self.bytes: int = 0
        self.max_gap: float = 0.0
        self.first_at: float | None = None
        self.last_at: float | None = None

    def add(self, at: float, size: int) -> None:
        """A message of `size` bytes came."""
        if self.last_at is None:
            self.first_at = at
        else:
            self.max_gap = max(self.max_gap, at - self.last_at)
        self.last_at = at
        self.count += 1
        self.bytes += size

    @property
    def hz(self) -> float:
        """Messages a second; 0 before there are two."""
        if self.first_at is None or self.last_at is None or self.last_at <= self.first_at:
            return 0.0
        return (self.count - 1) / (self.last_at - self.first_at)

    def rate(self, end: float) -> TopicRate:
        """What was counted until `end`."""
        silent_for = 0.0 if self.last_at is None else max(0.0, end - self.last_at)
        late = self.count >= _ENOUGH and self.hz > 0 and silent_for > max(1.0, _TIMES / self.hz)
        return TopicRate(
            topic=self.topic,
            type=self.type,
            count=self.count,
            bytes=self.bytes,
            hz=self.hz,
            max_gap=self.max_gap,
            silent_for=silent_for,
            silent=late,
        )
