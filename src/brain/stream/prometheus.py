"""What the stream, its groups and the publishers counted, at one moment, as metric families for prometheus-client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar

from brain.errors import Unavailable
from brain.logs import Log
from brain.plugins import catalogue
from brain.stream.backends import GroupInfo
from brain.stream.event_outbox import COUNTED, EventOutbox, outbox_state
from brain.stream.publisher import failures
from brain.stream.store_delays import BOUNDS, StoreDelays
from brain.stream.stream import EventStream

log: Log = Log("brain.prometheus")

GROUPS = 100
"""Most consumer groups with series of their own, so that a scrape stays small whatever clients create."""

_COUNTERS = {
    "accepted": "Events that publish() journalled",
    "stored": "Events of this process that the backend has stored",
    "refused": "Events that publish() could not accept",
    "recovered": "Events of dead processes that this one stored",
    "damaged": "Journal records lost to damage",
    "delivered": "Events handed to consumers with success",
    "failed": "Attempts at an event that failed: the handler raised, or was over its time",
    "retried": "Deliveries tried again",
    "dead": "Events that became dead letters",
}
"""EventStream.stats(), as counters since the process started."""


async def stream_metrics(stream: EventStream) -> list[Metric]:
    """The families of the stream; without those of its groups when the backend does not answer."""
    outboxes = await stream.call(lambda: list(_of_outboxes(stream.outboxes)))
    up = GaugeMetricFamily("brain_stream_backend_up", "Whether the stream's backend answers")
    try:
        groups = await stream.groups()
    except Unavailable as error:
        log.warning("the backend does not answer; this scrape has no series of groups", error=str(error))
        up.add_metric([], 0)
        return [*_of_process(stream.stats(), stream.store_delays), *outboxes, up]
    up.add_metric([], 1)
    return [*_of_process(stream.stats(), stream.store_delays), *outboxes, up, *_of_groups(groups)]


def _of_process(stats: Mapping[str, int], delays: StoreDelays | None) -> Iterator[Metric]:
    for name, meaning in _COUNTERS.items():
        yield CounterMetricFamily(f"brain_stream_events_{name}", meaning, stats[name])
    yield CounterMetricFamily("brain_stream_ship_failures", "Batches not stored", stats["ship_failures"])
    yield CounterMetricFamily(
        "brain_consumer_restarts", "Consumer tasks that ended and were started again", stats["restarts"]
    )
    yield GaugeMetricFamily("brain_handlers_hanging", "Handlers that run on over their time", stats["hanging"])
    yield GaugeMetricFamily("brain_stream_backlog_events", "Events not stored yet", stats["backlog"])
    yield _failures()
    if delays is not None:
        yield _delays(delays)


def _of_outboxes(outboxes: Sequence[EventOutbox]) -> Iterator[Metric]:
    """What waits in the stores to be announced; blocks. Without the gauges when a store does not answer."""
    yield CounterMetricFamily(
        "brain_announcements_shipped", "Events of stored changes taken to the stream", sum(o.shipped for o in outboxes)
    )
    yield CounterMetricFamily(
        "brain_announcements_failures", "Attempts to do so that failed", sum(o.failures for o in outboxes)
    )
    try:
        states = [outbox_state(outbox.store) for outbox in outboxes]
    except Unavailable as error:
        log.warning("a store does not answer; this scrape does not say what waits in it", error=str(error))
        return
    waiting = sum(state.waiting for state in states)
    oldest = max((state.oldest_seconds for state in states), default=0.0)
    yield GaugeMetricFamily("brain_announcements_waiting", f"Changes not announced yet, up to {COUNTED}", waiting)
    age = GaugeMetricFamily("brain_announcements_oldest", "How long the oldest of them waits", unit="seconds")
    age.add_metric([], oldest)
    yield age


def _failures() -> Metric:
    family = CounterMetricFamily("brain_publish_failures", "Events modules could not hand over", labels=["type"])
    known = catalogue()
    other = 0
    for event_type, count in sorted(failures.items()):
        if event_type in known:
            family.add_metric([event_type], count)
        else:
            other += count
    family.add_metric(["other"], other)
    return family


def _delays(delays: StoreDelays) -> Metric:
    family = HistogramMetricFamily(
        "brain_stream_store_delay",
        "Age of the oldest event of each batch, by its own timestamp, when the backend had stored it",
        labels=[],
        unit="seconds",
    )
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    cumulated = 0
    for bound, count, example in zip((*map(repr, BOUNDS), "+Inf"), delays.counts, delays.examples, strict=True):
        cumulated += count
        if example is None:
            buckets.append((bound, cumulated))
        else:
            labels = {"event_id": example.event_id} if len(example.event_id) <= 120 else {}
            buckets.append((bound, cumulated, Exemplar(labels, example.seconds, example.at)))
    family.add_metric([], buckets, delays.sum)
    return family


def _of_groups(groups: Sequence[GroupInfo]) -> Iterator[Metric]:
    lag = GaugeMetricFamily("brain_group_lag_events", "Events the group has not been handed yet", labels=["group"])
    pending = GaugeMetricFamily("brain_group_pending_events", "Events handed out, not acknowledged", labels=["group"])
    dead = GaugeMetricFamily("brain_group_dead_letters", "Events the group gave up on", labels=["group"])
    for group in sorted(groups, key=lambda group: group.name)[:GROUPS]:
        lag.add_metric([group.name], group.lag)
        pending.add_metric([group.name], group.pending)
        dead.add_metric([group.name], group.dead)
    yield from (lag, pending, dead)
    yield GaugeMetricFamily("brain_groups", "Consumer groups, those without series included", len(groups))
