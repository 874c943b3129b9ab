"""`/api/groups` and `/api/dead-letters`: the position of each consumer group, and the events it gave up on."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any, ClassVar

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.errors import InvalidInput
from brain.kit.http import Envelope
from brain.server.openapi import answers
from brain.stream import EventStream
from brain.stream.backends import NoGroup
from brain.stream.dead_letters import DeadLetter, check_positions, read_attempt

LETTERS = 1000
"""Most dead letters in one answer."""

_EXAMPLE: Any = {"group": "billing", "positions": ["1024", "1031"]}


class GroupView(BaseModel):
    """A consumer group: subscribers that share the work of one reader of the stream."""

    name: str = Field(description="Its name.", examples=["billing"])
    pattern: str = Field(description="The event types it wants, comma-separated.", examples=["invoice.*"])
    read_to: str = Field(description="The last position handed out; empty before the first.")
    safe: str = Field(description="Everything up to this position is done.")
    lag: int = Field(description="How many events of the stream come after `read_to`.")
    pending: int = Field(description="Events handed out and not done yet.")
    dead: int = Field(description="Events it gave up on: its dead letters.")
    consumers: int | None = Field(
        description="How many consumers work for it now; null for a plug-in's own group, which is read by position."
    )


class AttemptView(BaseModel):
    """One failed attempt to handle an event."""

    at: float | None = Field(description="When it failed, in Unix seconds.")
    error: str = Field(description="What went wrong.")


class DeadLetterView(BaseModel):
    """An event that a group gave up on."""

    group: str = Field(description="The group that gave up.")
    position: str = Field(description="The event's place in the stream; names the letter within its group.")
    event: Envelope | None = Field(description="The event; null when its bytes are no event.")
    data_base64: str | None = Field(description="The bytes that are no event, in base64; null when they are one.")
    error: str = Field(description="The last error.")
    attempts: int = Field(description="How often it was tried.")
    history: list[AttemptView] = Field(description="The failed attempts that are known, the first one first.")
    buried_at: float = Field(description="When the group gave up, in Unix seconds.")


class Letters(BaseModel):
    """Dead letters of one group."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    group: str = Field(min_length=1, max_length=limits.TYPE, description="The group.")
    positions: list[Annotated[str, Field(max_length=limits.TYPE)]] | None = Field(
        min_length=1, max_length=limits.POSITIONS, description="Their positions; null: all that the group has."
    )


class Done(BaseModel):
    """How many letters that was."""

    group: str = Field(description="The group.")
    count: int = Field(description="How many dead letters it was done with.")


def groups_router(stream: EventStream) -> APIRouter:
    """The routes of this file over one stream."""
    router = APIRouter(tags=["groups"])

    @router.get("/groups", response_model=list[GroupView], summary="List consumer groups with their lag")
    async def list_groups() -> Response:
        """By name. A group of `brain serve` or `brain worker` is there once it has run."""
        return _json(sorted(await stream.groups(), key=lambda group: group.name))

    @router.get(
        "/dead-letters",
        response_model=list[DeadLetterView],
        responses=answers(404),
        summary="List what groups gave up on",
    )
    async def list_letters(
        group: Annotated[
            str | None, Query(max_length=limits.TYPE, description="Only of this group", examples=["billing"])
        ] = None,
        limit: Annotated[int, Query(ge=1, le=LETTERS, description="Most letters in the answer")] = 100,
        after: Annotated[
            str, Query(max_length=limits.TYPE, description="Only after this position; needs a group", examples=["1024"])
        ] = "",
    ) -> Response:
        """In stream order: the order in which a redrive delivers them.

        For what follows, give the last position as `after`.
        """
        if group is not None:
            await _check_group(stream, group)
        elif after:
            raise InvalidInput("after: a position is of one group; give `group` too")
        return _json([_view(letter) for letter in await stream.dead_letters(group, limit, after)])

    @router.post("/dead-letters/redrive", responses=answers(404, 409), summary="Deliver dead letters once more")
    async def redrive(letters: Letters) -> Done:
        """To their group alone, at the end of the stream, with all attempts before them."""
        await _check_letters(stream, letters)
        return Done(group=letters.group, count=await stream.redrive(letters.group, letters.positions))

    @router.post("/dead-letters/discard", responses=answers(404), summary="Delete dead letters")
    async def discard(letters: Letters) -> Done:
        """For good. The events themselves stay in the stream."""
        await _check_letters(stream, letters)
        return Done(group=letters.group, count=await stream.discard(letters.group, letters.positions))

    return router


async def _check_group(stream: EventStream, name: str) -> None:
    if all(group.name != name for group in await stream.groups()):
        raise NoGroup(f"there is no consumer group {name[:100]!r}; /api/groups lists them")


async def _check_letters(stream: EventStream, letters: Letters) -> None:
    """Raises NoGroup and NotFound, so that of several letters either all are meant or nothing is done."""
    await _check_group(stream, letters.group)
    if letters.positions is None:
        return
    check_positions(letters.group, await stream.dead_letters(letters.group, 1 << 30), letters.positions)


def _view(letter: DeadLetter) -> dict[str, Any]:
    event = letter.event()
    return {
        "group": letter.group,
        "position": letter.position,
        "event": event,
        "data_base64": b64encode(letter.data).decode() if event is None else None,
        "error": letter.error,
        "attempts": letter.attempts,
        "history": [read_attempt(line)._asdict() for line in letter.history],
        "buried_at": letter.buried_at,
    }


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
