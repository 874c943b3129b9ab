"""What a stream refused to take: counted by reason, and logged, though a full disk refuses thousands a second."""

from __future__ import annotations

import time
from collections import Counter

from brain.errors import BrainError, EnvelopeError
from brain.logs import Log

log: Log = Log("brain.stream")

SAY_EVERY = 1.0
"""Seconds between two log lines about the same reason."""


class Refusals:
    """The events that one process's stream refused."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How many, by the name of the error."""
        self._logged: dict[str, float] = {}

    def note(self, event_id: str, error: Exception) -> BrainError:
        """Count and log a refusal; the error to name in its receipt."""
        reason, now = type(error).__name__, time.monotonic()
        self.counts[reason] += 1
        if now - self._logged.get(reason, 0.0) >= SAY_EVERY:
            self._logged[reason] = now
            total = self.counts[reason]
            log.error("an event was refused", reason=reason, error=str(error), event_id=event_id, total=total)
        if isinstance(error, BrainError):
            return error
        return EnvelopeError(f"event: cannot be published: {reason}: {error}")
