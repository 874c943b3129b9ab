"""`/api/events`: the recorded events as a query, one event by its id, and the catalogue of event types."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field

from brain import limits
from brain.charter import EventType, Pattern
from brain.errors import NotFound
from brain.kit.event_patterns import unmatched_note
from brain.kit.http import (
    EXAMPLE_EVENT,
    TIME_FORMS,
    CorrelationId,
    Envelope,
    PatternQuery,
    TimeText,
    json_list,
    parse_pattern,
)
from brain.plugins import catalogue
from brain.stream import EventStream
from brain.stream.backends import Backend
from brain.stream.query import EventQuery, Stretch, find_event, read
from brain.times import parse_time

PAGE = 1000
"""Most events in one answer."""

SEARCHED = 100_000
"""How many events one request looks through before it answers with what it has found."""


class StoredEvent(BaseModel):
    """An event and where it stands in the stream."""

    position: str = Field(description="The event's place in the stream; later events have later places")
    event: Envelope


class EventPage(BaseModel):
    """Events that fit the query, and where to go on."""

    events: list[StoredEvent]
    next: str | None = Field(
        description="Give it as `before` (newest first) or `after` (oldest first) for what follows; null at the end"
    )
    note: str | None = Field(
        default=None, description="Why there may be none: a pattern that matches no declared event type"
    )


class CatalogueEntry(BaseModel):
    """One declared event type."""

    name: str = Field(examples=["policy.action_denied"])
    module: str = Field(examples=["policy"])
    source: str = Field(examples=["policy_service"])
    priority: str = Field(description="CRITICAL, HIGH or MEDIUM", examples=["CRITICAL"])
    frequency: str = Field(description="High, Medium or Low", examples=["Medium"])
    purpose: str = Field(description="What an event of the type says")
    example: dict[str, Any] = Field(description="A payload")
    payload_schema: dict[str, Any] = Field(description="JSON Schema of the payload")


_PLACE = Query(max_length=limits.TYPE, description="A position, as an earlier answer gave it", examples=["1024"])


def events_router(stream: EventStream, clock: Callable[[], float] = time.time) -> APIRouter:
    """The routes of this file over one stream; `clock` gives the Unix time that ages are counted from."""
    router = APIRouter(prefix="/events", tags=["events"])

    @router.get("", response_model=EventPage, summary="Query recorded events, newest first unless asked otherwise")
    async def query_events(
        pattern: PatternQuery = ["*"],  # noqa: B006  (FastAPI copies it)
        since: Annotated[TimeText | None, Query(description=f"Not before: {TIME_FORMS}", examples=["1h"])] = None,
        until: Annotated[
            TimeText | None, Query(description=f"Before: {TIME_FORMS}", examples=["2024-12-28T09:30:00Z"])
        ] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE, description="Most events in the answer")] = 100,
        before: Annotated[str | None, _PLACE] = None,
        after: Annotated[str | None, _PLACE] = None,
        newest_first: Annotated[bool, Query(description="Order of the answer")] = True,
        correlation_id: Annotated[CorrelationId | None, Query(description="Only of this correlation id")] = None,
    ) -> Response:
        asked = _query(parse_pattern(pattern), since, until, correlation_id, clock())
        stretch = Stretch(after=after or "", before=before or "", newest_first=newest_first)
        found = await stream.call_reader(_page, stream.backend, asked, stretch, limit)
        return Response(found, media_type="application/json")

    @router.get("/catalogue", response_model=list[CatalogueEntry], summary="Every declared event type")
    async def event_catalogue() -> Response:
        return _json([catalogue_entry(declared) for declared in catalogue().values()])

    @router.get("/{event_id}", response_model=StoredEvent, summary="One event by its id")
    async def get_event(
        event_id: Annotated[
            str,
            PathParameter(max_length=limits.NAME, description="The envelope's id", examples=[str(EXAMPLE_EVENT["id"])]),
        ],
    ) -> Response:
        found = await stream.call_reader(find_event, stream.backend, event_id)
        if found is None:
            raise NotFound(f"event {event_id[:100]!r} is not in the stream; it may be older than what is kept")
        return _json(found._asdict())

    return router


def _page(backend: Backend, asked: EventQuery, stretch: Stretch, limit: int) -> bytes:
    """The answer to a query, as JSON; for the thread that reads."""
    page = read(backend, asked, stretch, limit, SEARCHED)
    events = msgspec.Raw(json_list(stored._asdict() for stored in page.events))
    answer: dict[str, object] = {"events": events, "next": page.following}
    if not page.events and (note := unmatched_note(asked.pattern.texts)) is not None:
        answer["note"] = note
    return msgspec.json.encode(answer)


def _query(
    pattern: Pattern, since: str | None, until: str | None, correlation_id: str | None, now: float
) -> EventQuery:
    """The query that a request's parameters mean; ages are counted from `now`. Raises InvalidInput."""
    return EventQuery(
        pattern=pattern,
        since=parse_time(since, now, "since") if since is not None else None,
        until=parse_time(until, now, "until") if until is not None else None,
        correlation_id=correlation_id,
    )


def catalogue_entry(declared: EventType[Any]) -> dict[str, Any]:
    """An event type as the catalogue lists it."""
    return {
        "name": declared.name,
        "module": declared.module,
        "source": declared.source,
        "priority": declared.priority,
        "frequency": declared.frequency,
        "purpose": declared.purpose,
        "example": declared.example,
        "payload_schema": msgspec.json.schema(declared.payload),
    }


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
