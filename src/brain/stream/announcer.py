"""How a service says what it changes: one way, whatever stream and store it was given.

    announcer = announcer_for(stream, store)
    announced = announcer.prepare([EventDraft(RULE_CREATED, payload)])
    store.write([*changes, *announced.changes])
    announcer.hand_over(announced)

On a stream of ours, with a store that outlives the process, the event is a row of the same write (see
brain.stream.event_outbox). Everywhere else it is handed over right after it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from brain.charter import Event, EventType
from brain.store import DocumentChange, Store, Written
from brain.stream.publisher import Publisher, note_failure, publish_all, publish_safely

__all__ = ["Announced", "Announcer", "DirectAnnouncer", "EventDraft", "announcer_for", "write_announced"]

P = TypeVar("P")


class EventDraft(NamedTuple, Generic[P]):
    """An event to be made when somebody wants it; `meta` is laid over the meta of the context."""

    type: EventType[P]
    payload: P
    meta: Mapping[str, Any] | None = None

    def event(self) -> Event:
        """The event, with an id and the time of now. Raises EnvelopeError when the payload does not fit the type."""
        return self.type.event(self.payload, meta=self.meta)


class Announced(NamedTuple):
    """Events of one change, and the `changes` that must be made in the same write as it."""

    events: Sequence[Event] = ()
    changes: Sequence[DocumentChange] = ()


class Announcer(Protocol):
    """Where the events of changes go."""

    def prepare(self, drafts: Iterable[EventDraft[Any]]) -> Announced:
        """Make the events of a change that is about to be written; `drafts` is not looked at when nobody wants them.

        Call it again for another attempt at the write. May raise EnvelopeError: then nothing is to be changed.
        """

    def hand_over(self, announced: Announced) -> None:
        """The change is written: let its events go. Never raises."""

    async def hand_over_async(self, announced: Announced) -> None:
        """As `hand_over`, for coroutines; a foreign stream whose `publish` is a coroutine is given a moment."""


class OutboxStream(ABC):
    """A stream that can take its events from a store."""

    @abstractmethod
    def event_outbox(self, store: Store) -> Announcer:
        """What writes events with the changes of this store, and takes them from there to the stream."""


class DirectAnnouncer:
    """Hands events over after the write. What goes wrong is logged and counted in `failures`, never raised."""

    def __init__(self, stream: Publisher | None) -> None:
        self._stream = stream

    def prepare(self, drafts: Iterable[EventDraft[Any]]) -> Announced:
        """As Announcer says; never raises."""
        if self._stream is None:
            return Announced()
        events = []
        for draft in drafts:
            try:
                events.append(draft.event())
            except Exception as error:  # noqa: BLE001  (business logic goes on; counted and logged)
                note_failure(draft.type.name, error)
        return Announced(events)

    def hand_over(self, announced: Announced) -> None:
        """As Announcer says."""
        for event in announced.events:
            assert self._stream is not None, "without a stream there are no events"
            publish_safely(self._stream, event)

    async def hand_over_async(self, announced: Announced) -> None:
        """As Announcer says."""
        await publish_all(self._stream, announced.events)


def announcer_for(stream: Publisher | None, store: Store) -> Announcer:
    """How the changes of `store` are announced on `stream`; None announces nothing."""
    return stream.event_outbox(store) if isinstance(stream, OutboxStream) else DirectAnnouncer(stream)


def write_announced(
    store: Store, stream: Publisher | None, changes: Sequence[DocumentChange], drafts: Iterable[EventDraft[Any]]
) -> Written:
    """Make the changes with the events that tell of them; what that did to `changes`.

    Raises what `Store.write` raises, and EnvelopeError when the stream would refuse an event; then nothing is changed.
    """
    announcer = announcer_for(stream, store)
    announced = announcer.prepare(drafts)
    written = store.write([*changes, *announced.changes])
    announcer.hand_over(announced)
    return written._replace(versions=written.versions[: len(changes)])
