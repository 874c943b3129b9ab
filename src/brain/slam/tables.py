"""The tables of slam. Times are in Unix seconds."""

from __future__ import annotations

import sqlalchemy as sa

from brain.kit import outbox
from brain.kit.database import create_tables
from brain.kit.schema import add_column, versioned


def _add_heard_at(db: sa.Connection) -> None:
    add_column(db, ROBOTS.c.heard_at)


METADATA: sa.MetaData = versioned("slam", _add_heard_at)

ROBOTS: sa.Table = sa.Table(
    "slam_robots",
    METADATA,
    sa.Column("robot", sa.String(64), primary_key=True),
    sa.Column("map", sa.String(100)),
    sa.Column("pose", sa.JSON, nullable=False),
    sa.Column("loss", sa.JSON),  # null: it knows where it is
    sa.Column("good", sa.Integer, nullable=False),
    sa.Column("zones", sa.JSON, nullable=False),
    sa.Column("announced", sa.JSON),  # the pose of its last slam.pose_updated
    sa.Column("heard_at", sa.Double),  # when its pose came, by the clock here; null: before this was kept
)
"""Where each robot is, and whether it is lost."""

TRACK: sa.Table = sa.Table(
    "slam_track",
    METADATA,
    sa.Column("robot", sa.String(64), primary_key=True),
    sa.Column("at", sa.Double, primary_key=True),
    sa.Column("x", sa.Double, nullable=False),
    sa.Column("y", sa.Double, nullable=False),
    sa.Column("theta", sa.Double, nullable=False),
)
"""Where each robot was: one pose a metre or 10 seconds."""


MAPS: sa.Table = sa.Table(
    "slam_maps",
    METADATA,
    sa.Column("map", sa.String(100), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("form", sa.JSON, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("known_ratio", sa.Double, nullable=False),
    sa.Column("published_by", sa.String(200), nullable=False),
    sa.Column("published_at", sa.Double, nullable=False),
    sa.Column("approved_by", sa.String(200)),  # null: no robot may load it
    sa.Column("approved_at", sa.Double),
    sa.Column("image", sa.LargeBinary, nullable=False),  # the PGM, packed by zlib
    sa.UniqueConstraint("map", "sha256"),
)
"""Every version of every map."""

LOADED: sa.Table = sa.Table(
    "slam_loaded",
    METADATA,
    sa.Column("robot", sa.String(64), primary_key=True),
    sa.Column("map", sa.String(100), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)
"""The map that each robot loaded last."""


def make_tables(database: sa.Engine) -> None:
    """Make what is missing. Blocks. Raises Unavailable."""
    for metadata in (METADATA, outbox.metadata):
        create_tables(database, metadata)
