"""Where each group that reads by position stands: kept in its database, with what it made of the events up to there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from brain.kit.lineage import Known, Place
from brain.kit.schema import add_column, versioned
from brain.kit.sql import upsert
from brain.stream.backends import StreamIdentity, position_key

__all__ = ["ANCHORS", "ID_CHARACTERS", "METADATA", "POSITIONS", "SEEN"]

ID_CHARACTERS = 200
ANCHOR_EVERY = 1000
"""Events applied between two anchors that are kept."""
FORGET_EVERY = 50_000
"""Events applied between two times that the ids of the oldest are forgotten."""


def _add_lines(db: sa.Connection) -> None:
    """Version 2: a position has the stream and the place in it that it is about."""
    for column in (POSITIONS.c.stream, POSITIONS.c.anchor, POSITIONS.c.branches):
        add_column(db, column)
    ANCHORS.create(db, checkfirst=True)


def _shrink_seen(db: sa.Connection) -> None:
    """Version 3: an event applied is one entry of one tree, where it was three."""
    db.exec_driver_sql("DROP INDEX IF EXISTS consumer_seen_number")
    if db.dialect.name == "sqlite":
        db.exec_driver_sql("ALTER TABLE consumer_seen RENAME TO consumer_seen_before")
        SEEN.create(db)
        db.exec_driver_sql("INSERT INTO consumer_seen SELECT name, event_id, number FROM consumer_seen_before")
        db.exec_driver_sql("DROP TABLE consumer_seen_before")


METADATA = versioned("projection", _add_lines, _shrink_seen)
POSITIONS = sa.Table(
    "consumer_positions",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("position", sa.String(50), nullable=False),
    sa.Column("applied", sa.BigInteger, nullable=False),
    sa.Column("stream", sa.String(40), nullable=False, server_default=""),
    sa.Column("anchor", sa.String(40), nullable=False, server_default=""),
    sa.Column("branches", sa.Text, nullable=False, server_default=""),
)
SEEN = sa.Table(
    "consumer_seen",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("event_id", sa.String(ID_CHARACTERS), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
ANCHORS = sa.Table(
    "consumer_anchors",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("applied", sa.BigInteger, primary_key=True),
    sa.Column("position", sa.String(50), nullable=False),
    sa.Column("anchor", sa.String(40), nullable=False),
)
"""Older places, as far back as the ids of the events after them are remembered."""

_BEGIN = "INSERT INTO consumer_positions (name, position, applied) VALUES (:name, '', 0) ON CONFLICT DO NOTHING"
_CLAIM = {
    "sqlite": "INSERT OR IGNORE INTO consumer_seen SELECT :name, value, :number FROM json_each(:ids) "
    "RETURNING event_id",
    "postgresql": "INSERT INTO consumer_seen SELECT :name, value, :number "
    "FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) ON CONFLICT DO NOTHING RETURNING event_id",
}


def begin(db: sa.Connection, group: str) -> None:
    """Give the group a row; it begins at the start of what the stream keeps."""
    db.execute(sa.text(_BEGIN), {"name": group})


def rename(db: sa.Connection, former: str, group: str) -> bool:
    """Give the group another name; whether there was one under the former name."""
    if not db.execute(POSITIONS.update().where(POSITIONS.c.name == former).values(name=group)).rowcount:
        return False
    for table in (SEEN, ANCHORS):
        db.execute(table.update().where(table.c.name == former).values(name=group))
    return True


def lock(db: sa.Connection, group: str) -> Place:
    """Where the group stands; nobody else moves it before the transaction ends."""
    columns = (POSITIONS.c.position, POSITIONS.c.anchor, POSITIONS.c.applied)
    return Place(*db.execute(sa.select(*columns).where(POSITIONS.c.name == group).with_for_update()).one())


def read_known(db: sa.Connection, group: str) -> Known | None:
    """All that is known about the group's place; None for a group without a row."""
    row = db.execute(sa.select(POSITIONS).where(POSITIONS.c.name == group)).one_or_none()
    if row is None:
        return None
    older = sa.select(ANCHORS).where(ANCHORS.c.name == group).order_by(ANCHORS.c.applied.desc())
    anchors = [Place(one.position, one.anchor, one.applied) for one in db.execute(older)]
    return Known(
        group, Place(row.position, row.anchor, row.applied), anchors, row.stream, frozenset(row.branches.split())
    )


def claim(db: sa.Connection, group: str, number: int, ids: Sequence[str], remembered: int) -> set[str]:
    """Note the ids as applied after `number` others; those that were never applied.

    From time to time the oldest are forgotten: that reads all of the group, so that no index of the numbers is kept.
    """
    values = {"name": group, "number": number, "ids": msgspec.json.encode(list(dict.fromkeys(ids))).decode()}
    fresh = set(db.execute(sa.text(_CLAIM[db.dialect.name]), values).scalars())
    if number // FORGET_EVERY != (number + len(ids)) // FORGET_EVERY:
        db.execute(sa.delete(SEEN).where(SEEN.c.name == group, SEEN.c.number < number - remembered))
    return fresh


def move(db: sa.Connection, group: str, place: Place) -> None:
    """The group stands there from now on."""
    position, anchor, applied = place
    values = {"position": position, "anchor": anchor, "applied": applied}
    db.execute(POSITIONS.update().where(POSITIONS.c.name == group).values(values))


def keep_anchor(db: sa.Connection, group: str, place: Place, remembered: int) -> None:
    """Keep this place for the time when the stream has gone back, and forget those that are of no use any more."""
    row = {"name": group, "applied": place.applied, "position": place.position, "anchor": place.anchor}
    mine = ANCHORS.c.name == group
    db.execute(sa.delete(ANCHORS).where(mine, ANCHORS.c.applied < place.applied - remembered))
    upsert(db, ANCHORS, [row])


def attach(db: sa.Connection, known: Known, place: Place, identity: StreamIdentity) -> None:
    """The group stands there, in this stream with these restores; places after it are of another line."""
    move(db, known.group, place)
    branches = " ".join(branch.token for branch in identity.branches)
    row = POSITIONS.update().where(POSITIONS.c.name == known.group)
    db.execute(row.values(stream=identity.id, branches=branches))
    at = position_key(place.position)
    gone = [older.applied for older in known.anchors if position_key(older.position) > at]
    db.execute(sa.delete(ANCHORS).where(ANCHORS.c.name == known.group, ANCHORS.c.applied.in_(gone)))
