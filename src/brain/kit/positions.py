"""Where each group that reads by position stands: kept in its database, with what it made of the events up to there."""

from __future__ import annotations

from itertools import groupby

import sqlalchemy as sa

from brain.kit.lineage import Known, Place
from brain.kit.schema import add_column, versioned
from brain.kit.sql import insert_missing, upsert
from brain.stream.backends import StreamIdentity, position_key
from brain.stream.decoded import digest_of

__all__ = ["ANCHORS", "FORGET_EVERY", "IDS", "METADATA", "POSITIONS"]

ANCHOR_EVERY = 1000
"""Events applied between two anchors that are kept."""
FORGET_EVERY = 50_000
"""Events applied between two times that the ids of the oldest are forgotten."""


def _add_lines(db: sa.Connection) -> None:
    """Version 2: a position has the stream and the place in it that it is about."""
    for column in (POSITIONS.c.stream, POSITIONS.c.anchor, POSITIONS.c.branches):
        add_column(db, column)
    ANCHORS.create(db, checkfirst=True)


def _drop_number(db: sa.Connection) -> None:
    """Version 3: the numbers of applied events have no index."""
    db.exec_driver_sql("DROP INDEX IF EXISTS consumer_seen_number")


def _pack_ids(db: sa.Connection) -> None:
    """Version 4: the ids of a batch are one row of digests; each was a row."""
    IDS.create(db, checkfirst=True)
    if not sa.inspect(db).has_table(_SEEN.name):
        return
    rows = db.execute(sa.select(_SEEN).order_by(_SEEN.c.name, _SEEN.c.number, _SEEN.c.event_id)).all()
    packed = []
    for (name, number), batch in groupby(rows, key=lambda row: (row.name, row.number)):
        ids = [row.event_id for row in batch]
        digests = b"".join(map(digest_of, ids))
        packed.append({"name": name, "applied": number + len(ids), "ids": digests, "last_id": ids[-1]})
    insert_missing(db, IDS, packed)
    db.exec_driver_sql("DROP TABLE consumer_seen")


METADATA = versioned("projection", _add_lines, _drop_number, _pack_ids)
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
IDS = sa.Table(
    "consumer_ids",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("applied", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("ids", sa.LargeBinary, nullable=False),
    sa.Column("last_id", sa.Text, nullable=False),
)
"""The ids of the events of each batch, by how many events the group had applied with it: `brain.kit.applied_ids`."""
_SEEN = sa.table("consumer_seen", sa.column("name"), sa.column("event_id"), sa.column("number"))
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


def begin(db: sa.Connection, group: str) -> None:
    """Give the group a row; it begins at the start of what the stream keeps."""
    db.execute(sa.text(_BEGIN), {"name": group})


def rename(db: sa.Connection, former: str, group: str) -> bool:
    """Give the group another name; whether there was one under the former name."""
    if not db.execute(POSITIONS.update().where(POSITIONS.c.name == former).values(name=group)).rowcount:
        return False
    for table in (IDS, ANCHORS):
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
