"""The policy decisions of one batch, by reference: where each is in the stream, and 32 bits each of
its agent and its correlation id.

So a decision costs ten bytes until an incident asks for it. What the bits find is looked at once more in the stream.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import repeat
from struct import pack

from brain.stream.index_block import fingerprint

__all__ = ["EvidencePage", "pack_marks", "pack_positions"]

_MARK = 4


def pack_positions(positions: Sequence[str]) -> bytes:
    """Positions in a row of the table."""
    return zlib.compress(",".join(positions).encode(), 1)


def pack_marks(keys: Sequence[str]) -> bytes:
    """The marks of agents or correlation ids, in the order of their positions."""
    known = dict.fromkeys(keys, 0)
    for key in known:
        known[key] = fingerprint(key)
    return pack(f"<{len(keys)}I", *map(known.__getitem__, keys))


class EvidencePage:
    """A row of the table, read."""

    def __init__(self, positions: bytes, agents: bytes, correlation_ids: bytes) -> None:
        self._positions = positions
        self._agents = agents
        self._correlation_ids = correlation_ids

    def find(self, correlation_id: str, agents: Sequence[str]) -> Iterator[str]:
        """The positions that may be of the correlation id or of one of the agents, the last first."""
        found = set(_places(self._correlation_ids, correlation_id))
        found.update(*map(_places, repeat(self._agents), agents))
        if found:
            positions = zlib.decompress(self._positions).decode().split(",")
            yield from (positions[place] for place in sorted(found, reverse=True))


def _places(marks: bytes, key: str) -> Iterator[int]:
    wanted = pack("<I", fingerprint(key))
    at = marks.find(wanted)
    while at >= 0:
        place, between = divmod(at, _MARK)
        if not between:
            yield place
        at = marks.find(wanted, at + 1)
