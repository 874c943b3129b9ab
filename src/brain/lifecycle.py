"""Which moves a threat and an incident may make: one table each, and what follows from a table."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from brain.charter import Event, IncidentState, ThreatStatus
from brain.errors import Conflict

S = TypeVar("S", bound=StrEnum)


class Lifecycle(Mapping[S, tuple[S, ...]]):
    """The states of one kind of thing, and for each the states that it may move to."""

    def __init__(self, kind: str, moves: Mapping[S, tuple[S, ...]]) -> None:
        self.kind = kind
        self._moves = MappingProxyType(dict(moves))

    def __getitem__(self, state: S) -> tuple[S, ...]:
        return self._moves[state]

    def __iter__(self) -> Iterator[S]:
        return iter(self._moves)

    def __len__(self) -> int:
        return len(self._moves)

    def check(self, name: object, old: S, new: S) -> None:
        """Raise Conflict, listing the allowed moves, when the one called `name` cannot move from `old` to `new`."""
        if new not in self[old]:
            allowed = ", ".join(self[old]) or "none, that is final"
            raise Conflict(f"{self.kind} {name} is {old} and cannot move to {new}; allowed: {allowed}")

    def shortest_path(self, old: S, new: S) -> tuple[S, ...]:
        """The fewest moves that lead from `old` to `new`; empty when they are the same, or when none lead there."""
        waiting: deque[tuple[S, ...]] = deque([(old,)])
        seen = {old}
        while waiting:
            path = waiting.popleft()
            if path[-1] == new:
                return path[1:]
            for state in self[path[-1]]:
                if state not in seen:
                    seen.add(state)
                    waiting.append((*path, state))
        return ()


THREAT_MOVES: Lifecycle[ThreatStatus] = Lifecycle(
    "threat",
    {
        ThreatStatus.OPEN: (
            ThreatStatus.INVESTIGATING,
            ThreatStatus.ESCALATED,
            ThreatStatus.MITIGATED,
            ThreatStatus.IGNORED,
        ),
        ThreatStatus.INVESTIGATING: (ThreatStatus.ESCALATED, ThreatStatus.MITIGATED, ThreatStatus.IGNORED),
        ThreatStatus.ESCALATED: (ThreatStatus.INVESTIGATING, ThreatStatus.MITIGATED, ThreatStatus.IGNORED),
        # Back to work when the mitigation did not hold.
        ThreatStatus.MITIGATED: (ThreatStatus.INVESTIGATING, ThreatStatus.ESCALATED, ThreatStatus.RESOLVED),
        # The end: see EVIDENCE_MOVES for what comes after.
        ThreatStatus.RESOLVED: (),
        # It was no false positive after all.
        ThreatStatus.IGNORED: (ThreatStatus.OPEN,),
    },
)
"""RESOLVED is reached through MITIGATED alone, so that every resolved threat has its duration."""


class EvidenceMove(NamedTuple):
    """The status of a threat after evidence joined it: when its severity stays, and when that rises."""

    grows: ThreatStatus
    worsens: ThreatStatus


EVIDENCE_MOVES: Mapping[ThreatStatus, EvidenceMove | None] = MappingProxyType(
    {
        # It asks for work already; a rise of its severity is news besides.
        ThreatStatus.OPEN: EvidenceMove(ThreatStatus.OPEN, ThreatStatus.OPEN),
        ThreatStatus.INVESTIGATING: EvidenceMove(ThreatStatus.INVESTIGATING, ThreatStatus.INVESTIGATING),
        ThreatStatus.ESCALATED: EvidenceMove(ThreatStatus.ESCALATED, ThreatStatus.ESCALATED),
        # The mitigation did not hold; when it got worse besides, a person should act now.
        ThreatStatus.MITIGATED: EvidenceMove(ThreatStatus.INVESTIGATING, ThreatStatus.ESCALATED),
        # The end: the same attacker seen again is a new threat.
        ThreatStatus.RESOLVED: None,
        # A person said that it is none; only a person takes that back.
        ThreatStatus.IGNORED: EvidenceMove(ThreatStatus.IGNORED, ThreatStatus.IGNORED),
    }
)
"""What new evidence makes of a threat, by the status it finds; None: it is evidence of a new threat."""

ACTIVE_THREAT = frozenset({ThreatStatus.OPEN, ThreatStatus.INVESTIGATING, ThreatStatus.ESCALATED})
"""The statuses of a threat that still asks for work."""

_LARGEST_VERSION = (1 << 63) - 1  # what a database's BIGINT holds


def version_of(event: Event) -> int:
    """Which change of its threat the event tells of, counted from 1; 0 when it was stored before there were versions.

    Of two events about one threat the one with the higher version is the later, whatever their times or places say.
    """
    version = event.payload.get("version")
    return version if version.__class__ is int and 0 < version <= _LARGEST_VERSION else 0


INCIDENT_MOVES: Lifecycle[IncidentState] = Lifecycle(
    "incident",
    {
        IncidentState.NEW: (IncidentState.IN_PROGRESS, IncidentState.ON_HOLD, IncidentState.RESOLVED),
        IncidentState.IN_PROGRESS: (IncidentState.ON_HOLD, IncidentState.RESOLVED),
        IncidentState.ON_HOLD: (IncidentState.IN_PROGRESS, IncidentState.RESOLVED),
        # Back to work when the solution did not hold.
        IncidentState.RESOLVED: (IncidentState.IN_PROGRESS, IncidentState.CLOSED),
        # The end: the same cause coming back is a new incident, linked to this one.
        IncidentState.CLOSED: (),
    },
)
"""CLOSED is reached through RESOLVED alone, so that every closed incident has its duration."""

OPEN_INCIDENT = frozenset({IncidentState.NEW, IncidentState.IN_PROGRESS, IncidentState.ON_HOLD})
"""The states of an incident that is not over."""
