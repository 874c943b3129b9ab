"""The tree as it is stored: leaf hashes in the entries, and the roots of complete subtrees at every eighth level.

So a node costs little to keep (1/255 of the leaves), and any hash that a proof needs is one range of at most 256 rows
away at each stored level: three for 10 million entries.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from brain.audit.merkle import Frontier, frontier_at, root_of
from brain.audit.tables import entries, nodes
from brain.errors import Unavailable

STEP = 8
"""Levels from one stored level to the next."""
TILE = 1 << STEP


class Tampered(Unavailable):
    """The stored log contradicts itself or its checkpoints. Nothing is appended until it is repaired."""

    title = "The audit log was altered"

    def __init__(self, message: str) -> None:
        super().__init__(f"audit log: {message}; run `brain audit verify` to find the place, and restore the database")


class StoredTree:
    """Reads nodes through a connection, each tile once. Raises Tampered when a hash that must be there is not."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tiles: dict[tuple[int, int], Sequence[bytes]] = {}

    def size(self) -> int:
        """How many entries there are."""
        last: int | None = self._connection.scalar(select(func.max(entries.c.idx)))
        return 0 if last is None else last + 1

    def node(self, level: int, index: int) -> bytes:
        """The root of a complete subtree."""
        above = level % STEP
        stored = level - above
        tile, start = divmod(index << above, TILE)
        hashes = self._tile(stored, tile)[start : start + (1 << above)]
        if len(hashes) != 1 << above:
            raise Tampered(f"hashes below entry {(index + 1) << level} are missing")
        return root_of(hashes)

    def frontier(self, size: int) -> Frontier:
        """The right edge of the tree over the first `size` entries."""
        return frontier_at(size, self.node)

    def _tile(self, level: int, tile: int) -> Sequence[bytes]:
        found = self._tiles.get((level, tile))
        if found is None:
            found = self._tiles[level, tile] = self._read(level, tile)
        return found

    def _read(self, level: int, tile: int) -> Sequence[bytes]:
        first = tile * TILE
        if level:
            index, value, of_level = nodes.c.idx, nodes.c.hash, nodes.c.level == level
            query = select(index, value).where(of_level, index >= first, index < first + TILE)
        else:
            index, value = entries.c.idx, entries.c.leaf_hash
            query = select(index, value).where(index >= first, index < first + TILE)
        rows = self._connection.execute(query.order_by(index)).all()
        if rows and rows[-1][0] != first + len(rows) - 1:
            raise Tampered(f"hashes of level {level} after number {first} are missing")
        return [row[1] for row in rows]


def stored_nodes(size: int) -> int:
    """How many nodes above the leaves a tree of that size keeps."""
    count = 0
    while size := size >> STEP:
        count += size
    return count
