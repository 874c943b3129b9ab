"""`/api/events`: the recorded events as a query, one event by its id, and the catalogue of event types."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field

from brain import limits
from brain.charter import Event, EventType, Pattern
from brain.errors import NotFound
from brain.kit.http import EXAMPLE_EVENT, TIME_FORMS, Envelope, PatternQuery, Story, TimeText, parse_pattern
from brain.plugins import catalogue
from brain.stream import EventStream, Stored
from brain.stream.backends import Backend
from brain.stream.query import decode
from brain.times import parse_time

PAGE = 1000
"""Most events in one answer, and how many are read at a time when searching."""

SEARCHED = 100_000
"""How many events one request looks through before it answers with what it has found."""

SLACK = 3600.0
"""Seconds by which the order of events' timestamps may differ from their order in the stream."""

_EVERY = Pattern("*")
_MINTED = re.compile(r"evt_[a-z][a-z0-9_]*_([0-9]{1,14})_[0-9a-f]{12,}").fullmatch


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
        correlation_id: Annotated[Story | None, Query(description="Only events of this story")] = None,
    ) -> Response:
        now = clock()
        wanted = Selection(
            parse_pattern(pattern),
            since=parse_time(since, now, "since") if since is not None else None,
            until=parse_time(until, now, "until") if until is not None else None,
            newest_first=newest_first,
            correlation_id=correlation_id,
        )
        events, following = await collect(stream, wanted, limit, before=before, after=after)
        return _json({"events": [stored._asdict() for stored in events], "next": following})

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
        return _json((await find_event(stream, event_id))._asdict())

    return router


@dataclass(frozen=True)
class Selection:
    """Which events are wanted (times in Unix seconds, `until` excluded), and in which order."""

    pattern: Pattern
    since: float | None = None
    until: float | None = None
    correlation_id: str | None = None
    newest_first: bool = True

    def __call__(self, event: Event) -> bool:
        """Whether the event is wanted. The event whose id is the correlation id began the story and belongs to it."""
        return (
            self.pattern.matches(event.type)
            and (self.since is None or event.timestamp >= self.since)
            and (self.until is None or event.timestamp < self.until)
            and (self.correlation_id is None or self.correlation_id in (event.correlation_id, event.id))
        )

    def beyond(self, event: Event) -> bool:
        """Whether no wanted event can follow this one, clocks of several machines differing by less than SLACK."""
        if self.newest_first:
            return self.since is not None and event.timestamp < self.since - SLACK
        return self.until is not None and event.timestamp > self.until + SLACK


async def collect(
    stream: EventStream, wanted: Selection, limit: int, *, before: str | None = None, after: str | None = None
) -> tuple[list[Stored], str | None]:
    """At most `limit` wanted events, and the position to go on from, or None when there are no more.

    However rare what is wanted, one call looks through no more than SEARCHED events: it may give fewer than `limit`,
    or none, and a position to go on from.
    """
    found: list[Stored] = []
    page = limit if wanted.pattern.matches_all and wanted.correlation_id is None else PAGE
    since = None if wanted.newest_first else wanted.since
    for _ in range(max(1, SEARCHED // page)):
        rows = await stream.read(after=after, before=before, since=since, limit=page, newest_first=wanted.newest_first)
        for row in rows:
            if wanted(row.event):
                found.append(row)
                if len(found) == limit:
                    return found, row.position
            elif wanted.beyond(row.event):
                return found, None
        if len(rows) < page:
            return found, None
        if wanted.newest_first:
            before = rows[-1].position
        else:
            after = rows[-1].position
    return found, rows[-1].position


async def find_event(stream: EventStream, event_id: str) -> Stored:
    """The event with this id, looked for first at the time that the id carries. Raises NotFound."""
    if minted := _MINTED(event_id):
        around = await stream.call(stream.backend.position_at, int(minted[1]) / 1000 - 1)
        for stored in await stream.read(after=around, limit=PAGE):
            if stored.event.id == event_id:
                return stored
        # It was stored long after it was made, as when a journal is shipped after a crash, or it is not there.
        if found := await stream.call(_search_back, stream.backend, event_id):
            return found
    raise NotFound(f"event {event_id[:100]!r} is not in the stream")


def _search_back(backend: Backend, event_id: str) -> Stored | None:
    sign = f'"{event_id}"'.encode()
    before = ""
    while entries := backend.read_back(before, PAGE):
        for entry in entries:
            if sign not in entry.data:
                continue
            for stored in decode([entry], _EVERY):
                if stored.event.id == event_id:
                    return stored
        before = entries[-1].position
    return None


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
