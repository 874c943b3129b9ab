"""The route of `/api/events/live`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from brain import limits
from brain.kit.http import PatternQuery, parse_pattern
from brain.server.live import EventStreamResponse, Live

_EXAMPLE = 'id: 1024\nevent: threat.detected\ndata: {"id":"evt_threats_1703001234567_9f3ac81b2d40a1c7", ...}\n\n'


def live_router(live: Live) -> APIRouter:
    """The route of this file."""
    router = APIRouter(prefix="/events", tags=["events"])

    @router.get(
        "/live",
        response_class=EventStreamResponse,
        summary="Follow the stream as server-sent events",
        description="`id:` is the position, `event:` the type, `data:` the envelope. From now on, or after a position: "
        "the `Last-Event-ID` header, which browsers send when they reconnect, or `after`. Where a `Last-Event-ID` is "
        "not known, or events after it are no longer kept, the answer starts with a message `event: reset`, whose "
        "`data:` is an object with `reason` and `position`: read your state again; what is stored then follows.",
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}}}},
    )
    async def follow_events(
        pattern: PatternQuery = ["*"],  # noqa: B006  (FastAPI copies it)
        after: Annotated[
            str | None, Query(max_length=limits.TYPE, description="Start after this position", examples=["1024"])
        ] = None,
        last_event_id: Annotated[
            str | None, Header(max_length=limits.TYPE, description="As `after`, and before it")
        ] = None,
    ) -> Response:
        return await live.answer(parse_pattern(pattern), after, last_event_id or None)

    return router
