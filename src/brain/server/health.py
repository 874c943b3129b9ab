"""What operators and their tools ask: `/healthz` (the process lives), `/readyz` (it can work), `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from brain.errors import BrainError
from brain.logs import Log
from brain.store import Store
from brain.stream import EventStream
from brain.stream.prometheus import stream_metrics

log = Log("brain.health")

PROBE_SECONDS = 2.0
"""How long a part may take to answer before it counts as not ready."""

_TROUBLES = 5  # of one part, said one by one
_OPENMETRICS = "application/openmetrics-text"
_TEXT = "text/plain"


class Health(BaseModel):
    """Whether the process lives."""

    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    """Whether it can work, part by part."""

    status: str = Field(description="ready, or unready when any part is", examples=["ready"])
    checks: dict[str, str] = Field(description="Each part: ok, or what is wrong", examples=[{"stream": "ok"}])


def health_router(
    stream: EventStream,
    store: Store,
    parts: Mapping[str, Callable[[], str]],
    live_clients: Callable[[], int],
    families: Sequence[Callable[[], Sequence[Metric]]],
) -> APIRouter:
    """The routes of this file. `parts` add to `/readyz`, each in a quick call that answers "ok" or what is wrong;
    `families` add to `/metrics`, each in a blocking call.
    """
    router = APIRouter(tags=["operation"])

    @router.get("/healthz", summary="The process lives")
    async def healthz() -> Health:
        return Health(status="ok")

    @router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}}, summary="All parts answer")
    async def readyz() -> Response:
        checks = {
            "stream": await _probe("stream", lambda: stream.read(limit=1)),
            "store": await _probe("store", lambda: asyncio.to_thread(store.revision, "readyz")),
            **{part: ask() for part, ask in parts.items()},
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
        found = await stream_metrics(stream)
        for gather in families:
            found += await asyncio.to_thread(gather)
        found.append(GaugeMetricFamily("brain_live_clients", "Clients that follow events/live now", live_clients()))
        registry = CollectorRegistry()
        registry.register(_Snapshot(found))
        encode, media_type = negotiated(accept)
        return Response(encode(registry), headers={"Content-Type": media_type})

    return router


def first_of(troubles: Sequence[str]) -> str:
    """The first few of what is wrong with a part, in one text; "ok" when there is nothing."""
    more = [f"and {len(troubles) - _TROUBLES} more"] if len(troubles) > _TROUBLES else []
    return "; ".join([*troubles[:_TROUBLES], *more]) or "ok"


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


def negotiated(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """How to write the metrics for this `Accept` header, and the media type: OpenMetrics unless text is wanted more.

    Quality values as in RFC 9110, section 12.4.2; a header that takes neither is answered with OpenMetrics.
    """
    wanted = {_OPENMETRICS: 0.0, _TEXT: 0.0}
    for media_type in wanted:
        ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
        found = [(ranges.index(name), -quality) for name, quality in _accepted(accept) if name in ranges]
        wanted[media_type] = -min(found)[1] if found else 0.0
    return choose_encoder(_TEXT if wanted[_TEXT] > wanted[_OPENMETRICS] else _OPENMETRICS)


def _accepted(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((text for text in parameters if text.startswith("q=")), "q=1")[2:]
        try:
            yield name, min(1.0, max(0.0, float(quality)))
        except ValueError:
            yield name, 0.0


class _Snapshot(Collector):
    """Families that were gathered already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """The families, for prometheus-client."""
        yield from self._families
