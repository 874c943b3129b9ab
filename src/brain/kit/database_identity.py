"""Which consumers' database is which: a name made once and kept in the database, so that it moves with a copy of it.

A group's position and what was made of the stream up to it lie in one database. A second database under the same group
names would do everything again: so the stream keeps the name of each group's database (`Backend.set_owner`).
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import sqlalchemy as sa

from brain.errors import Conflict
from brain.kit.database import create_tables, reachable, reading
from brain.kit.schema import versioned
from brain.kit.sql import insert_missing
from brain.stream.backends import Backend

__all__ = [
    "GroupOwner",
    "OwnedElsewhere",
    "adopt_groups",
    "check_groups",
    "claim_group",
    "identify",
    "known_identity",
    "owned_elsewhere",
    "release_groups",
]

METADATA = versioned("identity")
IDENTITY = sa.Table(
    "database_identity",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),  # always 1
    sa.Column("identity", sa.String(32), nullable=False),
)


class GroupOwner(NamedTuple):
    """A consumers' database as the stream remembers it: its identity, and where it was when it took the group."""

    identity: str
    place: str

    def text(self) -> str:
        """As the backend keeps it."""
        return f"{self.identity} {self.place}"

    @classmethod
    def parse(cls, text: str) -> GroupOwner:
        """From what the backend keeps."""
        identity, _, place = text.partition(" ")
        return cls(identity, place)


class OwnedElsewhere(Conflict):
    """Another database has the group's position; the message says what to do."""

    def __init__(self, group: str, owner: GroupOwner, mine: str) -> None:
        super().__init__(
            f"group {group} is kept in another database: {owner.place}, and not in {mine}. Two databases for one group "
            "would send each page twice. Give every node the same `database` (PostgreSQL for several machines: "
            "docs/nodes.md); if the group shall move to this database for good, stop the other nodes, then run "
            f"`brain groups adopt {group}`"
        )


def identify(engine: sa.Engine) -> GroupOwner:
    """The database's identity, made where it has none. Raises Unavailable when it does not answer."""
    create_tables(engine, METADATA)
    with reachable(engine), engine.begin() as db:
        insert_missing(db, IDENTITY, [{"id": 1, "identity": uuid4().hex}])
        return GroupOwner(db.execute(sa.select(IDENTITY.c.identity)).scalar_one(), _place(engine))


def known_identity(engine: sa.Engine) -> str:
    """The database's identity, "" where it has none; nothing is written. Raises Unavailable."""
    with reachable(engine), reading(engine).begin() as db:
        if not sa.inspect(db).has_table(IDENTITY.name):
            return ""
        return db.execute(sa.select(IDENTITY.c.identity)).scalar() or ""


def claim_group(backend: Backend, mine: GroupOwner, group: str) -> None:
    """Note that the group's position is in this database, unless it is noted for another: raises OwnedElsewhere."""
    stored = GroupOwner.parse(backend.set_owner(group, mine.text(), ""))
    if stored.identity != mine.identity:
        raise OwnedElsewhere(group, stored, mine.place)


def check_groups(backend: Backend, engine: sa.Engine, groups: Collection[str]) -> None:
    """Raises OwnedElsewhere for one of the groups that is kept in another database, Unavailable when one of both fails.

    Nothing is claimed: a group may be consumed without a database.
    """
    for group, owner in owned_elsewhere(backend, known_identity(engine)).items():
        if group in groups:
            raise OwnedElsewhere(group, owner, _place(engine))


def release_groups(backend: Backend, engine: sa.Engine) -> None:
    """Let any database have the groups of this one, which is about to be deleted."""
    identity = known_identity(engine)
    for group, text in backend.owners().items():
        if GroupOwner.parse(text).identity == identity:
            backend.set_owner(group, "", text)


def owned_elsewhere(backend: Backend, identity: str) -> dict[str, GroupOwner]:
    """The groups that are kept in another database than the one of this identity, by name."""
    owners = {group: GroupOwner.parse(text) for group, text in sorted(backend.owners().items())}
    return {group: owner for group, owner in owners.items() if owner.identity not in ("", identity)}


def adopt_groups(backend: Backend, engine: sa.Engine, groups: Sequence[str]) -> None:
    """Note that these groups are kept in this database from now on, whichever had them: a move on purpose.

    A consumer that runs on another database stops when it next reports its position.
    """
    mine = identify(engine)
    for group in groups:
        stored = backend.owners().get(group, "")
        while stored != mine.text():  # another process may do so at the same time: the last one has it
            stored = backend.set_owner(group, mine.text(), stored)


def _place(engine: sa.Engine) -> str:
    if engine.dialect.name == "sqlite" and engine.url.database:
        return f"{Path(engine.url.database).absolute()} on {socket.gethostname()}"
    return engine.url.render_as_string()
