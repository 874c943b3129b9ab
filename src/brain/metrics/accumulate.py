"""Accumulation: what events add to the series, as a pure function of the events in their order.

Every event counts in the bucket of its own timestamp, however late it comes. Payloads are read with care: a type is
declared, but nothing keeps a third party from publishing it with something else inside.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from brain.charter import Effect, Event, HealthKind, HealthSeverity, Severity, ThreatStatus
from brain.metrics import series
from brain.stream.tracing import traceparent_in
from brain.text import clip_text
from brain.times import LONGEST

LABEL_CHARACTERS = 200

EFFECTS = tuple(map(str, Effect))
SEVERITIES = tuple(dict.fromkeys(map(str, (*Severity, *HealthSeverity))))
HEALTH_SEVERITIES = tuple(map(str, HealthSeverity))
STATUSES = tuple(map(str, ThreatStatus))
KINDS = tuple(map(str, HealthKind))
OUTCOMES = ("healed", "failed")
_POINTS_OFF = frozenset({HealthSeverity.WARNING, HealthSeverity.CRITICAL})
_ABOUT_THREATS = frozenset({"threat.detected", "threat.updated", "threat.status_changed", "threat.mitigated"})


_DENY = str(Effect.DENY)

Observation = tuple[int, str, int]
"""The start of a bucket of 10 s, a label and a value."""


@dataclass(slots=True)
class Cell:
    """What is added to a point."""

    count: int = 0
    sum: int = 0


@dataclass(frozen=True, slots=True)
class Exemplar:
    """The last event counted in a point: its correlation id, its trace, the observed value, its time (Unix seconds)."""

    correlation_id: str
    trace_id: str
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class HealthRow:
    """A health event that the health score depends on; `at` is in Unix seconds."""

    event_id: str
    position: str
    at: float
    severity: str
    kind: str
    module: str
    outcome: str
    correlation_id: str


@dataclass(slots=True)
class Increments:
    """What some events add.

    `cells` are by the start of a bucket of 10 s (Unix seconds), series and label. `ranked` has the single observations
    (bucket, label, value) of each series whose labels must be bounded, in order. `first` is the position
    of a bucket's first event. `latest` is the last event of a point that has exemplars, with the observed value.
    `threats` are the events whose effect depends on the threat's earlier events: see brain.metrics.threat_stages.
    """

    cells: defaultdict[tuple[int, str, str], Cell] = field(default_factory=lambda: defaultdict(Cell))
    ranked: defaultdict[str, list[tuple[int, str, int]]] = field(default_factory=lambda: defaultdict(list))
    first: dict[int, str] = field(default_factory=dict)
    latest: dict[tuple[str, str], tuple[Event, float]] = field(default_factory=dict)
    health: list[HealthRow] = field(default_factory=list)
    threats: list[tuple[str, Event]] = field(default_factory=list)

    def add(self, bucket: int, name: str, label: str, value: int = 0) -> None:
        """One observation."""
        cell = self.cells[bucket, name, label]
        cell.count += 1
        cell.sum += value
        if name in series.RANKED:
            self.ranked[name].append((bucket, label, value))

    def add_each(self, name: str, observations: Sequence[Observation]) -> None:
        """All observations of a series, in order; labels from outside are made to fit here, each once."""
        counts = Counter(observations)
        labels = {label: text(label) if name in series.RANKED else label for _, label, _ in counts}
        for (bucket, label, value), count in counts.items():
            cell = self.cells[bucket, name, labels[label]]
            cell.count += count
            cell.sum += count * value
        if name in series.RANKED:
            if any(label != written for label, written in labels.items()):
                observations = [(bucket, labels[label], value) for bucket, label, value in observations]
            self.ranked[name] += observations

    def observe(self, event: Event, name: str, label: str, seconds: float) -> None:
        """One duration, in the histogram of its series too."""
        bucket = bucket_of(event.timestamp)
        self.add(bucket, name, label, round(seconds * series.SCALE[name]))
        bins, bound = series.bin_series(name), series.bin_of(name, seconds)
        bin_label = f"{label} {bound}" if label else bound
        self.add(bucket, bins, bin_label)
        self.latest[bins, bin_label] = (event, seconds)


def accumulate(events: Iterable[tuple[str, Event]]) -> Increments:
    """What these events (with their positions) add, apart from what depends on the threats known before."""
    increments = Increments()
    types: list[Observation] = []
    modules: list[Observation] = []
    decisions: list[tuple[int, Event]] = []
    for position, event in events:
        bucket = bucket_of(event.timestamp)
        if bucket not in increments.first:
            increments.first[bucket] = position
        types.append((bucket, event.type, 0))
        modules.append((bucket, event.source.removesuffix("_service"), 0))
        severity = event.payload.get("severity")
        if severity is not None:
            increments.add(bucket, series.EVENTS_BY_SEVERITY, one_of(SEVERITIES, severity))
        if event.type == "policy.rule_evaluated":
            decisions.append((bucket, event))
        elif event.type == "immune.event_published":
            _add_health(increments, bucket, position, event)
        elif event.type in _ABOUT_THREATS:
            _add_threat(increments, bucket, position, event)
    increments.add_each(series.EVENTS_BY_TYPE, types)
    increments.add_each(series.EVENTS_BY_MODULE, modules)
    _add_decisions(increments, decisions)
    return increments


def _add_decisions(increments: Increments, decisions: Sequence[tuple[int, Event]]) -> None:
    effects: list[Observation] = []
    agents: list[Observation] = []
    actions: list[Observation] = []
    for bucket, event in decisions:
        payload = event.payload
        effect = one_of(EFFECTS, payload.get("effect"))
        denied = int(effect == _DENY)
        effects.append((bucket, effect, 0))
        agent, action = payload.get("agent_id"), payload.get("action")
        agents.append((bucket, agent if agent.__class__ is str else text(agent), denied))
        actions.append((bucket, action if action.__class__ is str else text(action), denied))
        increments.latest[series.DECISIONS_BY_EFFECT, effect] = (event, 1.0)
    increments.add_each(series.DECISIONS_BY_EFFECT, effects)
    increments.add_each(series.DECISIONS_BY_AGENT, agents)
    increments.add_each(series.DECISIONS_BY_ACTION, actions)
    _add_evaluations(increments, decisions)


def _add_evaluations(increments: Increments, decisions: Sequence[tuple[int, Event]]) -> None:
    """How long the decisions took, as `observe` does for one."""
    name = series.EVALUATION
    bins, scale = series.bin_series(name), series.SCALE[name]
    times: list[Observation] = []
    bounds: list[Observation] = []
    for bucket, event in decisions:
        took = number(event.payload.get("evaluation_time_us"), most=60e6)
        if took is not None:
            seconds = took / 1e6
            bound = series.bin_of(name, seconds)
            times.append((bucket, "", round(seconds * scale)))
            bounds.append((bucket, bound, 0))
            increments.latest[bins, bound] = (event, seconds)
    increments.add_each(name, times)
    increments.add_each(bins, bounds)


def _add_health(increments: Increments, bucket: int, position: str, event: Event) -> None:
    payload = event.payload
    severity, kind = one_of(HEALTH_SEVERITIES, payload.get("severity")), one_of(KINDS, payload.get("kind"))
    increments.add(bucket, series.HEALTH_BY_SEVERITY, severity)
    increments.add(bucket, series.HEALTH_BY_KIND, kind)
    outcome = ""
    if kind == HealthKind.SELF_HEALING_ACTION:
        details = payload.get("details")
        said = details.get("outcome") if isinstance(details, Mapping) else None
        outcome = one_of(OUTCOMES, said)
        increments.add(bucket, series.HEALING_BY_OUTCOME, outcome)
    if severity == series.OTHER or kind == series.OTHER or not (outcome or severity in _POINTS_OFF):
        return
    increments.health.append(
        HealthRow(
            text(event.id),
            position,
            event.timestamp,
            severity,
            kind,
            text(payload.get("module")),
            outcome,
            correlation_of(event),
        )
    )


def _add_threat(increments: Increments, bucket: int, position: str, event: Event) -> None:
    payload = event.payload
    if event.type == "threat.detected":
        increments.add(bucket, series.THREATS_BY_SEVERITY, one_of(SEVERITIES, payload.get("severity")))
    elif event.type == "threat.status_changed":
        increments.add(bucket, series.THREATS_BY_STATUS, one_of(STATUSES, payload.get("new_status")))
    elif event.type == "threat.mitigated":
        took = number(payload.get("duration_seconds"))
        if took is not None:
            increments.observe(event, series.STAGE, series.MITIGATE, took)
        return
    if isinstance(payload.get("threat_id"), str):
        increments.threats.append((position, event))


def bucket_of(timestamp: float, step: int = series.STEPS[0]) -> int:
    """The start of the bucket that the time (Unix seconds) falls into."""
    return int(timestamp // step) * step


def number(value: object, most: float = LONGEST) -> float | None:
    """The value as a duration; None when it is no number from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return float(value)


def one_of(names: Sequence[str], value: object) -> str:
    """The value when it is one of the names, else OTHER."""
    return value if isinstance(value, str) and value in names else series.OTHER


def text(value: object) -> str:
    """The value as a label: at most LABEL_CHARACTERS, without NUL, which PostgreSQL does not take; NONE for nothing."""
    if value.__class__ is str and 0 < len(value) <= LABEL_CHARACTERS and "\0" not in value:
        return value  # nearly all of them, and this is the hot path
    if value is None or value == "":
        return series.NONE
    written = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return clip_text(written, LABEL_CHARACTERS, ellipsis="")


def correlation_of(event: Event) -> str:
    """The event's correlation id; its own id when it has none."""
    correlation_id: Any = event.meta["correlation_id"]
    return text(correlation_id or event.id)


def exemplar_of(event: Event, value: float) -> Exemplar:
    """The event as an example of those counted."""
    parent = event.meta.get("traceparent")
    parent = traceparent_in(parent) if isinstance(parent, str) else None
    return Exemplar(correlation_of(event), parent.split("-")[1] if parent else "", value, event.timestamp)
