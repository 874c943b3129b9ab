"""For operators and their tools: `/healthz` (the process lives), `/readyz` (it can work), `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from brain.errors import BrainError
from brain.logs import Log
from brain.server.components import Components
from brain.store import Store
from brain.stream import EventStream
from brain.stream.prometheus import stream_metrics

log: Log = Log("brain.health")

PROBE_SECONDS = 2.0
"""How long a part may take to answer before it counts as not ready."""

Endpoint = Callable[[Request], Awaitable[Response]]

OPENMETRICS = "application/openmetrics-text"
_TEXT = "text/plain"


@dataclass(frozen=True)
class Endpoints:
    """What answers at the three paths."""

    healthz: Endpoint
    readyz: Endpoint
    metrics: Endpoint

    def routes(self) -> list[Route]:
        """The three as routes that need no FastAPI."""
        found = [Route("/healthz", self.healthz), Route("/readyz", self.readyz), Route("/metrics", self.metrics)]
        for route in found:
            route.methods = {"GET"}  # no HEAD, as with all routes of the document
        return found


def endpoints(stream: EventStream, store: Store, components: Components, live_clients: Callable[[], int]) -> Endpoints:
    """The endpoints; the plug-ins add their checks to `/readyz` and their metrics to `/metrics`."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        checks = {
            "stream": await _probe("stream", lambda: stream.read(limit=1)),
            "store": await _probe("store", lambda: asyncio.to_thread(store.revision, "readyz")),
            **{part: _checked(part, check) for part, check in components.checks().items()},
        }
        ready = all(state == "ok" for state in checks.values())
        return JSONResponse({"status": "ready" if ready else "unready", "checks": checks}, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        found = await stream_metrics(stream)
        found += await components.metrics()
        found.append(GaugeMetricFamily("brain_live_clients", "Clients that follow events/live now", live_clients()))
        registry = CollectorRegistry()
        registry.register(_Snapshot(found))
        encode, media_type = negotiated(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type})

    return Endpoints(healthz, readyz, metrics)


def _checked(part: str, check: Callable[[], str]) -> str:
    """What the check of a plug-in answers; of one that fails, that: it is one fault, and the others are to be seen."""
    try:
        answer = check()
    except Exception as error:  # noqa: BLE001  (whatever a plug-in raises is its own fault)
        log.error("a check failed; its plug-in must be mended", part=part, raised=error)
        return f"the check itself failed: {type(error).__name__}; see the log"
    return answer if isinstance(answer, str) else f"the check answers {answer!r}, not a text"


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
    """How to write the metrics for this `Accept` header, and the media type: OpenMetrics unless text is preferred.

    Quality values as in RFC 9110, section 12.4.2; a header that takes neither is answered with OpenMetrics.
    """
    wanted = {OPENMETRICS: 0.0, _TEXT: 0.0}
    for media_type in wanted:
        ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
        found = [(ranges.index(name), -quality) for name, quality in _accepted(accept) if name in ranges]
        wanted[media_type] = -min(found)[1] if found else 0.0
    return choose_encoder(_TEXT if wanted[_TEXT] > wanted[OPENMETRICS] else OPENMETRICS)


def _accepted(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((text for text in parameters if text.startswith("q=")), "q=1")[2:]
        try:
            yield name, min(1.0, max(0.0, float(quality)))
        except ValueError:
            yield name, 0.0


class _Snapshot(Collector):
    """Metrics that were gathered already."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """The metrics, for prometheus-client."""
        yield from self._metrics
