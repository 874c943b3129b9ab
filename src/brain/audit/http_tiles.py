"""The audit log as tiles over HTTP, below /api/audit/tlog: what monitors and mirrors of C2SP tlog-tiles read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Response
from sqlalchemy import Connection, Engine

from brain.audit.repository import log_keychain, make_tables, require_checkpoint, witnessed_checkpoint
from brain.audit.settings import AuditSettings
from brain.audit.tiles import TilePlace, entry_bundle, hash_tile
from brain.kit.database import reachable, reading
from brain.kit.database_threads import for_reading
from brain.kit.http import PROBLEM_TYPE

T = TypeVar("T")

_FOR_GOOD = {"Cache-Control": "private, max-age=31536000, immutable"}
"""A tile never changes; only who may read the log may have it."""
_PROBLEM = {"content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
_GONE: dict[int | str, dict[str, Any]] = {410: {"description": "An entry's bytes are gone, or too many", **_PROBLEM}}

TilePath = Annotated[
    str,
    Path(
        description="The tile's number, in groups of three digits as x001/234; .p/W after it for its first W places",
        examples=["000.p/7"],
        max_length=40,
    ),
]


def add_tiles(router: APIRouter, database: Engine, settings: AuditSettings) -> None:
    """Add the routes of C2SP tlog-tiles to those of the audit log."""

    @router.get(
        "/tlog/checkpoint",
        summary="The checkpoint that the tiles lead to",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            404: {"description": "Nothing is logged yet", **_PROBLEM},
        },
    )
    async def checkpoint() -> Response:
        """The newest that the quorum of witnesses signed, with their signatures; without witnesses, the newest."""
        note = await for_reading(database, _read, database, lambda connection: _newest(connection, settings))
        return Response(note, media_type="text/plain; charset=utf-8")

    @router.get(
        "/tlog/tile/entries/{tile:path}",
        summary="256 entries of the log",
        response_class=Response,
        responses=_BYTES | _GONE,
    )
    async def bundle(tile: TilePath) -> Response:
        """The exact bytes of each, after their length in two bytes. 410 where retention or redaction deleted one."""
        place, chain = TilePlace.parse(tile), await for_reading(database, log_keychain, database)
        found = await for_reading(database, _read, database, lambda connection: entry_bundle(connection, chain, place))
        return Response(found, media_type="application/octet-stream", headers=_FOR_GOOD)

    @router.get(
        "/tlog/tile/{level}/{tile:path}",
        summary="256 hashes of the log's tree",
        response_class=Response,
        responses=_BYTES,
    )
    async def hashes(level: Annotated[int, Path(ge=0, le=7, description="0 for leaves")], tile: TilePath) -> Response:
        """Each of level L is the root over 256^L entries."""
        place, chain = TilePlace.parse(tile), await for_reading(database, log_keychain, database)
        found = await for_reading(
            database, _read, database, lambda connection: hash_tile(connection, chain, level, place)
        )
        return Response(found, media_type="application/octet-stream", headers=_FOR_GOOD)


def _read(database: Engine, read: Callable[[Connection], T]) -> T:
    make_tables(database)
    with reachable(database), reading(database).connect() as connection:
        return read(connection)


def _newest(connection: Connection, settings: AuditSettings) -> bytes:
    signed = witnessed_checkpoint(connection, 1, settings.quorum) if settings.witnesses else None
    return signed or require_checkpoint(connection)
