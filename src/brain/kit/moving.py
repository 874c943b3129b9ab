"""Moving a group that reads by position: a person's decision where to go on, when the stream itself does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from brain.errors import InvalidInput, NotFound
from brain.kit import positions
from brain.kit.database import create_tables, reachable
from brain.kit.lineage import CannotContinue, Place, anchor_of, locate
from brain.kit.projection import REMEMBERED
from brain.stream.backends import check_position, position_key

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from brain.stream.backends import Backend

__all__ = ["move_group", "standing"]


def move_group(backend: Backend, database: Engine, group: str, position: str) -> str:
    """Have the group go on after the position ("" for the start); where it stood.

    It may run meanwhile. Raises NotFound when the database has no such group, InvalidInput for a position beyond the
    end of the stream, and Unavailable.
    """
    tail = backend.tail()
    if position_key(check_position(position)) > position_key(tail):
        raise InvalidInput(f"position: the stream ends at {tail or 'its start'}; {position} is beyond that")
    create_tables(database, positions.METADATA)
    with reachable(database), database.begin() as db:
        known = positions.read_known(db, group)
        if known is None:
            raise NotFound(f"group {group!r} has no position in this database; see brain groups list")
        was = positions.lock(db, group)
        place = Place(position, anchor_of(backend.at(position)), was.applied)
        positions.attach(db, known, place, backend.identity())
    return was.position


def standing(backend: Backend, database: Engine) -> dict[str, str]:
    """The groups that would stand still, each with the reason and what to do. Raises Unavailable, and NewerSchema."""
    create_tables(database, positions.METADATA)
    identity, found = backend.identity(), {}
    with reachable(database), database.begin() as db:
        names = db.execute(select(positions.POSITIONS.c.name)).scalars().all()
        everything = [known for name in names if (known := positions.read_known(db, name)) is not None]
    for known in everything:
        try:
            locate(backend, known, identity, REMEMBERED)
        except CannotContinue as error:
            found[known.group] = str(error)
    return found
