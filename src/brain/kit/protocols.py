"""What plug-ins provide to each other: one small protocol for each thing, found by `PluginContext.find`.

A plug-in never imports another. The one that has the data names the protocol in `Plugin.provides`. The one that needs
it asks `context.find(AuditProofs)`, and carries on without it where that gives None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from brain.charter import Event


class AuditedEvent(Protocol):
    """An entry of the audit log. Retention deletes an event's bytes; the other fields stay."""

    @property
    def index(self) -> int:
        """Its place in the log, from 0."""

    @property
    def at(self) -> float:
        """The event's own time, in Unix seconds."""

    @property
    def type(self) -> str:
        """The event's type; empty for bytes that are no event."""

    @property
    def event_id(self) -> str | None:
        """The event's id."""

    @property
    def threat(self) -> str | None:
        """The id of the threat that the event is about."""

    @property
    def data(self) -> bytes | None:
        """The exact bytes; None once retention has deleted them."""

    @property
    def event(self) -> Event | None:
        """The event in the bytes; None when they are deleted or no event."""


class AuditEvents(Protocol):
    """Reads the audit log in order. The plug-in `audit` provides it. Both methods block and raise Unavailable."""

    def last_index(self, event_ids: Sequence[str]) -> int | None:
        """The index of the last of these events; None unless all of them are logged."""

    def between(self, first: int, last: int) -> Iterator[AuditedEvent]:
        """The entries from index `first` to `last`, both included, in order."""
