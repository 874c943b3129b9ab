"""What is counted: the names of the stored series, their units, and the bounds of their histograms.

A point is the part of a series that falls into one bucket of time, for one label: how many observations (`count`), and
their `sum` as a whole number in units of 1/`SCALE` (so that adding up in any order gives the same).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import MappingProxyType

TOTAL = 0
"""The step of the one bucket, 0, that holds everything since the beginning."""
STEPS = (10, 60, 3600)
"""The widths of stored buckets, in seconds."""

OTHER = "other"
"""The label of observations whose own label has no row."""
NONE = "none"
"""The label of an event that gives none."""

EVENTS_BY_TYPE = "events.type"
EVENTS_BY_MODULE = "events.module"
EVENTS_BY_SEVERITY = "events.severity"
DECISIONS_BY_EFFECT = "decisions.effect"
DECISIONS_BY_AGENT = "decisions.agent"  # its sum is how many of them were denials
DECISIONS_BY_ACTION = "decisions.action"  # likewise
EVALUATION = "evaluation"
THREATS_BY_SEVERITY = "threats.severity"
THREATS_BY_STATUS = "threats.status"
STAGE = "stage"
HEALTH_BY_SEVERITY = "health.severity"
HEALTH_BY_KIND = "health.kind"
HEALING_BY_OUTCOME = "healing.outcome"

RANKED = frozenset({EVENTS_BY_TYPE, EVENTS_BY_MODULE, DECISIONS_BY_AGENT, DECISIONS_BY_ACTION})
"""Series whose labels come from outside without a bound; brain.metrics.ranked gives them one."""

DETECT, INVESTIGATE, MITIGATE, RESOLVE = STAGES = ("detect", "investigate", "mitigate", "resolve")
"""The stages of a threat: from the first evidence to detection, and from detection to each of the others."""

SCALE: Mapping[str, int] = MappingProxyType({EVALUATION: 1_000_000_000, STAGE: 1_000_000})
"""How many units of a series' sum make one second; 1 for series that are not listed."""

INFINITY = "+Inf"
_BOUNDS: Mapping[str, Sequence[float]] = {
    EVALUATION: (0.5e-6, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 1e-3, 1e-2),
    STAGE: (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 604_800.0),
}

BINS: Mapping[str, Sequence[tuple[float, str]]] = MappingProxyType(
    {name: (*((bound, repr(bound)) for bound in bounds), (float("inf"), INFINITY)) for name, bounds in _BOUNDS.items()}
)
"""The upper bounds of a series' histogram, in seconds, with how OpenMetrics writes them."""


def bin_series(series: str) -> str:
    """The series that counts the observations of `series` by bin; its labels are `<bound>` or `<label> <bound>`."""
    return f"{series}.le"


def bin_of(series: str, seconds: float) -> str:
    """The bound of the first bin that takes the observation."""
    return BINS[series][bisect_left(_BOUNDS[series], seconds)][1]
