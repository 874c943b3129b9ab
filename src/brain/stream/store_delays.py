"""How long events take from their making to the backend, as a histogram of this process."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass

import msgspec

from brain.typed import ready

BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0)
"""Upper bounds of the bins, in seconds; one more bin holds what is beyond."""


class _Stamp(msgspec.Struct, gc=False):
    id: str
    timestamp: float


@dataclass(frozen=True, slots=True)
class Example:
    """The last event in a bin: its id, its delay in seconds, and when it was stored (Unix seconds)."""

    event_id: str
    seconds: float
    at: float


class StoreDelays:
    """Written by the shipper's thread, one observation a batch; read by any other."""

    def __init__(self) -> None:
        self.counts: list[int] = [0] * (len(BOUNDS) + 1)
        self.examples: list[Example | None] = [None] * (len(BOUNDS) + 1)
        self.sum: float = 0.0

    def observe(self, data: bytes) -> None:
        """The event with these bytes, the oldest of its batch, is stored now."""
        stamp = _decode(data)
        now = time.time()
        seconds = max(0.0, now - stamp.timestamp)
        index = bisect_left(BOUNDS, seconds)
        self.counts[index] += 1
        self.sum += seconds
        self.examples[index] = Example(stamp.id, seconds, now)


_decode = msgspec.json.Decoder(ready(_Stamp)).decode
