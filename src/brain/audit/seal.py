"""Seals bind the log's rows together: with the log's key they show which row was altered, inserted or removed."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

SEAL = 16
"""Bytes of a seal."""

_BLOCK = 64  # bytes that SHA-256 takes at once
_pack = msgspec.msgpack.Encoder().encode


class Sealing:
    """Seals: HMAC-SHA-256, each over a row and the seal before it; the key is hashed once for all.

    They show the holder of the log's key which row was altered, inserted or removed. They cover the search fields too,
    which no leaf hash covers. Nobody can make a seal without the key. Third parties rely on the checkpoints; seals are
    for finding the place.
    """

    def __init__(self, secret: bytes) -> None:
        key = (secret if len(secret) <= _BLOCK else sha256(secret).digest()).ljust(_BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in key))
        self.first: bytes = self._seal(b"first")

    def next(self, previous: bytes, leaf: bytes, fields: Sequence[object]) -> bytes:
        """The seal of a row with these SearchFields that comes after the one with the seal `previous`."""
        return self._seal(previous + leaf + _pack(fields))

    def deletion(self, seal: bytes) -> bytes:
        """The seal which shows that retention deleted the payload of the row with `seal`."""
        return self._seal(b"deleted" + seal)

    def erasure(self, previous: bytes, seal: bytes, leaf: bytes, fields: Sequence[object]) -> bytes:
        """The seal which shows that an erasure deleted the payload of the row with `seal`, and left it these fields.

        The row's own seal covers the fields that it had. This one binds those that it has to it, and to its place.
        """
        return self._seal(b"erased" + previous + seal + leaf + _pack(fields))

    def _seal(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()[:SEAL]
