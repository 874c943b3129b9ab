"""The audit log over HTTP, below /api/audit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import Engine, select

from brain import limits
from brain.audit import proofs
from brain.audit.export import document
from brain.audit.http_models import (
    EXAMPLE_ID,
    EntryFilters,
    EntryView,
    InclusionProofView,
    LogView,
    ReportView,
    VerifyRequest,
)
from brain.audit.http_tiles import add_tiles
from brain.audit.local_checkpoint import read_note
from brain.audit.open import checkpoint_path, open_key
from brain.audit.repository import log_verifier, make_tables, newest_checkpoint, require_checkpoint
from brain.audit.search import AuditQuery, find
from brain.audit.settings import AuditSettings
from brain.audit.tables import entries
from brain.audit.tree import StoredTree
from brain.audit.verify import AuditReport, verify
from brain.errors import Conflict, NotFound
from brain.kit.database import reachable, reading
from brain.kit.database_threads import for_reading
from brain.kit.http import PROBLEM_TYPE, creates_nothing, json_list
from brain.kit.views import list_of


def audit_router(database: Engine, settings: AuditSettings, clock: Callable[[], float] = time.time) -> APIRouter:
    """The routes over the log in this database; `clock` gives the Unix time that ages are counted from."""
    router = APIRouter(prefix="/audit", tags=["audit"])
    _add_log(router, database, clock)
    _add_proofs(router, database, settings)
    add_tiles(router, database, settings)
    return router


def _add_log(router: APIRouter, database: Engine, clock: Callable[[], float]) -> None:
    @router.get("", summary="The log as it stands")
    async def state() -> LogView:
        """Its size, root and newest checkpoint, and the public key that they are verified with."""
        return await for_reading(database, _state, database)

    @router.get("/entries", response_model=list_of(EntryView), summary="Search the log, newest first")
    async def search(filters: Annotated[EntryFilters, Query()]) -> Response:
        """Those that fit all filters. For what follows, give the last index as `before`."""
        query = filters.query(clock())
        found = await for_reading(database, _find, database, query, filters.before, filters.limit)
        return Response(found, media_type="application/json")


def _add_proofs(router: APIRouter, database: Engine, settings: AuditSettings) -> None:
    verifying = asyncio.Lock()

    @router.post(
        "/verify",
        response_model=ReportView,
        summary="Verify the whole log",
        openapi_extra=creates_nothing("it only reads"),
    )
    async def verify_all(request: VerifyRequest) -> AuditReport:
        """Goes through every entry, hash and checkpoint; with `checkpoint`, through what came after that."""
        kept = request.checkpoint.encode() if request.checkpoint is not None else None
        async with verifying:  # one at a time: each reads the whole log
            return await for_reading(database, _verify, database, settings, kept)

    @router.get("/proof/{event_id}", response_model=InclusionProofView, summary="The proof that an event is logged")
    async def proof(
        event_id: Annotated[str, Path(description="The event's id", max_length=limits.NAME, examples=[EXAMPLE_ID])],
    ) -> Response:
        """A file for `brain audit verify-proof`, which needs no more than it and the public key."""
        found = await for_reading(database, _prove, database, settings, event_id)
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
        return Response(await for_reading(database, _checkpoint, database), media_type="text/plain; charset=utf-8")


def _state(database: Engine) -> LogView:
    try:
        key = log_verifier(database)
    except NotFound:
        key = None
    with reachable(database), reading(database).connect() as connection:
        tree = StoredTree(connection)
        size = tree.size()
        times = entries.c.appended_at
        kept = select(entries.c.idx).where(entries.c.payload.is_not(None)).order_by(entries.c.idx).limit(1)
        note = newest_checkpoint(connection)
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


def _find(database: Engine, query: AuditQuery, before: int | None, limit: int) -> bytes:
    """The entries as JSON."""
    make_tables(database)
    with reachable(database), reading(database).connect() as connection:
        return json_list(document(entry) for entry in find(connection, query, before, limit))


def _verify(database: Engine, settings: AuditSettings, kept: bytes | None) -> AuditReport:
    try:
        key = open_key(database, settings)
    except NotFound as error:
        raise Conflict(f"{error}; there is nothing to verify") from error
    return verify(database, key, kept, local=read_note(checkpoint_path(database, settings)))


def _prove(database: Engine, settings: AuditSettings, event_id: str) -> proofs.InclusionProof:
    with reachable(database):
        return proofs.prove(database, event_id, settings.quorum)


def _checkpoint(database: Engine) -> bytes:
    make_tables(database)
    with reachable(database), reading(database).connect() as connection:
        return require_checkpoint(connection)
