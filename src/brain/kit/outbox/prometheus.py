"""An outbox as metrics for `/metrics`."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from brain.kit.database import OUTAGE, create_tables, reading
from brain.kit.outbox.dispatcher import Dispatcher
from brain.kit.outbox.events import EventShipping, waiting_events
from brain.kit.outbox.table import EVENTS_LABEL, channels, metadata
from brain.logs import Log

log: Log = Log("brain.outbox")


def outbox_metrics(dispatcher: Dispatcher, shipping: EventShipping | None = None) -> Sequence[Metric]:
    """What waits and was refused, from the table, and what this process did. Blocks.

    Named after the consumer, since each has an outbox of its own; the label `channel` has a value for each service set.
    """
    prefix = f"brain_{dispatcher.consumer}_outbox"
    kept = GaugeMetricFamily(f"{prefix}_messages", "Messages kept, by state", labels=["channel", "state"])
    age = GaugeMetricFamily(
        f"{prefix}_oldest_waiting", "Age of the oldest message that waits", labels=["channel"], unit="seconds"
    )
    tries = CounterMetricFamily(
        f"{prefix}_deliveries", "Deliveries of this process, by outcome", labels=["channel", "outcome"]
    )
    failed = dispatcher.database_errors + (shipping.outages if shipping is not None else 0)
    errors = CounterMetricFamily(f"{prefix}_database_errors", "Times the database failed", failed)
    for (channel, outcome), count in sorted(dispatcher.counts.items()):
        tries.add_metric([channel, outcome], count)
    try:
        create_tables(dispatcher.database, metadata)
        with reading(dispatcher.database).begin() as db:
            found = channels(db, dispatcher.consumer)
            events, put_at = waiting_events(db, dispatcher.consumer)
    except OUTAGE as error:
        log.warning("a scrape has no outbox figures: the database does not answer", error=str(error))
        return [tries, errors]
    now = dispatcher.clock()
    for state in found:
        kept.add_metric([state.channel, "waiting"], state.waiting)
        kept.add_metric([state.channel, "refused"], state.refused)
        kept.add_metric([state.channel, "sent"], state.sent)
        oldest = now if state.oldest_waiting_at is None else state.oldest_waiting_at
        age.add_metric([state.channel], max(0.0, now - oldest))
    if shipping is not None:
        kept.add_metric([EVENTS_LABEL, "waiting"], events)
        age.add_metric([EVENTS_LABEL], 0.0 if put_at is None else max(0.0, now - put_at))
    return [kept, age, tries, errors]
