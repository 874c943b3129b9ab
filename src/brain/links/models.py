"""The words of connectors: their kinds, directions and statuses, and one connector as people see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

CONSUMER = "connectors"
"""Whose rows of the outbox these are."""


class Direction(StrEnum):
    """Which way a connector carries data."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class ConnectorStatus(StrEnum):
    """How a connector is."""

    UNKNOWN = "UNKNOWN"
    """Nothing has come or gone yet."""
    OK = "OK"
    ERROR = "ERROR"
    """The last delivery, run or test failed."""
    STOPPED = "STOPPED"
    """A person has paused it."""


class DeliveryState(StrEnum):
    """Where a stored delivery stands."""

    MAPPED = "mapped"
    """Its events are put."""
    WAITING = "waiting"
    """It came while the connector was paused; resuming maps it."""
    FAILED = "failed"
    """The mapping could not make events of it; kept for `replay`."""


@dataclass(frozen=True, slots=True)
class ConnectorId:
    """A connector of the settings."""

    name: str
    kind: str
    direction: Direction
    origin: str
    """The table of brain.toml that sets it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One connector with its state. Times in Unix seconds."""

    id: ConnectorId
    status: ConnectorStatus = ConnectorStatus.UNKNOWN
    status_since: float | None = None
    error: str | None = None
    paused_by: str | None = None
    last_at: float | None = None
    received: int = 0
    duplicates: int = 0
    refused: int = 0
    failed: int = 0
    sent: int = 0
    waiting: int = 0
    cursor: str | None = field(default=None, repr=False)
    """The last STATE of a tap, in JSON as it came."""
    cursor_at: float | None = None
