"""What is reported of a crossing: a limit may be a threat, an objective that burns is a matter of health."""

from __future__ import annotations

from sqlalchemy import Connection

from brain.charter import HealthKind, HealthSeverity, Severity
from brain.kit.outbox import put_health, put_threat
from brain.kit.protocols import HealthReport, ThreatReport
from brain.metrics.announce import CONSUMER
from brain.metrics.definition_store import Defined
from brain.metrics.watch import SLO, Key, Watched

DENIALS = ("denials", "denial_rate")
DENIALS_THREAT = "excessive_denials"
"""The type of the threat when a limit on denials by agent names none."""


def report_crossing(db: Connection, key: Key, watched: Watched, defined: Defined, now: float) -> None:
    """Report it in the transaction that stores it; `now` is in Unix seconds."""
    if key[0] == SLO:
        put_health(db, CONSUMER, _health_report(key, watched, defined), now, key=_reading(key, watched))
    elif (threat := _threat_report(key, watched, defined)) is not None:
        put_threat(db, CONSUMER, threat, now)


def _reading(key: Key, watched: Watched) -> str:
    rate = watched.details.get("burn_limit", "")
    return f"metrics {' '.join(key)} {watched.state.since} {rate}"[:250]


def _health_report(key: Key, watched: Watched, defined: Defined) -> HealthReport:
    name, details = key[1], watched.details
    module = defined.slos[name].module if name in defined.slos else ""
    message = (
        f"objective {name} burns its error budget {details['burn_rate']:.3g} times too fast "
        f"({details['burn_rate_short']:.3g} of late); {details['budget_left']:.1%} are left"
    )
    return HealthReport(
        HealthSeverity.CRITICAL, HealthKind.PERFORMANCE_DEGRADATION, module or f"slo {name}", message, dict(details)
    )


def _threat_report(key: Key, watched: Watched, defined: Defined) -> ThreatReport | None:
    _, name, label = key
    limit = defined.limits.get(name)
    if limit is None:
        return None
    kind = limit.threat
    if kind is None and limit.metric in DENIALS and limit.by == "agent" and limit.above is not None:
        kind = DENIALS_THREAT
    if kind is None:
        return None
    details = watched.details
    description = (
        f"limit {name}: {limit.metric} is {details['value']:g} in {limit.window_seconds} s, "
        f"{details['direction']} {details['limit']:g}"
    )
    return ThreatReport(
        kind, label or limit.metric, Severity.HIGH, description, _reading(key, watched), {"limit": dict(details)}
    )
