"""One measure of a module or an agent, in steps of five minutes, judged by its learned baseline.

Errors and denials are counted, and judged with each one: a step that is unusual before its end stays so. Durations are
judged by the 95th percentile of a step, at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, NamedTuple

from brain.charter import HealthKind, HealthSeverity
from brain.immune.measures import Measure, SeriesKey
from brain.kit.baseline import Baseline, BaselineSettings, Unusual
from brain.kit.windows import start_of

STEP = 300
"""The width of a step, in seconds."""
SETTINGS = BaselineSettings(least=1.0, quiet=3600.0)
KEPT = int((SETTINGS.memory + max(SETTINGS.spans)) // STEP)
"""Steps that a baseline needs."""
LEAST_COUNT = 5
"""Fewer errors or denials in a step are no trouble, however unusual."""
FIRST_LIMIT = 20
"""So many in a step are trouble while no baseline is known."""
GRAVE = 50
"""So many in a step, and GRAVE_TIMES the highest usual, are CRITICAL."""
GRAVE_TIMES = 10.0
LEAST_DURATIONS = 5
"""A step with fewer durations says nothing of their 95th percentile."""
MOST_DURATIONS = 200
"""Durations kept of a step: the first ones."""
SLOWER = 1.5
"""A percentile is trouble from so many times the usual one, CRITICAL from MUCH_SLOWER times."""
MUCH_SLOWER = 5.0
_NEVER = -1e12  # a time before all others, which databases can store

_DURATIONS = replace(SETTINGS, least=0.01)


class Finding(NamedTuple):
    """Trouble to report: an episode that begins, or one that became CRITICAL."""

    key: SeriesKey
    severity: HealthSeverity
    at: float
    message: str
    details: Mapping[str, Any]


@dataclass
class Series:
    """The state of one series; `take` changes it."""

    key: SeriesKey
    began: int
    step: int
    count: int = 0
    values: list[float] = field(default_factory=list)
    unusual_at: float = _NEVER
    severity: str = ""
    closed: dict[int, float] = field(default_factory=dict)
    """What was closed since the state was read."""
    baseline: Baseline = field(default_factory=Baseline)

    @classmethod
    def begun(cls, measure: Measure) -> Series:
        """A series that begins with this measure, which is still to be given."""
        step = start_of(measure.at, STEP)
        return cls(measure.key, step, step, baseline=Baseline(settings_of(measure.key)))

    @property
    def is_counted(self) -> bool:
        """Whether it counts events, so that a step without any is 0."""
        return self.key.kind is not HealthKind.PERFORMANCE_DEGRADATION

    def take(self, measure: Measure) -> Finding | None:
        """Take a measure; one from before the open step counts in that. What is to be reported."""
        step = start_of(measure.at, STEP)
        found = self._close_until(step) if step > self.step else None
        self.count += 1
        if not self.is_counted:
            if len(self.values) < MOST_DURATIONS:
                self.values.append(measure.value)
            return found
        return self._judge_count(max(measure.at, float(self.step)))

    def _close_until(self, step: int) -> Finding | None:
        found = None
        if self.is_counted:
            self._learn(self.step, float(self.count))
            if step - self.step > KEPT * STEP:
                self.baseline, self.began = Baseline(settings_of(self.key)), step
            else:
                for empty in range(self.step + STEP, step, STEP):
                    self.baseline.see(empty, 0.0)
        elif len(self.values) >= LEAST_DURATIONS:
            taken = sorted(self.values)[ceil(len(self.values) * 0.95) - 1]
            found = self._judge_duration(self._learn(self.step, taken), taken)
        self.step, self.count, self.values = step, 0, []
        return found

    def _learn(self, step: int, value: float) -> Unusual | None:
        if value:
            self.closed[step] = value
        return self.baseline.see(step, value)

    def _judge_count(self, at: float) -> Finding | None:
        if self.count < LEAST_COUNT:
            return None
        usual: dict[str, Any] = {}
        if self.baseline.knows(self.step):
            seen = self.baseline.look(self.step, float(self.count))
            if seen is None or not seen.is_high:
                return None
            grave = self.count >= GRAVE and seen.mean >= GRAVE_TIMES * max(seen.high, 1.0)
            usual = {"usual_high": seen.high, "mean": seen.mean, "mean_minutes": seen.span / 60}
            why = f"usually at most {seen.high:.3g} in 5 min"
        elif self.count >= FIRST_LIMIT:
            grave, why = self.count >= FIRST_LIMIT * 5, "what is usual is not known yet"
        else:
            return None
        denials = self.key.kind is HealthKind.POLICY_VIOLATION
        said = f"{self.key.about}: {self.count} {'denials' if denials else 'errors'} in 5 min; {why}"
        return self._report(at, grave and not denials, said, {"count": self.count, **usual})

    def _judge_duration(self, seen: Unusual | None, taken: float) -> Finding | None:
        if seen is None or not seen.is_high or seen.mean < SLOWER * seen.usual:
            return None
        said = f"{self.key.about}: the 95th percentile of what it does takes {taken:.3g} s, usually {seen.usual:.3g} s"
        details = {"p95_seconds": taken, "usual_seconds": seen.usual, "usual_high": seen.high, "count": self.count}
        return self._report(float(self.step), seen.mean >= MUCH_SLOWER * seen.usual, said, details)

    def _report(self, at: float, grave: bool, message: str, details: Mapping[str, Any]) -> Finding | None:
        """The finding, unless its episode was announced as grave already."""
        severity = HealthSeverity.CRITICAL if grave else HealthSeverity.WARNING
        new = at - self.unusual_at > SETTINGS.quiet
        self.unusual_at = max(at, self.unusual_at)
        if not new and self.severity in (severity, HealthSeverity.CRITICAL):
            return None
        self.severity = severity.value
        about = {"module": self.key.module, "agent_id": self.key.agent or None}
        return Finding(self.key, severity, at, message, {**about, **details})


def settings_of(key: SeriesKey) -> BaselineSettings:
    """How a series of this kind is judged."""
    return _DURATIONS if key.kind is HealthKind.PERFORMANCE_DEGRADATION else SETTINGS
