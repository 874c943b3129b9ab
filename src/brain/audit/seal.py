"""Seals bind the log's rows together: with the log's key they show which row was altered, inserted or removed."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import msgspec

SEAL = 16
"""Bytes of a seal."""

_pack = msgspec.msgpack.Encoder().encode


class Sealing:
    """Seals: keyed hashes, each over a row and the seal before it.

    They show the holder of the log's key which row was altered, inserted or removed. They cover the search fields too,
    which no leaf hash covers. Nobody can make a seal without the key. Third parties rely on the checkpoints; seals are
    for finding the place.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.first: bytes = self._seal(b"first")

    def next(self, previous: bytes, leaf: bytes, fields: Sequence[object]) -> bytes:
        """The seal of a row with these SearchFields that comes after the one with the seal `previous`."""
        return self._seal(previous + leaf + _pack(fields))

    def deletion(self, seal: bytes) -> bytes:
        """The seal which shows that retention deleted the payload of the row with `seal`."""
        return self._seal(b"deleted" + seal)

    def _seal(self, message: bytes) -> bytes:
        seal = self._begun.copy()  # an HMAC whose key is already in: half the time of hmac.digest
        seal.update(message)
        return seal.digest()[:SEAL]
