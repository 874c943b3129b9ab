"""What events say of the health of modules and agents: an error, a denial, how long something took."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import NamedTuple

from brain import limits
from brain.charter import Event, HealthKind, Pattern

ERRORS = ("*.failed", "*.error", "*_failed", "*_error", "*_timeout", "task.lease_lost")
"""The events that count as errors of the module that their type begins with."""
DENIALS = ("policy.action_denied",)
DURATIONS = {"task.completed": "agent_id", "connector.delivered": "connector_id"}
"""The events that carry `duration_ms`, and the key of who took so long."""
LISTENS = (*ERRORS, *DENIALS, *DURATIONS)

_is_error = Pattern(ERRORS).matches


class SeriesKey(NamedTuple):
    """What is measured: an agent's part in a module; the agent is empty where an event names none."""

    kind: HealthKind
    module: str
    agent: str

    @property
    def about(self) -> str:
        """Whom a health event of it is about."""
        return self.agent or self.module


class Measure(NamedTuple):
    """One more error or denial, or a duration in seconds."""

    key: SeriesKey
    at: float
    value: float


def measures_of(event: Event) -> Iterator[Measure]:
    """What the event says."""
    module = event.type.partition(".")[0][: limits.NAME]
    if module == "immune":
        return
    if event.type in DENIALS:
        yield Measure(SeriesKey(HealthKind.POLICY_VIOLATION, module, _name(event, "agent_id")), event.timestamp, 1.0)
    elif (named := DURATIONS.get(event.type)) is not None:
        taken = event.payload.get("duration_ms")
        if isinstance(taken, int | float) and isfinite(taken) and taken >= 0:
            key = SeriesKey(HealthKind.PERFORMANCE_DEGRADATION, module, _name(event, named))
            yield Measure(key, event.timestamp, taken / 1000)
    elif _is_error(event.type):
        agent = next(filter(None, (_name(event, key) for key in ("agent_id", "connector_id", "robot_id"))), "")
        yield Measure(SeriesKey(HealthKind.ERROR_SPIKE, module, agent), event.timestamp, 1.0)


def _name(event: Event, key: str) -> str:
    value = event.payload.get(key)
    return value[: limits.NAME].replace("\0", "") if isinstance(value, str) else ""
