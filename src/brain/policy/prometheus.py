"""Metrics of an engine and its part of `/readyz`: whether it follows its store."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from brain.policy.engine import PolicyEngine
from brain.policy.metered import MeteredEngine

READY_SECONDS = 10.0
"""How old rules may be in a process that is ready, unless `max_rules_age` is less: some 200 looks, or several that are
each given up after the longest time that a store may take to answer.
"""


def metrics(engine: PolicyEngine) -> Sequence[Metric]:
    """What the engine counted, at this moment."""
    metered = engine.meter.failures if isinstance(engine, MeteredEngine) else 0
    return [
        CounterMetricFamily("brain_policy_usage_failures", "Leases and reads of usage that failed", metered),
        GaugeMetricFamily(
            "brain_policy_rules_age_seconds",
            "Time since the last successful look at the stored rules",
            engine.rules_age,
            unit="seconds",
        ),
        CounterMetricFamily(
            "brain_policy_follow_failures", "Looks at the stored rules that failed", engine.follow_failures
        ),
        CounterMetricFamily(
            "brain_policy_follower_restarts", "Times a dead follower thread was replaced", engine.follower_restarts
        ),
        CounterMetricFamily(
            "brain_policy_store_losses", "Times the store came back with less than was known here", engine.losses
        ),
    ]


def readiness(engine: PolicyEngine) -> str:
    """`ok`, or that the rules were not read for too long."""
    age, limit = engine.rules_age, min(READY_SECONDS, engine.max_rules_age or inf)
    if age <= limit:
        return "ok"
    denied = " and every action is denied" if engine.max_rules_age is not None else ""
    return f"last read from the store {age:.0f} s ago, {limit:g} s are allowed{denied}; see the log"
