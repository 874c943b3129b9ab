"""Which of very many ids may have come before, in little memory: a mark of each, in tables that are written in place.

It is never wrong about an id that came before, and takes one new id of 100,000 for such. Who must be sure looks up
those few where the ids themselves are kept.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Sequence

__all__ = ["IdFilter"]

_MARK = array("H").itemsize


class IdFilter:
    """Of digests of eight bytes, the last `remembered` at least, twice as many at most. Not for two threads at once.

    Half of a digest says where in a table its mark, two bytes of the other half, is: there, or in the places after it.
    A table takes `remembered` digests; then the next one is begun, and the one before the last let go.
    """

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._places = 1 << (2 * remembered).bit_length()  # with `remembered` more at once it is not full yet
        self._newer = _free(self._places)
        self._older = _free(self._places)
        self._count = 0  # of the digests in the newer one

    def met(self, digests: Sequence[bytes]) -> list[bytes]:
        """Those of these that may have come before; all of them have from now on. At most `remembered` at once."""
        if len(digests) > self._remembered:
            raise ValueError(f"{len(digests)} digests at once do not fit into a table of {self._remembered}")
        newer, older, last = self._newer, self._older, self._places - 1
        together = b"".join(digests)
        places, marks = array("I", together)[::2], array("H", together)[2::4]
        met = []
        for digest, place, mark in zip(digests, places, marks, strict=True):
            mark = mark or 1  # zero says that a place is free
            at = place & last
            while (found := newer[at]) and found != mark:
                at = at + 1 & last
            if found:
                met.append(digest)
                self._count -= 1
                continue
            newer[at] = mark
            at = place & last
            while (found := older[at]) and found != mark:
                at = at + 1 & last
            if found:
                met.append(digest)
        self._count += len(digests)
        if self._count >= self._remembered:
            self._older, self._newer, self._count = newer, _free(self._places), 0
        return met


def _free(places: int) -> memoryview[int]:
    """A table of zeros. It takes memory where it is written only, and gives all of it back to the system at once."""
    return memoryview(mmap.mmap(-1, places * _MARK, access=mmap.ACCESS_COPY)).cast("H")
