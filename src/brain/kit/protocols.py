"""What plug-ins provide to each other: one small protocol for each thing, found by `PluginContext.find`.

A plug-in never imports another. The one that has the data names the protocol in `Plugin.provides`. The one that needs
it asks `context.find(AuditProofs)`, and carries on without it where that gives None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from brain.charter import Event, Severity, ThreatStatus
from brain.kit.health_score import DecisionCounts


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


@dataclass(frozen=True)
class LoggedEvent:
    """An event in the audit log: entry `index` of the tree of `size` entries with that root; hashes in hexadecimal."""

    event_id: str
    index: int
    size: int
    root: str
    leaf_hash: str
    proof: str
    """The path of the whole proof below the server's address."""


class AuditProofs(Protocol):
    """Finds events in the audit log. The plug-in `audit` provides it."""

    def find(self, event_id: str) -> LoggedEvent | None:
        """Where the event is logged, proven against the newest checkpoint; None while it is not logged. Blocks.

        Raises Unavailable when the database does not answer or the log was altered.
        """
        ...


class ThreatMoves(Protocol):
    """Reads and changes the status of threats. The plug-in `threats` provides it.

    Both methods raise Unavailable when the store does not answer.
    """

    async def status(self, threat_id: str) -> ThreatStatus | None:
        """The threat's status; None when no threat has this id."""
        ...

    async def move(self, threat_id: str, status: ThreatStatus, reason: str) -> None:
        """Move the threat and publish that. Raises NotFound, and Conflict for a move that is not allowed."""
        ...


class OpenThreatCounts(Protocol):
    """Counts the threats that are open. The plug-in `threats` provides it."""

    def by_severity(self) -> Mapping[Severity, int] | None:
        """How many wait to be mitigated; None when there never was any threat. Blocks. Raises Unavailable."""
        ...


class DecisionRecord(Protocol):
    """Counts decisions. The plug-in `metrics` provides it."""

    def since(self, at: float) -> DecisionCounts | None:
        """Those since this Unix time; None when nothing was ever counted. Blocks. Raises Unavailable."""
        ...
