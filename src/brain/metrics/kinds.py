"""The kinds of metrics that users define, and the figures of their values."""

from __future__ import annotations

from enum import StrEnum


class MetricKind(StrEnum):
    """What is kept of the observations."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Statistic(StrEnum):
    """Which figure of a metric's observations in a window."""

    COUNT = "count"
    SUM = "sum"
    RATE = "rate"
    MEAN = "mean"
    LOW = "low"
    HIGH = "high"
    LAST = "last"
