"""What a real subscriber saw of the demo: counts by type, and the mean time to mitigate."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from brain.charter import Event

CORE_TYPES = (
    "policy.rule_evaluated",
    "policy.rule_created",
    "policy.rule_updated",
    "policy.rule_deleted",
    "policy.rule_enabled",
    "policy.rule_disabled",
    "policy.action_denied",
    "threat.detected",
    "threat.status_changed",
    "threat.escalated",
    "threat.mitigated",
    "immune.event_published",
    "immune.critical_event",
)
"""The 13 types that the seed specification names, and that a demo must show."""


class Tally:
    """Counts events as they come."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.last_id: str = ""
        self.changed: asyncio.Event = asyncio.Event()
        self._durations: list[float] = []

    def add(self, event: Event) -> None:
        """Count one event."""
        self.counts[event.type] += 1
        self.last_id = event.id
        self.changed.set()
        if event.type == "threat.mitigated":
            self._durations.append(float(event.payload["duration_seconds"]))

    @property
    def missing(self) -> list[str]:
        """The core types not seen yet."""
        return [name for name in CORE_TYPES if not self.counts[name]]

    @property
    def mttm_seconds(self) -> float | None:
        """The mean of the seconds from detection to mitigation; None when nothing was mitigated."""
        return sum(self._durations) / len(self._durations) if self._durations else None

    def report(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "events": {name: self.counts[name] for name in dict.fromkeys((*CORE_TYPES, *sorted(self.counts)))},
            "total": self.counts.total(),
            "missing": self.missing,
            "mitigated": len(self._durations),
            "mttm_seconds": self.mttm_seconds,
        }
