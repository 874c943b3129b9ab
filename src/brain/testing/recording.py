"""A stream for unit tests: the real one, in memory, which keeps what was published to it for the test to look at."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from brain.charter import Event
from brain.errors import BrainError, EnvelopeError
from brain.plugins import catalogue
from brain.store import Store
from brain.stream import EventStream
from brain.stream.announcer import Announcer, DirectAnnouncer
from brain.stream.backends.memory import MemoryBackend
from brain.stream.receipt import Receipt
from brain.stream.stream import StreamOptions

_FRAMES = 3  # of who published a faulty event, in the note of its error


class RecordingStream(EventStream):
    """An EventStream on `memory://` with a look at what was published to it; made by a plain call, closed or not.

    What it does is what the stream does on any backend: receipts, refusals, subscriptions, groups, `read`, `stats`.
    `events` holds what a subscriber would get. As programs go on when an event is refused, `events` and
    `get_events_by_type` raise the first of `faults`: no test can overlook it. An event whose payload does not fit its
    declared type is accepted, as by every stream, and is such a fault, since no reader can use it.

    Events of changes are here when the change is made, whatever store it is made in.
    """

    def __init__(self, *, lease: float = 5.0) -> None:
        """`lease` is in seconds, as of `EventStream.open`."""
        super().__init__(StreamOptions("memory://", lease), MemoryBackend())
        self.faults: list[BrainError] = []
        """Why events were refused, or cannot be used by readers. A test that wants a refusal removes it from here."""
        self._forgotten = ""

    @property
    def events(self) -> Sequence[Event]:
        """Every event so far, in the order of the stream. Raises the first fault, if there is one."""
        if self.faults:
            raise self.faults[0]
        return tuple(Event.decode(entry.data) for entry in self._backend.read(self._forgotten, sys.maxsize))

    def get_events_by_type(self, event_type: str) -> list[Event]:
        """The events of this type so far. Raises the first fault, if there is one."""
        return [event for event in self.events if event.type == event_type]

    def clear(self) -> None:
        """Forget all faults, and have `events` begin here; the stream goes on, with all that is stored."""
        self._forgotten = self._backend.tail()
        self.faults.clear()

    def publish_encoded(self, event_id: str, event_type: str, data: bytes, is_clean: bool = False) -> Receipt:
        """As EventStream says."""
        receipt = super().publish_encoded(event_id, event_type, data, is_clean)
        if receipt.refused is None:
            try:
                _check_declared(Event.decode(data))
            except EnvelopeError as error:
                self._note(error)
        return receipt

    def event_outbox(self, store: Store) -> Announcer:
        """What hands the events of changes over right after the write: a test need not wait for them."""
        return DirectAnnouncer(self)

    def _refuse(self, event_id: str, error: Exception) -> Receipt:
        receipt = super()._refuse(event_id, error)
        assert receipt.refused is not None
        self._note(receipt.refused)
        return receipt

    def _note(self, fault: BrainError) -> None:
        outside = [frame for frame in traceback.extract_stack() if not frame.filename.endswith(_OURS)]
        fault.add_note("published here:\n" + "".join(traceback.format_list(outside[-_FRAMES:])).rstrip())
        self.faults.append(fault)


_OURS = (__file__, sys.modules[EventStream.__module__].__file__ or __file__)
"""The files that every publishing goes through."""


def _check_declared(event: Event) -> None:
    """Raises EnvelopeError for what no reader of its declared type can use; a third party's type is not checked."""
    declared = catalogue().get(event.type)
    if declared is None:
        return
    if event.source != declared.source:
        raise EnvelopeError(f"source of {event.type}: {event.source!r} is not {declared.source!r}")
    declared.check(event.payload)
    extra = event.payload.keys() - declared.payload.__annotations__.keys()
    if extra:
        raise EnvelopeError(f"payload of {event.type}: has undeclared keys {', '.join(sorted(extra))}")
