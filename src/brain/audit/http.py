"""The audit log over HTTP, below /api/audit."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Response
from pydantic import Field
from sqlalchemy import select

from brain import limits
from brain.audit import proofs
from brain.audit.custody import Custody
from brain.audit.export import document
from brain.audit.http_models import (
    EXAMPLE_ID,
    EntryView,
    InclusionProofView,
    LogView,
    ReportView,
    VerifyRequest,
)
from brain.audit.local_checkpoint import read_note
from brain.audit.log import newest_note
from brain.audit.search import Entry, EntryQuery, find
from brain.audit.tables import entries
from brain.audit.tree import StoredTree
from brain.audit.verify import Report, verify
from brain.errors import Conflict, NotFound
from brain.kit.database import reachable, reading
from brain.kit.http import PROBLEM_TYPE, TIME_FORMS, Story, TimeText, parse_pattern
from brain.times import parse_time

PAGE = 1000
"""Most entries in one answer."""

_NOTHING = "the audit log is not begun yet: its consumer has not run on this database"


def audit_router(custody: Custody) -> APIRouter:
    """The routes over this log."""
    router = APIRouter(prefix="/audit", tags=["audit"])
    verifying = asyncio.Lock()

    @router.get("", summary="The log as it stands")
    async def state() -> LogView:
        """Its size, root and newest checkpoint, and the public key that they are verified with."""
        return await asyncio.to_thread(_state, custody)

    @router.get("/entries", response_model=list[EntryView], summary="Search the log, newest first")
    async def search(
        pattern: Annotated[
            list[Annotated[str, Field(max_length=limits.REASON)]] | None,
            Query(
                max_length=limits.FILTERS,
                description="Event types wanted; repeated or comma-separated",
                examples=["threat.*"],
            ),
        ] = None,
        since: Annotated[TimeText | None, Query(description=f"Not before: {TIME_FORMS}", examples=["1h"])] = None,
        until: Annotated[
            TimeText | None, Query(description=f"Before: {TIME_FORMS}", examples=["2024-12-28T09:30:00Z"])
        ] = None,
        agent: Annotated[
            str | None, Query(max_length=limits.TEXT, description="Only about this agent", examples=["agent-7"])
        ] = None,
        threat: Annotated[str | None, Query(max_length=limits.ID, description="Only about this threat")] = None,
        correlation_id: Annotated[Story | None, Query(description="Only events of this story")] = None,
        text: Annotated[
            str | None, Query(max_length=limits.REASON, description="Only events that hold this text, in whatever case")
        ] = None,
        before: Annotated[
            int | None, Query(ge=0, le=limits.COUNT, description="Only entries before this index")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE, description="Most entries in the answer")] = 100,
    ) -> Response:
        """Those that fit all filters. For what follows, give the last index as `before`."""
        now = custody.clock()
        query = EntryQuery(
            pattern=parse_pattern(pattern or ["*"]),
            since=parse_time(since, now, "since") if since is not None else None,
            until=parse_time(until, now, "until") if until is not None else None,
            agent=agent,
            threat=threat,
            correlation_id=correlation_id,
            text=text,
        )
        return _json([document(entry) for entry in await asyncio.to_thread(_find, custody, query, before, limit)])

    @router.post("/verify", summary="Verify the whole log")
    async def verify_all(request: VerifyRequest) -> ReportView:
        """Goes through every entry, hash and checkpoint; with `checkpoint`, through what came after that."""
        kept = request.checkpoint.encode() if request.checkpoint is not None else None
        async with verifying:  # one at a time: each reads the whole log
            return ReportView.model_validate(await asyncio.to_thread(_verify, custody, kept))

    @router.get("/proof/{event_id}", response_model=InclusionProofView, summary="The proof that an event is logged")
    async def proof(
        event_id: Annotated[str, Path(description="The event's id", max_length=limits.NAME, examples=[EXAMPLE_ID])],
    ) -> Response:
        """A file for `brain audit verify-proof`, which needs no more than it and the public key."""
        found = await asyncio.to_thread(_prove, custody, event_id)
        disposition = f'attachment; filename="audit-proof-{found.index}.json"'
        return Response(
            proofs.encode(found), media_type="application/json", headers={"Content-Disposition": disposition}
        )

    @router.get(
        "/checkpoint",
        summary="The newest signed checkpoint",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            404: {
                "description": "Nothing is logged yet",
                "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    )
    async def checkpoint() -> Response:
        """A note in the C2SP tlog-checkpoint format, to be kept elsewhere."""
        return Response(await asyncio.to_thread(_checkpoint, custody), media_type="text/plain; charset=utf-8")

    return router


def _state(custody: Custody) -> LogView:
    try:
        key = custody.verifier()
    except NotFound:
        key = None
    with reachable(custody.database), reading(custody.database).connect() as connection:
        tree = StoredTree(connection)
        size = tree.size()
        times = entries.c.appended_at
        kept = select(entries.c.idx).where(entries.c.payload.is_not(None)).order_by(entries.c.idx).limit(1)
        note = newest_note(connection)
        return LogView(
            origin=key.name if key else None,
            size=size,
            root=tree.frontier(size).root().hex(),
            checkpoint=note.decode(errors="replace") if note is not None else None,
            public_key=str(key) if key else None,
            oldest_kept_index=connection.scalar(kept),
            first_at=connection.scalar(select(times).order_by(entries.c.idx).limit(1)),
            last_at=connection.scalar(select(times).order_by(entries.c.idx.desc()).limit(1)),
        )


def _find(custody: Custody, query: EntryQuery, before: int | None, limit: int) -> list[Entry]:
    custody.prepare()
    with reachable(custody.database), reading(custody.database).connect() as connection:
        return find(connection, query, before, limit)


def _verify(custody: Custody, kept: bytes | None) -> Report:
    try:
        key = custody.known_key()
    except NotFound as error:
        raise Conflict(_NOTHING) from error
    return verify(custody.database, key, kept, remembered=read_note(custody.remembered))


def _prove(custody: Custody, event_id: str) -> proofs.InclusionProof:
    custody.prepare()
    with reachable(custody.database):
        return proofs.prove(custody.database, event_id)


def _checkpoint(custody: Custody) -> bytes:
    custody.prepare()
    with reachable(custody.database), reading(custody.database).connect() as connection:
        note = newest_note(connection)
    if note is None:
        raise NotFound("audit log: nothing is logged yet")
    return note


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
