"""The metrics of alerting for `/metrics`, besides those of its outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from brain.alerting.models import AlertState
from brain.alerting.tables import ALERTS, METADATA
from brain.charter import Severity
from brain.kit.database import OUTAGE, create_tables, reading
from brain.logs import Log

log: Log = Log("brain.alerting")


def alert_metrics(
    database: sa.Engine, outages: int, without_events: int, failed: Mapping[str, int]
) -> Sequence[Metric]:
    """The alerts that fire and those that reached nobody, and what this process counted. Blocks.

    `failed` are the messages that failed, by notifier.
    """
    failures = CounterMetricFamily(
        "brain_alerting_notifications_failed", "Messages, or addresses of them, that were refused", labels=["notifier"]
    )
    for notifier, count in sorted(failed.items()):
        failures.add_metric([notifier], count)
    firing = GaugeMetricFamily("brain_alerting_alerts_firing", "Alerts that fire", labels=["severity"])
    metrics: list[Metric] = [
        CounterMetricFamily("brain_alerting_database_errors", "Times the database failed", outages),
        CounterMetricFamily("brain_alerting_pages_without_events", "Pages sent without their events", without_events),
        failures,
    ]
    counts: dict[str, int] = {}
    query = sa.select(ALERTS.c.severity, sa.func.count()).where(ALERTS.c.state == AlertState.FIRING.value)
    try:
        create_tables(database, METADATA)
        with reading(database).begin() as db:
            for row in db.execute(query.group_by(ALERTS.c.severity)):
                counts[row[0]] = row[1]
    except OUTAGE as error:
        log.warning("a scrape has no alerts: the database does not answer", error=str(error))
        return metrics
    for severity in Severity:
        firing.add_metric([severity], counts.get(severity, 0))
    return [firing, *metrics]
