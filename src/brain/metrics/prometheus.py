"""The stored series as metric families for `/metrics` and OTLP. What they count survives restarts.

Names and units after https://prometheus.io/docs/practices/naming/ and the OpenMetrics specification 1.0
(https://prometheus.io/docs/specs/om/open_metrics_spec/): base units, `_total` on counters, exemplars on counters and
histogram buckets only, of at most 128 characters. No label has more values than docs/metrics.md says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar
from sqlalchemy import Connection, Engine, select

from brain.charter import Severity
from brain.errors import Unavailable
from brain.logs import Log
from brain.metrics import series, tables
from brain.metrics.accumulate import EFFECTS, HEALTH_SEVERITIES, KINDS, OUTCOMES, SEVERITIES, STATUSES
from brain.metrics.defined_prometheus import defined_metrics
from brain.metrics.definition_views import show_definitions
from brain.metrics.query import Sums, totals
from brain.metrics.schema import reading_tables
from brain.metrics.series import BINS, OTHER, SCALE, STAGES, bin_series
from brain.metrics.settings import MetricsSettings
from brain.metrics.state import health_scores, open_by_severity, open_threats_at, resolution_rate
from brain.metrics.summary import denial_rates
from brain.metrics.time_range import TimeRange
from brain.plugins import catalogue

log: Log = Log("brain.metrics")

RECENT = 3600
"""Seconds that the gauges of agents and actions look back."""
RESOLVED_WITHIN = 7 * 86_400
"""Seconds that the share of resolved threats looks back."""
EXEMPLAR_CHARACTERS = 128

Exemplars = dict[tuple[str, str], Exemplar]


def stored_metrics(engine: Engine, settings: MetricsSettings, clock: Callable[[], float]) -> list[Metric]:
    """The stored series as metric families, as of now; when the database does not answer, only its `up` gauge, 0."""
    up = GaugeMetricFamily("brain_metrics_database_up", "Whether the database of the series answers")
    try:
        with reading_tables(engine) as connection:
            now = clock()
            found = [*_gather(connection, settings, now), *_defined(connection, now)]
    except Unavailable as error:
        log.warning("stored series missing from /metrics: the database does not answer", error=str(error))
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    return [up, *found]


def _defined(connection: Connection, now: float) -> Iterator[Metric]:
    """What users define: their metrics, and how limits and objectives stand."""
    yield from defined_metrics(connection)
    shown = show_definitions(connection, now)
    crossed = GaugeMetricFamily("brain_limit_crossed", "Label values that are over a limit now", labels=["limit"])
    for limit in shown.limits:
        crossed.add_metric([limit.name], len(limit.crossed))
    left = GaugeMetricFamily("brain_slo_budget_left_ratio", "Share of the error budget that is left", labels=["slo"])
    rates = GaugeMetricFamily("brain_slo_burn_rate", "How fast the budget is spent", labels=["slo", "window"])
    burning = GaugeMetricFamily("brain_slo_burning", "Whether the objective alerts", labels=["slo"])
    for slo in shown.slos:
        left.add_metric([slo.name], slo.budget_left)
        burning.add_metric([slo.name], float(slo.burning_since is not None))
        for window, rate in slo.burn_rates.items():
            rates.add_metric([slo.name, window], rate)
    yield from (crossed, left, rates, burning)


def _gather(connection: Connection, settings: MetricsSettings, now: float) -> Iterator[Metric]:
    everything = TimeRange(0, 1, 1, series.TOTAL)
    names = [*_COUNTERS, series.EVALUATION, series.STAGE, bin_series(series.EVALUATION), bin_series(series.STAGE)]
    found = totals(connection, everything, names)
    examples = _exemplars(connection)
    for name, (metric, meaning, label, known) in _COUNTERS.items():
        counter = CounterMetricFamily(metric, meaning, labels=[label])
        for value, count in _by_known_label(found[name], known()).items():
            counter.add_metric([value], count, exemplar=examples.get((name, value)))
        yield counter
    evaluation = HistogramMetricFamily("brain_policy_evaluation", "How long decisions took", labels=[], unit="seconds")
    _add_histogram(evaluation, series.EVALUATION, "", found, examples)
    yield evaluation
    stages = HistogramMetricFamily(
        "brain_threat_stage",
        "Time from detection of a threat to each stage; detect: from the first evidence to detection",
        labels=["stage"],
        unit="seconds",
    )
    for stage in STAGES:
        _add_histogram(stages, series.STAGE, stage, found, examples)
    yield stages
    yield from _open_threats(connection, now)
    yield from _recent_denials(connection, now, settings.top)
    score = next(score for _, score in health_scores(connection, [now]))
    health = GaugeMetricFamily("brain_health_score", "The fleet's health over the last hour, from 0 to 100")
    if score is not None:  # else nothing is known yet
        health.add_metric([], score)
    yield health


def _event_types() -> Iterable[str]:
    return catalogue()


def _modules() -> Iterable[str]:
    return sorted({declared.module for declared in catalogue().values()})


_COUNTERS: dict[str, tuple[str, str, str, Callable[[], Iterable[str]]]] = {
    series.EVENTS_BY_TYPE: ("brain_events", "Events counted, by declared type", "type", _event_types),
    series.EVENTS_BY_MODULE: ("brain_module_events", "Events counted, by the module they are from", "module", _modules),
    series.EVENTS_BY_SEVERITY: (
        "brain_severity_events",
        "Events counted that name a severity, by that",
        "severity",
        lambda: SEVERITIES,
    ),
    series.DECISIONS_BY_EFFECT: ("brain_policy_decisions", "Decisions by effect", "effect", lambda: EFFECTS),
    series.THREATS_BY_SEVERITY: (
        "brain_threats_detected",
        "Threats detected, by their severity then",
        "severity",
        lambda: Severity,
    ),
    series.THREATS_BY_STATUS: ("brain_threat_moves", "Moves of threats, by the new status", "status", lambda: STATUSES),
    series.HEALTH_BY_SEVERITY: ("brain_health_events", "Health events", "severity", lambda: HEALTH_SEVERITIES),
    series.HEALTH_BY_KIND: ("brain_health_kind_events", "Health events, by what happened", "kind", lambda: KINDS),
    series.HEALING_BY_OUTCOME: ("brain_healing_actions", "Self-healing actions", "outcome", lambda: OUTCOMES),
}
"""Counters by stored series: name, meaning, label, and the values of the label that are always there."""


def _by_known_label(sums: dict[str, Sums], known: Iterable[str]) -> dict[str, int]:
    """Counts of the known values, 0 included, and of all others together."""
    counts = {str(value): 0 for value in (*known, OTHER)}
    for value, (count, _) in sums.items():
        counts[value if value in counts else OTHER] += count
    return counts


def _add_histogram(
    family: HistogramMetricFamily, name: str, label: str, found: dict[str, dict[str, Sums]], examples: Exemplars
) -> None:
    bins = bin_series(name)
    cumulated = 0
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    for _, bound in BINS[name]:
        key = f"{label} {bound}" if label else bound
        cumulated += found[bins].get(key, (0, 0))[0]
        example = examples.get((bins, key))
        buckets.append((bound, cumulated) if example is None else (bound, cumulated, example))
    total = found[name].get(label, (0, 0))[1]
    family.add_metric([label] if label else [], buckets, total / SCALE[name])


def _exemplars(connection: Connection) -> Exemplars:
    found: Exemplars = {}
    for row in connection.execute(select(tables.exemplars)):
        labels = {"trace_id": row.trace_id} if row.trace_id else {}
        correlation = {"correlation_id": row.correlation_id}
        if sum(map(len, (*labels, *labels.values(), *correlation, *correlation.values()))) <= EXEMPLAR_CHARACTERS:
            labels |= correlation
        if labels:
            found[row.series, row.label] = Exemplar(labels, row.value, row.at)
    return found


def _open_threats(connection: Connection, now: float) -> Iterator[Metric]:
    counts = {str(severity): 0 for severity in Severity} | open_by_severity(connection)
    number = GaugeMetricFamily("brain_threats_open", "Threats that are active now", labels=["severity"])
    for severity, count in counts.items():
        number.add_metric([severity], count)
    yield number
    state = open_threats_at(connection, [now])[0]
    for name, meaning, age in (
        ("oldest", "Age of the oldest active threat; 0 without one", state.oldest_age_seconds),
        ("mean", "Mean age of the active threats; 0 without one", state.mean_age_seconds),
    ):
        yield GaugeMetricFamily(f"brain_threats_open_{name}_age", meaning, age or 0.0, unit="seconds")
    ratio = GaugeMetricFamily(
        "brain_threats_resolved_ratio", "Of the threats detected within 7 days, the share mitigated or resolved"
    )
    rate = resolution_rate(connection, now - RESOLVED_WITHIN, now)
    if rate is not None:
        ratio.add_metric([], rate)
    yield ratio


def _recent_denials(connection: Connection, now: float, top: int) -> Iterator[Metric]:
    minute = series.STEPS[1]
    last = int(now // minute + 1) * minute
    by_label = (("agent", series.DECISIONS_BY_AGENT), ("action", series.DECISIONS_BY_ACTION))
    found = totals(connection, TimeRange(last - RECENT, last, minute, minute), [name for _, name in by_label])
    for label, name in by_label:
        meaning = f"in the last hour, by {label}; those with the most denials, and the others together"
        decisions = GaugeMetricFamily(f"brain_policy_{label}_decisions", f"Decisions {meaning}", labels=[label])
        ratio = GaugeMetricFamily(f"brain_policy_{label}_denied_ratio", f"Share of denials {meaning}", labels=[label])
        for rate in denial_rates(found[name], top):
            decisions.add_metric([rate.name], rate.decisions)
            ratio.add_metric([rate.name], rate.denial_rate)
        yield from (decisions, ratio)
