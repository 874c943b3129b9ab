"""A stream for unit tests: it keeps the published events, and is as strict as the real one."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Sequence

from brain.charter import Event
from brain.errors import EnvelopeError
from brain.plugins import catalogue


class RecordingStream:
    """Accepts events as EventStream does, and keeps them in the order of publishing.

    Each event is written and read back, so `events` holds what a subscriber would get. An event that no real
    stream accepts, or whose payload does not fit its declared type, raises EnvelopeError. As plug-ins go on when a
    stream raises, `events` and `get_events_by_type` raise the first such error again: no test can overlook it.
    """

    def __init__(self) -> None:
        self.refused: list[EnvelopeError] = []
        self._events: list[Event] = []

    def publish(self, event: Event) -> Awaitable[str]:
        """Record the event. The result may be awaited, and gives its position. Raises EnvelopeError."""
        try:
            received = Event.decode(event.encode())
            _check_declared(received)
        except EnvelopeError as error:
            self.refused.append(error)
            raise
        self._events.append(received)
        return _Position(str(len(self._events)))

    @property
    def events(self) -> Sequence[Event]:
        """Every event so far. Raises the first refusal, if there was one."""
        if self.refused:
            raise self.refused[0]
        return tuple(self._events)

    def get_events_by_type(self, event_type: str) -> list[Event]:
        """The events of this type so far. Raises the first refusal, if there was one."""
        return [event for event in self.events if event.type == event_type]

    def clear(self) -> None:
        """Forget all events and refusals."""
        self._events.clear()
        self.refused.clear()


def _check_declared(event: Event) -> None:
    declared = catalogue().get(event.type)
    if declared is None:  # a third party's type: carried, not checked
        return
    if event.source != declared.source:
        raise EnvelopeError(f"source of {event.type}: {event.source!r} is not {declared.source!r}")
    declared.check(event.payload)
    extra = event.payload.keys() - declared.payload.__annotations__.keys()
    if extra:
        raise EnvelopeError(f"payload of {event.type}: has undeclared keys {', '.join(sorted(extra))}")


class _Position(Awaitable[str]):
    def __init__(self, position: str) -> None:
        self._position = position

    def __await__(self) -> Generator[None, None, str]:
        yield from ()
        return self._position
