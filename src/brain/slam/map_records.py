"""Versions of maps in the database: each is known by its hash, and no robot is given one that nobody approved."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from brain.charter import EventType, Severity
from brain.errors import Conflict, NotFound
from brain.kit import outbox
from brain.kit.protocols import ThreatReport
from brain.kit.sql import upsert
from brain.slam import events
from brain.slam.map_forms import MapDifference, MapForm
from brain.slam.records import CONSUMER
from brain.slam.tables import LOADED, MAPS
from brain.typed import ready

TAMPERING = "map_tampering"
"""The type of the threat."""


class MapVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a map."""

    map: Annotated[str, Meta(description="The map.")]
    version: Annotated[int, Meta(description="Its number, from 1.")]
    sha256: Annotated[str, Meta(description="Of its image and what is said of its meaning.")]
    form: Annotated[MapForm, Meta(description="What its YAML file says.")]
    width: Annotated[int, Meta(description="Cells.")]
    height: Annotated[int, Meta(description="Cells.")]
    known_ratio: Annotated[float, Meta(description="The share of cells that are not unknown.")]
    published_by: Annotated[str, Meta(description="Who published it.")]
    published_at: Annotated[float, Meta(description="When, in Unix seconds.")]
    approved_by: Annotated[str | None, Meta(description="Who approved it; null: no robot may load it.")]
    approved_at: Annotated[float | None, Meta(description="When, in Unix seconds.")]


_COLUMNS = [MAPS.c[name] for name in MapVersion.__struct_fields__]


class MapRecords:
    """The maps. Every method runs in the caller's transaction. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def publish(
        self,
        db: sa.Connection,
        new: MapVersion,
        image: bytes,
        compare: Callable[[MapForm, bytes], MapDifference | None],
    ) -> MapVersion:
        """Keep a version, unless it is there. `compare` says how it differs from the one before; None: not by cells."""
        mine = MAPS.c.map == new.map
        same = db.execute(sa.select(*_COLUMNS).where(mine, MAPS.c.sha256 == new.sha256)).first()
        if same is not None:
            return _version(same)
        newest = sa.select(MAPS).where(mine).order_by(MAPS.c.version.desc()).limit(1)
        last = db.execute(newest.with_for_update()).first()
        new = msgspec.structs.replace(new, version=1 if last is None else last.version + 1)
        row = {**msgspec.structs.asdict(new), "form": msgspec.to_builtins(new.form)}
        db.execute(sa.insert(MAPS), row | {"image": zlib.compress(image)})
        said = {"resolution": new.form.resolution, "width": new.width, "height": new.height}
        more = {"origin": list(new.form.origin), "known_ratio": round(new.known_ratio, 6)}
        self._put(db, events.MAP_PUBLISHED, _subject(new, new.published_by) | said | more)
        if last is not None:
            found = compare(msgspec.convert(last.form, ready(MapForm)), zlib.decompress(last.image))
            changed: dict[str, float | None] = {"changed_cells": None, "area_m2": None}
            if found is not None:
                changed = {"changed_cells": found.changed_cells, "area_m2": round(found.area_m2, 6)}
            between = {"map_id": new.map, "from_version": last.version, "to_version": new.version}
            self._put(db, events.MAP_CHANGED, between | changed)
        return new

    def approve(self, db: sa.Connection, map: str, version: int, sha256: str | None, by: str) -> MapVersion:
        """Let robots load it. Raises NotFound, and Conflict for one with another hash than the one looked at."""
        found = find_version(db, map, version)
        if sha256 is not None and sha256 != found.sha256:
            words = f"map {map}: version {version} has the SHA-256 {found.sha256}, and not {sha256[:64]}"
            raise Conflict(f"{words}; look at it again")
        if found.approved_by is not None:
            return found
        values = {"approved_by": by, "approved_at": self._clock()}
        db.execute(sa.update(MAPS).where(MAPS.c.map == map, MAPS.c.version == version).values(values))
        self._put(db, events.MAP_APPROVED, _subject(found, by))
        return find_version(db, map, version)

    def load(self, db: sa.Connection, map: str, version: int | None, robot: str, by: str) -> MapVersion:
        """Note that a robot loads a version; None: the newest that is approved. Raises NotFound, and Conflict."""
        found = newest_approved(db, map) if version is None else find_version(db, map, version)
        if found.approved_by is None:
            line = f"brain slam map approve {map} --version {found.version} --by NAME"
            raise Conflict(f"map {map}: nobody approved version {found.version}; run: {line}")
        row = {"robot": robot, "map": map, "version": found.version, "at": self._clock()}
        upsert(db, LOADED, [row])
        self._put(db, events.MAP_LOADED, _subject(found, by) | {"robot_id": robot})
        return found

    def check_said(self, db: sa.Connection, robot: str, map: str | None, sha256: str) -> None:
        """A robot says which map it has: one that nobody approved is a threat."""
        approved = sa.select(MAPS.c.version).where(
            MAPS.c.map == map, MAPS.c.sha256 == sha256, MAPS.c.approved_by.is_not(None)
        )
        if db.execute(approved).first() is not None:
            return
        words = f"robot {robot} goes by a map {map or 'without a name'} that nobody approved; its SHA-256 is {sha256}"
        details = {"robot_id": robot, "map_id": map, "sha256": sha256}
        outbox.put_threat(
            db, CONSUMER, ThreatReport(TAMPERING, robot, Severity.HIGH, words, sha256, details), self._clock()
        )

    def _put(self, db: sa.Connection, event: EventType[Any], payload: Any) -> None:
        outbox.put_event(db, CONSUMER, event.event(payload), self._clock())


def list_maps(db: sa.Connection) -> list[MapVersion]:
    """The newest version of each map, by name."""
    newest = sa.select(MAPS.c.map, sa.func.max(MAPS.c.version).label("version")).group_by(MAPS.c.map).subquery()
    both = sa.and_(MAPS.c.map == newest.c.map, MAPS.c.version == newest.c.version)
    return [_version(row) for row in db.execute(sa.select(*_COLUMNS).join(newest, both).order_by(MAPS.c.map))]


def list_versions(db: sa.Connection, map: str) -> list[MapVersion]:
    """Every version of a map, the newest first. Raises NotFound."""
    query = sa.select(*_COLUMNS).where(MAPS.c.map == map).order_by(MAPS.c.version.desc())
    found = [_version(row) for row in db.execute(query)]
    if not found:
        raise NotFound(f"no map has the name {map[:100]!r}; GET /api/slam/maps lists them")
    return found


def find_version(db: sa.Connection, map: str, version: int) -> MapVersion:
    """One version. Raises NotFound."""
    for found in list_versions(db, map):
        if found.version == version:
            return found
    raise NotFound(f"map {map}: has no version {version}; GET /api/slam/maps/{map}/versions lists them")


def newest_approved(db: sa.Connection, map: str) -> MapVersion:
    """The newest version that somebody approved; the newest of all when nobody approved one. Raises NotFound."""
    found = list_versions(db, map)
    return next((one for one in found if one.approved_by is not None), found[0])


def image_of(db: sa.Connection, map: str, version: int) -> tuple[MapForm, bytes]:
    """What is said of a version, and its PGM. Raises NotFound."""
    find_version(db, map, version)
    row = db.execute(sa.select(MAPS.c.form, MAPS.c.image).where(MAPS.c.map == map, MAPS.c.version == version)).one()
    return msgspec.convert(row.form, ready(MapForm)), zlib.decompress(row.image)


def _version(row: Any) -> MapVersion:
    return MapVersion(**{**row._mapping, "form": msgspec.convert(row.form, ready(MapForm))})


def _subject(found: MapVersion, by: str) -> dict[str, Any]:
    return {"map_id": found.map, "version": found.version, "sha256": found.sha256, "by": by}
