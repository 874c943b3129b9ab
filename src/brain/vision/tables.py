"""The tables of vision. Times are in Unix seconds."""

from __future__ import annotations

import sqlalchemy as sa

from brain.kit import leases, outbox
from brain.kit.database import create_tables
from brain.kit.schema import versioned

METADATA: sa.MetaData = versioned("vision")

CAMERAS: sa.Table = sa.Table(
    "vision_cameras",
    METADATA,
    sa.Column("camera", sa.String(64), primary_key=True),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("up", sa.Boolean, nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),  # why it is down
    sa.Column("fault", sa.String(20)),  # null: its pictures are right
    sa.Column("seen_at", sa.Double, nullable=False),  # when anything came last, by this server's clock
    sa.Column("summary", sa.JSON, nullable=False),  # the last one; {}: none yet
)
"""Every camera, and how it is."""

PRESENT: sa.Table = sa.Table(
    "vision_present",
    METADATA,
    sa.Column("camera", sa.String(64), primary_key=True),
    sa.Column("zone", sa.String(64), primary_key=True),
    sa.Column("track", sa.BigInteger, primary_key=True),
    sa.Column("label", sa.String(60), nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("robot", sa.String(64)),  # the robot that stands still meanwhile
)
"""What is in a zone now."""

MODELS: sa.Table = sa.Table(
    "vision_models",
    METADATA,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("approved_by", sa.String(200), nullable=False),
    sa.Column("approved_at", sa.Double, nullable=False),
)
"""The files that somebody approved as models."""

EVIDENCE: sa.Table = sa.Table(
    "vision_evidence",
    METADATA,
    sa.Column("ref", sa.String(40), primary_key=True),
    sa.Column("camera", sa.String(64), nullable=False),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("jpeg", sa.LargeBinary, nullable=False),
)
"""Blurred pictures, until they expire."""


def make_tables(database: sa.Engine) -> None:
    """Make what is missing. Blocks. Raises Unavailable."""
    for metadata in (METADATA, outbox.metadata, leases.METADATA):
        create_tables(database, metadata)
