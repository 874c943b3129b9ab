"""An outbox as metrics for `/metrics`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from brain.kit.database import OUTAGE, create_tables, reading
from brain.kit.outbox.dispatcher import Dispatcher
from brain.kit.outbox.events import EventShipping, waiting_events
from brain.kit.outbox.table import EVENTS_LABEL, channels, metadata
from brain.logs import Log

log: Log = Log("brain.outbox")


def shipping_metrics(shipping: EventShipping) -> Sequence[Metric]:
    """The events of a consumer that wait, for one that sends nothing else. Blocks."""
    prefix = f"brain_{shipping.consumer}_outbox"
    errors = CounterMetricFamily(f"{prefix}_database_errors", "Times the database failed", shipping.outages)
    kept, age = _families(prefix)
    try:
        create_tables(shipping.database, metadata)
        with reading(shipping.database).begin() as db:
            count, put_at = waiting_events(db, shipping.consumer)
    except OUTAGE as error:
        log.warning("a scrape has no outbox figures: the database does not answer", error=str(error))
        return [errors]
    _add_events(kept, age, count, put_at, time.time())
    return [kept, age, errors]


def outbox_metrics(dispatcher: Dispatcher, shipping: EventShipping | None = None) -> Sequence[Metric]:
    """What waits and was refused, from the table, and what this process did. Blocks.

    Named after the consumer, since each has an outbox of its own; the label `channel` has a value for each service set.
    """
    prefix = f"brain_{dispatcher.consumer}_outbox"
    kept, age = _families(prefix)
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
        _add_events(kept, age, events, put_at, now)
    return [kept, age, tries, errors]


def _families(prefix: str) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
    kept = GaugeMetricFamily(f"{prefix}_messages", "Messages kept, by state", labels=["channel", "state"])
    words = "Age of the oldest message that waits"
    return kept, GaugeMetricFamily(f"{prefix}_oldest_waiting", words, labels=["channel"], unit="seconds")


def _add_events(kept: GaugeMetricFamily, age: GaugeMetricFamily, count: int, put_at: float | None, now: float) -> None:
    kept.add_metric([EVENTS_LABEL, "waiting"], count)
    age.add_metric([EVENTS_LABEL], 0.0 if put_at is None else max(0.0, now - put_at))
