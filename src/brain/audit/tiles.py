"""Tiles: the log's tree in pieces of 256 hashes, and its entries in bundles of 256, for monitors that read the whole.

The hashes that the log stores are those of the tiles, so nothing is kept twice.

Source: C2SP tlog-tiles (https://c2sp.org/tlog-tiles).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Connection, select

from brain.audit.handover import Keychain
from brain.audit.repository import require_checkpoint
from brain.audit.stored_bytes import whole
from brain.audit.tables import entries
from brain.audit.tree import STEP, TILE, StoredTree
from brain.errors import BrainError, InvalidInput, NotFound

_PATH = re.compile(r"((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?").fullmatch
_LEVELS = 8
LONGEST = 0xFFFF
"""Bytes of an entry that a bundle can hold: its length is written in 16 bits."""


class EntriesGone(BrainError):
    """A bundle cannot be served, for good: one of its entries has no bytes any more, or too many for the format."""

    status = 410
    title = "The entries are gone"


@dataclass(frozen=True)
class TilePlace:
    """Which tile: its number in its level, and how many of its 256 places are wanted."""

    number: int
    width: int

    @staticmethod
    def parse(path: str) -> TilePlace:
        """The place in a path such as `x001/234` or `067.p/12`. Raises InvalidInput."""
        match = _PATH(path)
        width = int(match[2] or TILE) if match is not None else 0
        if match is None or (match[2] and width >= TILE) or path.startswith("x000/"):
            raise InvalidInput(f"tile: {path[:80]!r} is no path of tlog-tiles, such as x001/234 or 067.p/12")
        return TilePlace(int(match[1].replace("x", "").replace("/", "")), width)


def hash_tile(connection: Connection, chain: Keychain, level: int, place: TilePlace) -> bytes:
    """The hashes of a tile of the signed log. Raises NotFound beyond what is signed."""
    if not 0 <= level < _LEVELS:
        raise NotFound(f"tile: there is no level {level}; levels are 0 to {_LEVELS - 1}")
    first = _within(connection, chain, level, place)
    tree = StoredTree(connection)
    return b"".join(tree.node(level * STEP, first + offset) for offset in range(place.width))


def entry_bundle(connection: Connection, chain: Keychain, place: TilePlace) -> bytes:
    """The entries of a bundle, each after its length. Raises NotFound beyond what is signed, EntriesGone."""
    first = _within(connection, chain, 0, place)
    query = select(entries.c.payload, entries.c.event_id, entries.c.type).where(
        entries.c.idx >= first, entries.c.idx < first + place.width
    )
    found = [whole(*row) for row in connection.execute(query.order_by(entries.c.idx))]
    parts = []
    for index, data in enumerate(found, first):
        if data is None:
            raise EntriesGone(f"entry {index}: its bytes are deleted, its hash stays; read the tiles of level 0")
        if len(data) > LONGEST:
            raise EntriesGone(f"entry {index}: has {len(data)} bytes, a bundle holds {LONGEST}; use /api/audit/entries")
        parts.append(len(data).to_bytes(2, "big") + data)
    return b"".join(parts)


def _within(connection: Connection, chain: Keychain, level: int, place: TilePlace) -> int:
    """The number of the tile's first hash in its level, when all that are wanted are signed."""
    size = chain.open(require_checkpoint(connection)).size >> (level * STEP)
    first = place.number * TILE
    if first + place.width > size:
        raise NotFound(f"tile: level {level} has {size} hashes, this one ends at {first + place.width}")
    return first
