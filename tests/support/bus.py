"""One way to look at what was published, whatever it was published to."""

from __future__ import annotations

from collections.abc import Sequence

from brain import Event, EventStream
from brain.testing import RecordingStream

_MARKER = "test.marker"


class Bus:
    """A stream for modules to publish to, and what a reader finds on it."""

    def __init__(self, stream: RecordingStream | EventStream) -> None:
        self.stream = stream

    async def events(self) -> Sequence[Event]:
        """Everything published so far, in the order of the stream, once it is stored."""
        if isinstance(self.stream, RecordingStream):
            return self.stream.events
        # When an event is stored, so is all that was published before it.
        await self.stream.publish(Event(type=_MARKER, source="test_service", payload={}))
        return [event async for event in self.stream.replay("*") if event.type != _MARKER]

    async def of_type(self, event_type: str) -> list[Event]:
        """Those of one type."""
        return [event for event in await self.events() if event.type == event_type]

    async def one(self, event_type: str) -> Event:
        """The only one of its type."""
        [event] = await self.of_type(event_type)
        return event
