"""Telemetry over HTTP and WebSocket, below /api/telemetry, and the plug-in opened."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response, WebSocket

from brain.extras import is_installed, pip_line
from brain.kit.database_threads import for_reading
from brain.kit.http import PROBLEM_TYPE, TIME_FORMS, TimeText, creates_nothing, raw_body
from brain.telemetry.claims import Wanted
from brain.telemetry.http_models import (
    ServiceView,
    SourceDetail,
    SourceView,
    TelemetryInfo,
    UsageView,
    WindowView,
)
from brain.telemetry.ingest import Ingest
from brain.telemetry.otlp import OtlpBody
from brain.telemetry.query import Document
from brain.telemetry.requests import JSON, PROTOBUF, SIGNALS
from brain.telemetry.service import Telemetry
from brain.telemetry.tables import NAME
from brain.times import parse_time

SourcePath = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9_.:@-]+$", max_length=NAME, description="The source's id.", examples=["robot-7"]),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]


class Grouping(StrEnum):
    """How usage is grouped."""

    AGENT = "agent"
    MODEL = "model"
    TOOL = "tool"
    ALL = "all"


_PROBLEM = {"content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_UPGRADE: dict[int | str, dict[str, Any]] = {
    426: {"description": "This is a WebSocket", **_PROBLEM},
    501: {"description": "The extra `telemetry` is not installed", **_PROBLEM},
}
_REPEATED = creates_nothing("exporters send no key; a call sent again is known by its trace id and span id")
_FORMS = {
    JSON: {"schema": {"type": "object", "examples": [{"resourceSpans": []}]}},
    PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
}
_BODY = {"requestBody": {"required": False, "content": _FORMS}}
_ANSWERS = {
    200: {"description": "Stored; `partialSuccess` says how many spans are none", "content": _FORMS},
    400: {"description": "Malformed: it would not be taken if it were sent again", "content": _FORMS},
    413: {"description": "Too large", "content": _FORMS},
    415: {"description": "In no form of OTLP", "content": _FORMS},
    501: {"description": "The extra `telemetry` is not installed", "content": _FORMS},
    503: {"description": "Not stored; send it again after Retry-After", "content": _FORMS},
}


def telemetry_router(telemetry: Telemetry, most: int) -> APIRouter:
    """The routes over this service; bodies of OTLP have at most so many bytes."""
    router = APIRouter(prefix="/telemetry", tags=["telemetry"])
    for signal in SIGNALS:
        _add_otlp(router, signal, telemetry.ingest, most)
    _add_reading(router, telemetry)
    _add_usage(router, telemetry)
    _add_sockets(router, telemetry)
    return router


def _add_otlp(router: APIRouter, signal: str, ingest: Ingest, most: int) -> None:
    @router.post(
        f"/v1/{signal}",
        summary=f"Take {signal} in by OTLP",
        response_class=Response,
        responses=_ANSWERS,  # type: ignore[arg-type]
        openapi_extra={**_BODY, **_REPEATED, **raw_body(PROTOBUF, JSON, most=most)},
        name=f"otlp_{signal}",
    )
    async def take(request: Request) -> Response:
        """OTLP over HTTP, in protobuf or JSON, with gzip or without. Set an exporter's endpoint to `/api/telemetry`."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = request.headers.get("content-encoding", "").strip().lower()
        return await ingest.take(OtlpBody(signal, media_type, encoding, await request.body()))


def _add_reading(router: APIRouter, telemetry: Telemetry) -> None:
    database, query = telemetry.context.database, telemetry.query

    @router.get("/info", summary="How telemetry is set up")
    async def info() -> TelemetryInfo:
        """Whether the optional parts are there."""
        settings = telemetry.settings
        return TelemetryInfo(
            credit=settings.credit,
            usage_seconds=settings.usage_seconds,
            currency=settings.currency,
            websocket=is_installed("websockets"),
            protobuf=is_installed("opentelemetry.proto"),
            forwards=settings.forward is not None,
        )

    @router.get("/sources", summary="List sources", response_model=list[SourceView])
    async def sources(limit: Limit = 100) -> list[Document]:
        """Those that were seen last come first."""
        return await for_reading(database, query.sources, limit)

    @router.get("/sources/{source}", summary="Get a source with its last values", response_model=SourceDetail)
    async def source(source: SourcePath) -> Document:
        """Answers 404 for one that never sent anything."""
        return await for_reading(database, query.source, source)

    @router.get("/sources/{source}/series", summary="Get the windows of a source", response_model=list[WindowView])
    async def series(
        source: SourcePath,
        name: Annotated[str | None, Query(max_length=NAME, description="Only this value.")] = None,
        since: Annotated[TimeText, Query(description=f"From: {TIME_FORMS}.")] = "1h",
        until: Annotated[TimeText | None, Query(description=f"To: {TIME_FORMS}; else now.")] = None,
        limit: Annotated[int, Query(ge=1, le=100_000, description="At most so many.")] = 10_000,
    ) -> list[Document]:
        """Least, greatest, mean and number of samples in each 10 s of the source's own time."""
        return await for_reading(database, query.series, source, name, *_times(since, until), limit)

    @router.get("/services", summary="List services that send OpenTelemetry", response_model=list[ServiceView])
    async def services() -> list[Document]:
        """Those that sent last come first."""
        return await for_reading(database, query.received)


def _add_usage(router: APIRouter, telemetry: Telemetry) -> None:
    @router.get(
        "/usage",
        summary="Sum up the usage of models and tools",
        response_model=list[UsageView],
        response_model_exclude_unset=True,
    )
    async def usage(
        by: Annotated[Grouping, Query(description="agent, model, tool, or all of them apart.")] = Grouping.AGENT,
        since: Annotated[TimeText, Query(description=f"From: {TIME_FORMS}.")] = "24h",
        until: Annotated[TimeText | None, Query(description=f"To: {TIME_FORMS}; else now.")] = None,
        limit: Limit = 100,
    ) -> list[Document]:
        """Calls, tokens, cost and time, of leaf calls alone. A call counts in the window in which it came in."""
        database = telemetry.context.database
        return await for_reading(database, telemetry.query.usage, by.value, *_times(since, until), limit)


def _add_sockets(router: APIRouter, telemetry: Telemetry) -> None:
    @router.get("/ws/{source}", summary="Connect a source by WebSocket", responses=_UPGRADE)
    async def explain(source: SourcePath) -> None:
        """A WebSocket: lines of `{"seq", "t", "values"}` in, `{"seq", "credit"}` out."""
        if not is_installed("websockets"):
            raise HTTPException(501, f"sources need a WebSocket library; run: {pip_line('telemetry')}")
        raise HTTPException(426, "connect by WebSocket", headers={"Upgrade": "websocket"})

    @router.websocket("/ws/{source}")
    async def connect(
        websocket: WebSocket,
        source: SourcePath,
        run: Annotated[str, Query(max_length=NAME)] = "",
        interval: Annotated[float | None, Query(gt=0, le=86_400)] = None,
    ) -> None:
        expected = interval or telemetry.settings.expected_interval
        await telemetry.sources.serve(websocket, Wanted.of(source, run, expected))

    @router.websocket("/tail")
    async def tail(websocket: WebSocket, source: Annotated[str, Query(max_length=NAME)] = "*") -> None:
        await telemetry.followers.serve(websocket, source)


def _times(since: str, until: str | None) -> tuple[float, float]:
    now = time.time()
    return parse_time(since, now, "since"), now if until is None else parse_time(until, now, "until")
