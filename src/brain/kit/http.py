"""Parts that routes of several plug-ins share: query parameters, the envelope's model, marks for OpenAPI."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from brain import limits
from brain.charter import Pattern
from brain.extras import needs
from brain.kit.route_marks import (
    ANY_QUERY,
    CREATES_NOTHING,
    PROBLEM_TYPE,
    SIGNED,
    RawBody,
    creates_nothing,
    raw_body,
    signed,
)

with needs(__name__):
    from fastapi import Query
    from pydantic import BaseModel, ConfigDict, Field, JsonValue
    from starlette.requests import Request

__all__ = [
    "ANY_QUERY",
    "CREATES_NOTHING",
    "EXAMPLE_EVENT",
    "PROBLEM_TYPE",
    "SIGNED",
    "TIME_FORMS",
    "CorrelationId",
    "Envelope",
    "Meta",
    "PatternQuery",
    "RawBody",
    "TimeText",
    "creates_nothing",
    "json_list",
    "parse_pattern",
    "raw_body",
    "signed",
    "unless_gone",
]

_T = TypeVar("_T")

TIME_FORMS = "an age (90s, 15m, 1h, 7d), an ISO 8601 time, or Unix seconds"
"""How a time may be given, for descriptions."""

PatternQuery = Annotated[
    list[Annotated[str, Field(max_length=limits.REASON)]],
    Query(
        max_length=limits.FILTERS,
        description="Event types wanted, `*` for any characters; repeated or comma-separated",
        examples=["threat.*"],
    ),
]
"""The query parameter `pattern`: event types, for `parse_pattern`."""
TimeText = Annotated[str, Field(max_length=limits.TYPE)]
"""A time in a request, for `brain.times.parse_time`."""
CorrelationId = Annotated[str, Field(max_length=limits.CORRELATION_ID)]
"""A correlation id in a request."""

EXAMPLE_EVENT: dict[str, JsonValue] = {
    "id": "evt_policy_1703001234567_9f3ac81b2d40a1c7",
    "type": "policy.action_denied",
    "source": "policy_service",
    "target": None,
    "timestamp": 1703001234.567,
    "payload": {"agent_id": "agent-7", "action": "delete"},
    "meta": {"correlation_id": "request-42", "version": "1.0"},
}
"""An event in its envelope, for the OpenAPI document."""


class Meta(BaseModel):
    """Keys about the event itself, not about its subject; more keys may be there."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    correlation_id: str | None = Field(description="The id of all that belongs together")
    version: str = Field(description="The Charter's version", examples=["1.0"])


class Envelope(BaseModel):
    """An event as the Charter v1.0 writes it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [EXAMPLE_EVENT]})

    id: str = Field(description="evt_<module>_<unix milliseconds>_<random>")
    type: str = Field(description="<subject>.<what_happened>")
    source: str = Field(description="<module>_service")
    target: str | None = Field(description="Whom or what it is for, when it is for one")
    timestamp: float = Field(description="Unix seconds")
    payload: dict[str, Any] = Field(description="What happened; its keys depend on the type, see events/catalogue")
    meta: Meta


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T | None:
    """What the work gives, for a request that may wait long; None when its client went first, which ends the work."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def json_list(values: Iterable[object]) -> bytes:
    """The values as a list of JSON, for the thread that read them: each is encoded alone, for the encoder lets no other
    thread have the interpreter meanwhile, and for a thousand events that would be some milliseconds."""
    return b"[%s]" % b",".join([msgspec.json.encode(value) for value in values])


def parse_pattern(texts: list[str]) -> Pattern:
    """The pattern that a request's `pattern` parameters mean. Raises InvalidInput."""
    return Pattern([text.strip() for given in texts for text in given.split(",")])
