"""Detections over HTTP, below /api/detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, Query
from msgspec import Meta
from pydantic import BaseModel

from brain.detections.loading import Loaded
from brain.detections.models import Correlation
from brain.detections.tables import hits, make_tables
from brain.kit.database import reachable, reading
from brain.kit.database_threads import for_reading
from brain.kit.views import list_of, view_of

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]


class DetectionRow(msgspec.Struct, frozen=True):
    """A detection that runs."""

    id: Annotated[str, Meta(description="Its id, or its name where it has none.")]
    name: Annotated[str, Meta(description="Its name; also the type of its threats.")]
    title: Annotated[str, Meta(description="What it finds.")]
    kind: Annotated[str, Meta(description="rule, or the type of the correlation.")]
    level: Annotated[str, Meta(description="informational, low, medium, high or critical.")]
    tags: Annotated[list[str], Meta(description="ATT&CK techniques, OWASP ASI entries and other tags.")]
    reports: Annotated[bool, Meta(description="Whether a match is a hit, or only part of a correlation.")]


class HitRow(msgspec.Struct, frozen=True):
    """What a detection found about one source."""

    id: Annotated[str, Meta(description="The hit's id.")]
    detection: Annotated[str, Meta(description="The detection's id.")]
    name: Annotated[str, Meta(description="The detection's name.")]
    title: Annotated[str, Meta(description="The detection's title.")]
    level: Annotated[str, Meta(description="informational, low, medium, high or critical.")]
    source: Annotated[str, Meta(description="Whom it is about.")]
    body: Annotated[dict[str, Any], Meta(description="Group, values, ids of the first events, tags, correlation id.")]
    opened_at: Annotated[float, Meta(description="When it was complete, in Unix seconds of events.")]
    last_at: Annotated[float, Meta(description="When the last event joined it.")]
    count: Annotated[int, Meta(description="Events that were part of it.")]
    threat: Annotated[str | None, Meta(description="The threat's id; null while it is not reported.")]


DetectionView: type[BaseModel] = view_of(DetectionRow)
HitView: type[BaseModel] = view_of(HitRow)


def rows_of(loaded: Loaded) -> list[DetectionRow]:
    """The detections, as they are listed."""
    return [
        DetectionRow(
            one.about.key,
            one.about.name,
            one.about.title,
            one.kind if isinstance(one, Correlation) else "rule",
            one.about.level,
            [*one.about.tags],
            one.about.reports,
        )
        for one in loaded.detections
    ]


def read_hits(database: sa.Engine, limit: int) -> list[HitRow]:
    """The last hits, the newest first. Blocks. Raises Unavailable."""
    make_tables(database)
    columns = [hits.c[name] for name in HitRow.__struct_fields__]
    query = sa.select(*columns).order_by(hits.c.opened_at.desc(), hits.c.id).limit(limit)
    with reachable(database), reading(database).begin() as db:
        return [HitRow(*row) for row in db.execute(query)]


def detections_router(loaded: Loaded, database: sa.Engine) -> APIRouter:
    """The routes over these detections."""
    router = APIRouter(prefix="/detections", tags=["detections"])

    @router.get("", summary="List the detections that run", response_model=list_of(DetectionView))
    async def listing() -> Sequence[DetectionRow]:
        """Rules and correlations, what is referred to first."""
        return rows_of(loaded)

    @router.get("/hits", summary="List what was found", response_model=list_of(HitView))
    async def found(limit: Limit = 100) -> Sequence[HitRow]:
        """The newest first; each is part of a threat."""
        return await for_reading(database, read_hits, database, limit)

    return router
