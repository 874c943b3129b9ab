"""What `brain doctor --reconcile` compares: the state that a plug-in keeps in the store, with the events about it.

For a store that was written by versions whose state and event were two writes, and for one that was restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from brain.charter import Event

NO_EVENT = "no event tells of it"
NO_STATE = "events tell of it, and the store does not have it"


class Reconciled(NamedTuple):
    """How many items were compared, how many are older than the events that are kept, and what differs, one each."""

    compared: int
    too_old: int
    differences: Sequence[str]


class Reconciliation(Protocol):
    """One kind of state. It reads the state when it is made, then takes the events, the oldest first."""

    @property
    def subject(self) -> str:
        """What it is about, in the plural."""

    @property
    def event_types(self) -> Sequence[str]:
        """The events that it takes."""

    def take(self, event: Event) -> None:
        """Note what the event says."""

    def reconciled(self, since: float) -> Reconciled:
        """What differs, when all events since that Unix time are kept. Looks again at what the store did not have."""
