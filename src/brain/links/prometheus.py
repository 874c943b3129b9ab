"""The metrics of connectors for `/metrics`."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from brain.errors import Unavailable
from brain.kit.outbox import outbox_metrics
from brain.links.models import ConnectorStatus
from brain.links.service import ConnectorService
from brain.links.tasks import ConnectorTasks
from brain.logs import Log

log: Log = Log("brain.connectors")

_COUNTERS = {
    "received": "Items that became events",
    "duplicates": "Items that were known",
    "refused": "Deliveries whose signature did not fit",
    "failed": "Deliveries that could not be mapped, and messages that a service refused",
    "sent": "Messages that a service accepted",
}


def connector_metrics(service: ConnectorService, tasks: ConnectorTasks) -> Sequence[Metric]:
    """The counters of each connector, whether it is in error, and the outbox. Blocks. Nothing where none is set up."""
    if not tasks.loops:
        return []
    outages = CounterMetricFamily("brain_connectors_outages", "Steps that failed and are tried again", tasks.outages)
    try:
        found = service.list()
    except Unavailable as error:
        log.warning("a scrape has no figures of connectors: the database does not answer", error=str(error))
        return [outages]
    own = [one for one in found if one.id.origin.startswith("connectors.")]
    families: list[Metric] = [outages]
    for name, help in _COUNTERS.items():
        family = CounterMetricFamily(f"brain_connectors_{name}", help, labels=["connector", "kind"])
        for one in own:
            family.add_metric([one.id.name, one.id.kind], getattr(one, name))
        families.append(family)
    error_family = GaugeMetricFamily("brain_connectors_in_error", "1 for a connector in error", labels=["connector"])
    for one in found:
        error_family.add_metric([one.id.name], float(one.status is ConnectorStatus.ERROR))
    return [*families, error_family, *outbox_metrics(tasks.dispatcher, tasks.shipping)]
