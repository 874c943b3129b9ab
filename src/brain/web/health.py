"""What operators and their tools ask: `/healthz` (the process lives), `/readyz` (it can work), `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from brain.charter import catalogue
from brain.errors import BrainError
from brain.logs import Log
from brain.store import Store
from brain.stream import EventStream, GroupInfo
from brain.stream.publisher import failures

log = Log("brain.health")

PROBE_SECONDS = 2.0
"""How long a part may take to answer before it counts as not ready."""

GROUPS = 100
"""Most consumer groups with series of their own, so that a scrape stays small whatever clients create."""

_OPENMETRICS = "application/openmetrics-text"
_COUNTERS = {
    "accepted": "Events that publish() journalled",
    "stored": "Events of this process that the backend has stored",
    "refused": "Events that publish() could not accept",
    "recovered": "Events of dead processes that this one stored",
    "damaged": "Journal records lost to damage",
    "delivered": "Events handed to consumers with success",
    "retried": "Deliveries tried again",
    "dead": "Events that became dead letters",
}
"""EventStream.stats(), as counters since the process started."""


class Health(BaseModel):
    """Whether the process lives."""

    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    """Whether it can work, part by part."""

    status: str = Field(description="ready, or unready when any part is", examples=["ready"])
    checks: dict[str, str] = Field(description="Each part: ok, or what is wrong", examples=[{"stream": "ok"}])


def health_router(
    stream: EventStream, store: Store, consumers_failed: Callable[[], bool], live_clients: Callable[[], int]
) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["operation"])

    @router.get("/healthz", summary="The process lives")
    async def healthz() -> Health:
        return Health(status="ok")

    @router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}}, summary="All parts answer")
    async def readyz() -> Response:
        checks = {
            "stream": await _probe("stream", lambda: stream.read(limit=1)),
            "store": await _probe("store", lambda: asyncio.to_thread(store.revision, "readyz")),
            "consumers": "stopped; see the log" if consumers_failed() else "ok",
        }
        ready = all(state == "ok" for state in checks.values())
        return JSONResponse({"status": "ready" if ready else "unready", "checks": checks}, 200 if ready else 503)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {_OPENMETRICS: {"schema": {"type": "string"}}}}},
        summary="OpenMetrics for Prometheus",
    )
    async def metrics(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        registry = CollectorRegistry()
        registry.register(_Snapshot(stream.stats(), await stream.groups(), live_clients()))
        encode, media_type = choose_encoder(accept if "text/plain" in accept else _OPENMETRICS)
        return Response(encode(registry), headers={"Content-Type": media_type})

    return router


async def _probe(part: str, ask: Callable[[], Awaitable[object]]) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await ask()
    except TimeoutError:
        return f"no answer within {PROBE_SECONDS:g} s"
    except BrainError as error:
        log.warning("not ready", part=part, error=str(error))
        return f"{error.title.lower()}; see the log"
    return "ok"


class _Snapshot(Collector):
    """What the stream, its groups and the publishers counted, at one moment, as metric families."""

    def __init__(self, stats: Mapping[str, int], groups: Sequence[GroupInfo], live_clients: int) -> None:
        self._stats = stats
        self._groups = groups
        self._live_clients = live_clients

    def collect(self) -> Iterator[Metric]:
        """The families, for prometheus-client."""
        for name, meaning in _COUNTERS.items():
            yield CounterMetricFamily(f"brain_stream_events_{name}", meaning, self._stats[name])
        yield CounterMetricFamily("brain_stream_ship_failures", "Batches not stored", self._stats["ship_failures"])
        yield GaugeMetricFamily("brain_stream_backlog_events", "Events not stored yet", self._stats["backlog"])
        yield self._failures()
        yield from self._group_states()
        yield GaugeMetricFamily("brain_live_clients", "Clients that follow events/live now", self._live_clients)

    @staticmethod
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

    def _group_states(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily("brain_group_lag_events", "Events the group has not been handed yet", labels=["group"])
        pending = GaugeMetricFamily(
            "brain_group_pending_events", "Events handed out, not acknowledged", labels=["group"]
        )
        dead = GaugeMetricFamily("brain_group_dead_letters", "Events the group gave up on", labels=["group"])
        for group in sorted(self._groups, key=lambda group: group.name)[:GROUPS]:
            lag.add_metric([group.name], group.lag)
            pending.add_metric([group.name], group.pending)
            dead.add_metric([group.name], group.dead)
        yield from (lag, pending, dead)
        yield GaugeMetricFamily("brain_groups", "Consumer groups, those without series included", len(self._groups))
