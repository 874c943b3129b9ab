"""SOC alerting as metric families for `/metrics`, besides those of its outbox."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from brain.alerting.alerts import SEVERITIES, AlertState
from brain.alerting.tables import ALERTS, METADATA
from brain.kit.database import OUTAGE, create_tables, reading
from brain.logs import Log

log = Log("brain.soc")


def alert_families(database: sa.Engine, outages: int, bare: int) -> Sequence[Metric]:
    """How many alerts fire, and in this process ticks that failed and pages that went out without their story."""
    firing = GaugeMetricFamily("brain_soc_alerts_firing", "Alerts that fire", labels=["severity"])
    families: list[Metric] = [
        CounterMetricFamily("brain_soc_database_errors", "Times the database failed", outages),
        CounterMetricFamily("brain_soc_pages_without_story", "Pages sent without what happened before", bare),
    ]
    counts: dict[str, int] = {}
    query = sa.select(ALERTS.c.severity, sa.func.count()).where(ALERTS.c.state == AlertState.FIRING.value)
    try:
        create_tables(database, METADATA)
        with reading(database).begin() as db:
            for row in db.execute(query.group_by(ALERTS.c.severity)):
                counts[row[0]] = row[1]
    except OUTAGE as error:
        log.warning("alerts are missing from a scrape: the database does not answer", error=str(error))
        return families
    for severity in SEVERITIES:
        firing.add_metric([severity], counts.get(severity, 0))
    return [firing, *families]
